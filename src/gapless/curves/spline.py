"""Exact training on a line: linear splines, every loss, a million points.

With one feature and free biases the best ReLU network of any width is a linear spline with
kinks on data points, and training is a lasso on ramps (Ergen & Pilanci, JMLR 2021,
Corollary 3; Theorem 11 for the hinge).  The gauge is exact in O(n), so every result here is
PROVEN to its relative gap.  The same holds for rank-one data, X = 1 x_0^T + c a^T, in c.

========================  ================================================================
squared                   :mod:`gapless.curves.engine`, a few passes over the sorted data
huber, logistic           the same as the step of a Newton method
hinge, pinball            linear programs (HiGHS) on the kinks at hand, column generation
several outputs, other    :func:`gapless.train` with its exact gauge for rank-one data
bias rules, softmax
========================  ================================================================

The objective is that of :mod:`gapless.core.problem`: weighted mean loss plus
``weight_decay * Omega(f)`` with the penalty of :mod:`gapless.curves.engine`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, choose, positive, to_floats
from ..core.constant import best_constant
from ..core.losses import Loss, get_loss
from ..core.network import Network
from ..core.problem import BIAS_RULES, Problem
from ..core.result import Certificate, History, Solution, Status
from ..training.train import train
from .engine import correlations, slope_changes
from .fits import fit_linear, fit_smooth, fit_squared, least_gauge
from .line import Fit, Line, line_coordinate, target_column

PROOF = "one dimension, free bias: exact by prefix sums"


@dataclass(frozen=True, eq=False)
class SplineSolution(Solution):
    """A solution with its spline.

    Attributes
    ----------
    knots : array of shape (n_kinks,)
        Where the slope changes, in increasing order, in the units of x (rank-one data: the
        coordinate ``(X - origin) @ direction``).
    slopes : array of shape (n_kinks + 1, n_outputs)
        Slope left of the first kink, between kinks, right of the last.
    values : array of shape (max(n_kinks, 1), n_outputs)
        The spline at its knots (at ``origin`` when there is none).
    weight_decay : float
    origin, direction : array of shape (n_features,)
        The line the data lie on; 0 and 1 for one feature.
    """

    knots: Array
    slopes: Array
    values: Array
    weight_decay: float
    origin: Array
    direction: Array

    @property
    def n_kinks(self) -> int:
        return len(self.knots)

    @property
    def slope_changes(self) -> Array:
        """(n_kinks, n_outputs)"""
        return np.diff(self.slopes, axis=0)

    def predict(self, x: Any) -> Array:
        """The spline at ``x`` (n,) or (n, n_features): (n,) for one output, else (n, C).

        Beyond the data it goes on as a straight line.
        """
        F = evaluate(self.knots, self.slopes, self.values, self.coordinate(x))
        return F[:, 0] if F.shape[1] == 1 else F

    def coordinate(self, x: Any) -> Array:
        """The place along the data's line, in the units of ``knots``."""
        x = to_floats("x", x)
        if x.ndim == 2 and x.shape[1] != len(self.direction):
            raise ValueError(
                f"x has {x.shape[1]} features, the spline was fitted on {len(self.direction)}"
            )
        if len(self.direction) == 1:
            return x.reshape(-1)
        return (x - self.origin) @ self.direction

    def to_network(self) -> Network:
        """The ReLU network that draws the spline: ``self.network``."""
        return self.network


def evaluate(knots: Array, slopes: Array, values: Array, t: Array) -> Array:
    """The spline at ``t``, (len(t), n_outputs)."""
    if len(knots) == 0:
        return values[0] + t[:, None] * slopes[0]
    segment = np.searchsorted(knots, t)
    base = np.maximum(segment - 1, 0)
    return values[base] + (t - knots[base])[:, None] * slopes[segment]


@np.errstate(over="ignore", invalid="ignore")  # an objective that is not finite is refused
def solve_spline(
    x: Any,
    y: Any,
    *,
    weight_decay: float,
    loss: str | Loss = "squared",
    bias: str = "free",
    sample_weight: Any = None,
    tol: float = 1e-6,
    start: Any = None,
) -> SplineSolution:
    """The best two-layer ReLU network of any width on one feature, with its proof.

    Parameters
    ----------
    x : array of shape (n_samples,) or (n_samples, n_features)
        In any order, repeats allowed; several features must lie on a line (rank one).
    y : array of shape (n_samples,) or (n_samples, n_outputs)
        As ``loss`` asks.
    weight_decay : float
    loss : str or Loss, default "squared"
        A name, or for example ``Pinball(0.9)``.
    bias : {"free", "penalized", "none"}, default "free"
        The last two, several outputs and the softmax run the general solver.
    sample_weight : array of shape (n_samples,), optional
    tol : float, default 1e-6
        Proven relative gap to reach.
    start : array, optional
        Places near which kinks are expected (knots of a neighbouring solution).

    Returns
    -------
    SplineSolution
        ``status`` says whether ``tol`` was reached, ``certificate`` what is proven.

    Raises
    ------
    ValueError
        For NaN, infinite or non-numeric entries, shapes that differ, features that are not
        on a line, data whose objective overflows, and what the loss cannot use.

    References
    ----------
    T. Ergen and M. Pilanci, "Convex Geometry and Duality of Over-parameterized Neural
    Networks", JMLR 22, 2021: Lemma 6, Corollary 3, Theorems 11 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless.curves.spline import solve_spline
    >>> x = np.linspace(-1, 1, 101)
    >>> solution = solve_spline(x, np.abs(x), weight_decay=1e-3)
    >>> bool(solution.certificate.relative_gap <= 1e-6), solution.n_kinks
    (True, 1)
    """
    started = time.perf_counter()
    tol = positive("tol", tol)
    beta = positive("weight_decay", weight_decay)
    loss = get_loss(loss)
    choose("bias", bias, BIAS_RULES)
    y = target_column(y, x)
    if bias != "free" or y.ndim == 2 or loss.targets == "onehot":
        return _general(x, y, beta, loss, bias, sample_weight, tol)
    line = Line(x, y, sample_weight, loss)
    loss.check_targets(line.y[:, None])
    return _on_line(line, beta, tol, start, started)


def _on_line(line: Line, beta: float, tol: float, start: Any, started: float) -> SplineSolution:
    knots, loss = None if start is None else line.nearest(start), line.loss
    if loss.constant_curvature:
        fit = fit_squared(line, beta, tol, knots)
    elif np.isfinite(loss.smoothness):
        fit = fit_smooth(line, loss, beta, tol, knots)
    else:
        fit = fit_linear(line, loss, beta, tol, knots)
    return _finish(line, fit, beta, tol, started)


def weight_decay_max(
    x: Any, y: Any, *, loss: str | Loss = "squared", sample_weight: Any = None
) -> float:
    """The smallest weight decay at which the best network (free bias) is a constant.

    It is the gauge of the constant's dual point; for hinge and pinball the least gauge among
    its dual points, a linear program.
    """
    loss = get_loss(loss)
    line = Line(x, target_column(y, x), sample_weight, loss)
    line.loss.check_targets(line.y[:, None])
    if line.loss.constant_curvature:
        r = line.weights * (line.y - line.weights @ line.y)
    elif np.isfinite(line.loss.smoothness):
        constant = np.full(
            (len(line.xs), 1), best_constant(line.loss, line.y[:, None], line.weights)[0]
        )
        r = line.sums(line.problem(line.loss, 1.0).dual_point(constant)[:, 0])
    else:
        return least_gauge(line, line.loss) * line.width * line.slope
    h, M = correlations(line.x, r)
    gauge = float(np.abs(h).max()) + 0.5 * abs(M)
    return gauge * line.width * line.slope


def spline_path(
    x: Any,
    y: Any,
    *,
    weight_decays: Sequence[float] | None = None,
    n_values: int = 30,
    smallest: float = 1e-4,
    loss: str | Loss = "squared",
    sample_weight: Any = None,
    tol: float = 1e-6,
) -> list[SplineSolution]:
    """Solutions for falling weight decays, each started from the kinks of the one before.

    Each is proven on its own, so the path is exact at the values asked for.  The exact path
    of the squared loss in between is piecewise linear, yet not worth following: it has at
    least 780 pieces for a thousand samples of a noisy sine, while 30 values of a million
    samples take the time of about 120 sorts.

    ``weight_decays`` defaults to ``n_values`` of them, evenly spaced in their logarithm from
    :func:`weight_decay_max` down to ``smallest`` times it.
    """
    loss = get_loss(loss)
    if weight_decays is None:
        top = weight_decay_max(x, y, loss=loss, sample_weight=sample_weight)
        top = top if top > 0 else 1.0
        weight_decays = list(np.geomspace(top, smallest * top, n_values))
    y, tol = target_column(y, x), positive("tol", tol)
    values = sorted((positive("weight_decay", float(v)) for v in weight_decays), reverse=True)
    if y.ndim == 2 or loss.targets == "onehot":
        return [_general(x, y, v, loss, "free", sample_weight, tol) for v in values]
    line = Line(x, y, sample_weight, loss)
    loss.check_targets(line.y[:, None])
    solutions: list[SplineSolution] = []
    for value in values:
        start = solutions[-1].knots if solutions else None
        solutions.append(_on_line(line, value, tol, start, time.perf_counter()))
    return solutions


def _general(
    x: Any, y: Array, beta: float, loss: Loss, bias: str, sample_weight: Any, tol: float
) -> SplineSolution:
    """Several outputs and other bias rules: the general solver, exact gauge of rank one."""
    X = to_floats("x", x)
    X = X[:, None] if X.ndim == 1 else X
    if X.shape[1] > 1:
        line_coordinate(X)  # refuses data that are not on a line
    # each round is cheap: closer than asked, as the gap counts the dual point's distance too
    found = train(Problem(X, y, loss, beta, bias, sample_weight), tol=tol / 10)
    status = Status.of_gap(found.certificate.relative_gap, tol) or found.status
    network = found.network
    if X.shape[1] == 1:
        origin, direction = np.zeros(1), np.ones(1)
    else:
        _, origin, direction, _ = line_coordinate(X)
    u = direction @ network.hidden_weights
    shift = origin @ network.hidden_weights + network.hidden_bias
    bent = u != 0
    places = -shift[bent] / u[bent]
    knots, group = np.unique(places, return_inverse=True)
    a = network.output_weights[bent]
    changes = np.zeros((len(knots), network.n_outputs))
    np.add.at(changes, group, np.abs(u[bent])[:, None] * a)
    falling = u[bent] < 0
    first = (u[bent][falling][:, None] * a[falling]).sum(axis=0)
    slopes = np.vstack([first, first + np.cumsum(changes, axis=0)])
    at = knots if len(knots) else np.zeros(1)
    values = network.predict(origin + at[:, None] * direction)
    return SplineSolution(
        network,
        found.certificate,
        status,
        found.history,
        knots,
        slopes,
        values,
        beta,
        origin,
        direction,
    )


def _finish(line: Line, fit: Fit, beta: float, tol: float, started: float) -> SplineSolution:
    if not np.isfinite(fit.objective):
        raise ValueError(
            "the objective is not finite at this scale; divide x and y by their standard deviations"
        )
    width = line.width if line.width > 0 else 1.0
    knots, v = line.places(fit.index), fit.values * line.height + line.offset
    if len(knots) > 1:
        slopes, d = slope_changes(line.x[fit.index], fit.values)
        T, S = float(np.abs(d).sum()), float(slopes[0] + slopes[-1])
        factor = line.height / width
        d = np.concatenate([[0.0], d])
        if abs(S) > T:
            d[0] = 0.5 * (S - np.sign(S) * T)  # a kink on the first sample flattens the outside
        slopes = np.concatenate([slopes[:1] - d[0], slopes[:1] - d[0] + np.cumsum(d)])
        kinks, values = knots[:-1], v[:-1]
        used = d != 0
        network = draw(kinks[used], d[used] * factor, slopes * factor, (kinks[0], v[0]), line)
        slopes = slopes * factor
        if np.any(used):
            slopes = slopes[np.concatenate([[True], used])]
            kinks, values = kinks[used], values[used]
        else:
            kinks, slopes, values = kinks[:0], slopes[:1], v[:1] - slopes[0] * kinks[0]
    else:
        kinks, slopes, values = knots[:0], np.zeros(1), v
        network = draw(kinks, np.zeros(0), slopes, (0.0, v[0]), line)
    certificate = Certificate(fit.objective, fit.lower_bound, fit.lower_bound, PROOF)
    status = Status.of_gap(certificate.relative_gap, tol) or Status.STALLED
    history = History()
    seconds = time.perf_counter() - started
    for P, D, k in fit.history:
        history.record(seconds, Certificate(P, D, D, PROOF), k)
    history.record(seconds, certificate, network.n_neurons)
    return SplineSolution(
        network,
        certificate,
        status,
        history,
        kinks,
        slopes[:, None],
        values[:, None],
        beta,
        line.origin,
        line.direction,
    )


def draw(
    kinks: Array,
    d: Array,
    slopes: Array,
    point: tuple[float, float],
    line: Line | SplineSolution,
) -> Network:
    """The network of least penalty through ``point``.

    Each kink is one ramp, right or left; at most one kink is both.
    Right ramps minus left ramps must add up to S = slopes[0] + slopes[-1], |S| <= sum |d|.
    """
    size = np.abs(d)
    # the last kinks (in order) turn right: share of each that counts +1, filled from the right
    target = 0.5 * (float(size.sum()) + float(slopes[0] + slopes[-1]))
    before = np.concatenate([np.cumsum(size[::-1])[::-1][1:], [0.0]]) if len(d) else size
    plus = np.clip(target - before, 0.0, size)
    plus[plus < 1e-12 * size] = 0.0
    minus = size - plus
    minus[minus < 1e-12 * size] = 0.0
    plus = size - minus
    # +: right ramps of rising kinks and left ramps of falling ones
    right = np.where(d > 0, plus, minus)
    left = np.where(d > 0, minus, plus)
    sign = np.sign(d)
    coefficient = np.concatenate([(right * sign)[right > 0], (left * sign)[left > 0]])
    u = np.concatenate([np.ones(int(np.sum(right > 0))), -np.ones(int(np.sum(left > 0)))])
    t = np.concatenate([kinks[right > 0], kinks[left > 0]])
    root = np.sqrt(np.abs(coefficient))
    at, value = point
    c = value - float(coefficient @ np.maximum(u * (at - t), 0.0))
    hidden = line.direction[:, None] * (u * root)
    return Network(
        hidden,
        -root * u * t - line.origin @ hidden,
        (np.sign(coefficient) * root)[:, None],
        np.array([c]),
    )
