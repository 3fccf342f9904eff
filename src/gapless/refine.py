"""Joint descent on all the weights of a network.

The master moves output weights with the directions fixed, the oracle one direction at a time
with the others fixed; where neurons are many and overlap, both are slow.  L-BFGS on

    data fit(theta) + weight_decay / 2 (||U||_F^2 + ||a||_F^2)

moves everything at once.  It stalls where optimal neurons lie on kinks, which the exact steps
of the oracle then resolve, and it proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from ._array import pull_back, row_blocks, scores
from ._validate import Array
from .network import Network
from .problem import Problem

# Pairs of steps and gradients that L-BFGS remembers.
MEMORY = 20
# Steps at most; the master and the search have to see the network too.
MAX_STEPS = 500
# It ends when this many steps gain less than this share of the objective.
STRIDE = 25
GAIN = 2e-3


def refine(problem: Problem, network: Network, stop: Callable[[], bool]) -> Network:
    """L-BFGS from ``network`` while it gains quickly; the objective never increases.

    ``problem`` is a core problem: its design has a column for a penalised bias, so hidden and
    output biases move only when they are free.  ``stop`` is asked after each step.
    """
    network = network.balance(problem.bias)
    U, b, a, c = (
        network.hidden_weights, network.hidden_bias, network.output_weights, network.output_bias,
    )  # fmt: skip
    if a.size == 0:
        return network
    splits = np.cumsum([U.size, a.size, b.size])[:3]

    def unpack(theta: Array) -> tuple[Array, Array, Array, Array]:
        u, v, *biases = np.split(theta, splits)
        shift, offset = biases if problem.free else (b, c)
        return u.reshape(U.shape), v.reshape(a.shape), shift, offset

    def value(theta: Array) -> tuple[float, Array]:
        U, a, b, c = unpack(theta)
        fit, slopes = _data_fit(problem, U, b, a, c)
        penalised = theta[: splits[1]]
        gradient = np.concatenate([s.ravel() for s in slopes[: 4 if problem.free else 2]])
        gradient[: splits[1]] += problem.weight_decay * penalised
        return fit + problem.weight_decay / 2 * float(penalised @ penalised), gradient

    trace: list[float] = []

    def watch(intermediate_result: OptimizeResult) -> None:
        trace.append(intermediate_result.fun)
        past = trace[max(0, len(trace) - STRIDE)]
        if stop() or (len(trace) > STRIDE and past - trace[-1] < GAIN * trace[-1]):
            raise StopIteration

    start = np.concatenate([x.ravel() for x in ((U, a, b, c) if problem.free else (U, a))])
    options = {"maxiter": MAX_STEPS, "maxcor": MEMORY}
    found = minimize(value, start, jac=True, method="L-BFGS-B", callback=watch, options=options)
    U, a, b, c = unpack(found.x)
    return Network(U, b, a, c).balance(problem.bias)


def _data_fit(
    problem: Problem, U: Array, b: Array, a: Array, c: Array
) -> tuple[float, tuple[Array, Array, Array, Array]]:
    """The data fit and its gradient in U, a, b and c; no temporary exceeds a block of rows."""
    fit, dU, da, db, dc = 0.0, np.zeros(U.shape), np.zeros(a.shape), np.zeros(b.shape), 0.0 * c
    for rows in row_blocks(problem.n_samples, U.shape[1]):
        X, Y, w = problem.X[rows], problem.Y[rows], problem.sample_weight[rows]
        S = scores(X, U, b)
        Z = np.maximum(S, 0.0)
        F = Z @ a + c
        G = w[:, None] * problem.loss.gradient(F, Y)
        fit += float(w @ problem.loss.value(F, Y))
        gated = (G @ a.T) * (S > 0)
        dU += pull_back(X, gated)
        da += Z.T @ G
        db += gated.sum(axis=0)
        dc += G.sum(axis=0)
    return fit, (dU, da, db, dc)
