"""The same seed hits the same packets: whatever the burst size, the number of workers, the other
rules and the other flows."""

import hashlib

import numpy as np
import pytest

from model import captures
from program import scenario_of

CHAIN = "loss: {model: gilbert-elliott, p: 1%, r: 20%, loss_bad: 90%, loss_good: 0.5%}"
MEMORYLESS = scenario_of(("wan", ["loss: 1%", "delay: 40ms"]), ("more", ["loss: 2%"]), seed=42)
WITH_MEMORY = scenario_of(("wan", ["delay: 3ms", CHAIN]), ("more", ["loss: 2%"]), seed=42)
SCENARIOS = {"memoryless": MEMORYLESS, "chain": WITH_MEMORY}


def digest(program, scenario, inputs, *options):
    """Of the whole output file, which must hold packets."""
    outcome = program.simulated(scenario, inputs, *options)
    assert len(outcome.output) > 0
    return hashlib.sha256(outcome.out.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def inputs(some, answer):
    return [f"left={some.path}", f"right={answer.path}"]


@pytest.fixture(scope="module")
def plain(program, inputs):
    """For each scenario the digest of a run without options."""
    return {name: digest(program, scenario, inputs) for name, scenario in SCENARIOS.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_seed_same_bytes(program, inputs, plain, name):
    """The same input and seed give the same output file; another seed gives another."""
    assert digest(program, SCENARIOS[name], inputs) == plain[name]
    assert digest(program, SCENARIOS[name], inputs, "--seed", "43") != plain[name]


@pytest.mark.parametrize("burst", (1, 8, 64))
@pytest.mark.parametrize("name", SCENARIOS)
def test_bursts_change_nothing(program, inputs, plain, name, burst):
    """`--burst N` changes no byte of the output."""
    assert digest(program, SCENARIOS[name], inputs, "--burst", burst) == plain[name]


@pytest.mark.parametrize("workers", (1, 2, 4))
@pytest.mark.parametrize("name", SCENARIOS)
def test_workers_change_nothing(program, inputs, plain, name, workers):
    """`--workers N` changes no byte of the output, neither for models without memory nor for a
    chain that one worker must own."""
    assert digest(program, SCENARIOS[name], inputs, "--workers", workers) == plain[name]


@pytest.mark.parametrize("name", SCENARIOS)
def test_workers_and_bursts_together(program, inputs, plain, name):
    """Nor do both at once."""
    options = ("--workers", 3, "--burst", 5)
    assert digest(program, SCENARIOS[name], inputs, *options) == plain[name]


# -- other rules, other flows ---------------------------------------------------------------------

STRANGER_NETWORK = 9
NOTHING = ("other", ["loss: 50%", CHAIN, "delay: 7ms"], "{proto: tcp, dst: 192.0.2.0/24}")
STRANGERS = ("other", ["loss: 50%", CHAIN, "delay: 7ms"], "{dst: 10.9.1.0/24}")
WAN = ("wan", ["loss: 1%", "delay: 40ms", "loss: 5%"])
CHAINED = ("wan", [CHAIN, "delay: 40ms"], "{src: 10.0.0.0/24, proto: udp}")


@pytest.fixture(scope="module")
def mixed(make_input, some):
    """The 20 flows with the packets of a 21st between them."""
    own = captures.udp_traffic(10_000, 1, spacing_ns=100_000, salt=5, first_serial=1 << 41,
                               network=STRANGER_NETWORK)
    capture = captures.merge([some.capture, own.capture])
    flow = np.where(capture.serial() >= 1 << 41, 20, 0)
    flow[flow == 0] = some.flow
    return make_input("mixed", captures.Traffic(capture, flow))


def fates_of_the_twenty(output, some):
    """Release time of each of the first 20 flows' packets; 0 where it was lost."""
    serial = output.serial()
    ours = serial < 1 << 41
    release = np.zeros(len(some), dtype=np.uint64)
    release[serial[ours]] = output.time_ns[ours]
    return release


@pytest.mark.parametrize("rule", (WAN, CHAINED), ids=("memoryless", "chain"))
class TestOthersChangeNothing:
    @pytest.fixture()
    def alone(self, program, some, rule):
        output = program.simulated(scenario_of(rule, seed=42), [some.path]).output
        fates = fates_of_the_twenty(output, some)
        assert 0.9 < (fates > 0).mean() < 0.99
        return fates

    @pytest.mark.parametrize("other", (NOTHING, STRANGERS), ids=("nothing", "another-flow"))
    @pytest.mark.parametrize("place", ("before", "after"))
    def test_unrelated_rule(self, program, some, mixed, rule, alone, other, place):
        """A rule that matches nothing, or another flow only, changes no other packet's fate, before
        or after the rule that does; with a 21st flow's packets mixed in or not."""
        rules = [other, rule] if place == "before" else [rule, other]
        for given in (some, mixed):
            outcome = program.simulated(scenario_of(*rules, seed=42), [given.path])
            different = fates_of_the_twenty(outcome.output, some) != alone
            assert np.flatnonzero(different).tolist() == []
            matched = outcome.stats["rules"]["other"]["matched"]
            assert (matched > 0) == (other is STRANGERS and given is mixed)

    def test_a_21st_flow(self, program, some, mixed, rule, alone):
        """Another flow's packets between them change no packet's fate: a flow has its own numbers,
        a chain counts the packets that its rule matches."""
        output = program.simulated(scenario_of(rule, seed=42), [mixed.path]).output
        assert np.flatnonzero(fates_of_the_twenty(output, some) != alone).tolist() == []
        assert (output.serial() >= 1 << 41).any(), "the 21st flow did not pass"
