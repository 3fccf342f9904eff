"""What a score is called, and what a plain linear model makes of the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor, RidgeCV
from sklearn.metrics import d2_tweedie_score

from ..core.checks import Array
from ..core.losses import LOG_LINK
from ..core.rounding import TINY

# The power of the mean that the variance of a target is, where outputs are logarithms.
POWER = {"poisson": 1, "gamma": 2}
# Penalties of the linear model of logarithms, which has no cross-validation of its own.
LIGHT = 1e-3


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
        3.11); at most one.
    """
    if loss in LOG_LINK:
        return float(d2_tweedie_score(y, np.maximum(predicted, TINY), power=POWER[loss]))
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
