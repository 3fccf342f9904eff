"""Proven upper bounds on the polar gauge, one class a method.

For a core problem with design A (n, k) the gauge of a dual point Lam (n, C) is

    g(Lam) = max_{||u|| <= 1} || Lam^T (A u)_+ ||_2,

with ``A u + b`` and a maximum over all b when the bias is free (then the columns of Lam sum
to zero).  A lower bound on training needs an UPPER bound of g, whatever found Lam.

Free biases reduce to none: some optimal b puts a kink on a sample (JMLR 2021, Lemma 6), so

    g_free(A) = max_k g_none(A - 1 x_k^T).

Every class has a ``name``, says what it ``needs`` and whether a problem ``applies``, and its
``bound(core, Lam)`` refuses the others; :func:`gauge_bound` picks the sharpest that applies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

import numpy as np

from ..core.arrays import is_sparse, row_norms
from ..core.checks import Array, choose
from ..core.losses import EPS
from ..core.problem import Problem
from ..core.reduction import Reduction, power_of_two
from .conditions import SPIKE_FREE_TOL, rays, spectral_norm, spectrum, spike_free, whitening
from .search import Candidates
from .spike_free_search import cone_maximum

# A cone that could hold so little more, as a share of the norms of data and dual point, is closed;
# by dimension: the last digits of four cost a minute on trained networks.
CLOSE = {2: 1e-10, 3: 1e-10, 4: 1e-6}
# Sizes of dual points beyond this, or below its inverse, are taken out.
LARGE = 1e100
# Local maxima that an enumeration lists, the best ones.
PEAKS = 64
# In one and two dimensions values that cancel to this share of their rounding are summed again in
# extended precision: data far from zero.
CANCELLED = 1e-8
# Scores after which the cones still open are left as they are: some ten seconds.  A cone costs as
# much as so many beside its own, which on few samples is all.
MAX_WORK, OVERHEAD = 10**9, 64


@dataclass(frozen=True, eq=False)
class GaugeBound:
    """``lower <= g(Lam) <= upper``; the first of ``neurons`` attains ``lower`` where there are any.

    In one and two dimensions, a free bias counting as one, they are the local maxima of the gauge,
    the best :data:`PEAKS` of them, best first.
    ``multipliers`` let anybody re-check ``upper`` where that takes more than the data.
    """

    lower: float
    upper: float
    neurons: Candidates | None
    proof: str
    method: str = "norm"
    multipliers: Any = None


class GaugeMethod(ABC):
    """One way to bound the gauge, for the problems it ``applies`` to."""

    name: ClassVar[str]
    #: in words, what a problem must be for ``applies``
    needs: ClassVar[str]

    @abstractmethod
    def applies(self, core: Problem) -> bool: ...

    def bound(self, core: Problem, Lam: Array) -> GaugeBound:
        """The gauge of ``Lam`` (n_samples, n_outputs) from below and, proven, from above.

        Raises
        ------
        ValueError
            Where the method does not apply, or ``Lam`` is no dual point of ``core``.
        """
        self.require(core)
        if Lam.shape != core.Y.shape:
            raise ValueError(
                f"Lam must have the shape of the targets, {core.Y.shape}, got {Lam.shape}"
            )
        if not np.all(np.isfinite(Lam)):
            return GaugeBound(0.0, np.inf, None, "overflow: nothing is proven", self.name)
        size = power_of_two(float(np.abs(Lam).max()))
        if 1 / LARGE < size < LARGE:
            return self._bound(core, Lam)
        # squares would over- or underflow; the gauge is homogeneous, multipliers are not
        bound = self._bound(core, Lam / size)
        neurons = bound.neurons and replace(bound.neurons, value=bound.neurons.value * size)
        upper = float(np.nextafter(bound.upper * size, np.inf))
        return replace(
            bound, lower=bound.lower * size, upper=upper, neurons=neurons, multipliers=None
        )

    def require(self, core: Problem) -> None:
        """Raise ValueError where the method does not apply."""
        if not self.applies(core):
            raise ValueError(
                f"the data do not meet the conditions of method={self.name!r}, which needs "
                f"{self.needs}; use 'auto'"
            )

    @abstractmethod
    def _bound(self, core: Problem, Lam: Array) -> GaugeBound: ...


class Whitened(GaugeMethod):
    """``A A^T = s^2 I``: ``g = s max(||lam_+||, ||lam_-||)`` for one output (JMLR 2021, Lemma 4).

    For several outputs ``||Lam||_2`` bounds it, and is exact when the leading left singular
    vector has one sign.
    """

    name = "whitened"
    needs = "samples that are orthogonal and of equal norm, and no free bias"

    def applies(self, core: Problem) -> bool:
        return not core.free and core.n_samples <= core.n_features and whitening(core) is not None

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        scale, slack = whitening(core) or (1.0, np.inf)
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
        upper = (scale * size + slack * float(np.linalg.norm(Lam))) * (1 + 8 * len(Lam) * EPS)
        exact = upper <= lower * (1 + 1e-6)
        how = "exact" if exact else "spectral norm of the dual point"
        return GaugeBound(lower, upper, _single(u, lower), f"whitened data: {how}", self.name)


class LowRank(GaugeMethod):
    """Exact enumeration for data of rank at most 4, the free bias counting as one.

    Rank one: the two rays, or with a free bias every kink by prefix sums.  Rank two: on each
    arc between two data hyperplanes the active set is constant and the maximum is closed
    form.  Rank three or four, the free bias counting: cones of directions are bisected until none
    can hold more than a share :data:`CLOSE` of the data's norm above the best neuron found.
    """

    name = "low-rank"
    needs = "rank 3 at most up to 20,000 samples, 4 up to 200, a free bias counting as one"
    #: most samples by rank, a free bias counting as one: a second or so each
    MAX_SAMPLES = {3: 20000, 4: 200}

    def applies(self, core: Problem) -> bool:
        rank = spectrum(core).rank if core.n_features <= 64 else 99
        dimensions = rank + core.free
        return dimensions <= 2 or core.n_samples <= self.MAX_SAMPLES.get(dimensions, 0)

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        space = spectrum(core)
        P, rank, size, left = space.samples, space.rank, np.linalg.norm(Lam, axis=1), space.left
        with np.errstate(over="ignore"):
            far = row_norms(P)
            if core.free:  # a neuron measures the samples from the one it bends at
                far, left = far + far.max(), left + left.max()
            spread = float(far @ size)
        if not np.isfinite(spread):
            return GaugeBound(0.0, np.inf, None, "overflow: nothing is proven", self.name)
        bias = " with free bias" if core.free else ""
        proof = f"rank {rank} data{bias}: exact enumeration" if rank else "constant data: exact"
        beside = float(left @ size) * (1 + len(size) * EPS)
        if rank == 0:
            return GaugeBound(0.0, beside, None, proof, self.name)
        if rank + core.free > 2:
            found, cones = _cones(P, Lam, core.free)
        else:
            listed = _plane if rank == 2 else _kinks if core.free else _rays
            found, cones = listed(P, Lam), 0.0
        # sums of n terms: rounding n EPS of the absolute sum, for the values and the events
        terms, eps = 8 * (core.n_samples + 8), EPS
        if rank + core.free <= 2 and terms * EPS * spread > CANCELLED * float(found.value[0]):
            eps = float(np.finfo(np.longdouble).eps)
            found = listed(P.astype(np.longdouble), Lam.astype(np.longdouble)).astype(float)
        value = float(found.value[0])
        rounding = terms * eps * spread + 4 * EPS * value
        upper = (max(value, cones) + rounding) * space.stretch + beside
        U = space.basis @ found.U
        neurons = Candidates(U, found.b - space.mean @ U, found.value)
        return GaugeBound(value, upper, neurons, proof, self.name)


@dataclass(frozen=True, eq=False)
class SpikeFreeProof:
    """``nu`` (2, n) for the dual point and its negative, and the norms that they leave."""

    nu: Array
    upper: tuple[float, ...]


class SpikeFree(GaugeMethod):
    """Spike-free data, one output: every ``(A u)_+`` is ``A w`` with ``||w|| <= 1``.

    Then ``g_+(lam) = max {lam.A w : A w >= 0, ||w|| <= 1}``, and by duality

        g_+(lam) = min_{nu >= 0} || A^T (lam + nu) ||,

    a nonnegative least-squares problem any feasible nu of which gives an upper bound
    (JMLR 2021, Theorem 4).  False on other data, so :func:`gapless.spike_free_test` decides first.
    """

    name = "spike-free"
    needs = "spike-free data, dense, of at most 1000 samples, one output and no free bias"

    def applies(self, core: Problem) -> bool:
        one = core.n_outputs == 1 and not core.free and not is_sparse(core.X)
        if not one or core.n_samples > 1000:
            return False
        test = spike_free(core)
        return test.holds is not False and test.excess <= SPIKE_FREE_TOL

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        return self.of_data(core.X, Lam)

    def of_data(self, A: Array, Lam: Array) -> GaugeBound:
        """The bound for data known to be spike-free."""
        (n, k), (R, B) = A.shape, rays(A)
        best = (0.0, np.zeros(k))
        size = row_norms(A)
        # what merging parallel samples leaves of each
        beside = row_norms(A - B @ R) + (k + 8) * EPS * size
        multipliers, uppers = [], []
        for side in (Lam[:, 0], -Lam[:, 0]):
            w, nu = cone_maximum(A, side)
            value = float(np.linalg.norm(A.T @ (side + nu)))
            rounding = (n + 8) * EPS * float(size @ (np.abs(side) + nu))
            slack = rounding + float(beside @ (2 * np.abs(side) + nu))
            multipliers.append(nu)
            uppers.append((value + slack) * (1 + SPIKE_FREE_TOL))
            u = w / max(float(np.linalg.norm(w)), 1e-300)
            value = abs(float(Lam[:, 0] @ np.maximum(A @ u, 0.0)))
            best = max(best, (value, u), key=lambda entry: entry[0])
        proof = SpikeFreeProof(np.array(multipliers), tuple(uppers))
        words = "spike-free data: exact"
        neuron = _single(best[1], best[0])
        return GaugeBound(best[0], max(uppers), neuron, words, self.name, proof)


class Norm(GaugeMethod):
    """``||A||_2`` times the norm of the dual point: crude, valid for every data set.

    One output: ``||A||_2 max(||lam_+||, ||lam_-||)``; several: ``||A||_2 ||Lam||_2``.  With a
    free bias A is centred at each sample in turn; ``||A - 1 x_k^T||^2`` is at most
    ``||A_c||^2 + n ||x_k - mean||^2``.
    """

    name = "norm"
    needs = "nothing"

    def applies(self, core: Problem) -> bool:
        return True

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        if Lam.shape[1] == 1:
            size = max(np.linalg.norm(np.maximum(Lam, 0)), np.linalg.norm(np.maximum(-Lam, 0)))
        else:
            size = np.linalg.norm(Lam, 2)
        upper = spectral_norm(core) * float(size) * (1 + (core.n_samples + 8) * EPS)
        return GaugeBound(0.0, upper, None, "norm bound")


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
        return METHODS[choose("method", method, METHODS)].bound(core, Lam)
    return next(m for m in METHODS.values() if m.applies(core)).bound(core, Lam)


def is_exact(core: Problem) -> bool:
    """Whether an exact method applies, so that its bound has the best neuron to add."""
    return METHODS["low-rank"].applies(core)


def conditions(problem: Problem) -> str:
    """What the data are, in words, and which bound of the gauge that gives.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(9, 3))
    >>> conditions(Problem(X, X[:, 0], bias="none"))
    'rank 3 data: exact enumeration'
    """
    core = Reduction(problem).core
    dimension = spectrum(core).rank
    with_bias = " with free bias" if core.free else ""
    if METHODS["low-rank"].applies(core):
        return f"rank {dimension} data{with_bias}: exact enumeration"
    if METHODS["whitened"].applies(core):
        return "whitened data: closed form"
    if METHODS["spike-free"].applies(core):
        return "spike-free data: nonnegative least squares"
    return f"rank {dimension} data{with_bias}: convex relaxations and cells of signs"


# Exact gauges of low rank.


def _single(u: Array, value: float, b: float = 0.0) -> Candidates:
    return Candidates(u[:, None], np.array([b]), np.array([value]))


def _rays(P: Array, Lam: Array) -> Candidates:
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
    moments = P[:, :, None] * Lam[:, None, :]
    angle = np.arctan2(P[:, 1], P[:, 0])
    enter = np.mod(angle - 0.5 * np.pi, 2 * np.pi)
    leave = np.mod(angle + 0.5 * np.pi, 2 * np.pi)
    events = np.concatenate([enter, leave])
    order = np.argsort(events)
    start = events[order]
    end = np.append(start[1:], start[0] + 2 * np.pi)
    active = moments[enter > leave].sum(axis=0)  # at angle 0
    M = active + np.cumsum(np.concatenate([moments, -moments])[order], axis=0)
    G = np.einsum("aic,ajc->aij", M, M)
    top = 0.5 * np.arctan2(G[:, 0, 1], 0.5 * (G[:, 0, 0] - G[:, 1, 1]))
    # between these points it rises or falls: an arc's start, its maximum and its minimum inside
    inner = start + np.mod([top - start, top - start + 0.5 * np.pi], np.pi)
    t = np.sort(np.vstack([start, np.where(inner < end, inner, start)]), axis=0)
    t = t.ravel("F")
    # the norm itself: from its square, small differences of large numbers, half the digits are lost
    M = np.repeat(M, 3, axis=0)
    values = np.linalg.norm(np.cos(t)[:, None] * M[:, 0] + np.sin(t)[:, None] * M[:, 1], axis=1)
    keep = _peaks(values)
    U = np.stack([np.cos(t[keep]), np.sin(t[keep])])
    return Candidates(U, np.zeros(len(keep)), values[keep])


def _peaks(v: Array) -> Array:
    """Where values round a circle have local maxima, best first; the last of equal neighbours."""
    run = np.flatnonzero(v != np.roll(v, -1))
    if run.size == 0:
        return np.zeros(1, dtype=np.intp)
    peaks = run[(v[run] > np.roll(v[run], 1)) & (v[run] > np.roll(v[run], -1))]
    return peaks[np.argsort(-v[peaks], kind="stable")[:PEAKS]]


def _cones(P: Array, Lam: Array, free: bool) -> tuple[Candidates, float]:
    """Bisect cones of directions (u, b) in up to four dimensions, b along the last if free.

    On a cone with generators g_j of ``||u|| = 1`` a ReLU that bends lies between its
    interpolation, above, and 0 or its argument, below; all others are linear there.  Cones whose
    bound exceeds the best generator are halved.  Returns that generator and the bound.
    """
    r = P.shape[1]
    size, spread = np.linalg.norm(Lam, axis=1), float(np.linalg.norm(P) * np.linalg.norm(Lam))
    cones = np.array([np.diag(signs) for signs in product((1.0, -1.0), repeat=r)])
    if free:  # |b| is at most the largest row norm; prisms are cut into cones
        far = 1.01 * float(np.linalg.norm(P, axis=1).max())
        low, high = (np.insert(cones, r, b, axis=2) for b in (-far, far))
        cones = np.concatenate([np.hstack([low[:, i:], high[:, : i + 1]]) for i in range(r)])
        P = np.hstack([P, np.ones((len(P), 1))])
    i, j = np.triu_indices(cones.shape[1], 1)
    best, neuron, closed, work = 0.0, cones[0, 0], 0.0, 0
    while len(cones):
        fresh, bounds = [], []
        for V in np.array_split(cones, 1 + cones.size * len(P) // (1 << 22)):
            S = V @ P.T
            top, mixed = np.maximum(S, 0), (S.min(axis=1) < 0) & (S.max(axis=1) > 0)
            values = np.linalg.norm(top @ Lam, axis=2)
            c, g = np.unravel_index(int(np.argmax(values)), values.shape)
            if values[c, g] > best:
                best, neuron = float(values[c, g]), V[c, g]
            bottom = np.where(mixed[:, None], S * (S.sum(axis=1) > 0)[:, None], top)
            above = 0.5 * (np.linalg.norm((top + bottom) @ Lam, axis=2) + (top - bottom) @ size)
            mean = V[..., :r].sum(axis=1, keepdims=True)
            least = np.sum(V[..., :r] * mean, axis=2).min(axis=1)
            above = above.max(axis=1) * np.linalg.norm(mean[:, 0], axis=1) / least
            bends = np.einsum("cen,cn->ce", np.abs(S[:, i] - S[:, j]), mixed * size)
            bends += best * np.sum((V[:, i, :r] - V[:, j, :r]) ** 2, axis=2)
            edge, all_of = np.argmax(bends, axis=1), np.arange(len(V))
            middle = V[all_of, i[edge]] + V[all_of, j[edge]]
            middle /= np.linalg.norm(middle[:, :r], axis=1)[:, None]
            halves = np.stack([V, V])
            halves[0, all_of, i[edge]] = halves[1, all_of, j[edge]] = middle
            fresh.append(halves)
            bounds.append(above)
        above = np.concatenate(bounds)
        work += cones.size * (len(P) + OVERHEAD)
        keep = above > best + CLOSE[cones.shape[2]] * spread
        if work > MAX_WORK:
            closed = max(closed, float(above.max()))
            break
        closed = max(closed, float(above[~keep].max(initial=0.0)))
        cones = np.concatenate(fresh, axis=1)[:, keep].reshape(-1, *cones.shape[1:])
    return _single(neuron[:r], best, float(neuron[r:].sum())), max(best, closed)
