"""Training on patches: proven optima, the master of pooled activations, what is refused."""

import numpy as np
import pytest

from gapless import Network, Patches, Problem, certify, interpolate, path, train
from gapless.core.candidates import Candidates
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch
from gapless.gauge.choose import METHODS, conditions, gauge_bound
from gapless.gauge.lifted import lifted
from gapless.gauge.search import Oracle
from gapless.training import master
from gapless.training.batches import descend_by_batches
from gapless.training.descent import Descent, descend
from gapless.training.neurons import violating
from gapless.training.plan import Plan
from gapless.training.random_network import random_network
from problems import ALL_LOSSES, BIAS_RULES, targets

POOLS = ["global", 2, "none"]


def tiny(seed, pool, bias="none", loss="squared", C=2, weight_decay=0.02):
    rng = np.random.default_rng(seed)
    patches = Patches(rng.standard_normal((7, 5)), size=2, pool=pool)
    Y = rng.standard_normal((7, C)) if loss == "squared" else targets(loss, 7, C, rng)
    return Problem(patches, Y, loss, weight_decay, bias)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("seed", range(5))
def test_two_numbers_a_filter_are_proven(seed, pool):
    problem = tiny(seed, pool)
    found = train(problem, tol=1e-6)
    assert found.certificate.relative_gap <= 1e-6
    # and no other start ends lower
    rng = np.random.default_rng(seed)
    width = problem.n_outputs * problem.design.places
    for _ in range(3):
        start = Network(
            rng.standard_normal((2, 20)), np.zeros(20), rng.standard_normal((20, width)),
            np.zeros(2),
        )  # fmt: skip
        other = descend(problem, start, lambda: False)
        assert other.objective(problem) >= found.certificate.lower_bound


@pytest.mark.parametrize("bias", BIAS_RULES)
@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_every_loss_and_bias_rule(loss, bias):
    problem = tiny(0, 2, bias, loss, 1 if loss.targets == "sign" else 2, 0.01)
    found = train(problem, max_iter=25)
    again = certify(
        found.network, problem.X, problem.Y, weight_decay=0.01, loss=loss, bias=bias,
        time_limit=0, n_starts=20,
    )  # fmt: skip
    for certificate in (found.certificate, again):
        assert 0 < certificate.lower_bound <= found.network.objective(problem)
    assert found.certificate.relative_gap <= 0.02


def test_signals_and_filters_of_length_three(rng):
    signals = np.cumsum(rng.standard_normal((20, 8)), axis=1)
    problem = Problem(
        Patches(signals, 3, pool="global"), signals.max(axis=1), weight_decay=0.1, bias="none"
    )
    assert train(problem, tol=0.01, time_limit=10).certificate.relative_gap <= 0.01


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("bias", BIAS_RULES)
def test_the_gauge_is_that_of_the_stacked_patches(pool, bias, rng):
    core = Reduction(tiny(1, pool, bias)).core
    Lam = core.dual_point(rng.standard_normal(core.Y.shape))
    table, L = core.design.array(), lifted(core, Lam)
    U, b = rng.standard_normal((core.n_features, 6)), core.free * rng.standard_normal(6)
    U /= np.linalg.norm(U, axis=0)
    Z = core.design.activations(U, b).reshape(7, 6, -1)
    pooled = np.linalg.norm(np.einsum("nc,njq->jcq", Lam, Z), axis=(1, 2))
    rows = np.linalg.norm(L.T @ np.maximum(table @ U + b, 0), axis=0)
    np.testing.assert_allclose(rows, pooled, rtol=1e-12)
    bound = gauge_bound(core, Lam)
    assert gauge_bound(core, Lam, "norm").upper >= bound.upper >= bound.lower > 0
    found = Oracle(core.design, core.free, rng).search(Lam, U, 64)
    assert bound.lower * (1 - 1e-6) <= found.value.max() <= bound.upper
    values = Oracle(core.design, core.free, rng).improve(Lam, U, b, rounds=0).value
    np.testing.assert_allclose(values, pooled, rtol=1e-12)


def test_a_wrong_norm_of_pooling_would_be_noticed(rng, monkeypatch):
    core = Reduction(tiny(1, "none")).core
    Lam = core.dual_point(rng.standard_normal(core.Y.shape))
    exact = gauge_bound(core, Lam).lower
    assert gauge_bound(core, Lam, "norm").upper >= exact
    monkeypatch.setattr(Patches, "pool_norm", 0.1)
    assert gauge_bound(core, Lam, "norm").upper < exact


def test_what_holds_for_tables_only_is_refused():
    problem = tiny(0, 2, C=1)
    core = Reduction(problem).core
    for name in ("whitened", "spike-free", "quadratic", "doubly nonnegative"):
        with pytest.raises(ValueError, match="for tables, not for pooled patches"):
            METHODS[name].bound(core, core.Y)
    assert conditions(problem) == "rank 2 data: exact enumeration"
    with pytest.raises(ValueError, match="interpolation is for tables"):
        interpolate(problem.X, problem.Y)


@pytest.mark.parametrize("loss", ["squared", "softmax"])
@pytest.mark.parametrize("bias", ["free", "none"])
def test_the_master_of_pooled_activations(loss, bias, rng, monkeypatch):
    """Its optimality conditions, by Newton's method and by proximal steps."""
    patches = Patches(rng.standard_normal((30, 6)), 3, pool=2)
    Y = np.eye(3)[rng.integers(3, size=30)]
    problem = Problem(patches, Y, loss, 0.01, bias)
    U, b = rng.standard_normal((3, 12)), np.zeros(12)
    U /= np.linalg.norm(U, axis=0)
    Z = patches.activations(U, b)
    start = np.zeros((12, 6)), np.zeros(3)
    values = []
    for wide in (10**6, 1):
        monkeypatch.setattr(master, "WIDE", wide)
        monkeypatch.setattr(master, "PROXIMAL_STEPS", 4000)
        a, c = master.solve_master(problem, Z, *start)
        F = Z @ a.reshape(24, 3) + c
        Lam = problem.residual(F)
        pull = (Z.T @ Lam).reshape(a.shape)
        size = np.linalg.norm(a, axis=1)
        assert 0 < np.sum(size > 0) < 12
        assert np.all(np.linalg.norm(pull, axis=1) <= 0.01 * (1 + 1e-3))
        on = size > 0
        np.testing.assert_allclose(pull[on], 0.01 * a[on] / size[on, None], atol=1e-5)
        if bias == "free":
            assert np.abs(Lam.sum(axis=0)).max() < 1e-5
        values.append(problem.data_fit(F) + 0.01 * size.sum())
    assert values[1] == pytest.approx(values[0], rel=1e-6)


def test_the_path_of_falling_weight_decay():
    walked = path(tiny(3, 2), n_values=4, ratio=0.05)
    assert walked.n_neurons[0] == 0
    assert np.all(np.diff(walked.objectives) < 0)
    assert np.all(walked.lower_bounds <= walked.objectives)
    assert np.all(1 - walked.lower_bounds / walked.objectives <= 1e-3)


def test_a_neuron_limit_and_a_warm_start():
    problem = tiny(2, "none", bias="free")
    few = train(problem, max_neurons=2)
    assert few.network.n_neurons <= 2
    more = train(problem, init=few.network, max_iter=5)
    assert more.certificate.objective <= few.certificate.objective


def test_boxes_of_directions_bound_the_exact_gauge(rng):
    patches = Patches(rng.standard_normal((5, 5)), 3, pool="global")
    core = Reduction(Problem(patches, rng.standard_normal(5), bias="none")).core
    Lam = core.dual_point(np.zeros_like(core.Y))
    exact = gauge_bound(core, Lam)
    boxes = gauge_bound(core, Lam, "directions of patches")
    assert exact.lower <= boxes.upper
    assert boxes.lower <= exact.upper


def bright(n, rng):
    """Images with a bright row or column somewhere, and which of both."""
    X, y = 0.3 * rng.standard_normal((n, 8, 8)), rng.integers(2, size=n)
    for image, upright in zip(X, y):
        (image.T if upright else image)[rng.integers(8)] += 1
    return X, np.eye(2)[y]


@pytest.mark.parametrize("bias", BIAS_RULES)
def test_batches_bring_near_the_optimum(bias, rng):
    X, Y = bright(200, rng)
    core = Reduction(Problem(Patches(X, 3), Y, "softmax", 1e-2, bias)).core
    start = random_network(core, np.zeros(2), rng)
    network = descend_by_batches(core, start, rng, Watch())
    after, best = network.objective(core), descend(core, start, lambda: False).objective(core)
    assert after < best + 0.1 * (start.objective(core) - best)
    if bias == "none":
        assert not np.any(network.hidden_bias)
        assert not np.any(network.output_bias)


def test_batches_end_when_they_are_told(rng):
    X, Y = bright(100, rng)
    core = Reduction(Problem(Patches(X, 3), Y, "softmax", 3e-3)).core
    start = random_network(core, np.zeros(2), rng)
    over = descend_by_batches(core, start, rng, Watch(0.0))
    assert over.objective(core) == pytest.approx(start.objective(core), rel=1e-5)
    seen = []
    descend_by_batches(core, start, rng, Watch(), lambda n: seen.append(n) or len(seen) == 2)
    assert len(seen) == 2
    # the slope of batches is on average that of all samples
    descent, e = Descent(core, np.float64), np.zeros(start.n_neurons)
    at = (start.hidden_weights, start.hidden_bias, start.output_weights, start.output_bias)
    parts = [descent.part(np.arange(k, 100, 4)).data_fit(*at, e) for k in range(4)]
    whole = descent.data_fit(*at, e)
    assert np.mean([fit for fit, _ in parts]) == pytest.approx(whole[0])
    for mine, own in zip(zip(*(slopes for _, slopes in parts)), whole[1]):
        np.testing.assert_allclose(np.mean(mine, axis=0), own, atol=1e-12)


def test_many_patches_are_trained_by_batches(monkeypatch, rng):
    X, Y = bright(80, rng)
    problem = Problem(Patches(X, 3), Y, "softmax", 0.02)
    plain = train(problem, tol=0.05, max_iter=3)
    monkeypatch.setattr("gapless.training.neurons.MANY_PATCHES", 1000)
    assert Plan.of(Reduction(problem).core).start == "batches"
    found, again = (train(problem, tol=0.05, max_iter=3, random_state=1) for _ in range(2))
    assert found.certificate.lower_bound <= found.certificate.objective
    assert found.certificate.objective < 1.05 * plain.certificate.objective
    assert found.certificate.objective == again.certificate.objective


def test_new_neurons_of_many_images_fit_in_memory(monkeypatch, rng):
    X, Y = bright(40, rng)
    core = Reduction(Problem(Patches(X, 3), Y, "softmax", 1e-4)).core
    U = rng.standard_normal((9, 20))
    found = Candidates(U / np.linalg.norm(U, axis=0), np.zeros(20), np.arange(1.0, 21.0))
    monkeypatch.setattr("gapless.training.neurons.MANY_PATCHES", 1000)
    assert len(violating(found, core)) == 20
    monkeypatch.setattr("gapless.training.neurons.NEW_NUMBERS", 40 * core.design.places * 7)
    np.testing.assert_array_equal(violating(found, core).value, np.arange(20.0, 13.0, -1))


def test_random_neurons_of_many_images_are_fitted_on_some(monkeypatch, rng):
    X, Y = bright(300, rng)
    core = Reduction(Problem(Patches(X, 3), Y, "softmax", 1e-3)).core
    whole = random_network(core, np.zeros(2), np.random.default_rng(0))
    monkeypatch.setattr("gapless.training.random_network.BLOCK", 64 * core.design.places * 100)
    some = random_network(core, np.zeros(2), np.random.default_rng(0))
    assert some.n_neurons >= 0.8 * whole.n_neurons > 0
    assert some.objective(core) < core.data_fit(np.zeros_like(core.Y))
