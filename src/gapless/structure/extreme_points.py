"""Neurons as autoencoders: the extreme points of the rectified ellipsoid, sample by sample.

With a free bias the neuron that fires on sample i alone, as high as a unit direction can, is

    max { x_i.u + b : ||u|| <= 1, x_j.u + b <= 0 for j != i }
        = min { || x_i - sum_j mu_j x_j || : mu >= 0, sum_j mu_j = 1, mu_i = 0 },

the distance of x_i from the convex hull of the other samples (Ergen & Pilanci, JMLR 2021,
Lemma 7): u is the normalised residual of the best mixture, ``b = -max_{j != i} x_j.u``.  It
exists iff x_i is a vertex of the hull of all samples, and n such neurons interpolate any
targets iff every sample is a vertex (Theorem 6).  What the lemma finds is the end of the set
``{(X u + b)_+}`` along one axis: the support of the set in that direction is infinite, since b
is free, so it is an extreme point of the slice, not of the hull of the whole set.

The mixture is a nonnegative least-squares problem: for ``B = [x_j - x_i; 1]`` and ``e`` the
last unit vector, ``min_{nu >= 0} || B nu - e ||^2`` has the value ``D^2 / (1 + D^2)`` with D the
distance, and ``nu / sum(nu)`` is the mixture.  Few samples take part, so it is solved on a
working set that grows by the samples beyond the separating plane.

A trained neuron compares samples too (Lemma 8, Corollary 1): where the objective is
stationary, ``u`` is proportional to ``sum_i alpha_i x_i`` with the dual variables of the
samples it fires on and, under the free bias, ``sum_i alpha_i = 0``, so that the sum is
``sum_i alpha_i (x_i - x_k)`` for a sample x_k on the neuron's kink.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import lsq_linear, nnls

from ..core.arrays import row_blocks
from ..core.checks import Array, to_2d
from ..core.network import Network
from ..core.problem import Problem
from ..core.reduction import power_of_two
from ..core.rounding import TINY

# Distances are known to this share of the data's radius: the accuracy of the normal directions
# that NNLS returns in double precision.
TOL = 1e-9
# The first working set, and how many violators join it a round.
NEAREST, JOIN = 32, 16
# A score below this share of the neuron's largest lies on the kink.
KINK = 1e-6


@dataclass(frozen=True, eq=False)
class ExtremePoints:
    """Neurons that fire on one sample each.

    Attributes
    ----------
    samples : array of shape (m,)
        The sample i of each neuron.
    hidden_weights : array of shape (n_features, m)
        Unit columns u_i; zero where x_i is not a vertex.
    hidden_bias : array of shape (m,)
        ``b_i = -max_{j != i} x_j.u_i``.
    height : array of shape (m,)
        ``x_i.u_i + b_i``: a proven lower bound of the distance of x_i from the hull of the
        others.
    distance : array of shape (m,)
        ``|| x_i - mixture ||``: an upper bound of it; the two agree up to rounding.
    mixture : sparse matrix of shape (m, n_samples)
        Rows on the simplex, ``mixture[i, i] = 0``.
    is_vertex : array of bool of shape (m,)
        Whether x_i is a vertex of the hull of all samples, ``height > 0`` beyond rounding.
        Of samples that coincide none is: each lies in the hull of the others.
    """

    samples: Array
    hidden_weights: Array
    hidden_bias: Array
    height: Array
    distance: Array
    mixture: Any
    is_vertex: Array

    def __len__(self) -> int:
        return len(self.samples)

    def network(self, Y: Any) -> Network:
        """The network of these neurons that interpolates ``Y``, one row a sample (Theorem 6).

        Parameters
        ----------
        Y : array of shape (m,) or (m, n_outputs)
            The targets of ``samples``, in their order.

        Returns
        -------
        Network
            With m neurons and without output bias.

        Raises
        ------
        ValueError
            When some sample is not a vertex of the hull, or the rows of Y are not m.
        """
        Y = to_2d("Y", Y)
        if len(Y) != len(self):
            raise ValueError(f"Y has {len(Y)} rows but there are {len(self)} neurons")
        if not self.is_vertex.all():
            inside = int(np.sum(~self.is_vertex))
            raise ValueError(
                f"{inside} of {len(self)} samples lie in the hull of the others, so no neuron "
                "fires on them alone; use gapless.interpolate()"
            )
        return Network(
            self.hidden_weights, self.hidden_bias, Y / self.height[:, None], np.zeros(Y.shape[1])
        )


def extreme_points(X: Any, samples: Any = None) -> ExtremePoints:
    """For each sample the neuron that fires on it alone, and the mixture it compares it with.

    One simplex-constrained least-squares problem a sample, exact up to rounding.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    samples : sequence of int, optional
        For which samples; all by default.  The mixtures use all of X.

    Returns
    -------
    ExtremePoints

    Raises
    ------
    ValueError
        For fewer than two samples, or indices outside the data.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Lemma 7 and Theorem 6.

    Examples
    --------
    >>> points = extreme_points([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.5, 0.5]])
    >>> points.is_vertex.tolist(), points.distance.round(6).tolist()
    ([True, True, True, False], [0.707107, 1.581139, 1.581139, 0.0])
    """
    X = to_2d("X", X)
    n, d = X.shape
    if n < 2:
        raise ValueError(f"X has {n} sample; a neuron compares a sample with others, give two")
    index = np.arange(n) if samples is None else np.asarray(samples, dtype=np.intp).ravel()
    if np.any((index < 0) | (index >= n)):
        raise ValueError(f"samples must be indices from 0 to {n - 1}, got {index[:5]}...")
    centred = X - X.mean(axis=0)
    size = power_of_two(float(np.abs(centred).max(initial=0.0)))  # squares alone may overflow
    radius = size * (float(np.sqrt(np.mean(np.sum((centred / size) ** 2, axis=1)))) or 1.0)
    Z = centred / radius
    U, height, distance = np.zeros((d, len(index))), np.zeros(len(index)), np.zeros(len(index))
    mixtures = []
    for block in row_blocks(len(index), n):
        rows, U[:, block], height[block], distance[block] = _separate(Z, index[block])
        mixtures.append(rows)
    vertex = height > TOL
    U[:, ~vertex] = 0.0
    others = np.einsum("jd,dj->j", X[index], U) - radius * height
    return ExtremePoints(
        index,
        U,
        np.where(vertex, -others, 0.0),
        radius * np.where(vertex, height, 0.0),
        radius * distance,
        sp.vstack(mixtures, format="csr"),
        vertex,
    )


def _separate(Z: Array, index: Array) -> tuple[Any, Array, Array, Array]:
    """Mixtures (B, n) sparse, directions (d, B), heights and distances of the samples ``index``."""
    n, d = Z.shape
    B = len(index)
    working = _nearest(Z, index)
    weights: list[Array] = [np.zeros(0)] * B
    U, height, distance = np.zeros((d, B)), np.full(B, -np.inf), np.zeros(B)
    todo = np.arange(B)
    while todo.size:
        # 1. the best mixture of the working set, and the direction away from it
        for j in todo:
            working[j], weights[j] = _mixture(Z, Z[index[j]], working[j])
            residual = Z[index[j]] - weights[j] @ Z[working[j]]
            distance[j] = np.linalg.norm(residual)
            U[:, j] = residual / max(distance[j], TINY)
        # 2. how far each sample is above all others in its direction
        S = Z @ U[:, todo]
        own = S[index[todo], np.arange(todo.size)].copy()
        S[index[todo], np.arange(todo.size)] = -np.inf
        height[todo] = own - S.max(axis=0)
        # 3. where height and distance differ, the samples beyond the plane through the mixture
        # join, farthest first
        following = []
        for k in np.flatnonzero((distance[todo] > TOL) & (distance[todo] - height[todo] > TOL)):
            j = todo[k]
            beyond = np.argpartition(-S[:, k], min(JOIN, n - 1))[:JOIN]
            beyond = np.setdiff1d(beyond[S[beyond, k] > own[k] - distance[j]], working[j])
            if beyond.size:  # none: as exact as rounding allows
                working[j] = np.concatenate([working[j], beyond])
                following.append(j)
        todo = np.array(following, dtype=np.intp)
    owner = np.repeat(np.arange(B), [len(w) for w in weights])
    rows = sp.csr_matrix((np.concatenate(weights), (owner, np.concatenate(working))), shape=(B, n))
    return rows, U, height, distance


def _nearest(Z: Array, index: Array) -> list[Array]:
    """For each sample of ``index`` those that its mixture starts from."""
    squares = np.einsum("ij,ij->i", Z, Z)
    near = squares - 2 * Z[index] @ Z.T
    near[np.arange(len(index)), index] = np.inf
    count = min(NEAREST, len(Z) - 1)
    return list(np.argpartition(near, count - 1, axis=1)[:, :count])


def _mixture(Z: Array, x: Array, candidates: Array) -> tuple[Array, Array]:
    """The samples among ``candidates`` whose mixture is nearest to ``x``, and their weights."""
    M = np.vstack([(Z[candidates] - x).T, np.ones(len(candidates))])
    e = np.eye(1, len(M), len(M) - 1)[0]
    nu = nnls(M, e, maxiter=30 * len(candidates) + 100)[0]
    mixture = nu / nu.sum()
    used = mixture > 0
    return candidates[used], mixture[used]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a trained neuron compares: ``u ~ sum_i alpha_i x_i`` over unit u.

    Attributes
    ----------
    coefficients : array of shape (n_samples,)
        alpha; positive samples pull the neuron up, negative ones are what it compares with.
    kink : array of int
        The samples on the neuron's kink: ``x_k.u + b = 0``.
    residual : float
        Length of ``u - sum_i alpha_i x_i`` (with the bias coordinate where it counts): zero
        for a stationary neuron, and how far from optimal this one is otherwise.
    """

    coefficients: Array
    kink: Array
    residual: float


def compare_samples(problem: Problem, network: Network, neuron: int) -> Comparison:
    """Representer coefficients of one neuron of a trained network (Lemma 8, Corollary 1).

    With ``l = Lam a / ||a||`` the dual point seen through the neuron's output weights, alpha_i
    is proportional to l_i where the neuron fires, 0 where it does not, and between the two on
    the kink, where bounded least squares makes ``sum_i alpha_i x_i`` nearest to ``u`` and, under
    the free bias, ``sum_i alpha_i`` nearest to 0.

    Parameters
    ----------
    problem : Problem
        What the network was trained on.
    network : Network
    neuron : int

    Returns
    -------
    Comparison

    Raises
    ------
    IndexError
        When the network has no such neuron.
    ValueError
        For a neuron without penalised weights or output: it compares nothing.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Lemma 8 and Corollary 1.
    """
    u, b = network.hidden_weights[:, neuron], network.hidden_bias[neuron]
    a = network.output_weights[neuron]
    A = problem.design.array()
    if problem.bias == "penalized":
        u, b = np.append(u, b), 0.0
    size, strength = float(np.linalg.norm(u)), float(np.linalg.norm(a))
    if size == 0 or strength == 0:
        raise ValueError(f"neuron {neuron} has zero weights and compares nothing; balance() first")
    u, b = u / size, b / size
    l = problem.dual_point(network.predict(problem.X)) @ (a / strength)
    S = A @ u + b
    on_kink = np.abs(S) <= KINK * max(float(np.abs(S).max()), TINY)
    alpha = np.where((S > 0) & ~on_kink, l, 0.0) / problem.weight_decay
    rows, target = A.T, u
    if problem.free:
        # the balance of the coefficients, in the unit of the data
        unit = float(np.sqrt(np.mean(np.sum(A**2, axis=1)))) or 1.0
        rows, target = np.vstack([rows, np.full(len(A), unit)]), np.append(u, 0.0)
    kink = np.flatnonzero(on_kink & (l != 0))
    if kink.size:
        limit = l[kink] / problem.weight_decay
        found = lsq_linear(
            rows[:, kink], target - rows @ alpha, (np.minimum(limit, 0), np.maximum(limit, 0))
        )
        alpha[kink] = found.x
    return Comparison(alpha, np.flatnonzero(on_kink), float(np.linalg.norm(target - rows @ alpha)))
