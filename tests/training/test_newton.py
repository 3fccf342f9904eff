"""Newton's method with softened kinks."""

import numpy as np
import pytest

from gapless import Network, Problem, train
from gapless.training.descent import descend
from gapless.training.newton import _Point, sharpen, worthwhile

LOSSES = ["squared", "huber", "logistic", "softmax"]


def problem_and_network(loss, bias, n_outputs=1, m=6, seed=0):
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((40, 3)), rng.uniform(0.5, 2, 40)
    if loss == "softmax":
        Y = np.eye(3)[rng.integers(3, size=40)]
    elif loss == "logistic":
        Y = rng.choice([-1.0, 1.0], size=(40, 1))
    else:
        Y = rng.standard_normal((40, n_outputs))
    problem = Problem(X, Y, loss, 0.01, bias, w)
    C = Y.shape[1]
    b, c = (rng.standard_normal(m), rng.standard_normal(C)) if bias == "free" else (0.0, 0.0)
    U, a = rng.standard_normal((3, m)), rng.standard_normal((m, C))
    return problem, Network(U, b + np.zeros(m), a, c + np.zeros(C))


@pytest.mark.parametrize("bias", ["free", "none"])
@pytest.mark.parametrize("loss", LOSSES)
def test_goes_below_where_the_smooth_descent_ends(loss, bias):
    problem, network = problem_and_network(loss, bias)
    for _ in range(3):
        network = descend(problem, network, lambda: False)
    sharpened = sharpen(problem, network, lambda: False)
    assert sharpened.objective(problem) < network.objective(problem) - 1e-9
    if bias == "none":
        assert not np.any(sharpened.hidden_bias)
        assert not np.any(sharpened.output_bias)


@pytest.mark.parametrize("bias", ["free", "none"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_predicted_gain_is_the_gain_of_a_short_step(bias, n_outputs, monkeypatch):
    # of a step that is nearly all damping: -slope . move, so the slope of all weights is right
    problem, network = problem_and_network("squared", bias, n_outputs)
    monkeypatch.setattr("gapless.training.newton.LEAST_DAMPING", 1e10)
    point = _Point.of(problem, network)
    point.damping = 1e10
    point.soften(0.3)
    before = point.value
    gain = point.step()
    assert before - point.value == pytest.approx(gain, rel=1e-4)


def test_converges_fast_to_a_stationary_point():
    # planted neuron, no kink in between: the Hessian is exact but for its damping
    X = np.random.default_rng(3).standard_normal((60, 4))
    Y = np.maximum(X @ [1.0, -0.5, 0.2, 0.0], 0)
    problem = Problem(X, Y, "squared", 0.01, "none")
    start = Network(np.eye(4)[:, :1], np.zeros(1), np.ones((1, 1)), np.zeros(1))
    point = _Point.of(problem, start)
    point.soften(1e-4)
    gains = [point.step() for _ in range(15)]
    assert gains[0] > 1e-3 * point.value
    assert gains[-1] < 1e-11 * point.value


def test_work_stop_and_empty_networks():
    problem, network = problem_and_network("squared", "free")
    assert worthwhile(problem, network)
    empty = Network(np.zeros((3, 0)), np.zeros(0), np.zeros((0, 1)), np.zeros(1))
    assert not worthwhile(problem, empty)
    assert sharpen(problem, empty, lambda: False).n_neurons == 0
    large = Problem(np.ones((30_000, 3)), np.ones(30_000), "squared", 0.1, "none")
    assert not worthwhile(large, network)
    asked = []
    sharpen(problem, network, lambda: bool(asked.append(1)) or len(asked) == 3)
    assert len(asked) == 3


def test_a_matrix_that_cannot_be_factored_leaves_the_network_as_it_was(monkeypatch):
    problem, network = problem_and_network("squared", "none")

    def fail(*_, **__):
        raise np.linalg.LinAlgError

    monkeypatch.setattr("gapless.training.newton.scipy.linalg.cho_factor", fail)
    assert sharpen(problem, network, lambda: False) is network


def test_training_is_better_for_it(monkeypatch):
    # joins find much of the same
    monkeypatch.setattr("gapless.training.effort.Effort.joins", lambda *_: False)
    gains = []
    for seed in range(3):  # where one run ends hangs on the last digits
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((80, 6))
        problem = Problem(X, rng.standard_normal(80), "squared", 1e-4, "penalized")
        found = {}
        for used in (True, False):
            monkeypatch.setattr("gapless.training.newton.MOST_WORK", 1e12 * used)
            found[used] = train(problem, tol=1e-6, max_iter=12).certificate.objective
        gains.append(1 - found[True] / found[False])
    assert np.mean(gains) > 2e-3


def test_work_counts_the_factorisation_of_many_rows():
    X = np.random.default_rng(0).standard_normal((3000, 2))
    problem = Problem(X, X[:, 0], "squared", 0.1, "none")
    network = Network(np.eye(2), np.zeros(2), np.ones((2, 1)), np.zeros(1))
    assert not worthwhile(problem, network)


def test_no_step_is_taken_once_time_is_up():
    problem, network = problem_and_network("squared", "free")
    assert sharpen(problem, network, lambda: True) is network


def test_tiny_weights_do_not_overflow():
    problem, network = problem_and_network("squared", "free")
    weights = np.where(np.arange(40) < 20, 1.0, 1e-308)
    few = Problem(problem.X, problem.Y, "squared", 0.01, "free", weights)
    before = network.objective(few)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        assert sharpen(few, network, lambda: False).objective(few) < before
