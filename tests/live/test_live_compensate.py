"""`compensate: true` on real ports: what is subtracted is what status says, and no more than there is."""

import os

import pytest

from test_live_daemon import refused
from wire import PORTS, law_holds

DELAY_NS = 20_000_000


def delays_of_pings(wire, delay, count=20):
    """The figures of a rule from left to right with this delay, after so many answered pings."""
    status, body = wire.http("PUT", "/v1/rules/far", {"from": "left", "to": "right",
                                                      "impair": [{"delay": delay}]})
    assert status in (200, 201), body
    assert f" {count} received" in wire.inside("a", "ping", "-i", "0.01", "-c", count, "-W", "2",
                                               "10.77.0.2").stdout
    stats = wire.settle()
    assert law_holds(stats) and stats["lateness"]["early"] == 0
    assert wire.http("DELETE", "/v1/rules/far")[0] == 200
    assert stats["rules"]["far"]["matched"] == count
    return stats["rules"]["far"]["delay"]


def test_a_delay_compensates_for_the_own_latency(wire):
    """status tells the own latency; a constant and a jittered delay are shorter by exactly that, and
    a trace that is not so long becomes nothing."""
    wire.start()
    own_ns = wire.get("/v1/status")[1]["own_latency_ns"]
    assert isinstance(own_ns, int) and 10 < own_ns < 10_000_000
    for keys in ({}, {"jitter": "0ms"}):
        given = [delays_of_pings(wire, {"time": "20ms", "compensate": compensate, **keys})
                 for compensate in (False, True)]
        for name in ("mean_ns", "p50_ns", "p99_ns", "max_ns"):
            assert [delay[name] for delay in given] == [DELAY_NS, DELAY_NS - own_ns], (keys, name)
    assert delays_of_pings(wire, {"time": "10ns", "compensate": True})["max_ns"] == 0
    nothing = {"trace": "t", "contents": "0,0\n10,0\n", "compensate": True}
    assert delays_of_pings(wire, nothing)["max_ns"] == 0
    assert wire.get("/v1/status")[1]["own_latency_ns"] == own_ns, "it is measured once"


@pytest.fixture
def one_core():
    """Whoever is started has a single core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    yield
    os.sched_setaffinity(0, cores)


def test_without_a_second_core_nothing_can_be_measured(wire, one_core):
    """status says null, a rule that asks for it is refused with its place, and so is a scenario."""
    wire.start()
    assert wire.get("/v1/status")[1]["own_latency_ns"] is None
    wire.stop()
    rule = "rules: [{name: far, impair: [delay: {time: 20ms, compensate: true}]}]\n"
    status, said = refused(wire, PORTS + rule)
    assert status == 1
    line = 1 + PORTS.count("\n")
    assert f"refused.yaml:{line}:{rule.index('true') + 1}: error: the own latency could not be " \
           "measured" in said
    wire.start()
    status, body = wire.http("PUT", "/v1/rules/far", {"impair": [{"delay": {"time": "20ms",
                                                                          "compensate": True}}]})
    assert status == 422 and "could not be measured" in body["errors"][0]["message"]
    assert wire.http("PUT", "/v1/rules/far", {"impair": [{"delay": "20ms"}]})[0] == 201
