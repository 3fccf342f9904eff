"""What a loss asks of a target, and how a model of it is measured."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from ..core.checks import Array, InputError
from ..core.losses import LOG_LINK, loss_of_targets
from ..core.rounding import EPS, TINY

# Losses of numbers.
NUMBER_LOSSES = ("squared", "huber", *LOG_LINK)
# Half the deviance of a target y where m is predicted.
HALF_DEVIANCE = {
    "poisson": lambda y, m: xlogy(y, y / m) - y + m,
    "gamma": lambda y, m: y / m - 1 - np.log(y / m),
}


def find_loss(task: str, asked: str | None) -> str:
    """The loss asked for, if the task has it, or the usual one."""
    if task == "classification":
        if asked in ("huber", *LOG_LINK):
            raise InputError(f"--loss {asked} is for regression; choose logistic, hinge or squared")
        return asked or "logistic"
    if asked is not None and asked not in NUMBER_LOSSES:
        choice = ", ".join(NUMBER_LOSSES[:-1])
        raise InputError(f"--loss {asked} is for classes; choose {choice} or {NUMBER_LOSSES[-1]}")
    return asked or "squared"


def check_targets(target: str, y: Array, train: Array, loss: str) -> None:
    """Raise InputError where targets are no counts or amounts and the loss needs them; and where
    those of the rows for training are all zero."""
    if loss not in LOG_LINK:
        return
    try:
        loss_of_targets(loss, y).check_targets(y)
    except ValueError as error:
        raise InputError(f"target {target!r}: {error}") from error
    if not np.any(y[train]):
        raise InputError(
            f"target {target!r} is 0 in all rows for training: there is nothing to learn"
        )


def measure(loss: str, classes: bool) -> str:
    """The name of the score of a model trained with this loss."""
    if classes:
        return "accuracy"
    return "deviance explained" if loss in LOG_LINK else "R2"


def explained(loss: str, y: Array, predicted: Array) -> float:
    """The share of squares, or of the loss's deviance, that a model explains beyond the mean.

    Parameters
    ----------
    loss : str
    y, predicted : arrays of shape (n_samples,)

    Returns
    -------
    float
        R2, or D2 (Hastie, Tibshirani & Wainwright 2015, Statistical learning with sparsity, eq.
        3.11); at most one.  Of no deviance at all: 0.
    """
    if loss in LOG_LINK:
        both = np.maximum(predicted, TINY), max(y.mean(), TINY)
        left, whole = (float(np.sum(HALF_DEVIANCE[loss](y, mean))) for mean in both)
        return 1 - left / whole if whole > 0 else 0.0
    return float(1 - np.sum((predicted - y) ** 2) / max(np.sum((y - y.mean()) ** 2), TINY))


def guesses(F: Array) -> Array:
    """The place of the class that scores (n, n_outputs) are for."""
    best: Array = (F[:, 0] > 0).astype(int) if F.shape[1] == 1 else np.argmax(F, axis=1)
    return best


def score(loss: str, classes: bool, y: Array, F: Array) -> float:
    """How good outputs (n, n_outputs) are: accuracy, or :func:`explained`."""
    return float(np.mean(guesses(F) == y)) if classes else explained(loss, y, F[:, 0])


def log_loss(y: Array, P: Array) -> float:
    """The mean of ``-log`` of the probability (n, n_classes) of the class that is, as near to 0 as
    rounding allows."""
    return float(-np.log(np.maximum(P[np.arange(len(y)), y], EPS)).mean())


def area(y: Array, P: Array) -> float | None:
    """The area under the curve: how often a row of a class scores more for it than one that is
    not, a tie being half of that; the mean over classes; None if one has no row.

    By ranks, as Hanley & McNeil (Radiology 1982, section II).

    Parameters
    ----------
    y : array of int (n,)
        Places among the classes.
    P : array (n, n_classes)

    Returns
    -------
    float or None
    """
    counts = np.bincount(y, minlength=P.shape[1])
    if np.any(counts == 0):
        return None
    # of two classes one says all
    return float(np.mean([_area(P[:, k], y == k) for k in range(P.shape[1] == 2, P.shape[1])]))


def _area(scores: Array, own: Array) -> float:
    alike, counts = np.unique(scores, return_inverse=True, return_counts=True)[1:]
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[alike]
    n = own.sum()
    return float((ranks[own].sum() - n * (n + 1) / 2) / (n * (len(own) - n)))
