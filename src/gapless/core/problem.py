"""The training problem, its scaling and its dual.

Everything in gapless minimises, over networks ``f(x) = sum_j (x.u_j + b_j)_+ a_j + c``
of any width m,

    P(U, a) = sum_i w_i loss(f(x_i), y_i) + weight_decay / 2 * sum_j (||u_j||^2 + ||a_j||^2)

with weights w that sum to one (a plain mean when none are given).  ``weight_decay`` is
thus what PyTorch's ``weight_decay`` multiplies when the loss is a mean.  Since the
network does not change under ``u_j -> t u_j, a_j -> a_j / t``, the penalty of a balanced
network is ``weight_decay * sum_j ||u_j|| ||a_j||`` (Ergen & Pilanci, JMLR 2021, Lemma 1).

The three bias rules:

``"free"``
    hidden biases b and the output bias c are not penalised (the paper's eq. 2);
``"penalized"``
    a constant column is appended to X and its weights are regularised like the rest,
    c = 0 (an output bias is the neuron ``u = 0, b = 1`` and pays for itself);
``"none"``
    b = 0 and c = 0.

The dual (JMLR 2021, Theorems 8 and 13) is

    max_Lam  -sum_i w_i loss*(-Lam_i / w_i)    subject to    g(Lam) <= weight_decay,

with the gauge ``g(Lam) = max ||Lam^T (X u + b)_+||`` over ``||u|| <= 1`` (and all b when
the bias is free, which also forces ``sum_i Lam_i = 0``).  Any feasible Lam gives a lower
bound on P for every width: that is the certificate.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize_scalar

from .arrays import row_norms
from .checks import Array, choose, positive, to_2d, to_floats
from .design import Design, design_of
from .losses import Loss, check_loss, get_loss, is_known
from .rounding import EPS

BIAS_RULES = ("free", "penalized", "none")
# NumPy's pairwise sums are off by less than this many EPS times the sum of the sizes.
SUM = 64
# Share of an interval, at its end, in which a concave value rises if it rises all the way.
NEAR = 1e-5
# Targets on which a user's own loss is tried.
TRIED = 200


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, loss, weight decay and bias rule of one training problem.

    Parameters
    ----------
    X : array, sparse matrix or Design of shape (n_samples, n_features)
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
        Real targets, signs -1/+1, or one-hot rows, as the loss asks.
    loss : str or Loss, default "squared"
        "squared", "huber", "logistic", "hinge", "pinball", "softmax".
    weight_decay : float
    bias : {"free", "penalized", "none"}, default "free"
    sample_weight : array of shape (n_samples,), optional
        Non-negative; only ratios matter.  Samples of weight zero are dropped.

    Raises
    ------
    ValueError
        For NaN or infinite entries, shapes that differ, targets the loss cannot use,
        a weight decay that is not positive, weights that are negative or all zero, and a loss
        that declares too little or does not keep it (:func:`gapless.core.losses.check_loss`).

    Notes
    -----
    In its methods F are outputs, Lam and ``w V`` dual points, arrays (n_samples, n_outputs) all;
    ``gauge`` is a proven upper bound of ``g(Lam)``; values are in the units of P.
    """

    X: Any
    Y: Any
    loss: Any = "squared"
    weight_decay: float = 0.01
    bias: str = "free"
    sample_weight: Any = None

    def __post_init__(self) -> None:
        if isinstance(self.X, Design):
            X: Any = self.X
        elif sp.issparse(self.X):
            X = sp.csr_matrix(self.X, dtype=np.float64)
            if not np.all(np.isfinite(X.data)):
                raise ValueError("X has NaN or infinite entries; remove or impute them first")
        else:
            X = np.ascontiguousarray(to_2d("X", self.X))
        Y = to_2d("Y", self.Y)
        if X.shape[0] != Y.shape[0]:
            raise ValueError(f"X has {X.shape[0]} samples but Y has {Y.shape[0]}")
        if X.shape[0] == 0 or X.shape[1] == 0:
            raise ValueError(f"X must have at least one sample and one feature, got {X.shape}")
        weights = _normalised_weights(self.sample_weight, X.shape[0])
        keep = weights > 0
        if not np.all(keep):
            X, Y, weights = X[keep], Y[keep], weights[keep]
        loss = get_loss(self.loss)
        loss.check_targets(Y)
        if not is_known(loss):
            check_loss(loss, Y[:TRIED])
        for name, value in (
            ("X", X),
            ("Y", Y),
            ("loss", loss),
            ("weight_decay", positive("weight_decay", self.weight_decay)),
            ("bias", choose("bias", self.bias, BIAS_RULES)),
            ("sample_weight", weights),
        ):
            object.__setattr__(self, name, value)

    @property
    def n_samples(self) -> int:
        return int(self.X.shape[0])

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    @property
    def n_outputs(self) -> int:
        return int(self.Y.shape[1])

    @property
    def free(self) -> bool:
        """Whether biases are unpenalised."""
        return self.bias == "free"

    @cached_property
    def design(self) -> Design:
        """What the hidden directions multiply: X, or [X, 1] under the penalised bias."""
        A = design_of(self.X)
        return A.with_ones() if self.bias == "penalized" else A

    def variant(self, loss: Loss, weight_decay: float) -> Problem:
        """The same data, not copied, under another loss for its targets and weight decay."""
        other = copy.copy(self)
        object.__setattr__(other, "loss", loss)
        object.__setattr__(other, "weight_decay", weight_decay)
        return other

    def of_samples(self, rows: Array, weights: Array | None = None) -> Problem:
        """The same training on some of the samples, by number, weighed as here or anew."""
        weights = self.sample_weight[rows] if weights is None else weights
        return Problem(self.X[rows], self.Y[rows], self.loss, self.weight_decay, self.bias, weights)

    @np.errstate(over="ignore", invalid="ignore")  # infinite where squares overflow
    def data_fit(self, F: Array) -> float:
        """The weighted mean loss of the outputs ``F`` (n_samples, n_outputs)."""
        return float(self.sample_weight @ self.loss.value(F, self.Y))

    def residual(self, F: Array) -> Array:
        """``-w * loss'(F)``: the descent direction in the outputs, (n_samples, n_outputs)."""
        return -self.sample_weight[:, None] * self.loss.gradient(F, self.Y)

    def dual_point(self, F: Array) -> Array:
        """The residual at outputs ``F``, moved to sum to zero when the bias is free."""
        Lam = self.residual(F)
        return self.centre(Lam) if self.free else Lam

    def centre(self, Lam: Array) -> Array:
        """Move ``Lam`` by rounding-sized steps so that its columns sum to zero.

        The side (positive or negative entries) that weighs more is scaled down, which keeps a
        dual domain that is a product of intervals with zero.  The simplex couples outputs; there a
        multiple of the null model's dual point, whose columns sum to zero, absorbs the step.
        """
        if self.loss.domain == "simplex":
            total = Lam.sum(axis=0)
            step = self.sample_weight[:, None] * total
            P = self.Y - Lam / self.sample_weight[:, None] + step / self.sample_weight[:, None]
            deepest = max(0.0, -float(P.min()))
            base = self.sample_weight @ self.Y
            mix = deepest / (deepest + float(base.min())) if deepest > 0 else 0.0
            null = self.sample_weight[:, None] * (self.Y - base)
            return (1 - mix) * (Lam - step) + mix * null
        up = np.where(Lam > 0, Lam, 0.0)
        down = Lam - up
        high, low = up.sum(axis=0), -down.sum(axis=0)
        least = np.minimum(high, low)
        with np.errstate(invalid="ignore", divide="ignore"):
            return up * np.where(high > 0, least / high, 0) + down * np.where(
                low > 0, least / low, 0
            )

    def dual_value(self, Lam: Array) -> float:
        """``-sum_i w_i loss*(-Lam_i / w_i)``; -inf outside the dual domain."""
        w = self.sample_weight
        return -float(w @ self.loss.conjugate(-Lam / w[:, None], self.Y))

    @cached_property
    def reach(self) -> Array:
        """At least the norms of the samples (n,), of their differences when the bias is free.

        A neuron of norm 1 at its best bias has no larger activations; of several places, each is a
        mean over rows, and theirs together count.
        """
        design = self.design
        if self.free:
            far = 2 * design.spread() * design.places**0.5
            return np.full(self.n_samples, far * (1 + 1e-9))
        if not design.pooled:
            return design.row_norms() * (1 + 8 * EPS)
        return row_norms(design.pool(design.row_norms()[:, None])) * (1 + 1e-12)

    def shortfall(self, Lam: Array) -> float:
        """At least the size of what must move in ``Lam`` for its columns to sum to zero.

        Zero unless the bias is free.  Boxes: the heavier side is scaled down.  The simplex: see
        :meth:`centre`, a step of this size and the null model's part for what it takes below zero.
        """
        if not self.free:
            return 0.0
        lost = float(np.sum(size_of_sums(Lam)))
        if self.loss.domain == "simplex":
            base = float((self.sample_weight @ self.Y).min())
            return lost * (2 + 2 / base) if base > 0 else np.inf
        return lost

    def raised_gauge(self, Lam: Array, gauge: float) -> float:
        """A bound of the gauge of the point near ``Lam`` whose columns sum to zero exactly.

        ``gauge`` bounds that of ``Lam`` over all neurons, under a free bias over those that bend at
        a sample.
        """
        lost = self.shortfall(Lam)
        return gauge + lost * float(self.reach.max()) if lost < np.inf else np.inf

    def proven_bound(self, Lam: Array, gauge: float) -> float:
        """A lower bound on the objective of every network, given that ``g(Lam) <= gauge``.

        The gauge is of degree one, so ``s Lam`` is feasible for ``0 <= s <= weight_decay / gauge``
        and by weak duality its :meth:`dual_value` is such a bound (JMLR 2021, Theorem 8): the one
        of the :meth:`best_scale`, less rounding (:meth:`feasible`, :meth:`proven_value`).  A
        ``gauge`` that is infinite or not a number proves what ``Lam = 0`` does.
        """
        s = self.best_scale(Lam, self.weight_decay / gauge if gauge != 0 else np.inf)[0]
        return self.proven_value(self.feasible(s * Lam, s * gauge))

    @np.errstate(all="ignore")
    def in_domain(self, Lam: Array) -> tuple[Array, float]:
        """V in the dual domain with ``w V`` near ``Lam``, and what that may add to the gauge.

        ``w V`` differs from ``Lam`` by what is measured.  That, a few EPS, and what domain and zero
        sums may still lack, times the largest activations, add to the gauge.
        """
        w, loss = self.sample_weight[:, None], self.loss
        V = loss.into_domain(-Lam / w, self.Y)
        off = np.linalg.norm(w * V + Lam, axis=1) + 3 * EPS * np.linalg.norm(Lam, axis=1)
        off += w[:, 0] * loss.domain_error(self.n_outputs)
        return V, self.raised_gauge(w * V, float(off @ self.reach))

    @np.errstate(all="ignore")  # what is not a number becomes zero, which is feasible
    def feasible(self, Lam: Array, gauge: float) -> Array:
        """V near ``-Lam / w``, shrunk until ``w V`` is feasible, given ``g(Lam) <= gauge``."""
        V, moved = self.in_domain(Lam)
        grown, beta = (gauge + moved) * (1 + 8 * EPS), self.weight_decay
        if grown <= beta:
            return V
        return V * (beta / grown * (1 - 8 * EPS)) if grown < np.inf else np.zeros_like(V)

    @np.errstate(all="ignore")  # what is not a number proves nothing
    def proven_value(self, V: Array) -> float:
        """The dual value of ``w V`` less what rounding can have added to it.

        Charged are the rounding of the conjugate, which the loss declares, that of the sum, and
        the conjugate's slope for the step to zero sums.  At least the infimum of the loss.
        """
        loss, w = self.loss, self.sample_weight
        terms = w * loss.conjugate(V, self.Y)
        charge = SUM * EPS * float(np.sum(np.abs(terms)))
        charge += 2 * float(w @ loss.conjugate_error(V, self.Y))
        if lost := self.shortfall(w[:, None] * V):
            charge += loss.conjugate_slope(V, self.Y) * lost
        value = -float(np.sum(terms)) - charge
        return value if value > loss.infimum else loss.infimum

    @np.errstate(over="ignore", invalid="ignore")
    def best_scale(self, Lam: Array, limit: float) -> tuple[float, float]:
        """The scale s in [0, limit] that maximises ``dual_value(s Lam)``, and the value.

        The value is concave in s, and at s = 0 it is the mean of the losses' infima, so the
        answer is never worse than the trivial bound.
        """

        def at(s: float) -> tuple[float, float]:
            return self.dual_value(s * Lam), s

        tried = [at(0.0)]
        if limit > 0 and self.loss.constant_curvature:
            denominator = float(np.sum(Lam * Lam / self.sample_weight[:, None]))
            s = float(np.sum(Lam * self.Y)) / denominator if denominator > 0 else 0.0
            tried.append(at(min(max(s, 0.0), limit)))
        elif limit > 0:
            # the dual domain ends somewhere in [0, limit]: start from its end
            top = at(limit if np.isfinite(limit) else 1.0)
            tried.append(top)
            if top[1] > 1.0:
                tried.append(at(1.0))
                top = top if np.isfinite(top[0]) else tried[-1]
            # where it rises up to the end, as near an optimum, there is nothing to look for
            if not top[0] > at(top[1] * (1 - NEAR))[0]:
                found = minimize_scalar(lambda s: -at(s)[0], bounds=(0.0, top[1]), method="bounded")
                tried.append(at(float(found.x)))
        value, s = max(tried)
        return s, value


def size_of_sums(Lam: Array) -> Array:
    """``|sum_i Lam_i|`` (C,), each rounded up."""
    columns = np.ascontiguousarray(Lam.T)  # NumPy sums in pairs along rows only
    return np.abs(columns.sum(axis=1)) + SUM * EPS * np.abs(columns).sum(axis=1)


def check_problem(given: object) -> None:
    """Refuse anything but a :class:`Problem`.

    Parameters
    ----------
    given : object

    Raises
    ------
    TypeError
    """
    if not isinstance(given, Problem):
        raise TypeError(
            f"problem must be a gapless.Problem, got {type(given).__name__}; it holds data, loss, "
            "weight decay and bias rule: Problem(X, y, 'squared', weight_decay=0.01, bias='free')"
        )


def _normalised_weights(sample_weight: Any, n_samples: int) -> Array:
    if sample_weight is None:
        return np.full(n_samples, 1.0 / n_samples)
    weights = to_floats("sample_weight", sample_weight)
    if weights.ndim == 0:
        weights = np.full(n_samples, float(weights))
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight must have shape ({n_samples},), got {weights.shape}")
    if not np.all(np.isfinite(weights)) or np.any(weights < 0) or not np.any(weights > 0):
        raise ValueError("sample_weight must be finite, not negative, and not all zero")
    weights = weights / weights.max()  # the sum of the largest floats overflows
    return weights / weights.sum()
