"""The map that makes samples orthogonal, as a transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from ..closed.whitening import thin_svd
from ..core.checks import Array, positive, to_2d
from ..core.hypotheses import require
from ..core.summary import Summarised
from .targets import validated


@dataclass(eq=False, repr=False)
class RowWhitener(TransformerMixin, Summarised, BaseEstimator):
    """The linear map that makes the training samples orthogonal.

    With ``X = U diag(s) V^T`` samples are mapped by ``x -> scale x V diag(1/s) V^T``, the
    symmetric (ZCA) choice, so that the training data become ``scale U V^T``.

    Parameters
    ----------
    scale : float, default 1.0
        The norm of every training sample after the map.

    Attributes
    ----------
    components_ : array of shape (n_features, n_samples)
        V.
    singular_values_ : array of shape (n_samples,)
    n_features_in_ : int
    """

    scale: float = 1.0

    proven = "Closed form: one singular value decomposition, exact up to rounding."

    def fit(self, X: Any, y: Any = None) -> RowWhitener:
        """Learn the map.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        HypothesisError
            When the samples are linearly dependent (always so for n_samples > n_features).
        """
        X = validated(self, X, dtype=np.float64)
        positive("scale", self.scale)
        _, s, V = thin_svd(X)
        require(
            f"linear independence of the {X.shape[0]} samples",
            X.shape[0] - len(s),
            0.0,
            f"the rank of X is {len(s)}, drop dependent samples, add features or use train()",
        )
        self.components_, self.singular_values_ = V, s
        return self

    def transform(self, X: Any) -> Array:
        """``scale X V diag(1/s) V^T``.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False)
        V = self.components_
        return self.scale * ((X @ V) / self.singular_values_) @ V.T


def whiten(X: Any, scale: float = 1.0) -> Array:
    """The matrix with orthogonal rows nearest to X: ``scale U V^T`` for ``X = U diag(s) V^T``.

    Use :class:`RowWhitener` to apply the same map to new samples.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    scale : float, default 1.0
        The norm of every row.

    Returns
    -------
    array of shape (n_samples, n_features)

    Raises
    ------
    HypothesisError
        When the rows are linearly dependent.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import whiten
    >>> X = whiten(np.random.default_rng(0).normal(size=(5, 8)))
    >>> bool(np.allclose(X @ X.T, np.eye(5)))
    True
    """
    return RowWhitener(scale).fit_transform(to_2d("X", X))


def whitened(estimator: Any, scale: float = 1.0) -> Pipeline:
    """``estimator`` behind a :class:`RowWhitener`; its weight decay acts on whitened features.

    Parameters
    ----------
    estimator : estimator
        Any of scikit-learn's kind.
    scale : float, default 1.0
        The norm of every training sample after the map.

    Returns
    -------
    Pipeline
        Not fitted; ``fit`` raises a :class:`HypothesisError` for linearly dependent samples.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import ReLURegressor, whitened
    >>> X = np.random.default_rng(0).normal(size=(5, 8))
    >>> model = whitened(ReLURegressor(weight_decay=1e-3), scale=2.0).fit(X, X[:, 0])
    >>> bool(model.score(X, X[:, 0]) > 0.9)
    True
    """
    return make_pipeline(RowWhitener(scale), estimator)
