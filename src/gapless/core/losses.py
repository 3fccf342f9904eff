"""The losses, each with its conjugate and all else that :mod:`gapless.core.loss` asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_softmax, logit, softmax, xlogy

from .checks import Array, choose
from .log_link import Gamma, Poisson
from .loss import DECLARED, DOMAIN_SLACK, Separable
from .loss import Loss as Loss
from .loss import check_loss as check_loss
from .rounding import EPS

# Above the logarithm of any float, by which the slope of an entropy is bounded.
LOGARITHM = 1000.0


@dataclass(frozen=True)
class _Quadratic(Separable):
    """Quadratic near the target: the conjugate is ``1/2 ||v||^2 + v.y`` on a box."""

    targets: ClassVar[str] = "real"
    degree: ClassVar[int | None] = 2

    @property
    def smoothness(self) -> float:
        return 1.0

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return V + Y

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _product_error(V, np.abs(V) + np.abs(Y))

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return float(np.abs(V).max(initial=0.0) + np.abs(Y).max(initial=0.0))


@dataclass(frozen=True)
class _Margin(Separable):
    """A function of ``y f`` for y = +-1: the conjugate lives on ``0 <= -v y <= 1``."""

    targets: ClassVar[str] = "sign"
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = None

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        return np.minimum(-Y, 0.0), np.maximum(-Y, 0.0)


class _Cornered(Separable):
    """Piecewise linear; ``smoothing = mu > 0`` is its Moreau envelope, smooth within the box."""

    smoothing: float

    @property
    def smoothness(self) -> float:
        return 1.0 / self.smoothing if self.smoothing > 0 else np.inf

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        if self.smoothing == 0:
            return np.zeros_like(V)
        slope, (low, high) = self.gradient(F, Y), self.dual_box(Y)
        return ((low < slope) & (slope < high)) * V / self.smoothing

    def corner(self, Y: Array) -> tuple[Array, Array, Array] | None:
        return None if self.smoothing > 0 else (Y, *self.dual_box(Y))

    def smoothed(self, mu: float) -> Loss:
        return self if self.smoothing > 0 else replace(self, smoothing=mu)  # type: ignore[type-var]


@dataclass(frozen=True)
class Squared(_Quadratic):
    """``1/2 ||f - y||^2``, conjugate ``1/2 ||v||^2 + v.y``."""

    name: ClassVar[str] = "squared"
    constant_curvature: ClassVar[bool] = True

    def value(self, F: Array, Y: Array) -> Array:
        R = F - Y
        return 0.5 * np.einsum("ij,ij->i", R, R)

    def gradient(self, F: Array, Y: Array) -> Array:
        return F - Y

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        return V

    def conjugate(self, V: Array, Y: Array) -> Array:
        return np.einsum("ij,ij->i", V, 0.5 * V + Y)

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        everywhere = np.full(Y.shape, np.inf)
        return -everywhere, everywhere


@dataclass(frozen=True)
class Huber(_Quadratic):
    """Quadratic up to ``delta``, then linear; summed over outputs.

    The conjugate is that of the squared loss on ``|v| <= delta``.
    """

    delta: float = 1.35
    name: ClassVar[str] = "huber"
    constant_curvature: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.delta) and self.delta > 0):
            raise ValueError(f"Huber's delta must be a positive number, got {self.delta!r}")

    def value(self, F: Array, Y: Array) -> Array:
        R = np.abs(F - Y)
        inner = np.minimum(R, self.delta)
        return np.sum(inner * (R - 0.5 * inner), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return np.clip(F - Y, -self.delta, self.delta)

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        return (np.abs(F - Y) < self.delta) * V

    def conjugate(self, V: Array, Y: Array) -> Array:
        outside = np.any(np.abs(V) > self.delta * (1 + DOMAIN_SLACK), axis=1)
        return np.where(outside, np.inf, np.einsum("ij,ij->i", V, 0.5 * V + Y))

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        return np.full(Y.shape, -self.delta), np.full(Y.shape, self.delta)

    def scaled(self, t: float) -> Huber:
        return Huber(self.delta * t)


@dataclass(frozen=True)
class Logistic(_Margin):
    """``log(1 + exp(-y f))`` for y = +-1, summed over outputs.

    With ``t = -v y`` the conjugate is ``t log t + (1 - t) log(1 - t)`` on ``0 <= t <= 1``.
    """

    name: ClassVar[str] = "logistic"

    @property
    def smoothness(self) -> float:
        return 0.25

    def value(self, F: Array, Y: Array) -> Array:
        return np.sum(np.logaddexp(0.0, -Y * F), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return -Y * expit(-Y * F)

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        p = expit(F)
        return p * (1 - p) * V

    def conjugate(self, V: Array, Y: Array) -> Array:
        T, outside = _unit_interval(-V * Y)
        return np.where(outside, np.inf, np.sum(xlogy(T, T) + xlogy(1 - T, 1 - T), axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return -Y * logit(np.clip(-V * Y, DOMAIN_SLACK, 1 - DOMAIN_SLACK))

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _unit_error(V)

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return LOGARITHM


@dataclass(frozen=True)
class Hinge(_Margin, _Cornered):
    """``max(0, 1 - y f)`` for y = +-1, summed over outputs.

    With ``t = -v y`` the conjugate is ``-t`` on ``0 <= t <= 1`` (JMLR 2021, Theorem 10).
    ``smoothing = mu > 0`` gives its Moreau envelope, whose conjugate adds ``mu t^2 / 2``.
    """

    smoothing: float = 0.0
    name: ClassVar[str] = "hinge"

    def _slope(self, F: Array, Y: Array) -> tuple[Array, Array]:
        margin = 1.0 - Y * F
        if self.smoothing > 0:
            return margin, np.clip(margin / self.smoothing, 0.0, 1.0)
        return margin, (margin > 0).astype(float)

    def value(self, F: Array, Y: Array) -> Array:
        margin, t = self._slope(F, Y)
        return np.sum(t * (margin - 0.5 * self.smoothing * t), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return -Y * self._slope(F, Y)[1]

    def conjugate(self, V: Array, Y: Array) -> Array:
        T, outside = _unit_interval(-V * Y)
        return np.where(outside, np.inf, np.sum(T * (0.5 * self.smoothing * T - 1.0), axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return -Y * (self.smoothing * np.clip(-V * Y, 0.0, 1.0) - 1.0)

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _product_error(V, self.smoothing * np.abs(V) + 1.0)

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return 1.0 + self.smoothing


@dataclass(frozen=True)
class Pinball(_Cornered):
    """``q (y - f)_+ + (1 - q) (f - y)_+``: its minimiser is the conditional q-quantile.

    The conjugate is ``v.y`` on ``-q <= v <= 1 - q``.  ``smoothing = mu > 0`` gives the Moreau
    envelope, whose conjugate adds ``mu ||v||^2 / 2``; it lies at most
    ``mu max(q, 1 - q)^2 / 2`` below.  Summed over outputs.
    """

    quantile: float = 0.5
    smoothing: float = 0.0
    name: ClassVar[str] = "pinball"
    targets: ClassVar[str] = "real"
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = 1

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"the quantile must lie between 0 and 1, got {self.quantile!r}")

    def value(self, F: Array, Y: Array) -> Array:
        V = self.gradient(F, Y)
        return np.sum(V * (F - Y - 0.5 * self.smoothing * V), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        q, R = self.quantile, F - Y
        if self.smoothing > 0:
            return np.clip(R / self.smoothing, -q, 1 - q)
        return np.where(R > 0, 1 - q, np.where(R < 0, -q, 0.0))

    def conjugate(self, V: Array, Y: Array) -> Array:
        outside = np.any(
            (-self.quantile - DOMAIN_SLACK > V) | (1 - self.quantile + DOMAIN_SLACK < V), axis=1
        )
        V = np.clip(V, -self.quantile, 1 - self.quantile)
        return np.where(outside, np.inf, np.sum(V * (Y + 0.5 * self.smoothing * V), axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return Y + self.smoothing * V

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _product_error(V, self.smoothing * np.abs(V) + np.abs(Y))

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return float(np.abs(Y).max(initial=0.0)) + self.smoothing

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        return np.full(Y.shape, -self.quantile), np.full(Y.shape, 1.0 - self.quantile)

    def scaled(self, t: float) -> Pinball:
        return Pinball(self.quantile, self.smoothing * t)


@dataclass(frozen=True)
class Softmax(Loss):
    """Cross-entropy ``log sum_k exp(f_k) - f.y`` for one-hot y.

    With ``p = v + y`` the conjugate is ``sum_k p_k log p_k`` on the unit simplex.
    """

    name: ClassVar[str] = "softmax"
    targets: ClassVar[str] = "onehot"
    infimum: ClassVar[float] = 0.0
    domain: ClassVar[str] = "simplex"
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = None

    @property
    def smoothness(self) -> float:
        return 0.5  # diag(p) - p p^T has spectral norm at most 1/2

    def value(self, F: Array, Y: Array) -> Array:
        return -np.einsum("ij,ij->i", log_softmax(F, axis=1), Y)

    def gradient(self, F: Array, Y: Array) -> Array:
        return softmax(F, axis=1) - Y

    def curvature(self, F: Array, Y: Array) -> Array:
        # Gershgorin on diag(p) - p p^T, whose norm is never above 1/2
        p = softmax(F, axis=1)
        return np.minimum(2 * np.max(p * (1 - p), axis=1), 0.5)

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        return self.second_derivative(F, Y)[0](V)

    def second_derivative(self, F: Array, Y: Array) -> tuple[Callable[[Array], Array], Array]:
        p = softmax(F, axis=1)  # takes longer than the product
        return lambda V: p * (V - np.einsum("ij,ij->i", p, V)[:, None]), p * (1 - p)

    def conjugate(self, V: Array, Y: Array) -> Array:
        P, outside = _unit_interval(V + Y)
        outside |= np.abs(P.sum(axis=1) - 1.0) > 1e3 * DOMAIN_SLACK
        return np.where(outside, np.inf, np.sum(xlogy(P, P), axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return np.log(np.clip(V + Y, DOMAIN_SLACK, 1.0))

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _unit_error(V)

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return LOGARITHM


def _unit_interval(T: Array) -> tuple[Array, Array]:
    outside = np.any((T < -DOMAIN_SLACK) | (T > 1 + DOMAIN_SLACK), axis=1)
    return np.clip(T, 0.0, 1.0), outside


def _unit_error(V: Array) -> Array:
    """The rounding of an entropy of probabilities, which are sums of ``V`` and 0 or 1."""
    return np.full(len(V), 16 * V.shape[1] * EPS)


def _product_error(V: Array, size: Array) -> Array:
    """The rounding of ``sum_j v_j t_j``, ``|t_j| <= size_j`` two roundings off."""
    return (V.shape[1] + 4) * EPS * np.einsum("ij,ij->i", np.abs(V), size)


#: losses by name that the checker of proof files knows
LOSSES: dict[str, type[Loss]] = {
    cls.name: cls for cls in (Squared, Huber, Logistic, Hinge, Pinball, Softmax)
}


#: losses by name whose outputs are logarithms of predictions
LOG_LINK: dict[str, type[Poisson] | type[Gamma]] = {cls.name: cls for cls in (Poisson, Gamma)}


# Times the largest target from which on a deviance is a line (:mod:`gapless.core.log_link`).
BEYOND = 8.0


def loss_of_targets(loss: str, Y: Array) -> Loss:
    """The loss called so; a deviance turns into a line well beyond these targets.

    Parameters
    ----------
    loss : str
    Y : array of shape (n_samples, n_outputs)
        Where outputs are logarithms, in units of their mean.

    Returns
    -------
    Loss
    """
    if loss in LOG_LINK:
        return LOG_LINK[loss](BEYOND * max(float(Y.max()), 1.0))
    return get_loss(loss)


def get_loss(loss: str | Loss) -> Loss:
    """The loss called ``loss``, or ``loss`` itself when it is one and declares all it must.

    Parameters
    ----------
    loss : str or Loss

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        For another name, and for a loss without a declaration of the module's list.
    """
    if not isinstance(loss, Loss):
        known = LOSSES | LOG_LINK
        return known[choose("loss", loss, known)]()
    kind, missing = type(loss), object()
    silent = [n for n in DECLARED if getattr(kind, n, missing) is getattr(Loss, n, missing)]
    if getattr(kind, "domain", "") == "box" and kind.dual_box is Loss.dual_box:
        silent.append("dual_box")
    if silent:
        raise ValueError(
            f"the loss {type(loss).__name__} does not declare {', '.join(silent)}; nothing can be "
            "proven for a loss that does not: see gapless.core.loss"
        )
    return loss


def is_known(loss: Loss) -> bool:
    """Whether it is one of :data:`LOSSES` itself, not a class derived from one."""
    return type(loss) in LOSSES.values()
