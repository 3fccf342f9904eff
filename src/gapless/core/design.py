"""The design: what the hidden directions multiply.

Solvers see samples through a :class:`Design` alone, so that a new kind of data is one class: its
scores, the way back from them, its Gram matrices and norms, and some of its rows.  A problem takes
a design in place of X.

In a table a sample is a row.  Where it is several, as the patches of an image, a design *pools*:
scores have ``n_rows`` rows, and from the ReLUs of a sample's rows each neuron makes ``places``
numbers, each with output weights of its own (:mod:`gapless.core.patches`).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
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
    places, height : int
        Activations and rows of a sample; 1 in a table.
    """

    shape: tuple[int, int]
    dense: ClassVar[bool]
    places: int = 1
    height: int = 1

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def n_rows(self) -> int:
        """Rows of scores."""
        return self.shape[0] * self.height

    @property
    def pooled(self) -> bool:
        """Whether a sample has several rows."""
        return self.height > 1

    @property
    def size(self) -> int:
        """Numbers, those not stored too."""
        return self.n_rows * self.shape[1]

    @abstractmethod
    def scores(self, U: Array, b: Array | None = None) -> Array:
        """``A U + b`` (n_rows, m) for directions U (n_columns, m) and biases b (m,)."""

    @abstractmethod
    def pull_back(self, G: Array) -> Array:
        """``A^T G`` (n_columns, m) for G (n_rows, m)."""

    @property
    def pool_norm(self) -> float:
        """The norm of :meth:`pool` as a map."""
        return 1.0

    def pool(self, Z: Array) -> Array:
        """From ReLUs (n_rows, m) to activations (n_samples, m places), neuron by neuron."""
        return Z

    def unpool(self, G: Array) -> Array:
        """The transpose of :meth:`pool`."""
        return G

    def activations(self, U: Array, b: Array | None = None) -> Array:
        """``(A U + b)_+``, pooled: (n_samples, m places)."""
        S = self.scores(U, b)
        return np.maximum(S, 0.0, out=S)

    def row_weights(self, weights: Array) -> Array:
        """Those of samples (n_samples,) shared among their rows (n_rows,)."""
        return weights

    @abstractmethod
    def gram(self) -> Array:
        """``A^T A`` (n_columns, n_columns)."""

    @abstractmethod
    def kernel(self) -> Array:
        """``A A^T`` (n_rows, n_rows)."""

    @abstractmethod
    def row_norms(self) -> Array:
        """The norms of the rows (n_rows,), without overflow or underflow of their squares."""

    @abstractmethod
    def mean(self) -> Array:
        """The mean of the rows (n_columns,)."""

    @abstractmethod
    def spread(self) -> float:
        """At least the largest distance of a row from the mean."""

    @abstractmethod
    def rows(self, index: Array | slice) -> Design:
        """Some samples."""

    @abstractmethod
    def dense_rows(self, index: Array | slice) -> Array:
        """Some rows, of all samples in turn, as an array (len(index), n_columns)."""

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
        """All rows as one dense array."""
        return self.dense_rows(slice(None))

    def samples(self) -> Array:
        """All samples as rows of numbers."""
        return self.array()

    def blocks(self, width: int) -> Iterator[slice]:
        """Slices of the samples whose rows have, ``width`` numbers each, a block of numbers."""
        return row_blocks(len(self), width * self.height)

    def outputs(self, U: Array, b: Array | None, a: Array, c: Array | None) -> Array:
        """``(A U + b)_+ a + c`` (n_samples, n_outputs), a block of rows at a time.

        ``a`` is (m, places n_outputs).
        """
        a = a.reshape(len(a) * self.places, -1) if len(a) else a[:, : a.shape[1] // self.places]
        F = np.empty((len(self), a.shape[1]))
        for block in self.blocks(U.shape[1]):
            F[block] = self.rows(block).activations(U, b) @ a
        if c is not None:
            F += c
        return F

    def patterns(self, U: Array, b: Array, tol: float) -> list[bytes]:
        """A name for the rows that each neuron is active on, empty where there are none.

        A score below ``tol`` times the neuron's largest counts as zero.
        """
        names = [hashlib.blake2b() for _ in b]
        some, blocks = np.zeros(len(b), dtype=bool), list(self.blocks(len(b)))
        S = self.rows(blocks[0]).scores(U, b)
        peak = np.max(np.abs(S), axis=0)
        for block in blocks[1:]:
            peak = np.maximum(peak, np.max(np.abs(self.rows(block).scores(U, b)), axis=0))
        for block in blocks:
            on = tol * peak < (S if len(blocks) == 1 else self.rows(block).scores(U, b))
            some |= on.any(axis=0)
            for name, column in zip(names, np.packbits(on, axis=0).T):
                name.update(column.tobytes())
        return [name.digest() if there else b"" for name, there in zip(names, some)]


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
