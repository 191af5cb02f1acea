"""What scripts/bench measures: rows in groups. A row's ratio is to the row named as its base, of the
same round."""

import dataclasses
from pathlib import Path
from typing import Callable, Optional

from programs import Bench

PORTS = """version: 1
name: bench
seed: 1
ports:
  left: {driver: "null", size: 64B%s}
  right: {driver: "null", size: 64B%s}
wires:
  lab: [left, right]
"""
NULL = PORTS % ("", "")
TWO_QUEUES = PORTS % (", queues: 2", ", queues: 2")
TWO_WIRES = NULL.replace("wires:\n", '''  up: {driver: "null", size: 64B}
  down: {driver: "null", size: 64B}
wires:
  other: [up, down]
''')
TWO_WORKERS = "workers: {cores: [0, 1]}\nrules: [{name: r, impair: [delay: 10ms]}]\n"
# A rule beside the one under test that no packet meets.
OTHER = "{name: other, match: {proto: tcp, dport: 9}, impair: [loss: 1%]}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table. `run(bench)` gives "pps" (or what `of` names) and how quiet it was."""

    name: str
    run: Callable[[Bench], dict]
    base: Optional[str] = None
    goal: Optional[float] = None    # the least ratio
    label: str = ""                 # what the row is called where goals are listed
    of: str = "pps"


def null_rules(rules):
    """faultlined on null devices. A rule without `from` and `to` judges both directions."""
    return lambda bench: bench.faultlined_null(f"{NULL}rules: [{rules}]\n")


def generator(rules, *words):
    """A worker behind the generator, with a rule beside those under test."""
    text = f"version: 1\nrules: [{OTHER}{', ' if rules else ''}{rules}]\n"
    return lambda bench: bench.generator(text, *words)


def raw(*words):
    """The generator alone."""
    return lambda bench: bench.generator(None, *words)


def many_rules(count):
    """Rules of ports that no packet has."""
    return ", ".join(f"{{name: r{number}, match: {{proto: udp, dport: {10_000 + number}}}, "
                     f"impair: [loss: 1%]}}" for number in range(count))


DELAY = "{name: r, from: left, impair: [delay: 10ms]}"
LOSSY = "{name: r, from: left, impair: [{loss: 1%}, {delay: 10ms}]}"
OWN = ("{name: r, from: left, per: flow, impair: [{loss: {model: gilbert-elliott, p: 1%, r: 50%}}, "
       "{delay: {time: {draw: \"uniform(5ms, 15ms)\", per: flow}}}]}")
BPF = "{name: r, from: left, match: {bpf: \"udp dst port 99 or host 192.0.2.7\"}, impair: [loss: 1%]}"
MILLION = ("--flows", 1_000_000, "--warm-up", 1.5)

NULL_ROWS = (
    Row("testpmd io", Bench.testpmd_null),
    Row("pass-through", lambda bench: bench.faultlined_null(NULL), "testpmd io", 0.50, "T1"),
    Row("no match", null_rules("{name: r, match: {proto: tcp}, impair: [delay: 10ms]}"),
        "testpmd io"),
    Row("10 ms", null_rules("{name: r, impair: [delay: 10ms]}"), "testpmd io", 0.38, "T2"),
    Row("10 ms + 1 %, by arrival",
        null_rules("{name: r, draw: arrival, impair: [{loss: 1%}, {delay: 10ms}]}"),
        "testpmd io", 0.36, "T3"),
    Row("10 ms + 1 %", null_rules("{name: r, impair: [{loss: 1%}, {delay: 10ms}]}"),
        "testpmd io", 0.28, "T3f"),
    Row("5 to 15 ms, overtaking",
        null_rules("{name: r, impair: [delay: {time: 10ms, jitter: 5ms, distribution: uniform, "
                   "order: free}]}"), "testpmd io", 0.17, "T5"),
)
QUICK = ("testpmd io", "pass-through", "no match", "10 ms", "10 ms + 1 %")
FLIGHT_ROWS = (
    Row("10 ms, 1 k in flight", null_rules("{name: r, impair: [delay: 50us]}")),
    Row("10 ms, 800 k in flight", null_rules("{name: r, impair: [delay: 38ms]}"),
        "10 ms, 1 k in flight", 0.85, "T6"),
)
GENERATOR_ROWS = (
    Row("raw loop", raw()),
    Row("raw loop, 1 M flows", raw(*MILLION)),
    Row("pass-through, 65,536 flows", generator(""), "raw loop", 0.30, "T1g"),
    Row("10 ms, 65,536 flows", generator(DELAY), "raw loop", 0.22, "T2g"),
    Row("10 ms + 1 %, 65,536 flows", generator(LOSSY), "raw loop", 0.21, "T3g"),
    Row("each its own, 65,536 flows", generator(OWN), "raw loop", 0.19, "T4"),
    Row("each its own, 1 M flows", generator(OWN, *MILLION), "raw loop, 1 M flows", 0.12, "T4"),
)
CAPTURES = ("--captures", Path(__file__).parents[1] / "captures")
MIX_ROWS = (
    Row("raw loop, IMIX", raw("--size", "imix")),
    Row("raw loop, 1,518 B", raw("--size", 1518)),
    Row("raw loop, captures", raw(*CAPTURES)),
    Row("10 ms, captures", generator(DELAY, *CAPTURES), "raw loop, captures"),
    Row("10 ms, IMIX", generator(DELAY, "--size", "imix"), "raw loop, IMIX"),
    Row("10 ms, 1,518 B", generator(DELAY, "--size", 1518), "raw loop, 1,518 B"),
    Row("100 rules", generator(many_rules(100)), "raw loop"),
    Row("1,000 rules", generator(many_rules(1_000)), "raw loop"),
    Row("bpf rule", generator(BPF), "raw loop"),
    Row("10 ms, 0.1 % new flows", generator(DELAY, "--fresh", 0.001), "raw loop"),
)
WORKER_ROWS = (
    Row("10 ms, one worker", null_rules("{name: r, impair: [delay: 10ms]}")),
    Row("10 ms, two workers, two wires",
        lambda bench: bench.faultlined_null(TWO_WIRES + TWO_WORKERS), "10 ms, one worker", 1.8,
        "T8"),
    # All frames of null devices are of one flow, which belongs to one of the two.
    Row("10 ms, two workers, one flow",
        lambda bench: bench.faultlined_null(TWO_QUEUES + TWO_WORKERS), "10 ms, one worker"),
)
DELAY_NS = ("--delay-ns", 10_000_000)
BOTH_10_MS = "rules: [{name: r, impair: [delay: 10ms]}]\n"
MEMIF_ROWS = (
    Row("testpmd io, memif", lambda bench: bench.testpmd_memif()),
    Row("10 ms, memif", lambda bench: bench.faultlined_memif(BOTH_10_MS, *DELAY_NS),
        "testpmd io, memif", 0.90, "T7"),
)


def accuracy(rate, seconds=2):
    """Latencies at a rate beyond what was asked for: testpmd's of none, faultline's of 10 ms."""
    words = ("--rate", rate, "--seconds", seconds)
    return (Row(f"testpmd io, {rate:,} pps", lambda bench: bench.testpmd_memif(*words)),
            Row(f"10 ms, {rate:,} pps",
                lambda bench: bench.faultlined_memif(BOTH_10_MS, *DELAY_NS, *words)))


ACCURACY_ROWS = accuracy(100_000) + accuracy(1_000_000, 10)


def fill(packets, size, rules, *words):
    """Memory that the process took while it got so many packets."""
    return lambda bench: bench.generator(f"version: 1\nrules: [{rules}]\n", "--fill", packets,
                                         "--size", size, *words)


LONG_DELAY = "{name: r, from: left, impair: [delay: 10m]}"
MEMORY_ROWS = (
    Row("1 M held, 64 B", fill(1_000_000, 64, LONG_DELAY), of="bytes", label="M1"),
    Row("100 Gbit/s x 100 ms of 64 B", fill(14_880_952, 64, LONG_DELAY, "--hold", 4_096),
        of="bytes", label="M2"),
    Row("100 Gbit/s x 100 ms of 1,518 B", fill(812_744, 1518, LONG_DELAY, "--hold", 4_096),
        of="bytes", label="M2"),
    Row("4 M flows", fill(4_000_000, 64, OWN.replace("5ms, 15ms", "1us, 2us"), "--flows", 4_000_000),
        of="all_bytes", label="M3"),
)


def journaled(rules):
    """Two workers in turns in one program, one of them with a journal: the share of the rate kept."""
    def run(bench):
        path = Path(bench.folder) / "journal.bin"
        try:
            return generator(rules, "--journal", path, "--seconds", 3)(bench)
        finally:
            path.unlink(missing_ok=True)
    return run


JOURNAL_ROWS = (
    Row("journal, 10 ms, every packet hit", journaled(DELAY), of="kept", label="J1"),
    # 640 of the 65,536 flows.
    Row("journal, 10 ms, 1 % of flows", journaled(DELAY.replace(
        "impair", "match: {src: [10.0.0.0/23, 10.0.2.0/25]}, impair")), of="kept", label="J2"),
    Row("journal, loss of 1 %", journaled("{name: r, from: left, impair: [loss: 1%]}"), of="kept"),
    Row("journal, nothing hit", journaled(""), of="kept"),
)
GROUPS = {"null": NULL_ROWS, "flight": FLIGHT_ROWS, "generator": GENERATOR_ROWS, "mixes": MIX_ROWS,
          "workers": WORKER_ROWS, "memif": MEMIF_ROWS, "accuracy": ACCURACY_ROWS,
          "memory": MEMORY_ROWS, "journal": JOURNAL_ROWS}
