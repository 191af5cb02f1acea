"""A lease that a thread of this process renews. When the process is killed, or stands still for
longer than the lease, workers of the daemon end what hangs on it; that it lapsed is remembered
here."""

from __future__ import annotations

import re
import secrets
import threading
import time
from datetime import timedelta

from .client import Daemon
from .errors import FaultlineError, NoDaemon, NotFound

PREFIX = "py-"
RENEWALS = 4  # within the time of a lease
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(time_s: str | float | timedelta) -> float:
    """1, "1s", "500ms" or a timedelta in seconds."""
    if isinstance(time_s, timedelta):
        return time_s.total_seconds()
    if isinstance(time_s, (int, float)):
        return float(time_s)
    if (found := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", time_s)) is None:
        raise ValueError(f"{time_s!r} is no time; 500ms, 1s, 2m or seconds as a number")
    return float(found[1]) * UNITS_S[found[2]]


class Lease:
    """One lease, held from start() to stop()."""

    def __init__(self, daemon: Daemon, ttl: str | float | timedelta = "1s") -> None:
        self.daemon, self.ttl_s = daemon, seconds_of(ttl)
        self.name = PREFIX + secrets.token_hex(6)
        self.lapsed: str | None = None  # why, when it is over before it was to be
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"faultline {self.name}",
                                        daemon=True)

    def _put(self) -> bool:
        """Renews it; whether there was none any more."""
        return self.daemon.put_lease(self.name, f"{round(self.ttl_s * 1000)}ms",
                                     timeout=min(self.ttl_s, self.daemon.timeout)).created

    def start(self) -> None:
        """Makes it and has it renewed."""
        self._put()
        self._thread.start()

    def _renew(self) -> None:
        held = time.monotonic()
        while not self._stop.wait(self.ttl_s / RENEWALS):
            try:
                if self._put():
                    self.lapsed = (f"its lease of {self.ttl_s:g} s was not renewed in time: this "
                                   "process or the daemon stood still, or somebody ended the lease")
                    return
                held = time.monotonic()
            except NoDaemon as error:
                if time.monotonic() - held > self.ttl_s:
                    self.lapsed = str(error)
                    return
            except FaultlineError as error:
                self.lapsed = f"its lease was refused: {error}"
                return

    def stop(self) -> None:
        """Renews it no more. From here on it ends by itself whatever happens."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(self.ttl_s + 1)

    def end(self) -> None:
        """Ends it and what hangs on it, at one instant."""
        self.stop()
        try:
            self.daemon.delete_lease(self.name)
        except NotFound:
            pass
