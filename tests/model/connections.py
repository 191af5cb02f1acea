"""Who opened what, packet by packet: the roles and the dice of connections. One dictionary, no
bounds, no time-outs."""

from dataclasses import dataclass, replace

from .dice import MASK64
from .flows import TCP, FlowKey

SYN, ACK = 2, 16
REQUEST, REPLY = "request", "reply"


def mixed(value):
    value = value * 0x9E3779B97F4A7C15 & MASK64
    return value ^ value >> 32


def reversed_key(key):
    return replace(key, source=key.destination, destination=key.source,
                   source_port=key.destination_port, destination_port=key.source_port)


def ends_of(key):
    ends = frozenset(((key.source, key.source_port), (key.destination, key.destination_port)))
    return ends, key.protocol


@dataclass
class Connection:
    client: FlowKey  # the flow of the client's packets
    identity: int
    sequence: int  # with which the client opened; None: not seen
    opening: bool
    ordinal: int  # among the client's to the service, from 1
    packets: list


class Connections:
    """Of one wire."""

    def __init__(self):
        self.known = {}
        self.services = {}
        self.guessed = 0
        self.opened = 0

    def of(self, key):
        """The connection that a packet like this was noted in last; None: there was none."""
        return self.known.get(ends_of(key))

    def note(self, key, flags=0, sequence=0, acknowledgement=0):
        """(role, identity of the dice, number) of a packet; the last three are TCP's."""
        tcp = key.protocol == TCP
        opens = tcp and flags & (SYN | ACK) == SYN
        answers = tcp and flags & (SYN | ACK) == SYN | ACK
        connection = self.of(key)
        if connection and opens:
            again = connection.client == key and connection.sequence == sequence
            crossing = connection.client != key and connection.opening
            if not again and not crossing:
                connection = None
        if connection is None:
            connection = self._open(key, tcp, opens, answers, sequence, acknowledgement)
            self.known[ends_of(key)] = connection
        connection.opening = connection.opening and opens
        direction = 0 if connection.client == key else 1
        connection.packets[direction] += 1
        return ((REQUEST, REPLY)[direction], mixed(connection.identity ^ direction),
                connection.packets[direction])

    def _open(self, key, tcp, opens, answers, sequence, acknowledgement):
        from_client = not answers if opens or answers or not tcp else \
            key.destination_port <= key.source_port
        self.guessed += tcp and not opens and not answers
        self.opened += 1
        client = key if from_client else reversed_key(key)
        service = replace(client, source_port=0).identity()
        self.services[service] = ordinal = self.services.get(service, 0) + 1
        known = sequence if opens else (acknowledgement - 1) & 0xFFFFFFFF if answers else None
        return Connection(client, mixed(service ^ ordinal << 1), known, opens, ordinal,
                          [0, 0])
