"""What the benchmarks share: rates measured in turns, and figures printed beside their targets."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

ROUNDS = 100
TURN = 0.01  # seconds

missed: list[str] = []


def verdict(what: str, figure: float, target: float, detail: str, most: bool = False) -> None:
    """Print a figure beside its target; `most` is one not to exceed."""
    passed = figure <= target if most else figure >= target
    if not passed:
        missed.append(what)
    bound = f"{'<=' if most else '>='} {target:g}"
    print(f"{'PASS' if passed else 'MISS'}  {what:<57} {figure:>8.2f}  {bound:<8} {detail}", flush=True)


def note(what: str, figure: float, detail: str) -> None:
    """Print a figure that has no target."""
    print(f"      {what:<57} {figure:>8.2f}  {'':<8} {detail}", flush=True)


def best(
    ways: Mapping[str, Callable[[], float]], rounds: int = ROUNDS, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Clips per second of each way, which gives how many it read: the best round, after one to warm up."""
    found = dict.fromkeys(ways, 0.0)
    for name, way in ways.items():
        for number in range(rounds + 1):
            started = clock()
            count = way()
            if number:
                found[name] = max(found[name], count / (clock() - started))
    return found


def turns(
    items: Iterator[Any], read: Callable[[Any], Any], weigh: Callable[[Any], float], most: int
) -> Callable[[], float]:
    """Something that reads on for about a turn and says how many clips that was; how long it takes is found out once.

    Args:
        items: Clips, or batches, without end.
        read: What is done with one.
        weigh: How many clips one is.
        most: Of them in a turn.
    """
    started, count = time.process_time(), 0
    while time.process_time() - started < TURN and count < most:
        read(next(items))
        count += 1

    def turn() -> float:
        clips = 0.0
        for item in itertools.islice(items, count):
            read(item)
            clips += weigh(item)
        return clips

    return turn
