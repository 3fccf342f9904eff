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
from .solve import SMOOTHING, Fit
from .table import Table

# Gap of the networks that only rank weight decays, and with pairs, whose last steps take long.
RANKING, RANKING_PAIRS = 1e-2, 3e-2
# Values without a better one after which a fold ends.
PATIENCE = 3


@dataclass(frozen=True, eq=False)
class Ranking:
    """Validation losses along a grid of weight decays.

    Attributes
    ----------
    weight_decays : array of shape (k,)
        Falling.
    losses : array of shape (n_folds, k)
        NaN where a fold had ended.
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

    @property
    def cut_short(self) -> bool:
        """Whether time ended a fold at that value or the next: smaller ones may be better."""
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

    Parameters
    ----------
    problem : Problem
        Its weight decay is not used.
    interactions : 0, "pairs" or list of pairs
    grid : array of shape (k,)
        Falling.
    folds : sequence of (training rows, validation rows)
    watch : Watch
        Each fold has its share of the time; one that it cuts short has no losses from there on.
    callback : callable, optional
        Called with (folds done, folds in all).
    monotone : mapping of int to {1, -1}, optional
        As of :func:`gapless.train_readable`.

    Returns
    -------
    Ranking
    """
    losses = np.full((len(folds), len(grid)), np.nan)
    for k, (fit, test) in enumerate(folds):
        part = Problem(
            problem.X[fit], problem.Y[fit], problem.loss, 1.0, problem.bias,
            problem.sample_weight[fit],
        )  # fmt: skip
        X, Y, w = problem.X[test], problem.Y[test], problem.sample_weight[test]
        share = watch.part(share=1 / (len(folds) - k))
        with blas_threads(1):
            table = Table(part, interactions, monotone)
            losses[k] = _along(table, grid, (X, Y, w / w.sum()), share)
        if callback is not None:
            callback(k + 1, len(folds))
    return Ranking(np.asarray(grid, dtype=float), losses)


def _along(table: Table, grid: Array, held_out: tuple[Array, Array, Array], watch: Watch) -> Array:
    """Held-out losses; those after the loss has risen for good count as infinite."""
    X, Y, w = held_out
    losses, start = np.full(len(grid), np.nan), None
    for i, weight_decay in enumerate(grid):
        fit = Fit(table, weight_decay, RANKING_PAIRS if len(table.pairs) else RANKING, start)
        solution = fit.run(watch)
        if watch.due() and solution.status.unfinished:
            break
        start = fit.best
        losses[i] = w @ table.problem.loss.value(solution.network.predict(X), Y)
        if i - int(np.nanargmin(losses)) >= PATIENCE:
            losses[i + 1 :] = np.inf
            break
    return losses
