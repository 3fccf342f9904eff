"""What held-out folds lose on the way down the weight decays."""

import numpy as np
import pytest

from gapless import Problem
from gapless.core.watch import Watch
from gapless.readable.path import Walk


@pytest.mark.parametrize("price", [np.inf, 2.0])
def test_held_out_rows_beyond_training_count_as_the_nearest_of_it(price):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    y = np.abs(X[:, 0]) + X[:, 1]
    fit, test = np.arange(40), np.arange(40, 60)
    folds = [((fit, np.ones(40)), (test, np.ones(20)))]
    losses = []
    for far in (False, True):
        X[test[0]] = X[fit].max(axis=0) + 100 * far
        walk = Walk(Problem(X, y), "pairs", folds, Watch.of(None))
        walk.along([(0.03, price), (0.003, price)], 2)
        losses.append(walk.losses)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
