"""Large data: what is copied, and that nothing the caller owns is written to."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from gapless import Network, Problem, train
from gapless.reduction import Reduction
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
    ones = problem.design.copy()
    reduction = Reduction(problem)
    same = abs(problem.X - before).max() + abs(problem.design - ones).max()
    assert same == 0
    d = problem.n_features
    b = np.zeros(4) if bias == "none" else rng.standard_normal(4)
    network = Network(rng.standard_normal((d, 4)), b, rng.standard_normal((4, 1)), np.zeros(1))
    core = reduction.apply(network)
    F = network.predict(problem.X)
    np.testing.assert_allclose(core.predict(reduction.core.X)[reduction.group], F, atol=1e-9)
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
