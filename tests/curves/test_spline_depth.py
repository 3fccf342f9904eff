"""Depth on a line: the sparsity of the authors' example, bounds, and the deep network itself."""

from __future__ import annotations

import numpy as np
import pytest

from gapless.curves.depth import _features, deep_paths, solve_deep_lasso, solve_last_bias
from gapless.curves.spline import solve_spline


def curve(n=12):
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(n))
    return x, np.sin(6 * x) + 0.2 * rng.standard_normal(n)


def test_minimum_norm_example_gets_sparser_with_depth():
    x, y = np.array([0.0, 5, 7, 10, 12]), np.array([0.0, 0, 2, 3, 3])
    two, three, four = (solve_deep_lasso(x, y, weight_decay=1e-6, depth=L) for L in (2, 3, 4))
    # the optimal sets are not single points: of depth 2 and 3 the sparse members are checked
    ramp = np.maximum(x[:, None] - [5, 7, 10], 0)
    assert ramp @ [1, -2 / 3, -1 / 3] == pytest.approx(y)  # norm 2
    capped = np.minimum(ramp[:, [0, 0]], [2, 5])
    assert capped @ [2 / 3, 1 / 3] == pytest.approx(y)  # norm 1
    assert [np.abs(s.weights).sum() for s in (two, three, four)] == pytest.approx(
        [2, 1, 1], rel=1e-4
    )
    # one feature of depth 4 does it: the ramp from 5 to 8, and 8 is 12 mirrored in 10
    signs, places = deep_paths(x, 4)
    columns = _features(x, signs, places)
    alone = np.flatnonzero(np.max(np.abs(columns - y[:, None]), axis=0) < 1e-12)
    assert len(alone) == 1
    for s in (two, three, four):
        assert s.predict(x) == pytest.approx(y, abs=1e-3)


def test_depth_two_is_the_spline_and_depth_never_hurts():
    x, y = curve()
    shallow = solve_spline(x, y, weight_decay=0.01)
    values = []
    for L in (2, 3, 4):
        s = solve_deep_lasso(x, y, weight_decay=0.01, depth=L)
        assert s.depth == L
        assert s.certificate.relative_gap <= 1e-6
        fit = 0.5 * np.mean((s.predict(x) - y) ** 2)
        assert fit + 0.01 * np.abs(s.weights).sum() == pytest.approx(s.certificate.objective)
        values.append(s.certificate.objective)
    assert values[0] == pytest.approx(shallow.certificate.objective, rel=2e-6)
    assert values[0] >= values[1] * (1 - 1e-6)
    assert values[1] >= values[2] * (1 - 1e-6)


@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("beta", [1e-3, 2e-2, 10.0])
def test_last_bias_network_attains_its_objective(depth, beta):
    x, y = curve(30)
    s, weights, bias, certificate = solve_last_bias(x, y, weight_decay=beta, depth=depth)
    assert certificate.relative_gap <= 1e-4
    h = x[:, None]
    for W in weights[:-2]:
        h = np.maximum(h @ W, 0)
    h = np.maximum(h @ weights[-2] + bias[:-1], 0)
    F = (h @ weights[-1])[:, 0] + bias[-1]
    assert np.allclose(F, s.predict(x), atol=1e-9)
    P = 0.5 * np.mean((F - y) ** 2) + 0.5 * beta * sum(float(np.sum(W**2)) for W in weights)
    assert certificate.objective == pytest.approx(P, rel=1e-5)


def test_last_bias_beats_trained_networks():
    x, y = curve(20)
    beta, L = 5e-3, 3
    certificate = solve_last_bias(x, y, weight_decay=beta, depth=L)[3]
    # any spline of the shallow path, drawn deep, is at or above the bound
    for lam in np.geomspace(1e-4, 1e-1, 40):
        s = solve_spline(x, y, weight_decay=lam)
        rho = (s.certificate.objective - 0.5 * np.mean((s.predict(x) - y) ** 2)) / lam
        P = 0.5 * np.mean((s.predict(x) - y) ** 2) + 0.5 * L * beta * rho ** (2 / L)
        assert certificate.lower_bound <= P


def test_refusals():
    x, y = curve()
    with pytest.raises(ValueError, match="negative"):
        solve_last_bias(x - 0.5, y, weight_decay=0.1)
    with pytest.raises(ValueError, match="depth=5"):
        solve_deep_lasso(x, y, weight_decay=0.1, depth=5)
    with pytest.raises(ValueError, match="fewer samples"):
        solve_deep_lasso(np.arange(300.0), np.arange(300.0), weight_decay=0.1, depth=4)
