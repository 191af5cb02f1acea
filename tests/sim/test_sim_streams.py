"""Captures of any size: memory does not grow with them; and a terminal sees how far it is."""

import os
import pty
import re
import subprocess

import pytest

from program import find_program, is_sanitized, scenario_of

MEMORY_GROWTH_KB = 8 * 1024
TEXT = scenario_of(("wan", ["loss: 1%", "delay: 1ms"]), seed=1)
# Forked from a small process, whose peak memory a child begins with.
LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_kb(program, path, *options):
    (program.folder / "stream.yaml").write_text(TEXT)
    ran = subprocess.run(
        ["/usr/bin/python3", "-S", "-c", LAUNCHER, find_program(), "simulate", "stream.yaml", "--in",
         path, "--out", "stream.pcapng", *options], cwd=program.folder, capture_output=True,
        text=True, check=True, timeout=120)
    return int(ran.stdout)


@pytest.mark.skipif(is_sanitized(), reason="the address sanitizer's memory is not the program's")
@pytest.mark.parametrize("options", [(), ("--drops", "d.pcapng", "--journal", "j.jsonl",
                                          "--annotate", "all")])
def test_memory_does_not_grow_with_the_capture(program, some, million, options):
    """Ten times the packets, the same peak; 100 bytes a packet would be 90 MB more."""
    small = peak_kb(program, some.path, *options)
    large = peak_kb(program, million.path, *options)
    assert large - small < MEMORY_GROWTH_KB, (small, large)


def test_a_terminal_sees_how_far_it_is(program, million):
    """A line that rewrites itself and is gone at the end; nothing of it in a pipe."""
    (program.folder / "stream.yaml").write_text(TEXT)
    command = [find_program(), "simulate", "stream.yaml", "--in", million.path, "--out",
               "stream.pcapng"]
    terminal, other = pty.openpty()
    child = subprocess.Popen(command, cwd=program.folder, stderr=other, stdout=subprocess.DEVNULL)
    os.close(other)
    seen = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # the other end was closed
            break
        if not read:
            break
        seen += read
    os.close(terminal)
    assert child.wait(timeout=60) == 0
    shares = [int(share) for share in re.findall(rb"(\d+) ?%", seen)]
    assert len(shares) >= 2 and shares == sorted(shares) and max(shares) <= 100
    assert b"\r" in seen
    piped = subprocess.run(command, cwd=program.folder, capture_output=True, check=True, timeout=60)
    assert b"\r" not in piped.stderr and b"%" not in piped.stderr
