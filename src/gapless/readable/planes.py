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

and right ramps likewise, with ``G + sum_i lam_i p_i`` and ``A - sum_i lam_i q_i``.  What the bound
gives away falls with T squared, so few cells decide a limit a little above the gauge.

A cell is halved only where it has to be: in the windows of t whose bound is above the limit.  Of a
window only the samples whose kink comes into it are looked at again; those before it are a linear
function of t and tau, three sums, and those behind it are nothing.  So most samples leave with the
first halvings (:mod:`gapless.readable.planes_compiled` bounds a window).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..core.checks import Array
from ..core.rounding import EPS
from ..core.threads import each
from ..core.watch import never
from .neurons import Neurons

# Cells of a half-turn at first, and halvings at most: directions 1e-9 apart.
FIRST, DEEPEST = 4, 30
# What a cell costs beside its samples, in samples; and for each pair how often all samples may be
# looked at: data whose gauge is as small as rounding would keep all cells open.
CELL, LOOKS = 100, 1 << 12
# Samples that are looked at between two questions to the clock, from which on threads share them,
# and of the cells that are halved together.
BATCH, LARGE, TOGETHER = 1 << 18, 1 << 17, 1 << 26
# Rounding charged to the running sums over 3n points, as in columns.py; twice that of the width
# for places that are sums of two products themselves.
SUMS = 16


@dataclass(frozen=True)
class _Cells:
    """Cells of one width, each with a window of its ramps' kinks.

    Attributes
    ----------
    own, turns : arrays of shape (k,)
        The pair by number, and the angle of the direction in the middle.
    bounds : array of shape (k,)
        On what any of their ramps is worth.
    windows : array of shape (k, 2)
        Distances of kinks from the origin.
    heads : array of shape (k, C, 3)
        Of the samples before the window the sums of ``lam`` and of ``lam`` times both features.
    spans : integer array of shape (k, 2)
        Which of ``samples`` can be in the window.
    samples : integer array
    depth : int
        How often the first cells were halved.
    """

    own: Array
    turns: Array
    bounds: Array
    windows: Array
    heads: Array
    spans: Array
    samples: Array
    depth: int

    @property
    def half(self) -> float:
        """Half the angle of each."""
        return 0.5 * np.pi / FIRST * 0.5**self.depth

    @property
    def work(self) -> Array:
        """What a look at each takes, in samples."""
        return self.spans[:, 1] - self.spans[:, 0] + CELL

    def take(self, index: Array | slice) -> _Cells:
        """Those at ``index``."""
        names = ("own", "turns", "bounds", "windows", "heads", "spans")
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def parts(self, most: int) -> list[_Cells]:
        """These one after the other, of about so much work each."""
        cuts = np.flatnonzero(np.diff(np.cumsum(self.work) // most)) + 1
        ends = [0, *cuts.tolist(), len(self.own)]
        return [self.take(slice(*both)) for both in pairwise(ends)]

    def halved(self) -> _Cells:
        """Both halves of each."""
        both = self.take(np.tile(np.arange(len(self.own)), 2))
        by = np.repeat([-0.5, 0.5], len(self.own)) * self.half
        return replace(both, turns=both.turns + by, depth=self.depth + 1)

    @staticmethod
    def joined(parts: Sequence[_Cells]) -> _Cells:
        """Those of each of ``parts``, which are one at least and equally wide."""
        before = np.cumsum([0, *(len(part.samples) for part in parts[:-1])])
        spans = [part.spans + shift for part, shift in zip(parts, before)]
        names = ("own", "turns", "bounds", "windows", "heads", "samples")
        all_ = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
        return _Cells(**all_, spans=np.concatenate(spans), depth=parts[0].depth)


class _Seen(NamedTuple):
    """What a look at cells gives."""

    settled: float  # what no ramp exceeds outside the windows that are open
    open: _Cells
    ramps: Neurons  # above the limit, along the directions of the cells
    values: Array
    pairs: Array  # theirs, by number


class Sweep:
    """One pass over all pairs for one dual point.

    Parameters
    ----------
    X : array of shape (n, d)
    Lam : array of shape (n, C)
        Columns that sum to zero.
    limit : float
        Windows whose bound is no larger are closed.
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
        self.Lam, self.limit, self.stop = np.ascontiguousarray(Lam), limit, stop
        self.columns, self.sizes = np.ascontiguousarray(X.T), np.linalg.norm(Lam, axis=1)
        self.upper = 0.0

    def run(self, pairs: Array) -> tuple[Neurons, Array]:
        """Neurons above the limit that cells' own directions have, and their values.

        The cells of a pair are halved until all are closed, or one holds a neuron above the limit;
        ``upper`` is then what those of the others and the last of its own cannot exceed.

        Parameters
        ----------
        pairs : integer array of shape (k, 2)

        Returns
        -------
        Neurons
            The best left and right ramp of each window that has one.
        array
        """
        self.pairs = pairs
        found, worth = [Neurons.none()], [np.zeros(0)]
        hit = np.zeros(len(pairs), dtype=bool)
        work, waiting = LOOKS * len(pairs) * (len(self.sizes) + CELL), [self._first()]
        while waiting:
            cells = waiting.pop()  # the newest: fewest are held
            ended = hit[cells.own] | (cells.depth > DEEPEST) | (work < 0) | self.stop()
            self.upper = max(self.upper, float(cells.bounds[ended].max(initial=0.0)))
            if np.all(ended):
                continue
            cells = cells.take(~ended)
            ahead = int(cells.work.sum())
            work -= ahead
            looks = each(self._look, cells.parts(BATCH), ahead > LARGE)
            for seen in looks:
                self.upper = max(self.upper, seen.settled)
                found.append(seen.ramps)
                worth.append(seen.values)
                hit[seen.pairs] = True
            still = _Cells.joined([seen.open for seen in looks])
            if len(still.own):
                waiting += still.halved().parts(TOGETHER)
        return Neurons.joined(found), np.concatenate(worth)

    def _first(self) -> _Cells:
        """All directions of all pairs, and all samples."""
        k, n = len(self.pairs), len(self.sizes)
        #: how far samples are from the origin of each pair's plane
        self.reach = np.array([np.hypot(*self.columns[two]).max() for two in self.pairs])
        mass = float(np.sum(np.abs(self.Lam)))
        lost = float(np.abs(self.Lam.sum(axis=0)).sum()) + 64 * EPS * mass
        # places and what is summed are within 5/2 of that: T is below 1/2
        self.rounding = 2 * (SUMS * (3 * n + 8) * EPS * mass + lost) * 2.5 * self.reach
        own = np.repeat(np.arange(k), FIRST)
        return _Cells(
            own=own, turns=np.tile((np.arange(FIRST) + 0.5) * np.pi / FIRST, k),
            bounds=np.full(len(own), np.inf), windows=self.reach[own, None] * [-1.0, 1.0],
            heads=np.zeros((len(own), self.Lam.shape[1], 3)),
            spans=np.tile([0, n], (len(own), 1)), samples=np.arange(n, dtype=np.int32), depth=0,
        )  # fmt: skip

    def _look(self, cells: _Cells) -> _Seen:
        """One look at some cells; at none of them where it is time to stop."""
        if self.stop():
            left = float(cells.bounds.max(initial=0.0))
            none = np.zeros(0, dtype=np.intp)
            return _Seen(left, cells.take(none), Neurons.none(), np.zeros(0), none)
        from .planes_compiled import WINDOWS, bound_cells

        pairs, k = self.pairs[cells.own], len(cells.own)
        turns = np.column_stack([np.cos(cells.turns), np.sin(cells.turns)])
        # the cell's edge, and a little more for the rounding of angles and directions
        T = np.tan(cells.half) * (1 + 1e-9) + 64 * EPS
        rounding = self.rounding[cells.own]
        # no halving takes away what rounding is
        limits = np.maximum(self.limit, 2 * rounding)
        heads, settled, bounds = cells.heads.copy(), np.empty(k), np.empty(k)
        places, worth = np.empty((2, k, 2))
        owner, windows = np.empty(WINDOWS * k, dtype=np.intp), np.empty((WINDOWS * k, 2))
        spans = np.empty((WINDOWS * k, 2), dtype=np.intp)
        samples = np.empty(int(cells.work.sum()), dtype=np.int32)
        count, length = bound_cells(
            self.columns, self.Lam, self.sizes, pairs, turns, T, limits, rounding,
            cells.windows, cells.spans, cells.samples,
            heads, settled, bounds, places, worth, owner, windows, spans, samples,
        )  # fmt: skip
        owner = owner[:count]
        open_ = _Cells(
            cells.own[owner], cells.turns[owner], bounds[owner], windows[:count], heads[owner],
            spans[:count], samples[:length].copy(), cells.depth,
        )  # fmt: skip
        which, side = np.nonzero(worth > self.limit)
        sign = np.where(side == 0, -1.0, 1.0)
        ramps = Neurons(pairs[which], sign[:, None] * turns[which], -sign * places[which, side])
        most = float(settled.max(initial=0.0))
        return _Seen(most, open_, ramps, worth[which, side], cells.own[which])
