"""Proof files of convolutional networks: the checker's own patches, round trips, forgeries."""

import shutil
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from checker import copy_says
from gapless import Patches, Problem, train, verify, write_proof
from gapless.certificates import verify_patches
from gapless.certificates.certify import prove
from gapless.core.reduction import Reduction
from gapless.core.watch import Watch

HERE = Path(verify_patches.__file__).parent
RNG = np.random.default_rng(0)
SIGNALS, IMAGES = RNG.standard_normal((12, 6)), RNG.standard_normal((9, 4, 5, 2))
Y = np.abs(np.diff(SIGNALS)).mean(axis=1)
ONEHOT = np.eye(3)[np.arange(9) % 3]

#: samples, targets, loss, bias, how they are cut, kind of proof
CASES = {
    "plane": (SIGNALS, Y, "squared", "none", {"size": 2, "pool": "none"}, "directions"),
    "free": (SIGNALS, Y, "huber", "free", {"size": 3, "pool": 2, "stride": 2}, "directions"),
    "padded": (
        SIGNALS[:7], ONEHOT[:7], "softmax", "penalized",
        {"size": 3, "padding": 1, "stride": 2, "pool": 2}, "directions",
    ),
    "channels": (
        IMAGES[:, 0], Y[:9], "squared", "free", {"size": (2,), "pool": "global"}, "boxes",
    ),
    "images": (IMAGES[..., 0], Y[:9], "squared", "penalized", {"size": 2, "pool": 9}, "boxes"),
    "grid": (IMAGES, ONEHOT, "softmax", "free", {"size": 2, "padding": 1, "pool": 2}, "norm"),
    "one patch": (IMAGES[..., 0], Y[:9], "squared", "none", {"size": (4, 5)}, "conic"),
}  # fmt: skip


METHODS = {"conic": "quadratic", "boxes": "directions of patches"}


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("patches"), {}
    for name, (X, T, loss, bias, cut, kind) in CASES.items():
        problem, path = Problem(Patches(X, **cut), T, loss, 0.03, bias), folder / f"{name}.npz"
        network, reduction = train(problem, tol=1e-2, max_iter=3).network, Reduction(problem)
        core = reduction.core
        Lam = core.dual_point(reduction.apply(network).predict(core.design))
        for point, bound in prove(core, Lam, METHODS.get(kind, "auto"), Watch(30.0), files=True):  # noqa: B007
            if kind not in METHODS or bound.boxes or bound.multipliers:
                break
        claim = write_proof(path, problem, point, bound)
        known = reduction.raised(core.proven_bound(point, bound.upper))
        made[name] = (path, claim, known, network.objective(problem))
    return made


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_is_verified(proofs, name):
    X, T, *_, cut, kind = CASES[name]
    path, claim, known, objective = proofs[name]
    channel = X[..., None] if name in ("plane", "images") else X
    for samples in (X, channel):
        valid, bound, words = verify(path, samples, T)
        assert valid, words
        assert bound == claim
        assert "network on patches (size" in words
        assert f"stride {list(Patches(X, **cut).windows.stride)}" in words
    with np.load(path) as file:
        assert file["kind"] == kind
    assert known * (1 - 1e-4) <= bound <= objective


@pytest.mark.parametrize("name", CASES)
def test_forged_files_are_refused(proofs, name, tmp_path):
    X, T, *_ = CASES[name]
    with np.load(proofs[name][0]) as file:
        fields = dict(file)
    windows, lower = fields["windows"], fields["lower_bound"]
    rows = [np.eye(4, dtype=int)[[i]].T for i in range(4)]
    attempts = [
        {"lower_bound": lower * (1 + 1e-5)}, {"Lam": -fields["Lam"]},
        {"Lam": fields["Lam"][:-1]}, {"kind": "columns"}, {"kind": "trust me"},
        {"monotone": np.zeros(2), "kind": "columns"}, {"weights": 2 * fields["weights"]},
        {"windows": windows.astype(float)}, {"windows": windows[:3]}, {"windows": windows[:, 0]},
        {"windows": np.hstack([windows, windows])}, {"windows": -windows},
        {"windows": windows + 10**7 * rows[2]}, {"windows": windows + 10**5 * rows[2]},
        {"windows": windows + 10 * rows[0]}, {"windows": windows * (1 - rows[1])},
        {"windows": windows * (1 - rows[3])}, {"windows": windows - (windows + 1) * rows[2]},
        {"first": fields["first"][::-1]}, {"group": fields["group"][:-1]},
    ]  # fmt: skip
    if "gauge" in fields:
        attempts += [{"gauge": 0.01 * fields["gauge"]}, {"gauge": np.nan}]
    for changes in attempts:
        np.savez(tmp_path / "p.npz", **(fields | {k: np.asarray(v) for k, v in changes.items()}))
        valid, bound, words = verify(tmp_path / "p.npz", X, T)
        assert not valid, (changes, words)
        assert np.isnan(bound)
        assert words.startswith("INVALID")
    np.savez(tmp_path / "p.npz", **{k: v for k, v in fields.items() if k != "windows"})
    assert not verify(tmp_path / "p.npz", X, T)[0]
    for other in ((X + 1e-9, T), (X, T[::-1]), (X[:-1], T[:-1])):
        assert "other data" in verify(proofs[name][0], *other)[2]


def test_what_is_padded_is_as_large_as_patches_at_most(proofs, tmp_path):
    """Few windows, far apart, in gigabytes of zeros."""
    X, T, *_ = CASES["images"]
    with np.load(proofs["images"][0]) as file:
        fields = dict(file)
    fields["windows"] = np.array([[2, 2], [4000, 4000], [2000, 2000], [1, 1]])
    fields |= {"kind": np.array("norm"), "lower_bound": np.array(0.0)}
    fields |= {k: np.arange(9 * 4) for k in ("first", "group")} | {"ratio": np.ones(9 * 4)}
    np.savez(tmp_path / "p.npz", **fields)
    tracemalloc.start()
    valid, _, words = verify(tmp_path / "p.npz", X, T)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not valid
    assert "too many to check" in words
    assert most < 2**26


def test_other_windows_make_it_a_statement_on_other_networks(proofs, tmp_path):
    """With a smaller claim it may be valid, of networks that are cut as the words say."""
    X, T, loss, bias, _, _ = CASES["free"]
    with np.load(proofs["free"][0]) as file:
        fields = dict(file)
    valid = []
    for stride, padding, pool in [(2, 0, 1), (2, 0, 2), (1, 0, 2), (2, 1, 2), (2, 1, 3)]:
        patches = Patches(X, 3, stride, padding, pool)
        rows = np.arange(patches.n_rows)
        other = {"windows": np.array([[3], [stride], [padding], [pool]]), "kind": "norm"}
        other |= {"first": rows, "group": rows, "ratio": np.ones(len(rows)), "lower_bound": 0.0}
        np.savez(tmp_path / "p.npz", **(fields | other))
        valid.append(verify(tmp_path / "p.npz", X, T)[0])
        fields["lower_bound"] = np.array(0.0)
        best = train(Problem(patches, T, loss, 0.03, bias), max_iter=2).certificate.objective
        for claim in np.linspace(0, 2 * best, 5)[1:]:
            np.savez(tmp_path / "p.npz", **(fields | other | {"lower_bound": claim}))
            assert not verify(tmp_path / "p.npz", X, T)[0] or claim <= best
    assert all(valid)


def test_the_checker_cuts_and_pools_as_the_design_does(rng):
    signals, images = rng.standard_normal((3, 11)), rng.standard_normal((2, 7, 9, 2))
    for pool, stride, padding in product(["none", "global", "grid", 3], [1, 2], [0, 2]):
        for samples, size in ((signals, 3), (images, 2)):
            patches = Patches(samples, size, stride, padding, pool)
            w = patches.windows
            windows = np.array([w.size, w.stride, w.padding, w.pool])
            X = verify_patches.with_channels(samples, windows)
            sizes = verify_patches.sizes(X.shape, windows, 2)
            assert sizes == (patches.n_rows, patches.shape[1], "")
            rows, cells = verify_patches.cut(X, windows)
            assert np.array_equal(patches.unpadded, X)
            assert np.array_equal(rows, patches.array())
            Lam, U = rng.standard_normal((len(X), 2)), rng.standard_normal((rows.shape[1], 5))
            values = verify_patches.lifted(Lam, cells).T @ np.maximum(rows @ U, 0)
            Z = patches.activations(U).reshape(len(X), 5, -1)
            known = np.linalg.norm(np.einsum("nc,nmq->mcq", Lam, Z), axis=(1, 2))
            np.testing.assert_allclose(np.linalg.norm(values, axis=0), known, rtol=1e-12)


def test_the_checker_works_outside_its_package(proofs, tmp_path):
    X, T, *_ = CASES["images"]
    np.savez(tmp_path / "data.npz", X=X, y=T)
    shutil.copy(proofs["images"][0], tmp_path / "p.npz")
    shutil.copy(HERE / "verify.py", tmp_path)
    shutil.copy(HERE / "verify_boxes.py", tmp_path)
    assert copy_says(tmp_path).startswith(
        "INVALID: for this proof verify_patches.py has to stand beside"
    )
    shutil.copy(HERE / "verify_patches.py", tmp_path)
    assert copy_says(tmp_path).startswith("VALID")
    assert copy_says(tmp_path).endswith("False\n")
