"""What a loss declares, and the law that checks it.

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
* ``second_derivative(F, Y)``  the same as a function of ``V``, and its diagonal, shape of ``F``;
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
this: the tests apply it to every loss of :mod:`gapless.core.losses`, a problem to a loss
of the user's own.  One that is a sum over outputs and nowhere below zero may be :class:`Separable`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import ClassVar

import numpy as np

from .checks import Array
from .rounding import EPS

# A dual coordinate may leave its domain by rounding alone; within this distance it
# is moved back onto the boundary, where every conjugate below is continuous.
DOMAIN_SLACK = 1e-12

DECLARED = (
    "name", "targets", "infimum", "domain", "constant_curvature", "degree",
    "conjugate_error", "conjugate_slope",
)  # fmt: skip


class Loss(ABC):
    """Interface of a convex loss, see the module's docstring."""

    name: ClassVar[str]
    #: what the targets must be: "real", "sign" (-1 or +1), "onehot", "count" (from 0), "positive"
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

    def second_derivative(self, F: Array, Y: Array) -> tuple[Callable[[Array], Array], Array]:
        """:meth:`hessian_product` at ``F`` of any V, and what it has on the diagonal (n, C)."""

        def product(V: Array) -> Array:
            return self.hessian_product(F, Y, V)

        units = np.eye(F.shape[1])
        own = [product(np.broadcast_to(e, F.shape))[:, c] for c, e in enumerate(units)]
        return product, np.stack(own, axis=1)

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


class Separable(Loss):
    """A loss from 0 that is a sum over outputs: the domain of its conjugate is a box."""

    infimum: ClassVar[float] = 0.0
    domain: ClassVar[str] = "box"

    def curvature(self, F: Array, Y: Array) -> Array:
        return np.max(self.hessian_product(F, Y, np.ones_like(F)), axis=1)


def check_loss(loss: Loss, Y: Array) -> None:
    """Check what ``loss`` declares on targets ``Y``.

    Outputs are drawn at several scales: no value below the infimum, gradients in the domain,
    Fenchel-Young with equality at the gradient, both up to the rounding declared, slopes of the
    conjugate no steeper than declared, and the degree.

    Parameters
    ----------
    loss : Loss
    Y : array of shape (n_samples, n_outputs)

    Raises
    ------
    ValueError
        Where it breaks what it declares.
    """
    rng = np.random.default_rng(0)
    for scale in np.geomspace(1e-3, 30.0, 20):
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
                    f"the target {Y[int(np.argmin(holds))].tolist()}; see gapless.core.loss"
                )
