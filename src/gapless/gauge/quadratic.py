"""Bounds on the gauge from convex relaxations, and the best dual point they prove.

Scalar outputs, no bias.  Write ``z_i = (x_i.u)_+`` and ``R_i = ||x_i||``.  For every u with
``||u|| <= 1``

    z_i >= 0,   z_i >= x_i.u,   z_i (z_i - x_i.u) = 0,   (x_i.u)^2 <= R_i (2 z_i - x_i.u),

the last one because ``2 z_i - x_i.u = |x_i.u|``.  Multipliers nu, kappa, mu, rho >= 0 for the
four, and tau for ``1 - ||u||^2``, give the Lagrangian; its maximum over z, then u, is

    g_+(lam) <= tau + sum_i c_i^2 / (4 mu_i) + 1/4 q^T M^{-1} q,
    c = lam + nu + kappa + 2 rho R,   q = X^T (lam + nu - kappa) / 2,
    M = tau I - 1/4 X^T diag(mu - 4 rho) X  positive definite,

the quadratic (Shor) bound.  It is convex in lam and the multipliers together and costs
O(n d^2 + d^3).  ANY multipliers prove a bound: what found them is not part of the proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import brentq

from ..core.checks import Array
from ..core.lbfgs import lbfgs
from ..core.problem import Problem
from ..core.rounding import EPS, TINY
from ..core.watch import Watch
from .base import Dual, GaugeBound, Proof, Relaxation
from .proof_cells import CheckedSamples, ProofCell

# Seconds a variable, bounds and all, before SciPy takes the first step.
READING = 2e-6
# Numbers that L-BFGS remembers of its last steps, thirty at most.
MEMORY = 1 << 24
# Steps of one run of L-BFGS: it seldom takes as many.
STEPS = 300
# A step factorises a matrix of the order of the features: seconds, all together, on so many.
MAX_FEATURES = 400
# The relaxation is smoothed, in units of the gauge a feature, less and less: from each to the next
# L-BFGS keeps its pace.
SMOOTHINGS = (1e-2, 1e-3, 1e-4)
# When the dual point moves too, the larger of the two sides is smoothed as well, by this power.
JOINT_SMOOTHINGS = ((1e-2, 8.0), (3e-3, 16.0), (1e-3, 32.0), (2e-4, 64.0), (5e-5, 128.0))


def flat_design(core: Problem) -> Array:
    """A dense design without bias whose gauge is at or above that of ``core``.

    A free bias is ``|b| <= R ||u||`` at the maximum, R the largest row norm, because some
    sample has ``x_k.u + b = 0`` there.  So ``||(u, b/R)||^2 <= 2`` and ``sqrt(2) [A, R 1]``
    is a design without bias.
    """
    A = core.design.array()
    if not core.free:
        return A
    radius = float(np.max(np.linalg.norm(A, axis=1)))
    return np.sqrt(2.0) * np.hstack([A, np.full((len(A), 1), radius)])


def quadratic_value(A: Array, lam: Array, multipliers: Array, tau: float) -> float:
    """The quadratic bound of ``g_+(lam)`` that ``multipliers`` (4, n), ``tau`` prove.

    Rounded up: M loses ``delta``, above the rounding of its entries and of its Cholesky
    factor, and ``q^T M^{-1} q <= q.h + r.h + ||r||^2 / delta`` for any h, ``r = q - M h``.
    Infinity when the multipliers prove nothing.
    """
    mu, nu, kappa, rho = multipliers
    n, k = A.shape
    if not (np.all(np.isfinite(multipliers)) and np.all(multipliers >= 0) and np.all(mu > 0)):
        return np.inf
    R = np.linalg.norm(A, axis=1) * (1 + (k + 4) * EPS)
    c = lam + nu + kappa + 2 * rho * R
    q = A.T @ ((lam + nu - kappa) / 2)
    size = tau + 0.25 * float(np.sum((mu + 4 * rho) * R * R))
    delta = 8 * (n + k + 8) * EPS * size
    M = (tau - delta) * np.eye(k) - (A.T * ((mu - 4 * rho) / 4)) @ A
    try:
        factor = cho_factor(M - delta * np.eye(k))
    except LinAlgError:
        return np.inf
    h = cho_solve(factor, q)
    r = q - M @ h
    inverse = float(q @ h + abs(r @ h) + r @ r / delta)
    total = tau + float(np.sum(c * c / mu)) / 4 + inverse / 4
    rounding = (n + 8) * EPS * float(R @ (np.abs(lam) + nu + kappa))  # of q
    value = (total + rounding) * (1 + 4 * (n + k + 8) * EPS)
    return value if np.isfinite(value) else np.inf


@dataclass(frozen=True, eq=False)
class QuadraticProof(Proof):
    """Multipliers (4, n_samples) and tau for the dual point and for its negative."""

    positive: Array
    negative: Array
    tau: tuple[float, float]

    def upper(self, core: Problem, Lam: Array) -> float:
        return max(self.sides(core, Lam))

    def sides(self, core: Problem, Lam: Array) -> tuple[float, float]:
        """Upper bounds of ``g_+(lam)`` and ``g_+(-lam)``."""
        A, lam = flat_design(core), Lam[:, 0]
        return (
            quadratic_value(A, lam, self.positive, self.tau[0]),
            quadratic_value(A, -lam, self.negative, self.tau[1]),
        )

    def cells(self, samples: CheckedSamples) -> list[ProofCell]:
        """The secant cut is ``p (R s - x.u) + q (R s + x.u) >= 0``, and tau a multiple of a tie."""
        core, rows, unit = samples.core, samples.rows, samples.unit
        n, R = len(rows), np.linalg.norm(flat_design(core)[rows], axis=1)
        signs, multipliers = (1, -1), (self.positive, self.negative)
        cells = []
        for sign, m, tau, beta in zip(
            signs, multipliers, self.tau, self.sides(core, samples.Lam), strict=True
        ):
            mu, nu, kappa, rho = m[:, rows]
            # z (z - x.u) = p q, of which N holds each product once
            products, x = np.zeros((2 * n, 2 * n)), rho[:, None] * samples.A / unit**2
            products[:n, n:] = products[n:, :n] = -np.diag(mu) / (2 * unit**2)
            s = np.concatenate([nu + rho * R, kappa + rho * R])[:, None] / unit
            # with a free bias the ball is of (u, t), each at most s: half of tau for either
            ties = np.array([0.0, tau / (1 + core.free) - beta / 2, tau / 2 * core.free])
            head = np.hstack([s, 0 * s, np.vstack([-x, x])])
            cells.append(ProofCell.of_form(sign, np.zeros(n), beta, ties, head, products))
        return cells


class Quadratic(Relaxation):
    """The quadratic bound; see the module.  Cost O(n d^2 + d^3) a step, some hundred steps.

    A free bias is bounded through :func:`flat_design`.  ``maximise`` looks for the dual point
    whose proven value is highest, moving it together with the multipliers.
    """

    name = "quadratic"
    needs = "one output and at most 400 features"

    def applies(self, core: Problem) -> bool:
        return core.n_outputs == 1 and core.n_features <= MAX_FEATURES

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        return self._until(core, Lam, Watch())

    def _until(self, core: Problem, Lam: Array, watch: Watch) -> GaugeBound:
        A = flat_design(core)
        lam = Lam[:, 0]
        if not np.any(lam) or not np.any(A):
            return GaugeBound(0.0, 0.0, None, "quadratic bound")
        # half the time for each side: without either there is no bound
        positive, tau = _minimise(A, lam, watch.part(share=0.5))
        negative, other = _minimise(A, -lam, watch)
        proof = QuadraticProof(positive, negative, (tau, other))
        upper = proof.upper(core, Lam)
        return GaugeBound(0.0, upper, None, "quadratic bound", multipliers=proof)

    def maximise(self, core: Problem, Lam: Array, watch: Watch) -> Iterator[Dual]:
        """Dual points of rising proven value, started from ``Lam``; ends with ``watch``.

        The scaled point ``s lam``, ``s = (1 + (g_+^p + g_-^p) / beta^p)^{-1/p}``, is feasible
        and in the loss's dual domain; L-BFGS climbs its dual value over (lam, multipliers).
        """
        self.require(core)
        if core.free:  # the climb would leave the points that sum to zero
            yield Lam, self._until(core, Lam, watch)
            return
        climb = _JointClimb(core, Lam)
        for eps, power in JOINT_SMOOTHINGS:
            climb.run(eps, power, watch)
            yield climb.dual()
            if watch.due():
                return


def _trust_region(B: Array, q: Array, eps: float) -> tuple[float, float, Array, Array]:
    """``min_tau tau + q^T (tau - B)^{-1} q / 4 - eps log det((tau - B) / eps)``.

    Returns the value, tau and the gradients in B and q.  At eps = 0 this is the maximum of
    ``u^T B u + q.u`` over the unit ball, which has kinks exactly where good multipliers lie.
    """
    values, V = np.linalg.eigh(B)
    half = V.T @ q / 2

    def slope(tau: float) -> float:
        d = tau - values
        return float(np.sum((half / d) ** 2) + eps * np.sum(1 / d)) - 1.0

    # below any rounding of the largest eigenvalue no pole is reached
    eps = max(eps, 8 * EPS * float(np.abs(values).max()))
    low = values[-1] + eps / 2
    high = values[-1] + 2 * eps * len(q) + 2 * float(np.linalg.norm(half)) + eps
    tau = max(brentq(slope, low, high, xtol=TINY, rtol=1e-13), 0.0)
    d = tau - values
    u = half / d
    value = tau + float(np.sum(half * half / d) - eps * np.sum(np.log(d / eps)))
    return value, tau, V @ (np.outer(u, u) + np.diag(eps / d)) @ V.T, V @ u


@np.errstate(all="ignore")  # what is not a number is not accepted
def _smooth_bound(
    A: Array, R: Array, lam: Array, multipliers: Array, eps: float
) -> tuple[float, float, Array, Array]:
    """The smoothed bound of ``g_+(lam)``, tau, and the gradients in lam and multipliers (4, n)."""
    mu, nu, kappa, rho = multipliers
    c = lam + nu + kappa + 2 * rho * R
    B = (A.T * ((mu - 4 * rho) / 4)) @ A
    value, tau, slope, u = _trust_region(B, A.T @ ((lam + nu - kappa) / 2), eps)
    v, square = A @ u, np.einsum("ij,ij->i", A @ slope, A)
    z = c / (2 * mu)
    gradient = np.stack([square / 4 - z * z, z + v / 2, z - v / 2, 2 * R * z - square])
    return value + float(np.sum(c * z)) / 2, tau, z + v / 2, gradient


class _Coordinates:
    """Multipliers (4, n), scaled to order one, as one vector for L-BFGS: mu by its logarithm."""

    def __init__(self, A: Array, lam: Array) -> None:
        n = len(lam)
        size = max(float(np.abs(lam).mean()), TINY)
        self.R = np.linalg.norm(A, axis=1)
        # a scale, so half the digits do
        spectral = max(float(np.linalg.eigvalsh(A.T @ A)[-1]), 0.0) ** 0.5
        norm = float(np.linalg.norm(lam))
        radius = max(float(self.R.mean()), TINY)
        self.scale = np.array([norm / spectral, size, size, size / radius])[:, None]
        # exp(60) either way is further than any multiplier goes, and neither over- nor underflows
        self.bounds = [(-60.0, 60.0)] * n + [(0.0, None)] * (3 * n)
        self.unit = spectral * norm  # the size of the gauge

    def start(self, lam: Array) -> Array:
        """No multipliers but nu, which takes the negative part of ``lam``."""
        x = np.zeros((4, len(lam)))
        x[1] = np.maximum(-lam, 0) / self.scale[1]
        return x.ravel()

    def multipliers(self, x: Array) -> Array:
        """The way back."""
        m = x.reshape(4, -1).copy()
        m[0] = np.exp(m[0])
        return m * self.scale

    def pulled(self, multipliers: Array, gradient: Array) -> Array:
        """The gradient in the vector of one in the multipliers."""
        g = gradient * self.scale
        g[0] = gradient[0] * multipliers[0]
        return g.ravel()


def _minimise(A: Array, lam: Array, watch: Watch) -> tuple[Array, float]:
    """Multipliers and tau that make the bound of ``g_+(lam)`` small."""
    if not np.any(lam > 0):  # nu = -lam leaves nothing; mu has to be positive
        tiny = 1e-30 * float(np.abs(lam).max())
        zero = np.zeros_like(lam)
        return np.stack([zero + tiny, -lam, zero, zero]), tiny * float(np.sum(A * A))
    at = _Coordinates(A, lam)
    x = at.start(lam)
    best, best_multipliers, best_tau = np.inf, at.multipliers(x), 0.0
    for share in SMOOTHINGS:
        eps = share * at.unit / A.shape[1]

        def objective(x: Array, eps: float = eps) -> tuple[float, Array]:
            m = at.multipliers(x)
            value, _, _, gradient = _smooth_bound(A, at.R, lam, m, eps)
            return value / at.unit, at.pulled(m, gradient) / at.unit

        x = _lbfgs(objective, x, at.bounds, watch)
        multipliers = at.multipliers(x)
        tau = _smooth_bound(A, at.R, lam, multipliers, eps)[1]
        if (value := quadratic_value(A, lam, multipliers, tau)) < best:
            best, best_multipliers, best_tau = value, multipliers, tau
    return best_multipliers, best_tau


def _lbfgs(objective: Any, x: Array, bounds: Any, watch: Watch) -> Array:
    if watch.left < READING * x.size:
        return x
    memory = int(np.clip(MEMORY // x.size, 5, 30))
    return lbfgs(
        objective, x, watch.due,
        bounds=bounds, maxiter=STEPS, maxfun=2 * STEPS, maxcor=memory, ftol=1e-9,
    )  # fmt: skip


class _JointClimb:
    """The climb over the dual point and the multipliers of both of its sides together."""

    def __init__(self, core: Problem, Lam: Array) -> None:
        self.core, self.A, self.n = core, flat_design(core), core.n_samples
        lam = Lam[:, 0]
        self.size = float(np.abs(lam).mean())
        self.at = _Coordinates(self.A, lam)
        self.x = np.concatenate([lam / self.size, self.at.start(lam), self.at.start(-lam)])
        low, high = _dual_box(core)
        box = list(zip(low[:, 0] / self.size, high[:, 0] / self.size))
        self.bounds = box + self.at.bounds + self.at.bounds
        self.eps = 0.0
        # of dual values: what lam = 0 proves
        self.unit = core.data_fit(np.zeros_like(core.Y))

    def run(self, eps: float, power: float, watch: Watch) -> None:
        """L-BFGS at one smoothing, from where the last run ended."""
        self.eps = eps * self.core.weight_decay / self.A.shape[1]
        self.x = _lbfgs(lambda x: self._value(x, power), self.x, self.bounds, watch)

    def dual(self) -> Dual:
        """The dual point reached, and what the multipliers reached prove of it."""
        lam, positive, negative = self._parts(self.x)
        taus = (
            _smooth_bound(self.A, self.at.R, lam, positive, self.eps)[1],
            _smooth_bound(self.A, self.at.R, -lam, negative, self.eps)[1],
        )
        proof, Lam = QuadraticProof(positive, negative, taus), lam[:, None]
        upper = proof.upper(self.core, Lam)
        return Lam, GaugeBound(0.0, upper, None, "quadratic bound, joint", multipliers=proof)

    def _parts(self, x: Array) -> tuple[Array, Array, Array]:
        """lam (n,), and the multipliers of lam and of -lam."""
        lam, positive, negative = np.split(x, [self.n, 5 * self.n])
        return lam * self.size, self.at.multipliers(positive), self.at.multipliers(negative)

    def _value(self, x: Array, power: float) -> tuple[float, Array]:
        """Minus the dual value of the scaled point, and its gradient."""
        core, beta = self.core, self.core.weight_decay
        # 1. the gauges of both sides, smoothed, and a smooth maximum of 1 and them over beta
        lam, positive, negative = self._parts(x)
        gp, _, dp, hp = _smooth_bound(self.A, self.at.R, lam, positive, self.eps)
        gn, _, dn, hn = _smooth_bound(self.A, self.at.R, -lam, negative, self.eps)
        shares = np.array([1.0, max(gp, 0.0) / beta, max(gn, 0.0) / beta])
        top = shares.max()
        total = top * float(np.sum((shares / top) ** power)) ** (1 / power)
        weight = (shares / total) ** (power - 1) / beta  # d total / d g
        # 2. the scaled point is feasible; its dual value
        s = 1 / total
        Lam = s * lam[:, None]
        w = core.sample_weight[:, None]
        slope = core.loss.conjugate_gradient(-Lam / w, core.Y)[:, 0]
        # 3. the gradient, through lam itself and through s
        along = float(slope @ lam) * s * s
        g = np.concatenate(
            [
                (s * slope - along * (weight[1] * dp - weight[2] * dn)) * self.size,
                -along * weight[1] * self.at.pulled(positive, hp),
                -along * weight[2] * self.at.pulled(negative, hn),
            ]
        )
        return -core.dual_value(Lam) / self.unit, -g / self.unit


def _dual_box(core: Problem) -> tuple[Array, Array]:
    """The interval of each entry of the dual point, for losses whose domain is a box."""
    low, high = core.loss.dual_box(core.Y)
    w = core.sample_weight[:, None]
    return -high * w, -low * w
