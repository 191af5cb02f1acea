"""Faults as blocks: `with fault(loss="5%"): …`. Rules are added on a lease of their own and taken
away at the end of the block, whatever ends it; with the process dead the lease ends them."""

from __future__ import annotations

import copy
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import ContextDecorator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from . import impair, yaml
from .client import Daemon, Json, default_daemon
from .errors import (Conflict, FaultEnded, FaultlineError, FaultMissed, NoDaemon,
                     NotFound, PreconditionFailed)
from .impair import Impairment
from .lease import PREFIX, Lease
from .scenario import Rule, Scenario, Value, rule

What = Impairment | Rule | Scenario | Mapping[str, Any] | str | os.PathLike[str]
Own = TypeVar("Own", bound="Fault")
TRIES = 50  # at a name that must be free, while others change rules
ENDINGS = (".yaml", ".yml", ".json")


class Fault(ContextDecorator):
    """Rules at work from the beginning of a block to its end; also a decorator. Made by fault(),
    partition() and pause()."""

    def __init__(self, daemon: Daemon | None, make: Callable[[Daemon], list[Rule]], *,
                 label: str = "py", lease: str | float | timedelta = "1s",
                 must_match: bool = False) -> None:
        self.daemon = daemon
        self.make = make  # at the beginning: a decorator is there before its daemon is
        self.wanted: list[Rule] = []
        self.label, self.lease_ttl, self.must_match = label, lease, must_match
        self.names: list[str] = []
        self.final: dict[str, Json] = {}  # the rules as they were at the end
        self._lease: Lease | None = None
        self._process = 0

    def _recreate_cm(self: Own) -> Own:
        """Of a decorator each call has its own."""
        return copy.copy(self)

    # ---- beginning

    def start(self) -> None:
        """Begins; the caller sees to stop(). A `with` block does both."""
        if self._lease is not None:
            raise FaultlineError("this fault is at work already")
        self.daemon = self.daemon or default_daemon()
        self._process, self.names, self.final = os.getpid(), [], {}
        self.wanted = self.make(self.daemon)
        sweep(self.daemon)
        self._lease = Lease(self.daemon, self.lease_ttl)
        try:
            self._lease.start()
            for wanted in self.wanted:
                self._put(self.daemon, replace(wanted, lease=self._lease.name, enabled=True))
        except BaseException as error:
            for trouble in self._take_away():
                if not isinstance(trouble, FaultEnded):  # it had not begun
                    error.add_note(f"faultline: {trouble}")
            raise

    def _put(self, daemon: Daemon, wanted: Rule) -> None:
        """Adds a rule under its own name, which must be free, or under one that nobody has."""
        if wanted.name is None:
            name = f"{self.label}.{secrets.token_hex(6)}"
            self.names.append(name)  # first: whatever happens now, it is taken away
            daemon.put_rule(name, replace(wanted, name=name))
            return
        for _ in range(TRIES):
            answer = daemon.request("GET", "/v1/rules")
            if any(one["name"] == wanted.name for one in answer.body["rules"]):
                raise Conflict(409, f"there is a rule '{wanted.name}' already; "
                                    f"fault('{wanted.name}') uses a copy of it")
            try:
                daemon.put_rule(wanted.name, wanted, if_match=answer.generation)
                self.names.append(wanted.name)
                return
            except PreconditionFailed:
                continue  # somebody else has changed something in between
        raise Conflict(409, f"rules change so often that '{wanted.name}' could not be added")

    # ---- in the middle

    def rules(self) -> dict[str, Json]:
        """The rules as they are now, with their counters; after the block, as they were at its
        end."""
        if self._lease is None or self.daemon is None:
            return self.final
        return {one["name"]: one for one in self.daemon.rules() if one["name"] in self.names}

    @property
    def matched(self) -> int:
        """How many packets the rules have matched."""
        return sum(int(one["matched"]) for one in self.rules().values())

    @property
    def dropped(self) -> int:
        """How many packets the rules have dropped."""
        return sum(int(one["dropped"]) for one in self.rules().values())

    def check(self) -> None:
        """Raises FaultEnded when it is over already."""
        if (why := self._why_over(self.rules())) is not None:
            raise FaultEnded(why)

    def _why_over(self, now: dict[str, Json]) -> str | None:
        """Why it is not at work any more. A rule that has a `ttl` may end by it."""
        if self._lease is not None and self._lease.lapsed is not None:
            return f"{', '.join(self.names)}: the fault had ended: {self._lease.lapsed}"
        for name, wanted in zip(self.names, self.wanted):
            if name not in now:
                return f"{name}: the fault had ended: somebody removed the rule"
            if not now[name]["active"] and not now[name]["enabled"]:
                return f"{name}: the fault had ended: somebody healed or disabled it"
            if not now[name]["active"] and not (wanted.ttl and self._is_expired(now[name])):
                return f"{name}: the fault had ended: its lease or its time is over"
        return None

    def _is_expired(self, one: Json) -> bool:
        """Whether a rule's own time is over."""
        now_ns = self.daemon.status()["uptime_ns"] if self.daemon else 0
        return one["expires_ns"] is not None and bool(one["expires_ns"] <= now_ns)

    # ---- the end

    def stop(self) -> None:
        """Ends it and takes the rules away. Then raises FaultEnded when it was over before,
        FaultMissed when it had to match and did not, or what went wrong with the daemon."""
        if self._lease is None or os.getpid() != self._process:
            return  # a forked child leaves its parent's faults alone
        for trouble in self._take_away():
            raise trouble
        if self.must_match and not any(one["matched"] for one in self.final.values()):
            raise FaultMissed(f"{', '.join(self.names)}: matched no packet")

    def _take_away(self) -> list[FaultlineError]:
        """Ends the lease first: that alone ends the fault. Returns what is wrong."""
        lease, daemon = self._lease, self.daemon
        if lease is None or daemon is None:
            return []
        lease.stop()
        troubles: list[FaultlineError] = []
        try:
            self.final = self.rules()
            if (why := self._why_over(self.final)) is not None:
                troubles.append(FaultEnded(why))
        except FaultlineError as error:
            troubles.append(error)
        self._lease = None
        daemon.history.extend(self.final.values())
        ends: list[Callable[[], object]] = [lease.end]
        ends += [partial(daemon.delete_rule, name) for name in self.names]
        for end in ends:
            try:
                end()
            except NotFound:
                pass
            except NoDaemon as error:
                troubles.append(error)
                break  # each further one would wait as long; the lease ends it
            except FaultlineError as error:
                troubles.append(error)
        return troubles

    def __enter__(self: Own) -> Own:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 _: TracebackType | None) -> None:
        end_block(self.stop, error)


def end_block(stop: Callable[[], None], error: BaseException | None) -> None:
    """Ends what a block held. When the block itself raised, that is the error to see, and what goes
    wrong now is a note to it."""
    try:
        stop()
    except FaultlineError as trouble:
        if error is None:
            raise
        error.add_note(f"faultline: {trouble}")


def sweep(daemon: Daemon) -> None:
    """Removes what killed processes have left: rules of this package that have ended with their
    lease. They harm nothing, but would be there for ever."""
    for one in daemon.rules():
        if str(one.get("lease", "")).startswith(PREFIX) and one["enabled"] and not one["active"] \
                and one.get("ttl") is None:
            try:
                daemon.delete_rule(one["name"])
            except NotFound:
                pass  # somebody else has


def fault(*what: What, daemon: Daemon | None = None, lease: str | float | timedelta = "1s",
          must_match: bool = False, only: str | Iterable[str] | None = None,
          **keys: Value) -> Fault:
    """A fault for a block. What it is:

    * impairments, as objects or keywords, with keywords of a rule: fault(loss="5%", to="right");
    * a Rule, a mapping, or YAML of a rule: fault("impair: [delay: 20ms]");
    * a Scenario or the path of one: its enabled rules, or those named by `only`;
    * the name of a rule that the daemon has: a copy of it.

    A rule without a name gets one that nobody has; dice are thrown by the name, so give `name` for
    the same packets each time. With `must_match` a fault that matched no packet is FaultMissed."""
    names = [only] if isinstance(only, str) else list(only or ())
    loose = [one for one in what if isinstance(one, Impairment)]
    others = [one for one in what if not isinstance(one, Impairment)]
    own = rule(*loose, **keys)

    def make(where: Daemon) -> list[Rule]:
        """The rules, when the daemon is there that knows some of them."""
        rules = [one for each in others for one in rules_of(each, names, where)]
        if loose or not others:
            return [*rules, own]
        changed = own.to_dict()
        if not own.impair:
            del changed["impair"]
        return [Rule.of({**one.to_dict(), **changed}) for one in rules]

    return Fault(daemon, make, lease=lease, must_match=must_match)


def rules_of(what: What, only: list[str], daemon: Daemon) -> list[Rule]:
    """The rules that are meant."""
    if isinstance(what, Rule):
        return [what]
    if isinstance(what, Mapping):
        return rules_of(Scenario.of(what), only, daemon) if "rules" in what else [Rule.of(what)]
    if isinstance(what, Scenario):
        return chosen(what, only)
    if isinstance(what, Impairment):
        return [rule(what)]
    text = os.fspath(what)
    if text.endswith(ENDINGS) and "\n" not in text:
        return chosen(Scenario.load(text), only)
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", text):
        return [copied(text, daemon)]
    read = yaml.read(text, "fault")
    if isinstance(read, dict) and "rules" in read:
        return chosen(Scenario.of(read), only)
    return [Rule.parse(text)]


def chosen(scenario: Scenario, only: list[str]) -> list[Rule]:
    """The rules of these names, else those that the scenario enables."""
    if scenario.timeline and not only:
        raise FaultlineError("a scenario with a timeline is not a fault of a block: "
                             "Daemon.put_policy(), or name its rules with `only`")
    rules = [scenario[name] for name in only] or [
        one for one in scenario.rules if one.enabled is not False]
    if not rules:
        raise FaultlineError("the scenario enables no rule; name some with `only`: "
                             + ", ".join(str(one.name) for one in scenario.rules))
    return rules


def copied(name: str, daemon: Daemon) -> Rule:
    """A rule of the daemon's, without its name."""
    for one in daemon.policy().get("rules") or ():
        if one["name"] == name:
            return replace(Rule.of(one), name=None, lease=None)
    raise NotFound(404, f"there is no rule '{name}'; of a scenario's file, the name ends in "
                        f"{' '.join(ENDINGS)}")


def partition(shape: str | None = None, *, daemon: Daemon | None = None, ttl: Value = None,
              lease: str | float | timedelta = "1s", must_match: bool = False,
              **keys: Value) -> Fault:
    """Nodes that do not hear each other: partition("one", node="n1"), partition(grudge={"n1":
    ["n2"]}). Unlike Daemon.put_partition() it is a rule of its own, so that several may be there at
    once."""
    shaped = keys if shape is None else {"shape": shape, **keys}
    cut = Rule([impair.partition(**shaped)], optional=True, ttl=ttl)
    return Fault(daemon, lambda _: [cut], label="partition", lease=lease, must_match=must_match)


def pause(node: str, *, daemon: Daemon | None = None, ttl: Value = None,
          lease: str | float | timedelta = "1s", must_match: bool = False, **keys: Value) -> Fault:
    """A node that stands still until the block ends, and comes back unaware: pause("n2",
    kind="machine", buffer="10kp")."""
    held = Rule([impair.pause(node=node, **keys)], optional=True, ttl=ttl)
    return Fault(daemon, lambda _: [held], label=f"pause.{node}", lease=lease,
                 must_match=must_match)
