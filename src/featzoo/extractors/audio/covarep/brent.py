"""Brent's search for the minimum of a function between bounds, for many functions side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from featzoo.sequence import Array

TOLERANCE, MOST_STEPS = 0.01, 32  # as in COVAREP
GOLDEN = 0.5 * (3 - np.sqrt(5.0))
# A parabola through the same three points leads to the same, already known bound of the bracket: to the last bit
# an equality, which rounding decides in the original. Here it counts as outside, on every machine.
TIE = 1e-9


@dataclass
class _Search:
    """The state of the search, one element per function.

    Attributes:
        a: Lower bounds of the minima.
        b: Upper bounds.
        x: The best points so far.
        w: The second best points.
        v: The points that were second best before.
        fx: Values at `x`.
        fw: Values at `w`.
        fv: Values at `v`.
        step: The last moves.
        before: The moves before those.
    """

    a: Array
    b: Array
    x: Array
    w: Array
    v: Array
    fx: Array
    fw: Array
    fv: Array
    step: Array
    before: Array

    def next_points(self, r: Array, middle: Array, tol: Array) -> Array:
        """The next points of the functions `r`: the vertex of a parabola if that is safe, else a golden section."""
        x, a, b, t, last = self.x[r], self.a[r], self.b[r], tol[r], self.before[r]
        i, j = (x - self.w[r]) * (self.fx[r] - self.fv[r]), (x - self.v[r]) * (self.fx[r] - self.fw[r])
        p, q = (x - self.v[r]) * j - (x - self.w[r]) * i, 2 * (j - i)
        p = np.where(q > 0, -p, p)
        q = np.abs(q)
        inside = (p > (1 - TIE) * q * (a - x)) & (p < (1 - TIE) * q * (b - x))
        parabolic = (np.abs(last) > t) & (np.abs(p) < np.abs(0.5 * q * last)) & inside
        with np.errstate(divide="ignore", invalid="ignore"):
            move = p / q
        to = x + move
        toward = np.where(middle[r] >= x, t, -t)
        move = np.where((to - a < 2 * t) | (b - to < 2 * t), toward, move)
        section = np.where(x >= middle[r], a - x, b - x)
        self.before[r] = np.where(parabolic, self.step[r], section)
        self.step[r] = move = np.where(parabolic, move, GOLDEN * section)
        return np.asarray(x + np.where(move >= 0, 1.0, -1.0) * np.maximum(np.abs(move), t))

    def add(self, r: Array, u: Array, fu: Array) -> None:
        """Narrow the brackets of the functions `r` by their values `fu` at `u`, and keep the three best points."""
        x, w, v = self.x[r], self.w[r], self.v[r]
        better = fu <= self.fx[r]
        self.a[r] = np.where(better, np.where(u >= x, x, self.a[r]), np.where(u < x, u, self.a[r]))
        self.b[r] = np.where(better, np.where(u >= x, self.b[r], x), np.where(u < x, self.b[r], u))
        second = ~better & ((fu <= self.fw[r]) | (w == x))
        third = ~better & ~second & ((fu <= self.fv[r]) | (v == x) | (v == w))
        shift = better | second
        self.v[r] = np.where(shift, w, np.where(third, u, v))
        self.fv[r] = np.where(shift, self.fw[r], np.where(third, fu, self.fv[r]))
        self.w[r] = np.where(better, x, np.where(second, u, w))
        self.fw[r] = np.where(better, self.fx[r], np.where(second, fu, self.fw[r]))
        self.x[r], self.fx[r] = np.where(better, u, x), np.where(better, fu, self.fx[r])


def bounded_minimum(
    measure: Callable[[Array, Array], Array], count: int, low: float, high: float
) -> tuple[Array, Array]:
    """The minima of `count` functions of one variable between `low` and `high`.

    scipy.optimize searches one function at a time, which for the frames of a recording takes many times as long.

    Args:
        measure: Gives the values at `x` (b,) of the functions with the numbers `rows` (b,).
        count: Number of functions.
        low: Lower bound of the search.
        high: Upper bound.

    Returns:
        The position and the value of each function's minimum, (count,) each.

    Reference:
        Brent, "Algorithms for minimization without derivatives", 1973, chapter 5; the same steps that
        `scipy.optimize.fminbound` and MATLAB's `fminbnd` take for one function.
    """
    x = np.full(count, low) + GOLDEN * (high - low)
    fx = measure(x, np.arange(count))
    copies = [values.copy() for values in (x, x, fx, fx)]
    search = _Search(
        np.full(count, low), np.full(count, high), x, copies[0], copies[1], fx, copies[2], copies[3],
        np.zeros(count), np.zeros(count),
    )  # fmt: skip
    for _ in range(1, MOST_STEPS):
        middle = 0.5 * (search.a + search.b)
        tol = 2 * np.finfo(float).eps * np.abs(search.x) + TOLERANCE / 3
        r = np.flatnonzero(np.abs(search.x - middle) > 2 * tol - 0.5 * (search.b - search.a))
        if not len(r):
            break
        u = search.next_points(r, middle, tol)
        search.add(r, u, measure(u, r))
    return search.x, search.fx
