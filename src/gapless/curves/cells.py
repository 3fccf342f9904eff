"""The samples of a curve grouped in cells, so that a round of least squares need not see each.

Between the ends of a cell a spline without kinks inside is linear, so its squared loss there is
known from six moments: the sums over the cell's samples of w times

    (1 - t)^2,  t (1 - t),  t^2,  (1 - t) y,  t y,  y^2,        t in [0, 1] the place in the cell.

Work is a few passes over n samples whatever their number; no ramp is ever written out.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from .ramps import SplineLoss

# Samples of a first cell and of its pieces.  Measured on 1e6 samples: larger cells are split
# too often, smaller ones make the rounds dear.
BLOCK, SPLIT = 256, 32
# Below this many samples every sample is its own cell.
SMALL = 4096
# Samples handled at once, so that temporaries stay in the cache and out of the memory budget.
CHUNK = 1 << 16
# Added to the square of a bound on residuals: what rounding may have taken from it.
SQUARE_ROUNDING = 1e-30


class Cells:
    """Groups of neighbouring samples: rising distinct ``x``, ``y``, weights ``w`` of sum 1 (None:
    equal), all (n_samples,).

    Attributes
    ----------
    edges : array of shape (n_cells + 1,)
        Samples at the cells' ends.  A cell holds its left end, the last sample stands alone.
    moments : array of shape (6, n_cells)
    loss : SplineLoss
        Of splines with kinks on the edges, less ``square / 2``.
    square : float
        ``sum_i w_i y_i^2``.
    """

    def __init__(self, x: Array, y: Array, w: Array | None) -> None:
        self.x, self.y, self.w = x, y, w
        n = len(x)
        step = 1 if n <= SMALL else BLOCK
        edges = np.append(np.arange(0, n - 1, step), n - 1)
        moments = self._single(edges[:-1]) if step == 1 else self._blocks(edges)
        self._set(edges, moments)

    def _set(self, edges: Array, moments: Array) -> None:
        self.edges, self.moments = edges, moments
        last = len(self.x) - 1
        w = 1.0 / len(self.x) if self.w is None else float(self.w[last])
        self.loss = SplineLoss.of_segments(self.x[edges], moments[:5], w, w * self.y[last])
        self.square = float(moments[5].sum()) + w * float(self.y[last]) ** 2

    @property
    def whole(self) -> bool:
        """Whether every sample is an edge."""
        return len(self.edges) == len(self.x)

    def _weights(self, samples: Array) -> Array:
        n = len(self.x)
        return np.full(len(samples), 1.0 / n) if self.w is None else self.w[samples]

    def _single(self, samples: Array) -> Array:
        """Moments of cells of one sample each."""
        y, w, zero = self.y[samples], self._weights(samples), np.zeros(len(samples))
        return np.stack([w, zero, zero, w * y, zero, w * y * y])

    def _blocks(self, edges: Array) -> Array:
        """Moments of equal blocks, by rows of a reshaped view."""
        n, lo = len(self.x), edges[:-1]
        full = len(lo) - 1  # the last block may be shorter
        out = np.empty((6, len(lo)))
        gap = np.diff(self.x[edges])
        rows = CHUNK // BLOCK
        for s in range(0, full, rows):
            e = min(s + rows, full)
            part, shape = slice(s * BLOCK, e * BLOCK), (e - s, BLOCK)
            X, Y = self.x[part].reshape(shape), self.y[part].reshape(shape)
            t = X - X[:, :1]
            t *= (1.0 / gap[s:e])[:, None]
            if self.w is None:
                one, t1, y0 = np.full(e - s, BLOCK / n), t.sum(axis=1) / n, Y.sum(axis=1) / n
                t2 = np.einsum("ij,ij->i", t, t) / n
                ty = np.einsum("ij,ij->i", t, Y) / n
                yy = np.einsum("ij,ij->i", Y, Y) / n
            else:
                W = self.w[part].reshape(shape)
                wy, wt = W * Y, W * t
                one, t1, y0 = W.sum(axis=1), wt.sum(axis=1), wy.sum(axis=1)
                t2 = np.einsum("ij,ij->i", wt, t)
                ty = np.einsum("ij,ij->i", wt, Y)
                yy = np.einsum("ij,ij->i", wy, Y)
            out[:, s:e] = one - 2 * t1 + t2, t1 - t2, t2, y0 - ty, ty, yy
        out[:, full:] = self._sums(lo[full:], edges[full + 1 :])
        return out

    def _sums(self, lo: Array, hi: Array) -> Array:
        """Moments of the cells of samples ``lo <= i < hi`` with ends x[lo], x[hi]."""
        count = hi - lo
        if np.all(count == 1):
            return self._single(lo)
        # cells in groups of about CHUNK samples
        groups = np.flatnonzero(np.diff(np.cumsum(count) // CHUNK, prepend=-1))
        parts = []
        for s, e in zip(groups, np.append(groups[1:], len(lo))):
            size = count[s:e]
            first = np.cumsum(size) - size
            i = np.repeat(lo[s:e] - first, size) + np.arange(int(size.sum()))
            left = self.x[lo[s:e]]
            scale = np.repeat(1.0 / (self.x[hi[s:e]] - left), size)
            t = (self.x[i] - np.repeat(left, size)) * scale
            y, w, u = self.y[i], self._weights(i), 1 - t
            terms = np.stack([w * u * u, w * u * t, w * t * t, w * u * y, w * t * y, w * y * y])
            parts.append(np.add.reduceat(terms, first, axis=1))
        return np.concatenate(parts, axis=1)

    def split(self, which: Array) -> None:
        """Split the cells numbered ``which`` into pieces of SPLIT samples, or of one."""
        lo, hi = self.edges[:-1][which], self.edges[1:][which]
        size = np.where(hi - lo > SPLIT, SPLIT, 1)
        pieces = -(-(hi - lo) // size)
        first = np.cumsum(pieces) - pieces
        k = np.arange(int(pieces.sum())) - np.repeat(first, pieces)
        starts = np.repeat(lo, pieces) + k * np.repeat(size, pieces)
        stops = np.minimum(starts + np.repeat(size, pieces), np.repeat(hi, pieces))
        new = self._sums(starts, stops)
        keep = np.ones(len(self.edges) - 1, bool)
        keep[which] = False
        starts = np.concatenate([self.edges[:-1][keep], starts])
        order = np.argsort(starts)
        moments = np.concatenate([self.moments[:, keep], new], axis=1)[:, order]
        self._set(np.append(starts[order], len(self.x) - 1), moments)

    def split_at(self, samples: Array) -> None:
        """Split until all ``samples`` are edges."""
        while True:
            cell = np.searchsorted(self.edges, samples, side="right") - 1
            missing = np.unique(cell[self.edges[cell] != samples])
            if len(missing) == 0:
                return
            self.split(missing)

    def hidden(self, v: Array) -> Array:
        """How far the correlation R can stray from its chord inside each cell.

        That is at most ``width / 4 * sum |w r|`` over the cell's samples, r the residuals of the
        spline of values ``v`` at the edges; by Cauchy and Schwarz the sum is at most the root of
        ``sum w * sum w r^2``, which are moments.
        """
        a, b, c, p, q, yy = self.moments
        l, r = v[:-1], v[1:]
        square = yy - 2 * (p * l + q * r) + a * l * l + 2 * b * l * r + c * r * r
        size = np.sqrt((a + 2 * b + c) * np.maximum(square, 0.0) + SQUARE_ROUNDING)
        single = np.diff(self.edges) == 1
        return np.where(single, 0.0, 0.25 * np.diff(self.loss.knots) * size)
