"""The copositive program: its relaxations below every network, and the reference that is above."""

import dataclasses

import numpy as np
import pytest

from gapless import Patches, Problem, certify, copositive_relaxation, frank_wolfe, train


def spiral(per_arm=12):
    r = np.linspace(0.1, 1, per_arm)
    turns = [4 * r + 2 * np.pi * arm / 3 for arm in range(3)]
    X = np.vstack([np.c_[r * np.cos(t), r * np.sin(t)] for t in turns])
    return X, np.repeat(np.eye(3), per_arm, axis=0)


def optimum(problem):
    """The best objective from below, proven, and from above."""
    network = train(problem, tol=1e-7).network
    found = certify(
        network, problem.X, problem.Y, weight_decay=problem.weight_decay, bias=problem.bias,
        sample_weight=problem.sample_weight,
    )  # fmt: skip
    return found.lower_bound, found.objective


@pytest.mark.parametrize("seed", range(12))  # all there are of sizes and bias rules
def test_gated_relaxed_optimal_and_trained_are_in_this_order(seed):
    rng = np.random.default_rng(seed)
    n, d, C = 6 + seed % 2, 2 + seed % 2, 1 + seed % 3
    bias = "penalized" if d == 2 and seed % 4 == 0 else "none"
    X, Y = rng.standard_normal((n, d)), rng.standard_normal((n, C))
    problem = Problem(X, Y, weight_decay=0.03, bias=bias, sample_weight=rng.uniform(0.5, 2, n))
    gated, relaxed = (copositive_relaxation(problem, gated=gated) for gated in (True, False))
    low, high = optimum(problem)
    for found in gated, relaxed:
        assert found.lower_bound <= found.value * (1 + 1e-9)
        assert found.value - found.lower_bound <= 1e-4 * found.value
        assert low <= found.objective == found.network.objective(problem)
    assert gated.lower_bound < relaxed.value
    assert relaxed.lower_bound <= high
    if d == 2 and bias == "none":  # exact in the plane
        assert relaxed.lower_bound >= low * (1 - 1e-5)
    assert gated.value < 0.999 * low  # strictly


@pytest.mark.parametrize("weight_decay", [0.1, 0.01])
def test_the_spiral_is_solved_to_a_network(weight_decay):
    X, Y = spiral()
    problem = Problem(X, Y, weight_decay=weight_decay / len(X), bias="none")
    found = copositive_relaxation(problem)
    low, high = optimum(problem)
    assert found.relative_gap < 1e-4
    assert found.lower_bound <= high
    assert found.objective >= low
    assert copositive_relaxation(problem, gated=True).value < 0.9 * low


def test_in_three_dimensions_the_relaxation_may_lie_strictly_below():
    rng = np.random.default_rng(4)
    X, Y = rng.standard_normal((9, 3)), rng.standard_normal((9, 3))
    problem = Problem(X, Y, weight_decay=0.3 / 9, bias="none")
    found = copositive_relaxation(problem)
    low, _ = optimum(problem)
    assert found.value < 0.9995 * low  # a feasible point of it, below what is proven of networks


def test_no_network_is_below_whatever_the_solver_says(monkeypatch, rng):
    """The solver's multipliers replaced by noise: the bound is worse, and still one."""
    from gapless.closed import copositive

    X, Y = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    problem = Problem(X, Y, weight_decay=0.03, bias="none")
    honest, best = copositive_relaxation(problem), optimum(problem)[1]
    solved = copositive._solved

    for size in (0.0, 0.1, 10.0):

        def wrong(core, cells, gated, size=size):
            Ms, duals, told = solved(core, cells, gated)
            return Ms, [rng.uniform(0, size + 1e-300, len(y)) for y in duals], 10 * told

        monkeypatch.setattr(copositive, "_solved", wrong)
        found = copositive_relaxation(problem)
        assert found.lower_bound <= best
        assert found.lower_bound < honest.lower_bound
        assert found.solver_value > 5 * best


def test_equal_and_opposite_samples_share_a_hyperplane(rng):
    X = rng.standard_normal((4, 2))
    X = np.vstack([X, 2 * X[:2], -X[1:3], np.zeros((1, 2))])
    problem = Problem(X, rng.standard_normal((9, 2)), weight_decay=0.01, bias="none")
    found = copositive_relaxation(problem)
    assert found.n_cells == 8
    low, high = optimum(problem)
    assert low * (1 - 1e-5) <= found.lower_bound <= high


def test_one_dimension_has_two_cells(rng):
    X = rng.standard_normal((9, 1))
    problem = Problem(X, np.hstack([np.abs(X), X]), weight_decay=0.01, bias="none")
    found = copositive_relaxation(problem)
    assert found.n_cells == 2
    assert found.relative_gap < 1e-5


def test_what_is_refused(rng):
    X, Y = rng.standard_normal((9, 2)), rng.standard_normal((9, 2))
    with pytest.raises(ValueError, match="bias='free'"):
        copositive_relaxation(Problem(X, Y))
    with pytest.raises(ValueError, match="loss='huber'"):
        copositive_relaxation(Problem(X, Y, "huber", bias="none"))
    with pytest.raises(ValueError, match="patches"):
        copositive_relaxation(Problem(Patches(X[:, :, None], 1), Y, bias="none"))
    with pytest.raises(ValueError, match="cells, at most"):
        copositive_relaxation(
            Problem(rng.standard_normal((60, 5)), rng.standard_normal(60), bias="none")
        )
    with pytest.raises(ValueError, match="X is zero"):
        copositive_relaxation(Problem(0 * X, Y, bias="none"))
    with pytest.raises(TypeError, match=r"gapless\.Problem"):
        copositive_relaxation(X)
    with pytest.raises(ValueError, match="smooth losses"):
        frank_wolfe(Problem(X, Y), 1.0)
    with pytest.raises(ValueError, match="too many dimensions"):
        frank_wolfe(
            Problem(rng.standard_normal((60, 20)), Y[:, :1].repeat(7)[:60], bias="none"), 1.0
        )
    with pytest.raises(ValueError, match="radius"):
        frank_wolfe(Problem(X, Y, bias="none"), 0.0)


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_frank_wolfe_goes_to_the_optimum_at_its_radius(loss):
    X, Y = spiral(6)
    problem = Problem(X, Y, loss, weight_decay=0.005, bias="none")
    best = train(problem, tol=1e-7).network
    t = best.penalty("none")
    low, high = optimum(problem) if loss == "squared" else (0, best.objective(problem))
    gaps = []
    for steps in (50, 400):
        found = frank_wolfe(problem, t, n_steps=steps)
        assert len(found.losses) == steps + 1
        assert found.network.penalty("none") <= t * (1 + 1e-9)
        assert found.lower_bound <= high * (1 + 1e-9)
        assert low <= found.objective
        fit = best.objective(problem) - problem.weight_decay * t
        assert found.losses[-2] - fit <= found.gap * (1 + 1e-6)
        assert found.losses[-1] == pytest.approx(problem.data_fit(found.network.predict(X)))
        gaps.append(found.losses[-1] - fit)
    assert 0 <= gaps[1] < 0.25 * gaps[0]
    # the first step goes all the way, to one neuron
    one = frank_wolfe(problem, t, n_steps=1).network
    assert (one.n_neurons, one.penalty("none")) == (1, pytest.approx(t))


def test_frank_wolfe_is_the_same_in_any_units(rng):
    X, Y = rng.standard_normal((12, 2)), rng.standard_normal((12, 2))
    plain = frank_wolfe(Problem(X, Y, weight_decay=0.01, bias="penalized"), 0.7, n_steps=60)
    scaled = frank_wolfe(
        Problem(X, 8 * Y, weight_decay=0.08, bias="penalized"), 8 * 0.7, n_steps=60
    )
    assert scaled.losses == pytest.approx(64 * plain.losses)
    assert scaled.lower_bound == pytest.approx(64 * plain.lower_bound)
    assert dataclasses.is_dataclass(plain)
