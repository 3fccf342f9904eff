"""Losses of outputs that are logarithms: the deviances of counts and of positive amounts.

Their curvature is unbounded, which no solver here takes.  So each goes on as a line beyond a point
``most`` that predictions of data within it have no reason to pass; it is then below the deviance
and equal to it before, so a lower bound proven for it holds for the deviance as well, and an
objective is that of the deviance wherever no output has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import xlogy

from .checks import Array
from .loss import DOMAIN_SLACK, Separable
from .rounding import EPS

# Above the logarithms of all positive floats and their products, which bound slopes.
LOGARITHM = 2000.0


@dataclass(frozen=True)
class Deviance(Separable):
    """What both share: half a deviance that goes on as a line beyond ``most``."""

    most: float = 1000.0
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = None
    #: what targets are, in words
    needs: ClassVar[str]
    #: whether zero is one of them
    from_zero: ClassVar[bool]

    def __post_init__(self) -> None:
        if not (np.isfinite(self.most) and self.most >= 2):
            raise ValueError(f"most must be a number from 2, got {self.most!r}")

    def check_targets(self, Y: Array) -> None:
        wrong = Y < 0 if self.from_zero else Y <= 0
        if not np.any(wrong):
            return
        other = "squared" if np.any(Y < 0) else "poisson, which allows 0"
        raise ValueError(
            f"the {self.name} loss needs {self.needs}, and {np.sum(wrong)} of {Y.size} targets are "
            f"not, the first {Y[wrong][0]:g}; leave these out, or take the loss {other}"
        )

    @property
    def smoothness(self) -> float:
        return self.most

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return LOGARITHM


@dataclass(frozen=True)
class Poisson(Deviance):
    """``exp(f) - y f + y log y - y`` for y >= 0, half the Poisson deviance; summed over outputs.

    Beyond ``f = log(most)`` it goes on with the slope ``most - y``.  With ``t = v + y`` the
    conjugate is ``(t log t - t) - (y log y - y)`` on ``0 <= t <= most``.

    Parameters
    ----------
    most : float, default 1000
        Prediction from which on it is a line; above the largest target, and at least 2.
    """

    name: ClassVar[str] = "poisson"
    targets: ClassVar[str] = "count"
    needs: ClassVar[str] = "counts from 0"
    from_zero: ClassVar[bool] = True

    def check_targets(self, Y: Array) -> None:
        super().check_targets(Y)
        # strictly below: zero lies inside the dual box by more than rounding
        if not np.all(self.most * (1 - 1e-9) >= Y):
            raise ValueError(
                f"Poisson(most={self.most:g}) needs targets below that, got {Y.max():g}; a larger "
                "most takes larger ones"
            )

    def value(self, F: Array, Y: Array) -> Array:
        top = np.log(self.most)
        mean = np.exp(np.minimum(F, top)) + self.most * np.maximum(F - top, 0.0)
        return np.sum(np.maximum(mean - Y * F + (xlogy(Y, Y) - Y), 0.0), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return np.exp(np.minimum(F, np.log(self.most))) - Y

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        top = np.log(self.most)
        return np.where(top > F, np.exp(np.minimum(F, top)), 0.0) * V

    def conjugate(self, V: Array, Y: Array) -> Array:
        T = V + Y
        T, outside = _clipped(T, 0.0, self.most, np.abs(V) + Y)
        terms = (xlogy(T, T) - T) - (xlogy(Y, Y) - Y)
        return np.where(outside, np.inf, np.sum(terms, axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return np.log(np.clip(V + Y, DOMAIN_SLACK, self.most))

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _entropy_error(np.abs(V) + Y)

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        # a rounding inside, so that v + y is not above most
        return -Y, (self.most - Y) * (1 - 4 * EPS) - 4 * EPS * Y


@dataclass(frozen=True)
class Gamma(Deviance):
    """``y exp(-f) + f - 1 - log y`` for y > 0, half the gamma deviance; summed over outputs.

    Below ``exp(f) = y / most`` it goes on with the slope ``1 - most``.  With ``t = 1 - v`` the
    conjugate is ``t log t - t + 1 + v log y`` on ``0 <= t <= most``.

    Parameters
    ----------
    most : float, default 1000
        Of a target relative to its prediction, where it turns into a line; at least 2.
    """

    name: ClassVar[str] = "gamma"
    targets: ClassVar[str] = "positive"
    needs: ClassVar[str] = "amounts above 0"
    from_zero: ClassVar[bool] = False

    def _ratio(self, F: Array, Y: Array) -> tuple[Array, Array]:
        """``f - log y``, and targets relative to predictions, at most ``most``."""
        R = F - np.log(Y)
        return R, np.exp(np.minimum(-R, np.log(self.most)))

    def value(self, F: Array, Y: Array) -> Array:
        R, ratio = self._ratio(F, Y)
        beyond = np.maximum(-R - np.log(self.most), 0.0)
        return np.sum(np.maximum(ratio + self.most * beyond + R - 1.0, 0.0), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return 1.0 - self._ratio(F, Y)[1]

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        R, ratio = self._ratio(F, Y)
        return np.where(np.log(self.most) > -R, ratio, 0.0) * V

    def conjugate(self, V: Array, Y: Array) -> Array:
        T, outside = _clipped(1.0 - V, 0.0, self.most, 1.0 + np.abs(V))
        terms = (xlogy(T, T) - T + 1.0) + V * np.log(Y)
        return np.where(outside, np.inf, np.sum(terms, axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return np.log(Y) - np.log(np.clip(1.0 - V, DOMAIN_SLACK, self.most))

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        product = np.abs(V) * (1.0 + np.abs(np.log(Y)))
        return _entropy_error(1.0 + np.abs(V)) + 8 * V.shape[1] * EPS * np.sum(product, axis=1)

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        return np.full(Y.shape, (1.0 - self.most) * (1 - 8 * EPS)), np.ones(Y.shape)


def _clipped(T: Array, low: float, high: float, size: Array) -> tuple[Array, Array]:
    """``T`` within the interval, and which rows are outside by more than rounding."""
    slack = DOMAIN_SLACK * (1.0 + size)
    outside = np.any((low - slack > T) | (high + slack < T), axis=1)
    return np.clip(T, low, high), outside


def _entropy_error(size: Array) -> Array:
    """The rounding of sums of t log t - t, where t is a sum of terms of this size.

    A step of ``EPS size`` in t moves t log t by at most that times one and the logarithm of the
    larger of t and the step.
    """
    logarithm = 40.0 + np.abs(np.log(np.maximum(size, np.finfo(float).tiny)))
    return 8 * size.shape[1] * EPS * np.sum(size * logarithm, axis=1)
