"""Which columns of a table help: eliminated from behind, as held-out rows like it.

Columns that say nothing of the target cost any network of all columns: it needs samples to learn
that their weights are zero.  Recursive elimination (Guyon, Weston, Barnhill & Vapnik, Machine
Learning 2002) fits a model, leaves the columns out that it uses least, and fits again; what columns
do together shows more clearly each time.

The model is a network of random neurons, ``f(x) = t + sum_j (x.u_j + b_j)_+ a_j``, whose output
weights are a ridge regression on the targets that the loss sees from the best constant, its negative
gradient there.  A column's relevance is the mean square of ``df/dx_k`` on standardised columns, the
diagonal of the expected gradient outer product (Hristache, Juditsky, Polzehl & Spokoiny, Annals of
Statistics 2001).  Where there are hundreds of columns a hundred random neurons miss a product of
two of them, which its covariance with the target shows; so each round keeps those that are high up
by either measure.  Nothing of this is proven: what is proven of a network is about the columns kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from ..core.checks import Array
from ..core.constant import ROUNDED, null_model
from ..core.design import Design
from ..core.network import Network
from ..core.problem import Problem
from ..core.watch import never

# Rows and random neurons of a model: a round on 4096 rows takes a tenth of a second.
ROWS, NEURONS = 4096, 256
# Deviations beyond which a column goes no further: one that is nearly constant would decide alone.
FAR = 5.0
# Share of the columns that a round keeps.
KEPT = 0.7
# Ridges, relative to the largest eigenvalue of the neurons' second moments.
RIDGES = np.geomspace(1e-6, 3.0, 14)
# Products with which the covariances of all pairs take under a second.
PAIRS = 2e9


class Table(NamedTuple):
    """Standardised columns (n, d), what is left of the targets (n, C), weights (n,) of mean one."""

    X: Array
    T: Array
    w: Array


class Elimination(NamedTuple):
    """Nested sets of columns, the first of all, and with each the square error (n_test,) of the
    model on the test rows."""

    columns: list[Array]
    errors: list[Array]


def can_select(problem: Problem) -> bool:
    """Whether there are columns to choose from: of a dense table, two or more."""
    return problem.n_features > 1 and not sp.issparse(problem.X) and not isinstance(problem.X, Design)


def on_columns(problem: Problem, columns: Array | None) -> Problem:
    """The problem of some columns of X, or of all."""
    if columns is None:
        return problem
    return Problem(
        problem.X[:, columns], problem.Y, problem.loss, problem.weight_decay, problem.bias,
        problem.sample_weight,
    )  # fmt: skip


def eliminate(
    problem: Problem,
    fit: Array,
    test: Array,
    random_state: int = 0,
    stop: Callable[[], bool] = never,
    count: int = 1,
) -> Elimination:
    """Leave columns out, a share a round, that models of the rows ``fit`` use least.

    Parameters
    ----------
    problem : Problem
        Its weight decay is not used.
    fit, test : arrays of int
        Rows of the problem; at most :data:`ROWS` of those to fit are used.
    random_state : int, default 0
    stop : callable
        Asked before each round.
    count : int, default 1
        Columns at which to end.

    Returns
    -------
    Elimination
        Shorter where it was stopped.
    """
    rng = np.random.default_rng(random_state)
    if len(fit) > ROWS:
        fit = np.sort(rng.choice(fit, ROWS, replace=False))
    part = Problem(
        problem.X[fit], problem.Y[fit], problem.loss, bias=problem.bias,
        sample_weight=problem.sample_weight[fit],
    )  # fmt: skip
    w = part.sample_weight * part.n_samples
    mean = w @ part.X / w.sum()
    scale = np.sqrt(w @ (part.X - mean) ** 2 / w.sum())
    scale[scale == 0] = 1.0
    c = null_model(part)
    gradient = part.loss.smoothed(ROUNDED).gradient
    table = Table(np.clip((part.X - mean) / scale, -FAR, FAR), -gradient(np.tile(c, (len(fit), 1)), part.Y), w)
    X = np.clip((problem.X[test] - mean) / scale, -FAR, FAR)
    T = -gradient(np.tile(c, (len(test), 1)), problem.Y[test])

    found = Elimination([], [])
    columns = np.arange(problem.n_features)
    while not stop():
        now = table._replace(X=table.X[:, columns])
        network = _model(now, rng)
        found.columns.append(columns)
        if len(test):
            found.errors.append(np.sum((network.predict(X[:, columns]) - T) ** 2, axis=1))
        if len(columns) <= count:
            break
        order = np.argsort(_places(now, network), kind="stable")
        kept = min(len(columns) - 1, int(np.ceil(KEPT * len(columns))))
        columns = columns[np.sort(order[:kept])]
    return found


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
    return sum(
        np.einsum("kj,kj->k", (U * a) @ second, U * a) for a in network.output_weights.T
    )


def _covariance(table: Table) -> Array:
    """The largest covariance (d,) of a target with each column and its products with columns."""
    X, n, best = table.X, len(table.X), np.zeros(table.X.shape[1])
    for t in (table.w[:, None] * (table.T - table.w @ table.T / n)).T:
        best = np.maximum(best, np.abs(t @ X))
        if n * len(best) ** 2 * table.T.shape[1] <= PAIRS:
            best = np.maximum(best, np.abs((X * t[:, None]).T @ X).max(axis=0))
    return best
