"""Weighted least squares with a ramp penalty: the engine of :mod:`gapless.curves.spline`.

On a line, a ReLU network with free biases is a linear spline f with kinks t_k, slope changes
d_k and slopes s_- and s_+ at minus and plus infinity.  The cheapest network that draws f pays

    Omega(f) = max( sum_k |d_k|,  |s_- + s_+| ),

because a kink may be a right ramp (x - t)_+ or a left one (t - x)_+.  Only values on the data
count, so let T be the sum of |d_k| inside the data's hull and S the sum of the first and the
last slope there; a kink on the first or last sample then gives

    Omega = max( T, (T + |S|) / 2 ) = max over 0 <= theta <= 1 of  T - theta (T - |S|) / 2.

This module solves, for sorted distinct x and positive weights w,

    min_f  1/2 sum_i w_i (y_i - f(x_i))^2 + beta Omega(f).

With r = w (y - f), which sums to zero, R(t) = sum_i r_i (x_i - t)_+ is the correlation of
every right ramp, R - M that of every left ramp, M = sum_i r_i x_i.  Their largest size, the
polar gauge, is |M| / 2 + max_t |R(t) - M/2|, and a spline is optimal when that is beta.

*Moments.*  Between two neighbouring knots f is linear, so the loss is a quadratic form in the
spline's values at the knots, tridiagonal, with entries that are sums over the samples of
1, theta, theta^2, y, theta y (theta in [0, 1] is the place between the knots).  The samples are
grouped in cells; kinks are first sought at the cells' ends only, and a cell is split when a
bound on R inside it (from its moments) allows a kink there.  Work is a few passes over n
samples whatever their number; no ramp is ever written out.

*Master.*  With the signs of the d_k given, the optimum is one tridiagonal solve, theta
included.  Kinks whose sign turns out wrong leave, the largest |R - M/2| enter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dptsv

from ..core.checks import Array

# Samples of a first cell and of its pieces.  Measured on 1e6 samples: larger cells are split
# too often, smaller ones make the rounds dear.
BLOCK, SPLIT = 256, 32
# Below this many samples every sample is its own cell.
SMALL = 4096
# Samples handled at once, so that temporaries stay in the cache and out of the memory budget.
CHUNK = 1 << 16
MAX_ROUNDS = 500
# Two kinks of a master closer than this share of the hull are one in float64.
CLOSEST = 1e-13


@dataclass(frozen=True, eq=False)
class Model:
    """``1/2 v'Gv - g'v`` in the values v at the knots; G tridiagonal (diagonal, off)."""

    knots: Array
    diagonal: Array
    off: Array
    g: Array

    def coarsen(self, index: Array) -> Model:
        """The same form for splines with kinks at ``knots[index]`` only (both ends included)."""
        left, right = index[:-1], index[1:]
        count = right - left
        start = self.knots[left]
        width = self.knots[right] - start
        N = len(self.off)
        if len(left) == N:
            return self
        base, scale = np.repeat(start, count), np.repeat(1.0 / width, count)
        t = (self.knots[:-1] - base) * scale
        u = (self.knots[1:] - base) * scale  # the next knot, in the same segment
        D, E, g = self.diagonal[:-1], self.off, self.g[:-1]
        terms = np.stack(
            [
                D * (1 - t) ** 2 + 2 * E * (1 - t) * (1 - u),
                D * t * (1 - t) + E * ((1 - t) * u + t * (1 - u)),
                D * t * t + 2 * E * t * u,
                g * (1 - t),
                g * t,
            ]
        )
        a, b, c, p, q = np.add.reduceat(terms, left, axis=1)
        diagonal, linear = np.zeros(len(index)), np.zeros(len(index))
        diagonal[:-1], linear[:-1] = a, p
        diagonal[1:] += c
        linear[1:] += q
        diagonal[-1] += self.diagonal[-1]
        linear[-1] += self.g[-1]
        return Model(self.knots[index], diagonal, b, linear)

    def value(self, v: Array) -> float:
        return float(0.5 * (self.diagonal @ (v * v)) + self.off @ (v[1:] * v[:-1]) - self.g @ v)

    def residual(self, v: Array) -> Array:
        r = self.g - self.diagonal * v
        r[:-1] -= self.off * v[1:]
        r[1:] -= self.off * v[:-1]
        return r

    def solve(self, signs: Array, beta: float) -> tuple[Array, float]:
        """Values and theta of the optimum among splines with these signs of slope change."""
        width = np.diff(self.knots)
        eps = np.zeros(len(width) + 1)
        eps[1:-1] = signs
        turn = _from_slopes((eps[:-1] - eps[1:]) / width)
        ends = np.zeros(len(width))
        ends[0] += 1.0
        ends[-1] += 1.0
        ends = _from_slopes(ends / width)
        rhs = np.stack([self.g - beta * turn, ends, turn], axis=1)
        ridge = 0.0
        for _ in range(10):
            *_, X, info = dptsv(self.diagonal + ridge, self.off, rhs)
            if info == 0:
                break
            ridge = max(100 * ridge, 1e-15 * float(self.diagonal.max()))
        v, Ge, Gt = X.T
        half = 0.5 * beta
        T, S = float(turn @ v), float(ends @ v)
        if half == 0 or abs(S) <= T:
            return v, 0.0
        p, q = _saddle(
            T, S, half * float(turn @ Gt), half * float(turn @ Ge), half * float(ends @ Ge)
        )
        return v + half * (p * Gt - q * Ge), p


def _saddle(T: float, S: float, tt: float, te: float, ee: float) -> tuple[float, float]:
    """Maximise ``-p T + q S - (p^2 tt - 2 p q te + q^2 ee) / 2`` over ``|q| <= p <= 1``.

    The penalty is the maximum over these (p, q) of ``T - p T / 2 + q S / 2``.  Concave, so
    the best of the optima of the triangle's sides and inside is exact; T < 0 occurs while
    some signs are yet to turn.
    """
    points = []
    for s in (1.0, -1.0):
        bend = tt - 2 * s * te + ee
        p = min(max((s * S - T) / bend, 0.0), 1.0) if bend > 0 else float(s * S > T)
        points.append((p, s * p))
    if ee > 0:
        points.append((1.0, min(max((S + te) / ee, -1.0), 1.0)))
    det = tt * ee - te * te
    if det > 1e-14 * tt * ee:
        p, q = (te * S - ee * T) / det, (tt * S - te * T) / det
        if abs(q) <= p <= 1:
            points.append((p, q))
    return max(
        points,
        key=lambda z: (
            -z[0] * T + z[1] * S - 0.5 * (z[0] ** 2 * tt + z[1] ** 2 * ee) + z[0] * z[1] * te
        ),
    )


def _from_slopes(c: Array) -> Array:
    """The coefficients on values of ``sum_j c_j (v_{j+1} - v_j)``."""
    out = np.empty(len(c) + 1)
    out[0], out[-1] = -c[0], c[-1]
    np.subtract(c[:-1], c[1:], out=out[1:-1])
    return out


def slope_changes(knots: Array, v: Array) -> tuple[Array, Array]:
    """Slopes of the segments and their changes at the inner knots."""
    slopes = np.diff(v) / np.diff(knots)
    return slopes, np.diff(slopes)


def omega(slopes: Array, changes: Array) -> float:
    """The ramp penalty of a spline with these slopes on the data's hull."""
    T, S = float(np.abs(changes).sum()), abs(float(slopes[0] + slopes[-1]))
    return max(T, 0.5 * (T + S))


def correlations(knots: Array, r: Array) -> tuple[Array, float]:
    """``R(t) - M/2`` at every knot for residuals ``r`` that sum to zero, and M."""
    R = np.empty(len(r))
    R[0] = 0.0
    np.cumsum(r[:-1], out=R[1:])
    R[1:] *= np.diff(knots)
    np.cumsum(R, out=R)
    M = -float(R[-1])
    R += 0.5 * M
    return R, M


class Cells:
    """The samples, grouped; ``edges`` are sample numbers, each cell's moments a column."""

    def __init__(self, x: Array, y: Array, w: Array | None) -> None:
        self.x, self.y, self.w = x, y, w
        n = len(x)
        step = 1 if n <= SMALL else BLOCK
        self.edges = np.append(np.arange(0, n - 1, step), n - 1)
        if step == 1:
            self.moments = self._sums(self.edges[:-1], self.edges[1:])
        else:
            self.moments = self._blocks()
        self._set_model()

    @property
    def whole(self) -> bool:
        return len(self.edges) == len(self.x)

    def _set_model(self) -> None:
        """The tridiagonal form; the last sample is the last knot."""
        a, b, c, p, q, _ = self.moments
        last = len(self.x) - 1
        w = 1.0 / len(self.x) if self.w is None else float(self.w[last])
        diagonal, g = np.append(a, w), np.append(p, w * self.y[last])
        diagonal[1:] += c
        g[1:] += q
        self.model = Model(self.x[self.edges], diagonal, b, g)
        self.square = float(self.moments[5].sum()) + w * float(self.y[last]) ** 2

    def _blocks(self) -> Array:
        """Moments of equal blocks, by rows of a reshaped view."""
        lo = self.edges[:-1]
        full = len(lo) - 1  # the last block may be shorter
        out = np.empty((6, len(lo)))
        gap = np.diff(self.x[self.edges])
        rows = CHUNK // BLOCK
        for s in range(0, full, rows):
            e = min(s + rows, full)
            part = slice(s * BLOCK, e * BLOCK)
            shape = (e - s, BLOCK)
            X, Y = self.x[part].reshape(shape), self.y[part].reshape(shape)
            t = X - X[:, :1]
            t *= (1.0 / gap[s:e])[:, None]
            if self.w is None:
                n = len(self.x)
                one, t1, y0 = np.full(e - s, BLOCK / n), t.sum(axis=1) / n, Y.sum(axis=1) / n
                t2 = np.einsum("ij,ij->i", t, t) / n
                ty = np.einsum("ij,ij->i", t, Y) / n
                yy = np.einsum("ij,ij->i", Y, Y) / n
            else:
                W = self.w[part].reshape(shape)
                wy, wt = W * Y, W * t
                one, t1, y0 = W.sum(axis=1), wt.sum(axis=1), wy.sum(axis=1)
                t2 = np.einsum("ij,ij->i", wt, t)
                ty = np.einsum("ij,ij->i", wt, Y)
                yy = np.einsum("ij,ij->i", wy, Y)
            out[:, s:e] = one - 2 * t1 + t2, t1 - t2, t2, y0 - ty, ty, yy
        out[:, full:] = self._sums(lo[full:], self.edges[full + 1 :])
        return out

    def _sums(self, lo: Array, hi: Array) -> Array:
        """Moments of the cells of samples ``lo <= i < hi`` with ends x[lo], x[hi]."""
        n = len(self.x)
        count = hi - lo
        if np.all(count == 1):
            y = self.y[lo]
            w = np.full(len(lo), 1.0 / n) if self.w is None else self.w[lo]
            zero = np.zeros(len(lo))
            return np.stack([w, zero, zero, w * y, zero, w * y * y])
        groups = np.flatnonzero(np.diff(np.cumsum(count) // CHUNK, prepend=-1))
        parts = []
        for s, e in zip(groups, np.append(groups[1:], len(lo))):
            size = count[s:e]
            first = np.cumsum(size) - size
            i = np.repeat(lo[s:e] - first, size) + np.arange(int(size.sum()))
            left = self.x[lo[s:e]]
            t = (self.x[i] - np.repeat(left, size)) * np.repeat(
                1.0 / (self.x[hi[s:e]] - left), size
            )
            y = self.y[i]
            w = np.full(len(i), 1.0 / n) if self.w is None else self.w[i]
            u = 1 - t
            terms = np.stack([w * u * u, w * u * t, w * t * t, w * u * y, w * t * y, w * y * y])
            parts.append(np.add.reduceat(terms, first, axis=1))
        return np.concatenate(parts, axis=1)

    def split(self, which: Array) -> None:
        """Split the cells ``which`` into pieces of a smaller size each."""
        lo, hi = self.edges[:-1][which], self.edges[1:][which]
        size = np.where(hi - lo > SPLIT, SPLIT, 1)
        pieces = -(-(hi - lo) // size)
        first = np.cumsum(pieces) - pieces
        k = np.arange(int(pieces.sum())) - np.repeat(first, pieces)
        starts = np.repeat(lo, pieces) + k * np.repeat(size, pieces)
        stops = np.minimum(starts + np.repeat(size, pieces), np.repeat(hi, pieces))
        new = self._sums(starts, stops)
        keep = np.ones(len(self.edges) - 1, bool)
        keep[which] = False
        starts = np.concatenate([self.edges[:-1][keep], starts])
        order = np.argsort(starts)
        self.edges = np.append(starts[order], len(self.x) - 1)
        self.moments = np.concatenate([self.moments[:, keep], new], axis=1)[:, order]
        self._set_model()

    def inside(self, v: Array) -> Array:
        """How far R can stray from its chord inside each cell: width / 4 * sum |r|."""
        a, b, c, p, q, yy = self.moments
        l, r = v[:-1], v[1:]
        square = yy - 2 * (p * l + q * r) + a * l * l + 2 * b * l * r + c * r * r
        single = np.diff(self.edges) == 1
        bound = np.sqrt((a + 2 * b + c) * np.maximum(square, 0.0) + 1e-30)
        return np.where(single, 0.0, 0.25 * np.diff(self.model.knots) * bound)


@dataclass(frozen=True, eq=False)
class Spline:
    """The optimum: sample numbers of the knots (both ends included), values there, theta."""

    index: Array
    values: Array
    theta: float
    objective: float
    lower_bound: float
    rounds: int


class Engine:
    """Column generation on the cells; a second ``solve`` profits from the cells of the first."""

    def __init__(self, x: Array, y: Array, w: Array | None) -> None:
        self.cells = Cells(x, y, w)

    def solve(
        self,
        beta: float,
        tol: float,
        start: Array | None = None,
        trace: list[tuple[float, float, int]] | None = None,
        accuracy: float | None = None,
    ) -> Spline:
        """The spline of least objective, to ``tol`` times it or to the gap ``accuracy``.

        ``start`` holds sample numbers of likely kinks; ``trace`` receives the objective, the
        lower bound (-inf while cells hide samples) and the number of kinks of every round.
        """
        cells, n = self.cells, len(self.cells.x)
        inner = np.zeros(0, int) if start is None else start[(start > 0) & (start < n - 1)]
        if not cells.whole and len(inner):
            self._open(inner)
        kinks = np.searchsorted(cells.edges, inner)  # positions among the edges
        signs = np.zeros(len(kinks))
        kinks, signs, v, theta, value = _first(cells.model, kinks, beta)
        rounds, lower, failed = 0, -np.inf, 0
        while rounds < MAX_ROUNDS:
            rounds += 1
            model = cells.model
            index = np.concatenate([[0], kinks, [len(model.knots) - 1]])
            full = np.interp(model.knots, model.knots[index], v)
            r = model.residual(full)
            h, M = correlations(model.knots, r)
            size = np.abs(h)
            limit = beta - 0.5 * abs(M)
            gauge = float(size.max()) + 0.5 * abs(M)
            objective = value + 0.5 * cells.square
            # every r, split cells or not: the moments give the dual value exactly
            fit = float(model.g @ full)
            quadratic = cells.square + 2 * model.value(full)
            s = min(1.0, beta / gauge) if gauge > 0 else 1.0
            bound = s * (cells.square - fit) - 0.5 * s * s * quadratic
            if trace is not None:
                trace.append((objective, bound if cells.whole else -np.inf, len(kinks)))
            penalty = max(value - model.value(full), 0.0)
            # a gauge too large by this share costs a fifth of the tolerance
            allowed = tol * objective if accuracy is None else accuracy
            eta = min(0.2 * allowed / penalty, 1e-3) if penalty > 0 else 1e-9
            eta = max(eta, 1e-11)
            new = peaks(h, limit + eta * beta)
            if len(new):
                new = new[~np.isin(new, kinks)]
            if len(new) and failed < 3:
                old = value
                kinks, signs, v, theta, value = _master(
                    model, kinks, signs, v, value, new, np.sign(h[new]), beta
                )
                failed = 0 if value < old - 1e-15 * abs(objective) else failed + 1
                continue
            if cells.whole:
                lower = bound
                break
            top = np.maximum(size[:-1], size[1:]) + cells.inside(full)
            open_ = (top > limit + 2 * eta * beta) & (np.diff(cells.edges) > 1)
            if not np.any(open_):
                lower = bound
                break
            at = cells.edges[kinks]
            cells.split(np.flatnonzero(open_))
            kinks = np.searchsorted(cells.edges, at)
            failed = 0
        at = cells.edges[np.concatenate([[0], kinks, [len(cells.edges) - 1]])]
        return Spline(at, v, theta, value + 0.5 * cells.square, lower, rounds)

    def _open(self, at: Array) -> None:
        """Split until the samples ``at`` are edges."""
        while True:
            cell = np.searchsorted(self.cells.edges, at, side="right") - 1
            missing = np.unique(cell[self.cells.edges[cell] != at])
            if len(missing) == 0:
                return
            self.cells.split(missing)


def peaks(h: Array, limit: float) -> Array:
    """Inner local maxima of |h| above ``limit``, one of each plateau."""
    s = np.abs(h)
    m = s[1:-1]
    return 1 + np.flatnonzero((m > limit) & (m >= s[:-2]) & (m > s[2:]))


def _penalised(model: Model, v: Array, beta: float) -> float:
    slopes, changes = slope_changes(model.knots, v)
    return model.value(v) + beta * omega(slopes, changes)


def _settle(
    model: Model, kinks: Array, signs: Array, beta: float
) -> tuple[Array, Array, Array, float, float]:
    """Solve, drop the kinks whose sign is wrong, and again: kinks, signs, v, theta, value."""
    last = len(model.knots) - 1
    sub = model.coarsen(np.concatenate([[0], kinks, [last]]))
    while True:
        v, theta = sub.solve(signs, beta)
        good = slope_changes(sub.knots, v)[1] * signs > 0
        if np.all(good):
            return kinks, signs, v, theta, _penalised(sub, v, beta)
        keep = np.flatnonzero(good)
        sub = sub.coarsen(np.concatenate([[0], 1 + keep, [len(kinks) + 1]]))
        kinks, signs = kinks[keep], signs[keep]


def _first(model: Model, kinks: Array, beta: float) -> tuple[Array, Array, Array, float, float]:
    """A start from kinks of unknown sign: the signs of the least-squares spline."""
    if len(kinks):
        sub = model.coarsen(np.concatenate([[0], kinks, [len(model.knots) - 1]]))
        v, _ = sub.solve(np.zeros(len(kinks)), 0.0)
        signs = np.sign(slope_changes(sub.knots, v)[1])
        kinks, signs = kinks[signs != 0], signs[signs != 0]
        return _settle(model, kinks, signs, beta)
    return _settle(model, kinks, np.zeros(0), beta)


def _master(
    model: Model,
    kinks: Array,
    signs: Array,
    v: Array,
    value: float,
    new: Array,
    new_signs: Array,
    beta: float,
) -> tuple[Array, Array, Array, float, float]:
    """The optimum over old and new kinks, or at least something better than before."""
    both = np.concatenate([kinks, new])
    order = np.argsort(both)
    both, both_signs = both[order], np.concatenate([signs, new_signs])[order]
    gap = np.diff(model.knots[both])
    if len(gap) and gap.min() < CLOSEST * (model.knots[-1] - model.knots[0]):
        keep = np.concatenate([[True], gap >= CLOSEST * (model.knots[-1] - model.knots[0])])
        both, both_signs = both[keep], both_signs[keep]
    settled = _settle(model, both, both_signs, beta)
    if settled[4] < value:
        return settled
    # Dropping every wrong sign at once went uphill: walk from the old point to the first zero,
    # drop that kink, and aim again.
    last = len(model.knots) - 1
    ends = np.concatenate([[0], kinks, [last]])
    old_knots = model.knots[ends]
    sub = model.coarsen(np.concatenate([[0], both, [last]]))
    here = np.interp(sub.knots, old_knots, v)
    d = np.zeros(last + 1)
    d[kinks] = slope_changes(old_knots, v)[1]
    d = d[both]
    while True:
        aim, theta = sub.solve(both_signs, beta)
        d_aim = slope_changes(sub.knots, aim)[1]
        wrong = d_aim * both_signs <= 0
        if not np.any(wrong):
            return both, both_signs, aim, theta, _penalised(sub, aim, beta)
        step = np.full(len(d), np.inf)
        step[wrong] = d[wrong] / (d[wrong] - d_aim[wrong] - 1e-300 * both_signs[wrong])
        t = float(np.clip(step.min(), 0.0, 1.0))
        here = here + t * (aim - here)
        d = d + t * (d_aim - d)
        keep = np.flatnonzero(step > t)
        nodes = np.concatenate([[0], 1 + keep, [len(both) + 1]])
        sub, here = sub.coarsen(nodes), here[nodes]
        both, both_signs, d = both[keep], both_signs[keep], d[keep]
