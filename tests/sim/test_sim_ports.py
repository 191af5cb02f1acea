"""Two ports and both directions: who enters where, leaves where, and meets which dice."""

import numpy as np
import pytest

from model import bounds, captures, laws
from program import scenario_of

SEED = 11
ANSWERS_FROM = 1 << 40  # serial numbers of the other direction
CHAIN = "loss: {model: gilbert-elliott, p: 2%, r: 25%}"


def both_ways(outcome, some, answer):
    """The lost masks of the two directions; each packet must leave at the other port, in order."""
    output, serial = outcome.output, outcome.output.serial()
    answers = serial >= ANSWERS_FROM
    for mask, port in ((~answers, "right"), (answers, "left")):
        assert (output.interface[mask] == output.names.index(port)).all()
    assert (np.diff(output.time_ns.astype(np.int64)) >= 0).all()
    lost = []
    for kept, given in ((serial[~answers], some), (serial[answers] - ANSWERS_FROM, answer)):
        lost.append(np.ones(len(given), dtype=bool))
        lost[-1][kept] = False
        assert (np.diff(kept) > 0).all()
    return lost


@pytest.fixture(scope="module")
def inputs(some, answer):
    return [f"left={some.path}", f"right={answer.path}"]


def test_directions_have_independent_dice(program, inputs, some, answer):
    """`loss: 10%` both ways: each direction loses exactly the model's packets, and flow for flow
    the packet numbers lost in both directions overlap no more than chance (hypergeometric tail at
    least 1e-6 / 20 flows)."""
    outcome = program.simulated(scenario_of(("wan", ["loss: 10%"]), seed=SEED), inputs)
    lost = both_ways(outcome, some, answer)
    for mask, given in zip(lost, (some, answer)):
        expected = laws.bernoulli(SEED, "wan", 0, "10%", given.identity, given.number)
        assert np.flatnonzero(mask != expected).tolist() == []
    for flow in range(20):
        there, back = lost[0][some.flow == flow], lost[1][answer.flow == flow]
        length = min(len(there), len(back))
        there, back = there[:length], back[:length]
        tail = bounds.hypergeometric_tail(int((there & back).sum()), length, int(there.sum()),
                                          int(back.sum()))
        assert tail >= 1e-6 / 20, flow


def test_directions_have_chains_of_their_own(program, inputs, some, answer):
    """State belongs to (rule, path): a chain in each direction, counting its own packets, with the
    dice of its own scope; exactly the model's packets."""
    lost = both_ways(program.simulated(scenario_of(("wan", [CHAIN]), seed=SEED), inputs),
                     some, answer)
    for mask, ends in zip(lost, (("left", "right"), ("right", "left"))):
        expected = laws.gilbert_elliott(SEED, "wan", 0, laws.scope_identity(*ends), len(mask),
                                        "2%", "25%").lost
        assert np.flatnonzero(mask != expected).tolist() == []
    assert (lost[0] != lost[1]).any()


@pytest.mark.parametrize("end, number", (("from: left", 0), ("to: left", 1)))
def test_a_rule_for_one_direction(program, inputs, some, answer, end, number):
    """`from` and `to` name the path: the other direction loses nothing."""
    scenario = scenario_of(("wan", ["loss: 10%"]), seed=SEED).replace(
        "    impair:", f"    {end}\n    impair:")
    lost = both_ways(program.simulated(scenario, inputs), some, answer)
    assert lost[number].any() and not lost[1 - number].any()


def test_without_ports_it_is_left_and_right(program, inputs, few):
    """A scenario without `ports:` gets left and right joined by wire lab: the same bytes as with
    these written; live ports are replaced. An input without PORT= enters the first port."""
    bare = scenario_of(("wan", ["loss: 10%", "delay: 1ms"]), seed=SEED)
    drawn = program.simulated(bare, inputs).out.read_bytes()
    for driver in ("{driver: sim}", "{driver: af_packet, interface: fl-none}"):
        written = bare.replace("rules:", f"ports:\n  left: {driver}\n  right: {driver}\n"
                                         "wires:\n  lab: [left, right]\nrules:")
        assert program.simulated(written, inputs).out.read_bytes() == drawn
    first = program.simulated(bare, [few.path]).out.read_bytes()
    assert program.simulated(bare, [f"left={few.path}"]).out.read_bytes() == first
    outcome = program.simulated(bare, [f"right={few.path}"])
    assert outcome.out.read_bytes() != first
    assert {outcome.output.names[at] for at in outcome.output.interface} == {"left"}


def test_ports_of_ones_own_names(program, few):
    """Ports and wires as written: the first port of the first wire takes what names none, and the
    scope's identity is made of these names."""
    scenario = scenario_of(("wan", ["loss: {model: gilbert, p: 30%, r: 40%}"]), seed=5).replace(
        "rules:", "ports:\n  b: {driver: sim}\n  a: {driver: sim}\nwires:\n  w: [a, b]\nrules:")
    outcome = program.simulated(scenario, [few.path])
    assert sorted(outcome.output.names) == ["a", "b"]
    lost = laws.gilbert_elliott(5, "wan", 0, laws.scope_identity("a", "b"), len(few),
                                "30%", "40%").lost
    assert outcome.output.serial().tolist() == np.flatnonzero(~lost).tolist()
    assert {outcome.output.names[at] for at in outcome.output.interface} == {"b"}


def test_equal_times_leave_in_order_of_ports(program, few, tmp_path):
    """Equal release times leave in the order (release, arrival, port, input), however the inputs
    are listed: what came in at left first, then what came in at right."""
    later = captures.udp_traffic(20, 2, spacing_ns=1_000_000, salt=4, first_serial=ANSWERS_FROM,
                                 backwards=True).capture
    later.time_ns = few.capture.time_ns
    captures.write_pcap(tmp_path / "later.pcap", later)
    inputs = [f"right={tmp_path / 'later.pcap'}", f"left={few.path}"]
    for impairment in ("delay: 5ms", "loss: 0%"):
        output = program.simulated(scenario_of(("wan", [impairment]), seed=1), inputs).output
        serial = output.serial()
        assert serial[0::2].tolist() == list(range(20))
        assert serial[1::2].tolist() == list(range(ANSWERS_FROM, ANSWERS_FROM + 20))


def test_two_inputs_of_one_port(program, some, tmp_path):
    """--in may be repeated, also for one port: two halves give the bytes of the whole."""
    scenario = scenario_of(("wan", ["loss: 10%", "delay: 1ms"]), seed=SEED)
    whole = program.simulated(scenario, [some.path]).out.read_bytes()
    odd = np.arange(len(some)) % 2 == 1
    times = some.capture.time_ns
    equal = np.concatenate(([False], times[1:] == times[:-1]))
    odd[np.flatnonzero(equal)] = odd[np.flatnonzero(equal) - 1]  # equal times stay in one file
    for name, mask in (("odd", odd), ("even", ~odd)):
        captures.write_pcap(tmp_path / f"{name}.pcap", some.capture.take(mask))
    halves = [tmp_path / "odd.pcap", tmp_path / "even.pcap"]
    assert program.simulated(scenario, halves).out.read_bytes() == whole


def test_unknown_port_is_a_usage_error(program, few):
    """`--in nowhere=FILE` is exit 2, naming the port and those there are."""
    outcome = program.simulate(scenario_of(("wan", ["loss: 1%"])), [f"nowhere={few.path}"])
    assert outcome.status == 2, outcome.text()
    for word in ("nowhere", "left", "right"):
        assert word in outcome.stdout + outcome.stderr, outcome.text()
