"""explain says of each packet what simulate does to it, and why."""

import json

import numpy as np
import pytest

from model import captures
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
