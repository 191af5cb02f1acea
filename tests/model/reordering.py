"""Packets that leave in another order than they came, and how far they were overtaken. Times in ns."""


def late_by_packets(arrivals, late, packets, max_ns):
    """When each packet of one scope leaves; arrivals in order. A late one leaves 1 ns behind the
    `packets`-th of those that are not late and came after it, at the latest after max_ns; whoever
    comes behind that one stays behind it."""
    left = [None] * len(arrivals)
    waiting = []
    passed = last = 0
    for at, (time, is_late) in enumerate(zip(arrivals, late)):
        while waiting and arrivals[waiting[0][0]] + max_ns <= time:
            first = waiting.pop(0)[0]
            left[first] = arrivals[first] + max_ns
        if is_late:
            waiting.append((at, passed + packets))
            continue
        left[at] = max(time, last)
        passed += 1
        while waiting and waiting[0][1] <= passed:
            last = left[at] + 1
            left[waiting.pop(0)[0]] = last
    for at, _ in waiting:
        left[at] = arrivals[at] + max_ns
    return left


def early(arrivals, entered, lucky, gap):
    """As tc-netem: of `gap` packets the last may go at once, if its dice say so; else the next may."""
    left = []
    passed = 0
    for arrival, delayed, luck in zip(arrivals, entered, lucky):
        now = passed + 1 >= gap and luck
        passed = 0 if now else passed + 1
        left.append(arrival if now else delayed)
    return left


def overtaken(order):
    """RFC 4737, 4.1 and 4.2: for each packet, in order of departure, the numbers in which they came:
    how many that came later left before it; 0 for one that is not reordered."""
    return {number: sum(other > number for other in order[:place])
            for place, number in enumerate(order)}


def extents(order):
    """RFC 4737, 4.2.2: for each reordered packet how far back stands the first that came later: its
    reordering extent. Packets that are not reordered (4.1: none that came later left before) have
    none."""
    found = {}
    highest = -1
    for place, number in enumerate(order):
        if number < highest:
            first = next(at for at, other in enumerate(order[:place]) if other > number)
            found[number] = place - first
        highest = max(highest, number)
    return found
