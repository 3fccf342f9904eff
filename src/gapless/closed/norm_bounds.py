"""Lower bounds on training a deep network on ANY data, valid for every width.

For a network of L layers without biases write ``F = rho F_1`` with rho the product of the
layers' Frobenius norms.  With the gauge ``c_L(Lam) = sup <Lam, F_1>`` weak duality says, for
any dual points Lam_i and any ``c_i >= c_L(Lam_i)``,

    P >= min_{rho >= 0} max(0, max_i D(Lam_i) - rho c_i) + weight_decay L / 2 rho^(2/L),

D the dual value of :mod:`gapless.core.problem`.  For L >= 3 one fixed Lam gives a poor bound (the
plain Lagrangian dual is zero); the envelope over many is what works.  The bounds of c_L
are those of :mod:`gapless.closed.deep_gauge`.

What this certifies: no ReLU network of L layers, of any width, has a lower objective: without
biases, with a penalised first-layer bias (``bias="penalized"``), or with free biases in all
layers (``bias="free"``).  For L >= 3 and several outputs it cannot close the gap to the best
network: the convex gauge loses part of the penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from ..core.checks import Array, choose, positive, to_2d
from ..core.constant import null_model
from ..core.problem import SUM, Problem
from ..core.reduction import down
from ..core.rounding import EPS
from ..core.watch import Watch
from .deep_gauge import BOUNDS, LayeredData
from .scalar import check_depth, deep_prox, envelope_minimum
from .semidefinite import SDP_SAMPLES
from .units import Units

METHODS = ("norm", "scaled", "sdp")
# Multiples of the outputs, between zero and their best multiple, at which residuals are taken:
# the minimum over rho runs over networks of every size.
SHARES = (1.0, 0.98, 0.94, 0.85, 0.7, 0.5, 0.25, 0.0)
# Outputs below this, in units in which the targets are one, count as zero: their squares vanish.
VANISHING = 1e-100
# What the sums and roots of the scalar problems can lose, relatively, with room to spare.
LOST = 1e-12


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

    Returns
    -------
    DeepBound

    Raises
    ------
    ValueError
        For an SDP with free biases, or more than 60 samples, and outputs of another shape.
    ImportError
        For an SDP without CVXPY.

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
    gauge, proof = BOUNDS[_applicable(problem, method, activation)]
    if spectral_norm is not None:
        spectral_norm = positive("spectral_norm", spectral_norm)
    # 1. in units in which nothing over- or underflows; a penalised bias is part of the data
    units = Units(_dense(problem), L)
    problem = units.problem
    # 2. the data as the gauge sees them
    data = _layered(units, spectral_norm, watch)
    # 3. every dual point gives a line in rho for each of its multiples
    zero = np.zeros(problem.Y.shape)
    F = zero if outputs is None else to_2d("outputs", outputs) / units.y
    lower, d, c = 0.0, [], []
    for Lam in _dual_points(problem, F):
        c_Lam = gauge(data, Lam)
        if problem.loss.constant_curvature:
            lower = max(lower, _ray(problem, Lam, c_Lam, L))
        best = problem.best_scale(Lam, np.inf)[0]
        top = best if best > 0 else 1.0
        for scale in top * np.linspace(0.0, 1.0, 101)[1:]:
            V, moved = problem.in_domain(scale * Lam)
            d.append(problem.proven_value(V))
            c.append(scale * c_Lam + moved)
    # 4. the least that penalty and lines leave, back in the units given
    if d:
        cost = 0.5 * L * problem.weight_decay
        lower = max(lower, envelope_minimum(np.array(d), np.array(c), cost, L))
    at_zero = problem.data_fit(zero)
    lower = min(max(lower, problem.loss.infimum), at_zero)
    return DeepBound(down(lower * units.value), at_zero * units.value, method, proof)


def _applicable(problem: Problem, method: str, activation: str) -> str:
    """The bound of the gauge to use."""
    choose("method", method, METHODS)
    choose("activation", activation, ("relu", "linear"))
    if method == "sdp" and problem.free:
        raise ValueError("method='sdp' needs bias='none' or 'penalized'; use method='scaled'")
    if activation == "linear":
        return "linear"
    if method == "sdp" and problem.n_samples > SDP_SAMPLES:
        raise ValueError(
            f"method='sdp' is limited to {SDP_SAMPLES} samples, got {problem.n_samples}; "
            "use method='scaled'"
        )
    return method


def _layered(units: Units, spectral_norm: float | None, watch: Watch) -> LayeredData:
    """The data in these units, centred when the bias is free."""
    X = units.problem.X
    if units.problem.free:
        return LayeredData.of(X - X.mean(axis=0), free=True, watch=watch)
    norm = None if spectral_norm is None else spectral_norm / units.x
    return LayeredData.of(X, spectral_norm=norm, watch=watch)


def _dense(problem: Problem) -> Problem:
    """The same for networks without penalised bias, on a dense design."""
    A = problem.design.array()
    Y, bias = problem.Y, "free" if problem.free else "none"
    if problem.free and problem.loss.degree is not None:  # the output bias absorbs the mean
        Y = Y - problem.sample_weight @ Y
    return Problem(A, Y, problem.loss, problem.weight_decay, bias, problem.sample_weight)


def _dual_points(problem: Problem, F: Array) -> list[Array]:
    """Residuals of multiples of the outputs F, the like of one another left out."""
    if F.shape != problem.Y.shape:
        raise ValueError(
            f"outputs must have the shape {problem.Y.shape} of the targets, got {F.shape}"
        )
    centre: Array | float = 0.0
    if problem.free:
        centre, F = null_model(problem), F - F.mean(axis=0)
    if float(np.abs(F).max()) < VANISHING:
        F = np.zeros(F.shape)
    seen: list[Array] = []
    for share in _shares(problem, F, centre):
        Lam = problem.dual_point(centre + F * share)
        if np.linalg.norm(Lam) > 0 and not any(
            np.allclose(Lam, old, rtol=1e-9, atol=0) for old in seen
        ):
            seen.append(Lam)
    return seen


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
        return 0.5 * s * s * (1 - LOST)
    return float(deep_prox(s, problem.weight_decay * kappa ** (-2.0 / L), L)[0]) * (1 - LOST)


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
