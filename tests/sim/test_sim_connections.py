"""Roles, dice by connection, and fragments that follow their first one."""

import struct

import numpy as np
import pytest

from model import captures
from model.connections import ACK, REPLY, REQUEST, SYN
from model.dice import Dice, below, threshold
from model.flows import IPV4, TCP, UDP, FlowKey
from program import scenario_of
from talk import Talk, conversations, host, ip_frame

FATE = 0
MS = 1_000_000


def serials(output):
    return {int.from_bytes(output.frame(at)[-8:], "big") for at in range(len(output))}


@pytest.mark.parametrize("role", [REQUEST, REPLY])
def test_roles(program, role):
    """Lost are the packets that the model calls requests, or replies, and no other."""
    talk = conversations(40_000)
    notes, model = talk.notes()
    scenario = scenario_of(("cut", ["loss: all"], f"{{role: {role}}}"), seed=1)
    outcome = program.simulated(scenario, talk.write(program.folder))
    left = {serial for serial, (of, _, _) in enumerate(notes) if of != role}
    assert serials(outcome.output) == left and 0 < len(left) < len(notes)
    assert outcome.stats["connections"] == {"opened": model.opened, "guessed": model.guessed,
                                            "lost": 0, "forgotten": 0}
    assert outcome.stats["reproducible"] is True


def test_a_role_on_one_path_knows_the_other(program):
    """Replies from the right are known by requests from the left, which no rule looks at."""
    talk = conversations(40_000)
    notes, _ = talk.notes()
    scenario = scenario_of(("cut", ["loss: all"], "{role: reply, proto: tcp}"), seed=1)
    scenario = scenario.replace("    impair:", "    from: right\n    impair:")
    outcome = program.simulated(scenario, talk.write(program.folder))
    lost = {serial for serial, ((role, _, _), (port, key, _, _)) in
            enumerate(zip(notes, talk.packets))
            if role == REPLY and port == "right" and key.protocol == TCP}
    assert serials(outcome.output) == set(range(len(notes))) - lost


@pytest.mark.parametrize("burst", [1, 64])
def test_dice_by_connection(program, burst):
    """Packet for packet the model's, and the same in a second run with other ephemeral ports."""
    scenario = scenario_of(("thin", ["loss: 30%"]), seed=4).replace(
        "    impair:", "    draw: connection\n    impair:")
    kept = []
    for ephemeral in (40_000, 50_000):
        talk = conversations(ephemeral)
        outcome = program.simulated(scenario, talk.write(program.folder), "--burst", burst)
        kept.append(serials(outcome.output))
    assert kept[0] == kept[1]
    notes, _ = talk.notes()
    drawn = Dice(4, "thin", 0, FATE).uniforms([identity for _, identity, _ in notes],
                                              [number for _, _, number in notes])
    assert kept[0] == set(np.flatnonzero(~below(drawn, threshold("30%"))).tolist())


def test_dice_by_connection_wait_for_their_stage(program):
    """The loss is drawn behind a rate that packets reach out of order: the numbers went along."""
    talk = conversations(40_000)
    rule = ("thin", ["delay: {time: 5ms, jitter: 2ms, distribution: uniform, order: free}",
                     "rate: 100Gbit", "loss: 30%"])
    scenario = scenario_of(rule, seed=4).replace("    impair:", "    draw: connection\n    impair:")
    outcome = program.simulated(scenario, talk.write(program.folder))
    notes, _ = talk.notes()
    drawn = Dice(4, "thin", 2, FATE).uniforms([identity for _, identity, _ in notes],
                                              [number for _, _, number in notes])
    assert serials(outcome.output) == set(np.flatnonzero(~below(drawn, threshold("30%"))).tolist())


def test_many_workers_become_one(program):
    talk = conversations(40_000)
    scenario = scenario_of(("cut", ["loss: all"], "{role: reply}"), seed=1)
    inputs = talk.write(program.folder)
    one = program.simulated(scenario, inputs)
    many = program.simulated(scenario, inputs, "--workers", 3, out="many.pcapng")
    assert "'cut'" in many.stderr and "one worker" in many.stderr
    assert serials(many.output) == serials(one.output)


def test_a_full_table_says_so(program):
    """2,000 connections in a table of 64: guessed at last, and the run is not reproducible."""
    talk = Talk()
    for turn in range(2):
        for number in range(2_000):
            key = FlowKey(IPV4, host(number), host(9_999), 0x0800, TCP, 40_000, 80)
            talk.tcp("left", key, (SYN, ACK)[turn], number)
    talk.udp("right", FlowKey(IPV4, host(1), host(2), 0x0800, UDP, 1, 2))
    scenario = scenario_of(("cut", ["loss: all"], "{role: reply}"), seed=1)
    outcome = program.simulated(scenario + "flows: {max: 64}\n", talk.write(program.folder))
    assert outcome.stats["connections"]["guessed"] > 1_500
    assert outcome.stats["connections"]["lost"] > 1_500
    assert outcome.stats["reproducible"] is False


def fragments(key, identification):
    """A datagram in three pieces."""
    more = 0x2000
    first = struct.pack(">HHHH", key.source_port, key.destination_port, 40, 0) + bytes(16)
    return [ip_frame(key, first, identification=identification, fragment=more),
            ip_frame(key, bytes(24), identification=identification, fragment=more | 3),
            ip_frame(key, bytes(16), identification=identification, fragment=6)]


def run_fragments(program, frames, times_ns, keys=""):
    """Which of the frames are lost to a rule on port 53."""
    path = program.folder / "fragments.pcap"
    captures.write_pcap(path, captures.from_frames(
        [frame + struct.pack(">Q", serial) for serial, frame in enumerate(frames)],
        [captures.FIRST_NS + time for time in times_ns]))
    scenario = scenario_of(("dns", ["loss: all"], "{dport: 53}"), seed=1).replace(
        "    impair:", f"{keys}    impair:")
    outcome = program.simulated(scenario, [path])
    return set(range(len(frames))) - serials(outcome.output), outcome.stats["fragments"]


def test_fragments_follow_their_first(program):
    dns = FlowKey(IPV4, host(1), host(2), 0x0800, UDP, 4_000, 53)
    other = FlowKey(IPV4, host(1), host(2), 0x0800, UDP, 4_000, 54)
    frames = fragments(dns, 7) + fragments(other, 8)
    mixed_up = [frames[at] for at in (0, 3, 1, 4, 5, 2)]
    lost, counted = run_fragments(program, mixed_up, range(0, 6 * MS, MS))
    assert lost == {0, 2, 5} and counted == {"followed": 4, "unknown": 0, "lost": 0}
    lost, counted = run_fragments(program, mixed_up, range(0, 6 * MS, MS),
                                  "    fragments: portless\n")
    assert lost == {0}


def test_fragments_without_their_first(program):
    """Before it, or 2 s behind it: no ports, and counted."""
    dns = FlowKey(IPV4, host(1), host(2), 0x0800, UDP, 4_000, 53)
    first, second, third = fragments(dns, 7)
    lost, counted = run_fragments(program, [second, first, second, third],
                                  [0, MS, 2_000 * MS, 2_001 * MS])
    assert lost == {1, 2} and counted == {"followed": 1, "unknown": 2, "lost": 0}


def test_every_fragment_draws_by_addresses(program):
    """Ports shown or not, the dice of fragments are those of source, destination and protocol."""
    frames = []
    for number in range(2_000):
        key = FlowKey(IPV4, host(1), host(2), 0x0800, UDP, 4_000 + number % 50, 53)
        frames += fragments(key, number)
    path = program.folder / "fragments.pcap"
    captures.write_pcap(path, captures.from_frames(
        [frame + struct.pack(">Q", serial) for serial, frame in enumerate(frames)],
        captures.FIRST_NS + np.arange(len(frames)) * 1_000))
    outcome = program.simulated(scenario_of(("thin", ["loss: 40%"]), seed=3), [path])
    identity = FlowKey(IPV4, host(1), host(2), 0x0800, UDP).identity()
    drawn = Dice(3, "thin", 0, FATE).run(identity, 1, len(frames))
    assert serials(outcome.output) == set(np.flatnonzero(~below(drawn, threshold("40%"))).tolist())


def test_explained_roles(program):
    talk = conversations(40_000)
    notes, _ = talk.notes()
    both = captures.from_frames([frame for _, _, _, frame in talk.packets],
                                captures.FIRST_NS + np.arange(len(notes)) * 1_000)
    both.names = ["left", "right"]
    both.interface = np.array([both.names.index(port) for port, *_ in talk.packets],
                              dtype=np.uint32)
    captures.write_pcapng(program.folder / "both.pcapng", both)
    (program.folder / "roles.yaml").write_text(
        scenario_of(("cut", ["loss: all"], "{role: reply}"), seed=1))
    outcome = program.run("explain", "roles.yaml", "--pcap", "both.pcapng", "--json")
    assert outcome.status == 0, outcome.text()
    whys = [line.split('"why":"')[1].split('"')[0] for line in outcome.stdout.splitlines()]
    assert whys == ["role reply" if role == REPLY else "not role reply" for role, _, _ in notes]
