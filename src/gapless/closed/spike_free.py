"""Spike-free data: two-layer training with one output is one cone program.

Some optimal network has at most two neurons when X is spike-free (:func:`gapless.spike_free_test`;
Ergen & Pilanci, JMLR 2021, Theorem 4), the solutions of

    min_{w, v}  1/(2n) ||X (w - v) - y||^2 + weight_decay (||w|| + ||v||),   X w >= 0, X v >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from ..core.checks import Array
from ..core.deep_network import DeepNetwork, DeepSolution, Optimality
from ..core.hypotheses import Check, require
from ..core.problem import Problem
from ..gauge.spike_free import SPIKE_FREE_TOL, SpikeFree, rays, spike_free_test
from .proximal import accelerated
from .units import Units, dense_problem

# Steps between two looks at the duality gap, which costs as much as a step, and steps at most.
LOOK, MAX_STEPS = 20, 5000
# Duality gap that ends them, as a share of the objective at zero.
TOL = 1e-9


def solve_spike_free(X: Any, y: Any, weight_decay: float) -> DeepSolution:
    """Best two-layer ReLU network (one output, squared loss, no bias) for spike-free data.

    Accelerated proximal gradient on the cone program; projections on the cone are
    non-negative least squares.  The dual point's gauge is a projection too, so the gap is
    proven; ``UPPER_BOUND`` when it stays above :data:`TOL` times the objective at zero.  What the
    test of the data tolerates is charged to the bound.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    y : array of shape (n_samples,)
    weight_decay : float

    Returns
    -------
    DeepSolution

    Raises
    ------
    HypothesisError
        When the data are not spike-free beyond rounding.
    ValueError
        For more than one output.
    """
    given = dense_problem(X, y, "squared", weight_decay)
    if given.n_outputs != 1:
        raise ValueError(
            f"solve_spike_free takes one output, got {given.n_outputs}; "
            "solve one output at a time or use train()"
        )
    units = Units(given, 2)
    return units.back(_cone_network(units.problem))


@dataclass(frozen=True, eq=False)
class _Cone:
    """``1/2 ||A (a_1 - a_2) - target||^2 + beta (||a_1|| + ||a_2||)`` over pairs in a cone.

    Coordinates in the row space, ``w = Q a``: ``R w >= 0`` reads ``T^T a >= 0`` with
    ``R = (Q T)^T``, so the cone is that of the columns of ``generators``, ``T^-T``.
    """

    A: Array
    target: Array
    beta: float
    generators: Array

    def project(self, a: Array) -> Array:
        return self.generators @ nnls(self.generators, a)[0]

    def step(self, x: Array, size: float) -> Array:
        """A gradient step, then that of a norm on a convex cone: project and shrink."""
        g = self.A.T @ (self.A @ (x[0] - x[1]) - self.target)
        new = np.stack([self.project(x[0] - size * g), self.project(x[1] + size * g)])
        for p in new:
            norm = float(np.linalg.norm(p))
            if norm > 0:
                p *= max(0.0, 1 - size * self.beta / norm)
        return new

    def best_pair(self) -> tuple[Array, float]:
        """The best pair looked at, and its value."""
        at_zero = 0.5 * float(self.target @ self.target)
        best, value, lower = np.zeros((2, self.A.shape[1])), at_zero, 0.0
        size = float(0.5 / np.linalg.norm(self.A, 2) ** 2)
        pairs = accelerated(lambda x: self.step(x, size), best)
        for iteration, x in zip(range(MAX_STEPS), pairs):
            if iteration % LOOK != LOOK - 1 and iteration != 0:
                continue
            r = self.target - self.A @ (x[0] - x[1])
            now = 0.5 * float(r @ r) + self.beta * float(np.linalg.norm(x, axis=1).sum())
            if now <= value:
                best, value = x, now
            along = self.A.T @ r
            gauge = max(float(np.linalg.norm(self.project(s * along))) for s in (1.0, -1.0))
            scale = min(1.0, self.beta / gauge) if gauge > 0 else 1.0
            dual = scale * float(r @ self.target) - 0.5 * scale**2 * float(r @ r)
            lower = max(lower, dual)
            if value - lower <= TOL * at_zero:
                break
        return best, value


def _cone_network(problem: Problem) -> DeepSolution:
    # 1. the hypothesis
    test = spike_free_test(problem.X)
    violation = test.violation if test.holds is False else test.excess
    check = require(f"spike-free data ({test.reason})", violation, SPIKE_FREE_TOL, "use train()")
    # 2. the cone program, in the SUM of squares
    n, target = problem.n_samples, problem.Y[:, 0]
    R, B = rays(problem.X)
    Q, T = np.linalg.qr(R.T)
    cone = _Cone(B @ T.T, target, n * problem.weight_decay, np.linalg.inv(T).T)
    best, value = cone.best_pair()
    # 3. its network
    norms = np.linalg.norm(best, axis=1)
    on = norms > 0
    signs = np.array([[1.0], [-1.0]])[on]
    directions = (Q @ best[on].T) / norms[on]
    root = np.sqrt(norms[on])
    network = DeepNetwork((directions * root, root[:, None] * signs))
    # 4. proven on the data themselves: the iteration's own bound trusts its projections
    Lam = problem.residual(network.predict(problem.X))
    dual = problem.proven_bound(Lam, SpikeFree().of_data(problem.X, Lam).upper)
    objective = network.objective(problem)
    # the bound is rounded up by what spike-free data may lack
    allowed = 2 * (TOL + 2 * SPIKE_FREE_TOL) * (0.5 * float(target @ target)) / n
    closed = Check("duality gap of the cone program", objective - dual, allowed)
    optimality = Optimality.PROVED if closed.holds else Optimality.UPPER_BOUND
    return DeepSolution(network, objective, value / n, dual, dual, optimality, (check, closed))
