"""A hidden layer in closed form: kernel ridge regression with exact leave-one-out outputs.

With T (n, C) the targets, K the kernel of the samples, weights w of sum W (n, where none are
given) and A the coefficients the layer minimises

    J(A) = 1/W sum_i w_i ||(K A - T)_i||^2 + ridge tr(A^T K A),

convex, with ``(K + W ridge diag(w)^-1) A = T`` at a minimiser.  What the layer would say of sample
i had it been trained on the others is then ``T_i - A_i / [(K + n ridge I)^-1]_ii`` without weights.
The next layer is trained on these outputs: those on the samples themselves have already collapsed
onto T.

A weight counts samples.  Of one above 1 a single sample is left out and the others stay, so that
weights are repetitions here too; one below 1 is left out whole.  With M = S K S + W ridge I,
S = diag(w)^1/2, A = S B and t_i = min(1, 1/w_i) the part that is left out,

    F_i - T_i = - B_i / S_i / ((1 - t_i) / (W ridge) + t_i [M^-1]_ii).

Many samples: m of them are the centres.  With ``K_mm = L L^T`` and ``P = S K_nm L^-T`` the layer is
linear ridge regression on the features P, ``v = (P^T P + W ridge I)^-1 P^T S T``, and sample i has
the leverage ``h_i = P_i (P^T P + W ridge I)^-1 P_i^T``; left out it gets
``(F_i - t_i h_i T_i) / (1 - t_i h_i)``, the centres staying as they are.  P is never whole in
memory: with ``R R^T = P^T P + W ridge I`` a second pass has ``h_i = w_i ||(L R)^-1 K_i||^2``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import blas, cho_solve, cholesky, eigh, lapack, solve_triangular

from ..core.arrays import row_blocks
from ..core.checks import Array
from ..core.rounding import EPS
from .machine import Kernel, KernelMachine, median_distance

#: tried when they are chosen: gamma in units of the median squared distance; ridge
GAMMAS = tuple(2.0**k for k in range(-4, 4))
RIDGES = tuple(10.0 ** (k / 2) for k in range(-18, 3))


@dataclass(frozen=True)
class LayerRule:
    """How a layer is to be fitted.

    Parameters
    ----------
    gamma : float or None
        The kernel is ``exp(-gamma ||x - z||^2 / median) + constant``; None has it chosen.
    ridge : float or None
        None has it chosen.
    constant : float
    max_centres : int
        More samples than this: so many of them, drawn at random, are the centres.
    choose_on : int
        Samples, at most, on which gamma and ridge are chosen.
    """

    gamma: float | None = None
    ridge: float | None = None
    constant: float = 1.0
    max_centres: int = 4000
    choose_on: int = 2000


@dataclass(frozen=True, eq=False)
class FittedLayer:
    """A layer and what is known of it.

    Parameters
    ----------
    machine : KernelMachine
    gamma, ridge : float
    outputs : array of shape (n_samples, n_outputs)
        Each sample's outputs, left out.
    squared_error : float
        Mean of ``||outputs_i - T_i||^2``: what gamma and ridge were chosen by.
    objective : float
        J.
    objective_gap : float
        Proven: no coefficients on these centres have a J lower than ``objective`` by more.
    """

    machine: KernelMachine
    gamma: float
    ridge: float
    outputs: Array
    squared_error: float
    objective: float
    objective_gap: float


def fit_layer(
    X: Any, T: Array, rule: LayerRule, rng: np.random.RandomState, weights: Array | None = None
) -> FittedLayer:
    """Fit one layer.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features)
    T : array of shape (n_samples, n_outputs)
        Targets.
    rule : LayerRule
    rng : RandomState
        Draws centres, and the samples to choose on.
    weights : array of shape (n_samples,), optional
        How many samples each stands for, above zero; one by default.

    Returns
    -------
    FittedLayer

    Raises
    ------
    ValueError
        Where squared distances leave the floats, and where no ridge tried is enough for float64.
    """
    n = X.shape[0]
    w = np.ones(n) if weights is None else weights
    length = median_distance(X, rng, w)
    gamma, ridge = _choose(X, T, w, length, rule, rng)
    kernel = Kernel(gamma / length, rule.constant)
    if n <= rule.max_centres:
        machine, loo, J, gap = _on_all_samples(X, T, w, kernel, ridge)
    else:
        centres = X[np.sort(rng.choice(n, rule.max_centres, replace=False))]
        machine, loo, J, gap = _on_centres(X, T, w, centres, kernel, ridge)
    error = float(w @ np.sum((loo - T) ** 2, axis=1)) / float(w.sum())
    return FittedLayer(machine, gamma, ridge, loo, error, J, gap)


def leave_one_out(
    K: Array, T: Array, ridges: Sequence[float], weights: Array | None = None
) -> Iterator[Array]:
    """The outputs of left-out samples at each ridge, from one eigendecomposition.

    Parameters
    ----------
    K : array of shape (n, n)
        Kernel of the samples; destroyed.
    T : array of shape (n, n_outputs)
    ridges : sequence of float
    weights : array of shape (n,), optional

    Yields
    ------
    array of shape (n, n_outputs)
    """
    w = np.ones(len(K)) if weights is None else weights
    root, total = np.sqrt(w)[:, None], float(w.sum())
    K *= root
    K *= root.T
    s, V = eigh(K, overwrite_a=True, check_finite=False)
    projected, squares = V.T @ (root * T), V * V
    for ridge in ridges:
        inverse = 1.0 / (np.maximum(s, 0.0) + total * ridge)
        B = V @ (projected * inverse[:, None])
        yield _left_out(B / root, T, w, squares @ inverse, total * ridge)


def _left_out(B: Array, T: Array, w: Array, diagonal: Array, shift: float) -> Array:
    """Outputs of left-out samples: the module's formula, B divided by S, diagonal that of M^-1."""
    part = 1.0 / np.maximum(w, 1.0)
    return T - B / ((1.0 - part) / shift + part * diagonal)[:, None]


def _choose(
    X: Any, T: Array, w: Array, length: float, rule: LayerRule, rng: np.random.RandomState
) -> tuple[float, float]:
    """gamma and ridge of the least squared leave-one-out error."""
    if rule.gamma is not None and rule.ridge is not None:
        return rule.gamma, rule.ridge
    if X.shape[0] > rule.choose_on:
        rows = np.sort(rng.choice(X.shape[0], rule.choose_on, replace=False))
        X, T, w = X[rows], T[rows], w[rows]
    gammas = GAMMAS if rule.gamma is None else (rule.gamma,)
    ridges = RIDGES if rule.ridge is None else (rule.ridge,)
    best = (np.inf, gammas[0], ridges[-1])
    for gamma in gammas:
        K = Kernel(gamma / length, rule.constant).matrix(X, X)
        for ridge, F in zip(ridges, leave_one_out(K, T, ridges, w)):
            best = min(best, (float(w @ np.sum((F - T) ** 2, axis=1)), gamma, ridge))
    return best[1:]


def _factor(M: Array) -> Array:
    """The lower Cholesky factor, zeros above it; M is destroyed."""
    try:
        return cholesky(M, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError as error:
        raise ValueError("the kernel matrix is singular in float64; give a larger ridge") from error


def _on_all_samples(
    X: Any, T: Array, w: Array, kernel: Kernel, ridge: float
) -> tuple[KernelMachine, Array, float, float]:
    """Machine, outputs of left-out samples, J and its proven gap."""
    n, total = len(T), float(w.sum())
    root = np.sqrt(w)[:, None]
    M = kernel.matrix(X, X)
    M *= root
    M *= root.T
    M.flat[:: n + 1] += total * ridge
    # LAPACK is column by column; of a symmetric matrix the transpose is the same, and no copy
    factor = _factor(M.T)
    B = cho_solve((factor, True), root * T, check_finite=False)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    loo = _left_out(B / root, T, w, inverse.diagonal(), total * ridge)
    del M, factor, inverse
    A = root * B
    machine = KernelMachine(X, A, np.zeros(T.shape[1]), kernel)
    F = machine.outputs(X)
    objective = float(w @ np.sum((F - T) ** 2, axis=1)) / total + ridge * float(np.sum(A * F))
    # with R the residual of the normal equations, J - J* = 1/W tr R^T S K S M^-1 R <= ||R||^2 / W
    shrunk = total * ridge * A / w[:, None]

    def norm(R: Array) -> float:
        return float(np.sqrt(w @ np.sum(R * R, axis=1)))

    residual = norm(T - F - shrunk)
    entry = kernel.rounding(X) + (n + 4) * EPS * (1 + kernel.constant)
    residual += np.sqrt(total) * entry * float(np.linalg.norm(np.abs(A).sum(axis=0)))
    residual += 6 * EPS * (norm(shrunk) + 2 * norm(T))
    return machine, loo, objective, float(residual**2) / total


def _on_centres(
    X: Any, T: Array, w: Array, centres: Any, kernel: Kernel, ridge: float
) -> tuple[KernelMachine, Array, float, float]:
    """The same with features P; the gap is that of P as computed."""
    n, m, total = len(T), centres.shape[0], float(w.sum())
    root = np.sqrt(w)[:, None]
    K = kernel.matrix(centres, centres)
    K.flat[:: m + 1] += m * EPS * K.diagonal().max()  # near centres make K singular to rounding
    L = _factor(K.T)
    gram, cross = np.zeros((m, m), order="F"), np.zeros((m, T.shape[1]))
    for rows in row_blocks(n, m):
        K = kernel.matrix(X[rows], centres)
        K *= root[rows]
        P = solve_triangular(L, K.T, lower=True, overwrite_b=True, check_finite=False)
        gram = blas.dsyrk(1.0, P, beta=1.0, c=gram, overwrite_c=1, lower=1)
        cross += P @ (root[rows] * T[rows])
    size = np.sqrt(float(np.trace(gram)))
    gram.flat[:: m + 1] += total * ridge
    factor = _factor(gram.copy(order="F"))
    v = cho_solve((factor, True), cross, check_finite=False)
    residual = float(np.linalg.norm(cross - blas.dsymm(1.0, gram, v, lower=1)))
    del gram
    A = solve_triangular(L.T, v, check_finite=False)
    machine = KernelMachine(centres, A, np.zeros(T.shape[1]), kernel)
    both = blas.dtrmm(1.0, factor, L, side=1, lower=1, overwrite_b=1)
    F, leverage = np.empty_like(T), np.empty(n)
    for rows in row_blocks(n, m):
        K = kernel.matrix(X[rows], centres)
        F[rows] = K @ A
        # float64 throughout: 1 - h loses the digits that single precision has
        B = solve_triangular(both, K.T, lower=True, overwrite_b=True, check_finite=False)
        leverage[rows] = w[rows] * np.einsum("ij,ij->j", B, B)
    part = (leverage / np.maximum(w, 1.0))[:, None]
    loo = (F - part * T) / (1.0 - part)
    misfit = float(w @ np.sum((F - T) ** 2, axis=1))
    objective = misfit / total + ridge * float(np.sum(v * v))
    # the Hessian is at least W ridge: J(v) - J* <= ||r||^2 / (W W ridge)
    norms = float(np.linalg.norm(v)), float(np.linalg.norm(root * T))
    residual += 2 * (n + m) * EPS * size * (size * norms[0] + norms[1])
    residual += 4 * EPS * total * ridge * norms[0]
    return machine, loo, objective, residual**2 / (total * total * ridge)
