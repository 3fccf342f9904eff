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
from ..core.rounding import TINY

# Weight matrices of the deepest network.
DEEPEST = 1000
# Of the value along a ray, relative to the larger of the minimum and what nothing fits.
RAY_TOL = 1e-13


def check_depth(depth: object) -> int:
    """``depth`` (the number of weight matrices) as an integer of at least two."""
    L = positive_int("depth", depth)
    if not 2 <= L <= DEEPEST:
        raise ValueError(
            f"depth counts weight matrices and must lie between 2 and {DEEPEST}, got {L:g}"
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

    Raises
    ------
    ValueError
        For negative, infinite or NaN entries.

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

    Parameters
    ----------
    s : array_like
        Signals, as of :func:`deep_prox`.
    depth : int
        Number of weight matrices L, from 2 to 1000.

    Returns
    -------
    array of the shape of s
        In the units of ``beta`` there.

    Raises
    ------
    ValueError
        For a depth out of range or not whole, and complex entries.

    References
    ----------
    Ergen & Pilanci, "Revealing the Structure of Deep Neural Networks via Convex Duality" (ICML
    2021), for the idea; the thresholds of L >= 3 were derived anew.

    Examples
    --------
    >>> print(f"{critical_weight_decay(2.0, 2):.6f} {critical_weight_decay(2.0, 3):.6f}")
    2.000000 1.000000
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
) -> tuple[float, float, float]:
    """Global minimum over ``0 <= rho <= upper`` of ``fit(rho) + cost rho^(2 / depth)``.

    Branch and bound on intervals, each bounded from below by :func:`_interval_bounds`, with an
    error quadratic in its length: a few hundred evaluations, and it ends with a proof.

    Parameters
    ----------
    fit : callable
        Values and slopes, (k,) each, of a convex function at k points.
    cost : float
    depth : int
    upper : float

    Returns
    -------
    rho, value, lower_bound : float
        A point, its value, and a bound below the global minimum.
    """
    p = 2.0 / depth

    def evaluated(points: Array) -> Array:
        return np.stack([points, *fit(points)])

    # dense near zero on a logarithmic scale: the concave part is steep there
    knots = evaluated(np.concatenate([[0.0], upper * np.logspace(-12, 0, 97)]))
    at = int(np.argmin(knots[1] + cost * knots[0] ** p))
    rho, best = float(knots[0, at]), float(knots[1, at] + cost * knots[0, at] ** p)
    tolerance = RAY_TOL * max(abs(best), float(np.abs(knots[1, 0])), TINY)
    settled = np.inf  # the least bound of the intervals that are done
    left, right = knots[:, :-1], knots[:, 1:]
    for _ in range(80):
        low = _interval_bounds(left, right, cost, p)
        middle = evaluated(0.5 * (left[0] + right[0]))
        total = middle[1] + cost * middle[0] ** p
        if total.size and total.min() < best:
            best, rho = float(total.min()), float(middle[0, np.argmin(total)])
        # an interval with no float inside cannot be halved
        inside = (middle[0] > left[0]) & (middle[0] < right[0])
        worth = (low < best - tolerance) & inside
        settled = min(settled, float(np.min(low[~worth], initial=np.inf)))
        if not np.any(worth):
            break
        left, middle, right = left[:, worth], middle[:, worth], right[:, worth]
        left, right = np.hstack([left, middle]), np.hstack([middle, right])
    else:
        settled = min(settled, float(low.min()))
    if rho > 0:
        rho, best = _polished(fit, cost, p, rho, best, upper, tolerance)
    return rho, best, min(settled, best)


def _interval_bounds(left: Array, right: Array, cost: float, p: float) -> Array:
    """Bounds of ``fit + cost rho^p`` on intervals, their ends (3, k): points, values, slopes.

    A convex function lies above its end tangents, a concave one above its chord; the minimum of
    their sum is at an end or where the tangents meet.
    """
    (a, fa, da), (b, fb, db) = left, right
    gap = da - db
    with np.errstate(divide="ignore", invalid="ignore"):
        # a nearly linear fit has them coincide
        meet = np.where(gap < 0, (fb - fa + da * a - db * b) / gap, a)
    meet = np.clip(meet, a, b)
    low = np.maximum(fa + da * (meet - a), fb + db * (meet - b))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(b > a, (meet - a) / (b - a), 0.0)
    low = np.minimum(low + cost * ((1 - share) * a**p + share * b**p), fa + cost * a**p)
    return np.minimum(low, fb + cost * b**p)


def _polished(
    fit: Callable[[Array], tuple[Array, Array]],
    cost: float,
    p: float,
    rho: float,
    best: float,
    upper: float,
    tolerance: float,
) -> tuple[float, float]:
    """A root of the derivative near ``rho``, and the value there.

    The search stops when the value is right; the point is right to the root of that only.
    """

    def derivative(x: float) -> float:
        return float(fit(np.array([x]))[1][0]) + cost * p * x ** (p - 1)

    start, end = rho * (1 - 1e-4), min(rho * (1 + 1e-4), upper)
    if derivative(start) < 0 < derivative(end):
        root = brentq(derivative, start, end, xtol=TINY, rtol=1e-15)
        value = float(fit(np.array([root]))[0][0]) + cost * root**p
        if value <= best + tolerance:
            return float(root), min(best, value)
    return rho, best


def envelope_minimum(d: Array, c: Array, cost: float, depth: int) -> float:
    """Lower bound of ``min_{rho >= 0} max(0, max_i d_i - rho c_i) + cost rho^(2 / depth)``.

    Between two breakpoints of the piecewise linear maximum the function is affine plus
    concave, so its minimum is at 0 or at a breakpoint: the answer is exact, and evaluating
    more points than the breakpoints does no harm.

    Parameters
    ----------
    d, c : arrays of shape (k,)
    cost : float
    depth : int

    Returns
    -------
    float
        Rounding of 1e-12 of the largest d is charged to it.
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
