"""The convex output layer on given features: one lasso a class, from their moments.

With the hidden layer fixed training is convex.  For the squared loss it needs only the Gram
matrix and the products with the targets, which are summed over blocks of rows: the features may
be single precision or memory-mapped, and any number of rows costs one pass.
"""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from sklearn.utils.validation import check_is_fitted

from ..core.arrays import row_blocks
from ..core.checks import Array, positive, positive_int
from ..core.rounding import TINY
from ..core.summary import Summarised
from .labels import encode_labels
from .targets import Scoring, validated

# Weight decays, as multiples of the one asked for, whose solutions are the warm starts on the way:
# with nearly collinear features a cold start takes many times the passes.
WARM = np.geomspace(64.0, 1.0, 7)


@dataclass(eq=False, repr=False)
class ConvexOutputLayer(Scoring, Summarised, BaseEstimator):
    """Classes from given features by l1-penalised least squares.

    With Z the features moved to mean 0 and variance 1, and Y = -1/+1 (one column a class, one
    for two classes), minimises for each column

        1/(2n) || Z w + c - y ||^2 + weight_decay ||w||_1,

    step 14 of Convex-RF (Ergen & Pilanci, JMLR 2021, Algorithm 2).

    Parameters
    ----------
    weight_decay : float, default 1e-3
        Larger gives fewer features.
    tol : float, default 1e-3
        Duality gap to reach, relative to the objective at w = 0.
    max_iter : int, default 1000
        Passes of coordinate descent at each of a few weight decays on the way.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    coef_ : array of shape (n_features, n_columns)
        Weights of the features as given, not of the scaled ones.
    intercept_ : array of shape (n_columns,)
    objective_, lower_bound_ : arrays of shape (n_columns,)
        The objective and a proven lower bound of it.
    n_iter_ : int
        Passes of the slowest column.
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gapless import ConvexOutputLayer
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(ConvexOutputLayer().fit(X, y).score(X, y) > 0.8)
    True
    """

    weight_decay: float = 1e-3
    _: KW_ONLY
    tol: float = 1e-3
    max_iter: int = 1000

    def fit(self, X: Any, y: Any) -> ConvexOutputLayer:
        """Fit on features and labels.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        y : array of labels of shape (n_samples,)

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For a single class, and a ``weight_decay``, ``tol`` or ``max_iter`` that is not
            positive.

        Warns
        -----
        ConvergenceWarning
            When the gap is above ``tol`` after ``max_iter`` passes.
        """
        beta = positive("weight_decay", self.weight_decay)
        tol, max_iter = positive("tol", self.tol), positive_int("max_iter", self.max_iter)
        X, y = validated(self, X, y, dtype=(np.float64, np.float32))
        labels = self._class_numbers(X, y)
        Y = encode_labels(labels, len(self.classes_), "squared")[0]
        mean, scale, gram, cross = _moments(X, Y)
        centre, power = Y.mean(axis=0), Y.var(axis=0)
        W, self.n_iter_ = np.empty_like(cross), 0
        top = np.abs(cross).max(axis=0)  # the weight decay from which on w = 0
        with warnings.catch_warnings():  # the gap below is the judge
            warnings.simplefilter("ignore", ConvergenceWarning)
            for c in range(Y.shape[1]):
                # the solver works on the moments; of X and y it takes one row of the right norm
                _, path, _, passes = lasso_path(
                    np.zeros((1, len(gram))),
                    np.sqrt(power[c : c + 1]),
                    alphas=beta * WARM[WARM * beta <= max(top[c], beta)],
                    precompute=gram,
                    Xy=cross[:, c].copy(),
                    check_input=False,
                    tol=tol,
                    max_iter=max_iter,
                    return_n_iter=True,
                )
                W[:, c] = path[:, -1]
                self.n_iter_ = max(self.n_iter_, int(sum(passes)))
        self.objective_, self.lower_bound_ = _gap(gram, cross, power, W, beta)
        if np.any(self.objective_ - self.lower_bound_ > tol * power):
            warnings.warn(
                f"the gap is above tol={tol} after {max_iter} passes; raise max_iter",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.coef_ = W / scale[:, None]
        self.intercept_ = centre - mean @ self.coef_
        return self

    def _outputs(self, X: Any) -> Array:
        """``X coef_ + intercept_``"""
        check_is_fitted(self)
        X = validated(self, X, dtype=(np.float64, np.float32), reset=False)
        return np.asarray(X @ self.coef_ + self.intercept_)


def _moments(X: Array, Y: Array) -> tuple[Array, Array, Array, Array]:
    """Means and deviations of the features, and Gram and cross moments of the scaled ones."""
    n, p = X.shape
    mean = X.mean(axis=0, dtype=np.float64)
    gram, cross = np.zeros((p, p)), np.zeros((p, Y.shape[1]))
    for rows in row_blocks(n, p):
        Z = X[rows] - mean
        gram += Z.T @ Z
        cross += Z.T @ Y[rows]
    scale = np.sqrt(np.diag(gram) / n)
    # constant up to rounding: no information, and a weight of zero
    scale = np.where(scale > 1e-6 * (np.abs(mean) + np.max(scale, initial=0.0)), scale, np.inf)
    gram /= n * scale[:, None]
    gram /= scale
    return mean, scale, gram, cross / (n * scale[:, None])


def _gap(gram: Array, cross: Array, power: Array, W: Array, beta: float) -> tuple[Array, Array]:
    """Objectives at W, and the dual values at their residuals scaled into the dual's box.

    With r the residual: ``s <r, y> - s^2/2 ||r||^2`` (means over samples) for any s with
    ``s max |Z^T r| <= beta`` is a lower bound.
    """
    along = np.sum(W * cross, axis=0)
    correlation = cross - gram @ W
    squares = power - along - np.sum(W * correlation, axis=0)
    primal = 0.5 * squares + beta * np.abs(W).sum(axis=0)
    top = np.maximum(np.abs(correlation).max(axis=0), TINY)
    s = np.clip((power - along) / np.maximum(squares, TINY), 0.0, beta / top)
    return primal, s * (power - along) - 0.5 * s * s * squares
