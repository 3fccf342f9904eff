"""Data on a line, sorted and scaled, and what is proven about splines on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..core.checks import Array, to_floats
from ..core.constant import best_constant
from ..core.losses import EPS, Loss
from ..core.problem import Problem
from ..core.reduction import power_of_two
from .engine import Engine, correlations, omega, slope_changes

# Rank one: what is off the line is at most this share of the data.
RANK_TOL = 1e-10
# Samples of a certificate handled at once: sums of this many terms bound its rounding.
CHUNK = 1 << 15


class Line:
    """Sorted, scaled data: ``x`` distinct in [-1, 1]; ``xs, y, w`` a row a sample.

    Losses of ``F - Y`` alone are taken in units in which the targets are at most 1: ``loss``, of
    which the caller's is ``value`` times as large.  A loss of constant curvature joins samples of
    equal x; their spread is ``spread``.  Samples whose x are equal after scaling alone are
    ``apart`` (n_samples,) from the first of them, which every proof charges.
    """

    def __init__(self, x: Any, y: Array, sample_weight: Any, loss: Loss) -> None:
        c, self.origin, self.direction, self.lost = line_coordinate(x)
        n = len(c)
        if n == 0:
            raise ValueError("x must have at least one sample, got none")
        if not np.isfinite(y.sum()) and not np.all(np.isfinite(y)):
            raise ValueError("y has NaN or infinite entries; remove or impute them first")
        w = None
        if sample_weight is not None:
            given = np.broadcast_to(to_floats("sample_weight", sample_weight), (n,))
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
        if 0 < self.width < 1e-307:
            raise ValueError(
                f"x spans {low:.0e} to {high:.0e}, less than one can divide by; multiply x by a "
                "power of ten"
            )
        if not self.width < 8e307:
            raise ValueError(
                f"x spans {low:.0e} to {high:.0e}, more than one can subtract; divide x by its "
                "standard deviation"
            )
        self.middle = low + self.width
        given = x.copy()
        x -= self.middle
        x /= self._scale
        if self.width == 0:
            x[:] = 0.0
        # of outputs, of the objective, and of the objective a unit of output
        self.offset, self.height, self.value, self.slope = 0.0, 1.0, 1.0, 1.0
        if loss.degree is not None:
            self.offset = float(y.mean())
            y -= self.offset
            # a power of two: exact
            self.height = 2 * power_of_two(max(float(y.max()), -float(y.min())))
            if not self.height < 1e150:
                raise ValueError(
                    f"y has entries as large as {self.height:.0e}, whose squares overflow; "
                    "divide y by its standard deviation"
                )
            y /= self.height
            self.slope = self.height ** (loss.degree - 1)
            self.value = self.height * self.slope
        self.loss = loss.scaled(1 / self.height)
        if self.width > 0 and not 1e-307 < self.width * self.height < 1e307:
            raise ValueError(
                f"x and y are so large or small ({self.width:.0e} and {self.height:.0e}) that no "
                "weight decay suits them; divide each by its standard deviation"
            )
        self.x, self.xs, self.strain = x, x, 0.0
        self.y, self.w, self.spread, self.apart = y, w, 0.0, 0.0
        self.first: Array | None = None  # numbers of the samples that bring a new x
        fresh = x[1:] > x[:-1]
        if not np.all(fresh):
            self._merge(np.concatenate([[0], 1 + np.flatnonzero(fresh)]), given)

    def _merge(self, first: Array, given: Array) -> None:
        self.first, self.x = first, self.xs[first]
        count = np.diff(np.append(first, len(given)))
        self.apart = (given - np.repeat(given[first], count)) / self._scale
        if self.loss.constant_curvature:
            w, y = self.weights, self.y
            self.w = np.add.reduceat(w, first)
            mean = np.add.reduceat(w * y, first) / self.w
            off = y - np.repeat(mean, count)
            self.spread = float(np.sum(w * off * off))
            # what the spread adds to a gauge: distances, and sums that are zero but for rounding
            self.strain = float(np.sum(w * np.abs(off) * self.apart))
            self.strain += 128 * EPS * self.spread**0.5
            self.xs, self.y = self.x, mean

    @property
    def _scale(self) -> float:
        return self.width if self.width > 0 else 1.0

    @cached_property
    def engine(self) -> Engine:
        """The squared-loss solver; what it learns at one weight decay helps at the next."""
        return Engine(self.x, self.y, self.w)

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

    def problem(self, loss: Loss, b: float) -> Problem:
        """The scaled problem, under a loss in the scaled units."""
        return Problem(self.xs[:, None], self.y, loss, b, "free", self.w)

    def nearest(self, knots: Any) -> Array:
        """Numbers of the distinct x at or above the given places."""
        places = (np.asarray(knots, dtype=np.float64) - self.middle) / self._scale
        return np.unique(np.clip(np.searchsorted(self.x, places), 0, len(self.x) - 1))

    def scaled(self, beta: float) -> float:
        """The weight decay of the scaled problem."""
        return beta / self._scale / self.slope


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


def target_column(y: Any, x: Any) -> Array:
    """Targets as (n,), or (n, C) for several outputs."""
    y = to_floats("y", y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2):
        raise ValueError(f"y must have 1 or 2 dimensions, got shape {y.shape}")
    shape = to_floats("x", x).shape
    if not shape:
        raise ValueError("x must have 1 or 2 dimensions, got one number")
    if shape[0] != len(y):
        raise ValueError(f"x has {shape[0]} samples but y has {len(y)}")
    return y


@np.errstate(over="ignore", invalid="ignore")  # what overflows is found not to lie on a line
def line_coordinate(x: Any) -> tuple[Array, Array, Array, float]:
    """The coordinate along the data's line, its origin and direction, and what is off it."""
    x = to_floats("x", x)
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
    rounding = 8 * (x.shape[1] + 8) * EPS * float(np.linalg.norm(Z))
    off = float(np.linalg.norm(Z - c[:, None] * a)) + rounding
    if off > RANK_TOL * float(np.linalg.norm(Z)):
        raise ValueError(
            f"x has {x.shape[1]} features that do not lie on a line "
            f"({off / np.linalg.norm(Z):.1e} of them is off it); give one feature, or use "
            "ReLURegressor or gapless.train"
        )
    return c, origin, a, off


@dataclass(frozen=True, eq=False)
class Fit:
    index: Array
    values: Array
    objective: float
    lower_bound: float
    history: list[tuple[float, float, int]]


def single_place(line: Line) -> bool:
    return len(line.x) < 2


def proven_gauge(x: Array, lam: Array, kind: type[np.floating[Any]], mass: float = 0.0) -> float:
    """``max(|R|, |R - M|)`` of dual points that sum to zero, plus what rounding may hide.

    Sums run in precision ``kind`` over at most CHUNK terms and then over chunks; x spans 2.
    ``mass`` is the sum of sizes of what was summed to ``lam``, where that is more than its own.
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
    spread = max(spread, mass)
    rounding = 32 * EPS + 8 * terms * float(np.finfo(kind).eps)
    return float(max(high, -low, high - moment, moment - low)) + rounding * spread


class Prover:
    """Objective and best lower bound in scaled units; splines are (index, values)."""

    def __init__(self, line: Line, loss: Loss, b: float) -> None:
        self.line, self.b = line, b
        self.problem = line.problem(loss, b)
        self.lower = loss.infimum
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
        mass = float(np.abs(Lam).sum())
        gauge = proven_gauge(line.x, line.sums(Lam), np.longdouble, mass)
        gauge += float(np.sum(np.abs(Lam) * line.apart))
        if line.lost > 0:
            gauge += 2 * line.lost / line.width * float(np.linalg.norm(Lam))
        self.lower = max(self.lower, self.problem.proven_bound(Lam[:, None], gauge))

    def record(self, objective: float, kinks: int) -> None:
        self.history.append((objective, self.lower, kinks))

    def fit(self, index: Array, values: Array, objective: float) -> Fit:
        """In the caller's units."""
        value = self.line.value
        rounds = [(value * p, value * d, k) for p, d, k in self.history]
        return Fit(index, values, value * objective, value * self.lower, rounds)


def constant_of(line: Line, loss: Loss) -> float:
    """The best constant of a piecewise-linear loss is a target."""
    candidates = np.unique(line.y)
    if len(candidates) > 2:
        c = best_constant(loss, line.y[:, None], line.weights)[0]
        near = np.searchsorted(candidates, c)
        candidates = candidates[max(near - 2, 0) : near + 2]
    Y = line.y[:, None]
    fits = [float(line.weights @ loss.value(np.full_like(Y, c), Y)) for c in candidates]
    return float(candidates[int(np.argmin(fits))])


def without_flat(line: Line, index: Array, values: Array) -> tuple[Array, Array]:
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
