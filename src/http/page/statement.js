// The statement at the top: the state in one word, why, and what to do. Its words are redtail's own.

import { byId, draw, fill, fillFacts, make, setAttribute, setText } from "./dom.js";
import * as words from "./words.js";

/** How bad each condition is. A word that this page does not know is taken as a warning. */
const SEVERITIES = {
  in_sync: "ok",
  catching_up: "busy",
  resyncing: "busy",
  loading: "busy",
  primary_silent: "warn",
  disconnected: "warn",
  held_back: "warn",
  stale: "bad",
  unserved: "bad",
  connecting: "bad",
};

/** The shape of each severity, in a square of 48: they differ without colours too. */
const SHAPES = {
  ok: ["M24 3a21 21 0 1 0 0 42a21 21 0 1 0 0-42Z", "M14 24.5l7 7l13.5-14.5"],
  busy: ["M24 3L45 24L24 45L3 24Z", "M24 14v18M16.5 25l7.5 7.5l7.5-7.5"],
  warn: ["M24 4L46 43H2Z", "M24 17v13M24 35.2v.8"],
  bad: ["M15 3H33L45 15V33L33 45H15L3 33V15Z", "M16 16L32 32M32 16L16 32"],
  lost: ["M5 5H43V43H5Z", "M18 19a6 6 0 1 1 8.5 5.5c-1.8.9-2.5 2-2.5 4M24 34.2v.8"],
};

/** The colours of the icon in the browser's tab, which cannot follow the page's theme. */
const ICON_COLOURS = { ok: "#1a7f37", busy: "#0b63ce", warn: "#9a6700", bad: "#c4232f", lost: "#57606a" };

/** Returns how bad things are: "ok", "busy", "warn" or "bad". */
export function severityOf(health) {
  // The first attempt to connect is no fault yet.
  const isFirstTry = health.condition === "connecting" && health.advice === "";
  const severity = isFirstTry ? "busy" : SEVERITIES[health.condition] ?? "warn";
  return health.warnings.length > 0 && (severity === "ok" || severity === "busy") ? "warn" : severity;
}

/** What redtail follows, in short: a server, or the shards of a cluster. */
export function followedOf({ link, cluster }) {
  if (cluster === null) return words.foreign(link.upstream);
  const count = cluster.shards.length;
  return count === 1 ? "a cluster's shard" : `a cluster of ${count} shards`;
}

/** Shows what redtail says about itself. */
export function showHealth(status) {
  const { health } = status;
  const severity = severityOf(health);
  say(severity, health.title, health.why, health.advice);
  setText(byId("lasting"), `for ${words.howLong(health.for_seconds)}`);
  setText(byId("since"), `Since ${words.local(sinceOf(status))} (${words.utc(sinceOf(status))})`);
  showWarnings(health.warnings);
  document.title = `${health.title}: redtail of ${followedOf(status)}`;
}

/** When the condition began, in Unix milliseconds of redtail's clock. */
function sinceOf(status) {
  return status.redtail.started_unix_ms + (status.redtail.uptime_seconds - status.health.for_seconds) * 1000;
}

/**
 * Shows that redtail does not answer. What it said before is no longer known to be true, so the statement does not repeat it.
 * @param {{since: number, title: string, why: string, advice: string, seen: number|null}} loss
 */
export function showLoss(loss) {
  say("lost", loss.title, loss.why, loss.advice);
  const seen = loss.seen === null
    ? "This page has had no answer yet."
    : "All figures are of that moment.";
  setText(byId("lasting"), `for ${words.howLong((Date.now() - loss.since) / 1000)}`);
  setText(byId("since"), `Since ${words.local(loss.since)} (${words.utc(loss.since)}). ${seen}`);
  showWarnings([]);
  byId("sync").hidden = true;
  document.title = `${loss.title}: ${location.host}`;
}

function say(severity, title, why, advice) {
  setText(byId("title"), title);
  setText(byId("why"), words.foreign(why));
  byId("advice").hidden = advice === "";
  setText(byId("advice"), advice);
  setText(byId("announced"), [title, why, advice].filter((one) => one !== "").join(". "));
  if (document.body.dataset.severity === severity) return;
  document.body.dataset.severity = severity;
  byId("shape").replaceChildren(...shapeOf(severity));
  byId("icon").href = icon(severity);
}

function shapeOf(severity) {
  const [outline, sign] = SHAPES[severity];
  return [draw("path", { class: "outline", d: outline }), draw("path", { class: "sign", d: sign })];
}

/** Returns the icon for the browser's tab. */
function icon(severity) {
  const [outline, sign] = SHAPES[severity];
  const drawing = draw("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: "0 0 48 48" },
    draw("path", { d: outline, fill: ICON_COLOURS[severity] }),
    draw("path", { d: sign, fill: "none", stroke: "#fff", "stroke-width": 5, "stroke-linecap": "round" }));
  return `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(drawing))}`;
}

function showWarnings(warnings) {
  const list = byId("warnings");
  list.hidden = warnings.length === 0;
  fill(list, warnings, () => make("li"), (item, warning) => setText(item, words.foreign(warning)));
}

/** Shows the figures beside the statement. */
export function showGlance(status) {
  const { link, health, data, reads } = status;
  const reading = readsOf(health, data, reads);
  fillFacts(byId("glance"), [
    { name: "Behind", ...behindOf(link) },
    { name: "Reads", ...reading },
    { name: "Keys", text: words.count(data.keys), note: words.bytes(data.bytes) },
    { name: "Last byte from upstream", text: agoOf(link.last_byte_seconds_ago), note: "" },
  ]);
}

/** How far behind the data is. Without a link, or while the primary is silent, nobody knows, whatever the offsets say. */
function behindOf(link) {
  if (!link.up) {
    const since = link.down_seconds === null ? "no link" : `link down for ${words.howLong(link.down_seconds)}`;
    return { text: "unknown", note: since };
  }
  if (link.silent_seconds !== null) return { text: "unknown", note: `primary silent for ${words.howLong(link.silent_seconds)}` };
  if (link.lag_seconds === null) return { text: words.bytes(link.lag_bytes), note: "received, not yet visible" };
  return { text: words.seconds(link.lag_seconds), note: `${words.bytes(link.lag_bytes)} not yet visible` };
}

/** Whether reads are answered. */
function readsOf(health, data, reads) {
  if (!health.answers_reads) return { text: "refused", kind: "bad" };
  if (data.tainted_keys === null) return { text: "refused", kind: "bad", note: "all keys answer TAINTED" };
  return { text: "answered", note: `${words.perSecond(reads.per_second)}, p99 ${words.seconds(reads.p99_seconds)}` };
}

function agoOf(value) {
  return value === null ? "never" : `${words.seconds(value)} ago`;
}

/** Arrivals of the last seconds, from which the rate of a load is told: pairs of a time in milliseconds and bytes. */
let arrivals = [];

/** Shows a snapshot that is on its way or held back, and what is served meanwhile. */
export function showSync(status, moment) {
  const { loading, held_back: held } = status.sync;
  if (loading === null) arrivals = [];
  byId("sync").hidden = loading === null && held === null;
  byId("sync-bar").hidden = loading === null;
  if (loading !== null) showLoading(loading, moment);
  else if (held !== null) showHeld(held);
  setText(byId("sync-served"), servedWords(status));
}

function showLoading(loading, moment) {
  const percent = loading.percent;
  setText(byId("sync-title"), percent === null ? "Snapshot" : `Snapshot: ${percent.toFixed(1)} %`);
  const bar = byId("sync-bar");
  setAttribute(bar, "aria-valuenow", percent === null ? null : percent.toFixed(1));
  bar.classList.toggle("unsized", percent === null);
  bar.style.setProperty("--part", String((percent ?? 100) / 100));
  const whole = loading.bytes_expected === null ? "of unknown size" : `of ${words.bytes(loading.bytes_expected)}`;
  const rate = rateOf(loading, moment);
  const left = loading.seconds_left ?? leftAt(rate, loading);
  fillFacts(byId("sync-facts"), [
    { name: "Arrived", text: `${words.bytes(loading.bytes)} ${whole}` },
    { name: "Rate", text: words.bytesPerSecond(rate) },
    { name: "Time left", text: left === null ? "unknown" : `about ${words.seconds(left)}` },
    { name: "Keys so far", text: words.count(loading.keys) },
    { name: "Running for", text: words.howLong(loading.for_seconds) },
  ]);
}

/** The rate of a load over the last five seconds, or since it began if this page has not seen as much of it. */
function rateOf(loading, moment) {
  if (arrivals.length > 0 && arrivals.at(-1)[1] > loading.bytes) arrivals = [];
  if (arrivals.at(-1)?.[0] !== moment) arrivals.push([moment, loading.bytes]);
  arrivals = arrivals.filter(([at]) => moment - at <= 5000);
  const [from, bytes] = arrivals[0];
  if (moment - from >= 1000) return ((loading.bytes - bytes) * 1000) / (moment - from);
  return loading.for_seconds > 0 ? loading.bytes / loading.for_seconds : null;
}

/** The time that the rest of a load takes at this rate, in seconds. */
function leftAt(rate, { bytes, bytes_expected: whole }) {
  return rate > 0 && whole !== null ? Math.max(0, whole - bytes) / rate : null;
}

function showHeld(held) {
  setText(byId("sync-title"), "Snapshot held back");
  fillFacts(byId("sync-facts"), [
    { name: "It brings", text: `${words.count(held.keys)} keys` },
    { name: "Served now", text: `${words.count(held.served_keys)} keys` },
    { name: "Held for", text: words.howLong(held.for_seconds) },
  ]);
}

/** What is served while a snapshot is on its way. */
function servedWords(status) {
  if (!status.health.answers_reads) return "Served meanwhile: nothing. Reads are refused.";
  const moment = status.cluster === null ? ` as of offset ${status.link.applied_offset}` : "";
  return `Served meanwhile: the old data, ${words.count(status.data.keys)} keys${moment}.`;
}
