"""Triggers on real packets: a TCP segment that is lost, lost again and late, and from then on its
receiver stands still; a link; a call."""

import json
import sys
import time

from traffic import wait_for
from wire import PORTS, law_holds

REQUEST_BYTES = 100
TALKER = f"""
import socket, sys, time
if sys.argv[1] == "b":
    server = socket.create_server(("10.77.0.2", 5000))
    print("ready", flush=True)
    end, _ = server.accept()
    while end.recv(65536):
        pass
else:
    end = socket.create_connection(("10.77.0.2", 5000))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for number in range(10):
        end.send(bytes({REQUEST_BYTES}))
        time.sleep(0.05)
    print("sent", flush=True)
    sys.stdin.readline()
"""
SNIFFER = """
import json, socket, sys, time
inward = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
inward.bind(('eth0', 3))
inward.settimeout(0.2)
print('ready', flush=True)
seen = []
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    try:
        frame, address = inward.recvfrom(2048)
    except TimeoutError:
        continue
    if frame[12:14] == b'\\x08\\0' and frame[23] == 6:
        header = 14 + 4 * (frame[14] & 15)
        data = int.from_bytes(frame[16:18], 'big') + 14 - header - 4 * (frame[header + 12] >> 4)
        seen.append((time.monotonic(), address[2] == socket.PACKET_OUTGOING,
                     int.from_bytes(frame[header + 4:header + 8], 'big'), data))
json.dump(seen, sys.stdout)
"""
SEGMENT = f"sequence: {9 * REQUEST_BYTES + 1}-{10 * REQUEST_BYTES}, data: true"
RULES = f"""nodes: {{one: {{port: left}}, two: {{port: right}}}}
rules:
  - {{name: lost, from: left, match: {{tcp: {{{SEGMENT}, retransmission: false}}}}, impair: [loss: all]}}
  - {{name: lost-again, from: left, match: {{tcp: {{{SEGMENT}, retransmission: 1}}}}, impair: [loss: all]}}
  - {{name: late, from: left, match: {{tcp: {{{SEGMENT}, retransmission: 2}}}}, impair: [delay: 3s]}}
timeline:
  - {{when: {{rule: late, match: 1}}, pause: {{node: two}}}}
"""
SECONDS = 8


def test_the_second_retransmission_of_the_tenth_request(wire):
    """It is delayed by 3 s, and from then on node two is paused: behind it nothing gets to the
    receiver but this one, until the pause is ended."""
    wire.start(PORTS + RULES, "--start")
    server = wire.spawn("b", sys.executable, "-c", TALKER, "b")
    assert server.stdout.readline() == "ready\n"
    sniffers = {which: wire.spawn(which, sys.executable, "-c", SNIFFER, SECONDS) for which in "ab"}
    for sniffer in sniffers.values():
        assert sniffer.stdout.readline() == "ready\n"
    client = wire.spawn("a", sys.executable, "-c", TALKER, "a", stdin=-1)
    assert client.stdout.readline() == "sent\n"
    wait_for(lambda: wire.stats()["rules"]["late"]["matched"] == 1)
    assert wire.get("/v1/rules/pause.when1")[1]["active"]
    seen = {which: json.loads(sniffer.communicate(timeout=30)[0])
            for which, sniffer in sniffers.items()}
    sent = [(at, seq) for at, outgoing, seq, data in seen["a"] if outgoing and data > 0]
    first = min(seq for _, seq in sent)
    tenth = [at for at, seq in sent if seq == first + 9 * REQUEST_BYTES]
    assert len(tenth) >= 3, "sent, and at least twice again"
    came = [(at, seq) for at, outgoing, seq, data in seen["b"] if not outgoing and data > 0]
    late = [(at, seq) for at, seq in came if at > tenth[2] + 0.05]
    assert [seq for _, seq in late] == [first + 9 * REQUEST_BYTES], "only this one, later"
    assert abs(late[0][0] - tenth[2] - 3) < 0.2
    assert sorted({seq for at, seq in came if at <= tenth[2]}) == [
        first + turn * REQUEST_BYTES for turn in range(9)]
    trigger = wire.get("/v1/triggers")[1]["triggers"][0]
    assert trigger["packet"]["port"] == "left" and trigger["packet"]["flow"].endswith(":5000")
    fired = [event for event in wire.get("/v1/events")[1]["events"] if event["kind"] == "trigger"]
    assert [(event["when"], event["at_ns"]) for event in fired] == [
        ("rule late: packet 1", trigger["fired_ns"])]
    assert wire.cli("heal").returncode == 0
    client.communicate("done\n", timeout=20)
    server.communicate(timeout=20)
    assert law_holds(wire.settle())


def test_links_and_calls(wire):
    """A link that goes down and a call fire what waits for them, once."""
    wire.start(PORTS + """rules:
  - {name: called, enabled: false, impair: [loss: all]}
  - {name: cut, enabled: false, impair: [delay: 1ms]}
timeline:
  - {when: {call: go}, for: 1s, rule: called, enable: true}
  - {when: {link: right, state: down}, rule: cut, enable: true}
""", "--start")

    def active(rule):
        return wire.get(f"/v1/rules/{rule}")[1]["active"]

    assert not active("called") and not active("cut")
    assert wire.http("POST", "/v1/triggers/stop")[0] == 404
    before = time.monotonic()
    first = wire.cli("trigger", "go", "--json").stdout
    assert active("called") and not active("cut")
    states = {line.split()[0]: line.split()[1] for line in wire.cli("rules").stdout.splitlines() if line}
    assert (states["called"], states["cut"]) == ("active", "off")
    assert wire.cli("trigger", "go", "--json").stdout == first, "it fires once"
    wait_for(lambda: not active("called"))
    assert 0.8 < time.monotonic() - before < 2
    said = wire.cli("trigger").stdout
    assert "call go" in said and "link right down" in said
    wire.inside("b", "ip", "link", "set", "eth0", "down")
    wait_for(lambda: active("cut"))
    assert wire.cli("heal").returncode == 0
    assert not active("cut") and wire.get("/v1/triggers")[1]["triggers"] == []
    assert wire.cli("trigger", "go", check=False).returncode == 4


def test_each_call_and_each_packet(wire):
    """A call that is made again fires again when what it did is over. Each ping but those that come
    meanwhile has the next one lost; each firing is an event, and what is too many is counted."""
    wire.start(PORTS + """rules:
  - {name: called, enabled: false, impair: [delay: 1ms]}
  - {name: lost, from: left, enabled: false, match: {proto: icmp}, impair: [loss: all]}
timeline:
  - {when: {call: go}, count: 2, for: 500ms, rule: called, enable: true}
  - {when: {packet: {proto: icmp}, from: left}, again: true, for: 250ms, rule: lost, enable: true}
""", "--start")

    def triggers():
        return wire.get("/v1/triggers")[1]["triggers"]

    def fired(which):
        return [event for event in wire.get("/v1/events")[1]["events"]
                if event["kind"] == "trigger" and event["when"].startswith(which)]

    assert json.loads(wire.cli("trigger", "go", "--json").stdout)["firings"] == 1
    assert json.loads(wire.cli("trigger", "go", "--json").stdout)["firings"] == 1, "it is in force"
    wait_for(lambda: not wire.get("/v1/rules/called")[1]["active"])
    assert json.loads(wire.cli("trigger", "go", "--json").stdout)["firings"] == 2
    wait_for(lambda: not wire.get("/v1/rules/called")[1]["active"])
    assert json.loads(wire.cli("trigger", "go", "--json").stdout)["firings"] == 2, "two in all"
    assert [event["firing"] for event in fired("call")] == [1, 2]
    ended = [event for event in wire.get("/v1/events")[1]["events"] if event["kind"] == "end"]
    assert {(event["rule"], event["by"]) for event in ended} == {("called", "trigger")}

    wire.inside("a", "ping", "-c", 20, "-i", "0.1", "-W", 1, "10.77.0.2", check=False)
    lost = wire.stats()["rules"]["lost"]["dropped"]
    firings = triggers()[1]["firings"]
    assert firings + lost == 20 and 4 <= firings <= 10, (firings, lost)
    events = fired("packet")
    assert [event["firing"] for event in events] == list(range(1, firings + 1))
    assert all(event["packet"]["flow"].startswith("icmp 10.77.0.1") for event in events)
    times = [event["at_ns"] for event in events]
    assert all(after - before >= 250_000_000 for before, after in zip(times, times[1:]))
    assert (times[0], times[-1]) == (triggers()[1]["first_ns"], triggers()[1]["fired_ns"])
    assert "times, last " in wire.cli("trigger").stdout
    assert wire.cli("heal").returncode == 0
    assert law_holds(wire.settle())


def test_many_firings_are_counted(wire):
    """A trigger that fires with every packet tells ten a second; the others are counted with the next."""
    wire.start(PORTS + """rules:
  - {name: seen, from: left, match: {proto: icmp}, impair: [delay: 1ns]}
timeline:
  - {when: {rule: seen}, again: true, for: 1us, rule: seen, set: {delay: 2ns}}
""", "--start")
    wire.inside("a", "ping", "-c", 60, "-i", "0.01", "10.77.0.2")
    wait_for(lambda: wire.get("/v1/triggers")[1]["triggers"][0]["firings"] == 60)
    time.sleep(1.1)
    wire.inside("a", "ping", "-c", 1, "10.77.0.2")
    told = [event for event in wire.get("/v1/events")[1]["events"] if event["kind"] == "trigger"]
    assert told[-1]["firing"] == 61 and len(told) <= 21
    assert len(told) + sum(event["untold"] for event in told) == 61


def test_values_that_a_packet_sets(wire):
    """The third ping has those behind it come 200 ms later, for a second; the rule stays the same."""
    wire.start(PORTS + """rules:
  - {name: slow, from: left, match: {proto: icmp}, impair: [delay: 20ms]}
timeline:
  - {when: {rule: slow, match: 3}, rule: slow, set: {delay: {time: 200ms}}, for: 1s}
""", "--start")
    said = wire.inside("a", "ping", "-c", 12, "-i", "0.25", "10.77.0.2").stdout
    took = [float(line.split("time=")[1].split()[0]) for line in said.splitlines() if "time=" in line]
    assert len(took) == 12
    assert all(20 <= one < 100 for one in took[:3] + took[8:]), took
    assert all(one >= 200 for one in took[3:6]), took
    rules = wire.get("/v1/rules")[1]["rules"]
    assert [(rule["name"], rule["active"], rule["matched"]) for rule in rules] == [("slow", True, 12)]
    assert wire.stats()["rules"]["slow"]["delay"]["max_ns"] >= 200_000_000
    assert wire.cli("heal").returncode == 0
    assert law_holds(wire.settle())
