"""Extreme points, interpolation by them, and what trained neurons compare."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from gapless import Problem, train
from gapless.structure.extreme_points import compare_samples, extreme_points


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.mark.parametrize("d", [2, 3, 5])
def test_vertices_are_those_of_qhull(d):
    X = gaussian(150, d) * 0.3 ** np.arange(d) + 7.0
    points = extreme_points(X)
    assert np.array_equal(np.flatnonzero(points.is_vertex), np.sort(ConvexHull(X).vertices))
    assert np.all(points.height <= points.distance + 1e-8)
    assert np.allclose(points.height, points.distance, atol=1e-8)


def test_distance_and_mixture_agree_with_clarabel():
    X = gaussian(25, 6)
    points = extreme_points(X, samples=[3, 11, 20])
    for row, i in enumerate(points.samples):
        mu = cp.Variable(25, nonneg=True)
        problem = cp.Problem(cp.Minimize(cp.norm(X[i] - mu @ X)), [cp.sum(mu) == 1, mu[i] == 0])
        assert points.distance[row] == pytest.approx(problem.solve(solver="CLARABEL"), abs=1e-6)
        assert np.allclose(points.mixture[[row]].toarray()[0], mu.value, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 30), st.integers(1, 40), st.integers(0, 10**6), st.floats(1e-6, 1e6))
def test_a_neuron_fires_on_its_sample_only(n, d, seed, scale):
    X = scale * (gaussian(n, d, seed) + 3)
    points = extreme_points(X)
    Z = X @ points.hidden_weights + points.hidden_bias
    on = points.is_vertex
    assert np.allclose(Z[np.arange(n), np.arange(n)][on], points.height[on], rtol=1e-9)
    Z[np.arange(n), np.arange(n)] = -1
    assert np.all(Z[:, on] <= 1e-12 * np.abs(X).max() * np.sqrt(d) * 10)
    assert np.allclose(np.linalg.norm(points.hidden_weights[:, on], axis=0), 1)
    assert np.allclose(points.mixture.sum(axis=1), 1)
    assert np.allclose(points.mixture.diagonal(), 0)
    residual = np.linalg.norm(X - points.mixture @ X, axis=1)
    assert np.allclose(residual, points.distance, rtol=1e-9, atol=1e-9 * scale)


def test_vertices_interpolate_any_targets():
    X, Y = gaussian(30, 20), gaussian(30, 2, 1)
    network = extreme_points(X).network(Y)
    assert np.allclose(network.predict(X), Y, atol=1e-10)


def test_samples_inside_the_hull_and_duplicates():
    X = np.vstack([np.eye(3), np.full((1, 3), 1 / 3), [[2.0, 2, 2]], [[2.0, 2, 2]]])
    points = extreme_points(X)
    assert points.is_vertex.tolist() == [True, True, True, False, False, False]
    assert np.all(points.hidden_weights[:, 3:] == 0)
    with pytest.raises(ValueError, match="3 of 6 samples lie in the hull"):
        points.network(np.ones(6))
    with pytest.raises(ValueError, match="give two"):
        extreme_points([[1.0, 2.0]])
    with pytest.raises(ValueError, match="from 0 to 5"):
        extreme_points(X, [6])


@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
def test_optimal_neurons_are_combinations_of_samples(bias):
    X = gaussian(12, 2)
    y = np.sin(2 * X[:, 0]) + X[:, 1]
    problem = Problem(X, y, weight_decay=0.05, bias=bias)
    solution = train(problem, tol=1e-9)
    network = solution.network
    assert network.n_neurons > 1
    for j in range(network.n_neurons):
        comparison = compare_samples(problem, network, j)
        alpha, k = comparison.coefficients, comparison.kink
        assert comparison.residual < 1e-3
        u = network.hidden_weights[:, j] / np.linalg.norm(network.hidden_weights[:, j])
        if bias == "free":  # Corollary 1
            assert abs(alpha.sum()) < 1e-2
            assert k.size > 0
            assert np.allclose(alpha @ (X - X[k[0]]), u, atol=2e-2)
        elif bias == "none":
            assert np.allclose(alpha @ X, u, atol=1e-2)


def test_a_neuron_far_from_optimal_is_told_so():
    X, y = gaussian(12, 2), gaussian(12, 1, 1)
    problem = Problem(X, y, weight_decay=0.05)
    network = train(problem).network.balance()
    shaken = type(network)(
        network.hidden_weights[::-1],
        network.hidden_bias,
        network.output_weights,
        network.output_bias,
    )
    assert compare_samples(problem, shaken, 0).residual > 0.1
    dead = type(network)(np.zeros((2, 1)), np.zeros(1), np.ones((1, 1)), np.zeros(1))
    with pytest.raises(ValueError, match="compares nothing"):
        compare_samples(problem, dead, 0)
