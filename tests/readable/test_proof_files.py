"""Proof files of networks that can be read: what was proven passes, and nothing else."""

import tracemalloc

import numpy as np
import pytest

from gapless import Problem, train_readable, verify
from gapless.certificates import verify_pairs
from gapless.certificates.verify_columns import gauge_by_columns
from gapless.certificates.verify_pairs import flaw
from gapless.losses import Pinball
from gapless.readable import solve

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
X[:, 3] = RNG.integers(0, 3, 60)  # ties
X = np.vstack([X, X[:5]])  # equal samples
f = np.sin(2 * X[:, 0]) + np.abs(X[:, 1]) + X[:, 3]
y = f + 0.1 * RNG.standard_normal(65)
together = y + 2 * np.abs(X[:, 0] + X[:, 1])  # a pair that is worth its price
signs, classes = np.where(f > 1, 1.0, -1.0), np.eye(3)[np.digitize(f, [0.5, 1.5])]
CASES = {
    "squared": (X, y, "squared", {}),
    "rising": (X, y, "squared", {"monotone": {0: 1, 3: -1}}),
    "logistic": (X, signs, "logistic", {}),
    "hinge rising": (X, signs, "hinge", {"monotone": {1: 1}}),
    "pinball": (X, y, Pinball(0.8), {}),
    "softmax": (X, classes, "softmax", {}),
    "wide": (RNG.standard_normal((65, 100)), y, "huber", {"monotone": {0: 1}}),
    "pairs": (X, y, "squared", {"interactions": "pairs"}),
    "two pairs": (X, signs, "logistic", {"interactions": [(0, 1), (3, 2)]}),
    "dear pairs": (X, together, "squared", {"interactions": "pairs", "price": 1.1}),
    "pairs of classes": (X, classes, "softmax", {"interactions": "pairs", "tol": 1e-2}),
    "no bias": (X, y, "huber", {"bias": "none"}),
    "penalised": (X, classes, "softmax", {"bias": "penalized"}),
    "pairs, no bias": (X, classes, "softmax", {"bias": "none", "interactions": "pairs"}),
    "dear pairs, no bias": (
        X, y, "squared", {"bias": "none", "interactions": "pairs", "price": 1.2}
    ),
    "dear pairs, penalised": (
        X[::3], y[::3], "squared",
        {"bias": "penalized", "interactions": [(0, 1), (3, 2)], "price": 1.2, "tol": 1e-2},
    ),
}  # fmt: skip
WORDS = {
    "rising": "at one feature, effects of features [0] rising and [3] falling, has",
    "pairs": "at one feature or two has",
    "dear pairs": "at one feature or two, whose weights cost 1.1 times as much, has",
    "two pairs": "at one feature or two, of [(0, 1), (2, 3)], has",
}


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("proofs"), {}
    for name, (A, Y, loss, how) in CASES.items():
        how = {"bias": "free"} | how
        problem, path = Problem(A, Y, loss, 0.02, how.pop("bias")), folder / f"{name}.npz"
        made[name] = path, problem, train_readable(problem, proof=path, **how)
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
    assert ("rising" in words) == ("rising" in name or name == "wide")
    assert WORDS.get(name, "") in words


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem(X * 1e61, y), "X"),
        (Problem(X, y * 1e-80), "y"),
        (Problem(X, y, weight_decay=1e70), "weight_decay"),
        (Problem(X, y, sample_weight=np.append(np.ones(64), 1e-63)), "sample_weight"),
        (Problem(X, np.exp(f / 9), "gamma"), "the checker knows"),
    ],
)
def test_what_no_file_can_hold_is_refused_before_training(problem, said, monkeypatch, tmp_path):
    monkeypatch.setattr(solve, "Fit", None)  # no training begins
    with pytest.raises(ValueError, match=f"proof file .*{said}"):
        train_readable(problem, proof=tmp_path / "none.npz")


@pytest.mark.parametrize("name", CASES)
def test_forged_files_are_refused(proofs, name, tmp_path):
    path, problem, _ = proofs[name]
    at = tmp_path / "forged.npz"
    with np.load(path) as file:
        Lam, monotone, bound = file["Lam"], file["monotone"], float(file["lower_bound"])
        pairs, gauge = (file.get(key) for key in ("pairs", "gauge"))
    forged = [
        {"lower_bound": np.array(bound * 1.001)},
        {"Lam": 0.9 * Lam},
        {"Lam": Lam[::-1]},
        {"weight_decay": np.array(0.0199)},
        {"monotone": monotone[:-1]},
        {"monotone": monotone + 0.5},
        {"kind": np.array("norm")},
    ]
    if problem.bias != "free":  # of more networks; a proof for these is one for those without
        forged.append({"bias": np.array("free")})
    if "rising" in name:  # without the constraint the bound is too high
        forged.append({"monotone": 0 * monotone})
    if "pairs" in name:
        forged += [{"gauge": 0.9 * gauge}, {"monotone": 1 + monotone}, {"price": np.array(0.9)}]
        forged += [{"pairs": wrong} for wrong in (pairs + 0.5, 0 * pairs, 9 - pairs, pairs.T)]
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


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_checker_of_pairs_proves_a_little_above_the_gauge_and_nothing_below(outputs):
    rng = np.random.default_rng(outputs)
    for _ in range(10):
        n = int(rng.integers(3, 30))
        A, Lam = np.round(rng.standard_normal((n, 3)), 1), rng.standard_normal((n, outputs))
        A[:, 0] *= 10.0 ** rng.integers(-12, 1)
        A /= np.linalg.norm(A, axis=1).max()
        Lam -= Lam.mean(axis=0)
        pairs = np.array([(0, 1), (2, 1)])
        best = 0.0
        for i, j in pairs:
            turns = rng.uniform(0, 2 * np.pi, 3000)
            P = A[:, [i, j]] @ [np.cos(turns), np.sin(turns)]
            for kink in P:  # at each sample
                best = max(best, np.linalg.norm(np.maximum(P - kink, 0).T @ Lam, axis=1).max())
        assert flaw(A, Lam, pairs, best * (1 - 1e-9))
        assert flaw(A, Lam, pairs, best * 1.02) == ""


def test_cells_of_few_samples_are_not_halved_without_end(monkeypatch):
    """Neurons worth nothing but rounding, a gauge of zero: every cell stays open."""
    A, Lam = np.repeat([[0.8, 0.6], [0.3, -0.2]], 2, axis=0), np.array([[1.0], [-1], [1], [-1]])
    monkeypatch.setattr(verify_pairs, "MAX_WORK", 10**6)
    tracemalloc.start()
    said = flaw(A, Lam, np.array([(0, 1)]), 0.0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said == "the pairs are too many to check"
    assert most < 2**24


def test_a_flipped_bit_or_number_leaves_no_false_statement(proofs, tmp_path):
    """What a damaged file still proves is true of the network that was trained."""
    rng, at, refused = np.random.default_rng(0), tmp_path / "damaged.npz", 0
    for name in ("pairs", "two pairs", "rising", "dear pairs, no bias"):
        path, problem, solution = proofs[name]
        with np.load(path) as file:
            fields = dict(file)
        numbers = sorted(key for key in fields if fields[key].dtype.kind != "U")
        whole, objective = path.read_bytes(), solution.certificate.objective
        for trial in range(40):
            if trial % 4 == 0:
                data = bytearray(whole)
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
                at.write_bytes(data)
            else:
                key = numbers[rng.integers(len(numbers))]
                data = bytearray(fields[key].tobytes())
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
                array = np.frombuffer(bytes(data), fields[key].dtype).reshape(fields[key].shape)
                np.savez(at, **{**fields, key: array})
            valid, bound, words = verify(at, problem.X, problem.Y)
            refused += not valid
            same = "weight_decay 0.02, equal sample weights" in words and "pairs" not in words
            assert not valid or not same or bound <= objective, words
    assert refused > 60
