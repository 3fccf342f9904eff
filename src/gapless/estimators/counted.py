"""Samples as counts: each distinct one once, with its weight, in an order of its own.

A weight is a number of repetitions.  Copies of a sample are merged and the samples put in the
order of a hash of their numbers, so that a fit on copies, on weights, and on the rows in another
order is one and the same computation, to the last bit; and the order is as good as a shuffle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import _check_sample_weight

from ..core.arrays import row_blocks
from ..core.checks import Array

# Weights beyond leave float64 in products.
LARGEST_WEIGHT = 1e100
# A part of a weight below this share of it is rounding.
NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Counted:
    """Distinct samples.

    Parameters
    ----------
    X : array or sparse matrix (CSR) of shape (n_distinct, n_features)
    y : array of shape (n_distinct,) or (n_distinct, n_outputs)
    weights : array of shape (n_distinct,)
        How many samples each stands for, above zero.
    group : array of int of shape (n_samples,)
        Which of them each of the samples given is, -1 for what weighs nothing.
    """

    X: Any
    y: Array
    weights: Array
    group: Array

    def part(self, rows: Array, weights: Array) -> tuple[Array, Array]:
        """Some of the samples given, by number: which distinct ones they are, and their weights.

        Parameters
        ----------
        rows : array of int
        weights : array of shape (n_samples,)
            Of the samples given, above zero in these rows.

        Returns
        -------
        array of int, array
        """
        sums = np.bincount(self.group[rows], weights[rows], len(self.y))
        used = np.flatnonzero(sums)
        return used, sums[used]


def checked_weights(sample_weight: Any, X: Any) -> Array:
    """Weights of the rows of X, one each where none are given.

    Parameters
    ----------
    sample_weight : array of shape (n_samples,), optional
    X : array or sparse matrix of shape (n_samples, n_features)

    Returns
    -------
    array of shape (n_samples,)

    Raises
    ------
    ValueError
        For another number of weights, negative ones, all zero, and sizes out of reach.
    """
    how = {"dtype": np.float64, "ensure_non_negative": True}
    weights: Array = _check_sample_weight(sample_weight, X, **how)
    used = weights[weights > 0]
    if not (used.size and used.min() >= 1 / LARGEST_WEIGHT and used.max() <= LARGEST_WEIGHT):
        raise ValueError(
            f"sample_weight must be 0 or from {1 / LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}, "
            "and not 0 throughout; scale the weights"
        )
    return weights


def counted(X: Any, y: Array, weights: Array) -> Counted:
    """Merge copies, leave out what weighs nothing, and put the rest in the hash's order.

    Parameters
    ----------
    X : array or sparse matrix (CSR) of shape (n_samples, n_features)
    y : array of numbers of shape (n_samples,) or (n_samples, n_outputs)
    weights : array of shape (n_samples,)

    Returns
    -------
    Counted
    """
    targets = y.reshape(len(y), -1).astype(np.float64)
    keys = row_hashes(X) + row_hashes(targets, X.shape[1])
    used = np.flatnonzero(weights > 0)
    order = used[np.argsort(keys[used], kind="stable")]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = keys[order[1:]] != keys[order[:-1]]
    here = np.flatnonzero(~starts)  # rows of one hash are copies, but for one pair in 2^64
    starts[here] = ~(
        _equal(X, order[here], order[here - 1]) & _equal(targets, order[here], order[here - 1])
    )
    rows, group = order[starts], np.full(len(y), -1)
    group[order] = np.cumsum(starts) - 1
    return Counted(X[rows], y[rows], np.bincount(group[order], weights[order]), group)


def fold_weights(weights: Array, n_folds: int) -> Array:
    """How much of each sample is in each of the folds.

    The samples are laid one after another on a line, each as long as its weight, and the line's
    units go to the folds in turn: those of a sample of weight 3 to three folds.

    Parameters
    ----------
    weights : array of shape (n,)
        In units: one is a sample.
    n_folds : int

    Returns
    -------
    array of shape (n, n_folds)
        Rows sum to the weights.
    """
    ends = np.concatenate(([0.0], np.cumsum(weights)))[:, None]
    turns, rest = np.divmod(ends, n_folds)
    parts = np.diff(turns + np.clip(rest - np.arange(n_folds), 0.0, 1.0), axis=0)
    parts[parts < NOTHING * weights[:, None]] = 0.0
    return parts


def row_hashes(A: Any, first: int = 0) -> Array:
    """A hash of the numbers of each row; zeros add nothing, so a sparse matrix has the same.

    Parameters
    ----------
    A : array or sparse matrix of shape (n, d)
    first : int, default 0
        Number of the first column: hashes of matrices side by side are the sum of theirs.

    Returns
    -------
    array of uint64 of shape (n,)
    """
    n, d = A.shape
    columns = _mixed(np.arange(first + 1, first + d + 1, dtype=np.uint64)) | np.uint64(1)
    if sparse.issparse(A):
        mixed = _mixed((A.data + 0.0).view(np.uint64)) * columns[A.indices]
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
        return sums[A.indptr[1:]] - sums[A.indptr[:-1]]
    hashes = np.empty(n, np.uint64)
    for rows in row_blocks(n, d):
        hashes[rows] = (_mixed(_bits(A[rows])) * columns).sum(axis=1, dtype=np.uint64)
    return hashes


def _mixed(bits: Array) -> Array:
    """Each bit spread over all, 0 to 0: the last steps of the generator splitmix64."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _equal(A: Any, one: Array, other: Array) -> Array:
    """Whether rows are equal, pair by pair."""
    if sparse.issparse(A):
        return np.diff((A[one] != A[other]).tocsr().indptr) == 0
    return np.all(_bits(A[one]) == _bits(A[other]), axis=1)


def _bits(A: Array) -> Array:
    """Of numbers, -0 as 0; what is missing equals itself."""
    return (np.ascontiguousarray(A, np.float64) + 0.0).view(np.uint64)
