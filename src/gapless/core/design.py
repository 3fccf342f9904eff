"""The design: what the hidden directions multiply.

Solvers see samples through a :class:`Design` alone, so that a new kind of data is one class: its
scores, the way back from them, its Gram matrices and norms, and some of its rows.  A problem takes
a design in place of X.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from .arrays import row_blocks, row_norms
from .checks import Array


class Design(ABC):
    """Samples ``A`` (n_samples, n_columns) as a linear map of directions.

    Attributes
    ----------
    shape : (int, int)
    dense : bool
        Whether samples are stored number by number, so that they may be moved (centred, turned)
        without costing memory.
    """

    shape: tuple[int, int]
    dense: ClassVar[bool]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Numbers, those not stored too."""
        return self.shape[0] * self.shape[1]

    @abstractmethod
    def scores(self, U: Array, b: Array | None = None) -> Array:
        """``A U + b`` (n_samples, m) for directions U (n_columns, m) and biases b (m,)."""

    @abstractmethod
    def pull_back(self, G: Array) -> Array:
        """``A^T G`` (n_columns, m) for G (n_samples, m)."""

    @abstractmethod
    def gram(self) -> Array:
        """``A^T A`` (n_columns, n_columns)."""

    @abstractmethod
    def kernel(self) -> Array:
        """``A A^T`` (n_samples, n_samples)."""

    @abstractmethod
    def row_norms(self) -> Array:
        """The norms of the samples (n_samples,), without overflow or underflow of their squares."""

    @abstractmethod
    def mean(self) -> Array:
        """The mean of the samples (n_columns,)."""

    @abstractmethod
    def spread(self) -> float:
        """At least the largest distance of a sample from the mean."""

    @abstractmethod
    def rows(self, index: Array | slice) -> Design:
        """Some samples."""

    @abstractmethod
    def dense_rows(self, index: Array | slice) -> Array:
        """Some samples as an array (len(index), n_columns)."""

    @abstractmethod
    def scaled(self, t: float) -> Design:
        """``t A``."""

    @abstractmethod
    def with_ones(self) -> Design:
        """``[A, 1]``: the design of the penalised bias rule."""

    @abstractmethod
    def astype(self, dtype: type) -> Design:
        """The same in another precision."""

    def __getitem__(self, index: Array | slice) -> Design:
        return self.rows(index)

    def array(self) -> Array:
        """All samples as one dense array."""
        return self.dense_rows(slice(None))

    def outputs(self, U: Array, b: Array | None, a: Array, c: Array | None) -> Array:
        """``(A U + b)_+ a + c`` (n_samples, n_outputs), a block of rows at a time."""
        F = np.empty((len(self), a.shape[1]))
        for block in row_blocks(len(self), U.shape[1]):
            S = self.rows(block).scores(U, b)
            np.maximum(S, 0.0, out=S)
            F[block] = S @ a
        if c is not None:
            F += c
        return F


class _MatrixDesign(Design):
    """What an array and a matrix in compressed rows do alike."""

    def __init__(self, A: Any) -> None:
        self.A, self.shape = A, A.shape

    def scores(self, U: Array, b: Array | None = None) -> Array:
        S: Array = self.A @ U
        if b is not None:
            S += b
        return S

    def pull_back(self, G: Array) -> Array:
        return np.asarray(self.A.T @ G)

    def rows(self, index: Array | slice) -> Self:
        return type(self)(self.A[index])

    def scaled(self, t: float) -> Self:
        return type(self)(self.A * t)

    def astype(self, dtype: type) -> Self:
        return type(self)(self.A.astype(dtype, copy=False))


class DenseDesign(_MatrixDesign):
    """An array of samples."""

    dense = True

    def gram(self) -> Array:
        return self.A.T @ self.A

    def kernel(self) -> Array:
        return self.A @ self.A.T

    def row_norms(self) -> Array:
        return row_norms(self.A)

    def mean(self) -> Array:
        return self.A.mean(axis=0)

    def spread(self) -> float:
        mean = self.mean()
        return max(float(row_norms(self.A[rows] - mean).max()) for rows in row_blocks(*self.shape))

    def dense_rows(self, index: Array | slice) -> Array:
        return self.A[index]

    def with_ones(self) -> DenseDesign:
        return DenseDesign(np.hstack([self.A, np.ones((len(self), 1))]))


class SparseDesign(_MatrixDesign):
    """A matrix in compressed rows; what has the shape of its scores is dense."""

    dense = False

    def gram(self) -> Array:
        return (self.A.T @ self.A).toarray()

    def kernel(self) -> Array:
        return (self.A @ self.A.T).toarray()

    def row_norms(self) -> Array:
        peak = np.asarray(abs(self.A).max(axis=1).todense()).ravel()
        unit = np.where(peak > 0, peak, 1.0)
        scaled = sp.diags(1 / unit) @ self.A
        return unit * np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())

    def mean(self) -> Array:
        return np.asarray(self.A.mean(axis=0)).ravel()

    def spread(self) -> float:
        return float(self.row_norms().max()) + float(np.linalg.norm(self.mean()))

    def dense_rows(self, index: Array | slice) -> Array:
        return self.A[index].toarray()

    def with_ones(self) -> SparseDesign:
        return SparseDesign(sp.hstack([self.A, np.ones((len(self), 1))], format="csr"))


def design_of(X: Any) -> Design:
    """The design of an array, or of a matrix in compressed rows; a design is its own."""
    if isinstance(X, Design):
        return X
    return SparseDesign(X) if sp.issparse(X) else DenseDesign(X)
