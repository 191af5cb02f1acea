"""Instructions a packet, by stage, counted by callgrind on a fixed input, and the budget for them.

Counts do not depend on how busy a machine is, only on the code, the compiler, the libraries and which
instructions the processor has, so the budget is checked in and a row that left it by more than 3 % is
seen at once.
"""

import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BUDGET = Path(__file__).with_name("budget.json")
TOLERANCE = 0.03
# The first pattern that a function's name has says which stage it belongs to.
STAGES = (
    ("worker", r"faultline::Worker<"),
    ("act", r"faultline::Act<"),
    ("ports", r"faultline::(GeneratorPort|budget_window|free_mbufs)|rte_pktmbuf|rte_mempool|MbufStock"),
    ("parse", r"parse_|FrameView|frame_fields|flow_identity"),
    ("flows", r"FlowTable|BucketTable|ConnectionTable|FragmentTable|ScopeTable"),
    ("dice", r"Dice|philox|make_abreast|QuantileTable|GaussianTable"),
    ("hold", r"Hold|ReleaseWheel|PacketStore|WakeHeap|ServedPool"),
    ("decide", r"faultline::(Decide|PlanCache)::"),
    ("impairments", r"faultline::"),
)
OTHER = "libraries"


def stage_of(function):
    """Where a function belongs, by its name without arguments."""
    name = function.replace("(anonymous namespace)::", "").split("(")[0]
    return next((stage for stage, pattern in STAGES if re.search(pattern, name)), OTHER)


def read_dump(text):
    """{function: instructions of its own} of one callgrind dump."""
    names, costs = {}, collections.Counter()
    function, skips = None, False
    for line in text.splitlines():
        if match := re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line):
            if match[3]:
                names[match[2]] = match[3]
            if match[1] == "fn":
                function = names[match[2]]
        elif line.startswith("calls="):
            skips = True    # what the function called took; it has lines of its own
        elif re.match(r"[+\-*\d]", line):
            if not skips and function:
                costs[function] += int(line.split()[1])
            skips = False
    return costs


def measure(build):
    """{row: {stage: instructions a packet}}, with "all" for their sum."""
    program = Path(build) / "tests" / "bench" / "budget_bench"
    names = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(pool.map(lambda row: (row, measure_row(program, row)), names.splitlines()))


def measure_row(program, row):
    """{stage: instructions a packet} of one row."""
    with tempfile.TemporaryDirectory(prefix="faultline-budget-") as folder:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=faultline::budget_window*", f"--callgrind-out-file={folder}/out",
             program, row], capture_output=True, text=True, check=False, timeout=600)
        if run.returncode != 0:
            sys.exit(f"bench: error: callgrind: {row}: {run.stderr[-2000:]}")
        packets = int(run.stdout)
        stages = collections.Counter()
        text = Path(f"{folder}/out").read_text(encoding="utf-8", errors="replace")
        for function, cost in read_dump(text).items():
            stages[stage_of(function)] += cost
    found = {stage: round(cost / packets, 1) for stage, cost in stages.items()
             if cost / packets >= 0.05}
    return {**found, "all": round(sum(stages.values()) / packets, 1)}


def broken(found, wanted):
    """What is out of its budget, in words."""
    words = []
    for row in sorted(found.keys() | wanted.keys()):
        if row not in found or row not in wanted:
            words.append(f"{row}: {'not in the budget' if row in found else 'not measured'}")
            continue
        have, may = found[row]["all"], wanted[row]["all"]
        if abs(have / may - 1) > TOLERANCE:
            words.append(f"{row}: {have} instructions a packet, the budget is {may} "
                         f"({have / may - 1:+.1%})")
    return words


def print_table(found, wanted):
    """For people."""
    stages = [stage for stage, _ in STAGES] + [OTHER, "all"]
    print(f"{'instructions a packet':<28}" + "".join(f"{stage:>12}" for stage in stages)
          + f"{'budget':>9}")
    for row, have in found.items():
        print(f"{row:<28}" + "".join(f"{have.get(stage, 0):>12.1f}" for stage in stages)
              + f"{wanted.get(row, {}).get('all', 0):>9.1f}")


def main(build, write=False, as_json=False):
    """Measures, prints, compares; the exit status."""
    found = measure(build)
    if write:
        BUDGET.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    wanted = json.loads(BUDGET.read_text(encoding="utf-8")) if BUDGET.exists() else {}
    if as_json:
        print(json.dumps(found))
    else:
        print_table(found, wanted)
    words = broken(found, wanted)
    for word in words:
        print(f"out of budget: {word}", file=sys.stderr)
    return 1 if words else 0
