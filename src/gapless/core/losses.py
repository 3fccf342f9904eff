"""Convex losses with their conjugates.

A loss compares the network's outputs ``F`` with the targets ``Y``, both of shape
``(n_samples, n_outputs)``, one value per sample; the weighted mean over samples is
taken in :mod:`gapless.core.problem`.  Every loss offers

* ``value(F, Y)``       the loss of each sample, shape ``(n_samples,)``;
* ``gradient(F, Y)``    its derivative in ``F``, shape ``(n_samples, n_outputs)``;
* ``conjugate(V, Y)``   ``sup_f <v, f> - loss(f, y)``, shape ``(n_samples,)``, ``inf``
  outside the dual domain;
* ``conjugate_gradient(V, Y)``  its derivative in ``V``, shape ``(n_samples, n_outputs)``;
* ``curvature(F, Y)``   for each sample a number at or above the largest eigenvalue of the
  second derivative (equal to it for one output), shape ``(n_samples,)``;
* ``hessian_product(F, Y, V)``  the second derivative applied to ``V``, row by row;
* ``smoothness``        a Lipschitz constant of the gradient (``inf`` for hinge and pinball).

and declares what proofs and solvers ask of it, so that none asks for a loss by name:

* ``infimum``           no value is below it;
* ``domain``            where its conjugate is finite: ``"box"``, a product of intervals with
  zero, ``dual_box(Y)``, or ``"simplex"``, ``V + Y`` in the unit simplex;
* ``conjugate_error(V, Y)``  what rounding can put between the conjugate and its computed value at
  a ``V`` in the domain, shape ``(n_samples,)``;
* ``conjugate_slope(V, Y)``  a bound of the change of the conjugate per unit that an entry of ``V``
  moves towards zero, by 1e-300 or more;
* ``constant_curvature``  whether the second derivative is the identity everywhere;
* ``degree``            of a loss of ``F - Y`` alone, ``scaled(t)`` of t times it is t^degree times
  as large; None for any other loss;
* ``corner(Y)``         of a piecewise linear loss; None for a smooth one.

Fenchel-Young, ``value(F, Y) + conjugate(V, Y) >= <V, F>`` with equality at
``V = gradient(F, Y)``, is what makes a certificate valid.  :func:`check_loss` is the law for all
this: the tests apply it to every entry of :data:`LOSSES`, a problem to a loss of the user's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_softmax, logit, softmax, xlogy

from .checks import Array, choose
from .rounding import EPS as EPS

# A dual coordinate may leave its domain by rounding alone; within this distance it
# is moved back onto the boundary, where every conjugate below is continuous.
DOMAIN_SLACK = 1e-12
# Above the logarithm of any float, by which the slope of an entropy is bounded.
LOGARITHM = 1000.0

DECLARED = (
    "name", "targets", "infimum", "domain", "constant_curvature", "degree",
    "conjugate_error", "conjugate_slope",
)  # fmt: skip


class Loss(ABC):
    """Interface of a convex loss, see the module's docstring."""

    name: ClassVar[str]
    #: what the targets must be: "real", "sign" (-1 or +1) or "onehot"
    targets: ClassVar[str]
    infimum: ClassVar[float]
    domain: ClassVar[str]
    constant_curvature: ClassVar[bool]
    degree: ClassVar[int | None]

    @property
    @abstractmethod
    def smoothness(self) -> float: ...

    @abstractmethod
    def value(self, F: Array, Y: Array) -> Array: ...

    @abstractmethod
    def gradient(self, F: Array, Y: Array) -> Array: ...

    @abstractmethod
    def curvature(self, F: Array, Y: Array) -> Array: ...

    @abstractmethod
    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array: ...

    @abstractmethod
    def conjugate(self, V: Array, Y: Array) -> Array: ...

    @abstractmethod
    def conjugate_gradient(self, V: Array, Y: Array) -> Array: ...

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        raise NotImplementedError

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        raise NotImplementedError

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        """Least and largest entries of ``V`` in the domain, where that is a box."""
        raise NotImplementedError

    def corner(self, Y: Array) -> tuple[Array, Array, Array] | None:
        """Where a piecewise linear loss of one output bends, its slope below and above."""
        return None

    def smoothed(self, mu: float) -> Loss:
        """A loss within ``mu / 2`` per output below this one, with Lipschitz gradient."""
        return self

    def scaled(self, t: float) -> Loss:
        """The loss L with ``L(t F, t Y) = t^degree loss(F, Y)``."""
        return self

    @property
    def parameters(self) -> dict[str, float]:
        """What tells it from others of its kind."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @property
    def sharp(self) -> bool:
        """Whether its gradient jumps: solvers then smooth it."""
        return not np.isfinite(self.smoothness)

    def into_domain(self, V: Array, Y: Array) -> Array:
        """``V`` moved into the dual domain, where it is outside by rounding."""
        if self.domain == "simplex":
            P = np.clip(V + Y, 0.0, 1.0)
            return P / P.sum(axis=1, keepdims=True) - Y
        return np.clip(V, *self.dual_box(Y))

    def domain_error(self, n_outputs: int) -> float:
        """How far a row of :meth:`into_domain` can be from the domain: sums are rounded."""
        return 4 * (n_outputs + 4) * EPS if self.domain == "simplex" else 0.0

    def check_targets(self, Y: Array) -> None:
        """Raise ``ValueError`` when ``Y`` is not what this loss compares with."""
        if self.targets == "sign" and not np.all(np.abs(Y) == 1):
            raise ValueError(
                f"the {self.name} loss needs targets -1 or +1, got other values; "
                "use ReLUClassifier for class labels, or loss='squared' for real targets"
            )
        if self.targets == "onehot" and (
            Y.shape[1] < 2 or not np.all((Y == 0) | (Y == 1)) or not np.all(Y.sum(axis=1) == 1)
        ):
            raise ValueError(
                "the softmax loss needs one-hot targets with at least 2 columns; "
                "use ReLUClassifier for class labels"
            )


@dataclass(frozen=True)
class Squared(Loss):
    """``1/2 ||f - y||^2``, conjugate ``1/2 ||v||^2 + v.y``."""

    name: ClassVar[str] = "squared"
    targets: ClassVar[str] = "real"
    infimum: ClassVar[float] = 0.0
    domain: ClassVar[str] = "box"
    constant_curvature: ClassVar[bool] = True
    degree: ClassVar[int | None] = 2

    @property
    def smoothness(self) -> float:
        return 1.0

    def value(self, F: Array, Y: Array) -> Array:
        R = F - Y
        return 0.5 * np.einsum("ij,ij->i", R, R)

    def gradient(self, F: Array, Y: Array) -> Array:
        return F - Y

    def curvature(self, F: Array, Y: Array) -> Array:
        return np.ones(len(F))

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        return V

    def conjugate(self, V: Array, Y: Array) -> Array:
        return np.einsum("ij,ij->i", V, 0.5 * V + Y)

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return V + Y

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _product_error(V, np.abs(V) + np.abs(Y))

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return float(np.abs(V).max(initial=0.0) + np.abs(Y).max(initial=0.0))

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        everywhere = np.full(Y.shape, np.inf)
        return -everywhere, everywhere


@dataclass(frozen=True)
class Huber(Loss):
    """Quadratic up to ``delta``, then linear; summed over outputs.

    The conjugate is that of the squared loss on ``|v| <= delta``.
    """

    delta: float = 1.35
    name: ClassVar[str] = "huber"
    targets: ClassVar[str] = "real"
    infimum: ClassVar[float] = 0.0
    domain: ClassVar[str] = "box"
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = 2

    def __post_init__(self) -> None:
        if not (np.isfinite(self.delta) and self.delta > 0):
            raise ValueError(f"Huber's delta must be a positive number, got {self.delta!r}")

    @property
    def smoothness(self) -> float:
        return 1.0

    def value(self, F: Array, Y: Array) -> Array:
        R = np.abs(F - Y)
        inner = np.minimum(R, self.delta)
        return np.sum(inner * (R - 0.5 * inner), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return np.clip(F - Y, -self.delta, self.delta)

    def curvature(self, F: Array, Y: Array) -> Array:
        return np.any(np.abs(F - Y) < self.delta, axis=1).astype(float)

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        return (np.abs(F - Y) < self.delta) * V

    def conjugate(self, V: Array, Y: Array) -> Array:
        outside = np.any(np.abs(V) > self.delta * (1 + DOMAIN_SLACK), axis=1)
        return np.where(outside, np.inf, np.einsum("ij,ij->i", V, 0.5 * V + Y))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return V + Y

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _product_error(V, np.abs(V) + np.abs(Y))

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return float(np.abs(V).max(initial=0.0) + np.abs(Y).max(initial=0.0))

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        return np.full(Y.shape, -self.delta), np.full(Y.shape, self.delta)

    def scaled(self, t: float) -> Huber:
        return Huber(self.delta * t)


@dataclass(frozen=True)
class Logistic(Loss):
    """``log(1 + exp(-y f))`` for y = +-1, summed over outputs.

    With ``t = -v y`` the conjugate is ``t log t + (1 - t) log(1 - t)`` on ``0 <= t <= 1``.
    """

    name: ClassVar[str] = "logistic"
    targets: ClassVar[str] = "sign"
    infimum: ClassVar[float] = 0.0
    domain: ClassVar[str] = "box"
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = None

    @property
    def smoothness(self) -> float:
        return 0.25

    def value(self, F: Array, Y: Array) -> Array:
        return np.sum(np.logaddexp(0.0, -Y * F), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return -Y * expit(-Y * F)

    def curvature(self, F: Array, Y: Array) -> Array:
        p = expit(F)
        return np.max(p * (1 - p), axis=1)

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        p = expit(F)
        return p * (1 - p) * V

    def conjugate(self, V: Array, Y: Array) -> Array:
        T, outside = _unit_interval(-V * Y)
        return np.where(outside, np.inf, np.sum(xlogy(T, T) + xlogy(1 - T, 1 - T), axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return -Y * logit(np.clip(-V * Y, DOMAIN_SLACK, 1 - DOMAIN_SLACK))

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return np.full(len(V), 16 * V.shape[1] * EPS)  # terms of at most 1, of sums of 1 and V

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return LOGARITHM

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        return np.minimum(-Y, 0.0), np.maximum(-Y, 0.0)


@dataclass(frozen=True)
class Hinge(Loss):
    """``max(0, 1 - y f)`` for y = +-1, summed over outputs.

    With ``t = -v y`` the conjugate is ``-t`` on ``0 <= t <= 1`` (JMLR 2021, Theorem 10).
    ``smoothing = mu > 0`` gives its Moreau envelope, whose conjugate adds ``mu t^2 / 2``.
    """

    smoothing: float = 0.0
    name: ClassVar[str] = "hinge"
    targets: ClassVar[str] = "sign"
    infimum: ClassVar[float] = 0.0
    domain: ClassVar[str] = "box"
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = None

    @property
    def smoothness(self) -> float:
        return 1.0 / self.smoothing if self.smoothing > 0 else np.inf

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

    def curvature(self, F: Array, Y: Array) -> Array:
        return np.max(self.hessian_product(F, Y, np.ones_like(F)), axis=1)

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        if self.smoothing == 0:
            return np.zeros_like(V)
        t = self._slope(F, Y)[1]
        return ((t > 0) & (t < 1)) * V / self.smoothing

    def conjugate(self, V: Array, Y: Array) -> Array:
        T, outside = _unit_interval(-V * Y)
        return np.where(outside, np.inf, np.sum(T * (0.5 * self.smoothing * T - 1.0), axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return -Y * (self.smoothing * np.clip(-V * Y, 0.0, 1.0) - 1.0)

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return _product_error(V, self.smoothing * np.abs(V) + 1.0)

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return 1.0 + self.smoothing

    def dual_box(self, Y: Array) -> tuple[Array, Array]:
        return np.minimum(-Y, 0.0), np.maximum(-Y, 0.0)

    def corner(self, Y: Array) -> tuple[Array, Array, Array] | None:
        return None if self.smoothing > 0 else (Y, np.minimum(-Y, 0.0), np.maximum(-Y, 0.0))

    def smoothed(self, mu: float) -> Hinge:
        return Hinge(smoothing=mu)


@dataclass(frozen=True)
class Pinball(Loss):
    """``q (y - f)_+ + (1 - q) (f - y)_+``: its minimiser is the conditional q-quantile.

    The conjugate is ``v.y`` on ``-q <= v <= 1 - q``.  ``smoothing = mu > 0`` gives the Moreau
    envelope, whose conjugate adds ``mu ||v||^2 / 2``; it lies at most
    ``mu max(q, 1 - q)^2 / 2`` below.  Summed over outputs.
    """

    quantile: float = 0.5
    smoothing: float = 0.0
    name: ClassVar[str] = "pinball"
    targets: ClassVar[str] = "real"
    infimum: ClassVar[float] = 0.0
    domain: ClassVar[str] = "box"
    constant_curvature: ClassVar[bool] = False
    degree: ClassVar[int | None] = 1

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"the quantile must lie between 0 and 1, got {self.quantile!r}")

    @property
    def smoothness(self) -> float:
        return 1.0 / self.smoothing if self.smoothing > 0 else np.inf

    def _slope(self, F: Array, Y: Array) -> Array:
        q, R = self.quantile, F - Y
        if self.smoothing > 0:
            return np.clip(R / self.smoothing, -q, 1 - q)
        return np.where(R > 0, 1 - q, np.where(R < 0, -q, 0.0))

    def value(self, F: Array, Y: Array) -> Array:
        V = self._slope(F, Y)
        return np.sum(V * (F - Y - 0.5 * self.smoothing * V), axis=1)

    def gradient(self, F: Array, Y: Array) -> Array:
        return self._slope(F, Y)

    def curvature(self, F: Array, Y: Array) -> Array:
        return np.max(self.hessian_product(F, Y, np.ones_like(F)), axis=1)

    def hessian_product(self, F: Array, Y: Array, V: Array) -> Array:
        if self.smoothing == 0:
            return np.zeros_like(V)
        slope = self._slope(F, Y)
        return ((-self.quantile < slope) & (slope < 1 - self.quantile)) * V / self.smoothing

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

    def corner(self, Y: Array) -> tuple[Array, Array, Array] | None:
        return None if self.smoothing > 0 else (Y, *self.dual_box(Y))

    def smoothed(self, mu: float) -> Pinball:
        return Pinball(self.quantile, mu)

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
        p = softmax(F, axis=1)
        return p * (V - np.einsum("ij,ij->i", p, V)[:, None])

    def conjugate(self, V: Array, Y: Array) -> Array:
        P, outside = _unit_interval(V + Y)
        outside |= np.abs(P.sum(axis=1) - 1.0) > 1e3 * DOMAIN_SLACK
        return np.where(outside, np.inf, np.sum(xlogy(P, P), axis=1))

    def conjugate_gradient(self, V: Array, Y: Array) -> Array:
        return np.log(np.clip(V + Y, DOMAIN_SLACK, 1.0))

    def conjugate_error(self, V: Array, Y: Array) -> Array:
        return np.full(len(V), 16 * V.shape[1] * EPS)  # terms of at most 1, of sums of 1 and V

    def conjugate_slope(self, V: Array, Y: Array) -> float:
        return LOGARITHM


def _unit_interval(T: Array) -> tuple[Array, Array]:
    outside = np.any((T < -DOMAIN_SLACK) | (T > 1 + DOMAIN_SLACK), axis=1)
    return np.clip(T, 0.0, 1.0), outside


def _product_error(V: Array, size: Array) -> Array:
    """The rounding of ``sum_j v_j t_j``, ``|t_j| <= size_j`` two roundings off."""
    return (V.shape[1] + 4) * EPS * np.einsum("ij,ij->i", np.abs(V), size)


#: every loss by name
LOSSES: dict[str, type[Loss]] = {
    cls.name: cls for cls in (Squared, Huber, Logistic, Hinge, Pinball, Softmax)
}


def get_loss(loss: str | Loss) -> Loss:
    """The loss called ``loss``, or ``loss`` itself when it is one and declares all it must.

    Raises
    ------
    ValueError
        For another name, and for a loss without a declaration of the module's list.
    """
    if not isinstance(loss, Loss):
        return LOSSES[choose("loss", loss, LOSSES)]()
    kind, missing = type(loss), object()
    silent = [n for n in DECLARED if getattr(kind, n, missing) is getattr(Loss, n, missing)]
    if getattr(kind, "domain", "") == "box" and kind.dual_box is Loss.dual_box:
        silent.append("dual_box")
    if silent:
        raise ValueError(
            f"the loss {type(loss).__name__} does not declare {', '.join(silent)}; nothing can be "
            "proven for a loss that does not: see gapless.losses"
        )
    return loss


def is_known(loss: Loss) -> bool:
    """Whether it is one of :data:`LOSSES` itself, not a class derived from one."""
    return type(loss) in LOSSES.values()


def check_loss(loss: Loss, Y: Array, n_draws: int = 20) -> None:
    """Raise ``ValueError`` where ``loss`` breaks what it declares, tried on targets ``Y``.

    Outputs are drawn at several scales: no value below the infimum, gradients in the domain,
    Fenchel-Young with equality at the gradient, both up to the rounding declared, slopes of the
    conjugate no steeper than declared, and the degree.
    """
    rng = np.random.default_rng(0)
    for scale in np.geomspace(1e-3, 30.0, n_draws):
        F, G = scale * rng.standard_normal((2, *Y.shape))
        V = loss.gradient(G, Y)
        value, conjugate = loss.value(F, Y), loss.conjugate(V, Y)
        own = loss.value(G, Y) + conjugate - np.sum(V * G, axis=1)
        pairing = np.sum(V * F, axis=1)
        size = 1.0 + np.abs(value) + np.abs(conjugate) + np.abs(pairing) + np.sum(V * V, axis=1)
        rounding = loss.conjugate_error(V, Y) + 1e-9 * size
        moved = loss.conjugate((1 - 1e-6) * V, Y) - conjugate
        steepest = loss.conjugate_slope(V, Y) * 1e-6 * np.sum(np.abs(V), axis=1)
        laws = {
            "a value is below its infimum": value >= loss.infimum - 1e-12 * size,
            "a gradient is outside its dual domain": np.abs(loss.into_domain(V, Y) - V).max(1)
            <= 1e-9 * size,
            "Fenchel-Young fails": value + conjugate - pairing >= -rounding,
            "its conjugate is not attained at its gradient": np.abs(own)
            <= rounding + 1e-9 * (np.abs(loss.value(G, Y)) + np.sum(np.abs(V * G), axis=1)),
            "its conjugate is steeper than conjugate_slope": np.abs(moved) <= steepest + rounding,
            "its curvature is above its smoothness": loss.curvature(F, Y)
            <= loss.smoothness * (1 + 1e-9) + 1e-12,
        }
        if loss.degree is not None:
            t = 4.0
            both = loss.scaled(t).value(t * F, t * Y), t**loss.degree * value
            laws["it has another degree"] = np.abs(both[0] - both[1]) <= 1e-9 * t**2 * size
        for words, holds in laws.items():
            if not np.all(holds):
                raise ValueError(
                    f"the loss {type(loss).__name__} does not keep what it declares: {words}, at "
                    f"the target {Y[int(np.argmin(holds))].tolist()}; see gapless.losses"
                )
