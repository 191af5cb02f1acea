"""Broken scenarios, one a file in broken/, and exactly what `faultline check` says of each; and texts
made to cost much, which must not."""

import re
import subprocess

import pytest

from program import REPOSITORY, find_program, is_sanitized

BROKEN = REPOSITORY / "tests" / "sim" / "broken"
CASES = sorted(BROKEN.glob("*.yaml"), key=lambda path: int(path.name.split("-")[0]))
CPU_LIMIT_S = 1.0
RSS_LIMIT_KB = 100 * 1024


def pattern(expected):
    """Exactly these lines; […] stands for words that change with every new key."""
    return ".*".join(re.escape(part) for part in expected.split("[…]"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_broken_scenario(path):
    """Exit 1, nothing on stdout, and on stderr these lines and no others."""
    done = subprocess.run([find_program(), "check", path.name], cwd=BROKEN, capture_output=True,
                          text=True, timeout=60)
    expected = path.with_suffix(".expected").read_text(encoding="utf-8")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(pattern(expected), done.stderr), done.stderr


def test_the_table_is_whole():
    """At least 60, numbered without gaps; every message has a place and, of several, in order."""
    assert len(CASES) >= 60
    assert [int(path.name.split("-")[0]) for path in CASES] == list(range(1, len(CASES) + 1))
    for path in CASES:
        lines = path.with_suffix(".expected").read_text(encoding="utf-8").splitlines()
        places = []
        for line in lines:
            place = re.match(rf"{re.escape(path.name)}:(\d+):(\d+): error: \S", line)
            assert place, line
            places.append((int(place[1]), int(place[2])))
        assert places and places == sorted(places), path.name
    assert {path.stem for path in BROKEN.glob("*.expected")} == {path.stem for path in CASES}


# A process begins with the peak memory of the one it was forked from, so it is forked from a small
# one; and whatever goes wrong, it does not take the machine's memory.
LAUNCHER = """
import resource, subprocess, sys
if sys.argv[4] == "bounded":
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
with open(sys.argv[3], "wb") as stderr:
    status = subprocess.call([sys.argv[1], "check", sys.argv[2]], stdout=subprocess.DEVNULL,
                             stderr=stderr)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def alias_bomb():
    """Nine levels of nine: 3.8 * 10^8 nodes if anyone expands it."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return "\n".join(lines) + "\n"


COSTLY = {
    "percent-ff": lambda: b"%\xff",
    "50-MB-of-text": lambda: b"# much ado\n" * (50_000_000 // 11),
    "50-MB-of-zeros": lambda: bytes(50_000_000),
    "50-MB-on-one-line": lambda: b"a" * 50_000_000,
    "nested-lists": lambda: b"a: " + b"[" * 100_000,
    "nested-mappings": lambda: b"{a: " * 100_000,
    "nested-blocks": lambda: "".join(" " * i + "a:\n" for i in range(1400)).encode(),
    "nested-dashes": lambda: b"- " * 100_000,
    "nested-keys": lambda: b"? " * 100_000,
    "alias-bomb": lambda: alias_bomb().encode(),
    "1-MiB-of-aliases": lambda: b"a: &a 1\nb: [" + b"*a, " * 250_000 + b"]\n",
    "1-MiB-of-duplicates": lambda: b"a: 1\n" * 200_000,
    "1-MiB-of-keys": lambda: b"".join(b"k%d: 1\n" % i for i in range(100_000)),
    "1-MiB-of-brackets": lambda: b"a: [" + b"[]," * 349_000 + b"]\n",
    "1-MiB-of-tags": lambda: b"- !t 1\n" * 145_000,
    "1-MiB-of-quotes": lambda: b"a: \"" + b"\\x41" * 262_000,
    "1-MiB-of-rules": lambda: b"version: 1\nrules:\n" + b"- {name: a}\n" * 87_000,
    "1-MiB-of-impairments": lambda: b"version: 1\nrules:\n- name: a\n  impair:\n" +
                                    b"  - loss: 1\n" * 87_000,
}


@pytest.mark.parametrize("case", COSTLY)
def test_costly_text(tmp_path, case):
    """Refused within a second of processor time and 100 MB."""
    path = tmp_path / "costly.yaml"
    path.write_bytes(COSTLY[case]())
    ran = subprocess.run(["/usr/bin/python3", "-S", "-c", LAUNCHER, find_program(), path,
                          tmp_path / "stderr", "free" if is_sanitized() else "bounded"],
                         capture_output=True, text=True, check=True,
                         timeout=120)
    status, cpu_s, rss_kb = map(float, ran.stdout.split())
    assert status == 1
    said = (tmp_path / "stderr").read_text(encoding="utf-8")
    assert f"{path}" in said and ": error: " in said
    assert said.count("\n") <= 1001
    if not is_sanitized():
        assert cpu_s < CPU_LIMIT_S and rss_kb < RSS_LIMIT_KB, (cpu_s, rss_kb)
