"""The journal as the daemon writes it says what the journal of lines says, and what it says of a file
that was cut short or damaged. The lines come from the trails of packets, which know nothing of rings
and records."""

import json
import random

import pytest

from golden.models import CATALOGUE, MODELS, scenario
from model import captures
from model.compositions import Composition
from model.mixed import Maker
from program import scenario_of

COMPOSITIONS = 24
TOUCHED = scenario_of(("thin", ["loss: 10%"], "{sport: 10000-10009}"),
                      ("wan", ["delay: {time: 40ms, jitter: 3ms, order: free}"],
                       "{sport: 10005-10019}"), seed=5)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """10,000 packets of 20 flows, 10 us apart, of fixed ECN."""
    capture = captures.udp_traffic(10_000, spacing_ns=10_000, salt=31).capture
    capture.bytes_[:, 15] = capture.bytes_[:, 29] % 3
    path = tmp_path_factory.mktemp("journal") / "fixed.pcap"
    captures.write_pcap(path, capture)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """3,000 frames of every shape, 20 us apart."""
    frames = Maker(77, strange=0.02).frames(3_000)
    path = tmp_path_factory.mktemp("journal") / "mixed.pcap"
    captures.write_pcap(path, captures.from_frames(
        frames, [captures.FIRST_NS + 20_000 * at for at in range(len(frames))]))
    return path


def decoded(program, *words):
    """`faultline journal`, which must have worked, as sorted lines."""
    outcome = program.run("journal", *words, "--json")
    assert outcome.status == 0, outcome.text()
    return sorted(outcome.stdout.splitlines())


def both(program, text, inputs, *options):
    """Lines written by simulate and those decoded, sorted; None where the scenario is refused."""
    outcome = program.simulate(text, inputs, *options, "--journal", "journal.jsonl")
    if outcome.status == 1:
        return None
    program.simulated(text, inputs, *options, "--journal", "journal.bin")
    lines = (program.folder / "journal.jsonl").read_text().splitlines()
    return sorted(lines), decoded(program, "journal.bin")


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.long if number % 6 else ())
    for number, name in enumerate([*MODELS, *CATALOGUE])])
def test_both_journals_say_the_same(program, fixed, mixed, name):
    wanted, found = both(program, scenario(name, "rule"), [fixed if name in MODELS else mixed])
    assert found == wanted


@pytest.mark.parametrize("options", [("--burst", "1"), ("--burst", "64"), ("--workers", "4")])
@pytest.mark.parametrize("name", ["bernoulli", "free-normal", "rate-queue", "duplicate", "replay",
                                  "reject", "corrupt-every"])
def test_of_every_burst_and_worker(program, fixed, mixed, name, options):
    wanted, found = both(program, scenario(name, "flow"), [fixed if name in MODELS else mixed],
                         *options)
    assert found == wanted and found


# The one by connection, in which a flow comes by two paths, and every third of the others.
@pytest.mark.parametrize("number", [
    pytest.param(number, marks=pytest.mark.long if number % 3 and number != 19 else ())
    for number in range(COMPOSITIONS)])
def test_everything_together(program, mixed, number):
    """Both ways, rules behind rules, packets that wait in between and are copied there."""
    text = Composition(random.Random(number)).text
    said = both(program, text, [f"left={mixed}", f"right={mixed}"])
    if said is not None:
        assert said[1] == said[0]


def test_what_is_cut_off_on_its_way_was_not_sent(program, fixed):
    """Decided to be sent, dropped later: the lines know, as they are written then."""
    text = """version: 1
seed: 1
nodes: {a: {port: left}, b: {port: right}}
rules: [{name: wan, impair: [delay: 20ms]}]
timeline: [{at: 50ms, for: 20ms, in_flight: drop, partition: {shape: one, node: b}}]
"""
    wanted, found = both(program, text, [fixed])
    assert found == wanted
    cut = [line for line in map(json.loads, found)
           if line["rule"] == "wan" and line["release_ns"] is None]
    assert len(cut) > 100


def test_filters(program, fixed):
    program.simulated(TOUCHED, [fixed], "--journal", "journal.bin")
    lines = [json.loads(line) for line in decoded(program, "journal.bin")]
    for words, wanted in (
            (("--rule", "thin"), lambda line: line["rule"] == "thin"),
            (("--action", "drop"), lambda line: line["action"] == "drop"),
            (("--flow", "10.0.0.7:10007"), lambda line: "10.0.0.7:10007" in line["flow"]),
            (("--port", "right"), lambda line: True),
            (("--rule", "wan", "--flow", "10.0.0.7:"),
             lambda line: line["rule"] == "wan" and "10.0.0.7:" in line["flow"])):
        found = [json.loads(line) for line in decoded(program, "journal.bin", *words)]
        kept = [line for line in lines if wanted(line)]
        assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, kept)) and found
    assert program.run("journal", "journal.bin", "--action", "maim").status == 2
    human = program.run("journal", "journal.bin", "--rule", "thin").stdout.splitlines()
    assert len(human) == sum(line["rule"] == "thin" for line in lines)
    assert "thin/loss: drop (loss)" in human[0]


def test_digests_sum_up_flows_and_seconds(program, some):
    """Whatever bursts and workers there were; another seed is another digest."""
    told = []
    for number, options in enumerate(((), ("--burst", "1"), ("--workers", "3"), ("--seed", "6"))):
        program.simulated(TOUCHED, [some.path], *options, "--journal", f"{number}.bin")
        told.append(decoded(program, f"{number}.bin", "--digest"))
    assert told[0] == told[1] == told[2] != told[3]
    lines = [json.loads(line) for line in decoded(program, "0.bin")]
    sums = [json.loads(line) for line in told[0]]
    assert sum(each["hits"] for each in sums) == len(lines)
    assert {each["flow"] for each in sums} == {line["flow"] for line in lines}


def test_comparing_tells_dice_from_packets(program, some, make_input):
    program.simulated(TOUCHED, [some.path], "--journal", "one.bin")
    program.simulated(TOUCHED, [some.path], "--journal", "two.bin", "--burst", "7")
    program.simulated(TOUCHED, [some.path], "--seed", "6", "--journal", "dice.bin")
    other = captures.udp_traffic(100_000, spacing_ns=10_000, salt=2)
    other.capture.bytes_[5_000:6_000, 60] ^= 1
    later = make_input("other", other)
    program.simulated(TOUCHED.replace("10%", "20%"), [later.path], "--journal", "packets.bin")

    def against(path):
        outcome = program.run("journal", "one.bin", "--against", path, "--json")
        told = json.loads(outcome.stdout)
        assert outcome.status == (0 if told["same"] else 1), outcome.text()
        return told

    assert against("two.bin")["same"]
    dice = against("dice.bin")
    assert dice["packets"] == 0 and dice["first_only"] > 1000 and dice["delays"] > 1000
    packets = against("packets.bin")
    assert packets["packets"] > 20 and packets["second_only"] > 1000
    kinds = {each["kind"] for each in packets["differences"]}
    assert kinds <= {"packet", "second-only", "fate"}


def test_a_journal_that_was_cut_short(program, fixed):
    """Reads up to where it ends, and says so."""
    program.simulated(TOUCHED, [fixed], "--journal", "journal.bin")
    whole = (program.folder / "journal.bin").read_bytes()
    lines = program.run("journal", "journal.bin", "--json").stdout.splitlines()
    for kept in (len(whole) - 1, len(whole) // 2, 9):
        (program.folder / "cut.bin").write_bytes(whole[:kept])
        outcome = program.run("journal", "cut.bin", "--json")
        assert outcome.status == 0 and "was not closed: it ends with" in outcome.stderr
        told = outcome.stdout.splitlines()
        assert told == lines[:len(told)]
    assert len(told) == 0
    (program.folder / "cut.bin").write_bytes(whole[:4])
    outcome = program.run("journal", "cut.bin")
    assert outcome.status == 5 and "cut.bin: error: is no journal" in outcome.stderr
    assert program.run("journal", "nowhere.bin").status == 5


def test_a_journal_with_other_bytes_in_it(program, fixed):
    """Ends where the damage begins, and nowhere else; never in a crash."""
    program.simulated(TOUCHED, [fixed], "--journal", "journal.bin")
    whole = (program.folder / "journal.bin").read_bytes()
    dice = random.Random(3)
    for _ in range(40):
        damaged = bytearray(whole)
        at = dice.randrange(8, len(whole))
        damaged[at] ^= 1 << dice.randrange(8)
        (program.folder / "damaged.bin").write_bytes(damaged)
        outcome = program.run("journal", "damaged.bin", "--json")
        assert outcome.status in (0, 5), outcome.text()
        assert "is damaged from byte" in outcome.stderr or "was not closed" in outcome.stderr


def test_a_folder_is_its_journal(program, fixed):
    program.simulated(TOUCHED, [fixed], "--journal", "journal.bin")
    assert decoded(program, program.folder) == decoded(program, "journal.bin")


def test_hits_are_small(program, some):
    """16 bytes a hit at most where bursts are."""
    program.simulated(TOUCHED, [some.path], "--journal", "journal.bin")
    lines = decoded(program, "journal.bin")
    assert (program.folder / "journal.bin").stat().st_size <= 16 * len(lines)
