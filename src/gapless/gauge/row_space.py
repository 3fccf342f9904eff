"""The row space of the data: how many dimensions the hidden directions have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..core.arrays import row_norms
from ..core.checks import Array
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..core.rounding import EPS

# Singular values below this share of the largest are noise: bounds charge what each sample has
# beside the directions kept, as it is measured.
RANK_TOL = 1e-13
# Of many samples their Gram matrix tells at a tenth of the cost that all singular values are above
# this share of the largest: far from noise, and from what squares round.
CLEAR = 1e-5


def rank(problem: Problem) -> int:
    """The numerical rank of the design, centred when the bias is free.

    Singular values below 1e-13 of the largest do not count.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    int
        At most min(n_samples, n_features), one feature more under the penalised bias.

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.

    Examples
    --------
    >>> import numpy as np
    >>> rank(Problem(np.eye(3), [1.0, 2.0, 3.0], bias="none")), rank(Problem(np.eye(3), [1, 2, 3]))
    (3, 2)
    """
    return row_space(Reduction(problem).core).rank


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Samples in coordinates of their numerical row space.

    ``x_i - mean = samples_i basis^T + e_i`` with ``||e_i|| <= left_i``, rounding included;
    ``mean`` is zero unless the bias is free.

    Attributes
    ----------
    basis : array of shape (n_features, rank)
    samples : array of shape (n_samples, rank)
    mean : array of shape (n_features,)
    left : array of shape (n_samples,)
    stretch : float
        Bounds the norm of ``basis``.
    """

    basis: Array
    samples: Array
    mean: Array
    left: Array
    stretch: float

    @property
    def rank(self) -> int:
        """The dimension of the row space."""
        return int(self.samples.shape[1])


@lru_cache(maxsize=8)  # problems are immutable
def row_space(core: Problem) -> RowSpace:
    """The numerical row space of the core's design, centred when the bias is free."""
    X = core.design.array()
    n, k = X.shape
    mean = X.mean(axis=0) if core.free else np.zeros(k)
    if core.free:
        X = X - mean
    if k + core.free <= 3 and n >= k and _independent(X):
        # columns of any size are data, not noise: nothing to rotate, nothing to lose
        return _as_they_are(X, mean, core.free)
    if n > 2 * k and _clear(X):
        return _as_they_are(X, mean, core.free)
    s, Vt = np.linalg.svd(np.linalg.qr(X, mode="r") if n > k else X, full_matrices=False)[1:]
    rank = int(np.sum(s > RANK_TOL * s[0]))
    if rank == k:
        return _as_they_are(X, mean, core.free)
    V = Vt[:rank].T
    P = X @ V
    left = row_norms(X - P @ V.T) + 8 * (rank + 4) * EPS * (row_norms(X) + rank * row_norms(P))
    stretch = 1 + float(np.linalg.norm(V.T @ V - np.eye(rank))) + 8 * (k + rank) * EPS
    return RowSpace(V, P, mean, left, stretch)


def _as_they_are(X: Array, mean: Array, free: bool) -> RowSpace:
    """The row space of samples of full rank: all that is lost is what centring rounds."""
    return RowSpace(np.eye(X.shape[1]), X, mean, 4 * EPS * row_norms(X) * free, 1.0)


def dimensions(core: Problem) -> int:
    """The rank, a free bias counting as one: of the space in which neurons are looked for."""
    return row_space(core).rank + core.free


@lru_cache(maxsize=8)
def effective_dimensions(core: Problem) -> float:
    """``(sum_k s_k^2)^2 / sum_k s_k^4``, s the singular values of the samples: as many as there are
    where all are equal."""
    P = row_space(core).samples
    squares = np.linalg.eigvalsh(P.T @ P)
    return float(squares.sum() ** 2 / np.sum(squares * squares))


def _independent(X: Array) -> bool:
    """Whether the columns, each at norm 1, are independent beyond rounding."""
    size = row_norms(X.T)
    s = np.linalg.svd(X / np.where(size > 0, size, 1.0), compute_uv=False)
    return bool(s[-1] > RANK_TOL * s[0])


def _clear(X: Array) -> bool:
    """Whether the rank is full beyond doubt."""
    squares = np.linalg.eigvalsh(X.T @ X)
    return bool(squares[0] > CLEAR**2 * squares[-1])
