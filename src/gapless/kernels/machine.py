"""The Gaussian kernel, and the kernel machine that every layer of a kernel network is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..core.arrays import row_blocks
from ..core.checks import Array
from ..core.rounding import EPS

# Rows between which the median distance is taken: a million pairs know it to a per cent.
MEDIAN_ROWS = 1000


@dataclass(frozen=True)
class Kernel:
    """``k(x, z) = exp(-scale ||x - z||^2) + constant``.

    The constant is a penalised bias: without it a layer that should be constant far from the
    centres falls to zero there.

    Parameters
    ----------
    scale : float
        One over a squared distance.
    constant : float, default 0.0
    """

    scale: float
    constant: float = 0.0

    def matrix(self, X: Any, Z: Any) -> Array:
        """``k(x_i, z_j)``.

        Parameters
        ----------
        X : array or sparse matrix of shape (n, d)
        Z : array or sparse matrix of shape (m, d)

        Returns
        -------
        array of shape (n, m)
        """
        K = squared_distances(X, Z)
        with np.errstate(over="ignore", under="ignore"):  # farther than float64 reaches: zero
            K *= -self.scale
            np.exp(K, out=K)
        K += self.constant
        return K

    def rounding(self, Z: Any) -> float:
        """How far an entry of ``matrix(Z, Z)`` can be from the kernel's value in real numbers.

        A squared distance is the sum of three numbers of size r^2 at most, r the largest norm
        about the mean (zero for a sparse matrix), each a sum of d products; exp is a contraction
        on (-inf, 0].
        """
        if not sparse.issparse(Z):
            Z = Z - Z.mean(axis=0)
        r2 = float(np.max(_squares(Z), initial=0.0))
        return 4 * (Z.shape[1] + 4) * EPS * self.scale * r2 + 8 * EPS * (1 + self.constant)


@dataclass(frozen=True, eq=False)
class KernelMachine:
    """``f(x) = sum_m alpha_m k(c_m, x) + b``.

    Parameters
    ----------
    centres : array or sparse matrix (CSR) of shape (n_centres, n_features)
    coefficients : array of shape (n_centres, n_outputs)
        Rows alpha_m.
    intercept : array of shape (n_outputs,)
    kernel : Kernel
    """

    centres: Any
    coefficients: Array
    intercept: Array
    kernel: Kernel

    @property
    def n_features(self) -> int:
        """Numbers that a sample has."""
        return int(self.centres.shape[1])

    @property
    def n_outputs(self) -> int:
        """Numbers that a sample becomes."""
        return int(self.coefficients.shape[1])

    def outputs(self, X: Any) -> Array:
        """f of each row.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs)
        """
        F = np.empty((X.shape[0], self.n_outputs))
        for rows in row_blocks(X.shape[0], self.centres.shape[0]):
            F[rows] = self.kernel.matrix(X[rows], self.centres) @ self.coefficients
        return F + self.intercept


def squared_distances(X: Any, Z: Any) -> Array:
    """``||x_i - z_j||^2``, about the mean of Z so that data far from zero keep their digits.

    Sparse matrices are taken about zero: about the mean they would be full.

    Parameters
    ----------
    X : array or sparse matrix of shape (n, d)
    Z : array or sparse matrix of shape (m, d)

    Returns
    -------
    array of shape (n, m)
        Infinite beyond 1e308; NaN where rows of X and Z both are as far as that.
    """
    if not (sparse.issparse(X) or sparse.issparse(Z)):
        mean = Z.mean(axis=0)
        X, Z = X - mean, Z - mean
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        D = X @ (-2.0 * Z.T)
        D = D.toarray() if sparse.issparse(D) else D
        D += _squares(X)[:, None]
        D += _squares(Z)
        return np.maximum(D, 0.0, out=D)


def _squares(X: Any) -> Array:
    """The squared norms of the rows."""
    if sparse.issparse(X):
        return np.asarray(X.multiply(X).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", X, X)


def spread_scale(F: Any, weights: Array | None = None) -> float:
    """One over the total variance of the rows of F: a kernel's scale where none is chosen."""
    weights = np.ones(F.shape[0]) if weights is None else weights
    share = weights / weights.sum()
    mean = share @ F
    if sparse.issparse(F):
        variance = float(share @ _squares(F) - mean @ mean)
    else:
        variance = float(share @ np.sum((F - mean) ** 2, axis=1))
    return 1.0 / (max(variance, 0.0) or 1.0)


def median_distance(X: Any, rng: np.random.RandomState, weights: Array | None = None) -> float:
    """The median squared distance between two samples, of a thousand rows where there are more.

    Parameters
    ----------
    X : array or sparse matrix of shape (n, d)
    rng : RandomState
        Draws the thousand.
    weights : array of shape (n,), optional
        How many samples each row stands for: those of one row are at distance zero.

    Returns
    -------
    float
        The mean where the median is zero, one where all rows are equal.

    Raises
    ------
    ValueError
        Where squares leave the floats.
    """
    w = np.ones(X.shape[0]) if weights is None else weights
    if X.shape[0] > MEDIAN_ROWS:
        rows = np.sort(rng.choice(X.shape[0], MEDIAN_ROWS, replace=False))
        X, w = X[rows], w[rows]
    i, j, pairs = pairs_of_samples(w)
    D = squared_distances(X, X)
    np.fill_diagonal(D, 0.0)
    D = D[i, j]
    if not np.all(np.isfinite(D)):
        raise ValueError("X has numbers whose squares are beyond 1e308; rescale the features")
    typical = 0.0 if not D.size else _median(D, pairs) or float(D @ pairs) / float(pairs.sum())
    if 0 < typical < np.finfo(float).tiny * 1e16:
        raise ValueError("X has distances whose squares are below 1e-292; rescale the features")
    return typical or 1.0


def pairs_of_samples(weights: Array) -> tuple[Array, Array, Array]:
    """Pairs of rows i <= j, and how many pairs of samples each is.

    Parameters
    ----------
    weights : array of shape (n,)
        How many samples each row stands for; above one the row has pairs within, i = j.

    Returns
    -------
    i, j : arrays of int of shape (n_pairs,)
    counts : array of shape (n_pairs,)
        ``w_i w_j``, and ``w_i (w_i - 1) / 2`` within a row.
    """
    i, j = np.triu_indices(len(weights), 1)
    several = np.flatnonzero(weights > 1.0)
    within = weights[several] * (weights[several] - 1.0) / 2
    counts = np.concatenate((weights[i] * weights[j], within))
    return np.concatenate((i, several)), np.concatenate((j, several)), counts


def _median(values: Array, weights: Array) -> float:
    """The weighted median; the mean of two where half of the weight is below one of them."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    ends = [np.searchsorted(below, below[-1] / 2, side) for side in ("left", "right")]
    return float(np.mean(values[order[np.minimum(ends, len(order) - 1)]]))
