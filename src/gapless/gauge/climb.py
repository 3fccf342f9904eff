"""Climbing to local maxima of the gauge, from many neurons at once.

With ``v = Lam^T z / ||Lam^T z||`` held fixed, the gauge ``h(u, b) = || Lam^T (A u + b)_+ ||`` is at
least the scalar function ``sum_i l_i (x_i.u + b)_+``, ``l = Lam v``, so every step below works on
that one:

1. *ascent*: projected gradient steps on the sphere, one adaptive step a start;
2. *kinks*: samples with ``l_i < 0`` make concave kinks, which attract the maximisers, so most
   optimal neurons lie exactly on data hyperplanes.  The kinks nearest to ``u`` are kept as
   they are and the rest is linearised: by duality

       max_{||u|| <= 1}  q.u - sum_k w_k (x_k.u)_+   =   min_{0 <= nu <= w} || q - X_K^T nu ||,

   a box-constrained least-squares problem whose residual, normalised, is the new u.

Free biases: for fixed u the best b puts a kink on a data point (JMLR 2021, Lemma 6), so b is
written as ``-x_k.u`` with an *anchor* k, found exactly by prefix sums along ``X u``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.arrays import BLOCK
from ..core.candidates import best_of_patterns
from ..core.checks import Array
from ..core.design import Design
from ..core.rounding import TINY
from ..core.watch import never

# An improvement below this relative size is rounding.
LEAST_GAIN = 1e-12
# More kinks than this a neuron are not resolved at once: the cost grows with their cube.
MAX_KINKS = 96
# Rows on which a search climbs: a direction that is good on a few thousand is good on all, and
# the exact kink steps that follow use every row.
SAMPLE = 4096
# Columns of scores that are sorted at once: a few stay in the cache.
COLUMNS = 32
# Bins of the histogram that finds the best kink among many rows.
BINS = 512
# A gradient step's first length, and below which it no longer moves; it grows or shrinks by these.
FIRST_STEP, LAST_STEP, GROW, SHRINK = 4.0, 1e-5, 1.5, 0.35
# How far a kink step goes where all of it is too far.
PARTS = (0.4, 0.15)
# Steps of projected gradient that find the faces of the box, and what the linear solve on them adds
# to the Gram matrix, as a share of its trace: parallel samples make it singular.
BOX_STEPS, RIDGE = 40, 1e-12


class Climb:
    """One batch of K climbers; every step keeps the better of the old and the new.

    Attributes
    ----------
    U, b : arrays of shape (n_features, K) and (K,)
        Where they are.
    S, T, h : arrays of shape (n_rows, K), (n_outputs * places, K) and (K,)
        Scores ``A u + b``, ``Lam^T (A u + b)_+``, pooled, and its norm: the gauge there.
    shift : array of shape (K, n_features) or None
        The samples that biases are anchored at; None while b does not move.
    """

    def __init__(self, A: Design, Lam: Array, U: Array, b: Array) -> None:
        self.A, self.Lam = A, Lam
        self.step = np.full(U.shape[1], FIRST_STEP, U.dtype)
        self.tiny = np.finfo(U.dtype).tiny
        self.gain = 1 + max(LEAST_GAIN, float(np.finfo(U.dtype).eps))
        self.shift: Array | None = None
        self.U, self.b = U.copy(), b.copy()  # _accept writes into them
        self.S = A.scores(U, b)
        self.T = self._pushed(self.S)
        self.h = np.linalg.norm(self.T, axis=0)

    def _pushed(self, S: Array) -> Array:
        """T of scores."""
        T = self.Lam.T @ self.A.pool(np.maximum(S, 0.0))
        if self.A.places == 1:
            return T
        parts = T.reshape(len(T), S.shape[1], -1)  # (outputs, climbers, places)
        return parts.swapaxes(1, 2).reshape(-1, S.shape[1])

    def _weights(self, V: Array | None = None) -> Array:
        """``l = Lam v`` for each climber, (n_rows, K); v as given or ``T / h``."""
        V = self.T / np.maximum(self.h, self.tiny) if V is None else V
        if self.A.places > 1:
            C, K = self.Lam.shape[1], V.shape[1]
            V = V.reshape(C, -1, K).swapaxes(1, 2).reshape(C, -1)
        return self.A.unpool(self.Lam @ V)

    def _accept(self, U: Array, b: Array) -> Array:
        """Keep ``(U, b)`` where it is better; returns where."""
        S = self.A.scores(U, b)
        T = self._pushed(S)
        h = np.linalg.norm(T, axis=0)
        better = h > self.h * self.gain
        if better.all():
            self.U, self.b, self.S, self.T, self.h = U, b, S, T, h
        elif better.any():
            for old, new in zip((self.U, self.b, self.S, self.T, self.h), (U, b, S, T, h)):
                np.copyto(old, new, where=better)
        return better

    def meet(self) -> None:
        """Go on with the best climber of each pattern: the others are behind it on its way."""
        keep = best_of_patterns(self.S > 0, self.h)
        if len(keep) == len(self.h):
            return
        state = (self.U, self.b, self.S, self.T, self.h, self.step)
        self.U, self.b, self.S, self.T, self.h, self.step = (x[..., keep] for x in state)
        if self.shift is not None:
            self.shift = self.shift[keep]

    def move_anchor(self, V: Array | None = None, stop: Callable[[], bool] = never) -> None:
        """Put each bias at its best kink."""
        L = self._weights(V)  # V (n_outputs * places, K): outputs to go by
        P = self.S - self.b
        anchor = _best_kinks(P, L, stop)
        columns = np.arange(P.shape[1])
        self._accept(self.U, -P[anchor, columns])
        # the anchor of those that stay is the data point nearest to their kink
        stays = P[anchor, columns] + self.b != 0
        anchor[stays] = np.argmin(np.abs(self.S[:, stays]), axis=0)
        self.shift = self.A.dense_rows(anchor)

    def _bias(self, U: Array) -> Array:
        return self.b if self.shift is None else -np.einsum("jk,kj->j", self.shift, U)

    def _slope(self, G: Array) -> Array:
        """Derivative in u of ``sum_i G_i (x_i - x_anchor).u``."""
        slope = self.A.pull_back(G)
        return slope if self.shift is None else slope - self.shift.T * G.sum(axis=0)

    def gradient_step(self) -> bool:
        """A step along the gradient on the sphere; False when nobody can move."""
        if len(self.T) == 1 and not self.A.pooled:  # all weights are Lam but for the sign
            slope = np.sign(self.T) * self._slope((self.S > 0) * self.Lam)
        else:
            slope = self._slope((self.S > 0) * self._weights())
        tangent = slope - self.U * np.einsum("kj,kj->j", self.U, slope)
        U = self.U + self.step * tangent / np.maximum(np.linalg.norm(slope, axis=0), self.tiny)
        U /= np.linalg.norm(U, axis=0)
        better = self._accept(U, self._bias(U))
        self.step *= np.where(better, GROW, SHRINK)
        return bool(np.any(self.step > LAST_STEP))

    def kink_step(self, stop: Callable[[], bool] = never) -> None:
        """Maximise with the nearest concave kinks exact and everything else linear."""
        # 1. the nearest p kinks of each climber, and the slope of all that is not concave there
        n, k = self.A.n_rows, self.A.shape[1]
        p = min(n, 2 * k + 4, MAX_KINKS)
        L = self._weights()
        distance = np.where(L < 0, np.abs(self.S), np.inf)
        near = (
            np.argpartition(distance, p - 1, axis=0)[:p]
            if p < n
            else np.tile(np.arange(n)[:, None], (1, L.shape[1]))
        )
        L_near = np.take_along_axis(L, near, axis=0)
        concave = L_near < 0
        G = (self.S > 0) * L
        np.put_along_axis(G, near, np.where(concave, 0.0, np.take_along_axis(G, near, 0)), axis=0)
        slope = self._slope(G)
        weights = np.where(concave, -L_near, 0.0)
        on = np.take_along_axis(self.S, near, axis=0) > 0
        # 2. the maximiser of what is left, some climbers at once
        U = np.empty_like(self.U)
        chunk = max(1, BLOCK // (p * (p + k)))
        for start in range(0, U.shape[1], chunk):
            part = slice(start, start + chunk)
            if stop():  # the rest stay where they are
                U[:, start:] = self.U[:, start:]
                break
            rows = self.A.dense_rows(near[:, part].T.ravel()).reshape(-1, p, k)
            if self.shift is not None:
                rows = rows - self.shift[part, None, :]
            found = _box_residual(rows, slope[:, part].T, weights[:, part].T, on[:, part].T)
            U[:, part] = found.T
        norms = np.linalg.norm(U, axis=0)
        U = np.where(norms > 0, U / np.maximum(norms, TINY), self.U)
        # 3. go there, or part of the way: the linearised gates may have flipped
        origin = self.U.copy()
        better = self._accept(U, self._bias(U))
        for t in PARTS:
            if better.all():
                break
            V = np.where(better, self.U, origin + t * (U - origin))
            V /= np.maximum(np.linalg.norm(V, axis=0), TINY)
            better = better | self._accept(V, self._bias(V))


def _best_kinks(P: Array, L: Array, stop: Callable[[], bool] = never) -> Array:
    """For projections P and weights L (n, K): the k that maximises ``sum_i l_i (p_i - p_k)_+``.

    Zero for the columns that ``stop`` leaves out.
    """
    best = np.zeros(P.shape[1], dtype=np.intp)
    find = _kinks_of_bins if len(P) > SAMPLE else _kinks_by_sorting
    for start in range(0, len(best), COLUMNS):
        if stop():
            break
        part = slice(start, start + COLUMNS)
        best[part] = find(P[:, part], L[:, part])
    return best


def _kinks_by_sorting(P: Array, L: Array, beyond: tuple[float, float] = (0.0, 0.0)) -> Array:
    """By a sort and suffix sums a column; ``beyond`` are the sums of l and l p over larger p."""
    p, l = np.ascontiguousarray(P.T), np.ascontiguousarray(L.T)
    order = np.argsort(p, axis=1)
    p, l = (np.take_along_axis(x, order, axis=1) for x in (p, l))
    above, moment = (
        rest + np.cumsum(x[:, ::-1], axis=1)[:, ::-1] for rest, x in zip(beyond, (l, l * p))
    )
    at = np.argmax(moment - p * above, axis=1)
    return np.asarray(order[np.arange(len(at)), at])


def _kinks_of_bins(P: Array, L: Array) -> Array:
    """Through a histogram, whose bins add up exactly at their edges: only the two bins at the best
    edge are sorted."""
    K = P.shape[1]
    low, width = P.min(axis=0), np.ptp(P, axis=0) / BINS
    cell = ((P - low) / np.where(width > 0, width, 1.0)).astype(np.int32)
    np.minimum(cell, BINS - 1, out=cell)
    flat = (cell + BINS * np.arange(K, dtype=np.int32)).ravel()
    above = np.bincount(flat, L.ravel(), BINS * K).reshape(K, BINS)
    moment = np.bincount(flat, (L * P).ravel(), BINS * K).reshape(K, BINS)
    above, moment = (np.cumsum(x[:, ::-1], axis=1)[:, ::-1] for x in (above, moment))
    edges = low[:, None] + width[:, None] * np.arange(BINS)
    edge = np.argmax(moment - edges * above, axis=1)
    best = np.empty(K, dtype=np.intp)
    for j in range(K):
        rows = np.flatnonzero((cell[:, j] == edge[j]) | (cell[:, j] == edge[j] - 1))
        if rows.size == 0:
            rows = np.array([np.argmin(np.abs(P[:, j] - edges[j, edge[j]]))])
        last = edge[j] + 1 == BINS
        rest = (0.0, 0.0) if last else (above[j, edge[j] + 1], moment[j, edge[j] + 1])
        best[j] = rows[_kinks_by_sorting(P[rows, j, None], L[rows, j, None], rest)[0]]
    return best


def _box_residual(rows: Array, q: Array, w: Array, on: Array) -> Array:
    """``q - X^T nu`` minimising its norm over ``0 <= nu <= w``, for a batch.

    rows (K, p, k), q (K, k), w (K, p), on (K, p) whether nu starts at w or at 0.
    Accelerated projected gradient finds the box faces, then one linear solve makes the
    free multipliers exact, so that u lies ON their hyperplanes, not near them.
    """
    gram = rows @ rows.transpose(0, 2, 1)
    target = np.einsum("jpk,jk->jp", rows, q)
    # 1. which faces
    lipschitz = np.linalg.norm(gram, axis=(1, 2))[:, None] + TINY
    nu = np.where(on, w, 0.0)
    y, t = nu, 1.0
    for _ in range(BOX_STEPS):
        new = np.clip(y - (np.einsum("jpq,jq->jp", gram, y) - target) / lipschitz, 0.0, w)
        t_new = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        y = new + (t - 1) / t_new * (new - nu)
        nu, t = new, t_new
    # 2. the multipliers inside, exactly; those on faces stay
    free = (nu > 0) & (nu < w)
    ridge = RIDGE * np.einsum("jpp->j", gram)[:, None] + TINY
    masked = gram * (free[:, :, None] & free[:, None, :])
    diagonal = np.arange(w.shape[1])
    masked[:, diagonal, diagonal] += np.where(free, ridge, 1.0)
    fixed = np.where(free, 0.0, nu)
    right = np.where(free, target - np.einsum("jpq,jq->jp", gram, fixed), 0.0)
    exact = np.linalg.solve(masked, right[..., None])[..., 0]
    nu = np.where(free, np.clip(exact, 0.0, w), nu)
    return q - np.einsum("jpk,jp->jk", rows, nu)
