"""The gauge of neurons of one feature whose effect must rise, or fall, under a free bias.

The effect f of a feature is a sum of ramps, and it must rise everywhere, also beyond the data.  On
the distinct places ``x_1 < ... < x_n`` of its samples that is

    f(x_{k+1}) >= f(x_k),    f'(-infinity) >= 0,    f'(infinity) >= 0,

for a kink between two places may stand at one of them: the penalty of f is
``max(TV(f'), |f'(-infinity) + f'(infinity)|)`` and does not grow.

The dual.  Give these inequalities multipliers, which are steps of a rising function N with
``0 <= N(x_1) <= ... <= N(x_n) <= T``: as much as N rises from ``x_k`` to ``x_{k+1}`` is the
multiplier there, ``N(x_1)`` the one at minus infinity and ``T - N(x_n)`` the one at infinity.  The
right side is zero, so they do not enter the dual objective; they move what ramps are worth.  With
left(t) and right(t) of :mod:`gapless.readable.columns` the constraints are

    |left(t) - N(t)| <= weight_decay,    |right(t) + T - N(t)| <= weight_decay,

both linear between places.  For given ``Lam`` the least bound over N and T, an isotonic regression
in the largest deviation, has a closed form,

    G = max over s <= t of  -left(t),  right(t),  (left(s) - left(t)) / 2,

attained at ``T = max(left(x_n), 0)`` and ``N(t) = max(0, max_{s <= t} left(s) - G)``.  Its terms
are the effects that rise at penalty one, which training draws on with weights above zero: a left
ramp that ends, a right ramp that begins, and a step ``min((x - s)_+, t - s) / 2`` between two
places.  A falling effect is that of ``-Lam``.  Any N and T prove a bound, so those of floating
point do.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.rounding import EPS
from .columns import PEAKS, SUMS, SortedColumns
from .neurons import Neurons

# Places where the worth of ramps turns that are combined to steps, of each column and kind.
TURNS = 64


class MonotoneColumns(SortedColumns):
    """Sorted columns whose effects must rise or fall.

    Parameters
    ----------
    X : array of shape (n, d)
    features : integer array of shape (k,)
        The columns meant.
    signs : array of shape (k,)
        1 where the effect must rise, -1 where it must fall.
    """

    def __init__(self, X: Array, features: Array, signs: Array) -> None:
        super().__init__(X, features)
        self.signs = signs

    def bound(self, Lam: Array, limit: float) -> tuple[float, Neurons, Array]:
        """As its base, for ``Lam`` (n, 1); steps are neurons that saturate."""
        mass = SUMS * (len(Lam) + 8) * EPS * float(np.sum(np.abs(Lam)))
        upper, found, values = 0.0, [Neurons.none()], [np.zeros(0)]
        for j, order, places, sign in zip(self.features, self.order, self.places, self.signs):
            left = np.zeros(len(places))
            sums = np.cumsum(sign * Lam[order[:-1], 0]) * np.diff(places)
            np.cumsum(sums, out=left[1:])
            last = np.append(np.diff(places) > 0, True)
            t, left = places[last], left[last]
            N, T = multipliers(left)
            moved = left - N
            worth = np.maximum(np.abs(moved), np.abs(moved - left[-1] + T)).max()
            upper = max(upper, float(worth + mass * (places[-1] - places[0])))
            if worth > limit:
                ramps, worths = _rising(j, t, left, limit)
                found.append(ramps)
                values.append(worths)
        return upper, Neurons.joined(found), np.concatenate(values)


def multipliers(left: Array) -> tuple[Array, float]:
    """N at the places and T of the module's head: the multipliers that bound the gauge best.

    Parameters
    ----------
    left : array of shape (n,)
        What left ramps are worth at rising places; zero at the first.

    Returns
    -------
    N : array of shape (n,)
        Rising, between 0 and T.
    T : float
    """
    most = np.maximum.accumulate(left)
    G = max(-left.min(), left.max() - left[-1], 0.5 * (most - left).max())
    N = np.maximum(most - G, 0.0)
    return N, max(float(left[-1]), float(N[-1]))


def _rising(j: int, t: Array, left: Array, limit: float) -> tuple[Neurons, Array]:
    """Ramps and steps of the feature j worth more than ``limit``, the best of each kind.

    ``left`` is of the signed dual point: where the effect must fall, the same ramps and steps enter
    with output weights of the other sign.
    """
    slope = np.sign(np.diff(left))
    low = np.flatnonzero(np.append(slope, 1.0) > np.append(-1.0, slope))
    high = np.flatnonzero(np.append(slope, -1.0) < np.append(1.0, slope))
    low = low[np.argsort(left[low], kind="stable")[:TURNS]]
    high = high[np.argsort(-left[high], kind="stable")[:TURNS]]
    drops = 0.5 * (left[high][:, None] - left[low]) * (high[:, None] < low)
    begin, end = np.unravel_index(np.argsort(-drops, axis=None)[:PEAKS], drops.shape)
    worth = np.concatenate([
        -left[low[:PEAKS]], (left - left[-1])[high[:PEAKS]], drops[begin, end]
    ])  # fmt: skip
    ends, begins, begin, end = t[low[:PEAKS]], t[high[:PEAKS]], t[high[begin]], t[low[end]]
    kinds = [len(ends), len(begins), len(begin)]
    weights = np.column_stack([np.repeat([-1.0, 1.0, 0.5], kinds), np.zeros(len(worth))])
    bias = np.concatenate([ends, -begins, -0.5 * begin])
    top = np.concatenate([np.full(kinds[0] + kinds[1], np.inf), 0.5 * (end - begin)])
    found = Neurons(np.full((len(worth), 2), j), weights, bias, top)
    above = np.flatnonzero(worth > limit)
    return found.take(above), worth[above]
