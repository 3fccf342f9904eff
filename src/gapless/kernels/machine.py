"""The Gaussian kernel, and the kernel machine that every layer of a kernel network is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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

    def matrix(self, X: Array, Z: Array) -> Array:
        """``k(x_i, z_j)``.

        Parameters
        ----------
        X : array of shape (n, d)
        Z : array of shape (m, d)

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

    def rounding(self, Z: Array) -> float:
        """How far an entry of ``matrix(Z, Z)`` can be from the kernel's value in real numbers.

        A squared distance is the sum of three numbers of size r^2 at most, r the largest norm
        about the mean, each a sum of d products; exp is a contraction on (-inf, 0].
        """
        r2 = float(np.max(np.sum((Z - Z.mean(axis=0)) ** 2, axis=1), initial=0.0))
        return 4 * (Z.shape[1] + 4) * EPS * self.scale * r2 + 8 * EPS * (1 + self.constant)


@dataclass(frozen=True, eq=False)
class KernelMachine:
    """``f(x) = sum_m alpha_m k(c_m, x) + b``.

    Parameters
    ----------
    centres : array of shape (n_centres, n_features)
    coefficients : array of shape (n_centres, n_outputs)
        Rows alpha_m.
    intercept : array of shape (n_outputs,)
    kernel : Kernel
    """

    centres: Array
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

    def outputs(self, X: Array) -> Array:
        """f of each row.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs)
        """
        F = np.empty((len(X), self.n_outputs))
        for rows in row_blocks(len(X), len(self.centres)):
            F[rows] = self.kernel.matrix(X[rows], self.centres) @ self.coefficients
        return F + self.intercept


def squared_distances(X: Array, Z: Array) -> Array:
    """``||x_i - z_j||^2``, about the mean of Z so that data far from zero keep their digits.

    Parameters
    ----------
    X : array of shape (n, d)
    Z : array of shape (m, d)

    Returns
    -------
    array of shape (n, m)
        Infinite beyond 1e308; NaN where rows of X and Z both are as far as that.
    """
    mean = Z.mean(axis=0)
    X, Z = X - mean, Z - mean
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        D = X @ (-2.0 * Z.T)
        D += np.einsum("ij,ij->i", X, X)[:, None]
        D += np.einsum("ij,ij->i", Z, Z)
        return np.maximum(D, 0.0, out=D)


def spread_scale(F: Array) -> float:
    """One over the total variance of the rows of F: a kernel's scale where none is chosen."""
    return 1.0 / (float(F.var(axis=0).sum()) or 1.0)


def median_distance(X: Array, rng: np.random.RandomState) -> float:
    """The median squared distance between two rows, of a thousand where there are more.

    Parameters
    ----------
    X : array of shape (n, d)
    rng : RandomState
        Draws the thousand.

    Returns
    -------
    float
        The mean where the median is zero, one where all rows are equal.

    Raises
    ------
    ValueError
        Where squares leave the floats.
    """
    if len(X) > MEDIAN_ROWS:
        X = X[np.sort(rng.choice(len(X), MEDIAN_ROWS, replace=False))]
    D = squared_distances(X, X)[np.triu_indices(len(X), 1)]
    if not np.all(np.isfinite(D)):
        raise ValueError("X has numbers whose squares are beyond 1e308; rescale the features")
    median = float(np.median(D)) if D.size else 0.0
    typical = median or (float(D.mean()) if D.size else 0.0)
    if 0 < typical < np.finfo(float).tiny * 1e16:
        raise ValueError("X has distances whose squares are below 1e-292; rescale the features")
    return typical or 1.0
