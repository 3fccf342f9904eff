"""Minimum-norm interpolation against closed forms, CVXPY and weak duality."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import (
    Problem,
    Status,
    extreme_points,
    interpolate,
    l0_l1_equivalence,
    train,
    two_neuron_interpolation,
    whiten,
)


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def on_samples(solution, X, Y):
    assert np.allclose(solution.network.predict(X), Y, atol=1e-8 * max(1, np.abs(Y).max()))
    assert solution.certificate.lower_bound <= solution.certificate.objective * (1 + 1e-9)
    lower = float(np.sum(solution.dual * Y))
    assert lower == pytest.approx(solution.certificate.lower_bound, rel=1e-9)


def test_curve_pays_its_turns():
    """1-D: R* = max(sum |slope changes|, |first + last slope|) of the interpolating spline."""
    x = np.sort(gaussian(12, 1)[:, 0]) * 3
    y = gaussian(12, 1, 1)
    solution = interpolate(x[:, None], y)
    slopes = np.diff(y[:, 0]) / np.diff(x)
    exact = max(np.abs(np.diff(slopes)).sum(), abs(slopes[0] + slopes[-1]))
    assert solution.certificate.objective == pytest.approx(exact, rel=1e-4)
    assert solution.status is Status.OPTIMAL
    on_samples(solution, x[:, None], y)
    values = [abs(solution.dual[:, 0] @ np.maximum(s * (x - t), 0)) for t in x for s in (1, -1)]
    assert max(values) <= 1 + 1e-9
    assert abs(solution.dual.sum()) < 1e-9


@pytest.mark.parametrize("bias", ["none", "penalized"])
def test_two_dimensions_against_all_patterns(bias):
    X, y = gaussian(7, 2, 3), gaussian(7, 1, 4)
    A = np.hstack([X, np.ones((7, 1))]) if bias == "penalized" else X
    H = gaussian(A.shape[1], 4000, 5)
    patterns = np.unique(A @ H > 0, axis=1).T
    total, cost, constraints = 0, 0, []
    for on in patterns:
        v, w = cp.Variable(A.shape[1]), cp.Variable(A.shape[1])
        total += cp.multiply(on, A @ (v - w))
        cost += cp.norm(v) + cp.norm(w)
        constraints += [cp.multiply(2 * on - 1, A @ p) >= 0 for p in (v, w)]
    program = cp.Problem(cp.Minimize(cost), [*constraints, total == y[:, 0]])
    solution = interpolate(X, y, bias=bias)
    assert solution.certificate.objective == pytest.approx(
        program.solve(solver="CLARABEL"), rel=2e-4
    )
    assert solution.status is Status.OPTIMAL
    on_samples(solution, X, y)


@pytest.mark.parametrize("oracle", ["search", "spike-free"])
def test_whitened_data_closed_form(oracle):
    X, y = whiten(gaussian(12, 20)), gaussian(12, 1, 1)
    solution = interpolate(X, y, bias="none", oracle=oracle)
    exact = np.linalg.norm(np.maximum(y, 0)) + np.linalg.norm(np.maximum(-y, 0))
    assert solution.certificate.objective == pytest.approx(exact, rel=1e-6)
    assert solution.network.n_neurons == 2
    assert solution.status is Status.OPTIMAL
    on_samples(solution, X, y)


def test_vector_outputs_in_both_norms():
    X, Y = whiten(gaussian(9, 12)), np.eye(3)[np.arange(9) % 3]
    for norm, oracle in (("l2", "search"), ("l1", "spike-free")):
        solution = interpolate(X, Y, bias="none", norm=norm, oracle=oracle)
        assert solution.certificate.objective == pytest.approx(3 * np.sqrt(3), rel=1e-3)
        on_samples(solution, X, Y)
    assert solution.status is Status.OPTIMAL
    Y = gaussian(9, 2, 2)
    l2, l1 = (interpolate(X, Y, bias="none", norm=norm) for norm in ("l2", "l1"))
    assert l2.certificate.objective < l1.certificate.objective
    # one problem an output
    sides = [np.linalg.norm(np.maximum(s * Y, 0), axis=0).sum() for s in (1, -1)]
    assert l1.certificate.objective == pytest.approx(sum(sides), rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 8), st.integers(1, 3), st.integers(0, 10**6), st.floats(0.01, 100))
def test_norm_scales_with_targets_and_bounds_every_network(n, d, seed, t):
    X, y = gaussian(n, d, seed), gaussian(n, 1, seed + 1)
    solution = interpolate(X, y, relaxations=False)
    on_samples(solution, X, y)
    scaled = interpolate(X, t * y + 3, relaxations=False)
    norm = solution.certificate.objective
    assert scaled.certificate.objective == pytest.approx(t * norm, rel=1e-2)
    points = extreme_points(X)
    if points.is_vertex.all():
        other = points.network(y).balance()
        assert other.penalty("free") >= solution.certificate.lower_bound


def test_training_tends_to_interpolation():
    X, y = gaussian(8, 2), gaussian(8, 1, 1)
    norm = interpolate(X, y).certificate.objective
    values = [
        train(Problem(X, y, weight_decay=w), tol=1e-6).certificate.objective / w
        for w in (1e-3, 1e-5)
    ]
    assert values[0] < values[1] <= norm * (1 + 1e-4)
    assert values[1] == pytest.approx(norm, rel=1e-2)


def test_relaxed_oracle_says_what_it_cannot_reach():
    X, y = gaussian(8, 2), gaussian(8, 1, 1)
    for bias in ("none", "free"):
        with pytest.raises(ValueError, match="out of reach of oracle='spike-free'"):
            interpolate(X, y, bias=bias, oracle="spike-free")


def test_samples_that_coincide():
    X, y = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 1.0]]), np.array([1.0, 1.0, 0.5])
    on_samples(interpolate(X, y), X, y[:, None])
    with pytest.raises(ValueError, match="remove duplicates"):
        interpolate(X, [1.0, 2.0, 0.5])
    with pytest.raises(ValueError, match="remove duplicates"):
        interpolate([[1.0, 0.0], [2.0, 0.0]], [1.0, 1.0], bias="none")
    constant = interpolate(X, np.full(3, 4.0))
    assert constant.network.n_neurons == 0
    assert constant.certificate.objective == 0
    assert np.allclose(constant.network.predict(X), 4.0)


def test_sparsest_network():
    X, y = gaussian(5, 7), gaussian(5, 1, 1)
    network = two_neuron_interpolation(X, y)
    assert network.n_neurons == 2
    assert np.allclose(network.predict(X), y)
    assert two_neuron_interpolation(X, np.abs(y)).n_neurons == 1
    with pytest.raises(ValueError, match="rank 2"):
        two_neuron_interpolation(gaussian(5, 2), y)
    with pytest.raises(ValueError, match="one target a sample"):
        two_neuron_interpolation(X, gaussian(5, 2))


def test_sparsest_is_shortest_on_whitened_data_only():
    y = gaussian(5, 1, 1)
    assert l0_l1_equivalence(whiten(gaussian(5, 7)), y).holds is True
    X = gaussian(5, 7, 2) + 1.5  # rows with large inner products
    answer = l0_l1_equivalence(X, y)
    assert answer.holds is False
    better = answer.shortest.network
    assert np.allclose(better.predict(X), y, atol=1e-8)
    assert better.penalty("none") < answer.norm
