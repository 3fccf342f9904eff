"""Weights are repetitions, the order of the rows says nothing, and sparse is dense."""

import numpy as np
import onnxruntime
import pytest
from scipy import sparse
from sklearn.datasets import load_iris

from gapless import (
    GramDisplay,
    KernelNetwork,
    KernelNetworkClassifier,
    KernelNetworkRegressor,
    alignment,
    kernel_network_to_onnx,
    pairwise_loss,
)
from gapless.core.checks import InputError
from gapless.estimators.counted import counted, fold_weights, row_hashes

CLASSIFIERS = [
    {},
    {"output": "logistic", "n_hidden": 2, "max_centres": 20},
    {"output": "ridge", "n_hidden": 0, "choose_on": 25},
    {"output": "relu", "weight_decay": 0.1},
    {"hidden": "srs", "epochs": 2},
    {"hidden": "alignment", "epochs": 2, "weight_decay": 0.1},
]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X[::3], np.array(["setosa", "colour", "virginica"])[y][::3]


def repeated(rng, *arrays):
    """Weights from 0 to 3, and each row as often, shuffled."""
    w = rng.integers(0, 4, len(arrays[0]))
    order = rng.permutation(w.sum())
    return w, *(a.repeat(w, axis=0)[order] for a in arrays)


@pytest.mark.parametrize("given", CLASSIFIERS)
def test_weights_are_repetitions(iris, rng, given):
    X, y = (part[: 33 if given.get("output") == "relu" else 50] for part in iris)
    w, X_again, y_again = repeated(rng, X, y)
    weighted = KernelNetworkClassifier(**given).fit(X, y, w)
    copies = KernelNetworkClassifier(**given).fit(X_again, y_again)
    np.testing.assert_array_equal(weighted.decision_function(X), copies.decision_function(X))
    np.testing.assert_array_equal(weighted.transform(X), copies.transform(X))
    for one, other in zip(weighted.hidden_, copies.hidden_, strict=True):
        np.testing.assert_equal(
            (one.loo_error, one.alignment, one.objective, one.gamma),
            (other.loo_error, other.alignment, other.objective, other.gamma),
        )
    assert weighted.hidden_targets_ == copies.hidden_targets_
    even = KernelNetworkClassifier(**given).fit(X, y)
    assert np.any(even.decision_function(X) != weighted.decision_function(X))
    w, X_few, y_few = repeated(rng, X[1:], y[1:])
    np.testing.assert_array_equal(
        weighted.refit_output(X[1:], y[1:], w).decision_function(X),
        copies.refit_output(X_few, y_few).decision_function(X),
    )


@pytest.mark.parametrize("given", [{}, {"n_hidden": 0, "max_centres": 15}])
def test_weights_of_a_regression_are_repetitions(rng, given):
    X = rng.standard_normal((40, 3))
    Y = np.c_[np.sin(X[:, 0]), X[:, 1]]
    w, X_again, Y_again = repeated(rng, X, Y)
    weighted = KernelNetworkRegressor(**given).fit(X, Y, w)
    copies = KernelNetworkRegressor(**given).fit(X_again, Y_again)
    np.testing.assert_array_equal(weighted.predict(X), copies.predict(X))
    assert np.any(KernelNetworkRegressor(**given).fit(X, Y).predict(X) != weighted.predict(X))
    weighted.refit_output(X, 3 * Y, w)
    assert weighted.score(X, 3 * Y) > 0.5


def test_weights_below_one_have_no_unit(iris, rng):
    """Each is then left out whole, and only their shares are left."""
    X, y = iris
    w = rng.uniform(0.2, 1.0, len(y))
    for output in ("ridge", "logistic"):
        models = [
            KernelNetworkClassifier(output=output, weight_decay=1e-3).fit(X, y, s * w)
            for s in (1.0, 1e-3)
        ]
        first, second = (m.decision_function(X) for m in models)
        np.testing.assert_allclose(first, second, atol=1e-4 * np.abs(first).max())


def test_heavy_classes_win(rng):
    """Two classes of normal noise about the same place: the heavier one is predicted."""
    X, y = rng.standard_normal((80, 2)), np.arange(80) % 2
    for heavy in (0, 1):
        w = np.where(y == heavy, 1.0, 0.05)
        for output in ("svm", "logistic", "ridge", "relu"):
            model = KernelNetworkClassifier(output=output, weight_decay=0.1).fit(X, y, w)
            assert np.mean(model.predict(X) == heavy) > 0.8


def test_a_class_of_no_weight_is_none(iris):
    X, y = iris
    model = KernelNetworkClassifier(output="ridge").fit(X, y, (y != "colour").astype(float))
    assert model.classes_.tolist() == ["setosa", "virginica"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(50), "Negative"),
        (np.zeros(50), "non-zero"),
        (np.full(50, 1e200), "scale the weights"),
        (np.full(50, 1e-200), "scale the weights"),
        (np.ones(7), "sample_weight.shape"),
        (np.r_[np.ones(17), np.zeros(33)], "only one class"),
    ],
)
def test_bad_weights(iris, weights, message):
    with pytest.raises(ValueError, match=message):
        KernelNetworkClassifier().fit(*iris, weights)


def test_folds_hold_out_what_those_of_copies_do(rng):
    w = rng.integers(1, 6, 30)
    folds = fold_weights(w.astype(float), 4)
    turns = np.arange(w.sum()) % 4
    rows = np.repeat(np.arange(30), w)
    expected = [[np.sum((rows == i) & (turns == f)) for f in range(4)] for i in range(30)]
    np.testing.assert_array_equal(folds, expected)
    odd = fold_weights(rng.uniform(0, 3, 200), 5)
    np.testing.assert_allclose(odd.sum(axis=0), odd.sum() / 5, atol=1.0)
    assert odd.min() >= 0


def test_rows_have_an_order_of_their_own(rng):
    X = rng.integers(0, 3, (300, 6)) / 4.0  # few bits, hundreds of copies
    X[X == 0] = rng.choice([0.0, -0.0], np.count_nonzero(X == 0))
    y, w = rng.integers(0, 2, 300), rng.uniform(0, 1, 300)
    one, order = counted(X, y, w), rng.permutation(300)
    other = counted(X[order], y[order], w[order])
    np.testing.assert_array_equal(one.X, other.X)
    np.testing.assert_array_equal(one.y, other.y)
    np.testing.assert_allclose(one.weights, other.weights)
    distinct, sums = np.unique(np.c_[X + 0.0, y], axis=0, return_inverse=True)
    assert len(one.y) == len(distinct) < 300
    np.testing.assert_allclose(np.sort(one.weights), np.sort(np.bincount(sums, w)))
    thin = counted(sparse.csr_matrix(X), y, w)
    np.testing.assert_array_equal(thin.X.toarray(), one.X)
    assert len(np.unique(row_hashes(X))) == len(np.unique(X + 0.0, axis=0))
    assert np.corrcoef(one.X[1:, 0], one.X[:-1, 0])[0, 1] < 0.3  # not sorted by the numbers


def test_alignment_counts_pairs_of_copies(rng):
    F, y = rng.standard_normal((20, 2)), np.arange(20) % 3
    w = rng.integers(1, 4, 20)
    for measure in (alignment, pairwise_loss):
        copies = measure(F.repeat(w, axis=0), y.repeat(w))
        assert measure(F, y, sample_weight=w) == pytest.approx(copies, rel=1e-12)
    with pytest.raises(ValueError, match="sample_weight must be 20 numbers above zero"):
        alignment(F, y, sample_weight=np.zeros(20))


@pytest.fixture(scope="module")
def words():
    rng = np.random.default_rng(0)
    X = rng.poisson(0.2, (120, 60)).astype(float)
    return X, (X[:, :5].sum(axis=1) > X[:, 5:10].sum(axis=1)).astype(int) + (X[:, 11] > 0)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"n_hidden": 0},
        {"n_hidden": 0, "output": "ridge", "max_centres": 40},
        {"n_hidden": 0, "output": "logistic"},
        {"n_hidden": 0, "output": "relu", "weight_decay": 0.3},
        {"hidden": "srs", "epochs": 1},
    ],
)
def test_a_sparse_matrix_is_the_dense_one(words, tmp_path, given):
    X, y = words
    thin = sparse.csr_matrix(X)
    dense, model = (KernelNetworkClassifier(**given).fit(Z, y) for Z in (X, thin))
    close = {"atol": 1e-2 if given.get("output") == "relu" else 1e-5}
    np.testing.assert_allclose(model.decision_function(X), dense.decision_function(X), **close)
    np.testing.assert_allclose(model.decision_function(thin), model.decision_function(X), atol=1e-9)
    model.network_.save(tmp_path / "network")
    again = KernelNetwork.load(tmp_path / "network")
    np.testing.assert_allclose(again.outputs(thin), model.network_.outputs(thin), atol=1e-12)
    kernel_network_to_onnx(model.network_, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    (outputs,) = session.run(["Y"], {"X": X})
    np.testing.assert_allclose(outputs, model.network_.outputs(X), atol=1e-7)


def test_sparse_centres_stay_sparse(words, tmp_path):
    X, y = words
    model = KernelNetworkClassifier().fit(sparse.csc_matrix(X), y)
    assert sparse.issparse(model.hidden_[0].machine.centres)
    display = GramDisplay.from_estimator(model, sparse.csr_matrix(X), y)
    assert display.alignments[1] > display.alignments[0]
    regressor = KernelNetworkRegressor(0).fit(sparse.csr_matrix(X), X[:, 0])
    assert regressor.score(X, X[:, 0]) > 0.5
    model.network_.save(tmp_path / "network")
    content = bytearray((tmp_path / "network").read_bytes())
    place = content.index(b"sparse kernel") + 1  # the header's letters, not the numbers
    content[place] = ord("X")
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        KernelNetwork.load(tmp_path / "bad")
