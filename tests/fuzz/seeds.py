#!/usr/bin/env python3
"""Writes the inputs from which a fuzz target starts: `seeds.py TARGET DIRECTORY`."""

import hashlib
import json
import pathlib
import re
import sys

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "fixtures"


def dumps():
    for path in sorted(FIXTURES.rglob("*.rdb")):
        data = path.read_bytes()
        if len(data) < 16000:
            # The checksum is removed, so that a changed dump is still a whole one.
            yield data[:-8] + bytes(8)


def values():
    """Types and values cut roughly out of the dumps: the bytes after each key's name, up to the next key."""
    for path in sorted(FIXTURES.rglob("*.rdb")):
        data, keys = path.read_bytes(), []
        for line in path.with_suffix(".json").read_text().splitlines():
            name = json.loads(line)["key"].encode()
            at = data.find(bytes([len(name)]) + name) if 3 < len(name) < 64 and b"\\" not in name else -1
            if at > 9:
                keys.append((at - 1, at + 1 + len(name)))
        for (type_at, value_at), following in zip(sorted(keys), [at for at, _ in sorted(keys)[1:]] + [len(data) - 9]):
            if following - value_at < 6000:
                yield data[type_at:type_at + 1] + data[value_at:following]


def payloads():
    for value in values():
        yield b"\x00" + value


def packed():
    # The targets' numbers for the layouts, by type; see `redtail::internal::fuzzing::packed`.
    choices = {9: [4], 10: [5], 11: [6, 1], 12: [7], 13: [8], 14: [9], 16: [10, 0], 17: [11, 0], 18: [12], 20: [13, 0], 15: [3], 19: [3], 21: [3]}
    for value in values():
        for choice in choices.get(value[0], []):
            # A blob starts with its own size, or with an intset's width.
            for match in re.finditer(rb"(?s)[\x07-\xff][\x00-\x0f]\x00\x00..", value[1:]):
                yield bytes([choice]) + value[1 + match.start():]
                break
    yield b"\x02\x0c\x00\x02abc\x60\x02\x01xy"


def words(*line):
    return b"*%d\r\n" % len(line) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in line)


LINES = """SET a 1|SET a x PX 1000|SETEX a 10 v|APPEND a bc|SETRANGE a 5 x|INCRBY n 5|INCRBYFLOAT n 1.5|MSET a 1 b 2|GETSET a 3
RPUSH l a b c|LPUSH l 1 -2|LINSERT l BEFORE a x|LSET l 0 y|LTRIM l 1 2|LREM l 0 a|LMOVE l m LEFT RIGHT|RPOPLPUSH l m|LPOP l 2
SADD s 1 2 3|SADD s x|SREM s 1|SMOVE s t 2|SUNIONSTORE u s t|SINTERSTORE u s t|SDIFFSTORE u s t
HSET h f v g 2|HDEL h f|HINCRBY h g 5|HINCRBYFLOAT h g 0.5|HPEXPIREAT h 4102444800000 FIELDS 1 g|HPERSIST h FIELDS 1 g
ZADD z 1 a 2.5 b inf c|ZADD z GT CH 3 a|ZINCRBY z -1 a|ZREM z a|ZREMRANGEBYSCORE z 0 (5|ZREMRANGEBYRANK z 0 1|ZUNIONSTORE y 2 z z WEIGHTS 1 2|ZRANGESTORE y z 0 -1
XADD x 1-1 f v|XADD x MAXLEN = 2 2-1 f v g w|XDEL x 1-1|XTRIM x MINID = 2|XGROUP CREATE x g 0|XCLAIM x g c 0 2-1 TIME 1 RETRYCOUNT 1 FORCE JUSTID LASTID 2-1|XACK x g 2-1|XSETID x 9-9|XGROUP SETID x g 2-1 ENTRIESREAD 1
PEXPIREAT a 4102444800000|PERSIST a|DEL a b|UNLINK l|RENAME l k|COPY s s2 DB 1|MOVE h 2|SWAPDB 0 1|SELECT 3|FLUSHDB|PING
MULTI|SET a 1|SELECT 1|RPUSH q 1|EXEC|SETBIT b 7 1|BITOP OR d b b|BITFIELD b SET u8 0 255|PFADD p a b|PFMERGE r p|GEOADD g 1 2 m
REPLCONF GETACK *|PUBLISH c m|FUNCTION FLUSH|SCRIPT FLUSH|EVAL x 0|SORT l BY nosort STORE o|RESTORE a 0 x REPLACE ABSTTL"""


def streams():
    lines = [[word.encode() for word in line.split(" ")] for row in LINES.splitlines() for line in row.split("|")]
    yield b"".join(words(*line) for line in lines)
    for at in range(len(lines)):
        yield b"".join(words(*line) for line in lines[at:at + 4])


def requests():
    yield from streams()
    yield b'SET a "quoted \\x00\\n" \'single\'\r\nPING\n\r\n*0\r\n'


def states():
    for what in range(9):
        for at, seed in enumerate(streams()):
            if at < 12:
                yield bytes([what, at * 20, 0, 1 + at * 9]) + seed


def main():
    target, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    seeds = {"dump": dumps, "packed": packed, "payload": payloads, "request": requests, "state": states, "stream": streams}
    for seed in seeds[target]():
        (directory / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    main()
