"""The gauge of several outputs exactly, for data of fixed rank, by the faces of an arrangement.

The hyperplanes ``x_i.u = 0`` cut the sphere into cells.  On a closed cell the active samples are
the same, and the gauge is ``||M^T u||`` with ``M = sum_active x_i Lam_i^T``.  Its maximiser u lies
in the relative interior of one face: the directions of the cell with ``x_i.u = 0`` for i in Z.
There it is a local maximum of ``||M^T u||`` on the sphere of the subspace of Z, and a quadratic
form has no local maximum on a sphere but its top eigenvectors.  So

1. a cell is the cone of its rays r_j, at which Z is r - 1 samples.  For any w that is ahead of all
   of them, a unit ``u = sum c_j r_j`` has ``||M^T u|| <= sum c_j ||M^T r_j||``, which is at most
   ``max_j ||M^T r_j|| / (w.r_j)`` times ``sum c_j w.r_j = w.u <= 1``.  Most cells are small, and
   done by that;
2. a face whose top singular value is no more than the best neuron met is done, and so are all
   faces within it, as their subspaces are smaller;
3. a face whose top singular vectors, +-v, lie outside its closed cell has its maximum on one of
   its own faces: Z gets one more sample;
4. any other face cannot hold more than its top singular value, which counts as a bound.

The largest singular value over ALL faces is a bound too, but no sharp one: it belongs to a
direction outside its cell as a rule.

The cells are those at the vertices: every r - 1 independent samples have a normal +-u, from which
each goes to either side.  There are at most ``2 sum_{i<r} C(n - 1, i)``.

Rounding.  A sign at a vertex counts as open, both ways, where it is within the rounding of the
normal; v as outside only where it is by more than the rounding of an eigenvector, which depends on
the gap between eigenvalues.  Where a cell cannot be told, nothing is proven.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import comb

import numpy as np
from scipy.spatial import cKDTree

from ..core.arrays import BLOCK, row_norms
from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.rounding import EPS, TINY
from ..core.watch import Watch
from .base import Dual, GaugeBound, Relaxation
from .lifted import liftable
from .low_rank import MAX_FEATURES, by_enumeration
from .row_space import row_space
from .search import Oracle
from .spike_free import RAY_TOL, rays

# Sides of samples at all vertices, most: about ten seconds.  Ranks beyond have few samples.
MAX_WORK, MAX_RANK = 6e6, 7
# Samples at one vertex beside those that make it.
MAX_OPEN = 6
# What a face can hold more, as a share of the best, is not looked for.
CLOSE = 1e-9
# Of a form's square size: what projections and eigenvalues of it are off by at most.
FORM = 1e-11
# Tied samples are dependent up to rounding, and independent enough to project on.
DEPENDENT, INDEPENDENT = 1e-13, 1e-4
# Samples less independent than this may hide a ray.
UNSURE = 1e-8
# The ray ahead of a cell leans to rays of large gauge, by this power of it.
LEAN = 4
# Starts of the search for the best neuron.
STARTS = 128


class Faces(Relaxation):
    """Enumeration of faces; see the module.  The dual point stays where it is."""

    name = "faces"
    needs = "several outputs, rank 7 at most and few samples: some 40 of rank 5"
    file_samples = 0  # the checker enumerates lower ranks only
    pools = True

    def for_files(self) -> Faces:
        raise ValueError("method='faces' has no proof file; use another method, or write none")

    def applies(self, core: Problem) -> bool:
        if core.n_features > MAX_FEATURES or (core.design.pooled and not liftable(core)):
            return False
        if core.n_outputs * core.design.places == 1:  # boxes of directions take less
            return False
        rank = row_space(core).rank
        anchors = core.design.n_rows if core.free else 1
        sides = 2**rank * comb(core.design.n_rows, max(rank - 1, 0)) * anchors
        return 2 <= rank <= MAX_RANK and sides <= MAX_WORK

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        return by_enumeration(core, Lam, _largest, "faces")

    def maximise(self, core: Problem, Lam: Array, watch: Watch) -> Iterator[Dual]:
        yield Lam, self.bound(core, Lam)


def _largest(P: Array, Lam: Array, free: bool, spread: float) -> tuple[Candidates, float, float]:
    """The best neuron, what no face exceeds, and the rounding of both."""
    found = Oracle(P, free, np.random.default_rng(0))
    start = found.search(Lam, np.zeros((P.shape[1], 0)), STARTS)
    top = start.take(np.argsort(-start.value)[:1])
    # values anew: a search has its own rounding
    best = Candidates.one(top.U[:, 0], 0.0, float(top.b[0]))
    value = float(np.linalg.norm(Lam.T @ np.maximum(P @ top.U[:, 0] + top.b[0], 0.0)))
    best, upper = Candidates(best.U, best.b, np.array([value])), value
    for k in range(len(P)) if free else [None]:  # a free neuron bends at a sample
        own = P if k is None else P - P[k]
        u, value, most = largest_of_cells(own, Lam, float(best.value[0]))
        upper = max(upper, most)
        if value > best.value[0]:
            best = Candidates.one(u, value, 0.0 if k is None else -float(P[k] @ u))
    rounding = 8 * (len(P) + 8) * EPS * spread * 2 ** (1 + free)
    return best, upper, rounding + 4 * FORM * upper


def largest_of_cells(P: Array, Lam: Array, best: float) -> tuple[Array, float, float]:
    """The largest ``||Lam^T (P u)_+||`` over unit u.

    Parameters
    ----------
    P : array of shape (n, r)
    Lam : array of shape (n, C)
    best : float
        A value attained: nothing below is looked for.

    Returns
    -------
    u : array of shape (r,)
        Of a better value; zero where none is found.
    value : float
        There.
    upper : float
        What no direction exceeds, but for rounding; infinite where the cells cannot be told.
    """
    planes = Hyperplanes.of(P)
    arrangement, beside = _Arrangement.of(planes, Lam)
    listed = planes.cells()
    u, value, upper = np.zeros(P.shape[1]), best, best
    if listed is None:
        return u, 0.0, np.inf
    cells = listed.on[arrangement.most(listed) > best]
    tied = np.zeros((len(cells), 0), dtype=np.intp)  # Z
    step = max(1, BLOCK // (8 * arrangement.moments.size))
    while len(cells):
        parts = []
        for start in range(0, len(cells), step):
            part = slice(start, start + step)
            seen = arrangement.seen(cells[part], tied[part], value)
            both = np.concatenate([seen.v, -seen.v])
            attained = arrangement.gauge(both)
            if attained.size and attained.max() > value:
                at = int(np.argmax(attained))
                value, u = float(attained[at]), both[at]
            upper = max(upper, float(seen.size[~seen.outside].max(initial=0.0)))
            parts.append((seen.on[seen.outside], seen.tied[seen.outside], seen.size[seen.outside]))
        on, tied, size = (np.concatenate(x) for x in zip(*parts))
        deeper = size > value * (1 + CLOSE)
        cells, tied = _walls(on[deeper], tied[deeper], P.shape[1])
    return u, value if u.any() else 0.0, max(upper, value * (1 + CLOSE)) + beside


@dataclass(frozen=True, eq=False)
class Hyperplanes:
    """The hyperplanes of samples, parallel ones joined.

    Attributes
    ----------
    units : array of shape (p, r)
        Their unit normals.
    ahead, behind : arrays of shape (n, p)
        Not negative: ``(P u)_+ = ahead (units u)_+ + behind (-units u)_+``, but for ``lost``.
    lost : array of shape (n,)
        What joining has moved the samples by.
    """

    units: Array
    ahead: Array
    behind: Array
    lost: Array

    @classmethod
    def of(cls, P: Array) -> Hyperplanes:
        """Those of the rows of P (n, r)."""
        rows, B = rays(P)
        pairs = cKDTree(rows).query_ball_tree(cKDTree(-rows), RAY_TOL)
        partner = np.array([min([i, *near]) for i, near in enumerate(pairs)], dtype=np.intp)
        first, opposite = np.unique(partner), partner < np.arange(len(rows))
        behind = np.zeros_like(B)
        for i in np.flatnonzero(opposite):
            behind[:, partner[i]] += B[:, i]
        signs = np.where(opposite, -1.0, 1.0)
        lost = row_norms(P - B @ (signs[:, None] * rows[partner]))
        return cls(rows[first], B[:, first], behind[:, first], lost)

    def cells(self) -> Cells | None:
        """The closed cells; None if rounding hides them."""
        if self.units.shape[1] == 1:  # parallel ones are joined: one is left
            ends, each = np.array([[1.0], [-1.0]]), np.arange(2)
            return Cells(ends > 0, ends * self.units, np.zeros(2), each, each, True)
        return _cells(self.units)

    def active(self, on: Array) -> Array:
        """The matrix (n, r) of ``u -> (P u)_+`` in a cell."""
        return (self.ahead * on - self.behind * ~on) @ self.units

    def beside(self, Lam: Array) -> float:
        """What ``lost`` adds to the gauge of a dual point (n, C)."""
        return float(self.lost @ np.linalg.norm(Lam, axis=1)) * (1 + 1e-9)


@dataclass(frozen=True, eq=False)
class Cells:
    """The closed cells of hyperplanes, and the rays that each is the cone of.

    Attributes
    ----------
    on : array of shape (cells, p)
        Which normals are positive.
    rays : array of shape (k, r)
        Of norm one.
    off : array of shape (k,)
        How far they may be from where hyperplanes meet.
    ray : array of shape (pairs,)
        The rays of the first cell, then those of the next.
    start : array of shape (cells,)
        Where those of each begin.
    whole : bool
        Whether no ray may be missing.
    """

    on: Array
    rays: Array
    off: Array
    ray: Array
    start: Array
    whole: bool


@dataclass(frozen=True, eq=False)
class _Seen:
    """Faces that may hold more than the best: their top singular value and vector.

    ``outside`` says where neither direction of the vector is in the closed cell.
    """

    on: Array  # (faces, n)
    tied: Array  # (faces, k), in order
    size: Array  # (faces,)
    v: Array  # (faces, r)
    outside: Array  # (faces,)


class _Arrangement:
    """Hyperplanes by unit normals (p, r), and what samples on each side of one weigh (p, C)."""

    def __init__(self, units: Array, plus: Array, minus: Array) -> None:
        self.units, self.plus, self.minus = units, plus, minus
        # what a hyperplane adds to M on its positive side, beside what it does on the other
        self.moments = units[:, :, None] * (plus + minus)[:, None, :]
        self.off = -(units.T @ minus)
        sizes = np.linalg.norm(plus, axis=1) + np.linalg.norm(minus, axis=1)
        self.steepest = float(sizes.sum())
        self.rounding = 16 * (len(units) + 8) * EPS * self.steepest

    @classmethod
    def of(cls, planes: Hyperplanes, Lam: Array) -> tuple[_Arrangement, float]:
        """That of samples, and what joining parallel ones leaves beside."""
        return cls(planes.units, planes.ahead.T @ Lam, planes.behind.T @ Lam), planes.beside(Lam)

    def gauge(self, U: Array) -> Array:
        """At directions U (m, r)."""
        S = U @ self.units.T
        return np.linalg.norm(np.maximum(S, 0) @ self.plus + np.maximum(-S, 0) @ self.minus, axis=1)

    def most(self, cells: Cells) -> Array:
        """What no direction of each cell exceeds, by the values at its rays."""
        if not cells.whole:
            return np.full(len(cells.on), np.inf)
        at_ray = self.gauge(cells.rays) + self.steepest * cells.off + self.rounding
        lean = (at_ray / max(float(at_ray.max()), TINY)) ** LEAN
        ahead = np.add.reduceat((lean[:, None] * cells.rays)[cells.ray], cells.start)
        ahead /= np.maximum(row_norms(ahead), TINY)[:, None]
        count = np.diff(np.append(cells.start, len(cells.ray)))
        cosine = np.einsum("pr,pr->p", cells.rays[cells.ray], np.repeat(ahead, count, axis=0))
        cosine -= cells.off[cells.ray] + FORM
        share = np.where(cosine > 0, at_ray[cells.ray] / np.maximum(cosine, TINY), np.inf)
        return np.maximum.reduceat(share, cells.start)

    def seen(self, on: Array, tied: Array, best: float) -> _Seen:
        """Those of the faces that may hold more than ``best``."""
        M = self._forms(on)
        basis, least = self._subspaces(tied)
        M = basis.swapaxes(1, 2) @ M
        # the Frobenius norm is a bound, and cheap; dependent samples tie nothing more
        frobenius = np.sqrt(np.einsum("kic,kic->k", M, M))
        keep = (frobenius > best) & (least > DEPENDENT)
        on, tied, M, frobenius, basis, least = (
            x[keep] for x in (on, tied, M, frobenius, basis, least)
        )
        s, V = np.linalg.eigh(M @ M.swapaxes(1, 2))
        error = FORM * frobenius**2 + 3 * self.rounding * frobenius
        size = np.sqrt(np.maximum(s[:, -1], 0.0) + error)
        size[least <= INDEPENDENT] = (
            np.sqrt(np.sum(self._forms(on[least <= INDEPENDENT]) ** 2, axis=(1, 2))) + self.rounding
        )
        gap = s[:, -1] - (s[:, -2] if s.shape[1] > 1 else 0.0)
        v = (basis @ V[:, :, -1:])[..., 0]
        # how far the vector may be off, and whether both +v and -v leave the cell by more
        off = 4 * error / np.maximum(gap, TINY) + 4 * FORM
        S = np.where(on, 1.0, -1.0) * (v @ self.units.T)
        np.put_along_axis(S, tied, 0.0, axis=1)
        outside = (S.min(axis=1, initial=0.0) < -off) & (S.max(axis=1, initial=0.0) > off)
        outside &= (off < 0.1) & (least > INDEPENDENT)
        more = size > best
        return _Seen(on[more], tied[more], size[more], v[more], outside[more])

    def _subspaces(self, tied: Array) -> tuple[Array, Array]:
        """Orthonormal bases (faces, r, r - k) of what is orthogonal to the tied samples.

        And how independent these are, 1 for orthogonal ones.
        """
        k = tied.shape[1]
        Q, R = np.linalg.qr(self.units[tied].swapaxes(1, 2), mode="complete")
        least = np.abs(np.einsum("fii->fi", R[:, :k])).min(axis=1, initial=1.0)
        return Q[:, :, k:], least

    def _forms(self, on: Array) -> Array:
        """M (cells, r, C) of cells."""
        n, r, C = self.moments.shape
        return self.off + (on.astype(float) @ self.moments.reshape(n, -1)).reshape(-1, r, C)


def _walls(on: Array, tied: Array, rank: int) -> tuple[Array, Array]:
    """The faces between two of those given, with one more sample tied.

    Two that differ in the side of one sample alone have such a wall between them, and only they.
    Where one of both is done, so is the wall.  Samples are tied in order.
    """
    (count, n), k = on.shape, tied.shape[1]
    if k == rank - 1 or count == 0:
        return on[:0], np.zeros((0, k + 1), dtype=np.intp)
    last = tied[:, -1] if k else np.full(count, -1)
    face, sample = np.nonzero(np.arange(n) > last[:, None])
    on, tied = on[face], np.hstack([tied[face], sample[:, None]])
    np.put_along_axis(on, tied, False, axis=1)
    small = np.uint8 if n <= 256 else np.uint16
    keys = np.hstack([np.packbits(on, axis=1), tied.astype(small).view(np.uint8)])
    _, first, met = np.unique(_rows(keys), return_index=True, return_counts=True)
    walls = first[met > 1]
    return on[walls], tied[walls]


def _rows(keys: Array) -> Array:
    """Rows of bytes as one value each; a number, which sorts faster, where it holds them."""
    width = keys.shape[1]
    if width <= 8:
        keys = np.pad(keys, ((0, 0), (0, 8 - width)))
        return np.ascontiguousarray(keys).view(np.uint64).ravel()
    keys = np.ascontiguousarray(keys)
    return keys.view(np.dtype((np.void, keys.shape[1]))).ravel()


def _cells(units: Array) -> Cells | None:
    """The cells, from the rays at which r - 1 samples meet; None where rounding hides them."""
    n, r = units.shape
    subsets = np.array(list(combinations(range(n), r - 1)), dtype=np.intp).reshape(-1, r - 1)
    Q, R = np.linalg.qr(units[subsets].swapaxes(1, 2), mode="complete")
    least = np.abs(np.einsum("kii->ki", R[:, : r - 1])).min(axis=1, initial=1.0)
    independent = least > 64 * EPS
    # samples that are nearly dependent may make a ray, or none
    whole = bool(np.all(least > UNSURE))
    subsets, normals, least = subsets[independent], Q[independent][:, :, -1], least[independent]
    if len(subsets) == 0:
        return None
    S = normals @ units.T
    np.put_along_axis(S, subsets, 0.0, axis=1)
    # a normal is off by the rounding of its samples over how independent they are
    off = np.maximum(256 * r * EPS / least, 1e-13)
    open_ = np.abs(S) <= off[:, None]
    extra = open_.sum(axis=1)
    if extra.max() > r - 1 + MAX_OPEN:
        return None
    keys, ray = [], []
    for count in np.unique(extra):
        rows = np.flatnonzero(extra == count)
        where = np.nonzero(open_[rows])[1].reshape(-1, count)
        for sides in product((False, True), repeat=int(count)):
            for sign in (1, -1):
                on = sign * S[rows] > 0
                np.put_along_axis(on, where, np.broadcast_to(sides, where.shape), axis=1)
                keys.append(np.packbits(on, axis=1))
                ray.append(rows if sign == 1 else rows + len(S))
    packed, at = np.concatenate(keys), np.concatenate(ray)
    _, first, cell = np.unique(_rows(packed), return_index=True, return_inverse=True)
    order = np.argsort(cell, kind="stable")
    start = np.searchsorted(cell[order], np.arange(len(first)))
    on = np.unpackbits(packed[first], axis=1, count=n).astype(bool)
    rays = np.concatenate([normals, -normals])
    return Cells(on, rays, np.tile(off, 2), at[order], start, whole)
