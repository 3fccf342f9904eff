"""Deep networks as values, whitening, and the one-dimensional problems."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless import RowWhitener, whiten, whitened
from gapless.closed.scalar import critical_weight_decay, deep_prox, envelope_minimum, ray_minimum
from gapless.core.deep_network import DeepNetwork, ParallelNetwork
from gapless.core.hypotheses import HypothesisError
from gapless.core.problem import Problem

GOLDEN = [
    (2, 2, 0.5, 0.875, 1.5),
    (3, 2, 0.3, 0.684737814092, 1.751104386495),
    (3, 2, 0.99, 1.984925613122, 1.014853752903),
    (3, 2, 1.01, 2, 0),
    (4, 2, 0.5, 1.344898383291, 1.605377940480),
    (5, 1.5, 0.2, 0.574865030211, 1.331573296178),
]


@pytest.mark.parametrize(("depth", "s", "beta", "value", "minimiser"), GOLDEN)
def test_prox_golden_values(depth, s, beta, value, minimiser):
    np.testing.assert_allclose(deep_prox(s, beta, depth), (value, minimiser), atol=1e-12)


@given(
    st.floats(0, 10), st.floats(1e-6, 10), st.integers(2, 7)
)  # fmt: skip
def test_prox_is_the_global_minimum(s, beta, depth):
    value, r = deep_prox(s, beta, depth)
    grid = np.concatenate([np.linspace(0, s, 400), [r * 0.999, r * 1.001]])
    values = 0.5 * (s - grid) ** 2 + 0.5 * beta * depth * grid ** (2 / depth)
    assert value <= values.min() + 1e-10
    assert value == pytest.approx(0.5 * (s - r) ** 2 + 0.5 * beta * depth * r ** (2 / depth))


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_path_jumps_at_the_critical_strength(depth):
    s = 1.7
    critical = critical_weight_decay(s, depth)
    below, above = deep_prox(s, critical * (1 - 1e-9), depth), deep_prox(s, critical, depth)
    assert below[1] == pytest.approx(s * (depth - 2) / (depth - 1), rel=1e-6)
    assert above[1] == 0
    assert below[0] == pytest.approx(above[0], rel=1e-8)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("beta", [0.01, 0.4, 0.9, 3.0])
def test_ray_minimum_agrees_with_the_prox_and_proves_it(depth, beta):
    value, r = deep_prox(2.0, beta, depth)
    rho, found, lower = ray_minimum(
        lambda x: (0.5 * (2 - x) ** 2, x - 2), 0.5 * beta * depth, depth, 5.0
    )
    assert found == pytest.approx(float(value), rel=1e-13)
    assert rho == pytest.approx(float(r), abs=1e-9)
    assert found - 1e-11 <= lower <= found


@given(st.integers(0, 1000), st.integers(2, 5))
def test_envelope_minimum_is_the_minimum(seed, depth):
    rng = np.random.default_rng(seed)
    d, c = rng.normal(size=6), rng.uniform(0, 2, size=6)
    d0, c0 = np.append(d, 0.0), np.append(c, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = ((d0[:, None] - d0) / (c0[:, None] - c0)).ravel()
    # every crossing of two lines, and a grid that must not find anything lower
    rho = np.concatenate([[0], rho[np.isfinite(rho) & (rho > 0)], np.logspace(-9, 2, 2000)])
    brute = np.max(d0[:, None] - c0[:, None] * rho, axis=0) + 0.3 * rho ** (2 / depth)
    assert envelope_minimum(d, c, 0.3, depth) == pytest.approx(brute.min(), abs=1e-9)


def test_network_predicts_balances_and_refuses():
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), rng.normal(size=(5, 2)))
    X, Y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    net = DeepNetwork(weights)
    F = np.maximum(np.maximum(X @ weights[0], 0) @ weights[1], 0) @ weights[2]
    np.testing.assert_allclose(net.predict(X), F, atol=1e-14)
    problem = Problem(X, Y, weight_decay=0.3, bias="none")
    expected = 0.5 * np.sum((F - Y) ** 2) / 6 + 0.15 * sum(np.sum(W**2) for W in weights)
    assert net.objective(problem) == pytest.approx(expected, rel=1e-14)
    balanced = net.balance()
    np.testing.assert_allclose(balanced.predict(X), F, atol=1e-12)
    assert balanced.penalty() <= net.penalty()
    biased = DeepNetwork(weights, (np.ones(4), np.zeros(5), np.ones(2)))
    assert biased.predict(X).shape == (6, 2)
    with pytest.raises(ValueError, match="bias='free'"):
        biased.objective(problem)
    with pytest.raises(ValueError, match="consecutive shapes"):
        DeepNetwork((weights[0], weights[2]))
    with pytest.raises(ValueError, match="biases must have the shapes"):
        DeepNetwork(weights, (np.ones(4),))
    with pytest.raises(ValueError, match="expects 3"):
        net.predict(np.ones((2, 4)))
    linear = DeepNetwork(weights, activation="linear")
    np.testing.assert_allclose(linear.predict(X), X @ weights[0] @ weights[1] @ weights[2])


def test_fixed_form_is_infinite_outside_its_constraints():
    branch = DeepNetwork((np.full((1, 1), 2.0), np.eye(1), np.eye(1)))
    assert ParallelNetwork((branch,), 1, "fixed", 1.0).penalty() == np.inf
    assert ParallelNetwork((branch,), 1, "fixed", 2.0).penalty() == 1.0
    assert ParallelNetwork((branch,), 1).penalty() == pytest.approx(0.5 * (8 + 1 + 1))


def test_whitening():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 9))
    np.testing.assert_allclose(whiten(X) @ whiten(X).T, np.eye(5), atol=1e-13)
    whitener = RowWhitener(scale=3.0).fit(X)
    new = rng.normal(size=(2, 9))
    _U, s, Vt = np.linalg.svd(X, full_matrices=False)
    np.testing.assert_allclose(whitener.transform(new), 3 * new @ Vt.T / s @ Vt, atol=1e-12)
    with pytest.raises(HypothesisError, match="rank of X is 5") as caught:
        whiten(X.T)
    assert caught.value.check.violation == 4
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_whitened_wraps_an_estimator():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 9)), rng.normal(size=5)
    model = whitened(Ridge(alpha=1e-10, fit_intercept=False)).fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-8)
