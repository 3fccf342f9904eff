"""The kernel view: one-dimensional networks by a kernel matrix, and the tangent kernel.

On a line some best network has its kinks at data points (Ergen & Pilanci, JMLR 2021, Lemma 6),
so training with the hinge loss is the l1-norm support vector machine

    min_{w, c}  sum_i weights_i (1 - y_i (K w + c)_i)_+ + weight_decay ||w||_1,
    K = [(x_i - x_j)_+, (x_j - x_i)_+]   of shape (n, 2n)

(Theorem 11): a linear program.  It needs the free output bias c; without one kinks between
data points can do better.  :func:`gapless.solve_spline` solves the same problem in O(n log n).

The neural tangent kernel (section 5) is what wide networks near their start compute:

    k(a, b) = ||a|| ||b|| kappa(cos(a, b)),   kappa(t) = t kappa_0(t) + kappa_1(t),
    kappa_0 = (pi - arccos t) / pi,   kappa_1 = (t (pi - arccos t) + sqrt(1 - t^2)) / pi.

Without a bias it has rank two on a line, since ``cos`` is then -1 or 1: it interpolates no
three points, whatever the paper's eq. 32 asks.  A constant feature repairs that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from ..core.checks import Array, to_2d
from ..core.network import Network
from ..core.problem import Problem


def ramp_kernel(x: Any, knots: Any) -> Array:
    """The ramps that rise from each knot to the right, and those to the left.

    The matrix K of the module: as knots the samples themselves are enough.

    Parameters
    ----------
    x : array of shape (n_samples,) or (n_samples, 1)
    knots : array of shape (n_knots,)
        The kinks t_j.

    Returns
    -------
    array of shape (n_samples, 2 n_knots)
        ``[(x_i - t_j)_+, (t_j - x_i)_+]``.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Lemma 6 and Theorem 11.

    Examples
    --------
    >>> ramp_kernel([0.0, 1.0], [0.0, 1.0])
    array([[0., 0., 0., 1.],
           [1., 0., 0., 0.]])
    """
    gap = np.ravel(x)[:, None] - np.ravel(knots)
    return np.hstack([np.maximum(gap, 0.0), np.maximum(-gap, 0.0)])


def solve_ramp_svm(x: Any, y: Any, weight_decay: float, sample_weight: Any = None) -> Network:
    """The l1-norm support vector machine on the kernel matrix, by linear programming.

    Parameters
    ----------
    x : array of shape (n_samples,) or (n_samples, 1)
    y : array of shape (n_samples,)
        Signs -1 and +1.
    weight_decay : float
    sample_weight : array of shape (n_samples,), optional

    Returns
    -------
    Network
        A best network of any width for ``Problem(x, y, "hinge", weight_decay)``.  Best
        networks need not be unique, nor their decision regions.

    Raises
    ------
    ValueError
        For several features, targets other than -1 and +1, or where the linear program fails.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorem 11.

    Examples
    --------
    >>> network = solve_ramp_svm([-2.0, -1.0, 1.0, 2.0], [-1, -1, 1, 1], 0.01)
    >>> decision_regions(network)
    (array([0.]), array([-1.,  1.]))
    """
    problem = Problem(to_2d("x", x), y, "hinge", weight_decay, "free", sample_weight)
    if problem.n_features != 1:
        raise ValueError(f"x must have one feature, got {problem.n_features}; use train()")
    x, y = problem.X[:, 0], problem.Y
    n = len(x)
    knots = np.unique(x)
    m = len(knots)
    K = ramp_kernel(x, knots)
    # columns: w_+, w_-, c, slacks;  -y (K w + c) - slack <= -1
    left = sp.csr_matrix(np.hstack([-y * K, y * K, -y]))
    cost = np.concatenate([np.full(4 * m, problem.weight_decay), [0.0], problem.sample_weight])
    found = linprog(
        cost,
        A_ub=sp.hstack([left, -sp.eye(n)], format="csr"),
        b_ub=-np.ones(n),
        bounds=[(0, None)] * (4 * m) + [(None, None)] + [(0, None)] * n,
        method="highs",
    )
    if found.x is None:
        raise ValueError(f"the linear program failed: {found.message}; rescale x")
    w = found.x[: 2 * m] - found.x[2 * m : 4 * m]
    signs = np.repeat([1.0, -1.0], m)
    network = Network(
        signs[None, :], -signs * np.tile(knots, 2), w[:, None], found.x[4 * m : 4 * m + 1]
    )
    return network.balance("free")


def decision_regions(network: Network) -> tuple[Array, Array]:
    """Where a network of one feature and one output changes sign, exactly.

    Parameters
    ----------
    network : Network

    Returns
    -------
    boundaries : array of shape (k,)
        Rising; between them the output has one sign.
    signs : array of shape (k + 1,)
        -1 or 1 from left to right; a stretch where the output is zero counts as 1.

    Raises
    ------
    ValueError
        For several features or outputs.
    """
    if network.n_features != 1 or network.n_outputs != 1:
        raise ValueError(
            "decision regions are of networks with one feature and one output, got "
            f"{network.n_features} and {network.n_outputs}"
        )
    u = network.hidden_weights[0]
    kinks = np.unique(-network.hidden_bias[u != 0] / u[u != 0])
    if kinks.size == 0:
        kinks = np.zeros(1)
    # beyond the outermost kinks the output is linear: one point more on each side
    reach = 1.0 + float(np.ptp(kinks))
    t = np.concatenate([[kinks[0] - reach], kinks, [kinks[-1] + reach]])
    f = network.predict(t[:, None])[:, 0]
    slopes = np.diff(f) / np.diff(t)
    roots = t[:-1] - np.divide(f[:-1], slopes, out=np.full(len(slopes), np.inf), where=slopes != 0)
    low, high = t[:-1].copy(), t[1:].copy()
    low[0], high[-1] = -np.inf, np.inf
    roots = np.unique(roots[(roots >= low) & (roots <= high) & np.isfinite(roots)])
    far = np.concatenate([roots, t])
    ends = np.concatenate([[far.min() - reach], roots, [far.max() + reach]])
    middles = 0.5 * (ends[:-1] + ends[1:])
    signs = np.where(network.predict(middles[:, None])[:, 0] >= 0, 1.0, -1.0)
    changes = signs[1:] != signs[:-1]
    return roots[changes], np.concatenate([signs[:1], signs[1:][changes]])


def tangent_kernel(A: Any, B: Any) -> Array:
    """The neural tangent kernel of a two-layer ReLU network, both layers trained.

    Parameters
    ----------
    A : array of shape (n, n_features)
    B : array of shape (m, n_features)

    Returns
    -------
    array of shape (n, m)
        ``||a|| ||b|| kappa(cos(a, b))`` of the module; zero where a or b is.

    Raises
    ------
    ValueError
        For NaN or infinite entries, and for A and B of different numbers of features.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), section 5.

    Examples
    --------
    >>> tangent_kernel([[2.0]], [[3.0], [-3.0]])
    array([[12.,  0.]])
    """
    A, B = to_2d("A", A), to_2d("B", B)
    a, b = np.linalg.norm(A, axis=1), np.linalg.norm(B, axis=1)
    size = np.outer(a, b)
    t = np.clip(np.divide(A @ B.T, size, out=np.zeros_like(size), where=size > 0), -1.0, 1.0)
    angle = np.pi - np.arccos(t)
    # pi kappa(t): t kappa_0 and the first part of kappa_1 are the same
    return size * (2 * t * angle + np.sqrt(1 - t * t)) / np.pi
