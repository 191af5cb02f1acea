"""explain says of each packet what simulate does to it, and why."""

import json

import numpy as np
import pytest

from model import captures, frames
from program import scenario_of

MIXED = scenario_of(
    ("thin", ["loss: 5%"], "{sport: 10000-10009}"),
    ("bursts", ["loss: {model: gilbert-elliott, p: 2%, r: 30%, loss_bad: 80%, loss_good: 1%}"]),
    ("near", ["delay: 3333333ns"], "{sport: 10003-10007}"),
    ("link", ["rate: 40Mbit", "queue: {limit: 100p}"]),
    ("tail", ["loss: 1%", "delay: 1ms"], "{sport: 10010-10019}"), seed=11)


def explained(program, *arguments):
    outcome = program.run("explain", *arguments, "--json")
    assert outcome.status == 0, outcome.text()
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_explain_equals_simulate(program, some):
    """10^4 packets of mixed rules: fates, release times, reasons, and the rules that matched."""
    part = some.capture.take(np.arange(10_000))
    path = program.folder / "part.pcap"
    captures.write_pcap(path, part)
    outcome = program.simulated(MIXED, [path], "--drops", program.folder / "drops.pcapng")
    told = explained(program, program.folder / "scenario.yaml", "--pcap", path)
    assert [packet["n"] for packet in told] == list(range(1, 10_001))
    drops = captures.read_pcapng(program.folder / "drops.pcapng")
    serial_of = part.serial().tolist()
    released = dict(zip(outcome.output.serial().tolist(), outcome.output.time_ns.tolist()))
    dropped = {int(serial): drops.comment(at)[0].split("drop=")[1]
               for at, serial in enumerate(drops.serial())}
    for packet, serial in zip(told, serial_of):
        fate = packet["fate"]
        if serial in released:
            assert fate["action"] == "send" and fate["release_ns"] == released[serial]
        else:
            assert fate["action"] == "drop" and fate["reason"] == dropped[serial]
    matched = {name: sum(rule["matched"] for packet in told for rule in packet["rules"]
                         if rule["rule"] == name) for name in outcome.stats["rules"]}
    assert matched == {name: rule["matched"] for name, rule in outcome.stats["rules"].items()}
    for packet, number in zip(told, some.number):
        assert packet["packet_in_flow"] == number
    for packet in told[::50]:
        for rule in packet["rules"]:
            for each in rule["impairments"]:
                if each["kind"] == "loss" and "draw" in each:
                    assert (each["draw"] < each["threshold"]) == (each["result"] == "drop")


EVERYTHING = """version: 1
seed: 21
flows: {max: 60k}
rules:
  - {name: thin, draw: connection, match: {role: request}, impair: [loss: 2%]}
  - {name: marks, match: {proto: tcp}, impair: [loss: {model: bernoulli, rate: 30%, action: mark-ce}]}
  - name: chains
    per: source
    match: {any: [{proto: udp}, {vlan: 7}]}
    impair:
      - loss: {model: gilbert-elliott, p: 2%, r: 30%, loss_bad: 80%, loss_good: 1%}
      - loss: {model: markov4, p13: 1%, p31: 20%, p32: 10%, p23: 30%, p14: 0.1%}
  - {name: in-time, impair: [loss: {model: gilbert-elliott, rate: 2%, burst: 3ms, clock: time, slot: 1ms}]}
  - {name: correlated, shared: true, match: {len: 60-400},
     impair: [loss: {model: correlated, rate: 3%, correlation: 50%}]}
  - {name: counted, per: flow, impair: [loss: {model: every, n: 17, offset: 3}]}
  - {name: listed, from: left, match: {ethertype: ipv6}, impair: [loss: {model: list, packets: [1, 5, 10-20]}]}
  - {name: bursts, impair: [loss: {model: burst, length: 3, probability: 0.2%},
                            loss: {model: burst, length: 2, every: 200ms}]}
  - {name: outages, to: left, impair: [loss: {model: outage, up: 1s, down: 20ms, distribution: exponential},
                                       loss: {model: outage, up: 2s, down: 10ms}]}
  - {name: noise, draw: arrival, impair: [loss: {model: bit-error, ber: 1e-6}]}
  - {name: once, match: {proto: udp, nth: 9}, impair: [loss: all]}
  - {name: few, per: destination, match: {bpf: "ip6", first: 40}, impair: [delay: 3ms]}
  - {name: field, from: left, impair: [delay: {time: 8ms, jitter: 1ms, distribution: normal}]}
  - {name: own, impair: [delay: {time: {draw: "uniform(1ms, 5ms)", per: flow}}]}
  - {name: near, match: {tcp: {flags: ["!syn"]}}, final: true, impair: [delay: 3333333ns]}
  - {name: free, match: {fragment: true},
     impair: [delay: {time: 4ms, jitter: 1ms, distribution: pareto, shape: 3, order: free, correlation: 25%}]}
  - {name: traced, from: right, impair: [delay: {trace: t, contents: "0,1000\\n3000000,9000\\n", interpolate: linear, loop: true}]}
  - {name: link, impair: [rate: 2Mbit, queue: {limit: 4p}]}
  - {name: narrow, per: flow, ttl: 6s, impair: [rate: {rate: 1Mbit, overhead: 24B}, queue: {limit: 20KB}]}
  - {name: late, enabled: false, impair: [delay: {distance: 500km}]}
timeline:
  - {at: 2s, for: 3s, rule: late, enable: true}
  - {at: 3s, rule: field, set: {delay: {time: 12ms}}}
  - {at: 4s, for: 1s, rule: thin, disable: true}
  - {at: 5s, rule: chains, set: {"loss[1]": {p: 20%}}}
"""


@pytest.fixture(scope="module")
def everything(program):
    """10^4 frames of every shape in both directions, each with a trailer that names it."""
    rng = np.random.default_rng(77)
    made = [frames.random_frame(rng) + at.to_bytes(8, "big") for at in range(10_000)]
    capture = captures.from_frames(made, 10**18 + np.cumsum(rng.integers(0, 2_000_000, 10_000)))
    capture.interface = rng.integers(0, 2, 10_000).astype(np.uint32)
    capture.names = ["left", "right"]
    captures.write_pcapng(program.folder / "everything.pcapng", capture)
    return program.folder / "everything.pcapng", made


def trailers(capture):
    return [int.from_bytes(capture.frame(at)[-8:], "big") for at in range(len(capture))]


def test_explain_equals_simulate_whatever_the_rules(program, everything):
    """Frames of every shape under every kind of rule: fates, times, reasons, edits and matches."""
    path, made = everything
    outcome = program.simulated(EVERYTHING, [path], "--drops", program.folder / "drops.pcapng")
    told = explained(program, program.folder / "scenario.yaml", "--pcap", path)
    assert len(told) == len(made)
    drops = captures.read_pcapng(program.folder / "drops.pcapng")
    released = dict(zip(trailers(outcome.output), outcome.output.time_ns.tolist()))
    bytes_of = {trailer: outcome.output.frame(at)
                for at, trailer in enumerate(trailers(outcome.output))}
    dropped = {trailer: drops.comment(at)[0].split("drop=")[1]
               for at, trailer in enumerate(trailers(drops))}
    assert len(released) + len(dropped) == len(made) and len(dropped) > 500
    for at, packet in enumerate(told):
        fate = packet["fate"]
        if at in released:
            assert (fate["action"], fate["release_ns"]) == ("send", released[at]), packet
            assert bool(fate["edits"]) == (bytes_of[at] != made[at]), packet
        else:
            assert (fate["action"], fate.get("reason")) == ("drop", dropped[at]), packet
    rules = outcome.stats["rules"]
    matched = {name: sum(rule["matched"] for packet in told for rule in packet["rules"]
                         if rule["rule"] == name) for name in rules}
    assert matched == {name: rule["matched"] for name, rule in rules.items()}
    lost = {name: sum(packet["fate"].get("rule") == name for packet in told) for name in rules}
    assert lost == {name: rule["dropped"] for name, rule in rules.items()}
    assert all(rule["matched"] > 0 for rule in rules.values()), rules
    assert {"loss", "queue"} == set(dropped.values())
    assert sum(bool(packet["fate"].get("edits")) for packet in told) > 20
    assert outcome.stats["reproducible"] is True and outcome.stats["unparsed"] > 0


@pytest.mark.parametrize("options", [("--burst", "1"), ("--burst", "7"), ("--burst", "64"),
                                     ("--workers", "3")])
def test_bursts_change_nothing_of_everything(program, everything, options):
    """Also where packets of both ports wait for links behind delays that reorder."""
    expected = program.simulated(EVERYTHING, [everything[0]]).out.read_bytes()
    found = program.simulated(EVERYTHING, [everything[0]], *options, out="again.pcapng")
    assert found.out.read_bytes() == expected


def test_one_packet(program, some):
    """--packet tells what a whole run tells of it."""
    (program.folder / "mixed.yaml").write_text(MIXED)
    part = some.capture.take(np.arange(2_000))
    captures.write_pcap(program.folder / "part.pcap", part)
    files = ("mixed.yaml", "--pcap", "part.pcap")
    assert explained(program, *files, "--packet", "777") == explained(program, *files)[776:777]
    beyond = program.run("explain", *files, "--packet", "2001")
    assert beyond.status == 2 and "fewer packets" in beyond.stderr


def test_a_hex_dump(program):
    """One frame, at time zero, on the port that is named or the first."""
    (program.folder / "all.yaml").write_text(scenario_of(("wan", ["delay: 40ms"]), seed=1))
    frame = "ffffffffffff 020000000001 0806" + "00" * 28
    packet, = explained(program, "all.yaml", "--hex", frame)
    assert packet["flow"] == "0x0806 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff"
    assert packet["fate"] == {"action": "send", "release_ns": 40_000_000, "delay_ns": 40_000_000,
                              "copies": 0, "edits": []}
    for wrong in ("xyz", "123", ""):
        assert program.run("explain", "all.yaml", "--hex", wrong).status == 2
    assert program.run("explain", "all.yaml").status == 2
    assert program.run("explain", "all.yaml", "--pcap", "absent.pcap").status == 5
    assert program.run("explain", "absent.yaml", "--hex", frame).status == 5


@pytest.mark.parametrize("rule,why", [
    ("{name: r, enabled: false, impair: [delay: 1ms]}", "disabled"),
    ("{name: r, from: right, impair: [delay: 1ms]}", "not on this path"),
    ("{name: r, impair: [delay: 1ms]}", "matches every packet"),
])
def test_why(program, rule, why):
    (program.folder / "why.yaml").write_text(f"version: 1\nseed: 1\nrules: [{rule}]\n")
    packet, = explained(program, "why.yaml", "--hex", "ffffffffffff0200000000010806" + "00" * 28)
    assert packet["rules"][0]["why"] == why
