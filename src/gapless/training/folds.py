"""Samples in folds, or in two parts, with as much of each class in all of them."""

from __future__ import annotations

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
    count = min(count, len(Y))
    if count < 2:
        return []
    labels = strata(Y, count) if classes else None
    # a second, for which processes of other folds need not wait
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = KFold if labels is None else StratifiedKFold
    splitter = kind(count, shuffle=True, random_state=random_state)
    return list(splitter.split(np.zeros(len(Y)), labels))


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
