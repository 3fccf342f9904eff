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
    # as a table, rounded so that what is said is proven
    low, high = hard.price()
    one, two, any_ = hard.rows()
    least, most = (float(cell.rstrip("%")) / 100 for cell in one[-2:])
    assert least <= low <= least + 1.01e-4
    assert most - 1.01e-4 <= high <= most
    assert (two[0], any_[0]) == ("two features", "any features")
    assert all(cell in repr(hard) for row in hard.rows() for cell in row)
    assert hard.as_dict()["one feature"]["costs"] == [low, high]
    with pytest.raises(ValueError, match="features must be 1"):
        hard.price(3)
