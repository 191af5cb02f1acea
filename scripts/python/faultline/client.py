"""The daemon's HTTP interface as methods: one for each path of /openapi.json. Bodies may be objects
of scenario.py, mappings, or text in YAML, which is sent as it is."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from .errors import FaultlineError
from .events import Event, Follower, event_of
from .scenario import Rule, Scenario, Value, duration, plain
from .transport import Answer, ask

Json = dict[str, Any]
Body = str | Mapping[str, Any] | Rule | Scenario

SOCKET = "/run/faultline/faultline.sock"
HISTORY = 1000


def socket_path(path: str | os.PathLike[str] | None = None) -> str:
    """The socket that is meant: this one, else FAULTLINE_SOCKET, else the usual place."""
    return os.fspath(path) if path else os.environ.get("FAULTLINE_SOCKET") or SOCKET


@dataclass(frozen=True)
class Change:
    """What a change answers: the generation that all workers use by then, the seed, and whether it
    made something that was not there."""

    generation: int
    seed: int
    created: bool


class Daemon:
    """A faultlined at a Unix socket, or at the near end of `ssh -L
    local.sock:/run/…/faultline.sock`. Each step of a request may take `timeout` seconds. Threads
    may share it."""

    def __init__(self, socket: str | os.PathLike[str] | None = None, timeout: float = 10.0) -> None:
        self.socket = socket_path(socket)
        self.timeout = timeout
        # What faults of this process did, as their rules were when they ended: for reports.
        self.history: deque[Json] = deque(maxlen=HISTORY)

    def __repr__(self) -> str:
        return f"Daemon({self.socket!r})"

    def request(self, method: str, path: str, body: Any = None, *, if_match: int | None = None,
                timeout: float | None = None) -> Answer:
        """One request, for what has no method here."""
        headers = {} if if_match is None else {"If-Match": f'"{if_match}"'}
        if isinstance(body, (Rule, Scenario)):
            body = body.to_dict()
        return ask(self.socket, timeout or self.timeout, method, path,
                   body if isinstance(body, str) else plain(body), headers)

    def _get(self, path: str) -> Json:
        found = self.request("GET", path).body
        if not isinstance(found, dict):
            raise FaultlineError(f"{self.socket} is not faultline's: {path} answers no JSON object")
        return found

    def _change(self, method: str, path: str, body: Any = None, if_match: int | None = None,
                timeout: float | None = None) -> Change:
        answer = self.request(method, path, body, if_match=if_match, timeout=timeout)
        told = answer.body
        return Change(int(told["generation"]), int(told["seed"]), answer.status == 201)

    # ---- reading

    def status(self) -> Json:
        """State, workers, clock."""
        return self._get("/v1/status")

    def stats(self) -> Json:
        """All counters, a consistent snapshot."""
        return self._get("/v1/stats")

    def rules(self) -> list[Json]:
        """All rules as written, with `enabled`, `active`, `expires_ns` and their counters."""
        return list(self._get("/v1/rules")["rules"])

    def rule(self, name: str) -> Json:
        """One rule."""
        return self._get(f"/v1/rules/{quote(name, safe='')}")

    def triggers(self) -> list[Json]:
        """What the timeline waits for, and what has fired."""
        return list(self._get("/v1/triggers")["triggers"])

    def captures(self) -> Json:
        """What is captured: `folder` (None when nothing is), `unknown` and `captures`."""
        return self._get("/v1/captures")

    def ports(self) -> list[Json]:
        """Ports, their links and workers."""
        return list(self._get("/v1/ports")["ports"])

    def flows(self, limit: int = 100) -> list[Json]:
        """The flows with the most packets."""
        return list(self._get(f"/v1/flows?{urlencode({'limit': limit})}")["flows"])

    def policy(self) -> Json:
        """The scenario as it stands."""
        return self._get("/v1/policy")

    def openapi(self) -> Json:
        """The description of the interface."""
        return self._get("/openapi.json")

    def metrics(self) -> str:
        """Figures in the text format of Prometheus."""
        return str(self.request("GET", "/metrics").body)

    def events(self, start: int = 1) -> list[Event]:
        """What happened, from the event of this number on."""
        return [event_of(one) for one in self._get(f"/v1/events?from={start}")["events"]]

    def next_event(self) -> int:
        """The number that the next event will have."""
        return int(self._get("/v1/events")["next"])

    def follow(self, start: int | None = None, seconds: float | None = None,
               patience: float = 10.0) -> Iterator[Event]:
        """Events as they happen: those from now on, or from number `start`; for so many seconds or
        without an end. A broken connection is made again and goes on behind the last event seen; a
        daemon that is away for longer than `patience` seconds is NoDaemon."""
        first = self.next_event() if start is None else start
        return Follower(self.socket, self.timeout, first).follow(seconds, patience)

    # ---- changing

    def put_rule(self, name: str, rule: Body, if_match: int | None = None) -> Change:
        """Replaces a rule, or adds it behind the others."""
        return self._change("PUT", f"/v1/rules/{quote(name, safe='')}", rule, if_match)

    def patch_rule(self, name: str, keys: Body | None = None, if_match: int | None = None,
                   **more: Value) -> Change:
        """Replaces keys of a rule: `patch_rule("wan", enabled=True, ttl="30s")`."""
        body = keys if isinstance(keys, str) else {**plain(keys or {}), **plain(more)}
        return self._change("PATCH", f"/v1/rules/{quote(name, safe='')}", body, if_match)

    def delete_rule(self, name: str, if_match: int | None = None) -> Change:
        """Removes a rule; what is held keeps its release time."""
        return self._change("DELETE", f"/v1/rules/{quote(name, safe='')}", None, if_match)

    def put_partition(self, body: Body | None = None, if_match: int | None = None,
                      **keys: Value) -> Change:
        """Cuts links, in place of the partition before: `put_partition(shape="one", node="n1")`."""
        return self._change("PUT", "/v1/partition", body if isinstance(body, str) else
                            {**plain(body or {}), **plain(keys)}, if_match)

    def delete_partition(self, if_match: int | None = None) -> Change:
        """Heals that partition alone."""
        return self._change("DELETE", "/v1/partition", None, if_match)

    def fire(self, trigger: str) -> Json:
        """Fires the trigger that waits for this call."""
        fired = self.request("POST", f"/v1/triggers/{quote(trigger, safe='')}").body
        return dict(fired)

    def put_policy(self, scenario: Body, if_match: int | None = None) -> Change:
        """Replaces all rules by a scenario's, at once or not at all, and starts its timeline."""
        return self._change("PUT", "/v1/policy", scenario, if_match)

    def heal(self, held: str = "send", if_match: int | None = None) -> Change:
        """Ends every fault at once; what waits is sent, kept ("keep") or dropped ("drop")."""
        return self._change("POST", "/v1/heal", {"held": held}, if_match)

    def runs(self) -> list[Json]:
        """The last runs, without their statistics."""
        return list(self._get("/v1/runs")["runs"])

    def begin_run(self, scenario: Body, lasts: str | timedelta, *, lease: str | None = None,
                  at_ns: int | None = None) -> Json:
        """Begins a run; `at_ns` is its time zero in ns since 1970, at most a second ahead."""
        query: dict[str, Any] = {"duration": duration(lasts)}
        query |= {} if lease is None else {"lease": lease}
        query |= {} if at_ns is None else {"at": at_ns}
        return dict(self.request("POST", f"/v1/runs?{urlencode(query)}", scenario).body)

    def run_of(self, name: str) -> Json:
        """A run with its statistics, which are final once its state is "over"."""
        return self._get(f"/v1/runs/{quote(name, safe='')}")

    def end_run(self, name: str, why: str = "request") -> Json:
        """Ends a run before its time; what it holds is sent."""
        query = urlencode({"by": why})
        return dict(self.request("DELETE", f"/v1/runs/{quote(name, safe='')}?{query}").body)

    def files(self, run: str) -> list[Json]:
        """What the daemon has recorded of a run: names and bytes."""
        return list(self._get(f"/v1/files/{quote(run, safe='')}")["files"])

    def file_part(self, run: str, name: str, offset: int = 0) -> bytes:
        """At most 4 MiB of such a file."""
        query = urlencode({"name": name, "offset": offset})
        return bytes(self.request("GET", f"/v1/files/{quote(run, safe='')}?{query}").body)

    def put_lease(self, name: str, ttl: str | timedelta = "1s",
                  timeout: float | None = None) -> Change:
        """Makes or renews a lease; `created` says that there was none, or none any more."""
        return self._change("PUT", f"/v1/leases/{quote(name, safe='')}", {"ttl": plain(ttl)},
                            timeout=timeout)

    def delete_lease(self, name: str) -> Change:
        """Ends a lease and what hangs on it."""
        return self._change("DELETE", f"/v1/leases/{quote(name, safe='')}")


_default: list[Daemon] = []


def use(daemon: Daemon | None) -> None:
    """The daemon of those who name none; None: that of socket_path() again."""
    _default[:] = [] if daemon is None else [daemon]


def default_daemon() -> Daemon:
    """The daemon of those who name none."""
    return _default[0] if _default else Daemon()
