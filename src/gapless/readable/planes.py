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
cells decide a limit a little above the gauge.  On many samples a grid of places comes first, which
needs no sort (:mod:`gapless.readable.planes_compiled`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.rounding import EPS
from ..core.threads import cores
from ..core.watch import never
from .neurons import Neurons

# Cells of a half-turn at first.
FIRST = 4
# Numbers of a batch of cells that are sorted: it stays in the cache; samples of one on a grid.
BATCH, GRID_BATCH = 1 << 17, 1 << 18
# Places of the grid: about as many as samples, between these.
FEWEST, MOST = 256, 4096
# Halvings of a cell at most: directions 1e-9 apart.
DEEPEST = 30
# Cells at most of one halving, or for each pair where these are many: data whose gauge is as small
# as rounding would keep all open, and the memory ends before the halvings do.
CELLS, OF_EACH = 1 << 18, 64
# Halvings after the first that shows a neuron above the limit: the rest is for another dual point.
MORE = 2
# Rows times pairs from which the grid is used, compiled once on a machine, and shared by threads.
LARGE = 1000
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
        self.columns, self.sizes = np.ascontiguousarray(X.T), np.linalg.norm(Lam, axis=1)
        self.mass = float(np.sum(np.abs(Lam)))
        self.lost = float(np.abs(Lam.sum(axis=0)).sum()) + 64 * EPS * self.mass
        self.upper = 0.0

    def run(self, pairs: Array) -> tuple[Neurons, Array]:
        """Neurons above the limit that cells' own directions have, and their values.

        The cells of a pair are halved until all are closed, or one holds a neuron above the limit;
        then ``upper`` is what the cells looked at last cannot exceed.

        Parameters
        ----------
        pairs : integer array of shape (k, 2)

        Returns
        -------
        Neurons
            The best left and right ramp of each cell that has one.
        array
        """
        self.large = len(self.X) * len(pairs) > LARGE
        with ThreadPoolExecutor(cores() if self.large else 1) as pool:
            return self._halve(pairs, pool.map if self.large else map)

    def _halve(self, pairs: Array, each: Callable[..., Iterator[Any]]) -> tuple[Neurons, Array]:
        """Cells in batches, by ``each``, and those that stay open in halves."""
        angles = (np.arange(FIRST) + 0.5) * np.pi / FIRST
        own = np.repeat(np.arange(len(pairs)), FIRST)
        turns, half = np.tile(angles, len(pairs)), 0.5 * np.pi / FIRST
        found, worth, deepest = [Neurons.none()], [np.zeros(0)], DEEPEST
        for depth in range(DEEPEST + 1):
            bounds, hit = np.full((2, len(own)), np.inf), np.zeros(len(pairs), dtype=bool)
            batches = self._batches(len(own))
            look = partial(self._look, pairs, own, turns, half)
            for batch, seen in zip(batches, each(look, batches)):
                if seen is not None:
                    bounds[:, batch] = seen[0]
                    hit[own[batch][seen[1]]] = True
                    found.append(seen[2])
                    worth.append(seen[3])
            most, rounding = bounds
            # no halving takes away what rounding is
            keep = (most > np.maximum(self.limit, 2 * rounding)) & ~hit[own]
            if np.any(hit):
                deepest = min(deepest, depth + MORE)
            too_many = 2 * np.count_nonzero(keep) > max(CELLS, OF_EACH * len(pairs))
            if depth >= deepest or not np.any(keep) or too_many or self.stop():
                self.upper = max(self.upper, float(most.max(initial=0.0)))
                break
            self.upper = max(self.upper, float(most[~keep].max(initial=0.0)))
            half *= 0.5
            own, turns = np.tile(own[keep], 2), turns[keep]
            turns = np.concatenate([turns - half, turns + half])
        return Neurons.joined(found), np.concatenate(worth)

    def _batches(self, count: int) -> list[slice]:
        n, outputs = self.Lam.shape
        step = max(1, GRID_BATCH // n if self.large else BATCH // (3 * n * (outputs + 2)))
        return [slice(at, at + step) for at in range(0, count, step)]

    def _look(
        self, pairs: Array, own: Array, turns: Array, half: float, batch: slice
    ) -> tuple[Array, Array, Neurons, Array] | None:
        """Bounds of cells and their rounding; which have ramps above the limit, and these, valued.

        None where it is time to stop.
        """
        if self.stop():
            return None
        pairs, turns = pairs[own[batch]], turns[batch]
        turns = np.column_stack([np.cos(turns), np.sin(turns)])
        # the cell's edge, and a little more for the rounding of angles and directions
        T = np.tan(half) * (1 + 1e-9) + 64 * EPS
        look = self._on_grid if self.large else self._sorted
        bounds, places, worth, span = look(pairs, turns, T)
        rounding = 2 * (SUMS * (3 * len(self.X) + 8) * EPS * self.mass + self.lost) * span
        bounds = np.stack([(bounds + rounding) * (1 + 64 * EPS), rounding])
        which, side = np.nonzero(worth > self.limit)
        sign = np.where(side == 0, -1.0, 1.0)
        ramps = Neurons(pairs[which], sign[:, None] * turns[which], -sign * places[which, side])
        return bounds, which, ramps, worth[which, side]

    def _sorted(self, pairs: Array, turns: Array, T: float) -> tuple[Array, Array, Array, Array]:
        """Bounds of cells, place and worth of their best ramps, and the size of what is summed."""
        first, second = self.columns[pairs[:, 0]], self.columns[pairs[:, 1]]
        p = first * turns[:, :1] + second * turns[:, 1:]
        q = second * turns[:, :1] - first * turns[:, 1:]
        span = np.abs(p).max(axis=1) + (1 + T) * np.abs(q).max(axis=1)
        return (*bound_cells(p, q, self.Lam, self.sizes, T), span)

    def _on_grid(self, pairs: Array, turns: Array, T: float) -> tuple[Array, Array, Array, Array]:
        """The same on a grid of places; cells that its charge alone keeps open are sorted."""
        from . import planes_compiled

        bounds, charges, span = np.empty((3, len(pairs)))
        places, worth = np.empty((2, len(pairs), 2))
        bins = min(max(FEWEST, 1 << len(self.X).bit_length() - 1), MOST)
        planes_compiled.bound_cells(
            self.columns, pairs, turns, self.Lam, self.sizes, T, bins, self.limit,
            bounds, charges, span, places, worth,
        )  # fmt: skip
        near = np.flatnonzero((bounds > self.limit) & (bounds - charges <= self.limit))
        if len(near):
            exact = self._sorted(pairs[near], turns[near], T)
            bounds[near], places[near], worth[near], _ = exact
        return bounds, places, worth, span


def bound_cells(
    p: Array, q: Array, Lam: Array, sizes: Array, T: float
) -> tuple[Array, Array, Array]:
    """The bound of the module's head for cells, and their best ramps.

    Parameters
    ----------
    p, q : arrays of shape (k, n)
        The samples along the direction of each cell, and across.
    Lam : array of shape (n, C)
    sizes : array of shape (n,)
        Norms of its rows.
    T : float
        Half the width of the cells.

    Returns
    -------
    bounds : array of shape (k,)
        Without rounding.
    places, worth : arrays of shape (k, 2)
        Of the best left and right ramp along each direction.
    """
    places, worth = _best_ramps(p, Lam)
    return _cell_bounds(p, q, Lam, sizes, T), places, worth


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
    if Lam.shape[1] == 1:  # the larger of both tau, and of both sides of a point, is a sum of sizes
        own = Lam[:, 0][sample]
        G, own = _twice_summed(gain * own, width), own * across
        A = np.cumsum(own, axis=1)
        before = A - own
        M0, M1 = (p @ Lam), (q @ Lam)
        left = np.abs(G) + T * np.maximum(np.abs(A), np.abs(before))
        right = np.abs(G + M0) + T * np.maximum(np.abs(M1 - A), np.abs(M1 - before))
        return np.asarray((np.maximum(left, right) + e).max(axis=1))
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


def _best_ramps(p: Array, Lam: Array) -> tuple[Array, Array]:
    """Place and worth of the best left and right ramp along each direction, (k, 2) each."""
    order = np.argsort(p, axis=1)
    t = np.take_along_axis(p, order, axis=1)
    width = np.diff(t, axis=1)
    left, right = np.zeros(p.shape), np.zeros(p.shape)
    for lam in Lam.T:
        S = _twice_summed(lam[order], width)
        left += S * S
        right += (S - S[:, -1:]) ** 2
    each, places, worth = np.arange(len(p)), np.empty((len(p), 2)), np.empty((len(p), 2))
    for side, squares in enumerate((left, right)):
        at = np.argmax(squares, axis=1)
        places[:, side], worth[:, side] = t[each, at], np.sqrt(squares[each, at])
    return places, worth
