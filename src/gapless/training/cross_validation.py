"""Choice of weight decay, and of columns, by cross-validation along the path."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from ..core.checks import Array, choose
from ..core.network import Network
from ..core.problem import Problem
from ..core.processes import forked
from ..core.result import Status
from ..core.threads import blas_threads
from ..core.watch import Watch
from .folds import shuffled_folds
from .neurons import averaged, widened
from .path import score, solve_along, weight_decay_grid
from .relevance import FewColumns, few_columns, gains, on_columns

# Folds, values of the grid and the gap of the networks that rank them: five folds, thirty values
# and 1% score no better on the tables of benchmarks/choosing.py and take many times longer.
FOLDS, VALUES, RANKING = 3, 10, 0.1
# Rounds of a network on the way: another search would only tell how far from the best it is.
ROUNDS = 1
# From value number FIRST on a fold is left where the loss falls by less than GAIN standard errors;
# with up to PATIENT numbers in X, where it rises above its least by more than as many.
GAIN, FIRST, PATIENT = 1.0, 3, 5_000
# Seconds that processes take to start, from scratch and forked: folds as quick as that are not
# worth them.
PROCESSES, FORKED = 1.0, 0.05
# Share of the time for models that order columns: what walks reach in too short a time, which is
# what fewer columns are compared by, says little of a training ten times as long.
LOOKING = 0.5
# Share of the time for the first fold, and of that in which all must promise to end: else the first
# decides alone, as its rows say more where each fold takes long.
ALONE, TOGETHER = 2 / 3, 0.4
# Numbers in X below which a start saves no time: from scratch weights are repetitions to the last
# digits, and the network is that of the plain estimator.
SCRATCH = 2000

RULES = ("best", "one-standard-error")


@dataclass(frozen=True, eq=False)
class Choice:
    """Validation on a grid.

    Attributes
    ----------
    weight_decays : array of shape (n_values,)
        Falling.
    losses, scores : arrays of shape (n_folds, n_values)
        Validation loss, and R2 or accuracy, of one fold where time was too short for others; NaN
        for values that a fold did not reach because the one before gained nothing or its time was
        up.
    best : int
        Index of the value chosen.
    start : Network or None
        The mean of the folds' networks there, to train on all data from, where that saves time;
        on the ``columns``.
    columns : array of int, or None
        Those kept; None: all.
    held_out : tuple of array
        The loss of each held-out row there, an array for each fold.
    """

    weight_decays: Array
    losses: Array
    scores: Array
    best: int
    start: Network | None = None
    columns: Array | None = None
    held_out: tuple[Array, ...] = ()

    @property
    def weight_decay(self) -> float:
        return float(self.weight_decays[self.best])


def choose_weight_decay(
    problem: Problem,
    weight_decays: Array | None = None,
    *,
    folds: int | Iterable[tuple[Array, Array]] = FOLDS,
    n_values: int = VALUES,
    ratio: float = 1e-3,
    rule: str = "best",
    tol: float = RANKING,
    max_neurons: int | None = None,
    time_limit: float | None = None,
    n_jobs: int | None = None,
    forks: bool = False,
    random_state: int = 0,
    callback: Callable[[int, int], object] | None = None,
    select: bool = False,
) -> Choice:
    """Weight decay of least validation loss, and columns.

    Each fold walks the same grid, warm-started, and leaves it once a value gained less than the
    standard error of that gain, which its validation rows tell, or, of a small table, once the
    loss is above its least by as much; values not reached count as the last one did plus what was
    lost since the best.  The choice is among those that half of the folds reached.

    Parameters
    ----------
    problem : Problem
        Its own ``weight_decay`` is not used.  Sample weights count in training and validation.
    weight_decays : array, optional
        By default ``n_values`` (10) down to ``ratio`` (1e-3) of the largest useful one.
    folds : int or iterable of (training rows, validation rows), default 3
    rule : {"best", "one-standard-error"}, default "best"
        The least mean loss, or the largest weight decay whose mean loss is within one standard
        error of it (Breiman, Friedman, Olshen & Stone, Classification and Regression Trees,
        1984, section 3.4.3).
    tol : float, default 0.1
        Gap of the fits on the way; coarse is enough to rank.
    max_neurons : int, optional
    time_limit : float, optional
        Seconds for all of it.  The first fold has two thirds; where all would take more than four
        tenths, if the others are as quick, it decides alone, else with those that came to their
        end.  A warning says so when it was cut short itself: the choice is then among the weight
        decays that every fold has finished; the middle of the grid where there is none, or where
        the loss may still fall before that.
    n_jobs : int, optional
        Folds at once, as in joblib, once the first alone has shown that they take seconds.
    forks : bool, default False
        Whether those processes are forked from this one (:func:`gapless.core.processes.forked`).
    callback : callable, optional
        Called with (folds done, folds in all).
    select : bool, default False
        Whether to leave columns out of a dense table where that helps.  Each fold orders them by
        its own rows; where fewer of them predict held-out rows better in ridge regressions
        (:mod:`gapless.training.relevance`, for half of the time at most), all folds walk on so
        many as well, and those are kept if networks then lose less, by more than the standard error
        of that.

    Returns
    -------
    Choice

    Raises
    ------
    KeyboardInterrupt
        When interrupted: nothing is chosen from folds cut short.
    """
    choose("rule", rule, RULES)
    watch = Watch.of(time_limit)
    if isinstance(folds, int):
        folds = shuffled_folds(problem.Y, folds, problem.loss.targets != "real", random_state)
    parts = list(folds)
    few = None
    if select and len(parts) > 1:
        few = few_columns(problem, parts, random_state, watch.part(share=LOOKING).due)
    # a start from the value before lacks little of what other random networks would bring
    options = {
        "tol": tol, "max_neurons": max_neurons, "random_state": random_state, "joins": False,
        "max_iter": ROUNDS,
    }  # fmt: skip
    count = len(parts) * (1 if few is None else 2)
    walker = _Walker(problem, parts, rule, n_jobs, forks, options, _Count(callback, count))

    def walk(watch: Watch, few: FewColumns | None = None) -> Choice:
        table = problem if few is None else on_columns(problem, few.everywhere)
        grid = weight_decay_grid(table, weight_decays, n_values, ratio, random_state, watch)
        choice = walker.walk(grid, watch, few)
        return replace(choice, start=None) if table.design.size < SCRATCH else choice

    if few is None:
        return walk(watch)
    fewer = walk(watch.part(share=0.5), few)
    every = walk(watch)
    return fewer if walker.gain(every, fewer) else every


@dataclass
class _Count:
    """Tells how many folds are done."""

    callback: Callable[[int, int], object] | None
    total: int
    done: int = 0

    def __call__(self) -> None:
        self.done += 1
        if self.callback is not None:
            self.callback(self.done, self.total)


@dataclass(frozen=True)
class _Walker:
    """What is the same for all walks along a grid."""

    problem: Problem
    parts: list[tuple[Array, Array]]
    rule: str
    n_jobs: int | None
    forks: bool
    options: dict[str, Any]
    report: Callable[[], None]

    def walk(self, grid: Array, watch: Watch, few: FewColumns | None) -> Choice:
        """The choice from the grid, each fold on its own few columns or on all."""
        if len(grid) == 1 or len(self.parts) < 2:
            nothing = np.full((0, len(grid)), np.nan)
            return Choice(grid, nothing, nothing, 0)
        sets = [None] * len(self.parts) if few is None else few.folds
        first, *others = (
            partial(_fold, self.problem, grid, *rows, columns, watch, options=self.options)
            for rows, columns in zip(self.parts, sets)
        )
        begun = watch.seconds
        results = [first(seconds=ALONE * watch.left)]
        self.report()
        n_jobs, rounds = self.team(watch.seconds - begun, len(others), watch.left)
        if rounds:
            jobs = [partial(fold, seconds=watch.left / rounds) for fold in others]
            for result in self.beside(jobs, n_jobs):
                results.append(result)
                self.report()
        # where the first is whole, folds that time cut short would only hide what it has seen
        whole = list(takewhile(lambda fold: fold.known == len(grid), results))
        choice = _chosen(grid, whole or results, self.rule)
        columns = None if few is None else few.everywhere
        start = choice.start
        if start is not None and columns is not None:
            start = replace(start, hidden_weights=start.hidden_weights[columns])
        return replace(choice, start=start, columns=columns)

    def team(self, took: float, count: int, left: float) -> tuple[int, int]:
        """Processes for ``count`` folds after one that ``took`` so many seconds, and the rounds
        that they need; no rounds where the first is to decide alone."""
        starting, n_jobs = FORKED if self.forks else PROCESSES, 1
        if took <= starting or (n_jobs := effective_n_jobs(self.n_jobs)) == 1:
            starting = 0.0
        rounds = -(-count // n_jobs)
        promised = took + starting + rounds * took
        return n_jobs, rounds if promised <= TOGETHER * (took + left) else 0

    def beside(self, folds: Sequence[Callable[[], Fold]], n_jobs: int) -> Iterable[Fold]:
        """The folds in their order, so many at once."""
        if self.forks and n_jobs > 1:
            return forked(folds, n_jobs)
        return Parallel(n_jobs, return_as="generator")(delayed(fold)() for fold in folds)

    def gain(self, before: Choice, now: Choice) -> bool:
        """Whether held-out rows are predicted better than before, by more than chance."""
        both = list(zip(before.held_out, now.held_out, self.parts))  # the folds of both
        if not both:
            return False
        w = np.concatenate([self.problem.sample_weight[test] for *_, (_, test) in both])
        with np.errstate(all="ignore"):  # what overflows gains nothing
            return gains(np.concatenate([old - new for old, new, _ in both]), w, GAIN)


def _chosen(grid: Array, results: list[Fold], rule: str) -> Choice:
    """The choice among the weight decays that every fold has finished."""
    losses, scores = (np.array(table) for table in list(zip(*results))[:2])
    reached = min(fold.known for fold in results)
    middle = len(grid) // 2
    taken = f"{grid[middle]:.3g}, the middle of the grid, is taken"
    if reached == 0:
        _warn(f" one weight decay: {taken} without a comparison")
        return Choice(grid, losses, scores, middle)
    if not np.all(np.any(np.isfinite(losses), axis=1)):
        raise ValueError("the losses of a fold overflow; divide y by its standard deviation")
    # what few folds have seen is no ground for a choice: values that half of them walked to
    walked = int(np.median(np.isfinite(losses).sum(axis=1)))
    table = np.apply_along_axis(_extend, 1, losses)[:, : min(reached, walked)]
    best = _best(table, rule)
    if reached < len(grid):
        # as a fold before FIRST says little
        falling = best < middle and (best == reached - 1 or reached <= FIRST)
        best = middle if falling else best
        _warn(
            f": weight decays below {grid[reached - 1]:.3g} were not compared"
            + f", and as the loss may still fall {taken}" * falling
        )
    start = _mean([fold.networks[: best + 1][-1] for fold in results])
    held_out = tuple(fold.held_out[: best + 1][-1] for fold in results)
    return Choice(grid, losses, scores, best, start, held_out=held_out)


def _mean(networks: list[Network]) -> Network:
    """The network whose outputs are the mean of theirs."""
    mean = networks[0]
    for count, network in enumerate(networks[1:], 1):
        mean = averaged(mean, network, count / (count + 1))
    return mean


def _warn(what: str) -> None:
    from sklearn.exceptions import ConvergenceWarning  # takes longer than a small fit

    warnings.warn(
        f"the time was over before every fold had finished{what}; time_limit allows more",
        ConvergenceWarning,
        stacklevel=5,  # the caller of choose_weight_decay
    )


def _best(losses: Array, rule: str) -> int:
    mean = losses.mean(axis=0)
    best = int(np.argmin(mean))
    if rule == "best" or len(losses) == 1:  # one fold has no error
        return best
    error = losses[:, best].std(ddof=1) / np.sqrt(len(losses))
    return int(np.argmax(mean <= mean[best] + error))


def _extend(losses: Array) -> Array:
    """Values not reached count as the last one did plus what was lost since the best."""
    known = losses[np.isfinite(losses)]
    return np.where(np.isfinite(losses), losses, 2 * known[-1] - known.min())


class Fold(NamedTuple):
    """Losses and scores of a fold at each weight decay, NaN where it was not; to how many it has
    an answer; the networks that it trained, of all columns; and what each row lost with them."""

    losses: Array
    scores: Array
    known: int
    networks: list[Network]
    held_out: list[Array]


def _fold(
    problem: Problem,
    grid: Array,
    fit: Array,
    test: Array,
    columns: Array | None,
    watch: Watch,
    *,
    seconds: float,
    options: dict[str, Any],
) -> Fold:
    """Networks trained on the rows ``fit``, and their losses on the rows ``test``."""
    whole = problem.n_features
    problem = on_columns(problem, columns)
    part = problem.variant(problem.loss, float(grid[0])).of_samples(fit)
    X, Y, w = problem.X[test], problem.Y[test], problem.sample_weight[test]
    losses, scores = np.full((2, len(grid)), np.nan)
    networks: list[Network] = []
    held_out: list[Array] = []
    watch, small = Watch(min(seconds, watch.left)), problem.design.size <= PATIENT
    # losses that overflow are named once all folds are done
    with blas_threads(1), np.errstate(all="ignore"):
        for i, solution in enumerate(solve_along(part, grid, watch, **options)):
            if solution.status is Status.STOPPED:
                raise KeyboardInterrupt
            if solution.status is Status.TIME_LIMIT:
                break
            F = solution.network.predict(X)
            now = problem.loss.value(F, Y)
            losses[i] = w @ now / w.sum()
            scores[i] = score(problem.loss, F, Y, w)
            network = solution.network
            networks.append(network if columns is None else widened(network, columns, whole))
            held_out.append(now)
            best = held_out[int(np.argmin(losses[: i + 1]))]
            if i >= FIRST and (
                gains(now - best, w, GAIN) if small else not gains(held_out[-2] - now, w, GAIN)
            ):
                return Fold(losses, scores, len(grid), networks, held_out)
    return Fold(losses, scores, len(networks), networks, held_out)
