"""What the clients' scripts share: how they print facts."""

import hashlib

STRINGS = 20_000
"""The number of strings "n:0", "n:1", … that fill.py writes; each holds its own number."""

FIELDS = [b"field:%d" % i for i in range(STRINGS)]
MEMBERS = [b"member:%d" % i for i in range(STRINGS)]
NAMES = [b"n:%d" % i for i in range(STRINGS)]


def say(*words):
    print(*words, flush=True)


def short(value):
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:120]}… {len(text)} {hashlib.sha1(text.encode()).hexdigest()[:16]}"


def once(what, found, expected):
    """Says whether a scan found each element once."""
    found = list(found)
    say("data scan", what, len(found), "elements,", len(found) - len(set(found)), "twice,", len(set(expected) - set(found)), "lost")


def right(replies):
    """Counts the replies to GET n:0, GET n:1, … that are right."""
    return sum(int(reply) == i % STRINGS for i, reply in enumerate(replies))
