"""Spline estimators: scikit-learn's contract on one feature, choice of weight decay, display."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import gapless.estimators.curves as module
from gapless.core.losses import Pinball
from gapless.curves.choose import choose_spline_weight_decay
from gapless.estimators.curves import SplineClassifier, SplineRegressor


def curve(n=200, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    return x[:, None], np.abs(x - 0.4) + 0.05 * rng.standard_normal(n)


# scikit-learn's checks feed several features.  The estimators refuse those, so the checks run
# on twins that keep the first column after validation and change nothing else.
class _First:
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        if tags.regressor_tags:
            tags.regressor_tags.poor_score = True  # the first column does not tell it all
        if tags.classifier_tags:
            tags.classifier_tags.poor_score = True
        return tags


class FirstRegressor(_First, SplineRegressor):
    pass


class FirstClassifier(_First, SplineClassifier):
    pass


@pytest.fixture
def first_column(monkeypatch):
    whole = module.validated

    def cut(estimator, X, *y, **how):
        out = whole(estimator, X, *y, **how)
        return (out[0][:, :1], out[1]) if isinstance(out, tuple) else out[:, :1]

    monkeypatch.setattr(module, "validated", cut)


@pytest.mark.parametrize(
    "estimator", [FirstRegressor(), FirstClassifier(loss="hinge")], ids=["regressor", "hinge"]
)
def test_scikit_learn_contract(estimator, first_column):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checks = list(estimator_checks_generator(estimator, legacy=True))
        for twin, check in checks:
            if getattr(check, "func", check).__name__ == "check_array_api_input":
                continue  # needs an environment variable
            check(twin)
    assert len(checks) > 40


@pytest.mark.parametrize("estimator", [SplineRegressor(), SplineClassifier()])
def test_check_estimator(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        check_estimator(estimator)


def test_regressor_attributes_and_extrapolation():
    X, y = curve()
    model = SplineRegressor().fit(X, y)
    assert model.certificate_.relative_gap <= 1e-6
    assert model.n_features_in_ == 1
    assert model.n_kinks_ == len(model.knots_) == len(model.slopes_) - 1
    assert 1 <= model.n_kinks_ <= 4
    assert np.all(np.isin(model.knots_, X[:, 0]))
    far = model.predict([[2.0], [3.0], [-1.0], [-2.0]])
    assert far[1] - far[0] == pytest.approx(model.slopes_[-1])
    assert far[2] - far[3] == pytest.approx(model.slopes_[0])
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))
    assert np.allclose(model.network_.predict(X)[:, 0], model.predict(X))


def test_several_features_are_refused_unless_on_a_line():
    X, y = curve()
    model = SplineRegressor(weight_decay=1e-3).fit(np.hstack([X, 2 * X]), y)
    assert np.allclose(
        model.predict(np.hstack([X, 2 * X])), model.solution_.predict(np.hstack([X, 2 * X]))
    )
    with pytest.raises(ValueError, match="do not lie on a line"):
        SplineRegressor().fit(np.hstack([X, X**2]), y)


def test_quantiles_cover_their_share():
    X, y = curve(400)
    for q in (0.1, 0.5, 0.9):
        model = SplineRegressor(quantile=q, weight_decay=1e-3).fit(X, y)
        assert np.mean(y <= model.predict(X) + 1e-9) == pytest.approx(q, abs=0.02)
        assert model.certificate_.relative_gap <= 1e-6


@pytest.mark.parametrize("rule", ["auto", "cv"])
def test_chosen_weight_decay_predicts_well(rule):
    X, y = curve(300)
    model = SplineRegressor(weight_decay=rule).fit(X, y)
    truth = np.abs(X[:, 0] - 0.4)
    assert np.sqrt(np.mean((model.predict(X) - truth) ** 2)) < 0.02
    assert cross_val_score(clone(model), X, y, cv=3).mean() > 0.85
    grid = GridSearchCV(SplineRegressor(), {"weight_decay": [1e-1, 1e-3]}, cv=3).fit(X, y)
    assert grid.best_params_ == {"weight_decay": 1e-3}


def test_choice_on_noise_is_nearly_constant():
    rng = np.random.default_rng(5)
    x, y = rng.random(300), rng.standard_normal(300)
    wd = choose_spline_weight_decay(x, y)
    assert SplineRegressor(weight_decay=wd).fit(x[:, None], y).n_kinks_ <= 2
    weights = rng.integers(1, 4, 300)
    a = choose_spline_weight_decay(x, y, sample_weight=weights)
    b = choose_spline_weight_decay(np.repeat(x, weights), np.repeat(y, weights))
    assert a == pytest.approx(b)


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
def test_classifier(loss):
    X, y = load_iris(return_X_y=True)
    X, y = X[:, 2:3], np.array(["other", "middle"])[(y == 1).astype(int)]
    model = SplineClassifier(loss=loss, weight_decay=1e-2).fit(X, y)
    assert model.score(X, y) > 0.93
    assert model.certificate_.relative_gap <= 1e-6
    assert np.array_equal(model.predict(X) == model.classes_[1], model.decision_function(X) > 0)
    assert hasattr(model, "predict_proba") == (loss == "logistic")


def test_three_classes():
    X, y = load_iris(return_X_y=True)
    model = SplineClassifier(weight_decay=0.02).fit(X[:, 2:3], y)
    assert model.score(X[:, 2:3], y) > 0.93
    assert np.allclose(model.predict_proba(X[:, 2:3]).sum(axis=1), 1)
    assert model.certificate_.relative_gap <= 1e-5
    with pytest.raises(ValueError, match="binary"):
        SplineClassifier(loss="hinge").fit(X[:, 2:3], y)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SplineRegressor(weight_decay=-1.0), "positive"),
        (SplineRegressor(weight_decay="best"), "unknown"),
        (SplineRegressor(loss="hinge"), "SplineClassifier"),
        (SplineRegressor(quantile=1.5), "between 0 and 1"),
        (SplineRegressor(bias="some"), "unknown"),
    ],
)
def test_bad_parameters(model, message):
    X, y = curve(20)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


def test_display():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from gapless.plotting.curves import SplineDisplay

    X, y = curve(80)
    model = SplineRegressor(weight_decay=1e-3).fit(X, y)
    display = SplineDisplay.from_estimator(model, X, y)
    assert np.allclose(display.fit, model.predict(display.grid[:, None]))
    total = display.contributions.sum(axis=1) + model.network_.output_bias
    assert np.allclose(total, display.fit)
    assert display.ax_.figure is display.figure_
    labels = y > np.median(y)
    classifier = SplineClassifier(weight_decay=1e-3).fit(X, labels)
    display = SplineDisplay.from_estimator(classifier, X, labels)
    assert np.allclose(classifier.decision_function(display.crossings[:, None]), 0, atol=1e-9)
    plt.close("all")


@pytest.mark.parametrize("loss", ["squared", Pinball(0.9)], ids=["squared", "pinball"])
def test_choice_does_not_depend_on_the_units_of_y(loss):
    X, y = curve(150)
    factor = 1000 if loss == "squared" else 1  # of loss over slope
    assert choose_spline_weight_decay(X, 1000 * y, loss=loss) == pytest.approx(
        factor * choose_spline_weight_decay(X, y, loss=loss)
    )
