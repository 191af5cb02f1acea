// What each rule was asked for and what it did: its plots and its numbers.
"use strict";

const MARKERS = DATA.events.map(event_seconds).filter((time) => time >= 0 && time <= RUN_SECONDS);

/** A table; cells are texts, elements, or {value, unit, key}: a number that can be read back. */
function table(head, rows, small = false) {
  const cell = (what) => {
    if (!is_object(what) || what instanceof Node)
      return make("td", {class: "word"}, what ?? "–");
    return make("td", {class: "number", "data-key": what.key, "data-value": what.value},
                words(what.value, what.unit));
  };
  const numbers = rows.length > 0 ? rows[0].map((what) => is_object(what) && !(what instanceof Node)) : [];
  return make("div", {class: "scroll"}, make("table", {class: small ? "small" : null},
    make("thead", {}, make("tr", {}, head.map((word, i) => make(
      "th", {scope: "col", class: numbers[i] ? "number" : null}, word)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, row.map(cell))))));
}

/** null: too little to draw. */
function time_plot(options) {
  const there = options.series.filter((each) => !each.values.every(Number.isNaN));
  return SERIES.seconds.length < 2 || there.length === 0 ? null
    : new Plot({x: SERIES.seconds, x_unit: "seconds", over_time: true, markers: MARKERS, ...options});
}

function loss_plot(rule) {
  const found = losses_of(rule);
  const asked = asked_at(rule, (term) => term.loss);
  const is_there = (values) => values.some((value) => value > 0);
  if (!is_there(found) && !is_there(asked))
    return null;
  return time_plot({
    id: `loss ${rule}`, title: "Loss over time", unit: "share", bands: bands_of(rule),
    series: [{label: "asked", values: asked, colour: "asked", dash: [6, 4], stepped: -1},
             {label: "achieved", values: found, colour: `c${colour_of(rule)}`}],
  });
}

function delay_plot(rule) {
  if (!has_column("rules", rule, "delay", "max_ns"))
    return null;
  const delays = at(DATA.asked, rule, "delays") ?? [];
  const so_far = (key) =>
    column("rules", rule, "delay", key).map((value) => value === 0 ? NaN : value);
  return time_plot({
    id: `delay ${rule}`, title: "Delay over time", unit: "ns", bands: bands_of(rule),
    series: [{label: "asked, mean", colour: "asked", dash: [6, 4], stepped: -1,
              values: asked_at(rule, (term) => term.delay === null ? null : delays[term.delay].mean_ns)},
             {label: "mean", values: mean_delays_of(rule), colour: `c${colour_of(rule)}`},
             {label: "99 % so far", values: so_far("p99_ns"), colour: "c2", dash: [2, 3]},
             {label: "most so far", values: so_far("max_ns"), colour: "c5", dash: [2, 3]}],
  });
}

/** The samples' buckets of a rule's delays: of stats.json, [least, most, packets]. */
const buckets_of = (rule) => at(DATA.statistics, "delays", rule) ??
  at(DATA.statistics, "rules", rule, "delays") ?? [];

/** Cumulative shares: what was found at the buckets' ends, and each law that was asked for. */
function cdf_plot(rule) {
  const buckets = buckets_of(rule);
  if (buckets.length === 0)
    return null;
  const laws = at(DATA.asked, rule, "delays") ?? [];
  const total = buckets.reduce((sum, bucket) => sum + bucket[2], 0);
  const most = at(DATA.statistics, "rules", rule, "delay", "max_ns") ?? Infinity;
  const steps = [[Math.max(0, buckets[0][0] - 1), 0]];
  let seen = 0;
  for (const [, end, packets] of buckets)
    steps.push([Math.min(end, most), (seen += packets) / total]);
  const places = Float64Array.from(new Set([...steps.map((step) => step[0]),
    ...laws.flatMap((law) => law.curve.map((point) => point[0]))])).sort();
  const found = places.map(() => NaN);
  let step = -1;
  places.forEach((place, i) => {
    while (step + 1 < steps.length && steps[step + 1][0] <= place)
      ++step;
    // Within a bucket nothing is known: the line goes from end to end.
    if (step >= 0)
      found[i] = step + 1 === steps.length ? 1 : between(steps[step], steps[step + 1], place);
  });
  const curves = laws.map((law) => places.map((place) => on_curve(law.curve, place)));
  return new Plot({
    id: `cdf ${rule}`, title: "Delays: share of packets that took at most so long", unit: "share",
    x: places, x_unit: "ns", over_time: false, without_numbers: true,
    series: [...curves.map((values, i) => ({
               label: curves.length > 1 ? `asked, ${i + 1}` : "asked", values, colour: "asked",
               dash: [6, 4 + 3 * i]})),
             {label: "achieved", values: found, colour: `c${colour_of(rule)}`}],
  });
}

function between([left, low], [right, high], place) {
  return right === left ? high : low + (high - low) * (place - left) / (right - left);
}
function on_curve(curve, place) {
  if (place < curve[0][0])
    return 0;
  const next = curve.findIndex((point) => point[0] > place);
  return next < 0 ? 1 : between(curve[next - 1], curve[next], place);
}

const COUNTERS = ["matched", "dropped", "delayed", "duplicated", "corrupted", "reordered", "edited",
                  "injected", "clamped", "undecided", "cut", "unrewritable"];

function rule_numbers(rule) {
  const counted = at(DATA.statistics, "rules", rule);
  if (!counted)
    return null;
  const key = (...path) => ["rules", rule, ...path].join(".");
  const rows = COUNTERS.filter((name) => counted[name] > 0 || name === "matched")
    .map((name) => [name, {value: counted[name], unit: "packets", key: key(name)}]);
  if (at(counted, "loss", "judged") > 0)
    rows.push(["judged by its loss", {value: counted.loss.judged, unit: "packets", key: key("loss", "judged")}],
              ["lost of those", {value: counted.loss.lost, unit: "packets", key: key("loss", "lost")}],
              ["share", {value: counted.loss.lost / counted.loss.judged, unit: "share",
                         key: key("loss", "of_judged")}]);
  if (at(counted, "loss", "mean_run") > 0)
    rows.push(["mean run of losses", {value: counted.loss.mean_run, key: key("loss", "mean_run")}]);
  if (at(counted, "delay", "max_ns") > 0)
    for (const [name, word] of [["mean_ns", "mean delay of the delayed"], ["p50_ns", "half at most"],
                                ["p99_ns", "99 % at most"], ["max_ns", "most"]])
      rows.push([word, {value: counted.delay[name], unit: "ns", key: key("delay", name)}]);
  return table(["counted", ""], rows, true);
}

function rule_section(rule) {
  const plots = [loss_plot(rule), delay_plot(rule), cdf_plot(rule)].filter((plot) => plot !== null);
  const bands = bands_of(rule);
  const when = bands.slice(0, 20).map(
    (band) => `${words(band.from, "seconds")} – ${words(band.to, "seconds")}`).join(", ");
  return make("section", {"data-rule": rule},
    make("h3", {}, make("span", {class: `swatch b${colour_of(rule)}`}), rule),
    make("p", {class: "faint"}, bands.length === 0 ? "never on"
      : `on: ${when}${bands.length > 20 ? `, and ${bands.length - 20} times more` : ""}`),
    plots.map((plot) => plot.figure), rule_numbers(rule));
}
