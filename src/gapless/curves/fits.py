"""The three ways to fit a spline: least squares, Newton, linear programs.

Each takes a :class:`gapless.curves.line.Line` and returns a :class:`gapless.curves.line.Fit`: the
spline on the scaled line, its objective in the caller's units and a proven lower bound.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from ..core.checks import Array
from ..core.constant import best_constant
from ..core.losses import EPS, Loss
from .engine import Engine, omega, peaks, slope_changes
from .line import (
    CHUNK,
    Fit,
    Line,
    Prover,
    constant_of,
    proven_gauge,
    single_place,
    without_flat,
)

MAX_ROUNDS = 100
# Samples a linear program takes as rows at first: about a tenth of a second each time.
FREE_ROWS = 1500
# Seconds after which a linear program of HiGHS is tried another way; a tenth of one is usual.
LP_SECONDS = 10.0
# Knots of a linear program are this far apart on data that span 2: its slopes stay finite.
APART = 1e-9


def fit_squared(line: Line, beta: float, tol: float, start: Array | None) -> Fit:
    b = line.scaled(beta)
    scale, half = line.value, 0.5 * line.spread
    if single_place(line):
        lower = max(_irreducible(line, 1.0), 0.0) * scale
        return Fit(np.zeros(1, int), np.array([line.weights @ line.y]), half * scale, lower, [])
    trace: list[tuple[float, float, int]] = []
    spline = line.engine.solve(b, 0.5 * tol, start, trace)
    index, values = without_flat(line, spline.index, spline.values)
    P, D = _prove(line, index, values, b, tol)
    lower = max(D, 0.0) * scale
    # the engine's bounds of the rounds charge no rounding
    rounds = [((p + half) * scale, min(max(d + half, 0.0) * scale, lower), k) for p, d, k in trace]
    return Fit(index, values, (P + half) * scale, lower, rounds)


def _irreducible(line: Line, share: float) -> float:
    """What a share of the spread proves, less the rounding of the sum and of the means."""
    half = 0.5 * line.spread
    return share * (2 - share) * (half - 64 * EPS * (half + 64 * EPS))


def _prove(line: Line, index: Array, values: Array, b: float, tol: float) -> tuple[float, float]:
    """Objective, without the spread of equal x, and lower bound of a squared-loss spline, from
    every sample.

    The dual point is a multiple of the residual, and a share of the spread: that strains the gauge
    where x are equal by rounding only, so less of it is used where that pays.
    """
    x, y, w, n = line.x, line.y, line.w, len(line.x)
    knots = x[index]
    slopes, changes = slope_changes(knots, values)
    r = np.empty(n)
    ends = index[1:].copy()
    ends[-1] = n
    mean = 0.0
    for i, j, k, v, s in zip(index[:-1], ends, knots, values, slopes):
        for lo in range(i, j, CHUNK):
            part = slice(lo, min(lo + CHUNK, j))
            out = r[part]
            np.subtract(x[part], k, out=out)
            out *= -s
            out += y[part]
            out -= v
            mean += float(out.sum()) / n if w is None else float(w[part] @ out)
    square = top = 0.0
    sums = []  # of the products of the dual point with y and with itself, of it and its size
    for lo in range(0, n, CHUNK):
        part = slice(lo, min(lo + CHUNK, n))
        e = r[part]
        weighted = e / n if w is None else w[part] * e
        square += float(np.einsum("i,i", weighted, e))
        weighted -= mean / n if w is None else mean * w[part]  # sums to zero over all samples
        e -= mean
        terms = weighted * y[part], weighted * e, weighted, np.abs(weighted)
        sums.append([float(np.sum(term)) for term in terms])
        top = max(top, float(e.max()), -float(e.min()))
        r[part] = weighted
    cross, total, lost, mass = map(math.fsum, zip(*sums))
    P = 0.5 * square + b * omega(slopes, changes)
    D = 0.0
    # Where the bound on rounding is what keeps the gap open, once more in extended precision.
    for kind in (np.float64, np.longdouble):
        gauge = proven_gauge(x, r, kind)
        if line.lost > 0:
            gauge += 2 * line.lost / line.width * float(np.linalg.norm(r))
        for share in np.minimum(1.0, np.array([b, 0.1 * b, 1e-3 * b, 0.0]) / (line.strain or b)):
            left = b - share * line.strain
            limit = max(left, 0.0) / gauge if gauge > 0 else np.inf
            s = min(max(cross / total, 0.0), limit) if total > 0 else 0.0
            # charged as in Problem.proven_value; targets are at most 1
            charge = 64 * EPS * (mass + s * total)
            charge += 2 * (abs(lost) + 64 * EPS * mass) * (1 + s * top)
            value = s * cross - 0.5 * s * s * total - s * charge
            D = max(D, max(value, 0.0) + _irreducible(line, share))
        if tol * P >= P + 0.5 * line.spread - D:
            break
    return P, D


def fit_smooth(line: Line, loss: Loss, beta: float, tol: float, start: Array | None) -> Fit:
    """Proximal Newton: the engine minimises the loss's quadratic model plus the penalty."""
    b = line.scaled(beta)
    prover = Prover(line, loss, b)
    problem, x, Y = prover.problem, line.x, line.y[:, None]
    n = len(x)
    index = np.array([0, n - 1]) if n > 1 else np.zeros(1, int)
    values = np.full(len(index), best_constant(loss, line.y[:, None], line.weights)[0])
    if single_place(line):
        F = np.full_like(Y, values[0])
        P = problem.data_fit(F)
        prover.lower = problem.proven_bound(problem.dual_point(F), 0.0)
        return prover.fit(index, values, P)
    P = prover.objective(index, values)
    for _ in range(MAX_ROUNDS):
        F = prover.outputs(index, values)[:, None]
        prover.improve(problem.dual_point(F)[:, 0])
        prover.record(P, len(index) - 2)
        if P - prover.lower <= tol * P:
            break
        h = loss.curvature(F, Y) * line.weights
        # Flat samples (clipped Huber) keep the step finite; a confident logistic sample must
        # keep its own tiny curvature, its residual is as tiny.
        h = np.where(h > 1e-30, h, 1e-6 * loss.smoothness * line.weights)
        H = line.sums(h)
        z = F[:, 0] + problem.residual(F)[:, 0] / h
        z = line.sums(h * z) / H
        mass = float(H.sum())
        kinks = index[1:-1] if len(index) > 2 else start
        # the model's own value is large and arbitrary: ask for a gap, not a share
        gap = max(1e-3 * (P - prover.lower), 1e-14 * P) / mass
        spline = Engine(x, z, H / mass).solve(b / mass, tol, kinks, accuracy=gap)
        union = np.union1d(index, spline.index)
        old = np.interp(x[union], x[index], values)
        step = np.interp(x[union], x[spline.index], spline.values) - old
        t, moved = 1.0, False
        while t > 1e-10:
            if t == 1.0:
                trial_index, trial = spline.index, spline.values
            else:
                trial_index, trial = union, old + t * step
            value = prover.objective(trial_index, trial)
            if value < P:
                index, values, P, moved = trial_index, trial, value, True
                break
            t *= 0.5
        if not moved:
            break
    index, values = without_flat(line, index, values)
    return prover.fit(index, values, P)


def fit_linear(line: Line, loss: Loss, beta: float, tol: float, start: Array | None) -> Fit:
    """Hinge and pinball: linear programs in the values at the knots, more knots each round.

    The spline is its values v at the knots, so a sample's row has two entries, not one a
    ramp.  The rows' multipliers are the dual point.
    """
    b = line.scaled(beta)
    prover = Prover(line, loss, b)
    x, n = line.x, len(line.x)
    if single_place(line):
        v = np.array([constant_of(line, loss)])
        P = prover.problem.data_fit(np.full((len(line.xs), 1), v[0]))
        Lam = _constant_dual(line, loss, v[0])[:, None]
        prover.lower = prover.problem.proven_bound(Lam, 0.0)
        return prover.fit(np.zeros(1, int), v, P)
    index = _join(x, np.array([0, n - 1]), np.linspace(0, n - 1, min(n, 20)).astype(int))
    if start is not None:
        index = _join(x, index, start)
    guess = None
    if len(line.xs) > FREE_ROWS:
        # a smooth neighbour of the loss tells where kinks and corners are
        near = fit_smooth(line, loss.smoothed(0.02 * _size(line, loss)), beta, 1e-3, start)
        index = _join(x, index, near.index)
        guess = np.interp(x[index], x[near.index], near.values)
    best: tuple[float, Array, Array] = (np.inf, index, np.zeros(len(index)))
    for _ in range(MAX_ROUNDS):
        values, Lam = _solve_lp(prover, loss, index, guess)
        P = prover.objective(index, values)
        if best[0] > P:
            best = (P, index, values)
        Lam = prover.problem.centre(Lam[:, None])[:, 0]
        prover.improve(Lam)
        prover.record(best[0], len(index) - 2)
        if best[0] - prover.lower <= tol * best[0]:
            break
        R, M = prover.correlations(Lam)
        new = peaks(R, (1 + 1e-9) * b - 0.5 * abs(M))
        if len(_join(x, index, new)) == len(index):
            break
        # knots that carry no kink leave once there are many
        slopes, changes = slope_changes(x[index], values)
        used = np.abs(changes) > 1e-9 * float(np.abs(slopes).max(initial=0.0))
        keep = np.concatenate([[True], used, [True]]) if len(index) > 200 else slice(None)
        old, index = index, _join(x, index[keep], new)
        if guess is not None:
            guess = np.interp(x[index], x[old], values)
    index, values = without_flat(line, *best[1:])
    return prover.fit(index, values, prover.objective(index, values))


def _join(x: Array, index: Array, new: Array) -> Array:
    """Old knots and those new ones that are not on top of another."""
    union = np.union1d(index, new)
    close = np.diff(x[union]) < APART
    fresh = ~np.isin(union, index)
    drop = np.zeros(len(union), bool)
    drop[1:] = close & fresh[1:]
    drop[:-1] |= close & fresh[:-1] & ~fresh[1:]
    return union[~drop]


def _solve_lp(prover: Prover, loss: Loss, index: Array, guess: Array | None) -> tuple[Array, Array]:
    """Values at the knots and the dual point.

    With ``guess``, values at the knots of a spline near the optimum, it goes by trust regions:
    each value may move by its ``radius``, so that a sample farther than this from the corner
    of its loss stays on its side and is a linear term, not a row.  The problem is convex: where
    no box is active, or none helps, the optimum is that of the whole.
    """
    line, b = prover.line, prover.b
    knots, N, m, w, y = line.x[index], len(line.xs), len(index), line.weights, line.y
    seg = np.clip(np.searchsorted(knots, line.xs, side="right") - 1, 0, m - 2)
    t = (line.xs - knots[seg]) / np.diff(knots)[seg]
    rows = np.arange(N)
    P = sp.csr_matrix(
        (np.concatenate([1 - t, t]), (np.tile(rows, 2), np.concatenate([seg, seg + 1]))), (N, m)
    )
    # 1e100 stands for no limit: infinity times a weight of zero is not a number
    v, radius, size = np.zeros(m), np.full(m, 1e100), _size(line, loss)
    if guess is not None:
        v = guess
        radius[:] = 1e-3 * size
    value = prover.objective(index, v)
    while True:
        side, slope = _from_corner(loss, P @ v, y)
        free = np.abs(side) <= P @ radius
        gradient = np.where(free, 0.0, w * slope)
        box = np.stack([v - radius, v + radius], axis=1)
        new, Lam_free = _rows_lp(loss, b, knots, P[free], y[free], w[free], P.T @ gradient, N, box)
        active = np.abs(new - v) >= (1 - 1e-9) * radius
        old, value = value, prover.objective(index, new)
        v = new
        stuck = value >= old * (1 - 1e-10) and np.all(radius[active] >= 0.02 * size)
        if not np.any(active) or stuck:
            break
        radius[active] *= 4
    Lam = -gradient
    Lam[free] = Lam_free
    return v, Lam


def _size(line: Line, loss: Loss) -> float:
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


def _constant_dual(line: Line, loss: Loss, c: float) -> Array:
    """The dual point of the best constant: samples on their corner bring its sum to zero."""
    side, slope = _from_corner(loss, np.full_like(line.y, c), line.y)
    corner = side == 0
    Lam = np.where(corner, 0.0, -line.weights * slope)
    share = line.weights * corner
    return Lam - share * (Lam.sum() / share.sum())


def _rows_lp(
    loss: Loss,
    b: float,
    knots: Array,
    P: Any,
    y: Array,
    w: Array,
    linear: Array,
    scale: int,
    box: Array,
) -> tuple[Array, Array]:
    """The linear program of the samples given, the others being ``linear`` in the values."""
    N, m = P.shape
    width = np.diff(knots)
    slope = sp.diags([-1 / width, 1 / width], [0, 1], (m - 1, m), format="csr")
    change = sp.diags([-np.ones(m - 2), np.ones(m - 2)], [0, 1], (m - 2, m - 1)) @ slope
    ends = (slope[0] + slope[m - 2]) * 0.5
    eye, one = sp.identity, np.ones((1, m - 2))
    # variables: v, each sample above and below its corner, up, down (slope changes), T the penalty
    k, zeros = 2 * N, sp.csr_matrix
    place, below, above = _corners(loss, y)
    equal = [
        sp.hstack([change, zeros((m - 2, k)), -eye(m - 2), eye(m - 2), zeros((m - 2, 1))]),
        sp.hstack([P, -eye(N), eye(N), zeros((N, 2 * (m - 2) + 1))]),
    ]
    half = 0.5 * one
    penalty = [
        sp.hstack([zeros((1, m + k)), one, one, [[-1.0]]]),
        sp.hstack([ends, zeros((1, k)), half, half, [[-1.0]]]),
        sp.hstack([-ends, zeros((1, k)), half, half, [[-1.0]]]),
    ]
    cost = np.concatenate([above * w, -below * w])
    # the mean's weights are near 1/n: solve for n times the objective
    c = scale * np.concatenate([linear, cost, np.zeros(2 * (m - 2)), [b]])
    bounds = np.vstack([box, np.tile([0.0, np.inf], (len(c) - m, 1))])
    solve = partial(
        linprog,
        c,
        A_ub=sp.vstack(penalty, format="csr"),
        b_ub=np.zeros(3),
        A_eq=sp.vstack(equal, format="csr"),
        b_eq=np.concatenate([np.zeros(m - 2), place]),
        bounds=bounds,
    )
    tight = {
        "dual_feasibility_tolerance": 1e-10,
        "primal_feasibility_tolerance": 1e-10,
        "time_limit": LP_SECONDS,  # of those that cycle
    }
    # on some degenerate programs presolve misleads the simplex, and interior points never end
    for method, presolve in (("highs", True), ("highs-ds", False), ("highs-ipm", False)):
        found = solve(method=method, options=tight | {"presolve": presolve})
        if found.x is not None and found.status == 0:
            break
    else:
        raise ValueError(
            f"the linear program of the loss {type(loss).__name__} failed; standardise x and y"
        )
    Lam = np.clip(found.eqlin.marginals[m - 2 :] / scale, -above * w, -below * w)
    return found.x[:m], Lam


def least_gauge(line: Line, loss: Loss) -> float:
    """The least weight decay (of the scaled line) at which a constant c is best.

    It is the largest ``(loss(c) - loss(f)) / Omega(f)`` over splines f.  Dinkelbach's method:
    the optimum at one weight decay has a ratio above it, which is the next; few rounds.
    """
    if len(line.x) < 2:
        return 0.0
    prover = Prover(line, loss, 1.0)
    ends = np.array([0, len(line.x) - 1])
    constant = prover.objective(ends, np.full(2, constant_of(line, loss)))
    ratio, b = 0.0, 0.1 * constant
    while b > 1e-16 * constant:
        fit = fit_linear(line, loss, b / line.scaled(1.0), 1e-9, None)
        penalty = omega(*slope_changes(line.x[fit.index], fit.values))
        gain = constant - prover.objective(fit.index, fit.values) + penalty
        if gain > 1e-9 * constant:
            old, ratio = ratio, gain / penalty
            if ratio <= old * (1 + 1e-9):
                break
            b = ratio
        elif ratio > 0:
            break
        else:
            b *= 0.1  # above the largest ratio the constant is best
    return ratio
