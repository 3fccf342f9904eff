"""Large data: what is copied, and that nothing the caller owns is written to."""

import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from gapless import Network, Problem, Status, train
from gapless.core.reduction import Reduction
from problems import BIAS_RULES


def designs(rng):
    tall, wide = rng.standard_normal((60, 3)), rng.standard_normal((6, 40))
    sparse = sp.random(100, 5000, density=5e-3, format="csr", random_state=0)
    return [tall, wide, sparse, np.asfortranarray(tall), tall.astype(np.float32)]


@pytest.mark.parametrize("bias", BIAS_RULES)
@pytest.mark.parametrize("which", range(5))
def test_reduction_leaves_the_problem_as_it_was_and_maps_networks_both_ways(which, bias, rng):
    X = designs(rng)[which]
    problem = Problem(X, rng.standard_normal(X.shape[0]), bias=bias)
    before = problem.X.copy()
    ones = problem.design.array().copy()
    reduction = Reduction(problem)
    same = abs(problem.X - before).max() + abs(problem.design.array() - ones).max()
    assert same == 0
    d = problem.n_features
    b = np.zeros(4) if bias == "none" else rng.standard_normal(4)
    network = Network(rng.standard_normal((d, 4)), b, rng.standard_normal((4, 1)), np.zeros(1))
    core = reduction.apply(network)
    F = network.predict(problem.X)
    outputs = core.predict(reduction.core.X)[reduction.group] * reduction.unit + reduction.shift
    np.testing.assert_allclose(outputs, F, atol=1e-9)
    np.testing.assert_allclose(reduction.invert(core).predict(problem.X), F, atol=1e-9)


@pytest.mark.parametrize("shape", [(280_000, 60), (200, 84_000)])
def test_reduction_of_large_data_makes_one_copy(shape):
    X = np.random.default_rng(0).standard_normal(shape)
    problem = Problem(X, X[:, 0].copy())
    first = X[:3].copy()
    tracemalloc.start()
    Reduction(problem)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.4 * X.nbytes
    np.testing.assert_array_equal(problem.X[:3], first)


def test_memory_mapped_single_precision(tmp_path, rng):
    X = rng.standard_normal((200, 3)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = np.abs(X[:, 0])
    a, b = (train(Problem(Z, y, weight_decay=0.05), tol=1e-2) for Z in (mapped, X.astype(float)))
    np.testing.assert_array_equal(a.network.hidden_weights, b.network.hidden_weights)


def test_wide_sparse_data_are_solved_in_their_row_space():
    X = sp.random(60, 3000, density=0.02, format="csr", random_state=0)
    y = np.sign(X @ np.random.default_rng(0).standard_normal(3000))
    sparse = Problem(X, np.where(y == 0, 1, y), "logistic", 0.01)
    assert Reduction(sparse).core.X.shape == (60, 60)
    dense = Problem(X.toarray(), sparse.Y, "logistic", 0.01)
    a, b = train(sparse, tol=1e-2), train(dense, tol=1e-2)
    assert a.certificate.objective == pytest.approx(b.certificate.objective, rel=1e-6)


def many_rows():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((1500, 3))
    return Problem(X, np.abs(X[:, 0]) + np.sin(X[:, 1]) + 0.1 * X[:, 2], weight_decay=0.02)


def test_many_rows_start_from_a_tenth_of_them(monkeypatch):
    problem = many_rows()
    at_once = train(problem)
    monkeypatch.setattr(sys.modules["gapless.training.plan"], "MANY_ROWS", 1000)
    seen = []
    trained = train(problem, callback=seen.append)
    rows = [info.n_samples for info in seen]
    assert rows == sorted(rows)
    assert set(rows) == {150, 1500}
    assert trained.certificate.objective == pytest.approx(at_once.certificate.objective, rel=2e-3)
    first = next(info for info in seen if info.n_samples == 1500)
    assert first.certificate.objective < 1.1 * at_once.certificate.objective
    assert np.all(np.diff([info.seconds for info in seen]) >= 0)
    shuffled = np.random.default_rng(0).permutation(1500)
    again = train(Problem(problem.X[shuffled], problem.Y[shuffled], weight_decay=0.02))
    assert again.certificate.objective == pytest.approx(trained.certificate.objective, rel=1e-9)


def test_a_start_on_a_part_of_the_rows_can_be_interrupted(monkeypatch):
    monkeypatch.setattr(sys.modules["gapless.training.plan"], "MANY_ROWS", 1000)
    problem = many_rows()
    null = 0.5 * float(np.var(problem.Y))
    seen = []
    stopped = train(problem, callback=lambda info: seen.append(info) or len(seen) == 1)
    assert (stopped.status, len(seen), seen[-1].n_samples) == (Status.STOPPED, 1, 150)
    assert stopped.certificate.objective < null
    late = train(problem, time_limit=1e-9)
    assert late.status is Status.TIME_LIMIT
    assert late.certificate.objective <= null * (1 + 1e-9)
