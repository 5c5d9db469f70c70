// Figures and times in words. Everything here is pure.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const THOUSANDS = ["", "k", "M", "G", "T"];
const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** What stands for a figure that nobody knows. */
export const UNKNOWN = "–";

/**
 * Returns three significant digits, without trailing noise.
 * @param {number} value
 */
function threeDigits(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  return size < 9.995 ? value.toFixed(2) : size < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

/** Divides `value` by `base` until it fits a unit. Returns it with that unit. */
function scaled(value, base, units) {
  let unit = 0;
  while (Math.abs(value) >= base * 0.9995 && unit < units.length - 1) {
    value /= base;
    unit += 1;
  }
  return [threeDigits(unit === 0 ? Math.round(value * 100) / 100 : value), units[unit]];
}

/** Whether a figure is known. */
export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Bytes, such as "1.21 GiB". */
export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  return scaled(Math.round(value), 1024, BINARY).join(" ");
}

/** Bytes per second. */
export function bytesPerSecond(value) {
  return known(value) ? `${bytes(value)}/s` : UNKNOWN;
}

/** A count in full, such as "4,210,335". */
export function count(value) {
  return known(value) ? GROUPED.format(value) : UNKNOWN;
}

/** A rate in short, such as "41.2k/s". */
export function perSecond(value) {
  return known(value) ? `${scaled(value, 1000, THOUSANDS).join("")}/s` : UNKNOWN;
}

/** A part of a whole, such as "12.3 %". */
export function share(part, whole) {
  if (!known(part) || !known(whole) || whole <= 0) return UNKNOWN;
  const percent = (part / whole) * 100;
  return percent > 0 && percent < 0.05 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

/** A short time, such as "84 µs", "1.3 s", "4 min 12 s" or "3 d 4 h". */
export function seconds(value) {
  if (!known(value)) return UNKNOWN;
  if (value <= 0) return "0 s";
  if (value < 0.0009995) return `${threeDigits(Math.max(1, Math.round(value * 1e6)))} µs`;
  if (value < 0.9995) return `${threeDigits(Number((value * 1e3).toPrecision(3)))} ms`;
  if (value < 59.5) return `${value < 9.95 ? Number(value.toFixed(1)) : Math.round(value)} s`;
  return longTime(Math.round(value));
}

/** A time in whole seconds, for things that last. */
export function howLong(value) {
  if (!known(value)) return UNKNOWN;
  return value < 60 ? `${Math.floor(value)} s` : longTime(Math.floor(value));
}

function longTime(whole) {
  const [d, h, min, s] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${min} min`;
  return `${min} min ${s} s`;
}

const two = (value) => String(value).padStart(2, "0");

/** The local time of day of a moment in Unix milliseconds: "14:03:22". */
export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The local date and time: "2026-11-29 14:03:22". */
export function local(ms) {
  if (!known(ms)) return UNKNOWN;
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms)}`;
}

/** The date and time in UTC: "2026-11-29 13:03:22Z". */
export function utc(ms) {
  return known(ms) ? `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}Z` : UNKNOWN;
}

/** The local zone, such as "UTC+1". */
export function zone(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? "" : `:${two(size % 60)}`;
  return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(size / 60)}${rest}`;
}

/** Letters that cannot be seen or that reorder their neighbours: controls, zero widths, directions, line separators. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]/g;

/** The most letters of one text that others chose. */
const LETTERS_MAX = 400;

/**
 * Returns a text that others chose (a key, a client's name, an error), fit to be shown as text: what cannot be seen is escaped,
 * what is too long is cut.
 */
export function foreign(text) {
  const whole = String(text ?? "");
  const cut = whole.length > LETTERS_MAX ? `${whole.slice(0, LETTERS_MAX)}…` : whole;
  return cut.replace(UNSEEN, (letter) => `\\u{${letter.charCodeAt(0).toString(16)}}`);
}
