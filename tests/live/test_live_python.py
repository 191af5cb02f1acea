"""The Python package on a daemon: every path has its method, faults end with their block and with
their process, and the examples of docs/python.md do what the page says."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

import etcd
from programs import CALM, Programs
from rack import Rack, rack_scenario
from traffic import wait_for
from wire import BUILD, PORTS, REPOSITORY, Wire

PACKAGE = REPOSITORY / "scripts/python"
sys.path.insert(0, str(PACKAGE))

import faultline as fl  # noqa: E402
from faultline import Daemon, fault, partition, pause  # noqa: E402

pytestmark = pytest.mark.patient

PAGE = (REPOSITORY / "docs/python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
OUTCOMES = (REPOSITORY / "configs/outcomes.yaml").read_text(encoding="utf-8")
NODES = "nodes: {n1: {ip: 10.77.0.1}, n2: {ip: 10.77.0.2}, n3: {ip: 10.77.0.3}}\n" + CALM
TRIGGER = """timeline:
  - {when: {call: now}, rule: reply-lost, enable: true}
"""


@pytest.fixture(scope="module", name="lab")
def _lab():
    """A wire whose daemon knows the rules of configs/outcomes.yaml, all of them off."""
    with Wire() as wire:
        wire.start(OUTCOMES + NODES)
        yield wire


@pytest.fixture(name="daemon")
def _daemon(lab):
    """A client; afterwards nothing of the test's is left."""
    daemon = Daemon(lab.socket)
    fl.use(daemon)
    yield daemon
    fl.use(None)
    daemon.heal()
    assert names(daemon) == ["reply-lost", "request-lost"]


def names(daemon):
    return [rule["name"] for rule in daemon.rules()]


def active(daemon):
    return [rule["name"] for rule in daemon.rules() if rule["active"]]


def block_of(word):
    """The page's example that has this word."""
    return next(block for block in BLOCKS if word in block)


def python(*words, wire=None, env=None, **options):
    """Starts a Python that finds the package, in the client's namespace."""
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1",
           "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options}
    which, words = options.pop("which", "a"), [sys.executable, *map(str, words)]
    return subprocess.Popen(wire.inside_words(which, *words) if wire else words, env=env, **options)


def test_every_path_has_a_method():
    """Each operation of the daemon's own description is called by a method, and answered."""
    asked = set()

    class Listening(Daemon):
        """Writes down what is asked."""

        def request(self, method, path, *rest, **more):
            plain = re.sub(r"(?<=/v1/(?:rules)/)[^/?]+", "{name}", path.split("?")[0])
            plain = re.sub(r"(?<=/v1/triggers/)\w+", "{name}", plain)
            plain = re.sub(r"(/v1/(?:runs|files))/[^/]+", r"\1/{run}", plain)
            asked.add((method.lower(), re.sub(r"(?<=/v1/leases/)\w+", "{id}", plain)))
            return super().request(method, path, *rest, **more)

    with Wire() as wire:
        wire.start(OUTCOMES + NODES + TRIGGER, "--start")
        daemon = Listening(wire.socket)
        assert daemon.status()["ready"] and daemon.stats()["ledger"]["balanced"]
        assert daemon.put_rule("x", {"impair": [fl.impair.delay("5ms")]}).created
        assert not daemon.put_rule("x", fl.rule(delay="6ms")).created
        generation = daemon.patch_rule("x", ttl="3s").generation
        assert daemon.rule("x")["ttl"] == "3s" and len(daemon.rules()) == 3
        assert daemon.delete_rule("x", if_match=generation).generation > generation
        assert daemon.put_lease("l").created and not daemon.put_lease("l", "2s").created
        daemon.delete_lease("l")
        daemon.put_partition(shape="one", node="n1", ttl="1m")
        daemon.delete_partition()
        assert len(daemon.triggers()) == 1 and daemon.fire("now")["fired_ns"] is not None
        assert len(daemon.ports()) == 2 and daemon.flows(5) == daemon.flows(5)
        assert daemon.captures() == {"folder": None, "unknown": 0, "captures": []}
        assert daemon.events()[0].n == 1 and "faultline_info" in daemon.metrics()
        assert daemon.put_policy(daemon.policy()).seed == 1
        begun = daemon.begin_run(daemon.policy(), "10s")
        assert daemon.runs()[0]["id"] == begun["id"] == daemon.run_of(begun["id"])["id"]
        assert daemon.files(begun["id"]) == [] and begun["unrecorded"]
        assert daemon.end_run(begun["id"], "test")["ended_by"] == "test"
        daemon.heal("keep")
        wanted = {(method, path) for path, item in daemon.openapi()["paths"].items()
                  for method in item if method != "parameters"}
        assert asked == wanted


def test_a_run_by_the_page(daemon, lab, tmp_path):
    """A scenario object, run by the command line: passed, failed, or not begun."""
    scope = {"__name__": "page"}
    environment = {"PATH": f"{BUILD}:{os.environ['PATH']}", "FAULTLINE_SOCKET": str(lab.socket)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(tmp_path)
        pings = lab.spawn("a", "ping", "-q", "-i", "0.005", "10.77.0.2", stdout=subprocess.DEVNULL)
        exec(compile(block_of("import Scenario, impair, run"), "page", "exec"), scope)
        found = scope["found"]
        assert found.passed and found.outcome == "pass" and not found.reasons
        assert found.stats["rules"]["wan"]["delayed"] > 20
        assert [event["state"] for event in found.events if event["kind"] == "run"] == ["begun", "ended"]
        scope["scenario"].expect.append({"rule": "wan", "delay_p50": "80ms ± 1ms"})
        failed = fl.run(scope["scenario"], "300ms", out=tmp_path / "failed")
        assert failed.outcome == "fail" and "delay_p50" in failed.reasons[0]
        with pytest.raises(fl.RunFailed, match="something in it"):
            fl.run(scope["scenario"], "300ms", out=tmp_path / "failed")
        pings.kill()
        pings.wait()
    daemon.put_policy(OUTCOMES + NODES)


def test_refusals_are_exceptions(daemon, lab, tmp_path):
    """A class a kind, the daemon's words, and places in what was sent."""
    with pytest.raises(fl.NotFound, match="there is no rule 'nobody'") as refused:
        daemon.rule("nobody")
    assert refused.value.status == 404
    with pytest.raises(fl.Invalid, match="did you mean 'delay'") as refused:
        daemon.put_rule("x", "optional: true\nimpair: [dealy: 5ms]\n")
    assert [(one.line, one.column) for one in refused.value.errors] == [(2, 10)]
    with pytest.raises(fl.Unreadable):
        daemon.put_rule("x", "impair: [")
    with pytest.raises(fl.Conflict, match="lease"):
        daemon.put_rule("x", fl.rule(delay="5ms", lease="nobody"))
    with pytest.raises(fl.PreconditionFailed):
        daemon.delete_rule("reply-lost", if_match=999_999)
    with pytest.raises(fl.NoDaemon, match="no such socket"):
        Daemon(tmp_path / "absent.sock").status()
    lab.folder.chmod(0o755)
    asked = ("from faultline import Daemon, Forbidden\ntry:\n    Daemon().status()\n"
             "except Forbidden as error:\n    print(error)\n")
    stranger = python("-c", asked, env={"FAULTLINE_SOCKET": str(lab.socket)}, user=65534,
                      group=65534, extra_groups=[], cwd="/")
    assert "no permission" in stranger.communicate(timeout=10)[0]


def test_blocks_within_and_beside_each_other(daemon):
    """Each has its own rules, which are gone behind it, also behind an exception."""
    before = names(daemon)
    with fault(delay="5ms", name="wan") as outer, partition("one", node="n1"), pause("n2"):
        assert len(active(daemon)) == 3 and outer.names == ["wan"]
        with fault(loss="1%"), fault("reply-lost"), fault("impair: [delay: 1ms]"):
            assert len(active(daemon)) == 6
        with pytest.raises(fl.Conflict, match="there is a rule 'wan' already"):
            fault(delay="1ms", name="wan").start()
        with pytest.raises(fl.Invalid, match="dealy"):
            fault({"impair": [{"dealy": "5ms"}]}).start()
        assert len(active(daemon)) == 3
    with pytest.raises(ZeroDivisionError), fault(REPOSITORY / "configs/outcomes.yaml",
                                                 only="request-lost", name="copy", ttl="1m"):
        assert active(daemon) == ["copy"] and daemon.rule("copy")["ttl"] == "1m"
        1 // 0
    with pytest.raises(fl.FaultMissed), fault(delay="1ms", must_match=True,
                                              match={"proto": "sctp"}):
        pass

    @fault(delay="5ms")
    def decorated():
        return len(active(daemon))

    assert [decorated(), decorated()] == [1, 1] and names(daemon) == before


def test_many_at_once(daemon):
    """Threads do not meet: everybody's fault is there and goes."""
    def work(number):
        with fault(delay=f"{number + 1}ms", name=f"t{number}") as mine:
            mine.check()
            seen.append(f"t{number}" in active(daemon))

    seen = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 8


IN_THE_MIDDLE = """
import sys, time
from faultline import FaultEnded, fault, partition, pause
try:
    with fault(loss="all", match={"proto": "udp"}), partition("one", node="n1"), pause("n2"):
        print("begun", flush=True)
        time.sleep(float(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
except FaultEnded as error:
    print("told:", error, getattr(error, "__notes__", ""), flush=True)
"""


def in_the_middle(lab, seconds=60):
    process = python("-c", IN_THE_MIDDLE, seconds, env={"FAULTLINE_SOCKET": str(lab.socket)})
    assert process.stdout.readline() == "begun\n"
    return process


def test_killed_in_the_middle(daemon, lab):
    """kill -9: within a lease no fault is left; the next fault takes away what is still listed."""
    process = in_the_middle(lab)
    time.sleep(0.6)  # it has been renewed by now
    assert len(active(daemon)) == 3
    process.kill()
    killed = time.monotonic()
    process.wait(timeout=5)
    while active(daemon):
        assert time.monotonic() < killed + 1.5
        time.sleep(0.02)
    with fault(delay="1ms"):
        assert len(names(daemon)) == 3


def test_interrupted_in_the_middle(daemon, lab):
    """SIGINT: gone at once."""
    process = in_the_middle(lab)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=5)[0] == "interrupted\n"
    assert names(daemon) == ["reply-lost", "request-lost"]


def test_a_forked_child_leaves_its_parents_faults_alone(daemon, lab):
    """It leaves the block, too, but it is not its fault."""
    forks = ("import os, sys\nfrom faultline import fault\n"
             "with fault(delay='1ms', name='mine') as mine:\n    child = os.fork()\n"
             "    if child == 0:\n        sys.exit()\n    os.waitpid(child, 0)\n    mine.check()\n"
             "    print('still there')\n")
    process = python("-c", forks, env={"FAULTLINE_SOCKET": str(lab.socket)})
    assert process.communicate(timeout=5)[0] == "still there\n"


def test_a_lease_that_lapsed_is_told(daemon, lab):
    """A process that stood still finds out, and takes its rules away."""
    process = in_the_middle(lab, 1.8)
    time.sleep(0.1)  # it sleeps by now
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.3)
    assert active(daemon) == []
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=5)[0]
    assert "told:" in said and "the fault had ended: its lease of 1 s was not renewed" in said


def test_a_heal_by_others_is_told(daemon):
    """check() says so in the middle, the end of the block at its end; an own error comes first."""
    with pytest.raises(fl.FaultEnded, match="somebody healed"), fault(delay="5ms") as mine:
        daemon.heal()
        with pytest.raises(fl.FaultEnded):
            mine.check()
    with pytest.raises(KeyError) as raised, fault(delay="5ms"):
        daemon.heal()
        raise KeyError
    assert "somebody healed" in raised.value.__notes__[0]
    with fault(delay="5ms", ttl="50ms"):
        time.sleep(0.1)  # a fault with an end of its own may come to it
    with pytest.raises(fl.FaultEnded, match="lease or its time"), \
            fault(delay="5ms", ttl="1m") as mine:
        daemon.delete_lease(daemon.rule(mine.names[0])["lease"])
        mine.check()


def test_two_daemons_and_the_end_of_one(daemon, lab):
    """A fleet: the same on all or on none, to each its own, healed together; and a daemon that dies
    in the middle, whose follower goes on with the next one."""
    with Wire() as wire:
        wire.start(PORTS)
        other = Daemon(wire.socket)
        fleet = fl.Fleet({"east": daemon, "west": other})
        with fleet.fault(loss="1%", name="same"):
            assert active(daemon) == active(other) == ["same"]
        with pytest.raises(fl.FleetError, match="west: ") as raised:
            fleet.partition("one", node="n1").start()  # west has no nodes
        assert list(raised.value.errors) == ["west"] and active(daemon) == []
        with pytest.raises(fl.FleetError, match="healed"), \
                fleet.faults({"east": {"loss": "1%"}, "west": {"delay": "5ms"}}):
            assert all(len(one) == 1 for one in fleet.each(active).values())
            fleet.heal()
        source = {"EAST_SOCKET": str(lab.socket), "WEST_SOCKET": str(wire.socket)}
        ran = python("-c", block_of("Fleet"), env=source)
        assert ran.communicate(timeout=10)[0].strip().isdigit() and ran.returncode == 0

        wire.daemon.send_signal(signal.SIGSTOP)
        with pytest.raises(fl.NoAnswer, match="did not answer within 0.2 s"):
            Daemon(wire.socket, timeout=0.2).status()
        wire.daemon.send_signal(signal.SIGCONT)
        events = other.follow(start=1, seconds=20)
        assert next(events).n == 1
        last = max(event.n for event in other.follow(start=1, seconds=0.2))
        assert [next(events).n for _ in range(last - 1)] == list(range(2, last + 1))
        with pytest.raises(fl.NoDaemon, match="no daemon at|went away"), \
                fault(daemon=other, delay="5ms"):
            wire.stop(signal.SIGKILL)
        wire.start(PORTS)
        other.heal()
        again = [next(events) for _ in range(2)]
        while again[0].kind != "restarted":  # what the old one said last
            again = [again[1], next(events)]
        assert again[1].n == 1
        events.close()


def test_the_examples_of_the_page(daemon, lab, tmp_path):
    """All that are not tests, one after the other, as a stranger would."""
    examples = [block for block in BLOCKS
                if not block.startswith("# test_") and "Fleet" not in block and "run(" not in block]
    assert len(examples) == 4
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    ran = python("-c", "\n".join(examples), env={"FAULTLINE_SOCKET": str(lab.socket)}, cwd=tmp_path)
    said = ran.communicate(timeout=20)[0]
    assert ran.returncode == 0, said
    assert "1 10 delay" in said and "policy {" in said
    assert fl.Scenario.load(tmp_path / "worse.yaml").seed == 42
    daemon.delete_rule("slow")


# ---- the plugin

def example(folder, begins):
    """Writes a test file of the page; its name."""
    block = block_of(f"# {begins}")
    (folder / begins).write_text(block, encoding="utf-8")
    return begins


def run_pytest(folder, *words, wire=None, which="a", socket=None):
    """pytest with the plugin; what it said, and its exit status."""
    ran = python("-m", "pytest", "-p", "no:cacheprovider", "-p", "faultline.pytest_plugin", "-rA",
                 "--rootdir", folder, *words, wire=wire, which=which, cwd=folder,
                 env={"FAULTLINE_SOCKET": str(socket)} if socket else None)
    said = ran.communicate(timeout=60)[0]
    return said, ran.returncode


FAILS = """
import pytest, subprocess, faultline as fl

@pytest.fixture
def later(faultline):
    yield
    assert not any(rule["active"] for rule in faultline.rules())  # healed before

@pytest.mark.fault(loss="all", match={"proto": "icmp"}, name="mute")
def test_fails(later, faultline):
    faultline.put_rule("forgotten", {"impair": [{"delay": "1ms"}], "ttl": "1m"})
    assert subprocess.run(["ping", "-c1", "-W0.2", "10.77.0.2"]).returncode == 0

@pytest.mark.fault(delay="1ms")
@pytest.mark.fault("impair: [delay: 2ms]")
def test_two(faultline):
    assert sum(rule["active"] for rule in faultline.rules()) == 2

@pytest.mark.fault("impair: [dealy: 2ms]")
def test_wrong():
    pass

@pytest.mark.fault(delay="1ms")
def test_ended(faultline):
    faultline.heal()

def test_without():
    pass
"""


def test_redis_by_the_page(daemon, lab, tmp_path):
    """INCR with its reply lost, as docs/python.md has it."""
    words = ("redis-server", "--bind", "10.77.0.2", "--protected-mode", "no", "--save", "",
             "--appendonly", "no", "--dir", lab.folder)
    server = lab.spawn("b", *words, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: "PONG" in lab.inside("b", "redis-cli", "-h", "10.77.0.2", "PING",
                                              check=False).stdout)
        said, status = run_pytest(tmp_path, "--faultline-artefacts", "faults",
                                  "--faultline-require", example(tmp_path, "test_orders.py"),
                                  wire=lab, socket=lab.socket)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=10)
    assert status == 0 and "2 passed" in said, said
    kept = [json.loads(path.read_text()) for path in sorted((tmp_path / "faults").iterdir())]
    assert [one["outcome"] for one in kept] == ["passed", "passed"]
    assert all(one["faults"][0]["dropped"] > 0 for one in kept)
    assert all(one["stats"]["ledger"]["balanced"] for one in kept)
    assert active(daemon) == []


def test_a_test_that_fails(daemon, lab, tmp_path):
    """It leaves an artefact, a section in the report, and no fault; the marker's mistakes are
    errors."""
    (tmp_path / "test_x.py").write_text(FAILS, encoding="utf-8")
    said, status = run_pytest(tmp_path, "--faultline-socket", lab.socket, "--faultline-artefacts",
                              "faults", "test_x.py", wire=lab)
    assert status == 1 and "3 failed, 2 passed in" in said, said
    assert "fault mute: matched 1, dropped 1" in said and "did you mean 'delay'" in said
    assert "FaultEnded" in said and "somebody healed" in said
    assert sorted(path.name for path in (tmp_path / "faults").iterdir()) == [
        f"test_x.py_test_{name}.json" for name in ("ended", "fails", "two", "wrong")]
    kept = json.loads((tmp_path / "faults/test_x.py_test_fails.json").read_text())
    assert kept["outcome"] == "failed" and kept["faults"][0]["name"] == "mute"
    assert {event["kind"] for event in kept["events"]} >= {"policy", "lease"}
    assert active(daemon) == []
    daemon.delete_rule("forgotten")


SHARED = """
import time, pytest

@pytest.mark.fault(delay="1ms")
def test_one(faultline):
    give_up = time.monotonic() + 5
    while sum(rule["active"] for rule in faultline.rules()) < 2:
        assert time.monotonic() < give_up
        time.sleep(0.02)

@pytest.mark.fault(delay="1ms")
def test_two():
    time.sleep(0.3)

def test_interrupted(faultline):
    faultline.put_rule("forgotten", {"impair": [{"delay": "1ms"}], "ttl": "1m"})
    time.sleep(30)
"""


def test_two_runs_at_once_and_an_interrupted_one(daemon, lab, tmp_path):
    """With --faultline-shared runs on one daemon do not heal each other's faults; SIGINT heals."""
    (tmp_path / "test_x.py").write_text(SHARED, encoding="utf-8")
    words = ("-m", "pytest", "-p", "no:cacheprovider", "-p", "faultline.pytest_plugin", "test_x.py",
             "-k")
    env = {"FAULTLINE_SOCKET": str(lab.socket)}
    runs = [python(*words, "one or two", "--faultline-shared", cwd=tmp_path, env=env) for _ in "ab"]
    for run in runs:
        said = run.communicate(timeout=20)[0]
        assert run.returncode == 0, said
    run = python(*words, "interrupted", cwd=tmp_path, env=env)
    wait_for(lambda: "forgotten" in active(daemon))
    run.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in run.communicate(timeout=10)[0] and run.returncode == 2
    assert active(daemon) == []
    daemon.delete_rule("forgotten")


def test_without_a_daemon(tmp_path):
    """Skipped, with the reason; or an error where it is required."""
    (tmp_path / "test_x.py").write_text(FAILS, encoding="utf-8")
    words = ("--faultline-socket", tmp_path / "absent.sock", "test_x.py")
    said, status = run_pytest(tmp_path, *words)
    assert status == 0 and "1 passed, 4 skipped" in said, said
    assert f"no daemon at {tmp_path}/absent.sock: there is no such socket" in said
    said, status = run_pytest(tmp_path, "--faultline-require", *words)
    assert status == 1 and "1 passed, 4 errors" in said, said
    (tmp_path / "test_x.py").write_text(
        "import pytest, unittest\nclass Case(unittest.TestCase):\n"
        "    @pytest.mark.fault(loss='all')\n    def test_x(self):\n        pass\n", encoding="utf-8")
    said, status = run_pytest(tmp_path, *words)
    assert status == 4 and "a unittest takes `with fault" in said, said


def test_etcd_by_the_page(monkeypatch, tmp_path):
    """The leader is cut off, as docs/python.md has it."""
    monkeypatch.setattr(etcd, "HEARTBEAT_MS", 100)
    monkeypatch.setattr(etcd, "ELECTION_MS", 1000)
    with Rack(4) as rack:
        rack.start(rack_scenario(4, CALM))
        with Programs(rack) as programs:
            etcd.Etcd(programs)
            said, status = run_pytest(tmp_path, example(tmp_path, "test_leader.py"), wire=rack,
                                      which="4", socket=rack.socket)
            for member in programs.started:
                member.kill()  # asked to end, each would look for a heir, five seconds long
        assert status == 0 and "1 passed" in said, said
        assert active(Daemon(rack.socket)) == []
