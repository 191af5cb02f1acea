"""Presets on a running daemon: at its start, by `apply`, and in a request that says `use:` itself.
What they do to packets in virtual time is tests/sim's."""

import json
import re

import pytest

from wire import PORTS

pytestmark = pytest.mark.patient

GEO = {"name": "geo", "impair": [{"loss": "0%"}, {"delay": "150ms"}]}


def rules(wire):
    """Names of the daemon's rules, and what is written of each."""
    return {rule["name"]: rule for rule in wire.get("/v1/rules")[1]["rules"]}


def round_trip_ms(wire):
    """The middle of five pings."""
    said = wire.inside("a", "ping", "-i", "0.01", "-c", 5, "-W", 5, "10.77.0.2").stdout
    return sorted(float(time) for time in re.findall(r"time=([\d.]+)", said))[2]


def apply(wire, text, check=True):
    path = wire.folder / "applied.yaml"
    path.write_text(text)
    return wire.cli("apply", path, check=check)


def test_from_the_start(wire):
    """The daemon expands its own file, in pass-through; rules are enabled by their names."""
    wire.start(PORTS + "use: [{preset: geo, delay: 100ms, loss: 0%}]\n")
    assert list(rules(wire)) == ["geo"]
    assert round_trip_ms(wire) < 50
    wire.enable("geo", ttl="30s")
    assert 200 <= round_trip_ms(wire) < 300


@pytest.mark.parametrize("with_ports", [True, False], ids=["by-the-client", "by-the-daemon"])
def test_by_apply(wire, with_ports):
    """With ports the client sends the rules; without, only the daemon knows the only wire."""
    wire.start()
    head = PORTS if with_ports else "version: 1\n"
    apply(wire, head + "use: [{preset: geo, delay: 150ms, loss: 0%}, {preset: optic_dirty_mid}]\n")
    assert list(rules(wire)) == ["geo", "optic_dirty_mid"]
    assert {key: rules(wire)["geo"][key] for key in GEO} == GEO
    assert rules(wire)["optic_dirty_mid"]["from"] == ["left"]
    assert 300 <= round_trip_ms(wire) < 400
    # A rule from a preset is one like any other.
    wire.cli("rule", "set", "geo", "impair=delay: 30ms")
    assert 60 <= round_trip_ms(wire) < 110
    wire.cli("heal")
    assert round_trip_ms(wire) < 50


def test_in_a_request(wire):
    """`use:` in JSON; a wrong one changes nothing and is told with its place."""
    wire.start()
    body = {"version": 1, "use": [{"preset": "lighthouse", "rtt": "100ms"}]}
    assert wire.http("PUT", "/v1/policy", body)[0] == 200
    assert list(rules(wire)) == ["lighthouse.down", "lighthouse.up"]
    assert 100 <= round_trip_ms(wire) < 150
    for use, said in (([{"preset": "lighthous"}], "lighthouse"), ([{"preset": "geo", "delay": 3}],
                      "a duration such as 300ms"), ([{"preset": "../../etc/passwd"}], "preset")):
        status, problem = wire.http("PUT", "/v1/policy", {"version": 1, "use": use})
        assert status == 422 and said in json.dumps(problem["errors"])
    assert list(rules(wire)) == ["lighthouse.down", "lighthouse.up"]


def test_a_cut_ends_by_itself(wire):
    """github_2018 for one second instead of 43."""
    wire.start()
    apply(wire, PORTS + "use: [{preset: github_2018, for: 1s}]\n")
    said = wire.inside("a", "ping", "-i", "0.05", "-c", 40, "-W", 1, "10.77.0.2").stdout
    lost = 40 - int(re.search(r"(\d+) received", said)[1])
    assert 5 <= lost <= 25
    assert not rules(wire)["github_2018"]["active"]
