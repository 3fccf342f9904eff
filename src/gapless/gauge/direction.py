"""The gauge of one output by branch and bound over directions.

The gauge is a maximum over directions in as many dimensions as the data have, however many samples
there are.  :mod:`gapless.gauge.tree` decides whether it exceeds some G, box by box
(:mod:`gapless.gauge.boxes`), first for a G well above the best neuron known, then nearer and
nearer; each success is a proof.  Where a box holds a better neuron that one is the best known.

What matters most is in which coordinates boxes are cut: the eigenvectors of
``sum_i |lam_i| x_i x_i^T``.  A free bias b is one more coordinate, left out of the norm: on a face
of the cube no neuron that bends at a sample has ``|b|`` above ``max_i ||x_i||_1``.

Two or three outputs are one output for each of the caps that cover their sphere
(:mod:`gapless.gauge.caps`), the finer the nearer G is to the best neuron.

Rounding.  A box has ``|u_j| + w_j <= 1``, so all that is summed for sample i, its weight taken out,
is at most ``4 (D + 1) ||x_i||_1``, and with ``S = sum_i |lam_i| ||x_i||_1`` a bound is off by at
most ``EPS (8 (n + 64) (D + 4) + 200 (D + 4)^3) (S + G)``: the sums over n samples in any order,
and the Cholesky factor of a form of trace below ``4 D^2 (S + G)``.  As ``||u|| >= 1`` on a face
that much is added to G.  What samples have beside the coordinates kept is charged as measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
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
from .caps import caps
from .proof_boxes import BoxProof
from .row_space import dimensions, row_space
from .search import Oracle
from .tree import RECORDED, SAMPLED, Outcome, Team, batch_size, predict_boxes, roots, search_boxes

# G over the best neuron known, less one: half as much every third time, from 8 to 1e-4.
RATIOS = 1 + 8 * 0.5 ** (np.arange(50) / 3)
# A free bias counting as one; boxes of more dimensions are too many on all data tried.
MOST_DIMENSIONS, MOST_OUTPUTS = 18, 3
# Outputs in which a dual point has less than this are left out, and charged.
OUTPUT_TOL = 1e-12
# Of a bound asked for by itself: how near it has to be, and seconds at most.
NEAR, SECONDS = 1.06, 10.0
# Starts of the search for the best neuron.
STARTS = 128
# Caps and signs that a prediction looks at; seconds that a search of one takes whatever it bounds.
FEW_SIDES, SIDE = 6, 1e-3
# Share of the time left that a level of a prediction may take, for fewer boxes than it is best of,
# and those at least.
PREDICTING, LEAST_SAMPLE = 1e-3, 32
# Compiling takes some eight seconds, once on a machine: not in less time than this.
COMPILING = 20.0
# The first search is begun if it is predicted to take up to this many times the time left, as
# predictions are off by that much.  Of the ratios the last is taken that is predicted to take this
# share of it: a small one while nothing is proven, then more.
PATIENCE, SAFE, BOLD = 2.0, 0.12, 0.8
# Seconds of the checker of proof files, NumPy in one thread: a box, and each number of its samples.
# It repeats a proof before it is written, within the same limit of time; this long at most.
CHECKED, EACH, LONGEST = 5e-6, 5.5e-9, 1500.0


class Directional(Relaxation):
    """Branch and bound over directions; see the module.

    ``maximise`` leaves the dual point where it is and proves more and more of it; ``decide`` asks
    for one bound alone.

    Parameters
    ----------
    record : bool, default False
        Whether bounds come with their trees of boxes, for proof files: of one output.
    """

    name = "directions"
    needs = "up to 3 outputs (1 for a proof file) and 18 dimensions, a free bias counting as one"
    file_samples = np.inf

    def __init__(self, record: bool = False) -> None:
        self.record = record

    def for_files(self) -> Directional:
        return Directional(record=True)

    def applies(self, core: Problem) -> bool:
        most = 1 if self.record else MOST_OUTPUTS
        small = core.n_outputs <= most and min(core.X.shape) <= 10 * MOST_DIMENSIONS
        return small and dimensions(core) <= MOST_DIMENSIONS

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        bound = GaugeBound(0.0, np.inf, None, self.name)
        for _, bound in self.maximise(core, Lam, SECONDS):
            if bound.upper <= NEAR * bound.lower:
                break
        return bound

    def maximise(self, core: Problem, Lam: Array, time_limit: float) -> Iterator[Dual]:
        self.require(core)
        watch = Watch(time_limit)
        space = _Rotated.of(core, Lam)
        if space.spread == 0:  # constant data, or no dual point
            yield Lam, GaugeBound(0.0, space.beside, None, self.name)
            return
        best = _best_neuron(core, Lam, watch)
        search, at, share, patience = _Search(space, watch, self.record), 0, SAFE, PATIENCE
        while (chosen := _affordable(search, at, best, share, patience)) is not None:
            G = float(RATIOS[chosen] * best.value[0])
            outcome = search.decide(G, RATIOS[chosen])
            if outcome.closed:
                yield Lam, search.proven(G, best)
                at, share, patience = chosen + 1, BOLD, 1.0
            elif outcome.direction is not None:
                best = space.neuron(core, Lam, outcome.direction)
            else:
                return

    def decide(
        self, core: Problem, Lam: Array, G: float, known: float, time_limit: float
    ) -> GaugeBound | None:
        """Whether the gauge is at most G.

        Parameters
        ----------
        core : Problem
        Lam : array of shape (n_samples, n_outputs)
        G : float
        known : float
            What it is at least.
        time_limit : float
            Seconds.

        Returns
        -------
        GaugeBound or None
            With ``upper`` as good as G, or with a neuron above ``known``, ``lower``; None where
            neither is predicted in half the time, or found in all of it.
        """
        watch = Watch(time_limit)
        space = _Rotated.of(core, Lam)
        if space.spread == 0:
            return GaugeBound(0.0, space.beside, None, self.name)
        search, ratio = _Search(space, watch), G / known
        if search.seconds(G, ratio) > watch.left / PATIENCE:
            return None
        outcome = search.decide(G, ratio)
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
    """

    def __init__(self, space: _Rotated, watch: Watch, record: bool = False) -> None:
        self.space, self.watch, self.bounder = space, watch, _bounder(watch.left)
        # both signs of one output: what is made of their samples is as large as these
        self._cone = lru_cache(maxsize=2)(space.cone)
        # seconds that the checker of proof files takes for a box, and in all for what is proven
        self._check, self._kept = (CHECKED + EACH * space.P.size) * record, 0.0
        self._trees: dict[tuple[float, ...], Array] = {}
        # by ratio: boxes, how many, and a direction above; by cap and sign: up to which G
        self._predicted: dict[float, tuple[float, Array | None]] = {}
        self._closed: dict[tuple[float, ...], float] = {}
        self._off = 1.0  # boxes bounded, of those predicted
        self.pace = self._pace()

    def decide(self, G: float, ratio: float) -> Outcome:
        """Whether no direction has ``||H(u)|| > G ||u||``.

        One that it ends at is above ``G / ratio`` at least, and above G where there is one output.
        """
        if (better := self._predicted.get(G, (0.0, None))[1]) is not None:
            return Outcome(False, better, 0)
        started, boxes = self.watch.seconds, 0
        with _team() as team:
            for v, cosine in self._sides(ratio):
                if self._closed.get(v, np.inf) <= cosine * G:
                    continue
                side, most = self._cone(v), self._recordable(boxes)
                outcome = search_boxes(side, cosine * G, self.bounder, self.watch.due, team, most)
                boxes += outcome.boxes
                if not outcome.closed:
                    return outcome
                self._closed[v] = cosine * G  # also for any larger
                if outcome.tree is not None:
                    self._trees[v] = outcome.tree
        self.pace = (self.watch.seconds - started) / max(boxes, 1)
        predicted = self._predicted.get(G, (0.0, None))[0]
        if predicted and boxes:  # where it was off it is so again
            self._off = float(np.clip(boxes / predicted, 0.5, 2.0))
        return Outcome(True, None, boxes)

    def seconds(self, G: float, ratio: float) -> float:
        """About how long that takes, no time where it is known to end at a direction.

        More than :data:`PATIENCE` times what is left is not told apart.  Each G is looked at once,
        of many caps a few.
        """
        sides = self._sides(ratio)
        if not sides:
            return np.inf
        if G not in self._predicted:
            boxes, better = 0.0, None
            some = sides[:: -(-len(sides) // FEW_SIDES)]
            left = max(self.watch.left, 0.0)
            enough = PATIENCE * left / (self.pace + self._check)
            sample = int(np.clip(PREDICTING * left / len(some) / self.pace, LEAST_SAMPLE, SAMPLED))
            with _team() as team:
                for v, cosine in some:
                    side, stop = self._cone(v), self.watch.due
                    found = predict_boxes(
                        side, cosine * G, self.bounder, stop, enough, team, sample
                    )
                    boxes += found.boxes * len(sides) / len(some)
                    if (better := found.direction) is not None:
                        boxes = 0.0
                        break
            self._predicted[G] = boxes, better
        boxes = self._off * self._predicted[G][0]
        return boxes * (self.pace + self._check) + SIDE * len(sides)

    def _recordable(self, boxes: int) -> int | None:
        """How many boxes more can be checked in the time that is left; None without a record."""
        if not self._check:
            return None
        return min(int(min(self.watch.left, LONGEST) / self._check) - boxes, RECORDED)

    def _sides(self, ratio: float) -> list[tuple[tuple[float, ...], float]]:
        """Both signs of each cap."""
        found = caps(self.space.Lam.shape[1], ratio)
        return [*found, *((tuple(-x for x in v), cosine) for v, cosine in found)]

    def _pace(self) -> float:
        """Seconds a box of a full batch; what is compiled is loaded first."""
        side = self._cone(self._sides(2.0)[0][0])
        U, W = roots(side.normed)
        size = batch_size(side)
        boxes = (np.resize(x, (size, len(side.normed))) for x in (U, W, 0 * U))
        batch = *boxes, np.ones((size, 2), dtype=bool)
        self.bounder(side, 1.0, *(x[:2] for x in batch))
        with _team() as team, blas_threads(1):
            started = time.perf_counter()
            list(team.map(lambda _: self.bounder(side, 1.0, *batch), range(team.count)))
            return (time.perf_counter() - started) / (team.count * size)

    def proven(self, G: float, best: Candidates | None) -> GaugeBound:
        """The bound of the gauge where none is above G but for rounding."""
        space = self.space
        upper = (G + space.rounding(G)) * space.stretch * (1 + 4 * EPS) + space.beside
        value = 0.0 if best is None else float(best.value[0])
        near = f", within {G / value - 1:.2g} of the best neuron found" if value else ""
        bound = GaugeBound(value, upper, best, f"boxes of directions{near}")
        if not self._trees:
            return bound
        tree = np.concatenate([self._trees[v] for v in ((1.0,), (-1.0,))])
        # time to check what is proven so far
        self.watch.deadline += self._kept - self._check * len(tree)
        self._kept = self._check * len(tree)
        batch = batch_size(self._cone((1.0,)), Team(_cores(), map))
        return replace(bound, boxes=space.proof(G, tree, batch, self._kept))


def _affordable(
    search: _Search, first: int, best: Candidates, share: float, patience: float
) -> int | None:
    """The last of the ratios from ``first`` on that takes at most this share of the time left.

    ``first`` itself where none does, if it takes at most ``patience`` of it; else None.
    """
    if first >= len(RATIOS):
        return None
    begun, left = search.watch.seconds, max(search.watch.left, 0.0)

    def seconds(at: int) -> float:
        return search.seconds(float(RATIOS[at] * best.value[0]), RATIOS[at])

    if (least := seconds(first)) > share * left:
        return first if least <= patience * left else None
    # the nearer, the longer, to predict as well: in growing steps, then by halves, for as long as
    # the search itself may take
    low, step = first, 1
    while low + step < len(RATIOS) and seconds(low + step) <= share * left:
        low, step = low + step, 2 * step
    high = min(low + step, len(RATIOS)) - 1
    while low < high and search.watch.seconds - begun < share * left:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if seconds(middle) <= share * left else (low, middle - 1)
    return low


@dataclass(frozen=True, eq=False)
class _Rotated:
    """The samples in the coordinates in which boxes are cut, the dual point in those it has.

    Attributes
    ----------
    P : array of shape (n_samples, D)
        Samples; the last column, of a free bias, holds the power of two that is its unit.
    Lam : array of shape (n_samples, r)
        The dual point in the outputs that it has.
    basis : array of shape (n_features, rank)
    mean : array of shape (n_features,)
    normed : array of shape (D,)
        0 for the bias, 1 elsewhere.
    spread : float
        ``sum_i ||Lam_i|| ||x_i||_1``.
    stretch, beside : float
        A bound of the norm of ``basis`` times that of the outputs, and what samples and dual point
        have beside them, in any neuron.
    """

    P: Array
    Lam: Array
    basis: Array
    mean: Array
    normed: Array
    spread: float
    stretch: float
    beside: float

    @classmethod
    def of(cls, core: Problem, Lam: Array) -> _Rotated:
        outputs = outputs_of(Lam)
        part = Lam @ outputs
        unit = 1 + float(np.linalg.norm(outputs.T @ outputs - np.eye(part.shape[1]))) + 64 * EPS
        missed = row_norms(Lam - part @ outputs.T) + 64 * EPS * row_norms(Lam)
        sizes = row_norms(part) * (1 + 64 * EPS)
        space = row_space(core)
        X, rank = space.samples, space.rank
        turn = np.eye(0) if rank == 0 else np.linalg.eigh((X.T * sizes) @ X)[1][:, ::-1]
        P = X @ turn
        stretch = 1 + float(np.linalg.norm(turn.T @ turn - np.eye(rank))) + 16 * rank * EPS
        lost = row_norms(X - P @ turn.T) + 16 * (rank + 4) * EPS * rank * row_norms(X)
        left = space.left * stretch + lost
        if core.free:  # a neuron measures the samples from the one it bends at
            left = left + left.max()
        beside = float(left @ sizes) * space.stretch * stretch * unit
        if Lam.shape[1] > 1:
            beside += float(missed @ core.reach)
        beside *= 1 + 2 * len(Lam) * EPS
        normed = np.ones(rank)
        if core.free and rank:
            reach = 2.0 ** np.ceil(np.log2(np.abs(P).sum(axis=1).max() * (1 + 4 * rank * EPS)))
            P = np.hstack([P, np.full((len(P), 1), reach)])
            normed = np.append(normed, 0.0)
        spread = float(sizes @ np.abs(P).sum(axis=1))
        basis, stretch = space.basis @ turn, space.stretch * stretch * unit
        return cls(P, part, basis, space.mean, normed, spread, stretch, beside)

    def cone(self, v: tuple[float, ...]) -> Cone:
        """The one output ``Lam v``."""
        return Cone.of(self.P, self.Lam @ np.array(v), self.normed)

    def rounding(self, G: float) -> float:
        """What the bound of a box may be off by; see the module."""
        n, D = self.P.shape
        return EPS * (8 * (n + 64) * (D + 4) + 200 * (D + 4) ** 3) * (self.spread + G)

    def proof(self, G: float, tree: Array, batch: int, seconds: float) -> BoxProof:
        """What a proof file needs of a search."""
        sums = np.abs(self.P[:, self.normed > 0]).sum(axis=1)
        reach = float(self.P[0, -1] / sums.max())
        return BoxProof(G, self.basis, reach, tree, batch, seconds)

    def neuron(self, core: Problem, Lam: Array, direction: Array) -> Candidates:
        """The neuron of a direction, its value computed anew."""
        rank = self.basis.shape[1]
        u = self.basis @ direction[:rank]
        size = float(np.linalg.norm(u))
        b = float(direction[rank] * self.P[0, rank]) if core.free else 0.0
        u, b = u / size, b / size - float(self.mean @ u) / size
        active = np.maximum(core.design.scores(u) + b, 0.0)
        return Candidates.one(u, float(np.linalg.norm(Lam.T @ active)), b)


def outputs_of(Lam: Array) -> Array:
    """Orthonormal columns (C, r) that span the rows of ``Lam`` but for rounding: those of softmax
    sum to zero."""
    if Lam.shape[1] == 1:
        return np.eye(1)
    _, s, Vt = np.linalg.svd(Lam, full_matrices=False)
    return Vt[s > OUTPUT_TOL * s[0]].T


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


def begin_compiling(problem: Problem) -> subprocess.Popen[bytes] | None:
    """Compile what bounds boxes, where ``problem`` has any and nothing is compiled, beside.

    Some eight seconds of another process, once on a machine; None where there is nothing to do.
    """
    loops = _loops()
    # the core last: its samples are sorted and decomposed
    if loops is None or loops.is_compiled() or not Directional().fits(Reduction(problem).core):
        return None
    code = f"from {__name__} import compile_loops; compile_loops()"
    # what lies in the working directory is not imported
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=quiet, stderr=quiet)


def compile_loops() -> None:
    """Compile what bounds boxes, and keep it."""
    cone = Cone.of(np.eye(2), np.array([1.0, -1.0]), np.ones(2))
    U, W = roots(cone.normed)
    _loops().bounder()(cone, 0.1, U, W, 0 * U, np.ones((2, 2), dtype=bool))


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
