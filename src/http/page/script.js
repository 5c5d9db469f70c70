// Asks redtail for its state twice a second and shows the answer. One answer is shown whole: all figures are of one moment.

import { byId, setText } from "./dom.js";
import { goUp, startKeys, tendKeys } from "./keys.js";
import { makeLines } from "./lines.js";
import { showGlance, showHealth, showLoss, showSync } from "./statement.js";
import { showEvents, showTables } from "./tables.js";
import * as words from "./words.js";

/** Milliseconds between two questions, while the page is seen and while it is hidden. */
const [ASK_SEEN, ASK_HIDDEN] = [500, 10_000];
/** How long redtail may take to answer. */
const PATIENCE = 2500;
/** The age at which the last answer counts as old even though no question has failed: a machine may have slept. */
const OLD_AFTER = 4000;
/** How much of the history is asked for again: a point may have been in the making when the last answer was. */
const OVERLAP = 2000;
const DAY = 86_400_000;
const [POINTS_MAX, EVENTS_MAX] = [600, 200];

/** What the page knows. `at` and `loss.since` are times of this machine's clock, everything in `status` is of redtail's. */
const known = { status: null, at: null, points: [], events: [], loss: null };

const drawLines = makeLines(byId("charts"));

/** Asks, shows, and asks again later. */
async function ask() {
  clearTimeout(ask.timer);
  const turn = (ask.turn = (ask.turn ?? 0) + 1);
  try {
    const answer = await fetchStatus();
    if (turn !== ask.turn) return;
    take(answer);
    show();
  } catch (error) {
    if (turn !== ask.turn) return;
    lose(error);
    show();
  }
  ask.timer = setTimeout(ask, document.hidden ? ASK_HIDDEN : ASK_SEEN);
}

/** Why there is no answer, in words for the operator. */
class NoAnswer extends Error {
  constructor(title, why, advice) {
    super(why);
    this.title = title;
    this.advice = advice;
  }
}

const [SILENT, NO_FIGURES] = ["no answer from redtail", "no figures from redtail"];

const NOT_UNDERSTOOD = new NoAnswer(NO_FIGURES, `this page does not understand the answer of redtail at ${location.host}`,
  "Load this page again: redtail may have been replaced by another version");

async function fetchStatus() {
  const since = known.points.at(-1)?.[0];
  const address = since === undefined ? "status.json" : `status.json?since=${Math.floor(since - OVERLAP)}`;
  let answer;
  try {
    answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    const isLate = error.name === "TimeoutError";
    throw new NoAnswer(
      SILENT,
      isLate ? `redtail at ${location.host} does not answer within ${PATIENCE / 1000} s` : `this page cannot reach redtail at ${location.host}`,
      "Check that the process runs, and that this browser can reach it. Whether it serves reads is not known from here",
    );
  }
  if (!answer.ok) {
    // redtail's own words say what to do.
    const words = (await answer.text()).trim();
    throw new NoAnswer(NO_FIGURES, `redtail at ${location.host} answers with status ${answer.status}${words === "" ? "" : `: ${words}`}`,
      answer.status === 401 ? "Load this page again and give the token as the password of any user" : "");
  }
  return answer.json();
}

/** Takes an answer. */
function take(status) {
  const isNewProcess = known.status !== null && known.status.redtail.run_id !== status.redtail.run_id;
  if (isNewProcess) known.points = known.events = [];
  const [firstPoint, from] = [status.history.points[0]?.[0] ?? Infinity, (known.points.at(-1)?.[0] ?? 0) - OVERLAP];
  known.points = [...known.points.filter((point) => point[0] < firstPoint), ...status.history.points].slice(-POINTS_MAX);
  known.events = [...known.events.filter((event) => event.at_unix_ms < from), ...status.events].slice(-EVENTS_MAX);
  known.status = status;
  known.at = Date.now();
  known.loss = null;
}

/** Notes that there is no answer: since the last one, or since the first question. */
function lose(error) {
  const since = known.at ?? known.loss?.since ?? Date.now();
  if (!(error instanceof NoAnswer)) console.error(error);
  const { title, message, advice } = error instanceof NoAnswer ? error : NOT_UNDERSTOOD;
  known.loss = { since, title, why: message, advice, seen: known.at };
}

/** Redtail's clock now, as far as this page can tell. */
function serverNow() {
  const { redtail } = known.status;
  return redtail.started_unix_ms + redtail.uptime_seconds * 1000 + (Date.now() - known.at);
}

/** Shows what is known. */
function show() {
  const { status, loss } = known;
  document.body.classList.toggle("stale", loss !== null);
  showAge();
  if (loss !== null) showLoss(loss);
  else showStatement(status);
  if (status === null) return;
  const now = serverNow();
  drawLines({
    points: known.points, every: status.history.every_seconds * 1000, now,
    silentSince: loss === null ? null : now - (Date.now() - known.at),
  });
  if (loss !== null) return;
  showTables(status);
  showEvents(known.events);
  showSpan();
  tendKeys(status);
  const moment = now - (Date.now() - known.at);
  setText(byId("moment"), `${words.local(moment)} (${words.utc(moment)})`);
  byId("moment").dateTime = new Date(moment).toISOString();
}

function showStatement(status) {
  showHealth(status);
  showGlance(status);
  showSync(status, status.redtail.uptime_seconds * 1000);
}

/** Says how much time the lines show. */
function showSpan() {
  const [first, last] = [known.points[0], known.points.at(-1)];
  const minutes = first ? Math.round((last[0] - first[0]) / 60_000) : 0;
  setText(byId("lines-head"), minutes >= 1 ? `Last ${minutes === 1 ? "minute" : `${minutes} minutes`}` : "Since just now");
  setText(byId("lines-note"), `a point every ${known.status.history.every_seconds === 1 ? "second" : words.seconds(known.status.history.every_seconds)}; hatched: the link was down`);
}

/** Marks each section's figures as old, or says that they are fresh. */
function showAge() {
  const { loss, at } = known;
  const isOld = loss !== null && at !== null;
  for (const mark of document.querySelectorAll(".as-of")) {
    mark.hidden = !isOld;
    setText(mark, isOld ? `as of ${Date.now() - at < DAY / 2 ? words.clock(at) : words.local(at)}` : "");
  }
  setText(byId("pulse"), loss === null ? "live" : at === null ? "no answer" : `last answer ${words.howLong((Date.now() - at) / 1000)} ago`);
}

/** Notices that answers have stopped although no question failed yet, as after the machine has slept. */
function watchAge() {
  if (known.at === null || known.loss !== null || document.hidden) return;
  if (Date.now() - known.at <= OLD_AFTER) return;
  lose(new NoAnswer(SILENT, `this page has asked redtail at ${location.host} and waits for its answer`, ""));
  show();
}

const THEMES = ["system", "light", "dark"];

/** Shows a theme and keeps it; "system" follows the system. */
function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  setText(byId("theme"), `Theme: ${theme}`);
  try {
    if (theme === "system") localStorage.removeItem("redtail-theme");
    else localStorage.setItem("redtail-theme", theme);
  } catch {
    // Storage may be forbidden. The choice holds until the page is loaded again.
  }
}

const themeNow = () => document.documentElement.dataset.theme ?? "system";
const nextTheme = () => setTheme(THEMES[(THEMES.indexOf(themeNow()) + 1) % THEMES.length]);

/** Goes to a section and gives it the focus, without a step in the browser's history. */
function goTo(section) {
  if (!section) return;
  section.setAttribute("tabindex", "-1");
  section.focus({ preventScroll: true });
  section.scrollIntoView();
}

/** What each key does. */
function press(event) {
  const isTyping = event.target.closest("input, select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || byId("shortcuts").open) return;
  const links = [...document.querySelectorAll(".bar nav a")];
  if (event.key >= "1" && event.key <= String(links.length)) goTo(document.querySelector(links[Number(event.key) - 1].hash));
  else if (event.key === "0") goTo(byId("statement"));
  else if (event.key === "m") goTo(byId("keys"));
  else if (event.key === "u") goUp();
  else if (event.key === "t") nextTheme();
  else if (event.key === "?") byId("shortcuts").showModal();
}

function start() {
  setTheme(themeNow());
  byId("theme").addEventListener("click", nextTheme);
  byId("help").addEventListener("click", () => byId("shortcuts").showModal());
  byId("shortcuts-close").addEventListener("click", () => byId("shortcuts").close());
  addEventListener("keydown", press);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask();
  });
  setInterval(watchAge, 500);
  startKeys();
  ask();
}

start();
