"""Spike-free data: two-layer training with one output is one cone program.

Some optimal network has at most two neurons when X is spike-free (:mod:`gapless.gauge.spike_free`;
Ergen & Pilanci, JMLR 2021, Theorem 4), the solutions of

    min_{w, v}  1/(2n) ||X (w - v) - y||^2 + weight_decay (||w|| + ||v||),   X w >= 0, X v >= 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import nnls

from ..core.checks import Array
from ..core.deep_network import (
    Check,
    DeepNetwork,
    DeepSolution,
    Optimality,
    Units,
    dense_problem,
    require,
)
from ..core.problem import Problem
from ..gauge.spike_free import SPIKE_FREE_TOL, SpikeFree, rays, spike_free_test


def solve_spike_free(
    X: Any, y: Any, weight_decay: float, tol: float = 1e-9, max_iter: int = 5000
) -> DeepSolution:
    """Best two-layer ReLU network (one output, squared loss, no bias) for spike-free data.

    Accelerated proximal gradient on the cone program; projections on the cone are
    non-negative least squares.  The dual point's gauge is a projection too, so the gap is
    proven; ``UPPER_BOUND`` when it stays above ``tol`` times the objective at zero.

    Raises
    ------
    HypothesisError
        When the data are not spike-free beyond rounding.
    """
    given = dense_problem(X, y, "squared", weight_decay)
    if given.n_outputs != 1:
        raise ValueError(
            f"solve_spike_free takes one output, got {given.n_outputs}; "
            "solve one output at a time or use train()"
        )
    units = Units(given, 2)
    return units.back(_solve(units.problem, tol, max_iter))


def _solve(problem: Problem, tol: float, max_iter: int) -> DeepSolution:
    test = spike_free_test(problem.X)
    violation = test.violation if test.holds is False else test.excess
    check = require(f"spike-free data ({test.reason})", violation, SPIKE_FREE_TOL, "use train()")
    n, target = problem.n_samples, problem.Y[:, 0]
    beta = n * problem.weight_decay
    R, B = rays(problem.X)
    # coordinates in the row space: w = Q a, and R w >= 0 reads T^T a >= 0 with R = (Q T)^T
    Q, T = np.linalg.qr(R.T)
    A = B @ T.T
    generators = np.linalg.inv(T).T  # a = generators z, z = R w >= 0

    def project(a: Array) -> Array:
        return generators @ nnls(generators, a)[0]

    def prox(a: Array) -> Array:
        # a norm on a convex cone: project, then shrink
        p = project(a)
        size = float(np.linalg.norm(p))
        return p * max(0.0, 1 - step * beta / size) if size > 0 else p

    def gauge(lam: Array) -> float:
        return max(float(np.linalg.norm(project(s * (A.T @ lam)))) for s in (1.0, -1.0))

    step = 0.5 / np.linalg.norm(A, 2) ** 2
    x = np.zeros((2, len(R)))
    point, momentum = x, 1.0
    at_zero = 0.5 * float(target @ target)
    best, lower, value = x, 0.0, at_zero
    for iteration in range(max_iter):
        r = A @ (point[0] - point[1]) - target
        g = A.T @ r
        new = np.stack([prox(point[0] - step * g), prox(point[1] + step * g)])
        if np.sum((point - new) * (new - x)) > 0:
            momentum = 1.0
        following = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        point = new + (momentum - 1) / following * (new - x)
        x, momentum = new, following
        if iteration % 20 == 19 or iteration == 0:
            r = target - A @ (x[0] - x[1])
            now = 0.5 * float(r @ r) + beta * float(np.linalg.norm(x, axis=1).sum())
            if now <= value:
                best, value = x, now
            size = gauge(r)
            scale = min(1.0, beta / size) if size > 0 else 1.0
            lower = max(lower, scale * float(r @ target) - 0.5 * scale**2 * float(r @ r))
            if value - lower <= tol * at_zero:
                break
    norms = np.linalg.norm(best, axis=1)
    on = norms > 0
    signs = np.array([[1.0], [-1.0]])[on]
    directions = (Q @ best[on].T) / norms[on]
    root = np.sqrt(norms[on])
    network = DeepNetwork((directions * root, root[:, None] * signs))
    # proven on the data themselves: the iteration's own bound trusts its projections
    Lam = problem.residual(network.predict(problem.X))
    dual = problem.proven_bound(Lam, SpikeFree().of_data(problem.X, Lam).upper)
    gap = network.objective(problem) - dual
    # the bound is rounded up by what spike-free data may lack
    allowed = 2 * (tol + 2 * SPIKE_FREE_TOL) * at_zero / n
    closed = Check("duality gap of the cone program", gap, allowed)
    return DeepSolution(
        network,
        network.objective(problem),
        value / n,
        dual,
        dual,
        Optimality.PROVED if closed.holds else Optimality.UPPER_BOUND,
        (check, closed),
    )
