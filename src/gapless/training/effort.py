"""How hard a training tries, and when it has tried enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..certificates.certify import ONE_SEARCH
from ..core.result import Status
from ..gauge.search import FIRST_STARTS
from .plan import Plan
from .state import State

# Random starts of a search at most; doubled whenever one finds little.
MOST_STARTS = 16 * FIRST_STARTS
# Searches in a row, each with more starts, that must find nothing before the loop gives up.
QUIET_SEARCHES = 3
# Rounds whose gains together must exceed this share of the tolerance.  Where every search is exact
# a small gain is still a step towards a proof.
PATIENCE, LITTLE, LITTLE_EXACT = 4, 0.1, 1e-3
# Factor of the smoothing of hinge and pinball, from one master to a harder one.
SHARPER = 0.4
# Every how many rounds another network joins; half as often after a round in which that brought
# less than this share of what the four rounds before did.
JOIN, WORTH = 5, 0.25


@dataclass
class Effort:
    """Counters of one training.

    Attributes
    ----------
    hurry : float
        Seconds of training after which one search that finds nothing is enough.
    n_starts : int
        Random starts of the next search.
    quiet : int
        Searches in a row that found nothing.
    waited : int
        Rounds at the present smoothing.
    period, next_join : int
        Rounds from one join to the next, and the round of that.
    """

    plan: Plan
    hurry: float = np.inf
    n_starts: int = FIRST_STARTS
    quiet: int = 0
    waited: int = 0
    period: int = JOIN
    next_join: int = JOIN

    def reached(self, state: State) -> Status | None:
        """Whether the proven gap, or the estimated one search after search, meets the tolerance.

        Sets ``quiet``, and the smoothing of the state, or how finely it states an estimate.
        """
        if state.gap is None:
            return None
        if state.certificate.relative_gap <= state.tol:
            return Status.OPTIMAL
        self.quiet = self.quiet + 1 if state.gap <= state.tol * state.size else 0
        if self.quiet >= QUIET_SEARCHES:
            return Status.HEURISTIC
        if self.quiet and state.watch.seconds > self.hurry:
            state.finest = ONE_SEARCH
            return Status.HEURISTIC
        # the next master is harder; this round's dual point belonged to the last one
        cost = 0.5 * state.smoothing * state.core.n_outputs  # at most, of the objective
        if state.gap <= 2 * cost or self.waited == PATIENCE:
            state.smoothing = max(SHARPER * state.smoothing, state.least_smoothing)
            self.waited = 0
        self.waited += 1
        return None

    def joins(self, state: State) -> bool:
        """Whether another random network joins in this round."""
        return self.plan.joins and state.history.n_rounds == self.next_join

    def exhausted(self, state: State) -> Status | None:
        """At the end of a round: more starts where it brought little, an end when all are spent.

        Sets ``n_starts``, ``period`` and ``next_join``.
        """
        if state.watch.due():
            return None
        if self.joins(state):
            before = state.past[-1]
            if before - state.value <= WORTH * (state.past[-JOIN] - before):
                self.period *= 2
            self.next_join += self.period
        past = state.past[-PATIENCE:]
        share = LITTLE if self.plan.neurons == "none" else LITTLE_EXACT
        rough = state.core.loss.sharp and state.smoothing > state.least_smoothing
        gained = rough or past[0] - state.value > share * state.tol * state.size
        if not np.isfinite(state.value):
            return Status.NUMERICAL_ERROR
        if gained and not self.quiet:
            return None
        if self.n_starts < MOST_STARTS:
            self.n_starts *= 2
        elif not gained and len(past) == PATIENCE:
            capped = state.max_neurons is not None and state.best.n_neurons >= state.max_neurons
            return Status.NEURON_LIMIT if capped else Status.STALLED
        return None
