"""Kernel networks as values: their file, and votes between classes."""

import json
from itertools import product

import numpy as np
import pytest
import safetensors.numpy
from sklearn.datasets import load_iris, load_wine

from gapless import KernelNetwork, KernelNetworkClassifier, KernelNetworkRegressor
from gapless.core.checks import InputError


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "colour", "virginica"])[y]


@pytest.mark.parametrize(
    ("output", "n_hidden", "classes"),
    [*product(("svm", "logistic", "ridge"), (0, 2), (2, 3)), ("relu", 1, 2)],
)
def test_a_network_comes_back_from_its_file(iris, tmp_path, output, n_hidden, classes):
    X, y = (part[: 50 * classes] for part in iris)
    model = KernelNetworkClassifier(n_hidden, output=output, weight_decay=0.1).fit(X, y)
    model.network_.save(tmp_path / "network")
    again = KernelNetwork.load(tmp_path / "network")
    np.testing.assert_array_equal(again.outputs(X), model.network_.outputs(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert again.n_features == 4
    assert again.outputs(X).shape == (len(X), 1 if classes == 2 else 3)


@pytest.mark.parametrize("y", [np.arange(9.0), np.c_[np.arange(9.0), np.ones(9)]])
def test_a_regression_comes_back_from_its_file(tmp_path, y):
    X = np.arange(9.0)[:, None]
    model = KernelNetworkRegressor().fit(X, y)
    model.network_.save(tmp_path / "network")
    again = KernelNetwork.load(tmp_path / "network").predict(X)
    np.testing.assert_array_equal(again.reshape(y.shape), model.predict(X))


@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_votes_are_those_of_scikit_learn(load):
    X, y = load(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = KernelNetworkClassifier().fit(X, y)
    F = model.transform(X)
    svc = model.output_.set_params(break_ties=True)
    np.testing.assert_allclose(model.decision_function(X), svc.decision_function(F), atol=1e-8)
    np.testing.assert_array_equal(model.predict(X), svc.predict(F))


def test_other_files_are_refused(iris, tmp_path):
    X, y = iris
    network = KernelNetworkClassifier(weight_decay=0.1).fit(X, y).network_
    network.save(tmp_path / "good")
    tensors = safetensors.numpy.load_file(tmp_path / "good")
    header = {
        "layers": [["kernel", 1.0, 1.0], ["kernel", 1.0, 0.0]], "classes": [0, 1], "votes": False,
    }  # fmt: skip

    def refused(match, arrays=tensors, **other):
        about = {"format": "gapless-kernel-network-1", "header": json.dumps(header | other)}
        safetensors.numpy.save_file(arrays, tmp_path / "bad", about)
        with pytest.raises(InputError, match=match):
            KernelNetwork.load(tmp_path / "bad")

    refused("damaged", layers=[["kernel", 1.0, 1.0]] * 3)
    refused("damaged", layers=[["magic"], ["magic"]])
    refused("damaged", layers=[["kernel"], ["kernel"]])
    refused("damaged", votes=True, classes=[0, 1, 2, 3, 4])
    refused("damaged", votes=True, classes=None)
    refused("damaged", classes=[0, 1, 2, 3])
    refused("finite", {name: np.full_like(a, np.nan) for name, a in tensors.items()})
    refused("damaged", tensors | {"1.centres": tensors["1.centres"][:, :2]})
    (tmp_path / "text").write_text("no network")
    with pytest.raises(InputError, match="not a safetensors file"):
        KernelNetwork.load(tmp_path / "text")
    safetensors.numpy.save_file(tensors, tmp_path / "foreign")
    with pytest.raises(InputError, match="is no kernel network"):
        KernelNetwork.load(tmp_path / "foreign")
