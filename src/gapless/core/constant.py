"""The best network without neurons: its outputs are one constant."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from .checks import Array
from .lbfgs import lbfgs
from .losses import Loss
from .problem import Problem
from .rounding import EPS
from .watch import never

# Constants that separate labels: exp(-FARTHEST) is below the rounding of 1.
FARTHEST = 37.0
# Corners are rounded to this: their dual point is then near that of the best constant.
ROUNDED = 1e-3


def null_model(problem: Problem) -> Array:
    """The outputs of the best network without neurons: zero unless the bias is free.

    Corners of hinge and pinball are rounded a little, so that its residual is a dual point.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    array of shape (n_outputs,)
    """
    if not problem.free:
        return np.zeros(problem.n_outputs)
    return best_constant(problem.loss.smoothed(ROUNDED), problem.Y, problem.sample_weight)


def null_dual_point(problem: Problem) -> Array:
    """The dual point of :func:`null_model`, whose gauge is the largest useful weight decay.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    array of shape (n_samples, n_outputs)
    """
    return problem.dual_point(np.broadcast_to(null_model(problem), problem.Y.shape))


def best_constant(loss: Loss, Y: Array, weights: Array) -> Array:
    """The c that minimises ``sum_i w_i loss(c, y_i)``.

    Where the best is at infinity, as for signs all equal, it ends at :data:`FARTHEST`.

    Parameters
    ----------
    loss : Loss
        With a gradient that does not jump.
    Y : array of shape (n_samples, n_outputs)
    weights : array of shape (n_samples,)
        Of sum one.

    Returns
    -------
    array of shape (n_outputs,)
    """

    def slope(c: Array) -> Array:
        return weights @ loss.gradient(np.broadcast_to(c, Y.shape), Y)

    zero = np.zeros(Y.shape[1])
    if loss.constant_curvature:
        return -slope(zero) / loss.smoothness
    if loss.degree is None:
        low, high = zero - FARTHEST, zero + FARTHEST
    else:  # a loss of F - Y alone
        low, high = Y.min(axis=0), Y.max(axis=0)
    if Y.shape[1] == 1:
        if slope(low)[0] >= 0:
            return low
        if slope(high)[0] <= 0:
            return high
        # rounding may leave the slope of balanced targets zero nowhere: near enough will do
        near = 1e-3 * EPS * (high[0] - low[0])
        root = brentq(
            lambda c: slope(np.array([c]))[0], low[0], high[0], xtol=near, maxiter=1000, disp=False
        )
        return np.array([root])

    def fit(c: Array) -> tuple[float, Array]:
        return float(weights @ loss.value(np.broadcast_to(c, Y.shape), Y)), slope(c)

    bounds = list(zip(low, high))
    return lbfgs(fit, np.clip(zero, low, high), never, bounds=bounds, ftol=0.0, gtol=1e-13)
