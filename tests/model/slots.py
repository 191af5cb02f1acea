"""A link that opens now and then, as docs/faults/slot.md defines it. Times in ns."""


def slots(arrivals, least, most, draw, packets=0, bytes_=0, limit=None):
    """When each packet leaves, or None where a queue of `limit` packets is full. arrivals: (time,
    length) in order; draw(k): a uniform number in [0, 2^64) for slot k. 0: no bound."""
    left = []
    opens = -1  # the slot in turn
    taken = size = drawn = 0
    waiting = []
    for time, length in arrivals:
        waiting = [each for each in waiting if each > time]
        if limit is not None and len(waiting) >= limit:
            left.append(None)
            continue
        full = (packets and taken >= packets) or (bytes_ and size >= bytes_)
        if opens < time or full:
            base = time if opens < time else opens
            opens = base + least + (draw(drawn) * (most - least + 1) >> 64)
            drawn += 1
            taken = size = 0
        taken += 1
        size += length
        waiting.append(opens)
        left.append(opens)
    return left
