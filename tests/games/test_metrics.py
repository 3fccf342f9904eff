"""Measures of samples: laws, and what they rank."""

import numpy as np
import pytest
import scipy.linalg
from sklearn.datasets import load_digits

from gapless.games import metrics


@pytest.fixture
def pair(rng):
    return rng.normal(size=(400, 3)) * [2, 1, 0.5], rng.normal(size=(300, 3)) + 1


def test_frechet_distance_is_the_formula(pair):
    A, B = pair
    C, D = (np.cov(Z.T, bias=True) for Z in pair)
    shift = A.mean(axis=0) - B.mean(axis=0)
    formula = shift @ shift + np.trace(C + D - 2 * scipy.linalg.sqrtm(C @ D).real)
    assert metrics.frechet_distance(A, B) == pytest.approx(formula)
    assert metrics.frechet_distance(B, A) == pytest.approx(formula)
    assert metrics.frechet_distance(A, A) == pytest.approx(0, abs=1e-12)


def test_kernel_distance_is_the_sum_over_pairs(pair, monkeypatch):
    A, B = pair
    mean, spread = A.mean(axis=0), A.std(axis=0)
    a, b = (A - mean) / spread, (B - mean) / spread
    K, L, M = ((x @ y.T / 3 + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    off = [k[~np.eye(len(k), dtype=bool)].mean() for k in (K, L)]
    expected = sum(off) - 2 * M.mean()
    assert metrics.kernel_distance(A, B) == pytest.approx(expected)
    monkeypatch.setattr("gapless.core.arrays.BLOCK", 900)
    assert metrics.kernel_distance(A, B) == pytest.approx(expected)
    assert metrics.kernel_distance(1e3 * A + 7, 1e3 * B + 7) == pytest.approx(expected)


def test_one_distribution_is_near_zero(rng):
    A, B = rng.normal(size=(2, 3000, 4))
    assert metrics.frechet_distance(A, B) < 0.05
    assert abs(metrics.kernel_distance(A, B)) < 0.05
    assert min(metrics.precision_recall(A, B)) > 0.85


def test_precision_and_recall_tell_which_is_missing(rng):
    real = np.vstack([rng.normal(size=(500, 2)), rng.normal(size=(500, 2)) + 20])
    one_mode = rng.normal(size=(1000, 2))
    precision, recall = metrics.precision_recall(real, one_mode)
    assert precision > 0.9
    assert recall < 0.6
    recall_first = metrics.precision_recall(one_mode, real)
    assert recall_first[0] < 0.6
    assert recall_first[1] > 0.9
    assert metrics.precision_recall(real, real + 1e3) == (0, 0)


def test_covariance_error_counts_weight_decays(rng):
    X = rng.normal(size=(2000, 3))
    C = np.cov(X.T, bias=True)
    Y = X @ np.linalg.inv(scipy.linalg.sqrtm(C)) @ scipy.linalg.sqrtm(C + np.diag([0.3, 0, 0]))
    assert metrics.covariance_error(X, Y.real, 0.1) == pytest.approx(3)


def test_compare_has_the_floor_and_the_memoriser():
    X = load_digits().data / 16
    train, test = X[:900], X[900:]
    noise = np.random.default_rng(0).random(test.shape)
    table = metrics.compare({"noise": noise}, train, test, lambda Z: Z @ np.eye(64)[:, 8:24])
    assert list(table) == ["real", "memoriser", "noise"]
    by = [row["frechet"] for row in table.values()]
    assert by == sorted(by)
    assert table["noise"]["precision"] < 0.1 < table["real"]["precision"]


def test_the_memoriser_stays_in_range():
    X = np.random.default_rng(0).random((20, 4))
    exact = metrics.memorise(X, 50, 0.0)
    assert all(any(np.array_equal(row, x) for x in X) for row in exact)
    noisy = metrics.memorise(X, 500, 1.0)
    assert X.min() <= noisy.min() <= noisy.max() <= X.max()


def test_input_is_refused(pair):
    A, B = pair
    with pytest.raises(ValueError, match="3 and 2 features"):
        metrics.frechet_distance(A, B[:, :2])
    with pytest.raises(ValueError, match="at least two"):
        metrics.kernel_distance(A, B[:1])
    with pytest.raises(ValueError, match="needs more samples"):
        metrics.precision_recall(A, B[:3])
    with pytest.raises(ValueError, match="NaN"):
        metrics.frechet_distance(A, B * np.nan)
