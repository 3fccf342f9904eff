"""Every picture is drawn; what it shows is checked, not its pixels."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import scale

from gapless import (
    FilterDisplay,
    GapDisplay,
    NeuronDisplay,
    PathDisplay,
    ReLUConvRegressor,
    ReLURegressor,
    ReLURegressorCV,
    SplineDisplay,
    SplineRegressor,
    WhitenedReLURegressor,
)

mpl.use("Agg")


@pytest.fixture(scope="module")
def model():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X = X[:100]
    return ReLURegressor(0.1).fit((X - X.mean()) / X.std(), scale(y[:100])), X


def test_gap_display(model):
    display = GapDisplay.from_estimator(model[0])
    lines = {line.get_label(): line for line in display.ax_.get_lines()}
    np.testing.assert_array_equal(
        lines["objective"].get_ydata(), model[0].solution_.history.objective
    )
    assert "proven gap" in display.ax_.get_title()
    display.figure_.canvas.draw()


def test_neuron_display(model):
    estimator, X = model
    display = NeuronDisplay.from_estimator(estimator, X.to_numpy())
    assert display.weights.shape[0] == 10
    assert np.max(np.abs(display.weights), axis=0) == pytest.approx(1)
    assert display.share.sum() == pytest.approx(1)
    assert np.all((display.active >= 0) & (display.active <= 1))
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == list(X.columns)
    display.figure_.canvas.draw()


def test_an_estimator_without_what_is_drawn_is_named(model):
    for display in (GapDisplay, NeuronDisplay):
        with pytest.raises(NotFittedError, match="ReLURegressor instance is not fitted"):
            display.from_estimator(ReLURegressor())
    with pytest.raises(NotFittedError, match="SplineRegressor instance is not fitted"):
        SplineDisplay.from_estimator(SplineRegressor(), [[0.0]], [0.0])
    for estimator in (model[0], ReLURegressor(), ReLURegressorCV()):
        with pytest.raises(NotFittedError, match="no path to draw; give a fitted ReLURegressorCV"):
            PathDisplay.from_estimator(estimator)


def test_a_closed_form_has_no_history_to_draw(model):
    closed = WhitenedReLURegressor().fit(model[1].to_numpy()[:8], np.arange(8.0))
    with pytest.raises(TypeError, match="no history to draw"):
        GapDisplay.from_estimator(closed)


def test_a_network_without_neurons_is_drawn():
    X, y = load_diabetes(return_X_y=True)
    empty = ReLURegressor(100.0).fit(scale(X), scale(y))
    assert empty.n_neurons_ == 0
    NeuronDisplay.from_estimator(empty).figure_.canvas.draw()
    GapDisplay.from_estimator(empty).figure_.canvas.draw()


def test_filters_and_where_they_fire(rng):
    images, y = rng.standard_normal((12, 5, 5)), rng.standard_normal(12)
    model = ReLUConvRegressor(2, weight_decay=0.1, tol=1.0).fit(images, y)
    display = FilterDisplay.from_estimator(model, images[0], n_filters=2)
    assert display.axes_.shape == (2, 2)
    assert display.strengths[0] >= display.strengths[1]
    drawn = display.axes_[1, 0].images[0].get_array()
    strongest = np.argmax(
        np.linalg.norm(model.network_.hidden_weights, axis=0)
        * np.linalg.norm(model.network_.output_weights, axis=1)
    )
    np.testing.assert_array_equal(drawn, model.activation_maps(images[:1])[0, strongest])
    np.testing.assert_allclose(
        display.axes_[0, 0].images[0].get_array(), model.filters_[strongest, ..., 0]
    )


def test_filters_of_signals_and_colours(rng):
    model = ReLUConvRegressor((3,), weight_decay=0.05, tol=1.0)
    model.fit(rng.standard_normal((12, 6, 2)), rng.standard_normal(12))
    display = FilterDisplay.from_estimator(model, n_filters=3)
    assert len(display.axes_[0, 0].lines) == 3  # two channels and zero
    colours = FilterDisplay(rng.standard_normal((2, 3, 3, 3)), np.ones(2)).plot()
    assert colours.axes_[0, 1].images[0].get_array().shape == (3, 3, 3)
    with pytest.raises(TypeError, match="no filters"):
        FilterDisplay.from_estimator(ReLURegressor())
