"""Pictures of Gram matrices: what each kernel of a kernel network sees of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from ..core.checks import to_2d
from ..kernels.alignment import alignment, gram_of_classes
from ..kernels.network import scale_of
from .axes import axes_in_row

# Samples drawn: more have no pixel of their own.
DRAWN = 400


class GramDisplay:
    """Gram matrices before and after each hidden layer, samples in the order of their classes.

    Squares along the diagonal are the classes; the better the hidden layers, the darker they are
    and the lighter the rest.

    Parameters
    ----------
    grams : sequence of arrays of shape (n_samples, n_samples)
        Of kernels from 0 to 1.
    labels : array of shape (n_samples,)
        In order.
    alignments : sequence of float
        One a matrix.

    Attributes
    ----------
    ax_ : array of Axes, one a matrix
    figure_ : Figure
    """

    def __init__(self, grams: Any, labels: Any, alignments: Any) -> None:
        self.grams, self.labels, self.alignments = list(grams), labels, list(alignments)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, ax: Any = None) -> GramDisplay:
        """Draw what a fitted classifier does to samples.

        Parameters
        ----------
        estimator : KernelNetworkClassifier
        X : array or sparse matrix of shape (n_samples, n_features)
            Best samples that it was not trained on.  Of more than 400, 400 are drawn.
        y : array of labels of shape (n_samples,)
        ax : sequence of matplotlib axes, optional
            One more than the network has hidden layers.

        Returns
        -------
        GramDisplay

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For another number of labels than samples, or of axes.
        """
        check_is_fitted(estimator)
        X, y = X.tocsr() if sparse.issparse(X) else to_2d("X", X), np.asarray(y)
        if y.shape != X.shape[:1]:
            raise ValueError(f"y must have {X.shape[0]} labels, one a sample, got shape {y.shape}")
        order = np.argsort(y, kind="stable")
        if len(order) > DRAWN:
            order = order[np.linspace(0, len(order) - 1, DRAWN).astype(int)]
        network = estimator.network_
        features, layers = X[order], [*network.hidden, network.output]
        features = features.toarray() if sparse.issparse(features) else features
        grams, alignments = [], []
        for layer in layers:
            scale = scale_of(layer, features)
            grams.append(gram_of_classes(features, scale))
            alignments.append(alignment(features, y[order], scale))
            features = layer.outputs(features)
        return cls(grams, y[order], alignments).plot(ax)

    def plot(self, ax: Any = None) -> GramDisplay:
        """Draw the matrices side by side, on a new figure by default.

        Parameters
        ----------
        ax : sequence of matplotlib axes, optional

        Returns
        -------
        GramDisplay
            Itself.

        Raises
        ------
        ValueError
            For another number of axes.
        """
        axes = axes_in_row(ax, len(self.grams))
        starts = np.flatnonzero(np.r_[True, self.labels[1:] != self.labels[:-1]])
        middles = (starts + np.r_[starts[1:], len(self.labels)]) / 2
        for number, (axis, gram, found) in enumerate(zip(axes, self.grams, self.alignments)):
            image = axis.imshow(gram, cmap="Blues", vmin=0.0, vmax=1.0)
            where = f"after hidden layer {number}" if number else "samples"
            axis.set_title(f"{where}, alignment {found:.2f}")
            for edge in starts[1:]:
                axis.axhline(edge - 0.5, c="k", lw=0.4)
                axis.axvline(edge - 0.5, c="k", lw=0.4)
            names = [str(label) for label in self.labels[starts]]
            axis.set_xticks(middles, names)
            axis.set_yticks(middles, names)
        axes[0].figure.colorbar(image, ax=list(axes), shrink=0.8)
        self.ax_, self.figure_ = axes, axes[0].figure
        return self
