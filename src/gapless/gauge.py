"""Proven upper bounds on the polar gauge, one class a method.

For a core problem with design A (n, k) the gauge of a dual point Lam (n, C) is

    g(Lam) = max_{||u|| <= 1} || Lam^T (A u)_+ ||_2,

with ``A u + b`` and a maximum over all b when the bias is free (then the columns of Lam sum
to zero).  A lower bound on training needs an UPPER bound of g, whatever found Lam.

Free biases reduce to none: some optimal b puts a kink on a sample (JMLR 2021, Lemma 6), so

    g_free(A) = max_k g_none(A - 1 x_k^T).

Every class has a ``name``, ``applies(core)`` and ``bound(core, Lam)``; :func:`gauge_bound`
picks the sharpest that applies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from ._array import is_sparse
from ._validate import Array, choose
from .problem import Problem
from .relaxed import cone_maximum

EPS = float(np.finfo(float).eps)
# Singular values below this share of the largest are noise; what they could add to the
# gauge is added to the bound.
RANK_TOL = 1e-10


@dataclass(frozen=True, eq=False)
class GaugeBound:
    """``lower <= g(Lam) <= upper``; ``witness`` = (u, b) attains ``lower`` where there is one.

    ``multipliers`` let anybody re-check ``upper`` where that takes more than the data.
    """

    lower: float
    upper: float
    witness: tuple[Array, float] | None
    proof: str
    method: str = "norm"
    multipliers: Any = None


class GaugeMethod(ABC):
    """One way to bound the gauge."""

    name: ClassVar[str]

    @abstractmethod
    def applies(self, core: Problem) -> bool: ...

    @abstractmethod
    def bound(self, core: Problem, Lam: Array) -> GaugeBound: ...


class Whitened(GaugeMethod):
    """``A A^T = s^2 I``: ``g = s max(||lam_+||, ||lam_-||)`` for one output (JMLR 2021, Lemma 4).

    For several outputs ``||Lam||_2`` bounds it, and is exact when the leading left singular
    vector has one sign.
    """

    name = "whitened"

    def applies(self, core: Problem) -> bool:
        return not core.free and core.n_samples <= core.n_features and _whitening(core) is not None

    def bound(self, core: Problem, Lam: Array) -> GaugeBound:
        scale, slack = _whitening(core) or (1.0, np.inf)
        if Lam.shape[1] == 1:
            sides = [np.maximum(Lam, 0), np.maximum(-Lam, 0)]
            z = max(sides, key=lambda side: float(np.linalg.norm(side)))[:, 0]
        else:
            left = np.linalg.svd(Lam, full_matrices=False)[0][:, 0]
            z = np.maximum(left if left.sum() >= 0 else -left, 0)
        norm = float(np.linalg.norm(z))
        if norm == 0:
            return GaugeBound(0.0, 0.0, None, "whitened data: exact", self.name)
        u = core.X.T @ (z / norm)
        u /= np.linalg.norm(u)
        lower = float(np.linalg.norm(Lam.T @ np.maximum(core.X @ u, 0)))
        size = norm if Lam.shape[1] == 1 else float(np.linalg.norm(Lam, 2))
        upper = scale * size + slack * float(np.linalg.norm(Lam))
        exact = upper <= lower * (1 + 1e-6)
        how = "exact" if exact else "spectral norm of the dual point"
        return GaugeBound(lower, upper, (u, 0.0), f"whitened data: {how}", self.name)


class LowRank(GaugeMethod):
    """Exact enumeration for data of rank at most 3, the free bias counting as one.

    Rank one: the two rays, or with a free bias every kink by prefix sums.  Rank two: on each
    arc between two data hyperplanes the active set is constant and the maximum is closed
    form; a free bias repeats this about every sample.  Rank three: the maximum lies on a data
    hyperplane, which is rank two, or inside a cell, where it is the maximiser of that cell's
    quadratic form.  Cost O(n log n) per plane, and at most n planes.
    """

    name = "low-rank"
    MAX_SAMPLES = 3000  # n planes of n log n each: about ten seconds

    def applies(self, core: Problem) -> bool:
        rank = _spectrum(core)[2] if core.n_features <= 64 else 99
        planes = rank + core.free - 2
        return planes <= 0 or (planes == 1 and core.n_samples <= self.MAX_SAMPLES)

    def bound(self, core: Problem, Lam: Array) -> GaugeBound:
        basis, lost, rank = _spectrum(core)
        P = np.asarray(core.X @ basis)  # (n, rank)
        if rank == 0:
            return GaugeBound(0.0, 0.0, None, "constant data: exact", self.name)
        if rank == 1:
            value, u, b = _line_free(P[:, 0], Lam) if core.free else _line(P[:, 0], Lam)
        elif rank == 2 and not core.free:
            value, u = _plane(P[None], Lam)[:2]
            b = 0.0
        elif rank == 2:
            value, u, b = _plane_free(P, Lam)
        else:
            value, u = _space(P, Lam)
            b = 0.0
        # sums of n terms: rounding n * eps of the absolute sum, for the values and the events
        spread = float(np.linalg.norm(np.linalg.norm(P, axis=1) @ np.abs(Lam)))
        rounding = 8 * (core.n_samples + 8) * EPS * spread
        upper = value + rounding + lost * float(np.linalg.norm(Lam))
        kind = {1: "rank 1", 2: "rank 2", 3: "rank 3"}[rank]
        bias = " with free bias" if core.free else ""
        return GaugeBound(
            value,
            upper,
            (basis @ u, float(b)),
            f"{kind} data{bias}: exact enumeration",
            self.name,
        )


class SpikeFree(GaugeMethod):
    """Spike-free data, one output: every ``(A u)_+`` is ``A w`` with ``||w|| <= 1``.

    Then ``g_+(lam) = max {lam.A w : A w >= 0, ||w|| <= 1}``, and by duality

        g_+(lam) = min_{nu >= 0} || A^T (lam + nu) ||,

    a nonnegative least-squares problem any feasible nu of which gives an upper bound
    (JMLR 2021, Theorem 4).  False on other data, so :func:`is_spike_free` decides first.
    """

    name = "spike-free"

    def applies(self, core: Problem) -> bool:
        one = core.n_outputs == 1 and not core.free and not is_sparse(core.X)
        return one and core.n_samples <= 1000 and _spike_free(core) is True

    def bound(self, core: Problem, Lam: Array) -> GaugeBound:
        A = core.X
        best = (0.0, 0.0, np.zeros(core.n_features))
        upper = 0.0
        for side in (Lam[:, 0], -Lam[:, 0]):
            w = cone_maximum(A, side)
            size = float(np.linalg.norm(w))
            upper = max(upper, size * (1 + 1e-9) + 1e-14 * float(np.linalg.norm(A.T @ side)))
            u = w / max(size, 1e-300)
            value = abs(float(Lam[:, 0] @ np.maximum(A @ u, 0.0)))
            best = max(best, (value, size, u), key=lambda entry: entry[0])
        return GaugeBound(best[0], upper, (best[2], 0.0), "spike-free data: exact", self.name)


class Norm(GaugeMethod):
    """``||A||_2`` times the norm of the dual point: crude, valid for every data set.

    One output: ``||A||_2 max(||lam_+||, ||lam_-||)``; several: ``||A||_2 ||Lam||_2``.  With a
    free bias A is centred at each sample in turn; ``||A - 1 x_k^T||^2`` is at most
    ``||A_c||^2 + n ||x_k - mean||^2``.
    """

    name = "norm"

    def applies(self, core: Problem) -> bool:
        return True

    def bound(self, core: Problem, Lam: Array) -> GaugeBound:
        if Lam.shape[1] == 1:
            size = max(np.linalg.norm(np.maximum(Lam, 0)), np.linalg.norm(np.maximum(-Lam, 0)))
        else:
            size = np.linalg.norm(Lam, 2)
        return GaugeBound(0.0, _spectral_norm(core) * float(size), None, "norm bound")


#: every method by name, sharpest first
METHODS: dict[str, GaugeMethod] = {m.name: m for m in (LowRank(), Whitened(), SpikeFree(), Norm())}


def gauge_bound(core: Problem, Lam: Array, method: str = "auto") -> GaugeBound:
    """Bound the gauge of ``Lam`` by ``method``, or by the first that applies.

    Raises
    ------
    ValueError
        When the method named does not apply to the data.
    """
    if method != "auto":
        chosen = METHODS[choose("method", method, METHODS)]
        if not chosen.applies(core):
            raise ValueError(
                f"the data do not meet the conditions of method={method!r}; use 'auto'"
            )
        return chosen.bound(core, Lam)
    return next(m for m in METHODS.values() if m.applies(core)).bound(core, Lam)


def is_exact(core: Problem) -> bool:
    """Whether an exact method applies, so that the witness is the best neuron to add."""
    return METHODS["low-rank"].applies(core)


def rank(core: Problem) -> int:
    """The numerical rank of the design, centred when the bias is free."""
    return _spectrum(core)[2]


def is_whitened(core: Problem) -> bool:
    """Whether ``A A^T`` is a multiple of the identity (to 1e-8)."""
    return core.n_samples <= core.n_features and _whitening(core) is not None


def is_spike_free(core: Problem) -> bool | None:
    """Whether every ``(A u)_+``, ``||u|| <= 1``, is some ``A w``, ``||w|| <= 1``; None: unknown.

    For linearly independent rows this holds exactly when no off-diagonal entry of
    ``(A A^T)^{-1}`` is positive: with ``A u = p - q`` it says ``q^T K^{-1} q >= 2 p^T K^{-1} q``
    for all p, q >= 0 that do not meet, and q may be as small as one likes.  Rows that are
    positive multiples of another are left out first.  Dependent rows: one ``(A u)_+`` outside
    the range decides against; finding none decides nothing.
    """
    return None if core.free else _spike_free(core)


def conditions(core: Problem) -> str:
    """What the data are, in words, and which bound that gives."""
    dimension = rank(core) if core.n_features <= 2000 else min(core.n_samples, core.n_features)
    with_bias = " with free bias" if core.free else ""
    if METHODS["low-rank"].applies(core):
        return f"rank {dimension} data{with_bias}: exact enumeration"
    if METHODS["whitened"].applies(core):
        return "whitened data: closed form"
    if METHODS["spike-free"].applies(core):
        return "spike-free data: nonnegative least squares"
    return f"rank {dimension} data{with_bias}: convex relaxations and cells"


# Facts about a problem's data, computed once a problem (problems are immutable).


@lru_cache(maxsize=8)
def _spectrum(core: Problem) -> tuple[Array, float, int]:
    """Basis (k, r) of the numerical row space, the norm of what is left out, and r."""
    X = core.X.toarray() if is_sparse(core.X) else core.X
    if core.free:
        X = X - X.mean(axis=0)
    _, s, Vt = np.linalg.svd(X, full_matrices=False)
    rank = int(np.sum(s > RANK_TOL * max(float(s[0]), 1e-300)))
    lost = float(s[rank]) if rank < len(s) else 0.0
    # with a free bias the data are measured from a sample, which at most doubles a distance
    return Vt[:rank].T, (2 * lost if core.free else lost), rank


@lru_cache(maxsize=8)
def _whitening(core: Problem) -> tuple[float, float] | None:
    """The s with ``A A^T = s^2 I`` and what the deviation can add to the gauge, or None."""
    K = core.X @ core.X.T
    K = K.toarray() if is_sparse(K) else K
    s2 = float(np.trace(K)) / len(K)
    deviation = float(np.linalg.norm(K - s2 * np.eye(len(K)), 2))
    if s2 == 0 or not deviation <= 1e-8 * s2:
        return None
    return float(np.sqrt(s2)), deviation / np.sqrt(s2)


@lru_cache(maxsize=8)
def _spike_free(core: Problem) -> bool | None:
    A = np.asarray(core.X.toarray() if is_sparse(core.X) else core.X)
    size = np.linalg.norm(A, axis=1)
    A = A[size > 0] / size[size > 0, None]
    if len(A) == 0:
        return True
    # one row a ray: rounding to 1e-12 groups positive multiples
    A = A[np.unique(np.round(A, 12), axis=0, return_index=True)[1]]
    values, vectors = np.linalg.eigh(A @ A.T)
    if values[0] > 1e-10 * values[-1]:
        inverse = (vectors / values) @ vectors.T
        off = inverse - np.diag(np.diag(inverse))
        largest = float(off.max(initial=0.0))
        # p.K^{-1} p exceeds 1 by at most 2 largest ||p||_1 ||q||_1 <= 2 largest n ||A||^2; the
        # bound is rounded up by more than that when it is below 1e-9
        if 2 * largest * len(A) * float(values[-1]) <= 1e-9:
            return True
        return False if largest > 1e-8 * float(np.abs(inverse).max()) else None
    outside = vectors[:, values <= 1e-10 * values[-1]]
    U = np.random.default_rng(0).standard_normal((A.shape[1], 256))
    Z = np.maximum(A @ np.hstack([U, A.T]), 0.0)
    missed = np.linalg.norm(outside.T @ Z, axis=0)
    return False if np.any(missed > 1e-6 * np.linalg.norm(Z, axis=0)) else None


@lru_cache(maxsize=8)
def _spectral_norm(core: Problem) -> float:
    A = core.X
    n, k = A.shape
    if core.free:
        mean = np.asarray(A.mean(axis=0)).ravel()
        gram = np.asarray((A.T @ A).toarray() if is_sparse(A) else A.T @ A) - n * np.outer(
            mean, mean
        )
        rows = A.multiply(A).sum(axis=1) if is_sparse(A) else np.einsum("ij,ij->i", A, A)
        far = np.max(np.asarray(rows).ravel() - 2 * np.asarray(A @ mean).ravel() + mean @ mean)
        square = float(np.linalg.eigvalsh(gram)[-1]) + n * max(float(far), 0.0)
    else:
        gram = A.T @ A if k <= n else A @ A.T
        gram = gram.toarray() if is_sparse(gram) else gram
        square = float(np.linalg.eigvalsh(gram)[-1])
    return float(np.sqrt(max(square, 0.0))) * (1 + 1e-10)


# Exact gauges of low rank.


def _line(p: Array, Lam: Array) -> tuple[float, Array, float]:
    values = [float(np.linalg.norm(Lam.T @ np.maximum(s * p, 0))) for s in (1.0, -1.0)]
    s = int(np.argmax(values))
    return values[s], np.array([1.0 - 2.0 * s]), 0.0


def _line_free(p: Array, Lam: Array) -> tuple[float, Array, float]:
    """Both ramp directions and a kink at every sample, by suffix sums."""
    best = (0.0, np.ones(1), 0.0)
    order = np.argsort(p, kind="stable")
    for sign, index in ((1.0, order), (-1.0, order[::-1])):
        q, L = sign * p[index], Lam[index]
        above = np.cumsum(L[::-1], axis=0)[::-1]
        moment = np.cumsum((L * q[:, None])[::-1], axis=0)[::-1]
        values = np.linalg.norm(moment - q[:, None] * above, axis=1)
        k = int(np.argmax(values))
        if values[k] > best[0]:
            best = (float(values[k]), np.array([sign]), -float(q[k]))
    return best


def _arcs(P: Array, moments: Array) -> tuple[Array, Array, Array]:
    """Arcs of constant active set in the planes ``P`` (K, n, 2).

    Sample i is active at angle t when ``cos(t - angle_i) > 0``: it enters at angle_i - pi/2
    and leaves at angle_i + pi/2; a zero row is never active.  Returns where the arcs start and
    end, (K, 2n), and the sum of the active ``moments`` (K, n, D, C) on each, (K, 2n, D, C).
    """
    moments = np.where(np.any(P, axis=2)[..., None, None], moments, 0.0)
    angle = np.arctan2(P[..., 1], P[..., 0])
    enter = np.mod(angle - 0.5 * np.pi, 2 * np.pi)
    leave = np.mod(angle + 0.5 * np.pi, 2 * np.pi)
    events = np.concatenate([enter, leave], axis=1)
    order = np.argsort(events, axis=1)
    start = np.take_along_axis(events, order, axis=1)
    end = np.concatenate([start[:, 1:], start[:, :1] + 2 * np.pi], axis=1)
    change = np.concatenate([moments, -moments], axis=1)
    change = np.take_along_axis(change, order[..., None, None], axis=1)
    wraps = (enter > leave)[..., None, None]  # active at angle 0
    initial = np.sum(np.where(wraps, moments, 0.0), axis=1, keepdims=True)
    return start, end, initial + np.cumsum(change, axis=1)


def _arc_maxima(start: Array, end: Array, M: Array) -> tuple[float, float, int]:
    """Largest ``||M^T u(t)||`` over all arcs, at which angle, in which plane."""
    G = np.einsum("...ic,...jc->...ij", M, M)
    mean = 0.5 * (G[..., 0, 0] + G[..., 1, 1])
    half, cross = 0.5 * (G[..., 0, 0] - G[..., 1, 1]), G[..., 0, 1]
    top = 0.5 * np.arctan2(cross, half)
    top = np.minimum(start + np.mod(top - start, np.pi), end)  # the first maximiser on the arc
    best = (-1.0, 0.0, 0)
    for t in (start, end, top):
        square = mean + half * np.cos(2 * t) + cross * np.sin(2 * t)
        k, arc = np.unravel_index(int(np.argmax(square)), square.shape)
        if square[k, arc] > best[0]:
            best = (float(square[k, arc]), float(t[k, arc]), int(k))
    return float(np.sqrt(max(best[0], 0.0))), best[1], best[2]


def _direction(t: float) -> Array:
    return np.array([np.cos(t), np.sin(t)])


def _plane(P: Array, Lam: Array) -> tuple[float, Array, int]:
    """Largest value over the planes ``P`` (K, n, 2), the direction, and which plane."""
    value, t, k = _arc_maxima(*_arcs(P, P[..., :, None] * Lam[:, None, :]))
    return value, _direction(t), k


def _chunks(n: int, width: int) -> Iterator[slice]:
    step = max(1, (1 << 21) // max(1, n * width))
    for s in range(0, n, step):
        yield slice(s, min(n, s + step))


def _plane_free(P: Array, Lam: Array) -> tuple[float, Array, float]:
    best = (0.0, np.array([1.0, 0.0]), 0.0)
    for part in _chunks(len(P), 2 * Lam.shape[1] + 4):
        value, u, k = _plane(P[None] - P[part, None, :], Lam)
        if value > best[0]:
            best = (value, u, -float(P[part][k] @ u))
    return best


def _space(P: Array, Lam: Array) -> tuple[float, Array]:
    """Rank three: every data plane, then the insides of the cells beside its arcs."""
    C = Lam.shape[1]
    size = np.linalg.norm(P, axis=1)
    P, Lam, size = P[size > 0], Lam[size > 0], size[size > 0]
    moments = P[:, :, None] * Lam[:, None, :]  # (n, 3, C)
    best, best_u = 0.0, np.array([1.0, 0.0, 0.0])
    inner_sizes: list[Array] = []
    inner_tops: list[Array] = []
    for part in _chunks(len(P), 3 * C + 6):
        x = P[part] / size[part, None]
        frames = np.linalg.svd(x[:, None, :])[2][:, 1:].transpose(0, 2, 1)  # (K, 3, 2)
        Q = P[None] @ frames
        on_plane = np.linalg.norm(Q, axis=2) <= 1e-12 * size
        Q[on_plane] = 0.0
        start, end, M = _arcs(Q, np.broadcast_to(moments, (len(x), *moments.shape)))
        value, t, k = _arc_maxima(start, end, np.einsum("kia,ktic->ktac", frames, M))
        if value > best:
            best, best_u = value, frames[k] @ _direction(t)
        # The samples on the plane itself are active on one side of it or the other.
        side = np.where(on_plane, np.sign(x @ P.T), 0.0)
        for sign in (1.0, -1.0):
            own = np.einsum("kn,nic->kic", (side == sign).astype(float), moments)
            cells = M + own[:, None]
            norms = np.sqrt(np.einsum("ktic,ktic->kt", cells, cells))
            k_index, t_index = np.nonzero(norms > best)
            tops = _top_directions(cells[k_index, t_index])
            height = sign * np.einsum("mi,mi->m", tops, x[k_index])
            # either end of the axis may lie in the cell; the sign of the height tells which
            inner_sizes.append(norms[k_index, t_index])
            inner_tops.append(tops * np.where(height >= 0, 1.0, -1.0)[:, None])
    sizes, tops = np.concatenate(inner_sizes), np.concatenate(inner_tops)
    order = np.argsort(-sizes)
    for s in range(0, len(order), 1024):
        index = order[s : s + 1024]
        if sizes[index[0]] <= best:
            break
        # A maximiser outside its cell belongs to no cell's inside, but its value is a value.
        values = np.linalg.norm(Lam.T @ np.maximum(P @ tops[index].T, 0), axis=0)
        m = int(np.argmax(values))
        if values[m] > best:
            best, best_u = float(values[m]), tops[index[m]]
    return best, best_u


def _top_directions(cells: Array) -> Array:
    """Unit maximisers of ``||M^T u||`` for moments ``cells`` (m, 3, C)."""
    if cells.shape[2] == 1:
        u = cells[..., 0]
        return u / np.maximum(np.linalg.norm(u, axis=1, keepdims=True), 1e-300)
    return np.linalg.eigh(cells @ cells.transpose(0, 2, 1))[1][..., -1]
