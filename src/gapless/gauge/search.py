"""Search for neurons that violate the dual constraint: local maxima of the gauge.

The oracle climbs ``h(u, b) = || Lam^T (A u + b)_+ ||_2`` over ``||u|| <= 1`` from many
starts at once.  With ``v = Lam^T z / ||Lam^T z||`` held fixed, ``h`` is at least the scalar
function ``sum_i l_i (x_i.u + b)_+``, ``l = Lam v``, so every step below works on that one:

1. *ascent*: projected gradient steps on the sphere, one adaptive step a start;
2. *kinks*: samples with ``l_i < 0`` make concave kinks, which attract the maximisers, so most
   optimal neurons lie exactly on data hyperplanes.  The kinks nearest to ``u`` are kept as
   they are and the rest is linearised: by duality

       max_{||u|| <= 1}  q.u - sum_k w_k (x_k.u)_+   =   min_{0 <= nu <= w} || q - X_K^T nu ||,

   a box-constrained least-squares problem whose residual, normalised, is the new u.

Free biases: for fixed u the best b puts a kink on a data point (JMLR 2021, Lemma 6), so b is
written as ``-x_k.u`` with an *anchor* k, found exactly by prefix sums along ``X u``.

What is found is a LOWER bound of the gauge.  Finding nothing proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Design, dense_rows, pull_back, row_blocks
from ..core.checks import Array
from ..core.watch import never

# An improvement below this relative size is rounding.
TINY = 1e-12
# Random starts of a first search, and of all on a sample of the rows.
FIRST_STARTS = 64
# Candidates of a search without exact steps that take them nevertheless: the largest value is an
# estimate of the gauge.
FEW = 16
# From so many neurons on a search has as many starts around them as random ones.
ROUND = 8
# Gradient steps of a search.
STEPS = 25
# Steps after which climbers of one pattern become one.
MEET = 8
# More kinks than this a neuron are not resolved at once: the cost grows with their cube.
MAX_KINKS = 96
# Rows on which a search climbs: a direction that is good on a few thousand is good on all, and
# the exact kink steps that follow use every row.
SAMPLE = 4096
# Columns of scores that are sorted at once.
COLUMNS = 32
# Bins of the histogram that finds the best kink among many rows.
BINS = 512


@dataclass(frozen=True)
class Candidates:
    """Unit directions ``U`` (k, K), biases ``b`` (K,) and values ``h`` (K,)."""

    U: Array
    b: Array
    value: Array

    def __len__(self) -> int:
        return int(self.value.size)

    def take(self, index: Array | slice) -> Candidates:
        return Candidates(self.U[:, index], self.b[index], self.value[index])

    def astype(self, kind: type) -> Candidates:
        return Candidates(self.U.astype(kind), self.b.astype(kind), self.value.astype(kind))

    def append(self, *others: Candidates) -> Candidates:
        fields = ((part.U, part.b, part.value) for part in (self, *others))
        return Candidates(*(np.concatenate(x, axis=-1) for x in zip(*fields)))


class Oracle:
    """Multi-start search on the design ``A`` (n, k), with or without free biases."""

    def __init__(self, A: Design, free: bool, rng: np.random.Generator) -> None:
        self.A = A
        self.free = free
        self.rng = rng

    def search(
        self,
        Lam: Array,
        neurons: Array,
        n_starts: int,
        kinks: bool = True,
        stop: Callable[[], bool] = never,
    ) -> Candidates:
        """Local maximisers from ``n_starts`` random starts and from around ``neurons`` (k, m).

        Gradient steps, then exact ones; of the best :data:`FEW` only without ``kinks``.  ``stop``
        is asked before each.
        """
        n = len(Lam)
        sample = n
        if n > SAMPLE:
            # climb on some rows, refine on all; more effort is first more rows, then more starts,
            # at the work of n_starts on SAMPLE rows
            sample = min(n, SAMPLE * max(1, n_starts // FIRST_STARTS))
            n_starts = n_starts * SAMPLE // sample
        starts = [self._random_starts(n_starts)]
        if neurons.shape[1]:
            m, each = neurons.shape[1], min(n_starts // 32, 4)  # few while any gains much
            around = n_starts * min(m, ROUND) // ROUND
            starts.append(self._neighbours(neurons, max(around, each * m)))
        U = np.hstack(starts)
        norms = np.linalg.norm(U, axis=0)
        U = U[:, norms > 0] / norms[norms > 0]
        rows = self.rng.choice(n, sample, replace=False) if sample < n else slice(None)
        # in single precision, twice as fast: the exact steps that follow start from U alone, so
        # that the scale of Lam does not matter
        size, b = float(np.abs(Lam).max(initial=0.0)) or 1.0, np.zeros(U.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):  # as in refine.py
            climb = _Climb(*(x.astype(np.float32) for x in (self.A[rows], Lam[rows] / size, U, b)))
            self._climb(climb, stop)
        best = np.argsort(-climb.h)[: max(64, 2 * neurons.shape[1])]
        rounds = 2 if n <= SAMPLE else 1  # many rows: costly, and a kink moves little
        few = len(best) if kinks else FEW
        U, b = (x[..., best].astype(np.float64) for x in (climb.U, climb.b))
        size = np.linalg.norm(U, axis=0)
        U, b = U / size, b / size
        exact = self.improve(Lam, U[:, :few], b[:few], rounds, stop)
        rough = self.improve(Lam, U[:, few:], b[few:], 0, stop)
        return exact.append(rough)

    def _climb(self, climb: _Climb, stop: Callable[[], bool]) -> None:
        """Gradient steps, climbers of one pattern becoming one on the way."""
        if self.free:
            # no bias yet: take the best one for some sign of the scalar function
            signs = self.rng.choice([-1.0, 1.0], size=(climb.Lam.shape[1], climb.h.size))
            climb.move_anchor(signs.astype(climb.U.dtype), stop)
        for step in range(STEPS):
            if stop():
                break
            if self.free and step % 10 == 4:
                climb.move_anchor(stop=stop)
            if not climb.gradient_step():
                break
            if step % MEET == MEET - 1:
                climb.meet()

    def improve(
        self,
        Lam: Array,
        U: Array,
        b: Array,
        rounds: int = 1,
        stop: Callable[[], bool] = never,
    ) -> Candidates:
        """Exact kink steps from the given neurons; from the first of them if ``stop`` ends it."""
        if len(b) == 0:
            return Candidates(U, b, np.zeros(0))
        parts = []
        for part in row_blocks(len(b), len(Lam)):  # a handful of (n, K) arrays live at once
            climb = _Climb(self.A, Lam, U[:, part], b[part])
            for _ in range(rounds):
                if stop():
                    break
                if self.free:
                    climb.move_anchor(stop=stop)
                climb.kink_step(stop)
            parts.append(Candidates(climb.U, climb.b, climb.h))
            if stop():
                break
        return parts[0].append(*parts[1:])

    def _random_starts(self, n_starts: int) -> Array:
        """Gaussian directions, data points with both signs, differences of data points."""
        n, k = self.A.shape
        quarter = max(1, n_starts // 4)
        gaussian = self.rng.standard_normal((k, max(1, n_starts - 3 * quarter)))
        P = [dense_rows(self.A, self.rng.integers(n, size=quarter)) for _ in range(4)]
        return np.hstack([gaussian, P[0].T, -P[1].T, (P[2] - P[3]).T])

    def _neighbours(self, neurons: Array, count: int) -> Array:
        """Current neurons shaken at all scales, and pairs of them mixed.

        Near convergence most violated directions sit in cells next to an active neuron's:
        on diabetes 40% of the shaken neurons climb to one, against 2% of random starts.
        """
        k, m = neurons.shape
        i, j = self.rng.integers(m, size=(2, count))
        noise = self.rng.standard_normal((k, count)) / np.sqrt(k)
        shaken = neurons[:, i] + 10 ** self.rng.uniform(-1.7, -0.2, count) * noise
        third = count // 3
        mixed = neurons[:, i[:third]] + neurons[:, j[:third]] * self.rng.uniform(-0.9, 1.0, third)
        return np.hstack([shaken, mixed])


class _Climb:
    """One batch of K climbers; every step keeps the better of the old and the new."""

    def __init__(self, A: Design, Lam: Array, U: Array, b: Array) -> None:
        self.A, self.Lam = A, Lam
        self.step = np.full(U.shape[1], 4.0, U.dtype)
        self.tiny = np.finfo(U.dtype).tiny
        self.gain = 1 + max(TINY, float(np.finfo(U.dtype).eps))
        self.shift: Array | None = None  # (K, k): the anchors' rows
        self.U, self.b = U.copy(), b.copy()  # _accept writes into them
        self.S = self.A @ U + b
        self.T = Lam.T @ np.maximum(self.S, 0.0)
        self.h = np.linalg.norm(self.T, axis=0)

    def _weights(self) -> Array:
        """``l = Lam v`` for each climber, (n, K)."""
        return self.Lam @ (self.T / np.maximum(self.h, self.tiny))

    def _accept(self, U: Array, b: Array) -> Array:
        """Keep ``(U, b)`` where it is better; returns where."""
        S = self.A @ U + b
        T = self.Lam.T @ np.maximum(S, 0.0)
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
        for name in ("U", "b", "S", "T", "h", "step"):
            setattr(self, name, getattr(self, name)[..., keep])
        if self.shift is not None:
            self.shift = self.shift[keep]

    def move_anchor(self, V: Array | None = None, stop: Callable[[], bool] = never) -> None:
        """Put each bias at its best kink."""
        L = self._weights() if V is None else self.Lam @ V
        P = self.S - self.b
        anchor = _best_kinks(P, L, stop)
        columns = np.arange(P.shape[1])
        self._accept(self.U, -P[anchor, columns])
        # the anchor of those that stay is the data point nearest to their kink
        stays = P[anchor, columns] + self.b != 0
        anchor[stays] = np.argmin(np.abs(self.S[:, stays]), axis=0)
        self.shift = dense_rows(self.A, anchor)

    def _bias(self, U: Array) -> Array:
        return self.b if self.shift is None else -np.einsum("jk,kj->j", self.shift, U)

    def _slope(self, G: Array) -> Array:
        """Derivative in u of ``sum_i G_i (x_i - x_anchor).u``."""
        slope = pull_back(self.A, G)
        return slope if self.shift is None else slope - self.shift.T * G.sum(axis=0)

    def gradient_step(self) -> bool:
        """A step along the gradient on the sphere; False when nobody can move."""
        if len(self.T) == 1:  # one output: all weights are Lam but for the sign
            slope = np.sign(self.T) * self._slope((self.S > 0) * self.Lam)
        else:
            slope = self._slope((self.S > 0) * self._weights())
        tangent = slope - self.U * np.einsum("kj,kj->j", self.U, slope)
        U = self.U + self.step * tangent / np.maximum(np.linalg.norm(slope, axis=0), self.tiny)
        U /= np.linalg.norm(U, axis=0)
        better = self._accept(U, self._bias(U))
        self.step *= np.where(better, 1.5, 0.35)
        return bool(np.any(self.step > 1e-5))

    def kink_step(self, stop: Callable[[], bool] = never) -> None:
        """Maximise with the nearest concave kinks exact and everything else linear."""
        n, k = self.A.shape
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
        Q = self._slope(G)
        U = np.empty_like(self.U)
        chunk = max(1, (1 << 22) // (p * (p + k)))  # climbers at once: 32 MiB of temporaries
        for s in range(0, U.shape[1], chunk):
            part = slice(s, s + chunk)
            if stop():  # the rest stay where they are
                U[:, s:] = self.U[:, s:]
                break
            rows = dense_rows(self.A, near[:, part].T.ravel()).reshape(-1, p, k)
            if self.shift is not None:
                rows = rows - self.shift[part, None, :]
            U[:, part] = _box_residual(
                rows,
                Q[:, part].T,
                np.where(concave, -L_near, 0.0)[:, part].T,
                np.take_along_axis(self.S, near, axis=0)[:, part].T > 0,
            ).T
        norms = np.linalg.norm(U, axis=0)
        U = np.where(norms > 0, U / np.maximum(norms, 1e-300), self.U)
        start = self.U.copy()
        better = self._accept(U, self._bias(U))
        for t in (0.4, 0.15):  # the linearised gates may have flipped: go part of the way
            if better.all():
                break
            V = np.where(better, self.U, start + t * (U - start))
            V /= np.maximum(np.linalg.norm(V, axis=0), 1e-300)
            better = better | self._accept(V, self._bias(V))


def best_of_patterns(on: Array, value: Array) -> Array:
    """Which columns of ``on`` (n, K) have the most ``value`` (K,) of their kind, best first."""
    order = np.argsort(-value, kind="stable")
    packed = np.packbits(on[:, order], axis=0)
    return order[np.sort(np.unique(packed, axis=1, return_index=True)[1])]


def _best_kinks(P: Array, L: Array, stop: Callable[[], bool] = never) -> Array:
    """For projections P and weights L (n, K): the k that maximises ``sum_i l_i (p_i - p_k)_+``.

    Zero for the columns that ``stop`` leaves out.
    """
    best = np.zeros(P.shape[1], dtype=np.intp)
    find = _kinks_of_bins if len(P) > SAMPLE else _kinks_by_sorting
    for start in range(0, len(best), COLUMNS):  # a few at a time stay in the cache
        if stop():
            break
        part = slice(start, start + COLUMNS)
        best[part] = find(P[:, part], L[:, part])
    return best


def _kinks_by_sorting(P: Array, L: Array) -> Array:
    """By a sort and suffix sums a column."""
    p, l = np.ascontiguousarray(P.T), np.ascontiguousarray(L.T)
    order = np.argsort(p, axis=1)
    p, l = (np.take_along_axis(x, order, axis=1) for x in (p, l))
    above, moment = (np.cumsum(x[:, ::-1], axis=1)[:, ::-1] for x in (l, l * p))
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
        beyond = min(edge[j] + 1, BINS - 1)
        rest = (above[j, beyond], moment[j, beyond]) if edge[j] + 1 < BINS else (0.0, 0.0)
        best[j] = rows[_best_kink(P[rows, j], L[rows, j], *rest)]
    return best


def _best_kink(p: Array, l: Array, above: float, moment: float) -> int:
    """One column of :func:`_kinks_by_sorting`, given the sums of l and l p over larger p."""
    order = np.argsort(p)
    q, w = p[order], l[order]
    above_q = above + np.cumsum(w[::-1])[::-1]
    moment_q = moment + np.cumsum((w * q)[::-1])[::-1]
    return int(order[np.argmax(moment_q - q * above_q)])


def _box_residual(rows: Array, q: Array, w: Array, on: Array) -> Array:
    """``q - X^T nu`` minimising its norm over ``0 <= nu <= w``, for a batch.

    rows (K, p, k), q (K, k), w (K, p), on (K, p) whether nu starts at w or at 0.
    Accelerated projected gradient finds the box faces, then one linear solve makes the
    free multipliers exact, so that u lies ON their hyperplanes, not near them.
    """
    gram = rows @ rows.transpose(0, 2, 1)
    target = np.einsum("jpk,jk->jp", rows, q)
    lipschitz = np.linalg.norm(gram, axis=(1, 2))[:, None] + 1e-300
    nu = np.where(on, w, 0.0)
    y, t = nu, 1.0
    for _ in range(40):
        new = np.clip(y - (np.einsum("jpq,jq->jp", gram, y) - target) / lipschitz, 0.0, w)
        t_new = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        y = new + (t - 1) / t_new * (new - nu)
        nu, t = new, t_new
    free = (nu > 0) & (nu < w)
    ridge = 1e-12 * np.einsum("jpp->j", gram)[:, None] + 1e-300
    masked = gram * (free[:, :, None] & free[:, None, :])
    diagonal = np.arange(w.shape[1])
    masked[:, diagonal, diagonal] += np.where(free, ridge, 1.0)
    fixed = np.where(free, 0.0, nu)
    right = np.where(free, target - np.einsum("jpq,jq->jp", gram, fixed), 0.0)
    exact = np.linalg.solve(masked, right[..., None])[..., 0]
    nu = np.where(free, np.clip(exact, 0.0, w), nu)
    return q - np.einsum("jpk,jp->jk", rows, nu)
