"""ReLU networks in closed form on whitened data: independent paths (:mod:`gapless.closed.paths`).

What is proven depends on the depth.  Two layers: everything here, by a dual point.  Three
or more layers and several outputs: the paths are the network that training usually finds,
and it is NOT the best one in general: for L = 4 from 6 classes on and for L >= 5 from 3
classes on networks of lower rank are better (:func:`gapless.closed.paths.whitened_status`).

Charged to the lower bounds: rounding, and the distance of ``X X^T`` from ``s^2 I`` that the test
tolerates, by taking the bound of longer data.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.deep_network import DeepNetwork, DeepSolution, Optimality, ParallelNetwork
from ..core.hypotheses import Check, require
from ..core.problem import Problem
from ..core.reduction import power_of_two
from ..core.rounding import EPS, TINY
from .charges import proved, rounding_charge
from .layers import branch, chain, parallel_strength
from .norm_bounds import deep_lower_bound
from .paths import (
    Paths,
    dual_of_paths,
    path_network,
    target_paths,
    two_layer_paths,
    whitened_status,
)
from .scalar import check_depth, deep_prox
from .units import Units, dense_problem
from .whitening import row_scale, thin_svd

# What is below this share of the largest entry or row is rounding of a decomposition.
NOISE = 1e-12


def solve_whitened_relu(
    X: Any,
    Y: Any,
    weight_decay: float,
    depth: int = 2,
    loss: str = "squared",
    width: Any = None,
    output_bias: bool = False,
) -> DeepSolution:
    """Best known ReLU network for data with orthogonal samples, ``X X^T = s^2 I``.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        n_samples <= n_features; see :func:`gapless.whiten`.
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
        Squared loss: one output with any values, or rows with a single entry that is not
        zero (one-hot classes, balanced or not).  Logistic: one column of -1/+1.  Softmax:
        one-hot.
    weight_decay : float
    depth : int, default 2
        Number of weight matrices.
    loss : {"squared", "logistic", "softmax"}
    width : int or sequence, optional
        Hidden widths, at least the number of active paths (the default).
    output_bias : bool, default False
        A free output bias; squared loss and balanced one-hot targets only.

    Returns
    -------
    DeepSolution
        Path g has first-layer direction ``X^T a_g`` and gain ``t_g`` in every layer; a path
        whose scalar problem is minimised by zero is dropped (for two layers and one-hot
        targets: class k is dropped iff ``sqrt(n_k) s <= n weight_decay``).
        ``optimality`` follows :func:`gapless.closed.paths.whitened_status`.

    Raises
    ------
    HypothesisError
        Data not whitened or targets of another kind, with the measured violation.
    ValueError
        Width below the number of active paths.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorems 9 and 15; ICML 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import whiten
    >>> X = whiten(np.random.default_rng(0).normal(size=(6, 9)))
    >>> solution = solve_whitened_relu(X, np.eye(3)[[0, 0, 1, 1, 2, 2]], weight_decay=0.05)
    >>> solution.network.widths, bool(abs(solution.objective - solution.dual) < 1e-12)
    ((3,), True)
    """
    given = dense_problem(X, Y, loss, weight_decay, "free" if output_bias else "none")
    units = Units(given, check_depth(depth))
    return units.back(_independent(units.problem, units.depth, width))


def _independent(problem: Problem, L: int, width: Any) -> DeepSolution:
    kappa, most, white = row_scale(problem.X)
    paths, checks = target_paths(problem, L, kappa, problem.free)
    network = path_network(problem.X.T @ paths.A / kappa, paths, kappa, L, width)
    n, objective = problem.n_samples, network.objective(problem)
    known, dual = whitened_status(problem, L, paths), None
    if L == 2:
        lower = dual = dual_of_paths(problem, paths, most)
    elif known is Optimality.PROVED:
        lower = target_paths(problem, L, most)[0].lower / n - rounding_charge(problem, objective)
    elif problem.free:
        lower = 0.0  # a free bias is outside the norm bound; the loss is not negative
    else:
        lower = deep_lower_bound(problem, L, paths.outputs, spectral_norm=most).lower_bound
    # proved in theory counts only where the bound, all charged, says so too
    otherwise = Optimality.UPPER_BOUND if known is Optimality.PROVED else known
    optimality, lower = proved(objective, lower, otherwise), max(lower, problem.loss.infimum)
    formula, checks = paths.value / n, (white, *checks)
    return DeepSolution(network, objective, formula, dual, lower, optimality, checks)


def solve_nearly_whitened_relu(
    X: Any, Y: Any, weight_decay: float, depth: int = 2, loss: str = "squared"
) -> DeepSolution:
    """A network and a proven interval for data of full row rank that are not whitened.

    With singular values of X in [s_min, s_max] the optimum lies between the closed forms
    for ``X X^T = s_max^2 I`` and for ``s_min^2 I``; the network interpolates through the
    pseudo-inverse of X.  The lower end is proven where the closed form is; elsewhere a norm
    bound is used.

    Parameters
    ----------
    X, Y, weight_decay, depth, loss
        As in :func:`solve_whitened_relu`.

    Returns
    -------
    DeepSolution
        ``UPPER_BOUND``; its checks tell the spread of the singular values.

    Raises
    ------
    HypothesisError
        Samples linearly dependent, or targets of another kind.
    """
    units = Units(dense_problem(X, Y, loss, weight_decay), check_depth(depth))
    return units.back(_interpolated(units.problem, units.depth))


def _interpolated(problem: Problem, L: int) -> DeepSolution:
    n = problem.n_samples
    U, s, V = thin_svd(problem.X)
    rank = require(
        "linear independence of the samples",
        n - len(s),
        0.0,
        "drop dependent samples, add features or use train()",
    )
    high, checks = target_paths(problem, L, float(s[-1]))
    most = float(s[0]) * (1 + 8 * sum(problem.X.shape) * EPS)
    low = target_paths(problem, L, most)[0]
    # W_1 = X^+ A scaled so that the path's output is what the whitened network has
    first = V @ (U.T @ high.A / s[:, None])
    gains = (high.size / s[-1]) ** (1.0 / L)
    network = DeepNetwork(chain(first * s[-1], gains, high.V, L)).balance()
    objective = network.objective(problem)
    if whitened_status(problem, L, high) is Optimality.PROVED:
        lower = max(low.lower / n - rounding_charge(problem, objective), problem.loss.infimum)
    else:
        lower = deep_lower_bound(problem, L, low.outputs, spectral_norm=most).lower_bound
    spread = Check("equal singular values of X", float(s[0] / s[-1] - 1), np.inf)
    formula, checks = high.value / n, (rank, spread, *checks)
    return DeepSolution(network, objective, formula, None, lower, Optimality.UPPER_BOUND, checks)


def solve_whitened_interval(X: Any, Y: Any, weight_decay: float, depth: int = 2) -> DeepSolution:
    """Squared loss, whitened data, targets that are NOT one-hot: a network and a lower bound.

    Two layers: the exact penalty is a semi-non-negative factorisation norm, hard in general.  The
    lower bound is the soft-thresholded SVD of the targets (what a linear network reaches); it is
    attained iff ``B = U (S - beta)_+ U^T`` is completely positive.  B with a negative entry
    is not; B of rank at most two without one is, and then the network attains the bound
    (``PROVED``).  Otherwise, and for more layers, every output is split into its positive and
    negative part, an ``UPPER_BOUND``; the lower bound of three or more layers is the norm bound.

    Parameters
    ----------
    X, weight_decay, depth
        As in :func:`solve_whitened_relu`.
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
        Any values.

    Returns
    -------
    DeepSolution

    Raises
    ------
    HypothesisError
        Data not whitened.
    """
    units = Units(dense_problem(X, Y, "squared", weight_decay), check_depth(depth))
    return units.back(_interval(units.problem, units.depth))


def _interval(problem: Problem, L: int) -> DeepSolution:
    kappa, most, white = row_scale(problem.X)
    if L == 2:
        return _two_layer_interval(problem, kappa, most, white)
    paths = _paths_of_each_output(problem, L, kappa)
    network = path_network(problem.X.T @ paths.A / kappa, paths, kappa, L)
    objective = network.objective(problem)
    lower = deep_lower_bound(problem, L, paths.outputs, spectral_norm=most).lower_bound
    lower, formula = min(lower, objective), paths.value / problem.n_samples
    return DeepSolution(network, objective, formula, None, lower, Optimality.UPPER_BOUND, (white,))


def _two_layer_interval(problem: Problem, kappa: float, most: float, white: Check) -> DeepSolution:
    n = problem.n_samples
    beta = n * problem.weight_decay / kappa
    # 1. what a linear network reaches, and what it would on longer data: the bound
    U, s, Vt = np.linalg.svd(problem.Y, full_matrices=False)
    value, r = deep_prox(s, beta, 2)
    linear = float(np.sum(deep_prox(s, beta * kappa / most, 2)[0])) / n
    U, r, Vt = U[:, r > 0], r[r > 0], Vt[r > 0]
    # 2. whether a ReLU network can do the same
    B = (U * r) @ U.T
    negative = max(-float(B.min(initial=0.0)), 0.0)
    tolerance = NOISE * max(float(B.max(initial=0.0)), TINY)
    positive = Check("no negative entry in B = U (S - beta)_+ U^T", negative, tolerance)
    attained = positive.holds and len(r) <= 2
    # 3. the network
    if attained:
        turn = _into_quadrant(U * np.sqrt(r))
        first = np.maximum((U * np.sqrt(r)) @ turn, 0.0)
        last = turn.T @ (np.sqrt(r)[:, None] * Vt) / np.sqrt(kappa)
        network = DeepNetwork((problem.X.T @ first / kappa**1.5, last))
        formula = float(np.sum(value)) / n
    else:
        paths = _paths_of_each_output(problem, 2, kappa)
        network = path_network(problem.X.T @ paths.A / kappa, paths, kappa, 2)
        formula = paths.value / n
    objective = network.objective(problem)
    lower = max(linear - rounding_charge(problem, objective), 0.0)
    optimality, dual = Optimality.UPPER_BOUND, None
    if attained:
        optimality, dual = proved(objective, lower, optimality), lower
    else:
        lower = min(lower, objective)
    return DeepSolution(network, objective, formula, dual, lower, optimality, (white, positive))


def _paths_of_each_output(problem: Problem, L: int, kappa: float) -> Paths:
    """The paths of every output on its own; nothing is known of their ``lower``.

    Parts of several outputs overlap on a sample, but each output's two parts do not, and the
    squared loss is a sum over outputs: the values add up.
    """
    split = [
        target_paths(Problem(problem.X, y, "squared", problem.weight_decay, "none"), L, kappa)[0]
        for y in problem.Y.T
    ]
    return Paths(
        np.hstack([path.A for path in split]),
        np.vstack([path.V * e for path, e in zip(split, np.eye(problem.n_outputs))]),
        np.concatenate([path.size for path in split]),
        sum(path.value for path in split),
        0.0,
    )


def _into_quadrant(rows: Array) -> Array:
    """Rotation that makes ``rows`` (n, at most 2), all within a right angle, non-negative."""
    if rows.shape[1] < 2:
        return np.full((rows.shape[1],) * 2, np.sign(rows.sum()) or 1.0)
    towards = rows.sum(axis=0)
    middle = np.arctan2(towards[1], towards[0])
    turned = rows @ _rotation(middle)
    used = np.linalg.norm(rows, axis=1) > NOISE * np.linalg.norm(rows)
    angle = np.arctan2(turned[used, 1], turned[used, 0])
    return _rotation(middle + 0.5 * (angle.max() + angle.min()) - 0.25 * np.pi)


def _rotation(angle: float) -> Array:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def solve_parallel_whitened_relu(
    X: Any,
    Y: Any,
    weight_decay: float,
    depth: int,
    loss: str = "squared",
    regulariser: str = "power",
    layer_norm: float = 1.0,
) -> DeepSolution:
    """Best sum of deep ReLU networks on whitened data: any depth, any number of classes, no gap.

    The regularisers of :class:`gapless.core.deep_network.ParallelNetwork` make the deep problem
    equal to the two-layer one at another strength, so this closed form is proved where that of a
    single deep network with plain weight decay is not.

    Parameters
    ----------
    X, Y, weight_decay, depth, loss
        As in :func:`solve_whitened_relu`.
    regulariser, layer_norm
        As in :func:`gapless.solve_parallel_linear`.

    Returns
    -------
    DeepSolution
        Its network a :class:`gapless.core.deep_network.ParallelNetwork`.

    Raises
    ------
    HypothesisError
        Data not whitened or targets of another kind.
    """
    problem = dense_problem(X, Y, loss, weight_decay)
    L = check_depth(depth)
    strength, norm = parallel_strength(problem.weight_decay, L, regulariser, layer_norm)
    size = power_of_two(float(np.abs(problem.X).max()))
    scale, most, white = row_scale(problem.X / size)
    kappa = size * scale
    paths, checks, dual = two_layer_paths(problem, strength, kappa, size * most)
    first = problem.X.T @ paths.A / kappa
    branches = tuple(
        branch(first[:, [g]], size / kappa, paths.V[[g]], L, regulariser, norm, "relu")
        for g, size in enumerate(paths.size)
        if size > 0
    )
    network = ParallelNetwork(branches, problem.n_outputs, regulariser, norm)
    objective, formula = network.objective(problem), paths.value / problem.n_samples
    optimality = proved(objective, dual, Optimality.UPPER_BOUND)
    return DeepSolution(network, objective, formula, dual, dual, optimality, (white, *checks))
