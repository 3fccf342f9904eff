"""The paper's cutting plane: what it reaches, and that its status tells the truth."""

import cvxpy as cp
import numpy as np
import pytest

from gapless import Problem, Status, solve_whitened_relu, spike_free_test, train, whiten
from gapless.gauge.spike_free_search import RelaxedOracle, cone_maximum


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def cone_program(A, y, weight_decay):
    """Its fixed point: two neurons that are active on every sample."""
    v, w = cp.Variable(A.shape[1]), cp.Variable(A.shape[1])
    cost = 0.5 * cp.sum_squares(A @ (v - w) - y[:, 0]) / len(y)
    cost += weight_decay * (cp.norm(v) + cp.norm(w))
    return cp.Problem(cp.Minimize(cost), [A @ v >= 0, A @ w >= 0]).solve(solver="CLARABEL")


def test_cone_maximum_against_clarabel():
    A, lam = np.abs(gaussian(8, 4)) + 0.3 * gaussian(8, 4, 1), gaussian(8, 1, 2)[:, 0]
    u = cp.Variable(4)
    value = cp.Problem(cp.Maximize(lam @ A @ u), [A @ u >= 0, cp.norm(u) <= 1]).solve(
        solver="CLARABEL"
    )
    w = cone_maximum(A, lam)[0]
    assert np.linalg.norm(w) == pytest.approx(value, abs=1e-6)
    assert np.all(A @ w >= -1e-9)


@pytest.mark.parametrize("shape", [(6, 3), (8, 8)])
def test_stops_at_the_cone_program_and_does_not_call_it_proven(shape):
    A, y = np.abs(gaussian(*shape, 1)), gaussian(shape[0], 1, 2)
    assert spike_free_test(A).holds is False
    problem = Problem(A, y, weight_decay=0.01, bias="none")
    relaxed = train(problem, oracle="spike-free", tol=1e-5)
    assert relaxed.certificate.objective == pytest.approx(cone_program(A, y, 0.01), rel=1e-4)
    exact = train(problem, tol=1e-4, time_limit=20)
    assert exact.certificate.objective < relaxed.certificate.objective * (1 - 1e-3)
    assert not relaxed.status.proven
    assert relaxed.certificate.lower_bound <= exact.certificate.objective


def test_spike_free_data_are_solved_and_proven():
    rng = np.random.default_rng(0)
    for X in (whiten(gaussian(10, 14)), np.diag(rng.random(5) + 0.5)):
        y = gaussian(len(X), 1, 3)
        problem = Problem(X, y, weight_decay=0.02, bias="none")
        solution = train(problem, oracle="spike-free", tol=1e-6)
        assert solution.status is Status.OPTIMAL
        assert solution.network.n_neurons <= 2
        assert solution.certificate.objective == pytest.approx(
            train(problem, tol=1e-6).certificate.objective, rel=1e-5
        )


def test_whitened_one_hot_matches_the_closed_form():
    X, Y = whiten(gaussian(30, 40)), np.eye(5)[np.arange(30) % 5]
    problem = Problem(X, Y, weight_decay=0.01, bias="none")
    solution = train(problem, oracle="spike-free", tol=1e-6)
    closed = solve_whitened_relu(X, Y, 0.01)
    assert solution.certificate.objective == pytest.approx(closed.objective, rel=1e-5)


def test_with_a_free_bias_it_trains_a_linear_model():
    X = gaussian(30, 3)
    y = np.abs(X[:, :1]) + X[:, 1:2]
    solution = train(Problem(X, y, weight_decay=0.01), oracle="spike-free", tol=1e-6)
    w, c = cp.Variable(3), cp.Variable()
    cost = 0.5 * cp.sum_squares(X @ w + c - y[:, 0]) / 30 + 0.01 * cp.norm(w)
    linear = cp.Problem(cp.Minimize(cost)).solve(solver="CLARABEL")
    assert solution.certificate.objective == pytest.approx(linear, rel=1e-5)
    assert not solution.status.proven
    network = solution.network
    assert np.all(X @ network.hidden_weights + network.hidden_bias >= -1e-8)


def test_finds_nothing_where_no_direction_is_positive_on_all_samples():
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    found = RelaxedOracle(X, False).search(np.ones((3, 1)), np.zeros((2, 0)), 1)
    assert len(found) == 0 or found.value.max() < 1e-9


def test_unknown_oracle():
    with pytest.raises(ValueError, match="oracle='magic' is unknown"):
        train(Problem([[1.0], [2.0]], [1.0, 2.0]), oracle="magic")


def test_tall_centred_data_without_bias_stay_without_neurons():
    X = gaussian(100, 4)
    solution = train(
        Problem(X, np.abs(X[:, 0]), weight_decay=0.01, bias="none"), oracle="spike-free"
    )
    assert solution.network.n_neurons == 0
    assert not solution.status.proven
