"""The path, the choice along it, its estimators, picture and command."""

import sys
import time
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.model_selection import KFold
from sklearn.preprocessing import scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import (
    PathDisplay,
    Problem,
    ReLUClassifierCV,
    ReLURegressor,
    ReLURegressorCV,
    Status,
    certify,
    path,
    train,
    weight_decay_max,
)
from gapless.core.losses import Hinge, Logistic, Softmax, Squared
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch
from gapless.gauge.search import Oracle
from gapless.training.cross_validation import FIRST, _best, _extend, choose_weight_decay
from gapless.training.path import score, strong
from gapless.training.progress import Falling, counter, progress, time_left
from gapless.training.train import solve
from problems import random_problem

mpl.use("Agg")


def diabetes(n=120, **options):
    X, y = load_diabetes(return_X_y=True)
    return Problem(scale(X[:n]), scale(y[:n]), **{"weight_decay": 0.1, **options})


@pytest.fixture(scope="module")
def trained():
    return path(diabetes(), n_values=6, ratio=0.1)


def test_a_path_falls_from_no_neurons_and_every_point_is_certified(trained):
    top = weight_decay_max(diabetes())
    assert trained.weight_decays[0] == pytest.approx(top)
    assert trained.weight_decays[-1] == pytest.approx(0.1 * top)
    assert trained.n_neurons[0] == 0
    assert np.all(np.diff(trained.objectives) < 0)
    assert len(trained) == 6
    for beta, solution in zip(trained.weight_decays, trained):
        problem = diabetes(weight_decay=beta)
        certificate = solution.certificate
        assert certificate.objective == pytest.approx(solution.network.objective(problem))
        assert certificate.lower_bound <= certificate.estimated_lower_bound
        assert certificate.estimated_relative_gap <= 1e-3
        assert solution.status in (Status.OPTIMAL, Status.NEAR_OPTIMAL, Status.HEURISTIC)
    alone = train(diabetes(weight_decay=trained.weight_decays[-1]))
    assert trained[-1].certificate.objective == pytest.approx(alone.certificate.objective, rel=2e-3)


@pytest.mark.parametrize("loss", [Squared(), Logistic(), Softmax(), Hinge()], ids=repr)
@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
def test_a_path_of_two_features_is_proven(loss, bias, rng):
    problem = random_problem(loss, bias, rng, n=20)
    trained = path(problem, n_values=4, ratio=0.2, tol=1e-2)
    # along the path the optimal value falls: a point proven below a later one's bound is wrong
    assert np.all(trained.objectives[:-1] * (1 + 1e-9) >= trained.lower_bounds[1:])
    if bias != "penalized":
        assert {s.status for s in trained} <= {Status.OPTIMAL, Status.NEAR_OPTIMAL}


def test_values_given_are_sorted_and_the_callback_stops():
    seen = []

    def watch(done, total, solution):
        seen.append((done, total, solution.network.n_neurons))
        return done == 2

    trained = path(diabetes(), [0.2, 0.8, 0.4], tol=1e-2, callback=watch)
    np.testing.assert_array_equal(trained.weight_decays, [0.8, 0.4])
    assert [s[:2] for s in seen] == [(1, 3), (2, 3)]


def test_an_interrupt_keeps_the_values_done(monkeypatch):
    module = sys.modules["gapless.training.path"]  # the name gapless.path is the function

    def interrupted(problem, watch, **options):
        watch.stopped = problem.weight_decay < 0.5
        return solve(problem, watch, **options)

    monkeypatch.setattr(module, "solve", interrupted)
    trained = path(diabetes(), [0.8, 0.4, 0.2], tol=1e-2)
    assert len(trained) == len(trained.weight_decays) == 2
    assert trained[-1].status is Status.STOPPED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_decays": [0.1, -1]}, "weight_decays must be a positive"),
        ({"weight_decays": []}, "weight_decays is empty"),
        ({"ratio": 1.5}, "ratio must lie between"),
        ({"n_values": 0}, "n_values must be"),
        ({"tol": 0}, "tol must be"),
    ],
)
def test_bad_paths(options, message):
    with pytest.raises(ValueError, match=message):
        path(diabetes(), **options)


def test_what_is_no_problem_is_told_how_to_make_one(rng):
    X = rng.standard_normal((9, 2))
    for given in (X, (X, X[:, 0]), None):
        with pytest.raises(TypeError, match=r"must be a gapless.Problem, got .*: Problem\(X, y, "):
            weight_decay_max(given)
        with pytest.raises(TypeError, match=r"must be a gapless\.Problem"):
            path(given, X[:, 0])
        with pytest.raises(TypeError, match=r"must be a gapless\.Problem"):
            train(given)
    network = train(Problem(X, X[:, 0])).network
    with pytest.raises(TypeError, match="X must be an array of numbers, got Problem"):
        certify(network, Problem(X, X[:, 0]), X[:, 0], weight_decay=0.1)


def test_constant_targets_have_a_path_of_one_value():
    problem = Problem(np.eye(5), np.ones(5), weight_decay=0.3)
    trained = path(problem)
    np.testing.assert_array_equal(trained.weight_decays, [0.3])
    assert trained.n_neurons.tolist() == [0]
    assert choose_weight_decay(problem).weight_decay == 0.3


def test_scores(rng):
    Y = rng.standard_normal((30, 2))
    assert score(Squared(), Y, Y) == 1
    assert score(Squared(), np.broadcast_to(Y.mean(axis=0), Y.shape), Y) == pytest.approx(0)
    signs = np.sign(Y[:, :1])
    assert score(Logistic(), -signs, signs) == 0
    w = (signs[:, 0] > 0).astype(float)
    assert score(Logistic(), np.ones((30, 1)), signs, w) == pytest.approx(1)
    one_hot = np.eye(3)[rng.integers(3, size=30)]
    assert score(Softmax(), one_hot, one_hot) == pytest.approx(1)


def test_choice_of_weight_decay():
    problem = diabetes()
    done = []
    choice = choose_weight_decay(
        problem, folds=3, n_values=6, ratio=0.05, callback=lambda *a: done.append(a)
    )
    assert choice.losses.shape == choice.scores.shape == (3, 6)
    assert choice.weight_decay in choice.weight_decays
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert np.nanmean(choice.scores[:, choice.best]) > choice.scores[:, 0].mean() + 0.1
    reached = np.isfinite(choice.losses).sum(axis=1)
    assert np.sum(reached > choice.best) >= 2  # the choice is among what most folds saw
    # the first values are always seen; a fold leaves after one that brought next to nothing
    assert reached.min() > FIRST
    for losses, known in zip(choice.losses, reached):
        assert known == 6 or losses[known - 1] > 0.9 * losses[known - 2]
    careful = choose_weight_decay(problem, choice.weight_decays, folds=3, rule="one-standard-error")
    assert careful.weight_decay >= choice.weight_decay


def test_rules_on_a_table_of_losses():
    losses = np.array([[4.0, 2.2, 2.0, 3.0], [4.0, 1.8, 1.4, 3.0], [4.0, 2.0, 2.0, 3.0]])
    assert _best(losses, "best") == 2  # means 4, 2, 1.8, 3; standard error .2 at the best
    assert _best(losses, "one-standard-error") == 1
    np.testing.assert_array_equal(_extend(np.array([3.0, 1.0, 2.0, np.nan])), [3, 1, 2, 3])
    with pytest.raises(ValueError, match="rule='least' is unknown"):
        choose_weight_decay(diabetes(), [0.1], rule="least")


SMALL = {"n_values": 2, "ratio": 0.3, "cv": 2, "tol": 0.1, "prove_time": 0.05}


@parametrize_with_checks([ReLURegressorCV(**SMALL), ReLUClassifierCV(**SMALL)])
def test_scikit_learn_contract(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the skipped array-api check
        check(estimator)


@pytest.fixture(scope="module")
def fitted():
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X[:150]), scale(y[:150])
    return ReLURegressorCV(n_values=6, ratio=0.05, cv=3).fit(X, y), X, y


def test_the_network_is_as_good_as_that_of_the_plain_estimator(fitted):
    model, X, y = fitted
    plain = ReLURegressor(model.weight_decay_).fit(X, y)
    least = plain.certificate_.objective
    assert model.certificate_.objective <= least * (1 + model.tol)
    assert model.certificate_.objective >= plain.certificate_.lower_bound
    assert model.path_[-1] is model.solution_
    assert model.path_.weight_decays[-1] == model.weight_decay_
    assert model.losses_.shape == model.scores_.shape == (3, 6)


def test_folds_may_be_given_and_samples_of_weight_zero_stay_out(fitted):
    _, X, y = fitted
    weights = np.ones(len(X))
    weights[::3] = 0
    splits = list(KFold(3).split(X))
    model = ReLURegressorCV(n_values=3, ratio=0.2, cv=splits, tol=1e-2, prove_time=0)
    kept = np.flatnonzero(weights)
    row = np.cumsum(weights > 0) - 1
    rest = [tuple(row[np.intersect1d(part, kept)] for part in split) for split in splits]
    weighted = model.fit(X, y, weights).losses_
    np.testing.assert_allclose(
        weighted, model.set_params(cv=rest).fit(X[kept], y[kept]).losses_, rtol=1e-6
    )
    by_splitter = model.set_params(cv=KFold(3)).fit(X, y).losses_
    np.testing.assert_array_equal(by_splitter, model.set_params(cv=splits).fit(X, y).losses_)


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_classifier_picks_a_good_weight_decay(load):
    X, y = (values[::2] for values in load(return_X_y=True))
    names = np.array(["no", "yes", "maybe"])[y]
    how = {"rule": "one-standard-error", "tol": 1e-2, "prove_time": 0}
    model = ReLUClassifierCV(n_values=4, ratio=0.05, cv=3, **how).fit(scale(X), names)
    assert model.score(scale(X), names) > 0.95
    assert np.nanmax(model.scores_) > 0.9
    np.testing.assert_allclose(model.predict_proba(scale(X)).sum(axis=1), 1)


def test_display(fitted, trained):
    model = fitted[0]
    display = PathDisplay.from_estimator(model)
    np.testing.assert_array_equal(
        display.axes_[0].get_lines()[0].get_ydata(), model.path_.objectives
    )
    folds = display.axes_[3].get_lines()
    np.testing.assert_array_equal(folds[0].get_ydata(), model.scores_[0])
    assert f"{model.weight_decay_:.3g}" in display.axes_[3].get_title()
    display.figure_.canvas.draw()
    problem = diabetes()
    display = PathDisplay.from_path(trained, problem.X, problem.Y)
    np.testing.assert_array_equal(display.scores[0], trained.scores(problem.X, problem.Y))
    PathDisplay.from_path(trained).figure_.canvas.draw()


def test_time_left():
    falling = [(float(t), 10.0**-t) for t in range(4)]
    assert time_left(falling, 1e-5) == pytest.approx(2)
    assert time_left(falling, 1e-3) == 0
    assert time_left(falling[:1], 1e-3) is None
    assert time_left([(0.0, 0.1), (1.0, 0.1)], 1e-3) is None


def test_strong_rule_keeps_what_may_enter_and_never_loses(monkeypatch):
    reduction = Reduction(diabetes(weight_decay=0.1))
    core = reduction.core
    network = reduction.apply(train(diabetes(weight_decay=0.1)).network)
    oracle = Oracle(core.X, core.free, np.random.default_rng(0))
    Lam = core.dual_point(network.predict(core.X))
    found = oracle.search(Lam, np.zeros((core.n_features, 0)), 64)
    low = core.variant(core.loss, 0.8 * core.weight_decay)
    assert strong(low, network, found, core.weight_decay).objective(low) < network.objective(low)
    seen = []

    def master(core, Z, a, c, accuracy, stop):
        seen.append(Z.shape[1] - network.n_neurons)
        return a, c

    monkeypatch.setattr(sys.modules["gapless.training.path"], "solve_master", master)
    for share in (0.95, 0.8, 0.5):
        low = core.variant(core.loss, share * core.weight_decay)
        strong(low, network, found, core.weight_decay)
        assert seen[-1] <= np.sum(found.value > (2 * share - 1) * core.weight_decay)
    assert 0 < seen[0] < seen[1] <= seen[2]


def test_path_keeps_to_the_widest_network_allowed():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 8))
    problem = Problem(X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2], bias="none")
    trained = path(problem, n_values=8, ratio=0.01, max_neurons=2, max_iter=4, tol=1e-2)
    assert trained.n_neurons.max() == 2
    assert np.all(np.diff(trained.objectives) < 0)


def test_path_ignores_searches_on_a_part_of_the_rows(monkeypatch):
    monkeypatch.setattr(sys.modules["gapless.training.plan"], "MANY_ROWS", 100)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 30))
    y = np.maximum(X @ rng.standard_normal(30), 0) + X[:, 1] * X[:, 2]
    trained = path(Problem(X, y), [0.5, 0.3, 0.1], tol=0.5, max_iter=5)
    assert np.all(trained.estimated_lower_bounds > 0)  # by a search on all rows


def test_lines_are_written_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr("gapless.training.progress.PERIOD", 0.01)
    with progress("training") as report:
        assert report is None  # unless asked for
    with counter("working", False) as report:
        assert report is None
    with counter("working", True) as report:
        report(1, 4)
        wait_for(capsys, "working: 1 of 4, 0 s so far, about")
    with progress("training", True, watch=Watch(1000.0)) as report:
        wait_for(capsys, "training, 0 s so far, at most 1000 s left")
        train(diabetes(), callback=report)
        wait_for(capsys, "training: objective")


def wait_for(capsys, text):
    for _ in range(500):
        if text in capsys.readouterr().err:
            return
        time.sleep(0.01)
    raise AssertionError(f"never said: {text}")


def test_the_time_left_only_falls():
    left = Falling()
    assert str(left) == ""
    left.guess(None)
    left.guess(12.3)
    assert str(left) == ", about 13 s left"
    left.guess(40.0)
    assert str(left) == ", about 13 s left"
    left.guess(2.0)
    assert str(left) == ", about 2 s left"
    limited = Falling(Watch(30.0))
    assert str(limited) == ", at most 30 s left"
    limited.guess(50.0)
    assert str(limited) == ", at most 30 s left"


def test_auto_is_the_choice_of_cross_validation():
    problem = diabetes()
    model = ReLURegressor("auto", prove_time=0).fit(problem.X, problem.Y[:, 0])
    assert model.weight_decay_ == choose_weight_decay(problem).weight_decay
    given = ReLURegressor(model.weight_decay_, prove_time=0).fit(problem.X, problem.Y[:, 0])
    assert given.weight_decay_ == model.weight_decay_
    ours, theirs = (m.certificate_.objective for m in (model, given))
    assert ours == pytest.approx(theirs, rel=5e-3)
    with pytest.raises(ValueError, match="weight_decay='best' is unknown"):
        ReLURegressor("best").fit(problem.X, problem.Y[:, 0])
