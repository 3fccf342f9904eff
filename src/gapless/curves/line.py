"""Data on a line, sorted and scaled: what the caller gave, in units that suit float64."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ..core.checks import Array, to_floats
from ..core.losses import Loss
from ..core.problem import Problem
from ..core.reduction import power_of_two
from ..core.rounding import EPS
from .engine import Engine

# Rank one: what is off the line is at most this share of the data.
RANK_TOL = 1e-10
# Half the span of x: twice as much and its inverse are finite.
LEAST_SPAN, LARGEST_SPAN = 1e-307, 8e307
# That times the size of y: a weight decay of their units and its inverse are finite.
LEAST_PRODUCT, LARGEST_PRODUCT = 1e-307, 1e307
# Targets whose squares, summed, stay finite.
LARGEST_TARGET = 1e150
# Rounding of a sum of residuals that would be zero, in units of EPS times their size.
ZERO_SUM = 128
# Entries that tell most unsorted data.
GLANCE = 1000


class Line:
    """One set of data, as :func:`gapless.curves.spline.solve_spline` is given it.

    With ``c`` the caller's coordinates, x is ``(c - middle) / width``, in [-1, 1].  For losses of
    ``F - Y`` alone y is ``(Y - offset) / height``, at most 1 in size; for classes it is as given.
    A loss of constant curvature joins samples of equal x, whose spread then adds the constant
    ``spread / 2`` to the scaled objective.

    Attributes
    ----------
    x : array of shape (n_places,)
        The distinct places, rising.
    sample_x, y, w : arrays of shape (n_rows,), w None for equal weights
        A row a sample, or a place where samples were joined.
    first : array of shape (n_places,) or None
        The first sample of each place, None where all are distinct.
    apart : array of shape (n_samples,), or 0
        By how much samples were moved that are equal after scaling alone; proofs charge it.
    spread, strain : float
        ``sum_i w_i (y_i - mean)^2`` about the means of the places, and what all of it in a dual
        point adds to a gauge.
    loss : Loss
        In the scaled units.
    objective_unit, slope_unit : float
        Of the caller's objective, and of a weight decay for x as given.
    origin, direction, off_line
        As :func:`line_coordinate` found them.
    """

    def __init__(self, x: Any, y: Array, sample_weight: Any, loss: Loss) -> None:
        self._c, self.origin, self.direction, self.off_line = line_coordinate(x)
        if len(self._c) == 0:
            raise ValueError("x must have at least one sample, got none")
        if not np.isfinite(y.sum()) and not np.all(np.isfinite(y)):
            raise ValueError("y has NaN or infinite entries; remove or impute them first")
        given, y, self.w = self._sorted(y, sample_weight)
        self.x = self.sample_x = self._scaled_x(given)
        self.y = self._scaled_y(y, loss)
        self.loss = loss.scaled(1 / self.height)
        if self.width > 0 and not LEAST_PRODUCT < self.width * self.height < LARGEST_PRODUCT:
            raise ValueError(
                f"x and y are so large or small ({self.width:.0e} and {self.height:.0e}) that no "
                "weight decay suits them; divide each by its standard deviation"
            )
        self.first: Array | None = None
        self.apart: Array | float = 0.0
        self.spread = self.strain = 0.0
        fresh = self.x[1:] > self.x[:-1]
        if not np.all(fresh):
            self._join(np.concatenate([[0], 1 + np.flatnonzero(fresh)]), given)

    def _sorted(self, y: Array, sample_weight: Any) -> tuple[Array, Array, Array | None]:
        """Copies of the coordinates, the targets and the weights, by rising coordinate; samples
        of weight zero leave."""
        c, w = self._c, None
        if sample_weight is not None:
            shape = (len(c),)
            given = np.broadcast_to(to_floats("sample_weight", sample_weight), shape)
            w = Problem(np.zeros((len(c), 1)), np.zeros(shape), sample_weight=given).sample_weight
            if len(w) < len(c):
                c, y = c[given > 0], y[given > 0]
        self._c = c
        self._order: Array | None = None
        if _rising(c[:GLANCE]) and _rising(c):
            return c.copy(), y.copy(), w
        self._order, x = sort_with_order(c)
        # positions are valid by construction, and take is twice as fast when told so
        y = y.take(self._order, mode="clip")
        return x, y, None if w is None else w[self._order]

    def _scaled_x(self, given: Array) -> Array:
        """Sets ``width`` and ``middle``."""
        low, high = float(given[0]), float(given[-1])
        self.width = 0.5 * high - 0.5 * low
        if 0 < self.width < LEAST_SPAN:
            raise ValueError(
                f"x spans {low:.0e} to {high:.0e}, less than one can divide by; multiply x by a "
                "power of ten"
            )
        if not self.width < LARGEST_SPAN:
            raise ValueError(
                f"x spans {low:.0e} to {high:.0e}, more than one can subtract; divide x by its "
                "standard deviation"
            )
        self.middle = low + self.width
        x = given - self.middle
        x /= self.unit
        if self.width == 0:
            x[:] = 0.0
        return x

    def _scaled_y(self, y: Array, loss: Loss) -> Array:
        """Sets ``offset``, ``height`` and the units; scales ``y`` in place."""
        self.offset, self.height, self.objective_unit, self.slope_unit = 0.0, 1.0, 1.0, 1.0
        if loss.degree is not None:
            self.offset = float(y.mean())
            y -= self.offset
            # a power of two: exact
            self.height = 2 * power_of_two(max(float(y.max()), -float(y.min())))
            if not self.height < LARGEST_TARGET:
                raise ValueError(
                    f"y has entries as large as {self.height:.0e}, whose squares overflow; "
                    "divide y by its standard deviation"
                )
            y /= self.height
            self.slope_unit = self.height ** (loss.degree - 1)
            self.objective_unit = self.height * self.slope_unit
        return y

    def _join(self, first: Array, given: Array) -> None:
        self.first, self.x = first, self.sample_x[first]
        count = np.diff(np.append(first, len(given)))
        self.apart = (given - np.repeat(given[first], count)) / self.unit
        if self.loss.constant_curvature:
            w, y = self.weights, self.y
            self.w = np.add.reduceat(w, first)
            mean = np.add.reduceat(w * y, first) / self.w
            off = y - np.repeat(mean, count)
            self.spread = float(np.sum(w * off * off))
            # distances moved, and sums over a place that are zero but for rounding
            self.strain = float(np.sum(w * np.abs(off) * self.apart))
            self.strain += ZERO_SUM * EPS * self.spread**0.5
            self.sample_x, self.y = self.x, mean

    @property
    def unit(self) -> float:
        """The caller's length of one of ``x``."""
        return self.width if self.width > 0 else 1.0

    @property
    def single(self) -> bool:
        """Whether all samples are at one place: the best network is a constant."""
        return len(self.x) < 2

    @property
    def weights(self) -> Array:
        """(n_rows,), of sum 1."""
        n = len(self.y)
        return np.full(n, 1.0 / n) if self.w is None else self.w

    @cached_property
    def engine(self) -> Engine:
        """The squared-loss solver; what it learns at one weight decay helps at the next."""
        return Engine(self.x, self.y, self.w)

    def problem(self, loss: Loss, weight_decay: float) -> Problem:
        """The scaled problem, under a loss in the scaled units."""
        return Problem(self.sample_x[:, None], self.y, loss, weight_decay, "free", self.w)

    def scaled(self, weight_decay: float) -> float:
        """The weight decay of the scaled problem."""
        return weight_decay / self.unit / self.slope_unit

    def sums(self, r: Array) -> Array:
        """Sums over the samples of each place."""
        return r if self.first is None else np.add.reduceat(r, self.first)

    def nearest(self, knots: Any) -> Array:
        """Numbers of the places at or above the caller's ``knots``, each once."""
        places = (np.asarray(knots, dtype=np.float64) - self.middle) / self.unit
        return np.unique(np.clip(np.searchsorted(self.x, places), 0, len(self.x) - 1))

    def coordinates(self, index: Array) -> Array:
        """The caller's coordinates of the places numbered ``index``."""
        if self.first is not None:
            index = self.first[index]
        return self._c[index if self._order is None else self._order[index]]


def _rising(x: Array) -> bool:
    return bool(np.all(x[1:] >= x[:-1]))


def sort_with_order(x: Array) -> tuple[Array, Array]:
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
    if not _rising(found):
        key = np.argsort(x, kind="stable")
        found = x[key]
    return key, found


def target_column(y: Any, x: Any) -> Array:
    """Targets as (n_samples,), or (n_samples, n_outputs); other shapes are refused."""
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
    """Of samples on a line: coordinates ``(x - origin) @ direction``, origin, direction, and the
    norm of what is off the line; for one feature x itself, 0, 1 and nothing.

    Features that are off the line by more than RANK_TOL of their norm are refused.
    """
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
    # one step of the power method from the farthest sample: exact on a line
    a = Z[far] / size[far]
    a = Z.T @ (Z @ a)
    a /= np.linalg.norm(a)
    c = Z @ a
    whole = float(np.linalg.norm(Z))
    rounding = 8 * (x.shape[1] + 8) * EPS * whole
    off = float(np.linalg.norm(Z - c[:, None] * a)) + rounding
    if off > RANK_TOL * whole:
        raise ValueError(
            f"x has {x.shape[1]} features that do not lie on a line "
            f"({off / whole:.1e} of them is off it); give one feature, or use "
            "ReLURegressor or gapless.train"
        )
    return c, origin, a, off
