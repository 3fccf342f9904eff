"""Regularisation path with warm starts, and the choice of weight decay by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.model_selection import KFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from ._validate import Array
from .gauge import gauge_bound, is_exact
from .network import Network, constant_network
from .oracle import Oracle
from .problem import Problem
from .reduction import Reduction
from .result import Solution
from .train import null_model, train

# A path is left once the validation loss has been above its best for this many values.
PATIENCE = 2


def weight_decay_max(problem: Problem, n_starts: int = 500, random_state: int = 0) -> float:
    """The weight decay from which on the best network has no neurons.

    It is the gauge of the null model's dual point: exact for data of low rank, else the best
    value of a search, hence a slight underestimate.
    """
    reduction = Reduction(problem)
    core = reduction.core
    Lam = core.dual_point(np.broadcast_to(null_model(core), core.Y.shape))
    if is_exact(core):
        return gauge_bound(core, Lam).lower * reduction.scale
    oracle = Oracle(core.X, core.free, np.random.default_rng(random_state))
    found = oracle.search(Lam, np.zeros((core.n_features, 0)), n_starts)
    return float(found.value.max(initial=0.0)) * reduction.scale


def path(
    problem: Problem, weight_decays: Array, *, init: Network | None = None, **options: Any
) -> Iterator[Solution]:
    """Solutions at each of ``weight_decays`` in turn, each started from the one before.

    ``options`` go to :func:`gapless.train`.  Go from large to small: networks grow.
    """
    for weight_decay in weight_decays:
        solution = train(replace(problem, weight_decay=float(weight_decay)), init=init, **options)
        init = solution.network
        yield solution


@dataclass(frozen=True, eq=False)
class Choice:
    """Validation losses on a grid: ``losses`` (n_folds, n_values), ``best`` the grid index."""

    weight_decays: Array
    losses: Array
    best: int

    @property
    def weight_decay(self) -> float:
        return float(self.weight_decays[self.best])


def choose_weight_decay(
    problem: Problem,
    *,
    n_folds: int = 5,
    n_values: int = 13,
    ratio: float = 1e-3,
    tol: float = 3e-2,
    n_jobs: int | None = None,
    random_state: int = 0,
    callback: Callable[[int, int], object] | None = None,
) -> Choice:
    """Weight decay of least validation loss over ``n_folds`` folds.

    Each fold walks the same grid, from ``weight_decay_max`` down to ``ratio`` times it, warm-
    started, and leaves it once its loss has risen for good; values not reached count as the
    last one did plus what was lost since.

    Parameters
    ----------
    problem : Problem
        Its own ``weight_decay`` is not used.
    n_folds, n_values, ratio : grid and folds
    tol : float
        Gap of the fits on the way; coarse is enough to rank.
    n_jobs : int, optional
        Folds at once, as in joblib.
    callback : callable, optional
        Called with (folds done, folds in all).
    """
    top = weight_decay_max(problem, random_state=random_state)
    if top <= 0:  # constant targets: any weight decay gives the null model
        return Choice(np.array([problem.weight_decay]), np.zeros((1, 1)), 0)
    grid = top * np.geomspace(1.0, ratio, n_values + 1)[1:]
    n_folds = min(n_folds, problem.n_samples)
    if n_folds < 2:
        return Choice(grid, np.zeros((1, n_values)), 0)
    losses = []
    jobs = (
        delayed(_fold)(problem, grid, fit, test, tol, random_state)
        for fit, test in _folds(problem, n_folds, random_state)
    )
    for done, loss in enumerate(Parallel(n_jobs=n_jobs, return_as="generator")(jobs), 1):
        losses.append(loss)
        if callback is not None:
            callback(done, n_folds)
    table = np.array(losses)
    return Choice(grid, table, int(np.argmin(table.mean(axis=0))))


def _folds(problem: Problem, n_folds: int, random_state: int) -> Iterator[tuple[Array, Array]]:
    labels = None
    if problem.loss.targets != "real":
        labels = np.unique(problem.Y, axis=0, return_inverse=True)[1].ravel()
        if np.min(np.bincount(labels)) < n_folds:
            labels = None
    folder = KFold if labels is None else StratifiedKFold
    yield from folder(n_folds, shuffle=True, random_state=random_state).split(
        np.zeros(problem.n_samples), labels
    )


def _fold(
    problem: Problem, grid: Array, fit: Array, test: Array, tol: float, random_state: int
) -> Array:
    part = Problem(
        problem.X[fit],
        problem.Y[fit],
        problem.loss,
        float(grid[0]),
        problem.bias,
        problem.sample_weight[fit],
    )
    weights = problem.sample_weight[test] / problem.sample_weight[test].sum()
    losses: list[float] = []
    with threadpool_limits(1, user_api="blas"):
        start = constant_network(part, null_model(part))
        for solution in path(part, grid, init=start, tol=tol, random_state=random_state):
            F = solution.network.predict(problem.X[test])
            losses.append(float(weights @ problem.loss.value(F, problem.Y[test])))
            if len(losses) - 1 - int(np.argmin(losses)) >= PATIENCE:
                break
    rise = max(losses[-1] - min(losses), 0.0)
    return np.array(losses + [losses[-1] + rise] * (len(grid) - len(losses)))
