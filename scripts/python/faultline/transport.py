"""HTTP/1.1 over a Unix socket: a connection a request, a time limit for each step, and the errors
of sockets in words. Nothing here knows faults."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Forbidden, NoAnswer, NoDaemon, refusal


class UnixConnection(http.client.HTTPConnection):
    """http.client's connection, but to a path."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Opens the socket."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.connect(self.path)
        except BaseException:
            made.close()
            raise
        self.sock = made


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the body (JSON, or text of another type), the generation."""

    status: int
    body: Any
    generation: int | None = None


def in_words(path: str, error: Exception, timeout: float) -> Exception:
    """The package's exception for what a socket said."""
    if isinstance(error, TimeoutError):
        return NoAnswer(f"the daemon at {path} did not answer within {timeout:g} s")
    if isinstance(error, PermissionError):
        return Forbidden(0, f"no permission to use {path}: its group may "
                            "(--group, --readers of faultlined)")
    if isinstance(error, FileNotFoundError):
        return NoDaemon(f"no daemon at {path}: there is no such socket")
    if isinstance(error, ConnectionRefusedError):
        return NoDaemon(f"no daemon at {path}: nobody listens there any more")
    if isinstance(error, (OSError, http.client.HTTPException)):
        return NoDaemon(f"the daemon at {path} cannot be reached, or went away: "
                        f"{error or type(error).__name__}")
    return error


def encoded(body: Any) -> tuple[bytes | None, str]:
    """A body and its type: text is YAML as it is, all else becomes JSON."""
    if body is None:
        return None, ""
    if isinstance(body, str):
        return body.encode(), "application/yaml"
    return json.dumps(body).encode(), "application/json"


def decoded(text: bytes, kind: str) -> Any:
    """The body of an answer."""
    if "json" in kind:
        try:
            return json.loads(text)
        except ValueError:
            pass
    if kind.startswith("application/octet-stream"):
        return text
    return text.decode(errors="replace")


def ask(path: str, timeout: float, method: str, target: str, body: Any = None,
        headers: Mapping[str, str] | None = None) -> Answer:
    """One request and its answer. Raises Refused for 400 and more, NoDaemon, NoAnswer,
    Forbidden."""
    data, kind = encoded(body)
    sent = dict(headers or {}, Connection="close")
    if kind:
        sent["Content-Type"] = kind
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, target, data, sent)
        answer = connection.getresponse()
        told = decoded(answer.read(), answer.headers.get("Content-Type", ""))
    except (OSError, http.client.HTTPException) as error:
        raise in_words(path, error, timeout) from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise refusal(answer.status, told)
    etag = (answer.headers.get("ETag") or "").strip('"')
    return Answer(answer.status, told, int(etag) if etag.isdigit() else None)
