"""What no solver notices: order, copies for weights, rows that weigh nothing, turns, units."""

import numpy as np
import pytest

from gapless import Problem, solve_spline, train, train_readable
from problems import ALL_LOSSES, targets

TOL = 1e-3


def spline(problem, tol):
    return solve_spline(
        problem.X, problem.Y, weight_decay=problem.weight_decay, loss=problem.loss,
        bias=problem.bias, sample_weight=problem.sample_weight, tol=tol,
    )  # fmt: skip


SOLVERS = {"train": train, "train_readable": train_readable, "solve_spline": spline}


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
@pytest.mark.parametrize("solver", SOLVERS)
def test_another_way_to_say_the_same(solver, loss):
    rng = np.random.default_rng(5)
    X, Y, counts = rng.standard_normal((8, 2)), targets(loss, 8, 1, rng), rng.integers(1, 4, 8)
    if solver == "solve_spline":
        X = X[:, :1] * [0.6, 0.8]  # on a line
    # copies of rows, in another order, and one that weighs nothing
    rows = rng.permutation(np.repeat(np.arange(8), counts))
    X_rows, Y_rows = np.vstack([X[rows], 9 * X[:1]]), np.vstack([Y[rows], Y[:1]])
    weights = np.append(np.ones(len(rows)), 0.0)
    # columns turned, or where neurons see one in another order; X and y in other units
    Q = np.linalg.qr(rng.standard_normal((2, 2)))[0]
    turn, x = np.eye(2)[::-1] if solver == "train_readable" else Q, 2.0**40
    degree = loss.degree or 0
    y = 2.0**-30 if degree else 1.0
    decay = 0.05 * x * y ** (degree - 1) if degree else 0.05 * x

    def solved(*problem):
        return SOLVERS[solver](Problem(*problem), tol=TOL).certificate

    one = solved(X, Y, loss, 0.05, "free", counts)
    by_rows = solved(X_rows, Y_rows, loss, 0.05, "free", weights)
    by_columns = solved(x * X @ turn, y * Y, loss.scaled(y), decay, "free", counts)
    assert one.relative_gap <= TOL
    assert by_rows.objective == pytest.approx(one.objective, rel=1e-9)  # no other problem at all
    for other, unit in ((by_rows, 1.0), (by_columns, y**degree)):
        assert other.relative_gap <= TOL
        assert one.lower_bound * unit <= other.objective * (1 + 1e-12)
        assert other.lower_bound <= one.objective * unit * (1 + 1e-12)
