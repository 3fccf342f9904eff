"""Pictures of networks that can be read."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from gapless import (
    AdditiveReLUClassifier,
    AdditiveReLURegressor,
    EffectsDisplay,
    ExplanationDisplay,
    ImportanceDisplay,
)

mpl.use("Agg")


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    n = 150
    ward = rng.choice(["north", "south"], n)
    X = pd.DataFrame({"age": rng.uniform(20, 80, n), "dose": rng.uniform(0, 9, n), "ward": ward})
    y = np.abs(X["age"] - 50) / 10 + X["dose"] + 3 * (ward == "south")
    X.loc[:20, "dose"] = np.nan
    return AdditiveReLURegressor(weight_decay=0.02).fit(X, y), X


def test_effects(fitted):
    model, X = fitted
    display = EffectsDisplay.from_estimator(model, features=["age", "ward"])
    age = model.effects_[[e.name for e in model.effects_].index("age")]
    curve = display.axes_[0].get_lines()[0]
    assert np.array_equal(curve.get_ydata(), age.values[:, 0])
    assert curve.get_xdata()[[0, -1]] == pytest.approx([X["age"].min(), X["age"].max()])
    bars = [patch.get_height() for patch in display.axes_[1].patches]
    ward = model.effects_[[e.name for e in model.effects_].index("ward")]
    assert bars == pytest.approx(ward.values[:, 0].tolist())
    assert display.axes_[0].get_ylabel() == "adds to the prediction"
    display.figure_.canvas.draw()
    model = AdditiveReLURegressor([("age", "dose")], weight_decay=0.02, tol=1e-2)
    display = EffectsDisplay.from_estimator(model.fit(X, X["age"] * X["dose"].fillna(0)))
    assert "pair" in {effect.kind for effect in display.effects}
    display.figure_.canvas.draw()
    with pytest.raises(ValueError, match="no effect 'height'"):
        EffectsDisplay.from_estimator(model, features=["height"])
    with pytest.raises(NotFittedError):
        EffectsDisplay.from_estimator(AdditiveReLURegressor())


def test_importances(fitted):
    model, _ = fitted
    display = ImportanceDisplay.from_estimator(model)
    widths = [patch.get_width() for patch in display.ax_.patches]
    assert widths == pytest.approx(model.importances_.tolist())
    assert widths == sorted(widths, reverse=True)
    display.figure_.canvas.draw()


def test_explanations(fitted):
    model, X = fitted
    display = ExplanationDisplay.from_estimator(model, X, row=3)
    ends = [p.get_x() + p.get_width() for p in display.ax_.patches]
    assert ends[-1] == pytest.approx(model.predict(X[3:4])[0])
    assert any(label.startswith("ward = ") for label in display.labels)
    assert any("missing" in label for label in display.labels)
    display.figure_.canvas.draw()
    few = ExplanationDisplay(model.explain(X), 3).plot(max_effects=1)
    assert few.ax_.get_yticklabels()[-1].get_text().endswith("others")
    with pytest.raises(ValueError, match="row must be from 0 to 149, got 150"):
        ExplanationDisplay.from_estimator(model, X, row=150)


def test_classes_are_chosen_by_name():
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = load_iris().target_names
    model = AdditiveReLUClassifier(weight_decay=0.05).fit(X, names[y])
    display = EffectsDisplay.from_estimator(model, output="virginica")
    assert display.axes_[0].get_ylabel() == "adds to the score of virginica"
    drawn = display.axes_[0].get_lines()[0].get_ydata()
    assert np.array_equal(drawn, model.effects_[0].values[:, 2])
    with pytest.raises(ValueError, match="output must be a number from 0 to 2"):
        EffectsDisplay.from_estimator(model, output="rose")
