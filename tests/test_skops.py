"""Every fitted estimator goes through skops and comes back the same."""

import inspect

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, is_classifier

import gapless

ESTIMATORS = [
    kind
    for kind in map(gapless.__dict__.get, gapless.__all__)
    if inspect.isclass(kind) and issubclass(kind, BaseEstimator)
]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 2))
WIDE = RNG.standard_normal((4, 9))  # rows that whitening makes independent
IMAGES = RNG.uniform(size=(24, 36))
EASY = {
    "ReLURegressor": {"weight_decay": 0.1},
    "ReLUClassifier": {"weight_decay": 0.1},
    "ReLURegressorCV": {"n_values": 3, "cv": 2},
    "ReLUClassifierCV": {"n_values": 3, "cv": 2},
    "ConvexRandomFeatures": {"n_filters": 4, "patch_size": 3, "image_shape": (6, 6)},
}


def samples(name):
    if name == "ConvexRandomFeatures":
        return IMAGES
    return WIDE if name in ("RowWhitener", "WhitenedReLURegressor", "WhitenedReLUClassifier") else X


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_a_fitted_estimator_comes_back(kind):
    name = kind.__name__
    rows = samples(name)
    rows = rows[:, :1] if name.startswith("Spline") else rows
    y = np.abs(rows[:, 0])
    model = kind(**EASY.get(name, {}))
    model.fit(rows, np.where(y > np.median(y), "b", "a") if is_classifier(model) else y)
    text = skops.io.dumps(model)
    again = skops.io.loads(text, trusted=skops.io.get_untrusted_types(data=text))
    assert type(again) is kind
    assert vars(again).keys() == vars(model).keys()
    for use in ("predict", "transform"):
        if hasattr(model, use):
            np.testing.assert_array_equal(getattr(again, use)(rows), getattr(model, use)(rows))
    if hasattr(model, "status_"):
        assert again.status_ is model.status_
