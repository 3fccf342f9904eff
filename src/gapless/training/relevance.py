"""Which columns of a table help: eliminated from behind, as held-out rows like it.

Columns that say nothing of the target cost a network samples, which it needs to learn that their
weights are zero.  Recursive elimination (Guyon, Weston, Barnhill & Vapnik, Machine Learning 2002)
fits a model, leaves out the columns that it uses least, and fits again; what columns do together
shows more clearly each time.

The model is a network of random neurons, ``f(x) = t + sum_j (x.u_j + b_j)_+ a_j`` on standardised
columns, whose output weights are a ridge regression on the negative gradient of the loss at the
best constant: for the squared loss, what the targets have above their mean.  A column counts by the
mean square of ``df/dx_k``, the diagonal of the expected outer product of gradients (Hristache,
Juditsky, Polzehl & Spokoiny, Annals of Statistics 2001).  Among hundreds of columns random neurons
miss a product of two, which its covariance with the target shows: each round keeps what is high up
by either measure.

Nothing of this is proven; what is proven of a network afterwards is about the columns kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..core.checks import Array
from ..core.constant import ROUNDED, null_model
from ..core.design import Design
from ..core.network import Network
from ..core.problem import Problem
from ..core.result import ANY, Solution
from ..core.threads import blas_threads
from ..core.watch import never

# Rows and random neurons of a model: a round on 2048 rows takes a twentieth of a second.
ROWS, NEURONS = 2048, 256
# Deviations beyond which a column goes no further: one that is nearly constant would decide alone.
FAR = 5.0
# Share of the columns that a round keeps.
KEPT = 0.7
# Ridges, relative to the largest eigenvalue of the neurons' second moments.
RIDGES = np.geomspace(1e-6, 3.0, 14)
# Products with which the covariances of all pairs take under a second.
PAIRS = 2e9
# Fewer columns have to gain more than so many standard errors: networks are then trained on them
# too, which takes as long again.
SURE = 2.0
# Share of the columns that fewer may be: leaving out some of many brings little.
MOST = 0.5


class FewColumns(NamedTuple):
    """As many columns for each fold, of its own rows, and for the whole table."""

    folds: list[Array]
    everywhere: Array


class Table(NamedTuple):
    """Standardised columns (n, d), what the targets have above the best constant (n, C), and
    weights (n,) of mean one."""

    X: Array
    T: Array
    w: Array


class Elimination(NamedTuple):
    """Nested sets of columns, from all; the square error (n_test,) on test rows of the model of
    each; and the weights (n_test,) of those rows."""

    columns: list[Array]
    errors: list[Array]
    weights: Array


def on_columns(problem: Problem, columns: Array | None) -> Problem:
    """The problem of some columns of X, or of all."""
    return problem if columns is None else replace(problem, X=problem.X[:, columns])


def on_kept(solution: Solution, count: int) -> Solution:
    """A solution that says it is proven against networks on the ``count`` columns kept."""
    other = f"{ANY} on the {count} column{'s' * (count != 1)} kept"
    return replace(solution, certificate=replace(solution.certificate, other=other))


@np.errstate(all="ignore")  # what overflows gains nothing
def few_columns(
    problem: Problem,
    parts: list[tuple[Array, Array]],
    random_state: int = 0,
    stop: Callable[[], bool] = never,
) -> FewColumns | None:
    """Columns that predict held-out rows better than all columns do, by models of random neurons.

    How many is decided by all folds together, which of them by the rows that a fold may see.

    Parameters
    ----------
    problem : Problem
        Its weight decay is not used.
    parts : list of (training rows, validation rows)
    random_state : int, default 0
    stop : callable
        Asked before each model; once it is true, nothing is left out.

    Returns
    -------
    FewColumns or None
        None where all columns are no worse than fewer, but for :data:`SURE` standard errors, where
        more than :data:`MOST` of them would stay, and for a design that is not a dense table of two
        columns at least.
    """
    X = problem.X
    if problem.n_features < 2 or sp.issparse(X) or isinstance(X, Design):
        return None
    folds: list[Elimination] = []
    best = 0
    for fit, test in parts:
        folds.append(eliminate(problem, fit, test, random_state, stop))
        if stop():  # then even the first model may be missing
            return None
        # most tables need all their columns, which one fold tells
        best = _best(folds, SURE if len(folds) == len(parts) else 0.0)
        if best == 0:
            return None
    sets = [fold.columns[best] for fold in folds]
    rows = np.arange(problem.n_samples)
    everywhere = eliminate(problem, rows, rows, random_state, stop, len(sets[0])).columns[-1]
    return FewColumns(sets, everywhere) if len(everywhere) == len(sets[0]) else None


def _best(folds: list[Elimination], times: float) -> int:
    """The round with the least error of all folds, where that is clearly less than with all
    columns and few of them are left; else 0, that of all columns."""
    rounds = min(len(fold.errors) for fold in folds)
    errors = np.concatenate([np.array(fold.errors[:rounds]) for fold in folds], axis=1)
    w = np.concatenate([fold.weights for fold in folds])
    best, columns = int(np.argmin(errors @ w)), folds[0].columns
    few = len(columns[best]) <= MOST * len(columns[0])
    return best if few and gains(errors[0] - errors[best], w, times) else 0


def gains(gain: Array, w: Array, times: float) -> bool:
    """Whether the mean of ``gain`` (n,), weighed by ``w``, is above so many standard errors."""
    mean = w @ gain / w.sum()
    error = np.sqrt(w**2 @ (gain - mean) ** 2) / w.sum()
    return bool(mean > times * error)


def eliminate(
    problem: Problem,
    fit: Array,
    test: Array,
    random_state: int = 0,
    stop: Callable[[], bool] = never,
    count: int | None = None,
) -> Elimination:
    """Leave columns out, a share a round, that models of the rows ``fit`` use least.

    Parameters
    ----------
    problem : Problem
    fit, test : arrays of int
        Rows of the problem; at most :data:`ROWS` of either are used.
    random_state : int, default 0
    stop : callable
        Asked before each round.
    count : int, optional
        Columns at which to end; by default one, or as soon as the test rows are surely predicted
        worse than by all columns.

    Returns
    -------
    Elimination
        Shorter where it was stopped.
    """
    rng, least = np.random.default_rng(random_state), count or 1
    # targets whose squares overflow decide nothing
    with blas_threads(1), np.errstate(all="ignore"):
        fitted, tested = _standardised(problem, _some(fit, rng), _some(test, rng))
        found = Elimination([], [], tested.w)
        columns = np.arange(problem.n_features)
        while not stop():
            table = fitted._replace(X=fitted.X[:, columns])
            network = _model(table, rng)
            F = network.predict(tested.X[:, columns])
            found.columns.append(columns)
            found.errors.append(np.sum((F - tested.T) ** 2, axis=1))
            worse = gains(found.errors[-1] - found.errors[0], tested.w, SURE)
            if len(columns) <= least or (count is None and worse):
                break
            order = np.argsort(_places(table, network), kind="stable")
            kept = min(len(columns) - 1, int(np.ceil(KEPT * len(columns))))
            columns = columns[np.sort(order[: max(kept, least)])]
    return found


def _some(rows: Array, rng: np.random.Generator) -> Array:
    return rows if len(rows) <= ROWS else np.sort(rng.choice(rows, ROWS, replace=False))


def _standardised(problem: Problem, fit: Array, test: Array) -> tuple[Table, Table]:
    """The rows ``fit`` and ``test`` in units that the first tell."""
    part = problem.of_samples(fit)
    mean = part.sample_weight @ part.X
    scale = np.sqrt(part.sample_weight @ (part.X - mean) ** 2)
    scale[scale == 0] = 1.0
    best = null_model(part)
    loss = part.loss.smoothed(ROUNDED)

    def table(rows: Array) -> Table:
        X, Y, w = problem.X[rows], problem.Y[rows], problem.sample_weight[rows]
        T = -loss.gradient(np.broadcast_to(best, Y.shape), Y)
        return Table(np.clip((X - mean) / scale, -FAR, FAR), T, w / w.mean())

    return table(fit), table(test)


def _model(table: Table, rng: np.random.Generator) -> Network:
    """Random neurons, their kinks at random samples, and the ridge regression on them that is best
    where each sample is left out."""
    (X, T, w), (n, d) = table, table.X.shape
    U = rng.standard_normal((d, min(NEURONS, n)))
    U /= np.linalg.norm(U, axis=0)
    b = -np.einsum("jk,kj->j", X[rng.integers(n, size=U.shape[1])], U)
    Z = np.maximum(X @ U + b, 0.0)
    mean, level = w @ Z / n, w @ T / n
    root = np.sqrt(w)[:, None]
    Z, R = root * (Z - mean), root * (T - level)
    values, V = np.linalg.eigh(Z.T @ Z)
    values = np.maximum(values, 0.0)
    P = Z @ V
    Q = P.T @ R

    def left_out(ridge: float) -> float:
        leverage = P**2 @ (1 / (values + ridge)) + w / n
        errors = R - P @ (Q / (values + ridge)[:, None])
        return float(np.sum((errors / np.maximum(1 - leverage, 1e-9)[:, None]) ** 2))

    ridge = min(RIDGES * max(float(values[-1]), np.finfo(float).tiny), key=left_out)
    a = V @ (Q / (values + ridge)[:, None])
    return Network(U, b, a, level - mean @ a)


def _places(table: Table, network: Network) -> Array:
    """The place (d,) of each column, from zero, in the better of two orders."""
    orders = [_sensitivity(table, network), _covariance(table)]
    places = [np.argsort(np.argsort(-order, kind="stable"), kind="stable") for order in orders]
    return np.min(places, axis=0) + 1e-3 / len(places[0]) * places[0]


def _sensitivity(table: Table, network: Network) -> Array:
    """The mean square (d,) of the outputs' derivatives by each column."""
    U = network.hidden_weights
    gates = np.sqrt(table.w)[:, None] * (table.X @ U + network.hidden_bias > 0)
    second = gates.T @ gates / len(gates)
    return sum(np.einsum("kj,kj->k", (U * a) @ second, U * a) for a in network.output_weights.T)


def _covariance(table: Table) -> Array:
    """The largest covariance (d,) of a target with each column and its products with columns."""
    X, n, best = table.X, len(table.X), np.zeros(table.X.shape[1])
    for t in (table.w[:, None] * (table.T - table.w @ table.T / n)).T:
        best = np.maximum(best, np.abs(t @ X))
        if n * len(best) ** 2 * table.T.shape[1] <= PAIRS:
            best = np.maximum(best, np.abs((X * t[:, None]).T @ X).max(axis=0))
    return best
