"""Client-side caching of a replica: `caching.py PORT PRIMARY`.

redis-py's own cache over RESP3, and a listener as Redisson has it: BCAST, redirected to a RESP2 subscriber.
"""

import sys
import time

import redis
from redis.cache import CacheConfig

PORT, PRIMARY = int(sys.argv[1]), int(sys.argv[2])
primary = redis.Redis(port=PRIMARY)


def until(what, ready):
    deadline = time.monotonic() + 30
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


primary.set("py:a", "1")
cached = redis.Redis(port=PORT, protocol=3, cache_config=CacheConfig(), decode_responses=True)
until("the first value", lambda: redis.Redis(port=PORT).get("py:a") == b"1")
assert cached.get("py:a") == "1"
assert cached.get_cache().size == 1, cached.get_cache().size
for number in range(2, 200):
    primary.set("py:a", number)
    until("a new value", lambda: cached.get("py:a") == str(number))
primary.flushall()
until("no value", lambda: cached.get("py:a") is None)
print("cache: ok")

listener = redis.Redis(port=PORT, protocol=2, decode_responses=True, client_name="listener").pubsub()
listener.subscribe("__redis__:invalidate")
assert listener.get_message(timeout=30)["type"] == "subscribe"
tracking = redis.Redis(port=PORT, protocol=2, decode_responses=True, single_connection_client=True)
[target] = [each["id"] for each in tracking.client_list() if each["name"] == "listener"]
tracking.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", target, "BCAST", "PREFIX", "session:", "NOLOOP")
wanted = set()
for number in range(50):
    wanted.add(f"session:{number}")
    primary.hset(f"session:{number}", "field", number)
    primary.set(f"other:{number}", number)
seen = set()


def hear():
    message = listener.get_message(timeout=1)
    if message and message["type"] == "message":
        assert message["channel"] == "__redis__:invalidate", message
        seen.update(message["data"])
    return seen == wanted


until("all invalidations", hear)
print("listener: ok")
