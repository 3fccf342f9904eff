"""Caps that cover the sphere of outputs, up to sign.

With several outputs the gauge is ``max_v max_u v^T H(u)`` over unit v, ``H(u) = Lam^T (X u)_+``.
Where v is the centre of a cap whose points are all within the angle rho of it, the best
``H / ||H||`` of the cap loses no more than its cosine:

    ||H(u)|| <= max over caps of  v^T H(u) / cos(rho),

so that one output, ``Lam v``, is bounded for each cap.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import acos, ceil, sqrt, tan

import numpy as np

from ..core.rounding import EPS

# Each takes a search of its own.
MOST = 1000


@lru_cache(maxsize=64)
def caps(C: int, ratio: float) -> tuple[tuple[tuple[float, ...], float], ...]:
    """Unit vectors (C,) and cosines of their caps, none below ``2 / (1 + ratio)``.

    The cells of a grid on the faces ``v_k = 1, |v_j| <= 1`` of a cube; in a cell the point farthest
    from its centre, as an angle, is a corner.

    Parameters
    ----------
    C : int
    ratio : float
        Above 1.

    Returns
    -------
    tuple of (v, cosine)
        Empty where it would be more than :data:`MOST`.
    """
    if C == 1:
        return (((1.0,), 1.0),)
    # the widest cell is in the middle of a face
    cells = ceil(sqrt(C - 1) / tan(acos(2 / (1 + ratio))))
    while C * cells ** (C - 1) <= MOST:
        found = tuple(cap for face in range(C) for cap in _caps(C, face, cells))
        if min(cosine for _, cosine in found) * (1 + ratio) >= 2:
            return found
        cells += 1
    return ()


def _caps(C: int, face: int, cells: int) -> list[tuple[tuple[float, ...], float]]:
    """Those of one face."""
    at = np.array(list(product(range(cells), repeat=C - 1)))
    half = np.insert(np.array(list(product((-1, 1), repeat=C - 1))) / cells, face, 0.0, axis=1)
    centres = np.insert((2 * at + 1) / cells - 1, face, 1.0, axis=1)
    v = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    corners = centres[:, None, :] + half
    cosines = np.einsum("mic,mc->mi", corners, v) / np.linalg.norm(corners, axis=2)
    least = cosines.min(axis=1) * (1 - 8 * C * EPS)
    return list(zip(map(tuple, v.tolist()), least.tolist()))
