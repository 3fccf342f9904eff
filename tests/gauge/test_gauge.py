"""Gauge bounds: lower <= search <= enumeration <= every upper bound, and weak duality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import Network, Problem, Status, train
from gapless.certificates.certify import certificate, certify
from gapless.core.reduction import Reduction
from gapless.gauge.choose import CHEAP, gauge_bound
from gapless.gauge.low_rank import LowRank
from gapless.gauge.search import Oracle
from problems import ALL_LOSSES, BIAS_RULES, exact_optimum, random_problem


def low_rank_data(rng, n, rank, kind):
    X = rng.standard_normal((n, rank))
    if kind == "integer":
        X = np.round(2 * X)
    if kind == "repeated":
        X = X[rng.integers(max(1, n // 2), size=n)]
    if kind == "nearly":
        X = X[rng.integers(max(1, n // 2), size=n)] + 1e-9 * rng.standard_normal((n, rank))
    if kind == "embedded":
        X = X @ rng.standard_normal((rank, 6))
    return X * 10.0 ** rng.integers(-6, 7)


@pytest.mark.parametrize("kind", ["normal", "integer", "repeated", "nearly", "embedded"])
@pytest.mark.parametrize("free", [False, True])
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 16), C=st.integers(1, 3), rank=st.integers(1, 3)
)
@settings(max_examples=12, deadline=None)
def test_enumeration_is_exact(kind, free, seed, n, C, rank):
    rng = np.random.default_rng(seed)
    rank = min(rank, 2) if free else rank
    X = low_rank_data(rng, n, rank, kind)
    core = Reduction(Problem(X, rng.standard_normal((n, C)), bias="free" if free else "none")).core
    Lam = core.dual_point(rng.standard_normal(core.Y.shape))
    bound = LowRank().bound(core, Lam)
    assert bound.lower <= bound.upper
    scale = (1 + np.linalg.norm(core.X)) * np.linalg.norm(Lam)
    assert bound.upper <= bound.lower + 1e-8 * scale
    oracle = Oracle(core.X, core.free, rng)
    found = oracle.search(Lam, np.zeros((core.n_features, 0)), 200)
    best = found.value.max()
    assert best <= bound.upper + 1e-14 * scale
    assert best >= bound.lower * (1 - 0.02) - 1e-9 * scale  # on so few samples search finds it
    if bound.neurons is not None:
        U, b, value = vars(bound.neurons).values()
        assert np.linalg.norm(U, axis=0).max() <= 1 + 1e-9
        h = np.linalg.norm(Lam.T @ np.maximum(core.X @ U + b, 0), axis=0)
        assert np.abs(h - value).max() <= 1e-8 * scale
        assert value[0] == value.max() == bound.lower
    for method in CHEAP.values():
        if method.applies(core):
            assert method.bound(core, Lam).upper >= bound.lower * (1 - 1e-9) - 1e-12 * scale


@pytest.mark.parametrize("start", [2e3, 1e4, 1e5])
def test_nearly_parallel_rows_do_not_exceed_the_bound(start, rng):
    """Years with a constant: the gauge of what they cannot explain is far below its terms."""
    x = start + np.arange(20.0)
    A = np.stack([x, np.ones(20)], axis=1) / x.max()
    normals = np.stack([-A[:, 1], A[:, 0]]) / np.linalg.norm(A, axis=1)
    for _ in range(20):
        Lam = rng.standard_normal((20, 1))
        Lam -= A @ np.linalg.lstsq(A, Lam)[0]
        bound = LowRank().bound(Problem(A, Lam, bias="none"), Lam)
        for U in (normals, -normals):  # on each hyperplane, in long double
            S = A.astype(np.longdouble) @ U.astype(np.longdouble)
            S[np.diag_indices(20)] = 0.0
            assert np.abs(Lam.T @ np.maximum(S, 0.0)).max() <= bound.upper


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the training
def test_overflow_proves_nothing(rng):
    A, Lam = rng.standard_normal((12, 2)), rng.standard_normal((12, 1))
    core = Problem(A, Lam, bias="none")
    scaled = LowRank().bound(core, 2.0**1000 * Lam)  # whose squares overflow
    assert scaled.upper == pytest.approx(2.0**1000 * LowRank().bound(core, Lam).upper)
    assert LowRank().bound(core, np.full((12, 1), np.inf)).upper == np.inf
    solution = train(Problem(A, 1e160 * Lam, weight_decay=1e158, bias="none"))
    assert solution.status is Status.NUMERICAL_ERROR


@pytest.mark.parametrize("C", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_every_local_maximum_in_the_plane_is_listed(C, seed):
    rng = np.random.default_rng(seed)
    A, Lam = rng.standard_normal((12, 2)), rng.standard_normal((12, C))
    found = LowRank().bound(Problem(A, Lam, bias="none"), Lam).neurons

    def gauge(t):
        return np.linalg.norm(Lam.T @ np.maximum(A @ [np.cos(t), np.sin(t)], 0), axis=0)

    t = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    h = gauge(t)
    top = t[(h > np.roll(h, 1)) & (h > np.roll(h, -1))]
    listed = np.sort(np.mod(np.arctan2(found.U[1], found.U[0]), 2 * np.pi))
    assert len(top) > 1
    assert listed == pytest.approx(top, abs=1e-4)


@pytest.mark.parametrize("C", [1, 2])
def test_every_local_maximum_on_a_line_with_free_bias_is_listed(C, rng):
    ramps = np.vstack([rng.standard_normal((14, C)), np.zeros((1, C))])  # at each kink
    slopes = -np.diff(ramps, axis=0, append=0.0)
    p, Lam = np.arange(15.0), -np.diff(slopes, axis=0, prepend=0.0)
    core = Problem(p[:, None], Lam, bias="free")
    found = LowRank().bound(core, Lam).neurons
    kinks = []
    for sign in (1.0, -1.0):
        q = np.sort(sign * p)
        h = np.linalg.norm(Lam.T @ np.maximum(sign * p[:, None] - q, 0), axis=0)
        padded = np.concatenate([[0.0], h, [0.0]])
        top = (h > padded[:-2]) & (h > padded[2:])
        kinks += [(sign, -b) for b in q[top]]
    assert len(kinks) > 6
    listed = np.array(sorted(zip(found.U[0], found.b)))
    assert listed == pytest.approx(np.array(sorted(kinks)), abs=1e-12)


@pytest.mark.parametrize("C", [1, 2])
def test_whitened_gauge_is_exact(C, rng):
    X = np.linalg.qr(rng.standard_normal((9, 6)))[0].T * 3.0
    Lam = rng.standard_normal((6, C))
    core = Problem(X, Lam, bias="none")
    bound = CHEAP["whitened"].bound(core, Lam)
    found = Oracle(X, False, rng).search(Lam, np.zeros((9, 0)), 800).value.max()
    assert found <= bound.upper * (1 + 1e-9)
    if C == 1:
        np.testing.assert_allclose([bound.lower, bound.upper], found, rtol=1e-7)


def test_methods_refuse_data_they_do_not_fit(rng):
    core = random_problem(ALL_LOSSES[0], "none", rng, d=6)
    assert not CHEAP["whitened"].applies(core)
    with pytest.raises(ValueError, match="conditions of method='low-rank'"):
        gauge_bound(core, core.Y, "low-rank")
    with pytest.raises(ValueError, match="method='magic' is unknown"):
        gauge_bound(core, core.Y, "magic")


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
@pytest.mark.parametrize("bias", BIAS_RULES)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 5))
@settings(max_examples=4, deadline=None)
def test_weak_duality(loss, bias, seed, d):
    """No random network is below the bound of any random dual point."""
    rng = np.random.default_rng(seed)
    problem = random_problem(
        loss, bias, rng, n=10, d=d, C=2, weight_decay=10.0 ** rng.uniform(-3, 0), weighted=True
    )
    core = Reduction(problem).core
    C = problem.n_outputs
    F = rng.standard_normal(core.Y.shape)
    Lam = core.dual_point(F)
    if core.free:
        np.testing.assert_allclose(Lam.sum(axis=0), 0, atol=1e-12)
    for method in CHEAP.values():
        if not method.applies(core):
            continue
        cert = certificate(core, np.inf, Lam, method.bound(core, Lam), 0.0)
        for _ in range(20):
            m = int(rng.integers(0, 6))
            net = Network(
                rng.standard_normal((d, m)) * rng.uniform(0, 2),
                rng.standard_normal(m) * (bias != "none"),
                rng.standard_normal((m, C)),
                rng.standard_normal(C) * (bias != "none"),
            )
            assert net.objective(problem) >= cert.lower_bound


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "hinge"])
@pytest.mark.parametrize("bias", ["none", "penalized"])
def test_certificate_agrees_with_the_exact_program(loss, bias, rng):
    from gapless import train
    from gapless.core.losses import get_loss

    problem = random_problem(get_loss(loss), bias, rng, n=9, d=2, weighted=True)
    optimum = exact_optimum(problem)
    solution = train(problem, tol=1e-6)
    cert = solution.certificate
    assert cert.lower_bound <= optimum * (1 + 1e-7)
    assert cert.objective >= optimum * (1 - 1e-5)  # Clarabel itself is this far off at worst
    # the hinge's dual point is a smoothed one: sharp data leave it a little infeasible
    assert cert.objective - cert.lower_bound <= (2e-4 if loss == "hinge" else 2e-6) * optimum
    again = certify(
        solution.network, problem.X, problem.Y, loss=problem.loss, bias=bias,
        weight_decay=problem.weight_decay, sample_weight=problem.sample_weight,
    )  # fmt: skip
    assert again.lower_bound <= optimum * (1 + 1e-7)


@pytest.mark.parametrize("C", [1, 2])
def test_search_does_not_depend_on_the_scale_of_the_dual_point(C):
    rng = np.random.default_rng(0)
    X, Lam = rng.standard_normal((80, 6)), rng.standard_normal((80, C))
    found = {
        s: Oracle(X, False, np.random.default_rng(1)).search(s * Lam, np.zeros((6, 0)), 64)
        for s in (1.0, 1e-40, 1e40)
    }
    for s in (1e-40, 1e40):
        assert found[s].value.max() / s == pytest.approx(found[1.0].value.max(), rel=1e-6)
