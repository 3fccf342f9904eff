"""Effects that must rise or fall: proofs by multipliers, optima, monotone everywhere."""

import cvxpy as cp
import numpy as np
import pytest

from gapless import Network, Problem, Status, train_readable
from gapless.losses import Pinball
from gapless.readable import weights
from gapless.readable.monotone import MonotoneColumns, multipliers


def table(loss="squared", n=80, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    X[:, 2] = rng.integers(0, 3, n)  # ties
    f = np.sin(2 * X[:, 0]) + np.abs(X[:, 1]) + X[:, 2]
    y = f + 0.1 * rng.standard_normal(n)
    return Problem(X, y if loss != "logistic" else np.sign(f - np.median(f)), loss, 0.01)


def steps(network, j, sign, reach=50.0):
    """What an effect gains from place to place, far beyond the data too."""
    X = np.zeros((2001, network.n_features))
    X[:, j] = np.linspace(-reach, reach, len(X))
    return sign * np.diff(network.predict(X)[:, 0])


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("monotone", [{0: 1}, {0: -1, 2: 1}, {0: 1, 1: -1}])
def test_the_optimum_is_that_of_the_convex_program(loss, monotone):
    """All ramps that bend at a sample, under linear inequalities on the slopes."""
    problem = table(loss)
    X, y = problem.X, problem.Y[:, 0]
    ramps = [(j, s, t) for j in range(3) for s in (1, -1) for t in np.unique(X[:, j])]
    Z = np.array([np.maximum(s * (X[:, j] - t), 0) for j, s, t in ramps]).T
    a, c = cp.Variable(len(ramps)), cp.Variable()
    f, rising = Z @ a + c, []
    for j, sign in monotone.items():
        t = np.unique(X[:, j])
        between = np.concatenate([[t[0] - 1], (t[1:] + t[:-1]) / 2, [t[-1] + 1]])
        slopes = [[s * (i == j and s * (x - at) > 0) for i, s, at in ramps] for x in between]
        rising.append(sign * (np.array(slopes) @ a) >= 0)
    fit = (
        cp.sum_squares(f - y) / 2 if loss == "squared" else cp.sum(cp.logistic(-cp.multiply(y, f)))
    )
    theirs = cp.Problem(cp.Minimize(fit / len(y) + 0.01 * cp.norm1(a)), rising)
    theirs.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    ours = train_readable(problem, tol=1e-7, monotone=monotone)
    assert ours.status is Status.OPTIMAL
    assert ours.certificate.objective == pytest.approx(theirs.value, abs=1e-7)
    assert ours.certificate.lower_bound <= theirs.value + 1e-8
    assert ours.certificate.objective == pytest.approx(ours.network.objective(problem), rel=1e-12)
    assert "rise and fall as asked" in ours.known
    for j, sign in monotone.items():
        assert steps(ours.network, j, sign).min() >= -1e-12


def test_multipliers_bound_every_rising_effect_and_the_best_attains_them():
    rng = np.random.default_rng(0)
    for _ in range(30):
        n = int(rng.integers(3, 12))
        X = np.round(rng.standard_normal((n, 1)), 1)  # ties
        Lam = rng.standard_normal((n, 1))
        Lam -= Lam.mean()
        for sign in (1, -1):
            upper, found, values = MonotoneColumns(X, np.array([0]), [sign]).bound(Lam, 0.0)
            worth = found.activations(X).T @ Lam[:, 0] * np.sign(found.weights[:, 0]) * sign
            assert np.allclose(worth, values)
            assert values.max(initial=0.0) == pytest.approx(upper, rel=1e-12, abs=1e-12)
            x = np.sort(X[:, 0])
            order = np.argsort(X[:, 0])
            left = np.array([sign * Lam[order, 0] @ np.maximum(t - x, 0) for t in x])
            N, T = multipliers(left)
            assert N[0] >= 0
            assert np.all(np.diff(N) >= 0)
            assert N[-1] <= T
            # any rising effect: nonnegative slopes, the penalty its total variation or end slopes
            for _ in range(20):
                slopes = rng.exponential(size=n + 1) * rng.integers(0, 2, n + 1)
                kinks = np.sort(rng.uniform(-3, 3, n))
                jumps = np.diff(slopes)
                penalty = max(np.abs(jumps).sum(), slopes[0] + slopes[-1])
                f = slopes[0] * X + np.maximum(X - kinks, 0) @ jumps[:, None]
                assert sign * float((Lam * f).sum()) <= upper * penalty + 1e-12


@pytest.mark.parametrize("loss", ["huber", "hinge", Pinball(0.8)])
def test_other_losses_many_rows_and_bounds(monkeypatch, loss):
    problem = table("logistic" if loss == "hinge" else "squared")
    problem = problem.variant(Problem(problem.X, problem.Y, loss, 0.01).loss, 0.01)
    monotone = {0: 1, 2: -1}
    solution = train_readable(problem, monotone=monotone)
    assert solution.status is Status.OPTIMAL
    free = train_readable(problem).certificate
    assert solution.certificate.objective >= free.lower_bound
    monkeypatch.setattr(weights, "DENSE", 0)
    by_moments = train_readable(problem, monotone=monotone).certificate
    assert by_moments.relative_gap <= 1e-3
    assert by_moments.objective >= solution.certificate.lower_bound
    for j, sign in monotone.items():
        assert steps(solution.network, j, sign).min() >= -1e-12


def test_monotone_is_checked():
    problem = table()
    for wrong in ({3: 1}, {0: 2}, [1, 0, 0], {"x": 1}):
        with pytest.raises(ValueError, match="monotone must map feature numbers from 0 to 2"):
            train_readable(problem, monotone=wrong)
    with pytest.raises(ValueError, match="monotone effects need"):
        train_readable(problem, "pairs", monotone={0: 1})
    none = Network(np.zeros((3, 0)), np.zeros(0), np.zeros((0, 1)), np.zeros(1))
    with pytest.raises(ValueError, match="init is a network"):
        train_readable(problem, init=none, monotone={0: 1})
