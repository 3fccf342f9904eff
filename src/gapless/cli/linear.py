"""A linear model of the same target, beside which a network is to be judged."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.losses import LOG_LINK

# Penalties of ridge regressions, and that of a model of logarithms.
RIDGES, LIGHT = np.logspace(-3, 3, 13), 1e-3


def linear_outputs(loss: str, n_classes: int, X: Array, y: Array, there: Array) -> Array:
    """What a linear model fitted to rows says of others, as the outputs of a network.

    Parameters
    ----------
    loss : str
        Of the network: numbers have a ridge regression, counts and amounts a model of their
        logarithms, classes a logistic regression.
    n_classes : int
        0 for numbers.
    X : array of shape (n, d)
        Of deviation one.
    y : array of shape (n,)
        Targets, or places among the classes.
    there : array of shape (m, d)

    Returns
    -------
    array of shape (m, n_outputs)
        Predictions, for which logarithms are taken back, or scores of classes.
    """
    # importing it takes longer than a small fit, which another process then does not wait for
    from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor, RidgeCV

    model: Any
    if n_classes:
        model = LogisticRegression(max_iter=2000)
        return np.asarray(model.fit(X, y).decision_function(there)).reshape(len(there), -1)
    if loss in LOG_LINK:
        kind = {"poisson": PoissonRegressor, "gamma": GammaRegressor}[loss]
        model = kind(alpha=LIGHT, max_iter=1000)
    else:
        model = RidgeCV(RIDGES)
    return np.asarray(model.fit(X, y).predict(there))[:, None]
