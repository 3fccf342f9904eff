"""Spike-free data: two-layer training with one output is one cone program.

X is spike-free when the ReLU makes nothing that is not linear,

    { (X u)_+ : ||u|| <= 1 } = { X u : ||u|| <= 1 } in the non-negative orthant.

Then some optimal network has at most two neurons (Ergen & Pilanci, JMLR 2021, Theorem 4),
the solutions of

    min_{w, v}  1/(2n) ||X (w - v) - y||^2 + weight_decay (||w|| + ||v||),   X w >= 0, X v >= 0.

The property can be DECIDED.  The range of X must contain the positive part of each of its
elements, so it is spanned by non-negative vectors of disjoint supports: every non-zero row
of X is a positive multiple of one of r = rank(X) independent rows R.  For these, with
``G = (R R^T)^-1``, the shortest u with ``R u = z`` has norm ``z^T G z``, and z_+ never costs
more than z iff no off-diagonal entry of G is positive: for disjoint non-negative p, q the
condition ``p^T G p <= (p - q)^T G (p - q)`` reads ``2 p^T G q <= q^T G q``, and p may be as
large as one likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from ._validate import Array, to_2d
from .deep import Check, DeepNetwork, DeepSolution, Optimality, dense_problem, require

TOL = 1e-9


@dataclass(frozen=True)
class SpikeFree:
    """Answer of :func:`spike_free_test`.

    ``holds`` is None when ``violation`` is positive but within ``tolerance``, the rounding of
    the inverse.
    """

    holds: bool | None
    violation: float
    tolerance: float
    reason: str


def spike_free_test(X: Any) -> SpikeFree:
    """Whether X is spike-free, decided exactly up to rounding.

    Examples
    --------
    >>> import numpy as np
    >>> spike_free_test(np.eye(3)).holds, spike_free_test([[1.0], [-1.0]]).holds
    (True, False)
    """
    X = to_2d("X", X)
    rays, _ = _rays(X)
    s = np.linalg.svd(rays, compute_uv=False) if len(rays) else np.ones(1)
    if len(rays) > X.shape[1] or s[-1] <= TOL * s[0]:
        dependent = float(len(rays) - np.sum(s > TOL * s[0]))
        return SpikeFree(False, dependent, 0.0, "the rows' directions are dependent")
    G = np.linalg.inv(rays @ rays.T)
    off = (G - np.diag(np.diag(G))) / np.sqrt(np.outer(np.diag(G), np.diag(G)))
    worst = float(off.max(initial=0.0))
    # the inverse is known up to eps times the condition number
    doubt = 1e-14 * (s[0] / s[-1]) ** 2
    reason = "largest scaled off-diagonal entry of the inverse Gram matrix of the rows"
    if worst <= 0:
        return SpikeFree(True, 0.0, doubt, reason)
    return SpikeFree(None if worst <= doubt else False, worst, doubt, reason)


def _rays(X: Array) -> tuple[Array, Array]:
    """Distinct unit directions of the rows and B (n, r), disjoint supports, with X = B rays."""
    norms = np.linalg.norm(X, axis=1)
    rays: list[Array] = []
    owner = np.full(len(X), -1)
    for i in np.flatnonzero(norms > 0):
        unit = X[i] / norms[i]
        close = [k for k, ray in enumerate(rays) if np.linalg.norm(ray - unit) <= TOL]
        if not close:
            rays.append(unit)
        owner[i] = close[0] if close else len(rays) - 1
    B = np.zeros((len(X), len(rays)))
    used = owner >= 0
    B[np.flatnonzero(used), owner[used]] = norms[used]
    return np.array(rays).reshape(-1, X.shape[1]), B


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
    problem = dense_problem(X, y, "squared", weight_decay)
    if problem.n_outputs != 1:
        raise ValueError(
            f"solve_spike_free takes one output, got {problem.n_outputs}; "
            "solve one output at a time or use train()"
        )
    test = spike_free_test(problem.X)
    check = require(
        f"spike-free data ({test.reason})", test.violation, test.tolerance, "use train()"
    )
    n, target = problem.n_samples, problem.Y[:, 0]
    beta = n * weight_decay
    rays, B = _rays(problem.X)
    # coordinates in the row space: w = Q a, and R w >= 0 reads T^T a >= 0 with R = (Q T)^T
    Q, T = np.linalg.qr(rays.T)
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
    x = np.zeros((2, len(rays)))
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
    proved = value - lower <= tol * at_zero
    return DeepSolution(
        network,
        network.objective(problem),
        value / n,
        lower / n,
        lower / n,
        Optimality.PROVED if proved else Optimality.UPPER_BOUND,
        (check, Check("duality gap of the cone program", value - lower, tol * at_zero)),
    )
