"""What redis-py or valkey-py sees of a replica, one line per fact: `python_client.py MODULE PORT PRIMARY PORTION`.

The test runs it against a real replica and against redtail: both must print the same lines. Lines that begin with "data" must
also be the primary's. A line "!RESTART" asks the test to restart the server and to answer with a line when it is in sync again.

PORTION is "all", "brief" (all, with short pipelines), "data" (only the lines that begin so), "refused" (a server that may refuse
reads) or "locked" (a server with the password "secret").
"""

import asyncio
import hashlib
import importlib
import sys
import threading
import time

from suite import FIELDS, MEMBERS, NAMES, STRINGS, once, right, say, short

MODULE, PORT, PRIMARY, PORTION = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
client = importlib.import_module(MODULE)
Client = {"redis": "Redis", "valkey": "Valkey"}[MODULE]
Cluster = Client + "Cluster"
parsers = importlib.import_module(f"{MODULE}._parsers")
PARSERS = {"redis": ("_HiredisParser", "_RESP{}Parser"), "valkey": ("_RESP{}Parser",)}[MODULE]
# By itself, redis-py asks again for some seconds if a server loads or refuses a password.
ONCE = importlib.import_module(f"{MODULE}.retry").Retry(importlib.import_module(f"{MODULE}.backoff").NoBackoff(), 0)
LONG = 200_000 if PORTION == "all" else 2_000


def attempt(what, call):
    """Says what a call returns, or the class and the message of its error."""
    try:
        say(what, short(call()))
    except Exception as error:  # noqa: BLE001 the class is what the test compares
        say(what, type(error).__name__, str(error))


def connect(protocol=2, port=PORT, **options):
    return getattr(client, Client)(port=port, protocol=protocol, **options)


def until(what, ready):
    deadline = time.monotonic() + 30
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


def handshake():
    for protocol in (2, 3):
        connection = connect(protocol, client_name="suite")
        [mine] = [each for each in connection.client_list() if each["id"] == str(connection.client_id())]
        say("handshake", protocol, [mine.get(field) for field in ("name", "db", "user", "resp", "lib-name", "lib-ver", "cmd")])
        attempt("client info", lambda: connection.client_info()["name"])
        attempt("client getname", connection.client_getname)
        attempt("client setname", lambda: connection.client_setname("other"))
        attempt("client no-evict", lambda: connection.client_no_evict("ON"))
        attempt("client no-touch", lambda: connection.client_no_touch("ON"))
        attempt("client trackinginfo", connection.client_trackinginfo)
        attempt("client unblock", lambda: connection.client_unblock(2**40))
        attempt("client kill", lambda: connection.client_kill_filter(_id=str(2**40)))
        attempt("client kill self", lambda: connect(protocol).client_kill_filter(laddr="127.0.0.1:1"))
        attempt("hello", lambda: sorted((k, v) for k, v in pairs(connection.execute_command("HELLO", protocol)) if k in (b"server", b"version", b"proto", b"mode", b"role")))
        attempt("role", lambda: connection.role()[0])
        attempt("command count", lambda: connection.command_count() > 200)
        attempt("config get", lambda: connection.config_get("maxmemory"))
        attempt("acl whoami", connection.acl_whoami)
        attempt("echo", lambda: connection.echo("text"))
        attempt("time", lambda: len(connection.time()))
        attempt("wait", lambda: connection.wait(0, 1))
        attempt("info", lambda: [connection.info("replication")[field] for field in ("role", "master_link_status", "slave_read_only")])
        connection.close()


def pairs(reply):
    return reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2])


def reads(connection):
    """The reads of a key, by its type."""
    return {
        b"string": lambda key: [
            connection.get(key), connection.strlen(key), connection.getrange(key, 1, 4), connection.bitcount(key), connection.mget(key, "absent"),
        ],
        b"list": lambda key: [connection.lrange(key, 0, -1), connection.llen(key), connection.lindex(key, -1), connection.lpos(key, "a")],
        b"set": lambda key: [sorted(connection.smembers(key)), connection.scard(key), connection.smismember(key, ["a", "1"])],
        b"zset": lambda key: [
            connection.zrange(key, 0, -1, withscores=True), connection.zrange(key, 0, 2, desc=True), connection.zcard(key),
            connection.zrangebyscore(key, "-inf", "+inf", start=0, num=3, withscores=True), connection.zmscore(key, ["a", "member:8"]),
            connection.zrank(key, "member:8"), connection.zcount(key, 0, 1),
        ],
        b"hash": lambda key: [sorted(connection.hgetall(key).items()), connection.hlen(key), connection.hmget(key, "a", "field:1"), sorted(connection.hkeys(key))],
        b"stream": lambda key: [
            connection.xrange(key), connection.xrevrange(key, count=2), connection.xlen(key),
            [(group["name"], group["pending"]) for group in connection.xinfo_groups(key)], connection.xread({key: 0}, count=1),
        ],
    }


def types():
    for protocol in (2, 3):
        for parser in (name.format(protocol) for name in PARSERS):
            for db in (0, 1, 9, 15):
                connection = connect(protocol, db=db)
                connection.connection_pool.connection_kwargs["parser_class"] = getattr(parsers, parser)
                per_type = reads(connection)
                for key in sorted(key for key in connection.scan_iter(count=5000) if not key.startswith((b"n:", b"tmp:"))):
                    kind = connection.type(key)
                    attempt(
                        f"data {protocol} {parser} {db} {short(key)} {kind}",
                        lambda: [per_type[kind](key) if kind in per_type else None, connection.object("encoding", key), connection.pttl(key) > 0],
                    )
                say("data dbsize", connection.dbsize())
                connection.close()
    connection = connect(decode_responses=True)
    say("data decoded", connection.get("n:1"), connection.geopos("scan:geo", "Palermo"), connection.geodist("scan:geo", "Palermo", "Catania"))
    here = {"longitude": 15, "latitude": 37, "radius": 200, "unit": "km"}
    attempt("data search", lambda: connection.geosearch("scan:geo", **here, withdist=True, sort="ASC"))
    say("data expires", connection.pttl("expires") > 10**9)
    attempt("sort", lambda: connection.sort("scan:list", start=0, num=3, desc=True, alpha=True))
    attempt("sort_ro", lambda: connection.sort_ro("scan:list", start=0, num=3, desc=True))
    attempt("data wrong type", lambda: connection.lrange("n:1", 0, -1))
    attempt("data unknown command", lambda: connection.execute_command("NOSUCH", "a"))
    attempt("data arity", lambda: connection.execute_command("GET"))


def scans():
    for protocol in (2, 3):
        connection = connect(protocol)
        once("keys", connection.scan_iter(match="n:*", count=500), NAMES)
        once("all keys", connection.scan_iter(count=1000), NAMES)
        once("keys of a type", connection.scan_iter(_type="zset"), [b"scan:zset"])
        once("few keys", connection.scan_iter(match="n:1999?", count=2000), [b"n:1999%d" % i for i in range(10)])
        once("hash", (field for field, _ in connection.hscan_iter("scan:hash", count=300)), FIELDS)
        once("hash match", (field for field, _ in connection.hscan_iter("scan:hash", match="*7")), FIELDS[7::10])
        once("set", connection.sscan_iter("scan:set", count=300), MEMBERS)
        once("zset", connection.zscan_iter("scan:zset", count=300), [(member, i / 8) for i, member in enumerate(MEMBERS)])
        connection.close()


def scan_while_writing():
    """A scan sees each key that exists all the time, even if others come and go between its calls."""
    primary, connection = connect(port=PRIMARY), connect()
    seen, cursor, turn = set(), None, 0
    while cursor != 0:
        cursor, keys = connection.scan(cursor or 0, match="n:*", count=700)
        seen.update(keys)
        turn += 1
        with primary.pipeline(transaction=False) as pipe:
            for i in range(200):
                pipe.set(f"come:{turn}:{i}", 1)
                pipe.delete(f"come:{turn - 3}:{i}")
            pipe.execute()
    say("scan while writing", len({key for key in seen if key.startswith(b"n:")}))
    for key in primary.scan_iter(match="come:*", count=1000):
        primary.delete(key)
    follow(primary, connection)


def follow(primary, connection):
    """Waits until a write has arrived."""
    mark = repr(time.monotonic()).encode()
    primary.set("tmp:mark", mark)
    until("the mark", lambda: connection.get("tmp:mark") == mark)


def pipeline():
    for protocol in (2, 3):
        connection = connect(protocol)
        with connection.pipeline(transaction=False) as pipe:
            for i in range(LONG if protocol == 3 else LONG // 10):
                pipe.get(f"n:{i % STRINGS}")
            replies = pipe.execute()
        say("pipeline", protocol, len(replies), right(replies))
        with connection.pipeline(transaction=False) as pipe:
            pipe.get("n:1").set("a", 1).lrange("n:1", 0, 1).get("n:2")
            say("pipeline with errors", [short(reply) for reply in pipe.execute(raise_on_error=False)])
        connection.close()


def writes():
    for protocol in (2, 3):
        connection = connect(protocol)
        for words in (
            ["SET", "a", 1], ["DEL", "a"], ["EXPIRE", "n:1", 5], ["LPUSH", "a", 1], ["FLUSHALL"], ["XADD", "a", "*", "b", 1], ["BLPOP", "a", 1],
            ["GETDEL", "n:1"], ["PFADD", "a", 1], ["SORT", "scan:list", "STORE", "a"], ["EVAL", "return redis.call('SET', KEYS[1], 1)", 1, "a"],
        ):
            attempt(f"write {protocol} {words[0]}", lambda: connection.execute_command(*words))
        say("still there", connection.get("n:1"))


def transactions():
    connection, primary = connect(), connect(port=PRIMARY)
    with connection.pipeline() as pipe:
        say("multi", pipe.get("n:1").hlen("scan:hash").execute())
        attempt("multi with a write", lambda: pipe.get("n:1").set("a", 1).execute())
        attempt("multi with an error", lambda: pipe.get("n:1").lrange("n:1", 0, 1).execute())
        pipe.watch("tmp:watched")
        pipe.multi()
        attempt("watch", lambda: pipe.get("n:2").execute())
        pipe.watch("tmp:watched")
        primary.incr("tmp:watched")
        follow(primary, connection)
        pipe.multi()
        attempt("watch broken", lambda: pipe.get("n:2").execute())
    attempt("transaction", lambda: connection.transaction(lambda pipe: (pipe.multi(), pipe.get("n:3")), "tmp:watched"))


def scripts():
    connection = connect()
    read = "return {redis.call('GET', KEYS[1]), ARGV[1]}"
    attempt("eval", lambda: connection.eval(read, 1, "n:5", "word"))
    attempt("eval_ro", lambda: connection.eval_ro(read, 1, "n:5", "word"))
    attempt("noscript", lambda: connection.evalsha("f" * 40, 0))
    attempt("script exists", lambda: connection.script_exists("f" * 40))
    attempt("script load", lambda: connection.script_load(read))
    attempt("evalsha_ro", lambda: connection.evalsha_ro(hashlib.sha1(read.encode()).hexdigest(), 1, "n:6", "word"))
    attempt("register_script", lambda: connection.register_script("return redis.call('STRLEN', KEYS[1])")(keys=["n:10"]))
    attempt("script that writes", lambda: connection.eval_ro("return redis.call('SET', KEYS[1], 1)", 1, "a"))
    attempt("script that fails", lambda: connection.eval("return redis.error_reply('MINE no')", 0))


def blocking():
    connection, primary = connect(), connect(port=PRIMARY)
    primary.delete("tmp:news")
    follow(primary, connection)
    attempt("xread times out", lambda: connection.xread({"tmp:news": "$"}, block=20))
    got = []
    waiting = threading.Thread(target=lambda: got.append(connect().xread({"tmp:news": "0"}, block=30_000)))
    waiting.start()
    until("a blocked client", lambda: connection.info("clients")["blocked_clients"] == 1)
    primary.xadd("tmp:news", {"a": "b"}, id="7-7")
    waiting.join()
    say("xread woke", got)


def pool():
    pool = getattr(client, "BlockingConnectionPool")(port=PORT, max_connections=8)
    wrong = []

    def work(start):
        connection = getattr(client, Client)(connection_pool=pool)
        wrong.extend(i for i in range(start, start + 100) if connection.get(f"n:{i}") != b"%d" % i)

    threads = [threading.Thread(target=work, args=(start * 100,)) for start in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say("pool", "wrong", wrong)
    pool.disconnect()


def cluster():
    attempt("cluster client", lambda: getattr(client, Cluster)(host="127.0.0.1", port=PORT))
    connection = connect()
    attempt("cluster info", lambda: connection.execute_command("CLUSTER", "INFO"))
    attempt("cluster slots", lambda: connection.execute_command("CLUSTER", "SLOTS"))
    attempt("readonly", lambda: connection.execute_command("READONLY"))


async def asynchronous():
    aio = importlib.import_module(f"{MODULE}.asyncio")
    for protocol in (2, 3):
        pool = aio.BlockingConnectionPool(port=PORT, protocol=protocol, max_connections=50)
        connection = getattr(aio, Client)(connection_pool=pool)
        values = await asyncio.gather(*(connection.get(f"n:{i}") for i in range(1000)))
        say("async gather", protocol, right(values))
        async with connection.pipeline(transaction=False) as pipe:
            for i in range(LONG // 10):
                pipe.get(f"n:{i % STRINGS}")
            replies = await pipe.execute()
        say("async pipeline", len(replies), right(replies))
        say("async keys", len({key async for key in connection.scan_iter(match="n:*", count=2000)}))
        try:
            await connection.set("a", 1)
        except Exception as error:  # noqa: BLE001
            say("async write", type(error).__name__, error)
        async with connection.pipeline() as pipe:
            await pipe.watch("n:1")
            pipe.multi()
            say("async watch", await pipe.get("n:1").execute())
        await connection.aclose()
        await pool.disconnect()


def restart():
    """After a restart of the server, the next command of each connection reconnects by itself."""
    retry = importlib.import_module(f"{MODULE}.retry").Retry
    backoff = importlib.import_module(f"{MODULE}.backoff").ConstantBackoff(0.05)
    options = {"retry": retry(backoff, 100), "retry_on_error": [client.ConnectionError, client.BusyLoadingError]}
    connections = [connect(protocol, client_name="suite", **options) for protocol in (2, 3)]
    say("before the restart", [connection.get("n:9") for connection in connections])
    say("!RESTART")
    sys.stdin.readline()
    say("after the restart", [connection.get("n:9") for connection in connections], [connection.client_getname() for connection in connections])


def heard(subscription, count):
    messages = []
    until("messages", lambda: messages.append(subscription.get_message(timeout=1)) or len([each for each in messages if each]) == count)
    return [sorted(each.items(), key=str) for each in messages if each]


def messages():
    for protocol in (2, 3):
        primary, connection = connect(port=PRIMARY), connect(protocol)
        subscription = connection.pubsub()
        subscription.subscribe("news", "other")
        subscription.psubscribe("n*s")
        say("messages subscribed", short(heard(subscription, 3)), subscription.subscribed)
        primary.publish("news", "one")
        with primary.pipeline() as pipe:
            pipe.set("tmp:seen", "two").publish("other", "two").execute()
        say("messages", short(sorted(heard(subscription, 3), key=str)), connection.get("tmp:seen"))
        subscription.ping("alive")
        say("messages ping", short(heard(subscription, 1)))
        say("messages counted", sorted(connection.pubsub_numsub("news", "absent")), connection.pubsub_numpat(), sorted(connection.pubsub_channels("n*")))
        seen = []
        listening = connection.pubsub(ignore_subscribe_messages=True)
        listening.subscribe(handled=lambda message: seen.append(message["data"]))
        thread = listening.run_in_thread(sleep_time=0.01, daemon=True)
        until("a subscription", lambda: connection.pubsub_numsub("handled")[0][1] == 1)
        for number in range(100):
            primary.publish("handled", number)
        until("all messages", lambda: len(seen) == 100)
        say("messages handled", seen == [b"%d" % number for number in range(100)])
        thread.stop()
        thread.join()
        subscription.unsubscribe()
        subscription.punsubscribe()
        say("messages unsubscribed", len(heard(subscription, 3)), connection.publish("news", "nobody"))
        primary.delete("tmp:seen")
        subscription.close()
        connection.close()


def refused():
    for protocol in (2, 3):
        connection = connect(protocol, retry=ONCE)
        attempt(f"refused get {protocol}", lambda: connection.get("n:1"))
        attempt("refused ping", connection.ping)
        attempt("refused set", lambda: connection.set("a", 1))
        connection.close()


def locked():
    for protocol in (2, 3):
        attempt(f"locked no password {protocol}", lambda: connect(protocol, retry=ONCE).get("n:1"))
        attempt("locked wrong password", lambda: connect(protocol, retry=ONCE, password="wrong").get("n:1"))
        attempt("locked unknown user", lambda: connect(protocol, retry=ONCE, username="somebody", password="secret").get("n:1"))
        attempt("locked password", lambda: connect(protocol, password="secret").get("n:1"))
        attempt("locked user", lambda: connect(protocol, username="default", password="secret").get("n:1"))
        attempt("locked url", lambda: getattr(client, Client).from_url(f"redis://:secret@127.0.0.1:{PORT}/1?protocol={protocol}").dbsize() > 0)


def main():
    say("version", client.__version__)
    if PORTION in ("refused", "locked"):
        return globals()[PORTION]()
    if PORTION == "data":
        return types() or scans()
    for part in (handshake, types, scans, scan_while_writing, pipeline, writes, transactions, scripts, messages, blocking, pool, cluster):
        part()
    asyncio.run(asynchronous())
    restart()


if __name__ == "__main__":
    main()
