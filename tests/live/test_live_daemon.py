"""The daemon's life and its socket: starts, changes, refusals, ends."""

import json
import os
import signal
import stat
import subprocess
import time

import pytest

from threads import Stopped, is_worker
from wire import BUILD, PORTS, RULES, SLOW_PORTS, law_holds, run

pytestmark = pytest.mark.patient


def refused(wire, scenario, *options, user=None):
    """Starts a daemon that must not stay; returns (exit status, stderr)."""
    path = wire.folder / "refused.yaml"
    path.write_text(scenario)
    os.chmod(wire.folder, 0o755)
    words = ["ip", "netns", "exec", wire.namespace("m")]
    if user is not None:
        words += ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]
    ended = run(*words, BUILD / "faultlined", "--scenario", path, "--socket",
                wire.folder / "other.sock", *options, check=False, timeout=20)
    return ended.returncode, ended.stderr


def test_starts_in_pass_through_whatever_the_file_says(wire):
    """A scenario whose rules are enabled injects nothing until it is started."""
    wire.start((PORTS + RULES).replace("enabled: false", "enabled: true"))
    status = wire.get("/v1/status")[1]
    assert status["state"] == "pass-through"
    assert [rule["enabled"] for rule in wire.get("/v1/rules")[1]["rules"]] == [False, False]
    wire.stop()
    wire.start((PORTS + RULES).replace("enabled: false", "enabled: true"), "--start")
    assert wire.get("/v1/status")[1]["state"] == "injecting"


def test_apply_is_atomic_and_generations_count(wire):
    """apply replaces all rules; a wrong scenario changes nothing; If-Match guards."""
    wire.start()
    first = wire.get("/v1/status")[1]["generation"]
    scenario = wire.folder / "new.yaml"
    scenario.write_text(PORTS + "rules: [{name: cut, impair: [{loss: 100%}]}]\n")
    assert wire.cli("apply", scenario).returncode == 0
    rules = wire.get("/v1/rules")[1]
    assert [rule["name"] for rule in rules["rules"]] == ["cut"]
    assert rules["generation"] == first + 1
    assert rules["rules"][0]["expires_ns"] is not None
    scenario.write_text("version: 1\nrules: [{name: cut, from: left, impair: [{loss: 50%}]}]\n")
    assert wire.cli("apply", scenario).returncode == 0
    scenario.write_text("version: 1\nrules: [{name: cut, from: lefd, impair: [{loss: 50%}]}]\n")
    wrong = wire.cli("apply", scenario, check=False)
    assert wrong.returncode == 1
    assert f"{scenario}:2:27: error: unknown port 'lefd'" in wrong.stderr
    assert "did you mean 'left'" in wrong.stderr
    first += 1
    status, body = wire.http("PUT", "/v1/policy", "rules: [{name: x, impair: [{loss: 2}]}]\nversion: 1",
                             "application/yaml")
    assert status == 422 and body["errors"][0]["line"] == 1
    assert wire.get("/v1/rules")[1]["generation"] == first + 1
    status, body = wire.http("PATCH", "/v1/rules/cut", {"enabled": False},
                             headers=[f'If-Match: "{first}"'])
    assert status == 412
    status, body = wire.http("PATCH", "/v1/rules/cut", {"enabled": False},
                             headers=[f'If-Match: "{first + 1}"'])
    assert status == 200 and body["generation"] == first + 2


def test_rules_end_by_default_when_applied(wire):
    """Without `ttl` a rule ends an hour after it was applied; never only if that is written."""
    wire.start()
    scenario = wire.folder / "new.yaml"
    scenario.write_text(PORTS + "rules: [{name: short, impair: [delay: 1ms]}, "
                                "{name: endless, ttl: none, impair: [delay: 1ms]}]\n")
    before_ns = wire.get("/v1/status")[1]["uptime_ns"]
    assert wire.cli("apply", scenario).returncode == 0
    after_ns = wire.get("/v1/status")[1]["uptime_ns"]
    short, endless = wire.get("/v1/rules")[1]["rules"]
    hour_ns = 3600 * 10**9
    assert before_ns + hour_ns <= short["expires_ns"] <= after_ns + hour_ns + 10**9
    assert endless["expires_ns"] is None


@pytest.mark.parametrize("method,path,body,kind,expected", [
    ("GET", "/v1/nothing", None, "", 404),
    ("GET", "/v1/rules/nobody", None, "", 404),
    ("DELETE", "/v1/status", None, "", 405),
    ("POST", "/v1/policy", None, "", 405),
    ("PUT", "/v1/policy", "version: [", "application/yaml", 400),
    ("PUT", "/v1/policy", "version: 1\nrulez: []", "application/yaml", 422),
    ("PUT", "/v1/policy", "version: 1", "text/plain", 415),
    ("PUT", "/v1/policy", "version: 1\nports: {left: {driver: \"null\"}, right: {driver: \"null\"}}\n"
     "wires: {lab: [left, right]}", "application/yaml", 409),
    ("PATCH", "/v1/rules/nobody", "{}", "application/json", 404),
    ("PATCH", "/v1/rules/slow", '{"impair": [{"delay": "20"}]}', "application/json", 422),
    ("PATCH", "/v1/rules/slow", '{"name": "fast"}', "application/json", 422),
    ("PATCH", "/v1/rules/slow", '[1]', "application/json", 422),
    ("POST", "/v1/heal", '{"held": "burn"}', "application/json", 422),
])
def test_refusals_have_their_status(wire, method, path, body, kind, expected):
    """Each wrong request has its status and problem+json, and changes nothing."""
    wire.start()
    generation = wire.get("/v1/status")[1]["generation"]
    status, answer = wire.http(method, path, body, kind)
    assert status == expected, answer
    assert answer["status"] == expected and answer["title"]
    assert wire.get("/v1/status")[1]["generation"] == generation


def test_the_socket_is_for_owner_and_group(wire):
    """Mode 0660, and gone after the end."""
    wire.start()
    assert stat.S_IMODE(os.stat(wire.socket).st_mode) == 0o660
    assert wire.stop() == 0
    assert not wire.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("on_exit", ["flush", "drop"])
def test_ends_cleanly_with_packets_held(wire, number, on_exit):
    """Ends within 2 s with held packets sent or dropped, books balanced, nothing left behind."""
    runtime = set(os.listdir("/run"))
    wire.start(SLOW_PORTS + "rules: [{name: long, from: left, impair: [{delay: 60s}]}]\n", "--start",
               "--on-exit", on_exit)
    before = wire.receiver_counter("b")
    wire.inside("a", "ping", "-c", "20", "-i", "0.01", "-W", "0.1", "10.77.0.2", check=False)
    held = wire.stats()["ledger"]["held"]
    assert held > 0
    began = time.monotonic()
    assert wire.stop(number) == 0
    assert time.monotonic() - began < 2
    assert "balanced" in wire.log.read_text() and "NOT BALANCED" not in wire.log.read_text()
    arrived = wire.receiver_counter("b") - before
    assert arrived >= held if on_exit == "flush" else arrived == 0
    assert not wire.socket.exists()
    assert set(os.listdir("/run")) - runtime == set()


def test_heal_sends_keeps_or_drops_what_is_held(wire):
    """send: at once, counted as flushed; keep: at its time; drop: counted under heal."""
    wire.start(PORTS + "rules: [{name: long, from: left, impair: [{delay: 3s}]}]\n", "--start")
    for held, reason in (("drop", "heal"), ("send", None), ("keep", None)):
        before = wire.settle(8)
        wire.enable("long")
        wire.inside("a", "ping", "-c", "10", "-i", "0.01", "-W", "0.1", "10.77.0.2", check=False)
        waiting = wire.stats()["ledger"]["held"]
        assert waiting >= 1
        wire.cli("heal", "--held", held)
        time.sleep(0.2)
        after = wire.stats()
        assert law_holds(after)
        if held == "drop":
            assert after["ledger"]["dropped"][reason] - before["ledger"]["dropped"]["heal"] >= waiting
            assert after["ledger"]["held"] == 0
        elif held == "send":
            assert after["flushed"] - before["flushed"] >= waiting
            assert after["ledger"]["held"] == 0
        else:
            assert after["ledger"]["held"] >= waiting
            assert wire.settle(8)["ledger"]["held"] == 0


def test_kill_9_leaves_a_socket_that_is_replaced(wire):
    """After kill -9 the next daemon starts on the same path."""
    wire.start()
    wire.stop(signal.SIGKILL)
    assert wire.socket.exists()
    wire.start()
    assert wire.inside("a", "ping", "-c", "2", "-i", "0.1", "10.77.0.2").returncode == 0


def test_a_second_daemon_is_refused(wire):
    """The socket in use: exit 4 and its message; the first goes on."""
    wire.start()
    path = wire.folder / "scenario.yaml"
    ended = run("ip", "netns", "exec", wire.namespace("m"), BUILD / "faultlined", "--scenario", path,
                "--socket", wire.socket, check=False)
    assert ended.returncode == 4 and "in use" in ended.stderr
    assert wire.get("/v1/status")[0] == 200


def test_daemon_refuses_bad_input(wire):
    """Each wrong start has its message and exit status."""
    table = [
        (PORTS.replace("fl-left", "nowhere0"), 4, "does not exist"),
        (PORTS + "rules: [{name: a, impair: [{delay: 40}]}]\n", 1, "unit"),
        (PORTS + "rules: [{name: a, impair: [{loss: 150%}]}]\n", 1, "between 0% and 100%"),
        (PORTS.replace("wires", "wirez"), 1, "did you mean 'wires'"),
        (PORTS + "hold: {memory: 10MB}\nrules: [{name: a, impair: [delay: 40ms]}]\n", 4,
         "in 64-byte frames for 40ms need 104761888"),
        ("version: 1\n", 1, "ports"),
        ("version: [1\n", 1, "refused.yaml:"),
    ]
    for scenario, status, words in table:
        got, stderr = refused(wire, scenario)
        assert got == status, (scenario, stderr)
        assert words in stderr
    assert run(BUILD / "faultlined", "--scenario", "/nonexistent.yaml", check=False).returncode == 5
    assert run(BUILD / "faultlined", "--bogus", check=False).returncode == 2


def test_rules_beyond_the_capacity_are_refused(wire):
    """409 with the numbers, and nothing has changed; what fits is taken."""
    wire.start(PORTS + "hold: {memory: 10MB}\nrules: [{name: slow, impair: [delay: 1ms]}]\n")
    before = wire.get("/v1/rules")[1]
    status, body = wire.http("PATCH", "/v1/rules/slow", '{"impair": [{"delay": "40ms"}]}')
    assert status == 409 and "need 104761888" in body["detail"]
    assert wire.get("/v1/rules")[1] == before
    status, _ = wire.http("PATCH", "/v1/rules/slow", '{"impair": [{"delay": "3ms"}]}')
    assert status == 200


def test_daemon_without_permission_says_what_is_needed(wire):
    """As nobody: exit 4, naming the capabilities."""
    build = wire.folder / "faultlined"
    build.write_bytes((BUILD / "faultlined").read_bytes())
    build.chmod(0o755)
    os.chmod(wire.folder, 0o777 | stat.S_ISVTX)
    path = wire.folder / "s.yaml"
    path.write_text(PORTS)
    ended = run("ip", "netns", "exec", wire.namespace("m"), "setpriv", "--reuid", "65534", "--regid",
                "65534", "--clear-groups", build, "--scenario", path, "--socket",
                wire.folder / "n.sock", check=False, timeout=20)
    assert ended.returncode == 4, ended.stderr
    assert "cap_net_raw" in ended.stderr


def test_client_without_permission_or_daemon(wire):
    """No permission on the socket is 4, no daemon 3."""
    wire.start()
    client = wire.folder / "faultline"
    client.write_bytes((BUILD / "faultline").read_bytes())
    client.chmod(0o755)
    os.chmod(wire.folder, 0o755)
    ended = run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", client,
                "--socket", wire.socket, "status", check=False)
    assert ended.returncode == 4 and "may not be used" in ended.stderr
    wire.stop()
    ended = wire.cli("status", check=False)
    assert ended.returncode == 3 and "no daemon" in ended.stderr
    ended = wire.cli("apply", "/nonexistent.yaml", check=False)
    assert ended.returncode == 5


def test_two_clients_at_once(wire):
    """Concurrent changes all happen, each with a generation of its own."""
    wire.start()
    first = wire.get("/v1/status")[1]["generation"]
    patch = json.dumps({"enabled": True})
    clients = [subprocess.Popen(
        ["curl", "-s", "--unix-socket", str(wire.socket), "-X", "PATCH", "-H",
         "Content-Type: application/json", "-d", patch, f"http://x/v1/rules/{rule}"],
        stdout=subprocess.PIPE, text=True) for rule in ("slow", "lossy") * 5]
    generations = {json.loads(client.communicate(timeout=20)[0])["generation"] for client in clients}
    assert generations == set(range(first + 1, first + 11))


def test_what_a_stopped_worker_missed_is_done_when_it_goes_on(wire):
    """Heal and another change meet a worker that stands still: both answer 503 and status says
    stalled; when it goes on, what was held is sent, although a newer policy came in between."""
    wire.start(SLOW_PORTS + "rules: [{name: long, from: left, impair: [{delay: 60s}]}]\n", "--start")
    wire.inside("a", "ping", "-c", "10", "-i", "0.01", "-W", "0.1", "10.77.0.2", check=False)
    held = wire.stats()["ledger"]["held"]
    assert held > 0
    with Stopped(wire.daemon.pid, is_worker):
        assert wire.http("POST", "/v1/heal")[0] == 503
        assert wire.http("PATCH", "/v1/rules/long", {"ttl": "1h"})[0] == 503
        status = wire.get("/v1/status")[1]
        assert status["state"] == "degraded" and status["workers"][0]["stalled"]
    stats = wire.settle()
    assert stats["ledger"]["held"] == 0
    assert stats["flushed"] == held
    assert law_holds(stats)
    assert wire.get("/v1/status")[1]["state"] == "pass-through"
