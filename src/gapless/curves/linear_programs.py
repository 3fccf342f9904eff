"""The third way to fit a spline: linear programs, for losses with corners (hinge, pinball).

The variables are the spline's values v at the knots, so a sample's row has two entries, not one
a ramp.  The rows' multipliers are the dual point.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from ..core.checks import Array
from ..core.constant import best_constant
from ..core.losses import Loss
from .fits import fit_smooth
from .line import Line
from .proofs import Fit, Prover, without_flat
from .ramps import peaks, ramp_correlations, ramp_penalty, slope_changes

MAX_ROUNDS = 100
# Samples a linear program takes as rows at first: about a tenth of a second each time.
FREE_ROWS = 1500
# Seconds after which a linear program of HiGHS is tried another way; a tenth of one is usual.
LP_SECONDS = 10.0
# Tolerance of HiGHS: the least it takes.
LP_TOLERANCE = 1e-10
# Stands for no limit: infinity times a weight of zero is not a number.
NO_LIMIT = 1e100
# Knots of a linear program are this far apart on data that span 2: its slopes stay finite.
APART = 1e-9
# Evenly spaced knots of the first program; above so many in all, those without a kink leave.
FIRST_KNOTS, MANY_KNOTS = 20, 200
# A change of slope below this share of the steepest is no kink; a gauge above the weight decay by
# as little lets no kink in.
NO_KINK = 1e-9
# The smooth neighbour of the loss: rounded by this share of the targets' size, solved to this gap.
ROUNDED, ROUNDED_TOL = 0.02, 1e-3
# A trust region's first radius, its growth, and where it is wide, as shares of the targets' size;
# values this share of the radius from its end are on it.
RADIUS, GROWTH, WIDE, AT_END = 1e-3, 4, 0.02, 1e-9
# Steps that gain less than this share of the objective do not help.
NO_GAIN = 1e-10
# Gap of least_gauge's splines, and the last weight decay it tries, as a share of the constant's
# objective: below, rounding decides.
GAUGE_TOL, LAST_SHARE = 1e-9, 1e-16


def fit_linear(line: Line, loss: Loss, weight_decay: float, tol: float, start: Array | None) -> Fit:
    """Linear programs in the values at the knots, more knots each round.  As ``fit_smooth``."""
    b = line.scaled(weight_decay)
    prover = Prover(line, loss, b)
    x, last = line.x, len(line.x) - 1
    if line.single:
        c = _constant(line, loss)
        prover.improve(_constant_dual(line, loss, c)[:, None])
        P = prover.problem.data_fit(np.full((len(line.y), 1), c))
        return prover.fit(np.zeros(1, int), np.array([c]), P)
    spaced = np.linspace(0, last, min(last + 1, FIRST_KNOTS)).astype(int)
    index = _joined(x, np.array([0, last]), spaced)
    if start is not None:
        index = _joined(x, index, start)
    guess = None
    if len(line.y) > FREE_ROWS:
        # a smooth neighbour of the loss tells where kinks and corners are
        smooth = loss.smoothed(ROUNDED * _target_size(line, loss))
        near = fit_smooth(line, smooth, weight_decay, ROUNDED_TOL, start)
        index = _joined(x, index, near.index)
        guess = np.interp(x[index], x[near.index], near.values)
    best: tuple[float, Array, Array] = (np.inf, index, np.zeros(len(index)))
    for _ in range(MAX_ROUNDS):
        # 1. The best spline on the knots at hand, and what its multipliers prove.
        values, lam = _best_values(prover, loss, index, guess)
        P = prover.objective(index, values)
        if best[0] > P:
            best = (P, index, values)
        Lam = prover.problem.centre(lam[:, None])
        prover.improve(Lam)
        prover.record(best[0], len(index) - 2)
        if best[0] - prover.lower_bound <= tol * best[0]:
            break
        # 2. Knots join where the correlation of a ramp is above the weight decay.
        h, M = ramp_correlations(x, line.sums(Lam[:, 0]))
        new = peaks(h, (1 + NO_KINK) * b - 0.5 * abs(M))
        if len(_joined(x, index, new)) == len(index):
            break
        # 3. Knots that carry no kink leave once there are many.
        slopes, changes = slope_changes(x[index], values)
        used = np.abs(changes) > NO_KINK * float(np.abs(slopes).max(initial=0.0))
        keep = np.concatenate([[True], used, [True]]) if len(index) > MANY_KNOTS else slice(None)
        old, index = index, _joined(x, index[keep], new)
        if guess is not None:
            guess = np.interp(x[index], x[old], values)
    index, values = without_flat(line, *best[1:])
    return prover.fit(index, values, prover.objective(index, values))


def least_gauge(line: Line, loss: Loss) -> float:
    """The least weight decay (of the scaled line) at which a constant c is best.

    It is the largest ``(loss(c) - loss(f)) / Omega(f)`` over splines f.  Dinkelbach's method:
    the optimum at one weight decay has a ratio above it, which is the next; few rounds.
    """
    if line.single:
        return 0.0
    prover = Prover(line, loss, 1.0)
    ends = np.array([0, len(line.x) - 1])
    constant = prover.objective(ends, np.full(2, _constant(line, loss)))
    ratio, b = 0.0, 0.1 * constant
    while b > LAST_SHARE * constant:
        fit = fit_linear(line, loss, b / line.scaled(1.0), GAUGE_TOL, None)
        penalty = ramp_penalty(*slope_changes(line.x[fit.index], fit.values))
        gain = constant - prover.objective(fit.index, fit.values) + penalty
        if gain > GAUGE_TOL * constant:
            old, ratio = ratio, gain / penalty
            if ratio <= old * (1 + GAUGE_TOL):
                break
            b = ratio
        elif ratio > 0:
            break
        else:
            b *= 0.1  # above the largest ratio the constant is best
    return ratio


def _joined(x: Array, index: Array, new: Array) -> Array:
    """Old knots and those new ones that are not on top of another."""
    union = np.union1d(index, new)
    close = np.diff(x[union]) < APART
    fresh = ~np.isin(union, index)
    drop = np.zeros(len(union), bool)
    drop[1:] = close & fresh[1:]
    drop[:-1] |= close & fresh[:-1] & ~fresh[1:]
    return union[~drop]


def _best_values(
    prover: Prover, loss: Loss, index: Array, guess: Array | None
) -> tuple[Array, Array]:
    """Values at the knots, and the dual point (n_rows,).

    With ``guess``, values at the knots of a spline near the optimum, it goes by trust regions:
    each value may move by its ``radius``, so that a sample farther than this from the corner
    of its loss stays on its side and is a linear term, not a row.  The problem is convex: where
    no box is active, or none helps, the optimum is that of the whole.
    """
    line = prover.line
    hats = _hats(line, index)
    v, radius, size = np.zeros(len(index)), np.full(len(index), NO_LIMIT), _target_size(line, loss)
    if guess is not None:
        v = guess
        radius[:] = RADIUS * size
    value = prover.objective(index, v)
    while True:
        side, slope = _from_corner(loss, hats @ v, line.y)
        free = np.abs(side) <= hats @ radius
        gradient = np.where(free, 0.0, line.weights * slope)
        box = np.stack([v - radius, v + radius], axis=1)
        new, lam_free = _linear_program(prover, loss, index, hats, free, hats.T @ gradient, box)
        active = np.abs(new - v) >= (1 - AT_END) * radius
        old, value = value, prover.objective(index, new)
        v = new
        stuck = value >= old * (1 - NO_GAIN) and np.all(radius[active] >= WIDE * size)
        if not np.any(active) or stuck:
            break
        radius[active] *= GROWTH
    lam = -gradient
    lam[free] = lam_free
    return v, lam


def _hats(line: Line, index: Array) -> Any:
    """(n_rows, n_knots) sparse: the spline at the samples from its values at the knots."""
    knots, n, m = line.x[index], len(line.y), len(index)
    left = np.clip(np.searchsorted(knots, line.sample_x, side="right") - 1, 0, m - 2)
    t = (line.sample_x - knots[left]) / np.diff(knots)[left]
    rows, columns = np.tile(np.arange(n), 2), np.concatenate([left, left + 1])
    return sp.csr_matrix((np.concatenate([1 - t, t]), (rows, columns)), (n, m))


def _linear_program(
    prover: Prover, loss: Loss, index: Array, hats: Any, free: Array, linear: Array, box: Array
) -> tuple[Array, Array]:
    """Values at the knots within ``box``, and the multipliers of the ``free`` samples.

    Only these are rows, the others the term ``linear`` (n_knots,) in the values.  The variables:
    v, each free sample above and below its corner, up and down (slope changes), Omega.
    """
    line, rows = prover.line, hats[free]
    y, w, (N, m) = line.y[free], line.weights[free], rows.shape
    width = np.diff(line.x[index])
    slope = sp.diags([-1 / width, 1 / width], [0, 1], (m - 1, m), format="csr")
    change = sp.diags([-np.ones(m - 2), np.ones(m - 2)], [0, 1], (m - 2, m - 1)) @ slope
    ends = (slope[0] + slope[m - 2]) * 0.5
    eye, one, zeros, k = sp.identity, np.ones((1, m - 2)), sp.csr_matrix, 2 * N
    place, below, above = _corners(loss, y)
    equal = [
        sp.hstack([change, zeros((m - 2, k)), -eye(m - 2), eye(m - 2), zeros((m - 2, 1))]),
        sp.hstack([rows, -eye(N), eye(N), zeros((N, 2 * (m - 2) + 1))]),
    ]
    half = 0.5 * one
    penalty = [  # Omega >= T, (T + S) / 2, (T - S) / 2
        sp.hstack([zeros((1, m + k)), one, one, [[-1.0]]]),
        sp.hstack([ends, zeros((1, k)), half, half, [[-1.0]]]),
        sp.hstack([-ends, zeros((1, k)), half, half, [[-1.0]]]),
    ]
    # the mean's weights are near 1/n: solve for n times the objective
    n, no_cost = len(line.y), np.zeros(2 * (m - 2))
    cost = n * np.concatenate([linear, above * w, -below * w, no_cost, [prover.weight_decay]])
    found = _highs(
        cost,
        A_ub=sp.vstack(penalty, format="csr"),
        b_ub=np.zeros(3),
        A_eq=sp.vstack(equal, format="csr"),
        b_eq=np.concatenate([np.zeros(m - 2), place]),
        bounds=np.vstack([box, np.tile([0.0, np.inf], (len(cost) - m, 1))]),
    )
    if found is None:
        raise ValueError(
            f"the linear program of the loss {type(loss).__name__} failed; standardise x and y"
        )
    return found.x[:m], np.clip(found.eqlin.marginals[m - 2 :] / n, -above * w, -below * w)


def _highs(cost: Array, **program: Any) -> Any:
    """What SciPy found, or None."""
    solve = partial(linprog, cost, **program)
    tight = {
        "dual_feasibility_tolerance": LP_TOLERANCE,
        "primal_feasibility_tolerance": LP_TOLERANCE,
        "time_limit": LP_SECONDS,  # of those that cycle
    }
    # on some degenerate programs presolve misleads the simplex, and interior points never end
    for method, presolve in (("highs", True), ("highs-ds", False), ("highs-ipm", False)):
        found = solve(method=method, options=tight | {"presolve": presolve})
        if found.x is not None and found.status == 0:
            return found
    return None


def _target_size(line: Line, loss: Loss) -> float:
    return 1.0 if loss.targets == "sign" else float(np.ptp(line.y))


def _corners(loss: Loss, y: Array) -> tuple[Array, Array, Array]:
    """Where the loss of each sample bends, its slope below and above."""
    corner = loss.corner(y[:, None])
    if corner is None:
        raise ValueError(f"the loss {type(loss).__name__} has no corners: it is no linear program")
    return corner[0][:, 0], corner[1][:, 0], corner[2][:, 0]


def _from_corner(loss: Loss, F: Array, y: Array) -> tuple[Array, Array]:
    """How far outputs are above the corner of their loss, and its slope there."""
    place, below, above = _corners(loss, y)
    side = F - place
    return side, np.where(side > 0, above, below)


def _constant(line: Line, loss: Loss) -> float:
    """The best constant of a piecewise-linear loss is a target: the best of those around it."""
    candidates, Y = np.unique(line.y), line.y[:, None]
    if len(candidates) > 2:
        c = best_constant(loss, Y, line.weights)[0]
        near = np.searchsorted(candidates, c)
        candidates = candidates[max(near - 2, 0) : near + 2]
    fits = [float(line.weights @ loss.value(np.full_like(Y, c), Y)) for c in candidates]
    return float(candidates[int(np.argmin(fits))])


def _constant_dual(line: Line, loss: Loss, c: float) -> Array:
    """The dual point of the best constant: samples on their corner bring its sum to zero."""
    side, slope = _from_corner(loss, np.full_like(line.y, c), line.y)
    corner = side == 0
    lam = np.where(corner, 0.0, -line.weights * slope)
    share = line.weights * corner
    return lam - share * (lam.sum() / share.sum())
