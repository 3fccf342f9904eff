"""Tables of pandas and polars as people have them: a model, or one sentence with the way out."""

import re

import numpy as np
import pandas
import polars
import pytest

from gapless import AdditiveReLURegressor, ReLURegressor

N = 30
X = np.random.default_rng(0).standard_normal(N)
WORDS = np.resize(["Bern", "Rom"], N)
DAYS = pandas.date_range("2024-01-01", periods=N)
#: a table, what a network of all columns says of it, and one of effects, or nothing
TABLES = {
    "texts": (pandas.DataFrame({"x": X, "city": WORDS}), "'city' must be numbers, not 'Bern'", ""),
    "categories": (pandas.DataFrame({"x": X, "city": pandas.Categorical(WORDS)}), "OneHotEnc", ""),
    "polars": (polars.DataFrame({"x": X, "city": WORDS}), "or give a pandas or polars table", ""),
    "an array": (np.column_stack([X.astype(object), WORDS]), "column 1 must be", "column 1 must"),
    "missing": (pandas.DataFrame({"x": [None, *X[1:]], "z": X}), "(NaN) in 'x': fill them in", ""),
    "days": (pandas.DataFrame({"x": X, "day": DAYS}), "'day' has dates", "'day' has dates"),
    "an array of days": (DAYS.to_numpy()[:, None], "days since a first", "days since a first"),
    "lists": (pandas.DataFrame({"x": X, "l": [[1, 2]] * N}), "'l' must be", "'l' has lists"),
    "lazy": (polars.LazyFrame({"x": X}), "give X.collect()", "give X.collect()"),
    "nullable": (pandas.DataFrame({"x": X, "k": pandas.array([1, 2] * 15, "Int64")}), "", ""),
    "truths": (pandas.DataFrame({"x": X, "k": pandas.array([True] * 29 + [False])}), "", ""),
    "numbers as objects": (pandas.DataFrame({"x": X, "k": np.array([*X], object)}), "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_make_a_model_or_a_sentence(name):
    table, network, effects = TABLES[name]
    for model, says in (
        (ReLURegressor(0.1, prove_time=0), network),
        (AdditiveReLURegressor(weight_decay=0.1), effects),
    ):
        if not says:
            assert len(model.fit(table, np.abs(X)).predict(table)) == N
            continue
        with pytest.raises(ValueError, match=re.escape(says)) as refused:
            model.fit(table, np.abs(X))
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="y must be numbers"):
        ReLURegressor(0.1).fit(X[:, None], WORDS)
