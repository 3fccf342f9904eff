"""ReLU networks in closed form: built weights, duals, hypotheses, what is not claimed."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from gapless import whiten
from gapless.closed.batch_norm import solve_batch_norm_head
from gapless.closed.rank_one import solve_rank_one_relu
from gapless.closed.scalar import critical_weight_decay, deep_prox
from gapless.closed.whitened import (
    solve_nearly_whitened_relu,
    solve_parallel_whitened_relu,
    solve_whitened_interval,
    solve_whitened_relu,
)
from gapless.core.deep_network import DeepNetwork, Optimality
from gapless.core.hypotheses import HypothesisError
from gapless.core.problem import Problem

N = 8
RNG = np.random.default_rng(0)
W = whiten(RNG.normal(size=(N, 10)))
BALANCED = np.eye(2)[np.repeat([0, 1], 4)]
UNEVEN = np.eye(3)[np.repeat([0, 1, 2], [4, 3, 1])]
TARGETS = {
    "scalar": (RNG.normal(size=N), "squared"),
    "one-sided": (np.abs(RNG.normal(size=N)), "squared"),
    "balanced": (BALANCED, "squared"),
    "imbalanced": (UNEVEN, "squared"),
    "logistic": (np.repeat([1.0, -1.0], [5, 3]), "logistic"),
    "softmax": (UNEVEN, "softmax"),
}


def trained(X, Y, weight_decay, depth, loss, runs=3, width=5, seed=0):
    """Lowest objective of PyTorch runs: Adam on all at once, then L-BFGS one by one."""
    X, Y = torch.tensor(X), torch.tensor(Y.reshape(len(X), -1))
    generator = torch.Generator().manual_seed(seed)
    sizes = [X.shape[1], *[width] * (depth - 1), Y.shape[1]]

    def objective(weights):
        A = X.expand(weights[0].shape[0], *X.shape)
        for W in weights[:-1]:
            A = torch.relu(A @ W)
        F = A @ weights[-1]
        fit = {
            "squared": lambda: 0.5 * ((F - Y) ** 2).sum(-1),
            "logistic": lambda: torch.nn.functional.softplus(-F * Y).sum(-1),
            "softmax": lambda: -(torch.log_softmax(F, -1) * Y).sum(-1),
        }[loss]()
        return fit.mean(-1) + 0.5 * weight_decay * sum((W * W).sum((1, 2)) for W in weights)

    weights = [
        torch.randn(runs, a, b, generator=generator, dtype=torch.float64) / a**0.5 * 1.4
        for a, b in itertools.pairwise(sizes)
    ]
    for W in weights:
        W.requires_grad_()
    adam = torch.optim.Adam(weights, lr=0.03)
    for _ in range(250):
        adam.zero_grad()
        objective(weights).sum().backward()
        adam.step()
    lowest = np.inf
    shapes = [W.shape[1:] for W in weights]
    ends = np.cumsum([W[0].numel() for W in weights])[:-1]
    for run in range(runs):

        def value(x):
            parts = [
                torch.tensor(p.reshape(1, *s), requires_grad=True)
                for p, s in zip(np.split(x, ends), shapes)
            ]
            total = objective(parts)[0]
            total.backward()
            return total.item(), torch.cat([p.grad.ravel() for p in parts]).numpy()

        start = torch.cat([W[run].detach().ravel() for W in weights]).numpy()
        options = {"maxiter": 300, "ftol": 1e-15, "gtol": 1e-11}
        lowest = min(
            lowest, minimize(value, start, jac=True, method="L-BFGS-B", options=options).fun
        )
    return lowest


def threshold(Y, depth):
    """Weight decay at which the strongest path goes to zero (squared loss)."""
    parts = np.hstack([np.maximum(Y.reshape(N, -1), 0), np.maximum(-Y.reshape(N, -1), 0)])
    return critical_weight_decay(np.linalg.norm(parts, axis=0).max(), depth) / N


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99, 1.3])
@pytest.mark.parametrize("name", TARGETS)
def test_whitened_built_weights_and_dual(depth, share, name):
    Y, loss = TARGETS[name]
    wd = share * threshold(Y, depth)
    solution = solve_whitened_relu(W, Y, wd, depth, loss)
    assert solution.objective == pytest.approx(solution.formula, rel=1e-9)
    assert solution.lower_bound <= solution.objective
    if depth == 2:
        assert solution.optimality is Optimality.PROVED
        assert solution.dual == pytest.approx(solution.objective, rel=1e-9)
        assert solution.relative_gap < 1e-9
    else:
        assert solution.dual is None


@pytest.mark.parametrize(("depth", "share"), [(2, 0.3), (3, 0.3), (5, 0.3), (3, 1.1)])
@pytest.mark.parametrize("name", TARGETS)
def test_training_is_never_below_an_exact_claim(depth, share, name):
    Y, loss = TARGETS[name]
    solution = solve_whitened_relu(W, Y, share * threshold(Y, depth), depth, loss)
    best = trained(W, Y, share * threshold(Y, depth), depth, loss)
    assert best >= solution.lower_bound
    if solution.optimality in (Optimality.PROVED, Optimality.NUMERICALLY_VERIFIED):
        assert best >= solution.formula * (1 - 1e-8)


def test_whitened_scale_is_a_rescaling_of_the_weight_decay():
    one = solve_whitened_relu(W, UNEVEN, 0.05, 3)
    other = solve_whitened_relu(2.5 * W, UNEVEN, 0.05 * 2.5 ** (2 / 3), 3)
    assert other.objective == pytest.approx(one.objective, rel=1e-12)


def test_two_layers_match_the_soft_threshold_formula():
    solution = solve_whitened_relu(W, UNEVEN, 0.2, 2)
    beta = N * 0.2
    expected = sum(beta * s - beta**2 / 2 if s > beta else s**2 / 2 for s in np.sqrt([4, 3, 1]))
    assert solution.objective == pytest.approx(expected / N, rel=1e-13)
    assert solution.network.widths == (2,)  # the class of one sample is dropped


@pytest.mark.parametrize("depth", [2, 3])
def test_output_bias_balanced_only(depth):
    solution = solve_whitened_relu(W, BALANCED, 0.05, depth, output_bias=True)
    assert solution.objective == pytest.approx(solution.formula, rel=1e-12)
    assert (solution.optimality is Optimality.PROVED) == (depth == 2)
    value = 2 * deep_prox(np.sqrt(2), 0.05 * N, depth)[0] / N
    assert solution.formula == pytest.approx(float(value), rel=1e-12)
    with pytest.raises(HypothesisError, match="one-hot"):
        solve_whitened_relu(W, np.ones((N, 2)), 0.05, depth, output_bias=True)
    with pytest.raises(HypothesisError, match="balanced"):
        solve_whitened_relu(W, UNEVEN, 0.05, depth, output_bias=True)


def test_status_says_what_is_known():
    X = whiten(RNG.normal(size=(14, 20)))

    def status(depth, classes, share=0.3):
        Y = np.eye(classes)[np.arange(14) % classes]
        s = np.linalg.norm(Y, axis=0).max()
        return solve_whitened_relu(
            X, Y, share * critical_weight_decay(s, depth) / 14, depth
        ).optimality

    assert status(2, 7) is Optimality.PROVED
    assert status(5, 2) is Optimality.NUMERICALLY_VERIFIED
    assert status(3, 7) is status(4, 3) is Optimality.UPPER_BOUND
    assert status(4, 7) is status(5, 3) is Optimality.KNOWN_SUBOPTIMAL
    # a zero network is proved optimal from the certified threshold on
    assert status(5, 7, share=30) is Optimality.PROVED


def test_counter_example_three_classes_five_layers():
    """Deep neural collapse interpolates at cost 15/2; this network at 7.43798."""
    a, b, c, e, f, g = 0.9346533, 0.7835934, 0.7695098, 0.5507312, 0.5574171, 0.7788516
    weights = (
        np.array([[a, 0], [b, b], [0, a]]),
        1.2196702 * np.eye(2),
        1.2196702 * np.eye(2),
        np.array([[c, -c, e], [-c, c, e]]),
        np.array([[a, -f, 0], [0, -f, a], [0, g, 0]]),
    )
    network = DeepNetwork(weights)
    np.testing.assert_allclose(network.predict(np.eye(3)), np.eye(3), atol=1e-6)
    assert network.penalty() == pytest.approx(7.43798, abs=1e-5)
    # the same with weight decay: below the closed form, whose status admits it
    problem = Problem(np.eye(3), np.eye(3), weight_decay=0.02, bias="none")
    solution = solve_whitened_relu(np.eye(3), np.eye(3), 0.02, 5)
    assert solution.optimality is Optimality.KNOWN_SUBOPTIMAL
    shrunk = [DeepNetwork([t * w for w in weights]).objective(problem) for t in (0.97, 0.98, 0.99)]
    assert solution.lower_bound < min(shrunk) < solution.objective


def test_refusals_name_the_violation_and_the_way_out():
    with pytest.raises(HypothesisError, match=r"whiten first with gapless\.whiten"):
        solve_whitened_relu(W + 0.01, UNEVEN, 0.1)
    with pytest.raises(HypothesisError, match="no orthogonal rows"):
        solve_whitened_relu(W.T, np.ones(10), 0.1)
    with pytest.raises(HypothesisError, match="one entry a row") as caught:
        solve_whitened_relu(W, 0.9 * UNEVEN + 0.025, 0.1)
    assert caught.value.check.violation == pytest.approx(0.025 / 0.925)  # of the largest
    with pytest.raises(ValueError, match="below the 3 active paths"):
        solve_whitened_relu(W, UNEVEN, 0.01, width=2)
    with pytest.raises(HypothesisError, match="one output"):
        solve_whitened_relu(W, np.sign(RNG.normal(size=(N, 2))), 0.01, loss="logistic")
    with pytest.raises(ValueError, match="no closed form for the loss Huber"):
        solve_whitened_relu(W, UNEVEN, 0.01, loss="huber")
    with pytest.raises(HypothesisError, match="rank one"):
        solve_rank_one_relu(W, UNEVEN, 0.01)


@pytest.mark.parametrize("depth", [2, 3])
def test_nearly_whitened_interval(depth):
    X = W + 0.1 * np.random.default_rng(4).normal(size=W.shape)
    Y = TARGETS["one-sided"][0]
    solution = solve_nearly_whitened_relu(X, Y, 0.05, depth)
    assert solution.objective <= solution.formula * (1 + 1e-12)
    best = trained(X, Y, 0.05, depth, "squared")
    assert solution.lower_bound < best
    with pytest.raises(HypothesisError, match="linear independence"):
        solve_nearly_whitened_relu(np.vstack([W, W]), np.ones(16), 0.1)


def test_non_one_hot_targets():
    centred = RNG.normal(size=(N, 3))
    solution = solve_whitened_interval(W, centred, 0.03)
    assert solution.optimality is Optimality.UPPER_BOUND
    assert solution.lower_bound < trained(W, centred, 0.03, 2, "squared") + 1e-12
    assert trained(W, centred, 0.03, 2, "squared", width=8) <= solution.objective
    # label smoothing of two classes keeps the soft-thresholded SVD exact
    smooth = solve_whitened_interval(W, 0.9 * BALANCED + 0.05, 0.03)
    assert smooth.optimality is Optimality.PROVED
    assert smooth.objective == pytest.approx(smooth.dual, rel=1e-12)
    assert trained(W, 0.9 * BALANCED + 0.05, 0.03, 2, "squared") >= smooth.dual * (1 - 1e-9)
    deep = solve_whitened_interval(W, centred, 0.03, 3)
    assert deep.objective == pytest.approx(deep.formula, rel=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("regulariser", ["power", "fixed"])
@pytest.mark.parametrize("name", ["imbalanced", "softmax", "logistic"])
def test_parallel_relu_has_no_gap(depth, regulariser, name):
    Y, loss = TARGETS[name]
    solution = solve_parallel_whitened_relu(W, Y, 0.05, depth, loss, regulariser, 1.1)
    assert solution.optimality is Optimality.PROVED
    assert solution.objective == pytest.approx(solution.formula, rel=1e-9)
    assert solution.objective == pytest.approx(solution.dual, rel=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("wd", [0.01, 0.2, 5.0])
@pytest.mark.parametrize("kind", ["one sign", "negative", "abs", "odd", "vector"])
def test_rank_one(depth, wd, kind):
    rng = np.random.default_rng(3)
    c, a = rng.normal(size=N), rng.normal(size=3)
    Y = {
        "one sign": rng.normal(size=(N, 2)) + 1,
        "negative": rng.normal(size=(N, 2)),
        "abs": np.abs(c),
        "odd": c + 0.1,
        "vector": rng.normal(size=(N, 2)),
    }[kind]
    c = {"one sign": np.abs(c), "negative": -np.abs(c)}.get(kind, c)
    X = np.outer(c, a)
    solution = solve_rank_one_relu(X, Y, wd, depth)
    assert solution.objective == pytest.approx(solution.formula, rel=1e-9)
    if depth == 2:
        assert solution.dual == pytest.approx(solution.objective, rel=1e-9)
    if depth == 2 or kind in ("one sign", "negative"):
        assert solution.optimality is Optimality.PROVED
    if wd == 0.2 and depth in (2, 4):
        best = trained(X, Y, wd, depth, "squared")
        assert best >= solution.lower_bound
        if solution.optimality is not Optimality.UPPER_BOUND:
            assert best >= solution.formula * (1 - 1e-8)


def test_merged_rays_beat_independent_ones():
    """y = |c|: rays of equal sign share layers, which the independent formula misses."""
    rng = np.random.default_rng(3)
    c = rng.normal(size=N)
    solution = solve_rank_one_relu(c[:, None], np.abs(c), 0.01, 3)
    assert solution.optimality is Optimality.PROVED
    independent = sum(
        deep_prox(np.linalg.norm(v), 0.01 * N * np.linalg.norm(v) ** (-2 / 3), 3)[0]
        for v in (np.maximum(c, 0), np.maximum(-c, 0))
    )
    assert solution.objective < 0.95 * float(independent) / N


@pytest.mark.parametrize("convention", ["unit", "torch"])
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("share", [0.1, 0.6, 1.2])
def test_batch_norm_head(convention, name, share):
    Y, loss = TARGETS[name]
    A = np.random.default_rng(5).normal(size=(N, N - 1))
    wd = share * threshold(Y, 2) * (1 if convention == "unit" else np.sqrt(N))
    solution = solve_batch_norm_head(A, Y, wd, convention, loss)
    assert solution.objective == pytest.approx(solution.formula, rel=1e-9)
    assert solution.dual == pytest.approx(solution.objective, rel=1e-9)
    unit_wd = wd if convention == "unit" else wd / np.sqrt(N)
    whitened = solve_whitened_relu(W, Y, unit_wd, 2, loss)
    assert solution.objective == pytest.approx(whitened.objective, rel=1e-9)


def test_batch_norm_head_is_what_torch_computes():
    A = np.random.default_rng(5).normal(size=(N, N - 1))
    head = solve_batch_norm_head(A, UNEVEN, 0.2, "torch").network
    norm = torch.nn.BatchNorm1d(len(head.gamma), eps=1e-30, dtype=torch.float64)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor(head.gamma))
        norm.bias.copy_(torch.tensor(head.shift))
        F = torch.relu(norm(torch.tensor(A @ head.weights))) @ torch.tensor(head.output_weights)
    np.testing.assert_allclose(head.predict(A), F.numpy(), atol=1e-10)


def test_batch_norm_head_refuses_a_small_span():
    A = np.random.default_rng(5).normal(size=(N, 2))
    with pytest.raises(HypothesisError, match=r"rank of \[1, A\] is 3") as caught:
        solve_batch_norm_head(A, UNEVEN, 0.05)
    assert caught.value.check.violation > 0.1
    # rank n is not necessary: class indicators as features are enough
    assert solve_batch_norm_head(UNEVEN, UNEVEN, 0.05).relative_gap < 1e-9
