"""DPDK's null ports: the data path at full speed, books balanced to the packet."""

import time

from wire import law_holds

NULL = """version: 1
name: speed
seed: 3
ports:
  left: {driver: "null", size: 64B}
  right: {driver: "null", size: 64B}
wires:
  lab: [left, right]
rules:
  - {name: far, impair: [{delay: 10ms}, {loss: 1%}]}
"""


def test_null_ports_delay_and_lose_at_speed(wire):
    """10 ms and 1 % on both directions: the law holds in every answer, nothing is early, the rate
    of loss is 1 %, and nothing is held back beyond the delay."""
    wire.start(NULL, "--start")
    for _ in range(20):
        stats = wire.stats()
        assert law_holds(stats)
        time.sleep(0.05)
    assert stats["ledger"]["received"] > 100_000
    assert stats["ledger"]["held"] > 1000
    assert stats["lateness"]["early"] == 0
    rule = stats["rules"]["far"]
    assert abs(rule["loss"]["rate"] - 0.01) < 0.002
    assert rule["delay"]["mean_ns"] == rule["delay"]["max_ns"] == 10_000_000
    wire.cli("heal")
    time.sleep(0.2)
    after = wire.stats()
    assert law_holds(after)
    assert after["ledger"]["held"] == 0
    assert wire.stop() == 0


def test_a_receiving_port_without_packets(wire):
    """no_rx: nothing comes in, and the statistics say so."""
    wire.start(NULL.replace("size: 64B}", "size: 64B, no_rx: true}"), "--start")
    assert wire.stats()["ledger"]["received"] == 0
