"""Theorem 2: what no hidden map can beat before a layer trained on pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from gapless import KernelNetworkClassifier, pair_target
from gapless.kernels.machine import Kernel, KernelMachine


def layer(centres, coefficients):
    return KernelMachine(centres, coefficients, np.zeros(coefficients.shape[1]), Kernel(1.0))


@given(
    seed=st.integers(0, 10_000),
    log_tau=st.floats(-3, 1),
    size=st.floats(-2, 2),
    scale=st.floats(0.1, 3),
    power=st.sampled_from([1.0, 2.0, 3.5]),
)
def test_no_hidden_map_and_no_layer_are_below_the_bound(seed, log_tau, size, scale, power):
    rng = np.random.default_rng(seed)
    F, labels = 3 * rng.standard_normal((14, 2)), np.arange(14) % rng.integers(2, 4)
    target = np.eye(3)[labels] * 10.0  # a map near the best one
    for hidden in (F, target, F + 5 * labels[:, None]):
        A = 10.0**size * (
            rng.standard_normal((14, 2)) if hidden is F else np.eye(2, 3)[:, labels].T
        )
        found = pair_target(
            layer(hidden, A), hidden, labels, 10.0**log_tau, scale=scale, power=power
        )
        assert 0 <= found.lower_bound <= found.objective * (1 + 1e-9)


@pytest.mark.parametrize("tau", [0.01, 0.1, 0.5])
def test_two_classes_at_the_target_attain_it(tau):
    """Kernel 1 within and 0 across: the best W there is the bound's."""
    labels = np.arange(12) % 3 // 2  # four of one, eight of the other
    hidden = 100.0 * labels[:, None]
    sides = 1.0 / np.bincount(labels)[labels] * np.where(labels, 1.0, -1.0)

    def objective(r):
        return pair_target(layer(hidden, r * sides[:, None] / np.sqrt(2)), hidden, labels, tau)

    best = minimize_scalar(
        lambda r: objective(r).objective, bounds=(0.4, 8), method="bounded", options={"xatol": 1e-9}
    )
    found = objective(0.0)
    assert min(best.fun, found.objective) == pytest.approx(found.lower_bound, rel=1e-6)
    assert found.holds == (tau < found.threshold)


def test_from_the_threshold_on_nothing_is_worth_its_price():
    labels = np.arange(10) % 2
    machine = layer(np.zeros((1, 1)), np.zeros((1, 1)))
    across = 50 / 90
    edge = pair_target(machine, np.zeros((10, 1)), labels, 1.0).threshold
    for share, holds in ((0.999, True), (1.001, False)):
        found = pair_target(machine, np.zeros((10, 1)), labels, share * edge)
        assert found.holds == holds
        assert found.objective == pytest.approx(across)  # W = 0
        assert (found.lower_bound < across * (1 - 1e-6)) == holds


def test_on_layers_that_were_trained_so(rng):
    X, y = rng.standard_normal((60, 3)), np.arange(60) % 2
    X[:, 0] += 2 * y
    model = KernelNetworkClassifier(2, hidden="srs", epochs=20, weight_decay=0.1).fit(X, y)
    first, second = (layer.machine for layer in model.hidden_)
    hidden = first.outputs(X)
    found = pair_target(second, hidden, y, 0.05)
    assert found.holds
    assert found.objective >= found.lower_bound > 0
    with pytest.raises(ValueError, match="at most 2000 samples"):
        pair_target(second, hidden, np.zeros(2001), 0.05)
    with pytest.raises(ValueError, match="tau must be"):
        pair_target(second, hidden, y, -1)
