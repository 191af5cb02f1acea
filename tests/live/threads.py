"""Stopping some threads of a process as a debugger does, while the others run on (ptrace(2))."""

import ctypes
import os
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17


def threads_of(pid):
    """{thread id: name}."""
    return {int(path.name): (path / "comm").read_text().strip()
            for path in Path(f"/proc/{pid}/task").iterdir()}


def is_worker(name):
    """Whether it is one of DPDK's worker threads."""
    return name.startswith(("rte-worker", "lcore-worker"))


class Stopped:
    """Within it, the threads of a process whose name `wanted` takes stand still."""

    def __init__(self, pid, wanted):
        self.threads = [thread for thread, name in threads_of(pid).items() if wanted(name)]

    def _ask(self, what, thread):
        if LIBC.ptrace(what, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {what:#x} of {thread}")

    def __enter__(self):
        for thread in self.threads:
            self._ask(SEIZE, thread)
            self._ask(INTERRUPT, thread)
            os.waitpid(thread, 0x40000000)  # __WALL
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            self._ask(DETACH, thread)
