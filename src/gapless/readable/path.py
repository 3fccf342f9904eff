"""Falling weight decays for networks of readable neurons, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.constant import null_dual_point
from ..core.problem import Problem
from ..core.threads import blas_threads
from ..core.watch import Watch
from .solve import SMOOTHING, Fit, Weighted
from .table import Table

# Gap of the networks that only rank weight decays, and with pairs, whose last steps take long.
RANKING, RANKING_PAIRS = 1e-2, 3e-2
# Values without a better one after which the walk ends, where all clearly lose more, and in any
# case; with pairs, whose grid is coarse and whose smallest values take most of the time.
PATIENCE, ENDURANCE, PATIENCE_PAIRS = 3, 6, 1
# Numbers of X in all folds up to which all their tables are held at once.
HELD = 1 << 24


@dataclass(frozen=True, eq=False)
class Ranking:
    """Validation losses along a grid of weight decays.

    Attributes
    ----------
    weight_decays : array of shape (k,)
        Falling.
    losses : array of shape (n_folds, k)
        NaN where the time was over, infinite beyond where the mean had risen for good.
    """

    weight_decays: Array
    losses: Array

    @property
    def best(self) -> int:
        """The number of the value of least mean loss among those that every fold has."""
        mean = self.losses.mean(axis=0)
        return len(mean) // 2 if np.all(np.isnan(mean)) else int(np.nanargmin(mean))

    @property
    def weight_decay(self) -> float:
        """That value."""
        return float(self.weight_decays[self.best])

    def beats(self, other: Ranking) -> bool:
        """Whether its best value loses less, by more than the standard error over the folds."""
        return _clear(other.losses[:, other.best] - self.losses[:, self.best])

    @property
    def cut_short(self) -> bool:
        """Whether time ended the walk at that value or the next: smaller ones may be better."""
        return bool(np.any(np.isnan(self.losses[:, self.best : self.best + 2])))


def flat_weight_decay(table: Table) -> float:
    """The least weight decay found at which the best network is a constant.

    The gauge of the constant's dual point; of hinge and pinball that of their smoothed kin, which
    is about as much.

    Parameters
    ----------
    table : Table

    Returns
    -------
    float
        In the units of the table's problem; 1 where a constant fits for ever.
    """
    core = table.core.variant(table.core.loss.smoothed(SMOOTHING), 1.0)
    gauge = table.largest(null_dual_point(core))
    return gauge / table.reduction.decay if gauge > 0 else 1.0


def rank_weight_decays(
    problem: Problem,
    interactions: Any,
    grid: Array,
    folds: Sequence[tuple[Array, Array]],
    watch: Watch,
    callback: Callable[[int, int], object] | None = None,
    monotone: Mapping[int, int] | None = None,
) -> Ranking:
    """Validation losses of networks that start from those at larger weight decays.

    All folds walk together and end when their mean loss has risen for good: what one fold alone
    finds too small may still be the best for the others.  Of large tables one is held at a time and
    sorted anew for every :data:`PATIENCE` values.

    Parameters
    ----------
    problem : Problem
        Its weight decay is not used.
    interactions : 0, "pairs" or list of pairs
    grid : array of shape (k,)
        Falling.
    folds : sequence of (training rows, validation rows)
    watch : Watch
        Values that it cuts short have no losses.
    callback : callable, optional
        Called with (values done, values in all) now and then.
    monotone : mapping of int to {1, -1}, optional
        As of :func:`gapless.train_readable`.

    Returns
    -------
    Ranking
    """
    grid = np.asarray(grid, dtype=float)
    losses = np.full((len(folds), len(grid)), np.nan)
    patience, endurance = (PATIENCE_PAIRS,) * 2 if interactions else (PATIENCE, ENDURANCE)
    held = problem.n_samples * problem.n_features * len(folds) <= HELD
    step = 1 if held else patience
    with blas_threads(1):
        walks = [_Fold(problem, (interactions, monotone), rows, held) for rows in folds]
        for at in range(0, len(grid) if walks else 0, step):
            for walk, row in zip(walks, losses):
                walk.fill(row[at : at + step], grid[at : at + step], watch)
            done = min(at + step, len(grid))
            mean = losses[:, :done].mean(axis=0)
            if np.isnan(mean[-1]):
                break
            if callback is not None:
                callback(done, len(grid))
            best = int(np.argmin(mean))
            worse = (losses[:, best + 1 : done] - losses[:, [best]]).T
            if len(worse) >= (patience if all(map(_clear, worse)) else endurance):
                losses[:, done:] = np.inf
                break
    return Ranking(grid, losses)


def _clear(gains: Array) -> bool:
    """Whether the gains of the folds are above zero by more than their standard error."""
    if len(gains) < 2 or np.any(np.isnan(gains)):
        return False
    return bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


class _Fold:
    """One fold on its way to smaller weight decays; its table is made anew unless ``held``."""

    def __init__(
        self, problem: Problem, how: tuple[Any, Any], rows: tuple[Array, Array], held: bool
    ) -> None:
        self.problem, self.how, self.held = problem, how, held
        self.fit, self.test = rows
        self.table: Table | None = None
        self.start: Weighted | None = None

    def fill(self, losses: Array, weight_decays: Array, watch: Watch) -> None:
        """Losses held out; those that the time does not allow stay as they are."""
        if watch.due():
            return
        problem, rows = self.problem, self.test
        table = self.table or Table(problem.of_samples(self.fit), *self.how)
        self.table = table if self.held else None
        gap, w = RANKING_PAIRS if len(table.pairs) else RANKING, problem.sample_weight[rows]
        for i, weight_decay in enumerate(weight_decays):
            fit = Fit(table, weight_decay, gap, self.start)
            solution = fit.run(watch)
            if watch.due() and solution.status.unfinished:
                return
            self.start = fit.best
            F = solution.network.predict(problem.X[rows])
            losses[i] = w @ problem.loss.value(F, problem.Y[rows]) / w.sum()
