"""Impairments by name: `impair.delay("40ms", jitter="5ms")`. The first value is the one that may be
written short; keywords are the keys of the impairment's page in docs/faults, and a keyword that
Python keeps for itself gets a "_" at its end (`with_`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Value = Any


@dataclass(frozen=True)
class Impairment:
    """One kind of harm and its parameters."""

    kind: str
    value: Value


def made(kind: str, main: str, value: Value, keys: dict[str, Value]) -> Impairment:
    """Short where only the main value is given, else a mapping."""
    if not keys:
        return Impairment(kind, {} if value is None else value)
    return Impairment(kind, keys if value is None else {main: value, **keys})


def clock(**keys: Value) -> Impairment:
    """A node whose time is wrong: node, offset, drift, steps, smear, …"""
    return Impairment("clock", keys)


def corrupt(rate: Value = None, **keys: Value) -> Impairment:
    """Bytes that change on their way."""
    return made("corrupt", "rate", rate, keys)


def crash(**keys: Value) -> Impairment:
    """A node that loses its memory: node, kind, down."""
    return Impairment("crash", keys)


def delay(time: Value = None, **keys: Value) -> Impairment:
    """Later by a time, or by a law."""
    return made("delay", "time", time, keys)


def duplicate(rate: Value = None, **keys: Value) -> Impairment:
    """Copies beside the packet."""
    return made("duplicate", "rate", rate, keys)


def equivocate(**keys: Value) -> Impairment:
    """To each node other bytes: patches, checksum."""
    return Impairment("equivocate", keys)


def flap(**keys: Value) -> Impairment:
    """A link that goes down and up: port, down, up, …"""
    return Impairment("flap", keys)


def icmp_unreachable(rate: Value = None, **keys: Value) -> Impairment:
    """Dropped, and the sender is told so."""
    return made("icmp_unreachable", "rate", rate, keys)


def inject(**keys: Value) -> Impairment:
    """Frames that nobody sent: hex or forge, every, count."""
    return Impairment("inject", keys)


def link_trace(**keys: Value) -> Impairment:
    """A recorded link: file or contents, …"""
    return Impairment("link_trace", keys)


def loss(rate: Value = None, **keys: Value) -> Impairment:
    """Lost: a rate, "all", or a model."""
    return made("loss", "rate", rate, keys)


def mark_ce(rate: Value = None, **keys: Value) -> Impairment:
    """Marked as having met congestion."""
    return made("mark_ce", "rate", rate, keys)


def mtu(size: Value = None, **keys: Value) -> Impairment:
    """Too large for the tunnel."""
    return made("mtu", "size", size, keys)


def partition(**keys: Value) -> Impairment:
    """Nodes that do not hear each other: grudge or shape, node, groups, …"""
    return Impairment("partition", keys)


def pause(**keys: Value) -> Impairment:
    """A node that stands still: node, kind, buffer, release."""
    return Impairment("pause", keys)


def police(rate: Value = None, **keys: Value) -> Impairment:
    """Dropped above a rate."""
    return made("police", "rate", rate, keys)


def queue(limit: Value = None, **keys: Value) -> Impairment:
    """The queue before a rate or a slot."""
    return Impairment("queue", keys if limit is None else {"limit": limit, **keys})


def rate(rate: Value = None, **keys: Value) -> Impairment:
    """A link of so many bits per second."""
    return made("rate", "rate", rate, keys)


def reject(rate: Value = None, **keys: Value) -> Impairment:
    """Dropped and answered as by a closed port; short is `reject(True)`."""
    if isinstance(rate, bool):
        return Impairment("reject", rate)
    return Impairment("reject", keys if rate is None else {"rate": rate, **keys})


def reorder(**keys: Value) -> Impairment:
    """Out of turn: mode, rate, …"""
    return Impairment("reorder", keys)


def replay(rate: Value = None, **keys: Value) -> Impairment:
    """An old packet once more: rate, age."""
    return made("replay", "rate", rate, keys)


def set_(**keys: Value) -> Impairment:
    """Header fields with other values."""
    return Impairment("set", keys)


def slot(**keys: Value) -> Impairment:
    """Turns, as on a radio channel: min, max, packets, bytes."""
    return Impairment("slot", keys)


def stop_after(count: int) -> Impairment:
    """So many pass, no more."""
    return Impairment("stop_after", count)


def tcp(**keys: Value) -> Impairment:
    """Options, windows and resets of TCP."""
    return Impairment("tcp", keys)


def truncate(rate: Value = None, **keys: Value) -> Impairment:
    """Cut short: rate, to."""
    return made("truncate", "rate", rate, keys)


def __getattr__(kind: str) -> Callable[..., Impairment]:
    """One that is younger than this list: `impair.new_one(key=…)`, or `impair.new_one(short)`."""
    if kind.startswith("_"):
        raise AttributeError(kind)

    def youngest(value: Value = None, **keys: Value) -> Impairment:
        """Of this kind."""
        return Impairment(kind.removesuffix("_"), keys if value is None else value)

    return youngest


KINDS = {one.__name__.removesuffix("_"): one for one in (
    clock, corrupt, crash, delay, duplicate, equivocate, flap, icmp_unreachable, inject, link_trace,
    loss, mark_ce, mtu, partition, pause, police, queue, rate, reject, reorder, replay, set_, slot,
    stop_after, tcp, truncate)}
