"""The command line against a running daemon, and what it says of the machine."""

import json
import signal
import subprocess
import time

import pytest

from traffic import Traffic, wait_for
from wire import BUILD, PORTS, RULES, run

pytestmark = pytest.mark.patient


def test_rules_from_the_command_line(wire):
    """add, set, enable, disable, remove: each does what it says and tells the generation."""
    wire.start()
    done = wire.cli("rule", "add", "new", "from=left", "impair=delay: 20ms", "ttl=30s")
    assert "generation 2" in done.stderr
    rule = json.loads(wire.cli("rules", "--json").stdout)["rules"][-1]
    assert rule["name"] == "new" and rule["active"] and rule["impair"] == [{"delay": "20ms"}]
    assert wire.cli("rule", "add", "new", "impair=loss: 1%", check=False).returncode == 4
    wire.cli("rule", "set", "new", "impair=[loss: 1%, delay: 5ms]", "per=flow")
    rule = wire.get("/v1/rules/new")[1]
    assert rule["impair"] == [{"loss": "1%"}, {"delay": "5ms"}] and rule["per"] == "flow"
    wire.cli("rule", "disable", "new")
    assert not wire.get("/v1/rules/new")[1]["enabled"]
    wire.cli("rule", "enable", "new", "--ttl", "5s")
    assert wire.get("/v1/rules/new")[1]["ttl"] == "5s"
    table = wire.cli("rules").stdout
    assert "new" in table and "active" in table and "off" in table
    answer = json.loads(wire.cli("rule", "remove", "new", "--json").stdout)
    assert answer["generation"] == 6
    assert wire.get("/v1/rules/new")[0] == 404


@pytest.mark.parametrize("words,status,said", [
    (["rule", "set", "nobody", "ttl=1s"], 4, "there is no rule 'nobody'"),
    (["rule", "remove", "nobody"], 4, "there is no rule 'nobody'"),
    (["rule", "set", "slow", "ttl"], 2, "'ttl': error: is no KEY=VALUE"),
    (["rule", "set", "slow", "ttl=5"], 1, "'5' has no unit"),
    (["rule", "set", "slow", "impair=[delay: 5"], 2, "'impair=[delay: 5'"),
    (["rule", "set", "slow", "tll=5s"], 1, "did you mean 'ttl'"),
    (["rule", "enable", "slow", "--ttl", "soon"], 1, "soon"),
    (["rule"], 2, "subcommand"),
    (["flows", "--limit", "0"], 2, "limit"),
    (["stats", "--follow", "--interval", "1ms"], 2, "10ms or more"),
    (["completion", "fish"], 2, "fish"),
])
def test_mistakes_have_their_status(wire, words, status, said):
    """Exit status by INTERFACES, and words that help."""
    wire.start()
    done = wire.cli(*words, check=False)
    assert done.returncode == status, done.stderr
    assert said in done.stderr


def test_commands_without_a_daemon(wire):
    """Each says that there is none (3)."""
    for words in (["rules"], ["rule", "add", "x", "impair=loss: 1%"], ["ports"], ["flows"],
                  ["events"], ["events", "--follow"], ["stats", "--follow"]):
        done = wire.cli(*words, check=False)
        assert done.returncode == 3, words
        assert "no daemon" in done.stderr


def test_stats_follow_shows_rates(wire):
    """Rates are those of the traffic; as JSON one statistics object a line."""
    wire.start()
    traffic = Traffic(wire, packets=-1, gap_s=0.002)
    lines = wire.cli("stats", "--follow", "--count", 2, "--interval", "500ms").stdout.splitlines()
    left = [line.split() for line in lines if line.startswith("left")]
    assert len(left) == 2
    for row in left:
        assert 350 < float(row[1]) < 550, "500 packets a second"
    objects = [json.loads(line) for line in wire.cli(
        "stats", "--follow", "--count", 3, "--interval", "100ms", "--json").stdout.splitlines()]
    assert len(objects) == 3
    received = [each["ports"]["left"]["rx_packets"] for each in objects]
    assert received == sorted(set(received))
    traffic.stop()


def test_ports_flows_and_events(wire):
    """Tables and JSON lines of what is there and what happened."""
    wire.start(PORTS + "rules: [{name: dice, from: left, impair: [loss: 1%]}]\n", "--start")
    Traffic(wire, flows=3, packets=10).end()
    table = wire.cli("ports").stdout
    assert "fl-left" in table and "af_packet" in table and " up " in table
    flows = wire.cli("flows").stdout
    assert "udp 10.77.0.1:10000 > 10.77.0.2:9" in flows
    assert len(json.loads(wire.cli("flows", "--json", "--limit", 2).stdout)["flows"]) == 2
    events = [json.loads(line) for line in wire.cli("events", "--json").stdout.splitlines()]
    assert [event["kind"] for event in events] == ["policy"]
    assert "generation=2" in wire.cli("events").stdout


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_events_are_followed_until_the_daemon_ends(wire, end):
    """What happens is printed as it happens; when the daemon goes, in whatever way and in the
    middle of an answer or not, the command says so (3)."""
    wire.start()
    follower = subprocess.Popen([BUILD / "faultline", "--socket", wire.socket, "events", "--follow",
                                 "--json"], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
    wire.enable("slow", ttl="300ms")
    lines = [json.loads(follower.stdout.readline()) for _ in range(2)]
    assert [(line["kind"], line.get("rule")) for line in lines] == [("policy", None),
                                                                    ("end", "slow")]
    wire.inside("a", "ip", "link", "set", "eth0", "down")
    assert json.loads(follower.stdout.readline())["kind"] == "link"
    if end == "killed":
        wire.daemon.kill()
        wire.daemon.wait()
    else:
        assert wire.stop() == 0
    assert follower.wait(timeout=10) == 3
    assert "ended" in follower.stderr.read()


def test_a_follower_that_is_interrupted_harms_nobody(wire):
    """Ctrl-C ends it; the daemon goes on and gives its place to others."""
    wire.start()
    for _ in range(20):
        follower = subprocess.Popen([BUILD / "faultline", "--socket", wire.socket, "events",
                                     "--follow"], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
        time.sleep(0.05)
        follower.send_signal(signal.SIGINT)
        follower.wait(timeout=5)

    def served():
        done = subprocess.run(["curl", "-s", "-m", "0.3", "-o", "/dev/null", "-w", "%{http_code}",
                               "--unix-socket", wire.socket, "http://x/v1/events?follow=1"],
                              capture_output=True, text=True, check=False)
        return done.stdout == "200"
    wait_for(served, seconds=15)


def test_doctor_looks_at_the_machine(wire):
    """Every driver, clock, cores and huge pages, and the own latency as a number; with a scenario
    its interfaces, and exit 1 when one cannot be used."""
    done = run(BUILD / "faultline", "doctor", "--json")
    report = json.loads(done.stdout)
    assert report["ok"]
    about = {finding["about"]: finding for finding in report["findings"]}
    for driver in ("af_packet", "af_xdp", "tap", "pci", "memif", "vhost", "pcap", "null", "ring"):
        assert f"driver {driver}" in about
    for thing in ("cores", "clock", "huge pages", "locked memory", "IOMMU", "own latency"):
        assert about[thing]["found"]
    assert about["driver af_packet"]["state"] == "good"
    assert all(finding["advice"] for finding in report["findings"] if finding["state"] != "good")
    assert 10 < report["latency"]["p50_ns"] <= report["latency"]["p99_ns"] < 10_000_000
    path = wire.folder / "doctor.yaml"
    path.write_text(PORTS + RULES, encoding="utf-8")
    there = wire.inside("m", BUILD / "faultline", "doctor", path)
    assert "interface 'fl-left'" in there.stdout and "ethtool -K PEER tx off" in there.stdout
    path.write_text(PORTS.replace("fl-left", "nowhere"), encoding="utf-8")
    missing = run(BUILD / "faultline", "doctor", path, check=False)
    assert missing.returncode == 1
    assert "interface 'nowhere' does not exist" in missing.stdout


def completions(words):
    """What bash offers behind these words, of which the last is being typed."""
    script = ("source <(%s completion bash); COMP_WORDS=(faultline %s); "
              "COMP_CWORD=%d; compopt() { :; }; _faultline; printf '%%s\\n' \"${COMPREPLY[@]}\"" %
              (BUILD / "faultline", " ".join(f"'{word}'" for word in words), len(words)))
    return run("bash", "-c", script).stdout.split()


def test_completions_complete():
    """bash completes commands, their parts and options."""
    assert completions(["sta"]) == ["status", "stats"]
    assert completions(["rule", "en"]) == ["enable"]
    assert completions(["rule", "enable", "x", "--t"]) == []
    assert completions(["stats", "--fo"]) == ["--follow"]
    assert "--pcap" in completions(["explain", "--"])
    assert run("bash", "-n", "-c", run(BUILD / "faultline", "completion", "zsh").stdout)
