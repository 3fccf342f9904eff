"""What a loss asks of a target, what its score is called, and what a linear model reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor, RidgeCV
from sklearn.metrics import mean_tweedie_deviance

from ..core.checks import Array, InputError
from ..core.losses import LOG_LINK, loss_of_targets
from ..core.rounding import TINY

# Losses of numbers.
NUMBER_LOSSES = ("squared", "huber", *LOG_LINK)
# The power of the mean that the variance of a target is, where outputs are logarithms.
POWER = {"poisson": 1, "gamma": 2}
# Penalties of the linear model of logarithms, which has no cross-validation of its own.
LIGHT = 1e-3


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
        both = np.maximum(predicted, TINY), np.full(len(y), max(y.mean(), TINY))
        left, whole = (float(mean_tweedie_deviance(y, mean, power=POWER[loss])) for mean in both)
        return 1 - left / whole if whole > 0 else 0.0
    return float(1 - np.sum((predicted - y) ** 2) / max(np.sum((y - y.mean()) ** 2), TINY))


def guesses(F: Array) -> Array:
    """The place of the class that scores (n, n_outputs) are for."""
    best: Array = (F[:, 0] > 0).astype(int) if F.shape[1] == 1 else np.argmax(F, axis=1)
    return best


def score(loss: str, classes: bool, y: Array, F: Array) -> float:
    """How good outputs (n, n_outputs) are: accuracy, or :func:`explained`."""
    return float(np.mean(guesses(F) == y)) if classes else explained(loss, y, F[:, 0])


def linear_model(loss: str, classes: bool, X: Array, y: Array) -> Any:
    """A linear model of the same target, fitted: logistic, of logarithms, or ridge regression."""
    if classes:
        return LogisticRegression(max_iter=2000).fit(X, y)
    if loss in LOG_LINK:
        kind = {"poisson": PoissonRegressor, "gamma": GammaRegressor}[loss]
        return kind(alpha=LIGHT, max_iter=1000).fit(X, y)
    return RidgeCV(np.logspace(-3, 3, 13)).fit(X, y)
