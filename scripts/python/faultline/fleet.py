"""Several daemons at once: the same fault on all, or to each its own, and all healed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from .client import Change, Daemon
from .errors import FleetError
from .faults import Fault, What, end_block, fault, partition, pause
from .scenario import Value

Result = TypeVar("Result")
Member = Daemon | str


def in_parallel(work: Mapping[str, Callable[[], Result]]) -> tuple[dict[str, Result],
                                                                   dict[str, Exception]]:
    """Does all of it at once and to the end; what came out, and what was raised."""
    done: dict[str, Result] = {}
    errors: dict[str, Exception] = {}
    with ThreadPoolExecutor(max(1, len(work))) as pool:
        for name, future in [(name, pool.submit(one)) for name, one in work.items()]:
            try:
                done[name] = future.result()
            except Exception as error:  # each member's is told, none is lost
                errors[name] = error
    return done, errors


class FleetFault:
    """Faults on several daemons for one block: on all of them, or on none."""

    def __init__(self, faults: Mapping[str, Fault]) -> None:
        self.faults = dict(faults)

    def __getitem__(self, name: str) -> Fault:
        return self.faults[name]

    def check(self) -> None:
        """Raises FleetError when one of them is over already."""
        if errors := in_parallel({name: one.check for name, one in self.faults.items()})[1]:
            raise FleetError(errors)

    def start(self) -> None:
        """Begins on all; where one refuses, the others are ended again."""
        try:
            if errors := in_parallel({name: one.start for name, one in self.faults.items()})[1]:
                raise FleetError(errors)
        except BaseException:  # SIGINT, too
            in_parallel({name: one.stop for name, one in self.faults.items()})
            raise

    def stop(self) -> None:
        """Ends all of them."""
        if errors := in_parallel({name: one.stop for name, one in self.faults.items()})[1]:
            raise FleetError(errors)

    def __enter__(self) -> FleetFault:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 _: TracebackType | None) -> None:
        end_block(self.stop, error)


class Fleet:
    """Daemons by name: Fleet({"east": "/run/east.sock", "west": Daemon(…)}); of a list, the names
    are the sockets."""

    def __init__(self, members: Mapping[str, Member] | Iterable[Member]) -> None:
        named = dict(members) if isinstance(members, Mapping) else {
            one.socket if isinstance(one, Daemon) else one: one for one in members}
        self.daemons = {name: one if isinstance(one, Daemon) else Daemon(one)
                        for name, one in named.items()}

    def __getitem__(self, name: str) -> Daemon:
        return self.daemons[name]

    def each(self, work: Callable[[Daemon], Result]) -> dict[str, Result]:
        """Does something with every daemon at once: fleet.each(Daemon.stats). FleetError when one
        of them fails; the others are done all the same."""
        done, errors = in_parallel({name: lambda one=one: work(one)  # type: ignore[misc]
                                    for name, one in self.daemons.items()})
        if errors:
            raise FleetError(errors)
        return done

    def heal(self, held: str = "send") -> dict[str, Change]:
        """Ends every fault of every daemon."""
        return self.each(lambda one: one.heal(held))

    def fault(self, *what: What, on: Iterable[str] | None = None, **keys: Any) -> FleetFault:
        """The same fault on all, or on those named by `on`."""
        return FleetFault({name: fault(*what, daemon=self.daemons[name], **keys)
                           for name in (self.daemons if on is None else on)})

    def faults(self, wanted: Mapping[str, Mapping[str, Any]]) -> FleetFault:
        """To each its own: faults({"east": {"loss": "5%"}, "west": {"delay": "20ms"}})."""
        return FleetFault({name: fault(daemon=self.daemons[name], **keys)
                           for name, keys in wanted.items()})

    def partition(self, shape: str | None = None, *, on: Iterable[str] | None = None,
                  **keys: Value) -> FleetFault:
        """The same partition on all."""
        return FleetFault({name: partition(shape, daemon=self.daemons[name], **keys)
                           for name in (self.daemons if on is None else on)})

    def pause(self, node: str, *, on: Iterable[str] | None = None, **keys: Value) -> FleetFault:
        """The same pause on all."""
        return FleetFault({name: pause(node, daemon=self.daemons[name], **keys)
                           for name in (self.daemons if on is None else on)})
