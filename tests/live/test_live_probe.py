"""faultline probe: what it finds through a daemon is what the daemon says it did, to the frame."""

import json
import signal
import subprocess
import time

import pytest

from drivers import scenario_of
from peers import start
from traffic import wait_for
from wire import BUILD, PORTS, law_holds, run

RATE = 4000  # frames a second: a fraction of what the machine can

RULES_EVERY_TENTH = """rules:
  - {name: tenth, from: left, impair: [loss: {model: every, n: 10}]}
"""


def ends(wire):
    """The peers' interfaces as the probe names them, in their namespaces."""
    return [f"{wire.namespace(which)}/eth0" for which in "ab"]


def probe(wire, *words, status=0):
    """Frames from `a` to `b`; what the probe found there, and back with --both."""
    left, right = ends(wire)
    done = run(BUILD / "faultline", "probe", "--from", left, "--to", right, "--json", "--rate", RATE,
               *words, check=False)
    assert done.returncode == status, done.stderr
    found = json.loads(done.stdout)["directions"]
    assert all(way["missed"] == 0 and way["corrupted"] == 0 for way in found)
    return found


def test_losses_and_copies_are_those_of_the_daemon(wire):
    """Every tenth lost, a quarter doubled, delays of 20 ms, both ways and in flows: each count is the
    rule's."""
    start(wire, "name: tenth, from: left, impair: [loss: {model: every, n: 10}]",
          "name: twice, from: left, impair: [duplicate: 25%]",
          "name: slow, from: right, impair: [delay: 20ms]")
    there, back = probe(wire, "--count", 2000, "--both", "--flows", 4, "--size", "64,512,1518",
                        "--by-flow")
    stats = wire.settle()
    assert law_holds(stats)
    rules = stats["rules"]
    assert there["sent"] == back["sent"] == 2000
    assert there["lost"] == rules["tenth"]["dropped"] == 200 and there["received"] == 1800
    assert there["loss"]["rate"] == 0.1
    assert there["duplicated"] == rules["twice"]["duplicated"] > 300
    assert [flow["sent"] for flow in there["flows"]] == [500] * 4
    assert sum(flow["lost"] for flow in there["flows"]) == 200
    assert back["received"] == rules["slow"]["delayed"] == 2000 and back["duplicated"] == 0
    assert back["delay"]["min_ns"] >= 20_000_000 > there["delay"]["min_ns"]
    assert back["delay"]["min_ns"] < 30_000_000
    assert back["pdv"]["max_ns"] == back["delay"]["max_ns"] - back["delay"]["min_ns"]


def test_ipv6(wire):
    """The same by IPv6, both ways: the rules see IPv6, and the smallest frame has room for it."""
    start(wire, "name: tenth, from: left, match: {dst: \"2001:2::2\", proto: udp, dport: 9}, "
                "impair: [loss: {model: every, n: 10}]")
    there, back = probe(wire, "--count", 1000, "--both", "--addresses", "2001:2::1,2001:2::2")
    stats = wire.settle()
    assert there["sent"] == back["sent"] == back["received"] == 1000
    assert there["lost"] == stats["rules"]["tenth"]["dropped"] == 100
    assert there["sent_bytes"] == 84 * 1000 and there["headers_changed"] == 0
    left, right = ends(wire)
    refused = run(BUILD / "faultline", "probe", "--from", left, "--to", right, "--size", "128,83",
                  "--addresses", "2001:2::1,2001:2::2", check=False)
    assert refused.returncode == 2 and "at least 84" in refused.stderr


def test_ports_of_dpdk(wire):
    """Shared memory with the daemon at both ends: what is lost is what the daemon dropped, long frames
    and short ones, both ways."""
    sockets = [wire.folder / f"{side}.sock" for side in ("left", "right")]
    wire.start(scenario_of(*(f"driver: memif, role: server, socket: {path}" for path in sockets),
                           rest=RULES_EVERY_TENTH), "--start")
    left, right = (f"{{driver: memif, role: client, socket: {path}}}" for path in sockets)
    done = run(BUILD / "faultline", "probe", "--from", left, "--to", right, "--json", "--both", "--rate",
               RATE, "--count", 2000, "--size", "64,1518", "--flows", 2)
    there, back = json.loads(done.stdout)["directions"]
    stats = wire.settle()
    assert law_holds(stats)
    assert there["sent"] == back["sent"] == back["received"] == 2000
    assert there["lost"] == stats["rules"]["tenth"]["dropped"] == 200
    assert there["missed"] == there["corrupted"] == back["corrupted"] == 0
    assert there["from"] == left and there["headers_changed"] == 0
    heard = json.loads(run(BUILD / "faultline", "probe", "cabling", left, right, "--json").stdout)
    assert {(one["from"], one["to"]) for one in heard["heard"]} == {(left, right), (right, left)}


def test_the_other_end_of_the_memory_goes(wire):
    """The daemon is killed under a probe that counts: it says so and ends."""
    sockets = [wire.folder / f"{side}.sock" for side in ("left", "right")]
    wire.start(scenario_of(*(f"driver: memif, role: server, socket: {path}" for path in sockets),
                           rest=RULES_EVERY_TENTH), "--start")
    words = [f"{{driver: memif, role: client, socket: {path}}}" for path in sockets]
    process = subprocess.Popen([BUILD / "faultline", "probe", "--from", words[0], "--to", words[1],
                                "--rate", "1000", "--count", "1000000"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: wire.stats()["ledger"]["received"] > 500)
    wire.stop(signal.SIGKILL)
    assert "no carrier any more" in process.communicate(timeout=20)[1]
    assert process.returncode == 4


def test_a_port_of_dpdk_and_an_interface(wire):
    """One end is DPDK's, the other the kernel's, and the cable between them is a veth pair."""
    run("ip", "-n", wire.namespace("a"), "link", "add", "p0", "type", "veth", "peer", "name", "p1")
    for end in ("p0", "p1"):
        run("ip", "-n", wire.namespace("a"), "link", "set", end, "up")
    port = "{driver: af_packet, interface: p0}"
    for words in (["--from", port, "--to", "p1"], ["--from", "p1", "--to", port]):
        done = wire.inside("a", BUILD / "faultline", "probe", *words, "--count", 500, "--json")
        (way,) = json.loads(done.stdout)["directions"]
        assert (way["sent"], way["received"], way["missed"]) == (500, 500, 0)


@pytest.mark.parametrize("port,status,said", [
    ("{driver: memif}", 4, "error: port: 'socket' is missing"),
    ("{driver: memory, socket: x}", 4, "'memory'"),
    ("{driver: af_packet, interface: p0, mtu: 100}", 4, "too small for frames of 512 bytes"),
    ("{driver: af_packet, interface: p0, queues: 2}", 4, "2 queues; 1: a probe polls one"),
    ("{driver: af_packet, interface: gone}", 4, "gone"),
    ("{driver: af_packet", 4, "error"),
])
def test_ports_of_dpdk_that_cannot_be(port, status, said):
    """Each is told with its place in what was written, and nothing is sent."""
    done = run(BUILD / "faultline", "probe", "--from", port, "--to", "lo", "--size", "512", check=False)
    assert done.returncode == status and said in done.stderr, done.stderr


def test_order_is_that_of_the_daemon(wire):
    """Frames that are held back until three have passed them: as many are out of order, by three."""
    start(wire, "name: late, from: left, impair: [reorder: {mode: late, by: 3p, rate: 5%}]")
    there = probe(wire, "--count", 2000)[0]
    stats = wire.settle()
    assert there["received"] == 2000 and there["lost"] == 0
    assert there["reordered"] == stats["ports"]["right"]["tx_reordered"] > 50
    assert there["reorder_extent_max"] == stats["ports"]["right"]["tx_extent_max"] >= 3
    assert there["reordered_ratio"] == there["reordered"] / 2000


def test_damage_is_told_from_loss(wire):
    """A turned bit in the payload is a frame that is corrupted; another DSCP is a changed one."""
    start(wire, "name: bits, from: left, impair: [corrupt: {rate: 10%, where: payload}]",
          "name: marks, from: left, match: {len: 1000-1514}, impair: [set: {dscp: 46}]")
    left, right = ends(wire)
    found = json.loads(run(BUILD / "faultline", "probe", "--from", left, "--to", right, "--json",
                           "--rate", RATE, "--count", 1000, "--size", "64,1518").stdout)
    there = found["directions"][0]
    stats = wire.settle()
    assert there["corrupted"] == there["lost"] == stats["rules"]["bits"]["corrupted"] > 50
    assert there["sent_bytes"] == 500 * (64 + 1518)
    assert 400 < there["headers_changed"] <= 500 == stats["rules"]["marks"]["matched"]


def test_silence_and_cables(wire):
    """A wire that is cut: the probe gives up and says so; cabling finds who hears whom."""
    wire.start(PORTS + "rules: [{name: cut, from: left, enabled: false, impair: [loss: 100%]}]\n",
               "--start")
    left, right = ends(wire)
    both = run(BUILD / "faultline", "probe", "cabling", left, right, "--json")
    heard = json.loads(both.stdout)
    assert [(each["from"], each["to"], each["received"]) for each in heard["heard"]] == [
        (left, right, 5), (right, left, 5)]
    wire.enable("cut")
    half = run(BUILD / "faultline", "probe", "cabling", left, right, check=False)
    assert half.returncode == 1 and f"{right} hears none" in half.stdout
    silent = run(BUILD / "faultline", "probe", "--from", left, "--to", right, "--silence", "300ms",
                 check=False)
    assert silent.returncode == 1 and "nothing came in 300ms" in silent.stderr


def test_ctrl_c_ends_it_with_what_was_found(wire):
    """Without an end of its own, half of a second's frames: all of them are accounted for."""
    wire.start()
    left, right = ends(wire)
    process = subprocess.Popen([BUILD / "faultline", "probe", "--from", left, "--to", right, "--json",
                                "--duration", "0", "--flows", "7"], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    found = json.loads(process.communicate(timeout=10)[0])["directions"][0]
    assert process.returncode == 0
    assert 200 < found["sent"] == found["received"] == wire.stats()["ports"]["left"]["rx_packets"]


def test_characterise(wire):
    """A throughput for each size that the wire then carries without loss, and the latency there."""
    start(wire, "name: link, from: left, impair: [police: {rate: 2Mbit, burst: 2000B}]")
    left, right = ends(wire)
    done = run(BUILD / "faultline", "probe", "characterise", "--from", left, "--to", right, "--json",
               "--size", "512", "--rate", "2k", "--trial", "200ms", "--wait", "100ms",
               "--baseline", f"{right},{left}", check=False)
    assert done.returncode == 0, done.stderr
    size = json.loads(done.stdout)["sizes"][0]
    assert size["bytes"] == 512 and not size["sender_bound"] and size["trials"] > 3
    # 2 Mbit/s of frames without their check are 492 a second, and the bucket lends a little.
    assert 300 < size["throughput_pps"] < 600
    assert size["added_p50_ns"] == size["latency"]["p50_ns"] - size["baseline"]["p50_ns"]


@pytest.mark.parametrize("change,said", [
    ({"--to": "nowhere/eth0"}, "no network namespace 'nowhere'"),
    ({"--to": "eth77"}, "interface 'eth77' does not exist"),
    ({"--size": "4000"}, "too small for frames of 4000 bytes"),
])
def test_what_cannot_be_probed_is_said_before(wire, change, said):
    """Names, links and sizes: refused (4), with what would do."""
    left, right = ends(wire)
    words = {"--from": left, "--to": right, **change}
    done = run(BUILD / "faultline", "probe", *[word for pair in words.items() for word in pair],
               check=False)
    assert done.returncode == 4 and said in done.stderr


def test_links_and_rights_are_looked_at(wire):
    """A link that is down, an end without a carrier, a user who may not: each by name."""
    left, right = ends(wire)
    words = [BUILD / "faultline", "probe", "--from", left, "--to", right]
    run("ip", "-n", wire.namespace("m"), "link", "set", "fl-right", "down")
    assert "has no carrier" in run(*words, check=False).stderr
    run("ip", "-n", wire.namespace("b"), "link", "set", "eth0", "down")
    assert f"interface '{right}' is down" in run(*words, check=False).stderr
    done = run("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", BUILD / "faultline",
               "probe", "--from", "lo", "--to", "eth0", check=False)
    assert done.returncode == 4 and "CAP_NET_RAW" in done.stderr


@pytest.mark.parametrize("words", [["--rate", "fast"], ["--size", "63"], ["--flows", "0"],
                                   ["--addresses", "10.0.0.1"], ["--addresses", "10.0.0.1,fd00::1"],
                                   ["--macs", "x,y"], ["--count", "0"], []])
def test_usage(words):
    """Options that cannot be are usage (2), and so is one interface alone."""
    done = run(BUILD / "faultline", "probe", "--from", "lo", *words, check=False)
    assert done.returncode == 2 and done.stderr
