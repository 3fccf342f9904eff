"""Facts about the data that decide which proofs hold, each tested on the data.

*Spike-free* data are those on which the ReLU makes nothing that is not linear,

    { (X u)_+ : ||u|| <= 1 } = { X u : ||u|| <= 1 } in the non-negative orthant.

It can be DECIDED.  The range of X must contain the positive part of each of its elements, so
it is spanned by non-negative vectors of disjoint supports: every non-zero row of X is a
positive multiple of one of r = rank(X) independent rows R.  For these, with
``G = (R R^T)^-1``, the shortest u with ``R u = z`` has norm ``z^T G z``, and z_+ never costs
more than z iff no off-diagonal entry of G is positive: for disjoint non-negative p, q the
condition ``p^T G p <= (p - q)^T G (p - q)`` reads ``2 p^T G q <= q^T G q``, and p may be as
large as one likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..core.arrays import is_sparse, row_norms
from ..core.checks import Array, to_2d
from ..core.losses import EPS
from ..core.problem import Problem
from ..core.reduction import Reduction

# Singular values below this share of the largest are noise: bounds charge what each sample has
# beside the directions kept, as it is measured.
RANK_TOL = 1e-13
# Rows whose directions are nearer than this are one ray, and dependent to this are dependent.
RAY_TOL = 1e-11
# What spike-free data may lack, relative; what is built on it is rounded up by as much.
SPIKE_FREE_TOL = 1e-9
# An inverse known to so many digits is believed where it has a zero.
SURE = 1e-10


@dataclass(frozen=True)
class SpikeFree:
    """Answer of :func:`spike_free_test`.

    ``holds`` is None when ``violation`` is positive but within ``tolerance``, the rounding of
    the inverse.  ``excess`` bounds ``||w||^2 - 1`` for the shortest w with ``X w = (X u)_+``,
    ``||u|| <= 1`` (infinite where there is none).
    """

    holds: bool | None
    violation: float
    tolerance: float
    reason: str
    excess: float


def spike_free_test(X: Any) -> SpikeFree:
    """Whether X is spike-free, decided exactly up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> spike_free_test(np.eye(3)).holds, spike_free_test([[1.0], [-1.0]]).holds
    (True, False)
    """
    X = to_2d("X", X)
    if X.size == 0:
        raise ValueError(f"X must have at least one sample and one feature, got shape {X.shape}")
    n, k = X.shape
    some = X[: 8 * k + 8]
    coarse = np.round(some / np.maximum(row_norms(some), np.finfo(float).tiny)[:, None], 6)
    if n > k and (more := len(np.unique(coarse, axis=0)) - k) > 1:  # one may be the zero row
        return SpikeFree(False, float(more), 0.0, "the rows' directions are dependent", np.inf)
    R, _ = rays(X)
    s = np.linalg.svd(R, compute_uv=False) if len(R) else np.ones(1)
    if len(R) > R.shape[1] or s[-1] <= RAY_TOL * s[0]:
        dependent = float(len(R) - np.sum(s > RAY_TOL * s[0]))
        return SpikeFree(False, dependent, 0.0, "the rows' directions are dependent", np.inf)
    reason = "largest scaled off-diagonal entry of the inverse Gram matrix of the rows"
    # the scaled entries of the inverse are known up to eps times its condition number
    doubt = 1e-14 * (s[0] / s[-1]) ** 2
    if doubt >= 1:  # no scaled entry is larger: nothing is known
        return SpikeFree(None, np.inf, doubt, reason, np.inf)
    G = np.linalg.inv(R @ R.T)
    size = np.sqrt(np.outer(np.diag(G), np.diag(G)))
    others = ~np.eye(len(R), dtype=bool)
    worst = float((G / size)[others].max(initial=-1.0))
    if worst <= min(0.0, SURE - doubt):
        return SpikeFree(True, 0.0, doubt, reason, 0.0)
    # p.G q <= max(off) ||p||_1 ||q||_1, and the 1-norms are at most sqrt(n) ||X||
    most = float((G + doubt * size)[others].max(initial=0.0))
    excess = 2 * most * len(R) * float(s[0]) ** 2
    return SpikeFree(None if worst <= doubt else False, max(worst, 0.0), doubt, reason, excess)


def rays(X: Array) -> tuple[Array, Array]:
    """Distinct unit directions of the rows and B (n, r), disjoint supports, with X = B rays.

    Rows count as parallel to :data:`RAY_TOL`; what ``X - B rays`` leaves is for proofs to charge.
    """
    size = row_norms(X)
    used = np.flatnonzero(size > 0)
    units = X[used] / size[used, None]
    # directions in a ball, not rounded to a grid: equal ones may lie on either side of its lines
    i, j = cKDTree(units).query_pairs(RAY_TOL, output_type="ndarray").T
    near = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(used),) * 2)
    count, owner = connected_components(near, directed=False)
    first = np.array([np.flatnonzero(owner == ray)[0] for ray in range(count)], dtype=int)
    B = np.zeros((len(X), count))
    B[used, owner] = size[used]
    return units[first], B


def rank(problem: Problem) -> int:
    """The numerical rank of the design, centred when the bias is free."""
    return spectrum(Reduction(problem).core).rank


def is_whitened(problem: Problem) -> bool:
    """Whether ``A A^T`` is a multiple of the identity (to 1e-8), A the design."""
    core = Reduction(problem).core
    return core.n_samples <= core.n_features and whitening(core) is not None


def is_spike_free(problem: Problem) -> bool | None:
    """Whether every ``(A u)_+``, ``||u|| <= 1``, is some ``A w``, ``||w|| <= 1``.

    None where it hangs on the rounding of an inverse, and for free biases.
    """
    return None if problem.free else spike_free(Reduction(problem).core).holds


# Facts about a core problem, computed once (problems are immutable).


@lru_cache(maxsize=8)
def spike_free(core: Problem) -> SpikeFree:
    """:func:`spike_free_test` of the core's design."""
    return spike_free_test(core.X.toarray() if is_sparse(core.X) else core.X)


class RowSpace(NamedTuple):
    """Samples in coordinates of their numerical row space.

    ``x_i - mean = samples_i basis^T + e_i`` with ``||e_i|| <= left_i``, rounding included;
    ``mean`` is zero unless the bias is free.  ``stretch`` bounds the norm of ``basis`` (k, rank).
    """

    basis: Array
    left: Array
    rank: int
    samples: Array
    mean: Array
    stretch: float


@lru_cache(maxsize=8)
def spectrum(core: Problem) -> RowSpace:
    """The numerical row space of the core's design, centred when the bias is free."""
    X = core.X.toarray() if is_sparse(core.X) else core.X
    n, k = X.shape
    mean = X.mean(axis=0) if core.free else np.zeros(k)
    if core.free:
        X = X - mean
    if k + core.free <= 3 and n >= k and _independent(X):
        # columns of any size are data, not noise: nothing to rotate, nothing to lose
        return RowSpace(np.eye(k), 4 * EPS * row_norms(X) * core.free, k, X, mean, 1.0)
    s, Vt = np.linalg.svd(np.linalg.qr(X, mode="r") if n > k else X, full_matrices=False)[1:]
    rank = int(np.sum(s > RANK_TOL * s[0]))
    if rank == k:
        return RowSpace(np.eye(k), 4 * EPS * row_norms(X) * core.free, k, X, mean, 1.0)
    V = Vt[:rank].T
    P = X @ V
    left = row_norms(X - P @ V.T) + 8 * (rank + 4) * EPS * (row_norms(X) + rank * row_norms(P))
    stretch = 1 + float(np.linalg.norm(V.T @ V - np.eye(rank))) + 8 * (k + rank) * EPS
    return RowSpace(V, left, rank, P, mean, stretch)


def _independent(X: Array) -> bool:
    """Whether the columns, each at norm 1, are independent beyond rounding."""
    size = row_norms(X.T)
    s = np.linalg.svd(X / np.where(size > 0, size, 1.0), compute_uv=False)
    return bool(s[-1] > RANK_TOL * s[0])


@lru_cache(maxsize=8)
def whitening(core: Problem) -> tuple[float, float] | None:
    """The s with ``A A^T = s^2 I`` and what the deviation can add to the gauge, or None."""
    K = core.X @ core.X.T
    K = K.toarray() if is_sparse(K) else K
    n, k = core.X.shape
    s2 = float(np.trace(K)) / n
    deviation = float(np.linalg.norm(K - s2 * np.eye(n), 2))
    if s2 == 0 or not deviation <= 1e-8 * s2:
        return None
    # an entry of K is a sum of k products, off by at most (k + 2) EPS s^2
    deviation += 2 * (k + 8) * n * EPS * s2
    return float(np.sqrt(s2)), deviation / np.sqrt(s2)


@lru_cache(maxsize=8)
def spectral_norm(core: Problem) -> float:
    """A bound of ``||A||_2``; with a free bias of ``||A - 1 x_k^T||_2`` for every sample k."""
    A = core.X
    n, k = A.shape
    if core.free and not is_sparse(A):
        A = A - A.mean(axis=0)  # small beside the mean it would be lost in the Gram matrix
    rows = row_norms(A)
    gram = A.T @ A if k <= n or core.free else A @ A.T
    gram = gram.toarray() if is_sparse(gram) else gram
    rounding = 8 * (n + k) * EPS * float(np.sum(rows**2))  # of sums and eigenvalues
    if not core.free:
        square = float(np.linalg.eigvalsh(gram)[-1])
    else:
        mean = np.asarray(A.mean(axis=0)).ravel()
        far = float(np.max(rows**2 - 2 * np.asarray(A @ mean).ravel() + mean @ mean))
        centred = gram - n * np.outer(mean, mean)
        square = float(np.linalg.eigvalsh(centred)[-1]) + n * max(far, 0.0)
        rounding += 8 * (n + k) * n * EPS * (float(np.max(rows)) + float(mean @ mean) ** 0.5) ** 2
    return float(np.sqrt(max(square, 0.0) + rounding))
