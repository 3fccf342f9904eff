"""Files of additive estimators: the same predictions and effects, and damage told."""

import json

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from safetensors import safe_open

from gapless import (
    AdditiveReLUClassifier,
    AdditiveReLURegressor,
    load_readable,
    save_readable,
)
from gapless.core.checks import InputError


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 90
    ward = rng.choice(["north", "south"], n)
    X = pd.DataFrame({"age": rng.uniform(20, 80, n), "dose": rng.uniform(0, 9, n), "ward": ward})
    y = np.abs(X["age"] - 50) / 10 + X["dose"] + 3 * (ward == "south")
    X.loc[:9, "dose"] = np.nan
    return X, y


def fits(table):
    X, y = table
    kinds = np.where(y > 8, "long", np.where(y > 5, "middle", "short"))
    yield AdditiveReLURegressor(weight_decay=0.02).fit(X, y), X
    yield AdditiveReLURegressor([("age", "dose")], weight_decay=0.1, quantile=0.8).fit(X, y), X
    yield AdditiveReLUClassifier(weight_decay=0.05).fit(X, kinds), X
    yield AdditiveReLURegressor(loss="poisson", weight_decay=0.1).fit(X, y), X
    Y = np.column_stack([y, -y])
    yield AdditiveReLURegressor(weight_decay=0.1, bias="none").fit(X[["age"]], Y), X[["age"]]


def test_a_file_keeps_all_that_is_read(table, tmp_path):
    for model, X in fits(table):
        save_readable(model, tmp_path / "m.safetensors", notes={"a": [1]})
        again = load_readable(tmp_path / "m.safetensors")
        assert type(again) is type(model)
        assert again.notes_ == {"a": [1]}
        assert np.array_equal(again.predict(X), model.predict(X))
        one, two = model.explain(X), again.explain(X)
        assert one.names == two.names
        assert np.array_equal(one.contributions, two.contributions)
        assert str(again.certificate_) == str(model.certificate_)
        assert again.certificate_.lower_bound == model.certificate_.lower_bound
        assert again.status_ is model.status_
        for a, b in zip(model.effects_, again.effects_, strict=True):
            assert (a.names, a.kind, a.importance, a.share) == (
                b.names, b.kind, b.importance, b.share,
            )  # fmt: skip
            assert np.array_equal(a.places, b.places)
            assert np.array_equal(a.values, b.values)


def test_damage_and_other_files_are_told(table, tmp_path):
    X, y = table
    file = tmp_path / "m.safetensors"
    save_readable(AdditiveReLURegressor(weight_decay=0.1).fit(X, y), file)
    whole = file.read_bytes()
    with safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    header = json.loads(metadata["header"])

    def refused(tensors=tensors, **changes):
        text = json.dumps(header | changes)
        file.write_bytes(safetensors.numpy.save(tensors, {**metadata, "header": text}))
        with pytest.raises(InputError, match="damaged"):
            load_readable(file)

    refused(kind="Network")
    refused(status="PERFECT")
    refused(features=header["features"][:1])
    refused(effects=[{}])
    refused({name: a for name, a in tensors.items() if name != "0.values"})
    refused(tensors | {"hidden_weights": tensors["hidden_weights"][:1]})
    refused(tensors | {"0.neurons": tensors["0.neurons"] + 1000})
    refused(tensors | {"0.mean": np.full_like(tensors["0.mean"], np.nan)})
    file.write_bytes(whole[:200])
    with pytest.raises(InputError, match="damaged"):
        load_readable(file)
    file.write_bytes(safetensors.numpy.save({"a": np.zeros(2)}))
    with pytest.raises(InputError, match="no readable model"):
        load_readable(file)


def test_what_json_has_not_is_refused(table, tmp_path):
    X, y = table
    X = X.assign(day=pd.Categorical(pd.date_range("2020", periods=2).repeat(45)))
    model = AdditiveReLURegressor(weight_decay=0.1).fit(X, y)
    with pytest.raises(ValueError, match="texts or numbers"):
        save_readable(model, tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()
