"""Joint descent on all weights."""

import numpy as np
import pytest

from gapless import Network, Problem
from gapless.refine import _data_fit, refine


def problem_and_network(loss, bias, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 3))
    Y = np.eye(2)[rng.integers(2, size=30)] if loss == "softmax" else rng.standard_normal((30, 2))
    problem = Problem(X, Y, loss, 0.01, bias, rng.uniform(0.5, 2, 30))
    b, c = (rng.standard_normal(4), rng.standard_normal(2)) if bias == "free" else (0, 0)
    U, a = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    return problem, Network(U, b + np.zeros(4), a, c + np.zeros(2))


@pytest.mark.parametrize("loss", ["squared", "huber", "softmax"])
def test_gradient_agrees_with_differences(loss):
    problem, network = problem_and_network(loss, "free")
    weights = [
        network.hidden_weights, network.hidden_bias, network.output_weights, network.output_bias
    ]  # fmt: skip
    slopes = _data_fit(problem, *weights)[1]
    for i, slope in zip((0, 2, 1, 3), slopes):
        index = tuple(np.array(weights[i].shape) // 2)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [w.copy() for w in weights]
            moved[i][index] += step
            ends.append(_data_fit(problem, *moved)[0])
        assert slope[index] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("loss", ["squared", "huber", "softmax"])
@pytest.mark.parametrize("bias", ["free", "none"])
def test_objective_falls_and_fixed_biases_stay(loss, bias):
    problem, network = problem_and_network(loss, bias)
    refined = refine(problem, network, lambda: False)
    assert refined.objective(problem) < 0.95 * network.objective(problem)
    if bias == "none":
        assert not np.any(refined.hidden_bias)
        assert not np.any(refined.output_bias)


def test_stop_ends_after_one_step_and_an_empty_network_is_kept():
    problem, network = problem_and_network("squared", "free")
    steps = []
    refine(problem, network, lambda: bool(steps.append(1)) or True)
    assert len(steps) == 1
    empty = Network(np.zeros((3, 0)), np.zeros(0), np.zeros((0, 2)), np.zeros(2))
    assert refine(problem, empty, lambda: False).n_neurons == 0
