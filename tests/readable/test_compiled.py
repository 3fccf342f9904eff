"""Compiled loops over neurons of two features: where they climb, and how they descend."""

import numpy as np
import pytest

from gapless.readable.climb_compiled import EVENTS, climb
from gapless.readable.descent_compiled import add_gradient, add_outputs


def gauge(X, Lam, turns, bias):
    return np.linalg.norm(Lam.T @ np.maximum(X @ turns.T + bias, 0.0), axis=0)


def started(n, outputs, count=12, seed=0):
    """Data (n, 2) with ties, a dual point, and unit directions with biases."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    X[::3] = np.round(X[::3], 1)
    Lam = np.sin(2 * X[:, :1] * X[:, 1:]) + rng.standard_normal((n, outputs))
    angles = rng.uniform(0, 2 * np.pi, count)
    turns = np.column_stack([np.cos(angles), np.sin(angles)])
    return X, Lam - Lam.mean(axis=0), turns, rng.standard_normal(count)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("n", [1, 5, 60, 400])
def test_a_climb_ends_where_no_shift_and_no_turn_is_better(n, outputs):
    X, Lam, turns, bias = started(n, outputs)
    before, k = gauge(X, Lam, turns, bias), len(bias)
    columns, pairs, values = np.ascontiguousarray(X.T), np.tile([0, 1], (k, 1)), np.zeros(k)
    climb(columns, Lam, pairs, turns, bias, 100, values)
    np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1, rtol=1e-12)
    scale = np.abs(Lam).sum() * (1 + np.abs(X).max())
    np.testing.assert_allclose(values, gauge(X, Lam, turns, bias), atol=1e-12 * scale)
    assert np.all(values >= before - 1e-12 * scale)
    for (u, v), b, value in zip(turns, bias, values):
        S = X @ [u, v] + b
        for step in np.linspace(-1, 1, 201) * np.ptp(S) * min(EVENTS / n, 1):
            assert gauge(X, Lam, np.array([[u, v]]), b + step)[0] <= value + 1e-9 * scale
        q = X @ [-v, u]
        nearest = np.abs(S) <= np.abs(S).min() + 1e-9  # it has turned round two of these
        most = []
        for pivot in q[nearest]:
            taus = np.linspace(-1, 1, 201) * EVENTS / n
            size = np.sqrt(1 + taus**2)
            to = np.column_stack([(u - taus * v) / size, (v + taus * u) / size])
            most.append(gauge(X, Lam, to, (b - taus * pivot) / size).max())
        assert sorted(most)[:2][-1] <= value + 1e-9 * scale


def test_neurons_climb_in_the_plane_of_their_own_features():
    X, Lam, turns, bias = started(50, 1)
    wide = np.hstack([X[:, 1:], np.full((50, 1), 7.0), X[:, :1]])
    ends = []
    for A, pair in ((X, [0, 1]), (wide, [2, 0])):
        at, b, values = turns.copy(), bias.copy(), np.zeros(len(bias))
        climb(np.ascontiguousarray(A.T), Lam, np.tile(pair, (len(b), 1)), at, b, 2, values)
        ends.append(values)
    np.testing.assert_array_equal(*ends)


def test_softened_outputs_are_relus_but_near_kinks_and_their_gradient_is_that_of_differences():
    rng = np.random.default_rng(1)
    n, d, m, outputs = 1100, 3, 4, 2  # more than two blocks of rows
    columns, features = rng.standard_normal((d, n)), rng.integers(0, d, (m, 2))
    W, b, V = rng.standard_normal((m, 2)), rng.standard_normal(m), rng.standard_normal((m, outputs))
    soft, G = rng.uniform(0.1, 0.5, m), rng.standard_normal((outputs, n))

    def out(W, b, V, soft=soft):
        F = np.zeros((outputs, n))
        add_outputs(columns, features, W, b, soft, V, F)
        return F

    Z = columns[features[:, 0]] * W[:, :1] + columns[features[:, 1]] * W[:, 1:] + b[:, None]
    far = np.all(np.abs(Z) >= soft[:, None], axis=0)
    assert far.sum() > 100
    np.testing.assert_allclose(out(W, b, V)[:, far], (V.T @ np.maximum(Z, 0))[:, far], atol=1e-12)

    slopes = np.zeros((m, 2)), np.zeros(m), np.zeros((m, outputs))
    add_gradient(columns, features, W, b, soft, V, G, *slopes)
    for which, slope in enumerate(slopes):
        for at in np.ndindex(slope.shape):
            up, down = ([p.copy() for p in (W, b, V)] for _ in range(2))
            up[which][at] += 1e-6
            down[which][at] -= 1e-6
            difference = float(np.sum((out(*up) - out(*down)) * G)) / 2e-6
            assert difference == pytest.approx(slope[at], rel=1e-5, abs=1e-5)
