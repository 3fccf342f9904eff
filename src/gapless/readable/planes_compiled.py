"""The bound of :mod:`gapless.readable.planes`, compiled: the same sums in one pass over a cell."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def bound_cells(p, q, order, Lam, sizes, T, bounds, places, worth):  # type: ignore[no-untyped-def]
    """Fill bounds (k,), and place and worth (k, 2) of the best left and right ramp.

    ``order`` (k, 3n) sorts the points ``p - T|q|``, ``p``, ``p + T|q|`` of each cell, one after
    the other.
    """
    cells, n = p.shape
    outputs = Lam.shape[1]
    sums = np.zeros((7, outputs))
    G, steep, A, S, slope, M0, M1 = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6]
    for cell in range(cells):
        sums[:] = 0.0
        for i in range(n):
            for c in range(outputs):
                M0[c] += Lam[i, c] * p[cell, i]
                M1[c] += Lam[i, c] * q[cell, i]
        e, steeper, most = 0.0, 0.0, 0.0
        best_left, best_right, at_left, at_right = 0.0, 0.0, 0.0, 0.0
        before = p[cell, order[cell, 0] % n]
        for k in range(3 * n):
            kind, i = order[cell, k] // n, order[cell, k] % n
            t = p[cell, i] + (kind - 1) * T * abs(q[cell, i])
            if k == 0:
                before = t
            width = t - before
            before = t
            e += steeper * width
            left0, left1, left2, left3 = 0.0, 0.0, 0.0, 0.0
            right0, right1, right2, right3 = 0.0, 0.0, 0.0, 0.0
            left, right = 0.0, 0.0
            for c in range(outputs):
                lam = Lam[i, c]
                G[c] += steep[c] * width
                S[c] += slope[c] * width
                left += S[c] * S[c]
                right += (S[c] + M0[c]) * (S[c] + M0[c])
                old = T * A[c]
                if kind == 1:
                    A[c] += lam * q[cell, i]
                    slope[c] += lam
                else:
                    steep[c] += 0.5 * lam
                new, far, g = T * A[c], T * M1[c], G[c] + M0[c]
                left0 += (G[c] - old) ** 2
                left1 += (G[c] + old) ** 2
                left2 += (G[c] - new) ** 2
                left3 += (G[c] + new) ** 2
                right0 += (g - (far - old)) ** 2
                right1 += (g + (far - old)) ** 2
                right2 += (g - (far - new)) ** 2
                right3 += (g + (far - new)) ** 2
            steeper += -sizes[i] if kind == 1 else 0.5 * sizes[i]
            top = max(max(left0, left1), max(left2, left3))
            top = max(top, max(max(right0, right1), max(right2, right3)))
            most = max(most, np.sqrt(top) + e)
            if kind == 1:
                if left > best_left:
                    best_left, at_left = left, t
                if right > best_right:
                    best_right, at_right = right, t
        bounds[cell] = most
        places[cell, 0], places[cell, 1] = at_left, at_right
        worth[cell, 0], worth[cell, 1] = np.sqrt(best_left), np.sqrt(best_right)
