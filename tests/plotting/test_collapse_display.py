"""The displays keep the data they draw."""

import matplotlib
import numpy as np
import pytest

from gapless.plotting.collapse import AlignmentDisplay, CollapseDisplay
from gapless.structure.collapse import simplex_frame

matplotlib.use("Agg")


def test_collapse_display():
    labels = np.repeat([0, 1, 2], 4)
    display = CollapseDisplay.from_features(np.eye(3)[labels], labels)
    np.testing.assert_allclose(display.centred_gram, simplex_frame(3), atol=1e-12)
    np.testing.assert_allclose(display.ax_[1].images[0].get_array(), display.centred_gram)
    for axis in display.ax_:  # a tick is a class
        assert axis.get_xticks().tolist() == axis.get_yticks().tolist() == [0, 1, 2]
    many = CollapseDisplay.from_features(np.eye(40), np.arange(40))
    assert len(many.ax_[0].get_xticks()) <= 12
    with pytest.raises(ValueError, match="3 axes"):
        display.plot(ax=display.ax_[:2])
    matplotlib.pyplot.close("all")


def test_alignment_display():
    display = AlignmentDisplay.from_weights([np.diag([3.0, 1.0]), np.diag([2.0, 1.0])])
    np.testing.assert_allclose(display.ax_[0].lines[0].get_ydata(), [3, 1])
    np.testing.assert_allclose(display.ax_[1].lines[2].get_ydata(), [1])
    assert display.figure_ is display.ax_[0].figure
    matplotlib.pyplot.close("all")
