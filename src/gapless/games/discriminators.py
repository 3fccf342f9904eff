"""Discriminators against which the best generator is a formula: linear and quadratic.

The game, on means (papers write sums: their weight decay is n times this one):

    min_G max_D  mean D(x) - mean D(g) + mean ||g||^2 - weight_decay sum_j |v_j|,
    D(x) = sum_j sigma(x.u_j) v_j,  ||u_j|| <= 1.

The best v is infinite as soon as one neuron tells x from g by more than the weight decay, so
(Sahiner et al., "Hidden Convexity of Wasserstein GANs", ICLR 2022)

    min mean ||g||^2  such that  |mean sigma(x.u) - mean sigma(g.u)| <= weight_decay, ||u|| <= 1.

For sigma of degree one ``weight_decay / 2`` of all squared weights is the same penalty; for the
quadratic sigma it is not, there ``||u|| <= 1`` is meant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from ..core.checks import Array
from ..core.rounding import EPS
from .certificate import GameCertificate
from .generator import GaussianGenerator
from .second_moment import SecondMoment, column_means

# Sums of squares of many such numbers are finite.
LARGEST = 1e140


class Discriminator(ABC):
    """One kind of discriminator, with what it makes of data.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    rng : RandomState

    Raises
    ------
    ValueError
        For numbers whose squares overflow.
    """

    name: ClassVar[str]
    #: whether the data are centred first
    centred: ClassVar[bool] = True

    def __init__(self, X: Array, rng: np.random.RandomState) -> None:
        self.X, self.rng = X, rng
        if max(float(X.max()), -float(X.min())) > LARGEST:
            raise ValueError(f"X has numbers beyond {LARGEST:g}, whose squares overflow; rescale X")
        self.centre = column_means(X) if self.centred else np.zeros(X.shape[1])

    @abstractmethod
    def solve(self, weight_decay: float) -> GaussianGenerator:
        """The best generator."""

    @abstractmethod
    def certify(self, generator: GaussianGenerator, weight_decay: float) -> GameCertificate:
        """What is proven about any generator."""

    @abstractmethod
    def discrepancy(self, generator: GaussianGenerator) -> float:
        """An upper bound of what the best discriminator of weight one sees, proven."""


class Linear(Discriminator):
    """``sigma(t) = t``: sees the mean, so the best generator is one point.

    With m the mean: ``g = m (1 - weight_decay / ||m||)_+``, of value
    ``(||m|| - weight_decay)_+^2``.
    """

    name = "linear"
    centred = False

    def __init__(self, X: Array, rng: np.random.RandomState) -> None:
        super().__init__(X, rng)
        self.mean = column_means(X)
        size = max(np.abs(X).max(initial=0.0), 0.0) * np.sqrt(X.shape[1])
        #: what the computed mean may be off by in norm
        self.rounding = (len(X) + X.shape[1] + 8) * EPS * float(size)

    def solve(self, weight_decay: float) -> GaussianGenerator:
        size = float(np.linalg.norm(self.mean))
        share = max(1 - weight_decay / size, 0.0) if size > 0 else 0.0
        return point(share * self.mean)

    def certify(self, generator: GaussianGenerator, weight_decay: float) -> GameCertificate:
        objective, charge = mean_square(generator, self.centre)
        t = max(float(np.linalg.norm(self.mean)) - self.rounding - weight_decay, 0.0)
        return GameCertificate(
            objective + charge,
            t * t * (1 - 8 * EPS),
            max(self.discrepancy(generator) - weight_decay, 0.0),
            2 * t,
            weight_decay,
            "mean of the data",
        )

    def discrepancy(self, generator: GaussianGenerator) -> float:
        terms = len(generator.weights) + generator.n_features + 8
        lost = self.rounding + terms * EPS * float(np.abs(generator.means).sum(axis=1).max())
        return float(np.linalg.norm(self.mean - generator.weights @ generator.means)) + lost


class Quadratic(Discriminator):
    """``sigma(t) = t^2``: sees second moments, so the best generator is a Gaussian.

    With S the covariance of the data, of eigenvalues s_i: the generator has the covariance
    ``(S - weight_decay I)_+``, of value ``sum (s_i - weight_decay)_+``.  That is probabilistic PCA
    (Tipping & Bishop 1999) whose noise of variance ``weight_decay`` is left out.

    Proof.  ``||S - M||_2 <= beta`` gives ``s_i(M) >= s_i - beta`` (Weyl).  The dual point is the
    projector Q on the k directions kept: ``trace M + k (||S - M|| - beta)_+ >= trace M +
    <Q, S - M> - k beta >= <Q, S> - k beta`` for any positive semidefinite M.
    """

    name = "quadratic"

    def __init__(self, X: Array, rng: np.random.RandomState) -> None:
        super().__init__(X, rng)
        self.moment = SecondMoment(X, self.centre)
        self._leading: tuple[tuple[int | None, float], tuple[Array, Array, float]] | None = None

    def leading(self, count: int | None, floor: float) -> tuple[Array, Array, float]:
        """Of the second moment, remembered: solving and certifying ask the same."""
        if self._leading is None or self._leading[0] != (count, floor):
            self._leading = (count, floor), self.moment.leading(count, floor, self.rng)
        return self._leading[1]

    def weight_decay_of(self, n_components: int) -> float:
        """The weight decay that keeps so many directions: the eigenvalue that follows them."""
        values, vectors, following = self.leading(n_components, 0.0)
        # the same directions answer for that weight decay
        self._leading = (None, following), (values, vectors, following)
        return following

    def solve(self, weight_decay: float) -> GaussianGenerator:
        values, vectors, _ = self.leading(None, weight_decay)
        factor = np.sqrt(np.maximum(values - weight_decay, 0.0))[:, None] * vectors.T
        return gaussian(self.centre, factor)

    def certify(self, generator: GaussianGenerator, weight_decay: float) -> GameCertificate:
        V = self.leading(None, weight_decay)[1]
        k, d = V.shape[1], len(V)
        # V V^T / t is at most I, however far from orthonormal V is
        t = 1 + float(np.linalg.norm(V.T @ V - np.eye(k))) + 2 * (d + k) * EPS * k
        size, inner = float(np.sum(V * V)), float(np.sum(V * self.moment.times(V)))
        # |v|^T |S| |v| is at most the trace of S for a unit v
        lost = 2 * size * (self.moment.rounding + 2 * self.moment.terms * EPS * self.moment.trace)
        lower = (inner - weight_decay * size * (1 + 8 * d * EPS)) / t - lost
        objective, charge = mean_square(generator, self.centre)
        return GameCertificate(
            objective + charge,
            max(lower, 0.0),
            max(self.discrepancy(generator, weight_decay) - weight_decay, 0.0),
            size / t if lower > 0 else 0.0,
            weight_decay,
            f"projector on {k} directions of the second moment",
        )

    def discrepancy(self, generator: GaussianGenerator, guess: float = 0.0) -> float:
        """``||S - M||_2``; ``guess`` as for :func:`gapless.games.second_moment.proven_norm`."""
        return self.moment.distance(np.vstack(list(moment_rows(generator, self.centre))), guess)


def point(x: Array) -> GaussianGenerator:
    """The generator of one point (n_features,)."""
    return GaussianGenerator(np.ones(1), x[None], np.zeros((1, 0, len(x))))


def gaussian(mean: Array, factor: Array) -> GaussianGenerator:
    """The generator of one Gaussian: mean (n_features,), factor (rank, n_features)."""
    return GaussianGenerator(np.ones(1), mean[None], factor[None])


def moment_rows(generator: GaussianGenerator, centre: Array) -> Iterator[Array]:
    """Blocks of rows R with ``R^T R = E (x - centre)^T (x - centre)``, of all of them."""
    yield np.sqrt(generator.weights)[:, None] * (generator.means - centre)
    if generator.factors.shape[1]:
        yield from np.sqrt(generator.weights)[:, None, None] * generator.factors


def mean_square(generator: GaussianGenerator, centre: Array) -> tuple[float, float]:
    """``E ||x - centre||^2``, and what rounding may have taken from it."""
    total, terms = 0.0, generator.n_features + 8
    for block in moment_rows(generator, centre):
        total += float(np.sum(block * block))
        terms += len(block)
    return total, terms * EPS * total
