"""Following the daemon's events: server-sent events, and a new connection behind the last event
seen when one breaks."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import FaultlineError, NoDaemon, Refused, refusal
from .transport import UnixConnection, ask, decoded, in_words

SILENCE_S = 15.0  # the daemon gives a sign of life every 5 s
AGAIN_S = 0.2     # between two tries to connect


@dataclass(frozen=True)
class Event:
    """One event: its number, its time on the daemon's clock, and its fields. Of kind "lost", some
    were forgotten before they were read; of kind "restarted", another daemon has begun from 1."""

    n: int
    t_ns: int
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)


def event_of(fields: dict[str, Any], kind: str = "") -> Event:
    """From its JSON."""
    return Event(int(fields.get("n", 0)), int(fields.get("t_ns", 0)),
                 str(fields.get("kind", kind)), fields)


def read_stream(answer: http.client.HTTPResponse) -> Iterator[Event | None]:
    """The events of one connection; None is a sign of life. Ends with the connection."""
    kind, data = "", ""
    while line := answer.readline():
        text = line.decode(errors="replace").rstrip("\r\n")
        name, _, value = text.partition(": ")
        if not text:
            yield event_of(json.loads(data), kind) if data else None
            kind, data = "", ""
        elif name == "event":
            kind = value
        elif name == "data":
            data += value


class Follower:
    """Follows the events of one daemon."""

    def __init__(self, path: str, timeout: float, start: int) -> None:
        self.path, self.timeout, self.next = path, timeout, start
        self.process: int | None = None

    def follow(self, seconds: float | None, patience: float) -> Iterator[Event]:
        """Until `seconds` are over (None: never). A daemon that is away for longer than `patience`
        is gone: NoDaemon."""
        end = None if seconds is None else time.monotonic() + seconds
        lost_since: float | None = None
        while end is None or time.monotonic() < end:
            try:
                for event in self.connection(end):
                    lost_since = None
                    if event is not None:
                        yield event
            except NoDaemon:
                now = time.monotonic()
                if end is not None and now >= end:
                    return
                lost_since = lost_since or now
                if now - lost_since > patience:
                    raise
            time.sleep(AGAIN_S)

    def connection(self, end: float | None) -> Iterator[Event | None]:
        """One connection's events."""
        if (restarted := self.look_who()) is not None:
            yield restarted
        yield None
        limit = SILENCE_S if end is None else max(0.01, min(SILENCE_S, end - time.monotonic()))
        connection = UnixConnection(self.path, limit)
        try:
            connection.request("GET", f"/v1/events?follow=1&from={self.next}",
                               headers={"Last-Event-ID": str(self.next - 1)})
            end_of_wire = connection.sock  # getresponse() lets go of it
            answer = connection.getresponse()
            if answer.status != 200:
                raise refusal(answer.status, decoded(answer.read(),
                                                     answer.headers.get("Content-Type", "")))
            for event in read_stream(answer):
                if event is not None and event.n:
                    self.next = event.n + 1
                yield event
                if end is not None and time.monotonic() >= end:
                    return
                if end is not None and end_of_wire is not None:
                    end_of_wire.settimeout(max(0.01, min(SILENCE_S, end - time.monotonic())))
        except (OSError, http.client.HTTPException) as error:
            raise in_words(self.path, error, limit) from error
        finally:
            connection.close()

    def look_who(self) -> Event | None:
        """Another process than before numbers its events from 1 again."""
        try:
            process = int(ask(self.path, self.timeout, "GET", "/v1/status").body["pid"])
        except Refused as error:
            raise NoDaemon(str(error)) from error
        except (KeyError, TypeError, ValueError) as error:
            raise FaultlineError(f"{self.path} is not faultline's: {error}") from error
        before, self.process = self.process, process
        if before in (None, process):
            return None
        self.next = 1
        return Event(0, 0, "restarted", {"pid": process})
