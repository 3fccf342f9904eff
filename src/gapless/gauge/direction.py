"""The gauge of one output by branch and bound over directions.

The gauge is a maximum over directions in as many dimensions as the data have, however many samples
there are.  :mod:`gapless.gauge.tree` decides whether it exceeds some G, box by box
(:mod:`gapless.gauge.boxes`), first for a G well above the best neuron known, then nearer and
nearer; each success is a proof.  Where a box holds a better neuron that one is the best known.

What matters most is in which coordinates boxes are cut: the eigenvectors of
``sum_i |lam_i| x_i x_i^T``.  A free bias b is one more coordinate, left out of the norm: on a face
of the cube no neuron that bends at a sample has ``|b|`` above ``max_i ||x_i||_1``.

Rounding.  A box has ``|u_j| + w_j <= 1``, so all that is summed for sample i, its weight taken out,
is at most ``4 (D + 1) ||x_i||_1``, and with ``S = sum_i |lam_i| ||x_i||_1`` a bound is off by at
most ``EPS (8 (n + 64) (D + 4) + 200 (D + 4)^3) (S + G)``: the sums over n samples in any order,
and the Cholesky factor of a form of trace below ``4 D^2 (S + G)``.  As ``||u|| >= 1`` on a face
that much is added to G.  What samples have beside the coordinates kept is charged as measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import row_norms
from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..core.rounding import EPS
from ..core.threads import blas_threads
from ..core.watch import Watch
from .base import Dual, GaugeBound, Relaxation
from .boxes import Bounder, Cone, bound_boxes
from .row_space import dimensions, row_space
from .search import Oracle
from .tree import BATCH, Outcome, Team, predict_boxes, roots, search_boxes

# G over the best neuron known, less one: half as much every third time.
RATIOS = 1 + 0.5 ** (np.arange(41) / 3)
# A free bias counting as one; boxes of more dimensions are too many on all data tried.
MOST_DIMENSIONS = 18
# Of a bound asked for by itself: how near it has to be, and seconds at most.
NEAR, SECONDS = 1.06, 10.0
# Starts of the search for the best neuron.
STARTS = 128
# Compiling takes some eight seconds, once on a machine: not in less time than this.
COMPILING = 20.0
# The first search is begun if it is predicted to take up to this many times the time left, as
# predictions are off by that much.  Of the ratios the last is taken that is predicted to take this
# share of it: a small one while nothing is proven, then more.
PATIENCE, SAFE, BOLD = 2.0, 0.1, 0.55


class Directional(Relaxation):
    """Branch and bound over directions; see the module.

    ``maximise`` leaves the dual point where it is and proves more and more of it; ``decide`` asks
    for one bound alone.
    """

    name = "directions"
    needs = "one output and at most 18 dimensions, a free bias counting as one"
    files = False

    def applies(self, core: Problem) -> bool:
        small = min(core.X.shape) <= 10 * MOST_DIMENSIONS
        return core.n_outputs == 1 and small and dimensions(core) <= MOST_DIMENSIONS

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        bound = GaugeBound(0.0, np.inf, None, self.name)
        for _, bound in self.maximise(core, Lam, SECONDS):
            if bound.upper <= NEAR * bound.lower:
                break
        return bound

    def maximise(self, core: Problem, Lam: Array, time_limit: float) -> Iterator[Dual]:
        self.require(core)
        watch = Watch(time_limit)
        space = _Rotated.of(core, Lam[:, 0])
        if space.spread == 0:  # constant data, or no dual point
            yield Lam, GaugeBound(0.0, space.beside, None, self.name)
            return
        best = _best_neuron(core, Lam, watch)
        search, at, share, patience = _Search(space, Lam, watch), 0, SAFE, PATIENCE
        while (chosen := _affordable(search, at, best, share, patience)) is not None:
            outcome = search.decide(_gauge(best, chosen))
            if outcome.closed:
                yield Lam, search.proven(_gauge(best, chosen), best)
                at, share, patience = chosen + 1, BOLD, 1.0
            elif outcome.direction is not None:
                best = space.neuron(core, Lam, outcome.direction)
            else:
                return

    def decide(self, core: Problem, Lam: Array, G: float, time_limit: float) -> GaugeBound | None:
        """Whether the gauge is at most G.

        Parameters
        ----------
        core : Problem
        Lam : array of shape (n_samples, 1)
        G : float
        time_limit : float
            Seconds.

        Returns
        -------
        GaugeBound or None
            With ``upper`` as good as G, or with a neuron above G, ``lower``; None where neither is
            predicted in half the time, or found in all of it.
        """
        watch = Watch(time_limit)
        space = _Rotated.of(core, Lam[:, 0])
        if space.spread == 0:
            return GaugeBound(0.0, space.beside, None, self.name)
        search = _Search(space, Lam, watch)
        if search.seconds(G) > watch.left / PATIENCE:
            return None
        outcome = search.decide(G)
        if outcome.direction is not None:
            best = space.neuron(core, Lam, outcome.direction)
            return GaugeBound(float(best.value[0]), np.inf, best, self.name)
        return search.proven(G, None) if outcome.closed else None


class _Search:
    """The directions of one dual point.

    Attributes
    ----------
    pace : float
        Seconds a box, of the last search if there was one.
    better : array of shape (D,) or None
        A direction that a prediction met, above the G it was made for.
    """

    def __init__(self, space: _Rotated, Lam: Array, watch: Watch) -> None:
        self.space, self.watch, self.bounder = space, watch, _bounder(watch.left)
        self._sides = [Cone.of(space.P, sign * Lam[:, 0], space.normed) for sign in (1.0, -1.0)]
        self._closed = [np.inf, np.inf]
        self._boxes: dict[float, float] = {}
        self.better: Array | None = None
        self.pace = self._pace()

    def decide(self, G: float) -> Outcome:
        """Whether no direction has ``h(u) > G ||u||``, or ``h(-u)``."""
        if (u := self.better) is not None and self._gauge(u) > G:
            return Outcome(False, u, 0)
        started, boxes = self.watch.seconds, 0
        with _team() as team:
            for i, side in enumerate(self._sides):
                if self._closed[i] <= G:
                    continue
                outcome = search_boxes(side, G, self.bounder, self.watch.due, team)
                boxes += outcome.boxes
                if not outcome.closed:
                    return outcome
                self._closed[i] = G
        self.pace = (self.watch.seconds - started) / max(boxes, 1)
        return Outcome(True, None, boxes)

    def seconds(self, G: float) -> float:
        """About how long that takes, no time where it is known to end at a direction above G.

        More than :data:`PATIENCE` times what is left is not told apart.  Each G is looked at once.
        """
        if G not in self._boxes:
            boxes, enough = 0.0, PATIENCE * max(self.watch.left, 0.0) / self.pace
            with _team() as team:
                for side in self._sides:
                    found = predict_boxes(side, G, self.bounder, self.watch.due, enough, team)
                    boxes += found.boxes
                    if found.direction is not None:
                        boxes, self.better = 0.0, found.direction
                        break
            self._boxes[G] = boxes
        return self._boxes[G] * self.pace

    def _gauge(self, u: Array) -> float:
        """``max(h(u), h(-u)) / ||u||``."""
        size = float(np.linalg.norm(u * self._sides[0].normed))
        return max(float(side.value(u[None])[0]) for side in self._sides) / size

    def _pace(self) -> float:
        """Seconds a box of a full batch; what is compiled is loaded first."""
        side = self._sides[0]
        U, W = roots(side.normed)
        boxes = (np.resize(x, (BATCH, len(side.normed))) for x in (U, W, 0 * U))
        batch = *boxes, np.ones((BATCH, 2), dtype=bool)
        self.bounder(side, 1.0, *(x[:2] for x in batch))
        with _team() as team, blas_threads(1):
            started = time.perf_counter()
            list(team.map(lambda _: self.bounder(side, 1.0, *batch), range(team.count)))
            return (time.perf_counter() - started) / (team.count * BATCH)

    def proven(self, G: float, best: Candidates | None) -> GaugeBound:
        """The bound of the gauge where none is above G but for rounding."""
        space = self.space
        upper = (G + space.rounding(G)) * space.stretch * (1 + 4 * EPS) + space.beside
        value = 0.0 if best is None else float(best.value[0])
        near = f", within {G / value - 1:.2g} of the best neuron found" if value else ""
        return GaugeBound(value, upper, best, f"boxes of directions{near}")


def _gauge(best: Candidates, at: int) -> float:
    return float(RATIOS[at] * best.value[0])


def _affordable(
    search: _Search, first: int, best: Candidates, share: float, patience: float
) -> int | None:
    """The last of the ratios from ``first`` on that takes at most this share of the time left.

    ``first`` itself where none does, if it takes at most ``patience`` of it; else None.
    """
    if first >= len(RATIOS):
        return None
    left = max(search.watch.left, 0.0)
    if (least := search.seconds(_gauge(best, first))) > share * left:
        return first if least <= patience * left else None
    # the nearer, the longer, to predict as well: in growing steps, then by halves
    low, step = first, 1
    while low + step < len(RATIOS) and search.seconds(_gauge(best, low + step)) <= share * left:
        low, step = low + step, 2 * step
    high = min(low + step, len(RATIOS)) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if search.seconds(_gauge(best, middle)) <= share * left:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True, eq=False)
class _Rotated:
    """The samples in the coordinates in which boxes are cut.

    Attributes
    ----------
    P : array of shape (n_samples, D)
        Samples; the last column, of a free bias, holds the power of two that is its unit.
    basis : array of shape (n_features, rank)
    mean : array of shape (n_features,)
    normed : array of shape (D,)
        0 for the bias, 1 elsewhere.
    spread : float
        ``sum_i |lam_i| ||x_i||_1``.
    stretch, beside : float
        A bound of the norm of ``basis``, and what samples have beside it, in any neuron.
    """

    P: Array
    basis: Array
    mean: Array
    normed: Array
    spread: float
    stretch: float
    beside: float

    @classmethod
    def of(cls, core: Problem, lam: Array) -> _Rotated:
        space = row_space(core)
        X, rank = space.samples, space.rank
        turn = np.eye(0) if rank == 0 else np.linalg.eigh((X.T * np.abs(lam)) @ X)[1][:, ::-1]
        P = X @ turn
        stretch = 1 + float(np.linalg.norm(turn.T @ turn - np.eye(rank))) + 16 * rank * EPS
        lost = row_norms(X - P @ turn.T) + 16 * (rank + 4) * EPS * rank * row_norms(X)
        left = space.left * stretch + lost
        if core.free:  # a neuron measures the samples from the one it bends at
            left = left + left.max()
        beside = float(left @ np.abs(lam)) * (1 + len(lam) * EPS) * space.stretch * stretch
        normed = np.ones(rank)
        if core.free and rank:
            reach = 2.0 ** np.ceil(np.log2(np.abs(P).sum(axis=1).max() * (1 + 4 * rank * EPS)))
            P = np.hstack([P, np.full((len(P), 1), reach)])
            normed = np.append(normed, 0.0)
        spread = float(np.abs(lam) @ np.abs(P).sum(axis=1))
        basis = space.basis @ turn
        return cls(P, basis, space.mean, normed, spread, space.stretch * stretch, beside)

    def rounding(self, G: float) -> float:
        """What the bound of a box may be off by; see the module."""
        n, D = self.P.shape
        return EPS * (8 * (n + 64) * (D + 4) + 200 * (D + 4) ** 3) * (self.spread + G)

    def neuron(self, core: Problem, Lam: Array, direction: Array) -> Candidates:
        """The neuron of a direction, its value computed anew."""
        rank = self.basis.shape[1]
        u = self.basis @ direction[:rank]
        size = float(np.linalg.norm(u))
        b = float(direction[rank] * self.P[0, rank]) if core.free else 0.0
        u, b = u / size, b / size - float(self.mean @ u) / size
        active = np.maximum(core.design.scores(u) + b, 0.0)
        return Candidates.one(u, float(np.linalg.norm(Lam.T @ active)), b)


def _best_neuron(core: Problem, Lam: Array, watch: Watch) -> Candidates:
    oracle = Oracle(core.design, core.free, np.random.default_rng(0))
    none = np.zeros((core.n_features, 0))
    found = oracle.search(Lam, none, STARTS, stop=Watch(watch.left / 4).due)
    return found.take(np.array([int(np.argmax(found.value))]))


def _bounder(seconds: float) -> Bounder:
    """Compiled, where there is numba and time to compile."""
    loops = _loops()
    if loops is not None and (seconds >= COMPILING or loops.is_compiled()):
        return loops.bounder()
    return bound_boxes


def compile_loops(problem: Problem) -> bool:
    """Compile what bounds boxes where ``problem`` has any and nothing is compiled; whether it did.

    Some eight seconds, once.
    """
    loops = _loops() if problem.n_outputs == 1 else None
    # the core last: its samples are sorted and decomposed
    if loops is None or loops.is_compiled() or not Directional().applies(Reduction(problem).core):
        return False
    cone = Cone.of(np.eye(2), np.array([1.0, -1.0]), np.ones(2))
    U, W = roots(cone.normed)
    loops.bounder()(cone, 0.1, U, W, 0 * U, np.ones((2, 2), dtype=bool))
    return True


def _loops() -> Any:
    """The compiled loops; None without numba, or a place to keep what is compiled."""
    try:
        from . import boxes_compiled
    except (ImportError, RuntimeError):
        return None
    return boxes_compiled


@contextmanager
def _team() -> Iterator[Team]:
    """All cores."""
    with ThreadPoolExecutor(cores := _cores()) as pool:
        yield Team(cores, pool.map)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
