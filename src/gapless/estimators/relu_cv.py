"""scikit-learn estimators that choose weight decay and columns by cross-validation."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import _check_sample_weight

from ..core.checks import Array, choose
from ..core.problem import Problem
from ..core.result import Solution, Status
from ..core.watch import Watch
from ..training.cross_validation import FOLDS, RANKING, VALUES
from ..training.neurons import widened
from ..training.path import RegularizationPath, solve_along
from ..training.relevance import on_columns, on_kept
from .fitting import ReLUClassification, ReLUFit, ReLURegression, held_out_rows

# Share of what the choice leaves of a time limit for the path on all data.
WALKING = 0.3


@dataclass(eq=False, repr=False)
class ByCrossValidation(ReLUFit):
    """``_fit`` at the weight decay that held-out folds prefer."""

    weight_decays: Any = None
    _: KW_ONLY
    scale: bool = False
    n_values: int = VALUES
    ratio: float = 1e-3
    cv: Any = FOLDS
    rule: str = "best"
    select: str | None = "auto"
    tol: float = 1e-2
    n_jobs: int | None = None

    def _fit(self, X: Any, Y: Array, loss: Any, sample_weight: Any) -> None:
        if self.select is not None:
            choose("select", self.select, ("auto",))
        watch = self._watch(X)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        X, Y = self._in_units(X, Y, weights)
        problem = Problem(X, Y, loss, 1.0, self.bias, weights)
        seed = self._seed()
        choice, watch = self._choose(
            problem,
            watch,
            weight_decays=self.weight_decays,
            folds=held_out_rows(self.cv, Y, weights > 0, is_classifier(self), seed),
            n_values=self.n_values,
            ratio=self.ratio,
            rule=self.rule,
            tol=max(self.tol, RANKING),
            n_jobs=self.n_jobs,
            random_state=seed,
            select=self.select is not None,
        )
        self.weight_decay_ = choice.weight_decay
        self.weight_decays_ = choice.weight_decays
        self.losses_, self.scores_ = choice.losses, choice.scores
        columns = np.arange(X.shape[1]) if choice.columns is None else choice.columns
        self.columns_ = columns
        problem = on_columns(problem, choice.columns)
        grid = choice.weight_decays[: choice.best]
        done = self._warm_path(problem, grid, watch, seed)
        chosen = problem.variant(problem.loss, self.weight_decay_)
        # the folds' networks together are the best start there is
        final = self._train(chosen, choice.start, watch, joins=choice.start is None)
        values = np.append(grid[: len(done)], self.weight_decay_)
        solutions = tuple(_on_table(each, columns, X.shape[1]) for each in (*done, final))
        self.path_ = RegularizationPath(values, solutions, problem.loss)
        self._keep(solutions[-1], self._raw(solutions[-1].network))

    def _warm_path(self, problem: Problem, grid: Array, watch: Watch, seed: Any) -> list[Solution]:
        """On all data, to the end of the grid or as far as time allows."""
        walking = solve_along(
            problem,
            grid,
            watch.part(share=WALKING),
            tol=max(self.tol, RANKING),
            max_neurons=self.max_neurons,
            random_state=seed,
            joins=False,
        )
        done = []
        for solution in walking:
            if solution.status is Status.STOPPED:
                raise KeyboardInterrupt
            done.append(solution)
        return done


def _on_table(solution: Solution, columns: Array, n_features: int) -> Solution:
    """A solution on some columns of a table as one on all, which says what it is proven against."""
    if len(columns) == n_features:
        return solution
    network = widened(solution.network, columns, n_features)
    return replace(on_kept(solution, len(columns)), network=network)


class ReLURegressorCV(ByCrossValidation, ReLURegression):
    """:class:`gapless.ReLURegressor` with weight decay and columns chosen by cross-validation.

    Each fold trains along one falling grid of weight decays, every network started from the
    one before, and leaves it once its validation loss no longer falls by more than the standard
    error of that.  The mean of the folds' networks at the value chosen is where training on all
    data starts.  Weight decay depends on units: standardise the data, or say ``scale=True``.

    Columns of a dense X that do not help to predict are left out.  Each fold orders the columns by
    its training rows alone; where fewer of them predict its held-out rows better, first in ridge
    regressions on random neurons (a second or so), then as networks along a grid, so many are
    kept.  The network of all data is then one on those columns, with weights of zero for the
    others, and its certificate is about the best network on the columns kept: that no others are
    better is not proven.

    Parameters
    ----------
    weight_decays : array, optional
        The grid; by default ``n_values`` values from the largest useful one down to ``ratio``
        times it.
    scale : bool, default False
        As in :class:`gapless.ReLURegressor`; weight decays, losses and ``path_`` are then of the
        standardised problem.
    n_values, ratio : int and float, default 10 and 1e-3
    cv : int, splitter or iterable of (training rows, validation rows), default 3
        An int means shuffled folds, stratified for classes.
    rule : {"best", "one-standard-error"}, default "best"
        Least mean validation loss, or the largest weight decay within one standard error of it:
        fewer neurons, and a score lower by a hundredth in the mean of 12 tables.
    select : {"auto"} or None, default "auto"
        None keeps all columns; of a sparse X all are kept anyway.
    bias, loss, max_neurons, random_state, verbose
        As in :class:`gapless.ReLURegressor`.
    tol : float, default 1e-2
        Relative gap of the network on all data; that of those that only rank weight decays is 10%
        at least.  Weight decays of the grid lie a factor of two apart, which is worth far more.
    time_limit : float, optional
        Seconds for all of it: half at most for the folds.  Where they leave no room for all of
        them the first decides alone; a warning says so when it was cut short itself, and the
        choice is then among the weight decays that it finished, or the middle of the grid.
        Without a limit the folds end after the time of a :class:`gapless.ReLURegressor`, and path
        and last training take half as long as they did.
    prove_time : float, optional
        As in :class:`gapless.ReLURegressor`, for the network on all data; the others, of the folds
        and along the path, are not proven.
    n_jobs : int, optional
        Folds at once, as in joblib.

    Attributes
    ----------
    weight_decay_ : float
    weight_decays_ : array of shape (n_values,)
        Falling.
    columns_ : array of int
        The columns kept, all where none was left out.
    losses_, scores_ : arrays of shape (n_folds, n_values)
        Validation loss, and R2 or accuracy; NaN for values that a fold did not reach; one fold
        where time was too short for others.
    path_ : RegularizationPath
        On all data, to a gap of 10%, down to ``weight_decay_``, where it ends with ``solution_``;
        values may be missing before that when time was short.
    network_, certificate_, solution_, status_, n_neurons_, n_iter_, n_features_in_, scaling_
        As in :class:`gapless.ReLURegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import ReLURegressorCV
    >>> X = np.linspace(-1, 1, 60)[:, None]
    >>> model = ReLURegressorCV(n_values=8).fit(X, np.abs(X[:, 0]))
    >>> bool(model.score(X, np.abs(X[:, 0])) > 0.99)
    True
    """


@dataclass(eq=False, repr=False, kw_only=True)
class ReLUClassifierCV(ByCrossValidation, ReLUClassification):
    """:class:`gapless.ReLUClassifier` with weight decay and columns chosen by cross-validation.

    Parameters
    ----------
    weight_decays, scale, n_values, ratio, cv, rule, select, tol, max_neurons, time_limit
    prove_time, n_jobs
        As in :class:`ReLURegressorCV`; weight decays are ranked by validation loss.
    class_weight, bias, loss, random_state, verbose
        As in :class:`gapless.ReLUClassifier`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    weight_decay_, weight_decays_, columns_, losses_, scores_, path_
        As in :class:`ReLURegressorCV`.
    network_, certificate_, solution_, status_, n_neurons_, n_iter_, n_features_in_, scaling_
        As in :class:`gapless.ReLURegressor`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gapless import ReLUClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ReLUClassifierCV(n_values=6, ratio=0.01).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    """

    class_weight: Any = None
    loss: Any = "logistic"
