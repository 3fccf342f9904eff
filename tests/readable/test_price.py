"""The price of reading is an interval that holds."""

import numpy as np
import pytest

from gapless import price_of_reading


def test_reading_costs_nothing_where_the_truth_is_additive_and_much_where_it_is_not():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    hard = price_of_reading(X, np.abs(X[:, 0] + X[:, 1]), weight_decay=0.1, time_limit=20)
    low, high = hard.price()
    assert 0.05 < low < high < 1
    # two features are all that there are: nothing is lost
    low, high = hard.price(2)
    assert low <= 1e-3
    assert high <= 1e-2
    assert hard.one.certificate.objective >= hard.two.certificate.lower_bound
    text = repr(hard)
    assert "reading one feature a neuron costs between" in text
    with pytest.raises(ValueError, match="features must be 1"):
        hard.price(3)
