"""ReLU networks in closed form on whitened data.

They reduce to independent paths.  A path g carries a unit non-negative vector over
the samples (column of ``A``), a unit vector over the outputs (row of ``V``) and a size
``rho_g``; the network outputs ``F = A diag(rho) V`` and pays
``weight_decay L / 2 sum_g (rho_g / kappa)^(2/L)``, where kappa is the scale of the data.
Sizes come from the scalar problems of :mod:`gapless.closed.scalar`.

What is proven depends on the depth.  Two layers: everything here, by a dual point.  Three
or more layers and several outputs: the paths are the network that training usually finds,
and it is NOT the best one in general: for L = 4 from 6 classes on and for L >= 5 from 3
classes on networks of lower rank are better (see :func:`whitened_status`).

Idea: Ergen & Pilanci, "Revealing the Structure of Deep Neural Networks via Convex Duality"
(ICML 2021) and "Convex Geometry and Duality of Over-parameterized Neural Networks" (JMLR
2021, Theorems 9 and 15).  The values were derived anew and verified numerically.  Inside
this module beta = n weight_decay goes with the SUM of losses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit

from ..core.checks import Array
from ..core.deep_network import (
    Check,
    DeepNetwork,
    DeepSolution,
    Optimality,
    ParallelNetwork,
    Units,
    chain,
    dense_problem,
    hidden_widths,
    proved,
    require,
    rounding,
)
from ..core.losses import EPS, Logistic, Softmax, Squared
from ..core.problem import Problem, size_of_sums
from ..core.reduction import down, power_of_two
from .linear import branch, parallel_strength
from .norm_bounds import deep_lower_bound
from .scalar import check_depth, deep_prox, ray_minimum
from .whitening import row_scale, thin_svd


@dataclass(frozen=True, eq=False)
class Paths:
    """Independent paths: targets side (``A``, ``V``), sizes, and the value in SUM scaling."""

    A: Array  # (n, G), orthonormal, not negative
    V: Array  # (G, K), unit rows
    size: Array  # (G,)
    value: float
    lower: float  # of the same scalar problems, below ``value`` by rounding only
    output_bias: Array | None = None

    @property
    def outputs(self) -> Array:
        F = (self.A * self.size) @ self.V
        return F if self.output_bias is None else F + self.output_bias


def target_paths(
    problem: Problem, depth: int, kappa: float, output_bias: bool = False
) -> tuple[Paths, tuple[Check, ...]]:
    """Paths for data with ``X X^T = kappa^2 I``, with the hypotheses on the targets.

    Squared loss: one path for each output and sign, its direction over the samples the
    positive or negative part of that column; every row of Y may have one entry that is
    not zero (a single output, or one-hot rows).  Logistic, one output: a path a sign.
    Softmax: a path a class, towards ``e_k - 1/K``.
    """
    n, K = problem.n_samples, problem.n_outputs
    beta = n * problem.weight_decay * kappa ** (-2.0 / depth)
    loss, Y = problem.loss, problem.Y
    if not isinstance(loss, (Squared, Logistic, Softmax)):
        raise ValueError(
            f"there is no closed form for the loss {type(loss).__name__}; choose 'squared', "
            "'logistic' or 'softmax', or use train()"
        )
    if output_bias:
        return _balanced_with_bias(problem, depth, beta)
    if isinstance(loss, Squared):
        entries = np.sort(np.abs(Y), axis=1)
        crossing = float(entries[:, -2].max() / (entries.max() or 1.0)) if K > 1 else 0.0
        check = require(
            "targets with one entry a row that is not zero",
            crossing,
            0.0,
            "use one-hot rows, one output at a time, or solve_whitened_interval",
        )
        parts = np.hstack([np.maximum(Y, 0), np.maximum(-Y, 0)])
        V = np.vstack([np.eye(K), -np.eye(K)])
        s = np.linalg.norm(parts, axis=0)
        active = s > 0
        A, V, s = parts[:, active] / s[active], V[active], s[active]
        value, size = deep_prox(s, beta, depth)
        total = float(np.sum(value))
        return Paths(A, V, size, total, total), (check,)
    if isinstance(loss, Logistic):
        check = require(
            "one output", K - 1, 0.0, "use one-hot targets and loss='softmax' for several classes"
        )
        signs = np.array([1.0, -1.0])
        groups, V, share = signs == Y, signs[:, None], 1.0
        counts = groups.sum(axis=0)
    else:
        check = Check("one-hot targets", 0.0, 0.0)
        share = np.sqrt((K - 1) / K)  # the norm of e_k - 1/K
        groups, V = Y > 0, (np.eye(K) - 1.0 / K) / share
        counts = groups.sum(axis=0)
    kept = counts > 0
    groups, V, counts = groups[:, kept], V[kept], counts[kept]
    # softmax: n log(1 + (K-1) exp(-p)), logistic: the same with K = 2
    extra = max(K - 1, 1)
    found = [_class_size(int(m), extra, share, beta, depth) for m in counts]
    size = np.array([f[0] for f in found])
    paths = Paths(
        groups / np.sqrt(counts), V, size, sum(f[1] for f in found), sum(f[2] for f in found)
    )
    return paths, (check,)


def _class_size(
    count: int, extra: int, share: float, beta: float, depth: int
) -> tuple[float, float, float]:
    """``min_rho count log(1 + extra exp(-p)) + beta depth / 2 rho^(2/depth)``, p of norm rho.

    ``rho = sqrt(count) p share``.
    """
    unit = np.sqrt(count) * share

    def fit(rho: Array) -> tuple[Array, Array]:
        z = np.log(extra) - rho / unit
        return count * np.logaddexp(0.0, z), -(count / unit) * expit(z)

    cost = 0.5 * beta * depth
    at_zero = count * np.log1p(extra)
    return ray_minimum(fit, cost, depth, (at_zero / cost) ** (0.5 * depth))


def _balanced_with_bias(
    problem: Problem, depth: int, beta: float
) -> tuple[Paths, tuple[Check, ...]]:
    """One-hot, balanced, squared loss, a free output bias: ``b = 1/K`` and centred targets."""
    n, K = problem.n_samples, problem.n_outputs
    if not isinstance(problem.loss, Squared):
        raise ValueError("the closed form with output_bias=True is for loss='squared' alone")
    Y = problem.Y
    one_hot = float(np.max(np.abs(Y - np.eye(K)[np.argmax(Y, axis=1)]))) if K > 1 else 1.0
    counts = Y.sum(axis=0)
    checks = (
        require("one-hot targets", one_hot, 0.0, "encode the classes or leave output_bias=False"),
        require(
            "balanced classes with an output bias",
            float(counts.max() - counts.min()),
            0.0,
            "use output_bias=False: with a bias and imbalanced classes no closed form is known",
        ),
    )
    share = np.sqrt((K - 1) / K)
    V = (np.eye(K) - 1.0 / K) / share
    value, size = deep_prox(np.sqrt(counts) * share, beta, depth)
    total = float(np.sum(value))
    return Paths(Y / np.sqrt(n / K), V, size, total, total, np.full(K, 1.0 / K)), checks


def dual_of_paths(problem: Problem, paths: Paths, kappa: float) -> float:
    """What the residual proves (mean scaling) as a dual point on data with ``X X^T <= kappa^2 I``.

    The samples split into the supports of the paths.  Where the output directions of two
    paths have no positive inner product, ``||Lam^T a||`` for ``a >= 0`` is at most the
    largest Frobenius norm of one block, so ``kappa`` times that bounds the gauge; what the
    residual has beside ``a_g V_g`` with ``a_g >= 0`` is added in full.
    """
    n = problem.n_samples
    # on any such data activations of neurons of norm 1 are at most kappa
    problem = Problem(np.full((n, 1), kappa), problem.Y, problem.loss, problem.weight_decay, "none")
    Lam = problem.residual(paths.outputs)
    owner = (paths.A > 0).astype(float)
    along = np.maximum(Lam @ paths.V.T, 0.0) * owner
    rest = float(np.linalg.norm(Lam - along @ paths.V))
    blocks = float(np.linalg.norm(along, axis=0).max(initial=0.0))
    overlap = paths.V @ paths.V.T - np.eye(len(paths.V))
    if overlap.max(initial=0.0) > 1e-12:  # not met by the losses above
        blocks = float(np.linalg.norm(along))
    # products with V, and the parts of the samples that belong to no path, are rounded
    beside = 16 * (n + problem.n_outputs) * EPS * float(np.linalg.norm(Lam))
    return problem.proven_bound(Lam, kappa * (blocks + rest + beside))


def two_layer_paths(
    problem: Problem, weight_decay: float, kappa: float, most: float
) -> tuple[Paths, tuple[Check, ...], float]:
    """Paths of two layers for the targets on data with ``X X^T = kappa^2 I``, the checks of the
    targets, and what is proven on data with ``X X^T <= most^2 I``."""
    flat = np.full((problem.n_samples, 1), kappa)
    units = Units(Problem(flat, problem.Y, problem.loss, weight_decay, "none"), 2)
    paths, checks = target_paths(units.problem, 2, kappa / units.x)
    dual = down(dual_of_paths(units.problem, paths, most / units.x) * units.value)
    value, lower = paths.value * units.value, paths.lower * units.value
    return replace(paths, size=paths.size * units.y, value=value, lower=lower), checks, dual


def _two_layer_bound(problem: Problem, paths: Paths, kappa: float) -> float:
    """As :func:`dual_of_paths`, also with a free output bias, whose price is zero sums."""
    if paths.output_bias is None:
        return dual_of_paths(problem, paths, kappa)
    Y = problem.Y - paths.output_bias
    same = Problem(problem.X, Y, problem.loss, problem.weight_decay, "none")
    Lam = same.residual((paths.A * paths.size) @ paths.V)
    # the mean of the residual is rounding; without it the bias costs nothing
    lost = float(np.sum(size_of_sums(Lam)))
    slope = 2 * problem.loss.conjugate_slope(Lam * problem.n_samples, problem.Y)
    return dual_of_paths(same, replace(paths, output_bias=None), kappa) - 2 * slope * lost


def whitened_status(problem: Problem, depth: int, paths: Paths) -> Optimality:
    """What is known about independent paths on whitened data.

    Two layers: proved.  Deeper, squared loss: one path is proved; two paths (one output, or
    two classes) were never beaten; several one-hot classes depend on the depth: L = 3, and
    L = 4 up to 5 classes, are open; for L = 4 from 6 classes on and for L >= 5 from 3
    classes on networks of lower rank are better.  Anything else deeper than two layers is an
    upper bound.
    """
    n_paths = len(paths.size)
    if depth == 2:
        return Optimality.PROVED
    if isinstance(problem.loss, Softmax) or paths.output_bias is not None:
        return Optimality.UPPER_BOUND
    if n_paths <= 1:
        return Optimality.PROVED
    if n_paths == 2:
        return Optimality.NUMERICALLY_VERIFIED
    one_hot = bool(np.all(paths.V >= 0))
    if one_hot and ((depth == 4 and n_paths >= 6) or depth >= 5):
        return Optimality.KNOWN_SUBOPTIMAL
    return Optimality.UPPER_BOUND


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
        ``optimality`` follows :func:`whitened_status`.

    Raises
    ------
    HypothesisError
        Data not whitened or targets of another kind, with the measured violation.
    ValueError
        Width below the number of active paths.

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
    return units.back(_solve_whitened(units.problem, units.depth, width, output_bias))


def _solve_whitened(problem: Problem, L: int, width: Any, output_bias: bool) -> DeepSolution:
    kappa, most, white = row_scale(problem.X)
    paths, checks = target_paths(problem, L, kappa, output_bias)
    network = _path_network(problem.X.T @ paths.A / kappa, paths, kappa, L, width)
    n, objective = problem.n_samples, network.objective(problem)
    optimality = whitened_status(problem, L, paths)
    dual = None
    if L == 2:
        lower = dual = _two_layer_bound(problem, paths, most)
    elif optimality is Optimality.PROVED:
        lower = target_paths(problem, L, most)[0].lower / n - rounding(problem, objective)
    else:
        # a free bias is outside the norm bound; the loss is not negative
        lower = 0.0
        if not output_bias:
            lower = deep_lower_bound(problem, L, paths.outputs, spectral_norm=most).lower_bound
    otherwise = Optimality.UPPER_BOUND if optimality is Optimality.PROVED else optimality
    return DeepSolution(
        network,
        objective,
        paths.value / n,
        dual,
        max(lower, problem.loss.infimum),
        proved(objective, lower, otherwise),
        (white, *checks),
    )


def _path_network(
    first: Array, paths: Paths, kappa: float, depth: int, width: Any = None
) -> DeepNetwork:
    """Gains ``(size / kappa)^(1/depth)`` in every layer of the active paths."""
    on = paths.size > 0
    widths = hidden_widths(width, depth, int(on.sum()))
    if min(widths) < on.sum():
        raise ValueError(
            f"width={width!r} is below the {int(on.sum())} active paths and no closed form is "
            f"known there; use a width of at least {int(on.sum())}"
        )
    gains = (paths.size[on] / kappa) ** (1.0 / depth)
    weights = chain(first[:, on], gains, paths.V[on], depth, widths)
    if paths.output_bias is None:
        return DeepNetwork(weights)
    biases = [np.zeros(W.shape[1]) for W in weights[:-1]]
    return DeepNetwork(weights, (*biases, paths.output_bias))


def solve_nearly_whitened_relu(
    X: Any, Y: Any, weight_decay: float, depth: int = 2, loss: str = "squared"
) -> DeepSolution:
    """A network and a proven interval for data of full row rank that are not whitened.

    With singular values of X in [s_min, s_max] the optimum lies between the closed forms
    for ``X X^T = s_max^2 I`` and for ``s_min^2 I``; the network interpolates through the
    pseudo-inverse of X.  The lower end is proven where the closed form is; elsewhere a norm
    bound is used.
    """
    units = Units(dense_problem(X, Y, loss, weight_decay), check_depth(depth))
    return units.back(_solve_nearly_whitened(units.problem, units.depth))


def _solve_nearly_whitened(problem: Problem, L: int) -> DeepSolution:
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
        lower = max(low.lower / n - rounding(problem, objective), problem.loss.infimum)
    else:
        lower = deep_lower_bound(problem, L, low.outputs, spectral_norm=most).lower_bound
    return DeepSolution(
        network,
        objective,
        high.value / n,
        None,
        lower,
        Optimality.UPPER_BOUND,
        (rank, Check("equal singular values of X", float(s[0] / s[-1] - 1), np.inf), *checks),
    )


def solve_whitened_interval(X: Any, Y: Any, weight_decay: float, depth: int = 2) -> DeepSolution:
    """Squared loss, whitened data, targets that are NOT one-hot: a network and a lower bound.

    Two layers: the exact penalty is a semi-non-negative factorisation norm, hard in general.
    The lower
    bound is the soft-thresholded SVD of the targets (what a linear network reaches); it is
    attained iff ``B = U (S - beta)_+ U^T`` is completely positive.  B with a negative entry
    is not; B of rank at most two without one is, and then the network attains the bound
    (``PROVED``).  Otherwise, and for more layers, every output is split into its positive and
    negative part, an ``UPPER_BOUND``; the lower bound of three or more layers is the norm bound.
    """
    units = Units(dense_problem(X, Y, "squared", weight_decay), check_depth(depth))
    return units.back(_solve_interval(units.problem, units.depth))


def _solve_interval(problem: Problem, L: int) -> DeepSolution:
    kappa, most, white = row_scale(problem.X)
    n = problem.n_samples
    checks: tuple[Check, ...] = (white,)
    if L == 2:
        beta = n * problem.weight_decay / kappa
        U, s, Vt = np.linalg.svd(problem.Y, full_matrices=False)
        value, r = deep_prox(s, beta, 2)
        formula = float(np.sum(value)) / n
        linear = float(np.sum(deep_prox(s, beta * kappa / most, 2)[0])) / n
        kept = r > 0
        U, r, Vt = U[:, kept], r[kept], Vt[kept]
        B = (U * r) @ U.T
        negative = max(-float(B.min(initial=0.0)), 0.0)
        tolerance = 1e-12 * max(float(B.max(initial=0.0)), 1e-300)
        check = Check("no negative entry in B = U (S - beta)_+ U^T", negative, tolerance)
        checks = (white, check)
        if check.holds and len(r) <= 2:
            turn = _into_quadrant(U * np.sqrt(r))
            first = np.maximum((U * np.sqrt(r)) @ turn, 0.0)
            last = turn.T @ (np.sqrt(r)[:, None] * Vt) / np.sqrt(kappa)
            network = DeepNetwork((problem.X.T @ first / kappa**1.5, last))
            objective = network.objective(problem)
            lower = max(linear - rounding(problem, objective), 0.0)
            optimality = proved(objective, lower, Optimality.UPPER_BOUND)
            return DeepSolution(network, objective, formula, lower, lower, optimality, checks)
    # parts of several outputs overlap on a sample, but each output's two parts do not, and the
    # squared loss is a sum over outputs: the values add up
    split = [
        target_paths(Problem(problem.X, y, "squared", problem.weight_decay, "none"), L, kappa)[0]
        for y in problem.Y.T
    ]
    signs = [path.V * e for path, e in zip(split, np.eye(problem.n_outputs))]
    paths = Paths(
        np.hstack([path.A for path in split]),
        np.vstack(signs),
        np.concatenate([path.size for path in split]),
        sum(path.value for path in split),
        0.0,
    )
    network = _path_network(problem.X.T @ paths.A / kappa, paths, kappa, L)
    objective = network.objective(problem)
    if L > 2:
        lower = deep_lower_bound(problem, L, paths.outputs, spectral_norm=most).lower_bound
    else:
        lower = max(linear - rounding(problem, objective), 0.0)
    return DeepSolution(
        network,
        objective,
        paths.value / n,
        None,
        min(lower, objective),
        Optimality.UPPER_BOUND,
        checks,
    )


def _into_quadrant(rows: Array) -> Array:
    """Rotation that makes ``rows`` (n, at most 2), all within a right angle, non-negative."""
    if rows.shape[1] < 2:
        return np.full((rows.shape[1],) * 2, np.sign(rows.sum()) or 1.0)
    towards = rows.sum(axis=0)
    middle = np.arctan2(towards[1], towards[0])
    turned = rows @ np.array([[np.cos(middle), -np.sin(middle)], [np.sin(middle), np.cos(middle)]])
    used = np.linalg.norm(rows, axis=1) > 1e-12 * np.linalg.norm(rows)
    angle = np.arctan2(turned[used, 1], turned[used, 0])
    start = middle + 0.5 * (angle.max() + angle.min()) - 0.25 * np.pi
    return np.array([[np.cos(start), -np.sin(start)], [np.sin(start), np.cos(start)]])


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
    """
    problem = dense_problem(X, Y, loss, weight_decay)
    L = check_depth(depth)
    strength, norm = parallel_strength(problem.weight_decay, L, regulariser, layer_norm)
    size = power_of_two(float(np.abs(problem.X).max()))
    scale, most, white = row_scale(problem.X / size)
    kappa = size * scale
    paths, checks, dual = two_layer_paths(problem, strength, kappa, size * most)
    first = problem.X.T @ paths.A / kappa
    network = ParallelNetwork(
        tuple(
            branch(first[:, [g]], size / kappa, paths.V[[g]], L, regulariser, norm, "relu")
            for g, size in enumerate(paths.size)
            if size > 0
        ),
        problem.n_outputs,
        regulariser,
        norm,
    )
    objective = network.objective(problem)
    return DeepSolution(
        network,
        objective,
        paths.value / problem.n_samples,
        dual,
        dual,
        proved(objective, dual, Optimality.UPPER_BOUND),
        (white, *checks),
    )
