"""Captures as people have them under everything that changes, copies, answers, queues or ends
packets: each impairment on a wire of its own, half of the packets matched. The program survives,
the books balance on each wire, and what no rule matched leaves as it came. Half of
those in tests/captures always; with --long all that tcpdump's source package brings."""

from collections import Counter

import pytest

from model import odd_captures
from program import scenario_of
from test_sim_captures import CORPUS, CORPUS_AT_LEAST, KEPT, arrivals, captures_in

TRACE = r'link_trace: {file: radio, contents: "0\n3\n3\n7\n12\n20\n"}'
FRAME = "ffffffffffff020000000009080600010800060400010200000000"
IMPAIRMENTS = [
    ["corrupt: {rate: 50%, bits: 3}"],
    ["corrupt: {where: l3, burst: 20, checksum: fix}", "corrupt: {where: l2, bits: 2}"],
    ["corrupt: {ber: 0.1%, checksum: break}"],
    ["corrupt: {where: payload, swap_words: true, checksum: fix}"],
    ["corrupt: {where: 14, bytes: \"00ff00ff00ff\", checksum: fix}"],
    ["duplicate: {rate: 50%, copies: 3, delay: 1ms}"],
    ["replay: {rate: 50%, age: 1s}"],
    ["truncate: {to: 40B}"],
    ["truncate: {to: 100B, checksum: fix}", "truncate: {rate: 30%, to: 20B}"],
    ["mtu: {size: 100B}"],
    ["mtu: {size: 68B, action: fragment}"],
    ["mtu: {size: 120B, action: icmp}"],
    ["set: {ttl: 1, dscp: 46, ecn: ce, src: 192.0.2.1, dst: \"2001:db8::2\", sport: 7, dport: 9}"],
    ["set: {src_mac: \"02:00:00:00:00:01\", vlan: {push: 7, pcp: 3}}", "set: {window: 1, vlan: 9}"],
    ["set: {vlan: none}", "set: {vlan: {pop: true}}", "set: {vlan: {rewrite: 5}}"],
    ["tcp: {strip_option: [mss, sack, timestamp, window-scale], clamp_mss: 500}"],
    ["tcp: {zero_window: true, only: acks}"],
    ["tcp: {reset: both, rate: 50%}"],
    ["icmp_unreachable: {code: protocol}"],
    ["icmp_unreachable: {code: admin, rate: 50%}"],
    ["reject: true"],
    ["mark_ce: 70%"],
    ["rate: {rate: 200kbit, overhead: 24B, minimum: 84B}", "queue: {limit: 8p}"],
    ["rate: {rate: 200kbit, cell: 48B, cell_overhead: 5B}", "queue: {limit: 20KB, discipline: head}"],
    ["rate: 300kbit", "queue: {limit: 60p, discipline: red, ecn: true}"],
    ["rate: 300kbit", "queue: {limit: 60p, discipline: codel, ecn: true}"],
    ["rate: 300kbit", "queue: {limit: 60p, discipline: pie}"],
    ["police: {rate: 64kbit, burst: 2KB, action: mark-ce}"],
    ["slot: {min: 5ms, max: 20ms, packets: 3, bytes: 2KB}", "queue: {limit: 50p}"],
    [TRACE, "queue: {limit: 100ms}"],
    ["stop_after: 5"],
    ["delay: 10ms", "reorder: {mode: early, rate: 50%, gap: 3}", "reorder: {mode: late, by: 7ms}"],
]
INJECT = [f"inject: {{hex: {FRAME}, every: 100ms, count: 20}}", "duplicate: 20%",
          "mtu: {size: 90B, action: fragment}", "corrupt: {rate: 10%, checksum: fix}",
          "truncate: {rate: 10%, to: 90B, checksum: fix}", "delay: {time: 2ms, jitter: 1ms, order: free}",
          "rate: 1Mbit", "queue: {limit: 30p, discipline: codel}"]
assert len(IMPAIRMENTS) == 32  # wires of 64 ports


def wired(impairments, least):
    """A wire, and a rule for the packets that are at least so long, for each."""
    rules = [(f"r{at}", impair, f"{{len: {least}-65535}}") for at, impair in enumerate(impairments)]
    text = scenario_of(*rules, seed=3)
    for at in range(len(impairments)):
        text = text.replace(f"  - name: r{at}\n", f"  - name: r{at}\n    from: a{at}\n    to: b{at}\n")
    wires = range(len(impairments))
    ports = ", ".join(f'{end}{at}: {{driver: "null"}}' for at in wires for end in "ab")
    lines = ", ".join(f"w{at}: [a{at}, b{at}]" for at in wires)
    return text + f"ports: {{{ports}}}\nwires: {{{lines}}}\n"


def by_port(path):
    ports = {}
    for packet in odd_captures.read(path):
        ports.setdefault(packet.interface, []).append(packet)
    return ports


def judge(program, path, impairments):
    """One capture on all wires at once."""
    packets = odd_captures.read(path)
    lengths = sorted(packet.original for packet in packets)
    least = min(lengths[len(lengths) // 2], 60_000) if lengths else 0
    inputs = [f"a{at}={path}" for at in range(len(impairments))]
    drops = program.folder / "drops.pcapng"
    outcome = program.simulated(wired(impairments, least), inputs, "--drops", drops)
    ledger, rules = outcome.stats["ledger"], outcome.stats["rules"]
    assert ledger["balanced"] is True and ledger["held"] == 0
    assert ledger["received"] == len(packets) * len(impairments)
    assert ledger["received"] + ledger["copies"] + ledger["injected"] == ledger["sent"] + sum(
        ledger["dropped"].values())
    assert not ledger["dropped"]["no_mbuf"] and not ledger["dropped"]["tx_error"]
    left, lost = by_port(outcome.out), by_port(drops)
    assert ledger["sent"] == sum(map(len, left.values()))
    unmatched = Counter((at, packet.original, packet.data) for at, packet in
                        zip(arrivals(packets), packets) if packet.original < least)
    for at in range(len(impairments)):
        told = rules[f"r{at}"]
        out, back = left.get(f"b{at}", []), left.get(f"a{at}", [])
        gone = lost.get(f"a{at}", [])
        assert len(packets) + told["duplicated"] + told["injected"] == len(out) + len(back) + len(
            gone), (impairments[at], told)
        assert told["matched"] <= len(packets) - sum(unmatched.values())
        there = Counter((packet.time_ns, packet.original, packet.data) for packet in out)
        assert not unmatched - there, impairments[at]
    return rules


def readable(paths):
    """Those that are captures of Ethernet; test_sim_captures says what becomes of the others."""
    good = []
    for path in paths:
        try:
            odd_captures.read(path)
            good.append(path)
        except (odd_captures.OtherLinkType, odd_captures.Unreadable):
            pass
    return good


def test_kept_captures_impaired(program):
    """Every second one; all of them together meet each impairment: nothing here is vacuous."""
    paths = readable(captures_in(KEPT))[::2]
    assert len(paths) >= 25
    did = Counter()
    for path in paths:
        for name, rule in judge(program, path, IMPAIRMENTS).items():
            did[name] += sum(rule[key] for key in ("edited", "corrupted", "duplicated", "dropped",
                                                   "delayed", "injected", "reordered"))
    assert all(did[f"r{at}"] > 0 for at in range(len(IMPAIRMENTS))), did
    for path in paths[::4]:
        judge(program, path, [INJECT])


@pytest.mark.long
def test_the_corpus_impaired(program):
    """Every capture of tcpdump's own tests (scripts/install-deps --long fetches them)."""
    assert len(captures_in(CORPUS)) >= CORPUS_AT_LEAST
    paths = readable(captures_in(CORPUS))
    assert len(paths) >= CORPUS_AT_LEAST // 2
    wrong = []
    for path in paths:
        for impairments in (IMPAIRMENTS, [INJECT]):
            try:
                judge(program, path, impairments)
            except AssertionError as failure:
                wrong.append(f"{path.name}: {str(failure)[:500]}")
    assert not wrong, f"{len(wrong)} of {len(paths)}:\n" + "\n".join(wrong)
