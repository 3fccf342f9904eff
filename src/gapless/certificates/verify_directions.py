"""The gauge in at most four dimensions by cones of directions, for :mod:`verify`.

On a cone each ReLU lies between two linear functions, its interpolation from above and 0 or
``A u + b`` from below, and the norm of u above one.  Where the gauge claimed tops what follows the
cone is done, else it is cut in two.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def gauge_by_directions(
    A: Any, Lam: Any, free: int, r: int, gauge: float, most: float
) -> tuple[float, str]:
    """At least what any neuron is worth, if the gauge claimed is, and what speaks against it.

    Parameters
    ----------
    A : array of shape (n, d + free)
        The last column that of a free bias.
    Lam : array of shape (n, C)
    free : int
    r : int
        Dimensions of the directions; what A has beside them is charged.
    gauge : float
    most : float
        ReLUs that may be looked at.
    """
    if not 1 <= r <= 4 - free:
        return np.inf, "directions are for rank 4 at most, a free bias counting as one"
    size = np.linalg.norm(Lam, axis=1)
    A, one = np.split(A, [A.shape[1] - free], axis=1)
    Vt = np.linalg.svd(A, full_matrices=False)[2][:r]
    P = np.hstack([A @ Vt.T, one])
    cones = (1 - 2 * np.indices([2] * r).reshape(r, -1).T[:, :, None]) * np.eye(r)  # orthants
    if free:  # prisms, in cones
        low, high = (np.insert(cones, r, b, axis=2) for b in (-1.0, 1.0))
        cones = np.concatenate([np.hstack([low[:, i:], high[:, : i + 1]]) for i in range(r)])
    i, j = np.triu_indices(cones.shape[1])
    work, batch = 0, 1 + 2**22 // P.size
    while len(cones):
        V, cones = cones[:batch], cones[batch:]
        S, U = V @ P.T, V[..., :r]
        # on the cone a ReLU is at most its interpolation, at least 0 and A u + b
        top, bottom = np.maximum(S, 0), S * (S.sum(1, keepdims=True) > 0)
        above = np.linalg.norm((top + bottom) @ Lam, axis=2) / 2 + (top - bottom) @ size / 2
        mean, norms = U.mean(1, keepdims=True), np.linalg.norm(U, axis=2)
        least = (U * mean).sum(2) / np.linalg.norm(mean, axis=2)  # of ||u||, as linear as above
        if not np.all(np.linalg.norm(top @ Lam, axis=2) <= gauge * norms):
            return np.inf, "a neuron tops the gauge"
        if not (work := work + S.size) < most:
            return np.inf, "the directions are too many to check"
        keep = ~np.all(above <= gauge * least, axis=1)
        # cut in two where ReLUs that bend, and directions, differ most
        bends = np.any(top > bottom, axis=1, keepdims=True) * size
        V, U, S, c = V[keep], U[keep], (S * bends)[keep], np.arange(keep.sum())
        apart = gauge * np.sum((U[:, i] - U[:, j]) ** 2, axis=2)
        edge = np.argmax(np.abs(S[:, i] - S[:, j]).sum(2) + apart, axis=1)
        halves = np.stack([V, V])
        halves[0, c, i[edge]] = halves[1, c, j[edge]] = (V[c, i[edge]] + V[c, j[edge]]) / 2
        cones = np.concatenate([*halves, cones])
    return gauge + float(np.linalg.norm(A - A @ Vt.T @ Vt) * np.linalg.norm(Lam)), ""
