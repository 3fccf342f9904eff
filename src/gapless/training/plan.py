"""The plan of a training: strategies by name, decided once from the problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.network import Network
from ..core.problem import Problem
from ..core.result import History
from ..core.watch import Watch
from ..gauge.base import GaugeBound
from ..gauge.choose import is_exact, timely_bound
from ..gauge.row_space import row_space
from ..gauge.search import Oracle
from ..gauge.spike_free_search import RelaxedOracle
from .neurons import many_patches

ORACLES = ("search", "spike-free")
# Where X has more numbers than this only the best candidates of a search take exact kink steps:
# there steps on all the weights bring more for their time.
LARGE = 50_000
# More rows than this start from the network of a tenth of them.
MANY_ROWS = 50_000
# In so many dimensions at most, a free bias counting as one, an exact bound lists the local maxima
# of the gauge; in more it takes longer than a search, but for so many samples in SWIFT.
LISTED, SWIFT, FEW = 2, 3, 100
# Widths of the softened kinks, one after the other, at the start and in each round.
FIRST_WIDTHS, WIDTHS = (0.1, 0.02), (0.03, 0.01)
# Climbers a neuron of the current network: those of a wide one leave many maxima between them.
# Fewer where there are so many rows that their scores (this many numbers) leave the cache.
CLIMBERS, SCORES = 4, 1 << 18


class Solving(Protocol):
    """What a plan sees of a solve."""

    core: Problem
    network: Network
    oracle: Oracle | RelaxedOracle
    watch: Watch
    history: History


class Trying(Protocol):
    """What a plan sees of the effort."""

    n_starts: int
    quiet: int


@dataclass(frozen=True)
class Plan:
    """How one problem is trained.

    Attributes
    ----------
    oracle : {"search", "spike-free"}
        Multi-start search, or the paper's cone programs, whose neurons stay as they were found.
    bounds : {"sharp", "patient"}
        The sharpest cheap bound each round; one that takes longer than a search waits for a search
        that found nothing.
    neurons : {"listed", "added", "none"}
        What a bound of the gauge has of its maxima: all, so that nothing is searched as long as
        they violate; the best, which join those searched; nothing.
    start : {"random", "batches", "rows", "empty"}
        Random neurons fitted and descended from, with all samples or with batches of them at
        first; the network of a tenth of the rows; nothing.
    kinks : {"always", "later", "quiet"}
        Which searches take exact kink steps with all their candidates: every one, those after the
        first of a warm start (a few steps tell whether that is good enough already), those after
        one that found nothing.
    widths : tuple of float
        Of the softened kinks in each round's descent, until a search finds nothing.
    descends : {"always", "until quiet", "never"}
        Until quiet where a descent then takes longer than it brings.
    joins : bool
        Whether other random networks join.
    slides : int
        Times that neurons slide along their kinks in a round, at most.
    """

    oracle: Literal["search", "spike-free"]
    bounds: Literal["sharp", "patient"]
    neurons: Literal["listed", "added", "none"]
    start: Literal["random", "batches", "rows", "empty"]
    kinks: Literal["always", "later", "quiet"]
    widths: tuple[float, ...]
    descends: Literal["always", "until quiet", "never"]
    joins: bool
    slides: int
    climbers: int = CLIMBERS

    @classmethod
    def of(
        cls,
        core: Problem,
        oracle: str = "search",
        max_neurons: int | None = None,
        warm: bool = False,
    ) -> Plan:
        """The plan for a core problem; ``warm``, from a network that may be good already."""
        pooled = core.design.pooled
        many = many_patches(core.design) if pooled else core.n_samples > MANY_ROWS
        if oracle == "spike-free":
            slides = 0 if many else 1
            return cls("spike-free", "sharp", "none", "empty", "always", (), "never", False, slides)
        exact = is_exact(core)
        dimensions = row_space(core).rank + core.free if exact else np.inf
        # where each search is exact and cheap, random networks only take time
        random = dimensions > (SWIFT if core.n_samples <= FEW else LISTED)
        large = core.design.size > LARGE
        start: Literal["random", "batches", "rows", "empty"] = "random" if random else "empty"
        if many and not pooled:
            start = "rows"
        elif many and random:
            start = "batches"
        return cls(
            oracle="search",
            bounds="patient" if exact and random else "sharp",
            neurons="none" if not exact else "listed" if dimensions <= LISTED else "added",
            start=start,
            kinks="quiet" if large else "later" if warm else "always",
            widths=WIDTHS if random else (),
            descends="until quiet" if many else "always",
            joins=random and not many and max_neurons is None,
            slides=0 if many else 1,
        )

    def searcher(self, core: Problem, rng: np.random.Generator) -> Oracle | RelaxedOracle:
        """What looks for neurons."""
        if self.oracle == "spike-free":
            return RelaxedOracle(core.design, core.free)
        return Oracle(core.design, core.free, rng)

    def bound(self, state: Solving, Lam: Array, effort: Trying) -> GaugeBound:
        """The gauge of ``Lam`` from above, at no more than the time left."""
        sharp = self.bounds == "sharp" or effort.quiet > 0
        return timely_bound(state.core, Lam, state.watch.left, "auto" if sharp else "norm")

    def search(self, state: Solving, Lam: Array, bound: GaugeBound, effort: Trying) -> Candidates:
        """Neurons that violate the dual constraint at ``Lam``: the gauge from below."""
        known = bound.neurons if self.neurons != "none" else None
        if self.neurons == "listed" and known is not None and not effort.quiet:
            return known
        crowd = min(self.climbers * state.network.n_neurons, SCORES // state.core.design.n_rows)
        first = state.history.n_rounds == 0
        exact = self.kinks == "always" or (self.kinks == "later" and not first)
        found = state.oracle.search(
            Lam,
            state.network.hidden_weights,
            max(effort.n_starts, crowd),
            exact or effort.quiet > 0,
            state.watch.due,
        )
        return found if known is None else found.append(known)

    def descent(self, effort: Trying) -> tuple[float, ...] | None:
        """The widths of the next descent: none with kinks as they are; None for no descent."""
        if self.descends == "never" or (self.descends == "until quiet" and effort.quiet):
            return None
        return () if effort.quiet else self.widths
