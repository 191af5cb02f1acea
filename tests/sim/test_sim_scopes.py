"""Who shares a state, whose numbers the dice are thrown by, and flows that are evicted."""

import numpy as np
import pytest

from model import captures
from program import scenario_of


def with_keys(text, **keys):
    """The scenario with keys added to each of its rules."""
    added = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return text.replace("    impair:\n", added + "    impair:\n")


def sent(outcome):
    return set(outcome.output.serial().tolist())


@pytest.fixture(scope="module")
def many_flows(program):
    """200,000 packets of 100,000 flows, each flow once and then, much later, once more: made of UDP
    ports and addresses, in an order that a small table cannot keep."""
    traffic = captures.udp_traffic(200_000, spacing_ns=10_000, salt=9).capture
    flow = np.arange(200_000) % 100_000
    frames = traffic.bytes_.copy()
    frames[:, 28], frames[:, 29] = flow >> 16, (flow >> 8) & 0xFF
    frames[:, 34], frames[:, 35] = 0x40 | (flow >> 8 & 0x0F), flow & 0xFF
    frames[:, 33], frames[:, 37] = 9, 9
    path = program.folder / "many.pcap"
    captures.write_pcap(path, captures.Capture(traffic.time_ns, traffic.length, frames))
    return path


def test_evicted_flows_go_on_where_they_were(program, many_flows):
    """A table of 1,024 for 100,000 flows: the fates of a table that keeps all, up to ghost
    collisions, which are counted."""
    text = scenario_of(("thin", ["loss: 1%"]), seed=3)
    roomy = program.simulated(text + "flows: {max: 200k}\n", [many_flows])
    assert roomy.stats["flows"]["evicted"] == 0
    assert roomy.stats["flows"]["created"] == 100_000
    kept = sent(roomy)
    tight = program.simulated(text + "flows: {max: 1024}\n", [many_flows], out="tight.pcapng")
    flows = tight.stats["flows"]
    assert flows["evicted"] > 190_000
    assert flows["ghost_collisions"] < 200
    assert len(sent(tight) ^ kept) <= 2 * flows["ghost_collisions"]
    second_packets = 100_000
    repeated = sum(1 for serial in range(second_packets)
                   if (serial in kept) == (serial + second_packets in kept))
    assert repeated < 99_000, "a flow's second packet has dice of its own"


def test_a_chain_per_flow_is_indexed_by_the_flow(program, some):
    """Each flow alone gives the fates it has among the others."""
    text = with_keys(scenario_of(
        ("chain", ["loss: {model: gilbert, p: 5%, r: 20%}"]), seed=7), per="flow")
    whole = program.simulated(text, [some.path])
    kept = sent(whole)
    for number in (0, 7, 19):
        alone = some.capture.take(some.capture.bytes_[:, 29] == number)
        captures.write_pcap(program.folder / "alone.pcap", alone)
        outcome = program.simulated(text, [program.folder / "alone.pcap"], out="alone.pcapng")
        assert sent(outcome) == kept & set(alone.serial().tolist())
    together = program.simulated(text.replace("per: flow", "per: rule"), [some.path])
    assert sent(together) != kept


@pytest.mark.parametrize("impairments", [
    ["loss: {model: gilbert, p: 5%, r: 20%}"], ["loss: {model: every, n: 3}"],
    ["delay: 1ms", "reorder: {mode: early, rate: 20%, gap: 3}"], ["rate: 300kbit", "queue: {limit: 5p}"],
    ["delay: {time: 4ms, jitter: 1ms, order: free, correlation: 50%}"]])
def test_flows_in_two_vlans_share_nothing(program, impairments):
    """The same addresses and ports, untagged and in two VLANs: each fares as if it were alone."""
    traffic = captures.udp_traffic(3_000, 1, spacing_ns=300_000, salt=6).capture
    vlan = np.arange(len(traffic)) * 7 // 3 % 3
    tag = [b"", bytes.fromhex("81000005"), bytes.fromhex("81000006")]
    frames = [row[:12].tobytes() + tag[of] + row[12:length].tobytes()
              for row, length, of in zip(traffic.bytes_, traffic.length.tolist(), vlan.tolist())]

    def fates(chosen, name):
        captures.write_pcap(program.folder / f"{name}.pcap", captures.from_frames(
            [frames[at] for at in chosen], traffic.time_ns[chosen]))
        outcome = program.simulated(
            with_keys(scenario_of(("r", impairments), seed=7), per="flow"),
            [program.folder / f"{name}.pcap"], out=f"{name}.pcapng").output
        return {row[:length].tobytes(): time for row, length, time in
                zip(outcome.bytes_, outcome.length.tolist(), outcome.time_ns.tolist())}

    together = fates(np.arange(len(frames)), "all")
    for number in range(3):
        alone = np.flatnonzero(vlan == number)
        mine = {frames[at] for at in alone}
        assert fates(alone, "alone") == {frame: time for frame, time in together.items()
                                         if frame in mine}
    assert together != dict(zip(frames, traffic.time_ns.tolist()))


def test_per_flow_survives_workers_and_bursts(program, some):
    text = with_keys(scenario_of(
        ("chain", ["loss: {model: gilbert, p: 5%, r: 20%}"]), seed=7), per="flow")
    first = program.simulated(text, [some.path]).out.read_bytes()
    for options in (("--workers", "4"), ("--burst", "1"), ("--workers", "2", "--burst", "64")):
        assert program.simulated(text, [some.path], *options).out.read_bytes() == first


@pytest.mark.parametrize("per,key", [("source", 29), ("destination", 33), ("pair", 29)])
def test_a_link_per_address(program, some, per, key):
    """Each source, destination or pair has a link of its own: as if it were alone."""
    text = with_keys(scenario_of(("link", ["rate: 1Mbit", "queue: {limit: 5p}"]), seed=1), per=per)
    whole = program.simulated(text, [some.path])
    times = dict(zip(whole.output.serial().tolist(), whole.output.time_ns.tolist()))
    for number in (3, 12):
        alone = some.capture.take(some.capture.bytes_[:, key] == number)
        captures.write_pcap(program.folder / "alone.pcap", alone)
        outcome = program.simulated(text, [program.folder / "alone.pcap"], out="alone.pcapng")
        mine = dict(zip(outcome.output.serial().tolist(), outcome.output.time_ns.tolist()))
        assert 0 < len(mine) < len(alone)
        assert mine == {serial: times[serial] for serial in alone.serial().tolist()
                        if serial in times}


def test_shared_is_one_state_for_both_directions(program, few):
    """`every`-like counting by a link: with `shared` both directions queue behind one another."""
    text = scenario_of(("link", ["rate: 1Mbit"]), seed=1)
    back = captures.udp_traffic(20, 2, spacing_ns=1_000_000, salt=4, backwards=True,
                                first_serial=1000).capture
    back.time_ns[:] = few.capture.time_ns  # at the very instants of the others
    captures.write_pcap(program.folder / "back.pcap", back)
    inputs = [f"left={few.path}", f"right={program.folder / 'back.pcap'}"]
    apart = program.simulated(text, inputs)
    one = program.simulated(with_keys(text, shared="true"), inputs, out="one.pcapng")
    late = {name: dict(zip(each.output.serial().tolist(), each.output.time_ns.tolist()))
            for name, each in (("apart", apart), ("one", one))}
    arrival = dict(zip(few.capture.serial().tolist(), few.capture.time_ns.tolist()))
    for serial, length in zip(few.capture.serial().tolist(), few.capture.length.tolist()):
        assert late["apart"][serial] >= arrival[serial] + 8_000 * length
    pairs = zip(few.capture.serial().tolist(), back.serial().tolist(), back.length.tolist())
    for mine, theirs, length in pairs:
        assert late["one"][theirs] == late["one"][mine] + 8_000 * length


def test_draw_arrival_numbers_packets_of_the_path(program, some):
    """The same fates whatever the packets are: those of the numbers on the path."""
    text = with_keys(scenario_of(("thin", ["loss: 10%"]), seed=5), draw="arrival")
    whole = sent(program.simulated(text, [some.path]))
    other = captures.udp_traffic(len(some), spacing_ns=10_000, salt=77).capture
    captures.write_pcap(program.folder / "other.pcap", other)
    assert sent(program.simulated(text, [program.folder / "other.pcap"])) == whole
    assert abs(len(whole) - 90_000) < 500
    by_flow = sent(program.simulated(text.replace("arrival", "flow"), [some.path]))
    assert by_flow != whole


def test_final_stops_later_rules(program, some):
    text = ("version: 1\nseed: 1\nrules:\n"
            "  - {name: first, match: {sport: 10000-10009}, final: true, impair: [delay: 1ms]}\n"
            "  - {name: second, impair: [delay: 5ms]}\n")
    outcome = program.simulated(text, [some.path])
    rules = outcome.stats["rules"]
    ports = some.capture.bytes_[:, 34].astype(int) * 256 + some.capture.bytes_[:, 35]
    assert rules["first"]["matched"] == int((ports < 10010).sum())
    assert rules["second"]["matched"] == int((ports >= 10010).sum())


def test_draw_governs_memoryless_models_only(program, some):
    """A chain has an index of its own, whatever the dice are numbered by."""
    text = scenario_of(("chain", ["loss: {model: gilbert, p: 5%, r: 20%}"]), seed=7)
    outcomes = {frozenset(sent(program.simulated(with_keys(text, draw=draw), [some.path])))
                for draw in ("flow", "arrival", "connection")}
    assert len(outcomes) == 1 and 0 < len(next(iter(outcomes))) < len(some.capture)


def test_chains_per_flow_count_all_its_packets(program, some):
    """A flow's chain goes on with packets that do not match: those that do meet the same state."""
    text = with_keys(scenario_of(("chain", ["loss: {model: gilbert, p: 5%, r: 20%}"]), seed=7),
                     per="flow")
    all_match = sent(program.simulated(text, [some.path]))
    some_match = sent(program.simulated(
        text.replace("    impair:", "    match: {len: 66}\n    impair:"), [some.path]))
    of_66 = set(some.capture.serial()[some.capture.length == 66].tolist())
    assert 0 < len(of_66 - some_match) < len(of_66)
    assert some_match & of_66 == all_match & of_66
    assert some_match - of_66 == set(some.capture.serial().tolist()) - of_66


@pytest.mark.parametrize("key,number", [("nth", 7), ("first", 7)])
@pytest.mark.parametrize("per", ["rule", "flow"])
def test_nth_and_first(program, some, key, number, per):
    """Of the packets that match the rest, dropped before or not, of the path or of each flow."""
    text = with_keys(scenario_of(("before", ["loss: 40%"]), ("cut", ["delay: 1s"],
                                 f"{{len: 66, {key}: {number}}}"), seed=1), per=per)
    outcome = program.simulated(text, [some.path])
    matches = np.flatnonzero(some.capture.length == 66)
    flows = some.capture.bytes_[matches, 29]
    chosen = set()
    for flow in (np.unique(flows) if per == "flow" else [None]):
        mine = matches if flow is None else matches[flows == flow]
        chosen.update(mine[number - 1:number].tolist() if key == "nth" else mine[:number].tolist())
    arrival = dict(zip(some.capture.serial().tolist(), some.capture.time_ns.tolist()))
    serial = some.capture.serial()
    late = {mine for mine, time in zip(outcome.output.serial().tolist(),
                                       outcome.output.time_ns.tolist())
            if time != arrival[mine]}
    assert outcome.stats["rules"]["cut"]["matched"] == len(chosen)
    assert late == {int(serial[at]) for at in chosen} & sent(outcome) and late


def test_rates_see_survivors_only(program, some):
    """What is lost before a link takes no time on it: as if it had never come."""
    loss = "loss: 50%"
    text = scenario_of(("thin", [loss]), ("link", ["rate: 10Mbit"]), seed=9)
    whole = program.simulated(text, [some.path])
    survivors = sent(program.simulated(scenario_of(("thin", [loss]), seed=9), [some.path],
                                       out="thin.pcapng"))
    alone = some.capture.take(np.isin(some.capture.serial(), list(survivors)))
    captures.write_pcap(program.folder / "alone.pcap", alone)
    link = program.simulated(scenario_of(("link", ["rate: 10Mbit"]), seed=9),
                             [program.folder / "alone.pcap"], out="link.pcapng")
    assert whole.output.serial().tolist() == link.output.serial().tolist()
    assert whole.output.time_ns.tolist() == link.output.time_ns.tolist()
    assert 0 < len(survivors) < len(some.capture)
