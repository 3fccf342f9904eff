"""Proof files of networks of one feature: what was proven passes, and nothing else."""

import numpy as np
import pytest

from gapless import Problem, train_readable, verify
from gapless.certificates.verify_columns import gauge_by_columns
from gapless.losses import Pinball

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
X[:, 3] = RNG.integers(0, 3, 60)  # ties
X = np.vstack([X, X[:5]])  # equal samples
f = np.sin(2 * X[:, 0]) + np.abs(X[:, 1]) + X[:, 3]
y = f + 0.1 * RNG.standard_normal(65)
CASES = {
    "squared": (X, y, "squared", None),
    "rising": (X, y, "squared", {0: 1, 3: -1}),
    "logistic": (X, np.where(f > 1, 1.0, -1.0), "logistic", None),
    "hinge rising": (X, np.where(f > 1, 1.0, -1.0), "hinge", {1: 1}),
    "pinball": (X, y, Pinball(0.8), None),
    "softmax": (X, np.eye(3)[np.digitize(f, [0.5, 1.5])], "softmax", None),
    "wide": (RNG.standard_normal((65, 100)), y, "huber", {0: 1}),
}


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("proofs"), {}
    for name, (A, Y, loss, monotone) in CASES.items():
        problem, path = Problem(A, Y, loss, 0.02), folder / f"{name}.npz"
        made[name] = path, problem, train_readable(problem, monotone=monotone, proof=path)
    return made


def changed(path, target, **fields):
    with np.load(path) as file:
        np.savez(target, **{**{k: file[k] for k in file.files}, **fields})
    return target


@pytest.mark.parametrize("name", CASES)
def test_what_was_proven_passes_and_says_of_which_networks(proofs, name):
    path, problem, solution = proofs[name]
    valid, bound, words = verify(path, problem.X, problem.Y)
    assert valid, words
    assert bound == pytest.approx(solution.certificate.lower_bound, rel=1e-6)
    assert bound <= solution.certificate.objective
    assert "no network whose neurons look at one feature" in words
    assert ("rising" in words) == (CASES[name][3] is not None)


@pytest.mark.parametrize("name", CASES)
def test_forged_files_are_refused(proofs, name, tmp_path):
    path, problem, _ = proofs[name]
    at = tmp_path / "forged.npz"
    with np.load(path) as file:
        Lam, monotone, bound = file["Lam"], file["monotone"], float(file["lower_bound"])
    forged = [
        {"lower_bound": np.array(bound * 1.001)},
        {"Lam": 0.9 * Lam},
        {"Lam": Lam[::-1]},
        {"weight_decay": np.array(0.0199)},
        {"monotone": monotone[:-1]},
        {"monotone": monotone + 0.5},
        {"bias": np.array("none")},
        {"kind": np.array("norm")},
    ]
    if "rising" in name:  # without the constraint the bound is too high
        forged.append({"monotone": 0 * monotone})
    for fields in forged:
        valid, _, words = verify(changed(path, at, **fields), problem.X, problem.Y)
        assert not valid, (fields.keys(), words)
    assert not verify(path, problem.X + 1e-9, problem.Y)[0]


def test_the_checkers_gauge_is_above_every_neuron_and_effect():
    rng = np.random.default_rng(1)
    for _ in range(20):
        n = int(rng.integers(3, 10))
        A, Lam = np.round(rng.standard_normal((n, 1)), 1), rng.standard_normal((n, 1))
        Lam -= Lam.mean()
        kinks = rng.uniform(-3, 3, 50)
        for sign in (0, 1, -1):
            gauge = gauge_by_columns(A, Lam, [sign])
            if sign:
                effects = [sign * np.maximum(A - kinks, 0), -sign * np.maximum(kinks - A, 0)]
                steps = np.clip(A, *np.sort(kinks.reshape(2, -1), axis=0)) * sign / 2
                values = np.hstack([*effects, steps]).T @ Lam
            else:
                ramps = np.hstack([np.maximum(A - kinks, 0), np.maximum(kinks - A, 0)])
                values = np.abs(ramps.T @ Lam)
            assert values.max() <= gauge * (1 + 1e-12)


def test_proof_files_are_of_one_feature_and_a_free_bias(tmp_path):
    for problem, interactions in (
        (Problem(X, y, weight_decay=0.02), "pairs"),
        (Problem(X, y, weight_decay=0.02, bias="none"), 0),
    ):
        with pytest.raises(ValueError, match="a proof file is for interactions=0"):
            train_readable(problem, interactions, proof=tmp_path / "p.npz")
