"""The same bytes on every machine: digests of what each model does to a fixed capture, also where
the C library may not use FMA and AVX2, and (long) with the other compiler and without optimisation.
A digest that changes changes what users see for a seed: a decision record says why."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from golden.models import MODELS, scenario
from model import captures
from program import Program

REPOSITORY = Path(__file__).resolve().parents[2]
DIGESTS = REPOSITORY / "tests/golden/digests.json"
PLAIN_CPU = "glibc.cpu.hwcaps=-FMA,-AVX2"


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """20,000 packets of 20 flows, 10 us apart, of fixed ECN."""
    capture = captures.udp_traffic(20_000, spacing_ns=10_000, salt=31).capture
    capture.bytes_[:, 15] = capture.bytes_[:, 29] % 3  # not capable, ECT(1), ECT(0)
    path = tmp_path_factory.mktemp("golden") / "fixed.pcap"
    captures.write_pcap(path, capture)
    return path


def digest(program, name, per, path):
    """Of everything that can be seen of the packets, and of the drops. FAULTLINE_DIGESTS=FILE
    gathers them, for the file of a new model."""
    drops = program.folder / "drops.pcapng"
    outcome = program.simulated(scenario(name, per), [path], "--drops", drops)
    found = hashlib.sha256(outcome.out.read_bytes() + drops.read_bytes()).hexdigest()[:32]
    if gathered := os.environ.get("FAULTLINE_DIGESTS"):
        with open(gathered, "a", encoding="utf-8") as file:
            file.write(f"{json.dumps(f'{name} per {per}')}: {json.dumps(found)}\n")
    return found


def expected(name, per):
    return json.loads(DIGESTS.read_text()).get(f"{name} per {per}")


@pytest.mark.parametrize("per", ["rule", "flow"])
@pytest.mark.parametrize("name", MODELS)
def test_digest(program, fixed, name, per):
    assert digest(program, name, per, fixed) == expected(name, per)


@pytest.mark.parametrize("name", MODELS)
def test_digest_without_fma(program, fixed, name, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", PLAIN_CPU)
    assert digest(program, name, "rule", fixed) == expected(name, "rule")


def test_every_model_is_frozen():
    """No digest without a model and no model without its two."""
    wanted = {f"{name} per {per}" for name in MODELS for per in ("rule", "flow")}
    assert set(json.loads(DIGESTS.read_text())) == wanted


@pytest.mark.long
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("level", ["0", "3"])
def test_digests_of_other_builds(tmp_path, fixed, compiler, level):
    """Built anew by each compiler, without and with optimisation."""
    build = tmp_path / "build"
    environment = dict(os.environ, CXX=compiler)
    subprocess.run(["meson", "setup", f"--optimization={level}", build, REPOSITORY], check=True,
                   env=environment, capture_output=True)
    subprocess.run(["ninja", "-C", build, "faultline"], check=True, capture_output=True)
    program = Program(tmp_path)
    program.path = build / "faultline"
    wrong = [(name, per) for name in MODELS for per in ("rule", "flow")
             if digest(program, name, per, fixed) != expected(name, per)]
    assert wrong == []

