"""Payload patterns through `faultline simulate`: which packets a rule with `payload:` loses."""

import json
import struct

import pytest

from model import captures
from test_sim_connections import ip_frame
from model.flows import IPV4, TCP, UDP, FlowKey

SYN, ACK, PSH = 2, 16, 8
CLIENT, SERVER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
FLOW = FlowKey(IPV4, CLIENT, SERVER, 0x0800, TCP, 40000, 80)
WORDS = FlowKey(IPV4, CLIENT, SERVER, 0x0800, UDP, 40000, 53)


def datagram(data, key=WORDS):
    return ip_frame(key, struct.pack(">HHHH", key.source_port, key.destination_port,
                                     8 + len(data), 0) + data)


def segment(sequence, data, key=FLOW, flags=ACK):
    return ip_frame(key, struct.pack(">HHIIBBHHH", key.source_port, key.destination_port,
                                     sequence % 2**32, 0, 0x50, flags, 8192, 0, 0) + data)


def lost(program, payload, made, extra="", limits=""):
    """The numbers, from 0, of the frames that a rule with this payload loses, and the statistics."""
    text = (f"version: 1\nseed: 1\n{limits}rules:\n"
            f"  - {{name: r, from: left, {extra}match: {{payload: {json.dumps(payload)}}}, "
            "impair: [loss: all]}\n")
    capture = captures.from_frames(made, [captures.FIRST_NS + 1000 * at for at in range(len(made))])
    path = program.folder / "in.pcap"
    captures.write_pcap(path, capture)
    outcome = program.simulated(text, [f"left={path}"])
    left = {int(time) for time in outcome.output.time_ns}
    return [at for at in range(len(made)) if captures.FIRST_NS + 1000 * at not in left], outcome.stats


TEXTS = [b"GET /admin HTTP/1.1", b"get /ADMIN", b"xxGET /admin", b"\xde\xad\xbe\xef", b"",
         b"first\nGET /adm", b"A" * 5000 + b"GET /admin", "Käse".encode(), b"a.b", b"axb"]


@pytest.mark.parametrize("payload, expected", [
    ({"literal": "GET /admin"}, [0, 2, 6]),
    ({"literal": "get /admin", "flags": "i"}, [0, 1, 2, 6]),
    ({"literal": "a.b"}, [8]),
    ({"regex": "a.b"}, [8, 9]),
    ({"regex": "^GET"}, [0]),
    ({"regex": "^GET", "flags": "m"}, [0, 5]),
    ({"regex": "first.GET", "flags": "s"}, [5]),
    ({"regex": "first.GET"}, []),
    ({"regex": "K.se", "flags": "u"}, [7]),
    ({"regex": "K.se"}, []),
    ({"hex": "adbe"}, [3]),
    ({"literal": "GET", "offset": 2}, [2]),
    ({"literal": "GET", "offset": 0}, [0]),
    ({"regex": "G[A-Z]+", "offset": 2}, [2]),
    ({"literal": "GET /admin", "within": "12B"}, [0, 2]),
    ({"literal": "GET /admin", "within": "10B"}, [0]),
    ({"patterns": ["axb", "Käse", "/adm$"]}, [5, 7, 9]),
    ({"literal": "GET /admin", "stream": True}, [0, 2, 6]),
])
def test_datagrams_are_lost_by_their_own_payload(program, payload, expected):
    """Streams are of TCP: in a datagram `stream: true` changes nothing."""
    found, stats = lost(program, payload, [datagram(text) for text in TEXTS])
    assert found == expected
    assert stats["payload"] == {"scanned": len(TEXTS) - 1, "streams": 0, "evicted": 0,
                                "resynchronised": 0, "restarted": 0}


def test_patterns_from_a_file(program):
    """One a line, beside the scenario; empty lines are none."""
    (program.folder / "words.txt").write_bytes(b"axb\r\n\n^GET\n")
    found, _ = lost(program, {"patterns": "words.txt"}, [datagram(text) for text in TEXTS])
    assert found == [0, 9]


@pytest.mark.parametrize("order, hit", [((0, 1, 2), 2), ((0, 2, 1), 2), ((1, 0, 2), 2),
                                        ((2, 1, 0), 2), ((0, 0, 1, 1, 2, 2), 4)])
def test_a_match_over_segments_hits_the_packet_that_completes_it(program, order, hit):
    """After a SYN, in any order, near the end of sequence numbers."""
    first = 2**32 - 6
    parts = [(first, b"xxGET "), (first + 6, b"/adm"), (first + 10, b"inyy")]
    made = [segment(first - 1, b"", flags=SYN)] + [segment(*parts[at]) for at in order]
    payload = {"literal": "GET /admin", "stream": True}
    found, stats = lost(program, payload, made)
    assert found == [1 + hit]
    assert stats["payload"]["streams"] == 1 and stats["payload"]["evicted"] == 0
    assert lost(program, {"literal": "GET /admin"}, made)[0] == []


def test_directions_and_connections_are_streams_of_their_own(program):
    other = FlowKey(IPV4, CLIENT, SERVER, 0x0800, TCP, 40001, 80)
    made = [segment(100, b"GET /"), segment(105, b"admin", other), segment(105, b"admin")]
    found, stats = lost(program, {"literal": "GET /admin", "stream": True}, made)
    assert found == [2] and stats["payload"]["streams"] == 2


def test_few_streams_make_room_for_each_other(program):
    """A stream that had to go is begun anew where it goes on."""
    other = FlowKey(IPV4, CLIENT, SERVER, 0x0800, TCP, 40001, 80)
    made = [segment(100, b"GET /"), segment(7, b"-", other), segment(105, b"admin")]
    payload = {"literal": "GET /admin", "stream": True}
    found, stats = lost(program, payload, made, limits="flows: {streams: 1}\n")
    assert found == [] and stats["payload"]["evicted"] == 2 and not stats["reproducible"]
    assert lost(program, payload, made, limits="flows: {streams: 2}\n")[0] == [2]


def test_what_is_not_asked_is_not_searched(program):
    """Cheaper parts of a match come first, wherever the payload stands."""
    made = [datagram(b"GET /admin"), datagram(b"GET /admin" + b"!" * 100)]
    text = ("version: 1\nseed: 1\nrules:\n  - {name: r, from: left, "
            "match: {payload: {literal: GET}, len: 100-200}, impair: [loss: all]}\n"
            "  - {name: s, from: left, match: {payload: {literal: adm}, sport: 40000, len: 100-200},"
            " impair: [delay: 1ms]}\n")
    path = program.folder / "in.pcap"
    captures.write_pcap(path, captures.from_frames(made, [captures.FIRST_NS + at for at in (0, 9)]))
    stats = program.simulated(text, [f"left={path}"]).stats
    assert stats["rules"]["r"]["matched"] == stats["rules"]["s"]["matched"] == 1
    assert stats["payload"]["scanned"] == 1


def test_check_tells_what_streams_take(program):
    text = ("version: 1\nflows: {streams: 100k}\nrules:\n  - {name: r, impair: [loss: all], "
            "match: {payload: {regex: 'user=.*admin', stream: true}}}\n")
    (program.folder / "s.yaml").write_text(text, encoding="utf-8")
    done = program.run("check", "s.yaml", "--json")
    capacity = json.loads(done.stdout)["capacity"]
    assert capacity["streams"] == 100_000 and 0 < capacity["stream_state_bytes"] < 1_000
    assert capacity["streams_bytes"] > 100_000 * capacity["stream_state_bytes"]
    assert "100000 streams of" in program.run("check", "s.yaml").stderr
