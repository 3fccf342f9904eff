"""The kernels of :mod:`gapless.gauge.boxes`, compiled: the same formulas.

The maximum over a box takes :data:`LANES` boxes at a time, so that a compiler may do the same to
all of them at once.  Sums may be added in any order, which :mod:`gapless.gauge.rotated` charges.

Samples may be bounded in single precision, of unit roundoff ``u = 2^-24``; their sums over blocks
are added up in double precision, and all else is computed in it.  Any guess gives a valid bound, so
what counts is a sample's t and T and how its bound ``c + l y + b y^2``, |y| <= T, is rounded and
summed.  With ``M = c + T + b T^2`` from above, c the constant and b the bow, and ``M = a + T`` from
below,

    its coefficients     are off by at most 40 u M, as |l| T <= M and ``2 L (z T - 1)^2 <= c``,
    T                    by (D + 4) u T, where the bound's slope is at most 3 M / T,
    sums of m samples    by (m + 4) u (c + |l| T + b T^2) <= 2 (m + 4) u M,
    t                    by (D + 4) u sum_j |x_j u_j|, and so is |t|,

each at first order in u, which a per cent more covers; M is summed beside.  That is some 1e-4 of
the gauge where boxes are small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from ..core.checks import Array
from .boxes import (
    BELOW,
    BOXES,
    INHERIT,
    ROUNDS,
    SAMPLES,
    SHIFTS,
    SLOPE,
    SMALL,
    SPREAD,
    SWEEPS,
    TOUCH,
    TRUST,
    Bounder,
    Cone,
    Found,
)  # fmt: skip

LANES = 64
# Unit roundoff of single precision.
ROUNDOFF = 2.0**-24
# Of numbers about one, what products that single precision drops are worth, and what keeps the
# forms of samples below SMALLEST so flat that the roundings of such products are worth no more.
FLUSHED, SMALLEST = 1e-17, 1e-15
# Sums may be reordered; what is infinite or no number keeps its meaning.
LOOSE = {"reassoc", "contract", "nsz"}
STEPS = np.array(SHIFTS)


@njit(cache=True, nogil=True, fastmath=LOOSE, error_model="numpy")
def _above(p, t, T, spread, shift, which, sums, sizes, least):  # type: ignore[no-untyped-def]
    """Slopes of the samples in place of t, and bows in place of ``shift``; a row a box, T and the
    ``spread`` in row ``which`` of it."""
    of = p.dtype.type
    zero, half, one, two, few, small = of(0), of(0.5), of(1), of(2), of(1e-3), of(least)
    share = of(1 / TRUST - 1)
    for box in range(len(t)):
        total, size, edges = zero, zero, which[box]
        for i in range(len(p)):
            turn = -one if t[box, i] < 0 else one
            a, most = abs(t[box, i]), T[edges, i]
            mean = a + turn * shift[box, i]
            s = spread[edges, i] + share * shift[box, i] * shift[box, i]
            L = most - a if most > a else zero
            c = np.sqrt(mean * mean + s) + small
            far = mean + L if mean + L > few * most else few * most
            w = far * far + s + small
            parabola = (c <= L) | (two * L * far > w)
            ratio = (half if parabola else far) / (c if parabola else w)
            off = ratio * most - one
            bow = ratio if parabola else two * L * ratio * ratio
            linear = two * bow * a if parabola else one + two * two * L * ratio * off
            constant = bow * a * a + half * c if parabola else a + two * L * off * off
            total += p[i] * constant
            size += p[i] * (constant + most + bow * most * most)
            t[box, i] = p[i] * turn * linear
            shift[box, i] = p[i] * bow
        sums[box], sizes[box] = total, size


@njit(cache=True, nogil=True, fastmath=LOOSE, error_model="numpy")
def _below(p, t, T, spread, shift, which, sums, sizes):  # type: ignore[no-untyped-def]
    """As :func:`_above`."""
    of = p.dtype.type
    zero, one, share = of(0), of(1), of(1 / TRUST - 1)
    for box in range(len(t)):
        total, size, edges = zero, zero, which[box]
        for i in range(len(p)):
            turn = -one if t[box, i] < 0 else one
            a, most = abs(t[box, i]), T[edges, i]
            mean = a + turn * shift[box, i]
            s = spread[edges, i] + share * shift[box, i] * shift[box, i]
            crossed = a < most
            steep = one / (most if crossed else one)
            secant = crossed & (mean * mean + s - a * mean > most * abs(mean))
            side = -one if crossed & (mean < 0) else one
            total -= p[i] * (zero if secant else side * a)
            size += p[i] * (a + most)
            t[box, i] = -p[i] * turn * (a * steep if secant else side)
            shift[box, i] = -p[i] * steep if secant else zero
        sums[box], sizes[box] = total, size


@njit(cache=True, nogil=True, error_model="numpy")
def _rows(order, U, W, mean, u, r, w, s, which):  # type: ignore[no-untyped-def]
    """Centres and guesses of boxes, a row each, and widths and spreads, a row for those that are
    alike: how many."""
    of, count = u.dtype.type, 0
    for i in range(len(order)):
        box, alike = order[i], i > 0
        for k in range(U.shape[1]):
            u[i, k], r[i, k] = of(U[box, k]), of(TRUST * W[box, k] * mean[box, k])
            alike &= W[box, k] == W[order[max(i - 1, 0)], k]
        if not alike:
            for k in range(U.shape[1]):
                w[count, k], s[count, k] = of(W[box, k]), of(SPREAD * W[box, k] * W[box, k])
            count += 1
        which[i] = count - 1
    return count


@njit(cache=True, nogil=True, fastmath=LOOSE, error_model="numpy")
def _add(sums, block):  # type: ignore[no-untyped-def]
    for i in range(len(sums)):
        sums[i] += block[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _collect(side, above, scale, off, least, order, U, W, mean, C, slope, packed, widths):  # type: ignore[no-untyped-def]
    """Add the samples of one side, and ``off`` times their sizes; the fewer dot products the more
    boxes of the same widths are next to each other in the ``order``."""
    p, X, turned, sizes, squares, pairs = side
    n, D = U.shape
    lanes, small = np.empty((4, BOXES, p.shape[1]), p.dtype), np.empty((4, BOXES, D), p.dtype)
    block = np.empty(BOXES * (2 + D + packed.shape[1]), p.dtype)
    total = np.empty(len(block))
    which, weight = np.empty(BOXES, np.int64), scale if above else -BELOW * scale
    for first in range(0, n, BOXES):
        some = order[first : first + BOXES]
        m = len(some)
        u, r = small[0, :m], small[1, :m]
        count = _rows(some, U, W, mean, u, r, small[2], small[3], which)
        w, s, t, shift = small[2, :count], small[3, :count], lanes[0, :m], lanes[1, :m]
        T, spread = lanes[2, :count], lanes[3, :count]
        # what is summed lies in one piece: constants, sizes, slopes, forms
        at = np.array([0, m, 2 * m, (2 + D) * m, (2 + D + packed.shape[1]) * m])
        constants, most = block[: at[1]], block[at[1] : at[2]]
        linear = block[at[2] : at[3]].reshape((m, D))
        form = block[at[3] : at[4]].reshape((m, packed.shape[1]))
        total[:] = 0
        for b in range(len(p)):
            np.dot(u, turned[b], t)
            np.dot(r, turned[b], shift)
            np.dot(w, sizes[b], T)
            np.dot(s, squares[b], spread)
            if above:
                _above(p[b], t, T, spread, shift, which, constants, most, least)
            else:
                _below(p[b], t, T, spread, shift, which, constants, most)
            np.dot(t, X[b], linear)
            np.dot(shift, pairs[b], form)
            _add(total[: at[4]], block)
        slopes, squared = total[at[2] : at[3]].reshape((m, D)), total[at[3] : at[4]]
        for i in range(m):
            box, at_k = some[i], i * packed.shape[1]
            C[box] += scale * (total[i] + off * total[m + i])
            for k in range(packed.shape[1]):
                packed[box, k] += scale * squared[at_k + k]
            for k in range(D):
                slope[box, k] += scale * slopes[i, k]
                widths[box, k] += weight * squared[at_k]
                at_k += D - k


@njit(cache=True, nogil=True, error_model="numpy")
def _less_norm(C, slope, packed, G, U, W, mean, normed, g, Q):  # type: ignore[no-untyped-def]
    n, D = W.shape
    e = np.empty(D)
    for i in range(n):
        length, most, s, far, square = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(D):
            e[k] = normed[k] * (U[i, k] + TOUCH * W[i, k] * mean[i, k])
            length += e[k] * e[k]
            most += normed[k] * (abs(U[i, k]) + W[i, k]) ** 2
            square += normed[k] * U[i, k] * U[i, k]
        for k in range(D):
            e[k] /= np.sqrt(length)
            s += e[k] * U[i, k]
            far += abs(e[k]) * W[i, k]
        bend = 1 / (np.sqrt(most) + s + far)
        C[i] -= G * (s + bend * (square - s * s))
        bend *= G
        at = 0
        for k in range(D):
            steep = G * e[k] + 2 * bend * (normed[k] * U[i, k] - s * e[k])
            g[i, k] = (slope[i, k] - steep) * W[i, k]
            for j in range(k, D):
                entry = (packed[i, at] + bend * e[k] * e[j]) * W[i, k] * W[i, j]
                Q[i, k, j] = entry
                Q[i, j, k] = entry
                at += 1
            Q[i, k, k] -= bend * normed[k] * W[i, k] * W[i, k]


@njit(cache=True, nogil=True, error_model="numpy")
def _cheap(g, Q, at, C, bound, top, still, z):  # type: ignore[no-untyped-def]
    """The bound by row sums; the largest row sum, and which edges have no length."""
    n, D = g.shape
    for i in range(n):
        total, most, form = C[i], 0.0, Q[at[i]]
        for k in range(D):
            row = 0.0
            for j in range(D):
                row += abs(form[k, j])
            own = form[k, k]
            total += abs(g[i, k]) + max(row - abs(own) + own, 0.0)
            most = max(most, row)
            still[i, k] = 1.0 if (row == 0) & (g[i, k] == 0) else 0.0
            z[i, k] = -1.0 if g[i, k] < 0 else 1.0
        bound[i], top[i] = total, most


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _factorise(q, g, mu, still, A, h, positive, dual):  # type: ignore[no-untyped-def]
    """Adds ``sum mu + g^T M^-1 g / 4`` to ``dual``; A has the Cholesky factor of M."""
    D = len(g)
    for k in range(D):
        for j in range(k):
            for i in range(LANES):
                A[k, j, i] = -q[k, j, i]
        for i in range(LANES):
            A[k, k, i] = still[k, i] + mu[k, i] - q[k, k, i]
            dual[i] += mu[k, i]
    for i in range(LANES):
        positive[i] = 1.0
    for j in range(D):
        for r in range(j, D):
            for k in range(j):
                for i in range(LANES):
                    A[r, j, i] -= A[r, k, i] * A[j, k, i]
        for i in range(LANES):
            pivot = A[j, j, i]
            positive[i] = positive[i] if pivot > 0 else 0.0
            A[j, j, i] = np.sqrt(pivot if pivot > 0 else 1.0)
            h[j, i] = g[j, i]
        for r in range(j + 1, D):
            for i in range(LANES):
                A[r, j, i] /= A[j, j, i]
        for k in range(j):
            for i in range(LANES):
                h[j, i] -= A[j, k, i] * h[k, i]
        for i in range(LANES):
            h[j, i] /= A[j, j, i]
            dual[i] += 0.25 * h[j, i] * h[j, i]


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _improve(g, A, mu, still, V, column, x):  # type: ignore[no-untyped-def]
    """As :func:`gapless.gauge.boxes._improved`, from the factor A, which is overwritten."""
    D = len(g)
    # the inverse of the factor, then V: of what is symmetric the lower half
    for c in range(D):
        for i in range(LANES):
            V[c, c, i] = 1 / A[c, c, i]
        for r in range(c + 1, D):
            for i in range(LANES):
                V[r, c, i] = 0.0
            for k in range(c, r):
                for i in range(LANES):
                    V[r, c, i] -= A[r, k, i] * V[k, c, i]
            for i in range(LANES):
                V[r, c, i] /= A[r, r, i]
    for r in range(D):
        for c in range(r + 1):
            for i in range(LANES):
                A[r, c, i] = 0.0
            for k in range(r, D):
                for i in range(LANES):
                    A[r, c, i] += V[k, r, i] * V[k, c, i]
    for r in range(D):
        for i in range(LANES):
            x[r, i] = 0.0
        for c in range(D):
            for i in range(LANES):
                x[r, i] += 0.5 * A[max(r, c), min(r, c), i] * g[c, i]
    shrink, at = column[D], column[D + 1]
    for sweep in range(ROUNDS):
        for k in range(D):
            for i in range(LANES):
                step = (abs(x[k, i]) - 1) / A[k, k, i]
                step = step if step > -0.9 * mu[k, i] else -0.9 * mu[k, i]
                step = step if still[k, i] == 0 else 0.0
                shrink[i] = step / (1 + step * A[k, k, i])
                mu[k, i] += step
                at[i] = shrink[i] * x[k, i]
            for r in range(D):
                for i in range(LANES):
                    column[r, i] = A[max(r, k), min(r, k), i]
                for i in range(LANES):
                    x[r, i] -= at[i] * column[r, i]
            # the last sweep looks at rows below k alone
            for r in range(0 if sweep < ROUNDS - 1 else k + 1, D):
                for c in range(r + 1):
                    for i in range(LANES):
                        A[r, c, i] -= shrink[i] * column[r, i] * column[c, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(boxes, rows, to):  # type: ignore[no-untyped-def]
    """Rows of some boxes, a lane each."""
    for i in range(LANES):
        for k in range(len(to)):
            to[k, i] = rows[boxes[i], k]


@njit(cache=True, nogil=True, error_model="numpy")
def _gather_forms(boxes, Q, at, to):  # type: ignore[no-untyped-def]
    """Their lower halves."""
    for i in range(LANES):
        form = Q[at[boxes[i]]]
        for k in range(len(to)):
            for j in range(k + 1):
                to[k, j, i] = form[k, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _numbers(flags):  # type: ignore[no-untyped-def]
    """Where they are set.  Indexing by flags itself would take three seconds to compile."""
    some, count = np.empty(len(flags), np.int64), 0
    for i in range(len(flags)):
        some[count] = i
        count += flags[i]
    return some[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _lanes(some, first, boxes):  # type: ignore[no-untyped-def]
    """The next boxes, the last again and again where there are no more."""
    for i in range(LANES):
        boxes[i] = some[min(first + i, len(some) - 1)]


@njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _vertices(left, g, Q, at, C, z, least, value):  # type: ignore[no-untyped-def]
    """Coordinate by coordinate to a vertex z, its value, and its multipliers if it is the best."""
    D = g.shape[1]
    q, slope, v = np.empty((D, D, LANES)), np.empty((D, LANES)), np.empty((D, LANES))
    boxes, pull, total = np.empty(LANES, np.int64), np.empty(LANES), np.empty(LANES)
    for first in range(0, len(left), LANES):
        _lanes(left, first, boxes)
        _gather(boxes, g, slope)
        _gather(boxes, z, v)
        _gather_forms(boxes, Q, at, q)
        for _ in range(SWEEPS):
            for k in range(D):
                for i in range(LANES):
                    pull[i] = 0.5 * slope[k, i] - q[k, k, i] * v[k, i]
                for j in range(D):
                    for i in range(LANES):
                        pull[i] += q[max(k, j), min(k, j), i] * v[j, i]
                for i in range(LANES):
                    v[k, i] = -1.0 if pull[i] < 0 else 1.0
        for i in range(LANES):
            total[i] = C[boxes[i]]
        for k in range(D):
            for i in range(LANES):
                pull[i] = 0.0
            for j in range(D):
                for i in range(LANES):
                    pull[i] += q[max(k, j), min(k, j), i] * v[j, i]
            for i in range(LANES):
                total[i] += v[k, i] * (slope[k, i] + pull[i])
                best = v[k, i] * (pull[i] + 0.5 * slope[k, i])
                least[boxes[i], k] = best if best > 0 else 0.0
                z[boxes[i], k] = v[k, i]
        for i in range(LANES):
            value[boxes[i]] = total[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _maximum(g, Q, at, C, bound, z, guess):  # type: ignore[no-untyped-def]
    """As :func:`gapless.gauge.boxes.box_maximum`, of the forms ``Q[at]``."""
    n, D = g.shape
    top, edges = np.empty(n), np.empty((n, D))
    _cheap(g, Q, at, C, bound, top, edges, z)
    # 1. a vertex, coordinate by coordinate
    left = _numbers(bound > 0)
    least, value = np.empty((n, D)), np.ones(n)
    _vertices(left, g, Q, at, C, z, least, value)
    for i in range(n):
        for k in range(D):
            guess[i, k] = z[i, k]
    q, A, V = np.empty((D, D, LANES)), np.empty((D, D, LANES)), np.empty((D, D, LANES))
    slope, mu, still = np.empty((D, LANES)), np.empty((D, LANES)), np.empty((D, LANES))
    h, x, column = np.empty((D, LANES)), np.empty((D, LANES)), np.empty((D + 2, LANES))
    boxes, positive, dual = np.empty(LANES, np.int64), np.empty(LANES), np.empty(LANES)
    # 2. its multipliers, if it is the best, shifted until M is positive definite
    open_, improving = value <= 0, np.zeros(n, np.bool_)
    for shift in STEPS:
        tried = _numbers(open_)
        for first in range(0, len(tried), LANES):
            _lanes(tried, first, boxes)
            _gather(boxes, g, slope)
            _gather(boxes, edges, still)
            _gather(boxes, least, mu)
            _gather_forms(boxes, Q, at, q)
            for i in range(LANES):
                dual[i] = C[boxes[i]]
                for k in range(D):
                    mu[k, i] = mu[k, i] + shift * top[boxes[i]] if still[k, i] == 0 else 0.0
            _factorise(q, slope, mu, still, A, h, positive, dual)
            for i in range(LANES):
                box = boxes[i]
                open_[box] = positive[i] == 0
                if positive[i] == 1:
                    bound[box] = min(bound[box], dual[i])
                    improving[box] = bound[box] > 0
                    for k in range(D):
                        least[box, k] = mu[k, i]
    # 3. each multiplier to its best
    better = _numbers(improving)
    for first in range(0, len(better), LANES):
        _lanes(better, first, boxes)
        _gather(boxes, g, slope)
        _gather(boxes, edges, still)
        _gather(boxes, least, mu)
        _gather_forms(boxes, Q, at, q)
        for i in range(LANES):
            dual[i] = 0.0
        _factorise(q, slope, mu, still, A, h, positive, dual)
        _improve(slope, A, mu, still, V, column, x)
        for i in range(LANES):
            dual[i] = C[boxes[i]]
        _factorise(q, slope, mu, still, A, h, positive, dual)
        for i in range(LANES):
            box = boxes[i]
            for k in range(D):
                guess[box, k] = max(min(1.0, x[k, i]), -1.0)  # 1 for what is no number
            if positive[i] == 1:
                bound[box] = min(bound[box], dual[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _both_signs(slope, q, Q, C, U, W, widths, open_, bound, edge, mean, vertex):  # type: ignore[no-untyped-def]
    """The maximum for each sign of u; ``mean`` is that of the boxes, then for those within."""
    n, D = U.shape
    g, z, guess = np.empty((n, D)), np.empty((n, D)), np.empty((n, D))
    constant, value, best = np.empty(n), np.empty(n), np.full(n, -np.inf)
    steep, believed = np.zeros((n, D)), np.zeros((n, D))
    for j in range(2):
        sign, at, m = 1.0 - 2.0 * j, np.empty(n, np.int64), 0
        for i in range(n):
            at[m] = i
            m += open_[i, j]
        for i in range(m):
            constant[i] = C[at[i]]
            for k in range(D):
                g[i, k] = slope[at[i], k] + sign * q[k] * W[at[i], k]
                constant[i] += sign * q[k] * U[at[i], k]
        _maximum(g[:m], Q, at[:m], constant[:m], value[:m], z[:m], guess[:m])
        for i in range(m):
            box = at[i]
            bound[box, j] = value[i]
            for k in range(D):
                if value[i] > 0:
                    steep[box, k] = max(steep[box, k], abs(g[i, k]))
                if not value[i] <= best[box]:
                    believed[box, k] = guess[i, k]
                    vertex[box, k] = sign * (U[box, k] + W[box, k] * z[i, k])
            best[box] = value[i] if not value[i] <= best[box] else best[box]
    for i in range(n):
        most = -np.inf
        for k in range(D):
            mean[i, k] = (1 - INHERIT) * mean[i, k] + INHERIT * believed[i, k]
            score = widths[i, k] * W[i, k] * W[i, k] + SLOPE * steep[i, k]
            if score > most:
                most, edge[i] = score, k


def bounder(single: bool = False) -> Bounder:
    """:func:`gapless.gauge.boxes.bound_boxes` by these kernels.

    Parameters
    ----------
    single : bool, default False
        Whether samples are bounded in single precision, which is charged: half of the time.
    """

    def bound(cone: Cone, G: float, U: Array, W: Array, mean: Array, open_: Array) -> Found:
        return maxima(*forms(single, cone, G, U, W, mean), cone.q, U, W, mean, open_)

    return bound


def forms(
    single: bool, cone: Cone, G: float, U: Array, W: Array, mean: Array
) -> tuple[Array, Array, Array, Array]:
    """Slopes (n, D), forms (n, D, D) and constants (n,) of the even part less G times the norm, for
    ``v = W z``, and how much each squared edge is believed to cost (n, D)."""
    n, D = U.shape
    C, slope, widths = np.zeros(n), np.zeros((n, D)), np.zeros((n, D))
    packed = np.zeros((n, D * (D + 1) // 2))
    order = np.argsort(W @ np.sqrt(np.arange(2.0, 2 + D)))  # those of the same widths together
    off, least = 0.0, SMALL
    if single:
        off, least = roundoff(D), SMALLEST
        C += 1.01 * ROUNDOFF * (D + 4) * (np.abs(U) @ cone.sizes)
    for side, above in ((cone.above, True), (cone.below, False)):
        blocks, (x, p) = side.single if single else side.stacked, side.scale
        # products that float32 does not hold: a sample's bound is off by less
        C += single * len(side.p) * FLUSHED * x * p
        _collect(blocks, above, x * p, off, least, order, U, W, mean, C, slope, packed, widths)
    g, Q = np.empty((n, D)), np.empty((n, D, D))
    _less_norm(C, slope, packed, G, U, W, mean, cone.normed, g, Q)
    return g, Q, C, widths


def maxima(
    g: Array,
    Q: Array,
    C: Array,
    widths: Array,
    q: Array,
    U: Array,
    W: Array,
    mean: Array,
    open_: Array,
) -> Found:
    """What is known of boxes by :func:`forms`, q that of the cone."""
    n = len(U)
    found = Found(np.full((n, 2), -np.inf), np.empty(n, np.int64), mean.copy(), np.empty_like(U))
    known = found.bound, found.edge, found.mean, found.vertex
    _both_signs(g, q, Q, C, U, W, widths, open_, *known)
    return found


def roundoff(D: int) -> float:
    """What single precision is charged, times the sizes M of samples."""
    return 1.01 * ROUNDOFF * (2 * (SAMPLES + 4) + 3 * (D + 4) + 40)


def is_compiled(double: bool = False) -> bool:
    """Whether this machine has compiled them before; loading then takes a third of a second.

    ``double``: in double precision too.
    """
    return _compiled(_both_signs) > 0 and _compiled(_collect) > double


def _compiled(loop: Any) -> int:
    """For how many types of arguments, by the line it begins at, which another version has
    elsewhere."""
    name = f"boxes_compiled.{loop.__name__}-{loop.py_func.__code__.co_firstlineno}.*.nbc"
    return len(list(Path(str(loop.stats.cache_path)).glob(name)))
