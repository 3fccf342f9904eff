"""Soft-thresholded singular values: a bound without a search, and networks that attain it."""

import numpy as np
import pytest

from gapless import (
    HypothesisError,
    Optimality,
    Patches,
    Problem,
    certify,
    solve_singular_values,
    solve_whitened_relu,
    train,
    whiten,
)
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch
from gapless.gauge.choose import RELAXATIONS, gauge_bound
from problems import BIAS_RULES


def bound_of(problem):
    reduction = Reduction(problem)
    core = reduction.core
    Lam, bound = next(RELAXATIONS["singular values"].maximise(core, core.Y, Watch(10.0)))
    return core, core.proven_bound(Lam, bound.upper), reduction


@pytest.mark.parametrize("loss", ["squared", "huber", "softmax"])
@pytest.mark.parametrize("bias", BIAS_RULES)
def test_the_bound_holds_and_is_the_best_of_its_kind(loss, bias, rng):
    X = rng.standard_normal((12, 4))
    Y = np.eye(3)[rng.integers(3, size=12)]
    problem = Problem(X, Y, loss, 0.05, bias, rng.uniform(0.5, 2, 12))
    core, lower, _ = bound_of(problem)
    network = train(problem, max_iter=10).network
    objective = Reduction(problem).apply(network).objective(core)
    assert 0 < lower <= objective
    # no dual point near by proves more through the same norm
    for _ in range(30):
        F = rng.standard_normal(core.Y.shape) * 10.0 ** rng.uniform(-2, 0.5)
        Lam = core.dual_point(F)
        assert core.proven_bound(Lam, gauge_bound(core, Lam, "norm").upper) <= lower * (1 + 1e-3)


def test_squared_loss_thresholds_the_singular_values(rng):
    X = whiten(rng.standard_normal((8, 11)), 1.0)
    Y = rng.standard_normal((8, 3))
    _, lower, reduction = bound_of(Problem(X, Y, "squared", 0.05, "none"))
    s = np.linalg.svd(Y, compute_uv=False)
    kept = np.maximum(s - 8 * 0.05, 0)
    by_hand = np.sum((s - kept) ** 2) / 16 + 0.05 * kept.sum()
    assert reduction.raised(lower) == pytest.approx(by_hand, rel=1e-6)


def test_it_raises_what_certify_proves_of_pooled_patches(rng):
    problem = Problem(
        Patches(rng.standard_normal((30, 6, 6)), 3), rng.standard_normal((30, 3)), "squared", 0.5
    )
    network = train(problem, max_iter=2).network
    c = certify(network, problem.X, problem.Y, weight_decay=0.5, time_limit=0.5)
    assert 0 < c.lower_bound <= c.objective


@pytest.mark.parametrize("kind", ["one-hot", "disjoint"])
def test_networks_that_attain_it(kind, rng):
    X = whiten(rng.standard_normal((9, 12)), 1.0)
    owner = np.arange(9) % 3
    Y = np.eye(3)[owner]
    if kind == "disjoint":
        Y = Y * rng.uniform(0.5, 2, (9, 1))
    found = solve_singular_values(X, Y, 0.02)
    assert found.optimality is Optimality.PROVED
    assert found.objective - found.lower_bound <= 1e-6 * found.objective
    if kind == "one-hot":
        other = solve_whitened_relu(X, Y, 0.02)
        assert found.objective == pytest.approx(other.objective, rel=1e-9)


def test_a_positive_root_that_needs_more_than_blocks(rng):
    X = whiten(rng.standard_normal((6, 8)), 1.0)
    B = rng.uniform(0.2, 1, (6, 2))
    Y = B @ np.linalg.qr(rng.standard_normal((4, 2)))[0].T
    found = solve_singular_values(X, Y, 1e-3)
    assert found.objective >= found.lower_bound
    assert found.optimality is Optimality.PROVED  # of rank two: always completely positive


def test_random_targets_are_refused_and_no_neurons_are_fine(rng):
    X = whiten(rng.standard_normal((8, 11)), 1.0)
    with pytest.raises(HypothesisError, match="non-negative root"):
        solve_singular_values(X, rng.standard_normal((8, 5)), 0.01)
    with pytest.raises(HypothesisError, match="whitened"):
        solve_singular_values(rng.standard_normal((8, 11)), np.eye(8), 0.01)
    nothing = solve_singular_values(X, np.eye(8), 10.0)
    assert nothing.network.widths == (0,)
    assert nothing.optimality is Optimality.PROVED
