"""The gauge of one output by branch and bound over directions.

The gauge is a maximum over directions in as many dimensions as the data have, however many samples
there are.  :mod:`gapless.gauge.tree` decides whether it exceeds some G, box by box
(:mod:`gapless.gauge.boxes`), first for a G well above the best neuron known, then nearer and
nearer, each time from where it was; what has been proven is known at any time.  Where a box holds a
better neuron that one is the best known.

Two or three outputs are one output for each of the caps that cover their sphere
(:mod:`gapless.gauge.caps`), the finer the nearer G is to the best neuron.

Equal samples are one, their dual points added up; samples near each other of opposite signs are one
where that costs little beside what is left to prove (:mod:`gapless.gauge.cancelling`).  In which
coordinates boxes are cut, and what rounding is charged, :mod:`gapless.gauge.rotated` says.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, lru_cache
from threading import Thread
from typing import Any

import numpy as np

from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..core.rounding import EPS
from ..core.threads import blas_threads, cores
from ..core.watch import Watch
from .base import Dual, GaugeBound, Relaxation
from .boxes import Bounder, Cone, Found, bound_boxes
from .caps import caps
from .rotated import Rotated
from .row_space import dimensions
from .search import Oracle
from .tree import KEPT, RECORDED, SAMPLED, Team, Tiling, batch_size, predict_boxes, roots

# G over the best neuron known, less one: at first and at last, and what a step multiplies it by.
FIRST, NEAREST, NEARER = 8.0, 1e-4, 0.3
# There are so many times more boxes after a step at least and at most, and as many times as after
# the last one to this power.
GROWTH, FALLING = (1.1, 32.0), 0.72
# Share of all boxes that a step has to bound for its pace and growth to say anything.
LEARNT = 0.1
# Boxes whose time says how long larger steps take: fewer leave threads waiting for each other.
MANY = 10_000
# Parts of a step.
STEPS = np.arange(1, 65) / 64
# How far a goal within a step is from the next: logarithms of what G is above the best neuron.
EASY = 0.3
# A free bias counting as one.  Products of coordinates are kept, so many for FEW dimensions, and
# no more for more.
MOST_DIMENSIONS, MOST_OUTPUTS = 64, 3
FEW, PRODUCTS = 18, 5e7
# Of a bound asked for by itself: how near it has to be, and seconds at most.
NEAR, SECONDS = 1.06, 10.0
# Starts of the search for the best neuron; by how much another is better.
STARTS, BETTER = 128, 1e-6
# Caps and signs that a prediction looks at; seconds that a search of one takes whatever it bounds.
FEW_SIDES, SIDE = 6, 1e-3
# Share of the time left that a prediction may take, and that a level of it may, for fewer boxes
# than it is best of, and those at least.
LOOKING, PREDICTING, LEAST_SAMPLE = 0.1, 5e-4, 32
# Compiling takes some eight seconds, once on a machine: not in less time than this.
COMPILING = 20.0
# Samples are bounded in double precision where what is left to prove is less than so many times
# what single precision is charged for samples of their whole sizes.
COUNTS = 0.5
# What fewer samples in place of all may cost, of what G is above the best neuron.
CANCELLED = 0.6
# A bound that is asked for is begun if it is predicted to take the time there is over this, as
# predictions are off by that much.
PATIENCE = 2.0
# Seconds of the checker of proof files, NumPy in one thread: a box, and each number of its samples.
# It repeats a proof before it is written, within the same limit of time; this long at most.
CHECKED, EACH, LONGEST = 3e-5, 9e-9, 1500.0


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
    needs = (
        f"up to {MOST_OUTPUTS} outputs (1 for a proof file) and {MOST_DIMENSIONS} dimensions, "
        "a free bias counting as one"
    )
    file_samples = np.inf

    def __init__(self, record: bool = False) -> None:
        self.record = record

    def for_files(self) -> Directional:
        return Directional(record=True)

    def applies(self, core: Problem) -> bool:
        most = 1 if self.record else MOST_OUTPUTS
        small = core.n_outputs <= most and min(core.X.shape) <= 10 * MOST_DIMENSIONS
        if not small or (D := dimensions(core)) > MOST_DIMENSIONS:
            return False
        return D <= FEW or core.n_samples * D * D <= PRODUCTS

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        bound = GaugeBound(0.0, np.inf, None, self.name)
        for _, bound in self.maximise(core, Lam, Watch(SECONDS)):
            if bound.upper <= NEAR * bound.lower:
                break
        return bound

    def maximise(self, core: Problem, Lam: Array, watch: Watch) -> Iterator[Dual]:
        self.require(core)
        space = Rotated.of(core, Lam)
        if space.spread == 0:  # constant data, or no dual point
            yield Lam, GaugeBound(0.0, space.beside, None, self.name)
            return
        best, search = _best_neuron(core, Lam, watch), _Search(space, watch, self.record)
        proven, above, step, before, outlook = np.inf, FIRST, 1.0, 1, np.inf
        pace, growth = SIDE, GROWTH[1]
        while above >= NEAREST:
            begun, known = watch.seconds, float(best.value[0])
            for goal in search.lower((1 + above) * known, 1 + above):
                closed, better = goal
                if (G := float(search.levels(1 + above).max())) < proven:
                    half = outlook, known + (G - known) / 2
                    yield Lam, replace(search.proven(proven := G, best), outlook=half)
            if watch.due() or not (closed or better is not None):
                return
            if better is not None:  # nearer to G than was known, or above
                best, G = space.neuron(core, Lam, better), (1 + above) * known
                if proven < np.inf and not self.record:  # a tree takes longer
                    yield Lam, search.proven(proven, best)
                if not closed:
                    continue
                known = float(best.value[0])
                if (above := G / known - 1) < NEAREST:
                    return
            # how far there is time for: boxes grow by factors that fall
            if search.bounded >= LEARNT * (size := search.size):
                pace = min(max(watch.seconds - begun, SIDE) / search.bounded, search.pace)
                growth = float(np.clip((size / before) ** (FALLING / step), *GROWTH))
                before = size
            outlook = pace * size * (growth ** (np.log(2) / np.log(1 / NEARER)) - 1)
            boxes = search.foretold(known * (1 + above * NEARER**STEPS), growth**STEPS)
            step = float(np.max(STEPS[boxes * pace <= watch.left], initial=STEPS[0]))
            above *= NEARER**step

    def promise(self, core: Problem, Lam: Array, G: float, known: float, seconds: float) -> bool:
        """Whether about so many seconds are predicted to bound the gauge by G; it is ``known`` at
        least."""
        space = Rotated.of(core, Lam)
        return space.spread == 0 or (
            _Search(space, Watch(seconds)).predicted(G, G / known)[0] <= seconds
        )

    def decide(
        self, core: Problem, Lam: Array, G: float, known: float, watch: Watch
    ) -> GaugeBound | None:
        """Whether the gauge is at most G.

        Parameters
        ----------
        core : Problem
        Lam : array of shape (n_samples, n_outputs)
        G : float
        known : float
            What it is at least.
        watch : Watch
            When it has to end.

        Returns
        -------
        GaugeBound or None
            With ``upper`` as good as G, or as far as it came in time, or with a neuron above
            ``known``, ``lower``; None where neither is predicted in half the time, or G is no more
            than ``known``.
        """
        space = Rotated.of(core, Lam)
        if space.spread == 0:
            return GaugeBound(0.0, space.beside, None, self.name)
        if not G > known > 0:  # no caps are as fine
            return None
        search, ratio = _Search(space, watch), G / known
        seconds, better = search.predicted(G, ratio)
        if seconds > watch.left / PATIENCE:
            return None
        if better is None:
            *_, (closed, better) = search.lower(G, ratio)
            better = None if closed else better
        if better is not None:
            best = space.neuron(core, Lam, better)
            return GaugeBound(float(best.value[0]), np.inf, best, self.name)
        return search.proven(float(search.levels(ratio).max()), None)


class _Search:
    """The directions of one dual point: a tiling for each cap of outputs and sign.

    Attributes
    ----------
    bounded : int
        Boxes of the last :meth:`lower`.
    pace : float
        Seconds a box of its quickest goal, among those of :data:`MANY` boxes.
    """

    def __init__(self, space: Rotated, watch: Watch, record: bool = False) -> None:
        self.space, self.watch, self._loops = space, watch, _loops(watch.left)
        # both signs of one output: what is made of their samples is as large as these
        self._cone = lru_cache(maxsize=2)(space.cone)
        self._fewer = lru_cache(maxsize=2)(space.fewer)
        self._tilings: dict[tuple[float, ...], Tiling] = {}
        self._record, self._largest, self.bounded, self.pace = record, 0.0, 0, np.inf
        # seconds that the checker of proof files takes for a box
        self._check = (CHECKED + EACH * space.n_samples * len(space.normed)) * record

    def lower(self, G: float, ratio: float) -> Iterator[tuple[bool, Array | None]]:
        """Prove that no direction has ``||H(u)|| > G ||u||``, goal by goal.

        Yields
        ------
        closed : bool
            Whether that goal was reached.
        direction : array or None
            The best met, if it is above ``G / ratio``.
        """
        self._largest, sides = max(self._largest, G), self._sides(ratio)
        normed, old = self.space.normed, self._tilings
        # the finer the caps the others: old ones are of no more use
        self._tilings = {
            v: old.get(v) or Tiling(normed, self._record, KEPT / len(sides)) for v, _ in sides
        }
        self.bounded, self.pace = 0, np.inf
        closed, better, known = bool(sides), None, G / ratio * (1 + BETTER)
        for goal in self._goals(G, ratio):
            begun, before = self.watch.seconds, self.bounded
            with _team() as team:
                for v, cosine in sides:
                    bounder = self._bounder(v, cosine * G, G / ratio)
                    of = cosine * G, bounder, self._stop, team, cosine * goal, known
                    outcome = self._tilings[v].lower(self._cone(v), *of)
                    closed, self.bounded = outcome.closed, self.bounded + outcome.boxes
                    if outcome.direction is not None:
                        better, known = outcome.direction, outcome.value
                    if not closed:
                        break
            if (boxes := self.bounded - before) >= MANY:
                self.pace = min(self.pace, (self.watch.seconds - begun) / boxes)
            yield closed, better
            if not closed or self.forgetful:
                return

    def _goals(self, G: float, ratio: float) -> Array:
        """From what is proven to G: all boxes come down together, and what is left early is worth
        something.  Caps, and what was forgotten, begin anew, better not for each."""
        known = G / ratio
        proven = min(float(self.levels(ratio).max()), (1 + FIRST) * known)
        if self.forgetful or proven <= G or self.space.Lam.shape[1] > 1:
            return np.array([G])
        far = np.log((proven - known) / (G - known))
        return known + (G - known) * np.exp(np.arange(int(far / EASY), -1, -1) * EASY)

    def levels(self, ratio: float) -> Array:
        """Those of all boxes, by the caps of this ratio: the largest is a G that is proven."""
        sides = self._sides(ratio)
        if not sides or not all(v in self._tilings for v, _ in sides):
            return np.array([np.inf])
        return np.concatenate([self._tilings[v].levels / cosine for v, cosine in sides])

    @property
    def size(self) -> int:
        """Boxes that there are or have been."""
        return sum(tiling.size for tiling in self._tilings.values())

    def foretold(self, G: Array, growth: Array) -> Array:
        """About how many boxes :meth:`lower` takes up to get to each G, if that makes them
        ``growth`` times as many: those not yet below, and new ones."""
        if self.forgetful:
            return self.size * growth
        levels = np.sort(np.concatenate([tiling.levels for tiling in self._tilings.values()]))
        return self.size * (growth - 1) + len(levels) - np.searchsorted(levels, G)

    @property
    def forgetful(self) -> bool:
        """Whether the next G begins anew."""
        return any(tiling.forgetful for tiling in self._tilings.values())

    def predicted(self, G: float, ratio: float) -> tuple[float, Array | None]:
        """About how many seconds :meth:`lower` takes, and a direction above, if one is met.

        More than :data:`PATIENCE` times what is left is not told apart.  Of many caps a few are
        looked at.
        """
        sides = self._sides(ratio)
        if not sides:
            return np.inf, None
        boxes, left, known = 0.0, max(self.watch.left, 0.0), G / ratio
        some = sides[:: -(-len(sides) // FEW_SIDES)]
        pace = self._pace(self._bounder(sides[0][0], sides[0][1] * G, known))
        enough = PATIENCE * left / pace
        sample = int(np.clip(PREDICTING * left / len(some) / pace, LEAST_SAMPLE, SAMPLED))
        looking = Watch(LOOKING * left)
        with _team() as team:
            for v, cosine in some:
                bounder = self._bounder(v, cosine * G, known)
                of = cosine * G, bounder, looking.due, enough, team, sample
                found = predict_boxes(self._cone(v), *of)
                if found.direction is not None:
                    return 0.0, found.direction
                boxes += found.boxes * len(sides) / len(some)
        seconds = np.inf if looking.due() else boxes * pace + SIDE * len(sides)
        return seconds, None

    def _stop(self) -> bool:
        """Whether time is up, or would be once the checker has repeated what there is."""
        size = self.size * self._record
        return self.watch.due() or (
            size * self._check > min(self.watch.left, LONGEST) or size > RECORDED
        )

    def _sides(self, ratio: float) -> list[tuple[tuple[float, ...], float]]:
        """Both signs of each cap."""
        found = caps(self.space.Lam.shape[1], ratio)
        return [*found, *((tuple(-x for x in v), cosine) for v, cosine in found)]

    def _bounder(self, v: tuple[float, ...], G: float, known: float) -> Bounder:
        """In single precision, unless what that is charged counts beside ``G - known`` and there is
        time to compile the other; by as few samples as ``G - known`` bears, but not for a proof
        file, whose checker has all of them."""
        bounder = bound_boxes
        if self._loops is not None:
            off = self._loops.roundoff(len(self.space.normed)) * self.space.spread
            single = G - known > COUNTS * off
            if not single and self.watch.left < COMPILING:
                single = not self._loops.is_compiled(double=True)
            bounder = self._loops.bounder(single)
        if self._record:
            return bounder
        fewer = self._fewer(v, CANCELLED * max(G - known, 0.0))

        def bound_fewer(cone: Cone, *boxes: Any) -> Found:
            return bounder(fewer, *boxes)

        return bound_fewer

    def _pace(self, bounder: Bounder) -> float:
        """Seconds a box of a full batch; what is compiled is loaded first."""
        side = self._cone(self._sides(2.0)[0][0])
        U, W = roots(side.normed)
        size = batch_size(side)
        boxes = (np.resize(x, (size, len(side.normed))) for x in (U, W, 0 * U))
        batch = *boxes, np.ones((size, 2), dtype=bool)
        bounder(side, 1.0, *(x[:2] for x in batch))
        with _team() as team, blas_threads(1):
            started = time.perf_counter()
            team.map(lambda _: bounder(side, 1.0, *batch), range(team.count))
            return (time.perf_counter() - started) / (team.count * size)

    def proven(self, G: float, best: Candidates | None) -> GaugeBound:
        """The bound of the gauge where none is above G but for rounding."""
        space = self.space
        off = space.rounding(self._largest) + 2 * space.P.shape[1] * EPS * self._largest
        upper = (G + off) * space.stretch * (1 + 4 * EPS) + space.beside
        value = 0.0 if best is None else float(best.value[0])
        near = f", within {G / value - 1:.2g} of the best neuron found" if value else ""
        bound = GaugeBound(value, upper, best, f"boxes of directions{near}")
        if not self._record:
            return bound
        batch = batch_size(self._cone((1.0,)))
        tree = np.concatenate([self._tilings[v].tree(batch) for v in ((1.0,), (-1.0,))])
        return replace(bound, boxes=space.proof(G, tree, batch, self._check * len(tree)))


def _best_neuron(core: Problem, Lam: Array, watch: Watch) -> Candidates:
    oracle = Oracle(core.design, core.free, np.random.default_rng(0))
    none = np.zeros((core.n_features, 0))
    found = oracle.search(Lam, none, STARTS, stop=Watch(watch.left / 4).due)
    return found.take(np.array([int(np.argmax(found.value))]))


def begin_compiling(problem: Problem) -> list[subprocess.Popen[bytes]]:
    """Compile what bounds boxes, where ``problem`` has any and nothing is compiled, beside.

    Some six seconds of two other processes, once on a machine; none where there is nothing to do.
    """
    loops = _loops(COMPILING)
    # the core last: its samples are sorted and decomposed
    if loops is None or loops.is_compiled() or not Directional().fits(Reduction(problem).core):
        return []
    return _compilers()


@cache  # begun once, also where nothing can be kept
def _compilers() -> list[subprocess.Popen[bytes]]:
    code = f"from {__name__} import compile_loops; compile_loops"
    # what lies in the working directory is not imported
    env, quiet = {**os.environ, "PYTHONSAFEPATH": "1"}, subprocess.DEVNULL
    return [
        subprocess.Popen([sys.executable, "-c", code + part], env=env, stdout=quiet, stderr=quiet)
        for part in ("(samples=False)", "(maximum=False)")
    ]


@cache  # once
def begin_loading() -> None:
    """Load what has been compiled in a thread of its own: two thirds of a second."""
    Thread(target=lambda: None if _loops(0.0) is None else compile_loops()).start()


def compile_loops(samples: bool = True, maximum: bool = True) -> None:
    """Compile what bounds boxes, samples and the maximum over a box, and keep it."""
    cone, loops = Cone.of(np.eye(2), np.array([1.0, -1.0]), np.ones(2)), _loops(COMPILING)
    U, W = roots(cone.normed)
    if samples:  # double precision, needed now and then, takes two seconds more when it is
        loops.forms(True, cone, 1.0, U, W, 0 * U)
    if maximum:
        zero, both = np.zeros((len(U), 2, 2)), np.ones(U.shape, dtype=bool)
        loops.maxima(W, zero, np.ones(len(U)), W, cone.q, U, W, 0 * U, both)


def _loops(seconds: float) -> Any:
    """The compiled loops; None without numba, a place to keep what is compiled, or the time."""
    try:
        from . import boxes_compiled
    except (ImportError, RuntimeError):
        return None
    return boxes_compiled if seconds >= COMPILING or boxes_compiled.is_compiled() else None


@contextmanager
def _team() -> Iterator[Team]:
    """All cores."""
    with ThreadPoolExecutor(count := cores()) as pool:
        yield Team(count, lambda task, *args: pool.submit(task, *args).result)
