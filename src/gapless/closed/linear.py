"""Linear networks in closed form.

The penalty of a linear network with product Z of its L layers is at its best
``weight_decay L / 2 sum_i sigma_i(Z)^(2/L)`` (the Schatten-2/L quasi-norm), so training is

    min_Z  1/(2n) ||X Z - Y||_F^2 + weight_decay L / 2 sum_i sigma_i(Z)^(2/L),

convex for L = 2 only (nuclear norm).  Rotating to the singular vectors of X leaves
``||S Z - T||^2`` with S diagonal; where all of S is equal ("whitened") the problem
separates into the singular values of T (von Neumann's trace inequality), and for one
output it is a problem in the norm of Z alone.  The idea is that of Ergen & Pilanci,
"Revealing the Structure of Deep Neural Networks via Convex Duality" (ICML 2021); for
L >= 3 and several outputs it does not extend to plain weight decay beyond whitened data,
and the solution says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.deep_network import DeepNetwork, DeepSolution, Optimality, ParallelNetwork
from ..core.problem import Problem
from .charges import moved_data_charge, proved, rounding_charge
from .layers import branch, chain, hidden_widths, parallel_strength
from .rotated import (
    Minimum,
    Rotated,
    local_minimum,
    nuclear_minimum,
    numerical_rank,
    separable_minimum,
    single_output_minimum,
)
from .scalar import check_depth
from .units import Units, dense_problem


def solve_two_layer_linear(X: Any, Y: Any, weight_decay: float, width: Any = None) -> DeepSolution:
    """Best linear network with two layers, for any data: :func:`solve_deep_linear`, depth 2.

        min_Z  1/(2n) ||X Z - Y||_F^2 + weight_decay ||Z||_*,    Z = W_1 W_2.

    Whitened data: soft-thresholded singular values of the targets.  One output: a secular
    equation.  Otherwise the nuclear-norm program, solved to a relative gap of 1e-10.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
    weight_decay : float
        Of ``weight_decay / 2 (||W_1||_F^2 + ||W_2||_F^2)``, beside the mean loss.
    width : int, optional
        Hidden width; by default the rank of the solution.

    Returns
    -------
    DeepSolution
        ``PROVED``, with the value of a dual point.

    Raises
    ------
    ValueError
        As :func:`solve_deep_linear`.

    Examples
    --------
    >>> import numpy as np
    >>> solution = solve_two_layer_linear(np.eye(2), [2.0, 0.0], weight_decay=0.5)
    >>> np.round(solution.network.predict(np.eye(2))[:, 0], 6), solution.optimality.name
    (array([1., 0.]), 'PROVED')
    """
    return solve_deep_linear(X, Y, weight_decay, 2, width)


def solve_deep_linear(
    X: Any, Y: Any, weight_decay: float, depth: int, width: Any = None
) -> DeepSolution:
    """Best linear network with ``depth`` layers under plain weight decay and squared loss.

    Charged to the lower bound: rounding, and what X is beside its singular vectors.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
    weight_decay : float
    depth : int
        Number of weight matrices, at least 2.
    width : int or sequence of depth - 1 ints, optional
        Hidden widths; by default the rank of the solution.  On whitened data a width below
        that rank keeps the largest singular values, still the best network of this width.

    Returns
    -------
    DeepSolution
        ``PROVED`` on whitened data, for one output, and for two layers;
        ``UPPER_BOUND`` with a proven lower bound for several outputs, three or more layers
        and other data, where the problem is not convex and a local method is used.

    Raises
    ------
    ValueError
        When ``width`` is below the rank of the solution and the data are not whitened: no
        closed form is known there.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> solution = solve_deep_linear(rng.normal(size=(9, 4)), rng.normal(size=9), 0.01, 3)
    >>> bool(abs(solution.objective - solution.formula) < 1e-12), solution.optimality.name
    (True, 'PROVED')
    """
    units = Units(dense_problem(X, Y, "squared", weight_decay), check_depth(depth))
    return units.back(_best_product(units.problem, units.depth, width))


def _best_product(problem: Problem, L: int, width: Any) -> DeepSolution:
    n, data = problem.n_samples, Rotated.of(problem)
    found = _minimum(data, n * problem.weight_decay, L, width)
    network = _factored(data.V @ found.Z, L, width)
    objective = network.objective(problem)
    charge = rounding_charge(problem, objective)
    charge += moved_data_charge(problem, L, data.left, objective)
    lower = min(max(found.lower / n - charge, 0.0), objective)
    optimality = found.optimality
    if optimality is Optimality.PROVED:
        optimality = proved(objective, lower, Optimality.UPPER_BOUND)
    dual = lower if found.tight else None
    return DeepSolution(network, objective, found.value / n, dual, lower, optimality, found.checks)


def _minimum(data: Rotated, beta: float, L: int, width: Any) -> Minimum:
    """The first case that the data are of, from the best known to the least."""
    if len(data.s) == 0:  # X is zero
        return Minimum(data.zero, data.offset, data.offset)
    if data.whiteness().holds:
        keep = None if width is None else min(hidden_widths(width, L, 1))
        return separable_minimum(data, beta, L, keep)
    if data.T.shape[1] == 1:
        return single_output_minimum(data, beta, L)
    return nuclear_minimum(data, beta) if L == 2 else local_minimum(data, beta, L)


def _factored(Z: Array, L: int, width: Any) -> DeepNetwork:
    """Aligned layers with equal singular values ``sigma(Z)^(1/L)`` whose product is Z."""
    left, sigma, right = np.linalg.svd(Z, full_matrices=False)
    r = numerical_rank(sigma)
    widths = hidden_widths(width, L, r, f"rank {r} of the best network")
    weights = chain(left[:, :r], sigma[:r] ** (1.0 / L), right[:r], L, widths)
    return DeepNetwork(weights, None, "linear")


def solve_parallel_linear(
    X: Any,
    Y: Any,
    weight_decay: float,
    depth: int,
    regulariser: str = "power",
    layer_norm: float = 1.0,
) -> DeepSolution:
    """Best sum of deep linear networks under a regulariser that leaves no duality gap.

    Any data, any depth, any number of outputs: the problem is the nuclear-norm program of
    two layers at another strength, ``weight_decay depth / 2`` for ``regulariser="power"``
    (``weight_decay / 2 sum ||W_{l,j}||_F^depth``) and
    ``weight_decay / layer_norm^(depth - 2)`` for ``"fixed"`` (hidden norms fixed).
    See :class:`gapless.core.deep_network.ParallelNetwork`.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    Y : array of shape (n_samples,) or (n_samples, n_outputs)
    weight_decay : float
    depth : int
        Number of weight matrices of a branch, at least 2.
    regulariser : {"power", "fixed"}, default "power"
    layer_norm : float, default 1.0
        Of the fixed form.

    Returns
    -------
    DeepSolution
        Its network a :class:`gapless.core.deep_network.ParallelNetwork`, its bound that of the
        two-layer problem.

    Raises
    ------
    ValueError
        For a depth below 2, another regulariser, a weight decay or ``layer_norm`` that is not
        positive, and X or Y that :class:`gapless.Problem` refuses.

    References
    ----------
    Ergen & Pilanci, "Revealing the Structure of Deep Neural Networks via Convex Duality" (ICML
    2021).

    Examples
    --------
    >>> import numpy as np
    >>> solution = solve_parallel_linear(np.eye(2), [2.0, 0.0], 0.5, depth=2)
    >>> len(solution.network.branches), solution.optimality.name
    (1, 'PROVED')
    """
    problem = dense_problem(X, Y, "squared", weight_decay)
    L = check_depth(depth)
    strength, norm = parallel_strength(problem.weight_decay, L, regulariser, layer_norm)
    two = solve_two_layer_linear(problem.X, problem.Y, strength)
    left, sigma, right = np.linalg.svd(two.network.weights[0] @ two.network.weights[1])
    branches = tuple(
        branch(left[:, [j]], sigma[j], right[[j]], L, regulariser, norm, "linear")
        for j in range(numerical_rank(sigma))
    )
    network = ParallelNetwork(branches, problem.n_outputs, regulariser, norm)
    return replace(two, network=network, objective=network.objective(problem))
