"""Kernel networks: scikit-learn's contract, and what the layers are trained on."""

import sys
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import (
    KernelNetworkClassifier,
    KernelNetworkRegressor,
    alignment,
    pairwise_loss,
)
from gapless.kernels.machine import squared_distances

CHECKED = [
    KernelNetworkClassifier(),
    KernelNetworkClassifier(2, output="logistic", max_centres=10),
    KernelNetworkClassifier(0, output="ridge"),
    KernelNetworkClassifier(hidden="alignment", epochs=2, weight_decay=0.1),
    KernelNetworkRegressor(),
    KernelNetworkRegressor(2, max_centres=10),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_contract(estimator, check):
    with warnings.catch_warnings():
        # the skipped array-api check
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return train_test_split(X / 16, y, test_size=0.4, random_state=0)


def ringnorm(n, rng):
    """Breiman's: one class wide about zero, the other narrow beside it."""
    y = rng.integers(2, size=n)
    X = rng.standard_normal((n, 20))
    return np.where(y[:, None] == 1, X + 2 / np.sqrt(20), 2 * X), y


def test_the_next_layer_sees_left_out_outputs(digits):
    X, _, y, _ = digits
    model = KernelNetworkClassifier(2, gamma=2.0, ridge=1e-6).fit(X[:200], y[:200])
    first, second = model.hidden_
    samples = first.machine.centres  # in an order of their own
    labels = y[:200][np.argmin(squared_distances(samples, X[:200]), axis=1)]
    seen, plain = second.machine.centres, first.machine.outputs(samples)
    assert seen.shape == plain.shape
    assert np.mean(seen.argmax(axis=1) != labels) == first.loo_error > 0
    assert np.all(plain.argmax(axis=1) == labels)  # the plain outputs have collapsed


def test_left_out_errors_foretell_those_on_new_samples(digits):
    X, X_test, y, y_test = digits
    model = KernelNetworkClassifier(gamma=2.0).fit(X, y)
    error = 1 - model.score(X_test, y_test)
    assert model.hidden_[0].loo_error == pytest.approx(error, abs=0.012)
    assert error < 0.03


def test_layers_align_the_classes(digits):
    X, X_test, y, y_test = digits
    model = KernelNetworkClassifier().fit(X[:400], y[:400])
    scales = np.geomspace(0.1, 100, 13)
    before, after = (
        max(alignment(F, y_test, scale) for scale in scales)
        for F in (X_test, model.transform(X_test))
    )
    assert after > before + 0.2
    assert 0 < model.hidden_[0].alignment <= 1


def test_the_constant_is_what_rings_need(rng):
    (X, y), (X_test, y_test) = ringnorm(300, rng), ringnorm(2000, rng)
    errors = [
        1 - KernelNetworkClassifier(0, output="ridge", constant=c).fit(X, y).score(X_test, y_test)
        for c in (0.0, 1.0, 10.0)
    ]
    assert errors[0] > 2 * errors[1]
    assert errors[2] == pytest.approx(errors[1], abs=0.01)


def test_outputs_of_an_svm_have_a_bound():
    X, y = load_iris(return_X_y=True)
    model = KernelNetworkClassifier().fit(X, y)
    assert len(model.hidden_targets_) == 3
    assert all(0 < t.lower_bound <= t.objective for t in model.hidden_targets_)
    assert KernelNetworkClassifier(output="ridge").fit(X, y).hidden_targets_ == ()


def test_a_relu_output_has_its_certificate():
    X, y = (part[50:] for part in load_iris(return_X_y=True))
    model = KernelNetworkClassifier(output="relu", weight_decay=0.1).fit(X, y)
    assert model.output_.certificate_.lower_bound <= model.output_.certificate_.objective
    assert model.score(X, y) > 0.93
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    with pytest.raises(AttributeError):
        KernelNetworkClassifier().fit(X, y).predict_proba(X)


def test_one_label_a_class_is_enough_to_refit_the_output(digits):
    X, X_new, y, y_new = digits
    model = KernelNetworkClassifier(gamma=2.0, weight_decay=1e-3).fit(X, y)
    few = [np.flatnonzero(y_new == k)[0] for k in range(10)]
    names = np.array([f"digit {k}" for k in y_new])
    hidden = model.hidden_
    model.refit_output(X_new[few], names[few])
    assert model.hidden_ is hidden
    assert model.classes_[3] == "digit 3"
    assert model.score(X_new, names) > 0.95
    model.refit_output(X_new[:60], y_new[:60] > 4)
    assert model.score(X_new, y_new > 4) > 0.9


def test_a_regressor_refits_too():
    x = np.linspace(-2, 2, 80)[:, None]
    model = KernelNetworkRegressor().fit(x, np.sin(2 * x[:, 0]))
    again = model.refit_output(x[::9], 5 + 100 * np.sin(2 * x[::9, 0]))
    assert again.score(x, 5 + 100 * np.sin(2 * x[:, 0])) > 0.99


def test_regression_in_any_units(rng):
    X = rng.standard_normal((120, 3))
    y = np.abs(X[:, 0]) + np.sin(2 * X[:, 1])
    first = KernelNetworkRegressor().fit(X, y)
    second = KernelNetworkRegressor().fit(X, 1e6 * y - 3e7)
    np.testing.assert_allclose(second.predict(X), 1e6 * first.predict(X) - 3e7, rtol=1e-3)
    assert KernelNetworkRegressor().fit(X, np.c_[y, -y]).predict(X).shape == (120, 2)
    assert first.score(X, y) > 0.85


def test_training_by_pairs(digits):
    X, X_test, y, y_test = digits
    X, y = X[:400], y[:400]
    closed = KernelNetworkClassifier().fit(X, y)
    for hidden in ("alignment", "srs"):
        few, more = (
            KernelNetworkClassifier(hidden=hidden, epochs=epochs).fit(X, y) for epochs in (1, 40)
        )
        assert more.hidden_[0].objective < 0.5 * few.hidden_[0].objective
        assert more.hidden_[0].objective_gap == np.inf
        assert more.score(X_test, y_test) > 0.9
        again = KernelNetworkClassifier(hidden=hidden, epochs=1).fit(X, y)
        np.testing.assert_array_equal(again.predict(X), few.predict(X))  # the seed decides
    F = more.transform(X)
    assert more.hidden_[0].objective == pytest.approx(pairwise_loss(F, y))
    assert closed.score(X_test, y_test) > 0.93


def test_training_by_pairs_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ImportError, match=r"pip install 'gapless\[torch\]'"):
        KernelNetworkClassifier(hidden="srs").fit(X, y)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_hidden": -1}, "n_hidden must be"),
        ({"n_hidden": 1.5}, "n_hidden must be a whole number from 0 to 100, got 1.5"),
        ({"n_hidden": 1e308}, "n_hidden must be a whole number from 0 to 100"),
        ({"output": "tree"}, "output='tree' is unknown"),
        ({"hidden": "open"}, "hidden='open' is unknown"),
        ({"gamma": "cv"}, "gamma='cv' is unknown; choose one of 'loo'"),
        ({"ridge": 0}, "ridge must be"),
        ({"gamma": 1e300}, "gamma must be at most 1e"),
        ({"constant": -1}, "constant must be"),
        ({"weight_decay": 0}, "weight_decay must be"),
        ({"max_centres": 0}, "max_centres must be"),
        ({"choose_on": 0.5}, "choose_on must be"),
        ({"n_units": 0}, "n_units must be"),
        ({"epochs": 0}, "epochs must be"),
    ],
)
def test_bad_parameters(given, message):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        KernelNetworkClassifier(**given).fit(X, y)
