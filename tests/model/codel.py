"""CoDel on a FIFO link, packet by packet: RFC 8289, sections 5.2 to 5.6, and ECN as in Linux's
codel. Times are whole ns; the link's own clock counts in 2^-32 ns, to which each service time is
cut, and nothing else is rounded in it. Rates are whole numbers or fractions."""

import math
from collections import deque
from dataclasses import dataclass, field

TICKS = 1 << 32  # in a ns
MAX_PACKET_BYTES = 1514
ECN_CAPABLE = (1, 2, 3)  # ECT(1), ECT(0), and CE, which stays CE


def service_ticks(wire_bytes, rate_bps):
    """How long the link is busy with a packet."""
    return 8 * wire_bytes * 10**9 * TICKS // rate_bps


def ceil_ns(ticks):
    return -(-ticks // TICKS)


@dataclass
class Control:
    """The state of one queue (RFC 8289, section 5.2), times in ns."""
    target_ns: int
    interval_ns: int
    first_above: int = 0  # 0: not above
    drop_next: int = 0
    count: int = 0
    last_count: int = 0
    dropping: bool = False

    def after(self, time_ns):
        """The control law (section 5.6)."""
        return time_ns + int(self.interval_ns / math.sqrt(self.count))

    def may_drop(self, now, sojourn_ns, backlog_bytes):
        """Section 5.6's judgement of a packet just taken out of the queue."""
        if sojourn_ns < self.target_ns or backlog_bytes <= MAX_PACKET_BYTES:
            self.first_above = 0
            return False
        if self.first_above == 0:
            self.first_above = now + self.interval_ns
            return False
        return now >= self.first_above

    def enter(self, now):
        """Begins to drop, as often as last time if that is not long ago (section 5.5)."""
        more = self.count - self.last_count
        recent = now - self.drop_next < 16 * self.interval_ns
        self.count = more if more > 1 and recent else 1
        self.last_count = self.count
        self.drop_next = self.after(now)
        self.dropping = True


@dataclass
class Queue:
    """Packets that wait, as (index, arrival in ns, bytes, ECN field), oldest first."""
    packets: deque = field(default_factory=deque)
    backlog: int = 0  # bytes

    def put(self, *packet):
        self.packets.append(packet)
        self.backlog += packet[2]

    def take(self, control, now):
        """The oldest packet, and whether it may be dropped. An empty queue: (None, False)."""
        if not self.packets:
            control.first_above = 0
            return None, False
        packet = self.packets.popleft()
        self.backlog -= packet[2]
        return packet, control.may_drop(now, now - packet[1], self.backlog)


def dequeue(queue, control, now, ecn):
    """(the packet to send or None, whether it is marked, those dropped): section 5.5."""
    dropped = []
    packet, may_drop = queue.take(control, now)
    if not control.dropping:
        if not may_drop:
            return packet, False, dropped
        marked = ecn and packet[3] in ECN_CAPABLE
        if not marked:
            dropped.append(packet)
            packet, _ = queue.take(control, now)
        control.enter(now)
        return packet, marked, dropped
    control.dropping = may_drop
    while control.dropping and now >= control.drop_next:
        control.count += 1
        if ecn and packet[3] in ECN_CAPABLE:
            control.drop_next = control.after(control.drop_next)
            return packet, True, dropped
        dropped.append(packet)
        packet, control.dropping = queue.take(control, now)
        if control.dropping:
            control.drop_next = control.after(control.drop_next)
    return packet, False, dropped


def codel(arrivals, rate_bps, target_ns, interval_ns, limit_packets, ecn=False,
          framing=lambda length: length):
    """What becomes of each arrival (time in ns, bytes, ECN field), in order of time: ("tail",),
    ("codel",), ("sent", departure in ns) or ("marked", departure in ns).

    framing: the bytes a packet of some length takes on the link; its queue counts the length.
    limit_packets counts the packet in transmission too."""
    fates = [None] * len(arrivals)
    queue, control = Queue(), Control(target_ns, interval_ns)
    free = 0  # ticks: when the last transmission ended or will end

    def serve(start):
        """The end of a transmission that starts at this tick."""
        packet, marked, dropped = dequeue(queue, control, ceil_ns(start), ecn)
        for index, *_ in dropped:
            fates[index] = ("codel",)
        if packet is None:
            return start
        index, _, length, _ = packet
        end = start + service_ticks(framing(length), rate_bps)
        fates[index] = ("marked" if marked else "sent", ceil_ns(end))
        return end

    for index, (time, length, ecn_field) in enumerate(arrivals):
        now = time * TICKS
        while queue.packets and free <= now:
            free = serve(free)
        if len(queue.packets) + (free > now) >= limit_packets:
            fates[index] = ("tail",)
            continue
        queue.put(index, time, length, ecn_field)
        if free <= now:
            free = serve(now)
    while queue.packets:
        free = serve(free)
    return fates
