"""Pooled patches as a table: every bound of the gauge that holds the dual point still holds.

With the stacked patches A (n_rows, k), K of them a sample, the gauge of a pooled design is that of
A and of the *lifted* dual point (n_rows, n_outputs Q), whose row (i, p) is ``Lam_i / |P_q|`` in the
columns of the place q that pools patch p, and zero in all others: for any u

    || Lam^T pool((A u)_+) ||_F  =  || lifted(Lam)^T (A u)_+ ||.

It is sparse, and written out only where it is small: exact bounds of few dimensions.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem

# Numbers of a lifted dual point that may be written out (128 MiB).
LARGEST = 1 << 24


def liftable(core: Problem) -> bool:
    """Whether the lifted dual point is small enough to write out."""
    return core.design.n_rows * core.n_outputs * core.design.places <= LARGEST


def lifted(core: Problem, Lam: Array) -> Array:
    """``Lam`` (n_samples, n_outputs) as a dual point (n_rows, n_outputs * places) of the rows."""
    design = core.design
    if not design.pooled:
        return Lam
    n, Q = len(design), design.places
    columns = []
    for lam in Lam.T:
        # place q has the weights lam in its own column, neuron by neuron
        G = np.einsum("n,pq->npq", lam, np.eye(Q)).reshape(n, Q * Q)
        columns.append(design.unpool(G))
    return np.hstack(columns)
