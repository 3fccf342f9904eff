"""Units of training and units of the user."""

import numpy as np
import pytest

from gapless import Network
from gapless.estimators.units import Units


@pytest.mark.parametrize("targets", ["numbers", "classes", "logarithms"])
def test_networks_in_units_and_back(targets):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(5, 9, (20, 3)), np.full(20, 0.1)])  # one column is constant
    units = Units.learn(X, rng.uniform(3, 4, (20, 1)), centred=True, targets=targets)
    np.testing.assert_array_equal(units.scale[3], 1.0)  # whatever rounding makes of its deviation
    network = Network(*(rng.standard_normal(shape) for shape in ((4, 6), 6, (6, 1), 1)))
    raw, there = units.raw(network), network.predict(units.features(X))
    answer = np.exp if targets == "logarithms" else np.asarray
    np.testing.assert_allclose(units.targets(answer(raw.predict(X))), answer(there), rtol=1e-9)
    back = units.of_raw(raw)
    for name in ("hidden_weights", "hidden_bias", "output_weights", "output_bias"):
        np.testing.assert_allclose(getattr(back, name), getattr(network, name), atol=1e-12)
