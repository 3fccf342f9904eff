"""The gauge of neurons of one feature, for :mod:`verify`: prefix sums of sorted columns.

With ``sum_i lam_i = 0`` a ramp that bends at t is worth ``left(t) = sum_i lam_i (t - x_i)_+`` or
``right(t) = left(t) - left(infinity)``, both linear between samples and constant beyond them: the
largest is at a sample.  Where an effect must rise, any rising N >= 0 and T >= N prove that none of
penalty one is worth more than the largest of ``|left - N|`` and ``|right + T - N|``: N has the
multipliers of ``f(x_{k+1}) >= f(x_k)``.  Where it must fall, the same holds of -lam.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EPS = np.finfo(float).eps


def networks(proof: Any) -> str:
    """Of which networks such a proof is, in words; its ``monotone`` as below."""
    rising, falling = (np.flatnonzero(proof["monotone"] == sign).tolist() for sign in (1, -1))
    asked = f", effects of features {rising} rising and {falling} falling,"
    return "network whose neurons look at one feature" + asked * bool(rising or falling)


def fits(A: Any, Lam: Any, monotone: Any) -> bool:
    """Whether there is one sign for each feature, and one output where an effect is monotone."""
    known = monotone.shape == A[0].shape and np.all(np.isin(monotone, (-1, 0, 1)))
    return bool(known and (Lam.shape[1] == 1 or not np.any(monotone)))


def gauge_by_columns(A: Any, Lam: Any, monotone: Any) -> float:
    """At least what a neuron of one feature, or an effect that rises or falls, is worth.

    Parameters
    ----------
    A : array of shape (n, d)
    Lam : array of shape (n, C)
        Columns that sum to zero, C = 1 with monotone effects.
    monotone : array of shape (d,)
        1 where the effect of a feature rises, -1 where it falls, else 0.

    Returns
    -------
    float
        Rounding of the sums added.
    """
    n, gauge = len(A), 0.0
    rounding = 32 * (n + 8) * EPS * float(np.abs(Lam).sum())
    for x, sign in zip(A.T, monotone, strict=True):
        order = np.argsort(x)
        t, lam = x[order], Lam[order]
        left = np.zeros(Lam.shape)
        left[1:] = np.cumsum(np.cumsum(lam, axis=0)[:-1] * np.diff(t)[:, None], axis=0)
        right = left - left[-1]
        if sign:
            left, right = sign * left[:, 0], sign * right[:, 0]
            most = np.maximum.accumulate(left)
            least = max(-left.min(), right.max(), (most - left).max() / 2)
            N = np.maximum(most - least, 0.0)
            T = max(left[-1], N[-1])
            worth = np.maximum(np.abs(left - N), np.abs(right + T - N))
        else:
            worth = np.maximum(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
        gauge = max(gauge, float(worth.max()) + rounding * float(t[-1] - t[0]))
    return gauge
