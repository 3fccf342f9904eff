"""The master of one output on its moments: a lasso, by signs.

    min_a  1/2 a.G a - q.a + beta sum_j |a_j|

On weights of known signs that is one linear system (Lee, Battle, Raina & Ng, NIPS 2006).  Folds
solve thousands of these, of some dozen neurons each, where calls count for more than arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

from ..core.checks import Array

# Steps at most; what enters at once, beside a share of those that are in.
STEPS, ENTER, SHARE = 200, 4, 4
# Added to the diagonal relative to itself: equal neurons have no system of their own.
RIDGE = 1e-13
# What a diagonal is at least for that, as a share of the mean.
FLAT = 1e-8


def lasso(
    G: Array,
    q: Array,
    beta: float,
    a: Array,
    tol: float,
    stop: Callable[[], bool],
    signs: Array | None = None,
) -> Array:
    """The weights ``a`` (m,) at the minimum, from those given.

    Ends when no weight at zero has a slope above ``beta (1 + tol)``.  The objective never
    increases.

    Parameters
    ----------
    G : array of shape (m, m)
    q : array of shape (m,)
    beta : float
    a : array of shape (m,)
    tol : float
    stop : callable
        Asked before each step.
    signs : array of shape (m,), optional
        1 and -1 where a weight may only be above or below zero, as ``a`` is, else 0.
    """
    a = a.copy()
    S = np.flatnonzero(a)
    diagonal = np.diag(G) * (1 + RIDGE) + np.finfo(float).tiny
    for _ in range(STEPS):
        if stop():
            break
        own, s = G[S[:, None], S], np.sign(a[S])
        settled = _step(own, q[S], beta, a, S, s)
        S = S[a[S] != 0]
        if not settled:
            continue
        slopes = q - G[:, S] @ a[S]
        size = np.abs(slopes)
        size[S] = 0.0
        if signs is not None:
            size[slopes * signs < 0] = 0.0
        above = np.flatnonzero(size > beta * (1 + tol))
        if not len(above):
            break
        # the neighbours of one maximum are nearly collinear
        enter = above[np.argsort(-size[above])[: ENTER + len(S) // SHARE]]
        # a proximal step of each, divided by their number, cannot raise the objective
        a[enter] = np.sign(slopes[enter]) * (size[enter] - beta) / (diagonal[enter] * len(enter))
        S = np.concatenate([S, enter])
    return a


def _step(G: Array, q: Array, beta: float, a: Array, S: Array, s: Array) -> bool:
    """Towards the minimum over weights of these signs; whether that is where they are then."""
    if not len(S):
        return True
    at, ridge, failed = a[S], RIDGE, 1
    # of a neuron that no sample has the diagonal is zero, or rounding
    size = np.maximum(np.diag(G), FLAT * np.mean(np.diag(G)))
    while failed and ridge < 1:
        K = G.copy()
        K.flat[:: len(S) + 1] += ridge * size
        factor, failed = scipy.linalg.lapack.dpotrf(K, clean=False, overwrite_a=True)
        ridge *= 100
    if failed:
        return True
    right = q - beta * s  # a step, not its end: at the end the ridge is in nothing
    to = at + scipy.linalg.lapack.dpotrs(factor, right - G @ at)[0]
    gone = to * s <= 0
    if not gone.any():
        a[S] = to
        return True

    def value(x: Array) -> float:
        return float(0.5 * x @ (G @ x) - right @ x)

    # all that would turn round leave at once, or else the first of them, where it is zero
    t = at[gone] / (at[gone] - to[gone])
    first = float(t.min())
    near = at + first * (to - at)
    near[np.flatnonzero(gone)[t <= first]] = 0.0
    far = np.where(gone, 0.0, to)
    a[S] = far if value(far) < value(near) else near
    return False
