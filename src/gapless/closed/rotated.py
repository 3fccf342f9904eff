"""Linear networks in the coordinates of the singular vectors of X, and their minima there.

With ``X = U diag(s) V^T``, ``T = U^T Y`` and ``Z = V Z'`` the problem of
:mod:`gapless.closed.linear` is, in the SUM of squares and with beta = n weight_decay,

    min_Z'  1/2 ||S Z' - T||^2 + offset + beta L / 2 sum_i sigma_i(Z')^(2/L).

Each function below finds the minimum of one case.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate, islice
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize

from ..core.arrays import row_norms
from ..core.checks import Array
from ..core.deep_network import Optimality
from ..core.hypotheses import Check
from ..core.problem import Problem
from ..core.rounding import EPS, TINY
from .layers import chain
from .proximal import accelerated
from .scalar import deep_prox, envelope_minimum, ray_minimum
from .whitening import RANK_TOL, WHITE_TOL, thin_svd

# A convex program counts as solved when its duality gap is below this share of the
# objective at zero.
GAP_TOL = 1e-10
# Singular values of a product of layers below this share of the largest are rounding.
NOISE = 1e-12
# A ridge below this share of the largest squared singular value changes no digit of a solution.
NO_RIDGE = 1e-18
# Steps that bring a root from one end of the floats to the other: with next to no weight decay the
# secular equation has its root far below the bound of it.
HALVINGS = 3000
# L-BFGS where a duality gap is to be closed, and where nothing is claimed of the minimum found.
TO_THE_LAST_DIGIT = {"maxiter": 10000, "maxfun": 20000, "ftol": 0, "gtol": 1e-14, "maxcor": 50}
ROUGH = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-11}


@dataclass(frozen=True, eq=False)
class Rotated:
    """``1/2 ||S Z' - T||^2 + offset``; ``left`` (n,) bounds the norms of what that leaves of X."""

    V: Array
    s: Array
    T: Array
    offset: float
    left: Array

    @classmethod
    def of(cls, problem: Problem) -> Rotated:
        X = problem.X
        U, s, V = thin_svd(X)
        T = U.T @ problem.Y
        rest = problem.Y - U @ T
        left = row_norms(X - (U * s) @ V.T) + 8 * (sum(X.shape) + 8) * EPS * row_norms(X)
        return cls(V, s, T, 0.5 * float(np.sum(rest * rest)), left)

    @property
    def zero(self) -> Array:
        return np.zeros_like(self.T)

    def whiteness(self) -> Check:
        spread = float(self.s[0] / self.s[-1] - 1) if len(self.s) else 0.0
        return Check("equal singular values of X", spread, WHITE_TOL)

    def fit(self, Z: Array) -> float:
        R = self.s[:, None] * Z - self.T
        return 0.5 * float(np.sum(R * R)) + self.offset

    def dual(self, Lam: Array, beta: float) -> float:
        """Value of the best feasible multiple of ``Lam``: ``||X^T Lam||_2 <= beta``."""
        top = spectral_norm(self.s[:, None] * Lam)
        size = float(np.sum(Lam * Lam))
        if size == 0:
            return self.offset
        scale = float(np.sum(Lam * self.T)) / size
        scale = min(scale, beta / top) if top > 0 else scale
        return scale * float(np.sum(Lam * self.T)) - 0.5 * scale**2 * size + self.offset


@dataclass(frozen=True, eq=False)
class Minimum:
    """``Z'``, its value, a bound below the minimum (both SUM scaling), and what is known.

    ``tight``: a dual point attains the bound.
    """

    Z: Array
    value: float
    lower: float
    tight: bool = False
    checks: tuple[Check, ...] = ()
    optimality: Optimality = Optimality.PROVED


def spectral_norm(A: Array) -> float:
    """``||A||_2``, zero for an empty matrix."""
    return float(np.linalg.norm(A, 2)) if A.size else 0.0


def numerical_rank(sigma: Array, share: float = NOISE) -> int:
    """How many of the falling singular values are above ``share`` of the first."""
    return int(np.sum(sigma > share * max(sigma[0], TINY)))


def separable_minimum(data: Rotated, beta: float, L: int, keep: int | None) -> Minimum:
    """Whitened data: by von Neumann's trace inequality a deep prox of each singular value of T.

    ``keep`` is the narrowest width: the largest ``keep`` singular values are the best of its rank.
    """
    c = float(np.mean(data.s))
    Z, value = _of_equal(data, c, beta, L, keep)
    # where singular values differ within the tolerance, all are as large as the largest
    lower = _of_equal(data, float(data.s[0]), beta, L, keep)[1]
    # no dual point knows of a width: it must have cut nothing
    tight = L == 2 and (keep is None or value <= _of_equal(data, c, beta, L, None)[1])
    return Minimum(Z, value, lower, tight, (data.whiteness(),))


def _of_equal(
    data: Rotated, c: float, beta: float, L: int, keep: int | None
) -> tuple[Array, float]:
    """Minimiser and value were all singular values c."""
    left, tau, right = np.linalg.svd(data.T, full_matrices=False)
    value, r = deep_prox(tau, beta * c ** (-2.0 / L), L)
    if keep is not None:
        value[keep:], r[keep:] = 0.5 * tau[keep:] ** 2, 0.0
    return (left * (r / c)) @ right, float(np.sum(value)) + data.offset


def single_output_minimum(data: Rotated, beta: float, L: int) -> Minimum:
    """One output: ``min_rho g(rho) + beta L / 2 rho^(2/L)``, g the best fit with norm rho.

    The best fit of a norm is a ridge solution.  For two layers its norm solves a secular equation,
    for more g goes to :func:`gapless.closed.scalar.ray_minimum`.
    """
    s, b = data.s, data.T[:, 0]
    sb = s * b
    top = float(np.linalg.norm(sb))
    if top == 0 or (L == 2 and top <= beta):
        at_zero = data.fit(data.zero)
        return Minimum(data.zero, at_zero, at_zero, tight=L == 2)
    if L == 2:
        # ||u|| = rho and u = (S^2 + beta / rho)^-1 S b
        upper = 0.5 * float(b @ b) / beta
        with np.errstate(over="ignore"):  # at zero, where only the sign counts
            rho = brentq(
                lambda t: np.sum((sb / (s * s * t + beta)) ** 2) - 1,
                0.0,
                upper,
                xtol=TINY,
                rtol=1e-15,
                maxiter=HALVINGS,
            )
        Z = (sb * rho / (s * s * rho + beta))[:, None]
        value = data.fit(Z) + beta * float(np.linalg.norm(Z))
        return Minimum(Z, value, data.dual(data.T - s[:, None] * Z, beta), tight=True)

    def fit(rho: Array) -> tuple[Array, Array]:
        mu = _ridges(rho, s, sb, top)
        U = sb / (s * s + mu[:, None])
        size = np.linalg.norm(U, axis=1)
        R = s * U - b
        slope = np.where(rho > 0, -mu * size, -top)
        # to first order from the norm found to the one asked for
        value = 0.5 * np.sum(R * R, axis=1) + slope * (rho - size)
        return np.where(rho > 0, value, 0.5 * b @ b), slope

    longest = float(np.linalg.norm(b / s))
    rho, _, lower = ray_minimum(fit, 0.5 * beta * L, L, longest)
    Z = data.zero
    if rho > 0:
        Z = (sb / (s * s + _ridges(np.array([rho]), s, sb, top)))[:, None]
    value = data.fit(Z) + 0.5 * beta * L * float(np.linalg.norm(Z)) ** (2.0 / L)
    return Minimum(Z, value, lower + data.offset)


def _ridges(rho: Array, s: Array, sb: Array, top: float) -> Array:
    """Ridges (k,) whose solutions have the norms ``rho`` (k,), by bisection of their logarithm."""
    low = np.full(len(rho), np.log(NO_RIDGE * s[0] ** 2))
    high = np.maximum(np.log(top / np.maximum(rho, TINY)), low)
    for _ in range(90):
        mid = 0.5 * (low + high)
        large = np.linalg.norm(sb / (s * s + np.exp(mid)[:, None]), axis=1) > rho
        low, high = np.where(large, mid, low), np.where(large, high, mid)
    return np.exp(high)


def nuclear_minimum(data: Rotated, beta: float) -> Minimum:
    """Two layers: ``min 1/2 ||S Z - T||^2 + beta ||Z||_*``, a convex program.

    Accelerated proximal gradient finds the rank; L-BFGS on two factors of that rank, which
    share their minimum with the convex program, brings the last digits; a proximal step
    from there frees a rank that was missed.
    """
    s = data.s[:, None]
    step = 1.0 / float(np.max(s)) ** 2
    Z, dual = data.zero, -np.inf
    tolerance = GAP_TOL * data.fit(Z)
    for _ in range(8):
        Z = _steps(data, beta, Z, step)
        A, B = _two_factors(Z)
        if A.size:
            # a proximal step turns singular values that only tend to zero into zeros
            Z = _proximal(data, beta, _descended(data, beta, (A, B), **TO_THE_LAST_DIGIT), step)
        value = data.fit(Z) + beta * float(np.sum(np.linalg.svd(Z, compute_uv=False)))
        dual = max(dual, data.dual(data.T - s * Z, beta))
        if value - dual <= tolerance:
            break
    gap = Check("duality gap of the nuclear-norm program", value - dual, tolerance)
    return Minimum(Z, value, dual, tight=True, checks=(gap,))


def _steps(data: Rotated, beta: float, Z: Array, step: float) -> Array:
    """Where 200 accelerated steps on the nuclear-norm program lead."""
    points = accelerated(lambda point: _proximal(data, beta, point, step), Z)
    return next(islice(points, 199, None))


def _proximal(data: Rotated, beta: float, Z: Array, step: float) -> Array:
    s = data.s[:, None]
    left, sigma, right = np.linalg.svd(Z - step * s * (s * Z - data.T), full_matrices=False)
    return (left * np.maximum(sigma - step * beta, 0.0)) @ right


def _two_factors(Z: Array) -> tuple[Array, Array]:
    """Balanced factors of the numerical rank, ``Z = A B``."""
    left, sigma, right = np.linalg.svd(Z, full_matrices=False)
    r = numerical_rank(sigma, RANK_TOL)
    root = np.sqrt(sigma[:r])
    return left[:, :r] * root, root[:, None] * right[:r]


def local_minimum(data: Rotated, beta: float, L: int) -> Minimum:
    """Several outputs, general X, L >= 3: local minima from every rank, and a lower bound.

    Every nuclear-norm solution on a path gives a dual direction, and a start of its rank.
    """
    s = data.s[:, None]
    top = spectral_norm(s * data.T)
    best_Z, checks = data.zero, (data.whiteness(),)
    best = data.fit(best_Z)
    if top == 0:  # the targets have nothing in the column space: zero is best
        return Minimum(best_Z, best, best, checks=checks, optimality=Optimality.UPPER_BOUND)
    zero = best - data.offset
    d, c = [], []
    ranks: dict[int, Array] = {}
    for strength in top * np.logspace(-3, -0.05, 10):
        Z = _steps(data, float(strength), data.zero, 1.0 / float(data.s[0]) ** 2)
        ranks.setdefault(int(np.linalg.matrix_rank(Z, tol=1e-8)), Z)
        Lam = data.T - s * Z
        for scale in (1.0, float(np.sum(Lam * data.T) / np.sum(Lam * Lam))):
            d.append(scale * np.sum(Lam * data.T) - 0.5 * scale**2 * np.sum(Lam * Lam))
            c.append(scale * spectral_norm(s * Lam))
    ranks.pop(0, None)
    for rank, Z in ranks.items():
        left, sigma, right = np.linalg.svd(Z, full_matrices=False)
        gains = sigma[:rank] ** (1.0 / L)
        found = _descended(data, beta, chain(left[:, :rank], gains, right[:rank], L), **ROUGH)
        sigma = np.linalg.svd(found, compute_uv=False)
        norm = float(np.sum(sigma[: numerical_rank(sigma)] ** (2.0 / L)))
        value = data.fit(found) + 0.5 * beta * L * norm
        if value < best:
            best, best_Z = value, found
    lower = envelope_minimum(np.array(d), np.array(c), 0.5 * beta * L, L)
    lower = min(max(lower, 0.0), zero) + data.offset
    return Minimum(best_Z, best, lower, checks=checks, optimality=Optimality.UPPER_BOUND)


def _descended(data: Rotated, beta: float, layers: tuple[Array, ...], **options: Any) -> Array:
    """L-BFGS on the layers themselves; returns their product."""
    shapes = [W.shape for W in layers]
    ends = np.cumsum([W.size for W in layers])

    def unpack(x: Array) -> list[Array]:
        return [part.reshape(k) for part, k in zip(np.split(x, ends[:-1]), shapes)]

    def loss(x: Array) -> tuple[float, Array]:
        W = unpack(x)
        heads = list(accumulate(W, operator.matmul))
        R = data.s[:, None] * heads[-1] - data.T
        G = data.s[:, None] * R
        grads: list[Array] = []
        for l in range(len(W) - 1, 0, -1):
            grads.append((heads[l - 1].T @ G).ravel())
            G = G @ W[l].T
        grads.append(G.ravel())
        return 0.5 * float(np.sum(R * R) + beta * (x @ x)), np.concatenate(grads[::-1]) + beta * x

    x0 = np.concatenate([W.ravel() for W in layers])
    found = minimize(loss, x0, jac=True, method="L-BFGS-B", options=options).x
    return reduce(operator.matmul, unpack(found))
