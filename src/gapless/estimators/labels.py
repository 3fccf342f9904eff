"""Class numbers as targets, and weights of classes."""

from __future__ import annotations

import numpy as np

from ..core.checks import Array


def encode_labels(labels: Array, n_classes: int, loss: str) -> tuple[Array, str]:
    """Targets for class numbers 0..n_classes-1, and the loss that goes with them.

    Parameters
    ----------
    labels : array of int of shape (n_samples,)
    n_classes : int
    loss : str

    Returns
    -------
    Y : array of shape (n_samples, 1) or (n_samples, n_classes)
        Signs for two classes; else one-hot rows, or -1 and +1 where the loss is not logistic.
    loss : str
        The softmax in place of the logistic loss for more than two classes.
    """
    if n_classes == 2:
        return np.where(labels == 1, 1.0, -1.0)[:, None], loss
    one_hot = np.eye(n_classes)[labels]
    return (one_hot, "softmax") if loss == "logistic" else (2.0 * one_hot - 1.0, loss)


def balanced(labels: Array, weights: Array | None = None) -> Array:
    """Weights of samples with which all classes weigh alike.

    Parameters
    ----------
    labels : array of int of shape (n_samples,)
    weights : array of shape (n_samples,), optional
        Those the samples have already.

    Returns
    -------
    array of shape (n_samples,)
        Their sum is that of ``weights``.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    totals = np.bincount(labels, weights)
    share = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.asarray(weights * share[labels] * totals.sum() / np.count_nonzero(totals))
