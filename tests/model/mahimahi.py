"""A link whose capacity is a trace of delivery opportunities, as mm-link of Mahimahi has it
(R. Netravali et al., "Mahimahi: accurate record-and-replay for HTTP", USENIX ATC 2015). The trace
starts at time 0."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

OPPORTUNITY_BYTES = 1500
MILLISECOND = 10**6  # ns


@dataclass
class Trace:
    """Opportunities, numbered from 0. In a loop, the file's last entry is its length."""
    opportunities_ms: list
    loop: bool

    def __post_init__(self):
        trace = self.opportunities_ms
        if not trace or trace[-1] == 0 or list(trace) != sorted(trace):
            raise ValueError("a trace is in order of time, and takes some")

    def over(self, number):
        return not self.loop and number >= len(self.opportunities_ms)

    def time_ns(self, number):
        cycle, at = divmod(number, len(self.opportunities_ms))
        return (cycle * self.opportunities_ms[-1] + self.opportunities_ms[at]) * MILLISECOND

    def first(self, time_ns):
        """The number of the first opportunity at or after a time, or one behind the last."""
        time_ms = -(-time_ns // MILLISECOND)
        size, period = len(self.opportunities_ms), self.opportunities_ms[-1]
        # Cycle c has its opportunities at c * period up to and including (c + 1) * period.
        cycle = max(0, -(-time_ms // period) - 1) if self.loop else 0
        return cycle * size + bisect_left(self.opportunities_ms, time_ms - cycle * period)


def link_trace(arrivals, opportunities_ms, loop, limit_packets=None):
    """What becomes of each arrival (time in ns, bytes, ...), in order of time: ("sent", departure
    in ns), ("tail",), or ("never",) for one that an ended trace leaves behind.

    An opportunity serves what has arrived up to and including its own instant."""
    trace = Trace(opportunities_ms, loop)
    fates = [("never",)] * len(arrivals)
    inside = deque()  # [index, bytes not yet sent], oldest first
    number = 0  # of the next opportunity

    def serve(time_ns):
        budget = OPPORTUNITY_BYTES
        while inside and budget > 0:
            used = min(budget, inside[0][1])
            budget -= used
            inside[0][1] -= used
            if inside[0][1] == 0:
                fates[inside.popleft()[0]] = ("sent", time_ns)

    for index, (time, length, *_) in enumerate(arrivals):
        while inside and not trace.over(number) and trace.time_ns(number) < time:
            serve(trace.time_ns(number))
            number += 1
        if not inside:
            number = max(number, trace.first(time))
        if limit_packets is not None and len(inside) >= limit_packets:
            fates[index] = ("tail",)
        else:
            inside.append([index, length])
    while inside and not trace.over(number):
        serve(trace.time_ns(number))
        number += 1
    return fates
