"""Problems whose optimum is known, and the lists every law is checked over."""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from gapless.core.log_link import Gamma, Poisson
from gapless.core.losses import Hinge, Huber, Logistic, Pinball, Softmax, Squared
from gapless.core.problem import BIAS_RULES, Problem

#: every loss, the hinge also smoothed
ALL_LOSSES = [
    Squared(),
    Huber(0.7),
    Logistic(),
    Hinge(),
    Hinge(smoothing=0.3),
    Softmax(),
    Pinball(0.3),
    Pinball(0.8, smoothing=0.2),
    Poisson(4.0),
    Gamma(4.0),
]


def targets(loss, n, C, rng):
    """Random targets that the loss accepts; the softmax needs two outputs or more."""
    if loss.targets == "onehot":
        return np.eye(max(C, 2))[rng.integers(max(C, 2), size=n)]
    if loss.targets == "sign":
        return rng.choice([-1.0, 1.0], size=(n, C))
    if loss.targets == "count":
        return np.minimum(rng.poisson(1.0, (n, C)), 3.0)
    if loss.targets == "positive":
        return np.exp(rng.standard_normal((n, C)))
    return rng.standard_normal((n, C))


def random_problem(loss, bias, rng, n=12, d=2, C=1, weight_decay=0.05, weighted=False):
    X = rng.standard_normal((n, d))
    w = rng.uniform(0.2, 2.0, n) if weighted else None
    return Problem(X, targets(loss, n, C, rng), loss, weight_decay, bias, w)


def patterns(A):
    """All activation patterns 1[A u >= 0] of a small design, by vertices of the arrangement."""
    n, k = A.shape
    directions = [np.random.default_rng(1).standard_normal((k, 20000))]
    for subset in itertools.combinations(range(n), k - 1):
        normal = np.linalg.svd(A[list(subset)])[2][-1]
        directions.append(
            (
                np.array([normal, -normal])[..., None]
                + 1e-6 * np.random.default_rng(2).standard_normal((2, k, 64))
            )
            .transpose(1, 0, 2)
            .reshape(k, -1)
        )
    return np.unique((A @ np.hstack(directions) >= 0).T, axis=0)


def exact_optimum(problem):
    """CVXPY + Clarabel on the exact convex program over all patterns (no bias, or penalised)."""
    import cvxpy as cp

    assert not problem.free
    A, Y = problem.design.array(), problem.Y
    k = A.shape[1]
    f, penalty, constraints = 0, 0, []
    for D in patterns(A):
        for sign in (1, -1):
            v = cp.Variable(k)
            constraints.append(cp.multiply(2.0 * D - 1, A @ v) >= 0)
            f = f + sign * cp.multiply(D.astype(float), A @ v)
            penalty = penalty + cp.norm(v, 2)
    y = Y[:, 0]
    name = problem.loss.name
    losses = {
        "squared": lambda: 0.5 * cp.square(f - y),
        "huber": lambda: 0.5 * cp.huber(f - y, getattr(problem.loss, "delta", 1.0)),
        "logistic": lambda: cp.logistic(-cp.multiply(y, f)),
        "hinge": lambda: cp.pos(1 - cp.multiply(y, f)),
    }
    value = cp.sum(cp.multiply(problem.sample_weight, losses[name]()))
    model = cp.Problem(cp.Minimize(value + problem.weight_decay * penalty), constraints)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exponential cones end at 1e-8, which it calls inaccurate
        return float(model.solve(solver=cp.CLARABEL))


__all__ = ["ALL_LOSSES", "BIAS_RULES", "exact_optimum", "random_problem", "targets"]
