"""Forged frames: byte for byte those of the model, and such as a reader of captures finds no fault with."""

import shutil
import subprocess

import pytest

from model import captures, forged

CARDS = "02:00:00:00:00:01", "02:00:00:00:00:02"  # the receiver's, the sender's
LINK = f"src_mac: \"{CARDS[1]}\", dst_mac: \"{CARDS[0]}\""
FRAMES = {
    "arp: {ip: 10.0.0.9, mac: \"02:00:00:00:00:09\"}": forged.arp("10.0.0.9", "02:00:00:00:00:09"),
    "arp: {ip: 10.0.0.9, mac: \"02:00:00:00:00:09\", kind: gratuitous}, vlan: 7":
        forged.arp("10.0.0.9", "02:00:00:00:00:09", vlan=7),
    f"arp: {{ip: 10.0.0.9, mac: \"02:00:00:00:00:09\", kind: reply, to: 10.0.0.1, to_mac: \"{CARDS[0]}\"}}":
        forged.arp("10.0.0.9", "02:00:00:00:00:09", "10.0.0.1", CARDS[0]),
    "vrrp: {vrid: 51, from: 10.0.0.9, addresses: [10.0.0.1]}":
        forged.vrrp(51, 100, "10.0.0.9", ["10.0.0.1"], 100),
    "vrrp: {vrid: 255, priority: 255, interval: 40950ms, from: 10.0.0.9, addresses: [10.0.0.1, 10.1.0.1]}":
        forged.vrrp(255, 255, "10.0.0.9", ["10.0.0.1", "10.1.0.1"], 4095),
    "vrrp: {vrid: 1, priority: 0, from: \"fe80::9\", addresses: [\"fe80::1\", \"fd00::1\"]}, vlan: 9":
        forged.vrrp(1, 0, "fe80::9", ["fe80::1", "fd00::1"], 100, vlan=9),
    f"tcp: {{src: 10.0.0.2, dst: 10.0.0.1, sport: 80, dport: 40000, seq: 4294967295, flags: rst}}, {LINK}":
        forged.tcp(CARDS, "10.0.0.2", "10.0.0.1", (80, 40_000), ["rst"], 4_294_967_295),
    "tcp: {src: 10.0.0.2, dst: 10.0.0.1, sport: 80, dport: 40000, seq: 7, ack: 8, window: 512, "
    f"flags: [fin, ack]}}, {LINK}, vlan: 5":
        forged.tcp(CARDS, "10.0.0.2", "10.0.0.1", (80, 40_000), ["fin", "ack"], 7, 8, 512, 5),
    f"tcp: {{src: \"fd00::2\", dst: \"fd00::1\", sport: 443, dport: 1, flags: [syn, ack, psh]}}, {LINK}":
        forged.tcp(CARDS, "fd00::2", "fd00::1", (443, 1), ["syn", "ack", "psh"]),
    f"icmp: {{from: 10.0.0.2, to: 10.0.0.1, about: 192.0.2.1}}, {LINK}":
        forged.icmp(CARDS, "10.0.0.2", "10.0.0.1", 3, 1, "192.0.2.1"),
    "icmp: {kind: unreachable, code: port, from: 10.0.0.2, to: 10.0.0.1, about: 10.0.0.2, sport: 5000, "
    f"dport: 53}}, {LINK}":
        forged.icmp(CARDS, "10.0.0.2", "10.0.0.1", 3, 3, "10.0.0.2", (5000, 53)),
    "icmp: {kind: redirect, gateway: 10.0.0.66, from: 10.0.0.2, to: 10.0.0.1, about: 192.0.2.1, "
    f"protocol: tcp, sport: 9, dport: 80}}, {LINK}":
        forged.icmp(CARDS, "10.0.0.2", "10.0.0.1", 5, 1, "192.0.2.1", (9, 80), 6, "10.0.0.66"),
    f"announce: {{priority1: 1}}, src_mac: \"{CARDS[1]}\"": forged.announce(CARDS[1], priority1=1),
    "announce: {domain: 7, priority1: 0, clock_class: 6, priority2: 9, steps_removed: 3, interval: 125ms, "
    f"from: 10.0.0.2}}, src_mac: \"{CARDS[1]}\", vlan: 5":
        forged.announce(CARDS[1], 7, 0, 6, 9, 3, -3, "10.0.0.2", 5),
    f"announce: {{interval: 4s, from: \"fd00::2\"}}, src_mac: \"{CARDS[1]}\"":
        forged.announce(CARDS[1], interval=2, source="fd00::2"),
}


def sent(program, keys, more=""):
    """What one rule with this frame makes leave, of one packet that comes in."""
    captures.write_pcap(program.folder / "one.pcap", captures.udp_traffic(1, 1).capture)
    text = ("version: 1\nrules:\n  - name: forger\n    to: right\n    impair:\n"
            f"      - inject: {{forge: {{{keys}}}{more}}}\n")
    outcome = program.simulated(text, ["left=one.pcap"])
    frames = [outcome.output.frame(at) for at in range(len(outcome.output))]
    assert outcome.stats["ledger"]["injected"] == len(frames) - 1
    return frames


@pytest.mark.parametrize("keys", FRAMES)
def test_forged_frames_are_the_models(program, keys):
    assert FRAMES[keys] in sent(program, keys)


def test_rounds(program):
    """`every` and `count` as of any injected frame."""
    keys = next(iter(FRAMES))
    assert sent(program, keys, ", every: 10ms, count: 4").count(FRAMES[keys]) == 4


def read_by(reader, path):
    """Its text about a capture; None: it is not there."""
    if shutil.which(reader[0]) is None:
        return None
    return subprocess.run([*reader, path], capture_output=True, text=True, timeout=60,
                          check=True).stdout


def test_readers_of_captures_find_no_fault(program):
    """tcpdump, and tshark where it is installed: every frame is understood and every checksum right; a
    wrong one is seen."""
    frames = list(FRAMES.values())
    broken = bytearray(FRAMES["vrrp: {vrid: 51, from: 10.0.0.9, addresses: [10.0.0.1]}"])
    broken[36] ^= 1
    good, bad = program.folder / "good.pcap", program.folder / "bad.pcap"
    captures.write_pcap(good, captures.from_frames(frames, range(len(frames))))
    captures.write_pcap(bad, captures.from_frames([bytes(broken)], [0]))
    tcpdump = ("tcpdump", "-nvvr")
    text = read_by(tcpdump, good)
    if text is None:
        pytest.skip("no tcpdump")
    assert not [word for word in ("bad", "incorrect", "malformed", "wrong") if word in text]
    assert text.count("[|") == 1, "of TCP eight bytes are quoted"
    for word in ("Reply 10.0.0.9 is-at 02:00:00:00:00:09", "VRRPv3, Advertisement, vrid 255, prio 255",
                 "intvl 4095cs", "Flags [R]", "Flags [F.]", "host 192.0.2.1 unreachable",
                 "udp port 53 unreachable", "redirect 192.0.2.1 to host 10.0.0.66"):
        assert word in text, text
    assert "bad vrrp cksum" in read_by(tcpdump, bad)
    told = read_by(("tshark", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-V", "-r"),
                   good)
    assert told is None or not any(word in told for word in ("Malformed", "incorrect", "[Bad"))


@pytest.mark.parametrize("keys, words", [
    ("arp: {ip: 10.0.0.9}", "arp: 'mac' is missing"),
    ("tcp: {src: 10.0.0.2, dst: 10.0.0.1, sport: 1, dport: 2, flags: rst}", "src_mac and dst_mac"),
    ("arpp: {}", "just one of arp, vrrp, tcp, icmp"),
])
def test_wrong_ones_are_named(program, keys, words):
    path = program.folder / "wrong.yaml"
    path.write_text(f"version: 1\nrules:\n  - {{name: forger, impair: [inject: {{forge: {{{keys}}}}}]}}\n")
    done = program.run("check", path)
    assert done.status == 1 and words in done.stderr
