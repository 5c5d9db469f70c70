// The lines over time. One cursor reads all of them at the same moment.

import { draw, make, setAttribute, setText } from "./dom.js";
import * as words from "./words.js";

/** The places of a point's values in `history.points`. */
const [TIME, LAG_BYTES, LAG_SECONDS, STREAM, READS, P99, RESIDENT, UP] = [0, 1, 2, 3, 4, 5, 6, 7];

/**
 * What each line shows. least: the top of its axis at rest, so that noise does not look like a mountain.
 * link: whether its value means something only while the link is up.
 */
const LINES = [
  { title: "Received, not yet visible", at: LAG_BYTES, say: words.bytes, base: 1024, least: 1024, link: true },
  { title: "Behind", at: LAG_SECONDS, say: words.seconds, base: 60, least: 0.01, link: true },
  { title: "Received from upstream", at: STREAM, say: words.bytesPerSecond, base: 1024, least: 1024, link: false },
  { title: "Reads", at: READS, say: words.perSecond, base: 10, least: 10, link: false },
  { title: "Read latency, p99", at: P99, say: words.seconds, base: 60, least: 0.0001, link: false },
  { title: "Memory, resident", at: RESIDENT, say: words.bytes, base: 1024, least: 1 << 20, link: false },
];

const HEIGHT = 132;
const BOTTOM = 18;
const TOP = 10;
const LEFT = 58;
const PLOT = HEIGHT - BOTTOM - TOP;
const SPAN_LEAST = 60_000;

/**
 * What the lines are drawn from.
 * @typedef {{points: number[][], every: number, now: number, silentSince: number|null}} View
 * every: milliseconds between two points; now: the right end, in the server's time; silentSince: since when redtail has not
 * answered this page
 */

/** Makes the lines in `parent`. Returns the function that draws a {@link View}. */
export function makeLines(parent) {
  /** @type {View} */
  let view = { points: [], every: 1000, now: 0, silentSince: null };
  let cursor = null;
  const redraw = () => charts.forEach((chart) => drawChart(chart, view, cursor));
  const moveTo = (time) => {
    cursor = time;
    redraw();
  };
  const charts = LINES.map((line, index) => makeChart(line, index));
  charts.forEach((chart) => {
    parent.append(chart.figure);
    listen(chart, () => view, () => cursor, moveTo);
  });
  new ResizeObserver(redraw).observe(parent);
  return (next) => {
    view = next;
    redraw();
  };
}

/** Makes the elements of one line. */
function makeChart(line, index) {
  const value = make("span", { class: "value" });
  const when = make("span", { class: "quiet when" });
  const name = make("h3", { id: `line-${index}` }, line.title);
  const plot = draw("svg", {
    class: "plot", height: HEIGHT, tabindex: 0, role: "slider", "aria-labelledby": `line-${index}`,
    "aria-roledescription": "line over time",
  });
  const layers = {};
  for (const layer of ["bands", "grid", "area", "line", "cursor"]) {
    layers[layer] = draw("g", { class: layer });
    plot.append(layers[layer]);
  }
  plot.prepend(draw("defs", {}, hatch(index)));
  const figure = make("figure", { "data-line": line.title }, make("figcaption", {}, name, when, value), plot);
  return { line, index, figure, plot, value, when, layers };
}

/** The pattern of times without data, which is seen without colours too. */
function hatch(index) {
  const pattern = draw("pattern", {
    id: `hatch-${index}`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)",
  });
  pattern.append(draw("rect", { class: "hatch", width: 1.5, height: 6 }));
  return pattern;
}

/** Lets the pointer and the keyboard move the cursor. */
function listen(chart, view, cursor, moveTo) {
  const { plot } = chart;
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const frame = frameOf(view(), box.width);
    moveTo(nearest(view().points, frame.time(event.clientX - box.left)));
  });
  plot.addEventListener("pointerleave", () => moveTo(null));
  plot.addEventListener("blur", () => moveTo(null));
  plot.addEventListener("keydown", (event) => {
    const next = step(view().points, cursor(), event.key);
    if (next === undefined) return;
    event.preventDefault();
    moveTo(next);
  });
}

/** Where a key moves the cursor: a time, `null` for now, `undefined` if the key means nothing. */
function step(points, cursor, key) {
  const last = points.length - 1;
  const found = points.findIndex((point) => point[TIME] === cursor);
  const at = cursor === null || found < 0 ? last : found;
  const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 30, PageDown: at + 30, Home: 0, End: last };
  if (key === "Escape") return null;
  if (!(key in moves) || last < 0) return undefined;
  return points[Math.max(0, Math.min(last, moves[key]))][TIME];
}

/** The time of the point that is nearest to `time`. */
function nearest(points, time) {
  let best = null;
  for (const [at] of points) {
    if (best === null || Math.abs(at - time) < Math.abs(best - time)) best = at;
  }
  return best;
}

/** The times at the ends, and the ways from a time to a place and back. */
function frameOf(view, width) {
  const to = view.now;
  const first = view.points.length > 0 ? view.points[0][TIME] : to;
  const from = Math.min(first, to - SPAN_LEAST);
  const scale = (width - LEFT) / (to - from);
  return { from, to, width, x: (time) => LEFT + (time - from) * scale, time: (x) => from + (x - LEFT) / scale };
}

/** Draws one line as the view and the cursor want it. */
function drawChart(chart, view, cursor) {
  const { width } = chart.plot.getBoundingClientRect();
  if (width === 0) return;
  const frame = frameOf(view, width);
  const axis = axisOf(chart.line, view.points);
  const y = (value) => TOP + PLOT - (value / axis.top) * PLOT;
  chart.layers.bands.replaceChildren(...bands(view, frame, chart.index));
  chart.layers.grid.replaceChildren(...valueTicks(axis, chart.line, width, y), ...timeTicks(frame));
  const runs = unbroken(chart.line, view);
  const path = runs.map((run) => pathOf(run, frame.x, y)).join("");
  const area = runs.map((run) => areaOf(run, frame.x, y)).join("");
  chart.layers.line.replaceChildren(draw("path", { d: path }));
  chart.layers.area.replaceChildren(draw("path", { d: area }));
  drawCursor(chart, view, cursor, frame, y);
}

/** The runs of points between which the line may be drawn: nothing is drawn where nothing is known. */
function unbroken(line, view) {
  const runs = [];
  let before = null;
  for (const point of view.points) {
    const isKnown = words.known(point[line.at]) && (!line.link || point[UP] === 1);
    const follows = before !== null && point[TIME] - before <= view.every * 2.5;
    if (isKnown && follows) runs.at(-1).push([point[TIME], point[line.at]]);
    else if (isKnown) runs.push([[point[TIME], point[line.at]]]);
    before = isKnown ? point[TIME] : null;
  }
  return runs;
}

const place = (number) => number.toFixed(1);

function pathOf(run, x, y) {
  const steps = run.map(([time, value], index) => `${index === 0 ? "M" : "L"}${place(x(time))} ${place(y(value))}`);
  // A lone point has no length; this makes it a dot.
  return `${steps.join("")}${run.length === 1 ? "h0.1" : ""}`;
}

function areaOf(run, x, y) {
  const [first, last] = [run[0][0], run.at(-1)[0]];
  return `${pathOf(run, x, y)}L${place(x(last))} ${place(y(0))}L${place(x(first))} ${place(y(0))}Z`;
}

/** The times when the link was down, and the time since redtail last answered. */
function bands(view, frame, index) {
  const spans = [];
  for (const point of view.points) {
    if (point[UP] === 1) continue;
    const [start, end] = [point[TIME] - view.every / 2, point[TIME] + view.every / 2];
    const last = spans.at(-1);
    if (last && start - last[1] <= view.every * 1.5) last[1] = end;
    else spans.push([start, end]);
  }
  const shown = spans.map(([start, end]) => band(frame, start, end, index, "link down"));
  if (view.silentSince !== null) shown.push(band(frame, view.silentSince, frame.to, index, "no answer"));
  return shown;
}

function band(frame, start, end, index, name) {
  const left = Math.max(LEFT, frame.x(start));
  const width = Math.max(2, Math.min(frame.width, frame.x(end)) - left);
  const group = draw("g", {}, draw("rect", { x: left, y: TOP, width, height: PLOT, fill: `url(#hatch-${index})` }));
  if (width > 60) {
    const text = draw("text", { class: "band", x: left + width / 2, y: TOP + PLOT / 2 + 4, "text-anchor": "middle" });
    text.textContent = name;
    group.append(text);
  }
  return group;
}

/** The steps of an axis for values that are counted in units of `base`. */
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/** The axis of a line: its top, and the distance of its ticks. */
function axisOf(line, points) {
  let most = line.least;
  for (const point of points) {
    if (words.known(point[line.at]) && (!line.link || point[UP] === 1)) most = Math.max(most, point[line.at]);
  }
  const step = stepFor(most / 2.2, line.base);
  return { step, top: Math.max(most * 1.03, step * 2) };
}

/** The smallest round step that is at least `least`. */
function stepFor(least, base) {
  if (base === 1024) {
    const unit = 1024 ** Math.max(0, Math.floor(Math.log(least) / Math.log(1024)));
    return unit * (STEPS.find((one) => one * unit >= least) ?? 1024);
  }
  if (base === 60 && least > 20) return [30, 60, 120, 300, 600, 1800].find((one) => one >= least) ?? 3600 * Math.ceil(least / 3600);
  const unit = 10 ** Math.floor(Math.log10(least));
  // Ten times a small unit is not exact in binary: the step is rounded for its label.
  return Number((unit * STEPS.find((one) => one * unit >= least * 0.999)).toPrecision(3));
}

function valueTicks(axis, line, width, y) {
  const ticks = [];
  for (let value = 0; value <= axis.top; value += axis.step) {
    const at = Math.round(y(value)) + 0.5;
    ticks.push(draw("line", { x1: LEFT, x2: width, y1: at, y2: at, class: value === 0 ? "base" : "tick" }));
    const text = draw("text", { x: LEFT - 8, y: at + 3.5, "text-anchor": "end" });
    text.textContent = value === 0 ? "0" : line.say(value);
    ticks.push(text);
  }
  return ticks;
}

/** Marks of the clock under the line, at round minutes. */
function timeTicks(frame) {
  const span = frame.to - frame.from;
  const wanted = Math.max(2, Math.floor((frame.width - LEFT) / 56));
  const every = [15, 30, 60, 120, 300, 600].map((s) => s * 1000).find((one) => span / one <= wanted) ?? 600_000;
  const ticks = [];
  for (let time = Math.ceil(frame.from / every) * every; time <= frame.to; time += every) {
    const at = frame.x(time);
    if (at < LEFT || at > frame.width - 14) continue;
    const clock = words.clock(time);
    const text = draw("text", { class: "clock", x: place(at), y: HEIGHT - 4, "text-anchor": "middle" });
    text.textContent = every < 60_000 ? clock : clock.slice(0, 5);
    ticks.push(draw("line", { class: "mark", x1: place(at), x2: place(at), y1: TOP + PLOT, y2: TOP + PLOT + 4 }), text);
  }
  return ticks;
}

/** Draws the cursor and writes the value that it points to: the last one if there is no cursor. */
function drawCursor(chart, view, cursor, frame, y) {
  const { line, plot, value, when, layers } = chart;
  const point = view.points.find(([time]) => time === cursor) ?? view.points.at(-1);
  const text = point ? valueOf(line, point) : words.UNKNOWN;
  const isPast = point && point[TIME] === cursor;
  setText(value, text);
  setText(when, point && (isPast || view.silentSince !== null) ? words.clock(point[TIME]) : "");
  layers.cursor.replaceChildren(...(isPast ? cursorMarks(line, point, frame, y) : []));
  setAttribute(plot, "aria-valuemin", view.points[0]?.[TIME] ?? 0);
  setAttribute(plot, "aria-valuemax", view.points.at(-1)?.[TIME] ?? 0);
  // A focused slider is read aloud when its value changes: only the reader's own keys may do that.
  if (isPast || document.activeElement !== plot) {
    setAttribute(plot, "aria-valuenow", point?.[TIME] ?? 0);
    setAttribute(plot, "aria-valuetext", point ? `${words.clock(point[TIME])}: ${text}` : text);
  }
}

/** The value of a point in words. */
function valueOf(line, point) {
  if (line.link && point[UP] !== 1) return "link down";
  return line.say(point[line.at]);
}

function cursorMarks(line, point, frame, y) {
  const at = place(frame.x(point[TIME]));
  const marks = [draw("line", { x1: at, x2: at, y1: TOP, y2: TOP + PLOT })];
  const isShown = words.known(point[line.at]) && (!line.link || point[UP] === 1);
  if (isShown) marks.push(draw("circle", { cx: at, cy: place(y(point[line.at])), r: 3 }));
  return marks;
}
