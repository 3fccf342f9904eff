"""Joint descent on all neurons of two features: each keeps its features and moves in their plane.

The master moves output weights with the directions fixed, and a sweep adds directions with the
others fixed; near an optimum both crawl, for a neuron a little beside its place is replaced by two
that lie on either side.  L-BFGS on ``data fit + weight_decay / 2 (||W||^2 + ||a||^2)`` moves all at
once, with kinks softened (:mod:`gapless.readable.descent_compiled`).  It proves nothing.
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
    if len(a) == 0 or len(a) * len(X) > MOST:
        return neurons, a, c
    root = np.sqrt(np.linalg.norm(a, axis=1))
    softened = _Softened(problem, X, neurons, root, width)
    trace: list[float] = []

    def watch(value: float, theta: Array) -> bool:
        trace.append(value)
        gained = trace[-min(len(trace), STRIDE)] - value
        return len(trace) > STRIDE and gained < STRIDE * GAIN * abs(value)

    W, b, V = neurons.weights * root[:, None], neurons.bias * root, a / root[:, None]
    start = np.concatenate([W.ravel(), b, V.ravel(), c])
    options = {"maxiter": STEPS, "maxcor": MEMORY, "maxfun": 10 * STEPS, "gtol": 0.0}
    with np.errstate(over="ignore", invalid="ignore"):
        found = lbfgs(softened.value, start, stop, seen=watch, **options)
    if not np.all(np.isfinite(found)):
        return neurons, a, c
    W, b, V, c = softened.unpack(found)
    size = np.linalg.norm(W, axis=1)
    kept = np.flatnonzero(size > 0)
    W, b, V, size = W[kept], b[kept], V[kept], size[kept]
    moved = Neurons(neurons.features[kept], W / size[:, None], b / size)
    return moved, V * size[:, None], c


class _Softened:
    """The objective with softened kinks, in all weights ``theta = (W, b, V, c)`` at once.

    How soft each is is ``2 width`` times the root mean square of its scores at the start, where
    neurons have norm ``root``.
    """

    def __init__(
        self, problem: Problem, X: Array, neurons: Neurons, root: Array, width: float
    ) -> None:
        from .descent_compiled import add_gradient, add_outputs

        self.add_outputs, self.add_gradient = add_outputs, add_gradient
        self.problem, self.m = problem, len(neurons)
        used, at = np.unique(neurons.features, return_inverse=True)
        self.features = at.reshape(-1, 2)
        self.columns = np.ascontiguousarray(X[:, used].T)
        #: weights of second features that are none stay zero
        self.moves = np.column_stack([np.ones(self.m), neurons.weights[:, 1] != 0])
        mean = self.columns @ problem.sample_weight
        second = (self.columns * problem.sample_weight) @ self.columns.T
        u, (i, j), b = neurons.weights.T, self.features.T, neurons.bias
        squares = u[0] ** 2 * second[i, i] + u[1] ** 2 * second[j, j] + b**2
        squares += 2 * (u[0] * u[1] * second[i, j] + b * (u[0] * mean[i] + u[1] * mean[j]))
        scores = np.sqrt(np.maximum(squares, 0.0)) * root
        self.soft = 2 * width * scores + np.sqrt(np.finfo(float).tiny)

    def unpack(self, theta: Array) -> tuple[Array, Array, Array, Array]:
        """W (m, 2), b (m,), V (m, n_outputs), c (n_outputs,)."""
        m, C = self.m, self.problem.n_outputs
        parts = np.split(theta, [2 * m, 3 * m, 3 * m + m * C])
        return parts[0].reshape(m, 2), parts[1], parts[2].reshape(m, C), parts[3]

    def value(self, theta: Array) -> tuple[float, Array]:
        """The objective and its gradient."""
        W, b, V, c = self.unpack(theta)
        w, Y, loss = self.problem.sample_weight, self.problem.Y, self.problem.loss
        beta = self.problem.weight_decay
        neurons = (self.columns, self.features, W, b, self.soft, V)
        F = np.tile(c[:, None], len(w))
        self.add_outputs(*neurons, F)
        G = w[:, None] * loss.gradient(F.T, Y)
        fit = float(w @ loss.value(F.T, Y))
        gradient = beta * np.concatenate([theta[: -len(c)], np.zeros(len(c))])
        dW, db, dV, dc = self.unpack(gradient)
        db[:], dc[:] = 0.0, G.sum(axis=0)
        self.add_gradient(*neurons, np.ascontiguousarray(G.T), dW, db, dV)
        dW *= self.moves
        return fit + beta / 2 * float(np.sum(W * W) + np.sum(V * V)), gradient
