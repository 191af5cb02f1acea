"""`faultline diff`: what it finds between the capture that went in and the one that came out, against
what the statistics and the comments say was done."""

import json

import numpy as np
import pytest

from program import scenario_of


@pytest.fixture
def diff(program):
    def run(first, second, *words):
        outcome = program.run("diff", first, second, "--json", *words)
        assert outcome.status == 0, outcome.text()
        return json.loads(outcome.stdout)
    return run


def rewritten(program, some, *impairments, match=None, options=()):
    rule = ("r", list(impairments), *([match] if match else []))
    return program.simulated(scenario_of(rule, seed=3), [some.path], *options)


def test_nothing_became_of_them(program, few, diff):
    outcome = rewritten(program, few, "delay: 5ms")
    told = diff(few.path, outcome.out)
    assert told["packets"] == [len(few), len(few)] and told["same"] == len(few)
    assert told["late"] == {"packets": len(few), "min_ns": 5_000_000, "p50_ns": 5_000_000,
                            "p99_ns": 5_000_000, "max_ns": 5_000_000}
    assert told["lost"] == told["doubled"] == told["new"] == 0
    assert told["overtaken"] == {"packets": 0, "extent_max": 0}
    assert told["changed"] == {"packets": 0, "fields": {}} and told["differences"] == []


def test_lost_and_doubled(program, some, diff):
    outcome = rewritten(program, some, "loss: 10%", "duplicate: 5%")
    told = diff(some.path, outcome.out)
    counts = outcome.stats["rules"]["r"]
    assert told["lost"] == counts["dropped"] > 5_000
    assert told["doubled"] == counts["duplicated"] > 3_000
    assert told["same"] == len(some) - counts["dropped"] and told["changed"]["packets"] == 0
    missing = set(some.capture.serial().tolist()) - set(outcome.output.serial().tolist())
    first = [each for each in told["differences"] if each["kind"] == "lost"]
    serials = some.capture.serial()
    assert {int(serials[each["first"] - 1]) for each in first} <= missing


def test_overtaken(program, some, diff):
    """RFC 4737 by its definition, packet by packet."""
    outcome = rewritten(program, some, "delay: {time: 1ms, jitter: 200us, order: free, "
                                       "distribution: normal}")
    told = diff(some.path, outcome.out)["overtaken"]
    place = {int(serial): at for at, serial in enumerate(some.capture.serial())}
    numbers = np.array([place[int(serial)] for serial in outcome.output.serial()])
    before = np.maximum.accumulate(np.concatenate([[-1], numbers[:-1]]))
    late = np.flatnonzero(numbers < before)
    extent = 0
    highest = np.maximum.accumulate(numbers)
    for at in late:
        extent = max(extent, at - int(np.argmax(highest > numbers[at])))
    assert told == {"packets": len(late), "extent_max": extent} and extent > 5


@pytest.mark.parametrize("impairment,fields", [
    ("set: {ttl: 9}", {"ttl"}), ("set: {dscp: 46}", {"dscp"}),
    ("set: {dst: 192.0.2.1}", {"dst"}), ("set: {sport: 7}", {"sport"}),
    ("set: {vlan: {push: 7}}", {"vlan", "length"}),
    ("set: {src_mac: \"02:00:00:00:00:99\"}", {"src_mac"}),
    ("corrupt: {where: payload, checksum: fix}", {"payload"})])
def test_what_was_changed(program, few, diff, impairment, fields):
    outcome = rewritten(program, few, impairment, match="{sport: 10000-10004}")
    told = diff(few.path, outcome.out)
    edited = outcome.stats["rules"]["r"]
    count = edited["edited"] + edited["corrupted"]
    assert told["changed"]["packets"] == count > 10
    assert set(told["changed"]["fields"]) == fields
    assert told["lost"] == told["new"] == told["doubled"] == 0
    assert told["same"] == len(few) - count


def test_frames_that_were_made(program, few, diff):
    frame = "ffffffffffff020000000009080600010800060400010200000000"
    text = scenario_of(("r", [f"inject: {{hex: {frame}, every: 100us, count: 5, to: right}}"]),
                       seed=1)
    told = diff(few.path, program.simulated(text, [few.path]).out)
    assert told["new"] + told["doubled"] == 5 and told["lost"] == 0


def test_in_words_and_refused(program, few):
    outcome = rewritten(program, few, "loss: 50%")
    told = program.run("diff", few.path, outcome.out)
    assert told.status == 0 and f"{len(few)} packets went in" in told.stdout
    assert "lost" in told.stdout and "overtaken" in told.stdout
    assert program.run("diff", few.path, "/nowhere").status == 5
    assert program.run("diff", few.path).status == 2
