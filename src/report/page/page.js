// The report from top to bottom.
"use strict";

const UNITS = {ns: "ns", share: "share", packets: "packets", "bit/s": "bit/s", truth: "truth",
               distance: "distance"};

function file_is_there(name) {
  return DATA.files.some((file) => file.name === name && file.there);
}
const missing = (name) =>
  make("p", {class: "faint", "data-missing": name}, `${name} is missing from the run folder.`);

function head() {
  const verdict = at(DATA.verdict, "verdict");
  const name = at(DATA.statistics, "name") || "a run";
  const facts = [];
  const fact = (word, value) => { if (value !== undefined && value !== null) facts.push(`${word} ${value}`); };
  fact("seed", at(DATA.statistics, "seed"));
  fact("lasted", RUN_SECONDS > 0 ? words(RUN_SECONDS, "seconds") : undefined);
  fact("received", at(DATA.statistics, "ledger", "received") === undefined ? undefined
    : `${grouped(DATA.statistics.ledger.received)} packets`);
  fact("ended by", at(RUN, "ended_by"));
  const began_ns = at(RUN, "zero_unix_ns");
  fact("began", began_ns ? new Date(began_ns / 1e6).toISOString() : undefined);
  fact("faultline", DATA.version);
  document.title = `${name}: faultline report`;
  return [make("div", {class: "head"}, make("h1", {}, name),
               verdict ? make("span", {class: `badge ${verdict === "pass" ? "pass" : "fail"}`,
                                       "data-verdict": verdict}, verdict) : null),
          make("p", {class: "faint"}, facts.join(" · "))];
}

function notes() {
  const lines = DATA.files.flatMap((file) => !file.there ? [`${file.name} is missing`]
    : file.trouble ? [`${file.name}: ${file.trouble}`] : []);
  if (file_is_there("scenario.yaml") && DATA.asked === null)
    lines.push("scenario.yaml could not be compiled: what was asked for is not shown");
  if (DATA.events_left_out > 0)
    lines.push(`events.jsonl: ${grouped(DATA.events_left_out)} further events are not shown`);
  return lines.length === 0 ? null : make("div", {class: "notes", id: "notes"},
    make("ul", {}, lines.map((line) => make("li", {}, line))));
}

function expectations() {
  if (!DATA.verdict)
    return [missing("verdict.json")];
  const list = (title, lines) => !lines || lines.length === 0 ? []
    : [make("h4", {}, title), make("ul", {}, lines.map((line) => make("li", {}, line)))];
  const rows = (DATA.verdict.expectations ?? []).map((each, i) => {
    const unit = UNITS[each.unit] ?? "packets";
    const interval = each.interval;
    const end = (value) => value === null ? Infinity : value;
    return [each.rule ?? (each.port ? `port ${each.port}` : "the run"), each.expected,
            {value: each.observed, unit, key: `expectations.${i}.observed`},
            interval ? `${words(interval[0], unit)} … ${words(end(interval[1]), unit)}` : "–",
            {value: each.packets, unit: "packets", key: `expectations.${i}.packets`},
            {value: each.p_value, key: `expectations.${i}.p_value`},
            make("span", {class: each.pass ? "badge pass" : "badge fail"}, each.pass ? "pass" : "fail")];
  });
  return [...list("Why not pass", DATA.verdict.reasons), ...list("To be known", DATA.verdict.warnings),
          rows.length === 0 ? make("p", {class: "faint"}, "Nothing was expected, and no rule has a law.")
            : table(["of", "asked", "achieved", "not refuted", "packets", "p", ""], rows)];
}

function port_plots() {
  const busy = PORTS.filter((port) => has_column("ports", port, "rx_bytes") ||
                                      has_column("ports", port, "tx_bytes")).slice(0, 6);
  const lines = (key, factor) => busy.flatMap((port, i) => ["rx", "tx"].map((way) => ({
    label: `${port} ${way === "rx" ? "received" : "sent"}`, colour: `c${1 + i % 6}`,
    dash: way === "rx" ? undefined : [5, 4],
    values: rates(column("ports", port, `${way}_${key}`), factor),
  })).filter((line) => line.values.some((value) => value > 0)));
  if (busy.length === 0)
    return [];
  return [time_plot({id: "rate", title: "Rate", unit: "bit/s", bands: BANDS, series: lines("bytes", 8)}),
          time_plot({id: "packets", title: "Packets a second", unit: "pps", bands: BANDS,
                     series: lines("packets", 1)})];
}

function hold_plot() {
  if (!has_column("hold", "packets"))
    return null;
  return time_plot({id: "queue", title: "Queue: packets that wait", unit: "packets", bands: BANDS,
                    series: [{label: "packets", values: column("hold", "packets"), colour: "c1"},
                             {label: "bytes", values: column("hold", "bytes"), colour: "c2",
                              unit: "bytes", dash: [5, 4]}]});
}

function traffic() {
  const plots = [...port_plots(), hold_plot()].filter((plot) => plot);
  const ports = at(DATA.statistics, "ports");
  const rows = Object.entries(ports ?? {}).map(([name, port]) => [name,
    ...["rx_packets", "tx_packets"].map((key) => ({value: port[key], unit: "packets", key: `ports.${name}.${key}`})),
    ...["rx_bytes", "tx_bytes"].map((key) => ({value: port[key], unit: "bytes", key: `ports.${name}.${key}`})),
    {value: ["rx_missed", "rx_errors", "rx_no_mbuf", "tx_full", "tx_errors"].reduce(
      (sum, key) => sum + (port[key] ?? 0), 0), unit: "packets", key: `ports.${name}.own_losses`}]);
  return [SERIES.seconds.length < 2 && file_is_there("series.jsonl")
            ? make("p", {class: "faint"}, "series.jsonl has too few samples for plots over time.") : null,
          SERIES.seconds.length === 0 && !file_is_there("series.jsonl") ? missing("series.jsonl") : null,
          plots.map((plot) => plot.figure),
          rows.length === 0 ? null
            : table(["port", "received", "sent", "received", "sent", "own losses"], rows)];
}

function top_flows() {
  const flows = at(DATA.flows, "flows") ?? at(DATA.statistics, "top_flows");
  if (!Array.isArray(flows) || flows.length === 0)
    return [make("p", {class: "faint"}, "No flows were recorded.")];
  const shown = flows.toSorted((a, b) => b.packets - a.packets).slice(0, 40);
  const most = Math.max(1, ...shown.map((flow) => flow.packets));
  return [table(["flow", "from", "packets", ""], shown.map((flow, i) => [
    flow.flow, flow.port ?? "–", {value: flow.packets, unit: "packets", key: `flows.${i}.packets`},
    make("meter", {min: 0, max: most, value: flow.packets, "aria-label": "share of the busiest"})]))];
}

function events() {
  if (!file_is_there("events.jsonl"))
    return [missing("events.jsonl")];
  if (DATA.events.length === 0)
    return [make("p", {class: "faint"}, "Nothing happened but packets.")];
  const row = (event) => [{value: event_seconds(event), unit: "seconds"}, event.kind,
    Object.entries(event).filter(([key]) => !["n", "t_ns", "kind"].includes(key))
      .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join(", ")];
  const few = DATA.events.slice(0, 50).map(row);
  const rest = DATA.events.slice(50).map(row);
  return [table(["at", "kind", "what"], few, true),
          rest.length === 0 ? null : make("details", {}, make("summary", {}, `${rest.length} more`),
                                          table(["at", "kind", "what"], rest, true))];
}

function ledger() {
  const books = at(DATA.statistics, "ledger");
  if (!books)
    return [missing("stats.json")];
  const income = ["received", "copies", "injected"];
  const dropped = Object.entries(books.dropped ?? {}).filter(([, count]) => count > 0);
  const cell = (key, value) => ({value, unit: "packets", key: `ledger.${key}`});
  const come = income.reduce((sum, key) => sum + (books[key] ?? 0), 0);
  const gone = books.sent + books.held +
    Object.values(books.dropped ?? {}).reduce((sum, count) => sum + count, 0);
  const own = ["overflow", "no_mbuf", "tx_full", "tx_error"].reduce(
    (sum, key) => sum + (books.dropped?.[key] ?? 0), 0);
  const books_open = [table(["came", ""], [...income.map((key) => [key, cell(key, books[key])]),
                               ["together", cell("come", come)]], true),
                      table(["went", ""], [["sent", cell("sent", books.sent)], ["held", cell("held", books.held)],
            ...dropped.map(([reason, count]) => [`dropped: ${reason}`, cell(`dropped.${reason}`, count)]),
            ["together", cell("gone", gone)]], true)];
  return [make("div", {class: "side"}, books_open),
          make("p", {"data-key": "ledger.balanced", "data-value": books.balanced && come === gone},
               books.balanced && come === gone ? "The ledger balances: every packet is accounted for."
                 : "THE LEDGER DOES NOT BALANCE."),
          make("p", {}, own === 0 ? "faultline itself lost none."
            : `faultline itself lost ${grouped(own)}: the run says nothing.`)];
}

function lateness() {
  const late = at(DATA.statistics, "lateness");
  if (!late)
    return [missing("stats.json")];
  const bound = at(DATA.lateness_bound, "p99_ns");
  const kept = bound === undefined || late.p99_ns <= bound;
  const certified = late.early === 0 && kept;
  return [table(["later than asked", ""], [
            ["half of the packets, at most", {value: late.p50_ns, unit: "ns", key: "lateness.p50_ns"}],
            ["99 %, at most", {value: late.p99_ns, unit: "ns", key: "lateness.p99_ns"}],
            ["all", {value: late.max_ns, unit: "ns", key: "lateness.max_ns"}],
            ["packets that left early", {value: late.early, unit: "packets", key: "lateness.early"}],
            ["the scenario's bound at 99 %", bound === undefined ? "none" : {value: bound, unit: "ns",
              key: "lateness.bound"}]], true),
          make("p", {"data-key": "lateness.certified", "data-value": certified},
               certified ? `Certificate: no packet left early, and 99 % of those that waited left within ${
                   words(late.p99_ns, "ns")} of their time${bound === undefined ? "" : ", as was asked"}.`
                 : "No certificate: packets left early, or later than the scenario's bound.")];
}

/** "core 1, busy 0": what a list has of each. */
function in_a_line(each) {
  if (!is_object(each))
    return typeof each === "string" ? each : JSON.stringify(each);
  return Object.entries(each).filter(([key, value]) => key !== "name" && value !== null)
    .map(([key, value]) => `${key} ${in_a_line(value)}`).join(", ");
}

/** Of nested objects a row for each leaf, of lists one for each thing. */
function leaves(json, path = "") {
  return Object.entries(json).flatMap(([key, value]) => {
    const here = path ? `${path}.${key}` : key;
    if (Array.isArray(value) && value.some(is_object))
      return value.map((each, i) => [`${here}.${at(each, "name") ?? i}`, in_a_line(each)]);
    return is_object(value) ? leaves(value, here) : [[here, in_a_line(value)]];
  });
}

function environment() {
  return DATA.environment ? [table(["", ""], leaves(DATA.environment), true)]
    : [missing("environment.json")];
}

function reproduce() {
  if (!DATA.scenario)
    return [missing("scenario.yaml")];
  const seed = at(DATA.statistics, "seed");
  const duration_ns = at(RUN, "duration_ns");
  const command = at(DATA.environment, "run", "command");
  return [make("p", {}, "The same scenario and seed meet the same packets with the same fates. Save the scenario ",
               "as scenario.yaml, on a machine with ports as in it:"),
          make("pre", {id: "command"}, `faultlined --scenario scenario.yaml &\nfaultline run scenario.yaml${
            seed === undefined ? "" : ` --seed ${seed}`}${
            duration_ns === undefined ? "" : ` --duration ${duration_ns}ns`} --out again`),
          command ? [make("p", {}, "The traffic was that of this command:"),
                     make("pre", {id: "workload"}, command)] : null,
          make("details", {open: DATA.scenario.length < 6000 ? "" : null},
               make("summary", {}, "scenario.yaml"), make("pre", {id: "scenario"}, DATA.scenario))].flat();
}

/** A file of another shape than faultline writes must not take the rest of the page with it. */
function guarded(part) {
  try {
    return [part()].flat();
  } catch (error) {
    return [make("p", {class: "notes", "data-failed": part.name},
                 `This part could not be made of the run's files: ${error.message}`)];
  }
}

const rules = () => RULES.length === 0 ? make("p", {class: "faint"}, "No rules.")
  : RULES.flatMap((rule) => guarded(() => rule_section(rule)));

function build() {
  const sections = [["asked", "Asked against achieved", expectations], ["rules", "Rules", rules],
                    ["traffic", "Traffic", traffic], ["flows", "Top flows", top_flows],
                    ["events", "Events", events], ["ledger", "Ledger", ledger],
                    ["lateness", "Lateness", lateness], ["environment", "Environment", environment],
                    ["reproduce", "How to reproduce", reproduce]];
  const page = document.getElementById("report");
  const fused = DATA.series.stride > 1
    ? make("p", {class: "faint"}, `Of ${grouped(DATA.series.samples)} samples each ${
        DATA.series.stride} are one point: counters at its end, what waits and delays at their greatest.`)
    : null;
  page.append(...[guarded(head), notes(),
    make("nav", {"aria-label": "parts"}, sections.map(([id, title]) => make("a", {href: `#${id}`}, title))),
    make("p", {class: "faint hint"}, "Drag across a plot to zoom, double-click to see all. With the keyboard: ",
         "tab to a plot, arrows move its cursor, + and − zoom, 0 shows all. Bands are the times when a rule was on, ",
         "dotted lines are events."), fused].flat().filter((each) => each),
    ...sections.map(([id, title, part]) =>
      make("section", {id}, make("h2", {}, title), guarded(part).flat())));
  for (const plot of PLOTS.values())
    plot.draw();
  page.setAttribute("data-ready", "yes");
}

build();
