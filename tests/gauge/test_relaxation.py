"""Every bound is valid, and the relaxations beat what is below them."""

import itertools
import time

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import (
    Network,
    Patches,
    Problem,
    certify,
    conditions,
    is_spike_free,
    is_whitened,
    rank,
    train,
)
from gapless.certificates.certify import prove
from gapless.core.losses import LOSSES
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch
from gapless.gauge.base import GaugeBound
from gapless.gauge.cells import Cell, Geometry
from gapless.gauge.choose import METHODS, planned
from gapless.gauge.direction import Directional
from gapless.gauge.doubly_nonnegative import DoublyNonnegative
from gapless.gauge.quadratic import Quadratic, quadratic_value
from gapless.gauge.search import Oracle

RELAXATIONS = [Quadratic(), DoublyNonnegative(steps=150)]
seeds = st.integers(0, 2**32 - 1)


def design(rng, kind, n, d):
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-2, 2)
    if kind == "integer":
        X = np.round(rng.uniform(-2, 2, (n, d)))
    if kind == "near-degenerate":
        X[:, -1] = X[:, 0] * (1 + 1e-9 * rng.standard_normal(n))
    if kind == "duplicates":
        X[n // 2 :] = X[: n - n // 2]
    return X


def dual_point(core, rng):
    Lam = rng.standard_normal(core.Y.shape) * core.sample_weight[:, None]
    return core.centre(Lam) if core.free else Lam


@settings(max_examples=25, deadline=None)
@given(
    seeds,
    st.sampled_from(["gaussian", "integer", "near-degenerate", "duplicates"]),
    st.integers(4, 14),
    st.integers(1, 3),
    st.booleans(),
)
def test_search_below_enumeration_below_every_bound(seed, kind, n, d, weighted):
    rng = np.random.default_rng(seed)
    X = design(rng, kind, n, d)
    if not np.any(X):
        return
    w = rng.uniform(0.1, 3, n) if weighted else None
    core = Problem(X, rng.standard_normal(n), weight_decay=0.1, bias="none", sample_weight=w)
    Lam = dual_point(core, rng)
    exact = METHODS["low-rank"].bound(core, Lam)
    found = Oracle(core.X, False, rng).search(Lam, np.zeros((d, 0)), 20).value.max(initial=0.0)
    assert found <= exact.upper * (1 + 1e-12)
    for method in [*RELAXATIONS, METHODS["norm"]]:
        bound = method.bound(core, Lam)
        assert bound.upper >= exact.lower * (1 - 1e-12)
        if bound.multipliers is not None:
            assert bound.multipliers.upper(core, Lam) == pytest.approx(bound.upper, rel=1e-9)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(4, 10))
def test_free_bias_bounds_are_valid(seed, n):
    rng = np.random.default_rng(seed)
    core = Reduction(Problem(rng.standard_normal((n, 2)), rng.standard_normal(n))).core
    Lam = dual_point(core, rng)
    exact = METHODS["low-rank"].bound(core, Lam)
    for method in [*RELAXATIONS, METHODS["norm"]]:
        assert method.bound(core, Lam).upper >= exact.lower * (1 - 1e-12)


@settings(max_examples=8, deadline=None)
@given(seeds, st.booleans())
def test_vector_outputs_are_bounded(seed, free):
    rng = np.random.default_rng(seed)
    Y = rng.standard_normal((7, 2))
    X = rng.standard_normal((7, 1 if free else 2))
    core = Reduction(Problem(X, Y, bias="free" if free else "none")).core
    Lam = dual_point(core, rng)
    exact = METHODS["low-rank"].bound(core, Lam)
    assert DoublyNonnegative(steps=150).bound(core, Lam).upper >= exact.lower * (1 - 1e-12)


def test_any_multipliers_prove_a_valid_quadratic_bound():
    rng = np.random.default_rng(0)
    A, lam = rng.standard_normal((12, 3)), rng.standard_normal(12)
    u = rng.standard_normal((3, 20000))
    best = float(np.max(lam @ np.maximum(A @ (u / np.linalg.norm(u, axis=0)), 0)))
    for _ in range(50):
        m = np.abs(rng.standard_normal((4, 12))) + 0.01
        assert quadratic_value(A, lam, m, 0.3 * float(np.sum(m[0]) * np.sum(A * A))) >= best
    assert quadratic_value(A, lam, -m, 10.0) == np.inf
    m[3] = 0.0  # secant cuts alone can make the matrix definite
    assert quadratic_value(A, lam, m, 1e-6) == np.inf


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize("bias", ["none", "penalized", "free"])
def test_bounds_stay_below_every_network(loss, bias):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((14, 4))
    y = X[:, 0] * X[:, 1]
    Y = {"sign": np.where(y > 0, 1.0, -1.0), "onehot": np.eye(2)[(y > 0).astype(int)]}.get(
        LOSSES[loss].targets, y
    )
    problem = Problem(X, Y, loss, 0.05, bias)
    best = train(problem, tol=1e-3, max_iter=15)
    objective = best.certificate.objective
    reduction = Reduction(problem)
    core = reduction.core
    Lam = core.dual_point(reduction.apply(best.network).predict(core.X))
    values, known = [], 0.0
    for point, bound in prove(core, Lam, watch=Watch(10.0)):
        limit = core.weight_decay / bound.upper
        values.append(reduction.raised(core.best_scale(point, limit)[1]))
        assert values[-1] <= objective * (1 + 1e-9)
        if len(values) > 1 and values[-1] <= values[-2]:  # it has a better neuron
            assert point is Lam
            assert bound.lower > known
            values.pop()
        known = max(known, bound.lower) if point is Lam else known
        if values[-1] > 0.95 * objective or len(values) == 20:
            break
    assert values == sorted(values)
    assert values[-1] > 0.3 * objective or loss == "hinge" or bias == "free"


def exact_program(X, y, beta):
    """The convex program over all patterns (JMLR 2021, Theorem 1), squared loss, no bias."""
    rng = np.random.default_rng(0)
    n, d = X.shape
    patterns = np.unique((X @ rng.standard_normal((d, 20000)) > 0).T, axis=0)
    f, penalty, cones = 0, 0, []
    for D in patterns:
        for sign in (1, -1):
            v = cp.Variable(d)
            f = f + sign * cp.multiply(D.astype(float), X @ v)
            penalty = penalty + cp.norm(v)
            cones.append(cp.multiply(2.0 * D - 1, X @ v) >= 0)
    program = cp.Problem(cp.Minimize(cp.sum_squares(f - y) / (2 * n) + beta * penalty), cones)
    return float(program.solve(solver=cp.CLARABEL))


@pytest.mark.parametrize("seed", range(3))
def test_certificates_agree_with_the_exact_program(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((8, 3)), rng.standard_normal(8)
    value = exact_program(X, y, 0.05)
    solution = train(Problem(X, y, weight_decay=0.05, bias="none"), tol=1e-8)
    assert solution.certificate.objective == pytest.approx(value, rel=1e-5)
    c = certify(solution.network, X, y, weight_decay=0.05, bias="none", tol=1e-9, time_limit=1)
    assert c.lower_bound == pytest.approx(value, rel=2e-6, abs=1e-6)
    relaxed = certify(
        solution.network, X, y, weight_decay=0.05, bias="none", method="doubly nonnegative",
        time_limit=3,
    )  # fmt: skip
    assert 0.97 * value < relaxed.lower_bound <= value * (1 + 1e-7)


def test_the_lifting_beats_the_quadratic_bound_and_cells_beat_both():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((16, 4)), rng.standard_normal(16)
    core = Problem(X, y, weight_decay=0.02, bias="none")
    Lam = core.dual_point(train(core, max_iter=10).network.predict(X))

    def climb(method, goal):
        value = 0.0
        for point, bound in method.maximise(core, Lam, Watch(30.0)):
            value = core.best_scale(point, core.weight_decay / bound.upper)[1]
            if value > goal:
                break
        return value

    quadratic = climb(Quadratic(), np.inf)
    lifted = climb(DoublyNonnegative(), np.inf)  # to its end
    assert quadratic < 0.97 * lifted
    assert climb(DoublyNonnegative(max_cells=32), 1.001 * lifted) > 1.001 * lifted


def test_a_free_bias_is_proven_too():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 4))
    problem = Problem(X, X[:, 0] * X[:, 1], weight_decay=0.1)
    solution = train(problem, tol=0.03, time_limit=30)
    assert solution.certificate.relative_gap <= 0.03
    assert solution.status.proven


def test_a_cell_bounds_only_its_own_neurons_and_the_pair_bounds_all():
    rng = np.random.default_rng(4)
    core = Problem(rng.standard_normal((6, 2)), rng.standard_normal(6), bias="none")
    low, high = Cell(1, np.zeros(6, int)).split(2)
    for cell in (low, high):
        g = Geometry(core, cell)
        for _ in range(50):  # y = T x obeys every cone when u lies in the cell
            u = rng.standard_normal(2)
            if np.sign(core.X[2] @ u) != cell.fixed[2]:
                u = -u
            s = np.linalg.norm(u)
            x = np.concatenate([[s], u, np.maximum(core.X @ u, 0)[cell.fixed == 0]])
            y = g.T @ x
            W = np.outer(y, y)
            np.testing.assert_allclose(g.into_cones(W), W, atol=1e-12 * s * s)
            assert y @ y <= g.size * s * s * (1 + 1e-12)


def test_conditions_in_words():
    rng = np.random.default_rng(0)
    y = rng.standard_normal(6)
    Q = np.linalg.qr(rng.standard_normal((9, 6)))[0].T
    white, low = (
        Problem(2 * Q, y, bias="none"),
        Problem(rng.standard_normal((6, 3)), y, bias="none"),
    )
    assert is_whitened(white)
    assert not is_whitened(low)
    assert is_spike_free(white) is not False  # its inverse is diagonal up to rounding
    assert METHODS["spike-free"].applies(white)
    assert rank(low) == 3
    assert conditions(low) == "rank 3 data: exact enumeration"
    words = conditions(Problem(rng.standard_normal((500, 8)), rng.standard_normal(500)))
    assert words.startswith("rank 8 data with free bias: boxes of directions, then quadratic bound")
    wide = conditions(Problem(rng.standard_normal((40, 60)), rng.standard_normal(40)))
    assert wide.endswith("free bias: doubly nonnegative relaxation and cells of signs")
    many = conditions(Problem(rng.standard_normal((900, 9)), rng.standard_normal((900, 4))))
    assert many.endswith("thresholded singular values")
    assert "whitened" in conditions(white)


@settings(max_examples=30, deadline=None)
@given(seeds, st.booleans())
def test_spike_free_is_decided_right(seed, positive):
    """An inverse with no positive off-diagonal entry; checked by sampling either way."""
    rng = np.random.default_rng(seed)
    n = 4
    if positive:
        M = np.eye(n) * 2 - rng.uniform(0, 0.4, (n, n))
        K = np.linalg.inv((M + M.T) / 2 + np.eye(n))
        X = np.linalg.cholesky(K)
    else:
        X = rng.standard_normal((n, n))
    core = Problem(X, rng.standard_normal(n), bias="none")
    verdict = is_spike_free(core)
    u = rng.standard_normal((n, 4000))
    u /= np.linalg.norm(u, axis=0)
    worst = np.linalg.norm(np.linalg.solve(X, np.maximum(X @ u, 0)), axis=0).max()
    if positive:
        assert verdict is True
    if verdict:
        assert worst <= 1 + 1e-9
        Lam = dual_point(core, rng)
        bound = METHODS["spike-free"].bound(core, Lam)
        assert np.abs(Lam[:, 0] @ np.maximum(X @ u, 0)).max() <= bound.upper * (1 + 1e-12)
        assert bound.upper == pytest.approx(bound.lower, rel=1e-6)
        assert bound.multipliers.upper(core, Lam) == bound.upper
    else:
        assert verdict is False


def test_the_spike_free_formula_is_refused_elsewhere():
    X = np.array([[1.0, 0.0], [0.3, 1.0], [-1.0, 0.5]])
    core = Problem(X, np.ones(3), bias="none")
    assert is_spike_free(core) is False
    with pytest.raises(ValueError, match="spike-free"):
        next(prove(core, np.ones((3, 1)), "spike-free"))


@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((60, 8), ["doubly nonnegative", "directions", "doubly nonnegative"]),
        ((400, 8), ["directions", "quadratic", "doubly nonnegative"]),
        ((400, 14), ["directions", "quadratic", "directions", "doubly nonnegative"]),
        ((1200, 30), ["quadratic", "directions"]),
        ((60, 30), ["doubly nonnegative"]),
        ((200, 60), ["quadratic", "doubly nonnegative"]),
        ((1200, 70), ["quadratic"]),
    ],
)
def test_turns_are_bounded_and_resumed(shape, order, rng, monkeypatch):
    """Methods that go on for ever, and prove nothing, on a clock that each look moves."""
    now, began, seen = [0.0], [], []

    def look():
        now[0] += 0.01
        return now[0]

    def forever(self, core, Lam, time_limit):
        began.append((self.name, time_limit))
        while True:
            if seen[-1:] != [self.name]:
                seen.append(self.name)
            yield Lam, GaugeBound(0.0, np.inf, None, self.name)

    problem = Problem(rng.standard_normal(shape), rng.standard_normal(shape[0]), weight_decay=0.1)
    core = Reduction(problem).core
    Lam = dual_point(core, rng)
    monkeypatch.setattr(Quadratic, "maximise", forever)
    monkeypatch.setattr(DoublyNonnegative, "maximise", forever)
    monkeypatch.setattr(Directional, "maximise", forever)
    monkeypatch.setattr(time, "perf_counter", look)
    proofs = list(prove(core, Lam, watch=Watch(10.0)))
    assert len(proofs) == 1
    assert seen == [name for name in order if name in seen]
    assert now[0] <= 11
    names = [name for name, _ in began]
    assert len(set(names)) == len(names)  # each begins once
    turns = planned(core, 10.0)
    assert [turn.method.name for turn in turns] == order
    assert turns[-1].seconds == np.inf
    # in few dimensions boxes of directions prove most
    assert len(turns) == 1 or turns[0].seconds <= 5 or order[0] == "directions"


def test_interrupt_keeps_the_best_bound(monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 5)), rng.standard_normal(12)

    def stop(self, core, Lam, time_limit):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(Quadratic, "maximise", stop)
    zero = Network(np.zeros((5, 0)), np.zeros(0), np.zeros((0, 1)), np.zeros(1))
    c = certify(zero, X, y, weight_decay=0.05, bias="none", time_limit=5, method="quadratic")
    assert c.proof == "norm bound"


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_by_name(name):
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((6, 4)))[0].T
    X = np.linspace(-1, 1, 8)[:, None] if name == "low-rank" else Q
    C = 2 if name in ("faces", "singular values") else 1
    if name == "directions of patches":
        X = Patches(rng.standard_normal((8, 6)), size=3, pool="global")
    y = rng.standard_normal((len(X), C))
    zero = Network(np.zeros((X.shape[1], 0)), np.zeros(0), np.zeros((0, C)), np.zeros(C))
    c = certify(zero, X, y, weight_decay=0.05, bias="none", method=name, time_limit=1.0)
    assert 0 < c.lower_bound <= c.objective


def test_cells_cover_all_signs():
    cells = [Cell(1, np.zeros(4, int))]
    for i in (0, 3, 1):
        cells = [c for cell in cells for c in cell.split(i)]
    for signs in itertools.product((-1, 1), repeat=4):
        inside = [np.all((c.fixed == 0) | (c.fixed == signs)) for c in cells]
        assert sum(inside) == 1


FAR_APART = {
    "columns": (10.0 ** np.linspace(-8, 8, 5), 1.0, 0.05),
    "tiny targets": (1.0, 1e-150, 1e-152),
    "targets whose squares vanish": (1.0, 1e-200, 1e-202),
    "tiny targets, usual decay": (1.0, 1e-150, 0.05),
    "huge data": (1e160, 1.0, 0.05),
    "tiny data": (1e-160, 1.0, 1e-161),
}


@pytest.mark.parametrize("bias", ["none", "free"])
@pytest.mark.parametrize("case", FAR_APART)
def test_bounds_that_cannot_be_computed_are_skipped(case, bias, rng):
    X, y = rng.standard_normal((14, 5)), rng.standard_normal(14)
    columns, size, decay = FAR_APART[case]
    X, y = X * columns, y * size
    u = np.full((5, 1), 1e-3 / max(1.0, np.max(columns)))
    network = Network(u, np.zeros(1), np.full((1, 1), 1e-3), np.zeros(1))
    for loss, targets in (("squared", y), ("hinge", np.sign(y))):
        given = {"weight_decay": decay, "loss": loss, "bias": bias, "n_starts": 20}
        cheap = certify(network, X, targets, **given, time_limit=0).lower_bound
        for method in ("quadratic", "doubly nonnegative", "branch and bound", "auto"):
            found = certify(network, X, targets, **given, method=method, time_limit=0.05)
            least = cheap if method == "auto" else 0.0
            assert least <= found.lower_bound <= found.objective * (1 + 1e-9)


def test_a_failed_eigendecomposition_ends_a_relaxation_only(rng, monkeypatch):
    problem = Problem(rng.standard_normal((8, 3)), rng.standard_normal(8), bias="none")
    core = Reduction(problem).core
    Lam = dual_point(core, rng)

    def fail(_):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(np.linalg, "eigh", fail)
    assert DoublyNonnegative().bound(core, Lam).upper == np.inf
    norm = METHODS["norm"].bound(core, Lam).upper
    for method in ("quadratic", "doubly nonnegative"):
        assert [bound.upper for _, bound in prove(core, Lam, method, Watch(1.0))] == [norm]


@pytest.mark.parametrize("gauge", [np.inf, np.nan, -1.0])
def test_a_gauge_that_is_no_number_proves_nothing(gauge, rng):
    core = Problem(rng.standard_normal((8, 3)), rng.standard_normal(8), bias="none")
    Lam = core.dual_point(np.zeros((8, 1)))
    assert core.proven_bound(Lam, gauge) == 0.0
    assert core.proven_bound(Lam, 0.0) == pytest.approx(core.data_fit(np.zeros((8, 1))))
    Lam[0] = np.nan
    assert core.proven_bound(Lam, 1.0) == 0.0


@pytest.mark.parametrize("scale", [1e-140, 1e60])
def test_quadratic_bound_is_of_degree_one(scale, rng):
    core = Reduction(Problem(rng.standard_normal((12, 4)), rng.standard_normal(12))).core
    Lam = dual_point(core, rng)
    one = Quadratic().bound(core, Lam).upper
    assert Quadratic().bound(core, scale * Lam).upper == pytest.approx(scale * one, rel=0.05)
