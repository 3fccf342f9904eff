"""The display of Gram matrices keeps what it draws."""

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from gapless import GramDisplay, KernelNetworkClassifier, alignment

matplotlib.use("Agg")


def test_gram_display():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    model = KernelNetworkClassifier(2, output="logistic").fit(X, y)
    display = GramDisplay.from_estimator(model, X[order], y[order])
    assert len(display.grams) == len(display.ax_) == 3
    np.testing.assert_array_equal(display.labels, np.sort(y))  # the classes in order
    scale = model.hidden_[0].machine.kernel.scale
    np.testing.assert_allclose(display.grams[0][0, 1:9], np.exp(
        -scale * ((X[order][y[order] == 0][0] - X[order][y[order] == 0][1:9]) ** 2).sum(axis=1)
    ))  # fmt: skip
    assert display.alignments[0] == pytest.approx(alignment(X, y, scale))
    assert display.alignments[-1] > display.alignments[0]
    np.testing.assert_array_equal(display.ax_[1].images[0].get_array(), display.grams[1])
    assert "alignment" in display.ax_[2].get_title()
    assert display.figure_ is display.ax_[0].figure
    with pytest.raises(ValueError, match="3 axes"):
        display.plot(ax=display.ax_[:2])
    with pytest.raises(ValueError, match="one a sample"):
        GramDisplay.from_estimator(model, X, y[:5])
    with pytest.raises(NotFittedError):
        GramDisplay.from_estimator(KernelNetworkClassifier(), X, y)
    matplotlib.pyplot.close("all")


def test_of_many_samples_some_are_drawn_of_every_class():
    X = np.repeat(np.eye(3), 300, axis=0)
    y = np.repeat(["a", "b", "c"], 300)
    display = GramDisplay.from_estimator(KernelNetworkClassifier(1).fit(X[::9], y[::9]), X, y)
    assert display.grams[0].shape == (400, 400)
    assert set(display.labels) == {"a", "b", "c"}
    matplotlib.pyplot.close("all")
