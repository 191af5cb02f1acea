"""Stages that need an order behind stages that break it: equal, to the nanosecond, to an event
simulation written from the definitions."""

import numpy as np
import pytest

from model import captures, links

RULES = """
  - name: near
    match: {sport: NEAR}
    impair: [delay: 3333333ns]
  - name: far
    match: {sport: FAR}
    impair: [delay: 40ms]
  - name: link
    impair:
      - rate: {rate: RATE, overhead: 24B, minimum: 84B}
      - queue: {limit: LIMIT}
  - name: late
    match: {sport: FAR}
    impair: [delay: 7ms]
  - name: second
    match: {sport: BOTH}
    impair: [rate: SECOND]
"""


def ports_of(capture):
    """Each packet's UDP source port."""
    return capture.bytes_[:, 34].astype(int) * 256 + capture.bytes_[:, 35]


def expected(capture, near, far, rate, limit, second):
    """Release times by the event simulation."""
    ports = ports_of(capture)
    is_near, is_far = np.isin(ports, near), np.isin(ports, far)
    lengths = capture.length
    first, last = links.Link(rate, limit, 24, 84), links.Link(second)

    def delays(packet, time):
        return time + (3_333_333 if is_near[packet] else 0) + (40_000_000 if is_far[packet] else 0)

    def link(packet, time):
        return first.offer(time, int(lengths[packet]))

    def late(packet, time):
        return time + (7_000_000 if is_far[packet] else 0)

    def tail(packet, time):
        if not (is_near[packet] or is_far[packet]):
            return time
        return last.offer(time, int(lengths[packet]))

    return links.run(capture.time_ns, lengths, [delays, link, late, tail])


@pytest.mark.parametrize("limit,unit", [("80p", ("p", 80)), ("9KB", ("B", 9_000)),
                                        ("700us", ("ns", 700_000))])
@pytest.mark.parametrize("burst", [1, 32, 64])
def test_links_behind_delays(program, some, limit, unit, burst):
    """Two links behind delays of some flows: every release and every tail drop."""
    capture = some.capture.take(np.arange(20_000))
    ports = sorted(set(ports_of(capture).tolist()))
    near, far = ports[:5], ports[5:11]
    mean_bits = 8 * float(np.maximum(capture.length + 24, 84).mean())
    rate = int(mean_bits / 10e-6 / 1.02)  # a little too slow, so that the queue fills
    second = int(8 * float(capture.length.mean()) / 10e-6 * 0.6)
    text = "version: 1\nseed: 1\nrules:" + (
        RULES.replace("NEAR", str(near)).replace("FAR", str(far)).replace("BOTH", str(near + far))
        .replace("RATE", f"{rate}bit").replace("SECOND", f"{second}bit").replace("LIMIT", limit))
    path = program.folder / "part.pcap"
    captures.write_pcap(path, capture)
    outcome = program.simulated(text, [path], "--burst", str(burst))
    times = expected(capture, near, far, rate, unit, second)
    serials = capture.serial()
    sent = {int(serial): int(time) for serial, time in
            zip(outcome.output.serial(), outcome.output.time_ns)}
    wanted = {int(serial): time for serial, time in zip(serials, times) if time is not None}
    assert sent == wanted
    dropped = len(capture) - len(wanted)
    assert 100 < dropped < len(capture) // 2, "the queue was neither idle nor useless"
    assert outcome.stats["ledger"]["dropped"]["queue"] == dropped
    assert outcome.stats["rules"]["link"]["dropped"] == dropped
    assert outcome.stats["ledger"]["balanced"] and outcome.stats["ledger"]["held"] == 0
    assert (np.diff(outcome.output.time_ns.astype(np.int64)) >= 0).all()
