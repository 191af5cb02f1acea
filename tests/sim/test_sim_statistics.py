"""The statistics object of `simulate --json`: its fixed shape, its law, and that
it tells what the output file shows. And the seed, when nobody gave one."""

import re

import numpy as np
import pytest

from model import laws
from program import scenario_of
from test_sim_loss import lost_of

PORT = dict.fromkeys(("rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "rx_missed", "rx_errors",
                      "rx_no_mbuf", "tx_full", "tx_errors", "tx_reordered",
                      "tx_extent_sum", "tx_extent_max"), int)
RULE = {**dict.fromkeys(("matched", "dropped", "delayed", "duplicated", "corrupted", "reordered",
                         "edited", "injected", "clamped", "unrewritable"), int),
        "loss": {"rate": float, "mean_run": float, "judged": int, "lost": int},
        "delay": dict.fromkeys(("mean_ns", "p50_ns", "p99_ns", "max_ns"), int)}
SHAPE = {
    "name": str, "seed": int, "generation": int, "uptime_ns": int,
    "ports": {"left": PORT, "right": PORT},
    "rules": {"gone": RULE, "late": RULE},
    "flows": dict.fromkeys(("active", "created", "expired", "evicted", "ghost_collisions"), int),
    "hold": dict.fromkeys(("packets", "bytes", "capacity_bytes", "peak_bytes"), int),
    "lateness": dict.fromkeys(("p50_ns", "p99_ns", "max_ns", "early"), int),
    "unparsed": int, "flushed": int,
    "ledger": {
        **dict.fromkeys(("received", "copies", "injected", "sent", "held"), int),
        "dropped": dict.fromkeys(
            ("loss", "queue", "police", "partition", "pause", "crash", "mtu", "reject", "filtered",
             "heal", "carrier", "shutdown", "overflow", "no_mbuf", "tx_full", "tx_error"), int),
        "balanced": bool},
}
DELAY_NS = 40_000_000
SCENARIO = scenario_of(("gone", ["loss: {model: gilbert-elliott, p: 1%, r: 20%}"]),
                       ("late", ["loss: 2%", "delay: 40ms"], "{dst: 10.0.1.0/24}"),
                       seed=42, name="books")


def misfits(shape, value, where="statistics"):
    """What of `shape` is missing in `value` or of another type; more keys are welcome."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is no object"]
        found = [f"{where}.{key} is missing" for key in shape if key not in value]
        return found + [problem for key in shape if key in value
                        for problem in misfits(shape[key], value[key], f"{where}.{key}")]
    numeric = (int, float) if shape is float else shape
    fits = isinstance(value, numeric) and (shape is bool or not isinstance(value, bool))
    return [] if fits else [f"{where} is {value!r}, not {shape.__name__}"]


@pytest.fixture(scope="module")
def outcome(program, some, answer):
    done = program.simulated(SCENARIO, [f"left={some.path}", f"right={answer.path}"])
    done.stats, done.output  # read now, before another run writes
    return done


@pytest.fixture(scope="module")
def stats(outcome):
    return outcome.stats


def dropped_in_all(stats):
    return sum(stats["ledger"]["dropped"].values())


def test_every_key_is_there(stats):
    """Every key of the statistics object, with its type; names are those of scenario and ports."""
    assert misfits(SHAPE, stats) == []
    assert set(stats["ports"]) == {"left", "right"} and set(stats["rules"]) == {"gone", "late"}
    assert (stats["name"], stats["seed"]) == ("books", 42)


def test_shape_check_can_fail(stats):
    """misfits() sees what is missing or of another type."""
    assert misfits({"absent": int}, stats) == ["statistics.absent is missing"]
    assert len(misfits({"name": int, "seed": str, "ledger": {"balanced": int}}, stats)) == 3


def test_the_ledger_balances(stats, some, answer):
    """received + copies + injected = sent + held + all that was dropped; nothing is held at the
    end."""
    ledger = stats["ledger"]
    assert ledger["received"] == len(some) + len(answer)
    assert (ledger["copies"], ledger["injected"], ledger["held"]) == (0, 0, 0)
    assert ledger["received"] == ledger["sent"] + dropped_in_all(stats)
    assert ledger["balanced"] is True


def test_the_ledger_agrees_with_the_output(stats, outcome):
    """`sent` are the packets in the file, and loss is the only reason anything is missing."""
    ledger = stats["ledger"]
    assert ledger["sent"] == len(outcome.output)
    assert ledger["dropped"]["loss"] == ledger["received"] - len(outcome.output) > 0
    assert dropped_in_all(stats) == ledger["dropped"]["loss"]


def test_ports_agree_with_the_files(stats, outcome, some, answer):
    """rx counts the inputs of a port, tx the packets that the output shows on its interface."""
    for name, given in (("left", some), ("right", answer)):
        port, number = stats["ports"][name], outcome.output.names.index(name)
        left_here = outcome.output.interface == number
        assert port["rx_packets"] == len(given)
        assert port["rx_bytes"] == given.capture.length.sum()
        assert port["tx_packets"] == left_here.sum() > 0
        assert port["tx_bytes"] == outcome.output.length[left_here].sum()
        for key in ("rx_missed", "rx_errors", "rx_no_mbuf", "tx_full", "tx_errors"):
            assert port[key] == 0, key


def test_rules_agree_with_the_model(stats, some, answer):
    """A rule's `matched` counts what reaches it, `dropped` what its own dice lost, and the reasons'
    counters are the sum of the rules'."""
    gone = {given: laws.gilbert_elliott(42, "gone", 0, laws.scope_identity(*ends), len(given),
                                        "1%", "20%").lost
            for given, ends in ((some, ("left", "right")), (answer, ("right", "left")))}
    late = laws.bernoulli(42, "late", 0, "2%", some.identity, some.number)
    rules = stats["rules"]
    assert rules["gone"]["matched"] == len(some) + len(answer)
    assert rules["gone"]["dropped"] == gone[some].sum() + gone[answer].sum()
    assert rules["late"]["dropped"] == (late & ~gone[some]).sum()
    assert rules["late"]["delayed"] == (~late & ~gone[some]).sum()
    assert rules["gone"]["delayed"] == 0
    assert (sum(rule["dropped"] for rule in rules.values()) ==
            stats["ledger"]["dropped"]["loss"])
    for rule in rules.values():
        for key in ("duplicated", "corrupted", "reordered", "edited", "injected", "clamped"):
            assert rule[key] == 0, key


def test_loss_rate_is_what_a_rule_lost_of_what_it_matched(stats):
    """`loss.rate` = dropped / matched, for each rule."""
    for rule in stats["rules"].values():
        assert rule["loss"]["rate"] == pytest.approx(rule["dropped"] / rule["matched"], rel=1e-6)
        assert rule["loss"]["rate"] > 0


def test_mean_run_is_that_of_the_lost_packets(program, some):
    """`loss.mean_run` of a chain on one path is the mean length of the runs it lost."""
    scenario = scenario_of(("wan", ["loss: {model: gilbert-elliott, p: 1%, r: 20%}"]), seed=3)
    outcome = program.simulated(scenario, [some.path])
    runs = laws.run_lengths(lost_of(outcome.output, some))
    mean_run = outcome.stats["rules"]["wan"]["loss"]["mean_run"]
    assert mean_run == pytest.approx(runs.mean(), rel=1e-3)


def test_delay_is_reported(stats):
    """A constant delay's mean is exact; the histogram's quantiles lie within 2 %; nothing left
    early or late."""
    delay = stats["rules"]["late"]["delay"]
    assert delay["mean_ns"] == DELAY_NS
    for key in ("p50_ns", "p99_ns", "max_ns"):
        assert delay[key] == pytest.approx(DELAY_NS, rel=0.02), key
    assert stats["lateness"]["early"] == 0 and stats["lateness"]["max_ns"] == 0


def test_flows_and_hold_are_counted(stats, some):
    """40 directed flows; an empty hold that held at its peak no less than the bytes of the packets
    in flight, and never more than its capacity."""
    assert stats["flows"]["created"] == 40
    assert (stats["flows"]["evicted"], stats["flows"]["ghost_collisions"]) == (0, 0)
    hold = stats["hold"]
    assert (hold["packets"], hold["bytes"]) == (0, 0)
    times = some.capture.time_ns
    in_flight = np.arange(len(times)) - np.searchsorted(times, times - np.uint64(DELAY_NS))
    assert hold["capacity_bytes"] >= hold["peak_bytes"] > 0.9 * in_flight.max() * 60
    assert (stats["unparsed"], stats["flushed"]) == (0, 0)


# -- the seed -------------------------------------------------------------------------------------

SEEDLESS = scenario_of(("wan", ["loss: 50%"]))
SEEDED = scenario_of(("wan", ["loss: 50%"]), seed=42)


def test_a_seed_is_drawn_and_printed(program, few):
    """With no seed in file or options one is drawn, another each time, told to people and in the
    object; given back it gives the same bytes."""
    seeds = set()
    for _ in range(3):
        outcome = program.simulated(SEEDLESS, [few.path])
        seed = outcome.stats["seed"]
        assert 0 <= seed < 1 << 64
        drawn = outcome.out.read_bytes()
        again = program.simulated(SEEDLESS, [few.path], "--seed", seed)
        assert again.out.read_bytes() == drawn and again.stats["seed"] == seed
        seeds.add(seed)
    assert len(seeds) == 3


def test_a_drawn_seed_is_told_to_people(program, few):
    """Without --json too: the seed that is printed reproduces the output."""
    outcome = program.simulated(SEEDLESS, [few.path], json_form=False)
    drawn = outcome.out.read_bytes()
    printed = re.search(r"seed\D{0,20}(\d+)", outcome.stdout + outcome.stderr)
    assert printed, outcome.text()
    again = program.simulated(SEEDLESS, [few.path], "--seed", printed[1])
    assert again.out.read_bytes() == drawn


def test_the_option_wins_over_the_file(program, few):
    """--seed N wins over the file's seed, in the object and in the fates."""
    outcome = program.simulated(SEEDED, [few.path], "--seed", 7)
    assert outcome.stats["seed"] == 7
    by_option = outcome.out.read_bytes()
    written = scenario_of(("wan", ["loss: 50%"]), seed=7)
    assert program.simulated(written, [few.path]).out.read_bytes() == by_option
    assert program.simulated(SEEDED, [few.path]).out.read_bytes() != by_option
