"""The outputs of neurons of two features with softened kinks, and the gradient, compiled.

A score z counts as ``(z + s)_+^2 / 4s`` where ``|z| < s``, and as ``z_+`` beyond.  Rows are taken
in blocks that stay in the cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Rows of a block.
BLOCK = 512
# Sums may be taken in any order: what they are for proves nothing.
ANY_ORDER = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True, error_model="numpy", fastmath=ANY_ORDER)
def add_outputs(columns, features, W, b, soft, V, F):  # type: ignore[no-untyped-def]
    """Add what the neurons put out to F (n_outputs, n).

    ``columns`` (d, n), ``features``, ``W`` (m, 2), ``b``, ``soft`` (m,), ``V`` (m, n_outputs).
    """
    act, gate = np.empty((2, BLOCK))
    for at in range(0, F.shape[1], BLOCK):
        rows = slice(at, min(at + BLOCK, F.shape[1]))
        for j in range(len(b)):
            first, second = columns[features[j, 0], rows], columns[features[j, 1], rows]
            _activate(first, second, W[j], b[j], soft[j], act, gate)
            for c in range(len(F)):
                out, weight = F[c, rows], V[j, c]
                for i in range(len(out)):
                    out[i] += weight * act[i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=ANY_ORDER)
def add_gradient(columns, features, W, b, soft, V, G, dW, db, dV):  # type: ignore[no-untyped-def]
    """Add the gradient in W, b and V of ``sum(F * G)``, G (n_outputs, n) fixed, to dW, db, dV."""
    act, gate, g = np.empty((3, BLOCK))
    for at in range(0, G.shape[1], BLOCK):
        rows = slice(at, min(at + BLOCK, G.shape[1]))
        for j in range(len(b)):
            first, second = columns[features[j, 0], rows], columns[features[j, 1], rows]
            _activate(first, second, W[j], b[j], soft[j], act, gate)
            g[:] = 0.0
            for c in range(len(G)):
                slope, weight, total = G[c, rows], V[j, c], 0.0
                for i in range(len(slope)):
                    g[i] += weight * slope[i]
                    total += act[i] * slope[i]
                dV[j, c] += total
            one, two, all_ = 0.0, 0.0, 0.0
            for i in range(len(first)):
                d = g[i] * gate[i]
                one += d * first[i]
                two += d * second[i]
                all_ += d
            dW[j, 0] += one
            dW[j, 1] += two
            db[j] += all_


@njit(cache=True, nogil=True, error_model="numpy", fastmath=ANY_ORDER)
def _activate(first, second, w, b, soft, act, gate):  # type: ignore[no-untyped-def]
    """Activations and their slopes."""
    u, v, half, quarter = w[0], w[1], 0.5 / soft, 0.25 / soft
    for i in range(len(first)):
        z = first[i] * u + second[i] * v + b
        near = min(max(z + soft, 0.0), 2 * soft)
        act[i] = near * near * quarter + max(z - soft, 0.0)
        gate[i] = near * half
