"""Honest measures of samples, on features that the caller gives.

Two moments do not see what is drawn: a Gaussian fitted to pixels has a Frechet distance of zero
on pixels, and no sample of it looks real.  So take features of a network that was trained on the
real data for something else, report several measures together, and beside them the two rows that
:func:`compare` adds: how far real samples are from real ones, which nothing has to beat, and a
memoriser, training samples with noise, which shows what a good number alone is worth.

References
----------
Heusel et al., "GANs trained by a two time-scale update rule" (2017): Frechet distance.
Binkowski et al., "Demystifying MMD GANs" (2018): kernel distance.
Kynkaanniemi et al., "Improved precision and recall metric" (2019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.linalg
from scipy.spatial.distance import cdist
from sklearn.utils import check_random_state

from ..core.arrays import row_blocks
from ..core.checks import Array, not_negative, positive, positive_int, to_2d

Features = Callable[[Array], Array]

# Of precision and recall.
NEIGHBOURS, SAMPLES = 3, 2000


def frechet_distance(real: Any, fake: Any) -> float:
    """``||m - m'||^2 + trace(C + C' - 2 (C C')^(1/2))``, of means and covariances.

    Parameters
    ----------
    real, fake : arrays of shape (n, n_features) and (n', n_features)
        Features.

    Returns
    -------
    float
        0 for samples of the same two moments.  It falls as samples are added, so compare at equal
        numbers.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> round(frechet_distance(X, X + 1.0), 12)
    2.0
    """
    real, fake = _pair(real, fake)
    shift = real.mean(axis=0) - fake.mean(axis=0)
    C, D = (np.atleast_2d(np.cov(Z.T, bias=True)) for Z in (real, fake))
    # trace of the root of C D: that of the symmetric C^(1/2) D C^(1/2)
    values, V = scipy.linalg.eigh(C)
    root = (V * np.sqrt(np.maximum(values, 0.0))) @ V.T
    cross = np.sqrt(np.maximum(scipy.linalg.eigvalsh(root @ D @ root), 0.0)).sum()
    return float(max(shift @ shift + np.trace(C) + np.trace(D) - 2 * cross, 0.0))


def kernel_distance(real: Any, fake: Any) -> float:
    """Unbiased squared mean discrepancy under the kernel ``(x.y / d + 1)^3``: KID.

    Features are standardised by those of the real samples, so that their units do not matter.

    Parameters
    ----------
    real, fake : arrays of shape (n, n_features) and (n', n_features)

    Returns
    -------
    float
        About 0, and possibly below, for samples of one distribution.
    """
    real, fake = _pair(real, fake)
    mean, spread = real.mean(axis=0), real.std(axis=0)
    spread[spread == 0] = 1.0
    real, fake = (real - mean) / spread, (fake - mean) / spread
    return _mean_kernel(real, real) + _mean_kernel(fake, fake) - 2 * _mean_kernel(real, fake)


def _mean_kernel(A: Array, B: Array) -> float:
    """The mean of the kernel over pairs, of two different samples where A is B."""
    total = 0.0
    for rows in row_blocks(len(A), len(B)):
        K = (A[rows] @ B.T / A.shape[1] + 1) ** 3
        total += float(K.sum())
    if A is not B:
        return total / (len(A) * len(B))
    own = float(((np.einsum("ij,ij->i", A, A) / A.shape[1] + 1) ** 3).sum())
    return (total - own) / (len(A) * (len(A) - 1))


def precision_recall(real: Any, fake: Any) -> tuple[float, float]:
    """Shares of fake samples among the real ones, and of real samples among the fake ones.

    A point is among samples when it is no farther from one of them than that one is from its third
    neighbour.  Of each as many are taken at random, 2000 at most: the measure hangs on how many.

    Parameters
    ----------
    real, fake : arrays of shape (n, n_features) and (n', n_features)

    Returns
    -------
    precision, recall : float

    Raises
    ------
    ValueError
        For no more samples than neighbours.
    """
    real, fake = _pair(real, fake)
    n, k = min(len(real), len(fake), SAMPLES), NEIGHBOURS
    if n <= k:
        raise ValueError(f"looking at {k} neighbours needs more samples than that, got {n}")
    rng = check_random_state(0)
    real, fake = (Z[rng.choice(len(Z), n, replace=False)] for Z in (real, fake))
    radius = [np.partition(cdist(Z, Z), k, axis=1)[:, k] for Z in (real, fake)]
    between = cdist(real, fake)
    precision = np.mean(np.any(between <= radius[0][:, None], axis=0))
    recall = np.mean(np.any(between <= radius[1], axis=1))
    return float(precision), float(recall)


def covariance_error(X: Any, samples: Any, weight_decay: float) -> float:
    """``||Cov(X) - Cov(samples)||_2 / weight_decay``, which a quadratic closed form keeps at 1.

    Parameters
    ----------
    X : array of shape (n, n_features)
        The training data.
    samples : array of shape (n', n_features)
        The norm is of a difference of estimates: 1 is reached as samples become many.
    weight_decay : float

    Returns
    -------
    float
    """
    X, samples = _pair(X, samples)
    C, D = (np.atleast_2d(np.cov(Z.T, bias=True)) for Z in (X, samples))
    return float(np.abs(scipy.linalg.eigvalsh(C - D)).max()) / positive(
        "weight_decay", weight_decay
    )


def memorise(X: Any, n_samples: int, noise: float = 0.1, random_state: Any = 0) -> Array:
    """Training samples with normal noise: what no honest measure may praise.

    Parameters
    ----------
    X : array of shape (n, n_features)
    n_samples : int
    noise : float, default 0.1
        Deviation, in the units of X.
    random_state : int, RandomState or None, default 0

    Returns
    -------
    array of shape (n_samples, n_features)
        Within the range of X.
    """
    X, rng = np.asarray(X, dtype=np.float64), check_random_state(random_state)
    rows = X[rng.choice(len(X), positive_int("n_samples", n_samples))]
    noisy = rows + not_negative("noise", noise) * rng.standard_normal(rows.shape)
    return np.clip(noisy, X.min(), X.max())


def compare(
    samples: Mapping[str, Any],
    train: Any,
    test: Any,
    features: Features,
) -> dict[str, dict[str, float]]:
    """All measures of several generators, beside real samples and a memoriser.

    Parameters
    ----------
    samples : mapping of str to array of shape (n_samples, n_features)
    train, test : arrays of n_features columns
        Real samples: what the generators were given, and what everything is measured against.
    features : callable
        From samples to features, trained on real data.

    Returns
    -------
    dict of str to dict
        By name, "real" and "memoriser" first: frechet, kernel, precision, recall.
    """
    rng = check_random_state(0)
    train, test = np.asarray(train), np.asarray(test)
    some = train[rng.choice(len(train), min(len(train), len(test)), replace=False)]
    rows = {"real": some, "memoriser": memorise(train, len(test), random_state=rng), **samples}
    against = features(test)
    table = {}
    for name, drawn in rows.items():
        F = features(np.asarray(drawn))
        precision, recall = precision_recall(against, F)
        table[name] = {
            "frechet": frechet_distance(against, F),
            "kernel": kernel_distance(against, F),
            "precision": precision,
            "recall": recall,
        }
    return table


def _pair(real: Any, fake: Any) -> tuple[Array, Array]:
    real, fake = to_2d("real", real), to_2d("fake", fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"samples have {real.shape[1]} and {fake.shape[1]} features; give as many")
    if min(len(real), len(fake)) < 2:
        raise ValueError(f"give at least two samples of each, got {len(real)} and {len(fake)}")
    return real, fake
