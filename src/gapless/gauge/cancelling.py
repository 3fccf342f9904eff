"""Samples of opposite signs near each other, as one.

For samples x and z, and any p > 0, as ReLUs are subadditive,

    p (x.u)_+ - p (z.u)_+  <=  p ((x - z).u)_+,

which is above by at most ``p ||x - z|| ||u||``.  One by one, x and z cost the bound on a box of
directions (:mod:`gapless.gauge.boxes`) as much as both are long, though where they are near each
other they all but cancel, as the noise in targets does.  So a sum over samples is bounded by one in
which the nearest have become their differences, as many as there is ``room`` for.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from scipy.spatial import cKDTree

from ..core.checks import Array

# How many neighbours of a sample are looked at, how near they are, in lengths of a sample, and in
# up to how many dimensions: in more none is as near.
NEIGHBOURS, NEAR, FEW = 8, 0.2, 18

#: Two samples each, by number, and their distance, the nearest first.
Pairs: TypeAlias = tuple[Array, Array, Array]


def neighbours(X: Array, normed: Array) -> Pairs:
    """Samples near each other.

    Parameters
    ----------
    X : array of shape (n, D)
        Without a pair of equal ones.
    normed : array of shape (D,)
        0 for a coordinate in which all are equal, that does not count in lengths; 1 for the others.
    """
    n, D = X.shape
    if n < 2 or D > FEW:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    near = NEAR * np.linalg.norm(X * normed, axis=1).mean()
    count = min(NEIGHBOURS + 1, n)  # itself is one
    distance, other = cKDTree(X).query(X, count, distance_upper_bound=near)
    one = np.broadcast_to(np.arange(n)[:, None], other.shape)
    found = (other < n) & (one != other)
    one, other, distance = one[found], other[found], distance[found]
    order = np.argsort(distance, kind="stable")
    return one[order], other[order], distance[order]


def cancelled(X: Array, lam: Array, pairs: Pairs, room: float) -> tuple[Array, Array]:
    """Samples (m, D), m <= n, and a dual point (m,) with, for every u, but for rounding,

    ``sum lam_i (x_i.u)_+ <= sum lam'_i (x'_i.u)_+ <= sum lam_i (x_i.u)_+ + room ||u||``.

    Subtractions round, in all by less than (n + 4) EPS of ``sum |lam_i| ||x_i||_1``.
    """
    one, other, distance = pairs
    opposite = (lam[one] > 0) != (lam[other] > 0)
    left, costs, found = np.abs(lam).tolist(), 0.0, []
    for i, j, d in zip(*(x[opposite].tolist() for x in (one, other, distance))):
        p = min(left[i], left[j])
        costs += p * d
        if costs > room:
            break
        if p > 0:
            found.append((i, j, p) if lam[i] > 0 else (j, i, p))
            left[i] -= p
            left[j] -= p
    if not found:
        return X, lam
    up, down, p = (np.array(x) for x in zip(*found))
    rest = np.copysign(left, lam)
    still = rest != 0
    return np.vstack([X[still], X[up] - X[down]]), np.concatenate([rest[still], p])
