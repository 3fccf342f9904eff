"""ReLU networks without biases in closed form for data of rank one, ``X = c a^T``.

Idea: Ergen & Pilanci, "Revealing the Structure of Deep Neural Networks via Convex Duality"
(ICML 2021); the values were derived anew and verified numerically.  Inside this module
beta = n weight_decay goes with the SUM of losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import row_norms
from ..core.checks import Array
from ..core.deep_network import DeepNetwork, DeepSolution, Optimality
from ..core.hypotheses import Check, require
from ..core.problem import Problem
from ..core.rounding import EPS
from .charges import moved_data_charge, proved, rounding_charge
from .layers import chain
from .scalar import check_depth, deep_prox
from .units import Units, dense_problem

# Share of the second singular value below which data count as rank one, and of the shorter ray
# below which it counts as none.
RANK_ONE_TOL, NOISE = 1e-9, 1e-12


def solve_rank_one_relu(X: Any, Y: Any, weight_decay: float, depth: int = 2) -> DeepSolution:
    """ReLU network without biases for data ``X = c a^T`` and squared loss.

    The samples lie on a line through the origin, so the network is two rays:
    ``F = c_+ g_1^T + c_- g_2^T``.

    * c of one sign: one path along a, proved for any depth and number of outputs.
    * Mixed signs, L = 2: the two rays are independent, proved.
    * Mixed signs, L >= 3, one output: rays of equal sign share the layers after the second
      (proved); opposite signs are independent (``NUMERICALLY_VERIFIED``, or ``PROVED`` when
      the shared penalty, a lower bound in every case, already rules them out).
    * Mixed signs, L >= 3, several outputs: independent rays are an ``UPPER_BOUND``.

    What the data are beside ``c a^T``, measured, is charged to the lower bound
    (:func:`gapless.closed.charges.moved_data_charge`); where that leaves more than a share
    1e-6 of the objective, nothing is called proved.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
    weight_decay : float
    depth : int, default 2
        Number of weight matrices.

    Returns
    -------
    DeepSolution

    Raises
    ------
    HypothesisError
        When the second singular value of X exceeds 1e-9 of the first.
    ValueError
        When X is zero.
    """
    units = Units(dense_problem(X, Y, "squared", weight_decay), check_depth(depth))
    return units.back(_two_rays(units.problem, units.depth))


@dataclass(frozen=True, eq=False)
class _Rays:
    """``X = rays directions^T`` up to ``left`` (n,): the samples on either side of the origin.

    ``rays`` (n, r) have disjoint supports and lengths ``kappa`` (r,), ``directions`` (d, r) are
    a and -a; r is one or two.
    """

    rays: Array
    kappa: Array
    directions: Array
    left: Array
    rank: Check

    @classmethod
    def of(cls, X: Array) -> _Rays:
        _left, sigma, right = np.linalg.svd(X, full_matrices=False)
        if not sigma[0] > 0:
            raise ValueError("X is zero; give data with at least one sample that is not zero")
        second = float(sigma[1] / sigma[0]) if len(sigma) > 1 else 0.0
        rank = require("data of rank one", second, RANK_ONE_TOL, "use train() or whiten(X)")
        a, c = right[0], X @ right[0]  # ||a|| = 1
        if c.sum() < 0:
            a, c = -a, -c
        rays = np.stack([np.maximum(c, 0), np.maximum(-c, 0)], axis=1)
        kappa = np.linalg.norm(rays, axis=0)
        # a ray that is noise of the factorisation belongs to what is left
        on = kappa > NOISE * kappa.max()
        rays, kappa, directions = rays[:, on], kappa[on], np.stack([a, -a], axis=1)[:, on]
        left = row_norms(X - rays @ directions.T) + 8 * EPS * row_norms(X)
        return cls(rays, kappa, directions, left, rank)


def _two_rays(problem: Problem, L: int) -> DeepSolution:
    n = problem.n_samples
    beta = n * problem.weight_decay
    data = _Rays.of(problem.X)
    kappa = data.kappa
    # 1. the rays on their own: a deep prox each, in the SUM of losses
    moments = problem.Y.T @ data.rays / kappa  # (C, rays)
    s = np.linalg.norm(moments, axis=0)
    rest = problem.Y - (data.rays / kappa) @ moments.T
    offset = 0.5 * float(np.sum(rest * rest))
    value, r = deep_prox(s, beta * kappa ** (-2.0 / L), L)
    total = lower = float(np.sum(value))
    V = (moments / np.where(s > 0, s, 1.0)).T
    weights = chain(data.directions, (r / kappa) ** (1.0 / L), V, L)
    optimality = Optimality.PROVED
    # 2. three or more layers: rays may share the layers after the second
    if len(kappa) == 2 and L > 2:
        lower = min(_shared(np.abs(s), kappa, beta, L)[0], total)
        optimality = Optimality.UPPER_BOUND
        if problem.n_outputs == 1:
            optimality = Optimality.NUMERICALLY_VERIFIED
            for sign in (1.0, -1.0):
                shared, g = _shared(sign * moments[0], kappa, beta, L)
                if shared < total:
                    total = shared
                    weights = _merged(data.directions, g, sign, L)
            if total <= lower * (1 + 1e-14):
                optimality = Optimality.PROVED
    # 3. what is left of it when all is charged
    network = DeepNetwork(weights)
    objective = network.objective(problem)
    charge = rounding_charge(problem, objective)
    charge += moved_data_charge(problem, L, data.left, objective)
    bound = max((lower + offset) / n - charge, 0.0)
    if optimality is Optimality.PROVED:
        optimality = proved(objective, bound, Optimality.UPPER_BOUND)
    signs = Check("samples on one side of the origin", float(len(kappa) - 1), 0.0)
    formula, dual = (total + offset) / n, bound if L == 2 else None
    checks = (data.rank, signs)
    return DeepSolution(network, objective, formula, dual, bound, optimality, checks)


def _shared(h: Array, kappa: Array, beta: float, L: int) -> tuple[float, Array]:
    """``min_{g >= 0} sum_i (kappa_i g_i - h_i)^2 / 2 + beta L / 2 (g_1 + g_2)^(2/L)``.

    For a given sum the fit is a parabola in it while both rays are active, so the minimum is
    a deep prox; on the boundary one ray is left, another deep prox.
    """
    candidates = [(0.5 * float(h @ h), np.zeros(2))]
    for i in (0, 1):
        if h[i] > 0:
            value, r = deep_prox(h[i], beta * kappa[i] ** (-2.0 / L), L)
            g = np.zeros(2)
            g[i] = r / kappa[i]
            candidates.append((float(value) + 0.5 * h[1 - i] ** 2, g))
    curvature = 1.0 / float(np.sum(kappa**-2.0))  # of the fit in the sum
    free = float(np.sum(h / kappa))  # the sum that fits exactly
    if free > 0:
        scale = np.sqrt(curvature)
        r = float(deep_prox(scale * free, beta * scale ** (-2.0 / L), L)[1]) / scale
        g = (h - curvature * (free - r) / kappa) / kappa
        if np.all(g >= 0):
            fit = 0.5 * float(np.sum((kappa * g - h) ** 2))
            candidates.append((fit + 0.5 * beta * L * float(g.sum()) ** (2.0 / L), g))
    return min(candidates, key=lambda candidate: candidate[0])


def _merged(directions: Array, g: Array, sign: float, L: int) -> tuple[Array, ...]:
    """Two rays of equal sign: they meet in one neuron of the second hidden layer."""
    rho = float(g.sum())
    t = rho ** (1.0 / L)
    root = np.sqrt(g / rho) if rho > 0 else np.zeros(2)
    middle = [np.full((1, 1), t)] * (L - 3)
    return (t * directions * root, t * root[:, None], *middle, np.full((1, 1), sign * t))
