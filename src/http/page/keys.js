// Keys by prefix: a treemap that opens level by level, and the same as a table. The place is in the page's address, so the
// back button closes a level. redtail measures a level only when somebody looks at it.

import { byId, fill, fillChoice, fillRows, make, setAttribute, setText } from "./dom.js";
import { typeClass } from "./tables.js";
import * as words from "./words.js";

/** How often the level that is looked at is measured again, in milliseconds. */
const AGAIN_AFTER = 30_000;
/** How soon redtail is asked again if it did not answer. */
const RETRY_AFTER = 5000;
/** How long redtail may take for a level. */
const PATIENCE = 20_000;

let place = { db: 0, prefix: "", by: "bytes" };
let level = null;
let failure = null;
let asked = null;
let isSeen = false;
let databases = [];

/** Connects the section to its elements and to the page's address. */
export function startKeys() {
  addEventListener("hashchange", follow);
  new IntersectionObserver((entries) => {
    isSeen = entries.some((entry) => entry.isIntersecting);
    if (isSeen) measure();
  }).observe(byId("map"));
  new ResizeObserver(showMap).observe(byId("map"));
  byId("keys-again").addEventListener("click", () => measure(true));
  byId("keys-db").addEventListener("change", (event) => go({ db: Number(event.target.value), prefix: "" }));
  follow();
  if (isPlace()) byId("keys").scrollIntoView();
}

/** Notes the databases that there are, and measures again from time to time. Call this once for each answer of redtail. */
export function tendKeys(status) {
  databases = status.data.databases.map((one) => one.db);
  if (!databases.includes(place.db)) databases = [place.db, ...databases];
  showControls();
  measure();
}

/** Goes one level up. */
export function goUp() {
  const crumbs = crumbsOf();
  if (crumbs.length > 1) go({ prefix: crumbs.at(-2).prefix });
}

/** Whether the page's address names a place. */
const isPlace = () => location.hash.startsWith("#keys?");

/** Takes the place from the page's address. Without one it is the whole database, as after the last step back. */
function follow() {
  if (!isPlace()) {
    const isRoot = location.hash === "" || location.hash === "#keys";
    enter(isRoot ? { ...place, prefix: "" } : place);
    return;
  }
  const wanted = new URLSearchParams(location.hash.slice("#keys?".length));
  const db = Number.parseInt(wanted.get("db") ?? "0", 10);
  enter({
    db: Number.isSafeInteger(db) && db >= 0 ? db : 0,
    prefix: wanted.get("prefix") ?? "",
    by: wanted.get("by") === "keys" ? "keys" : "bytes",
  });
}

function enter(wanted) {
  const isSame = wanted.db === place.db && wanted.prefix === place.prefix;
  const hadFocus = byId("map").contains(document.activeElement) || byId("key-rows").contains(document.activeElement);
  place = wanted;
  if (!isSame) level = failure = null;
  show();
  if (!isSame) measure(true).then(() => hadFocus && byId("crumbs").lastElementChild?.focus());
}

const addressOf = (change) => `#keys?${new URLSearchParams({ ...place, ...change })}`;
const go = (change) => { location.hash = addressOf(change); };

/** Asks redtail for the level, unless it is unseen or was measured just now. */
async function measure(now = false) {
  const isDue = asked === null || Date.now() - asked.at > (failure === null ? AGAIN_AFTER : RETRY_AFTER);
  if (!now && (!isDue || !isSeen || document.hidden)) return;
  const question = { ...place, at: Date.now() };
  asked = question;
  try {
    const found = await fetchLevel(place);
    if (asked === question) [level, failure] = [found, null];
  } catch (error) {
    if (asked === question) failure = error.message;
  }
  if (asked === question) show();
}

async function fetchLevel({ db, prefix }) {
  const answer = await fetch(`keys.json?${new URLSearchParams({ db, prefix })}`, { signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`redtail answers with status ${answer.status}: ${(await answer.text()).trim()}`);
  return answer.json();
}

function show() {
  showControls();
  showCrumbs();
  showMap();
  showTable();
}

function showControls() {
  const select = byId("keys-db");
  fill(select, databases, () => make("option"), (option, db) => {
    option.value = String(db);
    setText(option, `db${db}`);
  });
  select.value = String(place.db);
  fillChoice(byId("keys-by"), [{ value: "bytes", text: "Bytes" }, { value: "keys", text: "Keys" }], place.by, (by) => go({ by }));
  setText(byId("keys-note"), noteOf());
}

/** Says how the figures came to be. */
function noteOf() {
  if (failure !== null) return `Not measured: ${words.foreign(failure)}`;
  if (level === null) return "Not measured yet";
  const how = level.exact
    ? `Exact: all ${words.count(level.keys)} keys`
    : `Estimated from ${words.count(level.looked_at)} keys, about ${words.count(level.keys)} here`;
  return `${how}, ${words.bytes(level.bytes)}; measured ${words.local(level.at_unix_ms)}`;
}

/** The levels from the whole database down to the place. */
function crumbsOf() {
  const separator = level?.separator || ":";
  const crumbs = [{ text: `db${place.db}`, prefix: "" }];
  let from = 0;
  for (let at = place.prefix.indexOf(separator); at >= 0; at = place.prefix.indexOf(separator, from)) {
    const end = at + separator.length;
    crumbs.push({ text: place.prefix.slice(from, end), prefix: place.prefix.slice(0, end) });
    from = end;
  }
  if (from < place.prefix.length) crumbs.push({ text: place.prefix.slice(from), prefix: place.prefix });
  return crumbs;
}

function showCrumbs() {
  const crumbs = crumbsOf();
  fill(byId("crumbs"), crumbs, () => make("a"), (link, crumb, index) => {
    const isLast = index === crumbs.length - 1;
    setText(link, words.foreign(crumb.text));
    setAttribute(link, "href", addressOf({ prefix: crumb.prefix }));
    setAttribute(link, "aria-current", isLast ? "location" : null);
  });
}

/** What a child is called, and where it leads: nowhere if it is a key, or the rest. */
function childOf(child) {
  const whole = level[place.by];
  const name = child.name === null ? "all others" : words.foreign(child.name.slice(place.prefix.length) || child.name);
  const opens = child.name !== null && !child.leaf;
  const size = place.by === "bytes" ? words.bytes(child.bytes) : `${words.count(child.keys)} keys`;
  return {
    name: opens ? `${name}${level.separator}` : name || "(empty)",
    href: opens ? addressOf({ prefix: `${child.name}${level.separator}` }) : undefined,
    size, share: words.share(child[place.by], whole), title: child.name === null ? name : words.foreign(child.name),
    kind: typeClass(mainType(child.types)), value: child[place.by],
  };
}

/** The type that has the most keys or bytes of a child. */
function mainType(types) {
  const at = place.by === "keys" ? 0 : 1;
  const [most] = Object.entries(types ?? {}).sort((a, b) => b[1][at] - a[1][at]);
  return most?.[0] ?? "";
}

function showMap() {
  const map = byId("map");
  const children = (level?.children ?? []).map(childOf).filter((child) => child.value > 0).sort((a, b) => b.value - a.value);
  const { clientWidth, clientHeight } = map;
  const boxes = clientWidth > 0 ? squares(children.map((child) => child.value), clientWidth, clientHeight) : [];
  const shown = boxes.length > 0 ? children : [];
  fill(map, shown, makeTile, (tile, child, index) => setTile(tile, child, boxes[index]));
  map.classList.toggle("bare", shown.length === 0);
}

function makeTile() {
  return make("a", {}, make("span", { class: "name" }), make("span", { class: "size" }));
}

function setTile(tile, child, box) {
  setAttribute(tile, "class", `tile ${child.kind}${child.href ? "" : " leaf"}${box.w < 56 || box.h < 34 ? " small" : ""}`);
  setAttribute(tile, "href", child.href ?? null);
  setAttribute(tile, "title", `${child.title}: ${child.size}, ${child.share}`);
  setText(tile.children[0], child.name);
  setText(tile.children[1], `${child.size}, ${child.share}`);
  for (const side of ["x", "y", "w", "h"]) tile.style.setProperty(`--${side}`, `${box[side].toFixed(1)}px`);
}

/**
 * Divides a box into boxes of these sizes, the largest first, each as near to a square as rows allow.
 * Source: Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000).
 * @param {number[]} sizes descending, above zero
 * @returns {Array<{x: number, y: number, w: number, h: number}>}
 */
export function squares(sizes, width, height) {
  const scale = (width * height) / sizes.reduce((sum, size) => sum + size, 0);
  const areas = sizes.map((size) => size * scale);
  const boxes = [];
  let free = { x: 0, y: 0, w: width, h: height };
  for (let start = 0; start < areas.length;) {
    const side = Math.min(free.w, free.h);
    let end = start + 1;
    while (end < areas.length && worst(areas.slice(start, end + 1), side) <= worst(areas.slice(start, end), side)) end += 1;
    free = layRow(areas.slice(start, end), free, boxes);
    start = end;
  }
  return boxes;
}

/** How far the worst box of a row is from a square: 1 is a square. */
function worst(row, side) {
  const sum = row.reduce((total, area) => total + area, 0);
  const [most, least] = [row[0], row.at(-1)];
  return Math.max((side * side * most) / (sum * sum), (sum * sum) / (side * side * least));
}

/** Lays a row along the shorter side of the free box. Returns what stays free. */
function layRow(row, free, boxes) {
  const sum = row.reduce((total, area) => total + area, 0);
  const isUpright = free.w >= free.h;
  const depth = sum / (isUpright ? free.h : free.w);
  let along = 0;
  for (const area of row) {
    const length = area / depth;
    boxes.push(isUpright
      ? { x: free.x, y: free.y + along, w: depth, h: length }
      : { x: free.x + along, y: free.y, w: length, h: depth });
    along += length;
  }
  return isUpright
    ? { x: free.x + depth, y: free.y, w: Math.max(0, free.w - depth), h: free.h }
    : { x: free.x, y: free.y + depth, w: free.w, h: Math.max(0, free.h - depth) };
}

function showTable() {
  const children = (level?.children ?? []).toSorted((a, b) => b[place.by] - a[place.by]);
  fillRows(byId("key-rows"), children.map((child) => {
    const { name, href, title, kind, share } = childOf(child);
    return [
      { text: name, title, href, kind: `code swatch ${kind}` },
      { text: words.count(child.keys), kind: "number" },
      { text: words.bytes(child.bytes), kind: "number" },
      { text: share, kind: "number" },
      { text: typesOf(child.types), title: typesOf(child.types), kind: "wide" },
    ];
  }));
}

function typesOf(types) {
  const most = Object.entries(types ?? {}).sort((a, b) => b[1][0] - a[1][0]);
  return most.map(([type, [keys]]) => (most.length > 1 ? `${type} ${words.count(keys)}` : type)).join(", ");
}
