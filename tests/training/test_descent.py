"""Joint descent on all weights."""

import numpy as np
import pytest

from gapless import Network, Problem
from gapless.training.descent import Descent, descend
from gapless.training.random_network import random_network


def problem_and_network(loss, bias, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 3))
    Y = np.eye(2)[rng.integers(2, size=30)] if loss == "softmax" else rng.standard_normal((30, 2))
    problem = Problem(X, Y, loss, 0.01, bias, rng.uniform(0.5, 2, 30))
    b, c = (rng.standard_normal(4), rng.standard_normal(2)) if bias == "free" else (0, 0)
    U, a = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    return problem, Network(U, b + np.zeros(4), a, c + np.zeros(2))


@pytest.mark.parametrize("width", [0.0, 0.3])
@pytest.mark.parametrize("loss", ["squared", "huber", "softmax"])
def test_gradient_agrees_with_differences(loss, width):
    problem, network = problem_and_network(loss, "free")
    weights = [
        network.hidden_weights, network.hidden_bias, network.output_weights, network.output_bias
    ]  # fmt: skip
    descent, e = Descent(problem, np.float64), width * np.arange(1.0, 5.0)
    slopes = descent.data_fit(*weights, e)[1]
    for i, slope in zip((0, 2, 1, 3), slopes):
        index = tuple(np.array(weights[i].shape) // 2)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [w.copy() for w in weights]
            moved[i][index] += step
            ends.append(descent.data_fit(*moved, e)[0])
        assert slope[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_softened_fit_is_that_of_the_softened_network():
    problem, network = problem_and_network("squared", "none")
    U, a, e = network.hidden_weights, network.output_weights, np.arange(1.0, 5.0)
    S = problem.X @ U
    F = 0.5 * (S + np.hypot(S, e)) @ a
    fit = Descent(problem, np.float64).data_fit(U, np.zeros(4), a, np.zeros(2), e)[0]
    assert fit == pytest.approx(problem.data_fit(F), rel=1e-12)


def test_softened_kinks_pass_where_plain_descent_stalls():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 30))
    Y = np.maximum(X @ rng.standard_normal((30, 20)), 0) @ rng.standard_normal((20, 1))
    Y += 3 * rng.standard_normal((500, 1))
    problem = Problem(X, (Y - Y.mean()) / Y.std(), weight_decay=1e-2, bias="none")
    start = random_network(problem, np.zeros(1), rng)
    plain = descend(problem, start, lambda: False)
    soft = start
    for width in (0.1, 0.02, 0.0):
        soft = descend(problem, soft, lambda: False, width)
    assert soft.objective(problem) < 0.985 * plain.objective(problem)


def test_single_precision_is_near_double_and_never_worse_than_the_start():
    problem, network = problem_and_network("squared", "free")
    double = descend(problem, network, lambda: False)
    single = descend(problem, network, lambda: False, single=True)
    assert single.objective(problem) == pytest.approx(double.objective(problem), rel=0.02)
    assert not np.array_equal(single.hidden_weights, double.hidden_weights)
    # once more from there: nothing left to gain but rounding
    again = descend(problem, double, lambda: False, single=True)
    assert again.objective(problem) <= double.objective(problem)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_targets_stay_in_double_precision(scale):
    problem, network = problem_and_network("squared", "none")
    far = Problem(problem.X, scale * problem.Y, "squared", scale * 0.01, "none")
    root = np.sqrt(scale)
    scaled = Network(
        root * network.hidden_weights, np.zeros(4), root * network.output_weights, np.zeros(2)
    )
    a, b = (descend(far, scaled, lambda: False, 0.0, single) for single in (True, False))
    assert np.array_equal(a.hidden_weights, b.hidden_weights)
    assert a.objective(far) < scaled.objective(far)


@pytest.mark.parametrize("loss", ["squared", "huber", "softmax"])
@pytest.mark.parametrize("bias", ["free", "none"])
def test_objective_falls_and_fixed_biases_stay(loss, bias):
    problem, network = problem_and_network(loss, bias)
    refined = descend(problem, network, lambda: False)
    assert refined.objective(problem) < 0.95 * network.objective(problem)
    if bias == "none":
        assert not np.any(refined.hidden_bias)
        assert not np.any(refined.output_bias)


def test_stop_ends_after_one_step_and_an_empty_network_is_kept():
    problem, network = problem_and_network("squared", "free")
    steps = []
    descend(problem, network, lambda: bool(steps.append(1)) or True)
    assert len(steps) == 1
    empty = Network(np.zeros((3, 0)), np.zeros(0), np.zeros((0, 2)), np.zeros(2))
    assert descend(problem, empty, lambda: False).n_neurons == 0
