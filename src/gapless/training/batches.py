"""Descent by batches of samples, for designs of very many rows.

Of 60,000 images one pass sees ten million patches, and L-BFGS needs hundreds of passes.  A few
hundred images tell the slope nearly as well: Adam's steps on random batches, their length falling
to nothing along half a cosine, end near the optimum after some thirty passes; L-BFGS, the master
and the search then take what is left.  It proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.lbfgs import Stopped
from ..core.network import Network
from ..core.problem import Problem
from ..core.watch import Watch
from .descent import Descent

# Samples of a batch; passes over the data, but so many steps at least.
BATCH, PASSES, LEAST = 64, 30, 1000
# Length of the first steps as a share of the weights' root mean square, measured anew each pass.
RATE = 0.08
# How long slopes and their squares are remembered.
SLOPE, SQUARE = 0.9, 0.99


def descend_by_batches(
    problem: Problem,
    network: Network,
    rng: np.random.Generator,
    watch: Watch,
    seen: Callable[[Network], bool] = lambda network: False,
) -> Network:
    """Adam (Kingma & Ba, ICLR 2015) on all the weights, in single precision.

    Parameters
    ----------
    problem : Problem
        A core problem with a smooth loss.
    network : Network
    rng : Generator
    watch : Watch
        Steps are the shorter, the nearer its end; over, it ends them.
    seen : callable
        Has the network after each pass; a true answer ends.

    Returns
    -------
    Network
        Balanced; its objective may be higher than where it started.
    """
    network = network.balance(problem.bias)
    n = problem.n_samples
    each = -(-n // BATCH)
    steps = max(PASSES * each, LEAST)
    U, a, b, c = weights = [
        x.astype(np.float32)
        for x in (
            network.hidden_weights, network.output_weights, network.hidden_bias,
            network.output_bias,
        )
    ]  # fmt: skip
    moving = 4 if problem.free else 2
    first = [np.zeros_like(x) for x in weights[:moving]]
    second = [np.zeros_like(x) for x in weights[:moving]]
    descent = Descent(problem, np.float32, watch.due)
    sharp = np.zeros(len(b), np.float32)
    order, done, sizes = rng.permutation(n), 0.0, [0.0] * moving

    def current() -> Network:
        return Network(U, b, a, c).balance(problem.bias)

    for step in range(steps):
        at = step % each
        if at == 0:
            order = rng.permutation(n)
            size = [float(np.sqrt(np.mean(x * x))) for x in weights[:2]]
            # rows are of norm one on average: a bias moves scores as much as weights do
            sizes = [*size, size[0], size[1]][:moving]
        done = max(step / steps, watch.seconds / (watch.seconds + watch.left))
        if done >= 1 or (at == 0 and step > 0 and seen(current())):
            break
        rows = np.sort(order[at * BATCH : (at + 1) * BATCH])
        try:
            dU, da, db, dc = descent.part(rows).data_fit(U, b, a, c, sharp)[1]
        except Stopped:
            break
        rate = 0.5 * RATE * (1 + np.cos(np.pi * done))
        grown = np.sqrt(1 - SQUARE ** (step + 1)) / (1 - SLOPE ** (step + 1))
        for x, g, m, v, length in zip(weights, (dU, da, db, dc), first, second, sizes):
            if x.ndim == 2:
                g = g + problem.weight_decay * x
            m += (1 - SLOPE) * (g - m)
            v += (1 - SQUARE) * (g * g - v)
            x -= (rate * length * grown) * m / (np.sqrt(v) + np.finfo(np.float32).tiny)
    return current()
