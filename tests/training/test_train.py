"""The trainer: laws, statuses, invariances, interruption."""

import re
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

from gapless import Network, Problem, Status, certify, train
from gapless.core.candidates import best_of_patterns
from gapless.gauge.direction import Directional
from gapless.gauge.search import FIRST_STARTS, Oracle
from gapless.training.master import solve_master
from gapless.training.path import weight_decay_max
from problems import ALL_LOSSES, BIAS_RULES, random_problem


def diabetes(n=120, **options):
    X, y = load_diabetes(return_X_y=True)
    return Problem(scale(X[:n]), scale(y[:n]), **{"weight_decay": 0.1, **options})


@pytest.mark.parametrize(
    "loss", [loss for loss in ALL_LOSSES if np.isfinite(loss.smoothness)], ids=repr
)
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("C", [1, 3])
def test_master_meets_its_optimality_conditions(loss, free, C, rng):
    problem = random_problem(loss, "free" if free else "none", rng, n=40, d=3, C=C, weighted=True)
    C = problem.n_outputs
    U = rng.standard_normal((3, 25))
    Z = np.maximum(problem.X @ (U / np.linalg.norm(U, axis=0)), 0)
    a, c = solve_master(problem, Z, np.zeros((25, C)), np.zeros(C), 1e-14)
    R = problem.residual(Z @ a + c)
    scores, size = Z.T @ R, np.linalg.norm(a, axis=1)
    assert np.all(np.linalg.norm(scores, axis=1) <= problem.weight_decay * (1 + 1e-5))
    on = size > 1e-8
    np.testing.assert_allclose(
        scores[on], problem.weight_decay * a[on] / size[on, None], atol=1e-5 * problem.weight_decay
    )
    if free:
        np.testing.assert_allclose(R.sum(axis=0), 0, atol=1e-6)


def test_master_of_many_classes_ends_before_its_steps_do(rng):
    n, C, m = 400, 30, 16
    labels = np.arange(n) % C
    X = rng.standard_normal((C, 8))[labels] + 0.5 * rng.standard_normal((n, 8))
    problem = Problem(X, np.eye(C)[labels], "softmax", 1e-3)
    U = rng.standard_normal((8, m))
    Z = np.maximum(X @ (U / np.linalg.norm(U, axis=0)), 0)

    def objective(a, c):
        size = np.linalg.norm(a, axis=1).sum()
        return problem.data_fit(Z @ a + c) + problem.weight_decay * size

    found = solve_master(problem, Z, np.zeros((m, C)), np.zeros(C))
    again = solve_master(problem, Z, *found)
    assert objective(*found) - objective(*again) < 1e-10


@pytest.mark.parametrize("bias", BIAS_RULES)
@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_one_dimensional_data_are_solved_with_proof(loss, bias, rng):
    problem = random_problem(loss, bias, rng, n=25, d=1, weight_decay=0.02)
    solution = train(problem, tol=1e-4)
    assert solution.status is Status.OPTIMAL
    cert = solution.certificate
    assert 0 <= cert.relative_gap <= 1e-4
    assert cert.lower_bound <= cert.estimated_lower_bound
    assert cert.objective == solution.network.objective(problem)
    assert solution.network.n_neurons <= problem.n_samples * (problem.n_outputs + 1)


def test_starts_double_at_most_once_a_round(monkeypatch):
    seen, search = [], Oracle.search

    def watch(self, Lam, neurons, n_starts, *effort):
        seen.append(n_starts)
        return search(self, Lam, neurons, n_starts, *effort)

    monkeypatch.setattr(Oracle, "search", watch)
    for weight_decay in (0.1, 0.05):
        seen.clear()
        train(diabetes(weight_decay=weight_decay), tol=1e-3)
        assert seen[-1] > seen[0] == FIRST_STARTS
        # where boxes find a neuron that searches missed, training begins anew
        assert all(a in (b, 2 * b, FIRST_STARTS) for b, a in pairwise(seen))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40))
def test_best_of_each_pattern(seed, n, K):
    rng = np.random.default_rng(seed)
    on, value = rng.random((n, K)) < 0.2, np.round(rng.random(K), 1)
    keep = best_of_patterns(on, value)
    best = {}
    for pattern, v in zip(on.T.tolist(), value):
        best[tuple(pattern)] = max(v, best.get(tuple(pattern), 0.0))
    assert {tuple(on[:, j].tolist()): value[j] for j in keep} == best
    assert len(keep) == len(best)
    assert np.all(np.diff(value[keep]) <= 0)


def test_the_first_search_of_a_warm_start_takes_few_exact_steps(monkeypatch, rng):
    X = rng.standard_normal((60, 5))
    problem = Problem(X, np.abs(X[:, 0]) + X[:, 1], weight_decay=0.02)
    exact, search = [], Oracle.search

    def watched(oracle, Lam, neurons, n_starts, kinks=True, *rest):
        exact.append(kinks)
        return search(oracle, Lam, neurons, n_starts, kinks, *rest)

    monkeypatch.setattr(Oracle, "search", watched)
    first = train(problem, max_iter=2)
    assert exact == [True, True]
    train(problem, max_iter=2, init=first.network)
    assert exact[2:] == [False, True]


def test_heuristic_is_not_called_optimal(rng):
    X = rng.standard_normal((120, 25))  # too many dimensions for boxes of directions
    solution = train(Problem(X, np.abs(X[:, 0]) + X[:, 1], weight_decay=0.1), tol=1e-2)
    assert solution.status in (Status.HEURISTIC, Status.STALLED, Status.NEAR_OPTIMAL)
    assert solution.certificate.estimated_relative_gap <= 1e-2
    assert (solution.status is Status.NEAR_OPTIMAL) == (solution.certificate.relative_gap <= 0.1)


def test_objective_beats_a_planted_network(rng):
    X = rng.standard_normal((80, 4))
    planted = Network(
        rng.standard_normal((4, 3)), np.zeros(3), rng.standard_normal((3, 1)), np.zeros(1)
    )
    problem = Problem(X, planted.predict(X), weight_decay=0.01, bias="none")
    solution = train(problem, tol=1e-2)
    assert solution.certificate.objective <= planted.balance("none").objective(problem) * (1 + 1e-9)


def test_sparse_samples_are_the_same_samples():
    X, y = diabetes().X[:, :5], diabetes().Y  # few enough for boxes of directions to close at once
    dense, sparse = (
        train(Problem(A, y, weight_decay=0.1, bias="penalized")) for A in (X, sp.csr_matrix(X))
    )
    assert sparse.certificate.objective == pytest.approx(dense.certificate.objective, rel=1e-9)


def test_the_status_is_that_of_the_network_in_the_units_of_the_problem():
    """One sample whose optimum is less than what rounding its output costs."""
    X, weight_decay = 1e-48 * np.arange(1.0, 6.0)[None], 1e-49
    for y in (0.7, 0.7 / 3, 1.1):
        solution = train(Problem(X, np.array([y]), "squared", weight_decay, "penalized"))
        gap = solution.certificate.relative_gap
        assert (solution.status is Status.OPTIMAL) == (gap <= 1e-3)


def test_wide_data_use_their_row_space(rng):
    X = rng.standard_normal((20, 300))
    solution = train(Problem(X, rng.standard_normal(20), weight_decay=0.05, bias="none"), tol=1e-3)
    U = solution.network.hidden_weights
    inside = X.T @ np.linalg.lstsq(X.T, U, rcond=None)[0]
    np.testing.assert_allclose(U, inside, atol=1e-8)


def test_same_seed_same_network_and_warm_start_is_no_worse():
    problem = diabetes(weight_decay=0.03)
    first, second = (train(problem, tol=1e-2, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(first.network.hidden_weights, second.network.hidden_weights)
    warm = train(problem, init=first.network, max_iter=1)
    assert warm.certificate.objective <= first.certificate.objective * (1 + 1e-12)


def test_bounds_never_get_worse_and_gap_is_never_negative():
    history = train(diabetes(weight_decay=0.03)).history
    assert np.all(np.diff(history.lower_bound) >= 0)
    assert np.all(np.diff(history.objective) <= 1e-12)
    assert np.all(np.array(history.objective) >= history.lower_bound)


def test_limits_callback_and_interrupt():
    problem = diabetes(weight_decay=0.005)
    assert train(problem, time_limit=0.2).status is Status.TIME_LIMIT
    assert train(problem, max_iter=2).status is Status.ITERATION_LIMIT
    capped = train(problem, max_neurons=3)
    assert capped.network.n_neurons <= 3
    assert capped.status in (Status.NEURON_LIMIT, Status.STALLED)
    seen = []
    stopped = train(problem, callback=lambda info: seen.append(info) or info.iteration == 2)
    assert stopped.status is Status.STOPPED
    assert [info.iteration for info in seen if info.iteration] == [1, 2]
    assert seen[0].iteration == 0  # during the start
    assert np.all(np.diff([info.certificate.objective for info in seen]) <= 0)

    def interrupt(info):
        raise KeyboardInterrupt

    broken = train(problem, callback=interrupt)
    assert broken.status is Status.STOPPED
    assert np.isfinite(broken.certificate.objective)
    assert broken.certificate.objective < 0.5


def test_a_callback_stops_a_proof_between_two_bounds():
    seen, asked = [], []

    def nothing_new(info):
        seen.append(info.certificate)
        asked.append(info.certificate.relative_gap < 0.7 and seen[-1] == seen[-2])
        return asked[-1]

    stopped = train(diabetes(442, weight_decay=0.01), time_limit=20, callback=nothing_new)
    assert True in asked
    assert len(asked) - asked.index(True) <= 2  # told once more, of the last bound
    assert stopped.certificate.lower_bound >= seen[-1].lower_bound


@pytest.mark.parametrize(
    "options", [{"tol": 0}, {"time_limit": -1}, {"max_neurons": 0}, {"max_iter": 1.5}]
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        train(diabetes(), **options)


@pytest.mark.parametrize(
    "data",
    [
        (np.zeros((5, 2)), np.arange(5.0)),
        (np.ones((1, 1)), [2.0]),
        (np.arange(4.0)[:, None], np.ones(4)),
        (1e-150 * np.arange(6.0)[:, None], np.arange(6.0)),
        (1e150 * np.arange(6.0)[:, None], np.arange(6.0)),
        (np.arange(12.0).reshape(6, 2), 1e-120 * np.arange(6.0)),
    ],
)
@pytest.mark.parametrize("bias", BIAS_RULES)
def test_degenerate_data(data, bias):
    solution = train(Problem(*data, bias=bias), max_iter=30)
    assert np.isfinite(solution.certificate.objective)
    assert solution.certificate.lower_bound <= solution.certificate.objective


def test_no_neurons_from_weight_decay_max_on():
    problem = diabetes()
    top = weight_decay_max(problem)
    above, below = (train(Problem(problem.X, problem.Y, weight_decay=f * top)) for f in (1.02, 0.9))
    assert above.network.n_neurons == 0
    assert below.network.n_neurons > 0


def test_time_left_is_spent_on_the_proof_and_the_estimate_stays_the_search_s(rng):
    X = rng.standard_normal((12, 20))
    problem = Problem(X, X[:, 0] * X[:, 1], weight_decay=0.1, bias="none")
    quick = train(problem, max_iter=1)
    assert not quick.status.proven  # no bound as cheap as a round reaches these data
    timed = train(problem, tol=5e-3, time_limit=20)
    assert timed.certificate.relative_gap <= 5e-3
    assert timed.status is Status.OPTIMAL
    assert timed.certificate.lower_bound > quick.certificate.lower_bound
    assert "directions" in timed.certificate.proof
    # the search's own estimate, which the proof does not touch
    assert timed.certificate.estimated_lower_bound == max(
        timed.history.estimated_lower_bound[0], timed.history.estimated_lower_bound[-1]
    )
    assert timed.certificate.estimated_relative_gap < 1e-3 < timed.certificate.relative_gap + 1e-3
    lower = timed.history.lower_bound
    assert lower == sorted(lower)


@pytest.mark.parametrize("bias", ["free", "none"])
def test_master_of_many_rows_from_its_moments(monkeypatch, bias):
    """The normal equations give the master that the rows give, weights and bias included."""
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(400, 5)), rng.uniform(0.1, 1, 400)
    Z = np.maximum(X @ rng.normal(size=(5, 12)), 0)
    Z[:, -1] = Z[:, 0]  # collinear columns
    Y = np.column_stack([np.sin(X[:, 0]), np.abs(X[:, 1])]) + 1.0
    problem = Problem(X, Y, "squared", 0.02, bias, w)
    start = np.zeros((12, 2)), np.zeros(2)
    a, c = solve_master(problem, Z, *start)
    monkeypatch.setattr("gapless.training.master.TALL", 100)
    b, d = solve_master(problem, Z, *start)
    np.testing.assert_allclose(Z @ b + d, Z @ a + c, atol=1e-6)
    assert np.any(d) == (bias == "free")


@pytest.mark.parametrize("bias", ["none", "penalized", "free"])
@pytest.mark.parametrize("loss", ["squared", "logistic", "huber"])
def test_few_features_are_proven_without_a_limit(bias, loss, rng):
    X = rng.standard_normal((70, 5))
    y = np.abs(X[:, 0]) - np.maximum(X[:, 1], 0) + 0.3 * rng.standard_normal(70)
    y = np.sign(y) if loss == "logistic" else y
    solution = train(Problem(X, y, loss, 0.05, bias))
    assert solution.status is Status.OPTIMAL
    assert 0 <= solution.certificate.relative_gap <= 1e-3


@pytest.mark.parametrize("time_limit", [None, 60])
def test_a_neuron_that_searches_missed_is_found_by_boxes(time_limit, monkeypatch, rng):
    """Searches that find next to nothing: boxes name what violates, and training goes on, also
    from a proof that has begun."""
    X = rng.standard_normal((60, 4))
    problem = Problem(X, np.abs(X[:, 0]) - np.abs(X[:, 1]), weight_decay=0.05)
    whole = train(problem)
    search = Oracle.search

    def blind(oracle, *args, **options):
        found = search(oracle, *args, **options)
        return found.take(np.argsort(found.value)[:1])

    monkeypatch.setattr(Oracle, "search", blind)
    if time_limit is not None:
        monkeypatch.setattr(Directional, "decide", lambda *of: None)
    found = train(problem, time_limit=time_limit)
    assert found.status is Status.OPTIMAL
    assert found.certificate.objective == pytest.approx(whole.certificate.objective, rel=2e-3)


def test_a_network_that_may_not_grow_is_proven_all_the_same(rng):
    X = rng.standard_normal((60, 4))
    y = np.abs(X[:, 0]) - np.abs(X[:, 1])
    solution = train(Problem(X, y, weight_decay=0.05), max_neurons=1, time_limit=5)
    assert solution.status is Status.NEURON_LIMIT
    later = certify(solution.network, X, y, weight_decay=0.05, time_limit=5)
    assert solution.certificate.lower_bound >= later.lower_bound * (1 - 1e-2)


def test_what_more_time_would_prove_is_foreseen():
    X, y = load_diabetes(return_X_y=True)
    problem = Problem(scale(X), scale(y), weight_decay=0.03)
    solution = train(problem, time_limit=6)
    gap = solution.certificate.relative_gap
    words = re.search(r"about (\d+) s more would prove ([\d.]+)%", solution.advice)
    assert int(words[1]) >= 1
    assert 0 < float(words[2]) / 100 < gap
    assert train(problem, tol=0.99, time_limit=6).advice == ""
