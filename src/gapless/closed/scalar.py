"""The one-dimensional problems behind every deep closed form.

Rescaling layers does not change a homogeneous network, so among networks with
``prod_l ||W_l||_F = rho`` the penalty ``weight_decay / 2 sum_l ||W_l||_F^2`` is at least
``weight_decay L / 2 rho^(2/L)``, with equality when all layers have the norm
``rho^(1/L)`` (arithmetic and geometric mean).  For L = 2 this is the convex ``rho``; for
L >= 3 it is concave with infinite slope at 0, so zero is always a local minimum and the
best network jumps to zero at a critical weight decay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq

from ..core.checks import Array, positive_int, to_floats

# Weight matrices of the deepest network.
DEEPEST = 1000


def check_depth(depth: object, least: int = 2) -> int:
    """``depth`` (the number of weight matrices) as an integer of at least ``least``."""
    L = positive_int("depth", depth)
    if not least <= L <= DEEPEST:
        raise ValueError(
            f"depth counts weight matrices and must lie between {least} and {DEEPEST}, got {L:g}"
        )
    return L


@np.errstate(over="ignore", invalid="ignore")  # squares of the largest floats
def deep_prox(s: Any, beta: Any, depth: int) -> tuple[Array, Array]:
    """Value and minimiser of ``min_{r >= 0} (s - r)^2 / 2 + beta depth / 2 r^(2 / depth)``.

    For ``depth = 2`` this is soft thresholding.  For ``depth >= 3`` the minimiser is
    ``t^depth`` with t the larger root of ``t^(2 depth - 2) - s t^(depth - 2) + beta = 0``
    while ``beta < critical_weight_decay(s, depth)``, and 0 from there on.

    Parameters
    ----------
    s, beta : array_like
        Signal and strength, not negative; broadcast against each other.
    depth : int
        At least 2.

    Returns
    -------
    value, minimiser : arrays

    Examples
    --------
    >>> value, r = deep_prox(2.0, 0.5, depth=4)
    >>> print(f"{value:.9f} {r:.9f}")
    1.344898383 1.605377940
    """
    L = check_depth(depth)
    s, beta = np.broadcast_arrays(to_floats("s", s), to_floats("beta", beta))
    if not (np.all(s >= 0) and np.all(beta >= 0) and np.all(np.isfinite(s + beta))):
        raise ValueError("deep_prox needs s >= 0 and beta >= 0, both finite")
    if L == 2:
        r = np.maximum(s - beta, 0.0)
        return 0.5 * (s - r) ** 2 + beta * r, r
    on = (beta < critical_weight_decay(s, L)) & (s > 0)
    t = np.where(on, s, 1.0) ** (1.0 / L)
    # Convex and increasing to the right of the larger root: Newton descends to it
    # without overshoot, at quadratic rate as long as beta is below the critical value.
    for _ in range(60):
        value = t ** (L - 2) * (t**L - s) + beta
        slope = (2 * L - 2) * t ** (2 * L - 3) - (L - 2) * s * t ** (L - 3)
        step = np.where(on, value / np.where(on, slope, 1.0), 0.0)
        t = t - step
        if np.all(np.abs(step) <= 1e-16 * t):
            break
    r = np.where(on, t**L, 0.0)
    return 0.5 * (s - r) ** 2 + 0.5 * beta * L * r ** (2.0 / L), r


def critical_weight_decay(s: Any, depth: int) -> Array:
    """The strength from which :func:`deep_prox` returns zero.

    ``s`` for two layers; ``s / (L-1) (s (L-2) / (L-1))^(1 - 2/L)`` for L >= 3, where the
    minimiser jumps from ``s (L-2) / (L-1)`` to 0.  With the library's mean loss a group of
    whitened targets of norm s is lost from ``weight_decay = critical_weight_decay(s, L) / n``.

    Several outputs and L >= 4: networks of low rank can stay alive beyond this value, so
    there it is the threshold of the closed form and not of the problem.
    """
    L = check_depth(depth)
    s = to_floats("s", s)
    if L == 2:
        return s
    return s / (L - 1) * (s * (L - 2) / (L - 1)) ** (1 - 2 / L)


def ray_minimum(
    fit: Callable[[Array], tuple[Array, Array]],
    cost: float,
    depth: int,
    upper: float,
    tol: float = 1e-13,
) -> tuple[float, float, float]:
    """Global minimum over ``0 <= rho <= upper`` of ``fit(rho) + cost rho^(2 / depth)``.

    ``fit`` returns values and slopes of a convex function.  On an interval a convex
    function lies above its end tangents and a concave one above its chord; the minimum of
    their sum is at an end or where the tangents meet, which bounds the interval from below
    with an error quadratic in its length.  Branch and bound on that needs a few hundred
    evaluations and ends with a proof.

    Returns
    -------
    rho, value, lower_bound : float
        A point, its value, and a bound below the global minimum.
    """
    p = 2.0 / depth
    # dense near zero on a logarithmic scale: the concave part is steep there
    knots = np.concatenate([[0.0], upper * np.logspace(-12, 0, 97)])
    value, slope = fit(knots)
    best_at = int(np.argmin(value + cost * knots**p))
    rho, best = float(knots[best_at]), float(value[best_at] + cost * knots[best_at] ** p)
    tolerance = tol * max(abs(best), float(np.abs(value[0])), 1e-300)
    done = np.inf
    a, b = knots[:-1], knots[1:]
    fa, fb, da, db = value[:-1], value[1:], slope[:-1], slope[1:]
    for _ in range(80):
        # where the tangents meet; a nearly linear fit has them coincide
        gap = da - db
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = np.where(gap < 0, (fb - fa + da * a - db * b) / gap, a)
        meet = np.clip(meet, a, b)
        low = np.maximum(fa + da * (meet - a), fb + db * (meet - b))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(b > a, (meet - a) / (b - a), 0.0)
        low = np.minimum(low + cost * ((1 - share) * a**p + share * b**p), fa + cost * a**p)
        low = np.minimum(low, fb + cost * b**p)
        middle = 0.5 * (a + b)
        fm, dm = fit(middle)
        total = fm + cost * middle**p
        if total.size and total.min() < best:
            best, rho = float(total.min()), float(middle[np.argmin(total)])
        open_ = (low < best - tolerance) & (middle > a) & (middle < b)
        done = min(done, float(np.min(low[~open_], initial=np.inf)))
        if not np.any(open_):
            break
        a, b, middle = a[open_], b[open_], middle[open_]
        fa, fb, da, db = fa[open_], fb[open_], da[open_], db[open_]
        fm, dm = fm[open_], dm[open_]
        a, b = np.concatenate([a, middle]), np.concatenate([middle, b])
        fa, fb = np.concatenate([fa, fm]), np.concatenate([fm, fb])
        da, db = np.concatenate([da, dm]), np.concatenate([dm, db])
    else:
        done = min(done, float(low.min()))
    # The search stops when the value is right; the point is right to the root of that, and
    # a root of the derivative brings it to rounding.
    if rho > 0:

        def derivative(x: float) -> float:
            return float(fit(np.array([x]))[1][0]) + cost * p * x ** (p - 1)

        a_end, b_end = rho * (1 - 1e-4), min(rho * (1 + 1e-4), upper)
        if derivative(a_end) < 0 < derivative(b_end):
            root = brentq(derivative, a_end, b_end, xtol=1e-300, rtol=1e-15)
            at_root = float(fit(np.array([root]))[0][0]) + cost * root**p
            if at_root <= best + tolerance:
                rho, best = float(root), min(best, at_root)
    return rho, best, min(done, best)


def envelope_minimum(d: Array, c: Array, cost: float, depth: int) -> float:
    """Lower bound of ``min_{rho >= 0} max(0, max_i d_i - rho c_i) + cost rho^(2 / depth)``.

    Between two breakpoints of the piecewise linear maximum the function is affine plus
    concave, so its minimum is at 0 or at a breakpoint: the answer is exact, and evaluating
    more points than the breakpoints does no harm.
    """
    keep = (d > 0) & np.isfinite(c)
    d, c = np.append(d[keep], 0.0), np.append(c[keep], 0.0)
    hull: list[int] = []  # lines on the upper envelope, steepest first
    starts: list[float] = []  # where each takes over from the one before
    for i in np.lexsort((-d, -c)):
        start = 0.0
        while hull:
            j = hull[-1]
            if c[j] == c[i]:
                start = np.inf  # parallel and lower
                break
            start = (d[j] - d[i]) / (c[j] - c[i])
            if start > starts[-1]:
                break
            hull.pop(), starts.pop()
            start = 0.0
        if np.isfinite(start):
            hull.append(int(i))
            starts.append(float(start))
    rho = np.array(starts)
    # a line left out by rounding only lowers the maximum: the bound stays valid
    top = np.max(d[hull][:, None] - c[hull][:, None] * rho, axis=0)
    lowest = float(np.min(top + cost * rho ** (2.0 / depth)))
    return lowest - 1e-12 * float(np.max(np.abs(d)))
