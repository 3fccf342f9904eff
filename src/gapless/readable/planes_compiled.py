"""The bound of :mod:`gapless.readable.planes` on the windows of cells, compiled: no sort.

A window is cut into bins.  G, e and A are known at its beginning and, from sums over the bins, at
each bin's end.  Within a bin of width h a kink of slope s moves a piecewise linear function by at
most ``s h / 4`` from its chord, and A, a path of steps from one end to the other, strays from these
by at most ``sqrt(length^2 - distance^2) / 2``.  Both are charged.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..core.rounding import EPS

# Bins of a window for each sample that can be in it, or half of the widest tent, and how many.
EACH, TENTS, FEWEST, MOST = 0.5, 1.0, 8, 4096
# Closed bins that part two windows: more than this share of all.  Windows of one cell at most.
APART, WINDOWS = 8, 9
# Widths below it are none: one over them is no number.
NOTHING = 1e-280


@njit(cache=True, nogil=True, error_model="numpy")
def bound_cells(  # type: ignore[no-untyped-def]
    columns, Lam, sizes, pairs, turns, T, limits, rounding, windows, spans, samples,
    heads, settled, bounds, places, worth, owner, open_, open_spans, open_samples,
):  # fmt: skip
    """Bound cells, and list the windows in which their bounds are above their limits.

    ``columns`` (d, n) are the features, ``turns`` (k, 2) cosine and sine of each cell's direction;
    ``windows``, ``spans``, ``samples`` and ``heads``, to which samples are added that have left,
    are those of the cells.  Of each cell ``settled`` becomes the bound where it is closed,
    ``bounds`` that of all of it, and where it is open ``places`` and ``worth`` (k, 2) those of the
    best ramps of its direction.

    Returns the number of open windows, of each of which ``owner`` has the cell, ``open_`` the ends,
    ``open_spans`` and ``open_samples`` the samples; and the number of these.
    """
    n, outputs = Lam.shape
    p, q, kept = np.empty(n), np.empty(n), np.empty(n, dtype=np.int32)
    sums, start = np.empty((MOST, 3 * outputs + 4)), np.empty((3, outputs))
    moments, totals = np.empty((2, outputs)), columns @ Lam
    shrink = 1 / np.sqrt(1 + T * T)  # a ramp bends this much nearer to the origin, or less
    count, length = 0, 0
    for cell in range(len(pairs)):
        first, second = pairs[cell]
        u, v = turns[cell]
        lo = min(windows[cell, 0], windows[cell, 0] / shrink)
        hi = max(windows[cell, 1], windows[cell, 1] / shrink)
        some = samples[spans[cell, 0] : spans[cell, 1]]
        m, reach = _turn(
            columns[first], columns[second], u, v, T, lo, hi, Lam, some, p, q, kept, heads[cell]
        )
        for c in range(outputs):
            moments[0, c] = u * totals[first, c] + v * totals[second, c]
            moments[1, c] = u * totals[second, c] - v * totals[first, c]
        # both what tents and what kinks in bins give away fall with T then, however long the window
        wide = (hi - lo) / reach if reach > NOTHING else 0.0
        bins = int(min(max(EACH * m, TENTS * wide, FEWEST), MOST))
        h = (hi - lo) / bins
        _begin(heads[cell], u, v, lo, start)
        e = _fill(p[:m], q[:m], kept, Lam, sizes, T, lo, h, sums[:bins], start)
        settled[cell], bounds[cell], found = _scan(
            sums[:bins], start, e, moments, T, lo, h, limits[cell], rounding[cell], open_[count:]
        )
        worth[cell] = 0.0
        if found:
            _begin(heads[cell], u, v, lo, start)
            _ramps(p[:m], kept, Lam, lo, h, sums[:bins], start, moments, places[cell], worth[cell])
            for w in range(count, count + found):
                owner[w] = cell
                open_[w, 0] = min(open_[w, 0], open_[w, 0] * shrink)
                open_[w, 1] = max(open_[w, 1], open_[w, 1] * shrink)
                open_spans[w, 0], open_spans[w, 1] = length, length + m
            open_samples[length : length + m] = kept[:m]
            count, length = count + found, length + m
    return count, length


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(first, second, u, v, T, lo, hi, Lam, some, p, q, kept, head):  # type: ignore[no-untyped-def]
    """Samples along and across a direction, those that can bend in the window; how many, and half
    of the widest tent.

    Those before it are added to its head.
    """
    m, widest = 0, 0.0
    for i in some:
        along, across = first[i] * u + second[i] * v, second[i] * u - first[i] * v
        reach = T * abs(across)
        if along + reach <= lo:
            for c in range(Lam.shape[1]):
                head[c, 0] += Lam[i, c]
                head[c, 1] += Lam[i, c] * first[i]
                head[c, 2] += Lam[i, c] * second[i]
        elif along - reach < hi:
            p[m], q[m], kept[m] = along, across, i
            m, widest = m + 1, max(widest, reach)
    return m, widest


@njit(cache=True, nogil=True, error_model="numpy")
def _begin(head, u, v, lo, start):  # type: ignore[no-untyped-def]
    """Slope and offset of G, in ``slope (t - lo) - offset``, and A, of the samples of the head."""
    for c in range(len(head)):
        start[0, c] = head[c, 0]
        start[1, c] = u * head[c, 1] + v * head[c, 2] - head[c, 0] * lo
        start[2, c] = u * head[c, 2] - v * head[c, 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(p, q, kept, Lam, sizes, T, lo, h, sums, start):  # type: ignore[no-untyped-def]
    """The sums of all bins; what lies before them joins ``start``, and is e's slope and offset.

    Of a bin: gains of the slope and offset of G, steps of A, gains of e's slope and offset, kinks,
    length of the path of A.
    """
    bins, outputs = len(sums), Lam.shape[1]
    last, per, width = bins - 1, 1 / h if h > NOTHING else 0.0, bins * h
    rest = 3 * outputs
    sums[:] = 0.0
    steep, offset = 0.0, 0.0
    for k in range(len(p)):
        i, at, reach = kept[k], p[k] - lo, T * abs(q[k])
        if at <= 0:
            steep -= sizes[i]
            offset -= sizes[i] * at
            for c in range(outputs):
                start[2, c] += Lam[i, c] * q[k]
        elif at < width:
            b = min(int(at * per), last)
            sums[b, rest] -= sizes[i]
            sums[b, rest + 1] -= sizes[i] * at
            sums[b, rest + 2] += sizes[i]
            sums[b, rest + 3] += sizes[i] * abs(q[k])
            for c in range(outputs):
                sums[b, 2 * outputs + c] += Lam[i, c] * q[k]
        half = 0.5 * sizes[i]
        for end in (at - reach, at + reach):
            if end <= 0:
                steep += half
                offset += half * end
                for c in range(outputs):
                    start[0, c] += 0.5 * Lam[i, c]
                    start[1, c] += 0.5 * Lam[i, c] * end
            elif end < width:
                b = min(int(end * per), last)
                sums[b, rest] += half
                sums[b, rest + 1] += half * end
                sums[b, rest + 2] += half
                for c in range(outputs):
                    sums[b, c] += 0.5 * Lam[i, c]
                    sums[b, outputs + c] += 0.5 * Lam[i, c] * end
    return steep, offset


@njit(cache=True, nogil=True, error_model="numpy")
def _scan(sums, start, tent, moments, T, lo, h, limit, rounding, windows):  # type: ignore[no-untyped-def]
    """The largest bound of closed bins, and of all; how many windows are open, and these."""
    bins, outputs = len(sums), moments.shape[1]
    rest, (steep, offset) = 3 * outputs, tent
    slope, shift, A, G, new_G, new_A = np.empty((6, outputs))
    slope[:], shift[:], A[:], G[:] = start[0], start[1], start[2], -start[1]
    e, settled, most, count, closed = -offset, 0.0, 0.0, 0, bins
    begin = _square(G, A, moments, T)
    for b in range(bins):
        distance = 0.0
        for c in range(outputs):
            slope[c] += sums[b, c]
            shift[c] += sums[b, outputs + c]
            new_G[c] = slope[c] * (b + 1) * h - shift[c]
            step = sums[b, 2 * outputs + c]
            new_A[c] = A[c] + step
            distance += step * step
        steep += sums[b, rest]
        offset += sums[b, rest + 1]
        new_e = steep * (b + 1) * h - offset
        kinks, length = 0.25 * h * sums[b, rest + 2], sums[b, rest + 3]
        stray = 0.5 * T * np.sqrt(max(length * length - distance, 0.0))
        end = _square(new_G, new_A, moments, T)
        here = max(begin, _square(G, new_A, moments, T))
        there = max(end, _square(new_G, A, moments, T))
        top = max(np.sqrt(here) + e, np.sqrt(there) + new_e) + kinks + stray
        top = (top + rounding) * (1 + 64 * EPS)
        most = max(most, top)
        if top <= limit:
            settled, closed = max(settled, top), closed + 1
        else:
            if closed * APART > bins:
                windows[count, 0] = lo + b * h
                count += 1
            windows[count - 1, 1], closed = lo + (b + 1) * h, 0
        G, new_G, A, new_A, e, begin = new_G, G, new_A, A, new_e, end
    return settled, most, count


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
def _ramps(p, kept, Lam, lo, h, sums, start, moments, places, worth):  # type: ignore[no-untyped-def]
    """Place and worth of the best left and right ramp that bends between two bins."""
    bins, outputs = len(sums), Lam.shape[1]
    last, per, width = bins - 1, 1 / h if h > NOTHING else 0.0, bins * h
    slope, shift = start[0], start[1]
    sums[:, : 2 * outputs] = 0.0
    for k in range(len(p)):
        i, at = kept[k], p[k] - lo
        if at <= 0:
            for c in range(outputs):
                slope[c] += Lam[i, c]
                shift[c] += Lam[i, c] * at
        elif at < width:
            b = min(int(at * per), last)
            for c in range(outputs):
                sums[b, c] += Lam[i, c]
                sums[b, outputs + c] += Lam[i, c] * at
    for b in range(bins + 1):
        left, right = 0.0, 0.0
        for c in range(outputs):
            S = slope[c] * b * h - shift[c]
            left += S * S
            right += (S + moments[0, c]) ** 2
            if b < bins:
                slope[c] += sums[b, c]
                shift[c] += sums[b, outputs + c]
        if left > worth[0]:
            worth[0], places[0] = left, lo + b * h
        if right > worth[1]:
            worth[1], places[1] = right, lo + b * h
    worth[0], worth[1] = np.sqrt(worth[0]), np.sqrt(worth[1])
