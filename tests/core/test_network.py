"""Networks: shapes, balance, merge, prune, reduction."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import Network, Problem
from gapless.core.reduction import Reduction
from problems import BIAS_RULES


def random_network(rng, d, m, C, bias):
    return Network(
        rng.standard_normal((d, m)),
        np.zeros(m) if bias == "none" else rng.standard_normal(m),
        rng.standard_normal((m, C)),
        np.zeros(C) if bias == "none" else rng.standard_normal(C),
    )


@pytest.mark.parametrize("bias", BIAS_RULES)
@pytest.mark.parametrize("C", [1, 3])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 9), d=st.integers(1, 14))
@settings(max_examples=20, deadline=None)
def test_balance_merge_prune_and_reduction_keep_the_fit(bias, C, seed, n, d):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((n, d)), rng.standard_normal((n, C))
    problem = Problem(X, Y, "squared", 0.1, bias)
    net = random_network(rng, d, 12, C, bias)
    F, value = net.predict(X), net.objective(problem)
    reduction = Reduction(problem)
    for other in (
        net.balance(bias),
        net.merge(X, bias),
        net.prune(X, bias),
        reduction.invert(reduction.apply(net)),
    ):
        np.testing.assert_allclose(other.predict(X), F, atol=1e-8)
        assert other.objective(problem) <= value * (1 + 1e-9)
    if C == 1:
        assert net.prune(X, bias).n_neurons <= n
    core = reduction.raised(reduction.apply(net).objective(reduction.core))
    assert core <= net.balance(bias).objective(problem) * (1 + 1e-9)
    if d < n:  # nothing lies outside the row space
        assert core == pytest.approx(net.balance(bias).objective(problem), rel=1e-9)


def test_merge_joins_neurons_of_equal_pattern():
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    net = Network(np.array([[1.0, 2.0], [1.0, 1.0]]), np.zeros(2), np.ones((2, 1)), np.zeros(1))
    merged = net.merge(X)
    assert merged.n_neurons == 1
    np.testing.assert_allclose(merged.predict(X), net.predict(X))
    opposite = Network(net.hidden_weights, np.zeros(2), np.array([[1.0], [-1.0]]), np.zeros(1))
    assert opposite.merge(X).n_neurons == 2


def test_prune_never_raises_the_penalty_when_copies_abound(rng):
    X = rng.standard_normal((6, 3))
    U = np.repeat(rng.standard_normal((3, 4)), 5, axis=1)
    net = Network(U, np.zeros(20), rng.standard_normal((20, 1)), np.zeros(1))
    pruned = net.prune(X, "none")
    assert pruned.n_neurons <= 4
    assert pruned.penalty("none") <= net.penalty("none")
    np.testing.assert_allclose(pruned.predict(X), net.predict(X), atol=1e-10)


def test_sparse_and_dense_predict_alike(rng):
    net = random_network(rng, 5, 4, 2, "free")
    X = rng.standard_normal((7, 5)) * (rng.random((7, 5)) < 0.4)
    np.testing.assert_allclose(net.predict(sp.csr_matrix(X)), net.predict(X), atol=1e-14)


def test_mistakes_have_sentences(rng):
    with pytest.raises(ValueError, match="shapes do not fit"):
        Network(np.ones((2, 3)), np.ones(2), np.ones((3, 1)), np.ones(1))
    with pytest.raises(ValueError, match="hidden_bias has NaN"):
        Network(np.ones((2, 1)), [np.nan], np.ones((1, 1)), np.ones(1))
    net = random_network(rng, 2, 3, 1, "free")
    with pytest.raises(ValueError, match="X has 5 features, the network expects 2"):
        net.predict(np.ones((1, 5)))
    problem = Problem(np.ones((2, 2)), np.ones(2), bias="none")
    with pytest.raises(ValueError, match="bias rule is 'none'"):
        net.objective(problem)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"X": [[np.nan]], "Y": [1.0]}, "X has NaN"),
        ({"X": [[1.0]], "Y": [np.inf]}, "Y has NaN"),
        ({"X": [[1.0]], "Y": [1.0, 2.0]}, "X has 1 samples but Y has 2"),
        ({"X": [[1.0]], "Y": [1.0], "weight_decay": 0}, "weight_decay must be a positive"),
        ({"X": [[1.0]], "Y": [1.0], "bias": "maybe"}, "bias='maybe' is unknown"),
        ({"X": [[1.0]], "Y": [1.0], "sample_weight": [-1.0]}, "sample_weight must be finite"),
        ({"X": [[1.0]], "Y": [1.0], "sample_weight": [1.0, 2.0]}, "sample_weight must have shape"),
        ({"X": np.ones((0, 1)), "Y": []}, "at least one sample"),
        ({"X": [[1.0]], "Y": [0.5], "loss": "logistic"}, "-1 or \\+1"),
    ],
)
def test_problem_mistakes(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Problem(**kwargs)


def test_merge_drops_neurons_that_no_sample_turns_on():
    X = np.array([[1.0, 0.0], [2.0, 1.0]])
    U = np.array([[1.0, -1.0], [0.0, 0.0]])
    network = Network(U, np.zeros(2), np.ones((2, 1)), np.array([0.5]))
    merged = network.merge(X)
    assert merged.n_neurons == 1
    assert np.array_equal(merged.predict(X), network.predict(X))
    idle = Network(-U[:, :1], np.zeros(1), np.ones((1, 1)), np.array([0.5])).merge(X)
    assert idle.n_neurons == 0
    assert np.array_equal(idle.predict(X), [[0.5], [0.5]])
