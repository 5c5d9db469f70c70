// What ioredis sees of a replica, one line per fact: `ioredis.cjs PORT PRIMARY PORTION`, like python_client.py.

const Redis = require('ioredis');
const { FIELDS, MEMBERS, NAMES, STRINGS, attempt, once, restarted, right, say, short, until } = require('./suite.cjs');

const PORT = Number(process.argv[2]);
const PRIMARY = Number(process.argv[3]);
const PORTION = process.argv[4];
const LONG = PORTION === 'all' ? 200_000 : 2_000;
const open = [];

function connect(options = {}) {
  const client = new Redis({ port: PORT, retryStrategy: () => 20, maxRetriesPerRequest: null, ...options });
  client.on('error', () => {});
  open.push(client);
  return client;
}

async function handshake() {
  // The ready check reads INFO, and waits while "loading" is 1.
  for (const protocol of [2, 3]) await shakeHands(protocol);
}

async function shakeHands(protocol) {
  const client = connect({ connectionName: 'suite', db: 1, enableReadyCheck: true, protocol });
  await until('ready', () => client.status === 'ready');
  await attempt('client getname', () => client.client('GETNAME'));
  await attempt('client info', async () => (await client.client('LIST', 'ID', await client.client('ID'))).match(/ (name=\S*|db=\S*|resp=\S*|user=\S*|lib-name=\S*|lib-ver=\S*)/g));
  await attempt('dbsize', () => client.dbsize());
  await attempt('role', async () => (await client.role())[0]);
  await attempt('config get', () => client.config('GET', 'maxmemory'));
  await attempt('hello', async () => (await client.hello()).slice(0, 6));
  await attempt('wait', () => client.wait(0, 1));
  await attempt('acl whoami', () => client.acl('WHOAMI'));
  await attempt('client no-evict', () => client.client('NO-EVICT', 'ON'));
  await attempt('info', async () => /role:slave\r\nmaster_host/.test(await client.info('replication')));
}

// The reads of a key, by its type.
const reads = {
  string: (client, key) => [client.getBuffer(key), client.strlen(key), client.getrangeBuffer(key, 1, 4), client.bitcount(key), client.mgetBuffer(key, 'absent')],
  list: (client, key) => [client.lrangeBuffer(key, 0, -1), client.llen(key), client.lindexBuffer(key, -1), client.lpos(key, 'a')],
  set: (client, key) => [client.smembersBuffer(key).then((members) => members.map((m) => m.toString('latin1')).sort()), client.scard(key), client.smismember(key, 'a', '1')],
  zset: (client, key) => [
    client.zrangeBuffer(key, 0, -1, 'WITHSCORES'), client.zrange(key, 0, 2, 'REV'), client.zcard(key), client.zmscore(key, 'a', 'member:8'), client.zrank(key, 'member:8'),
    client.zrangebyscoreBuffer(key, '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 3),
  ],
  hash: (client, key) => [
    client.hgetallBuffer(key).then((all) => Object.entries(all).map(([field, value]) => [field, value.toString('latin1')]).sort()), client.hlen(key),
    client.hmget(key, 'a', 'field:1'),
  ],
  stream: (client, key) => [
    client.xrange(key, '-', '+'), client.xrevrange(key, '+', '-', 'COUNT', 2), client.xlen(key), client.xread('COUNT', 1, 'STREAMS', key, 0),
    client.xinfo('GROUPS', key).then((groups) => groups.map((group) => group.slice(0, 6))),
  ],
};

async function types() {
  for (const [db, protocol] of [0, 1, 9, 15].flatMap((each) => [[each, 2], [each, 3]])) {
    const client = connect({ db, protocol });
    const keys = [];
    for await (const some of client.scanBufferStream({ count: 5000 })) keys.push(...some);
    for (const key of keys.sort(Buffer.compare)) {
      const name = key.toString('latin1');
      if (name.startsWith('n:') || name.startsWith('tmp:')) continue;
      const kind = await client.type(key);
      await attempt(`data ${protocol} ${db} ${short(key)} ${kind}`, () => Promise.all(reads[kind]?.(client, key) ?? []));
    }
  }
  const client = connect();
  await attempt('data geo', () => client.geopos('scan:geo', 'Palermo'));
  await attempt('data wrong type', () => client.lrange('n:1', 0, -1));
  await attempt('data unknown command', () => client.call('NOSUCH', 'a'));
  await attempt('sort', () => client.sort('scan:list', 'LIMIT', 0, 3));
}

async function all(stream, width = 1) {
  const found = [];
  for await (const some of stream) found.push(...some.filter((_, i) => i % width === 0));
  return found;
}

async function scans() {
  const client = connect();
  once('keys', await all(client.scanStream({ match: 'n:*', count: 500 })), NAMES);
  once('keys of a type', await all(client.scanStream({ type: 'zset', count: 1000 })), ['scan:zset']);
  once('hash', await all(client.hscanStream('scan:hash', { count: 300 }), 2), FIELDS);
  once('set', await all(client.sscanStream('scan:set', { count: 300 })), MEMBERS);
  once('set match', await all(client.sscanStream('scan:set', { match: '*7', count: 300 })), MEMBERS.filter((m) => m.endsWith('7')));
  once('zset', await all(client.zscanStream('scan:zset', { count: 300 }), 2), MEMBERS);
}

async function pipeline() {
  for (const protocol of [2, 3]) await pipelineOf(protocol, protocol === 3 ? LONG : LONG / 10);
  const automatic = connect({ enableAutoPipelining: true });
  say('automatic pipelines', right(await Promise.all(Array.from({ length: 3000 }, (_, i) => automatic.get(`n:${i}`)))));
}

async function pipelineOf(protocol, length) {
  const client = connect({ protocol });
  const pipe = client.pipeline();
  for (let i = 0; i < length; i += 1) pipe.get(NAMES[i % STRINGS]);
  const replies = await pipe.exec();
  say('pipeline', replies.length, right(replies.map(([error, reply]) => (error ? NaN : reply))));
  await attempt('pipeline with errors', () => client.pipeline().get('n:1').set('a', 1).lrange('n:1', 0, 1).get('n:2').exec());
}

async function writes() {
  const client = connect();
  for (const words of [['SET', 'a', '1'], ['DEL', 'n:1'], ['EXPIRE', 'n:1', '5'], ['FLUSHALL'], ['XADD', 'a', '*', 'b', '1'], ['BLPOP', 'a', '1'], ['GETDEL', 'n:1']]) {
    await attempt(`write ${words[0]}`, () => client.call(...words));
  }
  await attempt('class', () => client.set('a', 1).catch((error) => [error.name, error.command.name]));
  await attempt('still there', () => client.get('n:1'));
}

async function transactions() {
  const client = connect();
  const primary = connect({ port: PRIMARY });
  await attempt('multi', () => client.multi().get('n:1').hlen('scan:hash').exec());
  await attempt('multi with a write', () => client.multi().get('n:1').set('a', '1').exec());
  await attempt('multi with an error', () => client.multi().get('n:1').lrange('n:1', 0, 1).exec());
  await client.watch('tmp:watched');
  await attempt('watch', () => client.multi().get('n:2').exec());
  await client.watch('tmp:watched');
  const value = String(await primary.incr('tmp:watched'));
  await until('the increment', async () => (await client.get('tmp:watched')) === value);
  await attempt('watch broken', () => client.multi().get('n:2').exec());
}

async function scripts() {
  const client = connect();
  await attempt('eval', () => client.eval('return {redis.call("GET", KEYS[1]), ARGV[1]}', 1, 'n:5', 'word'));
  await attempt('eval_ro', () => client.call('EVAL_RO', 'return {redis.call("GET", KEYS[1]), ARGV[1]}', 1, 'n:5', 'word'));
  await attempt('noscript', () => client.evalsha('f'.repeat(40), 0));
  const sha = await client.script('LOAD', 'return redis.call("GET", KEYS[1])');
  await attempt('evalsha_ro', () => client.call('EVALSHA_RO', sha, 1, 'n:5'));
  client.defineCommand('length', { numberOfKeys: 1, lua: 'return redis.call("STRLEN", KEYS[1])', readOnly: true });
  await attempt('own script', () => client.length('n:10'));
  await attempt('script that writes', () => client.eval('return redis.call("SET", KEYS[1], 1)', 1, 'a'));
}

async function blocking() {
  const client = connect();
  const primary = connect({ port: PRIMARY });
  await primary.del('tmp:news');
  await until('the deletion', async () => (await client.exists('tmp:news')) === 0);
  await attempt('xread times out', () => client.xread('BLOCK', 20, 'STREAMS', 'tmp:news', '$'));
  const waiting = connect().xread('BLOCK', 30_000, 'STREAMS', 'tmp:news', '0');
  await until('a blocked client', async () => (await client.info('clients')).includes('blocked_clients:1\r'));
  await primary.xadd('tmp:news', '7-7', 'a', 'b');
  await attempt('xread woke', () => waiting);
}

async function cluster() {
  const nodes = new Redis.Cluster([{ port: PORT, host: '127.0.0.1' }], { clusterRetryStrategy: () => null });
  const errors = [];
  nodes.on('error', (error) => errors.push(error));
  await attempt('cluster client', () => nodes.get('n:1'));
  await until('its error', () => errors.length > 0);
  say('cluster errors', errors.map((error) => `${error.message} ${error.lastNodeError?.message}`));
  const client = connect();
  await attempt('cluster info', () => client.cluster('INFO'));
  await attempt('readonly', () => client.readonly());
}

async function restart() {
  const client = connect({ connectionName: 'suite', db: 1 });
  say('before the restart', await client.get('where'));
  await restarted();
  say('after the restart', await client.get('where'), await client.client('GETNAME'));
}

async function refused() {
  const client = connect({ enableReadyCheck: false });
  await attempt('refused get', () => client.get('n:1'));
  await attempt('refused ping', () => client.ping());
  await attempt('refused set', () => client.set('a', 1));
}

async function locked() {
  for (const [username, password] of [[], [undefined, 'wrong'], ['somebody', 'secret'], [undefined, 'secret'], ['default', 'secret']]) {
    const client = connect({ username, password, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    await attempt(`locked ${username} ${password}`, () => client.get('n:1'));
  }
}

async function main() {
  say('version', require('ioredis/package.json').version);
  const parts = { refused: [refused], locked: [locked], data: [types, scans] };
  for (const part of parts[PORTION] ?? [types, scans, handshake, pipeline, writes, transactions, scripts, blocking, cluster, restart]) await part();
  for (const client of open) client.disconnect();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
