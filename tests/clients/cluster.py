"""What a cluster client of Python sees: `cluster.py MODULE PORT PRIMARY PORTION`, with the module "redis" or "valkey".

It writes to primaries and reads from replicas only. PORT is a node, or redtail.
"""

import importlib
import sys
import time

from suite import say, short

MODULE, PORT = sys.argv[1], int(sys.argv[2])
library = importlib.import_module(MODULE)
cluster = importlib.import_module(f"{MODULE}.cluster")
KEYS = [f"n:{number}" for number in range(100)]


def connect():
    name = "RedisCluster" if MODULE == "redis" else "ValkeyCluster"
    strategy = getattr(cluster, "LoadBalancingStrategy", None)
    replicas = {"load_balancing_strategy": strategy.ROUND_ROBIN_REPLICAS} if strategy else {"read_from_replicas": True}
    return getattr(cluster, name)(host="127.0.0.1", port=PORT, decode_responses=True, **replicas)


def until(what, ready):
    """Waits, because replicas are behind their primaries."""
    deadline = time.monotonic() + 30
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


def round(client, name):
    values = [f"{name} {key}" for key in KEYS]
    say("data set", short([client.set(*pair) for pair in zip(KEYS, values)]))
    for key, value in zip(KEYS, values):
        until(key, lambda: client.get(key) == value)
    say("data get", short([client.get(key) for key in KEYS]))
    pipeline = client.pipeline()
    for key in KEYS:
        pipeline.get(key)
    say("data pipeline", short(pipeline.execute()))
    say("data mset", client.mset({"{tag}:a": name, "{tag}:b": name}))
    until("mget", lambda: client.mget("{tag}:a", "{tag}:b") == [name, name])
    say("data hset", client.hset("hash", mapping={"a": name, "b": "2", name: "new"}))
    until("hgetall", lambda: client.hgetall("hash").get(name) == "new")
    say("data hgetall", short(sorted(client.hgetall("hash").items())))
    say("data incr", client.incr("counter"))
    say("data del", client.delete("{tag}:a"))
    until("del", lambda: client.exists("{tag}:a") == 0)
    say("data mget", client.mget("{tag}:a", "{tag}:b"))


client = connect()
round(client, "before")
# The test changes the cluster.
say("!RESTART")
sys.stdin.readline()
round(client, "after")
round(connect(), "anew")
say("shards", len(client.get_primaries()))
