"""The other optimal splines: which kinks may slide, and where to.

The optimal values at the data are unique for the squared loss, the spline between the data is
not (Ergen & Pilanci, JMLR 2021, Proposition 1).  Where two neighbouring data points a < b
both carry a kink of the same sign, R(t) of :mod:`gapless.curves.ramps` stays at its bound in
between (the multipliers of the active samples sum to zero), so slope change may move between
a and b.  Loss, sum of |d| and the slopes at infinity stay the same as long as mass and centre of
mass of the slope change do:  d_a + d_b  and  d_a a + d_b b.  A kink on the first sample only bends
the line outside the data; it may move away from them without end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.checks import Array, choose
from .drawing import draw_network
from .spline import SplineSolution

#: Kinks that stand for a smooth turn: a picture shows no corners between so many.
PIECES = 9


@dataclass(frozen=True)
class Slide:
    """Slope change that may move without a change of the objective.

    Attributes
    ----------
    low, high : float
        The interval it may lie in; ``low = -inf`` for a kink on the first sample.
    centre : float
        Its centre of mass, which must stay; nan for a kink on the first sample: it has none.
    mass : float
        The slope change.
    first : int
        Number of its first kink among ``solution.knots``.
    """

    low: float
    high: float
    centre: float
    mass: float
    first: int


def sliding_intervals(solution: SplineSolution, x: Any) -> list[Slide]:
    """Which kinks of a solution may slide, and in which interval.

    Parameters
    ----------
    solution : SplineSolution
        With one output and kinks on data points, as solved.
    x : array of shape (n_samples,) or (n_samples, n_features)
        The data it was fitted on.

    Returns
    -------
    list of Slide
        From left to right.  A run of more than two neighbouring kinks is taken pair by pair from
        the left.

    Raises
    ------
    ValueError
        For several outputs.
    """
    if solution.slopes.shape[1] != 1:
        raise ValueError(
            f"the spline has {solution.slopes.shape[1]} outputs; sliding kinks are known for one"
        )
    places = np.unique(solution.coordinate(x))
    knots, d = solution.knots, solution.slope_changes[:, 0]
    where = np.searchsorted(places, knots)
    slides: list[Slide] = []
    j = 0
    if len(knots) and knots[0] == places[0]:
        slides.append(Slide(-np.inf, float(knots[0]), np.nan, float(d[0]), 0))
        j = 1
    while j + 1 < len(knots):
        if where[j + 1] == where[j] + 1 and d[j] * d[j + 1] > 0:
            a, b, mass = float(knots[j]), float(knots[j + 1]), float(d[j] + d[j + 1])
            # measured from a: the centre stays inside however close a and b are
            centre = a + (b - a) * float(d[j + 1]) / mass
            slides.append(Slide(a, b, centre, mass, j))
            j += 2
        else:
            j += 1
    return slides


def optimal_member(solution: SplineSolution, x: Any, kind: str = "few") -> SplineSolution:
    """Another spline of the same objective.

    Parameters
    ----------
    solution, x
        As for :func:`sliding_intervals`.
    kind : {"few", "smooth"}, default "few"
        "few" joins each sliding pair into one kink at its centre: the fewest kinks.
        "smooth" spreads each over the widest interval around the centre that is left, in
        equal parts: the smallest steps of the slope.

    Returns
    -------
    SplineSolution
        The very same one when no two kinks slide.

    Raises
    ------
    ValueError
        For several outputs, and another ``kind``.
    """
    choose("kind", kind, ("few", "smooth"))
    knots, d = list(solution.knots), list(solution.slope_changes[:, 0])
    pairs = [s for s in sliding_intervals(solution, x) if np.isfinite(s.low)]
    for slide in reversed(pairs):
        if kind == "few":
            new = np.array([slide.centre])
        else:
            reach = min(slide.centre - slide.low, slide.high - slide.centre)
            new = slide.centre + reach * np.linspace(-1, 1, PIECES)
        knots[slide.first : slide.first + 2] = new.tolist()
        d[slide.first : slide.first + 2] = [slide.mass / len(new)] * len(new)
    if not pairs:
        return solution
    return _rebuilt(solution, np.array(knots), np.array(d))


def _rebuilt(solution: SplineSolution, knots: Array, d: Array) -> SplineSolution:
    first = float(solution.slopes[0, 0])
    slopes = np.concatenate([[first], first + np.cumsum(d)])
    # left of the first kink nothing has moved
    start = float(min(knots[0], solution.knots[0]))
    value = float(solution.values[0, 0]) + first * (start - float(solution.knots[0]))
    rises = np.concatenate([[0.0], np.cumsum(slopes[1:-1] * np.diff(knots))])
    values = value + (first * (knots[0] - start) + rises)
    network = draw_network(knots, d, slopes, (start, value), solution.origin, solution.direction)
    return replace(
        solution, network=network, knots=knots, slopes=slopes[:, None], values=values[:, None]
    )
