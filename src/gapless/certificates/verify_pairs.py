"""The gauge of neurons of two features under a free bias, for :mod:`verify`: half-turns in cells.

In the plane of two features take the unit direction u at the middle of a cell, v across it, and
for sample i ``p_i = x_i.u`` and ``q_i = x_i.v``.  The cell's directions are ``u + s v``,
``|s| <= T``, or shorter.  A left ramp along one, ``(t - p - s q)_+``, lies on or above its tangent
``(t - p)_+ - s q [p < t]``, and above it by no more than ``tent = (T |q| - |t - p|)_+``: the ReLU
is 1-Lipschitz, and linear on either side of its kink.  Summed over samples with weights lam_i,
half a tent in the middle and half a tent either way,

    || sum_i lam_i (t - p_i - s q_i)_+ ||  <=  || G(t) - s A(t) || + e(t),

    G = sum_i lam_i ((t - p_i)_+ + tent_i / 2),  A = sum_i lam_i q_i [p_i < t],
    e = sum_i ||lam_i|| tent_i / 2.

With ``sum_i lam_i = 0`` a right ramp is the left one of the same kink plus ``sum_i lam_i (p_i + s
q_i)``.  All bounds are convex in s, so largest at s = -T or T, and convex in t between the points
``p_i`` and ``p_i +- T |q_i|``, where G and e are linear and A constant: so they are largest there,
on one side or the other.  A cell whose bound is above the gauge is halved.

Rounding.  Angles and directions are off by less than 64 EPS, which widens T; a running sum of
running sums over 3n points is off by less than ``16 (3n + 8) EPS`` times the sum of all
``|lam_i|`` times the points' span.
"""

from __future__ import annotations

from typing import Any

import numpy as np

EPS = np.finfo(float).eps
FIRST, DEEPEST = 4, 26  # cells of a half-turn at first, and how often one is halved at most
BATCH = 1 << 20  # numbers of some cells at once
MAX_WORK = 2 * 10**9  # samples looked at in all cells: half an hour
CELL = 100  # samples that cost what a cell does, which bound the memory where there are few
SAID = 20  # pairs named at most


def networks(proof: Any) -> str:
    """Of which networks such a proof is, in words."""
    pairs, d = {(int(min(two)), int(max(two))) for two in proof["pairs"]}, len(proof["monotone"])
    two = f"two, of {sorted(pairs)}," if len(pairs) <= SAID else f"two, of {len(pairs)} pairs,"
    which = "two" if 2 * len(pairs) == d * (d - 1) else two
    price = float(proof.get("price", 1))
    if price != 1:
        which = f"{which.rstrip(',')}, whose weights cost {price:.6g} times as much,"
    return f"network whose neurons look at one feature or {which}"


def fits(A: Any, pairs: Any) -> bool:
    """Whether each row of ``pairs`` is two columns of A."""
    known = pairs.ndim == 2 and pairs.shape[1] == 2 and np.all(np.isin(pairs, range(A.shape[1])))
    return bool(known and np.all(pairs[:, 0] != pairs[:, 1]))


def flaw(A: Any, Lam: Any, pairs: Any, gauge: float) -> str:
    """Why no neuron of two features is worth more than ``gauge``; empty if it is proven.

    Parameters
    ----------
    A : array of shape (n, d)
    Lam : array of shape (n, C)
        Columns that sum to zero, or to little: what that changes :mod:`verify` charges.
    pairs : integer array of shape (k, 2)
        Columns of A that a neuron may look at together.
    gauge : float

    Returns
    -------
    str
    """
    own, half, work = np.repeat(pairs, FIRST, axis=0), np.pi / (2 * FIRST), 0
    angles = np.tile((2 * np.arange(FIRST) + 1) * half, len(pairs))
    step = 1 + BATCH // (3 * len(A) * (Lam.shape[1] + 2))
    for _ in range(DEEPEST):
        open_ = np.zeros(len(own), dtype=bool)
        if (work := work + len(own) * (len(A) + CELL)) > MAX_WORK:
            return "the pairs are too many to check"
        for at in range(0, len(own), step):
            cells = slice(at, at + step)
            u = np.stack([np.cos(angles[cells]), np.sin(angles[cells])])[:, :, None]
            first, second = A.T[own[cells].T]
            p, q = u[0] * first + u[1] * second, u[0] * second - u[1] * first
            least, most = _worth(p, q, Lam, np.tan(half) * (1 + 1e-9) + 64 * EPS)
            if np.any(least > gauge):
                return "a neuron tops the gauge"
            open_[cells] = ~(most <= gauge)
        if not np.any(open_):
            return ""
        own, half = np.tile(own[open_], (2, 1)), half / 2
        angles = np.concatenate([angles[open_] - half, angles[open_] + half])
    return "some neurons come too near the gauge"


def _worth(p: Any, q: Any, Lam: Any, T: float) -> tuple[Any, Any]:
    """Of cells (k, n): about what their middle direction has, and what none of a cell tops."""
    n, reach, most = p.shape[1], T * np.abs(q), 0.0
    t = np.hstack([p - reach, p, p + reach])
    order = np.argsort(t, axis=1)
    t = np.take_along_axis(t, order, axis=1)
    sample, middle = order % n, order // n == 1
    across = np.take_along_axis(q, sample, axis=1) * middle
    lam, width = Lam[sample], np.diff(t, axis=1)[:, :, None]
    G = _twice_summed(lam * np.where(middle, 0.0, 0.5)[:, :, None], width)
    bend = _twice_summed(lam * middle[:, :, None], width)  # the ramps of u itself
    e = np.linalg.norm(lam, axis=2, keepdims=True) * np.where(middle, -1.0, 0.5)[:, :, None]
    e = _twice_summed(e, width)[:, :, 0]
    after = np.cumsum(lam * across[:, :, None], axis=1)
    along, beside = (p @ Lam)[:, None], (q @ Lam)[:, None]
    for A in (after, np.concatenate([np.zeros_like(after[:, :1]), after[:, :-1]], axis=1)):
        for s in (-T, T):
            for ramps in (G - s * A, G + along + s * (beside - A)):
                most = np.maximum(most, np.max(np.linalg.norm(ramps, axis=2) + e, axis=1))
    least = np.maximum(*(np.linalg.norm(r, axis=2).max(axis=1) for r in (bend, bend + along)))
    rounding = 32 * (3 * n + 8) * EPS * np.abs(Lam).sum()
    rounding = rounding * (np.abs(p).max(axis=1) + (1 + T) * np.abs(q).max(axis=1))
    return least - rounding, (most + rounding) * (1 + 64 * EPS)


def _twice_summed(gains: Any, width: Any) -> Any:
    """Functions with these gains of slope at points so far apart, 0 at the first: (k, 3 n, C)."""
    sums = np.cumsum(np.cumsum(gains[:, :-1], axis=1) * width, axis=1)
    return np.concatenate([np.zeros_like(gains[:, :1]), sums], axis=1)
