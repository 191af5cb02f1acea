"""What the simulate tests share: the program, and captures that are made once a session."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pytest

from model import captures
from model.flows import flow_of, numbers_in_flow
from program import Program


class Input:
    """A generated capture in a file, with each packet's identity and number in its flow."""

    def __init__(self, path, capture, flow):
        self.path, self.capture, self.flow = path, capture, flow
        self.number = numbers_in_flow(flow)
        numbers, first = np.unique(flow, return_index=True)
        table = np.zeros(int(numbers[-1]) + 1, dtype=np.uint64)
        table[numbers] = [flow_of(capture.frame(int(at))).identity() for at in first]
        self.identity = table[flow]
        captures.write_pcap(path, capture)

    def __len__(self):
        return len(self.capture)


@pytest.fixture(scope="session")
def make_input(tmp_path_factory):
    """Writes captures that are removed at the end of the session, large as they are."""
    folder = tmp_path_factory.mktemp("inputs")
    made = set()

    def make(name, traffic):
        path = folder / f"{name}.pcap"
        made.add(path)
        return Input(path, traffic.capture, traffic.flow)

    yield make
    for path in made:
        path.unlink()


@pytest.fixture(scope="session")
def million(make_input):
    """10^6 UDP packets in 20 flows, 1 us apart."""
    return make_input("million", captures.udp_traffic(10**6))


@pytest.fixture(scope="session")
def some(make_input):
    """100,000 of the like, 10 us apart."""
    return make_input("some", captures.udp_traffic(100_000, spacing_ns=10_000, salt=2))


@pytest.fixture(scope="session")
def answer(make_input):
    """As many in the other direction, with serial numbers of their own."""
    return make_input("answer", captures.udp_traffic(100_000, spacing_ns=10_000, salt=3,
                                                     backwards=True, first_serial=1 << 40))


@pytest.fixture(scope="session")
def few(make_input):
    """20 packets of 2 flows, 1 ms apart."""
    return make_input("few", captures.udp_traffic(20, 2, spacing_ns=1_000_000, salt=4))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    yield Program(folder)
    for path in folder.glob("*.pcapng"):
        path.unlink()
