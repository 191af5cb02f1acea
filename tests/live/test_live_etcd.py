"""etcd, three members and a client on a switch: what cuts and pauses of the leader do to terms, to
leaders and to writes that were acknowledged.

Every run has its control: two election timeouts in which nothing is done to it, and in which no
election may happen; one that had one does not count. The runs are of racks of their own and go on at
the same time."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from etcd import ELECTION_MS, MEMBERS, Etcd
from programs import Programs, calm_rack, pause_link
from traffic import wait_for
from wire import law_holds

pytestmark = pytest.mark.patient

CUT_S = 20
DEAF_S = 22
TRIES = 3


@dataclass
class Run:
    """What was measured. Terms are by how much they grew."""

    terms: dict = field(default_factory=dict)  # until all members were of one mind again
    followed: bool = False  # whether the others had another leader before the heal
    resumed_s: float | None = None  # from the cut to the first write acknowledged under a new leader
    at_the_end: int = 0  # writes acknowledged in the last five seconds of the cut
    lost: set = field(default_factory=set)  # acknowledged, and some member does not have them
    acknowledged: int = 0
    agreed: bool = False
    law: bool = False


def cut_leader(cluster, run, seconds, **shape):
    """Cuts the leader for so long; the client reaches everybody throughout."""
    term, leader = cluster.term(), cluster.leader()
    others = [which for which in MEMBERS if which != leader]
    before = cluster.status(leader)[1]
    cluster.rack.partition(node=f"n{leader}", nodes=[f"n{which}" for which in MEMBERS], ttl="2m",
                           **shape)
    cut = time.monotonic()
    time.sleep(seconds)
    now = cluster.united(others)
    run.followed = now is not None and now[1] != before
    heal = time.monotonic()
    cluster.rack.heal_partition()
    cluster.heals()
    run.terms["cut"] = cluster.term() - term
    return cut, heal


def pause_leader(cluster, run, name, seconds):
    """Pauses the leader's link and waits for what comes of it."""
    term, leader = cluster.term(), cluster.leader()
    pause_link(cluster.rack, f"n{leader}", f"{seconds}s")
    time.sleep(seconds + ELECTION_MS / 1000)
    cluster.heals()
    run.terms[name] = cluster.term() - term


def cut_both_ways(cluster, run):
    """The leader hears nobody and is heard by nobody."""
    return cut_leader(cluster, run, CUT_S, shape="one")


def deafen_then_pause(cluster, run):
    """The leader hears nobody but TCP's acknowledgements; later its link is paused, twice."""
    times = cut_leader(cluster, run, DEAF_S, shape="one-way-in", tcp_acks="pass")
    pause_leader(cluster, run, "short", 1)
    pause_leader(cluster, run, "long", 9)
    return times


def close_books(cluster, run, cut, heal):
    """The client ends; what it was told is compared with what the members have."""
    _, acknowledged = cluster.written()
    wait_for(cluster.agreed, seconds=20)
    run.agreed = True
    run.acknowledged = len(acknowledged)
    for which in MEMBERS:
        run.lost |= {number for number, _, _ in acknowledged} - cluster.keys(which)
    gap = max((later[2] - earlier[2], later[2]) for earlier, later in
              zip(acknowledged, acknowledged[1:]) if cut - 1 < later[2] < heal)
    run.resumed_s = gap[1] - cut
    run.at_the_end = sum(heal - 5 < answered < heal for _, _, answered in acknowledged)
    run.law = law_holds(cluster.rack.settle())


def play(faults, pre_vote):
    """One run, again when its control saw an election."""
    for _ in range(TRIES):
        with calm_rack(4) as rack, Programs(rack) as programs:
            cluster, run = Etcd(programs, pre_vote), Run()
            try:
                before = cluster.united()
                cluster.write()
                time.sleep(2 * ELECTION_MS / 1000)
                wait_for(cluster.united)
                if cluster.united() != before:
                    continue
                close_books(cluster, run, *faults(cluster, run))
            finally:
                cluster.end()
        return run
    raise AssertionError("elections without a fault: this machine is too busy for etcd")


@pytest.fixture(scope="module")
def runs():
    """All of them, begun at once."""
    with ThreadPoolExecutor() as pool:
        yield {"plain": pool.submit(play, cut_both_ways, False),
               "pre-vote": pool.submit(play, cut_both_ways, True),
               "deaf": pool.submit(play, deafen_then_pause, False)}


def nothing_was_lost(run):
    """What holds after every heal."""
    return run.agreed and run.law and run.acknowledged > 200 and run.lost == set()


def test_a_leader_cut_off_without_pre_vote(runs):
    """20 s: the majority elects and takes writes again; the leader that was cut off campaigns against
    nobody, and its term unseats the new one when it comes back: the term has grown by 3 or more."""
    run = runs["plain"].result()
    assert run.terms["cut"] >= 3 and run.followed, run
    assert run.resumed_s < CUT_S - 5 and run.at_the_end > 20, run
    assert nothing_was_lost(run), run


def test_a_leader_cut_off_with_pre_vote(runs):
    """The same 20 s, and nobody campaigns who could not win: the term has grown by 1."""
    run = runs["pre-vote"].result()
    assert run.terms["cut"] == 1 and run.followed, run
    assert run.resumed_s < CUT_S - 5 and run.at_the_end > 20, run
    assert nothing_was_lost(run), run


def test_a_deaf_leader(runs):
    """The others hear the leader, its acknowledgements pass, and it hears nobody: it finds out that no
    majority answers and steps down, and the others elect."""
    run = runs["deaf"].result()
    assert run.followed and run.terms["cut"] >= 1, run
    assert run.resumed_s < DEAF_S and run.at_the_end > 0, run
    assert nothing_was_lost(run), run


def test_a_leader_that_is_paused(runs):
    """Elections come after 3 to 6 s of silence: a pause of 1 s brings none, one of 9 s does, and what
    was held, once it comes, harms nobody."""
    run = runs["deaf"].result()
    assert run.terms["short"] == 0, run
    assert run.terms["long"] >= 1, run
    assert nothing_was_lost(run), run
