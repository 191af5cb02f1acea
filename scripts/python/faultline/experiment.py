"""A run from its time zero to its verdict, by the command line: `faultline run` watches it, judges
it and writes its folder; here it is an object."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from .client import socket_path
from .errors import FaultlineError
from .scenario import Scenario, duration

Json = dict[str, Any]


class RunFailed(FaultlineError):
    """The run did not begin, or was not watched to its end; `status` is that of the command."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said.strip() or f"faultline run ended with {status}")
        self.status = status


@dataclass(frozen=True)
class Run:
    """A run that is over, and its folder."""

    folder: Path
    verdict: Json

    @property
    def passed(self) -> bool:
        """Whether everything that the scenario expects holds."""
        return self.outcome == "pass"

    @property
    def outcome(self) -> str:
        """pass, fail, or invalid: the tool itself spoilt it, or it was ended too early."""
        return str(self.verdict["verdict"])

    @property
    def reasons(self) -> list[str]:
        """Why it did not pass."""
        return list(self.verdict["reasons"])

    @property
    def stats(self) -> Json:
        """The statistics object, of this run alone."""
        return dict(self._json("stats.json"))

    @property
    def events(self) -> list[Json]:
        """What happened, in order."""
        text = (self.folder / "events.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def _json(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def run(scenario: Scenario | str | os.PathLike[str], lasts: str | timedelta | None = None, *,
        command: str | None = None, out: str | os.PathLike[str] | None = None,
        seed: int | None = None, socket: str | os.PathLike[str] | None = None,
        program: str = "faultline") -> Run:
    """Runs a scenario, or a file of one, on the daemon: for so long, or as long as the command or
    the timeline lasts. A verdict of fail or invalid is a result; what could not be run raises
    RunFailed."""
    with tempfile.TemporaryDirectory(prefix="faultline-") as scratch:
        file = Path(scratch) / "scenario.yaml"
        if isinstance(scenario, Scenario):
            scenario.save(file)
        else:
            file = Path(scenario)
        folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="faultline-run-"))
        words = [program, "--socket", socket_path(socket), "run", str(file), "--out", str(folder)]
        words += [] if lasts is None else ["--duration", duration(lasts)]
        words += [] if command is None else ["--command", command]
        words += [] if seed is None else ["--seed", str(seed)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    verdict = folder / "verdict.json"
    if done.returncode not in (0, 1) or not verdict.exists():
        raise RunFailed(done.returncode, done.stderr)
    return Run(folder, json.loads(verdict.read_text(encoding="utf-8")))
