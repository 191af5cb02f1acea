"""Faults on a real wire from Python: a client of the faultline daemon, faults as `with` blocks that
end with their process, fleets of daemons, scenarios as objects. The pytest plugin is
faultline.pytest_plugin. Needs nothing but Python 3.11."""

from . import impair
from .client import Change, Daemon, default_daemon, socket_path, use
from .errors import (Busy, Conflict, FaultEnded, FaultlineError, FaultMissed, FleetError,
                     Forbidden, Invalid, NoAnswer, NoDaemon, NotFound, PreconditionFailed, Problem,
                     Refused, Stopping, Unreadable)
from .events import Event
from .experiment import Run, RunFailed, run
from .faults import Fault, fault, partition, pause
from .fleet import Fleet, FleetFault
from .impair import Impairment
from .lease import Lease
from .scenario import Rule, Scenario, at, duration, rule

__all__ = [
    "Busy", "Change", "Conflict", "Daemon", "Event", "Fault", "FaultEnded", "FaultMissed",
    "FaultlineError", "Fleet", "FleetError", "FleetFault", "Forbidden", "Impairment", "Invalid",
    "Lease", "NoAnswer", "NoDaemon", "NotFound", "PreconditionFailed", "Problem", "Refused",
    "Rule", "Run", "RunFailed", "Scenario", "Stopping", "Unreadable", "at", "default_daemon",
    "duration", "fault", "impair", "partition", "pause", "rule", "run", "socket_path", "use"]
