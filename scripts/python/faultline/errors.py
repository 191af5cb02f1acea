"""What can go wrong, one class a kind. The words are the daemon's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class FaultlineError(Exception):
    """All errors of this package."""


class NoDaemon(FaultlineError):
    """Nobody listens at the socket, or the daemon went away in the middle."""


class NoAnswer(NoDaemon):
    """The daemon took longer than the timeout. Whether a change was made is not known."""


class FaultEnded(FaultlineError):
    """A fault was over before its block was left: what the block saw is not what was meant."""


class FaultMissed(FaultlineError):
    """A fault that had to hit something matched no packet."""


class FleetError(FaultlineError):
    """Some daemons of a fleet refused or did not answer; `errors` has them by name."""

    def __init__(self, errors: dict[str, Exception]) -> None:
        super().__init__("; ".join(f"{name}: {error}" for name, error in errors.items()))
        self.errors = errors


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a body: where (lines and columns count from 1), what was found,
    what is allowed."""

    file: str
    line: int
    column: int
    message: str
    allowed: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.message}"
        if self.allowed:
            text += f"; {self.allowed}"
        if self.suggestion:
            text += f"; did you mean '{self.suggestion}'?"
        return text


class Refused(FaultlineError):
    """The daemon answered that it will not: `status` of HTTP, `detail` in words, `errors` with
    their places."""

    def __init__(self, status: int, detail: str, errors: tuple[Problem, ...] = ()) -> None:
        super().__init__("\n".join([detail, *map(str, errors)]))
        self.status, self.detail, self.errors = status, detail, errors


class Invalid(Refused):
    """422, 413, 415: a body that can be read and is wrong, too large, or of an unknown type."""


class Unreadable(Invalid):
    """400: a body or a query that cannot be read."""


class Forbidden(Refused):
    """403: who asks may read and not change; or may not use the socket at all (status 0)."""


class NotFound(Refused):
    """404: there is no rule, lease or trigger of that name."""


class Conflict(Refused):
    """409: it does not fit: other ports, no room in the hold, a name in use, a lease nobody
    holds."""


class PreconditionFailed(Refused):
    """412: somebody else has changed something: the generation is another one."""


class Busy(Refused):
    """429: so many clients follow events already."""


class Stopping(Refused):
    """503: the daemon is about to end, or its workers do not take the change."""


KINDS: dict[int, type[Refused]] = {
    400: Unreadable, 403: Forbidden, 404: NotFound, 409: Conflict, 412: PreconditionFailed,
    413: Invalid, 415: Invalid, 422: Invalid, 429: Busy, 503: Stopping}


def refusal(status: int, body: Any) -> Refused:
    """The exception for an answer that is none."""
    told = body if isinstance(body, dict) else {}
    detail = str(told.get("detail") or told.get("title") or body or f"status {status}")
    errors = tuple(
        Problem(str(one.get("file", "")), int(one.get("line", 0)), int(one.get("column", 0)),
                str(one.get("message", "")), str(one.get("allowed", "")),
                str(one.get("suggestion", "")))
        for one in told.get("errors", ()) if isinstance(one, dict))
    return KINDS.get(status, Refused)(status, detail, errors)
