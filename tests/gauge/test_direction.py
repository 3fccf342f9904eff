"""Boxes of directions: every bound above what the box holds, in NumPy and compiled; the tree."""

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless import Network, Problem, certify, train
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch
from gapless.gauge import boxes_compiled
from gapless.gauge.boxes import Cone, bound_boxes, box_maximum, norm_below
from gapless.gauge.caps import caps
from gapless.gauge.choose import gauge_bound
from gapless.gauge.direction import Directional, begin_compiling
from gapless.gauge.rotated import outputs_of
from gapless.gauge.search import Oracle
from gapless.gauge.tree import Team, Tiling, predict_boxes, roots

KINDS = ("normal", "integer", "one-hot", "repeated", "parallel", "scales")


def samples(rng, n, D, kind):
    X = rng.standard_normal((n, D))
    if kind == "integer":
        X = np.round(2 * X)
    if kind == "one-hot":
        X = np.eye(D)[rng.integers(D, size=n)]
    if kind == "repeated":
        X = X[rng.integers(max(1, n // 3), size=n)]
    if kind == "parallel":
        X = X[:1] + 1e-6 * X
    if kind == "scales":
        X = X * 10.0 ** rng.integers(-6, 7, size=D)
    return X


def boxes(rng, normed, count, depth):
    """Random boxes of the tree, and guesses."""
    U, W = roots(normed)
    at = rng.integers(len(U), size=count)
    U, W = U[at], W[at]
    for _ in range(depth):
        edge = np.argmax(W * rng.uniform(0.5, 1, W.shape), axis=1)
        W = W * np.where(np.arange(len(normed)) == edge[:, None], 0.5, 1.0)
        side = rng.choice([-1.0, 1.0], size=count)
        U[np.arange(count), edge] += side * W[np.arange(count), edge]
    return U, W, rng.uniform(-1, 1, U.shape)


def cone_of(rng, n, D, kind, free):
    X = samples(rng, n, D, kind)
    lam = rng.standard_normal(n) * (rng.uniform(size=n) < 0.8)
    normed = np.ones(D)
    if free:
        reach = 2.0 ** np.ceil(np.log2(np.abs(X).sum(axis=1).max() + 1e-9))
        X, normed = np.hstack([X, np.full((n, 1), reach)]), np.append(normed, 0.0)
        lam -= lam.mean()
    return Cone.of(X, lam, normed), float(np.abs(lam) @ np.abs(X).sum(axis=1))


BOUNDERS = {
    "numpy": bound_boxes,
    "compiled": boxes_compiled.bounder(),
    "single": boxes_compiled.bounder(single=True),
}


def within(rng, U, W, count):
    """Points of each box, corners among them, (count, n, D)."""
    inside = rng.uniform(-1, 1, (count, *U.shape))
    inside[: count // 3] = np.sign(inside[: count // 3])
    inside[count // 3] = 0.0
    return U + W * inside


# Of few samples bounds are tight: a rounding that is not charged shows.
@pytest.mark.parametrize("bounder", BOUNDERS, ids=BOUNDERS)
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 20), D=st.integers(1, 6))
@settings(max_examples=8)
def test_no_box_holds_more_than_its_bound(kind, free, bounder, seed, n, D):
    rng = np.random.default_rng(seed)
    cone, spread = cone_of(rng, n, D, kind, free)
    U, W, mean = boxes(rng, cone.normed, 12, int(rng.integers(0, 30)))
    open_ = np.ones((len(U), 2), bool)
    for G in (0.0, 0.01 * spread, spread):
        found = BOUNDERS[bounder](cone, G, U, W, mean, open_)
        for points in within(rng, U, W, 60):
            norm = G * np.linalg.norm(points * cone.normed, axis=1)
            for side, sign in enumerate((1, -1)):
                value = cone.value(sign * points) - norm
                assert np.all(value <= found.bound[:, side] + 1e-12 * (spread + G))
        assert np.all(np.abs(found.mean) <= 1)
        assert np.all(W[np.arange(len(U)), found.edge] > 0) or np.any(W == 0)


# In single precision some of 300 samples' roundings add up.
@pytest.mark.parametrize(("bounder", "near"), [("compiled", 1e-9), ("single", 1e-4)])
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_bounds_are_the_same(kind, free, bounder, near, rng):
    bounder = BOUNDERS[bounder]
    for n, D in ((1, 1), (5, 2), (70, 3), (130, 7)):
        cone, spread = cone_of(rng, n, D, kind, free)
        U, W, mean = boxes(rng, cone.normed, 50, 15)
        open_ = rng.uniform(size=(50, 2)) < 0.8
        for G in (0.0, 0.05 * spread):
            one = bound_boxes(cone, G, U, W, mean, open_)
            two = bounder(cone, G, U, W, mean, open_)
            assert np.array_equal(np.isfinite(one.bound), open_)
            off = np.abs(one.bound[open_] - two.bound[open_])
            assert np.all(off <= near * (spread + G) + 1e-14)


@pytest.mark.parametrize("bounder", BOUNDERS, ids=BOUNDERS)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_guesses_are_numbers_where_the_inverse_of_a_form_is_none(bounder):
    """Outputs of which a cap has next to nothing leave a dual point of subnormal numbers."""
    cone = Cone.of(np.array([[1.0, 0.0]]), np.array([-5.4e-321]), np.ones(2))
    U, W = roots(np.ones(2))
    found = BOUNDERS[bounder](cone, 0.0, U, W, 0 * U, np.ones((2, 2), bool))
    assert np.all(np.abs(found.mean) <= 1)


@given(seed=st.integers(0, 10**6), D=st.integers(1, 6))
@settings(max_examples=60)
def test_the_maximum_on_a_box(seed, D):
    rng = np.random.default_rng(seed)
    Q = rng.standard_normal((20, D, D))
    Q, g = Q + Q.transpose(0, 2, 1), 3 * rng.standard_normal((20, D))
    C = -rng.uniform(0, 4 * D, 20)
    bound, vertex, guess = box_maximum(g, Q, C)
    assert set(np.unique(vertex)) <= {-1.0, 1.0}
    assert np.all(np.abs(guess) <= 1)
    for z in (vertex, guess, *rng.uniform(-1, 1, (300, 20, D)), *rng.choice([-1, 1], (100, 20, D))):
        value = C + np.sum(g * z, axis=1) + np.einsum("nj,njk,nk->n", z, Q, z)
        assert np.all(value <= bound + 1e-9)


@given(seed=st.integers(0, 10**6), D=st.integers(1, 6), free=st.booleans())
@settings(max_examples=60)
def test_the_norm_from_below(seed, D, free):
    rng = np.random.default_rng(seed)
    normed = np.append(np.ones(D), 0.0) if free else np.ones(D)
    U, W, mean = boxes(rng, normed, 20, int(rng.integers(0, 20)))
    constant, slope, e, k = norm_below(U, W, mean, normed)
    for points in within(rng, U, W, 60):
        v = (points - U) * normed
        curved = k * (np.sum(v * v, axis=1) - np.sum(e * v, axis=1) ** 2)
        least = constant + np.sum(slope * v, axis=1) + curved
        assert np.all(least <= np.linalg.norm(points * normed, axis=1) + 1e-12)


def problem(n=60, d=4, bias="none", seed=0, loss="squared", weight_decay=0.05):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.abs(X[:, 0]) - np.maximum(X[:, -1], 0) + 0.3 * rng.standard_normal(n)
    return Problem(X, np.sign(y) if loss == "logistic" else y, loss, weight_decay, bias)


def core_and_point(**terms):
    core = Reduction(problem(**terms)).core
    Lam = core.dual_point(np.random.default_rng(1).standard_normal(core.Y.shape))
    return core, Lam


@pytest.mark.parametrize(("bias", "d"), [("none", 2), ("none", 3), ("free", 1), ("free", 2)])
def test_agrees_with_enumeration(bias, d):
    core, Lam = core_and_point(bias=bias, d=d)
    exact = gauge_bound(core, Lam, "low-rank")
    *_, (_, last) = Directional().maximise(core, Lam, Watch(20.0))
    assert exact.lower * (1 - 1e-9) <= last.upper <= 1.001 * exact.upper
    assert last.lower == pytest.approx(exact.lower, rel=1e-9)


@pytest.mark.parametrize("bias", ["none", "penalized", "free"])
def test_closes_in_from_above_and_names_the_best_neuron(bias):
    core, Lam = core_and_point(d=5, bias=bias)
    found = Oracle(core.X, core.free, np.random.default_rng(3)).search(
        Lam, np.zeros((core.n_features, 0)), 2000
    )
    uppers = []
    for _, bound in Directional().maximise(core, Lam, Watch(20.0)):
        assert bound.upper >= found.value.max() * (1 - 1e-12)
        uppers.append(bound.upper)
        u, b = bound.neurons.U[:, 0], bound.neurons.b[0]
        assert np.linalg.norm(u) == pytest.approx(1.0)
        value = np.linalg.norm(Lam.T @ np.maximum(core.X @ u + b, 0))
        assert value == pytest.approx(bound.lower, rel=1e-12)
    assert np.all(np.diff(uppers) < 0)
    assert uppers[-1] <= 1.0012 * found.value.max()


@given(seed=st.integers(0, 10**6), C=st.integers(1, 4), ratio=st.floats(1.02, 3.0))
@settings(max_examples=60)
def test_caps_cover_every_direction(seed, C, ratio):
    rng = np.random.default_rng(seed)
    if C == 4:
        ratio = max(ratio, 1.3)  # their number grows with the power of the dimension
    found = caps(C, ratio)
    centres, cosines = (np.array(x) for x in zip(*found))
    assert np.allclose(np.linalg.norm(centres, axis=1), 1)
    assert np.all(cosines * (1 + ratio) >= 2 - 1e-12)
    v = rng.standard_normal((500, C))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    assert np.all(np.any(np.abs(v @ centres.T) >= cosines, axis=1))


@pytest.mark.parametrize(("bias", "d"), [("none", 2), ("free", 1)])
@pytest.mark.parametrize("C", [2, 3])
def test_several_outputs_agree_with_enumeration(bias, d, C, rng):
    X = rng.standard_normal((40, d))
    core = Reduction(Problem(X, rng.standard_normal((40, C)), "squared", 0.05, bias)).core
    Lam = core.dual_point(rng.standard_normal(core.Y.shape))
    exact = gauge_bound(core, Lam, "low-rank")
    uppers = [bound.upper for _, bound in Directional().maximise(core, Lam, Watch(20.0))]
    assert min(uppers) >= exact.lower * (1 - 1e-9)
    assert uppers[-1] <= (1.005 if C == 2 else 1.05) * exact.upper


@pytest.mark.parametrize("bias", ["none", "free"])
def test_classes_are_bounded_in_the_outputs_that_their_dual_point_has(bias, rng):
    X = rng.standard_normal((60, 3))
    Y = np.eye(3)[rng.integers(3, size=60)]
    core = Reduction(Problem(X, Y, "softmax", 0.05, bias)).core
    Lam = core.dual_point(rng.standard_normal(core.Y.shape))
    found = Oracle(core.X, core.free, np.random.default_rng(3)).search(
        Lam, np.zeros((core.n_features, 0)), 2000
    )
    assert outputs_of(Lam).shape == (3, 2)  # they sum to zero
    for _, bound in Directional().maximise(core, Lam, Watch(20.0)):
        assert bound.upper >= found.value.max() * (1 - 1e-12)
    assert bound.upper <= 1.1 * found.value.max()


def never():
    return False


def best_of(rng, cone, D, count=20000):
    """The best of many random directions."""
    U = rng.standard_normal((count, D))
    return float((cone.value(U) / np.linalg.norm(U, axis=1)).max())


def test_a_gauge_too_small_is_refuted_by_a_neuron(rng):
    cone, _ = cone_of(rng, 40, 4, "normal", free=False)
    best, tiling = best_of(rng, cone, 4), Tiling(cone.normed)
    outcome = tiling.lower(cone, 0.5 * best, bound_boxes, never)
    assert not outcome.closed
    assert cone.value(outcome.direction[None])[0] > 0.5 * best * np.linalg.norm(outcome.direction)
    assert tiling.lower(cone, 1.3 * best, bound_boxes, never).closed
    assert best <= tiling.levels.max() <= 1.3 * best


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_nearer_gauge_goes_on_from_the_last(kind, free, rng):
    cone, spread = cone_of(rng, 40, 3, kind, free)
    U = rng.standard_normal((20000, 4 if free else 3))
    U = np.concatenate([U, -U])
    best = (cone.value(U) / np.linalg.norm(U * cone.normed, axis=1)).max()
    known, tiling, boxes = max(float(best), 1e-3 * spread), Tiling(cone.normed), []
    for ratio in (4.0, 2.0, 1.5, 1.2, 1.1):
        outcome = tiling.lower(cone, ratio * known, bound_boxes, never)
        if outcome.direction is not None:  # random directions miss the best
            value = cone.value(outcome.direction[None])[0]
            known = float(value / np.linalg.norm(outcome.direction * cone.normed))
            continue
        assert outcome.closed
        assert best * (1 - 1e-9) <= tiling.levels.max() <= ratio * known
        boxes.append(outcome.boxes)
    anew = Tiling(cone.normed).lower(cone, 1.1 * known, bound_boxes, never)
    assert boxes[-1] < anew.boxes or anew.boxes < 50


def test_what_was_proven_stays_where_it_ends_early(rng):
    cone, _ = cone_of(rng, 60, 5, "normal", free=False)
    best, tiling, asked = best_of(rng, cone, 5), Tiling(cone.normed), 0
    assert tiling.lower(cone, 1.5 * best, bound_boxes, never).closed

    def soon():
        nonlocal asked
        asked += 1
        return asked > 1

    before = tiling.levels.max()
    high, middle = 0.7 * before + 0.3 * 1.1 * best, 1.1 * best
    assert tiling.lower(cone, middle, bound_boxes, never, goal=high).closed
    assert best <= tiling.levels.max() <= high
    assert not tiling.lower(cone, 1.02 * best, bound_boxes, soon).closed
    assert best <= tiling.levels.max() <= high
    assert tiling.lower(cone, 1.02 * best, bound_boxes, never).closed
    assert best <= tiling.levels.max() <= 1.02 * best


def test_goals_at_one_gauge_bound_no_box_twice(rng):
    cone, _ = cone_of(rng, 60, 5, "normal", free=False)
    best, bounded = best_of(rng, cone, 5), []

    def counting(data, G, U, *others):
        bounded.append(len(U))
        return bound_boxes(data, G, U, *others)

    tiling = Tiling(cone.normed)
    for goal in (1.8, 1.5, 1.3, 1.15, 1.05):
        assert tiling.lower(cone, 1.05 * best, counting, never, goal=goal * best).closed
        assert best <= tiling.levels.max() <= goal * best
    assert sum(bounded) == tiling.size


def test_boxes_that_find_no_room_are_forgotten_but_not_their_levels(rng):
    cone, _ = cone_of(rng, 40, 4, "normal", free=False)
    best, tiling = best_of(rng, cone, 4), Tiling(cone.normed, room=0)
    assert tiling.lower(cone, 1.2 * best, bound_boxes, never).closed
    assert tiling.forgetful
    assert best <= tiling.levels.max() <= 1.2 * best
    # a nearer one begins anew
    anew = Tiling(cone.normed).lower(cone, 1.01 * best, bound_boxes, never)
    assert tiling.lower(cone, 1.01 * best, bound_boxes, never).boxes == anew.boxes
    assert best <= tiling.levels.max() <= 1.01 * best


def test_nothing_is_proven_by_a_search_that_broke(rng):
    cone, _ = cone_of(rng, 40, 4, "normal", free=False)
    best, tiling, calls = best_of(rng, cone, 4), Tiling(cone.normed), 0

    def breaks(*given):
        nonlocal calls
        calls += 1
        if calls > 2:
            raise KeyboardInterrupt
        return bound_boxes(*given)

    with pytest.raises(KeyboardInterrupt):
        tiling.lower(cone, 1.2 * best, breaks, never)
    assert tiling.levels.max() == np.inf


def test_nothing_is_proven_by_a_search_interrupted_while_it_takes_boxes_out(rng):
    cone, _ = cone_of(rng, 40, 4, "normal", free=False)
    best = best_of(rng, cone, 4)

    def interrupt(frame, event, arg):
        if frame.f_code is Tiling._above.__code__:
            if event == "line" and frame.f_locals.get("opened"):
                raise KeyboardInterrupt
            return interrupt
        return None

    tiling, before = Tiling(cone.normed), sys.gettrace()
    assert tiling.lower(cone, 1.5 * best, bound_boxes, never).closed
    sys.settrace(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            tiling.lower(cone, 1.2 * best, bound_boxes, never)
    finally:
        sys.settrace(before)
    assert tiling.levels.max() >= best
    assert tiling.lower(cone, 1.2 * best, bound_boxes, never).closed
    assert best <= tiling.levels.max() <= 1.2 * best


def test_predictions_are_near_the_boxes_it_takes(rng):
    for _ in range(3):
        cone, _ = cone_of(rng, 80, 5, "normal", free=False)
        G = 1.1 * best_of(rng, cone, 5)
        outcome = Tiling(cone.normed).lower(cone, G, bound_boxes, never)
        prediction = predict_boxes(cone, G, bound_boxes, never)
        assert outcome.closed
        assert prediction.looked_at <= outcome.boxes * 1.01 + 1000
        assert outcome.boxes / 4 <= prediction.boxes <= 4 * outcome.boxes


def test_stops_when_told(rng):
    cone, _ = cone_of(rng, 30, 5, "normal", free=False)
    tiling = Tiling(cone.normed)
    outcome = tiling.lower(cone, 1e-3, bound_boxes, lambda: True)
    assert (outcome.closed, outcome.direction, tiling.levels.max()) == (False, None, np.inf)


@pytest.mark.parametrize("power", [-300, -40, 40, 300])
def test_powers_of_two_change_nothing_else(power):
    core, Lam = core_and_point(d=3)
    one, other = (Directional().bound(core, s * Lam) for s in (1.0, 2.0**power))
    assert other.upper == pytest.approx(one.upper * 2.0**power, rel=1e-12)


def test_order_and_duplicates_change_little(rng):
    given = problem(d=3)
    order = rng.permutation(60)
    twice = np.concatenate([order, order])
    uppers = []
    for rows in (np.arange(60), order, twice):
        core = Reduction(Problem(given.X[rows], given.Y[rows], "squared", 0.05, "none")).core
        uppers.append(Directional().bound(core, core.dual_point(np.zeros(core.Y.shape))).upper)
    assert uppers[1] == pytest.approx(uppers[0], rel=1e-9)
    assert uppers[2] == pytest.approx(uppers[0], rel=1e-9)


@pytest.mark.parametrize("bias", ["none", "free"])
def test_equal_samples_are_one(bias, rng):
    distinct = rng.integers(-2, 3, (30, 3)).astype(float)
    rows = np.concatenate([np.arange(30), rng.integers(30, size=170), np.arange(30)])
    Lam = rng.standard_normal((230, 1))
    Lam[-30:] = -Lam[:30]  # what of a sample cancels does not count
    Lam -= Lam.mean() * (bias == "free")
    many = Reduction(Problem(distinct[rows], rng.standard_normal(230), "squared", 0.1, bias)).core
    bound = Directional().bound(many, Lam)
    found = Oracle(many.design, many.free, np.random.default_rng(3)).search(
        Lam, np.zeros((many.n_features, 0)), 2000
    )
    assert found.value.max() * (1 - 1e-12) <= bound.upper <= 1.06 * found.value.max()
    pairs = np.repeat(rng.standard_normal(115), 2)[:, None] * np.tile([1.0, -1.0], 115)[:, None]
    core = Reduction(
        Problem(np.repeat(rng.standard_normal((115, 3)), 2, axis=0), pairs, "squared", 0.1, bias)
    ).core
    order = np.lexsort(core.design.array().T)
    pairs[order] = np.tile([[1.0], [-1.0]], (115, 1))
    assert Directional().bound(core, pairs).upper <= 1e-9 * np.abs(pairs).sum()


def test_without_numba_it_is_the_same(monkeypatch):
    core, Lam = core_and_point(d=3)
    fast = Directional().bound(core, Lam)
    monkeypatch.setitem(sys.modules, "gapless.gauge.boxes_compiled", None)
    slow = Directional().bound(core, Lam)
    assert slow.upper == pytest.approx(fast.upper, rel=1e-6)


@pytest.mark.parametrize("bias", ["free", "none"])
def test_constant_data_and_no_dual_point(bias):
    core = Reduction(Problem(np.ones((5, 2)), np.arange(5.0), "squared", 0.1, bias)).core
    Lam = core.dual_point(np.zeros(core.Y.shape))
    exact = gauge_bound(core, Lam, "low-rank").lower
    assert Directional().bound(core, Lam).upper >= exact * (1 - 1e-12)
    assert Directional().bound(core, 0 * Lam).upper == 0


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
@pytest.mark.parametrize("bias", ["free", "penalized", "none"])
def test_ordinary_tables_are_proven(loss, bias):
    given = problem(n=120, d=5, bias=bias, loss=loss, weight_decay=0.03)
    network = train(given).network
    answer = certify(
        network, given.X, given.Y, weight_decay=0.03, loss=loss, bias=bias, time_limit=60, tol=0.01
    )
    assert answer.relative_gap <= 0.01
    assert "directions" in answer.proof
    other = train(given, random_state=5, tol=1e-4).certificate.objective
    assert answer.lower_bound <= min(other, answer.objective)


def test_is_refused_by_name(tmp_path):
    X = np.random.default_rng(0).standard_normal((30, 4))
    network = Network(np.zeros((4, 0)), np.zeros(0), np.zeros((0, 4)), np.zeros(4))
    with pytest.raises(ValueError, match="up to 3 outputs"):
        certify(network, X, X, weight_decay=0.1, method="directions")
    network = Network(np.zeros((4, 0)), np.zeros(0), np.zeros((0, 2)), np.zeros(2))
    proof = tmp_path / "proof.npz"
    with pytest.raises(ValueError, match="1 for a proof file"):
        certify(network, X, X[:, :2], weight_decay=0.1, method="directions", proof=proof)
    assert not proof.exists()


def test_records_one_number_a_box(rng):
    cone, _ = cone_of(rng, 40, 4, "normal", free=False)
    best, tiling = best_of(rng, cone, 4), Tiling(cone.normed, record=True)
    outcome = tiling.lower(cone, 1.1 * best, bound_boxes, never)
    tree = tiling.tree(64)
    assert outcome.closed
    assert tree.dtype == np.uint8
    inner, boxes = int(np.sum(tree > 0)), len(tree)
    assert boxes == tiling.size == outcome.boxes == 4 + 2 * inner > 20
    assert tree.max() <= 4
    assert tiling.lower(cone, 1.05 * best, bound_boxes, never).closed
    assert len(tiling.tree(64)) == tiling.size > boxes


@pytest.mark.parametrize("ratios", [(1.1,), (1.5, 1.2, 1.1)])
def test_the_record_does_not_hang_on_the_threads(ratios, rng):
    cone, _ = cone_of(rng, 40, 4, "normal", free=False)
    best, trees = best_of(rng, cone, 4), []
    with ThreadPoolExecutor(3) as pool:
        for team in (Team(3, lambda *task: pool.submit(*task).result), Team(3, partial)):
            tiling = Tiling(cone.normed, record=True)
            for ratio in ratios:
                assert tiling.lower(cone, ratio * best, bound_boxes, never, team).closed
            trees.append(tiling.tree(100))
    assert np.array_equal(*trees)


def test_loops_are_compiled_by_other_processes(rng):
    X = rng.standard_normal((30, 4))
    processes = begin_compiling(Problem(X, X[:, 0], weight_decay=0.1))
    assert all(process.wait() == 0 for process in processes)
    assert boxes_compiled.is_compiled()
    wide = Problem(rng.standard_normal((90, 40)), rng.standard_normal(90))
    assert begin_compiling(wide) == []


def test_products_that_single_precision_does_not_hold_are_charged():
    X = np.array([[1.0, 1.0, 1.0], [-1.1e-23, 1.5e-23, 1.4e-23]])
    cone, G = Cone.of(X, np.array([1e-16, 1.0]), np.ones(3)), 8.660254557459629e-17
    U, W = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 1.0]])
    corner = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, -1.0], [1.0, -1.0, 1.0], [1.0, -1.0, -1.0]])
    excess = cone.value(corner) - G * np.sqrt(3)
    for bounder in BOUNDERS.values():
        found = bounder(cone, G, U, W, 0 * U, np.ones((1, 2), bool))
        assert found.bound[0, 0] >= excess.max()
