"""Stages that need packets in the order of their own times, a second time: an event simulation from
the definitions, in exact fractions. A packet is a row of times; what delays it before a link is
given, what the link does to it is found here."""

import heapq
from fractions import Fraction
from math import ceil


class Link:
    """A FIFO link with tail drop. `limit`: None, ("p", packets), ("B", bytes) or ("ns", time)."""

    def __init__(self, rate_bps, limit=None, overhead=0, minimum=0):
        self.rate_bps, self.limit = rate_bps, limit
        self.overhead, self.minimum = overhead, minimum
        self.free = Fraction(0)
        self.inside = []  # (departure, bytes), oldest first

    def offer(self, now_ns, length):
        """The departure in whole ns, or None when the packet is dropped."""
        self.inside = [entry for entry in self.inside if entry[0] > now_ns]
        if self.limit:
            unit, most = self.limit
            if unit == "p" and len(self.inside) >= most:
                return None
            if unit == "B" and sum(size for _, size in self.inside) + length > most:
                return None
            if unit == "ns" and self.free > now_ns + most:
                return None
        wire = max(length + self.overhead, self.minimum)
        self.free = max(Fraction(now_ns), self.free) + Fraction(8 * wire * 10**9, self.rate_bps)
        departure = ceil(self.free)
        self.inside.append((departure, length))
        return departure


def run(arrivals_ns, lengths, stages):
    """Release times (None: dropped) of packets that pass `stages` in order. A stage is a function
    (packet, time) -> time or None. Events run in order of time; at one instant packets are taken in
    the order of their arrival."""
    events = [(int(time), packet, 0) for packet, time in enumerate(arrivals_ns)]
    heapq.heapify(events)
    release = [None] * len(events)
    while events:
        time, packet, stage = heapq.heappop(events)
        if stage == len(stages):
            release[packet] = time
            continue
        time = stages[stage](packet, time)
        if time is not None:
            heapq.heappush(events, (time, packet, stage + 1))
    return release
