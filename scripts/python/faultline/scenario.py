"""Rules and scenarios as objects, and the JSON and YAML that the daemon and `faultline check` take.
What values are allowed is theirs to say: nothing here knows a range or a default."""

from __future__ import annotations

import json
import keyword
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from . import yaml
from .errors import FaultlineError
from .impair import Impairment

Value = Any  # text, numbers, booleans, timedeltas, impairments, and lists and mappings of them
PLAIN = re.compile(r"[A-Za-z0-9_./%+][A-Za-z0-9_./%+-]*")


def duration(time: timedelta | str) -> str:
    """A time as the daemon reads it: timedelta(seconds=1.5) is "1500000us"."""
    if isinstance(time, str):
        return time
    return f"{time // timedelta(microseconds=1)}us"


def spelled(key: str) -> str:
    """A keyword as the daemon spells it: `from_` is `from`, which Python keeps for itself."""
    bare = key.removesuffix("_")
    return bare if keyword.iskeyword(bare) or bare == "set" else key


def plain(value: Any) -> Any:
    """The JSON of a value."""
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, Impairment):
        return {value.kind: plain(value.value)}
    if isinstance(value, (Rule, Scenario)):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {spelled(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one) for one in value]
    return value


@dataclass
class Rule:
    """A rule: which packets (from_, to, match) suffer what (impair). None: not written."""

    impair: list[Impairment | Mapping[str, Any]] = field(default_factory=list)
    name: str | None = None
    from_: str | list[str] | None = None
    to: str | list[str] | None = None
    match: Mapping[str, Any] | None = None
    per: str | None = None
    draw: str | None = None
    shared: bool | None = None
    fragments: str | None = None
    final: bool | None = None
    tcp_acks: str | None = None
    in_flight: str | None = None
    enabled: bool | None = None
    optional: bool | None = None
    ttl: str | timedelta | None = None
    lease: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The rule as JSON has it, its name first."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        order = ["name", *(key for key in told if key not in ("name", "impair")), "impair"]
        written: dict[str, Any] = plain({key: told[key] for key in order if told[key] is not None})
        return written

    @classmethod
    def of(cls, keys: Mapping[str, Any]) -> Rule:
        """From a mapping as in a scenario's rules. A key that no rule has is an error."""
        known = {one.name.removesuffix("_"): one.name for one in fields(cls)}
        for key in keys:
            if key not in known:
                raise FaultlineError(f"unknown key '{key}' of a rule; {', '.join(sorted(known))}")
        return cls(**{known[key]: value for key, value in keys.items()})

    @classmethod
    def parse(cls, text: str) -> Rule:
        """From YAML or JSON: "impair: [delay: 20ms]"."""
        read = yaml.read(text, "rule")
        if isinstance(read, list) and len(read) == 1:
            read = read[0]
        if not isinstance(read, dict):
            raise FaultlineError("a rule is a mapping such as 'impair: [delay: 20ms]'")
        return cls.of(read)


RULE_KEYS = {one.name.removesuffix("_") for one in fields(Rule)}


def rule(*impair: Impairment, **keys: Value) -> Rule:
    """A rule from impairments and keywords: `rule(delay="20ms", loss="1%", from_="left")`. A
    keyword that no rule has is an impairment, in the order written; the daemon knows which there
    are."""
    made = list(impair)
    others = {}
    for key, value in keys.items():
        if spelled(key) in RULE_KEYS:
            others[spelled(key)] = value
        else:
            made.append(Impairment(spelled(key), value))
    return Rule.of({**others, "impair": [*made, *others.get("impair", ())]})


def at(time: str | timedelta, *, lasts: str | timedelta | None = None,
       **keys: Value) -> dict[str, Any]:
    """An entry of a timeline: `at("10s", lasts="5s", partition={"shape": "one", "node": "n1"})`."""
    length = {} if lasts is None else {"for": duration(lasts)}
    return {"at": duration(time), **length, **plain(keys)}


@dataclass
class Scenario:
    """A scenario of version 1. None and empty: not written."""

    name: str | None = None
    description: str | None = None
    seed: int | None = None
    model: Value = None
    use: list[Mapping[str, Any]] = field(default_factory=list)
    ports: dict[str, Any] = field(default_factory=dict)
    wires: dict[str, Any] = field(default_factory=dict)
    switches: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Any] = field(default_factory=dict)
    workers: Mapping[str, Any] | None = None
    hold: Mapping[str, Any] | None = None
    flows: Mapping[str, Any] | None = None
    rules: list[Rule] = field(default_factory=list)
    timeline: list[Mapping[str, Any]] = field(default_factory=list)
    confidence: Value = None
    lateness: Value = None
    stop_when: list[Mapping[str, Any]] = field(default_factory=list)
    capture: list[Mapping[str, Any]] = field(default_factory=list)
    expect: list[Mapping[str, Any]] = field(default_factory=list)
    version: int = 1

    def __getitem__(self, name: str) -> Rule:
        """The rule of that name."""
        for one in self.rules:
            if one.name == name:
                return one
        raise KeyError(f"no rule '{name}'; {', '.join(str(one.name) for one in self.rules)}")

    def add(self, name: str, *impair: Impairment, **keys: Value) -> Rule:
        """Adds a rule behind the others."""
        self.rules.append(rule(*impair, name=name, **keys))
        return self.rules[-1]

    def to_dict(self) -> dict[str, Any]:
        """The scenario as JSON has it."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        order = ["version", *(key for key in told if key != "version")]
        return {key: plain(told[key]) for key in order if told[key] not in (None, [], {})}

    def to_json(self) -> str:
        """As JSON, which is YAML too."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def to_yaml(self) -> str:
        """As YAML: blocks down to rules and entries, which stand on lines of their own."""
        return "\n".join(block(self.to_dict(), 0)) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it: JSON for a name that ends so, else YAML."""
        text = self.to_json() if os.fspath(path).endswith(".json") else self.to_yaml()
        Path(path).write_text(text, encoding="utf-8")

    @classmethod
    def of(cls, keys: Mapping[str, Any]) -> Scenario:
        """From a mapping as in a file."""
        known = {one.name for one in fields(cls)}
        for key in keys:
            if key not in known:
                raise FaultlineError(
                    f"unknown key '{key}' of a scenario; {', '.join(sorted(known))}")
        written: dict[str, Any] = {key: one for key, one in keys.items() if one is not None}
        written["rules"] = [Rule.of(one) for one in written.get("rules", ())]
        return cls(**written)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Scenario:
        """From a file. The files that its rules name (tables, traces, patterns) are put beside
        their names, for the daemon opens none."""
        read = yaml.read(Path(path).read_text(encoding="utf-8"), os.fspath(path))
        if not isinstance(read, dict):
            raise FaultlineError(f"{os.fspath(path)}: a scenario is a mapping")
        for one in read.get("rules") or ():
            put_files_in(one, Path(path).parent)
        return cls.of(read)


def put_files_in(written: Mapping[str, Any], folder: Path) -> None:
    """Reads what `file`, `trace` and `patterns` of a rule name into `contents`."""
    for impairment in written.get("impair") or ():
        for kind, value in impairment.items() if isinstance(impairment, dict) else ():
            if kind == "inject" and isinstance(value, dict) and "pcap" in value and \
                    "contents" not in value:
                raise FaultlineError("captures are put in by `faultline apply` only; here an "
                                     "inject takes hex, forge or contents")
            put_file_in(value, ("file", "trace"), folder)
    for value in payloads(written.get("match")):
        put_file_in(value, ("patterns",), folder)


def payloads(match: Any) -> Iterator[Any]:
    """The values of `payload`, wherever they stand in a match."""
    for one in match if isinstance(match, list) else ():
        yield from payloads(one)
    for key, value in match.items() if isinstance(match, dict) else ():
        yield from [value] if key == "payload" else payloads(value)


def put_file_in(value: Any, keys: tuple[str, ...], folder: Path) -> None:
    """Reads the file that one of these keys names."""
    if isinstance(value, dict) and "contents" not in value:
        for key in keys:
            if isinstance(value.get(key), str):
                value["contents"] = (folder / value[key]).read_text(encoding="utf-8")
                return


def flow(value: Any) -> str:
    """YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar, quoted unless it is plainly safe."""
    if isinstance(value, str) and PLAIN.fullmatch(value) and value not in ("null", "true", "false"):
        return value
    return json.dumps(value)


def block(value: dict[str, Any], depth: int) -> list[str]:
    """Lines of a mapping."""
    lines = []
    for key, one in value.items():
        if isinstance(one, dict) and one and depth < 1:
            lines += [f"{'  ' * depth}{scalar(key)}:", *block(one, depth + 1)]
        elif isinstance(one, list) and one and isinstance(one[0], dict):
            lines += [f"{'  ' * depth}{scalar(key)}:"]
            lines += [f"{'  ' * (depth + 1)}- {flow(each)}" for each in one]
        else:
            lines.append(f"{'  ' * depth}{scalar(key)}: {flow(one)}")
    return lines
