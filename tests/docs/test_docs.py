"""Pages are true: their scenarios pass `faultline check`, their links and names exist."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAULTLINE_BUILD", REPOSITORY / "build"))
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
EXAMPLES = [(page, block) for page in PAGES
            for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"),
                                    re.DOTALL | re.MULTILINE)]
CONFIGS = sorted(REPOSITORY.glob("configs/*.yaml"))
COUNTERS = {"matched", "dropped", "delayed", "clamped", "undecided", "unparsed", "flushed",
            "lateness", "overflow", "tx_error"}


def check(path):
    """`faultline check`, its exit status and messages."""
    ended = subprocess.run([BUILD / "faultline", "check", path], capture_output=True, text=True,
                           check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("page,block", EXAMPLES,
                         ids=[f"{page.name}-{index}" for index, (page, _) in enumerate(EXAMPLES)])
def test_examples_are_accepted(page, block, tmp_path):
    """Each scenario of a page is one that check accepts."""
    path = tmp_path / f"{page.stem}.yaml"
    path.write_text(block, encoding="utf-8")
    assert check(path)[0] == 0, check(path)[1]


def test_the_commands_of_simulate_work(tmp_path):
    """docs/simulate.md from top to bottom: its scenario, then each command in a shell."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from model import captures
    text = (REPOSITORY / "docs/simulate.md").read_text(encoding="utf-8")
    (tmp_path / "wan.yaml").write_text(re.search(r"^```yaml\n(.*?)^```", text, re.M | re.S)[1])
    there = captures.udp_traffic(200, 2, spacing_ns=1_000_000).capture
    back = captures.udp_traffic(200, 2, spacing_ns=1_000_000, salt=2, backwards=True).capture
    for name, capture in (("there", there), ("back", back),
                          ("both", captures.merge([there, back]))):
        captures.write_pcap(tmp_path / f"{name}.pcap", capture)
    commands = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
                for line in block.splitlines()]
    assert len(commands) >= 6
    environment = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    written = {}
    for command in commands:
        ended = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment,
                               capture_output=True, text=True, check=False)
        assert ended.returncode == 0 and "warning" not in ended.stderr, (command, ended.stderr)
        out = re.search(r"(?:--out|>) (\w+\.pcapng)", command)[1]
        written.setdefault(out, []).append((tmp_path / out).read_bytes())
    assert (tmp_path / "lost.pcapng").stat().st_size > 0 < (tmp_path / "wan.jsonl").stat().st_size
    assert all(len(set(same)) == 1 for same in written.values())  # two ways to the same bytes
    assert written["two.pcapng"] == written["split.pcapng"][:1]


def test_every_impairment_has_an_example():
    """docs/faults has a page with a scenario for each word of the build's list."""
    words = re.search(r"^impairments = \[(.*?)\]", (REPOSITORY / "src/impair/meson.build").read_text(),
                      re.MULTILINE | re.DOTALL).group(1)
    with_example = {page.stem for page, _ in EXAMPLES}
    listed = set(re.findall(r"'(\w+)'", words))
    assert listed and listed <= with_example


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configs_are_accepted(path):
    """Scenarios people start from compile."""
    assert check(path)[0] == 0, check(path)[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page):
    """Relative links and the paths named in backticks lead somewhere."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"`((?:src|tests|docs|scripts|drivers|configs)/[\w./-]+)`", text):
        if "WORD" not in target:
            assert (REPOSITORY / target).exists(), target


def test_the_table_of_presets_is_theirs():
    """docs/presets.md has a row for each preset, with its description and headline."""
    listed = json.loads(subprocess.run([BUILD / "faultline", "preset", "list", "--json"],
                                       capture_output=True, text=True, check=True).stdout)
    rows = [f"| `{preset['name']}` | {preset['description']} | " +
            ", ".join(f"{key} {value}" for key, value in preset["headline"].items()) + " |"
            for preset in listed["presets"]]
    text = (REPOSITORY / "docs/presets.md").read_text(encoding="utf-8")
    table = text[text.index("## All of them"):text.index("## With their faults")]
    assert re.findall(r"^\| `.*$", table, re.MULTILINE) == rows
    files = sorted(path.stem for path in REPOSITORY.glob("configs/presets/*.yaml"))
    assert [preset["name"] for preset in listed["presets"]] == files
    for later in re.findall(r"`(\w+)`", text[text.index("## With their faults"):]):
        assert later not in files, "it is there"


def test_counters_that_pages_name_exist():
    """A counter named in docs/faults is one the statistics have."""
    source = (REPOSITORY / "src/control/statistics.cpp").read_text() + \
        (REPOSITORY / "src/impair/burst.hpp").read_text()
    for counter in COUNTERS:
        assert f'"{counter}"' in source, counter


def test_the_readme_begins_with_the_two_commands():
    """A newcomer sees how to start first."""
    lines = [line.strip() for line in (REPOSITORY / "README.md").read_text().splitlines()
             if line.strip()]
    assert lines[1].startswith("./scripts/demo") and lines[2].startswith("./scripts/test")
