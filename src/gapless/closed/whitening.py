"""Data whose samples are orthogonal: ``X X^T = I``.

The closed forms for ReLU networks hold for data with orthonormal ROWS, which needs
n_samples <= n_features and full row rank: wide data such as embeddings, spectra or genes.
Whitening in the usual sense (uncorrelated features, ``X^T X = I``, as scikit-learn's PCA
does) is NOT this hypothesis and the closed forms fail for it.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.hypotheses import Check, require
from ..core.rounding import EPS

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
