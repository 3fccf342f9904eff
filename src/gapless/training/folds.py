"""Samples in folds, or in two parts, with as much of each class in all of them.

The rows are those of scikit-learn's ``KFold``, ``StratifiedKFold`` and ``train_test_split`` for the
same seed, written out because importing those takes longer than a small fit.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.checks import Array


def shuffled_folds(
    Y: Array, count: int, classes: bool, random_state: int | None
) -> list[tuple[Array, Array]]:
    """Folds with as many samples each, of each class too where every fold can have one.

    Parameters
    ----------
    Y : array of shape (n_samples, ...)
        Targets.
    count : int
        Of the folds, at most as many as samples; less than two are none.
    classes : bool
        Whether rows of Y that are alike are a class.
    random_state : int or None

    Returns
    -------
    list of (training rows, validation rows)
    """
    n = len(Y)
    count = min(count, n)
    if count < 2:
        return []
    rng = np.random.RandomState(random_state)
    labels = strata(Y, count) if classes else None
    if labels is None:
        fold = np.empty(n, dtype=int)
        fold[rng.permutation(n)] = np.sort(np.arange(n) % count)
    else:
        fold = _fold_of_each(labels, count, rng)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(count)]


def _fold_of_each(labels: Array, count: int, rng: np.random.RandomState) -> Array:
    """The fold of each sample: those of a class, classes in the order in which they come up, are
    dealt out in turn, so that folds of all are as large, and shuffled."""
    first = np.unique(labels, return_index=True)[1]
    place = np.argsort(np.argsort(first))[labels]
    dealt = np.sort(place)
    fold = np.empty(len(labels), dtype=int)
    for k in range(len(first)):
        own = np.sort(np.flatnonzero(dealt == k) % count)
        rng.shuffle(own)
        fold[place == k] = own
    return fold


def two_parts(
    n: int, share: float, random_state: int | None, labels: Array | None = None
) -> tuple[Array, Array]:
    """Rows in two parts at random, in the same shares of each class.

    Parameters
    ----------
    n : int
    share : float
        Of the rows in the second part, rounded up.
    random_state : int or None
    labels : array of int of shape (n,), optional
        The classes.

    Returns
    -------
    first, second : arrays of int

    Raises
    ------
    ValueError
        Where a part would be empty, or too small for a row of each class.
    """
    rng, n_second = np.random.RandomState(random_state), math.ceil(share * n)
    sizes = (n - n_second, n_second)
    if labels is None:
        if min(sizes) < 1:
            raise ValueError(f"{n} rows cannot be split in two with a share of {share}")
        rows = rng.permutation(n)
        return rows[n_second:], rows[:n_second]
    place, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    if min(sizes) < len(counts) or counts.min() < 2:
        raise ValueError(
            f"{n} rows of {len(counts)} classes cannot be split in two with a share of {share}"
        )
    taken = _in_shares(counts, sizes[0], rng)
    ends = np.stack([taken, taken + _in_shares(counts - taken, sizes[1], rng)], axis=1)
    both = [
        np.split(np.flatnonzero(place == k)[rng.permutation(count)], ends[k])[:2]
        for k, count in enumerate(counts)
    ]
    first, second = (rng.permutation(np.concatenate(rows)) for rows in zip(*both))
    return first, second


def _in_shares(counts: Array, size: int, rng: np.random.RandomState) -> Array:
    """How many of each class ``size`` rows have: as many as are due, rounded down, and one more
    where most is left of one, ties at random."""
    due = counts / counts.sum() * size
    taken = np.floor(due)
    left = due - taken
    for value in np.unique(left)[::-1]:
        lacking = int(size - taken.sum())
        if lacking <= 0:
            break
        alike = np.flatnonzero(left == value)
        taken[rng.choice(alike, min(len(alike), lacking), replace=False)] += 1
    return taken.astype(int)


def strata(Y: Array, parts: int) -> Array | None:
    """The class of each sample, or None where not every part could have one of each class.

    Parameters
    ----------
    Y : array of shape (n_samples, ...)
        Rows that are alike are a class.
    parts : int
        In which the samples are divided.

    Returns
    -------
    array of int of shape (n_samples,), or None
    """
    labels = np.unique(Y, axis=0, return_inverse=True)[1].ravel()
    return None if np.min(np.bincount(labels)) < parts else labels
