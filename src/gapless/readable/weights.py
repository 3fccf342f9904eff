"""The master over neurons of few features: dense where small, by moments where there are many rows.

With many rows the activations are made block by block and only their moments are kept.  For the
squared loss these say all; another loss is replaced by its quadratic model at the outputs at hand,
whose curvature is at least the loss's (one number a sample), and a line search follows: a proximal
Newton method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem
from ..training.master import curvature, normal_problem, solve_master
from .neurons import Neurons

# Activations up to this many numbers (32 MiB) are kept.
DENSE = 1 << 22
# Quadratic models in one call, and halvings of a step.
MODELS, HALVINGS = 30, 12


def solve_weights(
    problem: Problem,
    X: Array,
    neurons: Neurons,
    a: Array,
    c: Array,
    accuracy: float,
    stop: Callable[[], bool],
) -> tuple[Array, Array]:
    """Output weights (m, n_outputs) and bias (n_outputs,) of the best network over ``neurons``.

    Parameters
    ----------
    problem : Problem
        Smooth.
    X : array of shape (n_samples, d)
    neurons : Neurons
    a, c : arrays
        The start; the objective never increases.
    accuracy : float
        Relative to the objective.
    stop : callable
        Asked before each step.
    """
    if len(X) * (len(neurons) + 1) <= DENSE:
        return solve_master(problem, neurons.activations(X), a, c, accuracy, stop)
    F = neurons.outputs(X, a, c)
    value = objective(problem, F, a)
    for _ in range(MODELS):
        if stop():
            break
        new_a, new_c = _model_minimum(problem, X, neurons, F, a, accuracy, stop)
        new_F = neurons.outputs(X, new_a, new_c)
        for halving in range(HALVINGS):
            t = 0.5**halving
            step = (F + t * (new_F - F), a + t * (new_a - a), c + t * (new_c - c))
            if (stepped := objective(problem, *step[:2])) < value:
                break
        else:
            break
        (F, a, c), gained, value = step, value - stepped, stepped
        if problem.loss.constant_curvature or gained <= accuracy * abs(value):
            break
    return a, c


def objective(problem: Problem, F: Array, a: Array) -> float:
    """Of outputs ``F`` and output weights ``a`` of neurons of norm one."""
    return problem.data_fit(F) + problem.weight_decay * float(np.sum(np.linalg.norm(a, axis=1)))


class _Moments(NamedTuple):
    gram: Array  # (m + 1, m + 1), of [Z, 1]
    cross: Array  # (m + 1, C), of [Z, 1] with the response
    power: float  # of the response


def _model_minimum(
    problem: Problem,
    X: Array,
    neurons: Neurons,
    F: Array,
    a: Array,
    accuracy: float,
    stop: Callable[[], bool],
) -> tuple[Array, Array]:
    """Weights and bias that minimise ``1/2 sum_i h_i ||T_i - f(x_i)||^2`` and the penalty.

    ``T = F + residual / h`` is the response whose weighted squares are the quadratic model at F.
    """
    square = problem.loss.constant_curvature
    h = problem.sample_weight if square else curvature(problem, F)
    T = F + problem.residual(F) / h[:, None]
    gram, cross, power = _moments(X, neurons, h, T)
    total = gram[-1, -1]
    mean, centre = gram[:-1, -1] / total, cross[-1] / total
    if problem.free:
        power -= total * float(centre @ centre)
        centred, related = (
            gram[:-1, :-1] - total * np.outer(mean, mean),
            cross[:-1] - total * np.outer(mean, centre),
        )
    else:
        mean, centre = np.zeros_like(mean), np.zeros_like(centre)
        centred, related = gram[:-1, :-1], cross[:-1]
    # flat samples have far responses: what no neuron explains of them would hide the rest
    small, R = normal_problem(centred, related, power if square else 0.0, problem.weight_decay)
    new_a, _ = solve_master(small, R, a, np.zeros_like(centre), accuracy, stop)
    return new_a, centre - mean @ new_a


def _moments(X: Array, neurons: Neurons, h: Array, T: Array) -> _Moments:
    m, C = len(neurons), T.shape[1]
    gram, cross, power = np.zeros((m + 1, m + 1)), np.zeros((m + 1, C)), 0.0
    for rows in neurons.blocks(len(X)):
        root = np.sqrt(h[rows])[:, None]
        Z = np.hstack([neurons.activations(X[rows]), np.ones((len(root), 1))])
        Z *= root
        response = root * T[rows]
        gram += Z.T @ Z
        cross += Z.T @ response
        power += float(np.sum(response * response))
    return _Moments(gram, cross, power)
