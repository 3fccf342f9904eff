"""The outer loop: column generation on the dual, for training and for interpolation."""

from __future__ import annotations

from typing import Any, Protocol

from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.result import Status
from ..gauge.base import GaugeBound
from .plan import Plan, Solving, Trying


class Steps(Solving, Protocol):
    """The steps of a round; each changes the state."""

    def dual_point(self) -> Array: ...
    def certify(self, Lam: Array, bound: GaugeBound, found: Candidates) -> None: ...
    def improve(self, plan: Plan, effort: Any) -> None: ...
    def tell(self) -> Status | None: ...


class Judge(Trying, Protocol):
    """When it is enough."""

    def reached(self, state: Any) -> Status | None: ...
    def exhausted(self, state: Any) -> Status | None: ...


def rounds(state: Steps, plan: Plan, effort: Judge, max_rounds: int) -> Status:
    """Column generation until the gap is met, the effort is spent or the watch ends it.

    Parameters
    ----------
    state : Steps
        Where the solve stands; it is changed.
    plan : Plan
        Its strategies.
    effort : Judge
        Its counters.
    max_rounds : int

    Returns
    -------
    Status
        How it ended; a proof of the last moment may still make more of it.
    """
    for _ in range(max_rounds):
        if status := state.watch.over:
            return status
        Lam = state.dual_point()  # 1. the dual point of the current network
        bound = plan.bound(state, Lam, effort)  # 2. its gauge from above, and from below: neurons
        found = plan.search(state, Lam, bound, effort)  # that violate the dual constraint
        state.certify(Lam, bound, found)  # 3. what that proves
        if status := effort.reached(state) or state.tell():
            return status
        state.improve(plan, effort)  # 4-6. master over old and new neurons, descent, slides
        if status := effort.exhausted(state):
            return status
    return state.watch.over or Status.ITERATION_LIMIT
