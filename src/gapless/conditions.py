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
from typing import Any

import numpy as np

from ._array import is_sparse
from ._validate import Array, to_2d
from .problem import Problem
from .reduction import Reduction

# Singular values below this share of the largest are noise; what they could add to the
# gauge is added to the bound.
RANK_TOL = 1e-10
# Directions of rows that agree to so many digits are one ray, and dependent ones do to this.
RAY_DIGITS = 12
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
    R, _ = rays(to_2d("X", X))
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
    """Distinct unit directions of the rows and B (n, r), disjoint supports, with X = B rays."""
    size = np.linalg.norm(X, axis=1)
    used = np.flatnonzero(size > 0)
    units = X[used] / size[used, None]
    rounded = np.round(units, RAY_DIGITS) + 0.0  # -0.0 and 0.0 are one direction
    first, owner = np.unique(rounded, axis=0, return_index=True, return_inverse=True)[1:]
    B = np.zeros((len(X), len(first)))
    B[used, owner.ravel()] = size[used]
    return units[first], B


def rank(problem: Problem) -> int:
    """The numerical rank of the design, centred when the bias is free."""
    return spectrum(Reduction(problem).core)[2]


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


@lru_cache(maxsize=8)
def spectrum(core: Problem) -> tuple[Array, float, int]:
    """Basis (k, r) of the numerical row space, the norm of what is left out, and r."""
    X = core.X.toarray() if is_sparse(core.X) else core.X
    if core.free:
        X = X - X.mean(axis=0)
    _, s, Vt = np.linalg.svd(X, full_matrices=False)
    rank = int(np.sum(s > RANK_TOL * max(float(s[0]), 1e-300)))
    lost = float(s[rank]) if rank < len(s) else 0.0
    # with a free bias the data are measured from a sample, which at most doubles a distance
    return Vt[:rank].T, (2 * lost if core.free else lost), rank


@lru_cache(maxsize=8)
def whitening(core: Problem) -> tuple[float, float] | None:
    """The s with ``A A^T = s^2 I`` and what the deviation can add to the gauge, or None."""
    K = core.X @ core.X.T
    K = K.toarray() if is_sparse(K) else K
    s2 = float(np.trace(K)) / len(K)
    deviation = float(np.linalg.norm(K - s2 * np.eye(len(K)), 2))
    if s2 == 0 or not deviation <= 1e-8 * s2:
        return None
    return float(np.sqrt(s2)), deviation / np.sqrt(s2)


@lru_cache(maxsize=8)
def spectral_norm(core: Problem) -> float:
    """A bound of ``||A||_2``; with a free bias of ``||A - 1 x_k^T||_2`` for every sample k."""
    A = core.X
    n, k = A.shape
    if core.free:
        mean = np.asarray(A.mean(axis=0)).ravel()
        gram = np.asarray((A.T @ A).toarray() if is_sparse(A) else A.T @ A) - n * np.outer(
            mean, mean
        )
        rows = A.multiply(A).sum(axis=1) if is_sparse(A) else np.einsum("ij,ij->i", A, A)
        far = np.max(np.asarray(rows).ravel() - 2 * np.asarray(A @ mean).ravel() + mean @ mean)
        square = float(np.linalg.eigvalsh(gram)[-1]) + n * max(float(far), 0.0)
    else:
        gram = A.T @ A if k <= n else A @ A.T
        gram = gram.toarray() if is_sparse(gram) else gram
        square = float(np.linalg.eigvalsh(gram)[-1])
    return float(np.sqrt(max(square, 0.0))) * (1 + 1e-10)
