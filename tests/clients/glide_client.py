"""What valkey-glide sees of a replica, one line per fact: `glide_client.py PORT PRIMARY PORTION`, like python_client.py."""

import asyncio
import importlib.metadata
import logging
import sys

import glide
from glide import (
    AdvancedGlideClientConfiguration, AdvancedGlideClusterClientConfiguration, BackoffStrategy, Batch, GlideClient, GlideClientConfiguration, GlideClusterClient,
    GlideClusterClientConfiguration, InfoSection, MaxId, MinId, NodeAddress, ObjectType, ProtocolVersion, RangeByIndex, ReadFrom, Script,
    ServerCredentials, StreamReadOptions,
)

from suite import FIELDS, MEMBERS, NAMES, STRINGS, once, right, say, short

PORT, PRIMARY, PORTION = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
LONG = 200_000 if PORTION == "all" else 2_000
PATIENT = AdvancedGlideClientConfiguration(connection_timeout=20_000)
PROTOCOLS = {2: ProtocolVersion.RESP2, 3: ProtocolVersion.RESP3}


async def attempt(what, call):
    """Says what a call returns, or the class and the message of its error."""
    try:
        say(what, short(await call))
    except Exception as error:  # noqa: BLE001 the class is what the test compares
        say(what, type(error).__name__, str(error).replace(str(PORT), "PORT"))


async def connect(protocol=3, port=PORT, **options):
    return await GlideClient.create(
        GlideClientConfiguration(
            [NodeAddress("127.0.0.1", port)], protocol=PROTOCOLS[protocol], request_timeout=2_000 if PORTION == "locked" else 20_000,
            # Without this, the client refuses a replica that it is given without its primary.
            read_only=port == PORT, reconnect_strategy=BackoffStrategy(100, 10, 2), advanced_config=PATIENT, **options,
        )
    )


async def handshake():
    for protocol in PROTOCOLS:
        connection = await connect(protocol, client_name="suite", database_id=1)
        info = dict(each.split("=", 1) for each in (await connection.custom_command(["CLIENT", "INFO"])).decode().split())
        say("handshake", protocol, [info.get(field) for field in ("name", "db", "user", "resp", "lib-name", "lib-ver")])
        await attempt("name", connection.client_getname())
        await attempt("dbsize", connection.dbsize())
        await attempt("ping", connection.ping())
        await attempt("config get", connection.config_get(["maxmemory"]))
        await attempt("client no-evict", connection.custom_command(["CLIENT", "NO-EVICT", "ON"]))
        await connection.close()


async def read(connection, key, kind):
    if kind == b"string":
        return [await connection.get(key), await connection.strlen(key), await connection.getrange(key, 1, 4), await connection.mget([key, "absent"])]
    if kind == b"list":
        return [await connection.lrange(key, 0, -1), await connection.llen(key), await connection.lindex(key, -1)]
    if kind == b"set":
        return [sorted(await connection.smembers(key)), await connection.scard(key), await connection.smismember(key, ["a", "1"])]
    if kind == b"hash":
        return [sorted((await connection.hgetall(key)).items()), await connection.hlen(key), await connection.hmget(key, ["a", "field:1"])]
    if kind == b"zset":
        return [
            await connection.zrange_withscores(key, RangeByIndex(0, -1)), await connection.zcard(key), await connection.zmscore(key, ["a", "member:8"]),
            await connection.zrank(key, "member:8"),
        ]
    if kind == b"stream":
        return [await connection.xrange(key, MinId(), MaxId()), await connection.xlen(key), await connection.xread({key: "0"}, StreamReadOptions(count=1))]
    return None


async def keys_of(connection, **options):
    cursor, found = b"0", []
    while True:
        cursor, keys = await connection.scan(cursor, **options)
        found.extend(keys)
        if cursor == b"0":
            return found


async def walk(scan, key, width, **options):
    """All elements that HSCAN, SSCAN or ZSCAN finds, of `width` words each."""
    cursor, found = b"0", []
    while True:
        cursor, part = await scan(key, cursor, **options)
        found.extend(part[::width])
        if cursor == b"0":
            return found


async def types():
    for protocol in PROTOCOLS:
        for db in (0, 1, 9, 15):
            connection = await connect(protocol, database_id=db)
            for key in sorted(await keys_of(connection, count=5000)):
                if not key.startswith((b"n:", b"tmp:")):
                    kind = await connection.type(key)
                    await attempt(f"data {protocol} {db} {short(key)} {kind}", read(connection, key, kind))
            await connection.close()
    connection = await connect()
    await attempt("data wrong type", connection.lrange("n:1", 0, -1))
    await attempt("data unknown command", connection.custom_command(["NOSUCH", "a"]))
    await attempt("data geo", connection.geopos("scan:geo", ["Palermo"]))


async def scans():
    for protocol in PROTOCOLS:
        connection = await connect(protocol)
        once("keys", await keys_of(connection, match="n:*", count=500), NAMES)
        once("keys of a type", await keys_of(connection, type=ObjectType.ZSET, count=1000), [b"scan:zset"])
        once("hash", await walk(connection.hscan, "scan:hash", 2, count=300), FIELDS)
        once("set", await walk(connection.sscan, "scan:set", 1, count=300), MEMBERS)
        once("zset", await walk(connection.zscan, "scan:zset", 2, count=300), MEMBERS)
        once("set match", await walk(connection.sscan, "scan:set", 1, match="*7", count=300), MEMBERS[7::10])
        await connection.close()


async def pipeline():
    for protocol in PROTOCOLS:
        connection = await connect(protocol)
        batch = Batch(is_atomic=False)
        for i in range(LONG if protocol == 3 else LONG // 10):
            batch.get(f"n:{i % STRINGS}")
        replies = await connection.exec(batch, raise_on_error=True)
        say("pipeline", protocol, len(replies), right(replies))
        say("gather", right(await asyncio.gather(*(connection.get(f"n:{i}") for i in range(500)))))
        batch = Batch(is_atomic=False)
        batch.get("n:1").set("a", "1").lrange("n:1", 0, 1).get("n:2")
        say("batch with errors", [short(reply) for reply in await connection.exec(batch, raise_on_error=False)])
        await connection.close()


async def writes():
    connection = await connect()
    await attempt("write set", connection.set("a", "1"))
    await attempt("write del", connection.delete(["n:1"]))
    await attempt("write blpop", connection.blpop(["a"], 1))
    await attempt("write hset", connection.hset("a", {"b": "c"}))
    await attempt("write flushall", connection.flushall())
    batch = Batch(is_atomic=True)
    batch.get("n:1").set("a", "1")
    await attempt("transaction that writes", connection.exec(batch, raise_on_error=True))
    await attempt("still there", connection.get("n:1"))


async def transactions():
    connection = await connect()
    batch = Batch(is_atomic=True)
    batch.get("n:1").hlen("scan:hash")
    await attempt("transaction", connection.exec(batch, raise_on_error=True))
    await attempt("watch", connection.watch(["tmp:watched"]))


async def scripts():
    connection = await connect()
    await attempt("script", connection.invoke_script(Script("return {redis.call('GET', KEYS[1]), ARGV[1]}"), ["n:5"], ["word"]))
    await attempt("script that writes", connection.invoke_script(Script("return redis.call('SET', KEYS[1], 1)"), ["a"]))
    await attempt("noscript", connection.custom_command(["EVALSHA", "f" * 40, "0"]))
    await attempt("eval_ro", connection.custom_command(["EVAL_RO", "return redis.call('GET', KEYS[1])", "1", "n:5"]))


async def blocking():
    connection, primary = await connect(), await connect(port=PRIMARY)
    await primary.delete(["tmp:news"])
    while await connection.exists(["tmp:news"]):
        await asyncio.sleep(0.005)
    await attempt("xread times out", connection.xread({"tmp:news": "$"}, StreamReadOptions(block_ms=20)))
    waiting = asyncio.create_task((await connect()).xread({"tmp:news": "0"}, StreamReadOptions(block_ms=15_000)))
    while b"blocked_clients:1\r" not in await connection.info():
        await asyncio.sleep(0.005)
    await primary.custom_command(["XADD", "tmp:news", "7-7", "a", "b"])
    await attempt("xread woke", waiting)


async def beside_the_primary():
    """A client that knows both addresses finds the roles: it writes to the primary and reads from the replica."""
    addresses = [NodeAddress("127.0.0.1", PORT), NodeAddress("127.0.0.1", PRIMARY)]
    connection = await GlideClient.create(GlideClientConfiguration(addresses, read_from=ReadFrom.PREFER_REPLICA, request_timeout=20_000, advanced_config=PATIENT))
    await attempt("write through the primary", connection.set("tmp:both", "1"))
    replica = await connect()
    before = await reads_of(replica)
    say("right", right(await asyncio.gather(*(connection.get(f"n:{i}") for i in range(500)))))
    say("reads at the replica", await reads_of(replica) - before >= 500)


async def reads_of(connection):
    info = (await connection.info([InfoSection.STATS])).decode()
    return int(info.partition("total_commands_processed:")[2].split()[0])


async def cluster():
    alone = GlideClientConfiguration([NodeAddress("127.0.0.1", PORT)], advanced_config=PATIENT)
    await attempt("replica without read_only", GlideClient.create(alone))
    await attempt(
        "cluster client",
        GlideClusterClient.create(
            GlideClusterClientConfiguration(
                [NodeAddress("127.0.0.1", PORT)], request_timeout=20_000,
                advanced_config=AdvancedGlideClusterClientConfiguration(connection_timeout=20_000),
            )
        ),
    )


async def restart():
    """After a restart of the server, the connection comes back by itself."""
    connection = await connect(client_name="suite", database_id=0)
    await attempt("before the restart", connection.get("n:9"))
    say("!RESTART")
    await asyncio.to_thread(sys.stdin.readline)
    for _ in range(200):
        try:
            await connection.get("n:9")
            break
        except glide.RequestError:
            await asyncio.sleep(0.05)
    await attempt("after the restart", connection.get("n:9"))
    await attempt("name after the restart", connection.client_getname())


async def refused():
    for protocol in PROTOCOLS:
        try:
            connection = await connect(protocol)
        except Exception as error:  # noqa: BLE001 the class is what the test compares
            say("refused at once", type(error).__name__)
            continue
        await attempt(f"refused get {protocol}", connection.get("n:1"))
        await attempt("refused set", connection.set("a", "1"))


async def locked():
    for protocol in PROTOCOLS:
        for credentials in (ServerCredentials("wrong"), ServerCredentials("secret"), ServerCredentials("secret", "default")):
            try:
                connection = await connect(protocol, credentials=credentials)
                await attempt("locked get", connection.get("n:1"))
            except Exception as error:  # noqa: BLE001
                say("locked", type(error).__name__, str(error).replace(str(PORT), "PORT"))


async def main():
    logging.disable(logging.CRITICAL)
    glide.Logger.set_logger_config(glide.LogLevel.OFF)
    say("version", importlib.metadata.version("valkey-glide"))
    if PORTION in ("refused", "locked"):
        return await globals()[PORTION]()
    await types()
    await scans()
    if PORTION != "data":
        for part in (handshake, pipeline, writes, transactions, scripts, blocking, beside_the_primary, cluster, restart):
            await part()


if __name__ == "__main__":
    asyncio.run(main())
