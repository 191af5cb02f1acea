"""`faultline simulate` as the tests use it: a scenario as text, captures in, and what came out.
Starts the real program from $FAULTLINE_BUILD (default: build/ beside tests/); judges nothing."""

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from model import captures

REPOSITORY = Path(__file__).resolve().parents[2]
TIME_LIMIT_S = 120


def find_program():
    build = Path(os.environ.get("FAULTLINE_BUILD", REPOSITORY / "build"))
    for place in (build / "faultline", build / "src" / "app" / "faultline"):
        if place.is_file():
            return place
    raise FileNotFoundError(f"no faultline in {build}; set FAULTLINE_BUILD")


def is_sanitized():
    """Whether the program was built with the address sanitizer, whose memory is not the program's."""
    return b"__asan_init" in find_program().read_bytes()


@dataclass
class Outcome:
    status: int
    stdout: str
    stderr: str
    out: Path

    @cached_property
    def stats(self):
        return json.loads(self.stdout)

    @cached_property
    def output(self):
        return captures.read_pcapng(self.out)

    def text(self):
        return f"exit {self.status}\nstdout: {self.stdout[:2000]}\nstderr: {self.stderr[:2000]}"


class Program:
    """Runs in a folder of its own; each run's output replaces the one before unless named."""

    def __init__(self, folder):
        self.path = find_program()
        self.folder = folder

    def run(self, *arguments):
        done = subprocess.run([str(self.path), *map(str, arguments)], capture_output=True,
                              text=True, timeout=TIME_LIMIT_S, cwd=self.folder)
        return Outcome(done.returncode, done.stdout, done.stderr, None)

    def simulate(self, scenario, inputs, *options, out="out.pcapng", json_form=True):
        """scenario: its text, or a path. inputs: what stands behind each --in."""
        if isinstance(scenario, str):
            path = self.folder / "scenario.yaml"
            path.write_text(scenario)
            scenario = path
        out = self.folder / out
        arguments = [word for given in inputs for word in ("--in", given)]
        outcome = self.run("simulate", scenario, *arguments, "--out", out, *options,
                           *(["--json"] if json_form else []))
        outcome.out = out
        return outcome

    def simulated(self, *arguments, **named):
        """simulate(), which must have worked."""
        outcome = self.simulate(*arguments, **named)
        assert outcome.status == 0, outcome.text()
        return outcome


def scenario_of(*rules, seed=None, name="test"):
    """A scenario of rules given as (name, [impairments as YAML]) or (name, [...], "match")."""
    lines = ["version: 1", f"name: {name}"]
    lines += [f"seed: {seed}"] if seed is not None else []
    lines += ["rules:"]
    for rule, impairments, *match in rules:
        lines += [f"  - name: {rule}"]
        lines += [f"    match: {match[0]}"] if match else []
        lines += ["    impair:"] + [f"      - {impairment}" for impairment in impairments]
    return "\n".join(lines) + "\n"
