"""Choice of weight decay where one training takes long: a decade at a time, on one split.

A path of warm starts needs a search and a descent a value, on each of several folds.  On images
those take longer than training from random filters, which a clock can cut short and which is still
good: so each weight decay has its share of the time, from the largest down, until one is worse on
the samples held out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.problem import Problem
from ..core.result import Status
from ..core.watch import Watch
from .cross_validation import RANKING, Choice
from .folds import strata, two_parts
from .path import largest_weight_decay, score
from .train import solve

# Weight decays: the largest useful one over 10, 100, ...
DECADES = 5
# Samples held out.
HELD_OUT = 0.25
# Starts of the search for the largest useful one, and its share of the time.
STARTS, FIRST = 32, 0.1


def choose_decade(
    problem: Problem,
    *,
    time_limit: float | None = None,
    max_neurons: int | None = None,
    random_state: int = 0,
    callback: Callable[[int, int], object] | None = None,
) -> Choice:
    """The weight decay of least loss on a quarter of the samples.

    Parameters
    ----------
    problem : Problem
        Its own ``weight_decay`` is not used.
    time_limit : float, optional
        Seconds for all of it; each value has as much as the others.
    max_neurons : int, optional
    random_state : int, default 0
    callback : callable, optional
        Called with (values done, values in all).

    Returns
    -------
    Choice
        Of one fold, without a start.

    Raises
    ------
    KeyboardInterrupt
        When interrupted.
    """
    watch = Watch.of(time_limit)
    top = largest_weight_decay(problem, STARTS, random_state, watch.part(share=FIRST))
    if top == 0 or problem.n_samples < 2 / HELD_OUT:
        nothing = np.full((0, 1), np.nan)
        return Choice(np.array([problem.weight_decay]), nothing, nothing, 0)
    grid = top * 0.1 ** np.arange(1, DECADES + 1)
    fit, test = _split(problem, random_state)
    part, held = problem.of_samples(fit), problem.of_samples(test)
    losses, scores = np.full((2, 1, DECADES), np.nan)
    for i, weight_decay in enumerate(grid):
        share = Watch(watch.left / (DECADES - i))
        solution = solve(
            part.variant(part.loss, float(weight_decay)), share,
            tol=RANKING, max_neurons=max_neurons, random_state=random_state, joins=False,
        )  # fmt: skip
        if solution.status is Status.STOPPED:
            raise KeyboardInterrupt
        F = solution.network.predict(held.X)
        losses[0, i] = held.data_fit(F)
        scores[0, i] = score(held.loss, F, held.Y, held.sample_weight)
        if callback is not None:
            callback(i + 1, DECADES)
        if losses[0, i] > np.nanmin(losses):
            break
    return Choice(grid, losses, scores, int(np.nanargmin(losses)))


def _split(problem: Problem, random_state: int) -> list[np.ndarray]:
    """Rows to train on, and those held out; classes in the same shares where they allow it."""
    labels = None if problem.loss.targets == "real" else strata(problem.Y, 2)
    parts = two_parts(problem.n_samples, HELD_OUT, random_state, labels)
    return [np.sort(part) for part in parts]
