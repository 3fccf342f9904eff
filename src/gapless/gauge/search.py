"""Search for neurons that violate the dual constraint: local maxima of the gauge.

The oracle climbs ``h(u, b) = || Lam^T (A u + b)_+ ||_2`` over ``||u|| <= 1`` from many
starts at once; :mod:`gapless.gauge.climb` has the steps.

What is found is a LOWER bound of the gauge.  Finding nothing proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.arrays import row_blocks
from ..core.candidates import Candidates, best_of_patterns
from ..core.checks import Array
from ..core.design import Design, design_of
from ..core.threads import each
from ..core.watch import never
from .climb import SAMPLE, Climb

# Random starts of a first search, and of all on a sample of the rows.
FIRST_STARTS = 64
# Candidates of a search without exact steps that take them nevertheless: the largest value is an
# estimate of the gauge.
FEW = 16
# From so many neurons on a search has as many starts around them as random ones.
ROUND = 8
# A neuron is the origin of one start in so many, of a few at most: few while any gains much.
EACH, MOST_EACH = 32, 4
# Gradient steps of a search.
STEPS = 25
# Steps after which climbers of one pattern become one.
MEET = 8
# Steps from one best bias to the next, and the first of them to look for it.
REBIAS, FIRST_REBIAS = 10, 4
# Climbers that go on together, and numbers of theirs from which on threads share them.
TOGETHER, LARGE = 128, 1 << 17
# Climbers that a search ends with, or twice as many as there are neurons.
KEPT = 64
# Patches that a first search climbs on, and images at least.
PATCHES, LEAST_IMAGES = 1 << 16, 256


class Oracle:
    """Multi-start search on a design.

    Parameters
    ----------
    A : array or sparse matrix of shape (n_samples, n_features)
    free : bool
        Whether the biases of neurons are free; else they have none.
    rng : numpy.random.Generator
        Of the starts.
    """

    def __init__(self, A: Design | Array, free: bool, rng: np.random.Generator) -> None:
        self.A = design_of(A)
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
        """Local maximisers of the gauge.

        Parameters
        ----------
        Lam : array of shape (n_samples, n_outputs)
            A dual point; its columns sum to zero when the bias is free.
        neurons : array of shape (n_features, n_neurons)
            Directions of the current network: about as many starts are around them as random.
        n_starts : int
            Random starts.
        kinks : bool, default True
            Exact steps of all that gradient steps reached; else of the best :data:`FEW` only.
        stop : callable
            Asked before each step; the search ends with what it has once the answer is true.

        Returns
        -------
        Candidates
            The values are exact, the directions of unit norm.
        """
        n, m = len(Lam), neurons.shape[1]
        sample, first = n, self._first_sample()
        if n > first:
            # climb on some rows, refine on all; more effort is first more rows, then more starts,
            # at the work of n_starts on the first sample
            sample = min(n, first * max(1, n_starts // FIRST_STARTS))
            n_starts = n_starts * first // sample
        # 1. starts, random and around the neurons
        starts = [self._random_starts(n_starts)]
        if m:
            around = n_starts * min(m, ROUND) // ROUND
            own = min(n_starts // EACH, MOST_EACH)
            starts.append(self._neighbours(neurons, max(around, own * m)))
        U = np.hstack(starts)
        norms = np.linalg.norm(U, axis=0)
        U = U[:, norms > 0] / norms[norms > 0]
        rows = self.rng.choice(n, sample, replace=False) if sample < n else slice(None)
        # 2. gradient steps in single precision, twice as fast: the exact steps that follow start
        # from U alone, so that the scale of Lam does not matter
        size = float(np.abs(Lam).max(initial=0.0)) or 1.0
        with np.errstate(over="ignore", invalid="ignore"):  # what is not a number is not better
            A = self.A.rows(rows).astype(np.float32)
        U, b, h = self._ascend(A, (Lam[rows] / size).astype(np.float32), U.astype(np.float32), stop)
        # 3. the best, exactly
        best = np.argsort(-h)[: max(KEPT, 2 * m)]
        rounds = 2 if n <= first else 1  # many rows: costly, and a kink moves little
        few = len(best) if kinks else FEW
        U, b = (x[..., best].astype(np.float64) for x in (U, b))
        norms = np.linalg.norm(U, axis=0)
        U, b = U / norms, b / norms
        exact = self.improve(Lam, U[:, :few], b[:few], rounds, stop)
        rough = self.improve(Lam, U[:, few:], b[few:], 0, stop)
        return exact.append(rough)

    def _first_sample(self) -> int:
        """Samples that a first search climbs on."""
        if not self.A.pooled:
            return SAMPLE
        # patches of an image tell little of other images
        return max(PATCHES // self.A.height, LEAST_IMAGES)

    def _ascend(
        self, A: Design, Lam: Array, U: Array, stop: Callable[[], bool]
    ) -> tuple[Array, Array, Array]:
        """Where gradient steps from U end: directions, biases and values."""
        K = U.shape[1]
        # no bias yet: the first is the best one for some sign of the scalar function
        signs = self.rng.choice([-1.0, 1.0], size=(Lam.shape[1] * A.places, K)).astype(U.dtype)
        parts = [slice(start, start + TOGETHER) for start in range(0, K, TOGETHER)]

        def climbed(part: slice) -> Climb:
            with np.errstate(over="ignore", invalid="ignore"):  # each thread has its own
                climb = Climb(A, Lam, U[:, part], np.zeros(len(U[0, part]), U.dtype))
                self._climb(climb, signs[:, part], stop)
            return climb

        climbs = each(climbed, parts, A.n_rows * K > LARGE)
        U, b, h = (np.concatenate([getattr(c, x) for c in climbs], axis=-1) for x in "Ubh")
        if len(climbs) > 1:  # they meet once more
            keep = best_of_patterns(np.hstack([c.S > 0 for c in climbs]), h)
            U, b, h = U[:, keep], b[keep], h[keep]
        return U, b, h

    def _climb(self, climb: Climb, signs: Array, stop: Callable[[], bool]) -> None:
        """Gradient steps, climbers of one pattern becoming one on the way."""
        if self.free:
            climb.move_anchor(signs, stop)
        for step in range(STEPS):
            if stop():
                break
            if self.free and step % REBIAS == FIRST_REBIAS:
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
        """Exact kink steps from given neurons.

        Parameters
        ----------
        Lam : array of shape (n_samples, n_outputs)
        U : array of shape (n_features, n_neurons)
            Unit directions.
        b : array of shape (n_neurons,)
        rounds : int, default 1
            Of steps; with none the neurons get their values only.
        stop : callable
            Asked before each step.

        Returns
        -------
        Candidates
            One for each neuron, of the first of them only if ``stop`` ended it; none is worse.
        """
        if len(b) == 0:
            return Candidates(U, b, np.zeros(0))
        parts = []
        for part in row_blocks(len(b), self.A.n_rows):  # a handful of (n, K) arrays live at once
            climb = Climb(self.A, Lam, U[:, part], b[part])
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
        n, k = self.A.n_rows, self.A.shape[1]
        quarter = max(1, n_starts // 4)
        gaussian = self.rng.standard_normal((k, max(1, n_starts - 3 * quarter)))
        P = [self.A.dense_rows(self.rng.integers(n, size=quarter)) for _ in range(4)]
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
