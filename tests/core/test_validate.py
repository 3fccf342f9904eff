"""What is no number, or too large for one, is named in one sentence."""

from contextlib import suppress

import numpy as np
import pytest

from estimator_lists import EASY, ESTIMATORS, samples
from gapless import Problem, SplineRegressor, train
from gapless.core.checks import choose, positive, positive_int, to_2d

X = np.random.default_rng(0).standard_normal((12, 2))


@pytest.mark.parametrize("power", [0, 400, 5000])
@pytest.mark.parametrize("factor", [-1, float("nan"), "x", None, True])
def test_no_positive_number_is_named(factor, power):
    given = -(10**power) if factor == -1 else 10**power if factor is True and power else factor
    for check in (positive, positive_int):
        with pytest.raises(ValueError, match="width must be a positive finite number") as caught:
            check("width", given)
        assert len(str(caught.value)) < 120
    with pytest.raises(ValueError, match="is unknown; choose one of 'a'"):
        choose("kind", given, ["a"])


def test_numbers_beyond_the_floats_are_named():
    with pytest.raises(ValueError, match="X has numbers beyond"):
        to_2d("X", [[10**400]])
    with pytest.raises(ValueError, match="beyond"):
        Problem([[10**400], [1]], [1, 2])


@pytest.mark.parametrize("kind", ESTIMATORS, ids=lambda kind: kind.__name__)
def test_parameters_of_estimators(kind):
    """10**400 is refused in a sentence, or taken where any number is."""
    rows = samples(kind.__name__)[:, :1] if kind is SplineRegressor else samples(kind.__name__)
    y = (rows[:, 0] > np.median(rows[:, 0])).astype(float)
    easy = EASY.get(kind.__name__, {})
    for name in kind().get_params().keys() - {"n_jobs", "cv", "verbose"}:
        with suppress(ValueError, TypeError):
            kind(**easy | {name: 10**400}).fit(rows, y)


@pytest.mark.parametrize("name", ["tol", "time_limit", "max_neurons", "max_iter"])
def test_parameters_of_train(name):
    with pytest.raises(ValueError, match=name):
        train(Problem(X, X[:, 0]), **{name: 10**400})
