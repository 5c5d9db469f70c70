// What node-redis sees of a replica, one line per fact: `node_redis.cjs PORT PRIMARY PORTION`, like python_client.py.

const { createClient, createClientPool, createCluster, defineScript, ErrorReply, RESP_TYPES } = require('redis');
const { FIELDS, MEMBERS, NAMES, STRINGS, attempt, once, restarted, right, say, short, until } = require('./suite.cjs');

const PORT = Number(process.argv[2]);
const PRIMARY = Number(process.argv[3]);
const PORTION = process.argv[4];
const LONG = PORTION === 'all' ? 200_000 : 2_000;
// A busy machine may take longer than the usual time for all commands that were sent at once.
const PATIENT = { timeout: 60_000 };
const open = [];

const length = defineScript({
  SCRIPT: 'return redis.call("STRLEN", KEYS[1])',
  NUMBER_OF_KEYS: 1,
  parseCommand(parser, key) { parser.pushKey(key); },
  transformReply: (reply) => reply,
});

async function connect(RESP = 3, options = {}) {
  const { port = PORT, ...rest } = options;
  const socket = { port, reconnectStrategy: 20, ...rest.socket };
  const client = createClient({ RESP, scripts: { length }, commandOptions: PATIENT, ...rest, socket });
  client.on('error', () => {});
  open.push(client);
  return client.connect();
}

async function handshake() {
  for (const RESP of [2, 3]) {
    const client = await connect(RESP, { name: 'suite', database: 1 });
    const info = await client.clientInfo();
    say('handshake', RESP, short([info.name, info.db, info.user, info.resp, info.libName, info.libVer]));
    await attempt('client getname', () => client.clientGetName());
    await attempt('client list', async () => (await client.clientList()).filter((each) => each.id === info.id).map((each) => each.name));
    await attempt('client no-evict', () => client.clientNoEvict(true));
    await attempt('client no-touch', () => client.clientNoTouch(true));
    await attempt('client trackinginfo', () => client.clientTrackingInfo());
    await attempt('hello', async () => (({ server, version, proto, mode, role }) => ({ server, version, proto, mode, role }))(await client.hello()));
    await attempt('role', async () => (await client.role()).role);
    await attempt('dbsize', () => client.dbSize());
    await attempt('ping', () => client.ping());
    await attempt('echo', () => client.echo('text'));
    await attempt('config get', () => client.configGet('maxmemory'));
    await attempt('wait', () => client.wait(0, 1));
    await attempt('acl whoami', () => client.aclWhoAmI());
  }
}

// The reads of a key, by its type.
const reads = {
  string: (client, key) => [client.get(key), client.strLen(key), client.getRange(key, 1, 4), client.bitCount(key), client.mGet([key, 'absent'])],
  list: (client, key) => [client.lRange(key, 0, -1), client.lLen(key), client.lIndex(key, -1), client.lPos(key, 'a')],
  set: (client, key) => [client.sMembers(key).then((members) => [...members].map(String).sort()), client.sCard(key), client.smIsMember(key, ['a', '1'])],
  zset: (client, key) => [
    client.zRangeWithScores(key, 0, -1), client.zRange(key, 0, 2, { REV: true }), client.zCard(key), client.zmScore(key, ['a', 'member:8']),
    client.zRank(key, 'member:8'), client.zRangeByScoreWithScores(key, '-inf', '+inf', { LIMIT: { offset: 0, count: 3 } }),
  ],
  hash: (client, key) => [
    client.hGetAll(key).then((all) => Object.entries(all).map(([field, value]) => [field, value.toString('latin1')]).sort()), client.hLen(key),
    client.hmGet(key, ['a', 'field:1']),
  ],
  stream: (client, key) => [
    client.xRange(key, '-', '+'), client.xRevRange(key, '+', '-', { COUNT: 2 }), client.xLen(key), client.xRead({ key, id: '0' }, { COUNT: 1 }),
    client.xInfoGroups(key).then((groups) => groups.map(({ name, pending }) => [name, pending])),
  ],
};

async function types() {
  for (const RESP of [2, 3]) {
    for (const database of [0, 1, 9, 15]) {
      const client = (await connect(RESP, { database })).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      const keys = [];
      for await (const some of client.scanIterator({ COUNT: 5000 })) keys.push(...some);
      for (const key of keys.sort(Buffer.compare)) {
        const name = key.toString('latin1');
        if (name.startsWith('n:') || name.startsWith('tmp:')) continue;
        const kind = String(await client.type(key));
        await attempt(`data ${RESP} ${database} ${short(key)} ${kind}`, () => Promise.all(reads[kind]?.(client, key) ?? []));
      }
    }
  }
  const client = await connect();
  await attempt('data geo', () => client.geoPos('scan:geo', 'Palermo'));
  await attempt('data search', () => client.geoSearchWith('scan:geo', { longitude: 15, latitude: 37 }, { radius: 200, unit: 'km' }, ['WITHDIST'], { SORT: 'ASC' }));
  await attempt('data wrong type', () => client.lRange('n:1', 0, -1));
  await attempt('data unknown command', () => client.sendCommand(['NOSUCH', 'a']));
  await attempt('sort', () => client.sort('scan:list', { LIMIT: { offset: 0, count: 3 }, DIRECTION: 'DESC' }));
  await attempt('sort_ro', () => client.sortRo('scan:list', { LIMIT: { offset: 0, count: 3 }, DIRECTION: 'DESC' }));
}

async function all(iterator, element) {
  const found = [];
  for await (const some of iterator) found.push(...some.map(element));
  return found;
}

async function scans() {
  for (const RESP of [2, 3]) {
    const client = await connect(RESP);
    once('keys', await all(client.scanIterator({ MATCH: 'n:*', COUNT: 500 }), (key) => key), NAMES);
    once('keys of a type', await all(client.scanIterator({ TYPE: 'zset', COUNT: 1000 }), (key) => key), ['scan:zset']);
    once('hash', await all(client.hScanIterator('scan:hash', { COUNT: 300 }), ({ field }) => field), FIELDS);
    once('set', await all(client.sScanIterator('scan:set', { COUNT: 300 }), (member) => member), MEMBERS);
    once('set match', await all(client.sScanIterator('scan:set', { MATCH: '*7', COUNT: 300 }), (member) => member), MEMBERS.filter((m) => m.endsWith('7')));
    once('zset', await all(client.zScanIterator('scan:zset', { COUNT: 300 }), ({ value }) => value), MEMBERS);
  }
}

async function pipeline() {
  for (const RESP of [2, 3]) {
    const client = await connect(RESP);
    const count = RESP === 3 ? LONG : LONG / 10;
    const replies = await Promise.all(Array.from({ length: count }, (_, i) => client.get(NAMES[i % STRINGS])));
    say('pipeline', RESP, replies.length, right(replies));
    await attempt('multi as a pipeline', () => client.multi().get('n:1').hLen('scan:hash').execAsPipeline());
    await attempt('pipeline with errors', async () => {
      const settled = await Promise.allSettled([client.get('n:1'), client.set('a', 1), client.lRange('n:1', 0, 1), client.get('n:2')]);
      return settled.map(({ value, reason }) => value ?? reason);
    });
  }
}

async function writes() {
  for (const RESP of [2, 3]) {
    const client = await connect(RESP);
    for (const words of [['SET', 'a', '1'], ['DEL', 'n:1'], ['EXPIRE', 'n:1', '5'], ['FLUSHALL'], ['XADD', 'a', '*', 'b', '1'], ['BLPOP', 'a', '1'], ['GETDEL', 'n:1']]) {
      await attempt(`write ${RESP} ${words[0]}`, () => client.sendCommand(words));
    }
    await attempt('class', () => client.set('a', 1).catch((error) => error instanceof ErrorReply));
    await attempt('still there', () => client.get('n:1'));
  }
}

async function transactions() {
  const client = await connect();
  const primary = await connect(3, { port: PRIMARY });
  await attempt('multi', () => client.multi().get('n:1').hLen('scan:hash').exec());
  await attempt('multi with a write', () => client.multi().get('n:1').set('a', '1').exec());
  await attempt('multi with an error', () => client.multi().get('n:1').lRange('n:1', 0, 1).exec());
  await client.watch('tmp:watched');
  await attempt('watch', () => client.multi().get('n:2').exec());
  await client.watch('tmp:watched');
  const value = String(await primary.incr('tmp:watched'));
  await until('the increment', async () => (await client.get('tmp:watched')) === value);
  await attempt('watch broken', () => client.multi().get('n:2').exec());
}

async function scripts() {
  const client = await connect();
  const read = { keys: ['n:5'], arguments: ['word'] };
  await attempt('eval', () => client.eval('return {redis.call("GET", KEYS[1]), ARGV[1]}', read));
  await attempt('eval_ro', () => client.evalRo('return {redis.call("GET", KEYS[1]), ARGV[1]}', read));
  await attempt('noscript', () => client.evalSha('f'.repeat(40)));
  await attempt('script exists', () => client.scriptExists('f'.repeat(40)));
  await attempt('own script', () => client.length('n:10'));
  const sha = await client.scriptLoad('return redis.call("GET", KEYS[1])');
  await attempt('evalsha_ro', () => client.evalShaRo(sha, read));
  await attempt('script that writes', () => client.eval('return redis.call("SET", KEYS[1], 1)', { keys: ['a'] }));
}

async function blocking() {
  const client = await connect();
  const primary = await connect(3, { port: PRIMARY });
  await primary.del('tmp:news');
  await until('the deletion', async () => (await client.exists('tmp:news')) === 0);
  await attempt('xread times out', () => client.xRead({ key: 'tmp:news', id: '$' }, { BLOCK: 20 }));
  const waiting = (await connect()).xRead({ key: 'tmp:news', id: '0' }, { BLOCK: 30_000 });
  await until('a blocked client', async () => (await client.info('clients')).includes('blocked_clients:1\r'));
  await primary.xAdd('tmp:news', '7-7', { a: 'b' });
  await attempt('xread woke', () => waiting);
}

async function pool() {
  const clients = createClientPool({ socket: { port: PORT }, commandOptions: PATIENT }, { minimum: 2, maximum: 8 });
  clients.on('error', () => {});
  await clients.connect();
  say('pool', right(await Promise.all(Array.from({ length: 3000 }, (_, i) => clients.get(`n:${i}`)))));
  await clients.close();
}

async function cluster() {
  const nodes = createCluster({ rootNodes: [{ socket: { port: PORT } }] });
  nodes.on('error', () => {});
  await attempt('cluster client', () => nodes.connect());
  const client = await connect();
  await attempt('cluster info', () => client.clusterInfo());
  await attempt('readonly', () => client.readonly());
}

async function restart() {
  const clients = [await connect(2, { name: 'suite', database: 1 }), await connect(3, { name: 'suite', database: 1 })];
  say('before the restart', await Promise.all(clients.map((client) => client.get('where'))));
  await restarted();
  await until('the data', () => Promise.all(clients.map((client) => client.get('where'))).then(() => true, () => false));
  say('after the restart', await Promise.all(clients.map((client) => client.get('where'))), await Promise.all(clients.map((client) => client.clientGetName())));
}

async function refused() {
  for (const RESP of [2, 3]) {
    const client = await connect(RESP);
    await attempt(`refused get ${RESP}`, () => client.get('n:1'));
    await attempt('refused ping', () => client.ping());
    await attempt('refused set', () => client.set('a', 1));
  }
}

async function locked() {
  for (const RESP of [2, 3]) {
    for (const [username, password] of [[], [undefined, 'wrong'], ['somebody', 'secret'], [undefined, 'secret'], ['default', 'secret']]) {
      const socket = { reconnectStrategy: false };
      await attempt(`locked ${RESP} ${username} ${password}`, async () => (await connect(RESP, { username, password, socket })).get('n:1'));
    }
  }
}

async function main() {
  say('version', require('redis/package.json').version);
  const parts = { refused: [refused], locked: [locked], data: [types, scans] };
  for (const part of parts[PORTION] ?? [types, scans, handshake, pipeline, writes, transactions, scripts, blocking, pool, cluster, restart]) await part();
  for (const client of open) client.destroy();
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
