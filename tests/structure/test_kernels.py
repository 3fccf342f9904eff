"""One-dimensional classifiers by a kernel matrix, and the tangent kernel."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import (
    Network,
    Problem,
    TangentKernelRegressor,
    decision_regions,
    solve_ramp_svm,
    solve_spline,
    tangent_kernel,
)


def mixture(seed):
    """The paper's section 6: five clusters of alternating labels."""
    rng = np.random.default_rng(seed)
    centre = rng.choice([-2, -1, 0, 1, 2], rng.integers(15, 80))
    x = centre + 0.25 * rng.standard_normal(len(centre))
    return x, np.where(np.isin(centre, [-1, 0, 2]), 1.0, -1.0), 10 ** rng.uniform(-3.5, -1.5)


@pytest.mark.parametrize("seed", range(8))
def test_decision_regions_of_the_spline_are_those_of_the_l1_svm(seed):
    x, y, weight_decay = mixture(seed)
    network = solve_ramp_svm(x, y, weight_decay)
    spline = solve_spline(x, y, weight_decay=weight_decay, loss="hinge", tol=1e-9)
    problem = Problem(x, y, "hinge", weight_decay)
    assert network.objective(problem) == pytest.approx(spline.certificate.objective, rel=1e-9)
    (one, left), (two, right) = decision_regions(network), decision_regions(spline.network)
    assert np.array_equal(left, right)
    assert np.allclose(one, two, atol=1e-9)


def test_weights_count_as_repeats():
    x, y, weight_decay = mixture(3)
    weights = np.random.default_rng(0).integers(1, 4, len(x))
    repeated = solve_ramp_svm(np.repeat(x, weights), np.repeat(y, weights), weight_decay)
    weighted = solve_ramp_svm(x, y, weight_decay, sample_weight=weights)
    problem = Problem(x, y, "hinge", weight_decay, sample_weight=weights)
    assert weighted.objective(problem) == pytest.approx(repeated.objective(problem), rel=1e-9)
    with pytest.raises(ValueError, match="one feature, got 2"):
        solve_ramp_svm(np.zeros((3, 2)), [1, -1, 1], 0.1)


def test_decision_regions_of_known_networks():
    tent = Network([[1.0, 1.0, -1.0]], [1.0, 0.0, 0.0], [[1.0], [-2.0], [0.0]], [-0.5])
    boundaries, signs = decision_regions(tent)
    assert boundaries == pytest.approx([-0.5, 0.5])
    assert signs.tolist() == [-1, 1, -1]
    far = Network([[1.0]], [0.0], [[1e-3]], [-1.0])
    assert decision_regions(far)[0] == pytest.approx([1000.0])
    flat = Network(np.zeros((1, 0)), np.zeros(0), np.zeros((0, 1)), [-1.0])
    assert [part.tolist() for part in decision_regions(flat)] == [[], [-1.0]]
    with pytest.raises(ValueError, match="one feature and one output"):
        decision_regions(Network(np.ones((2, 1)), [0.0], [[1.0]], [0.0]))


@parametrize_with_checks([TangentKernelRegressor()])
def test_estimator_contract(estimator, check):
    check(estimator)


def test_tangent_kernel_is_the_expected_gradient_product():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3))
    W = rng.standard_normal((400_000, 3))
    on = (W @ a > 0) & (W @ b > 0)
    hidden = 2 * np.mean(on) * (a @ b)
    output = 2 * np.mean(np.maximum(W @ a, 0) * np.maximum(W @ b, 0))
    assert tangent_kernel(a[None], b[None])[0, 0] == pytest.approx(hidden + output, rel=2e-2)


def test_interpolates_with_a_bias_and_not_without():
    x, y = np.linspace(-1, 1, 9)[:, None], np.cos(np.arange(9.0))
    assert np.allclose(TangentKernelRegressor().fit(x, y).predict(x), y, atol=1e-6)
    assert np.linalg.matrix_rank(tangent_kernel(x, x)) == 2
    plain = TangentKernelRegressor(bias="none").fit(x, y)
    assert np.abs(plain.predict(x) - y).max() > 0.1
