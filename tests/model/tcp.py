"""What a segment is in its TCP connection, written from docs/match.md: every byte ever seen is
remembered as an interval without bounds, so nothing wraps and nothing is forgotten but what the
page says. One wire, one packet at a time."""

from dataclasses import dataclass, field, replace

from .connections import Connections, reversed_key
from .flows import TCP

FIN, SYN, RST, ACK = 1, 2, 4, 16
REPEATED_MAX, TIMES_MAX = 8, 255
HALF = 1 << 31


def unwrapped(number, near):
    """The integer that is `number` modulo 2^32 and lies within [near − 2^31, near + 2^31)."""
    return near - HALF + (number - (near - HALF)) % (1 << 32)


@dataclass
class Segment:
    """As it came in."""
    flags: int
    sequence: int
    acknowledgement: int = 0
    size: int = 0  # bytes of payload
    whole: bool = True  # and no part of a datagram


@dataclass
class Place:
    connection: int
    retransmission: int = None  # None: not followed
    numbers: range = range(0)  # of its bytes, the first behind the SYN being 1
    receiver_asked: int = None  # last ACK of its receiver
    sender_owed: int = None  # behind all that its sender was sent


@dataclass
class Followed:
    connection: object  # kept, so that its id stays its own
    ordinal: int
    directions: dict = field(default_factory=dict)  # by key


@dataclass
class Direction:
    zero: int = None  # sequence number of number 0; None: nothing was seen
    top: int = 0  # number behind the highest byte
    acknowledged: int = None  # highest, as an integer that does not wrap
    repeated: list = field(default_factory=list)  # [sequence, times], the last one first


class Segments:
    """Follows the connections of one wire."""

    def __init__(self):
        self.connections = Connections()
        self.followed = {}
        self.forgotten = 0

    def note(self, key, segment):
        """The Place of a segment of the directed flow `key`; its ports are known."""
        self.connections.note(key, segment.flags, segment.sequence, segment.acknowledgement)
        ends = frozenset(((key.source, key.source_port), (key.destination, key.destination_port)))
        connection = self.connections.known[ends, key.protocol]
        if key.protocol != TCP:
            return Place(0)
        if id(connection) not in self.followed:
            service = replace(connection.client, source_port=0).identity()
            self.followed[id(connection)] = Followed(connection,
                                                     self.connections.services[service])
        followed = self.followed[id(connection)]
        own = followed.directions.setdefault(key, Direction())
        peer = followed.directions.setdefault(reversed_key(key), Direction())
        place = Place(followed.ordinal)
        if segment.whole:
            self._follow(own, peer, segment, place)
        return place

    def _follow(self, own, peer, segment, place):
        syn, resets = bool(segment.flags & SYN), bool(segment.flags & RST)
        if not resets and (own.zero is None or syn and segment.sequence != own.zero):
            own.__init__((segment.sequence - (not syn)) % (1 << 32), 0 if syn else 1)
        place.retransmission = 0
        if peer.acknowledged is not None:
            place.receiver_asked = peer.acknowledged % (1 << 32)
        if peer.zero is not None:
            place.sender_owed = (peer.zero + peer.top) % (1 << 32)
        if own.zero is not None:
            first = self._number(own, segment.sequence + syn)
            place.numbers = range(first, first + segment.size)
        if resets:
            return
        if segment.flags & ACK:
            if own.acknowledged is None:
                own.acknowledged = segment.acknowledgement
            else:
                own.acknowledged = max(own.acknowledged, unwrapped(segment.acknowledgement,
                                                                   own.acknowledged))
        taken = segment.size + syn + bool(segment.flags & FIN)
        if not taken:
            return
        first = self._number(own, segment.sequence)
        if first + taken > own.top:
            own.top = first + taken
        elif not self._keeps_alive(own, peer, segment, first):
            place.retransmission = self._again(own, peer, segment.sequence)

    @staticmethod
    def _number(own, sequence):
        return unwrapped(sequence - own.zero, own.top)

    @staticmethod
    def _keeps_alive(own, peer, segment, first):
        all_acknowledged = peer.acknowledged is not None and unwrapped(
            peer.acknowledged - own.zero, own.top) >= own.top
        return (segment.size == 1 and not segment.flags & (SYN | FIN) and first == own.top - 1
                and all_acknowledged)

    def _again(self, own, peer, sequence):
        known = [entry for entry in own.repeated if entry[0] == sequence]
        times = min(known[0][1] + 1, TIMES_MAX) if known else 1
        own.repeated = [[sequence, times]] + [e for e in own.repeated if e[0] != sequence]
        for gone, _ in own.repeated[REPEATED_MAX:]:
            self.forgotten += (peer.acknowledged is None or
                               unwrapped(gone, peer.acknowledged) >= peer.acknowledged)
        del own.repeated[REPEATED_MAX:]
        return times


def each(value):
    return value if isinstance(value, list) else [value]


def overlaps(first, last, values):
    """Whether one of the numbers from first to last is among the values."""
    for value in each(values):
        low, _, high = str(value).partition("-")
        if first <= int(high or low) and last >= int(low):
            return True
    return False


def within(number, values):
    return overlaps(number, number, values)


def again(times, values):
    """Whether `retransmission:` with these values holds for the times-th; 0: it is none."""
    return any(times > 0 if value is True else times == 0 if value is False
               else times > 0 and within(times, value) for value in each(values))


def holds(match, segment, place):
    """Whether the keys of `tcp:` that ask for connections hold for a segment."""
    checks = {
        "ack": lambda value: not segment.size and segment.flags & (ACK | SYN | FIN | RST) == ACK,
        "data": lambda value: (segment.size > 0) == value,
        "retransmission": lambda value: place.retransmission is not None and again(
            place.retransmission, value),
        "sequence": lambda value: len(place.numbers) > 0 and overlaps(
            place.numbers[0], place.numbers[-1], value),
        "connection": lambda value: within(place.connection, value),
    }
    return all(checks[key](value) for key, value in match.items())
