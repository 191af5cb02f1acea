"""Packets that become several, from the definitions: a packet goes on at its own time, copy k begins
k delays later, and what stands behind befalls each by itself. An item is (packet, copy): copy 0 is
the packet itself, and items are in the order in which those of one instant go on."""

from collections import Counter, namedtuple

from . import links

Item = namedtuple("Item", "packet copy time")


def duplicated(times, hits, copies, delay_ns):
    """duplicate: items of packets with these times; hits says whether each packet is hit."""
    return [Item(packet, copy, int(time) + copy * delay_ns)
            for packet, (time, hit) in enumerate(zip(times, hits))
            for copy in range(1 + (copies if hit else 0))]


def replayed(times, hits, age_ns):
    """replay: the same as one copy that late."""
    return duplicated(times, hits, 1, age_ns)


def numbered(items, scopes):
    """The number of each item among those of its packet's scope, in the order of arrival: a packet,
    then its copies."""
    counts, numbers = Counter(), []
    for item in items:
        counts[scopes[item.packet]] += 1
        numbers.append(counts[scopes[item.packet]])
    return numbers


def through(items, lengths, stages):
    """When each item leaves the stages, functions (packet, time) -> time or None that see them in
    the order of their own times."""
    return links.run([item.time for item in items], [lengths[item.packet] for item in items],
                     [lambda at, time, stage=stage: stage(items[at].packet, time)
                      for stage in stages])


def left(items, times):
    """(time, packet) of all that left, in order."""
    kept = [(time, at) for at, time in enumerate(times) if time is not None]
    return [(time, items[at].packet) for time, at in sorted(kept)]
