"""The gauge of neurons of two features under a free bias: the half-turn of directions in cells.

In a cell round the unit direction u of a plane, with v across it, every direction is
``cos(phi) (u + tau v)``, ``|tau| <= T``.  With ``p = X u`` and ``q = X v`` the left ramp that bends
at t is worth at most ``||sum_i lam_i (t - p_i - tau q_i)_+||``, and a ReLU lies above its tangent
in tau by no more than a tent:

    0 <= (t - p - tau q)_+ - (t - p)_+ + tau q [p < t] <= (T |q| - |t - p|)_+.

So, A(t) the sum of ``lam_i q_i`` over p_i < t, G(t) that of
``lam_i ((t - p_i)_+ + tent_i(t) / 2)`` and e(t) that of ``||lam_i|| tent_i(t) / 2``, no left ramp
of the cell is worth more than

    max over t and tau = -T, T of  || G(t) - tau A(t) || + e(t),

and right ramps likewise, with ``G + sum_i lam_i p_i`` and ``A - sum_i lam_i q_i``.  Between
two of the 3n points ``p_i, p_i +- T |q_i|`` G and e are linear and A is constant, so the maximum is
at one of them: a sort and running sums.  What the bound gives away falls with T squared, so few
cells decide a limit a little above the gauge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..core.checks import Array
from ..core.rounding import EPS
from ..core.watch import never
from .neurons import Neurons

# Cells of a half-turn at first.
FIRST = 4
# Numbers of a batch of cells: it stays in the cache.
BATCH = 1 << 17
# Halvings of a cell at most: directions 1e-9 apart.
DEEPEST = 30
# Rounding charged to the running sums over 3n points, as in columns.py; twice that of the width
# for places that are sums of two products themselves.
SUMS = 16


class Sweep:
    """One pass over all pairs for one dual point.

    Parameters
    ----------
    X : array of shape (n, d)
    Lam : array of shape (n, C)
        Columns that sum to zero.
    limit : float
        Cells whose bound is no larger are closed.
    stop : callable
        Asked before each batch.

    Attributes
    ----------
    upper : float
        At least the gauge over the pairs swept.
    """

    def __init__(
        self, X: Array, Lam: Array, limit: float, stop: Callable[[], bool] = never
    ) -> None:
        self.X, self.Lam, self.limit, self.stop = X, Lam, limit, stop
        self.sizes = np.linalg.norm(Lam, axis=1)
        self.mass = float(np.sum(np.abs(Lam)))
        self.lost = float(np.abs(Lam.sum(axis=0)).sum()) + 64 * EPS * self.mass
        self.upper = 0.0

    def run(self, pairs: Array) -> tuple[Neurons, Array]:
        """Neurons above the limit that cells' own directions have, and their values.

        Cells are halved until all are closed, or some hold a neuron above the limit; then
        ``upper`` is what the cells looked at last cannot exceed.

        Parameters
        ----------
        pairs : integer array of shape (k, 2)

        Returns
        -------
        Neurons
            The best left and right ramp of each cell that has one.
        array
        """
        angles = (np.arange(FIRST) + 0.5) * np.pi / FIRST
        cells = np.column_stack([np.repeat(pairs, FIRST, axis=0), np.tile(angles, len(pairs))])
        half, closed = 0.5 * np.pi / FIRST, 0.0
        for _ in range(DEEPEST):
            looks = []
            for batch in self._batches(cells):
                if self.stop():
                    self.upper = np.inf
                    return Neurons.none(), np.zeros(0)
                looks.append(self._look(batch, half))
            bounds = np.concatenate([look[0] for look in looks])
            self.upper = max(closed, float(bounds.max(initial=0.0)))
            values = np.concatenate([look[2] for look in looks])
            found = Neurons.joined([look[1] for look in looks])
            keep = bounds > self.limit
            if len(values) or not np.any(keep):
                break
            closed = max(closed, float(bounds[~keep].max(initial=0.0)))
            half *= 0.5
            cells = np.concatenate([cells[keep] - [0, 0, half], cells[keep] + [0, 0, half]])
        return found, values

    def _batches(self, cells: Array) -> Iterator[Array]:
        step = max(1, BATCH // (3 * len(self.X) * (self.Lam.shape[1] + 2)))
        return (cells[at : at + step] for at in range(0, len(cells), step))

    def _look(self, cells: Array, half: float) -> tuple[Array, Neurons, Array]:
        """Bounds of cells (k,), the ramps of their directions above the limit, their values."""
        i, j = cells[:, 0].astype(np.intp), cells[:, 1].astype(np.intp)
        cos, sin = np.cos(cells[:, 2]), np.sin(cells[:, 2])
        first, second = self.X.T[i], self.X.T[j]
        p = first * cos[:, None] + second * sin[:, None]
        q = second * cos[:, None] - first * sin[:, None]
        # the cell's edge, and a little more for the rounding of angles and directions
        T = np.tan(half) * (1 + 1e-9) + 64 * EPS
        bounds = _cell_bounds(p, q, self.Lam, self.sizes, T)
        span = np.abs(p).max(axis=1) + (1 + T) * np.abs(q).max(axis=1)
        rounding = SUMS * (3 * len(self.X) + 8) * EPS * self.mass + self.lost
        bounds = (bounds + 2 * rounding * span) * (1 + 64 * EPS)
        neurons, values = [Neurons.none()], [np.zeros(0)]
        cell = np.flatnonzero(bounds > self.limit)
        if len(cell):
            features = np.column_stack([i, j])[cell]
            direction = np.column_stack([cos, sin])[cell]
            for sign, (t, worth) in zip((-1.0, 1.0), _best_ramps(p[cell], self.Lam)):
                above = worth > self.limit
                ramps = Neurons(features[above], sign * direction[above], -sign * t[above])
                neurons.append(ramps)
                values.append(worth[above])
        return bounds, Neurons.joined(neurons), np.concatenate(values)


def _cell_bounds(p: Array, q: Array, Lam: Array, sizes: Array, T: float) -> Array:
    """The bound of the module's head for the cells of ``p`` and ``q`` (k, n) each."""
    k, n = p.shape
    reach = T * np.abs(q)
    t = np.concatenate([p - reach, p, p + reach], axis=1)
    order = np.argsort(t, axis=1)
    t = np.take_along_axis(t, order, axis=1)
    kind, sample = order // n, order % n
    # what the slopes of G and e gain at each point, and what A steps by
    gain = np.where(kind == 1, 0.0, 0.5)
    width = np.diff(t, axis=1)
    e = _twice_summed(np.where(kind == 1, -1.0, 0.5) * sizes[sample], width)
    across = np.take_along_axis(q, sample, axis=1) * (kind == 1)
    left = np.zeros((2, 2, k, 3 * n))  # squares: by side of the point, and of tau
    right = np.zeros((2, 2, k, 3 * n))
    for lam in Lam.T:
        own = lam[sample]
        G = _twice_summed(gain * own, width)
        A = np.cumsum(own * across, axis=1)
        M0, M1 = (p @ lam)[:, None], (q @ lam)[:, None]
        for side, steps in enumerate((A, A - own * across)):
            for sign, tau in enumerate((-T, T)):
                left[side, sign] += (G - tau * steps) ** 2
                right[side, sign] += (G + M0 + tau * (M1 - steps)) ** 2
    best = np.maximum(left.max(axis=(0, 1)), right.max(axis=(0, 1)))
    return np.asarray((np.sqrt(best) + e).max(axis=1))


def _twice_summed(gains: Array, width: Array) -> Array:
    """A function with these gains of slope at points so far apart, zero before the first."""
    out = np.zeros(gains.shape)
    np.cumsum(np.cumsum(gains[:, :-1], axis=1) * width, axis=1, out=out[:, 1:])
    return out


def _best_ramps(p: Array, Lam: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Place and worth of the best left and right ramp along each direction."""
    order = np.argsort(p, axis=1)
    t = np.take_along_axis(p, order, axis=1)
    width = np.diff(t, axis=1)
    left, right = np.zeros(p.shape), np.zeros(p.shape)
    for lam in Lam.T:
        S = _twice_summed(lam[order], width)
        left += S * S
        right += (S - S[:, -1:]) ** 2
    each, best = np.arange(len(p)), []
    for side in (left, right):
        at = np.argmax(side, axis=1)
        best.append((t[each, at], np.sqrt(side[each, at])))
    return best[0], best[1]
