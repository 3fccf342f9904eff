"""The spike-free test against its definition, and the cone program against CVXPY."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import whiten
from gapless.closed.spike_free import solve_spike_free, spike_free_test
from gapless.closed.whitened import solve_whitened_relu
from gapless.core.deep_network import Optimality
from gapless.core.hypotheses import HypothesisError


def spike_free_data(seed, rows=4, samples=9):
    """Rows with an M-matrix as inverse Gram, repeated with positive factors."""
    rng = np.random.default_rng(seed)
    C = -rng.uniform(0, 1, size=(rows, rows))
    C = 0.5 * (C + C.T)
    np.fill_diagonal(C, 0)
    G = C + np.eye(rows) * (1.2 * np.abs(C).sum(axis=1).max() + 0.1)
    R = np.linalg.cholesky(np.linalg.inv(G)) @ whiten(rng.normal(size=(rows, rows + 2)))
    index = np.concatenate([np.arange(rows), rng.integers(0, rows, size=samples - rows)])
    return R[index] * rng.uniform(0.3, 2, size=(samples, 1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_agrees_with_the_definition(seed, rows):
    """For full row rank: ``||X^+ (X u)_+|| <= ||u||`` for all u."""
    rng = np.random.default_rng(seed)
    X = spike_free_data(seed, rows, rows) if seed % 2 else rng.normal(size=(rows, rows + 2))
    worst = 0.0
    pinv = np.linalg.pinv(X)
    for _ in range(500):
        z = rng.normal(size=rows) * rng.lognormal(size=rows, sigma=3)
        worst = max(worst, np.linalg.norm(pinv @ np.maximum(z, 0)) / np.linalg.norm(pinv @ z))
    holds = spike_free_test(X).holds
    assert holds or not seed % 2
    if holds:
        assert worst <= 1 + 1e-9
    if worst > 1 + 1e-6:
        assert holds is False


@pytest.mark.parametrize("angle", [1e-6, 1e-8, 1e-9, 1e-11])
def test_nearly_parallel_rows_are_an_answer_or_a_doubt(angle):
    assert spike_free_test([[1.0, 0.0], [1.0, angle]]).holds is not False or angle < 1e-10
    crossed = spike_free_test([[1.0, 0.0], [-1.0, angle]])  # their cone is wider than a half plane
    assert crossed.holds is not True
    assert crossed.excess > 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.05, 0.5, 1.1])
def test_cone_program(seed, share):
    X = spike_free_data(seed)
    assert spike_free_test(X).holds
    y = np.random.default_rng(seed).normal(size=9)
    wd = share * np.linalg.norm(X.T @ y) / 9
    solution = solve_spike_free(X, y, wd)
    assert solution.optimality is Optimality.PROVED
    assert solution.objective == pytest.approx(solution.formula, rel=1e-9)
    w, v = cp.Variable(X.shape[1]), cp.Variable(X.shape[1])
    fit = cp.sum_squares(X @ (w - v) - y) / 18 + wd * (cp.norm(w) + cp.norm(v))
    value = cp.Problem(cp.Minimize(fit), [X @ w >= 0, X @ v >= 0]).solve(solver=cp.CLARABEL)
    assert solution.objective == pytest.approx(value, rel=1e-6)


def test_whitened_data_are_spike_free_and_agree_with_the_closed_form():
    rng = np.random.default_rng(0)
    X, y = whiten(rng.normal(size=(6, 8))), rng.normal(size=6)
    assert spike_free_test(X).holds is not False
    solution = solve_spike_free(X, y, 0.05)
    assert solution.objective == pytest.approx(solve_whitened_relu(X, y, 0.05).objective, rel=1e-8)


def test_refusals():
    assert spike_free_test([[1.0], [-1.0]]).holds is False
    assert spike_free_test(np.abs(np.random.default_rng(0).normal(size=(5, 1)))).holds
    with pytest.raises(HypothesisError, match="use train"):
        solve_spike_free(np.random.default_rng(0).normal(size=(8, 3)), np.ones(8), 0.1)
    with pytest.raises(ValueError, match="one output"):
        solve_spike_free(np.eye(3), np.ones((3, 2)), 0.1)
