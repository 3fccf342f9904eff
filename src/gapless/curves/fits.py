"""Two of the three ways to fit a spline: least squares, and Newton's method for smooth losses.

Both end in the tridiagonal solves of :mod:`gapless.curves.engine`; losses with corners are
linear programs, :mod:`gapless.curves.linear_programs`.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.constant import best_constant
from ..core.losses import Loss
from .engine import Engine, Round
from .line import Line
from .proofs import Fit, Prover, spread_bound, squared_bounds, without_flat

MAX_ROUNDS = 100
# Curvatures at or below this are zero but for rounding; samples there count as this share of the
# smoothness instead, which keeps the step finite.
NO_CURVATURE, FLAT_SHARE = 1e-30, 1e-6
# A quadratic model is solved to this share of the gap that is left, but not below rounding.
MODEL_GAP, MODEL_ROUNDING = 1e-3, 1e-14
# Steps shorter than this change nothing.
SHORTEST_STEP = 1e-10


def fit_squared(line: Line, weight_decay: float, tol: float, start: Array | None) -> Fit:
    """Least squares: the engine, then a proof from every sample.

    ``weight_decay`` is in the caller's units, ``tol`` the relative gap to reach; ``start`` holds
    numbers of places that are likely kinks.
    """
    b, unit, half = line.scaled(weight_decay), line.objective_unit, 0.5 * line.spread
    if line.single:
        lower = max(spread_bound(line), 0.0) * unit
        return Fit(np.zeros(1, int), np.array([line.weights @ line.y]), half * unit, lower, [])
    index, values, rounds = line.engine.solve(b, start, tol=0.5 * tol)
    index, values = without_flat(line, index, values)
    P, D = squared_bounds(line, index, values, b, tol)
    lower = max(D, 0.0) * unit
    # the engine's bounds of the rounds charge no rounding
    rounds = [
        Round((P + half) * unit, min(max(D + half, 0.0) * unit, lower), k) for P, D, k in rounds
    ]
    return Fit(index, values, (P + half) * unit, lower, rounds)


def fit_smooth(line: Line, loss: Loss, weight_decay: float, tol: float, start: Array | None) -> Fit:
    """Proximal Newton: the engine minimises the loss's quadratic model plus the penalty.

    ``loss`` is in the scaled units, the rest as for :func:`fit_squared`.
    """
    b = line.scaled(weight_decay)
    prover = Prover(line, loss, b)
    problem, x = prover.problem, line.x
    constant = best_constant(loss, line.y[:, None], line.weights)[0]
    if line.single:
        F = np.full((len(line.y), 1), constant)
        prover.improve(problem.dual_point(F))
        return prover.fit(np.zeros(1, int), np.array([constant]), problem.data_fit(F))
    index, values = np.array([0, len(x) - 1]), np.full(2, constant)
    P = prover.objective(index, values)
    for _ in range(MAX_ROUNDS):
        F = prover.outputs(index, values)
        prover.improve(problem.dual_point(F))
        prover.record(P, len(index) - 2)
        gap = P - prover.lower_bound
        if gap <= tol * P:
            break
        # the quadratic model: weights H and targets z at the places
        h = loss.curvature(F, line.y[:, None]) * line.weights
        # Flat samples (clipped Huber) keep the step finite; a confident logistic sample must
        # keep its own tiny curvature, its residual is as tiny.
        h = np.where(h > NO_CURVATURE, h, FLAT_SHARE * loss.smoothness * line.weights)
        H = line.sums(h)
        z = line.sums(h * (F[:, 0] + problem.residual(F)[:, 0] / h)) / H
        mass = float(H.sum())
        kinks = index[1:-1] if len(index) > 2 else start
        # the model's own value is large and arbitrary: ask for a gap, not a share
        model_gap = max(MODEL_GAP * gap, MODEL_ROUNDING * P) / mass
        aim_index, aim, _ = Engine(x, z, H / mass).solve(b / mass, kinks, gap=model_gap)
        found = _line_search(prover, (index, values, P), (aim_index, aim))
        if found is None:
            break
        index, values, P = found
    index, values = without_flat(line, index, values)
    return prover.fit(index, values, P)


def _line_search(
    prover: Prover, now: tuple[Array, Array, float], aim: tuple[Array, Array]
) -> tuple[Array, Array, float] | None:
    """The first of the points 1, 1/2, 1/4, ... of the way to ``aim`` that is better, if any."""
    x, (index, values, P) = prover.line.x, now
    union = np.union1d(index, aim[0])
    old = np.interp(x[union], x[index], values)
    step = np.interp(x[union], x[aim[0]], aim[1]) - old
    t, trial = 1.0, aim
    while t > SHORTEST_STEP:
        value = prover.objective(*trial)
        if value < P:
            return *trial, value
        t *= 0.5
        trial = union, old + t * step
    return None
