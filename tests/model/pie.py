"""PIE on a FIFO link, packet by packet: RFC 8033, sections 4 and 5.1, derandomised as in section
5.4 and appendix B. Always active (section 5.3 is left out). Times are whole ns, the link's own
clock is codel.py's, probabilities are doubles."""

from collections import deque
from dataclasses import dataclass

from .codel import ECN_CAPABLE, TICKS, ceil_ns, service_ticks

SECOND = 1e9  # ns
MEAN_PACKET_BYTES = 1514
ACCUMULATED_LOW, ACCUMULATED_HIGH = 0.85, 8.5
TUNING = ((0.000001, 2048), (0.00001, 512), (0.0001, 128), (0.001, 32), (0.01, 8), (0.1, 2))


@dataclass
class Control:
    """The state of one queue; delays and the burst allowance in ns, alpha and beta in 1/s.

    capped: section 5.5's bound on a step upwards. early_decay: appendix B's condition for the
    decay (both delays below target/2) in the place of section 4.2's (both 0)."""
    target_ns: int
    update_ns: int
    burst_ns: int
    alpha: float
    beta: float
    capped: bool = False
    early_decay: bool = False
    probability: float = 0.0
    accumulated: float = 0.0
    delay: int = 0  # at the last update
    allowance: int = 0

    def __post_init__(self):
        self.allowance = self.burst_ns

    def low(self, delay):
        return 2 * delay < self.target_ns

    def update(self, delay):
        """Section 4.2, and the second half of section 4.4."""
        step = (self.alpha * ((delay - self.target_ns) / SECOND) +
                self.beta * ((delay - self.delay) / SECOND))
        for below, divisor in TUNING:
            if self.probability < below:
                step /= divisor
                break
        if self.capped and self.probability >= 0.1:
            step = min(step, 0.02)
        probability = self.probability + step
        both = (delay, self.delay)
        if all(self.low(each) if self.early_decay else each == 0 for each in both):
            probability *= 0.98
        self.probability = min(max(probability, 0.0), 1.0)
        self.delay = delay
        self.allowance = max(0, self.allowance - self.update_ns)

    def strikes(self, backlog_bytes, draw):
        """Whether an arriving packet is to be dropped or marked. draw(): a double in [0, 1).

        Sections 4.1, 4.4 and 5.4. Between updates the current delay is the last update's."""
        if self.probability == 0 and self.low(self.delay):
            self.allowance = self.burst_ns
        if self.allowance > 0:
            return False
        if self.low(self.delay) and self.probability < 0.2:
            return False
        if backlog_bytes <= 2 * MEAN_PACKET_BYTES:
            return False
        if self.probability == 0:
            self.accumulated = 0.0
        self.accumulated += self.probability
        if self.accumulated < ACCUMULATED_LOW:
            return False
        if self.accumulated < ACCUMULATED_HIGH and draw() >= self.probability:
            return False
        self.accumulated = 0.0
        return True


@dataclass
class Link:
    """A FIFO link and what is in it, as (start, end, bytes) in ticks, oldest first."""
    rate_bps: int
    free: int = 0

    def __post_init__(self):
        self.inside = deque()

    def advance(self, now):
        """Forgets the packets that have left at this tick."""
        while self.inside and self.inside[0][1] <= now:
            self.inside.popleft()

    def backlog(self, now):
        """Bytes of the packets whose transmission has not started."""
        return sum(length for start, _, length in self.inside if start > now)

    def delay_ns(self, time_ns):
        return max(0, self.free - time_ns * TICKS) // TICKS

    def put(self, now, length, wire_bytes):
        """The departure in whole ns."""
        start = max(now, self.free)
        self.free = start + service_ticks(wire_bytes, self.rate_bps)
        self.inside.append((start, self.free, length))
        return ceil_ns(self.free)


def run_updates(control, link, done, time_ns):
    """Runs updates done+1 ... that are due up to a time; how many are done then. What changes
    nothing on a link that stays idle is not repeated."""
    due = time_ns // control.update_ns
    while done < due:
        done += 1
        delay = link.delay_ns(done * control.update_ns)
        before = (control.probability, control.delay, control.allowance)
        control.update(delay)
        if delay == 0 and before == (control.probability, control.delay, control.allowance):
            return due
    return done


def pie(arrivals, rate_bps, limit_packets, target_ns, update_ns, burst_ns, alpha, beta, draws,
        ecn=False, ecn_threshold=0.1, framing=lambda length: length, capped=False,
        early_decay=False):
    """What becomes of each arrival (time in ns, bytes, ECN field), in order of time: ("tail",),
    ("pie",), ("sent", departure in ns) or ("marked", departure in ns).

    draws(k): the uniform of the k-th arrival, from 1, asked for only when it decides.
    framing: the bytes a packet of some length takes on the link; its queue counts the length.
    limit_packets counts the packet in transmission too. Updates run at multiples of update_ns."""
    control = Control(target_ns, update_ns, burst_ns, alpha, beta, capped, early_decay)
    link = Link(rate_bps)
    fates = []
    updates = 0
    for number, (time, length, ecn_field) in enumerate(arrivals, 1):
        updates = run_updates(control, link, updates, time)
        now = time * TICKS
        link.advance(now)
        if len(link.inside) >= limit_packets:
            control.accumulated = 0.0
            fates.append(("tail",))
            continue
        fate = "sent"
        if control.strikes(link.backlog(now), lambda number=number: draws(number)):
            may_mark = ecn and control.probability < ecn_threshold
            fate = "marked" if may_mark and ecn_field in ECN_CAPABLE else "pie"
        if fate == "pie":
            fates.append(("pie",))
        else:
            fates.append((fate, link.put(now, length, framing(length))))
    return fates
