"""Blocks of rows, and norms that neither overflow nor underflow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .checks import Array

# 2^22 float64 numbers, 32 MiB: larger blocks leave the cache and cost memory,
# smaller ones cost Python calls.
BLOCK = 1 << 22
# Norms between these and their inverses are those of squares that kept their digits.
ORDINARY = 1e140


def row_blocks(n_rows: int, width: int, most: int | None = None) -> Iterator[slice]:
    """Slices of the rows such that ``rows * width <= most``, :data:`BLOCK` by default."""
    step = max(1, (most or BLOCK) // max(1, width))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def row_norms(A: Array) -> Array:
    """The norms of the rows (n,), without overflow or underflow of their squares.

    Parameters
    ----------
    A : array of shape (n, k)

    Returns
    -------
    array of shape (n,)
    """
    with np.errstate(over="ignore", under="ignore"):
        plain = np.sqrt(np.einsum("ij,ij->i", A, A))
    if plain.size and plain.min() > 1 / ORDINARY and plain.max() < ORDINARY:
        return plain
    peak = np.abs(A).max(axis=1, initial=0.0)
    unit = np.where(peak > 0, peak, 1.0)
    return unit * np.linalg.norm(A / unit[:, None], axis=1) * (peak > 0)
