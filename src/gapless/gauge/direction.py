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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..core.arrays import row_norms
from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..core.rounding import EPS
from ..core.watch import Watch
from .base import Dual, GaugeBound, Relaxation
from .boxes import Bounder, Cone, Found, bound_boxes
from .proof_boxes import BoxProof
from .row_space import dimensions, row_space
from .search import Oracle
from .tree import RECORDED, batch_size, predicted_seconds, roots, search_boxes

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
# Seconds of the checker of proof files, NumPy in one thread: a box, and each number of its samples.
# It repeats a proof before it is written, within the same limit of time; this long at most.
CHECKED, EACH, LONGEST = 5e-6, 5.5e-9, 1500.0


class Directional(Relaxation):
    """Branch and bound over directions; see the module.

    ``maximise`` leaves the dual point where it is and proves more and more of it.

    Parameters
    ----------
    record : bool, default False
        Whether bounds come with their trees of boxes, for proof files.
    """

    name = "directions"
    needs = "one output and at most 18 dimensions, a free bias counting as one"
    file_samples = np.inf

    def __init__(self, record: bool = False) -> None:
        self.record = record

    def for_files(self) -> Directional:
        return Directional(record=True)

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
        sides = [Cone.of(space.P, sign * Lam[:, 0], space.normed) for sign in (1.0, -1.0)]
        with ThreadPoolExecutor(cores := _cores()) as pool:
            bounder = _bounder(pool, cores, watch.left)
            at, pace, share, patience = 0, None, SAFE, PATIENCE
            check, kept = (CHECKED + EACH * space.P.size) * self.record, 0.0
            while at < len(RATIOS):
                left = max(watch.left, 0.0)
                predicted = partial(_seconds, sides, best, bounder, watch, pace, check)
                chosen = _affordable(at, share * left, patience * left, predicted)
                if chosen is None:
                    return
                pending, boxes, started = list(sides), 0, watch.seconds
                trees: list[Array] = []
                while pending:
                    G = RATIOS[chosen] * float(best.value[0])
                    most = _recordable(left, check, trees) if self.record else None
                    outcome = search_boxes(pending[0], G, bounder, watch.due, most)
                    boxes += outcome.boxes
                    if outcome.direction is not None:
                        best = space.neuron(core, Lam, outcome.direction)
                    elif outcome.closed:  # also for any larger G
                        pending.pop(0)
                        if outcome.tree is not None:
                            trees.append(outcome.tree)
                    else:
                        return
                pace = (watch.seconds - started) / boxes
                at, share, patience = chosen + 1, BOLD, 1.0
                proven = self._proven(space, G, best, RATIOS[chosen])
                if self.record:
                    kept, before = check * sum(map(len, trees)), kept
                    watch.deadline += before - kept  # time to check what is proven so far
                    tree = space.proof(G, trees, batch_size(sides[0]), kept)
                    proven = replace(proven, boxes=tree)
                yield Lam, proven

    def _proven(self, space: _Rotated, G: float, best: Candidates, ratio: float) -> GaugeBound:
        upper = (G + space.rounding(G)) * space.stretch * (1 + 4 * EPS) + space.beside
        words = f"boxes of directions, within {ratio - 1:.2g} of the best neuron found"
        return GaugeBound(float(best.value[0]), upper, best, words)


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

    def proof(self, G: float, trees: list[Array], batch: int, seconds: float) -> BoxProof:
        """What a proof file needs of a search."""
        sums = np.abs(self.P[:, self.normed > 0]).sum(axis=1)
        reach = float(self.P[0, -1] / sums.max())
        return BoxProof(G, self.basis, reach, np.concatenate(trees), batch, seconds)

    def neuron(self, core: Problem, Lam: Array, direction: Array) -> Candidates:
        """The neuron of a direction, its value computed anew."""
        rank = self.basis.shape[1]
        u = self.basis @ direction[:rank]
        size = float(np.linalg.norm(u))
        b = float(direction[rank] * self.P[0, rank]) if core.free else 0.0
        u, b = u / size, b / size - float(self.mean @ u) / size
        active = np.maximum(core.design.scores(u) + b, 0.0)
        return Candidates.one(u, float(np.linalg.norm(Lam.T @ active)), b)


def _seconds(
    sides: list[Cone],
    best: Candidates,
    bounder: Bounder,
    watch: Watch,
    pace: float | None,
    check: float,
    ratio: float,
) -> float:
    """About how long boxes take at this ratio; ``pace``: seconds a box, where they are known.

    ``check``: seconds that each takes later.
    """
    G, most = ratio * float(best.value[0]), PATIENCE * max(watch.left, 0.0)
    return sum(predicted_seconds(side, G, bounder, watch.due, most, pace, check) for side in sides)


def _recordable(seconds: float, check: float, trees: list[Array]) -> int:
    """How many boxes more can be checked in this time, at ``check`` seconds each."""
    return min(int(min(seconds, LONGEST) / check) - sum(map(len, trees)), RECORDED)


def _affordable(
    first: int,
    seconds: float,
    patience: float,
    predicted: Callable[[float], float],
) -> int | None:
    """The last of the ratios from ``first`` on that is predicted to take at most ``seconds``.

    ``first`` itself where none does, if it takes at most ``patience``; else None.
    """
    if (least := predicted(RATIOS[first])) > seconds:
        return first if least <= patience else None
    # the nearer, the longer, to predict as well: in growing steps, then by halves
    low, step = first, 1
    while low + step < len(RATIOS) and predicted(RATIOS[low + step]) <= seconds:
        low, step = low + step, 2 * step
    high = min(low + step, len(RATIOS)) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if predicted(RATIOS[middle]) <= seconds:
            low = middle
        else:
            high = middle - 1
    return low


def _best_neuron(core: Problem, Lam: Array, watch: Watch) -> Candidates:
    oracle = Oracle(core.design, core.free, np.random.default_rng(0))
    none = np.zeros((core.n_features, 0))
    found = oracle.search(Lam, none, STARTS, stop=Watch(watch.left / 4).due)
    return found.take(np.array([int(np.argmax(found.value))]))


def _bounder(pool: ThreadPoolExecutor, threads: int, seconds: float) -> Bounder:
    """A share of the boxes to each thread; compiled, where there is numba and time to compile."""
    bounder, loops = bound_boxes, _loops()
    if loops is not None and (seconds >= COMPILING or loops.is_compiled()):
        bounder = loops.bounder()

    def shared(cone: Cone, G: float, *boxes: Array) -> Found:
        share = -(-len(boxes[0]) // threads)
        starts = range(0, len(boxes[0]), share)
        parts = pool.map(lambda i: bounder(cone, G, *(x[i : i + share] for x in boxes)), starts)
        fields = zip(*((f.bound, f.edge, f.mean, f.vertex) for f in parts))
        return Found(*(np.concatenate(field) for field in fields))

    return shared


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
    loops.bounder()(cone, 1.0, U, W, 0 * U, np.ones((2, 2), dtype=bool))
    return True


def _loops() -> Any:
    """The compiled loops; None without numba, or a place to keep what is compiled."""
    try:
        from . import boxes_compiled
    except (ImportError, RuntimeError):
        return None
    return boxes_compiled


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
