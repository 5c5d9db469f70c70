// The few things the page does with its elements. All text goes in as text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** @returns {HTMLElement} the element with this id. */
export const byId = (id) => document.getElementById(id);

/** Sets a text, and leaves an element alone that already has it, so that selections survive. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute; `null` removes it. */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/**
 * Makes an element.
 * @param {string} tag
 * @param {Object<string, string>} attributes
 * @param {...(Node|string)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Makes an element of a drawing. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Makes `parent` have one child for each item. Children are kept and updated, so the focus and selections survive.
 * @param {Element} parent
 * @param {Array} items
 * @param {function(): Element} create
 * @param {function(Element, *, number): void} update
 */
export function fill(parent, items, create, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(create());
  items.forEach((item, index) => update(parent.children[index], item, index));
}

/**
 * A cell of a table.
 * @typedef {{text: string, title?: string, kind?: string, href?: string, bar?: number}} Cell
 * kind: classes; href: makes it a link; bar: draws a bar of this part (0 to 1) instead of a text
 */

/**
 * Fills a table's body.
 * @param {Element} body
 * @param {Array<Array<Cell|string>>} rows
 * @param {function(number): string} [rowClass]
 */
export function fillRows(body, rows, rowClass = () => "") {
  fill(body, rows, () => make("tr"), (row, cells, index) => {
    setAttribute(row, "class", rowClass(index) || null);
    fill(row, cells, () => make("td"), setCell);
  });
}

/** Writes one cell. */
function setCell(td, cell) {
  const { text, title, kind, href, bar } = typeof cell === "string" ? { text: cell } : cell;
  setAttribute(td, "class", kind ?? null);
  setAttribute(td, "title", title ?? null);
  if (bar !== undefined) setBar(td, bar);
  else if (href !== undefined) setLink(td, text, href);
  else setText(td, text);
}

function setBar(td, part) {
  const bar = td.querySelector(".meter") ?? make("span", { class: "meter" });
  if (bar.parentElement !== td) td.replaceChildren(bar);
  bar.style.setProperty("--part", String(Math.max(0, Math.min(1, part || 0))));
}

function setLink(td, text, href) {
  const link = td.querySelector("a") ?? make("a");
  if (link.parentElement !== td) td.replaceChildren(link);
  setAttribute(link, "href", href);
  setText(link, text);
}

/**
 * Fills a list of facts.
 * @param {Element} list a dl
 * @param {Array<{name: string, text: string, kind?: string, copy?: boolean, note?: string}>} facts
 */
export function fillFacts(list, facts) {
  fill(list, facts, makeFact, (group, fact) => {
    const [term, value] = group.children;
    setText(term, fact.name);
    setText(value.querySelector(".value"), fact.text);
    setText(value.querySelector(".note"), fact.note ?? "");
    setAttribute(value.querySelector(".value"), "class", `value ${fact.kind ?? ""}`.trim());
    const button = value.querySelector("button");
    button.hidden = !fact.copy;
    setAttribute(button, "aria-label", `Copy ${fact.name.toLowerCase()}`);
  });
}

function makeFact() {
  const value = make("span", { class: "value" });
  const button = make("button", { type: "button", class: "copy" }, "copy");
  button.addEventListener("click", () => copy(value, button));
  return make("div", {}, make("dt"), make("dd", {}, value, " ", make("span", { class: "note quiet" }), button));
}

/** Copies a fact. Browsers allow that on encrypted or local pages only: elsewhere the text is selected, for Ctrl-C. */
async function copy(value, button) {
  try {
    await navigator.clipboard.writeText(value.textContent);
    setText(button, "copied");
  } catch {
    getSelection().selectAllChildren(value);
    setText(button, "selected");
  }
  setTimeout(() => setText(button, "copy"), 1500);
}

/**
 * Makes a row of buttons of which one is pressed.
 * @param {Element} group
 * @param {Array<{value: string, text: string}>} options
 * @param {string} chosen
 * @param {function(string): void} choose
 */
export function fillChoice(group, options, chosen, choose) {
  fill(group, options, () => {
    const button = make("button", { type: "button" });
    button.addEventListener("click", () => choose(button.dataset.value));
    return button;
  }, (button, option) => {
    button.dataset.value = option.value;
    setText(button, option.text);
    setAttribute(button, "aria-pressed", option.value === chosen);
  });
}
