"""A layer in closed form: leave-one-out by refits, and an optimum nobody beats."""

import numpy as np
import pytest
import torch
from scipy import sparse

from gapless.kernels.layer import LayerRule, fit_layer, leave_one_out
from gapless.kernels.machine import Kernel, median_distance, spread_scale, squared_distances


def data(rng, n=40, d=3, k=3):
    X = rng.standard_normal((n, d))
    return X, np.eye(k)[rng.integers(k, size=n)] - 1 / k


def fitted(X, T, seed=0, **rule):
    return fit_layer(X, T, LayerRule(**rule), np.random.RandomState(seed))


@pytest.mark.parametrize("ridge", [1e-5, 1e-2])
def test_left_out_outputs_are_those_of_refits(rng, ridge):
    X, T = data(rng)
    layer = fitted(X, T, gamma=1.0, ridge=ridge)
    kernel, n = layer.machine.kernel, len(X)
    K = kernel.matrix(X, X)
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        A = np.linalg.solve(K[np.ix_(rest, rest)] + n * ridge * np.eye(n - 1), T[rest])
        np.testing.assert_allclose(layer.outputs[i], K[i, rest] @ A, atol=1e-8)
    (again,) = leave_one_out(K, T, [ridge])
    np.testing.assert_allclose(again, layer.outputs, atol=1e-8)


def test_left_out_outputs_with_centres_are_those_of_refits(rng):
    X, T = data(rng)
    ridge, n = 1e-3, len(X)
    layer = fitted(X, T, gamma=1.0, ridge=ridge, max_centres=12)
    centres, kernel = layer.machine.centres, layer.machine.kernel
    assert len(centres) == 12
    K, M = kernel.matrix(X, centres), kernel.matrix(centres, centres)
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        A = np.linalg.solve(K[rest].T @ K[rest] + n * ridge * M, K[rest].T @ T[rest])
        np.testing.assert_allclose(layer.outputs[i], K[i] @ A, atol=1e-7)


@pytest.mark.parametrize("centres", [100, 12])
def test_of_a_weight_above_one_a_single_sample_is_left_out(rng, centres):
    X, T = data(rng)
    ridge, w = 1e-3, rng.choice([0.2, 0.7, 1.0, 2.0, 3.6], len(X))
    rule = LayerRule(gamma=1.0, ridge=ridge, max_centres=centres)
    layer = fit_layer(X, T, rule, np.random.RandomState(0), w)
    C, kernel = layer.machine.centres, layer.machine.kernel
    assert kernel.scale * median_distance(X, np.random.RandomState(0), w) == pytest.approx(1.0)
    K, M = kernel.matrix(X, C), kernel.matrix(C, C)
    for i in range(len(X)):
        u = w.copy()
        u[i] -= min(1.0, w[i])
        KW = K.T * u
        A = np.linalg.solve(KW @ K + w.sum() * ridge * M, KW @ T)
        np.testing.assert_allclose(layer.outputs[i], K[i] @ A, atol=1e-6)
    if centres == 100:
        (again,) = leave_one_out(K.copy(), T, [ridge], w)
        np.testing.assert_allclose(again, layer.outputs, atol=1e-8)
    F = K @ layer.machine.coefficients
    misfit = w @ np.sum((F - T) ** 2, axis=1) / w.sum()
    penalty = ridge * np.sum(layer.machine.coefficients * (M @ layer.machine.coefficients))
    assert layer.objective == pytest.approx(misfit + penalty, rel=1e-8)
    assert 0 <= layer.objective_gap < 1e-9 * layer.objective
    error = w @ np.sum((layer.outputs - T) ** 2, axis=1) / w.sum()
    assert layer.squared_error == pytest.approx(error)


def test_the_median_distance_counts_copies(rng):
    X, w = rng.standard_normal((30, 2)), rng.integers(1, 5, 30)
    state = np.random.RandomState(0)
    repeated = median_distance(X.repeat(w, axis=0), state)
    assert median_distance(X, state, w.astype(float)) == pytest.approx(repeated, rel=1e-12)
    D = squared_distances(X, X)[np.triu_indices(30, 1)]
    assert median_distance(X, state) == pytest.approx(np.median(D), rel=1e-12)
    alone = median_distance(X[:2], state, np.array([1e-3, 9.0]))  # 36 pairs at zero: the mean
    assert 0 < alone < 1e-3


def test_a_sparse_layer_is_the_dense_one(rng):
    X = rng.standard_normal((50, 30)) * (rng.random((50, 30)) < 0.1)
    T = rng.standard_normal((50, 2))
    for centres in (100, 10):
        how = {"gamma": 1.0, "ridge": 1e-2, "max_centres": centres}
        dense, thin = fitted(X, T, **how), fitted(sparse.csr_matrix(X), T, **how)
        assert sparse.issparse(thin.machine.centres)
        np.testing.assert_allclose(thin.outputs, dense.outputs, atol=1e-9)
        np.testing.assert_allclose(thin.machine.outputs(X), dense.machine.outputs(X), atol=1e-9)
        assert 0 <= thin.objective_gap < 1e-9
    assert spread_scale(sparse.csr_matrix(X)) == pytest.approx(spread_scale(X))


def objective(K, M, A, T, ridge):
    return np.sum((K @ A - T) ** 2) / len(T) + ridge * np.sum(A * (M @ A))


@pytest.mark.parametrize("centres", [100, 8])
def test_no_run_of_adam_is_below_the_closed_form(rng, centres):
    X, T = data(rng, 20)
    ridge = 0.03  # large enough for Adam to come near
    layer = fitted(X, T, gamma=1.0, ridge=ridge, max_centres=centres)
    C = layer.machine.centres
    K, M = layer.machine.kernel.matrix(X, C), layer.machine.kernel.matrix(C, C)
    here = objective(K, M, layer.machine.coefficients, T, ridge)
    assert layer.objective == pytest.approx(here, rel=1e-8)
    assert 0 <= layer.objective_gap < 1e-9 * layer.objective
    tensors = [torch.from_numpy(a) for a in (K, M, T)]
    # twenty runs side by side: the objective of all is the sum of each
    A = torch.from_numpy(rng.standard_normal((20, len(C), 3))).requires_grad_()
    adam = torch.optim.Adam([A], lr=0.05)
    for _ in range(300):
        misfit = ((tensors[0] @ A - tensors[2]) ** 2).sum(dim=(1, 2)) / len(X)
        values = misfit + ridge * (A * (tensors[1] @ A)).sum(dim=(1, 2))
        adam.zero_grad()
        values.sum().backward()
        adam.step()
    best = float(values.detach().min())
    assert layer.objective - layer.objective_gap <= best < 1.5 * layer.objective


def test_the_gap_covers_what_a_wrong_solve_leaves(rng):
    """The formula behind objective_gap, at coefficients that are far from optimal."""
    X, T = data(rng)
    layer = fitted(X, T, gamma=1.0, ridge=1e-2)
    K = layer.machine.kernel.matrix(X, X)
    for size in (1e-3, 1.0):
        A = layer.machine.coefficients + size * rng.standard_normal(T.shape)
        residual = np.linalg.norm(T - K @ A - len(X) * 1e-2 * A)
        assert objective(K, K, A, T, 1e-2) - layer.objective <= residual**2 / len(X)


def test_the_closed_form_is_no_minimiser_of_the_loss_of_pairs(rng):
    """A large ridge shrinks the outputs: larger ones have inner products nearer to the targets'."""
    X, T = data(rng, 60, 2, 2)
    F = fitted(X, T, gamma=1.0, ridge=0.1).machine.outputs(X)
    here, larger = (np.mean((s * F @ F.T - T @ T.T) ** 2) for s in (1.0, 6.0))
    assert larger < here


def test_gamma_and_ridge_have_the_least_error_left_out(rng):
    X = rng.uniform(-2, 2, (60, 1))
    T = np.sin(4 * X) + 0.1 * rng.standard_normal(X.shape)
    chosen = fitted(X, T)
    for gamma in (0.125, 1.0, 8.0):
        for ridge in (1e-6, 1e-3, 1.0):
            other = fitted(X, T, gamma=gamma, ridge=ridge)
            assert chosen.squared_error <= other.squared_error * (1 + 1e-6)
    assert 0.005 < chosen.squared_error < 0.05  # the noise has variance .01


def test_rows_far_from_zero_keep_their_distances(rng):
    X = rng.standard_normal((20, 3))
    near, far = (squared_distances(Z, Z) for Z in (X, X + 1e7))
    np.testing.assert_allclose(far, near, atol=1e-6)
    moved = fitted(X + 1e7, X[:, :1], gamma=1.0, ridge=1e-3)
    here = fitted(X, X[:, :1], gamma=1.0, ridge=1e-3)
    np.testing.assert_allclose(moved.outputs, here.outputs, atol=1e-4)
    assert moved.objective_gap < 1e-6


def test_rounding_of_the_kernel_is_charged(rng):
    Z = rng.standard_normal((30, 5)) * 100
    kernel = Kernel(1e-3, 1.0)
    wide = Z.astype(np.longdouble)
    exact = np.exp(-np.longdouble(1e-3) * ((wide[:, None] - wide[None]) ** 2).sum(axis=2)) + 1
    assert np.abs(kernel.matrix(Z, Z) - exact).max() <= kernel.rounding(Z) < 1e-9


def test_copies_among_centres_are_no_obstacle(rng):
    X, T = data(rng, 20)
    X, T = np.repeat(X, 3, axis=0), np.repeat(T, 3, axis=0)
    some, all_ = (fitted(X, T, gamma=1.0, ridge=1e-2, max_centres=m) for m in (59, 60))
    assert some.objective == pytest.approx(all_.objective, rel=1e-6)


def test_what_float64_cannot_solve_is_refused():
    X = np.repeat(np.eye(3), 5, axis=0)
    with pytest.raises(ValueError, match="give a larger ridge"):
        fitted(X, X, gamma=1.0, ridge=1e-30)
    with pytest.raises(ValueError, match="rescale the features"):
        fitted(X * 1e200, X)
    with pytest.raises(ValueError, match="rescale the features"):
        fitted(X * 1e-160, X)
