"""The bound of :mod:`gapless.readable.planes` on a grid of places, compiled: no sort.

Of a cell, G, e and A are known at the places of a grid from sums over the bins between them, in one
pass over the samples.  Between two places, h apart, a kink of slope s moves a piecewise linear
function by at most ``s h / 4`` from its chord, and A, a path of steps from one end to the other,
strays from these by at most ``sqrt(length^2 - distance^2) / 2``.  Both are charged, and what is
charged is told: where that is what keeps a cell open, sorted places decide.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def bound_cells(  # type: ignore[no-untyped-def]
    columns, pairs, turns, Lam, sizes, T, bins, limit, bounds, charges, spans, places, worth
):
    """Fill bounds, charges and spans (k,), and of open cells place and worth (k, 2) of ramps.

    ``columns`` (d, n) are the features, ``turns`` (k, 2) cosine and sine of each cell's direction.
    ``bounds - charges`` is what the bound is without its charge.
    """
    n, outputs = columns.shape[1], Lam.shape[1]
    p, q = np.empty(n), np.empty(n)
    # of a bin: gains of G and what they are worth at zero, steps of A, gains of e and what they
    # are worth, kinks, length of the path of A
    sums = np.empty((bins, 3 * outputs + 4))
    moments = np.empty((2, outputs))
    for cell in range(len(pairs)):
        lo, hi, spans[cell] = _turn(
            columns[pairs[cell, 0]], columns[pairs[cell, 1]], turns[cell], T, p, q
        )
        h = (hi - lo) / bins
        sums[:] = 0.0
        moments[:] = 0.0
        _fill(p, q, Lam, sizes, T, lo, h, sums, moments)
        bounds[cell], charges[cell] = _largest(sums, moments, T, h)
        worth[cell] = 0.0
        if bounds[cell] > limit:
            sums[:, : 2 * outputs] = 0.0
            _ramps(p, Lam, lo, h, sums, moments, places[cell], worth[cell])


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(first, second, turn, T, p, q):  # type: ignore[no-untyped-def]
    """Samples along and across a direction; the ends of all tents, and the size of numbers."""
    lo, hi, along, across = np.inf, -np.inf, 0.0, 0.0
    for i in range(len(p)):
        p[i] = first[i] * turn[0] + second[i] * turn[1]
        q[i] = second[i] * turn[0] - first[i] * turn[1]
        reach = T * abs(q[i])
        lo, hi = min(lo, p[i] - reach), max(hi, p[i] + reach)
        along, across = max(along, abs(p[i])), max(across, abs(q[i]))
    return lo, hi, along + (1 + T) * across


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(p, q, Lam, sizes, T, lo, h, sums, moments):  # type: ignore[no-untyped-def]
    """The sums of all bins, and the first moments of Lam along and across."""
    bins, outputs = len(sums), Lam.shape[1]
    last, per = bins - 1, 1 / h if h > 0 else 0.0
    rest = 3 * outputs
    for i in range(len(p)):
        at, reach = p[i] - lo, T * abs(q[i])
        middle = min(int(at * per), last)
        sums[middle, rest] -= sizes[i]
        sums[middle, rest + 1] -= sizes[i] * at
        sums[middle, rest + 2] += sizes[i]
        sums[middle, rest + 3] += sizes[i] * abs(q[i])
        for c in range(outputs):
            sums[middle, 2 * outputs + c] += Lam[i, c] * q[i]
            moments[0, c] += Lam[i, c] * p[i]
            moments[1, c] += Lam[i, c] * q[i]
        for end in (at - reach, at + reach):
            k = max(min(int(end * per), last), 0)
            half = 0.5 * sizes[i]
            sums[k, rest] += half
            sums[k, rest + 1] += half * end
            sums[k, rest + 2] += half
            for c in range(outputs):
                sums[k, c] += 0.5 * Lam[i, c]
                sums[k, outputs + c] += 0.5 * Lam[i, c] * end


@njit(cache=True, nogil=True, error_model="numpy")
def _largest(sums, moments, T, h):  # type: ignore[no-untyped-def]
    """The largest bound over all bins, and how much of it is charged."""
    bins, outputs = len(sums), moments.shape[1]
    rest = 3 * outputs
    gain, worth, G, A, new_G, new_A = np.zeros((6, outputs))
    steep, tent, e, most, bare = 0.0, 0.0, 0.0, 0.0, 0.0
    begin = _square(G, A, moments, T)
    for b in range(bins):
        t, distance = (b + 1) * h, 0.0
        for c in range(outputs):
            gain[c] += sums[b, c]
            worth[c] += sums[b, outputs + c]
            new_G[c] = gain[c] * t - worth[c]
            step = sums[b, 2 * outputs + c]
            new_A[c] = A[c] + step
            distance += step * step
        steep += sums[b, rest]
        tent += sums[b, rest + 1]
        new_e = steep * t - tent
        length, kinks = sums[b, rest + 3], 0.25 * h * sums[b, rest + 2]
        end = _square(new_G, new_A, moments, T)
        here = max(begin, _square(G, new_A, moments, T))
        there = max(end, _square(new_G, A, moments, T))
        begin, least = end, min(bare, most - kinks - 0.5 * T * length)
        if here > max(least - e, 0.0) ** 2 or there > max(least - new_e, 0.0) ** 2:
            top = max(np.sqrt(here) + e, np.sqrt(there) + new_e)
            stray = 0.5 * np.sqrt(max(length * length - distance, 0.0))
            bare, most = max(bare, top), max(most, top + kinks + T * stray)
        G, new_G, A, new_A, e = new_G, G, new_A, A, new_e
    return most, most - bare


@njit(cache=True, nogil=True, error_model="numpy")
def _square(G, A, moments, T):  # type: ignore[no-untyped-def]
    """The larger square of left and right ramps, and of both edges of the cell."""
    left0, left1, right0, right1 = 0.0, 0.0, 0.0, 0.0
    for c in range(len(G)):
        near, far = T * A[c], T * (moments[1, c] - A[c])
        g = G[c] + moments[0, c]
        left0 += (G[c] - near) ** 2
        left1 += (G[c] + near) ** 2
        right0 += (g - far) ** 2
        right1 += (g + far) ** 2
    return max(max(left0, left1), max(right0, right1))


@njit(cache=True, nogil=True, error_model="numpy")
def _ramps(p, Lam, lo, h, sums, moments, places, worth):  # type: ignore[no-untyped-def]
    """Place and worth of the best left and right ramp that bends on the grid."""
    bins, outputs = len(sums), Lam.shape[1]
    last, per = bins - 1, 1 / h if h > 0 else 0.0
    for i in range(len(p)):
        k = min(int((p[i] - lo) * per), last)
        for c in range(outputs):
            sums[k, c] += Lam[i, c]
            sums[k, outputs + c] += Lam[i, c] * (p[i] - lo)
    gain, value = np.zeros((2, outputs))
    for b in range(bins + 1):
        left, right = 0.0, 0.0
        for c in range(outputs):
            S = gain[c] * b * h - value[c]
            left += S * S
            right += (S + moments[0, c]) ** 2
            if b < bins:
                gain[c] += sums[b, c]
                value[c] += sums[b, outputs + c]
        if left > worth[0]:
            worth[0], places[0] = left, lo + b * h
        if right > worth[1]:
            worth[1], places[1] = right, lo + b * h
    worth[0], worth[1] = np.sqrt(worth[0]), np.sqrt(worth[1])
