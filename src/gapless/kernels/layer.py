"""A hidden layer in closed form: kernel ridge regression with exact leave-one-out outputs.

With T (n, C) the targets, K the kernel of the samples and A the coefficients the layer minimises

    J(A) = 1/n ||K A - T||_F^2 + ridge tr(A^T K A),

convex, with ``A = (K + n ridge I)^-1 T`` a minimiser.  What the layer would say of sample i had
it been trained on the others is then ``T_i - A_i / [(K + n ridge I)^-1]_ii``.  The next layer is
trained on these outputs: those on the samples themselves have already collapsed onto T.

Many samples: m of them are the centres.  With ``K_mm = L L^T`` and ``P = K_nm L^-T`` the layer is
linear ridge regression on the features P, ``w = (P^T P + n ridge I)^-1 P^T T``, and sample i has
the leverage ``h_i = P_i (P^T P + n ridge I)^-1 P_i^T``; left out it gets
``(F_i - h_i T_i) / (1 - h_i)``, the centres staying as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, lapack, solve_triangular

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


def fit_layer(X: Array, T: Array, rule: LayerRule, rng: np.random.RandomState) -> FittedLayer:
    """Fit one layer.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    T : array of shape (n_samples, n_outputs)
        Targets.
    rule : LayerRule
    rng : RandomState
        Draws centres, and the samples to choose on.

    Returns
    -------
    FittedLayer

    Raises
    ------
    ValueError
        Where squared distances leave the floats, and where no ridge tried is enough for float64.
    """
    length = median_distance(X, rng)
    gamma, ridge = _choose(X, T, length, rule, rng)
    kernel = Kernel(gamma / length, rule.constant)
    if len(X) <= rule.max_centres:
        machine, loo, J, gap = _on_all_samples(X, T, kernel, ridge)
    else:
        centres = X[np.sort(rng.choice(len(X), rule.max_centres, replace=False))]
        machine, loo, J, gap = _on_centres(X, T, centres, kernel, ridge)
    error = float(np.mean(np.sum((loo - T) ** 2, axis=1)))
    return FittedLayer(machine, gamma, ridge, loo, error, J, gap)


def leave_one_out(K: Array, T: Array, ridges: Sequence[float]) -> Iterator[Array]:
    """The outputs of left-out samples at each ridge, from one eigendecomposition.

    Parameters
    ----------
    K : array of shape (n, n)
        Kernel of the samples; destroyed.
    T : array of shape (n, n_outputs)
    ridges : sequence of float

    Yields
    ------
    array of shape (n, n_outputs)
    """
    n = len(K)
    s, V = eigh(K, overwrite_a=True, check_finite=False)
    projected, squares = V.T @ T, V * V
    for ridge in ridges:
        inverse = 1.0 / (np.maximum(s, 0.0) + n * ridge)
        A = V @ (projected * inverse[:, None])
        yield T - A / (squares @ inverse)[:, None]


def _choose(
    X: Array, T: Array, length: float, rule: LayerRule, rng: np.random.RandomState
) -> tuple[float, float]:
    """gamma and ridge of the least squared leave-one-out error."""
    if rule.gamma is not None and rule.ridge is not None:
        return rule.gamma, rule.ridge
    if len(X) > rule.choose_on:
        rows = np.sort(rng.choice(len(X), rule.choose_on, replace=False))
        X, T = X[rows], T[rows]
    gammas = GAMMAS if rule.gamma is None else (rule.gamma,)
    ridges = RIDGES if rule.ridge is None else (rule.ridge,)
    best = (np.inf, gammas[0], ridges[-1])
    for gamma in gammas:
        K = Kernel(gamma / length, rule.constant).matrix(X, X)
        for ridge, F in zip(ridges, leave_one_out(K, T, ridges)):
            best = min(best, (float(np.sum((F - T) ** 2)), gamma, ridge))
    return best[1:]


def _factor(M: Array) -> Array:
    """The lower Cholesky factor; M is destroyed."""
    try:
        return cho_factor(M, lower=True, overwrite_a=True, check_finite=False)[0]
    except np.linalg.LinAlgError as error:
        raise ValueError("the kernel matrix is singular in float64; give a larger ridge") from error


def _on_all_samples(
    X: Array, T: Array, kernel: Kernel, ridge: float
) -> tuple[KernelMachine, Array, float, float]:
    """Machine, outputs of left-out samples, J and its proven gap."""
    n = len(X)
    K = kernel.matrix(X, X)
    K.flat[:: n + 1] += n * ridge
    # LAPACK is column by column; of a symmetric matrix the transpose is the same, and no copy
    factor = _factor(K.T)
    A = cho_solve((factor, True), T, check_finite=False)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    loo = T - A / inverse.diagonal()[:, None]
    del K, factor, inverse
    machine = KernelMachine(X, A, np.zeros(T.shape[1]), kernel)
    F = machine.outputs(X)
    objective = float(np.sum((F - T) ** 2)) / n + ridge * float(np.sum(A * F))
    # J(A) - J* = 1/n tr R^T K (K + n ridge I)^-1 R with R the residual of the normal equations
    residual = float(np.linalg.norm(T - F - n * ridge * A))
    entry = kernel.rounding(X) + (n + 4) * EPS * (1 + kernel.constant)
    residual += np.sqrt(n) * entry * float(np.linalg.norm(np.abs(A).sum(axis=0)))
    residual += 4 * EPS * (n * ridge * float(np.linalg.norm(A)) + 2 * float(np.linalg.norm(T)))
    return machine, loo, objective, residual**2 / n


def _on_centres(
    X: Array, T: Array, centres: Array, kernel: Kernel, ridge: float
) -> tuple[KernelMachine, Array, float, float]:
    """The same with features P; the gap is that of P as computed."""
    n, m = len(X), len(centres)
    K = kernel.matrix(centres, centres)
    K.flat[:: m + 1] += m * EPS * K.diagonal().max()  # near centres make K singular to rounding
    L = _factor(K.T)
    P = np.empty((n, m))
    gram, cross = np.zeros((m, m)), np.zeros((m, T.shape[1]))
    for rows in row_blocks(n, m):
        K = kernel.matrix(X[rows], centres)
        P[rows] = solve_triangular(L, K.T, lower=True, overwrite_b=True, check_finite=False).T
        gram += P[rows].T @ P[rows]
        cross += P[rows].T @ T[rows]
    size = np.sqrt(float(np.trace(gram)))
    gram.flat[:: m + 1] += n * ridge
    factor = _factor(gram.copy().T)
    w = cho_solve((factor, True), cross, check_finite=False)
    residual = float(np.linalg.norm(cross - gram @ w))
    F, leverage = np.empty_like(T), np.empty(n)
    for rows in row_blocks(n, m):
        F[rows] = P[rows] @ w
        # float64 throughout: 1 - h loses the digits that single precision has
        B = solve_triangular(factor, P[rows].T, lower=True, check_finite=False)
        leverage[rows] = np.einsum("ij,ij->j", B, B)
    loo = (F - leverage[:, None] * T) / (1.0 - leverage)[:, None]
    objective = float(np.sum((F - T) ** 2)) / n + ridge * float(np.sum(w * w))
    # the Hessian is at least n ridge: J(w) - J* <= ||r||^2 / (n n ridge)
    norms = float(np.linalg.norm(w)), float(np.linalg.norm(T))
    residual += 2 * (n + m) * EPS * size * (size * norms[0] + norms[1])
    residual += 4 * EPS * n * ridge * norms[0]
    A = solve_triangular(L.T, w, check_finite=False)
    machine = KernelMachine(centres, A, np.zeros(T.shape[1]), kernel)
    return machine, loo, objective, residual**2 / (n * n * ridge)
