"""A linear model of the same target, beside which a network is to be judged.

scikit-learn has all of these; importing it takes longer than all else that a small fit does.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.lbfgs import lbfgs
from ..core.losses import LOG_LINK, loss_of_targets
from ..core.watch import never
from ..estimators.labels import encode_labels

# Penalties of ridge regressions, that of a logistic one, and a row's of a model of logarithms.
RIDGES, ONE, LIGHT = np.logspace(-3, 3, 13), 1.0, 1e-3
# Steps and slope at which a fit ends.
STEPS, FLAT = 2000, 1e-4
# Beyond this logarithm there is no float.
LARGEST = 700.0


def linear_outputs(loss: str, n_classes: int, X: Array, y: Array, there: Array) -> Array:
    """What a linear model fitted to rows says of others, as the outputs of a network.

    Parameters
    ----------
    loss : str
        Of the network: numbers have a ridge regression (:func:`ridge`), counts and amounts a model
        of their logarithms, classes a logistic regression (:func:`generalised`).
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
    if n_classes:
        Y, kind = encode_labels(y, n_classes, "logistic")
        W, c = generalised(kind, X, Y, ONE)
        return there @ W + c
    if loss in LOG_LINK:
        unit = y.mean()
        W, c = generalised(loss, X, y[:, None] / unit, LIGHT * len(X))
        return unit * np.exp(np.minimum(there @ W + c, LARGEST))
    W, c = ridge(X, y[:, None])
    return there @ W + c


def ridge(X: Array, Y: Array) -> tuple[Array, Array]:
    """Slopes (d, C) and constants (C,) of the ridge regression that is best where each row is left
    out, which its leverage tells (Golub, Heath & Wahba, Technometrics 1979, eq. 1.2)."""
    centre, level = X.mean(axis=0), Y.mean(axis=0)
    P, s, V = np.linalg.svd(X - centre, full_matrices=False)
    R = Y - level
    Q = P.T @ R

    def left_out(penalty: float) -> float:
        kept = s**2 / (s**2 + penalty)
        leverage = P**2 @ kept + 1 / len(X)
        errors = R - P @ (kept[:, None] * Q)
        return float(np.sum((errors / np.maximum(1 - leverage, 1e-9)[:, None]) ** 2))

    penalty = min(RIDGES, key=left_out)
    W = V.T @ ((s / (s**2 + penalty))[:, None] * Q)
    return W, level - centre @ W


def generalised(loss: str, X: Array, Y: Array, penalty: float) -> tuple[Array, Array]:
    """Slopes (d, C) and constants (C,) that minimise
    ``sum_i loss(x_i W + c, y_i) + penalty/2 ||W||^2``."""
    kind, (n, d), C = loss_of_targets(loss, Y), X.shape, Y.shape[1]

    def value(flat: Array) -> tuple[float, Array]:
        W, c = flat[: d * C].reshape(d, C), flat[d * C :]
        F = X @ W + c
        G = kind.gradient(F, Y) / n
        size = 0.5 * penalty / n * float(flat[: d * C] @ flat[: d * C])
        slope = X.T @ G + penalty / n * W
        return float(kind.value(F, Y).mean()) + size, np.concatenate([slope.ravel(), G.sum(axis=0)])

    flat = lbfgs(value, np.zeros((d + 1) * C), never, maxiter=STEPS, gtol=FLAT, ftol=1e-10)
    return flat[: d * C].reshape(d, C), flat[d * C :]
