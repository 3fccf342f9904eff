"""The one hot kernel: scores ``A U + b``, ReLU, and the pull-back ``A^T (gate * R)``.

``A`` is a dense or CSR matrix.  Rows are taken in blocks so that no temporary of
more than :data:`BLOCK` numbers is made, whatever the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from .checks import Array

#: a dense (n, d) array or a CSR matrix
Design: TypeAlias = Any

# 2^22 float64 numbers, 32 MiB: larger blocks leave the cache and cost memory,
# smaller ones cost Python calls.
BLOCK = 1 << 22


def row_blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Slices of the rows such that ``rows * width <= BLOCK``."""
    step = max(1, BLOCK // max(1, width))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def scores(A: Design, U: Array, b: Array | None = None) -> Array:
    """``A U + b``, always dense."""
    S = A @ U
    if b is not None:
        S += b
    return S


def forward(A: Design, U: Array, b: Array | None, a: Array, c: Array | None) -> Array:
    """Outputs ``(A U + b)_+ a + c``, shape ``(n, C)``."""
    F = np.empty((A.shape[0], a.shape[1]))
    for rows in row_blocks(A.shape[0], U.shape[1]):
        S = scores(A[rows], U, b)
        np.maximum(S, 0.0, out=S)
        F[rows] = S @ a
    if c is not None:
        F += c
    return F


def is_sparse(A: Design) -> bool:
    return bool(sp.issparse(A))


def pull_back(A: Design, G: Array) -> Array:
    """``A^T G``, always dense."""
    return np.asarray(A.T @ G)


def row_norms(A: Design) -> Array:
    """The norms of the rows, without overflow or underflow of their squares."""
    if not is_sparse(A):
        with np.errstate(over="ignore", under="ignore"):
            plain = np.sqrt(np.einsum("ij,ij->i", A, A))
        if plain.size and plain.min() > 1e-140 and plain.max() < 1e140:
            return plain
        peak = np.abs(A).max(axis=1, initial=0.0)
        unit = np.where(peak > 0, peak, 1.0)
        return unit * np.linalg.norm(A / unit[:, None], axis=1) * (peak > 0)
    peak = np.asarray(abs(A).max(axis=1).todense()).ravel()
    unit = np.where(peak > 0, peak, 1.0)
    scaled = sp.diags(1 / unit) @ A
    return unit * np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())


def dense_rows(A: Design, index: Array) -> Array:
    """The rows ``A[index]`` as a dense array."""
    rows = A[index]
    return rows.toarray() if is_sparse(A) else rows


def append_ones(A: Design) -> Design:
    """``[A, 1]``: the design of the penalised bias rule."""
    ones = np.ones((A.shape[0], 1))
    return sp.hstack([A, ones], format="csr") if is_sparse(A) else np.hstack([A, ones])
