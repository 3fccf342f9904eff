"""Columns that do not help are left out, and what is said of the network is about the others."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning

from gapless import Problem, ReLURegressorCV, Status
from gapless.training import cross_validation
from gapless.training.cross_validation import choose_weight_decay
from gapless.training.path import solve_along
from gapless.training.relevance import eliminate, few_columns

QUICK = {"n_values": 4, "ratio": 0.03, "scale": True, "prove_time": 0, "tol": 0.1}
MATTER = [3, 7]


def table(n=240, d=12, seed=0):
    """A product of two columns and noise; neither column alone says anything."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, X[:, 3] * X[:, 7] + 0.3 * rng.standard_normal(n)


@pytest.fixture(scope="module")
def fitted():
    X, y = table()
    return ReLURegressorCV(**QUICK).fit(X, y), X, y


def test_columns_that_matter_are_kept_and_the_others_weigh_nothing(fitted):
    model, X, y = fitted
    assert model.columns_.tolist() == MATTER
    others = np.delete(model.network_.hidden_weights, MATTER, axis=0)
    assert others.shape[0] == 10
    assert not np.any(others)
    every = ReLURegressorCV(**QUICK, select=None).fit(X, y)
    assert every.columns_.tolist() == list(range(12))
    X, y = table(seed=1)
    assert model.score(X, y) > max(0.7, every.score(X, y))
    before = model.predict(X)
    X[:, [0, 11]] = 1e6  # what is left out may be anything
    assert np.allclose(model.predict(X), before)


def test_certificate_is_about_the_columns_kept(fitted):
    model, X, y = fitted
    for told in (str(model.certificate_), model.solution_.known, model.summary()):
        assert "network of any width on the 2 columns kept" in told
    Z, t = model.scaling_.features(X), model.scaling_.targets(y[:, None])
    trained = model.solution_.network
    kept = Problem(Z[:, MATTER], t, weight_decay=model.weight_decay_)
    fewer = type(trained)(
        trained.hidden_weights[MATTER], trained.hidden_bias, trained.output_weights,
        trained.output_bias,
    )  # fmt: skip
    assert np.isclose(model.certificate_.objective, fewer.objective(kept))
    assert model.path_[-1] is model.solution_
    assert np.isclose(model.path_.scores(Z, t)[-1], model.score(X, y))


def test_the_order_of_columns_makes_no_difference(fitted):
    _, X, y = fitted
    order = np.random.default_rng(5).permutation(X.shape[1])
    parts = [(np.arange(160), np.arange(160, 240)), (np.arange(80, 240), np.arange(80))]
    found = few_columns(Problem(X[:, order], y), parts)
    assert sorted(order[found.everywhere]) == MATTER


def test_a_table_whose_columns_all_matter_is_left_alone():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((240, 6))
    parts = [(np.arange(160), np.arange(160, 240)), (np.arange(80, 240), np.arange(80))]
    for y in (X.sum(axis=1), np.abs(X).sum(axis=1), np.maximum(X.sum(axis=1), 0)):
        assert few_columns(Problem(X, y), parts) is None
    assert few_columns(Problem(csr_matrix(X), y), parts) is None


def test_weights_of_samples_count():
    """Half of the rows follow two columns, half two others: weights say which matter."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 10))
    first = np.arange(600) < 300
    y = np.where(np.where(first, X[:, 0] * X[:, 1], X[:, 8] * X[:, 9]) > 0, 1.0, -1.0)
    rows = rng.permutation(600)
    parts = [(rows[:400], rows[400:]), (rows[200:], rows[:200])]
    for half, columns in ((first, [0, 1]), (~first, [8, 9])):
        problem = Problem(X, y, "logistic", sample_weight=np.where(half, 1.0, 1e-3))
        assert few_columns(problem, parts).everywhere.tolist() == columns


def test_rows_that_a_fold_holds_out_have_no_say_in_its_columns():
    X, y = table()
    fit, test = np.arange(80, 240), np.arange(80)
    before = eliminate(Problem(X, y), fit, test, count=1)
    X[test], y[test] = 2 * X[test], X[test, 0] * X[test, 1]
    after = eliminate(Problem(X, y), fit, test, count=1)
    assert not np.allclose(before.errors, after.errors)
    for one, other in zip(before.columns, after.columns, strict=True):
        assert np.array_equal(one, other)


def test_what_select_may_be():
    with pytest.raises(ValueError, match="select='some' is unknown"):
        ReLURegressorCV(select="some").fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])


def test_ordering_columns_leaves_time_for_walks(monkeypatch):
    def few_columns(problem, parts, random_state, stop):
        left.append(stop.__self__.left)

    left: list[float] = []
    monkeypatch.setattr(cross_validation, "few_columns", few_columns)
    X, y = table()
    choose_weight_decay(Problem(X, y), time_limit=8.0, n_values=2, select=True)
    assert 0 < left[0] <= 4.0


def test_a_walk_that_hardly_began_chooses_the_middle(rng, monkeypatch):
    """Of noise the first network loses least."""
    X, y = rng.standard_normal((40, 20)), rng.standard_normal((40, 1))
    grid = np.geomspace(0.3, 1e-3, 10)

    def walk(part, grid, watch, **options):
        for i, solution in enumerate(solve_along(part, grid, watch, **options)):
            yield replace(solution, status=Status.TIME_LIMIT) if i == 2 else solution

    monkeypatch.setattr(cross_validation, "solve_along", walk)
    with pytest.warns(ConvergenceWarning, match="the middle of the grid"):
        assert choose_weight_decay(Problem(X, y), grid).best == 5
