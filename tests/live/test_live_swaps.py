"""Policies changed under traffic: nothing lost, doubled or overtaken, and books that balance."""

import http.client
import itertools
import json
import os
import random
import socket

from traffic import Traffic
from wire import PORTS, law_holds

SWAPS = 10_000 if os.environ.get("FAULTLINE_LONG") else 3_000
KEEP = "rules: [{name: line, from: left, impair: [{delay: 20ms}]}]\n"


class Connection(http.client.HTTPConnection):
    """HTTP over the daemon's socket, one connection for many requests."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None, **headers):
        """(status, JSON)."""
        text = None if body is None else json.dumps(body)
        self.request(method, path, text, {"Content-Type": "application/json", **headers})
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())


def test_thousands_of_swaps_keep_order(wire):
    """A constant delay that is changed 10,000 times (3,000 in a hurry) under traffic: every packet arrives once, and in
    its order; every change has its own generation, and adoption was waited for."""
    wire.start(PORTS + KEEP, "--start")
    connection = Connection(wire.socket)
    generation = connection.ask("GET", "/v1/status")[1]["generation"]
    traffic = Traffic(wire, packets=-1, gap_s=0.0005)
    delays = itertools.cycle(["5ms", "40ms", "1ms", "21ms", "20ms"])
    for swap in range(SWAPS):
        status, body = connection.ask("PATCH", "/v1/rules/line",
                                      {"impair": [{"delay": next(delays)}]})
        assert status == 200, body
        assert body["generation"] == generation + 1 + swap
        if swap % 500 == 0:
            assert law_holds(connection.ask("GET", "/v1/stats")[1])
    sent, arrived = traffic.stop()
    numbers = [number for _, number in arrived]
    assert sent > SWAPS
    assert numbers == list(range(1, sent + 1))
    stats = wire.settle()
    assert law_holds(stats)
    assert stats["rules"]["line"]["matched"] >= sent
    assert sum(stats["ledger"]["dropped"].values()) == 0
    assert wire.stop() == 0


def random_rule(random_number, swap):
    """A rule that has nothing to do with the one before."""
    name = f"r{swap % 7}" if random_number.random() < 0.5 else f"s{swap}"
    impairment = random_number.choice([
        {"delay": f"{random_number.randint(0, 30)}ms"},
        {"delay": {"time": "5ms", "jitter": "1ms"}},
        {"delay": {"time": "5ms", "jitter": "1ms", "order": "free"}},
        {"loss": {"model": "gilbert-elliott", "p": "5%", "r": "30%"}},
        {"loss": {"model": "every", "n": random_number.randint(2, 9)}},
        {"loss": f"{random_number.randint(1, 30)}%"},
        {"rate": f"{random_number.randint(1, 20)}Mbit"},
    ])
    return {"name": name, "from": random_number.choice(["left", "right", "any"]),
            "per": random_number.choice(["rule", "flow", "source"]),
            "draw": random_number.choice(["flow", "connection", "arrival"]),
            "impair": [impairment] + ([{"delay": "3ms"}] if random_number.random() < 0.5 else [])}


def test_a_thousand_swaps_of_everything_balance(wire):
    """Rules, delays and scopes all change 1,000 times: each answer's ledger is exact, and at the end
    every packet is either with the receiver or among the drops."""
    wire.start(PORTS, "--start")
    connection = Connection(wire.socket)
    traffic = Traffic(wire, flows=8, packets=-1, gap_s=0.0005)
    dice = random.Random(5)
    for swap in range(1_000):
        rules = [random_rule(dice, swap * 10 + place) for place in range(dice.randint(0, 4))]
        names = {rule["name"] for rule in rules}
        rules = [next(rule for rule in rules if rule["name"] == name) for name in sorted(names)]
        status, body = connection.ask("PUT", "/v1/policy", {"version": 1, "rules": rules})
        assert status == 200, body
        if swap % 10 == 0:
            assert law_holds(connection.ask("GET", "/v1/stats")[1])
        if swap % 100 == 99:
            held = dice.choice(["send", "keep", "drop"])
            assert connection.ask("POST", "/v1/heal", {"held": held})[0] == 200
    sent, arrived = traffic.stop()
    stats = wire.settle(10)
    ledger = stats["ledger"]
    assert law_holds(stats) and ledger["held"] == 0
    assert len(arrived) == len(set(arrived))
    dropped = sum(ledger["dropped"].values())
    assert len(arrived) == stats["ports"]["right"]["tx_packets"]
    assert sent * 8 == len(arrived) + dropped
    assert ledger["dropped"]["overflow"] == ledger["dropped"]["tx_full"] == 0
    assert wire.stop() == 0


def test_two_clients_and_if_match(wire):
    """Of two clients that both saw generation n, one changes it and the other is told (412)."""
    wire.start(PORTS + KEEP)
    first, second = Connection(wire.socket), Connection(wire.socket)
    generation = first.ask("GET", "/v1/rules")[1]["generation"]
    match = {"If-Match": f'"{generation}"'}
    assert first.ask("PATCH", "/v1/rules/line", {"enabled": True}, **match)[0] == 200
    status, body = second.ask("PATCH", "/v1/rules/line", {"enabled": False}, **match)
    assert status == 412 and str(generation + 1) in body["detail"]
    assert second.ask("DELETE", "/v1/rules/line", None, **match)[0] == 412
    assert second.ask("POST", "/v1/heal", {}, **match)[0] == 412
    assert second.ask("GET", "/v1/rules/line")[1]["enabled"]
    fresh = {"If-Match": f'"{generation + 1}"'}
    assert second.ask("DELETE", "/v1/rules/line", None, **fresh)[0] == 200
    assert first.ask("GET", "/v1/rules")[1]["rules"] == []
