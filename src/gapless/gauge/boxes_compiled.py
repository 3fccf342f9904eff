"""The bounds of :mod:`gapless.gauge.boxes`, compiled: the same formulas, a box at a time.

Sums run over samples first, in blocks that stay in the cache, so that a compiler may take many at
once; they may be added in any order, which :mod:`gapless.gauge.direction` charges.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from ..core.checks import Array
from ..core.rounding import TINY
from .boxes import (
    BELOW,
    INHERIT,
    ROUNDS,
    SHIFTS,
    SLOPE,
    SPREAD,
    SWEEPS,
    Bounder,
    Cone,
    Found,
    Side,
)  # fmt: skip

# Samples of a block.
SAMPLES = 64
# Sums may be reordered; what is infinite or no number keeps its meaning.
LOOSE = {"reassoc", "contract", "nsz"}
STEPS = np.array(SHIFTS)


@njit(cache=True, nogil=True, fastmath=LOOSE, error_model="numpy")
def _project(X, u, w, m, t, T, s, r):  # type: ignore[no-untyped-def]
    """At the samples of a block (D, SAMPLES): t, T, and what is guessed of spread and shift."""
    t[:] = 0.0
    T[:] = 0.0
    s[:] = 0.0
    r[:] = 0.0
    for k in range(len(u)):
        x = X[k]
        uk, wk = u[k], w[k]
        mk, vk = (1 - SPREAD) * wk * m[k], SPREAD * wk * wk
        for i in range(SAMPLES):
            t[i] += uk * x[i]
            T[i] += wk * abs(x[i])
            s[i] += vk * x[i] * x[i]
            r[i] += mk * x[i]
    for i in range(SAMPLES):
        s[i] += SPREAD / (1 - SPREAD) * r[i] * r[i]


@njit(cache=True, nogil=True, fastmath=LOOSE, error_model="numpy")
def _from_above(p, t, T, s, r, linear, square, width):  # type: ignore[no-untyped-def]
    """Coefficients of a block from above; the sum of its constants."""
    total = 0.0
    for i in range(SAMPLES):
        turn = -1.0 if t[i] < 0 else 1.0
        a = abs(t[i])
        mean = a + turn * r[i]
        L = T[i] - a if T[i] > a else 0.0
        c = np.sqrt(mean * mean + s[i]) + TINY
        far = mean + L
        least = 1e-3 * T[i]
        far = far if far > least else least
        z = far / (far * far + s[i] + TINY)
        tangent = 1 / (z + TINY) - L
        parabola = (c <= L) | (tangent < L)
        bow = 0.5 / c if parabola else 2 * L * z * z
        off = a if parabola else a - tangent
        constant = bow * a * a + 0.5 * c if parabola else a + bow * off * off
        slope = 2 * bow * a if parabola else 1 + 2 * bow * off
        crossed = a < T[i]
        total += p[i] * (constant if crossed else a)
        linear[i] = p[i] * turn * (slope if crossed else 1.0)
        square[i] = p[i] * bow if crossed else 0.0
        width[i] = square[i]
    return total


@njit(cache=True, nogil=True, fastmath=LOOSE, error_model="numpy")
def _from_below(p, t, T, s, r, linear, square, width):  # type: ignore[no-untyped-def]
    """Coefficients of a block from below, their signs turned; the sum of its constants."""
    total = 0.0
    for i in range(SAMPLES):
        turn = -1.0 if t[i] < 0 else 1.0
        a = abs(t[i])
        mean = a + turn * r[i]
        crossed = a < T[i]
        reach = T[i] if crossed else 1.0
        secant = mean * mean + s[i] - a * mean > reach * abs(mean)
        side = -1.0 if mean < 0 else 1.0
        constant = 0.0 if secant else side * a
        slope = a / reach if secant else side
        bow = 1 / reach if secant else 0.0
        total -= p[i] * (constant if crossed else a)
        linear[i] = -p[i] * turn * (slope if crossed else 1.0)
        square[i] = -p[i] * bow if crossed else 0.0
        width[i] = p[i] * BELOW * (1 - a / reach) / reach if crossed else 0.0
    return total


@njit(cache=True, nogil=True, fastmath=LOOSE, error_model="numpy")
def _collect(X, linear, square, width, y, slope, packed, widths):  # type: ignore[no-untyped-def]
    """Add a block to slope (D,), packed (D (D + 1) / 2,) and widths (D,)."""
    at = 0
    for k in range(len(slope)):
        x = X[k]
        first = 0.0
        second = 0.0
        for i in range(SAMPLES):
            first += linear[i] * x[i]
            second += width[i] * x[i] * x[i]
            y[i] = square[i] * x[i]
        slope[k] += first
        widths[k] += second
        for j in range(k, len(slope)):
            other = X[j]
            both = 0.0
            for i in range(SAMPLES):
                both += y[i] * other[i]
            packed[at] += both
            at += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _dual(g, Q, C, mu, still, A, h):  # type: ignore[no-untyped-def]
    """``C + sum mu + g^T M^-1 g / 4``, infinite where M is not positive definite.

    A has the Cholesky factor of M, and h the solution of ``A h = g``.
    """
    D = len(g)
    dual = C
    for k in range(D):
        for j in range(k):
            A[k, j] = -Q[k, j]
        A[k, k] = 1.0 if still[k] else mu[k] - Q[k, k]
        dual += mu[k]
    for j in range(D):
        pivot = A[j, j]
        for k in range(j):
            pivot -= A[j, k] * A[j, k]
        if not pivot > 0:
            return np.inf
        root = np.sqrt(pivot)
        A[j, j] = root
        for i in range(j + 1, D):
            entry = A[i, j]
            for k in range(j):
                entry -= A[i, k] * A[j, k]
            A[i, j] = entry / root
        right = g[j]
        for k in range(j):
            right -= A[j, k] * h[k]
        h[j] = right / root
        dual += 0.25 * h[j] * h[j]
    return dual


@njit(cache=True, nogil=True, error_model="numpy")
def _improve(g, A, mu, still, V, x):  # type: ignore[no-untyped-def]
    """Each multiplier to its best, one after the other; x is where the Lagrangian is largest.

    With ``V = M^-1`` and ``x = V g / 2`` a step d in mu_k makes x_k ``x_k / (1 + d V_kk)``, and the
    dual is least where that is 1 in size.
    """
    D = len(g)
    # the inverse of the factor, then V
    for c in range(D):
        for r in range(c):
            V[r, c] = 0.0
        V[c, c] = 1 / A[c, c]
        for r in range(c + 1, D):
            entry = 0.0
            for k in range(c, r):
                entry -= A[r, k] * V[k, c]
            V[r, c] = entry / A[r, r]
    for i in range(D):
        for j in range(i, D):
            entry = 0.0
            for k in range(j, D):
                entry += V[k, i] * V[k, j]
            A[i, j] = entry
    for i in range(D):
        for j in range(i, D):
            V[i, j] = A[i, j]
            V[j, i] = A[i, j]
    for i in range(D):
        entry = 0.0
        for j in range(D):
            entry += V[i, j] * g[j]
        x[i] = 0.5 * entry
    for _ in range(ROUNDS):
        for k in range(D):
            if still[k]:
                continue
            step = max((abs(x[k]) - 1) / V[k, k], -0.9 * mu[k])
            shrink = step / (1 + step * V[k, k])
            mu[k] += step
            at = x[k]
            for i in range(D):
                A[0, i] = V[k, i]
            for i in range(D):
                x[i] -= shrink * at * A[0, i]
                for j in range(D):
                    V[i, j] -= shrink * A[0, i] * A[0, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _box_maximum(g, Q, C, z, x, mu, A, h, Qz, V, still):  # type: ignore[no-untyped-def]
    """As :func:`gapless.gauge.boxes.box_maximum`, of one box; z and x are written."""
    D = len(g)
    bound, top = C, 0.0
    for k in range(D):
        row = 0.0
        for j in range(D):
            row += abs(Q[k, j])
        top = max(top, row)
        still[k] = row == 0 and g[k] == 0
        bound += abs(g[k]) + max(row - abs(Q[k, k]) + Q[k, k], 0.0)
        z[k] = -1.0 if g[k] < 0 else 1.0
        x[k] = z[k]
    if bound <= 0:
        return bound
    for _ in range(SWEEPS):
        for k in range(D):
            pull = 0.5 * g[k]
            for j in range(D):
                pull += Q[k, j] * z[j]
            z[k] = -1.0 if pull - Q[k, k] * z[k] < 0 else 1.0
    value = C
    for k in range(D):
        pull = 0.0
        for j in range(D):
            pull += Q[k, j] * z[j]
        Qz[k] = pull
        value += z[k] * (g[k] + pull)
        x[k] = z[k]
    if value > 0:
        return bound
    for shift in STEPS:
        for k in range(D):
            least = max(z[k] * (Qz[k] + 0.5 * g[k]), 0.0)
            mu[k] = 0.0 if still[k] else least + shift * top
        dual = _dual(g, Q, C, mu, still, A, h)
        if dual < np.inf:
            bound = min(bound, dual)
            if bound > 0:
                _improve(g, A, mu, still, V, x)
                bound = min(bound, _dual(g, Q, C, mu, still, A, h))
            break
    return bound


def blocks(side: Side) -> tuple[Array, Array]:
    """Samples (blocks, D, SAMPLES) and weights (blocks, SAMPLES), filled up by zeros."""
    n, D = side.X.shape
    count = -(-n // SAMPLES)
    full, weights = np.zeros((count * SAMPLES, D)), np.zeros(count * SAMPLES)
    full[:n], weights[:n] = side.X, side.p
    by_block = full.reshape(count, SAMPLES, D).transpose(0, 2, 1)
    return np.ascontiguousarray(by_block), weights.reshape(count, SAMPLES)


@njit(cache=True, nogil=True, error_model="numpy")
def bound_boxes(  # type: ignore[no-untyped-def]
    above, p_above, below, p_below, q, normed, G, U, W, mean, open_, bound, edge, new, vertex
):
    """As :func:`gapless.gauge.boxes.bound_boxes`; answers are written."""
    n, D = U.shape
    lanes = np.empty((8, SAMPLES))
    t, T, s, r, linear = lanes[0], lanes[1], lanes[2], lanes[3], lanes[4]
    square, width, y = lanes[5], lanes[6], lanes[7]
    packed, slope, widths = np.empty(D * (D + 1) // 2), np.empty(D), np.empty(D)
    Q, A, V = np.empty((D, D)), np.empty((D, D)), np.empty((D, D))
    rows, still = np.empty((10, D)), np.empty(D, np.bool_)
    g, z, mu, h, Qz = rows[0], rows[1], rows[2], rows[3], rows[4]
    e, corner, steep, x = rows[5], rows[6], rows[7], rows[8]
    guess = rows[9]
    for box in range(n):
        u, w = U[box], W[box]
        packed[:] = 0.0
        slope[:] = 0.0
        widths[:] = 0.0
        C = 0.0
        for block in range(len(above)):
            _project(above[block], u, w, mean[box], t, T, s, r)
            C += _from_above(p_above[block], t, T, s, r, linear, square, width)
            _collect(above[block], linear, square, width, y, slope, packed, widths)
        for block in range(len(below)):
            _project(below[block], u, w, mean[box], t, T, s, r)
            C += _from_below(p_below[block], t, T, s, r, linear, square, width)
            _collect(below[block], linear, square, width, y, slope, packed, widths)
        N, B = 0.0, 0.0
        for k in range(D):
            N += normed[k] * u[k] * u[k]
            B += normed[k] * w[k] * w[k]
        N = np.sqrt(N)
        longest = N
        along = 0.0
        for k in range(D):
            e[k] = normed[k] * u[k] / N
            longest += abs(e[k]) * w[k]
            along += u[k] * q[k]
            steep[k] = 0.0
        bend = G / (np.sqrt(longest * longest + B) + longest)
        at = 0
        for k in range(D):
            for j in range(k, D):
                entry = (packed[at] + bend * e[k] * e[j]) * w[k] * w[j]
                if j == k:
                    entry -= bend * normed[k] * w[k] * w[k]
                Q[k, j] = entry
                Q[j, k] = entry
                at += 1
        best = -np.inf
        turned = 1.0
        for side in range(2):
            bound[box, side] = -np.inf
            if not open_[box, side]:
                continue
            sign = 1.0 - 2.0 * side
            for k in range(D):
                g[k] = (slope[k] + sign * q[k] - G * e[k]) * w[k]
            found = _box_maximum(g, Q, C + sign * along - G * N, z, x, mu, A, h, Qz, V, still)
            bound[box, side] = found
            if found > 0:
                for k in range(D):
                    steep[k] = max(steep[k], abs(g[k]))
            if found > best:
                best, turned = found, sign
                corner[:] = z
                for k in range(D):
                    guess[k] = min(max(x[k], -1.0), 1.0)
        most, chosen = -1.0, 0
        for k in range(D):
            score = widths[k] * w[k] * w[k] + SLOPE * steep[k]
            if score > most:
                most, chosen = score, k
            new[box, k] = (1 - INHERIT) * mean[box, k] + INHERIT * guess[k]
            vertex[box, k] = turned * (u[k] + w[k] * corner[k])
        edge[box] = chosen


def is_compiled() -> bool:
    """Whether this machine has compiled it before; loading then takes a third of a second."""
    return any(Path(str(bound_boxes.stats.cache_path)).glob("boxes_compiled.bound_boxes*.nbi"))


def bounder() -> Bounder:
    """:func:`gapless.gauge.boxes.bound_boxes` by compiled loops."""
    kept: dict[Cone, tuple[Array, ...]] = {}
    compiled: Any = bound_boxes

    def bound(cone: Cone, G: float, U: Array, W: Array, mean: Array, open_: Array) -> Found:
        if cone not in kept:
            kept[cone] = (*blocks(cone.above), *blocks(cone.below))
        n, D = U.shape
        found = Found(np.empty((n, 2)), np.empty(n, np.int64), np.empty((n, D)), np.empty((n, D)))
        answers = found.bound, found.edge, found.mean, found.vertex
        compiled(*kept[cone], cone.q, cone.normed, G, U, W, mean, open_, *answers)
        return found

    return bound
