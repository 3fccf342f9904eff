"""Proof files by boxes of directions: round trips, forged trees, and what the checker bounds."""

import ast
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from checker import copy_says
from gapless import Problem, certify, train, verify, write_proof
from gapless.certificates import verify_boxes
from gapless.certificates.certify import prove
from gapless.core.losses import LOSSES
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch
from gapless.gauge import direction
from gapless.gauge.boxes import Cone, bound_boxes
from gapless.gauge.choose import planned
from gapless.gauge.tree import Tiling

HERE = Path(verify_boxes.__file__).parent
KINDS = (
    "normal", "weights", "sparse", "one-hot", "repeated", "parallel", "small", "large", "far",
    "wide",
)  # fmt: skip


def samples(kind, n=40, d=3):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((n, d))
    y = np.abs(X[:, 0]) - np.maximum(X[:, -1], 0) + 0.3 * rng.standard_normal(n)
    weights = rng.uniform(0.1, 3, n) if kind == "weights" else None
    if kind == "sparse":
        X = sp.csr_matrix(np.where(np.abs(X) > 0.5, X, 0.0))
    if kind == "one-hot":  # columns sum to a constant one: a null direction under the free bias
        X = np.hstack([np.eye(3)[rng.integers(3, size=n)], X[:, :1], X[:, :1]])
    if kind == "repeated":
        rows = rng.integers(n // 3, size=n)
        X, y = X[rows], np.where(np.arange(n) % 2, y[rows], y)
    if kind == "parallel":
        X = X[:5][rng.integers(5, size=n)] * rng.uniform(-2, 2, (n, 1))
    if kind in ("small", "large"):
        X, y = X * 2.0 ** (60 if kind == "large" else -60), y * 2.0**20
    if kind == "far":
        X = 500 + X
    if kind == "wide":
        X, y = np.hstack([X, rng.standard_normal((n, 8))])[:6], y[:6]
    return X, y, weights


def written(problem, path, near=1.1):
    """A proof file by directions, its claim, and the bound behind it."""
    reduction = Reduction(problem)
    network = train(problem, tol=1e-2, max_iter=10).network
    Lam = reduction.core.dual_point(reduction.apply(network).predict(reduction.core.design))
    for point, bound in prove(reduction.core, Lam, "directions", Watch(30.0), files=True):  # noqa: B007
        if bound.upper <= near * bound.lower:
            break
    assert bound.boxes is not None
    return write_proof(path, problem, point, bound), bound, reduction, Lam


def checked(problem, path, **terms):
    claim, bound, reduction, Lam = written(problem, path, **terms)
    X = problem.X.toarray() if sp.issparse(problem.X) else problem.X
    valid, value, words = verify(path, X, problem.Y)
    assert valid, words
    with np.load(path) as file:
        assert file["kind"] == "boxes"
    core = reduction.core
    known = reduction.raised(core.proven_bound(Lam, bound.upper))
    assert claim == value
    assert value == pytest.approx(known, rel=1e-5)  # the file proves what was proven
    assert value <= train(problem, tol=1e-3, random_state=1).certificate.objective


@pytest.mark.parametrize(
    ("kind", "bias"),
    [
        (kind, bias)
        for kind in KINDS
        for bias in ("none", "penalized", "free")
        if bias != "penalized" or kind not in ("small", "large")  # beside the constant column
    ],
)
def test_what_is_written_is_verified(kind, bias, tmp_path):
    X, y, weights = samples(kind)
    units = {"small": 2.0**-40, "large": 2.0**80}.get(kind, 1.0)  # of X and y together
    decay = 0.05 * units
    checked(Problem(X, y, "squared", decay, bias, weights), tmp_path / "p.npz")


@pytest.mark.parametrize("loss", sorted(set(LOSSES) - {"softmax"}))
def test_all_losses_of_one_output(loss, tmp_path):
    X, y, _ = samples("normal", 30, 3)
    if LOSSES[loss]().targets == "sign":
        y = np.where(y > np.median(y), 1.0, -1.0)
    for bias in ("penalized", "free"):
        checked(Problem(X, y, loss, 0.05, bias), tmp_path / f"{bias}.npz")


@pytest.fixture(scope="module")
def proof(tmp_path_factory):
    X, y, _ = samples("normal", 40, 3)
    path = tmp_path_factory.mktemp("boxes") / "p.npz"
    _, bound, *_ = written(Problem(X, y, "squared", 0.05, "free"), path, near=1.03)
    with np.load(path) as file:
        return X, y, dict(file), bound


def answer(proof, path, **changes):
    X, y, fields, _ = proof
    np.savez(path, **(fields | {k: np.asarray(v) for k, v in changes.items()}))
    return verify(path, X, y)


def cut(tree):
    """A subtree gone: the first inner box has become a leaf."""
    tree = tree.copy()
    tree[np.flatnonzero(tree)[0]] = 0
    return tree


def forgeries(tree, D):
    first = np.flatnonzero(tree)[0]
    deep = np.zeros(10**4, np.uint8)
    deep[0] = deep[D - 1 :: 2] = 2  # the same edge for ever
    yield "truncated", tree[:-1]
    yield "empty", tree[:0]
    yield "one side", tree[: len(tree) // 2]
    yield "extended", np.append(tree, np.uint8(0))
    yield "twice", np.concatenate([tree, tree])
    yield "cut", cut(tree)
    yield "one leaf more is halved", np.where(np.arange(len(tree)) == len(tree) - 1, 1, tree)
    yield "no such edge", np.where(np.arange(len(tree)) == first, D + 1, tree)
    yield "any edge", np.where(tree > 0, 255, 0)
    yield "a face's own edge", np.where(np.arange(len(tree)) < D - 1, 1, tree)
    yield "one edge for ever", deep
    yield "floats", tree.astype(float)
    yield "other integers", tree.astype(np.int64)
    yield "a matrix", tree[:, None]
    yield "a number", np.uint8(0)


def test_forged_trees_are_refused(proof, tmp_path):
    tree, D = proof[2]["tree"], proof[2]["basis"].shape[1] + 1
    for name, forged in forgeries(tree, D):
        if name not in ("floats", "other integers"):
            forged = np.asarray(forged).astype(np.uint8)
        valid, bound, words = answer(proof, tmp_path / "p.npz", tree=forged)
        assert not valid, name
        assert np.isnan(bound)
        assert words.startswith("INVALID: the tree") or name in ("a number", "floats"), words


def test_forged_fields_are_refused(proof, tmp_path):
    _, _, fields, bound = proof
    basis, gauge = fields["basis"], fields["gauge"]
    attempts = [
        {"basis": 0 * basis}, {"basis": basis * np.nan}, {"basis": 1e200 * basis},
        {"basis": 2 * basis}, {"basis": basis[:, :1]}, {"basis": basis[:1]}, {"basis": basis[0]},
        {"basis": np.random.default_rng(0).standard_normal(basis.shape)},
        {"batch": 0}, {"batch": -1}, {"batch": 10**6}, {"batch": 3}, {"batch": np.nan},
        {"reach": np.nan}, {"gauge": -gauge}, {"gauge": np.nan}, {"gauge": np.inf}, {"gauge": 0.0},
        {"Lam": 1.5 * fields["Lam"]}, {"Lam": -fields["Lam"]}, {"lower_bound": 1e3},
        {"lower_bound": fields["lower_bound"] * (1 + 1e-6)}, {"weight_decay": 0.01},
        {"kind": "norm"}, {"kind": "directions", "rank": 2}, {"bias": "none"},
    ]  # fmt: skip
    for changes in attempts:
        valid, _, words = answer(proof, tmp_path / "p.npz", **changes)
        assert not valid, changes
        assert words.startswith("INVALID")
    # a gauge that some neuron is above, and the bound it would prove
    low = 0.99 * gauge * bound.lower / bound.upper
    valid, _, words = answer(proof, tmp_path / "p.npz", gauge=low)
    assert not valid
    assert "tops the gauge" in words
    X, y, _, _ = proof
    np.savez(tmp_path / "q.npz", **fields)
    for other in ((X + 1e-9, y), (X, y[::-1]), (X[:-1], y[:-1])):
        assert "other data" in verify(tmp_path / "q.npz", *other)[2]


def test_what_is_missing_is_proven_again_within_bounds(proof, tmp_path, monkeypatch):
    """A tree of roots alone is one too; the checker halves it itself, if that is not too much."""
    roots = np.zeros(2 * proof[2]["basis"].shape[1], np.uint8)
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal(proof[2]["basis"].shape))[0]
    assert answer(proof, tmp_path / "p.npz", tree=roots)[0]
    assert answer(proof, tmp_path / "p.npz", tree=roots, basis=turned)[0]  # any rotation will do
    assert answer(proof, tmp_path / "p.npz", reach=0.01)[0]  # the checker's own is larger
    monkeypatch.setattr(verify_boxes, "MORE", 0)
    valid, _, words = answer(proof, tmp_path / "p.npz", tree=roots)
    assert not valid
    assert "may hold a neuron" in words
    monkeypatch.setattr(verify_boxes, "MAX_WORK", 100)
    assert "too many to check" in answer(proof, tmp_path / "p.npz")[2]


@pytest.mark.parametrize("free", [0, 1])
@given(seed=st.integers(0, 10**6), D=st.integers(1, 4))
@settings(max_examples=15)
def test_no_neuron_is_overlooked(free, seed, D):
    """Turned so that the best direction is u or -u, of lam or -lam."""
    rng = np.random.default_rng(seed)
    P, lam = rng.standard_normal((12, D)), rng.standard_normal(12)
    if free:
        P = np.hstack([P, np.full((12, 1), np.abs(P).sum(axis=1).max())])
        lam -= lam.mean()
    Z = rng.standard_normal((4000, P.shape[1]))
    Z /= np.linalg.norm(Z[:, :D], axis=1, keepdims=True)
    if free:
        Z[:, D] = np.clip(Z[:, D], -1, 1) * np.abs(Z[:, :D]).max(axis=1)
    value = np.maximum(Z @ P.T, 0) @ lam
    best = float(np.abs(value).max())
    roots = np.zeros(2 * D, np.uint8)
    turn = np.append(-np.ones(D), np.ones(free))
    for points, point in ((P, lam), (P, -lam), (P * turn, lam), (P * turn, -lam)):
        assert "neuron" in verify_boxes.flaw(points, point, free, 0.97 * best, roots, 64)
    assert verify_boxes.flaw(P, lam, free, 4 * best, roots, 64) == ""


@pytest.mark.parametrize("free", [0, 1])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_whatever_the_coordinates_the_gauge_is_no_less_than_a_neuron_has(free, seed):
    """Coordinates that leave a direction out, stretch, or a unit too small for the bias."""
    rng = np.random.default_rng(seed)
    A, lam = rng.standard_normal((10, 3)), rng.standard_normal(10)
    A, lam = A - free * A.mean(axis=0), lam - free * lam.mean()
    A[:, 2] *= 0.6
    U = rng.standard_normal((2000, 3))
    scores = A @ (U / np.linalg.norm(U, axis=1, keepdims=True)).T
    kinks = -scores if free else np.zeros((1, 2000))
    best = max(float(np.abs(lam @ np.maximum(scores + b, 0)).max()) for b in kinks)
    whole, outcomes = np.linalg.qr(rng.standard_normal((3, 3)))[0], []
    for basis in (whole, np.eye(3)[:, :2], 2 * whole, whole + 0.01 * rng.standard_normal((3, 3))):
        roots = np.zeros(2 * basis.shape[1], np.uint8)
        for reach in (1.0, 0.01):
            for share in (0.7, 0.97, 1.1):
                gauge, flaw = verify_boxes.gauge_by_boxes(
                    A, lam, free, basis, share * best, reach, roots, 64
                )
                assert flaw or gauge >= best
                outcomes.append(flaw)
    assert outcomes[2] == ""
    assert any(outcomes)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_quadratic_functions_are_on_their_side_of_the_absolute_value(seed):
    rng = np.random.default_rng(seed)
    T = np.exp(rng.uniform(-5, 5, 200))
    a = T * rng.uniform(0, 1, 200)
    mean, variance = rng.uniform(-3, 3, 200) * T, T**2 * np.exp(rng.uniform(-20, 2, 200))
    y = T * np.linspace(-1, 1, 401)[:, None]
    for bound, sign in ((verify_boxes._above, 1), (verify_boxes._below, -1)):
        constant, linear, square = bound(a, T, mean, variance)
        over = sign * (constant + linear * y + square * y * y - np.abs(a + y))
        assert np.all(over >= -1e-12 * (T + np.abs(constant) + np.abs(linear * y)))


@pytest.mark.parametrize("free", [0, 1])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 20), D=st.integers(1, 5))
@settings(max_examples=40)
def test_no_box_holds_more_than_the_checker_says(free, seed, n, D):
    rng = np.random.default_rng(seed)
    P = rng.standard_normal((n, D + free)) * 2.0 ** rng.integers(-8, 8, D + free)
    lam, sign = rng.standard_normal(n), rng.choice([-1.0, 1.0])
    U = rng.uniform(-1, 1, (30, D + free))
    U[np.arange(30), rng.integers(D, size=30)] = 1.0
    W = (1 - np.abs(U)) * 2.0 ** rng.integers(-12, 1, (30, 1))
    sides = verify_boxes._sides(P, sign * lam)
    guess, open_ = rng.uniform(-1, 1, U.shape), rng.uniform(size=(30, 2)) < 0.8
    spread = float(np.abs(lam) @ np.abs(P).sum(axis=1))
    for G in (0.0, 0.03 * spread, spread):
        bound = verify_boxes._bounds(sides, U, W, open_, guess, free, G)[0]
        assert np.array_equal(np.isfinite(bound), open_)
        for _ in range(60):
            Z = U + W * rng.choice([-1.0, 1.0, rng.uniform(-1, 1)], U.shape)
            for side, turn in enumerate((1, -1)):
                value = np.maximum(turn * Z @ P.T, 0) @ (sign * lam)
                value -= G * np.linalg.norm(Z[:, :D], axis=1)
                assert np.all((value <= bound[:, side] + 1e-11 * (spread + G)) | ~open_[:, side])


def test_trees_of_the_search_need_few_boxes_more(rng):
    P, lam = rng.standard_normal((100, 5)), rng.standard_normal(100)
    U = rng.standard_normal((20000, 5))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    G = 1.1 * float(np.abs(np.maximum(U @ P.T, 0) @ lam).max())
    cones = [Cone.of(P, sign * lam, np.ones(5)) for sign in (1, -1)]
    tilings = [Tiling(np.ones(5), record=True) for _ in cones]
    for ratio, (tiling, cone) in product((1.3, 1.1, 1.0), zip(tilings, cones)):
        assert tiling.lower(cone, ratio * G, bound_boxes, lambda: False).closed
    batch = 500
    tree = np.concatenate([tiling.tree(batch) for tiling in tilings])
    assert len(tree) > 100
    seen = []
    count = verify_boxes._open

    def counting(sides, U, *terms):
        seen.append(len(U))
        return count(sides, U, *terms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify_boxes, "_open", counting)
        assert verify_boxes.flaw(P, lam, 0, G * (1 + 1e-7), tree, batch) == ""
    assert np.sum(tree == 0) <= sum(seen) <= 1.5 * np.sum(tree == 0)


@pytest.mark.parametrize("method", ["auto", "directions"])
def test_certify_writes_them(method, tmp_path):
    X, y, _ = samples("normal", 80, 4)
    network = train(Problem(X, y, weight_decay=0.05)).network
    path = tmp_path / "p.npz"
    found = certify(network, X, y, weight_decay=0.05, method=method, time_limit=4, proof=path)
    assert "directions" in found.proof
    valid, bound, words = verify(path, X, y)
    assert valid, words
    assert bound <= found.lower_bound
    assert bound == pytest.approx(found.lower_bound, rel=1e-5)


def test_where_no_tree_may_be_recorded_another_proof_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(direction, "RECORDED", 5)
    X, y, _ = samples("normal", 40, 3)
    network = train(Problem(X, y, weight_decay=0.05)).network
    path = tmp_path / "p.npz"
    found = certify(
        network, X, y, weight_decay=0.05, method="directions", time_limit=0.5, proof=path
    )
    assert found.proof == "norm bound"
    assert verify(path, X, y)[0]


def test_the_checker_works_outside_its_package(proof, tmp_path):
    X, y, fields, _ = proof
    np.savez(tmp_path / "p.npz", **fields)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    shutil.copy(HERE / "verify.py", tmp_path)
    assert copy_says(tmp_path).startswith(
        "INVALID: for this proof verify_boxes.py has to stand beside"
    )
    shutil.copy(HERE / "verify_boxes.py", tmp_path)
    assert copy_says(tmp_path).startswith("VALID")
    assert copy_says(tmp_path).endswith("False\n")


def test_this_part_of_the_checker_imports_numpy_alone():
    tree = ast.parse((HERE / "verify_boxes.py").read_text())
    nodes = [x for x in ast.walk(tree) if isinstance(x, ast.Import | ast.ImportFrom)]
    names = {getattr(x, "module", None) or x.names[0].name for x in nodes}
    assert names == {"__future__", "typing", "numpy"}


def test_auto_leaves_out_what_no_file_can_hold():
    X, y, _ = samples("normal", 2001, 4)
    core = Reduction(Problem(X, y, weight_decay=0.05)).core
    assert {turn.method.name for turn in planned(core, 9.0, files=True)} == {"directions"}
    assert "quadratic" in [turn.method.name for turn in planned(core, 9.0)]


def test_rows_that_are_equal_but_for_their_targets(rng, tmp_path):
    X = rng.standard_normal((7, 5))[rng.integers(7, size=20)]
    y = np.abs(X[:, 0]) + 0.3 * rng.standard_normal(20)
    terms = {"weight_decay": 0.02, "bias": "none"}
    network, path = train(Problem(X, y, **terms), max_iter=10).network, tmp_path / "proof.npz"
    certificate = certify(network, X, y, method="directions", time_limit=1, proof=path, **terms)
    assert verify(path, X, y)[0]
    assert verify(path, X, y)[1] == pytest.approx(certificate.lower_bound, rel=1e-4)
