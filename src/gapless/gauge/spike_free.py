"""Spike-free data: the test that decides it, and the exact gauge that it gives.

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
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..core.arrays import row_norms
from ..core.candidates import Candidates
from ..core.checks import Array, to_2d
from ..core.problem import Problem, check_problem
from ..core.reduction import Reduction
from ..core.rounding import EPS, TINY
from .base import GaugeBound, GaugeMethod, Proof
from .proof_cells import CheckedSamples, ProofCell
from .spike_free_search import cone_maximum

# Rows whose directions are nearer than this are one ray, and dependent to this are dependent.
RAY_TOL = 1e-11
# What spike-free data may lack, relative; what is built on it is rounded up by as much.
SPIKE_FREE_TOL = 1e-9
# An inverse known to so many digits is believed where it has a zero.
SURE = 1e-10
# Non-negative least squares takes seconds on so many samples.
MAX_SAMPLES = 1000


@dataclass(frozen=True)
class SpikeFreeAnswer:
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


def spike_free_test(X: Any) -> SpikeFreeAnswer:
    """Whether X is spike-free, decided exactly up to rounding.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)

    Returns
    -------
    SpikeFreeAnswer
        With ``holds``, and ``violation``, ``tolerance`` and ``reason`` behind it.

    Raises
    ------
    ValueError
        For an empty X, or one with entries that are no finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> spike_free_test(np.eye(3)).holds, spike_free_test([[1.0], [-1.0]]).holds
    (True, False)
    """
    X = to_2d("X", X)
    if X.size == 0:
        raise ValueError(f"X must have at least one sample and one feature, got shape {X.shape}")
    # 1. more directions than features are dependent: most data end here, at a look at some rows
    n, k = X.shape
    some = X[: 8 * k + 8]
    coarse = np.round(some / np.maximum(row_norms(some), np.finfo(float).tiny)[:, None], 6)
    if n > k and (more := len(np.unique(coarse, axis=0)) - k) > 1:  # one may be the zero row
        return _dependent(float(more))
    # 2. the distinct directions must be independent
    R, _ = rays(X)
    s = np.linalg.svd(R, compute_uv=False) if len(R) else np.ones(1)
    if len(R) > R.shape[1] or s[-1] <= RAY_TOL * s[0]:
        return _dependent(float(len(R) - np.sum(s > RAY_TOL * s[0])))
    # 3. and their inverse Gram matrix have no positive entry off its diagonal
    reason = "largest scaled off-diagonal entry of the inverse Gram matrix of the rows"
    # the scaled entries of the inverse are known up to eps times its condition number
    doubt = 1e-14 * (s[0] / s[-1]) ** 2
    if doubt >= 1:  # no scaled entry is larger: nothing is known
        return SpikeFreeAnswer(None, np.inf, doubt, reason, np.inf)
    G = np.linalg.inv(R @ R.T)
    size = np.sqrt(np.outer(np.diag(G), np.diag(G)))
    others = ~np.eye(len(R), dtype=bool)
    worst = float((G / size)[others].max(initial=-1.0))
    if worst <= min(0.0, SURE - doubt):
        return SpikeFreeAnswer(True, 0.0, doubt, reason, 0.0)
    # p.G q <= max(off) ||p||_1 ||q||_1, and the 1-norms are at most sqrt(n) ||X||
    most = float((G + doubt * size)[others].max(initial=0.0))
    excess = 2 * most * len(R) * float(s[0]) ** 2
    return SpikeFreeAnswer(
        None if worst <= doubt else False, max(worst, 0.0), doubt, reason, excess
    )


def _dependent(more: float) -> SpikeFreeAnswer:
    """There are ``more`` directions than independent ones."""
    return SpikeFreeAnswer(False, more, 0.0, "the rows' directions are dependent", np.inf)


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


def is_spike_free(problem: Problem) -> bool | None:
    """Whether every ``(A u)_+``, ``||u|| <= 1``, is some ``A w``, ``||w|| <= 1``.

    A is the design: X, or [X, 1] under the penalised bias.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    bool or None
        None where it hangs on the rounding of an inverse, and for free biases.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorem 4: spike-free data make training a convex program of
    finite size.

    Examples
    --------
    >>> import numpy as np
    >>> is_spike_free(Problem(np.eye(3), [1.0, 2.0, 3.0], bias="none"))
    True
    """
    check_problem(problem)
    return None if problem.free else _answer(Reduction(problem).core).holds


@lru_cache(maxsize=8)  # problems are immutable
def _answer(core: Problem) -> SpikeFreeAnswer:
    return spike_free_test(core.design.array())


class SpikeFree(GaugeMethod):
    """Spike-free data, one output: every ``(A u)_+`` is ``A w`` with ``||w|| <= 1``.

    Then ``g_+(lam) = max {lam.A w : A w >= 0, ||w|| <= 1}``, and by duality

        g_+(lam) = min_{nu >= 0} || A^T (lam + nu) ||,

    a nonnegative least-squares problem any feasible nu of which gives an upper bound
    (JMLR 2021, Theorem 4).  False on other data, so :func:`gapless.spike_free_test` decides first.
    """

    name = "spike-free"
    needs = "spike-free data, dense, of at most 1000 samples, one output and no free bias"
    summary = "spike-free data: nonnegative least squares"

    def applies(self, core: Problem) -> bool:
        one = core.n_outputs == 1 and not core.free and core.design.dense
        if not one or core.n_samples > MAX_SAMPLES:
            return False
        answer = _answer(core)
        return answer.holds is not False and answer.excess <= SPIKE_FREE_TOL

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        return self.of_data(core.X, Lam)

    def of_data(self, A: Array, Lam: Array) -> GaugeBound:
        """The bound of the gauge of ``Lam`` (n, 1) for data A (n, k) known to be spike-free."""
        value, neuron, multipliers = 0.0, np.zeros(A.shape[1]), []
        for side in (Lam[:, 0], -Lam[:, 0]):
            w, nu = cone_maximum(A, side)
            multipliers.append(nu)
            u = w / max(float(np.linalg.norm(w)), TINY)
            attained = abs(float(Lam[:, 0] @ np.maximum(A @ u, 0.0)))
            if attained > value:
                value, neuron = attained, u
        proof = SpikeFreeProof(np.array(multipliers))
        upper = max(proof.sides(A, Lam[:, 0]))
        words, found = "spike-free data: exact", Candidates.one(neuron, value)
        return GaugeBound(value, upper, found, words, multipliers=proof)


@dataclass(frozen=True, eq=False)
class SpikeFreeProof(Proof):
    """``nu`` (2, n_samples) >= 0, for the dual point and for its negative."""

    nu: Array

    def sides(self, A: Array, lam: Array) -> tuple[float, float]:
        """Upper bounds of ``|| A^T (lam + nu) ||``, and of the same for ``-lam``."""
        (n, k), (R, B), size = A.shape, rays(A), row_norms(A)
        # what merging parallel samples leaves of each
        beside = row_norms(A - B @ R) + (k + 8) * EPS * size
        uppers = []
        for side, nu in zip((lam, -lam), self.nu):
            value = float(np.linalg.norm(A.T @ (side + nu)))
            rounding = (n + 8) * EPS * float(size @ (np.abs(side) + nu))
            slack = rounding + float(beside @ (2 * np.abs(side) + nu))
            uppers.append((value + slack) * (1 + SPIKE_FREE_TOL))
        return uppers[0], uppers[1]

    def upper(self, core: Problem, Lam: Array) -> float:
        return max(self.sides(core.X, Lam[:, 0]))

    def joins(self, core: Problem) -> Array:
        return rays(core.X)[1]  # the ReLUs of a ray are multiples of each other

    def cells(self, samples: CheckedSamples) -> list[ProofCell]:
        """``||u||^2 - p.K^-1 p >= -2 p.K^-1 q >= 0``, K = A A^T; off its diagonal K^-1 <= 0."""
        A, (n, k) = samples.A, samples.A.shape
        uppers = self.sides(samples.core.X, samples.Lam[:, 0])
        cells = []
        for sign, nu, upper in zip((1, -1), self.nu @ samples.shares, uppers):
            products, head = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, 2 + k))
            products[:n, n:] = products[n:, :n] = -upper / 2 * np.linalg.inv(A @ A.T)
            head[:n, 0] = nu / samples.unit
            cells.append(ProofCell.of_form(sign, np.zeros(n), upper, np.zeros(3), head, products))
        return cells
