"use strict";

const report = JSON.parse(document.getElementById("data").textContent);
const { stats, keys, tree } = report;

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A number of bytes as people read it. */
function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit + 1 < UNITS.length) {
    count /= 1024;
    unit += 1;
  }
  return `${unit > 0 && count < 10 ? count.toFixed(1) : Math.floor(count)} ${UNITS[unit]}`;
}

const number = (count) => count.toLocaleString("en");
const counted = (count) => `${number(count)} ${count === 1 ? "key" : "keys"}`;
const percent = (part, whole) => `${(whole ? (100 * part) / whole : 0).toFixed(1)} %`;

/** Makes an element with attributes and children. Texts become text nodes, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** A table. A heading that begins with * is above texts. */
function table(id, headings, rows) {
  const isText = headings.map((heading) => heading.startsWith("*"));
  const head = headings.map((heading, at) => make("th", { class: isText[at] ? "text" : false }, heading.replace("*", "")));
  const body = rows.map((row) =>
    make("tr", {}, ...row.map((cell, at) => make("td", { class: at === 0 ? "text name" : isText[at] ? "text" : false, title: at === 0 ? cell : false }, cell))),
  );
  document.getElementById(id).append(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
}

/** Horizontal bars: a name, keys, and what they take. */
function bars(id, rows) {
  const most = Math.max(1, ...rows.map(([, amount]) => amount.keys));
  const parent = document.getElementById(id);
  for (const [name, amount] of rows) {
    const bar = make("i");
    bar.style.width = `${(100 * amount.keys) / most}%`;
    parent.append(make("span", {}, name), bar, make("span", { class: "quiet" }, `${counted(amount.keys)}, ${bytes(amount.memory_bytes)}`));
  }
}

// The prefixes as a tree. What no child has is a rest of its own.
const root = { name: "", label: "all keys", keys: tree.total.keys, size: tree.total.memory_bytes, free: tree.total.without_expiry, children: [], parent: null };
const path = [root];
for (const line of tree.prefixes) {
  path.length = line.depth;
  const parent = path[line.depth - 1];
  const node = {
    name: line.prefix,
    label: line.prefix.startsWith(parent.name) ? line.prefix.slice(parent.name.length) : line.prefix,
    keys: line.keys,
    size: line.memory_bytes,
    free: line.without_expiry,
    children: [],
    parent,
  };
  parent.children.push(node);
  path.push(node);
}
for (const node of [root, ...descendants(root)]) {
  const told = node.children.reduce((sum, child) => sum + child.size, 0);
  const rest = node.size - told;
  if (node.children.length > 0 && rest > 0) {
    const keysTold = node.children.reduce((sum, child) => sum + child.keys, 0);
    node.children.push({ name: node.name, label: "(other keys)", keys: Math.max(0, node.keys - keysTold), size: rest, free: 0, children: [], parent: node, isRest: true });
  }
}

function descendants(node) {
  return node.children.flatMap((child) => [child, ...descendants(child)]);
}

/** A colour for a name: the same wherever it appears. */
function colour(name) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) % 360;
  return `hsl(${hash} 42% 40%)`;
}

/** Boxes whose areas are in proportion to `sizes`, as square as possible. Source: Bruls, Huizing, van Wijk, Squarified Treemaps. */
function squares(sizes, width, height) {
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const scale = all > 0 ? (width * height) / all : 0;
  const areas = sizes.map((size) => size * scale);
  const boxes = [];
  let [x, y, w, h, at] = [0, 0, width, height, 0];
  const worst = (row, side) => {
    const sum = row.reduce((one, other) => one + other, 0);
    return Math.max((side * side * Math.max(...row)) / (sum * sum), (sum * sum) / (side * side * Math.min(...row)));
  };
  while (at < areas.length) {
    const side = Math.min(w, h);
    const row = [areas[at]];
    at += 1;
    while (at < areas.length && worst([...row, areas[at]], side) <= worst(row, side)) {
      row.push(areas[at]);
      at += 1;
    }
    const sum = row.reduce((one, other) => one + other, 0);
    const thick = side > 0 ? sum / side : 0;
    let along = 0;
    for (const area of row) {
      const long = thick > 0 ? area / thick : 0;
      boxes.push(w >= h ? [x, y + along, thick, long] : [x + along, y, long, thick]);
      along += long;
    }
    if (w >= h) [x, w] = [x + thick, w - thick];
    else [y, h] = [y + thick, h - thick];
  }
  return boxes;
}

function described(node) {
  return `${node.isRest ? `${node.name || "all"}: other keys` : node.name || "all keys"}\n${counted(node.keys)}, ${bytes(node.size)}, ${percent(node.size, root.size)} of all`;
}

function box(className, node, [x, y, w, h], open) {
  const canOpen = node.children.length > 0;
  const element = make(canOpen ? "button" : "div", { class: className, title: described(node), type: canOpen ? "button" : false, onclick: () => canOpen && open(node) });
  Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${w}px`, height: `${h}px`, background: node.isRest ? "#6b747d" : colour(node.name) });
  if (w > 44 && h > 16) element.append(node.label);
  if (className === "tile" && w > 60 && h > 36) element.append(make("small", {}, `${bytes(node.size)}, ${counted(node.keys)}`));
  return element;
}

let shown = root;

function open(node) {
  shown = node;
  showMap();
}

function showMap() {
  const crumbs = document.getElementById("crumbs");
  const trail = [];
  for (let node = shown; node; node = node.parent) trail.unshift(node);
  crumbs.replaceChildren(...trail.map((node) => make("button", { type: "button", disabled: node === shown, onclick: () => open(node) }, node === root ? "all keys" : node.label)));
  const map = document.getElementById("map");
  const children = (shown.children.length > 0 ? shown.children : [shown]).filter((child) => child.size > 0).sort((one, other) => other.size - one.size);
  const boxes = squares(children.map((child) => child.size), map.clientWidth, map.clientHeight);
  map.replaceChildren(...children.map((child, at) => box("tile", child, boxes[at], open)));
}

const FLAME_ROW = 20;

function showFlame() {
  const flame = document.getElementById("flame");
  const width = flame.clientWidth;
  const elements = [];
  let deepest = 0;
  const lay = (node, depth, x) => {
    const w = root.size > 0 ? (node.size / root.size) * width : 0;
    if (w < 1) return;
    deepest = Math.max(deepest, depth);
    elements.push([node, depth, x, w]);
    let at = x;
    for (const child of [...node.children].sort((one, other) => other.size - one.size)) {
      if (child.isRest) continue;
      lay(child, depth + 1, at);
      at += (child.size / root.size) * width;
    }
  };
  lay(root, 0, 0);
  flame.style.height = `${(deepest + 1) * FLAME_ROW}px`;
  flame.replaceChildren(...elements.map(([node, depth, x, w]) => box("bar", node, [x, (deepest - depth) * FLAME_ROW, w, FLAME_ROW], open)));
}

document.getElementById("title").textContent = report.title;
document.title = report.title;
document.getElementById("summary").textContent =
  `${counted(stats.total.keys)}, ${number(stats.total.elements)} elements, ${bytes(stats.total.file_bytes)} in the dump, about ${bytes(stats.total.memory_bytes)} in memory`;
const notes = [];
if (tree.separators) notes.push(`A prefix ends at one of: ${[...tree.separators].join(" ")}.`);
else notes.push("The names of the keys have no separators.");
if (tree.omitted > 0) notes.push(`${number(tree.omitted)} smaller prefixes are not shown.`);
if (tree.error.keys > 0) notes.push(`There were too many prefixes to keep: a figure may be too low by up to ${counted(tree.error.keys)} and ${bytes(tree.error.memory_bytes)}.`);
document.getElementById("note").textContent = notes.join(" ");

const size = (text) => Number(text);
bars("sizes", Object.entries(stats.sizes).sort(([one], [other]) => size(one) - size(other)).map(([limit, amount]) => [`up to ${bytes(size(limit))}`, amount]));
const order = ["expired", "within a minute", "within an hour", "within a day", "within a week", "within 30 days", "within a year", "later", "never"];
bars("expiry", order.filter((name) => stats.expiry[name]).map((name) => [name, stats.expiry[name]]));
const amounts = (amount) => [number(amount.keys), number(amount.elements), bytes(amount.file_bytes), bytes(amount.memory_bytes), percent(amount.memory_bytes, stats.total.memory_bytes)];
const HEADINGS = ["keys", "elements", "in the dump", "in memory", "share"];
const bySize = (sums) => Object.entries(sums).sort(([, one], [, other]) => other.memory_bytes - one.memory_bytes);
table("types", ["*type", ...HEADINGS], bySize(stats.types).map(([name, amount]) => [name, ...amounts(amount)]));
table("encodings", ["*encoding", ...HEADINGS], bySize(stats.encodings).map(([name, amount]) => [name, ...amounts(amount)]));
table(
  "keys",
  ["*key", "db", "*type", "*encoding", "elements", "in the dump", "in memory", "*expires"],
  keys.map((key) => [key.key, String(key.db), key.type, key.encoding, number(key.elements), bytes(key.file_bytes), bytes(key.memory_bytes), key.expiry === null ? "never" : new Date(key.expiry).toISOString()]),
);
table(
  "prefixes",
  ["*prefix", ...HEADINGS, "without expiry"],
  tree.prefixes.slice().sort((one, other) => other.memory_bytes - one.memory_bytes).slice(0, 100).map((line) => [line.prefix, ...amounts(line), percent(line.without_expiry, line.keys)]),
);
table("about", ["*fact", "*value"], [
  ...stats.files.map((file) => [file.version, `${counted(file.keys)}, ${bytes(file.bytes)}`]),
  ...stats.aux,
  ...stats.libraries.map((library) => ["function library", library]),
]);

showMap();
showFlame();
window.addEventListener("resize", () => {
  showMap();
  showFlame();
});
