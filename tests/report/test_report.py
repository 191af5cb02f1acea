"""faultline report in Chromium: its numbers and plots are those of the run's files, its looks those
that were asked for, and it needs nothing from anywhere."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser import PROGRAM, Browser  # noqa: E402
from folders import MadeUpRun  # noqa: E402

BUILD = Path(os.environ.get("FAULTLINE_BUILD", Path(__file__).resolve().parents[2] / "build"))
HOSTILE = "</script><img src=x onerror=\"globalThis.hacked=1\"><!--"
FILES = ("scenario.yaml", "stats.json", "verdict.json", "series.jsonl", "events.jsonl",
         "environment.json")

needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium")


def report(folder, *words):
    """The command; it ended how, and said what."""
    return subprocess.run([BUILD / "faultline", "report", folder, *words], capture_output=True,
                          text=True, check=False)


def page_of(folder):
    """The page, made."""
    done = report(folder)
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser():
    """One for all tests of this file."""
    with Browser() as one:
        yield one


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 40 s: its folder, and its statistics."""
    folder = tmp_path_factory.mktemp("run")
    statistics = MadeUpRun().write(folder)
    page_of(folder)
    return folder, statistics


def leaves(value, path=""):
    """(path with dots, number) of everything in nested objects."""
    for key, inner in value.items():
        here = f"{path}.{key}" if path else key
        if isinstance(inner, dict):
            yield from leaves(inner, here)
        else:
            yield here, inner


def opened(browser, folder, **looks):
    """The browser on the folder's page; nothing was logged, and nothing asked for but the page."""
    browser.looks(**looks)
    browser.open(folder / "report.html")
    assert browser.troubles() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [
        f"file://{folder / 'report.html'}"]
    return browser


@needs_browser
def test_numbers_are_those_of_the_statistics(browser, run):
    """Every number of the page that has a name is the one of stats.json."""
    folder, statistics = run
    opened(browser, folder)
    shown = dict(browser.ask(
        "Array.from(document.querySelectorAll('[data-key]'), (one) => "
        "[one.dataset.key, one.dataset.value])"))
    expected = dict(leaves(statistics))
    of_statistics = [key for key in shown if key.split(".")[0] in ("rules", "ports", "ledger", "lateness")
                     and key in expected and key != "ledger.balanced"]
    assert len(of_statistics) > 30
    for key in of_statistics:
        assert float(shown[key]) == expected[key], key
    assert shown["ledger.balanced"] == shown["lateness.certified"] == "true"
    assert float(shown["expectations.0.observed"]) == statistics["rules"]["wan"]["loss"]["rate"]
    assert browser.ask("document.querySelector('[data-verdict]').textContent") == "pass"
    assert browser.ask("document.getElementById('scenario').textContent") == \
        (folder / "scenario.yaml").read_text()
    command = browser.ask("document.getElementById('command').textContent")
    assert "--seed 42 --duration 40000000000ns" in command
    assert browser.ask("document.getElementById('workload').textContent") == "echo traffic"
    assert browser.ask("document.getElementById('notes')") is None
    environment = browser.ask("document.getElementById('environment').innerText")
    assert "ports.left\tmtu 1500, cores [1]" in environment and "machine.cores\t2" in environment


@needs_browser
def test_plots_add_up_to_the_statistics(browser, run):
    """What plots draw, times the traffic, is what the rule counted; bands are the timeline's."""
    folder, statistics = run
    opened(browser, folder)
    wan = statistics["rules"]["wan"]
    assert set(browser.ask("Array.from(PLOTS.keys())")) == {
        "loss wan", "delay wan", "cdf wan", "loss burst", "rate", "packets", "queue"}
    drawn = "PLOTS.get('{}').chart.data[{}]"
    judged = "gains(column('rules', '{}', 'judged'))"
    for rule in ("wan", "burst"):
        lost = browser.ask(f"{drawn.format('loss ' + rule, 2)}.reduce((sum, share, i) => "
                           f"sum + (share ?? 0) * {judged.format(rule)}[i], 0)")
        assert lost == pytest.approx(statistics["rules"][rule]["dropped"], rel=1e-9)
    assert browser.ask(drawn.format("loss wan", 1)) == pytest.approx([0.05] * 400)
    burst = browser.ask(drawn.format("loss burst", 1))
    assert burst == [None] * 100 + [pytest.approx(0.5)] * 150 + [None] * 150
    assert statistics["rules"]["burst"]["loss"]["rate"] < 0.48, "of matched, some of them lost before"
    assert browser.ask("document.querySelector(`[data-key='rules.burst.loss.of_judged']`)"
                       ".dataset.value * 1") == pytest.approx(0.5, abs=0.02)
    delayed = "gains(column('rules', 'wan', 'delayed'))"
    total_ns = browser.ask(f"{drawn.format('delay wan', 2)}.reduce((sum, mean, i) => "
                           f"sum + mean * {delayed}[i], 0)")
    assert total_ns == pytest.approx(wan["delay"]["mean_ns"] * wan["delayed"], rel=1e-6)
    bits = browser.ask(f"{drawn.format('rate', 1)}.reduce((sum, rate) => sum + rate * 0.1, 0)")
    assert bits == pytest.approx(8 * statistics["ports"]["left"]["rx_bytes"], rel=1e-6)
    assert browser.ask("BANDS") == [{"rule": "wan", "from": 0, "to": 40},
                                    {"rule": "burst", "from": 10, "to": 25}]
    assert browser.ask("PLOTS.get('queue').options.markers") == [0, 10, 25]


@needs_browser
def test_the_cdf_is_drawn_over_the_law(browser, run):
    """Achieved shares are the histogram's at its buckets' ends; the law is the normal one."""
    folder, statistics = run
    opened(browser, folder)
    places, asked, found = browser.ask("PLOTS.get('cdf wan').chart.data")
    buckets = statistics["delays"]["wan"]
    total = sum(packets for _, _, packets in buckets)
    seen = 0
    for _, most, packets in buckets[:-1]:
        seen += packets
        assert found[places.index(most)] == pytest.approx(seen / total)
    for place, share in zip(places, asked):
        normal = (1 + math.erf((place - 40e6) / 5e6 / math.sqrt(2))) / 2
        assert share == pytest.approx(normal, abs=0.002)
    assert places == sorted(set(places)) and found[-1] == 1


@needs_browser
def test_no_text_of_a_run_is_markup(browser, tmp_path):
    """Names that would end a script or make an element stay text."""
    MadeUpRun(samples=20, burst=HOSTILE, name=HOSTILE).write(tmp_path)
    page_of(tmp_path)
    opened(browser, tmp_path)
    assert browser.ask("document.querySelector('h1').textContent") == HOSTILE
    assert browser.ask("document.querySelectorAll('img, script:not([type])').length") == 5
    assert browser.ask("typeof globalThis.hacked") == "undefined"
    assert browser.ask("document.querySelectorAll('[data-rule]')[1].dataset.rule") == HOSTILE


@needs_browser
def test_whatever_is_missing_is_said(browser, tmp_path):
    """Each file away or broken in turn: a page without errors that names it."""
    MadeUpRun(samples=30).write(tmp_path)
    whole = {name: (tmp_path / name).read_text() for name in FILES}
    for name in FILES:
        (tmp_path / name).unlink()
        page_of(tmp_path)
        opened(browser, tmp_path)
        assert f"{name} is missing" in browser.ask("document.getElementById('notes').textContent")
        (tmp_path / name).write_text("{\n" + whole[name][:40])
        page_of(tmp_path)
        opened(browser, tmp_path)
        assert name in browser.ask("document.getElementById('notes').textContent")
        (tmp_path / name).write_text(whole[name])
    for name in FILES[1:]:
        (tmp_path / name).unlink()
    page_of(tmp_path)
    opened(browser, tmp_path)
    assert browser.ask("document.getElementById('scenario').textContent") == whole["scenario.yaml"]


@needs_browser
def test_seeds_are_not_rounded(browser, tmp_path):
    """A seed of 64 bits is shown to its last digit, in numbers of JavaScript or not."""
    statistics = MadeUpRun(samples=5).write(tmp_path)
    (tmp_path / "stats.json").write_text(json.dumps({**statistics, "seed": 2**64 - 1}))
    page_of(tmp_path)
    opened(browser, tmp_path)
    assert f"--seed {2**64 - 1} " in browser.ask("document.getElementById('command').textContent")
    assert "1700000000000000000" in browser.ask("document.getElementById('environment').innerText")
    assert "began 2023-11-14T22:13:20" in browser.ask("document.querySelector('main').innerText")


@needs_browser
@pytest.mark.parametrize("name,text", [
    ("stats.json", '{"name": 7, "rules": {"wan": 5, "x": null}, "ports": [1], "ledger": {"dropped": 3}}'),
    ("stats.json", '{"rules": 3, "ports": {"left": null}, "lateness": [], "delays": {"wan": 1}}'),
    ("verdict.json", '{"verdict": {}, "expectations": 3, "reasons": "x", "run": 9}'),
    ("environment.json", '{"run": null, "ports": [null, {"name": {}}]}'),
    ("events.jsonl", '{"kind": null}\n{"t_ns": "x", "kind": "end", "rule": {}}\n7\n'),
    ("series.jsonl", '{"t_ns": 1, "rules": 4}\n{"t_ns": 2, "rules": {"wan": {"matched": {}}}}\n'),
])
def test_files_of_another_shape_spoil_their_part_alone(browser, tmp_path, name, text):
    """JSON that faultline never wrote: the page is made, without an error, and has all its parts."""
    MadeUpRun(samples=30).write(tmp_path)
    (tmp_path / name).write_text(text)
    page_of(tmp_path)
    opened(browser, tmp_path)
    assert browser.ask("document.querySelectorAll('main > section').length") == 9
    assert browser.ask("document.getElementById('scenario').textContent").startswith("version: 1")


@needs_browser
def test_keys_move_the_cursor_and_zoom(browser, run):
    """Tab comes to the plots; arrows, Home and End, plus and 0 do what is written there."""
    folder, _ = run
    opened(browser, folder)
    for _ in range(20):
        browser.key("Tab")
        if browser.ask("document.activeElement.dataset.plot") == "loss wan":
            break
    cursor = "Number(document.activeElement.dataset.cursor)"
    browser.key("Home")
    assert browser.ask(cursor) == pytest.approx(0.1)
    browser.key("ArrowRight")
    browser.key("ArrowRight")
    assert browser.ask(cursor) == pytest.approx(0.3)
    browser.key("ArrowLeft")
    assert browser.ask(cursor) == pytest.approx(0.2)
    browser.key("ArrowRight", modifiers=8)
    assert browser.ask(cursor) == pytest.approx(2.2)
    told = browser.ask("PLOTS.get('loss wan').say.textContent")
    assert re.fullmatch(r"2\.2\s+s: asked 5\s+%, achieved [\d.]+\s+%", told), told
    browser.key("+", text="+")
    scale = "[PLOTS.get('rate').chart.scales.x.min, PLOTS.get('rate').chart.scales.x.max]"
    browser.ask("document.querySelector('[data-plot=rate]').scrollIntoView()")
    browser.ask("new Promise((done) => setTimeout(done, 200))")
    assert browser.ask(scale) == [pytest.approx(1.15), pytest.approx(21.1)]
    browser.key("0", text="0")
    browser.ask("new Promise((done) => setTimeout(done, 100))")
    assert browser.ask(scale) == [pytest.approx(0.1), 40]


def background(browser):
    """The page's own colour."""
    return browser.ask("getComputedStyle(document.body).backgroundColor")


@needs_browser
def test_light_dark_and_paper(browser, run):
    """Dark where it is asked for, light on paper whatever is asked for; plots follow."""
    folder, _ = run
    light = opened(browser, folder).picture(whole=False)
    assert background(browser) == "rgb(255, 255, 255)"
    ink = "colour('c1')"
    light_ink = browser.ask(ink)
    browser.looks(scheme="dark")
    assert background(browser) == "rgb(20, 24, 29)" and browser.ask(ink) != light_ink
    assert browser.picture(whole=False) != light
    browser.looks(scheme="dark", media="print", width=760)
    assert background(browser) == "rgb(255, 255, 255)" and browser.ask(ink) == light_ink
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF") and 3 <= len(re.findall(rb"/Type /Page\b(?!s)", pdf)) <= 12
    browser.looks(width=400)
    assert browser.ask("document.documentElement.scrollWidth") <= 400
    assert browser.troubles() == []


@needs_browser
def test_the_page_may_not_ask_for_anything(browser, run):
    """Its own policy forbids it, and there is nothing in it that would."""
    folder, _ = run
    opened(browser, folder)
    for attempt in ("fetch('http://127.0.0.1:9/')", "import('http://127.0.0.1:9/x.js')"):
        with pytest.raises(RuntimeError):
            browser.ask(f"(async () => {attempt})()")
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(link|img|iframe|script[^>]* src|a [^>]*href=\"http)", text)


def write_many(folder, samples, peak):
    """series.jsonl of a long run, without the time that making one up takes."""
    with open(folder / "series.jsonl", "w", encoding="utf-8") as file:
        for i in range(1, samples + 1):
            held = 99_999 if i == peak else i % 90
            file.write(f'{{"t_ns":{i * 10**8},"ports":{{"left":{{"rx_packets":{100 * i},"rx_bytes":'
                       f'{10**4 * i}}}}},"rules":{{"wan":{{"matched":{100 * i},"dropped":{5 * i}}}}},'
                       f'"hold":{{"packets":{held}}}}}\n')


@needs_browser
@pytest.mark.parametrize("samples", [200_000,
                                     pytest.param(1_000_000, marks=pytest.mark.long)])
def test_long_runs_are_drawn_by_the_column(browser, tmp_path, samples):
    """A day and more, ten samples a second: few points are drawn, the one peak among them, and to
    zoom takes no time that one would see."""
    MadeUpRun(samples=2).write(tmp_path)
    write_many(tmp_path, samples, peak=samples * 7 // 9)
    page_of(tmp_path)
    opened(browser, tmp_path)
    assert browser.ask("DATA.series.samples") == samples
    drawn = "PLOTS.get('queue').chart.data"
    assert browser.ask(f"{drawn}[0].length") <= 2 * 1100
    assert browser.ask(f"Math.max(...{drawn}[1])") == 99_999
    assert browser.ask("column('rules', 'wan', 'matched').at(-1)") == 100 * samples
    took_ms = browser.ask("""(() => {
      const plot = PLOTS.get('queue'), [from, to] = plot.whole(), began = performance.now();
      for (let i = 1; i <= 10; ++i) plot.zoom([from + i * (to - from) / 30, to]);
      return (performance.now() - began) / 10;
    })()""")
    assert took_ms < 200


def test_ends_and_outputs(tmp_path):
    """No folder, or one without a run: 5. The page goes where it is asked to go."""
    assert report(tmp_path / "nowhere").returncode == 5
    empty = report(tmp_path)
    assert empty.returncode == 5 and "has no file of a run" in empty.stderr
    MadeUpRun(samples=5).write(tmp_path)
    out = tmp_path / "there.html"
    assert report(tmp_path, "--out", out).returncode == 0
    assert out.read_text() == report(tmp_path, "--out", "-").stdout
    assert report(tmp_path, "--out", tmp_path / "no" / "where.html").returncode == 5
    data = re.search(r'id="data">(.*?)</script>', out.read_text(), re.DOTALL)[1]
    assert json.loads(data)["statistics"]["seed"] == 42
