"""`faultline run`: what it refuses, what it leaves behind, and that it is the same again."""

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from rack import Rack
from traffic import Traffic, capture_of, numbers_in, wait_for
from wire import BUILD, PORTS, REPOSITORY, Wire, law_holds, run

pytestmark = pytest.mark.patient

RULES = """rules:
  - {name: wan, from: left, to: right, impair: [loss: 20%, delay: 20ms]}
"""
EXPECT = RULES + """expect:
  - {rule: wan, loss: "20% ± 2%", delay_p50: "20ms ± 1ms"}
  - {ledger: balanced}
"""


class Run:
    """A run of the scenario by the command line, in the background."""

    def __init__(self, wire, scenario, *options, name="run"):
        self.wire, self.folder = wire, wire.folder / f"{name}.out"
        file = wire.folder / f"{name}.yaml"
        file.write_text(PORTS + scenario)
        self.process = subprocess.Popen(
            [BUILD / "faultline", "--socket", wire.socket, "run", file, "--out", self.folder, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_state(self, *states):
        def state():
            now = self.wire.get("/v1/status")[1]["run"]
            return now and now["state"]
        wait_for(lambda: state() in states or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()

    def end(self):
        """(exit status, what it printed on stderr)."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def json(self, file):
        return json.loads((self.folder / file).read_text())

    def lines(self, file):
        return [json.loads(line) for line in (self.folder / file).read_text().splitlines()]


def until(path):
    """A workload that ends when the file is there."""
    return "--command", f"while [ ! -e {path} ]; do sleep 0.05; done"


def judged(wire, name, packets):
    """A run during which that many packets of each of two flows come; and which of them arrived."""
    one = Run(wire, EXPECT, *until(wire.folder / name), name=name)
    one.wait_for_state("running")
    arrived = Traffic(wire, flows=2, packets=packets, quiet_s=0.5).end()
    (wire.folder / name).touch()
    return one, arrived


def test_the_same_again(wire):
    """Two runs, and a simulation of the same packets, lose the same ones, whatever came between; each
    counts for itself, passes, and leaves its folder."""
    wire.start()
    wire.inside("a", "ping", "-c", 20, "-i", "0.01", "10.77.0.2")
    first, once = judged(wire, "first", 1500)
    assert first.end()[0] == 0, first.json("verdict.json")
    Traffic(wire, flows=2, packets=50, quiet_s=0.2).end()  # the same flows, outside of any run
    second, again = judged(wire, "second", 1500)
    status, said = second.end()
    assert status == 0 and "verdict: pass" in said, said
    assert sorted(once) == sorted(again) and 2200 < len(once) < 2600
    capture_of(wire.folder / "in.pcap", 2, 1500)
    run(BUILD / "faultline", "simulate", second.folder / "scenario.yaml", "--in", wire.folder / "in.pcap",
        "--out", wire.folder / "out.pcapng")
    assert sorted(numbers_in(wire.folder / "out.pcapng")) == sorted(again)

    for one in (first, second):
        stats = one.json("stats.json")
        assert stats["rules"]["wan"]["matched"] >= 3000 and law_holds(stats)
        assert stats["rules"]["wan"]["dropped"] == 3000 - len(once)
        assert 0.05e9 < stats["uptime_ns"] < 60e9
        assert sum(count for _, _, count in stats["delays"]["wan"]) == len(once)
    assert first.json("verdict.json")["run"]["ended_by"] == "command"
    events = second.lines("events.jsonl")
    assert [event["state"] for event in events if event["kind"] == "run"] == ["begun", "ended"]
    series = second.lines("series.jsonl")
    times = [sample["t_ns"] for sample in series]
    assert times == sorted(times) and series[-1]["rules"]["wan"]["dropped"] == 3000 - len(once)
    environment = second.json("environment.json")
    assert environment["run"]["seed"] == 7 and environment["machine"]["cores"] == os.cpu_count()
    written = yaml.safe_load((second.folder / "scenario.yaml").read_text())
    assert written["seed"] == 7 and written["rules"][0]["name"] == "wan"
    rules = wire.get("/v1/rules")[1]["rules"]
    assert [rule["name"] for rule in rules if rule["active"]] == []


def test_the_journal_and_a_replay(wire):
    """What the journal says of a run is what statistics count; a replay meets the same fates, on the
    daemon and in virtual time; where fewer packets come, those are missing and nothing else."""
    data = wire.folder / "data"
    data.mkdir()
    wire.start(PORTS, "--data", data)
    sniffer = wire.spawn("a", "tcpdump", "--immediate-mode", "-i", "eth0", "-Q", "out", "-U", "-w",
                         wire.folder / "in.pcap")
    assert any("listening on" in line for line in sniffer.stdout)
    one, _ = judged(wire, "one", 400)
    assert one.end()[0] == 0
    sniffer.send_signal(signal.SIGINT)
    sniffer.communicate(timeout=20)
    run_of = one.json("verdict.json")["run"]
    assert run_of["journal"]["lost"] == 0 < run_of["journal"]["hits"], run_of
    journal = run(BUILD / "faultline", "journal", one.folder, "--json").stdout.splitlines()
    stats = one.json("stats.json")["rules"]["wan"]
    actions = [json.loads(line)["action"] for line in journal]
    assert actions.count("drop") == stats["dropped"] and actions.count("delay") == stats["delayed"]
    numbers = itertools.count()

    def replay(*options, traffic=None):
        """(exit status, the comparison) of one; `traffic` comes once it runs."""
        out = wire.folder / f"again{next(numbers)}"
        again = subprocess.Popen([BUILD / "faultline", "--socket", wire.socket, "replay", one.folder, "--out",
                                  out, "--json", *options], stdout=subprocess.PIPE, text=True)
        if traffic:
            wait_for(lambda: (wire.get("/v1/status")[1]["run"] or {}).get("state") == "running")
            Traffic(wire, flows=traffic[0], packets=traffic[1], quiet_s=0.3).end()
            (wire.folder / "one").touch()
        said = again.communicate(timeout=60)[0]
        return again.returncode, json.loads(said.splitlines()[-1])

    (wire.folder / "one").unlink()
    status, found = replay(traffic=(2, 400))
    assert (status, found["same"], found["fates"]) == (0, True, 0), found
    (wire.folder / "one").unlink()
    status, found = replay(traffic=(2, 300))
    assert (status, found["same"], found["fates"], found["second_only"]) == (1, False, 0, 0), found
    assert found["first_only"] >= 100
    status, found = replay("--in", f"left={wire.folder / 'in.pcap'}")
    assert (status, found["same"], found["packets"]) == (0, True, 0), found
    done = wire.cli("replay", wire.folder, check=False)
    assert done.returncode == 5 and "environment.json: error" in done.stderr.replace(":0:0", "")


SERVER = """
import socket
listening = socket.create_server(('10.77.0.2', 7000))
print('ready', flush=True)
while True:
    peer, _ = listening.accept()
    while said := peer.recv(100):
        peer.sendall(b'+' + said)
    peer.close()
"""
CLIENT = """
import pathlib, socket, sys
for number in range(8):
    server = socket.create_connection(('10.77.0.2', 7000))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(server.getsockname()[1])
    more = number == 5 and pathlib.Path(sys.argv[1]).exists()
    for request in range(6 + more):
        server.sendall(b'GET %d' % request)
        assert server.recv(100) == b'+GET %d' % request
    server.shutdown(socket.SHUT_WR)
    assert server.recv(100) == b''
    server.close()
"""
BY_CONNECTION = """rules:
  - name: wan
    from: left
    to: right
    match: {proto: tcp, dport: 7000}
    draw: connection
    impair:
      - loss: 5%
      - delay: {time: 3ms, jitter: 3ms, distribution: uniform, order: free}
"""


def test_a_replay_by_connections(wire):
    """A client of TCP comes from other ports the second time: its connections are found again and met the
    same dice. One that then asks once more has more packets, and that is all that differs."""
    data = wire.folder / "data"
    data.mkdir()
    wire.start(PORTS, "--data", data)
    server = wire.spawn("b", sys.executable, "-c", SERVER)
    assert server.stdout.readline() == "ready\n"
    more = wire.folder / "more"
    client = wire.folder / "client.py"
    client.write_text(CLIENT)
    one = Run(wire, BY_CONNECTION, "--command",
              shlex.join([*wire.inside_words("a", sys.executable, client, more)]))
    status, said = one.end()
    assert status == 0, said
    ports = (one.folder / "command.log").read_text().split()
    lines = [json.loads(line) for line in
             run(BUILD / "faultline", "journal", one.folder, "--json").stdout.splitlines()]
    assert [line["connection"] for line in lines if line["packet_in_flow"] == 1] == [
        {"client": "10.77.0.1", "server": "10.77.0.2", "port": 7000, "ordinal": ordinal,
         "role": "request"} for ordinal in range(1, 9)]
    assert {line["action"] for line in lines} == {"drop", "delay"}

    def replay(name):
        done = wire.cli("replay", one.folder, "--out", wire.folder / name, "--json", check=False)
        assert "the same scenario and seed, so the same dice" in done.stderr, done.stderr
        assert ports != (wire.folder / name / "command.log").read_text().split()
        found = json.loads(done.stdout.splitlines()[-1])
        assert (found["fates"], found["delays"], found["packets"]) == (0, 0, 0), found
        assert sum(found["connections"][each] for each in ("same", "different")) == 8
        assert (done.returncode == 0) == found["same"]
        return found

    # When TCP sends an acknowledgement of its own, or sends again, is a matter of its clock.
    found = replay("again")
    assert found["connections"]["same"] >= 6 and found["first_only"] + found["second_only"] <= 4, found
    more.touch()
    found = replay("one-more")
    assert found["connections"]["same"] >= 5, found
    assert any(each["kind"] == "second-only" and "(connection 6, request)" in each["flow"]
               for each in found["differences"]), found
    server.kill()
    server.wait()


def test_what_fails_says_how(wire):
    """An expectation that does not hold: its figure and interval. A mistyped subnet matches nothing. A
    workload that fails. Each exits with 1, and the folder says the same."""
    wire.start()
    wrong = EXPECT.replace("20% ± 2%", "5% ± 1%") + "  - {rule: typo, matched: '>= 0'}\n"
    wrong = wrong.replace("rules:\n", "rules:\n  - {name: typo, match: {src: 10.78.0.0/24}, impair: "
                          "[loss: 1%]}\n")
    one = Run(wire, wrong, *until(wire.folder / "go"), name="wrong")
    one.wait_for_state("running")
    Traffic(wire, packets=1000, quiet_s=0.3).end()
    (wire.folder / "go").touch()
    status, said = one.end()
    assert status == 1 and "FAIL rule wan: expected loss: 5% ± 1%, observed" in said, said
    assert "FAIL rule typo: expected matched: >= 1, observed 0" in said
    verdict = one.json("verdict.json")
    assert verdict["verdict"] == "fail"
    loss = next(each for each in verdict["expectations"] if each["expected"].startswith("loss"))
    assert not loss["pass"] and 0.15 < loss["observed"] < 0.25
    assert loss["interval"][0] < loss["observed"] < loss["interval"][1]

    failed = Run(wire, RULES.replace("20ms]", "20ms], optional: true"), "--command", "echo hello; exit 3",
                 name="failed")
    status, said = failed.end()
    assert status == 1 and "the command ended with status 3" in said
    assert (failed.folder / "command.log").read_text() == "hello\n"
    assert failed.json("verdict.json")["command"]["status"] == 3


CALM = "rules: [{name: wan, from: left, to: right, optional: true, impair: [delay: 1ms]}]\n"


def test_refused_before_it_begins(wire):
    """With what to do, and without a trace: no folder, no change."""
    wire.start()
    before = wire.get("/v1/status")[1]["generation"]

    def refused(expected, status, *options, scenario=CALM):
        one = Run(wire, scenario, *options, name=f"refused{len(list(wire.folder.iterdir()))}")
        found, said = one.end()
        assert found == status and expected in said, (found, said)
        assert not one.folder.exists()

    refused("how long?", 2)
    refused("--at 2020-01-01T00:00:00Z is over", 2, "--duration", "1s", "--at", "2020-01-01T00:00:00Z")
    refused("--at soon is no time", 2, "--duration", "1s", "--at", "soon")
    refused("bytes", 4, "--duration", "1s", scenario=CALM.replace("1ms", "20s"))  # capacity
    refused("did you mean", 1, "--duration", "1s", scenario=CALM.replace("delay", "dealy"))
    run("ip", "-n", wire.namespace("b"), "link", "set", "eth0", "down")
    wait_for(lambda: not wire.get("/v1/ports")[1]["ports"][1]["link"])
    refused("port 'right' has no link", 4, "--duration", "1s")
    run("ip", "-n", wire.namespace("b"), "link", "set", "eth0", "up")
    wait_for(lambda: wire.get("/v1/ports")[1]["ports"][1]["link"])
    assert wire.get("/v1/status")[1]["generation"] == before

    full = wire.folder / "full"
    full.mkdir()
    (full / "file").touch()
    done = wire.cli("run", wire.folder / "scenario.yaml", "--duration", "1s", "--out", full, check=False)
    assert done.returncode == 5 and "something in it" in done.stderr
    one = Run(wire, CALM, "--duration", "30s", name="other")
    one.wait_for_state("running")
    refused("goes on there", 4, "--duration", "1s")
    refused("goes on; DELETE", 4, "--duration", "1s", "--force")
    one.process.send_signal(signal.SIGINT)
    assert one.end()[0] == 1


@pytest.mark.parametrize("by", ["interrupted", "heal", "policy", "stop", "killed"])
def test_ended_before_its_time(wire, by):
    """Whoever ends it, no fault is left, the folder is written, and the verdict is none of the wire's.
    Killed, nobody writes it; the lease ends what was going on."""
    wire.start()
    stop = "stop_when: [{command: 'false', every: 200ms, failures: 2}]\n" if by == "stop" else ""
    one = Run(wire, CALM + stop, "--duration", "30s")
    one.wait_for_state("running")
    begun = time.monotonic()
    if by == "interrupted":
        one.process.send_signal(signal.SIGINT)
    elif by == "heal":
        wire.cli("heal")
    elif by == "policy":
        assert wire.http("PUT", "/v1/policy", {"version": 1, "rules": []})[0] == 200
    elif by == "killed":
        one.process.kill()
        one.process.communicate()
        wait_for(lambda: wire.get("/v1/status")[1]["run"] is None, seconds=15)
        assert time.monotonic() - begun < 10
    status, said = one.end()
    assert wire.get("/v1/status")[1]["state"] == "pass-through"
    if by == "killed":
        return assert_ended_by(wire, "lease")
    assert status == 1, said
    verdict = one.json("verdict.json")
    assert verdict["verdict"] == ("fail" if by == "stop" else "invalid"), said
    assert any(by in reason for reason in verdict["reasons"])
    assert one.json("stats.json")["uptime_ns"] < 20e9
    return None


def assert_ended_by(wire, by):
    assert wire.get("/v1/runs")[1]["runs"][-1]["ended_by"] == by


def test_at_a_time_and_by_its_own_drops(wire):
    """Time zero is when it was asked for; rules act within the duration and not beyond; `own_drops`
    ends a run of an injector that loses packets by itself."""
    small = PORTS.replace("version: 1\n", "version: 1\nhold: {memory: 1MiB}\n").replace(
        "fl-right}", "fl-right, speed: 1Mbit}").replace("fl-left}", "fl-left, speed: 1Mbit}")
    wire.start(small)
    at = time.time() + 1
    file = wire.folder / "at.yaml"
    file.write_text(small + CALM.replace("1ms", "300ms") + "stop_when: [{own_drops: 1}]\n")
    one = subprocess.Popen([BUILD / "faultline", "--socket", wire.socket, "run", file, "--out",
                            wire.folder / "at", "--duration", "2s", "--at", "+1s"],
                           stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (wire.get("/v1/status")[1]["run"] or {}).get("state") == "running")
    zero = wire.get("/v1/status")[1]["run"]["zero_unix_ns"] / 1e9
    assert abs(zero - at) < 1 and time.time() - zero < 1
    Traffic(wire, packets=20_000, gap_s=0, quiet_s=0.3).end()
    _, said = one.communicate(timeout=30)
    assert one.returncode == 1, said
    stats = json.loads((wire.folder / "at/stats.json").read_text())
    assert stats["ledger"]["dropped"]["overflow"] > 0, said
    assert "own_drops" in said and law_holds(stats)


def test_plan_tells_what_would_change(wire):
    """Key by key, of rules by their names; nothing where nothing would, and nothing is done."""
    wire.start(PORTS + RULES)
    same = wire.cli("plan", wire.folder / "scenario.yaml").stdout
    assert same == "~ rules.wan.enabled: false -> null\n" or same == "- rules.wan.enabled: false\n"
    file = wire.folder / "other.yaml"  # its ports are the daemon's
    file.write_text("version: 1\nname: live\nrules:\n  - {name: new, from: left, impair: [loss: 1%]}\n"
                    "  - {name: wan, from: left, to: right, impair: [loss: 20%, delay: 30ms]}\n")
    told = json.loads(wire.cli("plan", file, "--json").stdout)["differences"]
    places = {each["place"]: (each["now"], each["wanted"]) for each in told}
    assert places.pop("rules.new")[0] is None
    assert places.pop("rules.wan.enabled") == (False, None)
    assert places == {"rules.wan.impair.2.delay": ("20ms", "30ms")}
    wrong = wire.folder / "wrong.yaml"
    wrong.write_text("version: 1\nrules: [{name: x, from: east, impair: [loss: 1%]}]\n")
    done = wire.cli("plan", wrong, check=False)
    assert done.returncode == 1 and "wrong.yaml:2:25: error: unknown port" in done.stderr
    assert wire.get("/v1/status")[1]["generation"] == 1


COMMANDS = """nodes: {{b: {{port: right}}}}
timeline:
  - {{at: 300ms, for: 600ms, pause: {{command: "echo stop >> {0}; kill -STOP {1}",
      resume: "echo go >> {0}; kill -CONT {1}", timeout: 5s}}}}
  - {{at: 400ms, for: 10s, clock: {{node: b, by: command, command: "echo wrong >> {0}", undo: "echo right >> {0}"}}}}
  - {{at: 500ms, for: 200ms, every: 500ms, count: 2, pause: {{node: b, command: "true", resume: "true"}}}}
"""


def state_of(process):
    """T: it stands still."""
    return (Path("/proc") / str(process.pid) / "stat").read_text().rpartition(")")[2].split()[0]


def test_commands_at_their_times(wire):
    """The client runs the user's own commands at the times of the timeline, and undoes each: at its time,
    or at the end of the run. The daemon never sees them; events say when."""
    wire.start()
    told = wire.folder / "told"
    pings = wire.spawn("a", "ping", "-q", "-i", "0.02", "10.77.0.2", stdout=subprocess.DEVNULL)
    victim = subprocess.Popen(["sleep", "60"])
    try:
        one = Run(wire, CALM + COMMANDS.format(told, victim.pid), "--duration", "2s")
        wait_for(lambda: told.exists())
        wait_for(lambda: state_of(victim) == "T")
        wait_for(lambda: state_of(victim) != "T")
        status, said = one.end()
        assert status == 0, said
    finally:
        victim.kill()
        victim.wait()
    assert sorted(told.read_text().split()) == ["go", "right", "stop", "wrong"]
    stats = one.json("stats.json")
    assert any(name.startswith("pause") for name in stats["rules"])
    events = [event for event in one.lines("events.jsonl") if event["kind"] == "command"]
    assert [event["state"] for event in events].count("undone") == 4
    assert all(event.get("status", 0) == 0 for event in events)
    zero = one.json("environment.json")["run"]["zero_uptime_ns"]
    begun = [event["t_ns"] - zero for event in events if event["state"] == "begun"]
    assert 0.3e9 <= begun[0] < 0.9e9 and "command" not in json.dumps(wire.get("/v1/policy")[1])

    endless = COMMANDS.format(told, 1).replace("undo: ", "redo: ")
    status, said = Run(wire, CALM + endless, "--duration", "1s", name="endless").end()
    assert status == 1 and "a command without undo:; both: what it does must be undone" in said
    broken = COMMANDS.format(told, 1).replace('"true"', '"false"', 1)
    status, said = Run(wire, CALM + broken.replace("kill -STOP 1", "").replace("kill -CONT 1", ""),
                       "--duration", "2s", name="broken").end()
    assert status == 1 and "pause at 500ms: the command, or what undoes it, failed" in said, said
    pings.kill()
    pings.wait()


def written_by_docs():
    """The files that docs/run.md says a folder has."""
    table = (REPOSITORY / "docs/run.md").read_text(encoding="utf-8").partition("## The folder")[2]
    return set(re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE))


EXAMPLES = sorted((REPOSITORY / "configs").glob("**/*.yaml"))
EXAMPLES = [path for path in EXAMPLES if "presets" not in path.parts]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs(path):
    """What people start from passes, with pings as the only traffic."""
    text = path.read_text(encoding="utf-8")
    with Rack(3) if "switches:" in text else Wire() as wire:
        wire.start(text if "ports:" in text else PORTS)
        source, target = ("1", "10.78.0.2") if "switches:" in text else ("a", "10.77.0.2")
        pings = wire.spawn(source, "ping", "-i", "0.002", "-q", target, stdout=subprocess.DEVNULL)
        wire.inside(source, "ping", "-c", 1, target, check=False)
        length = () if "at: 3" in text else ("--duration", "2s")
        done = wire.cli("run", path, "--out", wire.folder / "out", *length, check=False)
        pings.kill()
        pings.wait()
        assert done.returncode == 0, done.stderr
        names = {file.name for file in (wire.folder / "out").iterdir()}
        assert names >= {"scenario.yaml", "environment.json", "stats.json", "events.jsonl",
                         "series.jsonl", "verdict.json", "flows.json", "report.html"}
        assert names <= written_by_docs(), names - written_by_docs()
