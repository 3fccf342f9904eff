"""How long the choice of a weight decay takes, and how long training then has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.problem import Problem
from ..core.watch import EACH, Watch
from .cross_validation import Choice, choose_weight_decay
from .progress import counter

# Share of the time limit for the choice of a weight decay.  Where nobody limits it, seconds beside
# that share of what a large X may take, and those that training has at least.
CHOOSING, UNASKED, LEAST = 0.5, 15.0, 3.0
# Outputs from which those seconds are twice as many: weights of each class are fitted to it alone.
MANY = 160


def chosen(
    problem: Problem,
    watch: Watch,
    *,
    limited: bool,
    unasked: float = UNASKED,
    least: float = LEAST,
    shown: bool | None = None,
    chooser: Callable[..., Choice] = choose_weight_decay,
    **options: Any,
) -> tuple[Choice, Watch]:
    """A weight decay, and columns, by cross-validation, and the watch of training with them.

    Parameters
    ----------
    problem : Problem
        Its own weight decay is not used.
    watch : Watch
        Of choice and training together.
    limited : bool
        Whether the user has set it.  If not, training has as long as the choice took,
        half of that where the folds leave a start, ``least`` at least.
    unasked, least : float, default :data:`UNASKED` and :data:`LEAST`
        Seconds of the choice then, and more for a large X, and of training; up to twice as many
        for many outputs.
    shown : bool, optional
        As ``enabled`` of :func:`gapless.training.progress.counter`.
    chooser : callable, default :func:`choose_weight_decay`
    **options
        Of the chooser.

    Returns
    -------
    Choice
    Watch
    """
    times = 1 + min(problem.n_outputs / MANY, 1.0)
    seconds = watch.left if limited else EACH * problem.design.size
    part = Watch(CHOOSING * seconds + (0.0 if limited else times * unasked))
    with counter("choosing weight_decay", shown, part) as report:
        choice = chooser(problem, time_limit=max(part.left, 1e-9), callback=report, **options)
    if limited:
        return choice, watch
    seconds = watch.seconds if choice.start is None else 0.5 * watch.seconds
    return choice, Watch(max(seconds, times * least))
