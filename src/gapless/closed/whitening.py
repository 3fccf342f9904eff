"""Data whose samples are orthogonal: ``X X^T = I``.

The closed forms for ReLU networks hold for data with orthonormal ROWS, which needs
n_samples <= n_features and full row rank: wide data such as embeddings, spectra or genes.
Whitening in the usual sense (uncorrelated features, ``X^T X = I``, as scikit-learn's PCA
does) is NOT this hypothesis and the closed forms fail for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, positive, to_2d, validated
from ..core.deep_network import Check, require
from ..core.losses import EPS

# Singular values below this share of the largest are rounding noise.
RANK_TOL = 1e-10
# X X^T is called whitened when it is a multiple of the identity up to this relative error.
WHITE_TOL = 1e-8


def thin_svd(X: Array) -> tuple[Array, Array, Array]:
    """``U, s, V`` with ``X = U diag(s) V^T``, cut at the numerical rank."""
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    rank = int(np.sum(s > RANK_TOL * s[0])) if s[0] > 0 else 0
    return U[:, :rank], s[:rank], Vt[:rank].T


def row_scale(X: Array) -> tuple[float, float, Check]:
    """The s with ``X X^T = s^2 I``, and t with ``X X^T <= t^2 I``: what the test tolerates.

    A network on X is one on data with ``X X^T = t^2 I`` of no larger weights, so t is for lower
    bounds.

    Raises
    ------
    HypothesisError
        When there is no s.
    """
    n, d = X.shape
    gram = X @ X.T
    s2 = float(np.trace(gram)) / n
    # the Frobenius norm bounds the spectral norm and costs no eigenvalues
    deviation = float(np.linalg.norm(gram - s2 * np.eye(n))) / s2 if s2 > 0 else np.inf
    if n > d:
        way_out = (
            f"{n} samples of {d} features have no orthogonal rows; "
            "use train(), or lift the data to at least as many features as samples"
        )
    else:
        way_out = (
            "whiten first with gapless.whiten(X), or ask for the interval of "
            "solve_nearly_whitened_relu"
        )
    check = require("whitened data, X X^T = s^2 I,", deviation, WHITE_TOL, way_out)
    # an entry of the Gram matrix is a sum of d products of rows of norm s
    most = s2 * (1 + deviation + 2 * (d + 8) * n * EPS)
    return float(np.sqrt(s2)), float(np.sqrt(most)), check


class RowWhitener(TransformerMixin, BaseEstimator):  # type: ignore[misc]
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

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def fit(self, X: Any, y: Any = None) -> RowWhitener:
        """Learn the map.

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
        """``scale X V diag(1/s) V^T``."""
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False)
        V = self.components_
        return self.scale * ((X @ V) / self.singular_values_) @ V.T


def whiten(X: Any, scale: float = 1.0) -> Array:
    """The matrix with orthogonal rows nearest to X: ``scale U V^T`` for ``X = U diag(s) V^T``.

    Use :class:`RowWhitener` to apply the same map to new samples.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless.closed.whitening import whiten
    >>> X = whiten(np.random.default_rng(0).normal(size=(5, 8)))
    >>> bool(np.allclose(X @ X.T, np.eye(5)))
    True
    """
    return RowWhitener(scale).fit_transform(to_2d("X", X))


def whitened(estimator: Any, scale: float = 1.0) -> Pipeline:
    """``estimator`` behind a :class:`RowWhitener`; its weight decay acts on whitened features."""
    return make_pipeline(RowWhitener(scale), estimator)
