"""Exact training on a line: linear splines, every loss, a million points.

With one feature and free biases the best ReLU network of any width is a linear spline with
kinks on data points, and training is a lasso on ramps (Ergen & Pilanci, JMLR 2021,
Corollary 3; Theorem 11 for the hinge).  The gauge is exact in O(n), so every result here is
PROVEN to its relative gap.  The same holds for rank-one data, X = 1 x_0^T + c a^T, in c.

========================  ================================================================
squared                   :mod:`gapless.ramps`, a few passes over the sorted data
huber, logistic           the same as the step of a Newton method
hinge, pinball            linear programs (HiGHS) on the kinks at hand, column generation
several outputs, other    :func:`gapless.train` with its exact gauge for rank-one data
bias rules, softmax
========================  ================================================================

The objective is that of :mod:`gapless.problem`: weighted mean loss plus
``weight_decay * Omega(f)`` with the penalty of :mod:`gapless.ramps`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from ._validate import Array, choose, positive
from .certify import SAFETY
from .losses import Loss, get_loss
from .network import Network
from .problem import BIAS_RULES, Problem
from .ramps import Engine, correlations, omega, peaks, slope_changes
from .result import Certificate, History, Solution, Status
from .train import train

EPS = float(np.finfo(float).eps)
PROOF = "one dimension, free bias: exact by prefix sums"
# Rank one: what is off the line is at most this share of the data.
RANK_TOL = 1e-10
MAX_NEWTON = 100
# Samples a linear program takes as rows at first: about a tenth of a second each time.
FREE_ROWS = 1500
# Samples of the certificate handled at once: sums of this many terms bound its rounding.
CHUNK = 1 << 15


@dataclass(frozen=True, eq=False)
class SplineSolution(Solution):
    """A solution with its spline.

    Attributes
    ----------
    knots : array of shape (n_kinks,)
        Where the slope changes, in increasing order, in the units of x (rank-one data: the
        coordinate ``(X - origin) @ direction``).
    slopes : array of shape (n_kinks + 1, n_outputs)
        Slope left of the first kink, between kinks, right of the last.
    values : array of shape (max(n_kinks, 1), n_outputs)
        The spline at its knots (at ``origin`` when there is none).
    weight_decay : float
    origin, direction : array of shape (n_features,)
        The line the data lie on; 0 and 1 for one feature.
    """

    knots: Array
    slopes: Array
    values: Array
    weight_decay: float
    origin: Array
    direction: Array

    @property
    def n_kinks(self) -> int:
        return len(self.knots)

    @property
    def slope_changes(self) -> Array:
        """(n_kinks, n_outputs)"""
        return np.diff(self.slopes, axis=0)

    def predict(self, x: Any) -> Array:
        """The spline at ``x`` (n,) or (n, n_features): (n,) for one output, else (n, C).

        Beyond the data it goes on as a straight line.
        """
        F = evaluate(self.knots, self.slopes, self.values, self._coordinate(x))
        return F[:, 0] if F.shape[1] == 1 else F

    def _coordinate(self, x: Any) -> Array:
        x = np.asarray(x, dtype=np.float64)
        if x.ndim == 2 and x.shape[1] != len(self.direction):
            raise ValueError(
                f"x has {x.shape[1]} features, the spline was fitted on {len(self.direction)}"
            )
        if len(self.direction) == 1:
            return x.reshape(-1)
        return (x - self.origin) @ self.direction

    def to_network(self) -> Network:
        """The ReLU network that draws the spline: ``self.network``."""
        return self.network


def evaluate(knots: Array, slopes: Array, values: Array, t: Array) -> Array:
    """The spline at ``t``, (len(t), n_outputs)."""
    if len(knots) == 0:
        return values[0] + t[:, None] * slopes[0]
    segment = np.searchsorted(knots, t)
    base = np.maximum(segment - 1, 0)
    return values[base] + (t - knots[base])[:, None] * slopes[segment]


def solve_spline(
    x: Any,
    y: Any,
    *,
    weight_decay: float,
    loss: str | Loss = "squared",
    bias: str = "free",
    sample_weight: Any = None,
    tol: float = 1e-6,
    start: Any = None,
) -> SplineSolution:
    """The best two-layer ReLU network of any width on one feature, with its proof.

    Parameters
    ----------
    x : array of shape (n_samples,) or (n_samples, n_features)
        In any order, repeats allowed; several features must lie on a line (rank one).
    y : array of shape (n_samples,) or (n_samples, n_outputs)
        As ``loss`` asks.
    weight_decay : float
    loss : str or Loss, default "squared"
        A name, or for example ``Pinball(0.9)``.
    bias : {"free", "penalized", "none"}, default "free"
        The last two, several outputs and the softmax run the general solver.
    sample_weight : array of shape (n_samples,), optional
    tol : float, default 1e-6
        Proven relative gap to reach.
    start : array, optional
        Places near which kinks are expected (knots of a neighbouring solution).

    Returns
    -------
    SplineSolution
        ``status`` says whether ``tol`` was reached, ``certificate`` what is proven.

    Raises
    ------
    ValueError
        For NaN, infinite or non-numeric entries, shapes that differ, features that are not
        on a line, data whose objective overflows, and what the loss cannot use.

    References
    ----------
    T. Ergen and M. Pilanci, "Convex Geometry and Duality of Over-parameterized Neural
    Networks", JMLR 22, 2021: Lemma 6, Corollary 3, Theorems 11 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless.spline import solve_spline
    >>> x = np.linspace(-1, 1, 101)
    >>> solution = solve_spline(x, np.abs(x), weight_decay=1e-3)
    >>> bool(solution.certificate.relative_gap <= 1e-6), solution.n_kinks
    (True, 1)
    """
    started = time.perf_counter()
    tol = positive("tol", tol)
    beta = positive("weight_decay", weight_decay)
    loss = get_loss(loss)
    choose("bias", bias, BIAS_RULES)
    y = _column(y, x)
    if bias != "free" or y.ndim == 2 or loss.name == "softmax":
        return _general(x, y, beta, loss, bias, sample_weight, tol)
    line = _Line(x, y, sample_weight, loss.name == "squared")
    loss.check_targets(line.y[:, None])
    knots = None if start is None else line.nearest(start)
    if loss.name == "squared":
        fit = _squared(line, beta, tol, knots)
    elif np.isfinite(loss.smoothness):
        fit = _newton(line, loss, beta, tol, knots)
    else:
        fit = _linear_program(line, loss, beta, tol, knots)
    return _finish(line, fit, beta, tol, started)


def weight_decay_max(
    x: Any, y: Any, *, loss: str | Loss = "squared", sample_weight: Any = None
) -> float:
    """The smallest weight decay at which the best network (free bias) is a constant.

    It is the gauge of the constant's dual point; for hinge and pinball the least gauge among
    its dual points, a linear program.
    """
    loss = get_loss(loss)
    line = _Line(x, _column(y, x), sample_weight, loss.name == "squared")
    loss.check_targets(line.y[:, None])
    if loss.name == "squared":
        r = line.weights * (line.y - line.weights @ line.y)
    elif np.isfinite(loss.smoothness):
        problem = line.problem(loss, 1.0)
        r = problem.dual_point(np.full((len(line.xs), 1), _best_constant(line, loss)))[:, 0]
        r = line.sums(r)
    else:
        return _least_gauge(line, loss) * line.width
    h, M = correlations(line.x, r)
    return (float(np.abs(h).max()) + 0.5 * abs(M)) * line.width * line.height


def spline_path(
    x: Any,
    y: Any,
    *,
    weight_decays: Sequence[float] | None = None,
    n_values: int = 30,
    smallest: float = 1e-4,
    loss: str | Loss = "squared",
    sample_weight: Any = None,
    tol: float = 1e-6,
) -> list[SplineSolution]:
    """Solutions for falling weight decays, each started from the kinks of the one before.

    ``weight_decays`` defaults to ``n_values`` of them, evenly spaced in their logarithm from
    :func:`weight_decay_max` down to ``smallest`` times it.
    """
    loss = get_loss(loss)
    if weight_decays is None:
        top = weight_decay_max(x, y, loss=loss, sample_weight=sample_weight)
        top = top if top > 0 else 1.0
        weight_decays = list(np.geomspace(top, smallest * top, n_values))
    solutions: list[SplineSolution] = []
    for value in sorted(weight_decays, reverse=True):
        start = solutions[-1].knots if solutions else None
        solutions.append(
            solve_spline(
                x,
                y,
                weight_decay=float(value),
                loss=loss,
                sample_weight=sample_weight,
                tol=tol,
                start=start,
            )
        )
    return solutions


# The data as the engine wants them.


class _Line:
    """Sorted, scaled data: ``x`` distinct in [-1, 1]; ``xs, y, w`` a row a sample.

    ``merge`` joins samples of equal x (squared loss); their spread is ``spread``.
    """

    def __init__(self, x: Any, y: Array, sample_weight: Any, merge: bool) -> None:
        c, self.origin, self.direction, self.lost = _coordinate(x)
        n = len(c)
        if n == 0:
            raise ValueError("x must have at least one sample, got none")
        if not np.isfinite(y.sum()) and not np.all(np.isfinite(y)):
            raise ValueError("y has NaN or infinite entries; remove or impute them first")
        w = None
        if sample_weight is not None:
            given = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), (n,))
            w = Problem(np.zeros((n, 1)), np.zeros(n), sample_weight=given).sample_weight
            if len(w) < n:
                c, y = c[given > 0], y[given > 0]
        self._c = c
        self._order: Array | None = None
        # most unsorted data show it at once
        if _rising(c[:1000]) and _rising(c):
            x, y = c.copy(), y.copy()
        else:
            self._order, x = _sorted(c)
            # positions are valid by construction, and take is twice as fast when told so
            y = y.take(self._order, mode="clip")
            w = None if w is None else w[self._order]
        low, high = float(x[0]), float(x[-1])
        self.width = 0.5 * high - 0.5 * low
        self.middle = low + self.width
        if self.width < 1e-307:  # below the normal range one cannot divide: all x are equal
            self.width = 0.0
        x -= self.middle
        x /= self._scale
        if self.width == 0:
            x[:] = 0.0
        self.offset, self.height = 0.0, 1.0
        if merge:
            self.offset = float(y.mean())
            y -= self.offset
            self.height = max(float(y.max()), -float(y.min())) or 1.0
            if not self.height < 1e150:
                raise ValueError(
                    f"y has entries as large as {self.height:.0e}, whose squares overflow; "
                    "divide y by its standard deviation"
                )
            y /= self.height
        self.x = self.xs = x
        self.y, self.w, self.spread = y, w, 0.0
        self.first: Array | None = None  # numbers of the samples that bring a new x
        fresh = x[1:] > x[:-1]
        if not np.all(fresh):
            self._merge(np.concatenate([[0], 1 + np.flatnonzero(fresh)]), merge)

    def _merge(self, first: Array, merge: bool) -> None:
        self.first, self.x = first, self.xs[first]
        if merge:
            w, y = self.weights, self.y
            self.w = np.add.reduceat(w, first)
            mean = np.add.reduceat(w * y, first) / self.w
            self.spread = float(w @ (y - np.repeat(mean, np.diff(np.append(first, len(y))))) ** 2)
            self.xs, self.y = self.x, mean

    @property
    def _scale(self) -> float:
        return self.width if self.width > 0 else 1.0

    def places(self, index: Array) -> Array:
        """The caller's values of the distinct x numbered ``index``."""
        if self.first is not None:
            index = self.first[index]
        return self._c[index if self._order is None else self._order[index]]

    @property
    def weights(self) -> Array:
        n = len(self.y)
        return np.full(n, 1.0 / n) if self.w is None else self.w

    def sums(self, r: Array) -> Array:
        """Sums over the samples of each distinct x."""
        return r if self.first is None else np.add.reduceat(r, self.first)

    def problem(self, loss: Loss, beta: float) -> Problem:
        return Problem(self.xs[:, None], self.y, loss, beta, "free", self.w)

    def nearest(self, knots: Any) -> Array:
        """Numbers of the distinct x at or above the given places."""
        places = (np.asarray(knots, dtype=np.float64) - self.middle) / self._scale
        return np.unique(np.clip(np.searchsorted(self.x, places), 0, len(self.x) - 1))

    def scaled(self, beta: float) -> float:
        """The weight decay of the scaled problem."""
        return beta / self._scale / self.height


def _rising(x: Array) -> bool:
    return bool(np.all(x[1:] >= x[:-1]))


def _sorted(x: Array) -> tuple[Array, Array]:
    """What sorts ``x``, and x sorted, in half the time of argsort.

    It sorts whole numbers that carry their position.
    The high bits of each are x on a grid, the low bits where it came from.  Values closer
    than the grid may come out of order; then the plain sort decides.
    """
    low, high = float(x.min()), float(x.max())
    bits = (len(x) - 1).bit_length()
    scale = 2.0 ** (62 - bits) / (high - low) if high > low else np.inf
    if not 0 < scale < np.inf:
        order = np.argsort(x, kind="stable")
        return order, x[order]
    grid = x - low
    grid *= scale
    key = grid.astype(np.int64)
    key <<= bits
    key |= np.arange(len(x))
    key.sort()
    key &= (1 << bits) - 1
    found = x.take(key, out=grid, mode="clip")
    if not np.all(found[1:] >= found[:-1]):
        key = np.argsort(x, kind="stable")
        found = x[key]
    return key, found


def _column(y: Any, x: Any) -> Array:
    """Targets as (n,), or (n, C) for several outputs."""
    y = np.asarray(y, dtype=np.float64)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2):
        raise ValueError(f"y must have 1 or 2 dimensions, got shape {y.shape}")
    if len(y) != np.shape(x)[0]:
        raise ValueError(f"x has {np.shape(x)[0]} samples but y has {len(y)}")
    return y


def _coordinate(x: Any) -> tuple[Array, Array, Array, float]:
    """The coordinate along the data's line, its origin and direction, and what is off it."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim not in (1, 2):
        raise ValueError(f"x must have 1 or 2 dimensions, got shape {x.shape}")
    # a finite sum proves finite entries; an infinite one may be mere overflow
    if not np.isfinite(x.sum()) and not np.all(np.isfinite(x)):
        raise ValueError("x has NaN or infinite entries; remove or impute them first")
    if x.ndim == 1 or x.shape[1] == 1:
        return x.reshape(-1), np.zeros(1), np.ones(1), 0.0
    if x.shape[1] == 0 or len(x) == 0:
        raise ValueError(f"x must have at least one sample and one feature, got {x.shape}")
    origin = x.mean(axis=0)
    Z = x - origin
    size = np.linalg.norm(Z, axis=1)
    far = int(np.argmax(size))
    if size[far] == 0:
        return np.zeros(len(x)), origin, np.eye(x.shape[1])[0], 0.0
    a = Z[far] / size[far]
    a = Z.T @ (Z @ a)
    a /= np.linalg.norm(a)
    c = Z @ a
    off = float(np.linalg.norm(Z - c[:, None] * a))
    if off > RANK_TOL * float(np.linalg.norm(Z)):
        raise ValueError(
            f"x has {x.shape[1]} features that do not lie on a line "
            f"({off / np.linalg.norm(Z):.1e} of them is off it); give one feature, or use "
            "ReLURegressor or gapless.train"
        )
    return c, origin, a, off


# What a method hands over: a spline on the scaled line, and what is proven.


@dataclass(frozen=True, eq=False)
class _Fit:
    index: Array
    values: Array
    objective: float
    lower_bound: float
    history: list[tuple[float, float, int]]


def _tiny(line: _Line) -> bool:
    return len(line.x) < 2


def _squared(line: _Line, beta: float, tol: float, start: Array | None) -> _Fit:
    b = line.scaled(beta)
    scale = line.height**2
    if _tiny(line):
        P = 0.5 * scale * line.spread
        return _Fit(np.zeros(1, int), np.array([line.weights @ line.y]), P, P, [])
    trace: list[tuple[float, float, int]] = []
    spline = Engine(line.x, line.y, line.w).solve(b, 0.5 * tol, start, trace)
    index, values = _without_flat(line, spline.index, spline.values)
    P, D = _prove(line, index, values, b, tol)
    half = 0.5 * line.spread
    rounds = [((p + half) * scale, max(d + half, 0.0) * scale, k) for p, d, k in trace]
    return _Fit(index, values, (P + half) * scale, (D + half) * scale, rounds)


def _prove(line: _Line, index: Array, values: Array, b: float, tol: float) -> tuple[float, float]:
    """Objective and lower bound of a squared-loss spline, from every sample."""
    x, y, w, n = line.x, line.y, line.w, len(line.x)
    knots = x[index]
    slopes, changes = slope_changes(knots, values)
    r = np.empty(n)
    ends = index[1:].copy()
    ends[-1] = n
    mean = 0.0
    for i, j, k, v, s in zip(index[:-1], ends, knots, values, slopes):
        for lo in range(i, j, CHUNK):
            part = slice(lo, min(lo + CHUNK, j))
            out = r[part]
            np.subtract(x[part], k, out=out)
            out *= -s
            out += y[part]
            out -= v
            mean += float(out.sum()) / n if w is None else float(w[part] @ out)
    square = cross = total = 0.0
    for lo in range(0, n, CHUNK):
        part = slice(lo, min(lo + CHUNK, n))
        e = r[part]
        weighted = e / n if w is None else w[part] * e
        square += float(np.einsum("i,i", weighted, e))
        weighted -= mean / n if w is None else mean * w[part]  # sums to zero over all samples
        cross += float(np.einsum("i,i", weighted, y[part]))
        e -= mean
        total += float(np.einsum("i,i", weighted, e))
        r[part] = weighted
    P = 0.5 * square + b * omega(slopes, changes)
    D = 0.0
    # Where the bound on rounding is what keeps the gap open, once more in extended precision.
    for kind in (np.float64, np.longdouble):
        gauge = _proven_gauge(x, r, kind)
        if line.lost > 0:
            gauge += 2 * line.lost / line.width * float(np.linalg.norm(r))
        limit = b / gauge if gauge > 0 else np.inf
        s = min(max(cross / total, 0.0), limit) if total > 0 else 0.0
        D = s * cross - 0.5 * s * s * total
        if tol * P >= P - D:
            break
    return P, max(D - SAFETY * abs(D), 0.0)


def _proven_gauge(x: Array, lam: Array, kind: type[np.floating[Any]]) -> float:
    """``max(|R|, |R - M|)`` of dual points that sum to zero, plus what rounding may hide.

    Sums run in precision ``kind`` over at most CHUNK terms and then over chunks; x spans 2.
    """
    n = len(x)
    carry = moment = high = low = kind(0)
    spread = 0.0
    for lo in range(0, n - 1, CHUNK):
        stop = min(lo + CHUNK, n - 1)
        spread += float(np.abs(lam[lo:stop]).sum())
        # R rises by C_k (x_{k+1} - x_k) between samples, C the sum of lam so far
        C = np.cumsum(lam[lo:stop], dtype=kind)
        C += carry
        carry = C[-1]
        C *= x[lo + 1 : stop + 1] - x[lo:stop]
        np.cumsum(C, out=C)
        high = max(high, moment + C.max())
        low = min(low, moment + C.min())
        moment = moment + C[-1]
    spread += float(abs(lam[-1]))
    terms = min(CHUNK, n) + n / CHUNK + 8
    rounding = 32 * EPS + 8 * terms * float(np.finfo(kind).eps)
    return float(max(high, -low, high - moment, moment - low)) + rounding * spread


class _Prover:
    """Objective and best lower bound for any loss; splines are (index, values)."""

    def __init__(self, line: _Line, loss: Loss, b: float) -> None:
        self.line, self.b = line, b
        self.problem = line.problem(loss, b)
        self.lower = 0.0
        self.history: list[tuple[float, float, int]] = []

    def outputs(self, index: Array, values: Array) -> Array:
        return np.interp(self.line.xs, self.line.x[index], values)

    def objective(self, index: Array, values: Array) -> float:
        F = self.outputs(index, values)
        return self.problem.data_fit(F[:, None]) + self.b * omega(
            *slope_changes(self.line.x[index], values)
        )

    def correlations(self, Lam: Array) -> tuple[Array, float]:
        return correlations(self.line.x, self.line.sums(Lam))

    def improve(self, Lam: Array) -> None:
        """A dual point: scaled until feasible, it may raise the lower bound."""
        line = self.line
        gauge = _proven_gauge(line.x, line.sums(Lam), np.longdouble)
        if line.lost > 0:
            gauge += 2 * line.lost / line.width * float(np.linalg.norm(Lam))
        D = self.problem.best_scale(Lam[:, None], self.b / gauge if gauge > 0 else np.inf)[1]
        self.lower = max(self.lower, D - SAFETY * abs(D))

    def record(self, objective: float, kinks: int) -> None:
        self.history.append((objective, self.lower, kinks))


def _best_constant(line: _Line, loss: Loss) -> float:
    """The constant of least loss, by bisection on the derivative."""
    lo, hi = float(line.y.min()), float(line.y.max())
    if loss.targets == "sign":
        share = float(line.weights @ (line.y > 0))
        if loss.name == "logistic":
            share = min(max(share, 1e-16), 1 - 1e-16)
            return float(np.log(share / (1 - share)))
        return 1.0 if share >= 0.5 else -1.0
    Y = line.y[:, None]
    for _ in range(200):
        mid = 0.5 * (lo + hi)
        slope = float(line.weights @ loss.gradient(np.full_like(Y, mid), Y)[:, 0])
        lo, hi = (mid, hi) if slope < 0 else (lo, mid)
    return 0.5 * (lo + hi)


def _newton(line: _Line, loss: Loss, beta: float, tol: float, start: Array | None) -> _Fit:
    """Proximal Newton: the engine minimises the loss's quadratic model plus the penalty."""
    b = line.scaled(beta)
    prover = _Prover(line, loss, b)
    problem, x, Y = prover.problem, line.x, line.y[:, None]
    n = len(x)
    index = np.array([0, n - 1]) if n > 1 else np.zeros(1, int)
    values = np.full(len(index), _best_constant(line, loss))
    if _tiny(line):
        F = np.full_like(Y, values[0])
        P = problem.data_fit(F)
        Lam = problem.dual_point(F)
        D = problem.best_scale(Lam, 1.0)[1]
        return _Fit(index, values, P, max(D - SAFETY * abs(D), 0.0), [])
    P = prover.objective(index, values)
    for _ in range(MAX_NEWTON):
        F = prover.outputs(index, values)[:, None]
        prover.improve(problem.dual_point(F)[:, 0])
        prover.record(P, len(index) - 2)
        if P - prover.lower <= tol * P:
            break
        h = loss.curvature(F, Y) * line.weights
        # Flat samples (clipped Huber) keep the step finite; a confident logistic sample must
        # keep its own tiny curvature, its residual is as tiny.
        h = np.where(h > 1e-30, h, 1e-6 * loss.smoothness * line.weights)
        H = line.sums(h)
        z = F[:, 0] + problem.residual(F)[:, 0] / h
        z = line.sums(h * z) / H
        mass = float(H.sum())
        kinks = index[1:-1] if len(index) > 2 else start
        # the model's own value is large and arbitrary: ask for a gap, not a share
        gap = max(1e-3 * (P - prover.lower), 1e-14 * P) / mass
        spline = Engine(x, z, H / mass).solve(b / mass, tol, kinks, accuracy=gap)
        union = np.union1d(index, spline.index)
        old = np.interp(x[union], x[index], values)
        step = np.interp(x[union], x[spline.index], spline.values) - old
        t, moved = 1.0, False
        while t > 1e-10:
            if t == 1.0:
                trial_index, trial = spline.index, spline.values
            else:
                trial_index, trial = union, old + t * step
            value = prover.objective(trial_index, trial)
            if value < P:
                index, values, P, moved = trial_index, trial, value, True
                break
            t *= 0.5
        if not moved:
            break
    index, values = _without_flat(line, index, values)
    return _Fit(index, values, P, prover.lower, prover.history)


def _without_flat(line: _Line, index: Array, values: Array) -> tuple[Array, Array]:
    """Drop knots at which the slope changes by rounding only."""
    slopes, changes = slope_changes(line.x[index], values)
    steepest = float(np.abs(slopes).max(initial=0.0))
    # x spans 2, so slopes, values and targets are of one kind
    size = max(steepest, float(line.y.max()), -float(line.y.min()))
    if steepest <= 1e-12 * size:
        return index[[0, -1]], np.full(2, float(values.mean()))
    keep = np.abs(changes) > 1e-11 * size
    keep = np.concatenate([[True], keep, [True]])
    return index[keep], values[keep]


def _linear_program(line: _Line, loss: Loss, beta: float, tol: float, start: Array | None) -> _Fit:
    """Hinge and pinball: linear programs in the values at the knots, more knots each round.

    The spline is its values v at the knots, so a sample's row has two entries, not one a
    ramp.  The rows' multipliers are the dual point.
    """
    b = line.scaled(beta)
    prover = _Prover(line, loss, b)
    x, n = line.x, len(line.x)
    if _tiny(line):
        v = np.array([_constant_of(line, loss)])
        P = prover.problem.data_fit(np.full((len(line.xs), 1), v[0]))
        return _Fit(np.zeros(1, int), v, P, P - SAFETY * abs(P), [])
    index = np.unique(np.linspace(0, n - 1, min(n, 20)).astype(int))
    if start is not None:
        index = np.union1d(index, start)
    guess = None
    if len(line.xs) > FREE_ROWS:
        # a smooth neighbour of the loss tells where kinks and corners are
        size = 1.0 if loss.targets == "sign" else float(np.ptp(line.y))
        near = _newton(line, loss.smoothed(0.02 * size), beta, 1e-3, start)
        index = np.union1d(index, near.index)
        guess = prover.outputs(near.index, near.values)
    best: tuple[float, Array, Array] = (np.inf, index, np.zeros(len(index)))
    for _ in range(MAX_NEWTON):
        values, Lam = _solve_lp(line, loss, b, x[index], guess)
        guess = prover.outputs(index, values)
        P = prover.objective(index, values)
        if best[0] > P:
            best = (P, index, values)
        Lam = prover.problem.centre(Lam[:, None])[:, 0]
        prover.improve(Lam)
        prover.record(best[0], len(index) - 2)
        if best[0] - prover.lower <= tol * best[0]:
            break
        h, M = prover.correlations(Lam)
        new = np.setdiff1d(peaks(h, (1 + 1e-9) * b - 0.5 * abs(M)), index)
        if len(new) == 0:
            break
        # knots that carry no kink leave once there are many
        slopes, changes = slope_changes(x[index], values)
        used = np.abs(changes) > 1e-9 * float(np.abs(slopes).max(initial=0.0))
        keep = np.concatenate([[True], used, [True]]) if len(index) > 200 else slice(None)
        index = np.union1d(index[keep], new)
    index, values = best[1:]
    index, values = _without_flat(line, index, values)
    P = prover.objective(index, values)
    return _Fit(index, values, P, prover.lower, prover.history)


def _constant_of(line: _Line, loss: Loss) -> float:
    """The best constant of a piecewise-linear loss is a target."""
    candidates = np.unique(line.y)
    if len(candidates) > 2:
        c = _best_constant(line, loss)
        near = np.searchsorted(candidates, c)
        candidates = candidates[max(near - 2, 0) : near + 2]
    Y = line.y[:, None]
    fits = [float(line.weights @ loss.value(np.full_like(Y, c), Y)) for c in candidates]
    return float(candidates[int(np.argmin(fits))])


def _solve_lp(
    line: _Line, loss: Loss, b: float, knots: Array, guess: Array | None
) -> tuple[Array, Array]:
    """Values at the knots and the dual point.

    Samples far from the corner of their loss in the outputs ``guess`` stay on their side: they
    are linear terms, not rows.  The few that turn are made rows and the program solved again.
    """
    N, m, w, y = len(line.xs), len(knots), line.weights, line.y
    seg = np.clip(np.searchsorted(knots, line.xs, side="right") - 1, 0, m - 2)
    width = np.diff(knots)
    t = (line.xs - knots[seg]) / width[seg]
    rows = np.arange(N)
    P = sp.csr_matrix(
        (np.concatenate([1 - t, t]), (np.tile(rows, 2), np.concatenate([seg, seg + 1]))), (N, m)
    )

    def distance(F: Array) -> Array:
        """From the corner of the loss: its sign tells the slope."""
        return y - F if loss.name == "pinball" else 1.0 - y * F

    free = np.ones(N, bool)
    side = np.zeros(N)
    if guess is not None and N > FREE_ROWS:
        side = distance(guess)
        many = max(FREE_ROWS, N // 20)
        free = np.abs(side) <= np.partition(np.abs(side), many)[many]
    while True:
        gradient = np.where(free, 0.0, w * _corner_slope(loss, side, y))
        found = _rows_lp(loss, b, width, P[free], y[free], w[free], P.T @ gradient, N)
        if found is None:
            if np.all(free):
                raise ValueError(
                    f"the linear program of the {loss.name} loss failed; standardise x and y"
                )
            # too few rows leave it unbounded
            many = min(4 * int(free.sum()), N)
            free = np.abs(side) <= np.sort(np.abs(side))[many - 1]
            continue
        v, Lam_free = found
        new = distance(P @ v)
        wrong = ~free & (new * side < 0)
        if not np.any(wrong):
            break
        # a few turned: free them and their like
        free |= np.abs(side) <= np.quantile(np.abs(side[wrong]), 0.9)
        free |= wrong
    Lam = -gradient
    Lam[free] = Lam_free
    return v, Lam


def _corner_slope(loss: Loss, side: Array, y: Array) -> Array:
    """The loss's derivative on the side of its corner that ``side`` tells."""
    if loss.name == "pinball":
        q = loss.quantile  # type: ignore[attr-defined]
        return np.where(side > 0, -q, 1 - q)
    return np.where(side > 0, -y, 0.0)


def _rows_lp(
    loss: Loss, b: float, width: Array, P: Any, y: Array, w: Array, linear: Array, scale: int
) -> tuple[Array, Array] | None:
    """The linear program of the samples given, the others being ``linear`` in the values."""
    N, m = P.shape
    slope = sp.diags([-1 / width, 1 / width], [0, 1], (m - 1, m), format="csr")
    change = sp.diags([-np.ones(m - 2), np.ones(m - 2)], [0, 1], (m - 2, m - 1)) @ slope
    ends = (slope[0] + slope[m - 2]) * 0.5
    eye, one = sp.identity, np.ones((1, m - 2))
    # variables: v, slacks, up, down (slope changes), T the penalty
    k = 2 * N if loss.name == "pinball" else N
    zeros = sp.csr_matrix
    equal = [sp.hstack([change, zeros((m - 2, k)), -eye(m - 2), eye(m - 2), zeros((m - 2, 1))])]
    right = [np.zeros(m - 2)]
    half = 0.5 * one
    above = [
        sp.hstack([zeros((1, m + k)), one, one, [[-1.0]]]),
        sp.hstack([ends, zeros((1, k)), half, half, [[-1.0]]]),
        sp.hstack([-ends, zeros((1, k)), half, half, [[-1.0]]]),
    ]
    limit = [np.zeros(3)]
    if loss.name == "pinball":
        q = loss.quantile  # type: ignore[attr-defined]
        cost = np.concatenate([q * w, (1 - q) * w])
        equal.append(sp.hstack([P, eye(N), -eye(N), zeros((N, 2 * (m - 2) + 1))]))
        right.append(y)
    else:
        cost = w
        above.append(sp.hstack([-P.multiply(y[:, None]), -eye(N), zeros((N, 2 * (m - 2) + 1))]))
        limit.append(-np.ones(N))
    # the mean's weights are near 1/n: solve for n times the objective
    c = scale * np.concatenate([linear, cost, np.zeros(2 * (m - 2)), [b]])
    bounds = [(None, None)] * m + [(0, None)] * (len(c) - m)
    found = linprog(
        c,
        A_ub=sp.vstack(above, format="csr"),
        b_ub=np.concatenate(limit),
        A_eq=sp.vstack(equal, format="csr"),
        b_eq=np.concatenate(right),
        bounds=bounds,
        method="highs",
        options={"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-10},
    )
    if found.x is None:
        return None
    if loss.name == "pinball":
        Lam = np.clip(found.eqlin.marginals[m - 2 :] / scale, -(1 - q) * w, q * w)
    else:
        Lam = np.clip(-found.ineqlin.marginals[3:] / scale, 0.0, w) * y
    return found.x[:m], Lam


def _least_gauge(line: _Line, loss: Loss) -> float:
    """The least gauge over the dual points of the best constant (scaled x).

    A sample on the corner of its loss may take any slope there; with C the running sums of
    lam and R_{k+1} = R_k + C_k (x_{k+1} - x_k), minimise gamma >= |R_k|, |R_k - R_0|.
    """
    n, w, y = len(line.x), line.weights, line.y
    if n < 2:
        return 0.0
    c = _constant_of(line, loss)
    if loss.name == "pinball":
        q = loss.quantile  # type: ignore[attr-defined]
        low, high = np.where(y > c, q * w, -(1 - q) * w), np.where(y < c, -(1 - q) * w, q * w)
    else:
        low, high = np.where(y * c < 1, w, 0.0), np.where(y * c > 1, 0.0, w)
        low, high = np.where(y > 0, low, -high), np.where(y > 0, high, -low)
    low, high = len(y) * line.sums(low), len(y) * line.sums(high)
    eye, zero, dx = sp.identity(n), sp.csr_matrix, np.diff(line.x)
    back = sp.diags([np.ones(n), -np.ones(n - 1)], [0, -1])
    rise = sp.diags([-np.ones(n - 1), np.ones(n - 1)], [0, 1], (n - 1, n))
    equal = sp.bmat(
        [[-eye, back, None], [None, -sp.diags([dx], [0], (n - 1, n)), rise]], format="csr"
    )
    equal = sp.hstack([equal, zero((2 * n - 1, 1))])
    pad, column = zero((n, 2 * n)), -np.ones((n, 1))
    first = sp.csr_matrix((np.ones(n), (np.arange(n), np.zeros(n, int))), (n, n))
    above = [sp.hstack([pad, s * E, column]) for s in (1, -1) for E in (eye, eye - first)]
    cost = np.zeros(3 * n + 1)
    cost[-1] = 1.0
    bounds = list(zip(low, high)) + [(None, None)] * (n - 1) + [(0, 0)]
    bounds += [(None, None)] * (n - 1) + [(0, 0), (0, None)]
    found = linprog(
        cost, sp.vstack(above), np.zeros(4 * n), equal, np.zeros(2 * n - 1), bounds, "highs"
    )
    if found.x is None:
        raise ValueError(f"no weight_decay_max for the {loss.name} loss: {found.message}")
    return float(found.x[-1]) / len(y)


def _general(
    x: Any, y: Array, beta: float, loss: Loss, bias: str, sample_weight: Any, tol: float
) -> SplineSolution:
    """Several outputs and other bias rules: the general solver, exact gauge of rank one."""
    X = np.asarray(x, dtype=np.float64)
    X = X[:, None] if X.ndim == 1 else X
    if X.shape[1] > 1:
        _coordinate(X)  # refuses data that are not on a line
    found = train(Problem(X, y, loss, beta, bias, sample_weight), tol=tol)
    network = found.network
    if X.shape[1] == 1:
        origin, direction = np.zeros(1), np.ones(1)
    else:
        _, origin, direction, _ = _coordinate(X)
    u = direction @ network.hidden_weights
    shift = origin @ network.hidden_weights + network.hidden_bias
    bent = u != 0
    places = -shift[bent] / u[bent]
    knots, group = np.unique(places, return_inverse=True)
    a = network.output_weights[bent]
    changes = np.zeros((len(knots), network.n_outputs))
    np.add.at(changes, group, np.abs(u[bent])[:, None] * a)
    falling = u[bent] < 0
    first = (u[bent][falling][:, None] * a[falling]).sum(axis=0)
    slopes = np.vstack([first, first + np.cumsum(changes, axis=0)])
    at = knots if len(knots) else np.zeros(1)
    values = network.predict(origin + at[:, None] * direction)
    return SplineSolution(
        network,
        found.certificate,
        found.status,
        found.history,
        knots,
        slopes,
        values,
        beta,
        origin,
        direction,
    )


# From the scaled line back to the caller's units.


def _finish(line: _Line, fit: _Fit, beta: float, tol: float, started: float) -> SplineSolution:
    if not np.isfinite(fit.objective):
        raise ValueError(
            "the objective is not finite at this scale; divide x and y by their standard deviations"
        )
    width = line.width if line.width > 0 else 1.0
    knots, v = line.places(fit.index), fit.values * line.height + line.offset
    if len(knots) > 1:
        slopes, d = slope_changes(line.x[fit.index], fit.values)
        T, S = float(np.abs(d).sum()), float(slopes[0] + slopes[-1])
        factor = line.height / width
        d = np.concatenate([[0.0], d])
        if abs(S) > T:
            d[0] = 0.5 * (S - np.sign(S) * T)  # a kink on the first sample flattens the outside
        slopes = np.concatenate([slopes[:1] - d[0], slopes[:1] - d[0] + np.cumsum(d)])
        kinks, values = knots[:-1], v[:-1]
        used = d != 0
        network = draw(kinks[used], d[used] * factor, slopes * factor, (kinks[0], v[0]), line)
        slopes = slopes * factor
        if np.any(used):
            slopes = slopes[np.concatenate([[True], used])]
            kinks, values = kinks[used], values[used]
        else:
            kinks, slopes, values = kinks[:0], slopes[:1], v[:1] - slopes[0] * kinks[0]
    else:
        kinks, slopes, values = knots[:0], np.zeros(1), v
        network = draw(kinks, np.zeros(0), slopes, (0.0, v[0]), line)
    certificate = Certificate(fit.objective, fit.lower_bound, fit.lower_bound, PROOF)
    gap = certificate.relative_gap
    if gap <= tol:
        status = Status.OPTIMAL
    elif gap <= 100 * tol:
        status = Status.NEAR_OPTIMAL
    else:
        status = Status.STALLED
    history = History()
    seconds = time.perf_counter() - started
    for P, D, k in fit.history:
        history.record(seconds, Certificate(P, D, D, PROOF), k)
    history.record(seconds, certificate, network.n_neurons)
    return SplineSolution(
        network,
        certificate,
        status,
        history,
        kinks,
        slopes[:, None],
        values[:, None],
        beta,
        line.origin,
        line.direction,
    )


def draw(
    kinks: Array,
    d: Array,
    slopes: Array,
    point: tuple[float, float],
    line: _Line | SplineSolution,
) -> Network:
    """The network of least penalty through ``point``.

    Each kink is one ramp, right or left; at most one kink is both.
    Right ramps minus left ramps must add up to S = slopes[0] + slopes[-1], |S| <= sum |d|.
    """
    size = np.abs(d)
    # the last kinks (in order) turn right: share of each that counts +1, filled from the right
    target = 0.5 * (float(size.sum()) + float(slopes[0] + slopes[-1]))
    before = np.concatenate([np.cumsum(size[::-1])[::-1][1:], [0.0]]) if len(d) else size
    plus = np.clip(target - before, 0.0, size)
    plus[plus < 1e-12 * size] = 0.0
    minus = size - plus
    minus[minus < 1e-12 * size] = 0.0
    plus = size - minus
    # +: right ramps of rising kinks and left ramps of falling ones
    right = np.where(d > 0, plus, minus)
    left = np.where(d > 0, minus, plus)
    sign = np.sign(d)
    coefficient = np.concatenate([(right * sign)[right > 0], (left * sign)[left > 0]])
    u = np.concatenate([np.ones(int(np.sum(right > 0))), -np.ones(int(np.sum(left > 0)))])
    t = np.concatenate([kinks[right > 0], kinks[left > 0]])
    root = np.sqrt(np.abs(coefficient))
    at, value = point
    c = value - float(coefficient @ np.maximum(u * (at - t), 0.0))
    hidden = line.direction[:, None] * (u * root)
    return Network(
        hidden,
        -root * u * t - line.origin @ hidden,
        (np.sign(coefficient) * root)[:, None],
        np.array([c]),
    )


__all__ = [
    "SplineSolution",
    "evaluate",
    "solve_spline",
    "spline_path",
    "weight_decay_max",
]
