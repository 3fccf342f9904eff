"""Pictures of what neurons compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, to_2d
from ..core.network import Network
from ..core.problem import Problem
from ..core.rounding import TINY
from ..structure.extreme_points import ExtremePoints, compare_samples
from .axes import axes_for

# Neurons drawn unless they are named, and bars of the largest weights of one.
SHOWN, BARS = 4, 20
# Share of a neuron that its samples do not explain from which the title says so.
UNEXPLAINED = 0.05


@dataclass(frozen=True, eq=False)
class _Row:
    """A neuron's weights (d,), the samples it rises with and those it compares them with."""

    weights: Array
    title: str
    up: list[tuple[int, float]]
    down: list[tuple[int, float]]


class ComparisonDisplay:
    """One row a neuron: its weights, "these samples", "compared with those".

    Images are shown as pictures, tables as bars of the features and names of the samples.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    rows : list
        From :meth:`from_extreme_points` or :meth:`from_network`.
    image_shape : tuple of int, optional
        ``(height, width)`` or ``(height, width, 3)`` of a sample.
    feature_names, sample_names : lists of str, optional

    Attributes
    ----------
    rows : list
        ``weights``, ``title``, and pairs (sample, share) ``up`` and ``down``.
    figure_, axes_ : the figure and its array of axes

    Raises
    ------
    ValueError
        For an ``image_shape`` of another number of features.
    """

    #: samples shown on each side of a comparison
    MAX_SAMPLES = 4

    def __init__(
        self,
        X: Any,
        rows: list[_Row],
        image_shape: tuple[int, ...] | None = None,
        feature_names: Any = None,
        sample_names: Any = None,
    ) -> None:
        self.X, self.rows, self.image_shape = to_2d("X", X), rows, image_shape
        n, d = self.X.shape
        if image_shape is not None and int(np.prod(image_shape)) != d:
            raise ValueError(f"image_shape={image_shape} does not fit samples of {d} features")
        self.feature_names = list(feature_names or (f"x{k}" for k in range(d)))
        self.sample_names = list(sample_names or (f"#{i}" for i in range(n)))

    @classmethod
    def from_extreme_points(
        cls, points: ExtremePoints, X: Any, neurons: Any = None, **names: Any
    ) -> ComparisonDisplay:
        """Draw neurons that fire on one sample each.

        Parameters
        ----------
        points : ExtremePoints
        X : array of shape (n_samples, n_features)
            The data they are from.
        neurons : sequence of int, optional
            Which; the first four by default.
        **names
            ``image_shape``, ``feature_names`` and ``sample_names`` of the display.

        Returns
        -------
        ComparisonDisplay
        """
        shown = range(min(SHOWN, len(points))) if neurons is None else neurons
        rows = []
        for j in shown:
            mixture = points.mixture[[j]].tocoo()
            down = _largest(mixture.col, mixture.data, cls.MAX_SAMPLES)
            title = f"fires on sample {points.samples[j]} only, by {points.height[j]:.3g}"
            rows.append(
                _Row(points.hidden_weights[:, j], title, [(int(points.samples[j]), 1.0)], down)
            )
        return cls(X, rows, **names).plot()

    @classmethod
    def from_network(
        cls, network: Network, problem: Problem, neurons: Any = None, **names: Any
    ) -> ComparisonDisplay:
        """Draw trained neurons.

        Parameters
        ----------
        network : Network
        problem : Problem
            What it was trained on.
        neurons : sequence of int, optional
            Which; the four strongest by default.
        **names
            ``image_shape``, ``feature_names`` and ``sample_names`` of the display.

        Returns
        -------
        ComparisonDisplay

        Raises
        ------
        ValueError
            For a neuron of zero weights, see :func:`gapless.compare_samples`.
        """
        U, a = network.hidden_weights, network.output_weights
        strength = np.linalg.norm(U, axis=0) * np.linalg.norm(a, axis=1)
        shown = np.argsort(-strength)[:SHOWN] if neurons is None else neurons
        rows = []
        for j in shown:
            found = compare_samples(problem, network, int(j))
            alpha = found.coefficients
            sides = []
            for sign in (1.0, -1.0):
                part = np.maximum(sign * alpha, 0.0)
                index = np.flatnonzero(part)
                sides.append(_largest(index, part[index] / part.sum(), cls.MAX_SAMPLES))
            title = f"neuron {j}: {strength[j] / strength.sum():.0%} of all weight"
            if found.residual > UNEXPLAINED:
                title += f", {found.residual:.0%} unexplained"
            rows.append(_Row(U[:, j], title, sides[0], sides[1]))
        return cls(problem.X, rows, **names).plot()

    def plot(self) -> ComparisonDisplay:
        """Draw a new figure, a row a neuron.

        Returns
        -------
        ComparisonDisplay
            Itself.
        """
        if self.image_shape is None:
            self._plot_table()
        else:
            self._plot_images()
        return self

    def _plot_images(self) -> None:
        up = max((len(row.up) for row in self.rows), default=1)
        down = max((len(row.down) for row in self.rows), default=1)
        columns = 1 + up + down
        self._new_figure(columns, figsize=(1.35 * columns, 1.75 * len(self.rows)))
        for row, axes in zip(self.rows, self.axes_, strict=True):
            for ax in axes:
                ax.set(xticks=[], yticks=[], frame_on=False)
            self._image(axes[0], row.weights, signed=True)
            axes[0].set_title(row.title, fontsize=8, loc="left")
            for first, word, side in ((1, "up", row.up), (1 + up, "against", row.down)):
                for ax, (i, share) in zip(axes[first:], side, strict=False):
                    self._image(ax, self.X[i], signed=False)
                    ax.set_xlabel(f"{word} {self.sample_names[i]}\n{share:.0%}", fontsize=7)

    def _new_figure(self, columns: int, **figure: Any) -> None:
        rows = len(self.rows)
        self.axes_ = axes_for(None, nrows=rows, ncols=columns, squeeze=False, **figure)
        self.figure_ = self.axes_[0, 0].figure

    def _image(self, ax: Any, values: Array, signed: bool) -> None:
        top = float(np.abs(values).max()) or 1.0
        picture = values.reshape(self.image_shape)
        if picture.ndim == 3:  # colours: zero weight is grey
            low, high = (-top, top) if signed else (values.min(), values.max())
            ax.imshow((picture - low) / max(high - low, TINY))
        elif signed:
            ax.imshow(picture, cmap="RdBu_r", vmin=-top, vmax=top)
        else:
            ax.imshow(picture, cmap="gray_r")

    def _plot_table(self) -> None:
        height = max(1.6, 0.5 + 0.19 * min(self.X.shape[1], BARS)) * len(self.rows)
        self._new_figure(2, width_ratios=[3, 2], figsize=(9, height))
        for row, (bars, text) in zip(self.rows, self.axes_, strict=True):
            order = np.argsort(-np.abs(row.weights))[:BARS]
            colours = ["C3" if w > 0 else "C0" for w in row.weights[order]]
            bars.barh(range(len(order)), row.weights[order], color=colours)
            bars.set_yticks(range(len(order)), [self.feature_names[k] for k in order], fontsize=8)
            bars.invert_yaxis()
            bars.axvline(0, color="k", lw=0.6)
            bars.set_title(row.title, fontsize=9, loc="left")
            lines = ["rises with"]
            lines += [f"  {self.sample_names[i]}  {share:.0%}" for i, share in row.up]
            lines += ["compared with"]
            lines += [f"  {self.sample_names[i]}  {share:.0%}" for i, share in row.down]
            text.axis("off")
            text.text(0, 1, "\n".join(lines), va="top", fontsize=8, transform=text.transAxes)


def _largest(index: Array, share: Array, count: int) -> list[tuple[int, float]]:
    """Samples and their shares, the ``count`` largest."""
    order = np.argsort(-share)[:count]
    return [(int(index[k]), float(share[k])) for k in order]
