"""Pictures of splines."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array
from ..curves.members import sliding_intervals
from ..curves.spline import SplineSolution
from .axes import axes_for

# Of the classes above and below zero.
COLOURS = ("tab:orange", "tab:purple")


class SplineDisplay:
    """Data, fit, kinks, each neuron's contribution, sliding intervals, decision regions.

    Parameters
    ----------
    solution : SplineSolution
        With one output.
    x, y : array of shape (n_samples,)
        The data; for a classifier ``y`` holds -1 and +1.
    classes : pair of labels, optional
        Draws the decision regions of a two-class spline.

    Attributes
    ----------
    grid, fit : arrays
        The curve as drawn.
    contributions : array of shape (len(grid), n_neurons)
    slides : list of Slide
    crossings : array
        Where the spline changes sign: the ends of the decision regions.
    ax_, figure_ : matplotlib axes and figure
        After :meth:`plot`.

    Raises
    ------
    ValueError
        For a spline with several outputs.
    """

    #: points drawn at most: more only fill the picture
    MAX_POINTS = 5000

    def __init__(self, solution: SplineSolution, x: Any, y: Any, classes: Any = None) -> None:
        if solution.slopes.shape[1] != 1:
            raise ValueError(
                f"the spline has {solution.slopes.shape[1]} outputs; a display shows one"
            )
        self.solution, self.classes = solution, classes
        self.x = solution.coordinate(np.asarray(x))
        self.y = np.asarray(y)
        low, high = float(self.x.min()), float(self.x.max())
        margin = 0.08 * (high - low)
        plain = np.linspace(low - margin, high + margin, 400)
        self.grid = np.unique(np.concatenate([plain, solution.knots]))
        line = solution.origin + self.grid[:, None] * solution.direction
        self.fit = solution.predict(line)
        net = solution.network
        self.contributions = (
            np.maximum(line @ net.hidden_weights + net.hidden_bias, 0) * net.output_weights[:, 0]
        )
        self.slides = sliding_intervals(
            solution, solution.origin + self.x[:, None] * solution.direction
        )
        self.crossings = _crossings(self.grid, self.fit)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Any = None) -> SplineDisplay:
        """Draw a fitted ``SplineRegressor``, or a ``SplineClassifier`` of two classes.

        Parameters
        ----------
        estimator : SplineRegressor or SplineClassifier
        X, y : arrays of n_samples rows
            The data to show, as the estimator takes them.
        ax : matplotlib axes, optional

        Returns
        -------
        SplineDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(estimator, "solution_")
        X, y = np.asarray(X), np.asarray(y)
        classes = getattr(estimator, "classes_", None)
        if classes is not None:
            y = np.where(y == classes[-1], 1.0, -1.0)
        return cls(estimator.solution_, X, y, classes).plot(ax)

    def plot(
        self,
        ax: Any = None,
        *,
        neurons: bool = True,
        slides: bool = True,
        regions: bool = True,
    ) -> SplineDisplay:
        """Draw data, fit and kinks.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Those of a new figure by default.
        neurons, slides, regions : bool, default True
            Whether to draw each neuron's contribution, where kinks may slide, and, of a
            classifier, the decision regions.

        Returns
        -------
        SplineDisplay
            Itself.
        """
        ax = axes_for(ax, "SplineDisplay", figsize=(8, 5.5))
        self._draw_data(ax)
        if neurons and self.contributions.shape[1]:
            self._draw_neurons(ax)
        ax.plot(self.grid, self.fit, color="tab:red", lw=2, label="spline", zorder=3)
        s = self.solution
        ax.plot(
            s.knots, s.values[: s.n_kinks, 0], "o", color="black", ms=4, label="kinks", zorder=4
        )
        if slides:
            self._draw_slides(ax)
        if regions and self.classes is not None:
            self._draw_regions(ax)
        ax.set_xlabel("x")
        ax.set_title(
            f"{s.n_kinks} kinks, proven gap {s.certificate.relative_gap:.0e}", fontsize="medium"
        )
        ax.set_xlim(self.grid[0], self.grid[-1])
        # below the axes: inside it would hide data
        ax.legend(
            fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3,
            frameon=False,
        )  # fmt: skip
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_data(self, ax: Any) -> None:
        pick = np.arange(len(self.x))
        if len(self.x) > self.MAX_POINTS:
            pick = np.linspace(0, len(self.x) - 1, self.MAX_POINTS).astype(int)
        color: Any = "0.5"
        if self.classes is not None:
            color = np.where(self.y[pick] > 0, *COLOURS)
        ax.scatter(self.x[pick], self.y[pick], s=10, c=color, alpha=0.6, label="data", zorder=1)

    def _draw_neurons(self, ax: Any) -> None:
        base = float(np.median(self.y))
        for k, column in enumerate(self.contributions.T):
            label = "neurons (from the median)" if k == 0 else None
            ax.plot(
                self.grid, base + column, color="tab:blue", lw=0.7, alpha=0.5, label=label, zorder=2
            )
        # ramps may leave the picture; the data decide its height
        spread = float(np.ptp(np.concatenate([self.y, self.fit]))) or 1.0
        ax.set_ylim(
            min(self.y.min(), self.fit.min()) - 0.1 * spread,
            max(self.y.max(), self.fit.max()) + 0.1 * spread,
        )

    def _draw_slides(self, ax: Any) -> None:
        for k, slide in enumerate(self.slides):
            ax.axvspan(
                max(slide.low, self.grid[0]), min(slide.high, self.grid[-1]),
                color="tab:green", alpha=0.25, label="kinks may slide" if k == 0 else None,
                zorder=0,
            )  # fmt: skip

    def _draw_regions(self, ax: Any) -> None:
        ends = np.concatenate([[self.grid[0]], self.crossings, [self.grid[-1]]])
        for a, b in itertools.pairwise(ends):
            above = np.interp(0.5 * (a + b), self.grid, self.fit) > 0
            ax.axvspan(a, b, color=COLOURS[0 if above else 1], alpha=0.12, lw=0, zorder=0)
        ax.axhline(0, color="0.5", lw=0.8)
        ax.set_ylabel(f"score: {self.classes[-1]} above, {self.classes[0]} below zero")


def _crossings(grid: Array, fit: Array) -> Array:
    """Zeros of the piecewise linear function through (grid, fit) where its sign changes."""
    a, b = fit[:-1], fit[1:]
    k = np.flatnonzero((a > 0) != (b > 0))
    return grid[k] + (grid[k + 1] - grid[k]) * a[k] / (a[k] - b[k])
