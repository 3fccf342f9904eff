"""Choice of weight decay by cross-validation along the path."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold

from ..core.checks import Array, choose
from ..core.problem import Problem
from ..core.result import Status
from ..core.threads import blas_threads
from ..core.watch import Watch
from .path import score, solve_along, weight_decay_grid

# A fold is left once its validation loss has been above its best for this many values.
PATIENCE = 2

RULES = ("best", "one-standard-error")


@dataclass(frozen=True, eq=False)
class Choice:
    """Validation on a grid.

    Attributes
    ----------
    weight_decays : array of shape (n_values,)
        Falling.
    losses, scores : arrays of shape (n_folds, n_values)
        Validation loss, and R2 or accuracy; NaN for values that a fold did not reach because
        its loss had risen for good or its time was up.
    best : int
        Index of the value chosen.
    """

    weight_decays: Array
    losses: Array
    scores: Array
    best: int

    @property
    def weight_decay(self) -> float:
        return float(self.weight_decays[self.best])


def choose_weight_decay(
    problem: Problem,
    weight_decays: Array | None = None,
    *,
    folds: int | Iterable[tuple[Array, Array]] = 5,
    n_values: int = 14,
    ratio: float = 1e-3,
    rule: str = "best",
    tol: float = 3e-2,
    max_neurons: int | None = None,
    time_limit: float | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    callback: Callable[[int, int], object] | None = None,
) -> Choice:
    """Weight decay of least validation loss.

    Each fold walks the same grid, warm-started, and leaves it once its loss has risen for good;
    values not reached count as the last one did plus what was lost since.

    Parameters
    ----------
    problem : Problem
        Its own ``weight_decay`` is not used.  Sample weights count in training and validation.
    weight_decays : array, optional
        By default ``n_values`` down to ``ratio`` of the largest useful one.
    folds : int or iterable of (training rows, validation rows), default 5
    rule : {"best", "one-standard-error"}, default "best"
        The least mean loss, or the largest weight decay whose mean loss is within one standard
        error of it (Breiman, Friedman, Olshen & Stone, Classification and Regression Trees,
        1984, section 3.4.3).
    tol : float, default 3e-2
        Gap of the fits on the way; coarse is enough to rank.
    max_neurons : int, optional
    time_limit : float, optional
        Seconds for all of it, the same for each fold.  A warning says so when it cut folds short:
        the choice is then among the weight decays that every fold has finished, and where there
        is none the middle of the grid.
    n_jobs : int, optional
        Folds at once, as in joblib.
    callback : callable, optional
        Called with (folds done, folds in all).

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
    grid = weight_decay_grid(problem, weight_decays, n_values, ratio, random_state, watch)
    parts = _folds(problem, folds, random_state) if isinstance(folds, int) else list(folds)
    if len(grid) == 1 or len(parts) < 2:
        nothing = np.full((0, len(grid)), np.nan)
        return Choice(grid, nothing, nothing, 0)
    options = {"tol": tol, "max_neurons": max_neurons, "random_state": random_state}
    share = min(1.0, effective_n_jobs(n_jobs) / len(parts)) * watch.left
    jobs = (delayed(_fold)(problem, grid, *part, watch, share, options) for part in parts)
    results = []
    for done, result in enumerate(Parallel(n_jobs=n_jobs, return_as="generator")(jobs), 1):
        results.append(result)
        if callback is not None:
            callback(done, len(parts))
    return _chosen(grid, results, rule)


def _chosen(grid: Array, results: list[tuple[Array, Array, int]], rule: str) -> Choice:
    """The choice among the weight decays that every fold has finished."""
    losses, scores = (np.array(table) for table in list(zip(*results))[:2])
    reached = min(known for _, _, known in results)
    if reached == 0:
        best = len(grid) // 2
        _warn(
            f" one weight decay: {grid[best]:.3g}, the middle of the grid, is taken without a "
            "comparison"
        )
        return Choice(grid, losses, scores, best)
    if reached < len(grid):
        _warn(f": weight decays below {grid[reached - 1]:.3g} were not compared")
    if not np.all(np.any(np.isfinite(losses), axis=1)):
        raise ValueError("the losses of a fold overflow; divide y by its standard deviation")
    table = np.apply_along_axis(_extend, 1, losses)[:, :reached]
    return Choice(grid, losses, scores, _best(table, rule))


def _warn(what: str) -> None:
    warnings.warn(
        f"the time was over before every fold had finished{what}; raise time_limit",
        ConvergenceWarning,
        stacklevel=4,  # the caller of choose_weight_decay
    )


def _best(losses: Array, rule: str) -> int:
    mean = losses.mean(axis=0)
    best = int(np.argmin(mean))
    if rule == "best":
        return best
    error = losses[:, best].std(ddof=1) / np.sqrt(len(losses))
    return int(np.argmax(mean <= mean[best] + error))


def _extend(losses: Array) -> Array:
    """Values not reached count as the last one did plus what was lost since the best."""
    known = losses[np.isfinite(losses)]
    return np.where(np.isfinite(losses), losses, 2 * known[-1] - known.min())


def _folds(problem: Problem, n_folds: int, random_state: int) -> list[tuple[Array, Array]]:
    n_folds = min(n_folds, problem.n_samples)
    if n_folds < 2:
        return []
    labels = None
    if problem.loss.targets != "real":
        labels = np.unique(problem.Y, axis=0, return_inverse=True)[1].ravel()
        if np.min(np.bincount(labels)) < n_folds:
            labels = None
    folder = KFold if labels is None else StratifiedKFold
    splitter = folder(n_folds, shuffle=True, random_state=random_state)
    return list(splitter.split(np.zeros(problem.n_samples), labels))


def _fold(
    problem: Problem,
    grid: Array,
    fit: Array,
    test: Array,
    watch: Watch,
    seconds: float,
    options: dict[str, Any],
) -> tuple[Array, Array, int]:
    """Losses and scores on the rows ``test`` of networks trained on the rows ``fit``, and to how
    many weight decays they have an answer."""
    part = Problem(
        problem.X[fit],
        problem.Y[fit],
        problem.loss,
        float(grid[0]),
        problem.bias,
        problem.sample_weight[fit],
    )
    X, Y, w = problem.X[test], problem.Y[test], problem.sample_weight[test]
    losses, scores = np.full((2, len(grid)), np.nan)
    known, watch = 0, Watch(min(seconds, watch.left))
    with blas_threads(1):
        for i, solution in enumerate(solve_along(part, grid, watch, **options)):
            if solution.status is Status.STOPPED:
                raise KeyboardInterrupt
            if solution.status is Status.TIME_LIMIT:
                break
            F = solution.network.predict(X)
            losses[i] = w @ problem.loss.value(F, Y) / w.sum()
            scores[i] = score(problem.loss, F, Y, w)
            known = i + 1
            if i - int(np.nanargmin(losses)) >= PATIENCE:
                return losses, scores, len(grid)
    return losses, scores, known
