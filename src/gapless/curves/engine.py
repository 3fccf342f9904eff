"""Weighted least squares with the ramp penalty: column generation on cells of samples.

For sorted distinct x and weights w of sum one this solves, over linear splines f,

    min_f  1/2 sum_i w_i (y_i - f(x_i))^2 + weight_decay Omega(f),

Omega the penalty of :mod:`gapless.curves.ramps`.  With the signs of the slope changes given, the
optimum is one tridiagonal solve.  Kinks whose sign turns out wrong leave; those where the
residual's correlation |R - M/2| is largest enter.  Kinks are first sought at the ends of the
cells (:mod:`gapless.curves.cells`); a cell is split when a bound on R inside it allows a kink
there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.checks import Array
from ..core.rounding import TINY
from .cells import Cells
from .ramps import SplineLoss, peaks, ramp_correlations, slope_changes, with_ends

# Rounds end here at the latest; what they found is proven as far as it got.
MAX_ROUNDS = 500
# Two kinks of a master closer than this share of the hull are one in float64.
CLOSEST = 1e-13
# Masters in a row that gain less than this share of the objective: kinks trade places by rounding.
NO_GAIN, FAILURES = 1e-15, 3
# A gauge that is too large by a share of the weight decay costs that share of the penalty.  It may
# cost this part of the tolerance, the share being held between rounding and what would be sloppy.
GAUGE_PART, LEAST_SHARE, LARGEST_SHARE = 0.2, 1e-11, 1e-3
# That share where the penalty is zero, so that any would do.
SHARE_WITHOUT_PENALTY = 1e-9


class KinkedSpline(NamedTuple):
    """The best spline whose kinks are some knots of a form, with signs given."""

    kinks: Array  #: numbers of the knots that are kinks, rising; neither end is one
    signs: Array  #: of the slope changes there
    values: Array  #: at the first knot, the kinks and the last knot
    objective: float  #: ``SplineLoss.penalised``


class Round(NamedTuple):
    """What one round of a solver knew."""

    objective: float
    lower_bound: float
    n_kinks: int


class Engine:
    """Solves one set of data (see :class:`gapless.curves.cells.Cells`); a second ``solve`` profits
    from the cells of the first."""

    def __init__(self, x: Array, y: Array, w: Array | None) -> None:
        self.cells = Cells(x, y, w)

    def solve(
        self, weight_decay: float, start: Array | None, *, tol: float = 0.0, gap: float = 0.0
    ) -> tuple[Array, Array, list[Round]]:
        """The spline of least objective, to ``tol`` times it or to ``gap``, whichever is more.

        ``start`` holds samples that are likely kinks.  Returned are the samples of the knots, both
        ends included, the values there, and the rounds; their lower bounds charge no rounding, and
        are -inf while cells hide samples.
        """
        cells = self.cells
        spline = self._first(start, weight_decay)
        rounds: list[Round] = []
        failed = 0
        for _ in range(MAX_ROUNDS):
            # 1. The residual of the spline at hand, and what it is worth to each ramp.
            loss = cells.loss
            knots = with_ends(spline.kinks, len(loss.knots) - 1)
            full = np.interp(loss.knots, loss.knots[knots], spline.values)
            h, M = ramp_correlations(loss.knots, loss.residual(full))
            size, fit = np.abs(h), loss.value(full)
            objective = spline.objective + 0.5 * cells.square
            bound = self._dual_value(full, fit, float(size.max()) + 0.5 * abs(M), weight_decay)
            bound = bound if cells.whole else -np.inf
            rounds.append(Round(objective, bound, len(spline.kinks)))
            # 2. How far the gauge may be above the weight decay.
            penalty = max(spline.objective - fit, 0.0)
            share = SHARE_WITHOUT_PENALTY
            if penalty > 0:
                share = min(GAUGE_PART * max(tol * objective, gap) / penalty, LARGEST_SHARE)
            share = max(share, LEAST_SHARE)
            limit = weight_decay - 0.5 * abs(M)
            # 3. Kinks beyond that join, as long as this helps.
            new = peaks(h, limit + share * weight_decay)
            new = new[~np.isin(new, spline.kinks)]
            if len(new) and failed < FAILURES:
                old, spline = spline, _join(loss, spline, new, np.sign(h[new]), weight_decay)
                gains = spline.objective < old.objective - NO_GAIN * abs(objective)
                failed = 0 if gains else failed + 1
                continue
            # 4. Cells split that may hide such a kink; when none does, this is the optimum.
            top = np.maximum(size[:-1], size[1:]) + cells.hidden(full)
            split = (top > limit + 2 * share * weight_decay) & (np.diff(cells.edges) > 1)
            if not np.any(split):
                break
            samples = cells.edges[spline.kinks]
            cells.split(np.flatnonzero(split))
            spline = spline._replace(kinks=np.searchsorted(cells.edges, samples))
            failed = 0
        at = cells.edges[with_ends(spline.kinks, len(cells.edges) - 1)]
        return at, spline.values, rounds

    def _first(self, start: Array | None, weight_decay: float) -> KinkedSpline:
        """The best spline on the kinks ``start``, of the signs that least squares gives them."""
        cells, last = self.cells, len(self.cells.x) - 1
        inner = np.zeros(0, int) if start is None else start[(start > 0) & (start < last)]
        if not cells.whole and len(inner):
            cells.split_at(inner)
        kinks, signs = np.searchsorted(cells.edges, inner), np.zeros(len(inner))
        if len(kinks):
            free = cells.loss.restricted(with_ends(kinks, len(cells.edges) - 1))
            signs = np.sign(slope_changes(free.knots, free.minimiser(signs, 0.0))[1])
            kinks, signs = kinks[signs != 0], signs[signs != 0]
        return _settle(cells.loss, kinks, signs, weight_decay)

    def _dual_value(self, full: Array, fit: float, gauge: float, weight_decay: float) -> float:
        """The dual objective of the residual, scaled until its ``gauge`` is feasible.

        Every sample's residual counts, split cells or not: the moments give the value exactly.
        """
        square = self.cells.square
        s = min(1.0, weight_decay / gauge) if gauge > 0 else 1.0
        linear = square - float(self.cells.loss.linear @ full)
        return s * linear - 0.5 * s * s * (square + 2 * fit)


def _settle(loss: SplineLoss, kinks: Array, signs: Array, weight_decay: float) -> KinkedSpline:
    """Solve, drop the kinks whose sign is wrong, and again until none is."""
    form = loss.restricted(with_ends(kinks, len(loss.knots) - 1))
    while True:
        v = form.minimiser(signs, weight_decay)
        good = slope_changes(form.knots, v)[1] * signs > 0
        if np.all(good):
            return KinkedSpline(kinks, signs, v, form.penalised(v, weight_decay))
        keep = np.flatnonzero(good)
        form = form.restricted(with_ends(1 + keep, len(kinks) + 1))
        kinks, signs = kinks[keep], signs[keep]


def _join(
    loss: SplineLoss, spline: KinkedSpline, new: Array, new_signs: Array, weight_decay: float
) -> KinkedSpline:
    """The optimum over old and new kinks, or at least something better than before."""
    kinks = np.concatenate([spline.kinks, new])
    order = np.argsort(kinks)
    kinks, signs = kinks[order], np.concatenate([spline.signs, new_signs])[order]
    gap = np.diff(loss.knots[kinks])
    closest = CLOSEST * (loss.knots[-1] - loss.knots[0])
    if len(gap) and gap.min() < closest:
        keep = np.concatenate([[True], gap >= closest])
        kinks, signs = kinks[keep], signs[keep]
    settled = _settle(loss, kinks, signs, weight_decay)
    if settled.objective < spline.objective:
        return settled
    # Dropping every wrong sign at once went uphill.
    return _walk(loss, spline, kinks, signs, weight_decay)


def _walk(
    loss: SplineLoss, spline: KinkedSpline, kinks: Array, signs: Array, weight_decay: float
) -> KinkedSpline:
    """From ``spline`` towards the optimum on ``kinks``: at each slope change that reaches zero,
    drop that kink and aim again.  The objective falls all the way."""
    last = len(loss.knots) - 1
    old_knots = loss.knots[with_ends(spline.kinks, last)]
    form = loss.restricted(with_ends(kinks, last))
    here = np.interp(form.knots, old_knots, spline.values)
    changes = np.zeros(last + 1)
    changes[spline.kinks] = slope_changes(old_knots, spline.values)[1]
    changes = changes[kinks]
    while True:
        aim = form.minimiser(signs, weight_decay)
        aimed = slope_changes(form.knots, aim)[1]
        wrong = aimed * signs <= 0
        if not np.any(wrong):
            return KinkedSpline(kinks, signs, aim, form.penalised(aim, weight_decay))
        step = np.full(len(changes), np.inf)
        step[wrong] = changes[wrong] / (changes[wrong] - aimed[wrong] - TINY * signs[wrong])
        t = float(np.clip(step.min(), 0.0, 1.0))
        here = here + t * (aim - here)
        changes = changes + t * (aimed - changes)
        keep = np.flatnonzero(step > t)
        knots = with_ends(1 + keep, len(kinks) + 1)
        form, here = form.restricted(knots), here[knots]
        kinks, signs, changes = kinks[keep], signs[keep], changes[keep]
