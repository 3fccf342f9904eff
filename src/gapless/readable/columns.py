"""The gauge of neurons of one feature under a free bias: prefix sums over sorted columns.

With ``sum_i lam_i = 0`` the ramps that bend at t are worth

    left(t) = sum_i lam_i (t - x_i)_+,
    right(t) = sum_i lam_i (x_i - t)_+ = left(t) - left(x_max),

and some best t is a sample (Ergen & Pilanci, JMLR 2021, Lemma 6).  One sort a column serves every
dual point; then a round costs two running sums a column.

Rounding.  The first sum is off by at most ``n EPS mass``, mass the sum of all ``|lam_i|``, the
second by that times the width of the column and as much of its own; differences and norms add a few
EPS.  :data:`SUMS` times ``(n + 8) EPS mass width`` covers them.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.rounding import EPS
from .neurons import Neurons

# Numbers of a dual point gathered at once.
BATCH = 1 << 20
SUMS = 4
# Ramps taken of one side of one column: nearer ones are as good to the master.
PEAKS = 8


class SortedColumns:
    """Columns of X (n, d), dense, in rising order: those of ``features``."""

    def __init__(self, X: Array, features: Array) -> None:
        n, self.features = len(X), features
        self.order = np.empty((len(features), n), dtype=np.int32 if n < 2**31 else np.intp)
        self.places = np.empty((len(features), n))
        for k, j in enumerate(features):
            self.order[k] = np.argsort(X[:, j], kind="stable")
            self.places[k] = X[self.order[k], j]

    def bound(self, Lam: Array, limit: float) -> tuple[float, Neurons, Array]:
        """The gauge of ``Lam`` (n, C) from above, and the ramps that exceed ``limit``.

        Parameters
        ----------
        Lam : array of shape (n, C)
            Columns that sum to zero.
        limit : float

        Returns
        -------
        upper : float
            At least the gauge over all neurons of one feature that bend at a sample.
        found : Neurons
            Local maxima above ``limit``, the best :data:`PEAKS` of each column and side.
        values : array
            What each is worth.
        """
        d, n = self.order.shape
        mass = SUMS * (n + 8) * EPS * float(np.sum(np.abs(Lam)))
        upper, found, values = 0.0, [Neurons.none()], [np.zeros(0)]
        step = max(1, BATCH // n)
        for at in range(0, d, step):
            places = self.places[at : at + step]
            sides = _ramps(self.order[at : at + step], places, Lam)
            width = places[:, -1] - places[:, 0]
            tops = [side.max(axis=1) for side in sides]
            upper = max(upper, float((np.maximum(*tops) + mass * width).max()))
            for sign, side, top in zip((-1.0, 1.0), sides, tops):
                for j in np.flatnonzero(top > limit):
                    t, value = _peaks(places[j], side[j], limit)
                    features = np.full((len(t), 2), self.features[at + j])
                    weights = np.column_stack([np.full(len(t), sign), np.zeros(len(t))])
                    found.append(Neurons(features, weights, -sign * t))
                    values.append(value)
        return upper, Neurons.joined(found), np.concatenate(values)


def _ramps(order: Array, places: Array, Lam: Array) -> tuple[Array, Array]:
    """What left and right ramps are worth at each place of these columns, (columns, n) each."""
    steps = np.diff(places, axis=1)
    left, right = np.zeros(places.shape), np.zeros(places.shape)
    for lam in Lam.T:  # one output after the other: few arrays at once
        sums = np.empty(places.shape)
        sums[:, 0] = 0.0
        np.cumsum(lam[order[:, :-1]], axis=1, out=sums[:, 1:])
        sums[:, 1:] *= steps
        np.cumsum(sums, axis=1, out=sums)
        left += sums * sums
        sums -= sums[:, -1:]
        right += sums * sums
    return np.sqrt(left, out=left), np.sqrt(right, out=right)


def _peaks(places: Array, values: Array, limit: float) -> tuple[Array, Array]:
    """Places and values of local maxima above ``limit``, best first, one of equal places."""
    last = np.append(np.diff(places) > 0, True)
    places, v = places[last], values[last]
    beside = np.concatenate([[-np.inf], v, [-np.inf]])
    top = np.flatnonzero((v > limit) & (v > beside[:-2]) & (v >= beside[2:]))
    top = top[np.argsort(-v[top], kind="stable")[:PEAKS]]
    return places[top], v[top]
