"""Flows that the journal knows as connections: named as the model names them, found again in a second
run with other ports, and what differs there told apart."""

import json
import struct

import pytest

from model import captures
from model.connections import REPLY, SYN, Connections
from model.flows import IPV4, TCP, UDP, FlowKey
from program import scenario_of
from talk import Talk, conversations, host, ip_frame

THIN = ("thin", ["loss: 10%", "delay: {time: 5ms, jitter: 5ms, distribution: uniform, order: free}"])


def by_connection(*rules, seed=4):
    return scenario_of(*rules, seed=seed).replace("    impair:", "    draw: connection\n    impair:")


def address(packed):
    return ".".join(map(str, packed))


def protocols(talk):
    return [key.protocol for _, key, _, _ in talk.packets]


def named(talk):
    """What the journal is to say of each packet's connection."""
    connections = Connections()
    names = []
    for _, key, tcp, _ in talk.packets:
        role, _, _ = connections.note(key, *tcp)
        one = connections.of(key)
        names.append({"client": address(one.client.source), "server": address(one.client.destination),
                      "port": one.client.destination_port, "ordinal": one.ordinal, "role": role})
    return names


def written(program, text, talk, name, *options):
    """Lines of the journal in a file of that name, and the same of lines."""
    inputs = talk.write(program.folder)
    program.simulated(text, inputs, *options, "--journal", "lines.jsonl")
    program.simulated(text, inputs, *options, "--journal", name)
    outcome = program.run("journal", name, "--json")
    assert outcome.status == 0, outcome.text()
    lines = sorted(outcome.stdout.splitlines())
    assert lines == sorted((program.folder / "lines.jsonl").read_text().splitlines())
    return [json.loads(line) for line in lines]


def compared(program, first="one.bin", second="two.bin"):
    outcome = program.run("journal", first, "--against", second, "--json")
    told = json.loads(outcome.stdout)
    assert outcome.status == (0 if told["same"] else 1), outcome.text()
    return told


@pytest.mark.parametrize("options", [(), ("--burst", "1"), ("--burst", "64")])
@pytest.mark.parametrize("rule", [
    THIN, ("thin", ["loss: 30%"]), ("twice", ["duplicate: 20%", "loss: 20%"]),
    ("waits", ["delay: {time: 5ms, jitter: 2ms, distribution: uniform, order: free}",
               "rate: 100Gbit", "loss: 30%"])], ids=lambda rule: rule[0] + str(len(rule[1])))
def test_each_line_names_its_connection(program, rule, options):
    """Also where one on the same ports follows another, within a burst or while packets wait."""
    talk = conversations(40_000)
    lines = written(program, by_connection(rule), talk, "one.bin", *options)
    names = named(talk)
    for line in lines:
        assert line["connection"] == names[(line["t_ns"] - captures.FIRST_NS) // 1_000], line
    assert len(lines) > 300 and max(name["ordinal"] for name in names) > 3
    human = program.run("journal", "one.bin").stdout.splitlines()
    assert all(" (connection " in line for line in human)


def test_only_where_dice_are_thrown_by_it(program):
    """Not where a rule asks only for roles, nor of fragments without ports."""
    talk = conversations(40_000)
    for line in written(program, scenario_of(("cut", ["delay: 1ms"], "{role: reply}"), seed=1), talk,
                        "one.bin"):
        assert "connection" not in line
    parts = Talk()
    for number in range(3):
        key = FlowKey(IPV4, host(1), host(2), 0x0800, UDP, 4_000 + number, 53)
        parts.udp("left", key)
        part = struct.pack(">HHHH", key.source_port, key.destination_port, 40, 0) + bytes(16)
        parts.add("left", key, ip_frame(key, part, identification=number, fragment=0x2000))
    parts.udp("right", FlowKey(IPV4, host(2), host(1), 0x0800, UDP, 53, 4_000))
    lines = written(program, by_connection(THIN), parts, "two.bin")
    known = [line.get("connection", {}).get("ordinal") for line in lines]
    assert sorted(each for each in known if each) == [1, 1, 2, 3] and known.count(None) == 3


def test_other_ports_the_same_dice(program):
    """Every flow is found by its connection, and each packet met the same."""
    for name, ephemeral, salt in (("one.bin", 40_000, 0), ("two.bin", 50_000, 7_007)):
        talk = conversations(ephemeral, salt)
        lines = written(program, by_connection(THIN), talk, name)
    directions = set(zip(map(json.dumps, named(talk)), protocols(talk)))
    told = compared(program)
    assert told["same"] and told["flows"] == {"same": len(directions), "different": 0}
    # Connections on ports used before begin later in their flow: those are looked at one by one.
    assert told["connections"] == {"same": len(directions), "different": 0, "hits": len(lines)}
    assert {line["action"] for line in lines} == {"drop", "delay"}
    said = program.run("journal", "one.bin", "--against", "two.bin").stderr
    assert f"{len(directions)} flows alike, hit {len(lines)} times, and 0 that differ" in said

    by_flow = scenario_of(THIN, seed=4)
    for name, ephemeral in (("one.bin", 40_000), ("two.bin", 50_000)):
        written(program, by_flow, conversations(ephemeral), name)
    told = compared(program)
    assert not told["same"] and told["connections"] == {"same": 0, "different": 0, "hits": 0}


def test_one_journal_that_knows_connections(program):
    """Against one that does not, flows are found by their ports."""
    talk = conversations(40_000)
    for name, text in (("one.bin", by_connection(THIN)), ("two.bin", scenario_of(THIN, seed=4))):
        written(program, text, talk, name)
    told = compared(program)
    assert told["connections"] == {"same": 0, "different": 0, "hits": 0}
    assert told["packets"] == 0 and told["delays"] > 500


def test_another_seed_is_the_dice(program):
    """Packets of the same length that met something else, and no other."""
    for name, seed, ephemeral in (("one.bin", 4, 40_000), ("two.bin", 5, 50_000)):
        written(program, by_connection(THIN, seed=seed), conversations(ephemeral, seed), name)
    told = compared(program)
    assert told["fates"] > 50 and told["delays"] > 500
    assert told["packets"] == told["first_only"] == told["second_only"] == 0
    assert told["connections"]["different"] > 200


def first_of_several(talk):
    """A packet that opens a connection on ports that another one has later, and what that is called."""
    seen = {}
    for at, ((_, key, tcp, _), name) in enumerate(zip(talk.packets, named(talk))):
        if tcp and tcp[0] == SYN and seen.setdefault(key, (at, name))[1] != name:
            return seen[key]
    raise AssertionError("no ports are used twice")


def test_one_packet_more_is_one_packet_more(program):
    """At the head of a connection: the k-th packet meets what the k-th met, and one is left over. Later
    connections on these ports begin one packet later in their flow, and are the same."""
    written(program, by_connection(THIN), conversations(40_000), "one.bin")
    talk = conversations(50_000, 7_007)
    at, name = first_of_several(talk)
    talk.packets.insert(at, talk.packets[at])
    written(program, by_connection(THIN), talk, "two.bin")
    told = compared(program)
    assert (told["second_only"], told["first_only"], told["fates"], told["packets"], told["delays"]) \
        == (1, 0, 0, 0, 0), told
    assert told["connections"]["different"] == told["flows"]["different"] == 1
    difference = told["differences"][0]
    assert difference["flow"] == (f"tcp {name['client']}:* > {name['server']}:{name['port']} "
                                  f"(connection {name['ordinal']}, request)")
    sent = list(zip(named(talk), protocols(talk))).count((name, TCP))
    assert (difference["kind"], difference["packet_in_flow"]) == ("second-only", sent)


LONG = ("long", ["loss: all"], "{len: 100-1514}")
WORD = ("word", ["loss: all"], "{payload: {literal: evil}}")


def with_bytes(talk, at, more):
    """Puts these behind the payload of packet `at`, a datagram."""
    port, key, tcp, frame = talk.packets[at]
    body = frame[34:38] + struct.pack(">H", len(frame) - 34 + len(more)) + frame[40:] + more
    identification = int.from_bytes(frame[18:20], "big")
    talk.packets[at] = port, key, tcp, ip_frame(key, body, identification=identification)


@pytest.mark.parametrize(("rule", "more"), [(LONG, bytes(80)), (WORD, b"evil")], ids=["long", "word"])
def test_what_differs_comes_from_packets(program, rule, more):
    """A packet of another length meets a rule about that, or about what it says."""
    text = by_connection(THIN, rule)
    talk = conversations(40_000)
    at = next(at for at, (_, _, tcp, _) in enumerate(talk.packets) if not tcp)
    written(program, text, talk, "one.bin")
    other = conversations(50_000, 7_007)
    with_bytes(other, at, more)
    written(program, text, other, "two.bin")
    told = compared(program)
    assert (told["packets"], told["flows"]["different"]) == (1, 1), told
    assert told["fates"] == told["delays"] == told["first_only"] == told["second_only"] == 0
    assert told["differences"][0]["packet_in_flow"] == 1


def test_replayed_from_other_ports(program):
    """From a run's folder: with the same dice a packet of the same length that met something else is
    another packet. Compared by itself nobody knows that."""
    folder = program.folder / "run"
    folder.mkdir()
    text = by_connection(THIN, WORD)
    talk = conversations(40_000)
    at = next(at for at, (_, _, tcp, _) in enumerate(talk.packets) if not tcp)
    other = conversations(50_000, 7_007)
    with_bytes(talk, at, b"good")
    with_bytes(other, at, b"evil")
    written(program, text, talk, "run/journal.bin")
    (folder / "scenario.yaml").write_text(text)
    (folder / "environment.json").write_text('{"run": {}}')
    inputs = [word for each in other.write(program.folder) for word in ("--in", each)]
    outcome = program.run("replay", "run", "--out", "again", *inputs, "--json")
    assert outcome.status == 1 and "the same dice" in outcome.stderr, outcome.text()
    told = json.loads(outcome.stdout.splitlines()[-1])
    assert (told["packets"], told["fates"], told["flows"]["different"]) == (1, 0, 1)
    assert told["connections"]["same"] > 300
    told = compared(program, "run/journal.bin", "again/journal.bin")
    assert (told["packets"], told["fates"], told["flows"]["different"]) == (0, 1, 1)
