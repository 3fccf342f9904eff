"""Networks of neurons of one and two features: proofs, optima, laws."""

import itertools
import tracemalloc

import numpy as np
import pytest
from sklearn.model_selection import KFold

from gapless import Network, Problem, Status, solve_spline, train_readable
from gapless.core import losses
from gapless.core.watch import Watch
from gapless.gauge.choose import METHODS
from gapless.losses import Pinball
from gapless.readable import path, planes, weights
from gapless.readable.columns import SortedColumns
from gapless.readable.neurons import feature_pairs
from gapless.readable.planes import Sweep
from gapless.readable.table import Table

LOSSES = [*losses.LOSSES, *losses.LOG_LINK, "two outputs"]
RULES = ["free", "penalized", "none"]


def table(loss="squared", bias="free", n=80, weight_decay=0.01, seed=0, sample_weight=None):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    X[:, 2] = rng.integers(0, 3, n)  # ties
    f = np.sin(2 * X[:, 0]) + np.abs(X[:, 1]) + X[:, 2]
    y = f + 0.1 * rng.standard_normal(n)
    if loss in ("logistic", "hinge"):
        y = np.where(f > np.median(f), 1.0, -1.0)
    elif loss == "softmax":
        y = np.eye(3)[np.digitize(f, np.quantile(f, [0.3, 0.6]))]
    elif loss == "two outputs":
        y, loss = np.column_stack([y, X[:, 0]]), "squared"
    elif loss == "pinball":
        loss = Pinball(0.8)
    elif loss in ("poisson", "gamma"):
        y = np.exp(f / 2)
        y = np.round(y) if loss == "poisson" else y
    return Problem(X, y, loss, weight_decay, bias, sample_weight)


def random_network(rng, d, features, outputs, bias):
    """Neurons of some features each."""
    U = np.zeros((d, 4))
    for j in range(4):
        U[rng.choice(d, features, replace=False), j] = rng.standard_normal(features)
    b = rng.standard_normal(4) * (bias != "none")
    c = rng.standard_normal(outputs) * (bias == "free")
    return Network(U, b, rng.standard_normal((4, outputs)), c)


@pytest.mark.parametrize("bias", RULES)
@pytest.mark.parametrize("loss", LOSSES)
def test_networks_of_one_feature_are_proven_for_every_loss_and_bias_rule(loss, bias):
    problem = table(loss, bias)
    solution = train_readable(problem)
    assert solution.status is Status.OPTIMAL
    assert np.all(np.sum(solution.network.hidden_weights != 0, axis=0) <= 1)
    assert solution.certificate.objective == pytest.approx(solution.network.objective(problem))
    # no network of such neurons is below the bound, least of all shaken copies of the best
    rng, best = np.random.default_rng(1), solution.network
    for t in np.geomspace(1e-6, 1, 10):
        a = best.output_weights * (1 + t * rng.standard_normal(best.output_weights.shape))
        shaken = Network(best.hidden_weights, best.hidden_bias, a, best.output_bias)
        assert shaken.objective(problem) >= solution.certificate.lower_bound
    for _ in range(20):
        other = random_network(rng, 3, 1, problem.n_outputs, bias)
        assert other.objective(problem) >= solution.certificate.lower_bound


@pytest.mark.parametrize("loss", sorted({*LOSSES} - {"hinge", "pinball"}))
def test_smooth_losses_reach_a_gap_of_a_millionth(loss):
    solution = train_readable(table(loss), tol=1e-6)
    assert solution.status is Status.OPTIMAL
    assert solution.certificate.relative_gap <= 1e-6


@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson", "gamma"])
def test_a_lasso_on_all_ramps_has_the_same_optimum(loss):
    """Every kink at a sample, every side: enumerable, and solved by another's solver."""
    cp = pytest.importorskip("cvxpy")
    problem = table(loss, n=25)
    ours = train_readable(problem, tol=1e-8).certificate
    ramps = [
        np.maximum(s * (x - t), 0)
        for x, s in itertools.product(problem.X.T, (1, -1))
        for t in np.unique(x)
    ]
    a, c = cp.Variable(len(ramps)), cp.Variable()
    f, y = np.array(ramps).T @ a + c, problem.Y[:, 0]
    log = np.log(np.where(y > 0, y, 1))
    fit = {  # the deviances themselves, which do not turn into lines
        "squared": lambda: cp.sum_squares(f - y) / 2,
        "logistic": lambda: cp.sum(cp.logistic(-cp.multiply(y, f))),
        "poisson": lambda: cp.sum(cp.exp(f) - cp.multiply(y, f)) + np.sum(y * log - y),
        "gamma": lambda: cp.sum(cp.multiply(y, cp.exp(-f)) + f) - np.sum(1 + log),
    }[loss]()
    theirs = cp.Problem(cp.Minimize(fit / len(y) + problem.weight_decay * cp.norm1(a)))
    theirs.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    assert ours.objective == pytest.approx(theirs.value, abs=1e-7)
    assert ours.lower_bound <= theirs.value + 1e-9


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
def test_on_one_feature_it_is_the_spline(loss):
    problem = table(loss)
    x, y = problem.X[:, 0], problem.Y[:, 0]
    spline = solve_spline(x, y, weight_decay=0.01, loss=loss).certificate
    ours = train_readable(Problem(x[:, None], y, loss, 0.01), tol=1e-6).certificate
    assert ours.objective == pytest.approx(spline.objective, rel=3e-6)


def test_weights_are_repetitions():
    problem = table(n=40)
    times = np.random.default_rng(0).integers(0, 4, 40)
    X, y = np.repeat(problem.X, times, axis=0), np.repeat(problem.Y, times, axis=0)
    repeated = train_readable(Problem(X, y, "squared", 0.01), tol=1e-6).certificate
    weighted = Problem(problem.X, problem.Y, "squared", 0.01, sample_weight=times)
    ours = train_readable(weighted, tol=1e-6).certificate
    assert ours.objective == pytest.approx(repeated.objective, rel=3e-6)


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic", "softmax"])
@pytest.mark.parametrize("bias", ["free", "penalized"])
def test_moments_of_many_rows_lead_to_the_same_optimum(monkeypatch, loss, bias):
    problem = table(loss, bias)
    # several outputs: its model has one curvature a sample, so steps are many
    tol = 1e-3 if loss == "softmax" else 1e-5
    dense = train_readable(problem, tol=tol).certificate
    monkeypatch.setattr(weights, "DENSE", 0)
    ours = train_readable(problem, tol=tol)
    assert ours.status is Status.OPTIMAL
    assert ours.certificate.objective == pytest.approx(dense.objective, rel=3 * tol)


def test_many_rows_start_from_some_of_them(monkeypatch):
    from gapless.readable import solve

    monkeypatch.setattr(solve, "MANY_ROWS", 100)
    problem = table("softmax", n=1500)
    solution = train_readable(problem)
    assert solution.status is Status.OPTIMAL
    assert solution.certificate.objective == pytest.approx(
        solution.network.objective(problem), rel=1e-9
    )


def test_a_warm_start_and_units_change_nothing():
    problem = table()
    first = train_readable(problem, tol=1e-5)
    warm = train_readable(problem, tol=1e-5, init=first.network)
    assert warm.history.n_rounds <= 2
    far = Problem(problem.X * 1e3 + 1e6, problem.Y * 1e-3, "squared", 0.01 * 1e-6)
    moved = train_readable(far, tol=1e-5).certificate
    assert moved.relative_gap <= 1e-5
    assert moved.objective > 0


def test_sparse_and_wide_data():
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    X = sp.random(60, 300, 0.1, random_state=0, format="csr")
    y = X.toarray()[:, 0] + 0.1 * rng.standard_normal(60)
    solution = train_readable(Problem(X, y, "squared", 0.003))
    assert solution.status is Status.OPTIMAL


@pytest.mark.parametrize("outputs", [1, 3])
def test_columns_and_planes_know_the_gauge(outputs):
    rng = np.random.default_rng(outputs)
    X, Lam = rng.standard_normal((50, 2)), rng.standard_normal((50, outputs))
    X[:, 0] = np.round(X[:, 0])  # ties
    X, Lam = X - X.mean(axis=0), Lam - Lam.mean(axis=0)
    whole = METHODS["low-rank"].bound(Problem(X, Lam, weight_decay=1.0), Lam)
    for factor in (1 + 1e-6, 1.1):
        sweep = Sweep(X, Lam, whole.lower * factor)
        found, _ = sweep.run(np.array([[0, 1]]))
        assert len(found) == 0
        assert whole.lower <= sweep.upper <= whole.lower * factor
    sweep = Sweep(X, Lam, whole.lower * 0.9)
    found, values = sweep.run(np.array([[0, 1]]))
    own = np.linalg.norm(found.activations(X).T @ Lam, axis=1)
    assert np.allclose(values, own)
    assert whole.lower * 0.9 < values.max() <= whole.upper <= sweep.upper * (1 + 1e-9)
    for j in range(2):
        one = METHODS["low-rank"].bound(Problem(X[:, [j]], Lam, weight_decay=1.0), Lam)
        upper, found, values = SortedColumns(X, np.array([j])).bound(Lam, 0.5 * one.lower)
        own = np.linalg.norm(found.activations(X).T @ Lam, axis=1)
        assert np.allclose(values, own)
        assert values.max() == pytest.approx(one.lower)
        assert values.max() <= upper <= one.lower * (1 + 1e-9)


@pytest.mark.parametrize("outputs", [1, 2])
def test_no_ramp_exceeds_what_a_sweep_proves(outputs):
    """Whatever the limit and wherever it ends."""
    rng, nearest = np.random.default_rng(outputs), np.inf
    for n in np.tile([3, 4, 12, 40], 4):
        X, Lam = rng.standard_normal((n, 2)), rng.standard_normal((n, outputs))
        X[:, 1] *= 10.0 ** rng.integers(-9, 1)
        X[: n // 3] = np.round(X[: n // 3])  # ties
        X, Lam = X - X.mean(axis=0), Lam - Lam.mean(axis=0)
        whole = METHODS["low-rank"].bound(Problem(X, Lam, weight_decay=1.0), Lam)
        gauge, looks = whole.lower * (1 - 1e-9), int(rng.integers(1, 9))
        for factor in (0.3, 0.9, 1 - 1e-6, 1.0, 1 + 1e-6, 1.01):
            asked = itertools.count()
            for stop in (lambda: False, lambda: next(asked) > looks):  # noqa: B023
                sweep = Sweep(X, Lam, whole.lower * factor, stop)
                sweep.run(np.array([[0, 1]]))
                assert sweep.upper >= gauge
                nearest = min(nearest, sweep.upper / gauge)
    assert nearest < 1 + 1e-5


def test_threads_and_parts_lead_to_the_same_bound(monkeypatch):
    rng = np.random.default_rng(3)
    X, Lam = rng.standard_normal((2, 150, 4))
    X, Lam = X - X.mean(axis=0), Lam - Lam.mean(axis=0)
    pairs, uppers = np.array(feature_pairs("pairs", 4)), []
    limit = 1.001 * max(
        METHODS["low-rank"].bound(Problem(X[:, S], Lam, weight_decay=1.0), Lam).lower for S in pairs
    )
    for size in (planes.LARGE, 1000):
        for name in ("BATCH", "LARGE", "TOGETHER"):
            monkeypatch.setattr(planes, name, size)
        sweep = Sweep(X, Lam, limit)
        assert len(sweep.run(pairs)[0]) == 0
        uppers.append(sweep.upper)
    assert limit / 1.001 <= uppers[0] <= limit
    assert uppers[1] == pytest.approx(uppers[0], rel=1e-12)


def test_cells_that_rounding_keeps_open_end(monkeypatch):
    """Samples equal but for their targets, of which no neuron is worth anything."""
    monkeypatch.setattr(planes, "LOOKS", 3000)
    X, Lam = np.repeat([[0.8, 0.6], [0.3, -0.2]], 2, axis=0), np.array([[1.0], [-1], [1], [-1]])
    asked = itertools.count()
    table = Table(Problem(X, [0.0, 1, 2, 3]), "pairs")
    look = table.look(Lam, 1e-300, lambda: next(asked) > 1000)
    assert 1e-300 < look.bound.upper < 1e-2


def test_neurons_slide_to_where_two_would_stand_beside():
    """One neuron makes these targets; a grid of directions has none at its place."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 2))
    X -= X.mean(axis=0)
    u = np.array([np.cos(0.7), np.sin(0.7)])
    solution = train_readable(Problem(X, np.maximum(X @ u, 0), weight_decay=1e-3), "pairs")
    assert solution.status is Status.OPTIMAL
    U = solution.network.hidden_weights
    heavy = np.argmax(np.linalg.norm(U, axis=0))
    assert abs(U[:, heavy] @ u) > 0.999 * np.linalg.norm(U[:, heavy])
    assert solution.network.n_neurons <= 12


def test_folds_of_a_large_table_are_held_one_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 8))
    problem = Problem(X, np.abs(X[:, 0]) + 0.1 * rng.standard_normal(len(X)))
    splits = KFold(5, shuffle=True, random_state=0).split(X)
    folds = [tuple((rows, np.ones(len(rows))) for rows in both) for both in splits]
    grid, losses, peaks = np.geomspace(0.2, 0.02, 4), [], []
    for held in (path.HELD, 0):
        monkeypatch.setattr(path, "HELD", held)
        tracemalloc.start()
        walk = path.Walk(problem, 0, folds, Watch.of(None))
        walk.along([(value, np.inf) for value in grid], 3)
        losses.append(walk.losses)
        peaks.append(tracemalloc.get_traced_memory()[1] / X.nbytes)
        tracemalloc.stop()
    assert np.array_equal(*losses)
    assert peaks[1] < peaks[0] - 8  # of 14 arrays in five tables


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_folds_of_many_rows_train_pairs_on_some_of_them(monkeypatch, loss):
    rng = np.random.default_rng(0)
    n, rows = 1000, 200
    X = rng.standard_normal((n, 3))
    f = X[:, 0] * X[:, 1] + X[:, 2] + 0.1 * rng.standard_normal(n)
    y = np.eye(3)[np.digitize(f, [0, 3.5])] if loss == "softmax" else f  # one class is rare
    problem = Problem(X, y, loss)
    splits = KFold(4, shuffle=True, random_state=0).split(X)
    folds = [tuple((part, np.ones(len(part))) for part in both) for both in splits]
    monkeypatch.setattr(path, "ROWS", rows)
    walk = path.Walk(problem, "pairs", folds, Watch.of(None))
    walk.lines()
    line, lines = walk.values[walk.best], walk.n_lines
    assert all(len(fold.fit[0]) == 0.75 * n for fold in walk.folds)
    walk.pairs()
    # the line once more, on as many rows as pairs have, and what they are compared with
    assert walk.n_lines == lines + 1
    assert walk.values[lines] == line
    assert np.all(walk.losses[:, lines] > walk.losses[:, walk.values.index(line)])
    assert walk.choice(named=False) > lines
    for fold, (fit, test) in zip(walk.folds, folds):
        assert rows <= len(fold.fit[0]) <= rows + 3
        assert np.all(np.isin(fold.fit[0], fit[0]))
        assert fold.test is test
        assert fold.larger == pytest.approx((len(fit[0]) / len(fold.fit[0])) ** 0.5)
        assert np.all(problem.Y[fold.fit[0]].any(axis=0))


def test_folds_of_more_rows_train_lines_on_some_and_pairs_on_fewer(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 2))
    problem = Problem(X, np.abs(X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(1000))
    splits = KFold(4, shuffle=True, random_state=0).split(X)
    folds = [tuple((part, np.ones(len(part))) for part in both) for both in splits]
    monkeypatch.setattr(path, "ROWS_LINES", 500)
    monkeypatch.setattr(path, "ROWS", 200)
    walk = path.Walk(problem, "pairs", folds, Watch.of(None))
    for train, rows in ((walk.lines, 500), (walk.pairs, 200)):
        train()
        for fold, (fit, test) in zip(walk.folds, folds):
            assert len(fold.fit[0]) == rows
            assert np.all(np.isin(fold.fit[0], fit[0]))
            assert fold.test is test
            assert fold.larger == pytest.approx((750 / rows) ** 0.5)


def test_weights_are_as_exact_as_rounds_gain(monkeypatch):
    from gapless.readable import solve

    problem, asked, solver = table(), [], solve.solve_weights

    def noted(*given):
        asked.append(given[5])
        return solver(*given)

    monkeypatch.setattr(solve, "solve_weights", noted)
    fit = solve.Fit(Table(problem), problem.weight_decay, 1e-3)
    for gained in (1e-2, 1e-7, 0.0):  # nothing is proven: the gap at hand is 1
        fit.past = [fit.value * (1 + gained), fit.value]
        fit._weigh(fit.neurons, fit.a, fit.c, Watch.of(None))
    least = solve.MASTER * 1e-3
    assert asked == pytest.approx([(solve.MASTER * solve.WIDE) ** 2, 1e-8, least**2], rel=1e-6)


def test_pairs_that_cost_more_are_fewer_and_what_they_cost_is_counted():
    problem = table(n=60, weight_decay=0.02)
    one = train_readable(problem).certificate
    least = train_readable(problem, "pairs").certificate.objective
    for price in (1.5, 4.0, 100.0):
        solution = train_readable(problem, "pairs", price=price)
        network, proof = solution.network, solution.certificate
        assert solution.status is Status.OPTIMAL
        two = np.sum(network.hidden_weights != 0, axis=0) > 1
        norms = [np.linalg.norm(M, axis=k) for k, M in enumerate([network.hidden_weights])]
        norms.append(np.linalg.norm(network.output_weights, axis=1))
        penalty = np.sum(np.where(two, price, 1.0) * norms[0] * norms[1])
        fit = problem.data_fit(network.predict(problem.X))
        assert proof.objective == pytest.approx(fit + problem.weight_decay * penalty, rel=1e-9)
        assert f"cost {price:.3g} times as much" in solution.known
        assert least * (1 - 1e-3) <= proof.objective  # dearer, and never dearer than none at all
        assert proof.lower_bound <= one.objective
        least = proof.objective
    assert not np.any(two)
    again = train_readable(problem, "pairs", price=1.5, init=train_readable(problem).network)
    assert again.status is Status.OPTIMAL
    with pytest.raises(ValueError, match="below 1"):
        train_readable(problem, "pairs", price=0.5)


def test_interactions_are_checked():
    assert feature_pairs("pairs", 3) == [(0, 1), (0, 2), (1, 2)]
    assert feature_pairs([(2, 0), (0, 2)], 3) == [(0, 2)]
    for wrong in (1, False, "all", [(0, 0)], [(0, 3)], [1], [(0, 1, 2)], None):
        with pytest.raises(ValueError, match="interactions must be 0"):
            feature_pairs(wrong, 3)
    assert feature_pairs([("c", 0), (1, "a")], 3, ["a", "b", "c"]) == [(0, 1), (0, 2)]
    with pytest.raises(ValueError, match=r"from 0 to 2 or names, got \[\('a', 'd'\)\]"):
        feature_pairs([("a", "d")], 3, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("loss", "bias"),
    [("squared", "free"), ("logistic", "free"), ("two outputs", "free"), ("squared", "penalized")],
)
def test_networks_of_pairs_are_proven(loss, bias):
    problem = table(loss, bias, n=40, weight_decay=0.03)
    one = train_readable(problem, tol=1e-2)
    both = train_readable(problem, "pairs", tol=1e-2)
    assert both.status is Status.OPTIMAL
    assert both.features == 2
    assert "the features allowed" in both.known
    assert np.all(np.sum(both.network.hidden_weights != 0, axis=0) <= 2)
    assert both.certificate.lower_bound <= one.certificate.objective
    rng = np.random.default_rng(2)
    for _ in range(20):
        other = random_network(rng, 3, 2, problem.n_outputs, bias)
        assert other.objective(problem) >= both.certificate.lower_bound
    # only the pairs listed are used
    listed = train_readable(problem, [(0, 2)], tol=1e-2).network.hidden_weights
    assert not np.any((listed[1] != 0) & (np.sum(listed != 0, axis=0) == 2))


@pytest.mark.parametrize("known", [0.1, 0.5, 0.9])
def test_neurons_at_hand_hide_none_that_are_better(known):
    pairs = Table(table(n=40), "pairs")
    Lam = np.random.default_rng(3).standard_normal((40, 1))
    Lam -= Lam.mean()
    everything = pairs.look(Lam, 0.0)
    top = everything.values.max()
    at_hand = everything.neurons.take(np.flatnonzero(everything.values > known * top))
    look = pairs.look(Lam, known * top, neurons=at_hand)
    assert top * (1 - 1e-12) <= look.values.max() <= look.bound.upper < np.inf


def test_words_are_of_the_networks_that_the_proof_is_about(rng):
    X = rng.standard_normal((40, 3))
    solution = train_readable(Problem(X, np.abs(X[:, 0]), weight_decay=0.05))
    for words in (str(solution.certificate), solution.known):
        assert "network whose neurons look at one feature" in words
        assert "of any width" not in words
