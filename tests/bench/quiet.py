"""How quiet the machine was while something was measured."""

import os
import re
import time
from pathlib import Path


def cores():
    """The first and the last core this process may use: management and worker."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def core_times():
    """{core: (busy, stolen, total)} in clock ticks; stolen is what the hypervisor took."""
    times = {}
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if match := re.match(r"cpu(\d+) (.*)", line):
            ticks = [int(word) for word in match[2].split()[:8]]
            times[int(match[1])] = (sum(ticks) - ticks[3] - ticks[4], ticks[7], sum(ticks))
    return times


def worker_times(pid):
    """(ran, waited) in ns of the busiest thread but the first: the worker. Waiting means that it
    wanted its core while somebody else had it."""
    threads = [(0, 0)]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        if thread.name != str(pid):
            ran, waited, _ = (thread / "schedstat").read_text(encoding="ascii").split()
            threads.append((int(ran), int(waited)))
    return max(threads)


class Window:
    """A stretch of time in which a figure is taken, and what others did meanwhile."""

    def __init__(self, pid=None):
        self.pid = pid
        self.start_ns = time.monotonic_ns()
        self.cores = core_times()
        self.waited_ns = worker_times(pid)[1] if pid else 0

    def close(self):
        """Shares of the window: `waited` and `stolen` were taken from the worker, `beside` is how
        busy the management core was (whatever the machine did there)."""
        length_ns = time.monotonic_ns() - self.start_ns
        first, last = self.cores, core_times()
        share = [[(after - before) / max(1, last[core][2] - first[core][2])
                  for before, after in zip(first[core], last[core])] for core in cores()]
        quiet = {"stolen": share[1][1], "beside": share[0][0]}
        if self.pid:
            quiet["waited"] = (worker_times(self.pid)[1] - self.waited_ns) / length_ns
        return quiet
