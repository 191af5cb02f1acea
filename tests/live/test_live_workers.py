"""Several workers: which flows they own, what they may not share, and that nobody can tell how many
there are."""

import os
import time

import pytest

from drivers import scenario_of
from traffic import Traffic, capture_of, numbers_in
from wire import BUILD, law_holds, run

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two cores are needed")

TWO = "workers: {cores: [%s]}\n" % ", ".join(map(str, sorted(os.sched_getaffinity(0))[:2]))
ONE = "workers: {cores: [%d]}\n" % max(os.sched_getaffinity(0))
RULES = """rules:
  - name: chain
    from: left
    per: flow
    impair: [loss: {model: gilbert-elliott, p: 5%, r: 30%}]
  - {name: dice, from: left, impair: [{loss: 10%}, {delay: {time: 2ms, jitter: 1ms}}]}
"""


def veth_scenario(queues, rest):
    """A wire of so many queues on af_packet."""
    return scenario_of(f"driver: af_packet, interface: fl-left, queues: {queues}",
                       f"driver: af_packet, interface: fl-right, queues: {queues}", rest=rest)


def survivors(wire, scenario):
    """What arrives of 64 flows of 60 packets each."""
    wire.start(scenario, "--start")
    arrived = Traffic(wire, flows=64, packets=60, gap_s=0.0003).end()
    stats = wire.settle()
    assert law_holds(stats)
    assert stats["ports"]["left"]["rx_missed"] == 0
    status = wire.get("/v1/status")[1]
    assert wire.stop() == 0
    return arrived, stats, status


def simulated(wire, scenario):
    """What `simulate` lets through of the same packets."""
    capture, out = wire.folder / "sent.pcap", wire.folder / "survivors.pcapng"
    path = wire.folder / "simulated.yaml"
    path.write_text(scenario, encoding="utf-8")
    capture_of(capture, 64, 60)
    run(BUILD / "faultline", "simulate", path, "--in", f"left={capture}", "--out", out)
    return numbers_in(out)


def test_two_workers_on_one_wire_hit_the_same_packets(wire):
    """Chains per flow and dice of flows: one worker, two workers and simulate let the same packets
    through, each flow in its order."""
    one, _, _ = survivors(wire, veth_scenario(1, RULES + ONE))
    two, stats, status = survivors(wire, veth_scenario(2, RULES + TWO))
    assert len(status["workers"]) == 2
    assert stats["rules"]["dice"]["matched"] > 2000
    assert sorted(one) == sorted(two) == sorted(simulated(wire, veth_scenario(1, RULES)))
    assert 1500 < len(two) < 64 * 60
    for flow in range(64):
        numbers = [number for of, number in two if of == flow]
        assert numbers == sorted(numbers)


def test_both_workers_have_flows_and_each_flow_has_one(wire):
    """The flows of both workers are listed, none twice, and both directions are with one."""
    wire.start(veth_scenario(2, RULES.replace("from: left", "from: any") + TWO), "--start")
    Traffic(wire, flows=64, packets=5).end()
    flows = [flow for flow in wire.get("/v1/flows?limit=256")[1]["flows"]
             if flow["flow"].startswith("udp 10.77.0.1:10")]
    assert len(flows) == len({flow["flow"] for flow in flows}) == 64
    assert len({flow["core"] for flow in flows}) == 2
    wire.inside("a", "ping", "-c", 20, "-i", "0.01", "10.77.0.2", check=False)
    pings = [flow for flow in wire.get("/v1/flows?limit=256")[1]["flows"]
             if flow["flow"].startswith("icmp")]
    assert len(pings) == 2 and len({flow["core"] for flow in pings}) == 1
    assert {flow["port"] for flow in pings} == {"left", "right"}


def test_time_processes_are_the_same_for_both_workers(wire):
    """An outage in time hits the flows of both workers at once: losses come in runs of packets in
    the order sent, whatever their flows."""
    rule = "rules: [{name: r, from: left, impair: [loss: {model: outage, up: 80ms, down: 40ms}]}]\n"
    arrived, stats, _ = survivors(wire, veth_scenario(2, rule + TWO))
    sent = [(flow, number) for number in range(1, 61) for flow in range(64)]
    there = set(arrived)
    fates = [packet in there for packet in sent]
    changes = sum(before != after for before, after in zip(fates, fates[1:]))
    assert stats["rules"]["r"]["dropped"] == fates.count(False) > 500
    # 64 · 60 packets take 1.15 s, ten outages: two changes each, and a few packets that one worker
    # still took before or the other after the instant.
    assert changes < 20 * 4


CHAIN = """version: 1
name: chain
seed: 7
ports:
  left: {driver: af_packet, interface: fl-left, queues: 2}
  near: {driver: ring, name: r0, queues: 2}
  far: {driver: ring, name: r0, queues: 2}
  right: {driver: af_packet, interface: fl-right, queues: 2}
wires: {first: [left, near], second: [far, right]}
"""


def test_rings_of_two_queues(wire):
    """Two wires of two queues each in a row: the same fates as one wire of one queue."""
    rules = RULES.replace("from: left", "from: far")
    two, stats, _ = survivors(wire, CHAIN + rules + TWO)
    # The path's name is part of what a chain's dice are thrown with, so it has to be the same.
    one, _, _ = survivors(wire, CHAIN.replace("queues: 2", "queues: 1") + rules + ONE)
    assert sorted(one) == sorted(two)
    assert stats["ports"]["near"]["tx_packets"] == stats["ports"]["far"]["rx_packets"]


def test_two_queues_of_null_devices(wire):
    """Packets of one flow come in at both queues and are all judged by its owner: the chain of the
    flow is never split, the owner's share is what it can take, and the rest is counted."""
    wire.start(scenario_of('driver: "null", queues: 2', 'driver: "null", queues: 2', rest=TWO +
                           "rules: [{name: r, from: left, per: flow, "
                           "impair: [loss: {model: gilbert-elliott, p: 10%, r: 50%}]}]\n"),
               "--start")
    time.sleep(1.5)
    stats = wire.stats()
    assert law_holds(stats)
    rule = stats["rules"]["r"]
    assert rule["matched"] > 100_000
    assert abs(rule["loss"]["rate"] - 1 / 6) < 0.01
    assert abs(rule["loss"]["mean_run"] - 2.0) < 0.05
    # One, or two where freed packets are overwritten: the devices leave the bytes as they find them.
    flows = wire.get("/v1/flows")[1]["flows"]
    assert len({flow["flow"] for flow in flows}) == len(flows) == stats["flows"]["active"] <= 2
    assert wire.stop() == 0


def test_two_wires_on_two_workers(wire):
    """Each wire has a worker of its own; what two wires may not share is refused by name."""
    scenario = CHAIN.replace("queues: 2", "queues: 1")
    rate = "rules: [{name: slowed, from: [left, far], impair: [rate: 50Mbit]%s}]\n"
    one, stats, _ = survivors(wire, scenario + rate % "" + TWO)
    assert len(one) == 64 * 60
    wire.start(scenario + rate % "" + TWO)
    cores = {port["name"]: port["cores"] for port in wire.get("/v1/ports")[1]["ports"]}
    assert cores["left"] == cores["near"] != cores["far"] == cores["right"]
    status, body = wire.http("PATCH", "/v1/rules/slowed", {"shared": True})
    assert status == 409 and "'slowed' keeps one state (shared: true)" in body["detail"]
    assert stats["ledger"]["dropped"]["tx_full"] == 0


@pytest.mark.parametrize("impairment", [
    "loss: {model: gilbert-elliott, p: 1%, r: 20%}", "rate: 10Mbit", "loss: {model: every, n: 10}"])
def test_a_scope_that_workers_would_share_is_refused(wire, impairment):
    """At the start (exit 4), by check, and as a change (409), by the rule's name."""
    rules = "rules: [{name: shared-one, from: left, impair: [%s]}]\n" % impairment
    scenario = veth_scenario(2, rules + TWO)
    with pytest.raises(RuntimeError, match="rule 'shared-one' keeps one state for packets that 2"):
        wire.start(scenario)
    assert wire.daemon.wait(timeout=5) == 4
    path = wire.folder / "shared.yaml"
    path.write_text(scenario, encoding="utf-8")
    checked = run(BUILD / "faultline", "check", path, check=False)
    assert checked.returncode == 1 and "'shared-one'" in checked.stderr
    wire.start(veth_scenario(2, RULES + TWO))
    status, body = wire.http("PUT", "/v1/policy", "version: 1\n" + rules, "application/yaml")
    assert status == 409 and "'shared-one'" in body["detail"]


def test_auto_leaves_a_core_for_management(wire):
    """More queues than cores are left is refused with what to do."""
    cores = len(os.sched_getaffinity(0))
    if cores > 2:
        pytest.skip("more than two cores: auto would find room for two workers")
    with pytest.raises(RuntimeError, match="auto leaves one for the management plane"):
        wire.start(veth_scenario(2, RULES))


def test_cores_that_are_not_there_are_refused(wire):
    """Exit 4, naming the ones that may be used."""
    with pytest.raises(RuntimeError, match="core 900 is not one that this process may use"):
        wire.start(veth_scenario(1, "workers: {cores: [900]}\n"))


def test_busy_share_tells_empty_polls_apart(wire):
    """A worker that polls and finds nothing is not busy; one under load is."""
    wire.start(veth_scenario(1, ""))
    time.sleep(2.5)
    assert wire.get("/v1/status")[1]["workers"][0]["busy"] < 0.05
    flood = wire.spawn("a", "ping", "-f", "-q", "-w", 4, "-s", 1400, "10.77.0.2")
    time.sleep(2.5)
    busy = wire.get("/v1/status")[1]["workers"][0]["busy"]
    flood.wait(timeout=20)
    assert 0.02 < busy < 1.0


def test_a_worker_may_sleep(wire):
    """`power: sleep`: an idle worker leaves its core alone, and packets still pass, never early."""
    wire.start(veth_scenario(1, "workers: {power: sleep}\nrules: [{name: slow, from: left, "
                                "impair: [delay: 5ms]}]\n"), "--start")

    def cpu_s():
        with open(f"/proc/{wire.daemon.pid}/stat", encoding="ascii") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    before = cpu_s()
    time.sleep(2)
    assert cpu_s() - before < 1.0
    output = wire.inside("a", "ping", "-c", 10, "-i", "0.05", "10.77.0.2").stdout
    assert "10 received" in output
    assert wire.stats()["lateness"]["early"] == 0
