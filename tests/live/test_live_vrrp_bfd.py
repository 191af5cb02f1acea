"""keepalived's VRRP, and bird's BFD and BGP, through one-way cuts, cuts and pauses."""

import time

import pytest

from programs import Programs, calm_rack, pause_link
from routers import Bird, Keepalived
from traffic import wait_for
from wire import law_holds

pytestmark = pytest.mark.patient


@pytest.fixture
def programs():
    """A rack of two, and whatever runs on it."""
    with calm_rack(2) as rack, Programs(rack) as programs:
        yield programs


def stays(condition, seconds):
    """Whether it holds all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            return False
        time.sleep(0.05)
    return True


def test_a_deaf_master_and_a_mute_one(programs):
    """Without a fault, with the master deaf, and through a pause of half the time, node 1 alone has the
    address. The master mute: node 2 takes it, and node 1 that hears lower priorities keeps it. Healed:
    node 1 alone."""
    rack, routers = programs.rack, Keepalived(programs)
    wait_for(lambda: routers.holders() == [1], seconds=20)
    assert stays(lambda: routers.holders() == [1], 3)
    rack.partition(shape="one-way-in", node="n1", ttl="1m")
    assert not rack.reaches(2, 1)
    assert stays(lambda: routers.holders() == [1], 3 * routers.down_s), "its advertisements are heard"
    rack.heal_partition()
    pause_link(rack, "n1", f"{int(routers.down_s * 500)}ms")
    assert stays(lambda: routers.holders() == [1], 2 * routers.down_s)
    mute = time.monotonic()
    rack.partition(shape="one-way-out", node="n1", ttl="1m")
    wait_for(lambda: routers.holders() == [1, 2], seconds=15)
    assert time.monotonic() - mute > routers.down_s - routers.advertises_s
    assert stays(lambda: routers.holders() == [1, 2], 2)
    rack.heal_partition()
    wait_for(lambda: routers.holders() == [1], seconds=15)
    assert stays(lambda: routers.holders() == [1], 2)
    assert law_holds(rack.settle())


def down_after(routers, cut):
    """Seconds from the cut until each router has seen its BFD session down, by node."""
    seen = {}
    give_up = cut + 15
    while len(seen) < 2:
        assert time.monotonic() < give_up, seen
        for which in {1, 2} - set(seen):
            if routers.bfd(which) != "Up":
                seen[which] = time.monotonic() - cut
    return seen


@pytest.mark.parametrize("shape", ["one", "one-way-in"])
def test_a_cut_is_seen_by_bfd_and_heals(programs, shape):
    """Five messages that do not come, 200 ms each: a pause of 0.4 s is not seen, a cut is, not
    before the time and not long after it. Of a one-way cut the deaf end tells the other. BGP goes down
    with it and takes its route away; after the heal both are back."""
    rack, routers = programs.rack, Bird(programs)
    wait_for(routers.is_up, seconds=30)
    assert stays(routers.is_up, 3)
    pause_link(rack, "n1", f"{int(routers.detects_s * 400)}ms")
    assert stays(routers.is_up, 2)
    cut = time.monotonic()
    rack.partition(shape=shape, node="n1", ttl="1m")
    seen = down_after(routers, cut)
    # The last message before the cut is up to an interval old, and may have been late itself.
    assert all(0.5 <= after <= routers.detects_s + 2 for after in seen.values()), seen
    wait_for(lambda: not any(routers.is_established(which) or routers.has_route(which)
                             for which in (1, 2)), seconds=5)
    rack.heal_partition()
    wait_for(routers.is_up, seconds=40)
    assert law_holds(rack.settle())
