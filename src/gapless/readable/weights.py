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
from .lasso import lasso
from .neurons import Neurons

# Activations up to this many numbers (32 MiB) are kept where a quadratic model is a poor one.
DENSE = 1 << 22
# Quadratic models in one call, and halvings of a step.
MODELS, HALVINGS = 30, 12
# Of the proximal term, relative to the second moments: ramps of one feature are dependent, a left
# and a right one differ by a line, and along what changes no output a Newton step is endless.
RIDGE, LIGHT = 1e-5, 0.1


def solve_weights(
    problem: Problem,
    X: Array,
    neurons: Neurons,
    a: Array,
    c: Array,
    accuracy: float,
    stop: Callable[[], bool],
    signs: Array | None,
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
    signs : array of shape (m,) or None
        As of :func:`gapless.readable.lasso.lasso`.
    """
    square = problem.loss.constant_curvature
    small = len(X) * (len(neurons) + 1) <= DENSE
    if len(neurons) == 0 or (not square and problem.n_outputs > 1 and small):
        return solve_master(problem, neurons.activations(X), a, c, accuracy, stop, signs)
    F = neurons.outputs(X, a, c)
    value, last, moments = objective(problem, F, a), 0.0, None
    for _ in range(MODELS):
        if stop():
            break
        if moments is None or not square:
            h = problem.sample_weight if square else curvature(problem, F)
            moments = _moments(X, neurons, h, F + problem.residual(F) / h[:, None])
        new_a, new_c = _model_minimum(problem, moments, a, accuracy, stop, signs)
        new_F = neurons.outputs(X, new_a, new_c)
        for halving in range(HALVINGS):
            t = 0.5**halving
            step = (F + t * (new_F - F), a + t * (new_a - a), c + t * (new_c - c))
            if (stepped := objective(problem, *step[:2])) < value:
                break
        else:
            break
        (F, a, c), gained, value = step, value - stepped, stepped
        # gains fall faster and faster: the next would be at most this
        following = gained * min(gained / last, 1.0) if last else gained
        if following <= accuracy * abs(value):
            break
        last = gained
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
    moments: _Moments,
    a: Array,
    accuracy: float,
    stop: Callable[[], bool],
    signs: Array | None,
) -> tuple[Array, Array]:
    """Weights and bias that minimise a quadratic model, the penalty and the proximal term.

    The model is ``1/2 sum_i h_i ||T_i - f(x_i)||^2``, of which these are the moments: the
    response ``T = F + residual / h`` makes it that of the data fit at F.  The proximal term keeps
    the weights near ``a``.
    """
    gram, cross, power = moments
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
        centred, related = gram[:-1, :-1].copy(), cross[:-1]
    near = RIDGE * np.maximum(np.diag(centred), 0.0)
    if largest := float(np.linalg.norm(a, axis=1).max()):  # no heavier than the penalty
        near = np.minimum(near, LIGHT * problem.weight_decay / largest)
    centred[np.diag_indices_from(centred)] += near
    related = related + near[:, None] * a
    if problem.n_outputs == 1:
        beta, tol = problem.weight_decay, accuracy**0.5
        new_a = lasso(centred, related[:, 0], beta, a[:, 0], tol, stop, signs)[:, None]
    else:
        # flat samples have far responses: what no neuron explains of them would hide the rest
        square = problem.loss.constant_curvature
        power = power + float(np.sum(near[:, None] * a * a)) if square else 0.0
        small, R = normal_problem(centred, related, power, problem.weight_decay)
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
