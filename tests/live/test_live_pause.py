"""Pauses of a node, seen by ping and by numbered datagrams: what is held comes back at one instant, and
what finds the buffer full does not."""

import re
import time

import pytest

from programs import CALM, pause_link
from rack import Rack, rack_scenario
from traffic import Traffic
from wire import PORTS, law_holds

PAUSE_S = 3


def pings(text):
    """[number, when its answer came, round trip in seconds], in the order of the answers."""
    found = re.findall(r"^\[([\d.]+)\] .* icmp_seq=(\d+) .* time=([\d.]+) ms", text, re.MULTILINE)
    return [(int(number), float(at), float(trip) / 1000) for at, number, trip in found]


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_ping_through_a_pause(node):
    """A ping every 0.2 s through 3 s of pause of either end: none is lost, round trips that were caught
    fall strictly from the first, of about 3 s, and all their answers come at one instant."""
    with Rack(2) as rack:
        rack.start(rack_scenario(2, CALM))
        assert rack.reaches(1, 2)
        pinger = rack.spawn(1, "ping", "-D", "-n", "-i", "0.2", "-c", 35, "-W", 5, rack.address_of(2))
        time.sleep(1.5)
        pause_link(rack, node, f"{PAUSE_S}s")
        said = pinger.communicate(timeout=30)[0]
        answers = pings(said)
        assert " 0% packet loss" in said and [number for number, _, _ in answers] == [*range(1, 36)]
        caught = [one for one in answers if one[2] > 0.1]
        # At most two of them may have been sent in the last tenth of a second.
        assert 13 <= len(caught) <= 15, said
        trips = [trip for _, _, trip in caught]
        assert PAUSE_S - 0.2 <= trips[0] <= PAUSE_S + 0.1, said
        assert all(earlier > later for earlier, later in zip(trips, trips[1:])), said
        instants = [at for _, at, _ in caught]
        assert max(instants) - min(instants) < 0.02, "one instant of release"
        assert [number for number, _, _ in caught] == [*range(caught[0][0], caught[-1][0] + 1)]
        assert all(trip < 0.1 for _, _, trip in answers[:5]), "the control: before the pause"
        stats = rack.settle()
        assert law_holds(stats) and sum(stats["ledger"]["dropped"].values()) == 0


def test_a_buffer_of_twenty_packets(wire):
    """1,000 datagrams a second through 3 s of pause with `buffer: 20p`: the first 20 come at its end,
    in order and at once, and lost is exactly what arrived meanwhile less 20: by the daemon's counters
    and by the numbers that are missing, which are one run."""
    wire.start(PORTS + "nodes: {b: {port: right}}\n" + CALM)
    traffic = Traffic(wire, packets=6000, gap_s=0.001, quiet_s=PAUSE_S + 2)
    time.sleep(1)
    pause_link(wire, "b", f"{PAUSE_S}s", buffer="20p")
    time.sleep(PAUSE_S + 0.5)
    rule = wire.stats()["rules"]["pause"]
    arrived = [number for _, number in traffic.end()]
    stats = wire.settle()
    assert arrived == sorted(set(arrived)), "in order, and none twice"
    lost = sorted(set(range(1, 6001)) - set(arrived))
    assert lost == [*range(lost[0], lost[-1] + 1)], "one run"
    assert len(lost) == stats["ledger"]["dropped"]["pause"] == rule["dropped"]
    assert len(lost) == rule["matched"] - 20 and rule["delayed"] == 20
    assert 0.9 * PAUSE_S * 1000 <= rule["matched"] <= 1.1 * PAUSE_S * 1000
    at = dict(zip(arrived, traffic.times_ns))
    held = [at[number] for number in range(lost[0] - 20, lost[0])]
    assert max(held) - min(held) < 50e6 and held[0] - at[lost[0] - 21] > (PAUSE_S - 0.2) * 1e9
    assert law_holds(stats)
