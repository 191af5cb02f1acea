"""A timeline on real packets: its instants come by the workers' own clock, whoever changes the policy
meanwhile, and what is switched by hand counts from then on."""

import time

from test_live_swaps import Connection
from traffic import Traffic, wait_for
from wire import PORTS, law_holds

RULES = """nodes: {a: {port: left}, b: {port: right}}
rules:
  - {name: outage, from: left, enabled: false, impair: [loss: all]}
  - {name: line, from: left, impair: [delay: 1ms]}
timeline:
  - {at: 1s, for: 500ms, rule: outage, enable: true}
  - {at: 2s, for: 500ms, partition: {shape: one, node: b}}
  - {at: 3s, rule: line, set: {delay: 30ms}}
  - {at: 600s, for: 1s, rule: outage, enable: true}
"""


def gaps(sent, arrived):
    """Runs of numbers that did not arrive, as (first, length)."""
    missing = sorted(set(range(1, sent + 1)) - set(arrived))
    runs = []
    for number in missing:
        if runs and number == sum(runs[-1]):
            runs[-1][1] += 1
        else:
            runs.append([number, 1])
    return [tuple(run) for run in runs]


def test_instants_come_at_their_times(wire):
    """2,000 datagrams a second: two holes of half a second, a second apart from begin to begin, and
    from 3 s on all are 29 ms later. The events tell each instant at its time."""
    wire.start(PORTS + RULES)
    assert wire.get("/v1/status")[1]["timeline"] is None, "it starts in pass-through"
    traffic = Traffic(wire, packets=-1, gap_s=0.0005)
    time.sleep(0.3)
    status, answer = wire.http("PUT", "/v1/policy", PORTS + RULES, "application/yaml")
    assert status == 200, answer
    shown = wire.get("/v1/status")[1]["timeline"]
    assert shown["next_ns"] == 1_000_000_000 and shown["end_ns"] == 601_000_000_000
    assert shown["elapsed_ns"] < 900_000_000
    wait_for(lambda: wire.get("/v1/status")[1]["timeline"]["elapsed_ns"] > 3_500_000_000)
    sent, arrived = traffic.stop()
    numbers = [number for _, number in arrived]
    assert numbers == sorted(set(numbers)), "in order, and none twice"
    holes = gaps(sent, numbers)
    stats = wire.settle()
    assert len(holes) == 2, holes
    assert [length for _, length in holes] == [stats["rules"]["outage"]["dropped"],
                                               stats["rules"]["partition.2s"]["dropped"]]
    at = dict(zip(numbers, traffic.times_ns))
    begins = [at[first - 1] for first, _ in holes]
    ends = [at[first + length] for first, length in holes]
    # A sender that was held up makes a hole look longer by that; what is inside is exact.
    assert abs(begins[1] - begins[0] - 1e9) < 50e6
    assert all(abs(end - begin - 0.5e9) < 50e6 for begin, end in zip(begins, ends))
    assert stats["rules"]["line"]["delay"]["max_ns"] == 30_000_000
    events = [event for event in wire.get("/v1/events")[1]["events"] if event["kind"] == "timeline"]
    assert [(event["at_ns"], event["what"]) for event in events] == [
        (1_000_000_000, "outage: enabled"), (1_500_000_000, "outage: over"),
        (2_000_000_000, "partition.2s: enabled"), (2_500_000_000, "partition.2s: over"),
        (3_000_000_000, "line: set")]
    assert law_holds(stats)


def states(wire):
    return {rule["name"]: rule["active"] for rule in wire.get("/v1/rules")[1]["rules"]}


def test_switched_by_hand(wire):
    """A rule and a fault on the timeline that are switched stay so until a later entry says something
    else; heal ends the timeline."""
    timeline = """nodes: {b: {port: right}}
rules:
  - {name: outage, from: left, enabled: false, impair: [loss: all]}
timeline:
  - {at: 0s, rule: outage, enable: true}
  - {at: 0s, pause: {node: b}}
  - {at: 2s, for: 1s, rule: outage, enable: true}
"""
    wire.start(PORTS + timeline, "--start")
    assert states(wire) == {"outage": True, "pause.0s": True}
    for name in ("outage", "pause.0s"):
        assert wire.http("PATCH", f"/v1/rules/{name}", {"enabled": False})[0] == 200
    assert states(wire) == {"outage": False, "pause.0s": False}
    status, answer = wire.http("PATCH", "/v1/rules/pause.0s", {"ttl": "1s"})
    assert status == 422 and "enabled" in answer["errors"][0]["allowed"]
    assert wire.http("PATCH", "/v1/rules/pause.9s", {"enabled": True})[0] == 404
    wait_for(lambda: states(wire)["outage"], seconds=5)
    left_ns = wire.get("/v1/rules/outage")[1]["expires_ns"] - wire.get("/v1/status")[1]["uptime_ns"]
    assert left_ns < 1_000_000_000, "the timeline ends it, before its ttl"
    wait_for(lambda: not states(wire)["outage"], seconds=5)
    wire.enable("pause.0s")
    assert states(wire)["pause.0s"]
    assert wire.cli("heal").returncode == 0
    assert states(wire) == {"outage": False, "pause.0s": False}
    assert wire.get("/v1/status")[1]["timeline"] is None
    assert wire.http("DELETE", "/v1/rules/outage")[0] == 422, "the timeline names it"


def test_changes_while_instants_go_by(wire):
    """An instant every 2 ms, each with another delay, and as many changes by requests as fit: every
    packet arrives once and in its order, and the books balance."""
    entries = "".join(f"  - {{at: {2 * turn}ms, rule: line, set: {{delay: {1 + turn * 7 % 40}ms}}}}\n"
                      for turn in range(1500))
    scenario = PORTS + "rules:\n  - {name: line, from: left, impair: [delay: 20ms]}\n" \
        "  - {name: other, from: right, impair: [delay: 1ms]}\ntimeline:\n" + entries
    wire.start(PORTS + "rules: []\n")
    traffic = Traffic(wire, packets=-1, gap_s=0.0005)
    connection = Connection(wire.socket)
    assert wire.http("PUT", "/v1/policy", scenario, "application/yaml")[0] == 200
    changes = 0
    generation = 0
    while (shown := connection.ask("GET", "/v1/status")[1]["timeline"]) and shown["next_ns"]:
        status, body = connection.ask("PATCH", "/v1/rules/other",
                                      {"impair": [{"delay": f"{1 + changes % 5}ms"}]})
        assert status == 200 and body["generation"] > generation, body
        generation = body["generation"]
        changes += 1
    assert changes >= 5
    sent, arrived = traffic.stop()
    assert [number for _, number in arrived] == list(range(1, sent + 1))
    stats = wire.settle()
    assert law_holds(stats) and sum(stats["ledger"]["dropped"].values()) == 0
    assert stats["rules"]["line"]["matched"] > 3000
