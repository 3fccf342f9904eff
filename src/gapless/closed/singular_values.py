"""Several outputs on whitened data: the singular values of the outputs, soft-thresholded.

With ``X X^T = s^2 I`` any activations h >= 0 are those of the neuron ``X^T h / s^2`` of norm
``||h|| / s``, and for every network ``sum_j ||u_j|| ||v_j|| >= ||F||_* / s``.  So

    min_F  1/(2n) ||F - Y||_F^2 + (weight_decay / s) ||F||_*

is a lower bound, solved by F with the singular values of Y less ``n weight_decay / s``.  A network
attains it iff ``H = (F F^T)^(1/2)`` is completely positive, ``H = sum_j h_j h_j^T`` with h_j >= 0:
with ``F = H W`` the neurons are then h_j with output weights ``W^T h_j``.

Complete positivity is hard to decide in general, so nothing is claimed of it: factors are proposed,
and the objective of their network, held against the bound, says whether they are right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.deep_network import DeepNetwork, DeepSolution, Optimality
from ..core.hypotheses import require
from ..core.network import Network
from ..core.problem import Problem
from ..core.rounding import EPS
from ..gauge.singular_values import thresholded
from .charges import proved
from .units import Units, dense_problem
from .whitening import row_scale, thin_svd

# Entries of H below this share of its norm are zero, rows nearer than PARALLEL one direction.
ZERO, PARALLEL = 1e-8, 1e-7
# Alternating projections: starts, and steps of each.
STARTS, STEPS = 8, 2000


def solve_singular_values(X: Any, Y: Any, weight_decay: float) -> DeepSolution:
    """Two-layer ReLU network for several outputs on whitened data, squared loss and no bias.

    Minimises ``1/(2n) ||F - Y||_F^2 + weight_decay/2 (||U||_F^2 + ||V||_F^2)``.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Whitened: ``X X^T = s^2 I``, see :func:`gapless.whiten`.
    Y : array of shape (n_samples, n_outputs)
        Targets such that ``(F F^T)^(1/2)`` has no negative entry, F being Y with its singular
        values less ``n weight_decay / s``: one-hot rows, rows of disjoint supports, and others.
    weight_decay : float

    Returns
    -------
    DeepSolution
        ``lower_bound`` holds for every width.  ``optimality`` is ``PROVED`` where the network
        proposed attains it, else ``UPPER_BOUND``.

    Raises
    ------
    HypothesisError
        Data not whitened, or a matrix with a negative entry: then no network attains the bound.

    References
    ----------
    Sahiner, Ergen, Pauly & Pilanci, "Vector-output ReLU neural network problems are copositive
    programs", ICLR 2021: whitened data.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import solve_singular_values, whiten
    >>> X = whiten(np.random.default_rng(0).normal(size=(6, 9)))
    >>> Y = np.array([[2.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 3], [0, 0, 1]])
    >>> solution = solve_singular_values(X, Y, weight_decay=0.05)
    >>> solution.network.widths, solution.optimality.name
    ((3,), 'PROVED')
    """
    units = Units(dense_problem(X, Y, "squared", weight_decay), 2)
    return units.back(_solve(units.problem))


def _solve(problem: Problem) -> DeepSolution:
    s, most, white = row_scale(problem.X)
    threshold = problem.weight_decay / s
    F, Lam = thresholded(problem, threshold)
    left, values, right = thin_svd(F)
    H = (left * values) @ left.T
    check = require(
        "a non-negative root of F F^T",
        -float(H.min(initial=0.0)) / (float(np.linalg.norm(H)) or 1.0),
        ZERO,
        "no network attains the thresholded singular values; use train()",
    )
    W = left @ right.T
    candidates = [_network(problem, B, W, s) for B in _factors(left * np.sqrt(values))]
    objectives = [network.objective(problem) for network in candidates]
    best = int(np.argmin(objectives))
    network, objective = candidates[best], objectives[best]
    gauge = most * float(np.linalg.norm(Lam, 2)) * (1 + 8 * (problem.n_samples + 8) * EPS)
    lower = problem.proven_bound(Lam, gauge)
    formula = problem.data_fit(F) + threshold * float(values.sum())
    optimality = proved(objective, lower, Optimality.UPPER_BOUND)
    layers = (network.hidden_weights, network.output_weights)
    return DeepSolution(
        DeepNetwork(layers), objective, formula, lower, lower, optimality, (white, check)
    )


def _network(problem: Problem, B: Array, W: Array, s: float) -> Network:
    """The neurons that are active as the columns of B say."""
    m = B.shape[1]
    U = problem.X.T @ B / s**2
    network = Network(U, np.zeros(m), B.T @ W, np.zeros(W.shape[1]))
    return network.balance("none")


def _factors(A: Array) -> list[Array]:
    """Non-negative B with ``B B^T`` near ``A A^T``, as good as they are."""
    n, r = A.shape
    if r == 0:
        return [np.zeros((n, 0))]
    found = [np.maximum(A @ Q, 0.0) for Q in (_of_rays(A),) if Q is not None]
    rng = np.random.default_rng(0)
    for start in range(STARTS):
        Q = np.linalg.qr(rng.standard_normal((r + start, r)))[0].T  # (r, k), Q Q^T = I
        for _ in range(STEPS):
            B = A @ Q
            if B.min() >= -1e-12 * np.abs(B).max():
                break
            u, _, v = np.linalg.svd(A.T @ np.maximum(B, 0.0), full_matrices=False)
            Q = u @ v
        found.append(np.maximum(A @ Q, 0.0))
        if B.min() >= -1e-12 * np.abs(B).max():
            break
    return found


def _of_rays(A: Array) -> Array | None:
    """An orthonormal basis of rows of A, where all rows lie along it: blocks of rank one."""
    size = np.linalg.norm(A, axis=1)
    rows = A[size > ZERO * size.max()] / size[size > ZERO * size.max(), None]
    basis: list[Array] = []
    for row in rows:
        if all(np.linalg.norm(row - other) > PARALLEL for other in basis):
            basis.append(row)
    if len(basis) != A.shape[1]:
        return None
    Q = np.array(basis).T
    u, s, v = np.linalg.svd(Q)
    return u @ v if np.abs(s - 1).max() <= 1e-6 else None
