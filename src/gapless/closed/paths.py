"""Independent paths: what ReLU networks on whitened data reduce to.

A path g carries a unit non-negative vector over the samples (column of ``A``), a unit vector over
the outputs (row of ``V``) and a size ``rho_g``; the network outputs ``F = A diag(rho) V`` and pays
``weight_decay L / 2 sum_g (rho_g / kappa)^(2/L)``, where kappa is the scale of the data,
``X X^T = kappa^2 I``.  Sizes come from the scalar problems of :mod:`gapless.closed.scalar`, in the
SUM of losses and with ``beta = n weight_decay kappa^(-2/L)``.

Ergen & Pilanci, "Revealing the Structure of Deep Neural Networks via Convex Duality" (ICML 2021)
and "Convex Geometry and Duality of Over-parameterized Neural Networks" (JMLR 2021, Theorems 9 and
15).  The values were derived anew and verified numerically.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit

from ..core.checks import Array
from ..core.deep_network import DeepNetwork, Optimality
from ..core.hypotheses import Check, require
from ..core.losses import Logistic, Loss, Softmax, Squared
from ..core.problem import Problem, size_of_sums
from ..core.reduction import down
from ..core.rounding import EPS
from .layers import chain, hidden_widths
from .scalar import deep_prox, ray_minimum
from .units import Units


@dataclass(frozen=True, eq=False)
class Paths:
    """Independent paths, and their value in SUM scaling.

    Attributes
    ----------
    A : array of shape (n_samples, n_paths)
        Orthonormal columns, not negative.
    V : array of shape (n_paths, n_outputs)
        Unit rows.
    size : array of shape (n_paths,)
    value, lower : float
        Of the scalar problems: the value, and a bound below it by rounding only.
    output_bias : array of shape (n_outputs,), optional
    """

    A: Array
    V: Array
    size: Array
    value: float
    lower: float
    output_bias: Array | None = None

    @property
    def outputs(self) -> Array:
        F = (self.A * self.size) @ self.V
        return F if self.output_bias is None else F + self.output_bias


Checked = tuple[Paths, tuple[Check, ...]]


def target_paths(problem: Problem, depth: int, kappa: float, output_bias: bool = False) -> Checked:
    """Paths for data with ``X X^T = kappa^2 I``, with the hypotheses on the targets.

    Raises
    ------
    HypothesisError
        For targets of another kind.
    ValueError
        For a loss without closed form.
    """
    of_loss = OF_LOSS.get(type(problem.loss))
    if of_loss is None:
        raise ValueError(
            f"there is no closed form for the loss {type(problem.loss).__name__}; choose "
            "'squared', 'logistic' or 'softmax', or use train()"
        )
    beta = problem.n_samples * problem.weight_decay * kappa ** (-2.0 / depth)
    return (_balanced_classes if output_bias else of_loss)(problem, beta, depth)


def _parts_of_outputs(problem: Problem, beta: float, depth: int) -> Checked:
    """Squared loss: a path for each output and sign, towards the part of that sign.

    The parts are orthogonal where every row of Y has one entry that is not zero (a single output,
    or one-hot rows).
    """
    Y, K = problem.Y, problem.n_outputs
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


def _balanced_classes(problem: Problem, beta: float, depth: int) -> Checked:
    """One-hot, balanced, squared loss, a free output bias: ``b = 1/K`` and centred targets."""
    Y, n, K = problem.Y, problem.n_samples, problem.n_outputs
    if not problem.loss.constant_curvature:
        raise ValueError("the closed form with output_bias=True is for loss='squared' alone")
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
    share = np.sqrt((K - 1) / K)  # the norm of e_k - 1/K
    V = (np.eye(K) - 1.0 / K) / share
    value, size = deep_prox(np.sqrt(counts) * share, beta, depth)
    total = float(np.sum(value))
    return Paths(Y / np.sqrt(n / K), V, size, total, total, np.full(K, 1.0 / K)), checks


def _two_signs(problem: Problem, beta: float, depth: int) -> Checked:
    """Logistic loss, one output: a path a sign."""
    check = require(
        "one output",
        problem.n_outputs - 1,
        0.0,
        "use one-hot targets and loss='softmax' for several classes",
    )
    signs = np.array([1.0, -1.0])
    return _classes(signs == problem.Y, signs[:, None], 1, 1.0, beta, depth), (check,)


def _one_hot_classes(problem: Problem, beta: float, depth: int) -> Checked:
    """Softmax: a path a class, towards ``e_k - 1/K``."""
    K = problem.n_outputs
    share = np.sqrt((K - 1) / K)  # the norm of e_k - 1/K
    V = (np.eye(K) - 1.0 / K) / share
    paths = _classes(problem.Y > 0, V, max(K - 1, 1), share, beta, depth)
    return paths, (Check("one-hot targets", 0.0, 0.0),)


#: losses with a closed form
OF_LOSS: dict[type[Loss], Callable[[Problem, float, int], Checked]] = {
    Squared: _parts_of_outputs,
    Logistic: _two_signs,
    Softmax: _one_hot_classes,
}


def _classes(groups: Array, V: Array, others: int, share: float, beta: float, depth: int) -> Paths:
    """A path for each class with samples; ``groups`` (n, classes) says whose they are.

    The loss of a sample whose own output is p above the ``others`` is ``log(1 + others exp(-p))``,
    and p costs ``p share`` of size.
    """
    counts = groups.sum(axis=0)
    kept = counts > 0
    groups, V, counts = groups[:, kept], V[kept], counts[kept]
    found = [_class_size(int(m), others, share, beta, depth) for m in counts]
    size = np.array([f[0] for f in found])
    value, lower = (sum(f[i] for f in found) for i in (1, 2))
    return Paths(groups / np.sqrt(counts), V, size, value, lower)


def _class_size(
    count: int, others: int, share: float, beta: float, depth: int
) -> tuple[float, float, float]:
    """``min_rho count log(1 + others exp(-p)) + beta depth / 2 rho^(2/depth)``, p of norm rho.

    ``rho = sqrt(count) p share``.
    """
    unit = np.sqrt(count) * share

    def fit(rho: Array) -> tuple[Array, Array]:
        z = np.log(others) - rho / unit
        return count * np.logaddexp(0.0, z), -(count / unit) * expit(z)

    cost = 0.5 * beta * depth
    at_zero = count * np.log1p(others)
    return ray_minimum(fit, cost, depth, (at_zero / cost) ** (0.5 * depth))


def path_network(
    first: Array, paths: Paths, kappa: float, depth: int, width: Any = None
) -> DeepNetwork:
    """Gains ``(size / kappa)^(1/depth)`` in every layer of the active paths.

    ``first`` (n_features, n_paths) are the directions of the first layer.
    """
    on = paths.size > 0
    widths = hidden_widths(width, depth, int(on.sum()), f"{int(on.sum())} active paths")
    gains = (paths.size[on] / kappa) ** (1.0 / depth)
    weights = chain(first[:, on], gains, paths.V[on], depth, widths)
    if paths.output_bias is None:
        return DeepNetwork(weights)
    biases = [np.zeros(W.shape[1]) for W in weights[:-1]]
    return DeepNetwork(weights, (*biases, paths.output_bias))


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
    if problem.loss.targets == "onehot" or paths.output_bias is not None:
        return Optimality.UPPER_BOUND
    if n_paths <= 1:
        return Optimality.PROVED
    if n_paths == 2:
        return Optimality.NUMERICALLY_VERIFIED
    one_hot = bool(np.all(paths.V >= 0))
    if one_hot and ((depth == 4 and n_paths >= 6) or depth >= 5):
        return Optimality.KNOWN_SUBOPTIMAL
    return Optimality.UPPER_BOUND


def two_layer_paths(
    problem: Problem, weight_decay: float, kappa: float, most: float
) -> tuple[Paths, tuple[Check, ...], float]:
    """Paths of two layers on data with ``X X^T = kappa^2 I``, whatever X is.

    Returns
    -------
    paths, checks
        As of :func:`target_paths`.
    dual : float
        What is proven on data with ``X X^T <= most^2 I``, mean scaling.
    """
    flat = np.full((problem.n_samples, 1), kappa)
    units = Units(Problem(flat, problem.Y, problem.loss, weight_decay, "none"), 2)
    paths, checks = target_paths(units.problem, 2, kappa / units.x)
    dual = down(dual_of_paths(units.problem, paths, most / units.x) * units.value)
    value, lower = paths.value * units.value, paths.lower * units.value
    return replace(paths, size=paths.size * units.y, value=value, lower=lower), checks, dual


def dual_of_paths(problem: Problem, paths: Paths, kappa: float) -> float:
    """What the residual proves (mean scaling) as a dual point on data with ``X X^T <= kappa^2 I``.

    The samples split into the supports of the paths.  Where the output directions of two
    paths have no positive inner product, ``||Lam^T a||`` for ``a >= 0`` is at most the
    largest Frobenius norm of one block, so ``kappa`` times that bounds the gauge; what the
    residual has beside ``a_g V_g`` with ``a_g >= 0`` is added in full.  A free output bias costs
    zero sums of the dual point.
    """
    n, bias = problem.n_samples, paths.output_bias
    Y = problem.Y if bias is None else problem.Y - bias
    # on any such data activations of neurons of norm 1 are at most kappa
    flat = Problem(np.full((n, 1), kappa), Y, problem.loss, problem.weight_decay, "none")
    Lam = flat.residual((paths.A * paths.size) @ paths.V)
    owner = (paths.A > 0).astype(float)
    along = np.maximum(Lam @ paths.V.T, 0.0) * owner
    rest = float(np.linalg.norm(Lam - along @ paths.V))
    blocks = float(np.linalg.norm(along, axis=0).max(initial=0.0))
    overlap = paths.V @ paths.V.T - np.eye(len(paths.V))
    if overlap.max(initial=0.0) > 1e-12:  # not met by the losses above
        blocks = float(np.linalg.norm(along))
    # products with V, and the parts of the samples that belong to no path, are rounded
    beside = 16 * (n + problem.n_outputs) * EPS * float(np.linalg.norm(Lam))
    bound = flat.proven_bound(Lam, kappa * (blocks + rest + beside))
    if bias is None:
        return bound
    # the mean of the residual is rounding; without it the bias costs nothing
    lost = float(np.sum(size_of_sums(Lam)))
    slope = 2 * problem.loss.conjugate_slope(Lam * n, problem.Y)
    return bound - 2 * slope * lost
