"""Boxes of directions for pooled patches: those of their rows as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem
from ..core.rounding import EPS
from ..core.watch import Watch
from .base import Dual, GaugeBound, Relaxation
from .direction import Directional
from .lifted import liftable, lifted


class PatchDirections(Relaxation):
    """:class:`gapless.gauge.direction.Directional` on the stacked patches, pools lifted.

    The dual point stays where it is, so that a bound for the rows is one for the samples.

    Parameters
    ----------
    record : bool, default False
        As there.
    """

    name = "directions of patches"
    needs = (
        "pooled patches, up to 3 outputs and places together (1 for a proof file), and filters of "
        "few numbers"
    )
    file_samples = np.inf
    pools = True

    def __init__(self, record: bool = False) -> None:
        self.rows = Directional(record)

    def for_files(self) -> PatchDirections:
        return PatchDirections(record=True)

    def applies(self, core: Problem) -> bool:
        if not core.design.pooled or not liftable(core):
            return False
        return self.rows.applies(stacked(core))

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        return _charged(core, Lam, self.rows.bound(stacked(core), lifted(core, Lam)))

    def promise(self, core: Problem, Lam: Array, G: float, known: float, seconds: float) -> bool:
        """As :meth:`Directional.promise`."""
        return self.rows.promise(stacked(core), lifted(core, Lam), G, known, seconds)

    def decide(
        self, core: Problem, Lam: Array, G: float, known: float, watch: Watch
    ) -> GaugeBound | None:
        """As :meth:`Directional.decide`."""
        rows = lifted(core, Lam)
        bound = self.rows.decide(stacked(core), rows, G, known, watch)
        return None if bound is None else _charged(core, Lam, bound)

    def maximise(self, core: Problem, Lam: Array, watch: Watch) -> Iterator[Dual]:
        self.require(core)
        rows = lifted(core, Lam)
        for _, bound in self.rows.maximise(stacked(core), rows, watch):
            yield Lam, _charged(core, Lam, bound)


def boxes_of(core: Problem) -> Directional | PatchDirections:
    """Boxes of directions for what the design is: patches that are pooled, or a table."""
    return PatchDirections() if core.design.pooled else Directional()


@lru_cache(maxsize=4)  # problems are immutable
def stacked(core: Problem) -> Problem:
    """The patches as a table; its targets and loss stand for nothing."""
    shape = (core.design.n_rows, core.n_outputs * core.design.places)
    return Problem(core.design.array(), np.zeros(shape), "squared", core.weight_decay, core.bias)


def _charged(core: Problem, Lam: Array, bound: GaugeBound) -> GaugeBound:
    """What dividing by the sizes of pools rounds, added."""
    charge = 4 * EPS * float(np.linalg.norm(Lam, axis=1) @ core.reach)
    return replace(bound, upper=bound.upper + charge)
