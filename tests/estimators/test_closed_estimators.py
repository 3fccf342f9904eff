"""scikit-learn's contract and what the estimators report."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless.closed.whitened import solve_whitened_relu
from gapless.core.deep_network import Optimality
from gapless.estimators.closed import (
    DeepLinearRegressor,
    WhitenedReLUClassifier,
    WhitenedReLURegressor,
)

ESTIMATORS = [
    DeepLinearRegressor(),
    DeepLinearRegressor(depth=3),
    WhitenedReLURegressor(),
    WhitenedReLURegressor(depth=4),
    WhitenedReLUClassifier(),
    WhitenedReLUClassifier(depth=3, loss="softmax"),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("bias", ["none", "penalized"])
@pytest.mark.parametrize("depth", [2, 5])
@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_network_on_features_is_the_network_on_whitened_samples(bias, depth, loss):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 30)) * rng.uniform(0.1, 5, size=30), np.arange(12) % 3
    model = WhitenedReLUClassifier(1e-3, depth, loss, bias).fit(X, y)
    design = np.hstack([X, np.ones((12, 1))]) if bias == "penalized" else X
    U = np.linalg.svd(design, full_matrices=False)[0]
    direct = solve_whitened_relu(np.sqrt(12) * U, np.eye(3)[y], 1e-3, depth, loss)
    np.testing.assert_allclose(
        model.decision_function(X), direct.network.predict(np.sqrt(12) * U), atol=1e-9
    )
    assert model.objective_ == pytest.approx(direct.objective)
    assert model.exact_
    assert model.score(X, y) == 1


def test_threshold_does_not_depend_on_the_number_of_samples():
    for n in (10, 40):
        X = np.random.default_rng(0).normal(size=(n, 2 * n))
        y = np.arange(n) % 2
        assert WhitenedReLUClassifier(np.sqrt(0.5) * 0.999).fit(X, y).network_.penalty() > 0
        assert WhitenedReLUClassifier(np.sqrt(0.5) * 1.001).fit(X, y).network_.penalty() == 0


@pytest.mark.parametrize("depth", [2, 4])
def test_more_samples_than_rank_is_reported(depth):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    model = WhitenedReLURegressor(1e-3, depth).fit(X, X[:, 0] + 3)
    assert not model.exact_
    assert model.optimality_ is Optimality.UPPER_BOUND
    assert 0 <= model.lower_bound_ <= model.objective_
    assert model.score(X, X[:, 0] + 3) > 0.9


def test_regressor_with_several_outputs():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(10, 20)), rng.normal(size=(10, 2)) + 5
    for depth in (2, 3):
        model = WhitenedReLURegressor(1e-6, depth).fit(X, Y)
        assert model.lower_bound_ <= model.objective_
        assert model.score(X, Y) > 0.99


def test_deep_linear_intercept_and_coefficients():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)) + 7
    y = X @ [1.0, 2, 0] + 4
    model = DeepLinearRegressor(1e-7, depth=3).fit(X, y)
    np.testing.assert_allclose(model.coef_, [1, 2, 0], atol=1e-4)
    assert model.intercept_ == pytest.approx(4, abs=1e-2)
    plain = DeepLinearRegressor(1e-7, fit_intercept=False).fit(X, y)
    assert plain.intercept_ == 0


def test_bad_parameters():
    X, y = np.eye(4), [0, 1, 0, 1]
    with pytest.raises(ValueError, match="loss='hinge' is unknown"):
        WhitenedReLUClassifier(loss="hinge").fit(X, y)
    with pytest.raises(ValueError, match="bias='free' is unknown"):
        WhitenedReLURegressor(bias="free").fit(X, y)
    with pytest.raises(ValueError, match="weight_decay must be"):
        DeepLinearRegressor(weight_decay=-1).fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_those_of_the_softmax(n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, 40)), np.arange(24) % n_classes
    model = WhitenedReLUClassifier(0.05, loss="softmax").fit(X, y)
    F = np.exp(model.network_.predict(X))
    assert np.allclose(model.predict_proba(X), F / F.sum(axis=1, keepdims=True))
    assert np.array_equal(model.predict_proba(X).argmax(axis=1), model.predict(X))
    assert not hasattr(WhitenedReLUClassifier(), "predict_proba")
