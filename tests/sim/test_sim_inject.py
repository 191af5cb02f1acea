"""inject: frames of one's own, at their instants, whatever packets, bursts and policies do."""

import json

import pytest

from model import captures

ZERO = captures.FIRST_NS
US, MS = 10**3, 10**6
ARP = bytes.fromhex("ffffffffffff020000000009080600010800060400010200000000"
                    "09c0000209000000000000c0000209")
SHORT = bytes.fromhex("0200000000010200000000020bad")
HEAD = """version: 1
seed: 1
ports: {left: {driver: "null"}, right: {driver: "null"}}
wires: {lab: [left, right]}
rules:
"""


def scenario(*injects, head="  - name: own\n    to: right\n", tail=""):
    return HEAD + head + "    impair:\n" + "".join(f"      - inject: {{{each}}}\n" for each in injects) + tail


@pytest.fixture(scope="module")
def traffic(make_input):
    """Ten packets, 1 ms apart, that are told from what is injected by their length."""
    traffic = captures.udp_traffic(10, 1)
    traffic.capture.time_ns[:] = [ZERO + at * MS for at in range(10)]
    return make_input("sparse", traffic)


def run(program, text, traffic, *options):
    outcome = program.simulated(text, [f"left={traffic.path}"], *options)
    assert outcome.stats["ledger"]["balanced"]
    return outcome


def own(outcome, traffic):
    """(port, ns since time zero, frame) of what was injected; what was not is all there."""
    output, originals = outcome.output, {traffic.capture.frame(i) for i in range(len(traffic.capture))}
    frames = [(output.names[output.interface[i]], int(output.time_ns[i]) - ZERO,
               output.frame(i)) for i in range(len(output))]
    mine = [each for each in frames if each[2] not in originals]
    assert len(frames) - len(mine) == len(traffic.capture)
    assert [each[1] for each in frames] == sorted(each[1] for each in frames)
    assert outcome.stats["ledger"]["injected"] == len(mine)
    return mine


@pytest.mark.parametrize("burst", [1, 32])
def test_rounds_at_their_instants(program, traffic, burst):
    """Once, periodically with an end behind the last packet, and without one: as long as anything else is
    to come."""
    text = scenario(f"hex: {ARP.hex()}, at: 2500001ns", f"hex: {SHORT.hex()}, every: 3ms, count: 5",
                    f"hex: {SHORT.hex()}ff, at: 300us, every: 2ms")
    outcome = run(program, text, traffic, "--burst", burst)
    expected = [("right", 2_500_001, ARP)]
    expected += [("right", at * 3 * MS, SHORT) for at in range(5)]
    expected += [("right", 300 * US + at * 2 * MS, SHORT + b"\xff") for at in range(6)]
    found = own(outcome, traffic)
    assert found == sorted(expected, key=lambda each: each[1])
    assert outcome.stats["rules"]["own"]["injected"] == len(found)


@pytest.mark.parametrize("burst", [1, 32])
def test_a_capture_keeps_its_gaps(program, traffic, burst):
    """Frames of a round are as far apart as they were captured, those of one instant in order."""
    gaps = [0, 0, 1, 700_000, 700_000, 1_500_007]
    frames = [SHORT + bytes([at] * (1 + 300 * at)) for at in range(len(gaps))]
    captures.write_pcap(program.folder / "own.pcap",
                        captures.from_frames(frames, [10**18 + gap for gap in gaps]))
    outcome = run(program, scenario("pcap: own.pcap, at: 1ms, every: 2ms, count: 3"), traffic,
                  "--burst", burst)
    assert own(outcome, traffic) == [("right", MS + turn * 2 * MS + gap, frame)
                                     for turn in range(3) for gap, frame in zip(gaps, frames)]


def test_both_directions_without_to(program, traffic):
    """A rule of both directions sends in both, one that names a port of `to` there only."""
    both = run(program, scenario(f"hex: {ARP.hex()}", head="  - name: own\n"), traffic)
    assert sorted(own(both, traffic)) == [("left", 0, ARP), ("right", 0, ARP)]
    one = run(program, scenario(f"hex: {ARP.hex()}, to: left", head="  - name: own\n"), traffic)
    assert own(one, traffic) == [("left", 0, ARP)]


@pytest.mark.parametrize("burst", [1, 7, 32])
def test_times_count_from_when_the_rule_begins(program, traffic, burst):
    """Enabled by a timeline, ended by it, and enabled again: the rounds begin anew each time. At the
    very instant of the end nothing leaves any more."""
    text = scenario(f"hex: {ARP.hex()}, at: 100us, every: 500us",
                    head="  - name: own\n    to: right\n    enabled: false\n", tail="""timeline:
  - {at: 1ms, for: 1600us, rule: own, enable: true}
  - {at: 5ms, for: 1ms, rule: own, enable: true}
""")
    outcome = run(program, text, traffic, "--burst", burst)
    starts = [1_100, 1_600, 2_100, 5_100, 5_600]
    assert own(outcome, traffic) == [("right", at * US, ARP) for at in starts]


def test_a_changed_schedule_goes_on_at_its_own_instants(program, traffic):
    """`set` on a running rule: what was due before is left out, what is to come is not begun anew."""
    text = scenario(f"hex: {ARP.hex()}, every: 1ms", tail=f"""timeline:
  - {{at: 2500us, rule: own, set: {{inject: {{hex: {SHORT.hex()}, every: 400us, count: 10}}}}}}
""")
    found = own(run(program, text, traffic), traffic)
    assert found == [("right", at * MS, ARP) for at in range(3)] + [
        ("right", at * 400 * US, SHORT) for at in (7, 8, 9)]


def test_a_ttl_ends_it(program, traffic):
    text = scenario(f"hex: {ARP.hex()}, every: 1ms",
                    head="  - name: own\n    to: right\n    ttl: 3ms\n")
    assert [each[1] for each in own(run(program, text, traffic), traffic)] == [0, MS, 2 * MS]


def test_nothing_befalls_own_frames(program, traffic):
    """Rules and queues are for packets."""
    text = scenario(f"hex: {ARP.hex()}, every: 1ms, count: 3", tail="""      - loss: all
""")
    outcome = program.simulated(text, [f"left={traffic.path}"])
    ledger = outcome.stats["ledger"]
    assert (ledger["injected"], ledger["sent"], ledger["dropped"]["loss"]) == (3, 3, 10)


def test_they_are_told_of(program, traffic):
    """In comments and in the journal, as what they are."""
    outcome = run(program, scenario(f"hex: {ARP.hex()}, at: 5ms"), traffic, "--journal", "journal",
                  "--annotate", "all")
    output = outcome.output
    told = [output.comment(at) for at in range(len(output)) if output.frame(at) == ARP]
    assert told == [["rule=own impairment=inject injected"]]
    lines = [json.loads(line) for line in (program.folder / "journal").read_text().splitlines()]
    assert [(line["action"], line["rule"], line["release_ns"] - ZERO) for line in lines] == [
        ("inject", "own", 5 * MS)]


@pytest.mark.parametrize("inject, words", [
    ("hex: 00, to: right", "a frame of 1 bytes"),
    (f"hex: {ARP.hex()}, to: left", "no packet of rule 'own' goes to port 'left'; right"),
    (f"hex: {ARP.hex()}, to: middle", "no packet of rule 'own' goes to port 'middle'; right"),
    ("pcap: none.pcap", "'none.pcap'"),
    ("pcap: scenario.yaml", "'scenario.yaml'"),
])
def test_wrong_ones_are_named(program, traffic, inject, words):
    outcome = program.simulate(scenario(inject), [f"left={traffic.path}"])
    assert outcome.status == 1 and words in outcome.stderr and "scenario.yaml:9:" in outcome.stderr


def test_many_paths_are_counted(program, traffic):
    text = scenario(*[f"hex: {ARP.hex()}"] * 129, head="  - name: own\n")
    outcome = program.simulate(text, [f"left={traffic.path}"])
    assert outcome.status == 1
    assert "258 impairments inject, each path counted; at most 256" in outcome.stderr
