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

Inside this module beta = n weight_decay goes with the SUM of squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize

from ..core.arrays import row_norms
from ..core.checks import Array, choose, positive
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
    moved_data,
    proved,
    rounding,
)
from ..core.losses import EPS
from ..core.problem import Problem
from .scalar import check_depth, deep_prox, envelope_minimum, ray_minimum
from .whitening import WHITE_TOL, thin_svd

# A convex program counts as solved when its duality gap is below this share of the
# objective at zero.
GAP_TOL = 1e-10


@dataclass(frozen=True, eq=False)
class _Rotated:
    """``1/2 ||S Z' - T||^2 + offset`` with ``X = U diag(s) V^T``, ``T = U^T Y``, ``Z = V Z'``.

    ``left`` (n,) bounds the norms of what that leaves of the samples.
    """

    V: Array
    s: Array
    T: Array
    offset: float
    left: Array

    @classmethod
    def of(cls, problem: Problem) -> _Rotated:
        X = problem.X
        U, s, V = thin_svd(X)
        T = U.T @ problem.Y
        rest = problem.Y - U @ T
        left = row_norms(X - (U * s) @ V.T) + 8 * (sum(X.shape) + 8) * EPS * row_norms(X)
        return cls(V, s, T, 0.5 * float(np.sum(rest * rest)), left)

    def whiteness(self) -> Check:
        spread = float(self.s[0] / self.s[-1] - 1) if len(self.s) else 0.0
        return Check("equal singular values of X", spread, WHITE_TOL)

    def fit(self, Z: Array) -> float:
        R = self.s[:, None] * Z - self.T
        return 0.5 * float(np.sum(R * R)) + self.offset

    def dual(self, Lam: Array, beta: float) -> float:
        """Value of the best feasible multiple of ``Lam``: ``||X^T Lam||_2 <= beta``."""
        top = _spectral_norm(self.s[:, None] * Lam)
        size = float(np.sum(Lam * Lam))
        if size == 0:
            return self.offset
        scale = float(np.sum(Lam * self.T)) / size
        scale = min(scale, beta / top) if top > 0 else scale
        return scale * float(np.sum(Lam * self.T)) - 0.5 * scale**2 * size + self.offset


def solve_two_layer_linear(X: Any, Y: Any, weight_decay: float, width: Any = None) -> DeepSolution:
    """Best linear network with two layers, for any data: :func:`solve_deep_linear`, depth 2.

    Whitened data: soft-thresholded singular values of the targets.  One output: a secular
    equation.  Otherwise the nuclear-norm program, solved to a relative gap of 1e-10.
    """
    return solve_deep_linear(X, Y, weight_decay, 2, width)


def solve_deep_linear(
    X: Any, Y: Any, weight_decay: float, depth: int, width: Any = None
) -> DeepSolution:
    """Best linear network with ``depth`` layers under plain weight decay and squared loss.

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
    return units.back(_solve(units.problem, units.depth, width))


def _solve(problem: Problem, L: int, width: Any) -> DeepSolution:
    n = problem.n_samples
    beta = n * problem.weight_decay
    data = _Rotated.of(problem)
    whiteness = data.whiteness()
    checks: tuple[Check, ...] = ()
    strong = False  # whether a dual point attains the optimum
    optimality = Optimality.PROVED
    if len(data.s) == 0:
        Z, value, lower = np.zeros_like(data.T), data.offset, data.offset
    elif whiteness.holds:
        checks = (whiteness,)
        keep = None if width is None else min(hidden_widths(width, L, 1))
        Z, value = _separable(data, float(np.mean(data.s)), beta, L, keep)
        # where singular values differ within the tolerance, all are as large as the largest
        lower = _separable(data, float(data.s[0]), beta, L, keep)[1]
        strong = L == 2 and (keep is None or keep >= np.linalg.matrix_rank(Z))
    elif problem.n_outputs == 1:
        Z, value, lower = _single_output(data, beta, L)
        strong = L == 2
    elif L == 2:
        Z, value, lower = nuclear_minimum(data, beta)
        strong, gap = True, value - lower
        checks = (Check("duality gap of the nuclear-norm program", gap, GAP_TOL * data.fit(0 * Z)),)
    else:
        checks = (whiteness,)
        Z, value, lower = _local(data, beta, L)
        optimality = Optimality.UPPER_BOUND
    network = _factor(data.V @ Z, L, width)
    objective = network.objective(problem)
    charge = rounding(problem, objective) + moved_data(problem, L, data.left, objective)
    lower = min(max(lower / n - charge, 0.0), objective)
    if optimality is Optimality.PROVED:
        optimality = proved(objective, lower, Optimality.UPPER_BOUND)
    dual = lower if strong else None
    return DeepSolution(network, objective, value / n, dual, lower, optimality, checks)


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
    """
    problem = dense_problem(X, Y, "squared", weight_decay)
    L = check_depth(depth)
    strength, norm = parallel_strength(problem.weight_decay, L, regulariser, layer_norm)
    two = solve_two_layer_linear(problem.X, problem.Y, strength)
    left, sigma, right = np.linalg.svd(two.network.weights[0] @ two.network.weights[1])
    kept = range(int(np.sum(sigma > 1e-12 * max(sigma[0], 1e-300))))
    branches = tuple(
        branch(left[:, [j]], sigma[j], right[[j]], L, regulariser, norm, "linear") for j in kept
    )
    network = ParallelNetwork(branches, problem.n_outputs, regulariser, norm)
    return DeepSolution(
        network,
        network.objective(problem),
        two.formula,
        two.dual,
        two.lower_bound,
        two.optimality,
        two.checks,
    )


def parallel_strength(
    weight_decay: float, depth: int, regulariser: str, layer_norm: float
) -> tuple[float, float]:
    """The two-layer weight decay a parallel architecture is equivalent to, and its norm."""
    if choose("regulariser", regulariser, ("power", "fixed")) == "power":
        return 0.5 * weight_decay * depth, 1.0
    norm = positive("layer_norm", layer_norm)
    return weight_decay * norm ** (2 - depth), norm


def branch(
    first: Array,
    size: float,
    last: Array,
    depth: int,
    regulariser: str,
    layer_norm: float,
    activation: str,
) -> DeepNetwork:
    """One path of width 1 with unit ends ``first`` (d, 1), ``last`` (1, K) and gain ``size``."""
    if regulariser == "power":
        gains = np.full(depth, size ** (1.0 / depth))
    else:
        gains = np.full(depth, layer_norm)
        gains[-2], gains[-1] = 1.0, size / layer_norm ** (depth - 2)
    middle = [np.full((1, 1), g) for g in gains[1:-1]]
    return DeepNetwork((gains[0] * first, *middle, gains[-1] * last), None, activation)


def nuclear_minimum(data: _Rotated, beta: float) -> tuple[Array, float, float]:
    """``min 1/2 ||S Z - T||^2 + beta ||Z||_*``: the minimiser, its value, and a dual value.

    Accelerated proximal gradient finds the rank; L-BFGS on two factors of that rank, which
    share their minimum with the convex program, brings the last digits; a proximal step
    from there frees a rank that was missed.
    """
    s = data.s[:, None]
    step = 1.0 / float(np.max(s)) ** 2
    Z = np.zeros_like(data.T)
    value, dual = data.fit(Z), -np.inf
    tolerance = GAP_TOL * value
    for _ in range(8):
        Z = _accelerated(data, beta, Z, step)
        A, B = _split(Z)
        r = A.shape[1]
        if r:

            def loss(x: Array, shape: tuple[int, int] = A.shape) -> tuple[float, Array]:
                P, Q = x[: shape[0] * shape[1]].reshape(shape), x[shape[0] * shape[1] :]
                Q = Q.reshape(shape[1], -1)
                R = s * (P @ Q) - data.T
                G = s * R
                grad = np.concatenate([(G @ Q.T + beta * P).ravel(), (P.T @ G + beta * Q).ravel()])
                return 0.5 * float(np.sum(R * R) + beta * (x @ x)), grad

            found = minimize(
                loss,
                np.concatenate([A.ravel(), B.ravel()]),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": 10000, "maxfun": 20000, "ftol": 0, "gtol": 1e-14, "maxcor": 50},
            )
            A, B = found.x[: A.size].reshape(A.shape), found.x[A.size :].reshape(B.shape)
            # a proximal step turns singular values that only tend to zero into zeros
            Z = _proximal(data, beta, A @ B, step)
        value = data.fit(Z) + beta * float(np.sum(np.linalg.svd(Z, compute_uv=False)))
        dual = max(dual, data.dual(data.T - s * Z, beta))
        if value - dual <= tolerance:
            break
    return Z, value, dual


def _accelerated(data: _Rotated, beta: float, Z: Array, step: float) -> Array:
    point, momentum = Z, 1.0
    for _ in range(200):
        new = _proximal(data, beta, point, step)
        if np.sum((point - new) * (new - Z)) > 0:  # the momentum points uphill: restart
            momentum = 1.0
        following = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        point = new + (momentum - 1) / following * (new - Z)
        Z, momentum = new, following
    return Z


def _proximal(data: _Rotated, beta: float, Z: Array, step: float) -> Array:
    s = data.s[:, None]
    left, sigma, right = np.linalg.svd(Z - step * s * (s * Z - data.T), full_matrices=False)
    return (left * np.maximum(sigma - step * beta, 0.0)) @ right


def _split(Z: Array) -> tuple[Array, Array]:
    left, sigma, right = np.linalg.svd(Z, full_matrices=False)
    r = int(np.sum(sigma > 1e-10 * max(sigma[0], 1e-300)))
    root = np.sqrt(sigma[:r])
    return left[:, :r] * root, root[:, None] * right[:r]


def _separable(
    data: _Rotated, c: float, beta: float, L: int, keep: int | None
) -> tuple[Array, float]:
    """All singular values c: a deep prox of every singular value of the targets."""
    left, tau, right = np.linalg.svd(data.T, full_matrices=False)
    value, r = deep_prox(tau, beta * c ** (-2.0 / L), L)
    if keep is not None:
        value[keep:], r[keep:] = 0.5 * tau[keep:] ** 2, 0.0
    return (left * (r / c)) @ right, float(np.sum(value)) + data.offset


def _single_output(data: _Rotated, beta: float, L: int) -> tuple[Array, float, float]:
    """One output: ``min_rho g(rho) + beta L / 2 rho^(2/L)``, g the best fit with norm rho."""
    s, b = data.s, data.T[:, 0]
    sb = s * b
    top = float(np.linalg.norm(sb))
    if top == 0:
        return np.zeros_like(data.T), data.fit(0 * data.T), data.fit(0 * data.T)
    if L == 2:
        if top <= beta:
            value = data.fit(np.zeros_like(data.T))
            return np.zeros_like(data.T), value, value
        # ||u|| = rho and u = (S^2 + beta / rho)^-1 S b
        upper = 0.5 * float(b @ b) / beta
        rho = brentq(
            lambda t: np.sum((sb / (s * s * t + beta)) ** 2) - 1,
            0.0,
            upper,
            xtol=1e-300,
            rtol=1e-15,
        )
        Z = (sb * rho / (s * s * rho + beta))[:, None]
        value = data.fit(Z) + beta * float(np.linalg.norm(Z))
        return Z, value, data.dual(data.T - s[:, None] * Z, beta)

    def ridge(rho: Array) -> Array:
        """Ridge solutions (k, r) of norm ``rho``, by bisection on the ridge parameter."""
        low = np.full(len(rho), np.log(1e-18 * s[0] ** 2))
        high = np.maximum(np.log(top / np.maximum(rho, 1e-300)), low)
        for _ in range(90):
            mid = 0.5 * (low + high)
            large = np.linalg.norm(sb / (s * s + np.exp(mid)[:, None]), axis=1) > rho
            low, high = np.where(large, mid, low), np.where(large, high, mid)
        return np.exp(high)

    def fit(rho: Array) -> tuple[Array, Array]:
        mu = ridge(rho)
        U = sb / (s * s + mu[:, None])
        size = np.linalg.norm(U, axis=1)
        R = s * U - b
        slope = np.where(rho > 0, -mu * size, -top)
        value = 0.5 * np.sum(R * R, axis=1) + slope * (rho - size)
        return np.where(rho > 0, value, 0.5 * b @ b), slope

    longest = float(np.linalg.norm(b / s))
    rho, _, lower = ray_minimum(fit, 0.5 * beta * L, L, longest)
    if rho == 0:
        Z = np.zeros_like(data.T)
    else:
        Z = (sb / (s * s + ridge(np.array([rho]))))[:, None]
    value = data.fit(Z) + 0.5 * beta * L * float(np.linalg.norm(Z)) ** (2.0 / L)
    return Z, value, lower + data.offset


def _local(data: _Rotated, beta: float, L: int) -> tuple[Array, float, float]:
    """Several outputs, general X, L >= 3: local minima from every rank, and a lower bound.

    Every nuclear-norm solution on a path gives a dual direction and starts.
    """
    s = data.s[:, None]
    top = _spectral_norm(s * data.T)
    best_Z = np.zeros_like(data.T)
    best = data.fit(best_Z)
    if top == 0:  # the targets have nothing in the column space: zero is best
        return best_Z, best, best
    zero = best - data.offset
    d, c, starts = [], [], []
    for strength in top * np.logspace(-3, -0.05, 10):
        Z = _accelerated(data, float(strength), np.zeros_like(data.T), 1.0 / float(data.s[0]) ** 2)
        Lam = data.T - s * Z
        starts.append(Z)
        for scale in (1.0, float(np.sum(Lam * data.T) / np.sum(Lam * Lam))):
            d.append(scale * np.sum(Lam * data.T) - 0.5 * scale**2 * np.sum(Lam * Lam))
            c.append(scale * _spectral_norm(s * Lam))
    ranks: dict[int, Array] = {}
    for Z in starts:
        ranks.setdefault(int(np.linalg.matrix_rank(Z, tol=1e-8)), Z)
    for rank, Z in ranks.items():
        if rank == 0:
            continue
        left, sigma, right = np.linalg.svd(Z, full_matrices=False)
        gains = sigma[:rank] ** (1.0 / L)
        found = _descend(data, beta, list(chain(left[:, :rank], gains, right[:rank], L)))
        value = data.fit(found) + 0.5 * beta * L * _schatten(found, L)
        if value < best:
            best, best_Z = value, found
    lower = envelope_minimum(np.array(d), np.array(c), 0.5 * beta * L, L)
    return best_Z, best, min(max(lower, 0.0), zero) + data.offset


def _schatten(Z: Array, L: int) -> float:
    sigma = np.linalg.svd(Z, compute_uv=False)
    return float(np.sum(sigma[sigma > 1e-12 * max(sigma[0], 1e-300)] ** (2.0 / L)))


def _descend(data: _Rotated, beta: float, layers: list[Array]) -> Array:
    """L-BFGS on the layers themselves; returns their product."""
    shapes = [W.shape for W in layers]
    ends = np.cumsum([W.size for W in layers])

    def unpack(x: Array) -> list[Array]:
        return [part.reshape(k) for part, k in zip(np.split(x, ends[:-1]), shapes)]

    def loss(x: Array) -> tuple[float, Array]:
        W = unpack(x)
        heads = [W[0]]
        for layer in W[1:]:
            heads.append(heads[-1] @ layer)
        R = data.s[:, None] * heads[-1] - data.T
        G = data.s[:, None] * R
        grads: list[Array] = []
        for l in range(len(W) - 1, 0, -1):
            grads.append((heads[l - 1].T @ G).ravel())
            G = G @ W[l].T
        grads.append(G.ravel())
        return 0.5 * float(np.sum(R * R) + beta * (x @ x)), np.concatenate(grads[::-1]) + beta * x

    x0 = np.concatenate([W.ravel() for W in layers])
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-11}
    W = unpack(minimize(loss, x0, jac=True, method="L-BFGS-B", options=options).x)
    product = W[0]
    for layer in W[1:]:
        product = product @ layer
    return product


def _factor(Z: Array, L: int, width: Any) -> DeepNetwork:
    """Aligned layers with equal singular values ``sigma(Z)^(1/L)`` whose product is Z."""
    left, sigma, right = np.linalg.svd(Z, full_matrices=False)
    r = int(np.sum(sigma > 1e-12 * max(sigma[0], 1e-300)))
    widths = hidden_widths(width, L, r)
    if min(widths) < r:
        raise ValueError(
            f"width={width!r} is below the rank {r} of the best network and no closed form is "
            f"known there; use a width of at least {r}"
        )
    weights = chain(left[:, :r], sigma[:r] ** (1.0 / L), right[:r], L, widths)
    return DeepNetwork(weights, None, "linear")


def _spectral_norm(A: Array) -> float:
    return float(np.linalg.norm(A, 2)) if A.size else 0.0
