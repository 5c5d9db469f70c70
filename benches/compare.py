"""Compares criterion's results for two programs over several rounds; benches/compare calls it.

    compare.py RESULTS      RESULTS/ROUND/{base,head} are directories that criterion wrote
"""

import json
import math
import random
import statistics
import sys
from pathlib import Path

RESAMPLES = 2000
LEAST_DIFFERENCE = 0.02
SIGNIFICANCE = 0.05


def samples(folder):
    """Returns the nanoseconds per iteration of every sample, by the bench's name."""
    found = {}
    for file in folder.glob("**/new/sample.json"):
        sample = json.loads(file.read_text())
        name = json.loads((file.parent / "benchmark.json").read_text())["full_id"]
        found[name] = [time / count for time, count in zip(sample["times"], sample["iters"])]
    return found


def ratio(rounds):
    """Returns the ratio of HEAD's time to BASE's: the geometric mean of the rounds' ratios, because a slow round slows both."""
    logs = [math.log(statistics.median(head) / statistics.median(base)) for base, head in rounds]
    return math.exp(statistics.fmean(logs))


def interval(rounds, draws):
    """Returns the middle 95 % of the ratios over resampled rounds and resampled samples within them."""

    def again(sample):
        return draws.choices(sample, k=len(sample))

    ratios = sorted(
        ratio([(again(base), again(head)) for base, head in again(rounds)]) for _ in range(RESAMPLES)
    )
    return ratios[RESAMPLES // 40], ratios[-RESAMPLES // 40]


def ways(first, second, most, memo={}):
    """Returns the number of orders of `first` and `second` values in which the statistic U is at most `most`."""
    if most < 0:
        return 0
    if first == 0 or second == 0:
        return 1
    key = (first, second, most)
    if key not in memo:
        memo[key] = ways(first - 1, second, most - second) + ways(first, second - 1, most)
    return memo[key]


def mann_whitney(base, head):
    """Returns the exact two-sided p; ties count half."""
    above = sum((one > other) + (one == other) / 2 for one in head for other in base)
    least = math.floor(min(above, len(base) * len(head) - above))
    orders = math.comb(len(base) + len(head), len(base))
    return min(1.0, 2 * ways(len(base), len(head), least) / orders)


def shown(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.2f} {unit}"
    return f"{nanoseconds:.1f} ns"


def verdict(value, low, high, p):
    if low <= 1 <= high or p >= SIGNIFICANCE or abs(value - 1) < LEAST_DIFFERENCE:
        return ""
    return "faster" if value < 1 else "SLOWER"


def line(name, rounds, draws):
    bases, heads = ([statistics.median(side) for side in sides] for sides in zip(*rounds))
    value, (low, high) = ratio(rounds), interval(rounds, draws)
    p = mann_whitney(bases, heads)
    word = verdict(value, low, high, p)
    times = f"{shown(statistics.median(bases)):>10} {shown(statistics.median(heads)):>10}"
    print(f"{name:<44} {times}  {value:6.3f} [{low:.3f} {high:.3f}]  {p:.3f}  {word}")
    return word


def main(results):
    sides = [(samples(round / "base"), samples(round / "head")) for round in sorted(results.iterdir())]
    names = sorted(set.intersection(*[set(side) for pair in sides for side in pair]))
    print(f"{'':<44} {'base':>10} {'head':>10}   ratio [95 % interval]  p")
    draws = random.Random(1)
    words = [line(name, [(base[name], head[name]) for base, head in sides], draws) for name in names]
    print(f"{words.count('faster')} faster, {words.count('SLOWER')} slower, of {len(names)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
