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
``weight_decay * Omega(f)`` with the penalty of :mod:`gapless.curves.ramps`.
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
from .drawing import draw_network, kinks_of
from .fits import fit_smooth, fit_squared
from .line import Line, line_coordinate, target_column
from .linear_programs import fit_linear, least_gauge
from .proofs import Fit
from .ramps import ramp_correlations, slope_changes

PROOF = "one dimension, free bias: exact by prefix sums"
# The general solver's tolerance, as a share of the one asked for: its rounds are cheap here, and
# its gap counts the dual point's distance too.
GENERAL_TOL = 10


@dataclass(frozen=True, eq=False, repr=False)
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
        """How many places the slope changes at."""
        return len(self.knots)

    @property
    def slope_changes(self) -> Array:
        """What the slope gains at each knot, an array of shape (n_kinks, n_outputs)."""
        return np.diff(self.slopes, axis=0)

    def predict(self, x: Any) -> Array:
        """The spline at ``x``; beyond the data it goes on as a straight line.

        Parameters
        ----------
        x : array of shape (n_samples,) or (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_outputs)
            The first for one output.

        Raises
        ------
        ValueError
            For another number of features.
        """
        t = self.coordinate(x)
        if self.n_kinks == 0:
            F = self.values[0] + t[:, None] * self.slopes[0]
        else:
            segment = np.searchsorted(self.knots, t)
            base = np.maximum(segment - 1, 0)
            F = self.values[base] + (t - self.knots[base])[:, None] * self.slopes[segment]
        return F[:, 0] if F.shape[1] == 1 else F

    def coordinate(self, x: Any) -> Array:
        """The place along the data's line, in the units of ``knots``.

        Parameters
        ----------
        x : array of shape (n_samples,) or (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
            ``(x - origin) @ direction``; for one feature x itself.

        Raises
        ------
        ValueError
            For another number of features.
        """
        x = to_floats("x", x)
        if x.ndim == 2 and x.shape[1] != len(self.direction):
            raise ValueError(
                f"x has {x.shape[1]} features, the spline was fitted on {len(self.direction)}"
            )
        if len(self.direction) == 1:
            return x.reshape(-1)
        return (x - self.origin) @ self.direction

    def to_network(self) -> Network:
        """The ReLU network that draws the spline: ``self.network``.

        Returns
        -------
        Network
        """
        return self.network


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
    weight_decay = positive("weight_decay", weight_decay)
    loss = get_loss(loss)
    choose("bias", bias, BIAS_RULES)
    y = target_column(y, x)
    if bias != "free" or y.ndim == 2 or loss.targets == "onehot":
        return _general(x, y, weight_decay, loss, bias, sample_weight, tol)
    line = Line(x, y, sample_weight, loss)
    loss.check_targets(line.y[:, None])
    return _on_line(line, weight_decay, tol, start, started)


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

    Parameters
    ----------
    x, y, loss, sample_weight, tol
        As for :func:`solve_spline`, under a free bias.
    weight_decays : sequence of float, optional
        Default: ``n_values`` of them, evenly spaced in their logarithm from
        :func:`flat_spline_weight_decay` down to ``smallest`` times it.
    n_values : int, default 30
    smallest : float, default 1e-4

    Returns
    -------
    list of SplineSolution
        By falling weight decay.

    Raises
    ------
    ValueError
        As :func:`solve_spline`.
    """
    loss = get_loss(loss)
    if weight_decays is None:
        top = flat_spline_weight_decay(x, y, loss=loss, sample_weight=sample_weight)
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


def flat_spline_weight_decay(
    x: Any, y: Any, *, loss: str | Loss = "squared", sample_weight: Any = None
) -> float:
    """The smallest weight decay at which the best network (free bias) is a constant.

    It is the gauge of the constant's dual point; for hinge and pinball the least gauge among
    its dual points, a linear program.

    Parameters
    ----------
    x, y, loss, sample_weight
        As for :func:`solve_spline`, with one output.

    Returns
    -------
    float
        Zero where a constant is the best for every weight decay.

    Raises
    ------
    ValueError
        As :func:`solve_spline`.
    """
    loss = get_loss(loss)
    line = Line(x, target_column(y, x), sample_weight, loss)
    line.loss.check_targets(line.y[:, None])
    if line.loss.constant_curvature:
        r = line.weights * (line.y - line.weights @ line.y)
    elif np.isfinite(line.loss.smoothness):
        c = best_constant(line.loss, line.y[:, None], line.weights)[0]
        constant = np.full((len(line.y), 1), c)
        r = line.sums(line.problem(line.loss, 1.0).dual_point(constant)[:, 0])
    else:
        return least_gauge(line, line.loss) * line.width * line.slope_unit
    h, M = ramp_correlations(line.x, r)
    gauge = float(np.abs(h).max()) + 0.5 * abs(M)
    return gauge * line.width * line.slope_unit


def _on_line(
    line: Line, weight_decay: float, tol: float, start: Any, started: float
) -> SplineSolution:
    places, loss = None if start is None else line.nearest(start), line.loss
    if loss.constant_curvature:
        fit = fit_squared(line, weight_decay, tol, places)
    elif np.isfinite(loss.smoothness):
        fit = fit_smooth(line, loss, weight_decay, tol, places)
    else:
        fit = fit_linear(line, loss, weight_decay, tol, places)
    if not np.isfinite(fit.objective):
        raise ValueError(
            "the objective is not finite at this scale; divide x and y by their standard deviations"
        )
    network, kinks, slopes, values = _in_callers_units(line, fit)
    certificate = Certificate(fit.objective, fit.lower_bound, fit.lower_bound, PROOF)
    status = Status.of_gap(certificate.relative_gap, tol) or Status.STALLED
    history, seconds = History(), time.perf_counter() - started
    for P, D, n_kinks in fit.rounds:
        history.record(seconds, Certificate(P, D, D, PROOF), n_kinks)
    history.record(seconds, certificate, network.n_neurons)
    return SplineSolution(
        network, certificate, status, history,
        kinks, slopes[:, None], values[:, None], weight_decay, line.origin, line.direction,
    )  # fmt: skip


def _in_callers_units(line: Line, fit: Fit) -> tuple[Network, Array, Array, Array]:
    """Network, kinks, slopes and values of a fit, its line outside the data as flat as pays."""
    knots, v = line.coordinates(fit.index), fit.values * line.height + line.offset
    none = knots[:0]
    if len(knots) == 1:
        slopes = np.zeros(1)
        network = draw_network(none, none, slopes, (0.0, v[0]), line.origin, line.direction)
        return network, none, slopes, v
    slopes, changes = slope_changes(line.x[fit.index], fit.values)
    T, S = float(np.abs(changes).sum()), float(slopes[0] + slopes[-1])
    d = np.concatenate([[0.0], changes])
    if abs(S) > T:
        d[0] = 0.5 * (S - np.sign(S) * T)  # a kink on the first sample flattens the outside
    slopes = np.concatenate([slopes[:1] - d[0], slopes[:1] - d[0] + np.cumsum(d)])
    factor, used = line.height / line.unit, d != 0
    slopes = slopes * factor
    kinks = knots[:-1][used]
    network = draw_network(
        kinks, d[used] * factor, slopes, (knots[0], v[0]), line.origin, line.direction
    )
    if len(kinks) == 0:
        return network, none, slopes[:1], v[:1] - slopes[0] * knots[0]
    return network, kinks, slopes[np.concatenate([[True], used])], v[:-1][used]


def _general(
    x: Any, y: Array, weight_decay: float, loss: Loss, bias: str, sample_weight: Any, tol: float
) -> SplineSolution:
    """Several outputs and other bias rules: the general solver, exact gauge of rank one."""
    X = to_floats("x", x)
    X = X[:, None] if X.ndim == 1 else X
    origin, direction = np.zeros(1), np.ones(1)
    if X.shape[1] > 1:  # refuses data that are not on a line
        _, origin, direction, _ = line_coordinate(X)
    problem = Problem(X, y, loss, weight_decay, bias, sample_weight)
    found = train(problem, tol=tol / GENERAL_TOL)
    status = Status.of_gap(found.certificate.relative_gap, tol) or found.status
    knots, slopes = kinks_of(found.network, origin, direction)
    at = knots if len(knots) else np.zeros(1)
    values = found.network.predict(origin + at[:, None] * direction)
    return SplineSolution(
        found.network, found.certificate, status, found.history,
        knots, slopes, values, weight_decay, origin, direction,
    )  # fmt: skip
