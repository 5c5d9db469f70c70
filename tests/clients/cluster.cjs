// What a cluster client of Node.js sees: `cluster.cjs MODULE PORT PRIMARY PORTION`, with the module "redis" or "ioredis".
//
// It writes to primaries and reads from replicas. PORT is a node, or redtail.

const { restarted, say, short, until } = require('./suite.cjs');

const MODULE = process.argv[2];
const PORT = Number(process.argv[3]);
const KEYS = [...Array(100).keys()].map((number) => `n:${number}`);

// One set of names for both clients.
async function nodeRedis() {
  const { createCluster } = require('redis');
  const client = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${PORT}` }], useReplicas: true });
  client.on('error', () => {});
  await client.connect();
  return {
    set: (key, value) => client.set(key, value),
    get: (key) => client.get(key),
    mget: (keys) => client.mGet(keys),
    hset: (key, field, value) => client.hSet(key, field, value),
    hgetall: (key) => client.hGetAll(key),
    incr: (key) => client.incr(key),
    del: (key) => client.del(key),
    close: () => client.destroy(),
  };
}

async function ioredis() {
  const { Cluster } = require('ioredis');
  const client = new Cluster([{ host: '127.0.0.1', port: PORT }], { scaleReads: 'slave' });
  client.on('error', () => {});
  await until('ready', () => client.status === 'ready');
  return {
    set: (key, value) => client.set(key, value),
    get: (key) => client.get(key),
    mget: (keys) => client.mget(keys),
    hset: (key, field, value) => client.hset(key, field, value),
    hgetall: (key) => client.hgetall(key),
    incr: (key) => client.incr(key),
    del: (key) => client.del(key),
    close: () => client.disconnect(),
  };
}

const connect = MODULE === 'redis' ? nodeRedis : ioredis;

async function round(client, name) {
  const values = KEYS.map((key) => `${name} ${key}`);
  say('data set', short(await Promise.all(KEYS.map((key, i) => client.set(key, values[i])))));
  // Replicas are behind their primaries.
  for (const [i, key] of KEYS.entries()) await until(key, async () => (await client.get(key)) === values[i]);
  say('data get', short(await Promise.all(KEYS.map((key) => client.get(key)))));
  await client.set('{tag}:a', name);
  await client.set('{tag}:b', name);
  await until('mget', async () => (await client.mget(['{tag}:a', '{tag}:b'])).every((value) => value === name));
  say('data hset', await client.hset('hash', name, 'new'));
  await until('hgetall', async () => (await client.hgetall('hash'))[name] === 'new');
  say('data hgetall', short(Object.entries(await client.hgetall('hash')).sort()));
  say('data incr', await client.incr('counter'));
  say('data del', await client.del('{tag}:a'));
  await until('del', async () => (await client.get('{tag}:a')) === null);
  say('data mget', short(await client.mget(['{tag}:a', '{tag}:b'])));
}

async function main() {
  const client = await connect();
  await round(client, 'before');
  // The test changes the cluster.
  await restarted();
  await round(client, 'after');
  const another = await connect();
  await round(another, 'anew');
  client.close();
  another.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
