"""Every fitted estimator goes through skops and comes back the same."""

import numpy as np
import pytest
import skops.io
from sklearn.base import is_classifier

from estimator_lists import EASY, ESTIMATORS, samples


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
