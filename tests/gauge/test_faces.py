"""Faces of an arrangement: the exact gauge of several outputs at fixed rank."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import Patches, Problem, train
from gapless.core.reduction import Reduction
from gapless.gauge.choose import METHODS, gauge_bound
from gapless.gauge.faces import largest_of_cells
from gapless.gauge.search import Oracle


def core_of(X, C, bias, rng):
    return Reduction(Problem(X, rng.standard_normal((len(X), C)), "squared", 0.1, bias)).core


@pytest.mark.parametrize("kind", ["normal", "integer", "repeated", "opposite", "on a plane"])
@pytest.mark.parametrize("bias", ["none", "free"])
@given(seed=st.integers(0, 10**6), n=st.integers(4, 9), r=st.integers(2, 4), C=st.integers(1, 3))
@settings(max_examples=5, deadline=None)
def test_no_direction_exceeds_it_and_one_attains_it(kind, bias, seed, n, r, C):
    rng = np.random.default_rng(seed)
    r = min(r, 3) if bias == "free" else r
    X = rng.standard_normal((n, r))
    if kind == "integer":
        X = np.round(2 * X)
    if kind == "repeated":
        X = X[rng.integers(n // 2, size=n)] * rng.choice([1.0, 2.0], size=(n, 1))
    if kind == "opposite":
        X = X[rng.integers(n // 2, size=n)] * rng.choice([1.0, -1.0], size=(n, 1))
    if kind == "on a plane":  # many hyperplanes through one line
        X[:-1, -1] = 0.0
    core = core_of(X, C, bias, rng)
    if not METHODS["faces"].fits(core):
        return
    Lam = core.dual_point(rng.standard_normal(core.Y.shape))
    bound = gauge_bound(core, Lam, "faces")
    scale = 1e-12 * np.linalg.norm(Lam) * (1 + np.linalg.norm(core.X))
    found = Oracle(core.X, core.free, rng).search(Lam, np.zeros((core.n_features, 0)), 400)
    assert found.value.max() <= bound.upper + scale
    best = bound.neurons
    value = np.linalg.norm(Lam.T @ np.maximum(core.X @ best.U + best.b, 0))
    assert value == pytest.approx(bound.lower, rel=1e-6, abs=scale)
    other = gauge_bound(core, Lam, "low-rank")
    assert other.lower <= bound.upper + scale
    if np.isfinite(bound.upper):
        assert bound.upper >= bound.lower
        assert bound.upper <= other.upper + 1e-5 * (bound.lower + scale)


def test_rank_five_with_several_outputs_is_tight(rng):
    core = core_of(rng.standard_normal((14, 5)), 3, "none", rng)
    bound = gauge_bound(core, core.dual_point(np.zeros_like(core.Y)), "faces")
    assert bound.tight
    assert bound.proof == "rank 5 data: faces"


def test_training_at_rank_five_ends_proven(rng):
    X = rng.standard_normal((12, 5))
    Y = np.maximum(X @ rng.standard_normal((5, 2)), 0) @ rng.standard_normal((2, 3))
    problem = Problem(X, Y, weight_decay=0.1, bias="none")
    network, reduction = train(problem, tol=1e-3).network, Reduction(problem)
    core, there = reduction.core, reduction.apply(network)
    Lam = core.dual_point(there.predict(core.design))
    lower = core.proven_bound(Lam, gauge_bound(core, Lam, "faces").upper)
    assert (1 - 1e-3) * there.objective(core) <= lower <= there.objective(core)


def test_filters_of_four_numbers(rng):
    core = Reduction(
        Problem(Patches(rng.standard_normal((3, 8)), 5, pool=2), np.ones((3, 2)), bias="none")
    ).core
    Lam = core.dual_point(rng.standard_normal((3, 2)))
    bound = gauge_bound(core, Lam, "faces")
    assert bound.tight
    found = Oracle(core.design, False, rng).search(Lam, np.zeros((5, 0)), 200)
    assert bound.lower * (1 - 1e-3) <= found.value.max() <= bound.upper


def test_nothing_is_proven_where_cells_cannot_be_told(rng):
    """Hyperplanes that meet within rounding, but not quite."""
    P = np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 3e-13], [0, 0, 1]])
    _, value, upper = largest_of_cells(P, rng.standard_normal((4, 2)), 0.0)
    assert upper == np.inf or upper >= value


def test_what_it_refuses(rng):
    core = core_of(rng.standard_normal((300, 6)), 2, "none", rng)
    with pytest.raises(ValueError, match="rank 7 at most and few samples"):
        gauge_bound(core, core.Y, "faces")


@pytest.mark.parametrize("integer", [False, True])
def test_cells_that_their_rays_rule_out_hold_nothing(rng, integer):
    """Where a value a little below the maximum is known, it is found all the same."""
    for n, r, C in [(8, 2, 2), (9, 3, 1), (10, 4, 3), (11, 5, 2)]:
        P, Lam = rng.standard_normal((n, r)), rng.standard_normal((n, C))
        P = np.round(3 * P) if integer else P
        _, most, _ = largest_of_cells(P, Lam, 0.0)
        for share in (0.9, 0.999, 0.999999):
            u, value, upper = largest_of_cells(P, Lam, share * most)
            assert value == pytest.approx(most, rel=1e-9)
            assert np.linalg.norm(Lam.T @ np.maximum(P @ u, 0)) == pytest.approx(value)
            assert value <= upper <= value * (1 + 1e-6)
