"""Estimators that can be read: the contract, effects, explanations, tables."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_pinball_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import (
    AdditiveReLUClassifier,
    AdditiveReLURegressor,
    Status,
    load_readable,
    save_readable,
    to_onnx,
    to_torch,
)

CHECKED = [
    AdditiveReLURegressor(cv=2),
    AdditiveReLUClassifier(weight_decay=0.1),
    AdditiveReLUClassifier(weight_decay=0.1, loss="squared"),
    AdditiveReLURegressor(weight_decay=0.01, loss="huber", bias="penalized"),
    AdditiveReLURegressor("pairs", weight_decay=0.1),
    AdditiveReLUClassifier("pairs", weight_decay=0.1),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_contract(estimator, check):
    estimator.set_params(tol=0.1)  # weights are repetitions to the last bit, at any gap
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skipped array-api check
        check(estimator)


@pytest.mark.parametrize("interactions", [0, "pairs"])
def test_weights_are_copies_to_the_last_bit_where_values_are_missing(interactions):
    table, y = mixed_table(40)
    weights = np.arange(40) % 3
    rows = np.random.default_rng(1).permutation(np.repeat(np.arange(40), weights))
    model = AdditiveReLURegressor(interactions, weight_decay=0.03, tol=0.1)
    weighed = clone(model).fit(table, y, sample_weight=weights).predict(table)
    copied = model.fit(table.iloc[rows], y[rows]).predict(table)
    assert np.array_equal(weighed, copied)


def mixed_table(n=300, seed=0):
    """Numbers, labels and missing values, and what they add."""
    rng = np.random.default_rng(seed)
    age, dose = rng.uniform(20, 80, n), rng.uniform(0, 10, n)
    ward = rng.choice(["a", "b", "c"], n)
    lost = rng.random(n) < 0.2
    adds = {"a": 0.0, "b": 3.0, "c": -2.0}
    y = np.abs(age - 50) / 10 + np.array([adds[w] for w in ward]) + np.where(lost, 4.0, dose)
    table = pd.DataFrame({"age": age, "dose": np.where(lost, np.nan, dose), "ward": ward})
    return table, y + 0.1 * rng.standard_normal(n)


@pytest.mark.parametrize("kind", ["object", "category", "polars", "codes"])
def test_labels_and_missing_values_have_effects_of_their_own(kind):
    table, y = mixed_table()
    given = {}
    if kind == "category":
        table["ward"] = table["ward"].astype("category")
    elif kind == "polars":
        table = pl.from_pandas(table)
    elif kind == "codes":
        table["ward"] = table["ward"].map({"a": 5.0, "b": 7.0, "c": 9.0})
        given = {"categorical_features": ["ward"]}
    model = AdditiveReLURegressor(weight_decay=0.003, **given).fit(table, y)
    assert model.status_ is Status.OPTIMAL
    assert model.score(table, y) > 0.97
    effects = {effect.name: effect for effect in model.effects_}
    ward = effects["ward"]
    assert ward.kind == "categorical"
    assert list(ward.places) == (["5", "7", "9"] if kind == "codes" else ["a", "b", "c"])
    a, b, c = ward.values[:, 0]
    assert (b - a, c - a) == (pytest.approx(3, abs=0.4), pytest.approx(-2, abs=0.4))
    at_zero = np.interp(0.0, effects["dose"].places, effects["dose"].values[:, 0])
    assert effects["dose"].missing[0] - at_zero == pytest.approx(4, abs=0.6)
    assert effects["ward"].density.sum() == 300
    # a level that was not there adds what no level does, and breaks nothing
    if kind == "object":
        table.loc[0, "ward"] = "new"
        assert np.all(np.isfinite(model.predict(table)))


def test_columns_of_nearly_one_number_are_counted_in_bins():
    """Few floats lie between them, or between a quantile and the number it is rounded from."""
    rare = np.where(np.arange(435) < 15, 5.930339813232422, -0.16823700070381165)
    near, rng = 1 + 2.0**-52 * np.arange(435), np.random.default_rng(0)
    X = np.column_stack([rng.permutation(column) for column in (rare, near, near % 1)])
    model = AdditiveReLURegressor(weight_decay=0.01).fit(X, X[:, 0])
    for effect in model.effects_:
        assert effect.density[0].sum() == 435


@pytest.mark.parametrize("interactions", [0, [("age", "ward")]])
def test_contributions_sum_to_the_prediction(interactions):
    table, y = mixed_table()
    model = AdditiveReLURegressor(interactions, weight_decay=0.01, tol=1e-2).fit(table, y)
    explained = model.explain(table)
    assert explained.contributions.shape == (300, len(model.effects_), 1)
    assert np.max(np.abs(explained.outputs[:, 0] - model.predict(table))) <= 1e-12 * np.abs(y).max()
    alone = [k for k, effect in enumerate(model.effects_) if effect.kind != "pair"]
    assert np.allclose(explained.contributions[:, alone].mean(axis=0), 0, atol=1e-11)
    spread = np.abs(explained.contributions).sum(axis=2).mean(axis=0)
    assert np.allclose(spread, model.importances_)
    assert explained.names == [effect.name for effect in model.effects_]
    if interactions:
        assert "age x ward" in explained.names


def test_what_a_pair_adds_has_no_main_effects():
    table, y = mixed_table()
    dose = table["dose"].fillna(0)
    y = y + np.where(dose > 5, (table["age"] - 50) / 8, 0) + (table["ward"] == "a") * dose
    how = {"weight_decay": 0.01, "tol": 1e-2}
    model = AdditiveReLURegressor([("age", "dose"), ("dose", "ward")], **how).fit(
        table, y, sample_weight=1.0 + np.arange(300) % 3
    )
    for name in ("age", "dose", "ward"):  # every row with the other features of every row
        crossed = pd.concat([table.assign(**{name: [v] * 300}) for v in table[name].unique()])
        explained = model.explain(crossed)
        weights = (1.0 + np.arange(300) % 3) / 600
        for k, effect in enumerate(model.effects_):
            if effect.kind == "pair" and name in effect.names:
                added = explained.contributions[:, k, 0].reshape(-1, 300)
                assert np.max(np.abs(added)) > 0.1
                assert np.max(np.abs(added @ weights)) <= 1e-12 * np.max(np.abs(y))
    curves = {effect.name: effect for effect in model.effects_}
    grid, contributions = curves["age x dose"], model.explain(table).contributions
    k = model.effects_.index(curves["age"])
    drawn = np.interp(table["age"], curves["age"].places, curves["age"].values[:, 0])
    assert np.allclose(drawn, contributions[:, k, 0], atol=1e-8)
    assert grid.places.shape == (1600, 2)


def test_an_effect_is_the_curve_that_explanations_follow():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = AdditiveReLURegressor(weight_decay=0.01).fit(X, y)
    contributions = model.explain(X).contributions[:, :, 0]
    for k, effect in enumerate(model.effects_):
        drawn = np.interp(X[effect.name], effect.places, effect.values[:, 0])
        assert np.allclose(drawn, contributions[:, k], atol=1e-8 * np.ptp(y))
    assert np.sum([effect.share for effect in model.effects_]) == pytest.approx(1)


def test_weight_decay_by_cross_validation_finds_what_generalises():
    X, y = load_diabetes(return_X_y=True)
    model = AdditiveReLURegressor(cv=3).fit(X[:300], y[:300])
    assert model.status_ is Status.OPTIMAL
    assert model.losses_.shape == (3, len(model.weight_decays_))
    assert model.score(X[300:], y[300:]) > 0.4
    values, finest = model.weight_decays_, 3e-4 ** (1 / 16)
    steps = values[1:] / values[:-1]
    assert np.all(steps < 1)
    chosen = list(values).index(model.weight_decay_)
    # coarse but for the values beside the best
    assert steps[chosen - 1 : chosen + 1] == pytest.approx([finest, finest])
    assert np.min(steps) == pytest.approx(finest**2)


def test_the_walk_goes_on_while_folds_gain():
    X = np.random.default_rng(0).uniform(-1, 1, (150, 1))
    model = AdditiveReLURegressor(cv=3).fit(X, np.sin(12 * X[:, 0]))  # no noise: ever more kinks
    lost = model.losses_.mean(axis=0)
    assert model.weight_decay_ < 2e-4 * model.weight_decays_[0]
    assert lost[-2] - lost[-1] < 1e-3 * lost[0]


def test_classes_probabilities_and_several_outputs():
    X, y = load_breast_cancer(return_X_y=True)
    model = AdditiveReLUClassifier(weight_decay=0.02).fit(X, y)
    scores = model.explain(X).outputs[:, 0]
    assert np.allclose(scores, model.decision_function(X), rtol=0, atol=1e-11)
    X, y = load_iris(return_X_y=True)
    model = AdditiveReLUClassifier(weight_decay=0.01).fit(X, y)
    assert model.status_ is Status.OPTIMAL
    assert model.score(X, y) > 0.95
    assert model.explain(X).outputs.shape == (150, 3)
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


def test_quantiles():
    table, y = mixed_table()
    high = AdditiveReLURegressor(quantile=0.9, weight_decay=0.01).fit(table, y)
    middle = AdditiveReLURegressor(weight_decay=0.01).fit(table, y)
    losses = [mean_pinball_loss(y, m.predict(table), alpha=0.9) for m in (high, middle)]
    assert losses[0] < losses[1]
    assert 0.8 < np.mean(y <= high.predict(table)) < 0.97


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_counts_and_amounts_are_multiplied_by_effects(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2))
    mean = np.exp(np.abs(X[:, 0]) - X[:, 1] / 2)
    y = rng.poisson(mean) if loss == "poisson" else mean * rng.gamma(3, 1 / 3, 300)
    how = {"loss": loss, "weight_decay": 0.01, "tol": 1e-5}
    model = AdditiveReLURegressor(**how).fit(X, y)
    assert model.status_ is Status.OPTIMAL
    predicted = model.predict(X)
    assert np.corrcoef(np.log(predicted), np.log(mean))[0, 1] > 0.97
    assert np.allclose(np.exp(model.explain(X).outputs[:, 0]), predicted, rtol=1e-12)
    assert np.allclose(np.exp(model.to_network().predict(X)[:, 0]), predicted)
    # the free constant balances observed and predicted: sums, or mean ratio
    balance = np.mean(y) / np.mean(predicted) if loss == "poisson" else np.mean(y / predicted)
    assert balance == pytest.approx(1, abs=1e-3)
    # other units only multiply
    again = AdditiveReLURegressor(**how).fit(X, 1000.0 * y)
    assert np.allclose(again.predict(X), 1000 * predicted, rtol=1e-3)
    assert 0 <= model.price_of_reading(X, y, time_limit=1).price(1)[0] <= 1
    need = "counts from" if loss == "poisson" else "amounts above"
    zeros = "all targets are 0" if loss == "poisson" else need
    for bad, sentence in ((y - 5, need), (0 * y, zeros)):
        with pytest.raises(ValueError, match=sentence):
            AdditiveReLURegressor(**how).fit(X, bad)


@pytest.mark.parametrize("interactions", [0, [(2, 8)]])
def test_the_network_in_the_users_units(interactions, tmp_path):
    X, y = load_diabetes(return_X_y=True)
    X, far = 1e3 * X + 5, 1e4 * X  # ten times as wide: effects keep their ends there
    model = AdditiveReLURegressor(interactions, weight_decay=0.05).fit(X, y)
    network = model.to_network()
    for where in (X, far):
        assert np.allclose(network.predict(where)[:, 0], model.predict(where), rtol=1e-10)
        told = to_torch(model, dtype=torch.float64)(torch.from_numpy(where))
        assert np.allclose(told.numpy(force=True)[:, 0], model.predict(where), rtol=1e-10)
    save_readable(model, tmp_path / "m.safetensors")
    again = load_readable(tmp_path / "m.safetensors").to_network()
    assert np.array_equal(again.predict(X), network.predict(X))


def test_bridges_of_readable_models_and_their_refusals(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, y = load_iris(return_X_y=True)
    model = AdditiveReLUClassifier(weight_decay=0.01).fit(X, y)
    to_onnx(model, tmp_path / "m.onnx", classes=model.classes_)
    session = runtime.InferenceSession(tmp_path / "m.onnx")
    label, p = session.run(["label", "probabilities"], {"X": X.astype(np.float32)})
    assert np.array_equal(label, model.predict(X))
    assert np.allclose(p, model.predict_proba(X), atol=1e-5)
    constant = AdditiveReLURegressor(weight_decay=10.0).fit(X, y)
    assert constant.n_neurons_ == 0
    told = to_torch(constant)(torch.zeros(3, 4))
    assert np.allclose(told.numpy(force=True), np.mean(y))
    table, y = mixed_table()
    model = AdditiveReLURegressor(weight_decay=0.01).fit(table, y)
    with pytest.raises(ValueError, match="'dose' is categorical or has missing values"):
        to_torch(model)
    with pytest.raises(TypeError, match="fitted model that has to_network"):
        to_onnx(LinearRegression(), tmp_path / "m.onnx")
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(table), model.predict(table))


def test_beyond_the_training_data_effects_keep_their_ends():
    X = np.random.default_rng(0).uniform(-1, 1, (80, 2))
    model = AdditiveReLURegressor(weight_decay=0.01).fit(X, np.exp(X[:, 0]) + X[:, 1])
    low, high = X.min(axis=0), X.max(axis=0)
    assert model.predict([high + 1e6]) == pytest.approx(model.predict([high]))
    assert model.predict([low - 5]) == pytest.approx(model.predict([low]))
    assert model.predict([high])[0] > model.predict([low])[0] + 1


def test_sparse_data_and_weights_of_zero():
    X, y = load_diabetes(return_X_y=True)
    dense = AdditiveReLURegressor(weight_decay=0.05).fit(X, y)
    sparse = AdditiveReLURegressor(weight_decay=0.05).fit(sp.csr_matrix(X), y)
    assert np.allclose(dense.predict(X), sparse.predict(sp.csr_matrix(X)))
    weights = np.r_[np.ones(200), np.zeros(len(y) - 200)]
    some = AdditiveReLURegressor(weight_decay=0.05, tol=1e-6).fit(X, y, weights)
    part = AdditiveReLURegressor(weight_decay=0.05, tol=1e-6).fit(X[:200], y[:200])
    assert np.allclose(some.predict(X), part.predict(X), atol=1e-2 * y.std())


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"interactions": 2}, "interactions must be 0"),
        ({"interactions": [("age", "height")]}, r"names, got \[\('age', 'height'\)\]"),
        ({"categorical_features": [7]}, "categorical_features has 7"),
        ({"weight_decay": "cv"}, "weight_decay"),
        ({"loss": "hinge"}, "loss"),
    ],
)
def test_what_is_given_is_checked(parameters, words):
    table, y = mixed_table(60)
    with pytest.raises(ValueError, match=words):
        AdditiveReLURegressor(**parameters).fit(table, y)


def test_effects_rise_and_fall_as_asked_and_nothing_that_does_is_better():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.uniform(18, 80, 200), "pay": rng.normal(size=200)})
    X["kind"] = rng.choice(["a", "b"], 200)
    X.loc[::7, "age"] = np.nan
    y = np.nan_to_num(3 * np.sin(X["age"] / 10), nan=2.0) + X["pay"] + (X["kind"] == "a")
    free = AdditiveReLURegressor(weight_decay=0.01).fit(X, y)
    asked = {"age": 1, "pay": -1}
    for model, target in (
        (AdditiveReLURegressor(weight_decay=0.01, monotone=asked), y),
        (AdditiveReLUClassifier(weight_decay=0.01, monotone=asked), y > 1),
    ):
        model.fit(X, target)
        assert model.certificate_.relative_gap <= 1e-3
        for name, sign in asked.items():
            at = X.iloc[[1] * 50].copy()
            at[name] = np.linspace(*((0, 100) if name == "age" else (-5, 5)), 50)
            scores = getattr(model, "decision_function", model.predict)(at)
            assert np.all(sign * np.diff(scores) >= -1e-9)
        if target is y:
            assert model.certificate_.objective > free.certificate_.objective
    for wrong, words in (
        ({"kind": 1}, "'kind', which is categorical"),
        ({"x": 1}, "monotone has 'x'"),
        ({"age": 3}, "map features to 1"),
    ):
        with pytest.raises(ValueError, match=words):
            AdditiveReLURegressor(monotone=wrong).fit(X, y)


def test_a_choice_that_time_ended_is_said():
    X, y = load_diabetes(return_X_y=True)
    with pytest.warns(ConvergenceWarning) as said:
        AdditiveReLURegressor("pairs", time_limit=0.05).fit(X, y)
    assert any("time ended the choice of weight_decay" in str(w.message) for w in said)


def test_pairs_that_folds_gain_nothing_by_are_left_out():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    noise = 0.5 * rng.standard_normal(60)
    additive, joint = np.abs(X[:, 0]) + X[:, 1] + noise, X[:, 0] * X[:, 1] + noise
    how = {"cv": 2, "tol": 1e-2, "time_limit": 1000}
    model = AdditiveReLURegressor("pairs", **how).fit(X, additive)
    assert model.certificate_.features == 1
    assert model.losses_.shape == (2, len(model.prices_))
    assert np.isinf(model.prices_[0])
    assert 1 <= np.min(model.prices_) < np.inf
    single = AdditiveReLURegressor(**how).fit(X, additive)
    np.testing.assert_array_equal(model.predict(X), single.predict(X))
    assert AdditiveReLURegressor("pairs", **how).fit(X, joint).certificate_.features == 2
    # those that are named stay, and so do all where nothing is chosen
    named = AdditiveReLURegressor([(0, 1)], **how).fit(X, additive)
    given = AdditiveReLURegressor("pairs", weight_decay=0.3, tol=1e-2).fit(X, additive)
    assert named.certificate_.features == given.certificate_.features == 2


def test_what_cannot_be_learned_from_is_one_sentence():
    rng = np.random.default_rng(0)
    X, y = pd.DataFrame({"age": rng.uniform(20, 80, 30)}), rng.poisson(2.0, 30)
    dated = X.assign(day=pd.date_range("2026-01-01", periods=30))
    days = pl.DataFrame({"day": dated["day"].to_list()})
    for table, target, how, sentence in [
        (dated, y, {}, "column 'day' has dates or times"),
        (days, y, {}, "column 'day' has dates or times"),
        (X, y, {"loss": "gamma"}, "amounts above 0, .* the first 0; .*take the loss poisson"),
        (X, y - 3, {"loss": "gamma"}, "amounts above 0, and"),
        (X, y - 3, {"loss": "poisson"}, "poisson loss needs"),
        (X, 0 * y, {"loss": "poisson"}, "all targets are 0"),
        (X, y, {"monotone": {"age": 1}, "interactions": "pairs"}, "go with interactions=0"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            AdditiveReLURegressor(weight_decay=0.1, **how).fit(table, target)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        AdditiveReLURegressor(weight_decay=0.1).fit(X, y, np.arange(30) - 5.0)


def test_effects_and_explanations_print_as_what_is_added():
    X = np.linspace(0, 1, 40)[:, None]
    model = AdditiveReLURegressor(weight_decay=0.01).fit(X, X[:, 0] ** 2)
    explained = model.explain(X[:2])
    text = repr(explained).splitlines()
    assert [line.split()[0] for line in text] == ["row", "baseline", "x0", "sum"]
    told = [float(line.split()[-1]) for line in text[1:]]
    assert told[0] + told[1] == pytest.approx(told[2], abs=1e-3)
    assert told[2] == pytest.approx(model.predict(X[1:2])[0], rel=1e-3)
    assert "and 35 more rows" in repr(model.explain(X))
    assert repr(model.effects_[0]).startswith("Effect(x0: adds ")
