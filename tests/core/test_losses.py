"""Laws every loss obeys."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import Problem
from gapless.core.losses import LOG_LINK, LOSSES, Huber, get_loss
from problems import ALL_LOSSES, targets


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 30.0]))
@settings(max_examples=25, deadline=None)
def test_fenchel_young(loss, seed, scale):
    rng = np.random.default_rng(seed)
    C = 3
    Y = targets(loss, 8, C, rng)
    F, G = scale * rng.standard_normal((2, 8, C))
    V = loss.gradient(G, Y)  # always in the dual domain
    pairing = np.sum(V * F, axis=1)
    slack = loss.value(F, Y) + loss.conjugate(V, Y) - pairing
    assert np.all(slack >= -1e-9 * (1 + np.abs(pairing)))
    tight = loss.value(G, Y) + loss.conjugate(V, Y) - np.sum(V * G, axis=1)
    np.testing.assert_allclose(tight, 0, atol=1e-8 * (1 + scale**2))


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_gradient_and_hessian_match_differences(loss, rng):
    Y = targets(loss, 50, 3, rng)
    F, V = rng.standard_normal((2, 50, 3))
    h = 1e-6
    slope = (loss.value(F + h * V, Y) - loss.value(F - h * V, Y)) / (2 * h)
    np.testing.assert_allclose(slope, np.sum(loss.gradient(F, Y) * V, axis=1), atol=1e-7)
    bend = (loss.gradient(F + h * V, Y) - loss.gradient(F - h * V, Y)) / (2 * h)
    smooth = np.abs(bend - loss.hessian_product(F, Y, V)).max(axis=1) < 1e-6
    assert smooth.mean() > 0.95  # kinks of Huber and hinge are rare
    product, diagonal = loss.second_derivative(F, Y)
    np.testing.assert_allclose(product(V), loss.hessian_product(F, Y, V), atol=1e-14)
    first = np.eye(3)[[0] * 50]
    np.testing.assert_allclose(diagonal[:, 0], product(first)[:, 0], atol=1e-14)
    quadratic = np.sum(V * loss.hessian_product(F, Y, V), axis=1)
    assert np.all(quadratic <= loss.curvature(F, Y) * np.sum(V * V, axis=1) + 1e-12)
    assert np.all(loss.curvature(F, Y) <= loss.smoothness + 1e-12)


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_conjugate_is_infinite_outside_the_domain(loss, rng):
    Y = targets(loss, 5, 3, rng)
    far = loss.conjugate(np.full_like(Y, 5.0), Y)
    if loss.name == "squared":
        assert np.all(np.isfinite(far))
    else:
        assert np.all(np.isinf(far))
    assert np.all(loss.conjugate(np.zeros_like(Y), Y) <= 0)  # every loss is >= 0


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_smoothing_stays_close(loss, rng):
    F, Y = 3 * rng.standard_normal((300, 3)), targets(loss, 300, 3, rng)
    smooth = loss.smoothed(0.2)
    assert not smooth.sharp
    assert smooth.smoothed(0.1) == smooth
    difference = loss.value(F, Y) - smooth.value(F, Y)
    assert difference.min() >= -1e-12
    assert difference.max() <= 3 * 0.1 + 1e-12


def test_names_and_mistakes():
    assert set(LOSSES) == {"squared", "huber", "logistic", "hinge", "pinball", "softmax"}
    assert {loss.name for loss in ALL_LOSSES} == {*LOSSES, *LOG_LINK}  # laws are about all
    with pytest.raises(ValueError, match="loss='nope' is unknown; choose one of"):
        get_loss("nope")
    with pytest.raises(ValueError, match="delta must be a positive number"):
        Huber(-1)
    with pytest.raises(ValueError, match="targets -1 or \\+1"):
        get_loss("hinge").check_targets(np.array([[0.0], [1.0]]))
    with pytest.raises(ValueError, match="one-hot"):
        get_loss("softmax").check_targets(np.array([[1.0, 1.0]]))


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
@pytest.mark.parametrize("size", [0.1, 3.0])  # values rise up to the end, or only at first
def test_no_multiple_of_a_dual_point_is_better_than_the_best(loss, size, rng):
    problem = Problem(rng.standard_normal((40, 2)), targets(loss, 40, 3, rng), loss, 0.1)
    Lam = problem.dual_point(size * rng.standard_normal((40, 3)))
    for limit in (0.1, 1.0):
        scale, value = problem.best_scale(Lam, limit)
        assert 0 <= scale <= limit
        assert value == problem.dual_value(scale * Lam)
        others = [problem.dual_value(s * Lam) for s in np.linspace(0, limit, 200)]
        assert value >= max(others) - 1e-6
