"""Convex-RF: the features against loops over patches, the output layer against its dual."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from gapless import ConvexOutputLayer, ConvexRandomFeatures


@parametrize_with_checks([ConvexRandomFeatures(10), ConvexOutputLayer(0.01, tol=1e-2)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (30, 9, 7, 3), dtype=np.uint8)


def naive(model, image):
    """Features of one image, patch by patch."""
    h, w, _channels = model.patch_shape_
    rows, columns = image.shape[0] - h + 1, image.shape[1] - w + 1
    S = np.empty((rows, columns, model.filters_.shape[1]))
    for r in range(rows):
        for c in range(columns):
            p = image[r : r + h, c : c + w].transpose(2, 0, 1).ravel().astype(float)
            p = (p - p.mean()) / np.sqrt(p.var() + model._flat)
            S[r, c] = (p - model.mean_) @ model.whitening_ @ model.filters_
    pool = np.max if model.pooling == "max" else np.mean
    signs = (1, -1) if model.sign_split else (1,)
    edges = [np.linspace(0, size, model.n_pools + 1).astype(int) for size in (rows, columns)]
    return np.concatenate([
        pool(np.maximum(sign * S[a:b, c:d] - model.threshold, 0), axis=(0, 1))
        for a, b in zip(edges[0], edges[0][1:])
        for c, d in zip(edges[1], edges[1][1:])
        for sign in signs
    ])  # fmt: skip


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("sign_split", [True, False])
@pytest.mark.parametrize("zca", [None, 0.1])
def test_features_are_the_pooled_activations(images, pooling, sign_split, zca):
    model = ConvexRandomFeatures(
        8, patch_size=4, pooling=pooling, sign_split=sign_split, zca=zca, n_pools=2
    ).fit(images)
    Z = model.transform(images[:3])
    assert Z.dtype == np.float32
    np.testing.assert_allclose(Z, [naive(model, im) for im in images[:3]], rtol=1e-3, atol=1e-4)


def test_filters_are_unit_vectors_and_whitening_whitens(images):
    model = ConvexRandomFeatures(8, patch_size=4, zca=1e-9).fit(images)
    assert model.filters_.shape == (48, 8)
    np.testing.assert_allclose(np.linalg.norm(model.filters_, axis=0), 1)
    P = model._windows(images).reshape(-1, 48).astype(float)
    P = (P - P.mean(axis=1, keepdims=True)) / np.sqrt(P.var(axis=1, keepdims=True) + model._flat)
    values = np.linalg.eigvalsh(np.cov((P @ model.whitening_).T))
    assert values[0] < 1e-6  # a normalised patch sums to zero
    np.testing.assert_allclose(values[1:], 1, atol=0.15)


def test_a_filter_separates_its_patch_from_the_others():
    # corners of a square and its centre, as two-pixel signals after whitening is left out
    Z = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [0.1, 0.0]])
    filters = ConvexRandomFeatures()._vertices(Z, 5)
    assert filters.shape == (2, 4)  # the centre is no vertex
    fired = np.sort(Z @ filters, axis=0)
    assert np.all(fired[-1] > fired[-2] + 0.1)


def test_same_features_from_disk_flat_and_in_batches(images, tmp_path, monkeypatch):
    model = ConvexRandomFeatures(8, patch_size=4)
    Z = model.fit_transform(images)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_array_equal(clone(model).fit(mapped).transform(mapped), Z)
    flat = clone(model).set_params(image_shape=(9, 7, 3))
    np.testing.assert_array_equal(flat.fit_transform(images.reshape(30, -1)), Z)
    monkeypatch.setattr("gapless.estimators.features.BATCH", 600)
    np.testing.assert_allclose(model.transform(images), Z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.zeros((4, 10)), {"image_shape": (3, 3)}, "rows of 10 numbers"),
        (np.zeros((4, 6, 6)), {}, "is a vertex"),
        (np.zeros((4, 6, 6, 1, 1)), {}, "3 or 4 dimensions"),
        (np.ones((4, 6, 6)), {"pooling": "sum"}, "pooling='sum' is unknown"),
        (np.ones((4, 6, 6)), {"n_pools": 0}, "n_pools"),
    ],
)
def test_errors_name_the_way_out(X, options, message):
    with pytest.raises(ValueError, match=message):
        ConvexRandomFeatures(5, **options).fit(X)


def test_images_of_another_size_are_refused(images):
    with pytest.raises(ValueError, match="fit saw"):
        ConvexRandomFeatures(5).fit(images).transform(images[:, :, :6])


def test_output_layer_is_the_lasso_with_its_bound():
    X, y = load_digits(return_X_y=True)
    layer = ConvexOutputLayer(0.02, tol=1e-6).fit(X.astype(np.float32), y)
    keep = X.std(axis=0) > 0
    Z = (X[:, keep] - X[:, keep].mean(axis=0)) / X[:, keep].std(axis=0)
    for c in (0, 7):
        t = np.where(y == c, 1.0, -1.0)
        model = Lasso(0.02, tol=1e-8, max_iter=10000).fit(Z, t)
        best = 0.5 * np.mean((model.predict(Z) - t) ** 2) + 0.02 * np.abs(model.coef_).sum()
        assert layer.lower_bound_[c] <= best * (1 + 1e-6)
        assert layer.objective_[c] == pytest.approx(best, rel=1e-5)
        F = layer.decision_function(X.astype(np.float32))[:, c]
        R, w = F - t, layer.coef_[keep, c] * X[:, keep].std(axis=0)
        assert 0.5 * np.mean(R * R) + 0.02 * np.abs(w).sum() == pytest.approx(best, rel=1e-5)
    assert np.all(layer.objective_ - layer.lower_bound_ <= 1e-6)
    assert np.all(layer.coef_[~keep] == 0)


def test_output_layer_warns_when_cut_short():
    X, y = load_digits(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        ConvexOutputLayer(1e-4, tol=1e-8, max_iter=2).fit(X, y)


def test_digits():
    digits = load_digits()
    X, Xte, y, yte = train_test_split(digits.images, digits.target, random_state=0)
    model = make_pipeline(ConvexRandomFeatures(50, patch_size=4), ConvexOutputLayer(3e-3))
    assert model.fit(X, y).score(Xte, yte) > 0.97
