"""redis with sentinels: when they fail over, when they do not, and what becomes of the old master."""

import time

import pytest

from programs import Programs, calm_rack, pause_link
from sentinel import DOWN_AFTER_MS, NODES, Redis
from traffic import wait_for
from wire import law_holds

pytestmark = pytest.mark.patient


@pytest.fixture
def redis():
    """A master, two replicas and three sentinels that know each other."""
    with calm_rack(3) as rack, Programs(rack) as programs:
        yield Redis(programs)


def test_a_pause_below_the_time_and_a_cut_above_it(redis):
    """down-after is 2 s. Nothing fails over in 4 s without a fault, nor for two pauses of 1 s. A master
    that is cut off is replaced, not before the 2 s are over; it goes on as a master and acknowledges
    writes; healed, it becomes a replica and those writes are gone."""
    rack = redis.rack
    time.sleep(2 * DOWN_AFTER_MS / 1000)
    for _ in range(2):
        pause_link(rack, "n1", "1s")
        time.sleep(2.5)
    for which in NODES:
        seen = redis.seen(which)
        assert redis.master(which) == 1 and seen["config-epoch"] == "0", seen
    assert redis.cli(1, "SET", "before", "yes") == ["OK"]
    wait_for(lambda: redis.cli(2, "GET", "before") == ["yes"] == redis.cli(3, "GET", "before"))
    cut = time.monotonic()
    rack.partition(shape="one", node="n1", ttl="2m")
    wait_for(lambda: redis.master(2) == redis.master(3) != 1, seconds=30)
    took = time.monotonic() - cut
    new = redis.master(2)
    assert took >= DOWN_AFTER_MS / 1000 and new in (2, 3)
    wait_for(lambda: redis.role(new) == "master")
    other = 5 - new
    wait_for(lambda: redis.follows(other) == new, seconds=20)
    assert redis.role(1) == "master" and redis.master(1) == 1, "nobody could tell it"
    assert redis.cli(1, "SET", "inside", "yes") == ["OK"], "acknowledged by the old master"
    assert redis.cli(new, "SET", "after", "yes") == ["OK"]
    rack.heal_partition()
    wait_for(lambda: redis.follows(1) == new, seconds=40)
    wait_for(lambda: {redis.master(which) for which in NODES} == {new}, seconds=20)
    assert [redis.role(which) for which in NODES].count("master") == 1
    for which in NODES:
        for key, value in (("before", "yes"), ("after", "yes"), ("inside", "")):
            assert redis.cli(which, "GET", key) == [value], (which, key)
    assert law_holds(rack.settle())
