"""Where training starts: random neurons fitted by ridge regression.

Column generation from the empty network adds a few neurons a round.  A network of random neurons
whose output weights are one regularised step from the null model, with the loss's largest
curvature (for the squared loss the ridge regression on random features), is, after some steps of
L-BFGS on all its weights, within a few per cent of the optimum: its neurons then lie near those of
the best network, and the rounds have to add only what is missing.  It proves nothing.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from ..core.arrays import BLOCK
from ..core.checks import Array
from ..core.network import Network, constant_network
from ..core.problem import Problem
from .descent import column_units

# Neurons: FACTOR times the root of the samples, times the ratio of the largest useful weight decay
# to the one given to this power, much as the best networks' numbers go; at most MOST, and as many
# as there are targets.
FACTOR, POWER, MOST = 0.15, 0.8, 1024
# How many of them tell that ratio.
FEW = 32
# A linear piece of the gauge is about so much steeper than the gauge of a random neuron is large.
STEEPER = 2.0
# Ridge, relative to the mean square of a neuron's activations.
RIDGE = 0.3


def random_network(
    problem: Problem, c: Array, rng: np.random.Generator, most: int = MOST
) -> Network:
    """A balanced network of random neurons; none where weight decay is too large.

    Free biases put each kink at a random sample.

    Parameters
    ----------
    problem : Problem
        A core problem with a smooth loss.
    c : array of shape (n_outputs,)
        The outputs of its null model.
    rng : Generator
    most : int, default 1024
        Neurons, at most.

    Returns
    -------
    Network
    """
    total, (k, A) = problem.n_samples, (problem.n_features, problem.design)
    if A.pooled:
        # fewer neurons, as the ridge regression is on all their activations; of some samples
        most = min(most, max(MOST // A.places, FEW))
        problem = _some(problem, rng, max(BLOCK // (most * A.places), 1))
        A = problem.design
    n = problem.n_samples
    most = min(most, n * len(c), max(BLOCK // (n * A.places), 1))
    # in the units of the descent: else all would see the largest columns only
    U = column_units(problem)[:, None] * rng.standard_normal((k, max(most, FEW)))
    U /= np.linalg.norm(U, axis=0)
    b = np.zeros(U.shape[1])
    if problem.free:
        b = -np.einsum("jk,kj->j", A.dense_rows(rng.integers(A.n_rows, size=len(b))), U)
    F = np.tile(c, (n, 1))
    Lam = problem.dual_point(F)
    ratio = _ratio(problem, Lam, U[:, :FEW], b[:FEW])
    wanted = FACTOR * np.sqrt(total) * ratio**POWER if ratio > 1 else 0.0
    count = int(min(wanted, most))
    if count == 0:
        return constant_network(problem, c)
    U, b = U[:, :count], b[:count]
    Z = A.activations(U, b)
    w, count = problem.sample_weight, count * A.places
    mean = w @ Z if problem.free else np.zeros(count)
    Z -= mean
    gram = (Z * (problem.loss.smoothness * w)[:, None]).T @ Z
    gram[np.diag_indices(count)] += RIDGE * np.trace(gram) / count + np.finfo(float).tiny
    a = scipy.linalg.solve(gram, Z.T @ Lam, assume_a="pos")
    return Network(U, b, a.reshape(len(b), -1), c - mean @ a).balance(problem.bias)


def _some(problem: Problem, rng: np.random.Generator, count: int) -> Problem:
    """The problem of that many samples."""
    if problem.n_samples <= count:
        return problem
    return problem.of_samples(np.sort(rng.choice(problem.n_samples, count, replace=False)))


def _ratio(problem: Problem, Lam: Array, U: Array, b: Array) -> float:
    """About that of the largest useful weight decay to the one given.

    The linear piece of the gauge that a neuron is on is this steep; with several places, the gauge.
    """
    A = problem.design
    if A.pooled:
        T = (Lam.T @ A.activations(U, b)).reshape(Lam.shape[1], len(b), -1)
        values = np.linalg.norm(T, axis=(0, 2))
        return STEEPER * float(values.max()) / problem.weight_decay
    gate = A.scores(U, b) > 0
    slopes = [np.linalg.norm(A.pull_back(gate * lam[:, None]), axis=0) for lam in Lam.T]
    return float(np.linalg.norm(slopes, axis=0).max()) / problem.weight_decay
