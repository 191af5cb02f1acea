"""Instructions a packet stay within what was agreed (budget.json; `scripts/bench --callgrind`)."""

import json
import os
import subprocess
from pathlib import Path

import budget
import pytest

BUILD = Path(os.environ.get("FAULTLINE_BUILD", Path(__file__).resolve().parents[2] / "build"))


def reason_to_skip():
    """Counts are those of one compiler, its optimiser, and a processor with AVX2."""
    def answer(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    options = {option["name"]: option["value"] for option in json.loads(
        answer("meson", "introspect", "--buildoptions", BUILD))}
    if options["b_sanitize"] != "none" or options["optimization"] != "3":
        return "counted in an optimised build without sanitizers"
    if not (version := answer("c++", "-dumpfullversion")).startswith("12."):
        return f"counted with g++ 12, this is {version.strip()}"
    if "avx2" not in Path("/proc/cpuinfo").read_text(encoding="ascii").split():
        return "counted on a processor with AVX2"
    return None


def test_instructions_a_packet_are_within_their_budget():
    if reason := reason_to_skip():
        pytest.skip(reason)
    wanted = json.loads(budget.BUDGET.read_text(encoding="utf-8"))
    assert budget.broken(budget.measure(BUILD), wanted) == []


def test_what_leaves_its_budget_is_told():
    wanted = {"a": {"all": 100.0}, "b": {"all": 200.0}, "c": {"all": 300.0}}
    found = {"a": {"all": 102.9}, "b": {"all": 207.0}, "d": {"all": 1.0}}
    assert budget.broken(found, wanted) == [
        "b: 207.0 instructions a packet, the budget is 200.0 (+3.5%)",
        "c: not measured", "d: not in the budget"]


def test_a_dump_is_read_by_functions():
    dump = """fn=(1) faultline::Act<P>::send(rte_mbuf*)
12 5
+1 3
cfn=(2) rte_pktmbuf_free_bulk
calls=1 0
13 700
* 2
fn=(2)
20 9
"""
    assert budget.read_dump(dump) == {"faultline::Act<P>::send(rte_mbuf*)": 10,
                                      "rte_pktmbuf_free_bulk": 9}
    assert budget.stage_of("faultline::Act<P>::send(rte_mbuf*)") == "act"
    assert budget.stage_of("rte_pktmbuf_free_bulk") == "ports"
    assert budget.stage_of("faultline::(anonymous namespace)::decide(faultline::Asked&)") == (
        "impairments")


def test_the_page_tells_the_budget():
    page = (budget.BUDGET.parents[2] / "docs" / "hot-path.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()
            if line.startswith("| ")]
    header = next(row for row in rows if row[-1] == "all")
    told = {row[0]: dict(zip(header[1:], row[1:])) for row in rows[rows.index(header) + 1:]}
    wanted = json.loads(budget.BUDGET.read_text(encoding="utf-8"))
    assert told.keys() == wanted.keys()
    for name, stages in wanted.items():
        for stage in header[1:]:
            assert told[name][stage] == (f"{stages.get(stage, 0):.0f}"
                                         if stages.get(stage, 0) >= 0.5 else ""), (name, stage)
