"""Pictures of convolutional filters and of where they fire."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, positive_int
from .axes import axes_for


class FilterDisplay:
    """The filters of a convolutional network, strongest first, and where they fire on an image.

    Parameters
    ----------
    filters : array of shape (n_filters, *size, channels)
    strengths : array of shape (n_filters,)
        ``||u_j|| ||V_j||``: what each pays, so how much it is used.
    maps : array of shape (n_filters, *grid), optional
        Where the filters fire on an image.

    Attributes
    ----------
    axes_ : array of matplotlib axes
        A column a filter; the second row has the maps, if any.
    figure_ : matplotlib figure
    """

    def __init__(self, filters: Array, strengths: Array, maps: Array | None = None) -> None:
        self.filters, self.strengths, self.maps = filters, strengths, maps

    @classmethod
    def from_estimator(
        cls, model: Any, image: Any = None, *, n_filters: int = 8, ax: Any = None
    ) -> FilterDisplay:
        """Draw the strongest filters of a fitted estimator.

        Parameters
        ----------
        model : ReLUConvClassifier or ReLUConvRegressor
        image : array of shape (*shape) or (*shape, channels), optional
            On which to show where they fire.
        n_filters : int, default 8
        ax : array of matplotlib axes of shape (rows, n_filters), optional

        Returns
        -------
        FilterDisplay

        Raises
        ------
        TypeError
            For a model without filters.
        ValueError
            For a network without neurons.
        """
        if not hasattr(type(model), "activation_maps"):
            raise TypeError(
                f"a {type(model).__name__} has no filters to draw; give a fitted "
                "ReLUConvClassifier or ReLUConvRegressor"
            )
        check_is_fitted(model)
        strengths = np.prod(model.network_.scaled_directions(model.bias), axis=0)
        if len(strengths) == 0:
            raise ValueError("the network has no neurons to draw; fit with less weight decay")
        best = np.argsort(-strengths, kind="stable")[: positive_int("n_filters", n_filters)]
        maps = None
        if image is not None:
            maps = model.activation_maps(np.asarray(image)[None])[0][best]
        return cls(model.filters_[best], strengths[best], maps).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> FilterDisplay:
        """Draw.

        Parameters
        ----------
        ax : array of matplotlib axes of shape (rows, n_filters), optional

        Returns
        -------
        FilterDisplay
        """
        rows, columns = 1 + (self.maps is not None), len(self.filters)
        size = (1.3 * columns + 0.4, 1.5 * rows + 0.2)
        axes = axes_for(ax, "a Display", nrows=rows, ncols=columns, figsize=size, squeeze=False)
        self.axes_ = np.asarray(axes).reshape(rows, columns)
        self.figure_ = self.axes_[0, 0].figure
        largest = float(np.abs(self.filters).max())
        for j, (top, weights) in enumerate(zip(self.axes_[0], self.filters)):
            _picture(top, weights, largest)
            top.set_title(f"{self.strengths[j]:.2g}", fontsize=8)
        if self.maps is not None:
            for below, map in zip(self.axes_[1], self.maps):
                _map(below, map)
        return self


def _picture(ax: Any, weights: Array, largest: float) -> None:
    """A filter (*size, channels): colours where they are three, else blue and red."""
    ax.set_xticks([])
    ax.set_yticks([])
    if weights.ndim == 2:  # of a signal
        ax.plot(weights)
        ax.axhline(0, color="0.7", lw=0.8, zorder=0)
        ax.set_ylim(-1.05 * largest, 1.05 * largest)
    elif weights.shape[-1] == 3:
        ax.imshow(0.5 + 0.5 * weights / largest)
    else:
        ax.imshow(weights.mean(axis=-1), cmap="RdBu_r", vmin=-largest, vmax=largest)


def _map(ax: Any, map: Array) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    if map.ndim == 1:
        ax.plot(map)
    else:
        ax.imshow(map, cmap="gray_r", vmin=0)
