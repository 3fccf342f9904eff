"""Splines: agreement with cone programs, proofs, laws, edges."""

from __future__ import annotations

import warnings
from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import Problem, certify, train
from gapless.core.losses import Hinge, Huber, Logistic, Pinball, Squared
from gapless.core.result import Status
from gapless.curves.cells import Cells
from gapless.curves.line import sort_with_order
from gapless.curves.spline import flat_spline_weight_decay, solve_spline, spline_path

LOSSES = [Squared(), Huber(0.4), Logistic(), Hinge(), Pinball(0.8), Pinball(0.5)]


def data(seed: int = 0, n: int = 25, ties: bool = True):
    rng = np.random.default_rng(seed)
    x = np.round(5 * rng.random(n), 1) if ties else 5 * rng.random(n)
    y = np.sin(2 * x) + 0.5 * seed * x + 0.3 * rng.standard_normal(n)
    return x, y, rng.random(n) + 0.1


def targets(y, loss):
    return np.where(y > np.median(y), 1.0, -1.0) if loss.targets == "sign" else y


def ramps(x):
    k = np.unique(x)
    return np.hstack([np.maximum(x[:, None] - k, 0), np.maximum(k - x[:, None], 0)])


def expression(loss, f, y, w):
    each = {
        "squared": lambda: cp.square(f - y) / 2,
        "huber": lambda: cp.huber(f - y, loss.delta) / 2,
        "logistic": lambda: cp.logistic(-cp.multiply(y, f)),
        "hinge": lambda: cp.pos(1 - cp.multiply(y, f)),
        "pinball": lambda: loss.quantile * cp.pos(y - f) + (1 - loss.quantile) * cp.pos(f - y),
    }[loss.name]()
    return cp.sum(cp.multiply(w / w.sum(), each))


def reference(x, y, loss, beta, w):
    D = ramps(x)
    z, c = cp.Variable(D.shape[1]), cp.Variable()
    return solved(expression(loss, D @ z + c, y, w) + beta * cp.norm1(z))


def solved(objective):
    """The least value; Clarabel's own tolerances leave it up to 7e-8 above."""
    problem = cp.Problem(cp.Minimize(objective))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "may be inaccurate" below 1e-9
        problem.solve(cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return problem.value


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_optimum_is_that_of_the_cone_program(loss, seed):
    x, y, w = data(seed)
    y = targets(y, loss)
    top = flat_spline_weight_decay(x, y, loss=loss, sample_weight=w)
    for share in (0.98, 0.3, 0.01):
        beta = share * top
        s = solve_spline(x, y, weight_decay=beta, loss=loss, sample_weight=w)
        assert s.certificate.objective == pytest.approx(reference(x, y, loss, beta, w), rel=1e-7)
        assert s.certificate.relative_gap <= 1e-6
        problem = Problem(x[:, None], y, loss, beta, "free", w)
        assert s.network.objective(problem) == pytest.approx(s.certificate.objective, rel=1e-10)
        assert np.allclose(s.network.predict(x[:, None])[:, 0], s.predict(x), atol=1e-10)
        assert np.all(np.isin(s.knots, x))
        assert s.network.n_neurons <= s.n_kinks + 1


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_flat_spline_weight_decay_is_where_the_constant_ends(loss):
    for seed in range(3):
        x, y, w = data(seed)
        y = targets(y, loss)
        top = flat_spline_weight_decay(x, y, loss=loss, sample_weight=w)
        above = solve_spline(x, y, weight_decay=1.001 * top, loss=loss, sample_weight=w)
        below = solve_spline(x, y, weight_decay=0.99 * top, loss=loss, sample_weight=w)
        assert np.all(above.slopes == 0)
        assert np.any(below.slopes != 0)


def test_certificate_is_that_of_the_independent_checker():
    x, y, w = data(1)
    s = solve_spline(x, y, weight_decay=0.01, sample_weight=w)
    checked = certify(s.network, x[:, None], y, weight_decay=0.01, sample_weight=w, n_starts=10)
    assert checked.objective == pytest.approx(s.certificate.objective, rel=1e-10)
    assert checked.lower_bound == pytest.approx(s.certificate.lower_bound, rel=1e-6)


@pytest.mark.parametrize("loss", [Squared(), Logistic()], ids=lambda loss: loss.name)
def test_agrees_with_the_general_solver(loss):
    x, y, _ = data(2, 40)
    y = targets(y, loss)
    s = solve_spline(x, y, weight_decay=0.02, loss=loss)
    general = train(Problem(x[:, None], y, loss, 0.02), tol=1e-6)
    assert s.certificate.objective == pytest.approx(general.certificate.objective, rel=2e-6)
    assert s.certificate.lower_bound <= general.certificate.objective


@pytest.mark.parametrize("share", [1e-1, 1e-2, 1e-3, 1e-4])
def test_many_samples_with_and_without_cells(share, monkeypatch):
    rng = np.random.default_rng(3)
    x = rng.random(12_345)
    y = np.sin(9 * x) + 0.3 * rng.standard_normal(len(x))
    w = rng.random(len(x)) + 0.1
    for weights in (None, w):
        beta = share * flat_spline_weight_decay(x, y, sample_weight=weights)
        s = solve_spline(x, y, weight_decay=beta, sample_weight=weights)
        assert s.status is Status.OPTIMAL
        monkeypatch.setattr("gapless.curves.cells.SMALL", 10**6)
        plain = solve_spline(x, y, weight_decay=beta, sample_weight=weights)
        monkeypatch.undo()
        assert plain.status is Status.OPTIMAL
        assert s.certificate.objective == pytest.approx(plain.certificate.objective, rel=1e-6)


def test_moments_of_cells_are_sums_over_samples():
    rng = np.random.default_rng(0)
    x = np.sort(rng.random(5000))
    y = rng.standard_normal(5000)
    for w in (None, np.full(5000, 1 / 5000)):
        cells = Cells(x, y, w)
        cells.split(np.array([1, 3]))
        v = rng.standard_normal(len(cells.edges))
        f = np.interp(x, x[cells.edges], v)
        loss = 0.5 * np.mean((y - f) ** 2)
        assert cells.loss.value(v) + 0.5 * cells.square == pytest.approx(loss, rel=1e-12)
        hats = np.interp(x, x[cells.edges], np.arange(len(v)) == 7.0)
        assert cells.loss.residual(v)[7] == pytest.approx(hats @ (y - f) / 5000, rel=1e-9)


@given(st.integers(0, 10**6), st.integers(2, 40), st.floats(1e-4, 2))
@settings(max_examples=40, deadline=None)
def test_proof_and_invariances(seed, n, share):
    rng = np.random.default_rng(seed)
    x, y = np.round(rng.standard_normal(n), 1), rng.standard_normal(n)
    top = flat_spline_weight_decay(x, y)
    if not top > 0:
        return
    beta = share * top
    s = solve_spline(x, y, weight_decay=beta)
    P = s.certificate.objective
    assert s.status is Status.OPTIMAL
    assert s.certificate.lower_bound <= P * (1 + 1e-12)
    order = rng.permutation(n)
    again = solve_spline(x[order], y[order], weight_decay=beta)
    assert again.certificate.objective == pytest.approx(P, rel=1e-6)
    # f(x) -> 3 f((x - 1) / 2): slopes times 3/2, loss times 9
    scaled = solve_spline(2 * x + 1, 3 * y, weight_decay=6 * beta)
    assert scaled.certificate.objective == pytest.approx(9 * P, rel=1e-6)
    counts = rng.integers(0, 3, n)
    if counts.sum():
        weighted = solve_spline(x, y, weight_decay=beta, sample_weight=counts)
        repeated = solve_spline(np.repeat(x, counts), np.repeat(y, counts), weight_decay=beta)
        assert weighted.certificate.objective == pytest.approx(
            repeated.certificate.objective, rel=1e-6, abs=1e-12
        )


def test_sort_that_carries_positions():
    rng = np.random.default_rng(0)
    for x in (
        rng.standard_normal(1000),
        np.round(rng.random(1000), 2),
        1 + 1e-16 * rng.integers(0, 9, 500),
        np.r_[1e300, -1e300, rng.random(9)],
        np.zeros(5),
        1e-320 * rng.integers(0, 99, 50),
    ):
        order, values = sort_with_order(x)
        assert np.array_equal(x[order], np.sort(x))
        assert np.array_equal(values, np.sort(x))
        assert np.array_equal(np.sort(order), np.arange(len(x)))


# Edges.


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_degenerate_data(loss):
    one = solve_spline([2.0], [1.0], weight_decay=0.1, loss=loss)
    assert one.n_kinks == 0
    assert one.certificate.gap <= 1e-6
    same = solve_spline(np.full(7, 3.0), [1.0, -1, 1, 1, -1, 1, 1], weight_decay=0.1, loss=loss)
    assert np.all(same.slopes == 0)
    assert same.certificate.relative_gap <= 1e-6
    two = solve_spline([0.0, 1.0], [-1.0, 1.0], weight_decay=0.01, loss=loss)
    assert two.certificate.relative_gap <= 1e-6
    flat = solve_spline(np.arange(9.0), np.ones(9), weight_decay=0.1, loss=loss)
    assert np.all(flat.slopes == 0)


def test_two_points_pay_one_ramp():
    # slope 1 - 2 beta: d/ds of (s - 1)^2 / 8 + beta s, a single ramp, flat on one side
    s = solve_spline([0.0, 1.0], [0.0, 1.0], weight_decay=0.01)
    assert np.max(s.slopes) == pytest.approx(1 - 4 * 0.01)
    assert np.min(np.abs(s.slopes)) == 0
    assert s.network.n_neurons == 1


@pytest.mark.parametrize("eps", [1e-9, 1e-12, 1e-15])
def test_nearly_equal_x(eps):
    rng = np.random.default_rng(0)
    base = np.sort(rng.random(40))
    x = np.concatenate([base, base + eps * rng.random(40)])
    y = np.sin(6 * x) + 0.2 * rng.standard_normal(80)
    for beta in (1e-2, 1e-4):
        s = solve_spline(x, y, weight_decay=beta)
        assert s.status is Status.OPTIMAL
        joined = solve_spline(np.concatenate([base, base]), y, weight_decay=beta)
        assert s.certificate.objective == pytest.approx(joined.certificate.objective, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-300, 1e-100, 1e100, 1e300])
def test_extreme_scales_of_x(scale):
    rng = np.random.default_rng(0)
    x, y = rng.random(30), rng.standard_normal(30)
    top = flat_spline_weight_decay(x, y)
    expected = solve_spline(x, y, weight_decay=0.05 * top)
    assert flat_spline_weight_decay(x * scale, y) == pytest.approx(scale * top)
    s = solve_spline(x * scale, y, weight_decay=0.05 * top * scale)
    assert s.certificate.objective == pytest.approx(expected.certificate.objective)
    assert s.certificate.relative_gap <= 1e-6
    assert np.allclose(s.predict(x * scale), expected.predict(x))


def test_y_whose_square_overflows_is_refused():
    with pytest.raises(ValueError, match="overflow"):
        solve_spline([0.0, 1.0, 2.0], [1e300, 0.0, -1e300], weight_decay=1.0)
    tiny = solve_spline([0.0, 1.0, 2.0], [1e-300, 0.0, -1e-300], weight_decay=1e-303)
    assert np.all(np.isfinite(tiny.predict([0.0, 1.0])))


@pytest.mark.parametrize("scale", [1e-200, 1e-12, 1e140])
def test_pinball_is_free_of_the_scale_of_y(scale):
    x, y, w = data(1)
    loss = Pinball(0.8)
    expected = solve_spline(x, y, weight_decay=0.01, loss=loss, sample_weight=w)
    s = solve_spline(x, scale * y, weight_decay=0.01, loss=loss, sample_weight=w)
    assert s.status is Status.OPTIMAL
    assert s.certificate.objective == pytest.approx(
        scale * expected.certificate.objective, rel=1e-9, abs=0
    )
    top = flat_spline_weight_decay(x, y, loss=loss)
    assert flat_spline_weight_decay(x, scale * y, loss=loss) == pytest.approx(top)


def test_pinball_with_nearly_equal_x():
    x, y, _ = data(1, ties=False)
    near = np.concatenate([x, x + 1e-14])
    s = solve_spline(near, np.concatenate([y, y]), weight_decay=1e-3, loss=Pinball(0.5))
    joined = solve_spline(x, y, weight_decay=1e-3, loss=Pinball(0.5))
    assert s.status is Status.OPTIMAL
    assert s.certificate.objective == pytest.approx(joined.certificate.objective, rel=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (1.7e308, 1.0, "more than one can subtract"),
        (1e300, 1e140, "no weight decay suits"),
        (1e-300, 1e-140, "no weight decay suits"),
    ],
)
def test_scales_that_do_not_fit_float64_are_refused(x, y, message):
    with pytest.raises(ValueError, match=message):
        solve_spline(x * np.array([-1.0, 0, 1]), y * np.array([1.0, 0, 2]), weight_decay=0.1)


def test_integers_and_float32():
    x, y = np.arange(30), np.arange(30) ** 2 % 17
    a = solve_spline(x, y, weight_decay=0.1)
    b = solve_spline(x.astype(np.float32), y.astype(np.float32), weight_decay=0.1)
    assert np.array_equal(a.slopes, b.slopes)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0.0, np.nan], [1.0, 2.0], "x has NaN"),
        ([0.0, 1.0], [1.0, np.inf], "y has NaN"),
        ([0.0, 1.0], [1.0], "2 samples but y has 1"),
        ([], [], "at least one sample"),
        (np.eye(3), np.ones(3), "do not lie on a line"),
    ],
)
def test_bad_input(x, y, message):
    with pytest.raises(ValueError, match=message):
        solve_spline(np.asarray(x), np.asarray(y), weight_decay=0.1)


def test_inputs_are_left_alone():
    x, y, w = data(0)
    copies = x.copy(), y.copy(), w.copy()
    solve_spline(x, y, weight_decay=0.1, sample_weight=w)
    solve_spline(np.sort(x), y, weight_decay=0.1)
    assert all(np.array_equal(a, b) for a, b in zip((x, y, w), copies))


# Rank one, several outputs, bias rules, paths.


@pytest.mark.parametrize("loss", [Squared(), Hinge()], ids=lambda loss: loss.name)
def test_rank_one_data(loss):
    x, y, w = data(1)
    y = targets(y, loss)
    a = np.array([3.0, -4.0, 12.0])
    X = np.array([1.0, 2.0, 3.0]) + np.outer(x, a)
    s = solve_spline(X, y, weight_decay=0.01, loss=loss, sample_weight=w)
    line = solve_spline(13 * x, y, weight_decay=0.01, loss=loss, sample_weight=w)
    assert s.certificate.relative_gap <= 1e-6
    assert s.certificate.objective == pytest.approx(line.certificate.objective, rel=1e-6)
    problem = Problem(X, y, loss, 0.01, "free", w)
    assert s.network.objective(problem) == pytest.approx(s.certificate.objective, rel=1e-9)
    assert np.allclose(s.predict(X), s.network.predict(X)[:, 0])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("beta", [0.2, 0.02, 0.002])
def test_several_outputs_are_a_group_lasso(seed, beta):
    x, y, w = data(seed)
    Y = np.column_stack([y, np.cos(x)])
    D = ramps(x)
    Z, c = cp.Variable((D.shape[1], 2)), cp.Variable((1, 2))
    R = D @ Z + np.ones((len(x), 1)) @ c - Y
    fit = cp.sum(cp.multiply((w / w.sum())[:, None], cp.square(R))) / 2
    best = solved(fit + beta * cp.sum(cp.norm(Z, 2, axis=1)))
    s = solve_spline(x, Y, weight_decay=beta, sample_weight=w)
    assert s.certificate.objective == pytest.approx(best, rel=1e-7)
    assert s.status is Status.OPTIMAL
    assert np.allclose(s.predict(x), s.network.predict(x[:, None]), atol=1e-9)


@pytest.mark.parametrize("bias", ["penalized", "none"])
def test_other_bias_rules_are_proven_too(bias):
    x, y, _ = data(1)
    s = solve_spline(x - 2, y, weight_decay=0.02, bias=bias)
    assert s.status is Status.OPTIMAL
    problem = Problem((x - 2)[:, None], y, "squared", 0.02, bias)
    assert s.network.objective(problem) == pytest.approx(s.certificate.objective, rel=1e-10)
    assert np.allclose(s.predict(x), s.network.predict(x[:, None])[:, 0], atol=1e-9)


@pytest.mark.parametrize("loss", [Squared(), Logistic(), Pinball(0.3)], ids=lambda loss: loss.name)
def test_path_meets_the_single_solutions(loss):
    x, y, w = data(0, 60)
    y = targets(y, loss)
    path = spline_path(x, y, n_values=6, smallest=1e-3, loss=loss, sample_weight=w)
    assert [s.weight_decay for s in path] == sorted((s.weight_decay for s in path), reverse=True)
    for s in path:
        alone = solve_spline(x, y, weight_decay=s.weight_decay, loss=loss, sample_weight=w)
        assert s.certificate.relative_gap <= 1e-6
        assert s.certificate.objective == pytest.approx(alone.certificate.objective, rel=2e-6)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_pinball_fenchel_young(q, mu):
    rng = np.random.default_rng(0)
    loss = Pinball(q, mu)
    F, Y = rng.standard_normal((200, 1)), rng.standard_normal((200, 1))
    V = rng.uniform(-q, 1 - q, (200, 1))
    inner = np.sum(V * F, axis=1)
    assert np.all(loss.value(F, Y) + loss.conjugate(V, Y) >= inner - 1e-12)
    V = loss.gradient(F, Y)
    assert np.allclose(loss.value(F, Y) + loss.conjugate(V, Y), np.sum(V * F, axis=1))
    assert np.all(np.isinf(loss.conjugate(np.full_like(F, 1.01 - q), Y)))
    plain = Pinball(q).value(F, Y)
    assert np.all(loss.value(F, Y) <= plain + 1e-15)
    assert np.all(plain <= loss.value(F, Y) + mu / 2)


@pytest.mark.parametrize("loss", [Hinge(), Pinball(0.9)], ids=lambda loss: loss.name)
def test_rows_left_out_of_the_linear_program(loss, monkeypatch):
    rng = np.random.default_rng(1)
    x = rng.random(600)
    y = targets(np.sin(7 * x) + 0.4 * rng.standard_normal(600), loss)
    whole = solve_spline(x, y, weight_decay=1e-3, loss=loss)
    monkeypatch.setattr("gapless.curves.linear_programs.FREE_ROWS", 60)
    part = solve_spline(x, y, weight_decay=1e-3, loss=loss)
    assert part.status is Status.OPTIMAL
    assert part.certificate.objective == pytest.approx(whole.certificate.objective, rel=2e-6)


def exact(values):
    return [Fraction(v) for v in np.asarray(values, float).tolist()]


def best_constant_loss(loss, y, w):
    """The least weighted mean loss of a constant, in rational numbers."""
    y, w = exact(y), exact(w)
    if loss.name in ("squared", "huber"):  # no target beyond Huber's delta
        c = sum(a * b for a, b in zip(w, y)) / sum(w)
        return sum(a * (b - c) ** 2 for a, b in zip(w, y)) / (2 * sum(w))
    q = Fraction(getattr(loss, "quantile", 0.0))

    def price(c, t):
        return max(1 - c * t, 0) if loss.name == "hinge" else max(q * (t - c), (q - 1) * (t - c))

    return min(sum(a * price(c, t) for a, t in zip(w, y)) for c in set(y)) / sum(w)


@pytest.mark.parametrize("loss", [Squared(), Huber(20.0), Pinball(0.3), Hinge()], ids=repr)
@pytest.mark.parametrize("far", [1e7, 1e8, 1e9])
def test_bounds_at_a_single_x_are_below_the_exact_optimum(loss, far):
    """Targets far from zero, or one far from the rest that hardly counts."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        y, w = rng.standard_normal(30), 0.1 + rng.random(30)
        if loss.name == "hinge":
            y = np.where(rng.random(30) < 0.3, -1.0, 1.0)
        elif loss.name == "pinball":
            y[0], w[0] = far, 1e-9 / far
        else:
            y += far
        s = solve_spline(np.ones(30), y, weight_decay=0.1, loss=loss, sample_weight=w)
        optimum = best_constant_loss(loss, y, w)
        assert Fraction(s.certificate.lower_bound) <= optimum
        assert s.certificate.lower_bound >= float(optimum) * (1 - 1e-13 * far)


def test_bounds_of_steep_lines_are_below_exact_objectives():
    """Two clusters far apart: the best line is nearly a network of known exact objective."""
    for step in (1e3, 1e5, 1e7):
        for seed in range(4):
            rng = np.random.default_rng(seed)
            side = np.repeat([-1.0, 1.0], 15)
            x, y = side + 1e-3 * rng.random(30) / step, step * side + rng.standard_normal(30)
            beta = 1e-2 / step
            s = solve_spline(x, y, weight_decay=beta)
            X, Y = exact(x), exact(y)
            mx, my = sum(X) / 30, sum(Y) / 30
            xx = sum((a - mx) ** 2 for a in X) / 30
            xy = abs(sum((a - mx) * (b - my) for a, b in zip(X, Y)) / 30)
            line = sum((b - my) ** 2 for b in Y) / 30 - (xy - Fraction(beta)) ** 2 / xx
            assert 0 < Fraction(s.certificate.lower_bound) <= line / 2
