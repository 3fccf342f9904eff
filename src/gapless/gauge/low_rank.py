"""The gauge of data of few dimensions, by enumeration.

Every enumeration takes the samples in coordinates of their row space, ``P`` (n, r), and finds the
maxima of ``|| Lam^T (P u + b)_+ ||`` over unit u, and over b where it is free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..core.arrays import row_norms
from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.rounding import EPS
from .base import GaugeBound, GaugeMethod
from .cones import bisect_cones
from .lifted import liftable, lifted
from .row_space import dimensions, row_space

#: see :func:`by_enumeration`
Enumeration: TypeAlias = Callable[[Array, Array, bool, float], tuple[Candidates, float, float]]

# Local maxima that an enumeration lists, the best ones.
PEAKS = 64
# In one and two dimensions values that cancel to this share of their rounding are summed again in
# extended precision: data far from zero.
CANCELLED = 1e-8
# Most samples by dimension: a second or so each.  One and two dimensions take any number.
MAX_SAMPLES = {3: 20000, 4: 200}
# Data of more features are not looked at: their rank takes a decomposition, and is rarely so low.
MAX_FEATURES = 64


class LowRank(GaugeMethod):
    """Exact enumeration for data of rank at most 4, the free bias counting as one.

    Rank one: the two rays, or with a free bias every kink by prefix sums.  Rank two: on each
    arc between two data hyperplanes the active set is constant and the maximum is closed
    form.  Rank three or four, the free bias counting: cones of directions are bisected until none
    can hold more than a share :data:`gapless.gauge.cones.CLOSE` of the data's norm above the best
    neuron found.
    """

    name = "low-rank"
    needs = "rank 3 at most up to 20,000 samples, 4 up to 200, a free bias counting as one"
    summary = "{data}: exact enumeration"
    pools = True

    def applies(self, core: Problem) -> bool:
        if core.n_features > MAX_FEATURES:
            return False
        if core.design.pooled and not liftable(core):
            return False
        size = dimensions(core)
        return size <= 2 or core.design.n_rows <= MAX_SAMPLES.get(size, 0)

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        return by_enumeration(core, Lam, _enumerated, "exact enumeration")


def by_enumeration(core: Problem, Lam: Array, enumerate: Enumeration, how: str) -> GaugeBound:
    """The bound that an enumeration in the row space gives.

    Parameters
    ----------
    core : Problem
    Lam : array of shape (n_samples, n_outputs)
    enumerate : callable
        Of the samples in the row space (n_rows, rank), the dual point of the rows, whether there is
        a free bias, and the largest sum of the absolute values of the terms of a gauge: to the best
        neurons, what else could be there, and the rounding of both.
    how : str
        In words, what it is.

    Returns
    -------
    GaugeBound
    """
    space, Lam = row_space(core), lifted(core, Lam)
    P, size, left = space.samples, np.linalg.norm(Lam, axis=1), space.left
    with np.errstate(over="ignore"):
        far = row_norms(P)
        if core.free:  # a neuron measures the samples from the one it bends at
            far, left = far + far.max(), left + left.max()
        spread = float(far @ size)
    if not np.isfinite(spread):
        return GaugeBound(0.0, np.inf, None, "overflow: nothing is proven", "directions")
    beside = float(left @ size) * (1 + len(size) * EPS)  # the row space, in any neuron
    if core.design.pooled:  # what dividing by the sizes of pools rounds
        beside += 4 * EPS * spread
    if space.rank == 0:
        return GaugeBound(0.0, beside, None, "constant data: exact", "directions")
    found, cones, rounding = enumerate(P, Lam, core.free, spread)
    value = float(found.value[0])
    upper = (max(value, cones) + rounding) * space.stretch + beside
    U = space.basis @ found.U
    neurons = Candidates(U, found.b - space.mean @ U, found.value)
    bias = " with free bias" if core.free else ""
    proof = f"rank {space.rank} data{bias}: {how}"
    return GaugeBound(value, upper, neurons, proof, "directions")


def _enumerated(P: Array, Lam: Array, free: bool, spread: float) -> tuple[Candidates, float, float]:
    """The maxima, the most that cones left open could hold, and the rounding of both.

    ``spread`` is the largest sum of the absolute values of the terms of a gauge.
    """
    rank = P.shape[1]
    # sums of n terms: rounding n EPS of the absolute sum, for the values and the events
    terms, eps = 8 * (len(P) + 8), EPS
    if rank + free > 2:
        found, cones = bisect_cones(P, Lam, free)
    else:
        listed = _plane if rank == 2 else _kinks if free else _two_rays
        found, cones = listed(P, Lam), 0.0
        if terms * EPS * spread > CANCELLED * float(found.value[0]):
            eps = float(np.finfo(np.longdouble).eps)
            found = listed(P.astype(np.longdouble), Lam.astype(np.longdouble)).astype(float)
    return found, cones, terms * eps * spread + 4 * EPS * float(found.value[0])


def _two_rays(P: Array, Lam: Array) -> Candidates:
    """The two directions of a line."""
    U = np.array([[1.0, -1.0]])
    values = np.linalg.norm(Lam.T @ np.maximum(P * U, 0), axis=0)
    return Candidates(U, np.zeros(2), values).take(np.argsort(-values, kind="stable"))


def _kinks(P: Array, Lam: Array) -> Candidates:
    """Both ramp directions and a kink at every sample, by suffix sums."""
    found, p = [], P[:, 0]
    order = np.argsort(p, kind="stable")
    for sign, index in ((1.0, order), (-1.0, order[::-1])):
        q, L = sign * p[index], Lam[index]
        above = np.cumsum(L[::-1], axis=0)[::-1]
        moment = np.cumsum((L * q[:, None])[::-1], axis=0)[::-1]
        values = np.linalg.norm(moment - q[:, None] * above, axis=1)
        found.append(Candidates(np.full((1, len(q)), sign), -q, values).take(_peaks(values)))
    both = found[0].append(found[1])
    return both.take(np.argsort(-both.value, kind="stable"))


def _plane(P: Array, Lam: Array) -> Candidates:
    """The maxima of all arcs of constant active set in the plane ``P`` (n, 2).

    Sample i is active at angle t when ``cos(t - angle_i) > 0``: it enters at angle_i - pi/2
    and leaves at angle_i + pi/2; a zero row is never active.  On an arc the gauge is ``||M^T u||``
    with M (2, C) the sum of the active ``x_i lam_i^T``.
    """
    # 1. the arcs, by the angles at which samples enter and leave
    moments = P[:, :, None] * Lam[:, None, :]
    angle = np.arctan2(P[:, 1], P[:, 0])
    enter = np.mod(angle - 0.5 * np.pi, 2 * np.pi)
    leave = np.mod(angle + 0.5 * np.pi, 2 * np.pi)
    events = np.concatenate([enter, leave])
    order = np.argsort(events)
    start = events[order]
    end = np.append(start[1:], start[0] + 2 * np.pi)
    # 2. M on each, and the angle at which ||M^T u|| is largest
    active = moments[enter > leave].sum(axis=0)  # at angle 0
    M = active + np.cumsum(np.concatenate([moments, -moments])[order], axis=0)
    G = np.einsum("aic,ajc->aij", M, M)
    top = 0.5 * np.arctan2(G[:, 0, 1], 0.5 * (G[:, 0, 0] - G[:, 1, 1]))
    # 3. between these points it rises or falls: an arc's start, its maximum and its minimum inside
    inner = start + np.mod([top - start, top - start + 0.5 * np.pi], np.pi)
    t = np.sort(np.vstack([start, np.where(inner < end, inner, start)]), axis=0)
    t = t.ravel("F")
    # the norm itself: from its square, small differences of large numbers, half the digits are lost
    M = np.repeat(M, 3, axis=0)
    values = np.linalg.norm(np.cos(t)[:, None] * M[:, 0] + np.sin(t)[:, None] * M[:, 1], axis=1)
    keep = _peaks(values)
    U = np.stack([np.cos(t[keep]), np.sin(t[keep])])
    return Candidates(U, np.zeros(len(keep)), values[keep])


def _peaks(values: Array) -> Array:
    """Where values round a circle have local maxima, best first; the last of equal neighbours."""
    run = np.flatnonzero(values != np.roll(values, -1))
    if run.size == 0:
        return np.zeros(1, dtype=np.intp)
    v = values[run]
    peaks = run[(v > np.roll(v, 1)) & (v > np.roll(v, -1))]
    return peaks[np.argsort(-values[peaks], kind="stable")[:PEAKS]]
