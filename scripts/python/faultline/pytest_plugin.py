"""The pytest plugin: the fixture `faultline`, the marker `fault`, an artefact for each test, and a
heal behind each test that used them, whatever happened in it.

    pytest -p faultline.pytest_plugin --faultline-socket /run/faultline/faultline.sock
"""

from __future__ import annotations

import json
import os
import re
import unittest
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from .client import Daemon, socket_path, use
from .errors import FaultlineError
from .faults import fault

Hook = TypeVar("Hook", bound=Callable[..., Any])
FIXTURE = "faultline"
hook: Callable[..., Callable[[Hook], Hook]] = pytest.hookimpl  # Debian's has no types
NAME_MAX = 150


@dataclass
class Watched:
    """A test that uses a daemon: which, where its events begin, and whether all has been healed."""

    daemon: Daemon
    first_event: int
    healed: bool = False


WATCHED = pytest.StashKey[Watched]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("faultline", "faults on a real wire")
    group.addoption("--faultline-socket", metavar="PATH",
                    help="the daemon's socket; default: FAULTLINE_SOCKET, else the usual place")
    group.addoption("--faultline-require", action="store_true",
                    help="no daemon is an error, not a reason to skip")
    group.addoption("--faultline-artefacts", metavar="DIR",
                    help="statistics and events of each test that uses a daemon, in a file each")
    group.addoption("--faultline-shared", action="store_true",
                    help="others use the daemon too: end this test's own faults, do not heal all")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and the daemon of `with fault(…)` that names none."""
    config.addinivalue_line(
        "markers", "fault(*what, **keys): a fault for the time of the test, as faultline.fault() "
                   "takes it: YAML of a rule, the path of a scenario, the name of a rule, keywords")
    if config.getoption("--faultline-socket"):
        use(Daemon(socket_path(config.getoption("--faultline-socket"))))


def pytest_unconfigure() -> None:
    """Nothing of this run is left for another one in the same process."""
    use(None)


@hook(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who has the marker needs the fixture, and first: without a daemon nothing else is to
    start."""
    for item in items:
        if item.get_closest_marker("fault") is None:
            continue
        # A unittest runs by itself, where the marker would do nothing and the test would pass.
        of_unittest = isinstance(item, pytest.Function) and item.cls is not None and \
            issubclass(item.cls, unittest.TestCase)
        if not isinstance(item, pytest.Function) or of_unittest:
            raise pytest.UsageError(f"{item.nodeid}: the marker fault is for functions and methods "
                                    "of pytest; a unittest takes `with fault(…)`")
        if FIXTURE in item.fixturenames:
            item.fixturenames.remove(FIXTURE)
        item.fixturenames.insert(0, FIXTURE)


@pytest.fixture(name=FIXTURE)
def _faultline(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    """The daemon, a faultline.Daemon. Skips when there is none."""
    config = request.config
    daemon = Daemon(socket_path(config.getoption("--faultline-socket")))
    try:
        first = daemon.next_event()
    except FaultlineError as error:
        if config.getoption("--faultline-require"):
            raise
        pytest.skip(f"faultline: {error}")
    watched = Watched(daemon, first)
    request.node.stash[WATCHED] = watched
    use(daemon)
    yield daemon
    heal(watched, config)


def heal(watched: Watched, config: pytest.Config) -> None:
    """Once a test: ends every fault."""
    if not watched.healed:
        watched.healed = True
        if not config.getoption("--faultline-shared"):
            watched.daemon.heal()


@hook(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Before any fixture is taken down: what they talk to is to be whole again."""
    if (watched := item.stash.get(WATCHED, None)) is not None:
        heal(watched, item.config)


@hook(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, None]:
    """The faults of the markers are there while the test's own function runs, the outermost
    first."""
    watched = pyfuncitem.stash.get(WATCHED, None)
    markers = list(pyfuncitem.iter_markers("fault"))
    if watched is None or not markers:
        yield
        return
    own_error = None
    try:
        with ExitStack() as faults:
            for marker in reversed(markers):
                faults.enter_context(fault(*marker.args, daemon=watched.daemon, **marker.kwargs))
            outcome = yield
            own_error = outcome.excinfo[1] if outcome.excinfo else None
            if own_error is not None:
                raise own_error  # so that faults know; what they have to say is a note to it
    except BaseException as error:
        if error is not own_error:
            raise


def told(daemon: Daemon, first_event: int) -> dict[str, Any]:
    """What a daemon says about a test."""
    said: dict[str, Any] = {"socket": daemon.socket}
    try:
        said["stats"] = daemon.stats()
        said["events"] = [one.fields for one in daemon.events(first_event)]
        said["rules"] = daemon.rules()
    except FaultlineError as error:
        said["error"] = f"{type(error).__name__}: {error}"
    said["faults"] = list(daemon.history)
    return said


def section(said: dict[str, Any], path: Path | None) -> str:
    """What to read first when a test has failed."""
    lines = [f"daemon at {said['socket']}"]
    if "error" in said:
        lines.append(said["error"])
    for one in said["faults"]:
        lines.append(f"fault {one['name']}: matched {one['matched']}, dropped {one['dropped']}, "
                     f"delayed {one['delayed']}; {json.dumps(one.get('impair'))}")
    if "stats" in said:
        lines.append(f"ledger {json.dumps(said['stats']['ledger'])}")
    lines += [json.dumps(one) for one in said.get("events", ())[-20:]]
    if path is not None:
        lines.append(f"all of it: {path}")
    return "\n".join(lines)


def artefact_path(folder: str, nodeid: str) -> Path:
    """A file's name for a test, the end of the test's own."""
    return Path(folder) / (re.sub(r"[^\w.-]+", "_", nodeid)[-NAME_MAX:] + ".json")


@hook(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item,
                              call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """After the test's own function: the artefact; to a failure a section of the report."""
    outcome = yield
    report = outcome.get_result()
    watched = item.stash.get(WATCHED, None)
    if watched is None or call.when == "teardown" or (call.when == "setup" and report.passed):
        return
    said = {"test": item.nodeid, "outcome": report.outcome,
            **told(watched.daemon, watched.first_event)}
    path = None
    if folder := item.config.getoption("--faultline-artefacts"):
        path = artefact_path(folder, item.nodeid)
        os.makedirs(folder, exist_ok=True)
        path.write_text(json.dumps(said, indent=1), encoding="utf-8")
    if report.failed:
        report.sections.append(("faultline", section(said, path)))
