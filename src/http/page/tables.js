// The sections below the lines: lists of facts, and tables.

import { byId, fill, fillChoice, fillFacts, fillRows, make, setAttribute, setText } from "./dom.js";
import { followedOf, severityOf } from "./statement.js";
import * as words from "./words.js";

const number = (text, title) => ({ text, title, kind: "number" });
const foreign = (text, kind = "code") => ({ text: words.foreign(text), title: words.foreign(text), kind });
const moment = (ms) => ({ text: words.local(ms), title: words.utc(ms), kind: "time" });

/** Shows everything below the lines. */
export function showTables(status) {
  showIdentity(status);
  showShards(status.cluster);
  showLink(status.link, status.cluster);
  showSyncs(status.sync);
  showData(status.data);
  showCommands(status.reads);
  showClients(status.clients);
  showMemory(status.memory);
  showState(status.state);
  showProcess(status);
}

function showIdentity(status) {
  const { redtail } = status;
  const dialect = redtail.dialect === null ? "" : `, as ${redtail.dialect}`;
  setText(byId("identity"), `${redtail.version}${dialect}, replica of ${followedOf(status)}`);
}

/** The order in which shards are listed: those first that need a look. */
const SEVERITY_ORDER = ["bad", "warn", "busy", "ok"];
const shardSeverity = (shard) => severityOf({ condition: shard.condition, advice: "-", warnings: [] });
const urgency = (shard) => SEVERITY_ORDER.indexOf(shardSeverity(shard));

/** Shows the shards of a cluster, if one is followed. */
function showShards(cluster) {
  byId("shards").hidden = cluster === null;
  if (cluster === null) return;
  setText(byId("shards-note"), shardsNote(cluster));
  const shards = cluster.shards.toSorted((a, b) => urgency(a) - urgency(b));
  const levels = { bad: "level-error", warn: "level-warn" };
  fillRows(byId("shard-rows"), shards.map(shardRow), (index) => levels[shardSeverity(shards[index])] ?? "");
}

function shardsNote(cluster) {
  const parts = [`${words.count(cluster.slots_served)} of ${words.count(cluster.slots_followed)} slots served`];
  if (cluster.slots_without_owner > 0) parts.push(`${words.count(cluster.slots_without_owner)} without an owner in the cluster`);
  parts.push(cluster.settled ? "settled" : "not settled", `${words.count(cluster.nodes)} nodes known`);
  return parts.join(", ");
}

function shardRow({ name, title, link, slots, keys, bytes, sync, tainted_keys: tainted }) {
  const behind = link.up && link.silent_seconds === null ? words.seconds(link.lag_seconds) : "unknown";
  const doubt = tainted === null ? "all keys answer TAINTED" : tainted > 0 ? `${words.count(tainted)} keys answer TAINTED` : "";
  return [
    { text: doubt === "" ? title : `${title}, ${doubt}`, title: words.foreign(link.last_error ?? ""), kind: "level" },
    foreign(link.upstream, ""),
    number(behind, `${words.bytes(link.lag_bytes)} not yet visible`),
    number(words.count(slots)),
    number(words.count(keys)),
    number(words.bytes(bytes)),
    { text: String(link.applied_offset), kind: "number wide" },
    { text: `${words.count(sync.full)} full, ${words.count(sync.partial)} partial`, kind: "number wide" },
    { text: words.foreign(name).slice(0, 8), title: words.foreign(name), kind: "code" },
  ];
}

function showLink(link, cluster) {
  setText(byId("link-note"), cluster === null ? "" : "of the shard that is worst off");
  const up = link.up ? "up" : "down";
  const down = link.down_seconds === null ? "" : ` for ${words.howLong(link.down_seconds)}`;
  fillFacts(byId("link-facts"), [
    { name: "Upstream", text: words.foreign(link.upstream), copy: true },
    { name: "Link", text: `${up}${link.up ? "" : down}`, note: link.state, kind: link.up ? "" : "bad" },
    { name: "Last error", text: link.last_error === null ? "none" : words.foreign(link.last_error), note: link.up && link.last_error !== null ? "(before the link came up)" : "" },
    { name: "Replication id", text: link.replication_id || words.UNKNOWN, copy: link.replication_id !== "", kind: "code" },
    { name: "Received offset", text: String(link.received_offset), copy: true, kind: "code" },
    { name: "Applied offset", text: String(link.applied_offset), copy: true, kind: "code" },
    { name: "Received", text: words.bytes(link.received_bytes), note: "since the start" },
    { name: "Waiting in the spool file", text: words.bytes(link.spool_file_bytes) },
  ]);
}

function showSyncs(sync) {
  const refused = sync.partial_refused > 0 ? `, ${words.count(sync.partial_refused)} refused` : "";
  const failed = sync.loads_failed > 0 ? `; ${words.count(sync.loads_failed)} loads failed` : "";
  setText(byId("syncs-note"), `${words.count(sync.full)} full, ${words.count(sync.partial)} partial${refused}${failed}`);
  const newest = sync.last.toSorted((a, b) => b.at_unix_ms - a.at_unix_ms);
  byId("syncs-empty").hidden = newest.length > 0;
  setText(byId("syncs-empty"), sync.full + sync.partial > 0 ? "Nothing more is known of these syncs." : "No sync yet.");
  fillRows(byId("sync-rows"), newest.map((one) => [
    moment(one.at_unix_ms),
    one.kind,
    number(words.seconds(one.seconds)),
    number(words.bytes(one.bytes)),
    number(words.count(one.keys)),
    foreign(one.cause, "text"),
  ]));
}

function showData(data) {
  const tainted = data.tainted_keys === null ? "; all keys answer TAINTED"
    : data.tainted_keys > 0 ? `; ${words.count(data.tainted_keys)} keys answer TAINTED` : "";
  setText(byId("data-note"), `${words.count(data.keys)} keys, ${words.bytes(data.bytes)}, ${words.count(data.expires)} with an expiry${tainted}`);
  showTypes(data.types ?? []);
  byId("types-empty").hidden = data.types !== null && data.types.length > 0;
  setText(byId("types-empty"), data.types === null ? "The types have not been counted yet." : "There are no keys.");
  fillRows(byId("database-rows"), data.databases.map((one) => [
    `db${one.db}`, number(words.count(one.keys)), number(words.count(one.expires)), number(words.bytes(one.bytes)),
  ]));
}

function showTypes(types) {
  const whole = types.reduce((sum, one) => sum + one.bytes, 0);
  const sorted = types.toSorted((a, b) => b.bytes - a.bytes);
  fill(byId("type-stack"), sorted, () => make("span"), (part, one) => {
    setAttribute(part, "class", typeClass(one.type));
    part.style.setProperty("--part", String(whole > 0 ? one.bytes / whole : 0));
  });
  fillRows(byId("type-rows"), sorted.map((one) => [
    { text: one.type, kind: `swatch ${typeClass(one.type)}` },
    number(words.count(one.keys)),
    number(words.bytes(one.bytes)),
    number(words.share(one.bytes, whole)),
    { text: one.keys > 0 ? words.bytes(one.bytes / one.keys) : words.UNKNOWN, kind: "number wide" },
  ]));
}

const TYPES = ["string", "list", "set", "hash", "zset", "stream"];

/** The class that colours a type. */
export function typeClass(type) {
  return TYPES.includes(type) ? `type-${type}` : "type-other";
}

function showCommands(reads) {
  setText(byId("commands-note"), `${words.count(reads.total)} reads, ${words.count(reads.hits)} hits, ${words.count(reads.misses)} misses; p50 ${words.seconds(reads.p50_seconds)}, p99 ${words.seconds(reads.p99_seconds)}`);
  const families = reads.families.filter((one) => one.calls > 0).sort((a, b) => b.calls - a.calls);
  fillRows(byId("family-rows"), families.map((one) => [
    one.name, number(words.count(one.calls)), number(words.seconds(one.p99_seconds)),
  ]));
  const slowest = reads.slowest.toSorted((a, b) => b.seconds - a.seconds);
  byId("slow-empty").hidden = slowest.length > 0;
  fillRows(byId("slow-rows"), slowest.map((one) => [
    number(words.seconds(one.seconds)), { ...moment(one.at_unix_ms), kind: "time wide" }, foreign(one.command), foreign(one.name || one.client),
  ]));
  byId("asked-empty").hidden = reads.most_asked.length > 0;
  const most = Math.max(...reads.most_asked.map((one) => one.share), 0);
  fillRows(byId("asked-rows"), reads.most_asked.map((one) => [
    foreign(one.key), `${one.db}`, number(words.share(one.share, 1)), { text: "", kind: "wide", bar: one.share / most },
  ]));
}

/** The columns of the clients: what they are called, what they show, what they sort by, and whether the greatest is first. */
const CLIENT_COLUMNS = [
  { name: "Address", cell: (c) => foreign(c.address), key: (c) => c.address },
  { name: "Name", cell: (c) => foreign(c.name, "text"), key: (c) => c.name },
  { name: "Library", cell: (c) => foreign(c.library, "text"), key: (c) => c.library },
  { name: "Db", cell: (c) => number(String(c.db)), key: (c) => c.db },
  { name: "Last command", cell: (c) => foreign(c.command), key: (c) => c.command },
  { name: "Commands", cell: (c) => number(words.count(c.commands)), key: (c) => c.commands, greatest: true },
  { name: "Connected for", cell: (c) => number(words.howLong(c.age_seconds)), key: (c) => c.age_seconds, greatest: true },
  { name: "Idle for", cell: (c) => number(words.howLong(c.idle_seconds)), key: (c) => c.idle_seconds },
  { name: "Request buffer", cell: (c) => number(words.bytes(c.input_bytes)), key: (c) => c.input_bytes, greatest: true },
  { name: "Reply buffer", cell: (c) => number(words.bytes(c.output_bytes)), key: (c) => c.output_bytes, greatest: true },
];

let sorting = { column: CLIENT_COLUMNS[5], descends: true };
let lastClients = null;

function showClients(clients) {
  lastClients = clients;
  const shown = clients.list.length < clients.connected ? `; the ${clients.list.length} busiest are listed` : "";
  setText(byId("clients-note"), `${words.count(clients.connected)} connected of at most ${words.count(clients.max)}, ${words.count(clients.rejected)} rejected${shown}`);
  byId("clients-empty").hidden = clients.list.length > 0;
  fill(byId("client-table").tHead.rows[0], CLIENT_COLUMNS, makeSortable, (th, column) => {
    const direction = sorting.descends ? "descending" : "ascending";
    th.firstElementChild.dataset.column = column.name;
    setText(th.firstElementChild, column.name);
    setAttribute(th, "class", typeof column.key(EMPTY_CLIENT) === "number" ? "number" : null);
    setAttribute(th, "aria-sort", sorting.column === column ? direction : null);
  });
  const sign = sorting.descends ? -1 : 1;
  const sorted = clients.list.toSorted((a, b) => sign * compare(sorting.column.key(a), sorting.column.key(b)) || a.id - b.id);
  fillRows(byId("client-rows"), sorted.map((client) => CLIENT_COLUMNS.map((column) => column.cell(client))));
}

/** Tells columns of figures from columns of texts. */
const EMPTY_CLIENT = {
  address: "", name: "", library: "", db: 0, command: "", commands: 0, age_seconds: 0, idle_seconds: 0, input_bytes: 0, output_bytes: 0,
};

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function makeSortable() {
  const button = make("button", { type: "button", class: "sort" });
  button.addEventListener("click", () => {
    const column = CLIENT_COLUMNS.find((one) => one.name === button.dataset.column);
    sorting = { column, descends: sorting.column === column ? !sorting.descends : column.greatest === true };
    showClients(lastClients);
  });
  return make("th", { scope: "col" }, button);
}

function showMemory(memory) {
  fillFacts(byId("memory-facts"), [
    { name: "Resident", text: words.bytes(memory.resident_bytes), note: `peak ${words.bytes(memory.peak_bytes)}` },
    { name: "Data", text: words.bytes(memory.data_bytes) },
    { name: "Clients' buffers", text: words.bytes(memory.clients_bytes), note: `at most ${words.bytes(memory.clients_max_bytes)}` },
  ]);
  byId("purpose-rows").closest("table").hidden = memory.purposes.length === 0;
  const whole = memory.purposes.reduce((sum, one) => sum + one.bytes, 0);
  const sorted = memory.purposes.toSorted((a, b) => b.bytes - a.bytes);
  fillRows(byId("purpose-rows"), sorted.map((one) => [
    one.name.replaceAll("_", " "), number(words.bytes(one.bytes)), number(words.share(one.bytes, whole)),
    { text: "", kind: "wide", bar: whole > 0 ? one.bytes / whole : 0 },
  ]));
}

function showState(state) {
  fillFacts(byId("state-facts"), state === null ? [
    { name: "State directory", text: "none", note: "a restart needs a full sync; see --state-dir" },
  ] : [
    { name: "Kept", text: state.keeps ? "yes" : "no", kind: state.keeps ? "" : "bad" },
    { name: "Snapshot", text: words.bytes(state.snapshot_bytes) },
    { name: "Log after it", text: words.bytes(state.log_bytes) },
    { name: "Failures", text: words.count(state.failures) },
    { name: "Last error", text: state.last_error === null ? "none" : words.foreign(state.last_error) },
  ]);
}

function showProcess({ redtail, stream }) {
  fillFacts(byId("process-facts"), [
    { name: "Version", text: redtail.version },
    { name: "Imitates", text: redtail.dialect ?? "nothing yet", note: "the server version that replies follow" },
    { name: "Started", text: words.local(redtail.started_unix_ms), note: `${words.howLong(redtail.uptime_seconds)} ago` },
    { name: "Process id", text: String(redtail.process_id), kind: "code" },
    { name: "Run id", text: redtail.run_id, copy: true, kind: "code" },
    { name: "Commands from the stream", text: words.count(stream.commands), note: words.perSecond(stream.commands_per_second) },
    { name: "Writes that failed", text: words.count(stream.failed_writes), kind: stream.failed_writes > 0 ? "bad" : "" },
  ]);
}

const LEVELS = [
  { value: "all", text: "All", least: ["error", "warn", "info", "debug", "trace"] },
  { value: "warn", text: "Warnings", least: ["error", "warn"] },
  { value: "error", text: "Errors", least: ["error"] },
];

let level = LEVELS[0];
let lastEvents = [];

/** Shows the events, the newest first. */
export function showEvents(events) {
  lastEvents = events;
  const isShown = (event, one) => one.least.includes(event.level);
  fillChoice(byId("levels"), LEVELS.map((one) => ({
    value: one.value, text: `${one.text} ${events.filter((event) => isShown(event, one)).length}`,
  })), level.value, (value) => {
    level = LEVELS.find((one) => one.value === value);
    showEvents(lastEvents);
  });
  const shown = events.filter((event) => isShown(event, level)).reverse();
  byId("events-empty").hidden = shown.length > 0;
  setText(byId("events-empty"), events.length > 0 ? "No event of this level." : "No event yet.");
  setText(byId("events-zone"), `Local time (${words.zone(Date.now())})`);
  fillRows(byId("event-rows"), shown.map((event) => [
    { text: words.local(event.at_unix_ms), kind: "time" },
    { text: words.utc(event.at_unix_ms), kind: "time wide" },
    { text: event.level, kind: "level" },
    foreign(event.text, "text"),
  ]), (index) => `level-${["error", "warn", "info"].includes(shown[index].level) ? shown[index].level : "other"}`);
}
