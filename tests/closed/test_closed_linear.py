"""Linear networks in closed form."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import whiten
from gapless.closed.linear import (
    solve_deep_linear,
    solve_parallel_linear,
    solve_two_layer_linear,
)
from gapless.closed.scalar import critical_weight_decay
from gapless.core.deep_network import Optimality
from gapless.core.problem import Problem
from gapless.structure.collapse import layer_alignment

RNG = np.random.default_rng(0)
X = RNG.normal(size=(14, 6))
Y = X @ RNG.normal(size=(6, 3)) + RNG.normal(size=(14, 3))
W = whiten(RNG.normal(size=(8, 11)))
T = RNG.normal(size=(8, 3))


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 1.05])
@pytest.mark.parametrize("kind", ["scalar", "whitened", "tall whitened", "vector", "parallel"])
def test_built_weights_attain_the_formula(depth, share, kind):
    data, targets, top = {
        "scalar": (X, Y[:, 0], np.linalg.norm(X.T @ Y[:, 0]) / 14),
        "whitened": (W, T, critical_weight_decay(np.linalg.norm(T, 2), depth) / 8),
        "tall whitened": (
            1.5 * W.T,
            np.eye(11)[:, :3],
            critical_weight_decay(1, depth) * 1.5 ** (2 / depth) / 11,
        ),
        "vector": (X, Y, np.linalg.norm(X.T @ Y, 2) / 14),
        "parallel": (X, Y, np.linalg.norm(X.T @ Y, 2) / 14 * 2 / depth),
    }[kind]
    if kind == "parallel":
        solution = solve_parallel_linear(data, targets, share * top, depth)
    else:
        solution = solve_deep_linear(data, targets, share * top, depth)
    assert solution.objective == pytest.approx(solution.formula, rel=1e-9)
    assert solution.lower_bound <= solution.objective
    if depth == 2 or kind == "parallel":
        assert solution.dual == pytest.approx(solution.objective, rel=1e-9)
        norm = solution.network.penalty()
        assert (norm == 0) == (share > 1)
    if kind == "vector" and depth > 2:
        assert solution.optimality is Optimality.UPPER_BOUND
    else:
        assert solution.optimality is Optimality.PROVED
        assert solution.relative_gap < 1e-8


def test_two_layers_agree_with_cvxpy():
    for targets in (Y, Y[:, :1]):
        Z = cp.Variable((6, targets.shape[1]))
        fit = cp.sum_squares(X @ Z - targets) / 28
        value = cp.Problem(cp.Minimize(fit + 0.3 * cp.norm(Z, "nuc"))).solve(solver=cp.CLARABEL)
        solution = solve_two_layer_linear(X, targets, 0.3)
        assert solution.objective == pytest.approx(value, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.floats(0.01, 1.2))
def test_no_point_on_the_ridge_path_is_better(seed, depth, strength):
    rng = np.random.default_rng(seed)
    A, y = rng.normal(size=(7, 4)) * rng.uniform(0.01, 3, size=4), rng.normal(size=7)
    wd = strength * np.linalg.norm(A.T @ y) / 7
    solution = solve_deep_linear(A, y, wd, depth)
    for mu in np.append(np.logspace(-8, 4, 300), 1e12):
        u = np.linalg.solve(A.T @ A + mu * np.eye(4), A.T @ y)
        r = A @ u - y
        value = r @ r / 14 + 0.5 * wd * depth * np.linalg.norm(u) ** (2 / depth)
        assert solution.objective <= value * (1 + 1e-12)
    assert solution.relative_gap < 1e-9


def test_layers_are_aligned_and_share_singular_values():
    network = solve_deep_linear(W, T, 0.01, 4).network
    report = layer_alignment(network.weights)
    assert report.ranks == (3, 3, 3, 3)
    for s in report.singular_values[1:]:
        np.testing.assert_allclose(s[:3], report.singular_values[0][:3], rtol=1e-12)
    np.testing.assert_allclose(report.alignment, 1, atol=1e-12)


def test_width_limits():
    s = np.linalg.svd(T, compute_uv=False)
    narrow = solve_deep_linear(W, T, 0.01, 2, width=1)
    assert narrow.network.widths == (1,)
    expected = (0.08 * s[0] - 0.08**2 / 2 + 0.5 * np.sum(s[1:] ** 2)) / 8
    assert narrow.objective == pytest.approx(expected, rel=1e-12)
    assert narrow.dual is None  # wider networks are below
    wide = solve_deep_linear(W, T, 0.01, 2, width=5)
    assert wide.dual == pytest.approx(wide.objective, rel=1e-12)
    assert solve_deep_linear(W, T, 0.01, 3, width=[7, 5]).network.widths == (7, 5)
    with pytest.raises(ValueError, match="below the rank"):
        solve_two_layer_linear(X, Y, 0.01, width=1)


def test_general_deep_vector_bounds_hold():
    """Local solution: below random starts, above the lower bound."""
    solution = solve_deep_linear(X, Y, 0.05, 3)
    problem = Problem(X, Y, weight_decay=0.05, bias="none")
    assert 0 < solution.lower_bound < solution.objective
    two = solve_two_layer_linear(X, Y, 0.05).network
    deeper = type(two)((two.weights[0], np.eye(two.widths[0]), two.weights[1]), None, "linear")
    assert solution.objective <= deeper.balance().objective(problem)


def test_fixed_norm_form():
    solution = solve_parallel_linear(X, Y, 0.1, 4, "fixed", layer_norm=0.9)
    problem = Problem(X, Y, weight_decay=0.1, bias="none")
    assert solution.network.objective(problem) == pytest.approx(solution.dual, rel=1e-9)
    equal = solve_two_layer_linear(X, Y, 0.1 * 0.9**-2)
    assert solution.objective == pytest.approx(equal.objective, rel=1e-9)


def test_zero_data_and_bad_depth():
    assert solve_deep_linear(np.zeros((3, 2)), [1.0, 2, 3], 0.1, 3).objective == pytest.approx(
        14 / 6
    )
    for outputs in (1, 2):
        assert solve_deep_linear(X, np.zeros((len(X), outputs)), 0.1, 3).relative_gap == 0
    with pytest.raises(ValueError, match="depth counts weight matrices"):
        solve_deep_linear(X, Y, 0.1, 1)


@pytest.mark.parametrize("scale", [1e60, 1e120])
def test_next_to_no_weight_decay_is_least_squares(scale):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 6)), rng.normal(size=20)
    solution = solve_two_layer_linear(X * scale, y * scale, 0.05)
    assert 0 <= solution.lower_bound <= solution.objective
    least = np.linalg.lstsq(X, y, rcond=None)[0]
    np.testing.assert_allclose(solution.network.predict(np.eye(6))[:, 0], least, rtol=1e-9)
