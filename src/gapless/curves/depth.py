"""Deep networks on a line, each result exact for the regulariser it names.

:func:`solve_deep_lasso`
    narrow networks in parallel, every layer with a bias, penalty
    ``(weight_decay / L) ||theta||_L^L``: by balancing, a lasso on the features that one unit
    path of depth L can draw (Zeger, Wang, Mishkin, Ergen, Candes & Pilanci, "A Library of
    Mirrors", 2024).  Small n: there are O(n^(L-1)) features and more.
:func:`solve_last_bias`
    standard networks of depth L on x >= 0 with biases in the LAST hidden layer only and in the
    output, plain weight decay ``(weight_decay / 2) ||theta||_2^2``: the shallow ramps with the
    penalty ``(L / 2) weight_decay rho^(2/L)``, rho the sum of slope changes.  Biases in ALL
    hidden layers do better than that formula: it is then an upper bound only.

The loss is the mean of ``1/2 (f - y)^2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..closed.scalar import envelope_minimum
from ..core.checks import Array, positive, to_floats
from ..core.problem import Problem
from ..core.result import Certificate
from ..core.rounding import EPS, TINY
from ..training.master import solve_master
from .ramps import ramp_penalty, slope_changes
from .spline import SplineSolution, flat_spline_weight_decay, solve_spline

# Features times samples: 320 MB.
MAX_ENTRIES = 40_000_000
# Features that agree to so many digits of the data's spread are one; that vary by less, constant.
DIGITS, CONSTANT = 12, 1e-12
# Rounds of either solver at most, and features that join in one.
MAX_ROUNDS, JOINING = 200, 20
# A gauge above the weight decay by this share is equal to it.
EQUAL = 1e-12
# The second shallow weight decay, as a share of the one of the constant, and how much smaller the
# next is where the crossing is with the line of zero loss.
SECOND, SMALLER = 1e-4, 0.1
# Tolerance of the shallow problems, as a share of the one asked for.
SHALLOW_TOL = 1e-3


@dataclass(frozen=True, eq=False)
class DeepSpline:
    """``f(x) = offset + sum_j weights_j feature_j(x)``.

    A feature is a path of L - 1 pairs (sign s, place a):
    ``g_1(x) = x``, ``g_{l+1}(x) = (s_l (g_l(x) - g_l(a_l)))_+``.

    Attributes
    ----------
    signs, places : arrays of shape (n_features, depth - 1)
    weights : array of shape (n_features,)
    offset : float
    certificate : Certificate
    """

    signs: Array
    places: Array
    weights: Array
    offset: float
    certificate: Certificate

    @property
    def depth(self) -> int:
        """Layers L, the output among them."""
        return self.signs.shape[1] + 1

    def predict(self, x: Any) -> Array:
        """The function at ``x`` (n_samples,)."""
        x = to_floats("x", x).reshape(-1)
        return self.offset + _features(x, self.signs, self.places) @ self.weights


def _features(x: Array, signs: Array, places: Array) -> Array:
    """(n, n_features), one column a path."""
    m, layers = signs.shape
    G = np.broadcast_to(x[:, None], (len(x), m))
    P = places.T.copy()  # the places, sent through the layers along with the data
    for k in range(layers):
        P[k:], G = (
            np.maximum(signs[:, k] * (P[k:] - P[k]), 0.0),
            np.maximum(signs[:, k] * (G - P[k]), 0.0),
        )
    return G


def deep_paths(x: Any, depth: int) -> tuple[Array, Array]:
    """Signs and places of the features that differ on the data ``x``.

    From depth 4 the first place may also be the mirror image ``2 a - b`` of a data point b in
    a data point a.

    Parameters
    ----------
    x : array of shape (n_samples,)
    depth : {2, 3, 4}

    Returns
    -------
    signs, places : arrays of shape (n_features, depth - 1)

    Raises
    ------
    ValueError
        For other depths and for more features than memory should hold.
    """
    x = np.unique(to_floats("x", x))
    if depth not in (2, 3, 4):
        raise ValueError(f"depth={depth!r} is unknown; choose 2, 3 or 4")
    first = x
    if depth == 4:
        first = np.unique(np.concatenate([x, np.ravel(2 * x[:, None] - x[None, :])]))
    count = 2 ** (depth - 1) * len(first) * len(x) ** (depth - 2)
    if count * len(x) > MAX_ENTRIES:
        raise ValueError(
            f"{len(x)} distinct x give {count} features at depth {depth}; use fewer samples or "
            "a smaller depth"
        )
    signs, places = np.zeros((1, 0)), np.zeros((1, 0))
    for layer in range(depth - 1):
        sites = first if layer == 0 else x
        m = len(signs)
        signs = np.hstack(
            [
                np.repeat(signs, 2 * len(sites), axis=0),
                np.tile(np.repeat([1.0, -1.0], len(sites)), m)[:, None],
            ]
        )
        places = np.hstack(
            [np.repeat(places, 2 * len(sites), axis=0), np.tile(sites, 2 * m)[:, None]]
        )
        # features equal on the data are one; a constant one belongs to the offset
        G = _features(x, signs, places)
        scale = float(np.ptp(x)) or 1.0
        keep = np.flatnonzero(np.ptp(G, axis=0) > CONSTANT * scale)
        if layer == depth - 2:
            shape = np.round((G[:, keep] - G[0, keep]) / scale, DIGITS) + 0.0
            keep = keep[np.sort(np.unique(shape, axis=1, return_index=True)[1])]
        signs, places = signs[keep], places[keep]
    return signs, places


def solve_deep_lasso(
    x: Any, y: Any, *, weight_decay: float, depth: int = 3, tol: float = 1e-6
) -> DeepSpline:
    """Narrow deep networks in parallel, as a lasso over all their features.

    Exact for the penalty ``(weight_decay / L) ||theta||_L^L`` on parallel unit-width paths
    with a bias in every layer and in the output, over the features of :func:`deep_paths`:

        min over a, c of  1/(2n) sum_i (sum_j a_j g_j(x_i) + c - y_i)^2 + weight_decay ||a||_1.

    Parameters
    ----------
    x, y : arrays of shape (n_samples,)
    weight_decay : float
    depth : {2, 3, 4}, default 3
    tol : float, default 1e-6
        Proven relative gap to reach.

    Returns
    -------
    DeepSpline

    Raises
    ------
    ValueError
        As :func:`deep_paths`, and for data that are not finite numbers.

    Examples
    --------
    >>> from gapless.curves.depth import solve_deep_lasso
    >>> x, y = [0, 5, 7, 10, 12], [0, 0, 2, 3, 3]
    >>> deep = [solve_deep_lasso(x, y, weight_decay=1e-6, depth=L) for L in (2, 3, 4)]
    >>> [round(float(abs(s.weights).sum()), 3) for s in deep]
    [2.0, 1.0, 1.0]
    """
    x = to_floats("x", x).reshape(-1)
    problem = Problem(x[:, None], y, "squared", weight_decay, "free")
    signs, places = deep_paths(x, depth)
    D = _features(x, signs, places)
    # what features taken for one or for constant may differ by, and the rounding of their sums
    beside = 2 * 10.0**-DIGITS * float(np.ptp(x)) + (len(x) + 8) * EPS * float(D.max(initial=0.0))
    active = np.zeros(0, int)
    a, c = np.zeros((0, 1)), problem.sample_weight @ problem.Y
    lower, P = 0.0, np.inf
    for _ in range(MAX_ROUNDS):
        F = D[:, active] @ a + c
        Lam = problem.dual_point(F)
        size = np.abs(D.T @ Lam)[:, 0]
        gauge = float(size.max(initial=0.0)) + beside * float(np.abs(Lam).sum())
        lower = max(lower, problem.proven_bound(Lam, gauge))
        P = problem.data_fit(F) + problem.weight_decay * float(np.abs(a).sum())
        if P - lower <= tol * P:
            break
        size[active] = 0.0
        new = np.argsort(-size)[:JOINING]
        new = new[size[new] > problem.weight_decay * (1 + EQUAL)]
        if len(new) == 0:
            break
        active = np.concatenate([active, new])
        a = np.vstack([a, np.zeros((len(new), 1))])
        a, c = solve_master(problem, D[:, active], a, c)
        used = np.abs(a[:, 0]) > 0
        active, a = active[used], a[used]
    proof = f"dictionary of depth {depth}: every feature checked"
    certificate = Certificate(P, lower, lower, proof)
    return DeepSpline(signs[active], places[active], a[:, 0], float(c[0]), certificate)


def solve_last_bias(
    x: Any, y: Any, *, weight_decay: float, depth: int = 3, tol: float = 1e-4
) -> tuple[SplineSolution, list[Array], Array, Certificate]:
    """Depth L on x >= 0, plain weight decay, biases in the last hidden layer and the output.

    The problem is ``min_rho phi(rho) + (L/2) weight_decay rho^(2/L)`` with phi(rho) the least
    mean loss among splines of penalty rho: convex plus concave.  Shallow problems for several
    lam give lines ``phi(rho) >= D(lam) - lam rho`` (weak duality); between their crossings the
    sum of the highest line and the concave penalty is least at an end, so finitely many points
    bound the optimum from below.  Lines are added where that bound is least.

    Parameters
    ----------
    x, y : arrays of shape (n_samples,)
        No x negative.
    weight_decay : float
    depth : int, default 3
        L, at least 3.
    tol : float, default 1e-4
        Proven relative gap to reach.

    Returns
    -------
    spline : SplineSolution
        The function; its own certificate is that of its shallow problem.
    weights : list of arrays
        ``W_1, ..., W_L`` of the deep network, ``h -> W_l^T h``, ReLU between.
    bias : array
        Of the last hidden layer; the output bias is the last entry.
    certificate : Certificate
        For the deep problem: proven.

    Raises
    ------
    ValueError
        For a depth below 3, and when an x is negative: without lower biases a ramp through zero
        needs two channels.  Shift the data (``x - min(x)``) if the shift may be part of the model.
    """
    x = to_floats("x", x).reshape(-1)
    beta, L = positive("weight_decay", weight_decay), int(depth)
    if L < 3:
        raise ValueError(f"depth={depth!r} has no lower layers; use solve_spline for depth 2")
    if np.min(x) < 0:
        raise ValueError(
            f"x has negative entries (least {np.min(x):g}); shift them: x - x.min() is exact "
            "when the shift may be part of the model"
        )
    y = to_floats("y", y).reshape(-1)
    top = flat_spline_weight_decay(x, y)
    constant = solve_spline(x, y, weight_decay=max(2 * top, TINY))
    best, best_value = constant, constant.certificate.objective
    if not top > 0:
        return _deep(best, L, best_value, best_value)
    cost, lower = 0.5 * L * beta, 0.0
    lines: dict[float, float] = {}  # lam and D(lam)
    lams = [float(top), float(SECOND * top)]
    for _ in range(MAX_ROUNDS):
        for lam in lams:
            s = solve_spline(x, y, weight_decay=lam, tol=SHALLOW_TOL * tol)
            rho = _penalty(s, x)
            lines[lam] = s.certificate.lower_bound
            value = s.certificate.objective - lam * rho + cost * rho ** (2 / L)
            if value < best_value:
                best, best_value = s, value
        bound, lam = _envelope(lines, cost, L)
        lower = max(bound, 0.0)
        if best_value - lower <= tol * best_value or lam in lines:
            break
        lams = [lam]
    return _deep(best, L, best_value, lower)


def _envelope(lines: dict[float, float], cost: float, L: int) -> tuple[float, float]:
    """The least of the highest line plus ``cost rho^(2/L)``, and the lam that may raise it."""
    # vertices: rho = 0 and where neighbours cross; loss >= 0 is the last line
    order = sorted(lines, reverse=True)
    steep = np.array([*order, 0.0])
    height = np.array([*(lines[lam] for lam in order), 0.0])
    rhos = np.maximum(np.concatenate([[0.0], -np.diff(height) / -np.diff(steep)]), 0.0)
    highest = (height - np.outer(rhos, steep)).max(axis=1)
    worst = int(np.argmin(highest + cost * rhos ** (2 / L)))
    # the crossing that bounds worst lies between these two slopes
    high, low = steep[max(worst - 1, 0)], steep[worst] if worst else steep[1]
    lam = float(np.sqrt(high * low)) if low > 0 else SMALLER * float(high)
    return envelope_minimum(height, steep, cost, L), lam


def _penalty(s: SplineSolution, x: Array) -> float:
    hull = np.unique(np.concatenate([[x.min(), x.max()], s.knots]))
    return ramp_penalty(*slope_changes(hull, s.predict(hull))) if len(hull) > 1 else 0.0


def _deep(
    s: SplineSolution, L: int, value: float, lower: float
) -> tuple[SplineSolution, list[Array], Array, Certificate]:
    """Weights of the deep network that draws ``s`` at the least plain weight decay."""
    net = s.network.balance()
    u, a = net.hidden_weights[0], net.output_weights[:, 0]
    z = u * np.abs(a)  # |z| slope change, its sign the ramp's side
    rho = float(np.abs(z).sum())
    t = rho ** (1 / L)
    q = np.sqrt(np.abs(z) / rho) if rho > 0 else np.zeros(0)
    last = t * np.sign(u) * q
    lower_layers = [np.array([[t]]) for _ in range(L - 2)]
    weights = [*lower_layers, last[None, :], (t * q * np.sign(a))[:, None]]
    kinks = -net.hidden_bias / u
    bias = np.append(-(t ** (L - 2)) * last * kinks, net.output_bias[0])
    bound = min(lower, value)
    proof = "lines of shallow duals under a concave penalty"
    return s, weights, bias, Certificate(value, bound, bound, proof)
