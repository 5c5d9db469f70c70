// What the scripts of Node.js clients share: how they print facts. See python_client.py.

const crypto = require('node:crypto');
const readline = require('node:readline');

// fill.py writes as many strings "n:0", "n:1", …; each holds its own number.
const STRINGS = 20_000;
const numbers = [...Array(STRINGS).keys()];
const NAMES = numbers.map((i) => `n:${i}`);
const FIELDS = numbers.map((i) => `field:${i}`);
const MEMBERS = numbers.map((i) => `member:${i}`);

const say = (...words) => process.stdout.write(`${words.map(String).join(' ')}\n`);

// Maps and sets as lists, bytes as text that shows each of them.
function plain(value) {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  if (value instanceof Error) return `${value.constructor.name} ${value.message}`;
  if (value instanceof Map) return [...value].map(plain);
  if (value instanceof Set) return [...value].map(plain);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (value && typeof value === 'object') return Object.entries(value).map(plain);
  return value;
}

function short(value) {
  const text = JSON.stringify(plain(value)) ?? 'undefined';
  if (text.length <= 160) return text;
  return `${text.slice(0, 120)}… ${text.length} ${crypto.createHash('sha1').update(text).digest('hex').slice(0, 16)}`;
}

// Says what a call returns, or the class and the message of its error.
async function attempt(what, call) {
  try {
    say(what, short(await call()));
  } catch (error) {
    say(what, error.constructor.name, error.message);
  }
}

// Says whether a scan found each element once.
function once(what, found, expected) {
  const distinct = new Set(found);
  const lost = expected.filter((each) => !distinct.has(each)).length;
  say('data scan', what, found.length, 'elements,', found.length - distinct.size, 'twice,', lost, 'lost');
}

// Counts the replies to GET n:0, GET n:1, … that are right.
const right = (replies) => replies.filter((reply, i) => Number(reply) === i % STRINGS).length;

async function until(what, ready) {
  const deadline = Date.now() + 30_000;
  while (!(await ready())) {
    if (Date.now() > deadline) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// Asks the test to restart the server, and waits until it has.
async function restarted() {
  say('!RESTART');
  const lines = readline.createInterface({ input: process.stdin });
  await new Promise((resolve) => lines.once('line', resolve).once('close', resolve));
  lines.close();
}

module.exports = { FIELDS, MEMBERS, NAMES, STRINGS, attempt, once, restarted, right, say, short, until };
