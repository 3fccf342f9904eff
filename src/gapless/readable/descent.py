"""Joint descent on all neurons of two features: each keeps its features and moves in their plane.

The master moves output weights with the directions fixed, and a sweep adds directions with the
others fixed; near an optimum both crawl, for a neuron a little beside its place is replaced by two
that lie on either side.  L-BFGS on ``data fit + weight_decay / 2 (||W||^2 + ||a||^2)`` moves all at
once, with kinks softened as in :mod:`gapless.training.descent`.  It proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.checks import Array
from ..core.lbfgs import lbfgs
from ..core.problem import Problem
from .neurons import Neurons

# Steps at most, pairs that L-BFGS remembers, and how many steps apart the gain is looked at.
STEPS, MEMORY, STRIDE = 150, 20, 8
# Gain of a step, as a share of the objective, below which it ends.
GAIN = 2e-6
# Numbers of activations up to which it is tried: some arrays of them are at hand.
MOST = 1 << 24


def descend_neurons(
    problem: Problem,
    X: Array,
    neurons: Neurons,
    a: Array,
    c: Array,
    width: float,
    stop: Callable[[], bool],
) -> tuple[Neurons, Array, Array]:
    """Neurons, output weights and bias after a descent with kinks softened by ``width``.

    Parameters
    ----------
    problem : Problem
        Smooth, with a free bias.
    X : array of shape (n_samples, d)
    neurons : Neurons
        Of unit norm.
    a, c : arrays of shape (m, n_outputs) and (n_outputs,)
        Rows of ``a`` are not zero.
    width : float
        Of the softened kinks, relative to the root mean square of each neuron's scores.
    stop : callable
        Asked before each step.

    Returns
    -------
    Neurons, array, array
        Of unit norm again.  The objective may be larger than at the start.
    """
    m, C = a.shape
    if m == 0 or m * len(X) > MOST:
        return neurons, a, c
    first, second = X[:, neurons.features[:, 0]], X[:, neurons.features[:, 1]]
    pair = (neurons.weights[:, 1] != 0).astype(float)
    second = second * pair
    root = np.sqrt(np.linalg.norm(a, axis=1))
    W, b, V = neurons.weights * root[:, None], neurons.bias * root, a / root[:, None]
    w, Y, loss, beta = problem.sample_weight, problem.Y, problem.loss, problem.weight_decay
    scores = first * W[:, 0] + second * W[:, 1] + b
    soft = width * np.sqrt(w @ (scores * scores)) + np.finfo(float).tiny

    def unpack(theta: Array) -> tuple[Array, Array, Array, Array]:
        parts = np.split(theta, [2 * m, 3 * m, 3 * m + m * C])
        return parts[0].reshape(m, 2), parts[1], parts[2].reshape(m, C), parts[3]

    def value(theta: Array) -> tuple[float, Array]:
        W, b, V, c = unpack(theta)
        Z = first * W[:, 0]
        Z += second * W[:, 1]
        Z += b
        root = np.sqrt(Z * Z + soft * soft)
        Z += root
        Z *= 0.5
        gate = np.divide(Z, root, out=root)
        F = Z @ V + c
        G = w[:, None] * loss.gradient(F, Y)
        fit = float(w @ loss.value(F, Y))
        gate *= G @ V.T
        slopes = np.column_stack([
            np.einsum("ij,ij->j", gate, first), np.einsum("ij,ij->j", gate, second)
        ])  # fmt: skip
        gradient = np.concatenate([
            (slopes + beta * W).ravel(), gate.sum(axis=0), (Z.T @ G + beta * V).ravel(),
            G.sum(axis=0),
        ])  # fmt: skip
        return fit + beta / 2 * float(np.sum(W * W) + np.sum(V * V)), gradient

    trace: list[float] = []

    def watch(value: float, theta: Array) -> bool:
        trace.append(value)
        gained = trace[-min(len(trace), STRIDE)] - value
        return len(trace) > STRIDE and gained < STRIDE * GAIN * abs(value)

    start = np.concatenate([W.ravel(), b, V.ravel(), c])
    options = {"maxiter": STEPS, "maxcor": MEMORY, "maxfun": 10 * STEPS, "gtol": 0.0}
    with np.errstate(over="ignore", invalid="ignore"):
        found = lbfgs(value, start, stop, seen=watch, **options)
    if not np.all(np.isfinite(found)):
        return neurons, a, c
    W, b, V, c = unpack(found)
    size = np.linalg.norm(W, axis=1)
    kept = np.flatnonzero(size > 0)
    W, b, V, size = W[kept], b[kept], V[kept], size[kept]
    features = neurons.features[kept]
    moved = Neurons(features, W / size[:, None], b / size)
    return moved, V * size[:, None], c
