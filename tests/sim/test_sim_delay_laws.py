"""Laws of delay: each has the distribution asked for (Kolmogorov-Smirnov at alpha = 1e-6), with
`order: keep` nothing overtakes and the distribution is still that, flows have delays of their own,
and a loaded link behind free delays is an event simulation's."""

import math

import numpy as np
import pytest

from model import captures, delays, laws, links
from model.dice import Dice
from model.flows import flow_of
from program import scenario_of

SEED = 42
KS_MILLION, KS_HUNDRED_THOUSAND = 0.0027, 0.0085
TIME_NS, JITTER_NS = 40_000_000, 1_000_000


def delays_of(program, scenario, given, *options):
    """The delay of each packet, in the order of the input, and the outcome."""
    outcome = program.simulated(scenario, [given.path], "--annotate", "none", *options)
    serial = outcome.output.serial() - int(given.capture.serial()[0])
    released = np.empty(len(given), dtype=np.int64)
    released[serial] = outcome.output.time_ns.astype(np.int64)
    return released - given.capture.time_ns.astype(np.int64), outcome


def delay_rule(keys, seed=SEED):
    return scenario_of(("wan", [f"delay: {{{keys}}}"]), seed=seed)


@pytest.mark.parametrize("law", delays.CDF)
def test_free_draws_have_the_law(program, million, law):
    """10^6 draws: KS distance below 0.0027; and the standard deviation, where it settles."""
    given, outcome = delays_of(
        program, delay_rule(f"time: 40ms, jitter: 1ms, distribution: {law}, order: free"), million)
    deviation = (given - TIME_NS) / JITTER_NS
    assert delays.ks_distance(deviation, delays.CDF[law]) < KS_MILLION
    assert outcome.stats["rules"]["wan"]["cut"] == 0
    if not law.startswith("pareto"):
        sd = 1 / math.sqrt(3) if law == "uniform" else 1
        assert abs(deviation.std() - sd) < 0.02
    assert (np.diff(given) < -1000).any(), "packets overtake"


def test_a_table_of_netem(program, million):
    """A `.dist` file: 8192 is one jitter; linear between the entries' places."""
    entries = [-12288, -9830, -8192, -6963, -5734, -4506, -3277, -2048, -819, 410, 1638, 3277, 5325,
               8602, 14746, 32767]
    text = delay_rule('time: 40ms, jitter: 1ms, distribution: table, order: free, '
                      f'contents: "# an invented table\\n{" ".join(map(str, entries))}"')
    given, _ = delays_of(program, text, million)
    places = (np.arange(16) + 0.5) / 16
    values = np.array(entries) / 8192
    deviation = (given - TIME_NS) / JITTER_NS
    inner = (deviation > values[0] + 1e-6) & (deviation < values[-1] - 1e-6)
    expected = np.interp(np.linspace(places[0], places[-1], 999), places, values)
    found = np.quantile(deviation[inner], np.linspace(0, 1, 999))
    assert np.abs(found - expected).max() < 0.03
    assert abs((deviation <= values[0] + 1e-6).mean() - 1 / 32) < 0.001


@pytest.mark.parametrize("rho", [0.25, 0.9])
def test_correlated_draws(program, million, rho):
    """AR(1) on the Gaussian level: autocorrelation rho^n, and the marginal law is kept."""
    for law, level in (("normal", lambda x: x),
                       ("exponential", lambda x: np.array(
                           [delays.NORMAL.inv_cdf(min(max(-math.expm1(-max(v, 1e-12)), 1e-12),
                                                      1 - 1e-12)) for v in x]))):
        given, _ = delays_of(program, delay_rule(
            f"time: 40ms, jitter: 1ms, distribution: {law}, order: free, "
            f"correlation: {rho:.0%}"), million)
        deviation = (given - TIME_NS) / JITTER_NS
        z = level(deviation[:200_000])
        for lag in (1, 2, 3):
            found = float((z[lag:] * z[:-lag]).mean() / z.var())
            assert abs(found - rho**lag) < 0.03
        # n effective samples are n (1-rho)/(1+rho).
        widening = math.sqrt((1 + rho) / (1 - rho))
        assert delays.ks_distance(deviation, delays.CDF[law]) < KS_MILLION * widening


class Given:
    """A capture in a file."""

    def __init__(self, program, capture, name):
        self.capture, self.path = capture, program.folder / name
        captures.write_pcap(self.path, capture)

    def __len__(self):
        return len(self.capture)


def evenly(program, count, spacing_ns, name):
    capture = captures.udp_traffic(count, spacing_ns=1000, salt=6).capture
    start = np.uint64(captures.FIRST_NS)
    capture.time_ns[:] = start + np.arange(count, dtype=np.uint64) * np.uint64(spacing_ns)
    return Given(program, capture, name)


SPACING = {"uniform": 4, "normal": 6, "exponential": 10, "gamma, shape: 3": 10,
           "lognormal, shape: 0.5": 40, "weibull, shape: 1.5": 10}


@pytest.mark.parametrize("law", SPACING)
def test_the_field_has_the_law(program, law):
    """10^5 instants five knots apart: KS distance below 0.0085, mean and sd within 4.9 sd."""
    jitter_ns = 100_000
    given = evenly(program, 100_000, 5 * SPACING[law] * jitter_ns + 7, "apart.pcap")
    found, outcome = delays_of(
        program, delay_rule(f"time: 40ms, jitter: 100us, distribution: {law}"), given)
    deviation = (found - TIME_NS) / jitter_ns
    assert delays.ks_distance(deviation, delays.CDF[law]) < KS_HUNDRED_THOUSAND
    grid = np.linspace(-8, 60, 400_001)
    density = np.diff(delays.CDF[law](grid))
    middle = (grid[1:] + grid[:-1]) / 2
    mean = (density * middle).sum()
    sd = math.sqrt((density * (middle - mean) ** 2).sum())
    fourth = (density * (middle - mean) ** 4).sum() / sd**4
    assert abs(deviation.mean() - mean) < 4.9 * sd / math.sqrt(1e5) + 1e-3
    assert abs(deviation.std() / sd - 1) < 4.9 * math.sqrt((fourth - 1) / 4e5) + 1e-3
    assert outcome.stats["rules"]["wan"]["cut"] == 0


HEAVY = {"pareto, shape: 3, max: 60ms": 40, "paretonormal, max: 60ms": 40}


@pytest.mark.parametrize("law", [*SPACING, *HEAVY])
@pytest.mark.parametrize("spacing_ns", [1_000_000, 10_000, 1_000])
def test_nothing_overtakes(program, law, spacing_ns):
    """Dense traffic at 1 kpps, 100 kpps and 1 Mpps: everything leaves in the order it came."""
    given = evenly(program, 50_000, spacing_ns, "dense.pcap")
    found, outcome = delays_of(
        program, delay_rule(f"time: 40ms, jitter: 5ms, distribution: {law}"), given)
    assert (np.diff(outcome.output.serial()) > 0).all()
    released = found + given.capture.time_ns.astype(np.int64)
    assert (np.diff(released) >= 0).all() and (found >= 0).all()
    assert found.std() > 1000, "there is jitter"


@pytest.mark.parametrize("law", ["normal", "uniform"])
def test_the_field_rarely_waits(program, million, law):
    """R differs from t + d(t) in less than 10^-4 of time at the default spacing, over some 16,000
    knots."""
    _, outcome = delays_of(
        program, delay_rule(f"time: 1ms, jitter: 10us, distribution: {law}"), million)
    assert outcome.stats["rules"]["wan"]["clamped"] < 1e-4 * 10**6


def test_a_close_spacing_waits_often(program, million):
    """The count can fail: at one sd a knot packets are often held up."""
    _, outcome = delays_of(program, delay_rule(
        "time: 1ms, jitter: 10us, distribution: normal, correlation_time: 10us"), million)
    assert outcome.stats["rules"]["wan"]["clamped"] > 0.05 * 10**6


def test_the_field_is_the_models(program, some):
    """Against X(t) from its definition: within a thousandth of the jitter."""
    jitter_ns = 1_000_000
    found, _ = delays_of(program, delay_rule("time: 40ms, jitter: 1ms, distribution: normal"), some)
    zero = int(some.capture.time_ns[0])
    times = some.capture.time_ns.astype(np.int64) - zero
    grid_ns = 6 * jitter_ns // 64
    model = delays.Field(SEED, "wan", 0, laws.scope_identity("left", "right"), grid_ns,
                         int(times.max()) // grid_ns + 2)
    expected = model.releases(TIME_NS, jitter_ns, times)
    later = times > 20 * jitter_ns
    assert np.abs(found[later] + times[later] - expected[later]).max() < jitter_ns / 1000


def test_the_field_does_not_depend_on_packets(program, some):
    """A function of time alone: with half the packets the others' delays stay."""
    text = delay_rule("time: 40ms, jitter: 1ms, distribution: exponential")
    whole, _ = delays_of(program, text, some)
    keep = np.arange(len(some)) % 2 == 0
    keep[0] = True
    part = Given(program, some.capture.take(keep), "half.pcap")
    outcome = program.simulated(text, [part.path])
    released = dict(zip(outcome.output.serial().tolist(), outcome.output.time_ns.tolist()))
    expected = dict(zip(some.capture.serial()[keep].tolist(),
                        (whole + some.capture.time_ns.astype(np.int64))[keep].tolist()))
    assert released == expected
    for options in (("--burst", "1"), ("--workers", "4")):
        again, _ = delays_of(program, text, some, *options)
        assert (again == whole).all()


def test_64k_flows_each_with_its_own_delay(program):
    """Each packet of 65,536 flows leaves after its flow's own delay, exactly, and the delays are
    those of the flows' dice."""
    count = 3 * 65_536
    capture = captures.udp_traffic(count, spacing_ns=2_000, salt=8).capture
    flow = np.arange(count) % 65_536
    frames = capture.bytes_
    frames[:, 29], frames[:, 33], frames[:, 37] = 1, 2, 3
    frames[:, 34], frames[:, 35] = flow >> 8, flow & 0xFF
    frames[:, 28] = (flow == 0) * 1  # port 0 is nobody's
    given = Given(program, capture, "flows.pcap")
    text = delay_rule('time: {draw: "uniform(10ms, 50ms)", per: flow}') + "flows: {max: 100k}\n"
    found, outcome = delays_of(program, text, given)
    by_flow = found.reshape(3, 65_536)
    assert (by_flow == by_flow[0]).all()
    assert by_flow.min() >= 10_000_000 and by_flow.max() <= 50_000_000
    assert delays.ks_distance((by_flow[0] - 10e6) / 40e6, lambda x: np.clip(x, 0, 1)) < 0.0105
    dice = Dice(SEED, "wan", 0, delays.FLOW)
    for at in (0, 1, 777, 65_535):
        drawn = int(dice.uniforms(flow_of(capture.frame(at)).identity(), 0)[0])
        assert abs(by_flow[0][at] - (10e6 + 40e6 * drawn / 2**64)) < 50
    assert outcome.stats["flows"]["evicted"] == 0


def test_free_delay_before_a_loaded_rate(program, some):
    """40 +- 10 ms of free delay before a link loaded to 90 %: the same delays fed to an event
    simulation give the same release times to the ns, for 10^5 packets."""
    delay = "delay: {time: 40ms, jitter: 10ms, distribution: normal, order: free}"
    alone, _ = delays_of(program, scenario_of(("wan", [delay]), seed=SEED), some)
    rate = int(8 * float(some.capture.length.mean()) / 10e-6 / 0.9)
    both, outcome = delays_of(program, scenario_of(
        ("wan", [delay]), ("link", [f"rate: {rate}bit"]), seed=SEED), some)
    link = links.Link(rate)
    arrivals = some.capture.time_ns.tolist()
    expected = links.run(arrivals, some.capture.length,
                         [lambda packet, time: time + int(alone[packet]),
                          lambda packet, time: link.offer(time, int(some.capture.length[packet]))])
    released = (both + some.capture.time_ns.astype(np.int64)).tolist()
    assert released == expected
    waits = both - alone
    assert 10_000 < waits.mean() < 1_000_000, "the queue was neither idle nor endless"
    assert outcome.stats["ledger"]["balanced"]


def test_trace(program, some):
    """Rows in us: steps or straight lines, once or over and over, monotone where a fall is steep."""
    rows = [(0, 10_000), (200_000, 60_000), (500_000, 15_000)]
    text = "time_us,delay_us\\n" + "\\n".join(f"{t},{d}" for t, d in rows)
    times = (some.capture.time_ns - some.capture.time_ns[0]).astype(np.int64)
    at = np.array([row[0] for row in rows]) * 1000
    value = np.array([row[1] for row in rows]) * 1000
    period = 800_000_000
    def own(t, linear, loop):
        t = t % period if loop else t
        if linear:
            return np.interp(t, at, value)
        return value[np.searchsorted(at, t, side="right") - 1]

    for linear in (False, True):
        for loop in (False, True):
            scenario = delay_rule(f'trace: d.csv, contents: "{text}", interpolate: '
                                  f'{"linear" if linear else "step"}, loop: {str(loop).lower()}')
            found, _ = delays_of(program, scenario, some)
            grid = np.arange(0, int(times[-1]) + 1_000, 1_000)
            latest = np.maximum.accumulate(grid + own(grid, linear, loop))
            expected = np.maximum(times + own(times, linear, loop),
                                  latest[np.maximum(times // 1_000, 0)])
            assert np.abs(found + times - expected).max() <= 1_100
            assert (np.diff(found + times) >= 0).all()


def test_distance(program, few):
    """4.9 us a km."""
    found, _ = delays_of(program, delay_rule("distance: 5000km"), few)
    assert (found == 24_500_000).all()


def test_negative_delays_are_cut_and_counted(program, million):
    """normal(1 ms, 1 ms): 15.87 % would be negative."""
    found, outcome = delays_of(program, delay_rule(
        "time: 1ms, jitter: 1ms, distribution: normal, order: free"), million)
    cut = outcome.stats["rules"]["wan"]["cut"]
    assert cut == (found == 0).sum() and abs(cut / 10**6 - 0.158655) < 0.0018


def test_max(program, some):
    """Nothing is delayed longer than `max`, and with free draws some are delayed just that."""
    for order in ("keep", "free"):
        found, _ = delays_of(program, delay_rule(
            f"time: 5ms, jitter: 2ms, distribution: pareto, shape: 3, max: 7ms, order: {order}"),
            some)
        assert found.max() <= 7_000_000
    assert (found == 7_000_000).sum() > 1_000
