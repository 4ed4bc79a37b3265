"""A paired permutation test of the difference between two sides."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from featzoo.sequence import Array

# With up to 11 units every swap is tried (1,024 of them), with more as many random ones.
EXACT_UNITS = 11
PERMUTATIONS = 1023

Metrics = Mapping[str, float]
# The metrics of rows: those below N are of side A's predictions, row + N is the same clip predicted by side B.
Measure = Callable[[Array], Metrics]


def permutation_test(pairs: Sequence[Measure], units: Array) -> dict[str, float]:
    """Two-sided probabilities of a difference as large as the one found, if the sides did not differ.

    Then a unit's predictions could as well come from the other side. The sides are swapped in some of the units, for
    all clips of a unit and all pairs of runs together, in all possible ways or in 1,023 random ones.

    Args:
        pairs: A measure for each pair of a run of side A and one of side B.
        units: (N,) numbers of the units, from 0.

    Returns:
        Metric to its probability; NaN where the difference is not defined.
    """
    rows = np.arange(len(units))

    def differences(swapped: Array) -> dict[str, float]:
        moved = swapped[units]
        ours, theirs = rows + len(rows) * moved, rows + len(rows) * ~moved
        each = [(measure(ours), measure(theirs)) for measure in pairs]
        return {key: float(np.mean([a[key] - b[key] for a, b in each])) for key in each[0][0]}

    number = int(units.max()) + 1
    found = differences(np.zeros(number, dtype=bool))
    others = [differences(swapped) for swapped in _swaps(number)]
    return {key: _probability(value, [other[key] for other in others]) for key, value in found.items()}


def pairs_of(a: int, b: int) -> list[tuple[int, int]]:
    """Numbers of the runs of two sides, paired so that each run of a side is in as many pairs as the others."""
    return [(i % a, i % b) for i in range(math.lcm(a, b))]


def _swaps(number: int) -> Iterator[Array]:
    """The units to swap, (number,) bool: every choice but none and those with the last unit, which mirror others."""
    if number <= EXACT_UNITS:
        for choice in itertools.islice(itertools.product((False, True), repeat=number - 1), 1, None):
            yield np.array([*choice, False])
    else:
        yield from np.random.default_rng(0).integers(0, 2, size=(PERMUTATIONS, number)).astype(bool)


def _probability(found: float, others: Sequence[float]) -> float:
    """The share of differences at least as large as the one found, which counts itself."""
    if math.isnan(found):
        return math.nan
    values = np.array([value for value in others if not math.isnan(value)])
    # Sums in another order differ in their last digits.
    return float((1 + (np.abs(values) >= abs(found) * (1 - 1e-9)).sum()) / (1 + len(values)))
