"""A semidefinite bound of what deep ReLU networks can do, for few samples.

Let h_i be the last hidden features for unit layers, ``M = W_1 W_1^T`` (trace at most 1),
``G = (h_i . h_j)``.  Later layers have operator norm at most 1 and the network is
homogeneous, so for any tau >= 0

    ||h_i - tau h_k||^2 <= (x_i - tau x_k)^T M (x_i - tau x_k),    G >= 0.

With multipliers y >= 0 of these, nu >= 0 of the signs, ``zeta = lambda_max(sum y z z^T)``
and ``Q = sum y (e_i - tau e_k)(e_i - tau e_k)^T - N`` positive definite, the Lagrangian is
at most ``zeta + 1/4 ||Lam^T Q^-1 Lam||_2``, and scaling y makes that
``sqrt(zeta ||Lam^T Q^-1 Lam||_2)``.  For one output the signs enter as
``Lam + nu`` instead of N, for the half of the neurons with positive output weight.

CVXPY finds multipliers; their value is computed here in float64 and holds whatever the solver did.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, optional_import
from ..core.rounding import EPS

# Samples beyond which the semidefinite program is refused: it has n^2 constraints.
SDP_SAMPLES = 60


def semidefinite_bound(X: Array, Lam: Array, unit: float) -> float:
    """Bound of ``sup <Lam, F>`` over unit layers, with positive output weights for one output.

    ``unit`` is the size of Lam; the bound is infinite where the solver found no multipliers.
    """
    left, s, _ = np.linalg.svd(X, full_matrices=False)
    longest = np.sqrt(np.max(np.sum((left * s) ** 2, axis=1)))
    differences, choices = _pairs(left * s / longest)
    found = _multipliers(differences, choices, Lam / unit)
    if found is None:
        return float("inf")
    return float(unit * longest * found.value(differences, choices))


def _pairs(X: Array) -> tuple[Array, Array]:
    """Rows ``x_i - tau x_k``, and their ``e_i - tau e_k``, of every constraint used."""
    n = len(X)
    Z, E = [*X], [*np.eye(n)]
    for i in range(n):
        for k in range(n):
            size = float(X[k] @ X[k])
            if i == k or size == 0:
                continue
            # the tau that brings them closest, and the plain distance
            taus = {max(float(X[i] @ X[k]), 0.0) / size} | ({1.0} if i < k else set())
            for tau in taus - {0.0}:
                Z.append(X[i] - tau * X[k])
                e = np.zeros(n)
                e[i], e[k] = 1.0, -tau
                E.append(e)
    return np.array(Z), np.array(E)


def _multipliers(Z: Array, E: Array, Lam: Array) -> _Multipliers | None:
    """The best multipliers as the solver sees it."""
    cp = optional_import("cvxpy", "sdp", "deep_lower_bound(method='sdp')")
    n, K = Lam.shape
    y, zeta = cp.Variable(len(Z), nonneg=True), cp.Variable()
    Q, target = E.T @ cp.diag(y) @ E, Lam
    constraints = [zeta * np.eye(Z.shape[1]) - Z.T @ cp.diag(y) @ Z >> 0]
    if K == 1:
        signs = cp.Variable((n, 1), nonneg=True)
        target = Lam + signs
    else:
        signs = cp.Variable((n, n), symmetric=True)
        constraints += [signs >= 0]
        Q = Q - signs
    eta = cp.Variable()
    block = cp.bmat([[Q, 0.5 * target], [0.5 * target.T, eta * np.eye(K)]])
    constraints.append(0.5 * (block + block.T) >> 0)
    with warnings.catch_warnings():
        # an inaccurate solution costs tightness, never validity
        warnings.simplefilter("ignore")
        try:
            cp.Problem(cp.Minimize(zeta + eta), constraints).solve(solver=cp.CLARABEL)
        except cp.SolverError:
            return None
    if y.value is None:
        return None
    y_value = np.maximum(y.value, 0.0)
    if K == 1:
        return _Multipliers(y_value, 0.0, Lam + np.maximum(signs.value, 0.0))
    N = np.maximum(0.5 * (signs.value + signs.value.T), 0.0)
    return _Multipliers(y_value, N, Lam)


@dataclass(frozen=True, eq=False)
class _Multipliers:
    """``y`` of the pairs, ``N`` of the signs of several outputs; those of one are in ``target``."""

    y: Array
    N: Any
    target: Array

    def value(self, Z: Array, E: Array) -> float:
        """``sqrt(zeta ||target^T Q^-1 target||_2)``, all rounding charged."""
        n, best = E.shape[1], float("inf")
        for shift in np.logspace(-12, -3, 10):
            # the shift is paid for: it raises the multipliers of ||h_i||^2 <= x_i^T M x_i
            raised = self.y.copy()
            raised[:n] += shift
            Q = (E.T * raised) @ E - self.N
            low = float(np.linalg.eigvalsh(Q)[0])
            size = float(np.linalg.norm(Q, 2))
            if low <= max(1e-3 * shift, 32 * n * EPS * size):
                continue  # not safely positive definite
            top = float(np.linalg.eigvalsh((Z.T * raised) @ Z)[-1])
            solved = self.target.T @ np.linalg.solve(Q, self.target)
            # relative error of the solve: condition number times eps
            slack = 1 + 1e-9 + 16 * n * EPS * size / low
            best = min(best, np.sqrt(top * float(np.linalg.norm(solved, 2))) * slack)
        return best
