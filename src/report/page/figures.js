// The figures of the report: what the page carries, series made of it, and numbers as words. Nothing
// here draws.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const SECOND_NS = 1e9;

/** An element with text, attributes and children. Text is never markup. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== undefined)
      element.setAttribute(key, value);
  for (const child of children.flat())
    if (child !== null && child !== undefined)
      element.append(child);
  return element;
}

const is_object = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
/** What lies at a path of keys; undefined where there is nothing. */
function at(json, ...keys) {
  for (const key of keys) {
    if (!is_object(json) || !Object.hasOwn(json, key))
      return undefined;
    json = json[key];
  }
  return json;
}

// ---- numbers as words

function grouped(value) {
  const [whole, rest] = trimmed(value).split(".");
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f") + (rest ? `.${rest}` : "");
}
function trimmed(value) {
  if (Number.isInteger(value) || !Number.isFinite(value))
    return String(value);
  const places = Math.min(9, Math.max(0, 4 - Math.ceil(Math.log10(Math.abs(value)))));
  return value.toFixed(places).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}
function scaled(value, units, step) {
  let unit = 0;
  while (Math.abs(value) >= step && unit + 1 < units.length) {
    value /= step;
    ++unit;
  }
  return `${trimmed(value)}\u00a0${units[unit]}`;
}
const WORDS = {
  share: (value) => `${trimmed(100 * value)}\u00a0%`,
  ns: (value) => value < 1000 || value >= 1e12 && value < Infinity
    ? (value < 1000 ? `${trimmed(value)}\u00a0ns` : `${trimmed(value / 1e9)}\u00a0s`)
    : scaled(value / 1000, ["µs", "ms", "s"], 1000),
  packets: grouped,
  bytes: (value) => scaled(value, ["B", "KB", "MB", "GB", "TB"], 1000),
  "bit/s": (value) => scaled(value, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"], 1000),
  pps: (value) => `${grouped(value)}/s`,
  seconds: (value) => `${trimmed(value)}\u00a0s`,
  truth: (value) => value ? "yes" : "no",
  distance: trimmed,
};
function words(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value))
    return "–";
  if (value === Infinity)
    return "∞";
  return (WORDS[unit] ?? grouped)(value);
}

// ---- series

/** Numbers that were written as differences. */
function summed(differences) {
  const values = new Float64Array(differences.length);
  let value = 0;
  for (let i = 0; i < values.length; ++i)
    values[i] = value += differences[i];
  return values;
}

const SERIES = (() => {
  const columns = new Map();
  for (const [path, differences] of Object.entries(DATA.series.columns))
    columns.set(path, summed(differences));
  const times_ns = columns.get("t_ns") ?? new Float64Array(0);
  columns.delete("t_ns");
  return {columns, times_ns, seconds: times_ns.map((time) => time / SECOND_NS)};
})();

/** A column; zeros where the run counted none. */
function column(...path) {
  return SERIES.columns.get(path.join("/")) ?? new Float64Array(SERIES.times_ns.length);
}
const has_column = (...path) => SERIES.columns.has(path.join("/"));

/** What a counter gained in each sample; NaN where it was begun anew. */
function gains(values) {
  return values.map((value, i) => {
    const gain = value - (i > 0 ? values[i - 1] : 0);
    return gain < 0 ? NaN : gain;
  });
}
const quotients = (above, below) => above.map((value, i) => below[i] > 0 ? value / below[i] : NaN);
/** Per second. */
function rates(values, factor = 1) {
  const spans = gains(SERIES.seconds);
  return gains(values).map((gain, i) => spans[i] > 0 ? factor * gain / spans[i] : NaN);
}

/** Of the packets that a rule's dice were thrown for in each sample, the share it lost; what other
 *  rules had lost before is not its own. Where that was not sampled: dropped of matched. */
const sampled = (rule, ...names) => names.find((name) => has_column("rules", rule, name)) ?? names.at(-1);
const judged_of = (rule) => column("rules", rule, sampled(rule, "judged", "matched"));
const lost_of = (rule) => column("rules", rule, sampled(rule, "lost", "dropped"));
const losses_of = (rule) => quotients(gains(lost_of(rule)), gains(judged_of(rule)));
/** What the rule added on average to those that it delayed in each sample, ns. */
function mean_delays_of(rule) {
  const delayed = column("rules", rule, "delayed");
  const sums = has_column("rules", rule, "delay", "sum_ns")
    ? column("rules", rule, "delay", "sum_ns")
    : column("rules", rule, "delay", "mean_ns").map((mean, i) => mean * delayed[i]);
  return quotients(gains(sums), gains(delayed));
}

/** What the scenario asked for at each sample: `pick` of the term that holds then. */
function asked_at(rule, pick) {
  const terms = at(DATA.asked, rule, "terms") ?? [];
  let term = 0;
  return SERIES.times_ns.map((time, i) => {
    const middle = (time + (i > 0 ? SERIES.times_ns[i - 1] : 0)) / 2;
    while (term + 1 < terms.length && terms[term + 1].from_ns <= middle)
      ++term;
    const value = terms.length > 0 && terms[term].enabled ? pick(terms[term]) : null;
    return value === null || value === undefined ? NaN : value;
  });
}

// ---- when faults were on

const RUN = at(DATA.verdict, "run") ?? at(DATA.environment, "run");
const RUN_SECONDS = Math.max((at(RUN, "elapsed_ns") ?? 0) / SECOND_NS, SERIES.seconds.at(-1) ?? 0);
/** Events count from the daemon's start; time zero is when the run began. */
const ZERO_NS = at(RUN, "zero_uptime_ns") ?? 0;
const event_seconds = (event) => (event.t_ns - ZERO_NS) / SECOND_NS;

/** When rules were over at the latest: a run drains a little longer than it injects. */
const RULES_END = Math.min(RUN_SECONDS, (at(RUN, "duration_ns") ?? Infinity) / SECOND_NS);

/** {rule, from, to} in seconds. */
function bands_of(rule) {
  const asked = at(DATA.asked, rule);
  const bands = [];
  if (asked && !asked.triggered)
    asked.terms.forEach((term, i) => {
      const from = term.from_ns / SECOND_NS;
      const next = asked.terms[i + 1];
      const to = Math.min(RULES_END, next ? next.from_ns / SECOND_NS : RULES_END);
      if (!term.enabled || to <= from)
        return;
      if (bands.length > 0 && bands[bands.length - 1].to === from)
        bands[bands.length - 1].to = to;
      else
        bands.push({rule, from, to});
    });
  else
    gains(column("rules", rule, "matched")).forEach((gain, i) => {
      const from = i > 0 ? SERIES.seconds[i - 1] : 0;
      if (!(gain > 0))
        return;
      if (bands.length > 0 && bands[bands.length - 1].to === from)
        bands[bands.length - 1].to = SERIES.seconds[i];
      else
        bands.push({rule, from, to: SERIES.seconds[i]});
    });
  for (const event of DATA.events)
    if (event.kind === "end" && event.rule === rule)
      for (const band of bands)
        if (event_seconds(event) > band.from && event_seconds(event) < band.to)
          band.to = event_seconds(event);
  return bands;
}

const RULES = (() => {
  const names = Object.keys(at(DATA.statistics, "rules") ?? {});
  for (const path of SERIES.columns.keys()) {
    const [part, name] = path.split("/");
    if (part === "rules" && !names.includes(name))
      names.push(name);
  }
  for (const name of Object.keys(DATA.asked ?? {}))
    if (!names.includes(name))
      names.push(name);
  return names;
})();
const PORTS = (() => {
  const names = Object.keys(at(DATA.statistics, "ports") ?? {});
  for (const path of SERIES.columns.keys()) {
    const [part, name] = path.split("/");
    if (part === "ports" && !names.includes(name))
      names.push(name);
  }
  return names;
})();
const BANDS = RULES.flatMap(bands_of);
/** A rule's colour, 1 to 6. */
const colour_of = (rule) => 1 + RULES.indexOf(rule) % 6;
