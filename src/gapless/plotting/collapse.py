"""Pictures of neural collapse and of layer alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.checks import Array, optional_import, to_2d
from ..structure.collapse import LayerAlignment, _unit, layer_alignment, simplex_frame


def _axes(ax: Any, count: int) -> Any:
    plt = optional_import("matplotlib.pyplot", "plot", "a Display")
    if ax is not None:
        axes = np.atleast_1d(ax)
        if len(axes) != count:
            raise ValueError(f"ax must be {count} axes, got {len(axes)}")
        return axes
    return np.atleast_1d(
        plt.subplots(1, count, figsize=(4.2 * count, 3.6), layout="constrained")[1]
    )


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
        """From last hidden features (n_samples, p) and class labels."""
        H = to_2d("features", features)
        classes, index = np.unique(np.asarray(labels), return_inverse=True)
        mu = np.stack([H[index == k].mean(axis=0) for k in range(len(classes))])
        M = mu - mu.mean(axis=0)
        return cls(_unit(mu @ mu.T), _unit(M @ M.T)).plot(ax)

    def plot(self, ax: Any = None) -> CollapseDisplay:
        """Draw on three axes."""
        axes = _axes(ax, 3)
        frame = simplex_frame(len(self.centred_gram))
        distance = float(np.linalg.norm(self.centred_gram - frame))
        pictures = (
            (self.means_gram, "class means"),
            (self.centred_gram, f"centred, distance to frame {distance:.2g}"),
            (frame, "simplex frame"),
        )
        top = max(float(np.abs(gram).max()) for gram, _ in pictures)
        for axis, (gram, title) in zip(axes, pictures):
            image = axis.imshow(gram, cmap="RdBu_r", vmin=-top, vmax=top)
            axis.set(title=title, xlabel="class", ylabel="class")
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
        """From layers W_l (width_{l-1}, width_l), as in ``DeepNetwork.weights``."""
        return cls(layer_alignment(weights)).plot(ax)

    def plot(self, ax: Any = None) -> AlignmentDisplay:
        """Draw on two axes."""
        axes = _axes(ax, 2)
        report = self.report
        layers = np.arange(1, len(report.ranks) + 1)
        for l, s, rank in zip(layers, report.singular_values, report.ranks):
            axes[0].plot(np.arange(1, len(s) + 1), s, "o-", ms=3, label=f"layer {l}, rank {rank}")
        axes[0].set(xlabel="index", ylabel="singular value", title="spectra")
        axes[0].legend()
        axes[1].plot(layers, report.frobenius_norms, "s-", label="Frobenius norm")
        axes[1].plot(layers, report.operator_norms, "o-", label="operator norm")
        axes[1].plot(layers[:-1] + 0.5, report.alignment, "^:", label="alignment with the next")
        axes[1].set(xlabel="layer", xticks=layers, title="norms and alignment")
        axes[1].set_ylim(bottom=0)
        axes[1].legend()
        self.ax_, self.figure_ = axes, axes[0].figure
        return self
