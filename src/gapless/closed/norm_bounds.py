"""Lower bounds on training a deep network on ANY data, valid for every width.

For a network of L layers without biases write ``F = rho F_1`` with rho the product of the
layers' Frobenius norms.  With the gauge ``c_L(Lam) = sup <Lam, F_1>`` weak duality says, for
any dual points Lam_i and any ``c_i >= c_L(Lam_i)``,

    P >= min_{rho >= 0} max(0, max_i D(Lam_i) - rho c_i) + weight_decay L / 2 rho^(2/L),

D the dual value of :mod:`gapless.core.problem`.  For L >= 3 one fixed Lam gives a poor bound (the
plain Lagrangian dual is zero); the envelope over many is what works.  Bounds of c_L:

``"norm"``
    ``||X||_2 ||Lam||_2``; for one output ``||X||_2 max(||lam_+||, ||lam_-||)``.
``"scaled"``
    ``min_q ||diag(q)^(1/2) X||_2 ||diag(q)^(-1/2) Lam||_2`` over q > 0 (any q is valid), for
    one output on lam_+ and lam_- separately.
``"sdp"``
    a semidefinite relaxation from the layers being 1-Lipschitz, homogeneous and
    non-negative (CVXPY finds multipliers, their value is computed here in float64 and holds
    whatever the solver did).  Practical to about 40 samples.

For linear networks ``c_L(Lam) = ||X^T Lam||_2`` exactly.

FREE BIASES in every layer: let the columns of Lam sum to zero and compare with the activations
``h_l(m)`` at the mean m of the samples.  A layer moves no two inputs further apart than its
norm allows, whatever its bias, so for unit layers and any q > 0

    sum_i q_i ||h_l(x_i) - h_l(m)||^2 <= ||diag(q)^(1/2) (X - 1 m^T)||_2^2,

and ``<Lam, F> = <Lam, F - 1 F(m)>`` has the bounds "norm" and "scaled" of the centred data (for
one output with Lam whole: activations are not negative, their differences are).  With biases
that cost something the bound holds all the more.

What this certifies: no ReLU network of L layers, of any width, has a lower objective: without
biases, with a penalised first-layer bias (``bias="penalized"``), or with free biases in all
layers (``bias="free"``).  For L >= 3 and several outputs it cannot close the gap to the best
network: the convex gauge loses part of the penalty.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from scipy.optimize import minimize_scalar

from ..core.checks import Array, choose, optional_import, positive, to_2d
from ..core.constant import null_model
from ..core.deep_network import Units
from ..core.lbfgs import lbfgs
from ..core.losses import EPS
from ..core.problem import SUM, Problem
from ..core.reduction import down
from ..core.watch import Watch
from .scalar import check_depth, deep_prox, envelope_minimum

METHODS = ("norm", "scaled", "sdp")
# Relative inflation of every gauge bound: it covers the rounding of norms and eigenvalues,
# which is n eps, with room to spare.
INFLATE = 1 + 1e-10
# Multiples of the outputs, between zero and their best multiple, at which residuals are taken:
# the minimum over rho runs over networks of every size.
SHARES = (1.0, 0.98, 0.94, 0.85, 0.7, 0.5, 0.25, 0.0)
# How far the logarithms of scales may move.
FAR = 60.0
# Samples beyond which the semidefinite program is refused: it has n^2 constraints.
SDP_SAMPLES = 60


@dataclass(frozen=True)
class DeepBound:
    """A proven lower bound.

    Attributes
    ----------
    lower_bound : float
        On the objective (mean loss plus weight decay) of every network of this depth.
    zero_objective : float
        Objective of the zero network: near it every bound looks good.
    method : str
    proof : str
        In words.
    """

    lower_bound: float
    zero_objective: float
    method: str
    proof: str


def deep_lower_bound(
    problem: Problem,
    depth: int,
    outputs: Any = None,
    method: str = "norm",
    activation: str = "relu",
    spectral_norm: float | None = None,
    time_limit: float | None = None,
) -> DeepBound:
    """Lower bound on the objective of every network of ``depth`` layers.

    Parameters
    ----------
    problem : Problem
        ``bias="penalized"``: the first layer reads [X, 1]; "free": every layer has a bias.
    depth : int
        Number of weight matrices, at least 2.
    outputs : array of shape (n_samples, n_outputs), optional
        Of a trained network: its residual is the best source of dual points.
    method : {"norm", "scaled", "sdp"}
    activation : {"relu", "linear"}
    spectral_norm : float, optional
        An upper bound of ``||X||_2`` when it is known.
    time_limit : float, optional
        Seconds for ``method="scaled"``: what is not scaled by then has the norm bound.

    Raises
    ------
    ValueError
        For an SDP with free biases, or more than 60 samples.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import Problem
    >>> rng = np.random.default_rng(0)
    >>> problem = Problem(rng.normal(size=(8, 5)), rng.normal(size=8), bias="none")
    >>> bound = deep_lower_bound(problem, depth=3)
    >>> 0 < bound.lower_bound < bound.zero_objective
    True
    """
    watch = Watch.of(time_limit)
    L = check_depth(depth)
    choose("method", method, METHODS)
    choose("activation", activation, ("relu", "linear"))
    if problem.free and method == "sdp":
        raise ValueError("method='sdp' needs bias='none' or 'penalized'; use method='scaled'")
    A = problem.design.array()
    if spectral_norm is not None:
        spectral_norm = positive("spectral_norm", spectral_norm)
    # in units in which nothing over- or underflows
    Y, bias = problem.Y, "free" if problem.free else "none"
    if problem.free and problem.loss.degree is not None:  # the output bias absorbs the mean
        Y = Y - problem.sample_weight @ Y
    units = Units(Problem(A, Y, problem.loss, problem.weight_decay, bias, problem.sample_weight), L)
    problem, X = units.problem, units.problem.X
    spectral_norm = None if spectral_norm is None else spectral_norm / units.x
    centre: Array | float = 0.0
    if problem.free:
        X, centre, spectral_norm = X - X.mean(axis=0), null_model(problem), None
    kind = method if activation == "relu" else "linear"
    gauge = _Gauge(X, kind, spectral_norm, problem.free, watch)
    zero = np.zeros((problem.n_samples, problem.n_outputs))
    F = zero if outputs is None else to_2d("outputs", outputs) / units.y
    if F.shape != zero.shape:
        raise ValueError(f"outputs must have the shape {zero.shape} of the targets, got {F.shape}")
    if problem.free:
        F = F - F.mean(axis=0)
    if float(np.abs(F).max()) < 1e-100:  # squares vanish, in units in which the targets are one
        F = zero
    directions = [problem.dual_point(centre + F * share) for share in _shares(problem, F, centre)]
    cost = 0.5 * L * problem.weight_decay
    d, c, single = [], [], 0.0
    seen: list[Array] = []
    for Lam in directions:
        size = float(np.linalg.norm(Lam))
        if size == 0 or any(np.allclose(Lam, old, rtol=1e-9, atol=0) for old in seen):
            continue
        seen.append(Lam)
        c_Lam = gauge.bound(Lam)
        if problem.loss.constant_curvature:
            single = max(single, _ray(problem, Lam, c_Lam, L))
        best = problem.best_scale(Lam, np.inf)[0]
        top = best if best > 0 else 1.0
        for scale in top * np.linspace(0.0, 1.0, 101)[1:]:
            V, moved = problem.in_domain(scale * Lam)
            d.append(problem.proven_value(V))
            c.append(scale * c_Lam + moved)
    lower = single
    if d:
        lower = max(lower, envelope_minimum(np.array(d), np.array(c), cost, L))
    at_zero = problem.data_fit(zero)
    proof = {
        "norm": "spectral norms of the data and of the dual points",
        "scaled": "diagonally scaled spectral norms",
        "sdp": "semidefinite relaxation, multipliers checked in float64",
        "linear": "exact gauge of linear networks",
    }[gauge.kind]
    lower = min(max(lower, problem.loss.infimum), at_zero)
    return DeepBound(down(lower * units.value), at_zero * units.value, method, proof)


def _ray(problem: Problem, Lam: Array, c: float, L: int) -> float:
    """The bound of all multiples of ``Lam`` at once under the squared loss, ``c_L(Lam) <= c``.

    ``max_t t <Lam, Y> - t^2/2 sum_i ||Lam_i||^2 / w_i - rho t c = (s - rho kappa)_+^2 / 2``; the
    minimum over rho is a :func:`gapless.closed.scalar.deep_prox`.
    """
    norm = float(np.sqrt(np.sum(Lam * Lam / problem.sample_weight[:, None]))) * (1 + SUM * EPS)
    products = Lam * problem.Y
    lost = problem.shortfall(Lam)
    charge = SUM * EPS * float(np.sum(np.abs(products))) + lost * float(np.abs(problem.Y).max())
    s = max((float(np.sum(products)) - 2 * charge) / norm, 0.0)
    kappa = problem.raised_gauge(Lam, c) / norm * (1 + SUM * EPS)
    if kappa == 0:
        return 0.5 * s * s * (1 - 1e-12)
    return float(deep_prox(s, problem.weight_decay * kappa ** (-2.0 / L), L)[0]) * (1 - 1e-12)


def _shares(problem: Problem, F: Array, centre: Array | float) -> list[float]:
    """Multiples of F around the given one and around the one that fits best beside ``centre``."""
    if not np.any(F):
        return [0.0]
    best = float(
        minimize_scalar(
            lambda t: problem.data_fit(centre + t * F), bounds=(0.0, 10.0), method="bounded"
        ).x
    )
    if problem.loss.constant_curvature:
        w = problem.sample_weight[:, None]
        best = max(float(np.sum(w * F * (problem.Y - centre)) / np.sum(w * F * F)), 0.0)
    return [*SHARES, 0.5 * (1 + best), *(best * np.array([1.0, 0.98, 1.02]))]


class _Gauge:
    """Upper bounds of ``c_L`` for one data set."""

    def __init__(
        self,
        X: Array,
        kind: str,
        spectral_norm: float | None,
        free: bool = False,
        watch: Watch | None = None,
    ) -> None:
        if X.shape[1] > len(X):  # only inner products of the samples matter
            X = np.asarray(np.linalg.qr(X.T, mode="r")).T
        self.X, self.kind, self.free = X, kind, free
        self.watch = watch or Watch.of(None)
        self.norm = _top(X) if spectral_norm is None else spectral_norm * INFLATE
        if kind == "sdp" and len(X) > SDP_SAMPLES:
            raise ValueError(
                f"method='sdp' is limited to {SDP_SAMPLES} samples, got {len(X)}; "
                "use method='scaled'"
            )

    def bound(self, Lam: Array) -> float:
        if self.kind == "linear":
            return _top(self.X.T @ Lam)
        split = Lam.shape[1] == 1 and not self.free
        parts = [np.maximum(Lam, 0), np.maximum(-Lam, 0)] if split else [Lam]
        values = []
        for part in parts:
            value = self.norm * _top(part)
            if self.kind != "norm" and value > 0 and not self.watch.due():
                value = min(value, _scaled(self.X, part, self.watch.due))
            values.append(value)
        best = max(values)
        if self.kind == "sdp":
            signs = (Lam, -Lam) if Lam.shape[1] == 1 else (Lam,)
            best = min(best, max(_semidefinite(self.X, part) for part in signs))
        return best


def _top(A: Array) -> float:
    """Spectral norm from the smaller Gram matrix, inflated."""
    gram = A.T @ A if A.shape[1] <= A.shape[0] else A @ A.T
    top = float(scipy.linalg.eigvalsh(gram, subset_by_index=[len(gram) - 1] * 2)[0])
    rounding = 8 * sum(A.shape) * EPS * float(np.trace(gram))
    return float(np.sqrt(max(top, 0.0) + rounding)) * INFLATE


def _scaled(X: Array, Lam: Array, stop: Callable[[], bool]) -> float:
    """``min_q ||diag(q)^(1/2) X|| ||diag(q)^(-1/2) Lam||``, by L-BFGS on log q.

    The logarithm of the squared product is convex in log q; kinks may stop the search early,
    which leaves a valid, wider bound.
    """
    rows = np.linalg.norm(Lam, axis=1)
    used = (rows > 1e-9 * rows.max()) & np.any(X != 0, axis=1)
    # samples without weight in Lam, or at the origin, do not enter <Lam, F> to first order;
    # what the former could add is kept with the plain norms
    rest = _top(X) * float(np.linalg.norm(Lam[~used & np.any(X != 0, axis=1)]))
    X, Lam, rows = X[used], Lam[used], rows[used]
    if not len(X):
        return rest

    def value(log_q: Array) -> tuple[float, Array]:
        q = np.exp(0.5 * log_q)[:, None]
        U, s, _ = np.linalg.svd(q * X, full_matrices=False)
        P, t, _ = np.linalg.svd(Lam / q, full_matrices=False)
        return 2 * float(np.log(s[0] * t[0])), U[:, 0] ** 2 - P[:, 0] ** 2

    start = np.log(rows) - np.log(np.linalg.norm(X, axis=1))
    near = [(t - FAR, t + FAR) for t in start]  # beyond, nothing but overflow
    log_q = lbfgs(value, start, stop, bounds=near, maxiter=60)
    q = np.exp(0.5 * np.clip(log_q, -60, 60))[:, None]
    return _top(q * X) * _top(Lam / q) + rest


def _semidefinite(X: Array, Lam: Array) -> float:
    """Bound of ``c_L`` from multipliers of a semidefinite relaxation.

    Let h_i be the last hidden features for unit layers, ``M = W_1 W_1^T`` (trace at most 1),
    ``G = (h_i . h_j)``.  Later layers have operator norm at most 1 and the network is
    homogeneous, so for any tau >= 0

        ||h_i - tau h_k||^2 <= (x_i - tau x_k)^T M (x_i - tau x_k),    G >= 0.

    With multipliers y >= 0 of these, nu >= 0 of the signs, ``zeta = lambda_max(sum y z z^T)``
    and ``Q = sum y (e_i - tau e_k)(e_i - tau e_k)^T - N`` positive definite, the Lagrangian is
    at most ``zeta + 1/4 ||Lam^T Q^-1 Lam||_2``, and scaling y makes that
    ``sqrt(zeta ||Lam^T Q^-1 Lam||_2)``.  For one output the signs enter as
    ``Lam + nu`` instead of N, for the half of the neurons with positive output weight.
    """
    cp = optional_import("cvxpy", "sdp", "deep_lower_bound(method='sdp')")
    n, K = Lam.shape
    basis = np.linalg.svd(X, full_matrices=False)
    X = basis[0] * basis[1]
    X = X / np.sqrt(np.max(np.sum(X * X, axis=1)))
    unit = _top(Lam)
    Lam = Lam / unit
    back = unit * np.sqrt(np.max(np.sum((basis[0] * basis[1]) ** 2, axis=1)))
    Z, E = [*X], [*np.eye(n)]
    for i in range(n):
        for k in range(n):
            size = float(X[k] @ X[k])
            if i == k or size == 0:
                continue
            taus = {max(float(X[i] @ X[k]), 0.0) / size} | ({1.0} if i < k else set())
            for tau in taus - {0.0}:
                Z.append(X[i] - tau * X[k])
                e = np.zeros(n)
                e[i], e[k] = 1.0, -tau
                E.append(e)
    Zm, Em = np.array(Z), np.array(E)
    y, zeta = cp.Variable(len(Zm), nonneg=True), cp.Variable()
    Q = Em.T @ cp.diag(y) @ Em
    L_var: Any = Lam
    constraints = [zeta * np.eye(Zm.shape[1]) - Zm.T @ cp.diag(y) @ Zm >> 0]
    if K == 1:
        nu = cp.Variable((n, 1), nonneg=True)
        L_var = Lam + nu
    else:
        N = cp.Variable((n, n), symmetric=True)
        constraints += [N >= 0]
        Q = Q - N
    eta = cp.Variable()
    block = cp.bmat([[Q, 0.5 * L_var], [0.5 * L_var.T, eta * np.eye(K)]])
    constraints.append(0.5 * (block + block.T) >> 0)
    with warnings.catch_warnings():
        # an inaccurate solution costs tightness, never validity
        warnings.simplefilter("ignore")
        try:
            cp.Problem(cp.Minimize(zeta + eta), constraints).solve(solver=cp.CLARABEL)
        except cp.SolverError:
            return float("inf")
    if y.value is None:
        return float("inf")
    y_value = np.maximum(y.value, 0.0)
    target = Lam + np.maximum(nu.value, 0.0) if K == 1 else Lam
    signs = 0.0 if K == 1 else np.maximum(0.5 * (N.value + N.value.T), 0.0)
    best = float("inf")
    for shift in np.logspace(-12, -3, 10):
        # the shift is paid for: it raises the multipliers of ||h_i||^2 <= x_i^T M x_i
        raised = y_value.copy()
        raised[:n] += shift
        Qv = (Em.T * raised) @ Em - signs
        low = float(np.linalg.eigvalsh(Qv)[0])
        size = float(np.linalg.norm(Qv, 2))
        if low <= max(1e-3 * shift, 32 * n * EPS * size):
            continue
        top = float(np.linalg.eigvalsh((Zm.T * raised) @ Zm)[-1])
        solved = target.T @ np.linalg.solve(Qv, target)
        # relative error of the solve: condition number times eps
        slack = 1 + 1e-9 + 16 * n * EPS * size / low
        best = min(best, np.sqrt(top * float(np.linalg.norm(solved, 2))) * slack)
    return back * best
