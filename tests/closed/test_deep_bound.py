"""Lower bounds for deep networks on any data."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import whiten
from gapless.closed.deep_gauge import BOUNDS, LayeredData
from gapless.closed.linear import solve_deep_linear, solve_two_layer_linear
from gapless.closed.norm_bounds import METHODS, deep_lower_bound
from gapless.closed.rank_one import solve_rank_one_relu
from gapless.closed.whitened import solve_whitened_relu
from gapless.core.deep_network import DeepNetwork
from gapless.core.problem import Problem


def gauge(kind, X, Lam, free=False):
    return BOUNDS[kind][0](LayeredData.of(X, free), Lam)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 3))
def test_gauge_bounds_hold_for_random_networks_and_are_ordered(seed, depth, outputs):
    rng = np.random.default_rng(seed)
    X, Lam = rng.normal(size=(6, 3)), rng.normal(size=(6, outputs))
    bounds = [gauge(method, X, Lam) for method in METHODS]
    assert bounds[2] <= bounds[1] <= bounds[0]
    sizes = [3, *[4] * (depth - 1), outputs]
    for _ in range(200):
        weights = [rng.normal(size=k) for k in itertools.pairwise(sizes)]
        weights = [w / np.linalg.norm(w) for w in weights]
        assert np.sum(Lam * DeepNetwork(weights).predict(X)) <= bounds[2]
        linear = DeepNetwork(weights, None, "linear").predict(X)
        assert np.sum(Lam * linear) <= gauge("linear", X, Lam)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("depth", [2, 3])
def test_bound_is_below_every_network(method, loss, depth):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(7, 3))
    Y = {
        "squared": rng.normal(size=(7, 2)),
        "logistic": np.sign(rng.normal(size=(7, 1))),
        "softmax": np.eye(3)[rng.integers(0, 3, size=7)],
    }[loss]
    problem = Problem(X, Y, loss, 0.05, "none")
    bound = deep_lower_bound(problem, depth, method=method)
    assert 0 < bound.lower_bound <= bound.zero_objective
    for seed in range(50):
        rng = np.random.default_rng(seed)
        sizes = [3, *[5] * (depth - 1), Y.shape[1]]
        weights = [0.7 * rng.normal(size=k) for k in itertools.pairwise(sizes)]
        assert DeepNetwork(weights).balance().objective(problem) >= bound.lower_bound


def test_two_layer_whitened_is_closed_by_every_method():
    rng = np.random.default_rng(0)
    X, y = whiten(rng.normal(size=(7, 9))), rng.normal(size=7)
    solution = solve_whitened_relu(X, y, 0.05)
    problem = Problem(X, y, weight_decay=0.05, bias="none")
    F = solution.network.predict(X)
    for method in METHODS:
        bound = deep_lower_bound(problem, 2, F, method).lower_bound
        assert solution.objective * (1 - 1e-4) <= bound <= solution.objective


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_sdp_closes_rank_one_data(depth):
    rng = np.random.default_rng(0)
    X, Y = np.outer(rng.uniform(0.2, 1, size=8), rng.normal(size=3)), rng.normal(size=(8, 2)) + 1
    solution = solve_rank_one_relu(X, Y, 0.02, depth)
    problem = Problem(X, Y, weight_decay=0.02, bias="none")
    bound = deep_lower_bound(problem, depth, solution.network.predict(X), "sdp")
    assert solution.objective * 0.99 <= bound.lower_bound <= solution.objective


def test_linear_networks():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 4)), rng.normal(size=(9, 2))
    problem = Problem(X, Y, weight_decay=0.05, bias="none")
    two = solve_two_layer_linear(X, Y, 0.05)
    bound = deep_lower_bound(problem, 2, two.network.predict(X), activation="linear")
    assert bound.lower_bound == pytest.approx(two.objective, rel=1e-6)
    deep = solve_deep_linear(X, Y[:, 0], 0.05, 3)
    problem = Problem(X, Y[:, 0], weight_decay=0.05, bias="none")
    bound = deep_lower_bound(problem, 3, deep.network.predict(X), activation="linear")
    assert 0.95 * deep.objective < bound.lower_bound <= deep.objective


def test_penalised_bias_and_refusals():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 4)), rng.normal(size=9)
    ones = np.hstack([X, np.ones((9, 1))])
    with_bias = deep_lower_bound(Problem(X, y, bias="penalized"), 3)
    assert with_bias == deep_lower_bound(Problem(ones, y, bias="none"), 3)
    with pytest.raises(ValueError, match="use method='scaled'"):
        deep_lower_bound(Problem(X, y), 3, method="sdp")
    with pytest.raises(ValueError, match="limited to 60 samples"):
        deep_lower_bound(Problem(np.ones((61, 1)), np.ones(61), bias="none"), 2, method="sdp")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 3))
def test_gauge_bounds_hold_for_random_networks_with_biases(seed, depth, outputs):
    rng = np.random.default_rng(seed)
    X, Lam = rng.normal(size=(6, 3)), rng.normal(size=(6, outputs))
    X, Lam = X - X.mean(axis=0), Lam - Lam.mean(axis=0)
    norm, scaled, linear = (gauge(kind, X, Lam, free=True) for kind in ("norm", "scaled", "linear"))
    assert scaled <= norm
    sizes = [3, *[2] * (depth - 1), outputs]
    for _ in range(200):
        weights = [rng.normal(size=k) for k in itertools.pairwise(sizes)]
        weights = [w / np.linalg.norm(w) for w in weights]
        biases = [rng.normal(size=k) for k in sizes[1:]]
        assert np.sum(Lam * DeepNetwork(weights, biases).predict(X)) <= scaled
        assert np.sum(Lam * DeepNetwork(weights, biases, "linear").predict(X)) <= linear


@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("depth", [2, 3])
def test_bound_with_free_biases_is_below_trained_networks(loss, depth):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    rng = np.random.default_rng(2)
    X = rng.normal(size=(12, 4))
    labels = rng.integers(3, size=12)
    Y = {
        "squared": rng.normal(size=(12, 2)) + 5, "softmax": np.eye(3)[labels],
        "logistic": np.where(labels > 1, 1.0, -1.0)[:, None],
    }[loss]  # fmt: skip
    problem = Problem(X, Y, loss, 0.03, "free")
    sizes = [4, *[8] * (depth - 1), Y.shape[1]]
    layers = [torch.nn.Linear(*k, dtype=torch.float64) for k in itertools.pairwise(sizes)]
    parameters = [p for layer in layers for p in layer.parameters()]
    optimizer = torch.optim.LBFGS(parameters, max_iter=300, line_search_fn="strong_wolfe")
    Xt, Yt = torch.tensor(X), torch.tensor(Y)

    def outputs():
        A = Xt
        for layer in layers[:-1]:
            A = torch.relu(layer(A))
        return layers[-1](A)

    def closure():
        optimizer.zero_grad()
        F = outputs()
        fit = {
            "squared": lambda: 0.5 * ((F - Yt) ** 2).sum(),
            "logistic": lambda: torch.nn.functional.softplus(-Yt * F).sum(),
            "softmax": lambda: -(Yt * torch.log_softmax(F, 1)).sum(),
        }[loss]() / len(X)
        total = fit + 0.015 * sum((layer.weight**2).sum() for layer in layers)
        total.backward()
        return total

    optimizer.step(closure)
    trained = closure().item()
    zero = deep_lower_bound(problem, depth, method="scaled")
    own = deep_lower_bound(problem, depth, outputs().detach().numpy(), "scaled")
    assert 0 < zero.lower_bound <= own.lower_bound * (1 + 1e-9)
    assert own.lower_bound <= trained < own.zero_objective
