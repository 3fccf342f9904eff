"""Pictures of neural collapse and of layer alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.checks import Array, to_2d
from ..structure.collapse import LayerAlignment, layer_alignment, simplex_frame, unit_norm
from .axes import axes_in_row

# Classes that have a tick, at most.
TICKS = 12


class CollapseDisplay:
    """Gram matrices of the class means: uncentred, centred, and the simplex frame.

    Parameters
    ----------
    means_gram, centred_gram : arrays of shape (n_classes, n_classes)
        Scaled to Frobenius norm one.

    Attributes
    ----------
    ax_ : array of three Axes
    figure_ : Figure
    """

    def __init__(self, means_gram: Array, centred_gram: Array) -> None:
        self.means_gram = means_gram
        self.centred_gram = centred_gram

    @classmethod
    def from_features(cls, features: Any, labels: Any, ax: Any = None) -> CollapseDisplay:
        """Draw the class means of a layer.

        Parameters
        ----------
        features : array of shape (n_samples, n_hidden)
            Last hidden layer, after the activation.
        labels : array of shape (n_samples,)
        ax : sequence of three matplotlib axes, optional

        Returns
        -------
        CollapseDisplay
        """
        H = to_2d("features", features)
        classes, index = np.unique(np.asarray(labels), return_inverse=True)
        mu = np.stack([H[index == k].mean(axis=0) for k in range(len(classes))])
        M = mu - mu.mean(axis=0)
        return cls(unit_norm(mu @ mu.T), unit_norm(M @ M.T)).plot(ax)

    def plot(self, ax: Any = None) -> CollapseDisplay:
        """Draw on three axes, those of a new figure by default.

        Parameters
        ----------
        ax : sequence of three matplotlib axes, optional

        Returns
        -------
        CollapseDisplay
            Itself.

        Raises
        ------
        ValueError
            For another number of axes.
        """
        axes = axes_in_row(ax, 3)
        frame = simplex_frame(len(self.centred_gram))
        distance = float(np.linalg.norm(self.centred_gram - frame))
        pictures = (
            (self.means_gram, "class means"),
            (self.centred_gram, f"centred, distance to frame {distance:.2g}"),
            (frame, "simplex frame"),
        )
        # one scale of colours for the three, or they could not be compared
        top = max(float(np.abs(gram).max()) for gram, _ in pictures)
        n_classes = len(frame)
        ticks = np.arange(0, n_classes, -(-n_classes // TICKS))  # classes, nothing between them
        for axis, (gram, title) in zip(axes, pictures):
            image = axis.imshow(gram, cmap="RdBu_r", vmin=-top, vmax=top)
            axis.set(title=title, xlabel="class", ylabel="class", xticks=ticks, yticks=ticks)
        axes[0].figure.colorbar(image, ax=list(axes), shrink=0.8)
        self.ax_, self.figure_ = axes, axes[0].figure
        return self


class AlignmentDisplay:
    """Singular values of every layer, its norms, and the alignment of neighbours.

    Parameters
    ----------
    report : LayerAlignment

    Attributes
    ----------
    ax_ : array of two Axes
    figure_ : Figure
    """

    def __init__(self, report: LayerAlignment) -> None:
        self.report = report

    @classmethod
    def from_weights(cls, weights: Sequence[Any], ax: Any = None) -> AlignmentDisplay:
        """Draw a network's layers.

        Parameters
        ----------
        weights : sequence of arrays of shape (width_{l-1}, width_l)
            As in ``DeepNetwork.weights``.
        ax : sequence of two matplotlib axes, optional

        Returns
        -------
        AlignmentDisplay
        """
        return cls(layer_alignment(weights)).plot(ax)

    def plot(self, ax: Any = None) -> AlignmentDisplay:
        """Draw on two axes, those of a new figure by default.

        Parameters
        ----------
        ax : sequence of two matplotlib axes, optional

        Returns
        -------
        AlignmentDisplay
            Itself.

        Raises
        ------
        ValueError
            For another number of axes.
        """
        axes = axes_in_row(ax, 2)
        spectra, norms = axes
        report = self.report
        layers = np.arange(1, len(report.ranks) + 1)
        for l, s, rank in zip(layers, report.singular_values, report.ranks):
            spectra.plot(np.arange(1, len(s) + 1), s, "o-", ms=3, label=f"layer {l}, rank {rank}")
        spectra.set(xlabel="index", ylabel="singular value", title="spectra")
        spectra.legend()
        norms.plot(layers, report.frobenius_norms, "s-", label="Frobenius norm")
        norms.plot(layers, report.operator_norms, "o-", label="operator norm")
        # between the two layers that it compares
        norms.plot(layers[:-1] + 0.5, report.alignment, "^:", label="alignment with the next")
        norms.set(xlabel="layer", xticks=layers, title="norms and alignment")
        norms.set_ylim(bottom=0)
        norms.legend()
        self.ax_, self.figure_ = axes, spectra.figure
        return self
