// Plots: drawn by uPlot, of as many points as the screen has columns, moved by mouse and keys.
"use strict";

const PLOTS = new Map();
const HEIGHT = 230;
const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Of a range of rows, the least and the greatest of each series in so many columns; all of them
 *  where there is room. NaN becomes a gap. */
function decimated(x, series, from, to, columns) {
  const gap = (value) => Number.isNaN(value) ? null : value;
  if (to - from <= 4 * columns)
    return [Array.from(x.subarray(from, to)),
            ...series.map((values) => Array.from(values.subarray(from, to), gap))];
  const places = [];
  const drawn = series.map(() => []);
  for (let i = 0; i < columns; ++i) {
    const begin = from + Math.floor((to - from) * i / columns);
    const end = from + Math.floor((to - from) * (i + 1) / columns);
    places.push(x[begin], x[end - 1]);
    series.forEach((values, s) => {
      let least = -1;
      let most = -1;
      for (let row = begin; row < end; ++row) {
        const value = values[row];
        if (Number.isNaN(value))
          continue;
        if (least < 0 || value < values[least])
          least = row;
        if (most < 0 || value > values[most])
          most = row;
      }
      if (least < 0)
        drawn[s].push(null, null);
      else
        drawn[s].push(values[Math.min(least, most)], values[Math.max(least, most)]);
    });
  }
  return [places, ...drawn];
}

/** The first row at or behind a place. */
function row_at(x, place) {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle] < place)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/** Some room above; nothing to see: one. */
function from_zero(chart, least, most) {
  return most === null || most === 0 ? [0, 1] : [Math.min(0, least), most * 1.08];
}
/** From nothing too, unless all is far away from it. */
function from_near(chart, least, most) {
  if (most === null || least < most * 0.5)
    return from_zero(chart, least, most);
  const room = (most - least) * 0.1 || Math.abs(most) * 0.25 || 1;
  return [least - room, most + room];
}

class Plot {
  /** id, title, x (ascending), x_unit, unit, series [{label, values, colour, dash, stepped, unit}],
   *  bands, markers, over_time. Series of another unit get the right axis. */
  constructor(options) {
    // What was never asked for, or never found, is no line.
    options.series = options.series.filter((each) => !each.values.every(Number.isNaN));
    this.options = options;
    this.x = options.x;
    this.lanes = [...new Set((options.bands ?? []).map((band) => band.rule))];
    this.columns = options.series.map((each) => each.values);
    this.range = null;
    this.say = make("span", {class: "sr", "aria-live": "polite"});
    this.place = make("div", {
      class: "plot", tabindex: "0", role: "group", "data-plot": options.id,
      "aria-label": `${options.title}. Arrow keys move the cursor, plus and minus zoom, 0 shows all.`,
    });
    this.figure = make("figure", {}, make("figcaption", {}, options.title), this.place, this.say,
                       this.lanes.length > 1 ? this.lane_names() : null, this.numbers());
    PLOTS.set(options.id, this);
  }

  lane_names() {
    return make("p", {class: "faint lanes"}, "On, from the top: ", this.lanes.map((rule) => make(
      "span", {}, make("span", {class: `swatch b${colour_of(rule)}`}), rule)));
  }

  /** Once the figure is on the page. */
  draw() {
    this.width = Math.max(280, this.place.clientWidth);
    this.chart = new uPlot(this.chart_options(), this.data(this.whole()), this.place);
    this.place.addEventListener("keydown", (event) => this.on_key(event));
    new ResizeObserver(() => this.fit(this.place.clientWidth)).observe(this.place);
    new IntersectionObserver(([entry]) => this.on_sight(entry.isIntersecting)).observe(this.place);
  }

  whole() { return [this.x[0], this.x[this.x.length - 1]]; }

  data([from, to]) {
    const begin = Math.max(0, row_at(this.x, from) - 1);
    const end = Math.min(this.x.length, row_at(this.x, to) + 2);
    return decimated(this.x, this.columns, begin, end, Math.ceil(this.width));
  }

  fit(width) {
    if (width < 100 || Math.abs(width - this.width) < 1)
      return;
    this.width = width;
    this.chart.setSize({width, height: HEIGHT});
    this.show(this.range);
  }

  /** What nobody sees is drawn when it comes into sight. */
  on_sight(seen) {
    this.seen = seen;
    if (seen && this.stale)
      this.show(this.range);
  }

  /** null: all of it. */
  show(range) {
    this.range = range;
    this.stale = false;
    const [min, max] = range ?? this.whole();
    this.chart.batch(() => {
      this.chart.setData(this.data([min, max]), false);
      this.chart.setScale("x", {min, max});
    });
  }

  /** All plots over time show the same time. */
  zoom(range) {
    const [from, to] = this.whole();
    const inside = range && [Math.max(from, range[0]), Math.min(to, range[1])];
    const next = inside && inside[1] - inside[0] > 0 &&
      inside[1] - inside[0] < (to - from) * 0.999 ? inside : null;
    for (const plot of this.options.over_time ? PLOTS.values() : [this])
      if (plot.options.over_time === this.options.over_time) {
        if (plot.seen || plot === this)
          plot.show(next);
        else
          [plot.range, plot.stale] = [next, true];
      }
  }

  redraw() { this.chart?.redraw(true, true); }

  chart_options() {
    const {options} = this;
    const units = [...new Set(options.series.map((each) => each.unit ?? options.unit))];
    const ink = () => colour("faint");
    const grid = {stroke: () => colour("line"), width: 1};
    const axis = (extra) => ({stroke: ink, grid, ticks: grid, font: "12px system-ui, sans-serif",
                              ...extra});
    return {
      width: this.width, height: HEIGHT,
      cursor: {
        drag: {x: true, y: false, setScale: false},
        bind: {dblclick: () => () => { this.zoom(null); }},
        sync: options.over_time ? {key: "time", scales: ["x", null]} : undefined,
      },
      legend: {markers: {
        width: 2,
        stroke: (chart, i) => `var(--${options.series[i - 1]?.colour})`,
        dash: (chart, i) => options.series[i - 1]?.dash ? "dashed" : "solid",
      }},
      scales: Object.fromEntries([["x", {time: false}],
                                  ...units.map((unit) => [unit, {range: unit === "ns" ? from_near
                                                                                       : from_zero}])]),
      axes: [
        axis({values: (chart, ticks) => ticks.map((tick) => words(tick, options.x_unit))}),
        ...units.map((unit, i) => axis({
          scale: unit, side: i === 0 ? 3 : 1, size: 78, grid: i === 0 ? grid : {show: false},
          values: (chart, ticks) => ticks.map((tick) => words(tick, unit)),
        })),
      ],
      series: [
        {label: options.x_unit === "seconds" ? "at" : "delay",
         value: (chart, value) => words(value, options.x_unit)},
        ...options.series.map((each) => ({
          label: each.label, scale: each.unit ?? options.unit, width: each.dash ? 2 : 1.5,
          stroke: () => colour(each.colour), dash: each.dash, spanGaps: false,
          paths: each.stepped ? uPlot.paths.stepped({align: each.stepped}) : undefined,
          points: {show: (chart, series, from, to) => to - from < 40 && !each.stepped},
          value: (chart, value) => words(value, each.unit ?? options.unit),
        })),
      ],
      hooks: {
        drawClear: [(chart) => this.draw_bands(chart)],
        setSelect: [(chart) => this.on_select(chart)],
      },
    };
  }

  draw_bands(chart) {
    const {ctx, bbox} = chart;
    const limit = (place) => Math.min(bbox.left + bbox.width, Math.max(bbox.left, place));
    ctx.save();
    for (const band of this.options.bands ?? []) {
      const from = limit(chart.valToPos(band.from, "x", true));
      const to = limit(chart.valToPos(band.to, "x", true));
      if (to - from <= 0)
        continue;
      const lane = this.lanes.indexOf(band.rule) * 4 * devicePixelRatio;
      ctx.fillStyle = colour(`c${colour_of(band.rule)}`);
      ctx.globalAlpha = 0.09;
      // Many rules that are on all the time would hide what they are about.
      if (this.lanes.length === 1 || band.from > 0 || band.to < RULES_END)
        ctx.fillRect(from, bbox.top, to - from, bbox.height);
      ctx.globalAlpha = 0.9;
      ctx.fillRect(from, bbox.top + lane, Math.max(1, to - from), 3 * devicePixelRatio);
    }
    ctx.globalAlpha = 0.7;
    ctx.strokeStyle = colour("faint");
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.lineWidth = devicePixelRatio;
    for (const marker of this.options.markers ?? []) {
      const place = chart.valToPos(marker, "x", true);
      if (!(place >= bbox.left && place <= bbox.left + bbox.width))
        continue;
      ctx.beginPath();
      ctx.moveTo(place, bbox.top);
      ctx.lineTo(place, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  on_select(chart) {
    const {left, width} = chart.select;
    if (width < 3)
      return;
    const range = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
    chart.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
    this.zoom(range);
  }

  on_key(event) {
    const places = this.chart.data[0];
    const last = places.length - 1;
    const here = this.chart.cursor.idx ?? -1;
    const stride = event.shiftKey ? Math.max(1, Math.round(last / 20)) : 1;
    const moves = {ArrowRight: here + stride, ArrowLeft: here < 0 ? last : here - stride, Home: 0,
                   End: last};
    if (event.ctrlKey || event.altKey || event.metaKey)
      return;
    if (event.key in moves)
      this.move_to(Math.min(last, Math.max(0, moves[event.key])));
    else if (event.key === "+" || event.key === "-")
      this.zoom_about(here < 0 ? null : places[here], event.key === "+" ? 0.5 : 2);
    else if (event.key === "0" || event.key === "Escape")
      this.zoom(null);
    else
      return;
    event.preventDefault();
  }

  move_to(index) {
    const {chart} = this;
    chart.setCursor({left: chart.valToPos(chart.data[0][index], "x"), top: chart.over.clientHeight / 2});
    const told = this.options.series.map(
      (each, s) => `${each.label} ${words(chart.data[s + 1][index], each.unit ?? this.options.unit)}`);
    this.say.textContent = `${words(chart.data[0][index], this.options.x_unit)}: ${told.join(", ")}`;
    this.place.setAttribute("data-cursor", chart.data[0][index]);
  }

  zoom_about(centre, factor) {
    const [from, to] = this.range ?? this.whole();
    const middle = centre ?? (from + to) / 2;
    this.zoom([middle - (middle - from) * factor, middle + (to - middle) * factor]);
  }

  /** The same as numbers: of each series its ends, mean and last. */
  numbers() {
    const head = ["", "least", "mean", "most", "at the end"];
    const rows = this.options.series.map((each) => {
      const unit = each.unit ?? this.options.unit;
      let [count, sum, least, most, end] = [0, 0, Infinity, -Infinity, NaN];
      for (const value of each.values)
        if (!Number.isNaN(value)) {
          ++count;
          sum += value;
          least = Math.min(least, value);
          most = Math.max(most, value);
          end = value;
        }
      const found = count === 0 ? [NaN, NaN, NaN, NaN] : [least, sum / count, most, end];
      return make("tr", {"data-plot": this.options.id, "data-series": each.label},
                  make("td", {}, each.label),
                  found.map((value, i) => make("td", {
                    class: "number", [`data-${["least", "mean", "most", "end"][i]}`]: value,
                  }, words(value, unit))));
    });
    if (this.options.without_numbers)
      return null;
    return make("div", {class: "scroll"},
                make("table", {class: "small"},
                     make("thead", {}, make("tr", {}, head.map((word, i) => make(
                       "th", {class: i > 0 ? "number" : null, scope: "col"}, word)))),
                     make("tbody", {}, rows)));
  }
}

function redraw_all() {
  for (const plot of PLOTS.values())
    plot.redraw();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw_all);
// On paper colours are the light ones, and a page is so wide.
const PAPER_WIDTH = 680;
function on_paper(printing) {
  if (printing)
    for (const part of document.querySelectorAll("details"))
      part.open = true;
  for (const plot of PLOTS.values()) {
    plot.fit(printing ? PAPER_WIDTH : plot.place.clientWidth);
    if (plot.stale)
      plot.show(plot.range);
    plot.redraw();
  }
}
matchMedia("print").addEventListener("change", (event) => { on_paper(event.matches); });
addEventListener("beforeprint", () => { on_paper(true); });
addEventListener("afterprint", () => { on_paper(false); });
