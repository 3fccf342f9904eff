"""Images and signals as a table of their patches, for :mod:`verify`.

Rows are the patches: all windows of ``size`` numbers an axis, ``stride`` apart, of a sample with
``padding`` zeros around it.  The ReLUs of a filter are averaged over cells of ``pool`` windows an
axis, at its end of fewer, and each cell has output weights of its own.  A neuron is then worth
``||lifted(Lam)^T (A u + b)_+||``, where the row of sample i in a cell q of |P_q| windows has
``Lam_i / |P_q|`` in the columns of q and zeros in all others; these columns sum to those of Lam.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# Numbers of the patches, of the dual point there, or of the samples padded: half a gigabyte.
MOST = 1 << 26


def with_channels(X: Any, windows: Any) -> Any:
    """Samples (n, *shape, channels): where there is one channel its axis may be missing.

    Parameters
    ----------
    X : array of shape (n, *shape) or (n, *shape, channels)
    windows : array of shape (4, axes)
        Size, stride, padding and pool, one number an axis.

    Returns
    -------
    array
    """
    return X[..., None] if X.ndim == windows.shape[1] + 1 else X


def sizes(shape: tuple[int, ...], windows: Any, C: int) -> tuple[int, int, str]:
    """How large the table is, and why there is none, or "".

    Parameters
    ----------
    shape : tuple of int
        (n, *shape, channels), as :func:`with_channels` leaves it.
    windows : array of shape (4, axes)
    C : int
        Outputs.

    Returns
    -------
    rows, columns : int
        Of the patches.
    flaw : str
    """
    whole = windows.ndim == 2 and np.all((windows == np.rint(windows)) & (abs(windows) < 1e6))
    if not whole or windows.shape != (4, len(shape) - 2):
        return 0, 0, "the samples have no such windows"
    size, stride, padding, pool = windows.astype(int).tolist()
    spare = [n + 2 * p - k for n, p, k in zip(shape[1:-1], padding, size, strict=True)]
    if min(*size, *stride, *pool) < 1 or min(*padding, *spare) < 0:
        return 0, 0, "the samples have no such windows"
    grid = [left // step + 1 for left, step in zip(spare, stride, strict=True)]
    cells = math.prod(-(-n // p) for n, p in zip(grid, pool, strict=True))
    rows, columns = shape[0] * math.prod(grid), math.prod(size) * shape[-1]
    padded = math.prod(n + 2 * p for n, p in zip(shape[1:-1], padding, strict=True))
    most = max(rows * max(columns, C * cells), shape[0] * padded * shape[-1])
    return rows, columns, "the patches are too many to check" if most > MOST else ""


def words(windows: Any) -> str:
    """Which networks a proof is about, in words; ``windows`` as above."""
    names = ("size", "stride", "padding", "pool")
    parts = zip(names, windows.astype(int).tolist(), strict=True)
    return " on patches (" + ", ".join(f"{name} {numbers}" for name, numbers in parts) + ")"


def cut(X: Any, windows: Any) -> tuple[Any, Any]:
    """The patches of all samples, and the cell of each window.

    Parameters
    ----------
    X : array of shape (n, *shape, channels)
    windows : array of shape (4, axes)
        In which :func:`sizes` finds no flaw.

    Returns
    -------
    rows : array of shape (n K, h)
        The K windows of the first sample, then those of the next.
    cells : array of int, shape (K,)
    """
    size, stride, padding, pool = windows.astype(int)
    axes = tuple(range(1, X.ndim - 1))
    X = np.pad(X, [(0, 0), *((p, p) for p in padding), (0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(X, tuple(size), axis=axes)
    views = views[:, *(slice(None, None, step) for step in stride)]
    grid = views.shape[1 : X.ndim - 1]
    counts = [-(-n // p) for n, p in zip(grid, pool, strict=True)]
    at = np.ravel_multi_index([i // p for i, p in zip(np.indices(grid), pool, strict=True)], counts)
    # numbers of a patch by place, then by channel
    return np.moveaxis(views, X.ndim - 1, -1).reshape(len(X) * at.size, -1), at.ravel()


def lifted(Lam: Any, cells: Any) -> Any:
    """The dual point of the patches.

    Parameters
    ----------
    Lam : array of shape (n, C)
    cells : array of int, shape (K,)

    Returns
    -------
    array of shape (n K, C Q)
    """
    shares = np.eye(cells.max() + 1)[cells]  # (K, Q)
    shares /= shares.sum(axis=0)
    return np.einsum("nc,kq->nkqc", Lam, shares).reshape(len(Lam) * len(cells), -1)
