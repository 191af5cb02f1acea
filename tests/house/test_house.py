"""The house stays in order: who may include whom, which library lives where, how large rooms are."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# A room may include itself and the rooms named here.
BELOW = {
    "base": set(),
    "packet": {"base"},
    "impair": {"base", "packet"},
    "match": {"base", "packet"},
    "policy": {"base", "packet", "impair", "match"},
    "dataplane": {"base", "packet", "impair", "match", "policy"},
    "record": {"base", "packet", "impair", "match", "policy", "dataplane"},
    "probe": {"base", "packet", "dataplane"},
    "control": {"base", "packet", "impair", "match", "policy", "dataplane", "record"},
    "report": {"base", "packet", "impair", "match", "policy", "control"},
    "drivers": {"base", "packet", "impair", "match", "policy", "dataplane"},
    "sim": {"base", "packet", "impair", "match", "policy", "dataplane", "record", "control",
            "drivers"},
    "app": {"base", "packet", "impair", "match", "policy", "dataplane", "record", "control",
            "drivers", "sim", "report", "probe"},
}

# Which files may include a library, by the beginning of their path.
LIBRARIES = {
    r"rte_\w+\.h": ("src/dataplane/", "drivers/", "src/control/publish.",
                      "src/control/watchdog.", "src/control/telemetry.", "src/sim/", "src/app/"),
    r"hs\.h|hs/.*": ("src/match/",),
    r"spdlog/.*": ("src/control/", "src/scenario/", "src/app/"),
    r"yaml\.h": ("src/base/",),
    r"microhttpd\.h": ("src/control/",),
    r"curl/.*": ("src/control/",),
    r"CLI/.*": ("src/app/",),
}

# Only act frees, clones, edits or sends mbufs; ports take ownership of what they are handed.
MBUF_OWNERS = ("src/dataplane/act.hpp", "src/dataplane/act_made.hpp",
               "src/dataplane/ethdev_port.hpp", "src/dataplane/mbuf_stock.hpp",
               "src/dataplane/mbufs.hpp",
               "drivers/packet_socket.cpp", "src/app/probe_device.cpp",
               "drivers/sim.hpp", "drivers/tap.cpp", "drivers/ring.cpp", "src/dataplane/spread.cpp")
OWNERSHIP = re.compile(r"rte_pktmbuf_(free|clone|copy|prepend|adj|trim)|free_mbufs\(|rte_eth_tx_burst"
                       r"|rte_mempool_put")

# The data path: no allocation, lock, log, system call or clock of its own.
HOT = ("src/impair/", "src/dataplane/", "src/match/", "src/packet/")
FORBIDDEN_WHEN_HOT = re.compile(
    r"std::(mutex|lock_guard|unique_lock|condition_variable|function|thread|random_device)"
    r"|_distribution<|\bspdlog|\bprintf\(|std::cout|std::cerr|clock_gettime|std::chrono"
    r"|rte_get_tsc|rte_rdtsc|__rdtsc")


def sources():
    """Every source file of the product, as (path from the repository, text)."""
    for folder in ("src", "drivers"):
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.suffix in (".hpp", ".cpp", ".in"):
                yield path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")


def room_of(path):
    """The room of a file's path."""
    return "drivers" if path.startswith("drivers/") else path.split("/")[1]


def includes(text, opener):
    """What is included between quotes (opener '"') or angle brackets (opener '<')."""
    closer = '"' if opener == '"' else ">"
    return re.findall(rf'^#include {opener}([^{closer}]+){closer}', text, re.MULTILINE)


def violations():
    """Includes that point the wrong way."""
    for path, text in sources():
        room = room_of(path)
        for target in includes(text, '"'):
            other = target.split("/")[0]
            if other != room and other not in BELOW[room]:
                yield f"{path} includes {target}"


def test_rooms_see_only_rooms_below():
    """The order of docs/architecture.md, from the includes."""
    assert list(violations()) == []


def test_the_check_sees_a_wrong_include(monkeypatch):
    """A test that cannot fail proves nothing: base including dataplane is found."""
    monkeypatch.setattr(f"{__name__}.sources",
                        lambda: [("src/base/x.hpp", '#include "dataplane/worker.hpp"\n')])
    assert list(violations()) == ["src/base/x.hpp includes dataplane/worker.hpp"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_live_in_their_rooms(library):
    """rte_* in the data path and drivers only, spdlog in the management plane only, and so on."""
    strays = [f"{path} includes <{target}>" for path, text in sources()
              for target in includes(text, "<")
              if re.fullmatch(library, target) and not path.startswith(LIBRARIES[library])]
    assert strays == []


def test_one_act():
    """mbufs are freed, cloned, edited and sent in one place."""
    strays = [f"{path}: {match.group()}" for path, text in sources() if path not in MBUF_OWNERS
              for match in OWNERSHIP.finditer(text)]
    assert strays == []


def test_the_data_path_keeps_its_promises():
    """No lock, log, clock or standard distribution in the rooms that packets pass."""
    strays = [f"{path}: {match.group()}" for path, text in sources() if path.startswith(HOT)
              for match in FORBIDDEN_WHEN_HOT.finditer(text)]
    assert strays == []


def test_no_file_is_too_large_and_each_says_what_it_is():
    """About 500 lines a file at most; it opens with a paragraph."""
    for path, text in sources():
        assert text.count("\n") <= 530, path
        if len(text.splitlines()) > 10:
            assert text.startswith("//"), path


def test_lines_are_at_most_100_columns():
    """As .clang-format says."""
    long = [f"{path}:{number}" for path, text in sources()
            for number, line in enumerate(text.splitlines(), 1) if len(line) > 100]
    assert long == []


def test_functions_are_short():
    """70 lines at most, from the opening line to the brace in its column."""
    long = []
    for path, text in sources():
        start = None
        for number, line in enumerate(text.splitlines(), 1):
            if start is None and re.match(r"^(  )?\S.*\) ?(const )?(noexcept )?(override )?\{$", line) \
                    and not line.lstrip().startswith(("if", "for", "while", "switch", "else")):
                start = (number, len(line) - len(line.lstrip()))
            elif start and line.startswith(" " * start[1] + "}"):
                if number - start[0] > 70:
                    long.append(f"{path}:{start[0]}")
                start = None
    assert long == []


def types_of(text):
    """Types that a file defines in the project's namespace, those of an unnamed one left out."""
    unnamed, found = False, []
    for line in text.splitlines():
        if line.startswith("namespace {"):
            unnamed = True
        elif line == "}  // namespace":
            unnamed = False
        defined = re.match(r"(?:struct|class|enum class) (?:alignas\(\d+\) )?(\w+)(?: final)?"
                           r"(?: : [^{]*)? \{", line)
        if defined and not unnamed:
            found.append(defined[1])
    return found


def test_two_types_have_two_names():
    """Of two of one name the linker takes the functions of one for both, and says nothing."""
    where = {}
    for path in sorted([*REPOSITORY.glob("src/**/*.[hc]pp"), *REPOSITORY.glob("drivers/**/*.[hc]pp")]):
        for name in types_of(path.read_text(encoding="utf-8")):
            where.setdefault(name, []).append(str(path.relative_to(REPOSITORY)))
    assert len(where) > 300
    assert {name: files for name, files in where.items() if len(files) > 1} == {}
    assert types_of("namespace {\nstruct A {\n}  // namespace\nclass B final : public C {\n"
                    "enum class D : int {\n") == ["B", "D"]
