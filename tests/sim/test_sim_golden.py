"""The same bytes on every machine: digests of what each model does to a fixed capture, also where
the C library may not use FMA and AVX2, and (long) with the other compiler and without optimisation.
A digest that changes changes what users see for a seed: a decision record says why."""

import hashlib
import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from golden.models import CATALOGUE, MODELS, scenario
from model import captures
from model.compositions import Composition
from model.mixed import Maker
from program import Program

REPOSITORY = Path(__file__).resolve().parents[2]
DIGESTS = REPOSITORY / "tests/golden/digests.json"
PLAIN_CPU = "glibc.cpu.hwcaps=-FMA,-AVX2"
COMPOSITIONS = 64


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """20,000 packets of 20 flows, 10 us apart, of fixed ECN."""
    capture = captures.udp_traffic(20_000, spacing_ns=10_000, salt=31).capture
    capture.bytes_[:, 15] = capture.bytes_[:, 29] % 3  # not capable, ECT(1), ECT(0)
    path = tmp_path_factory.mktemp("golden") / "fixed.pcap"
    captures.write_pcap(path, capture)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """6,000 frames of every shape, 20 us apart."""
    frames = Maker(77, strange=0.02).frames(6_000)
    path = tmp_path_factory.mktemp("golden") / "mixed.pcap"
    captures.write_pcap(path, captures.from_frames(
        frames, [captures.FIRST_NS + 20_000 * at for at in range(len(frames))]))
    return path


@pytest.fixture
def capture(fixed, mixed):
    """The one that a model is shown."""
    return lambda name: fixed if name in MODELS else mixed


def seen(key, *parts):
    """A digest. FAULTLINE_DIGESTS=FILE gathers them, for the file of a new model."""
    found = hashlib.sha256(b"".join(parts)).hexdigest()[:32]
    if gathered := os.environ.get("FAULTLINE_DIGESTS"):
        with open(gathered, "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(key)}: {json.dumps(found)}\n")
    return found


def digest(program, key, text, *inputs):
    """Of everything that can be seen of the packets, and of the drops."""
    drops = program.folder / "drops.pcapng"
    outcome = program.simulated(text, inputs, "--drops", drops)
    return seen(key, outcome.out.read_bytes(), drops.read_bytes())


def expected(key):
    return json.loads(DIGESTS.read_text()).get(key)


def key_of(name, per):
    return f"{name} per {per}"


@pytest.mark.parametrize("per", ["rule", "flow"])
@pytest.mark.parametrize("name", [*MODELS, *CATALOGUE])
def test_digest(program, capture, name, per):
    key = key_of(name, per)
    assert digest(program, key, scenario(name, per), capture(name)) == expected(key)


@pytest.mark.long
@pytest.mark.parametrize("name", [*MODELS, *CATALOGUE])
def test_digest_without_fma(program, capture, name, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", PLAIN_CPU)
    key = key_of(name, "rule")
    assert digest(program, key, scenario(name, "rule"), capture(name)) == expected(key)


def test_digest_of_the_traffic(mixed):
    """Python makes it: where this fails, the others say nothing about the program."""
    assert seen("mixed", mixed.read_bytes()) == expected("mixed")


@pytest.mark.parametrize("eighth", [pytest.param(eighth, marks=pytest.mark.long if eighth % 3 else ())
                                    for eighth in range(8)])
def test_digest_of_compositions(program, mixed, eighth):
    """Everything together, both ways. A few are refused: they would make too many copies."""
    wrong = []
    for number in range(eighth, COMPOSITIONS, 8):
        key = f"composition {number}"
        text = Composition(random.Random(number)).text
        inputs = [f"left={mixed}", f"right={mixed}"]
        if program.simulate(text, inputs).status == 1:
            found = seen(key, b"refused")
        else:
            found = digest(program, key, text, *inputs)
        if found != expected(key):
            wrong.append(number)
    assert wrong == []
    refused = hashlib.sha256(b"refused").hexdigest()[:32]
    assert list(json.loads(DIGESTS.read_text()).values()).count(refused) <= COMPOSITIONS // 8


def test_every_model_is_frozen():
    """No digest without what it is of, and the other way round."""
    wanted = {key_of(name, per) for name in [*MODELS, *CATALOGUE] for per in ("rule", "flow")}
    wanted |= {"mixed"} | {f"composition {number}" for number in range(COMPOSITIONS)}
    assert set(json.loads(DIGESTS.read_text())) == wanted


@pytest.mark.long
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("level", ["0", "3"])
def test_digests_of_other_builds(tmp_path, capture, compiler, level):
    """Built anew by each compiler, without and with optimisation."""
    build = tmp_path / "build"
    environment = dict(os.environ, CXX=compiler)
    subprocess.run(["meson", "setup", f"--optimization={level}", build, REPOSITORY], check=True,
                   env=environment, capture_output=True)
    subprocess.run(["ninja", "-C", build, "faultline"], check=True, capture_output=True)
    program = Program(tmp_path)
    program.path = build / "faultline"
    wrong = [key_of(name, per) for name in [*MODELS, *CATALOGUE] for per in ("rule", "flow")
             if digest(program, key_of(name, per), scenario(name, per), capture(name)) !=
             expected(key_of(name, per))]
    assert wrong == []
