"""The scikit-learn contract and what users do with estimators."""

import os
import pickle
import signal
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import (
    Certificate,
    Problem,
    ReLUClassifier,
    ReLUClassifierCV,
    ReLURegressor,
    ReLURegressorCV,
    Status,
)

# A coarse gap: the checks are about the contract, not about the optimum.
QUICK = {"tol": 0.1, "prove_time": 0}
CHECKED = [
    ReLURegressor(tol=0.1, prove_time=0.05),
    ReLUClassifier(**QUICK),
    ReLUClassifier(weight_decay=0.1, loss="hinge", **QUICK),
    ReLUClassifier(loss="squared", bias="penalized", **QUICK),
    ReLURegressor(loss="huber", bias="none", **QUICK),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_contract(estimator, check):
    with warnings.catch_warnings():
        # skipped array-api check, and checks that fit on purpose with one iteration
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return pd.DataFrame(scale(X), columns=X.columns)[:150], pd.Series(scale(y))[:150]


def test_regressor_attributes_and_objective(diabetes):
    X, y = diabetes
    model = ReLURegressor(weight_decay=0.1).fit(X, y)
    assert list(model.feature_names_in_) == list(X.columns)
    assert model.n_neurons_ == model.network_.n_neurons
    problem = Problem(X.to_numpy(), y.to_numpy(), weight_decay=0.1)
    assert model.certificate_.objective == pytest.approx(model.network_.objective(problem))
    assert model.status_ in Status
    assert model.solution_.status is model.status_
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))


def test_frames_arrays_and_sparse_agree(diabetes):
    X, y = diabetes
    model = ReLURegressor(weight_decay=0.2, prove_time=0)
    reference = clone(model).fit(X, y).predict(X)
    polars = pl.DataFrame(X.to_dict("list"))
    np.testing.assert_allclose(clone(model).fit(polars, y).predict(polars), reference)
    csr = sp.csr_matrix(X.to_numpy())
    np.testing.assert_allclose(clone(model).fit(csr, y).predict(csr), reference, atol=1e-8)


def test_multi_output_regression(diabetes):
    X, y = diabetes
    Y = np.column_stack([y, -2 * y])
    model = ReLURegressor(weight_decay=0.1, prove_time=0).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    assert model.score(X, Y) > 0.3


@pytest.mark.parametrize("loss", ["logistic", "hinge", "squared"])
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_classifier(loss, load):
    X, y = load(return_X_y=True)
    names = np.array(["no", "yes", "maybe"])[y]
    relu = ReLUClassifier(0.05, loss=loss, tol=1e-2, prove_time=0)
    model = make_pipeline(StandardScaler(), relu).fit(X, names)
    assert model.score(X, names) > 0.95
    F = model.decision_function(X)
    assert F.shape == ((len(X),) if len(np.unique(y)) == 2 else (len(X), 3))
    if loss == "logistic":
        P = model.predict_proba(X)
        np.testing.assert_allclose(P.sum(axis=1), 1)
        np.testing.assert_array_equal(model.classes_[P.argmax(axis=1)], model.predict(X))
    else:
        assert not hasattr(model, "predict_proba")


def test_selection_tools(diabetes):
    X, y = diabetes
    model = ReLURegressor(tol=1e-2, prove_time=0)
    scores = cross_val_score(
        make_pipeline(StandardScaler(), model.set_params(weight_decay=0.2)), X, y, cv=3
    )
    assert scores.mean() > 0.2
    search = GridSearchCV(model, {"weight_decay": [0.2, 5.0]}, cv=3).fit(X, y)
    assert search.best_params_["weight_decay"] == 0.2


def test_the_pipeline_of_the_docs_does_not_depend_on_units(diabetes):
    X, y = diabetes
    units = np.ones(X.shape[1])
    units[[0, 3]] = 1e3, 1e-2
    model = ReLURegressor(weight_decay=0.2, prove_time=0)
    whole = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), model), transformer=StandardScaler()
    )
    first = clone(whole).fit(X, y).predict(X)
    second = clone(whole).fit(X * units, y * 50 - 3).predict(X * units)
    assert np.std(second - (first * 50 - 3)) < 0.03 * np.std(second)
    bare = [clone(model).fit(X, y).certificate_]
    with pytest.warns(UserWarning, match="'age' varies by"):
        bare.append(clone(model).fit(X * units, y).certificate_)
    assert bare[1].objective < bare[0].objective * 0.99  # the column in thousands is now free


def test_warm_start_and_convergence_warning(diabetes):
    X, y = diabetes
    model = ReLURegressor(0.003, time_limit=0.15, warm_start=True)
    with pytest.warns(ConvergenceWarning, match="Time limit"):
        first = model.fit(X, y).certificate_.objective
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert model.fit(X, y).certificate_.objective <= first
    with pytest.raises(ValueError, match="fit a new estimator"):
        model.fit(X.iloc[:, :3], y)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ReLURegressor(weight_decay=0), "weight_decay must be a positive finite number, got 0"),
        (ReLURegressor(weight_decay="some"), "weight_decay='some' is unknown"),
        (ReLURegressor(bias="some"), "bias='some' is unknown"),
        (ReLURegressor(loss="hinge"), "loss='hinge' is unknown; choose one of 'squared', 'huber'"),
        (ReLURegressor(tol=-1), "tol must be"),
        (ReLURegressor(max_neurons=0), "max_neurons must be"),
        (ReLURegressor(time_limit=0), "time_limit must be"),
        (ReLURegressor(prove_time=-1), "prove_time must be"),
        (ReLURegressorCV(prove_time="long"), "prove_time must be"),
    ],
)
def test_bad_parameters(model, message, diabetes):
    with pytest.raises(ValueError, match=message):
        model.fit(*diabetes)


def test_bad_data(diabetes):
    X, y = diabetes
    with pytest.raises(ValueError, match="only one class"):
        ReLUClassifier().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="NaN"):
        ReLURegressor().fit(X.where(X < 1), y)
    with pytest.raises(ValueError, match="sample_weight must be finite"):
        ReLURegressor().fit(X, y, sample_weight=-np.ones(len(X)))


@pytest.fixture
def proofs(monkeypatch):
    """The real proof, and how often it began."""
    module, begun = sys.modules["gapless.training.train"], []
    real = module.prove

    def prove(*args, **options):
        begun.append(options["watch"].left)
        return real(*args, **options)

    monkeypatch.setattr(module, "prove", prove)
    return begun


def table(n=80, d=70):  # too many for boxes of directions, which decide before proofs begin
    X = np.random.default_rng(0).standard_normal((n, d))
    return X, np.abs(X[:, 0]) + X[:, 1] * X[:, 2]


def test_a_fit_proves_what_it_has_trained(proofs):
    X, y = table()
    plain = ReLURegressor(0.1, prove_time=0).fit(X, y)
    assert proofs == []
    assert plain.certificate_.relative_gap > 0.3
    proven = ReLURegressor(0.1, prove_time=30, tol=0.1).fit(X, y)
    assert proofs == [pytest.approx(30, abs=1)]
    assert proven.certificate_.relative_gap <= 0.1
    assert proven.status_ is Status.OPTIMAL
    assert proven.solution_.advice == ""
    assert str(proven.certificate_).startswith("no network of any width is more than ")
    assert str(proven.certificate_)[:-1] in repr(proven.solution_)
    default = ReLURegressor(0.1).fit(X, y)
    assert default.certificate_.lower_bound > plain.certificate_.lower_bound
    np.testing.assert_array_equal(default.predict(X), plain.predict(X))  # only the proof is new


@pytest.mark.parametrize(
    ("shape", "outputs", "why"),
    [
        ((50, 5), 1, "6 dimensions"),
        ((80, 70), 1, "71 dimensions, too many for boxes of directions"),
        ((40, 5), 4, "4 outputs, too many for boxes"),
        ((900, 4), 4, "904 samples and features for other relaxations, which bear 900"),
    ],
)
def test_a_wide_gap_says_why(shape, outputs, why):
    X = np.random.default_rng(0).standard_normal(shape)
    Y = np.abs(X[:, :outputs])
    model = ReLURegressor(0.01, prove_time=1e-3, tol=0.05).fit(X, Y)
    assert model.certificate_.relative_gap > 0.1
    assert why in model.solution_.advice
    assert ", weight decay 0." in model.solution_.advice
    assert model.solution_.advice in repr(model.solution_)


@pytest.mark.parametrize("gap", [0.0, 1e-9, 0.0123, 0.0999, 0.5, 0.994, 1.0, 3.0, np.nan])
def test_what_is_known_holds(gap):
    words = str(Certificate(1.0, 1.0 - gap, 1.0 - gap, "a proof"))
    if not gap < 1:
        assert words.startswith("nothing is proven")
    elif gap == 0:
        assert words == "no network of any width is better (proven)"
    else:
        share = float(words.split("more than ")[1].split("%")[0]) / 100
        assert gap <= share <= max(1.1 * gap, 1.1e-6)


@pytest.mark.parametrize("kind", [ReLURegressorCV, ReLUClassifierCV])
def test_folds_and_paths_are_not_proven_the_network_on_all_data_is(kind, proofs):
    X, y = table()
    y = y if kind is ReLURegressorCV else y > 1
    how = {"n_values": 4, "ratio": 0.05, "cv": 2, "select": None}  # of few columns proofs are exact
    model = kind(**how, prove_time=0.5).fit(X, y)
    assert len(proofs) == 1
    unproven = kind(**how, prove_time=0).fit(X, y)
    assert len(proofs) == 1
    assert unproven.certificate_.lower_bound < model.certificate_.lower_bound
    assert model.weight_decay_ == unproven.weight_decay_


def test_an_interrupted_proof_leaves_the_best_so_far(monkeypatch):
    X, y = table()
    plain = ReLURegressor(0.1, prove_time=0).fit(X, y)
    module = sys.modules["gapless.training.train"]
    real = module.prove

    def prove(*args, **options):
        for number, proof in enumerate(real(*args, **options)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield proof

    monkeypatch.setattr(module, "prove", prove)
    model = ReLURegressor(0.1, prove_time=60)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.status_ is Status.STOPPED
    assert plain.certificate_.lower_bound < model.certificate_.lower_bound
    assert model.certificate_.lower_bound <= model.certificate_.objective


def in_odd_units(X, y):
    """The same table in metres, millimetres and millions, far from zero."""
    X = X.iloc[:, :4] * [1e4, 1.0, 1e-3, 1.0] + [0.0, 50.0, 0.0, -3.0]
    return X, 1e3 * y + 5e3


@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
def test_scaled_inside_is_scaled_outside(bias, diabetes):
    X, y = in_odd_units(*diabetes)
    weights = np.where(np.arange(len(y)) % 3, 1.0, 2.0)
    terms = {"weight_decay": 0.05, "bias": bias}
    model = ReLURegressor(scale=True, **terms).fit(X, y, weights)
    units = model.scaling_
    Z, T = units.features(X.to_numpy()), units.targets(y.to_numpy()[:, None])
    np.testing.assert_allclose(np.sqrt(np.cov(Z.T, aweights=weights, ddof=0).diagonal()), 1)
    assert abs(np.average(T[:, 0], weights=weights)) < 1e-9
    # network_ has the user's units, the certificate is about those of training
    problem = Problem(Z, T, sample_weight=weights, **terms)
    trained = model.solution_.network
    assert model.certificate_.objective == pytest.approx(trained.objective(problem))
    assert model.certificate_.relative_gap < 1
    outputs = trained.predict(Z) * units.y_scale + units.y_mean
    np.testing.assert_allclose(model.predict(X), outputs[:, 0], rtol=1e-9)
    if bias == "none":
        assert not np.any(model.network_.hidden_bias)
    again = model.set_params(warm_start=True, tol=1e-4).fit(X, y, weights)
    assert again.certificate_.objective <= trained.objective(problem) * (1 + 1e-9)


def test_units_do_not_matter_when_scaled(diabetes):
    X, y = diabetes[0].iloc[:, :4], diabetes[1]
    odd, big = in_odd_units(X, y)
    model = ReLURegressorCV([0.3, 0.1], scale=True, tol=1e-4, prove_time=0)
    expected = 1e3 * model.fit(X, y).predict(X) + 5e3
    assert np.corrcoef(expected, big)[0, 1] > 0.4
    np.testing.assert_allclose(model.fit(odd, big).predict(odd), expected, rtol=2e-3)
    assert model.path_[-1] is model.solution_
    sparse = model.fit(sp.csr_matrix(odd.to_numpy()), big).predict(odd.to_numpy())
    np.testing.assert_allclose(sparse, expected, rtol=2e-3)


def test_columns_far_apart_are_named_once(diabetes):
    X, y = in_odd_units(*diabetes)
    names = f"'{X.columns[0]}' varies by .*'{X.columns[2]}', '"
    quick = {"tol": 0.5, "prove_time": 0, "max_neurons": 2}
    with pytest.warns(UserWarning, match=names) as told:
        ReLURegressor(1e3, **quick).fit(X, y)
    assert len(told) == 1
    assert told[0].filename == __file__  # where fit was called
    with pytest.warns(UserWarning, match="column 0 varies"):
        ReLURegressorCV([1e9, 1e8], **quick).fit(X.to_numpy(), y)
    ReLURegressor(1e-2, scale=True, **quick).fit(X, y)  # any warning is an error


def test_class_weights(diabetes):
    X, y = diabetes[0], np.where(diabetes[1] > 1.0, "high", "low")
    counts = {name: np.mean(y == name) for name in np.unique(y)}
    assert counts["high"] < 0.25
    terms = {"weight_decay": 0.1, "prove_time": 0}
    balanced = ReLUClassifier(class_weight="balanced", **terms).fit(X, y)
    by_hand = ReLUClassifier(**terms).fit(X, y, [0.5 / counts[name] for name in y])
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), atol=1e-3)
    given = {name: 1 / share for name, share in counts.items()}
    by_dict = ReLUClassifier(class_weight=given, **terms).fit(X, y)
    np.testing.assert_allclose(by_dict.predict_proba(X), by_hand.predict_proba(X), atol=1e-3)
    plain = ReLUClassifier(**terms).fit(X, y)
    high = y == "high"
    assert np.mean(balanced.predict(X)[high] == "high") > np.mean(plain.predict(X)[high] == "high")
    chosen = ReLUClassifierCV([0.3, 0.1], class_weight="balanced", prove_time=0).fit(X, y)
    assert np.mean(chosen.predict(X)[high] == "high") > np.mean(plain.predict(X)[high] == "high")
    with pytest.raises(ValueError, match="class_weight='even' is unknown"):
        ReLUClassifier(class_weight="even").fit(X, y)
