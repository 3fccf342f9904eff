"""The samples of a dual point in the coordinates in which boxes of directions are cut.

What matters most is in which coordinates boxes are cut: the eigenvectors of
``sum_i |lam_i| x_i x_i^T / ||x_i||^(1/2)``, as long samples are crossed by fewer boxes.  A free
bias b is one more coordinate, left out of the norm, samples less their mean by ``|lam_i|``: on a
face of the cube no neuron that bends at a sample has ``|b|`` above ``max_i ||x_i||_1``.

Rounding.  A box has ``|u_j| + w_j <= 1``, so all that is summed for sample i, its weight taken out,
is at most ``4 (D + 1) ||x_i||_1``, and with ``S = sum_i |lam_i| ||x_i||_1`` a bound is off by at
most ``EPS (8 (n + 64) (D + 4) + 200 (D + 4)^3) (S + G)``: the sums over n samples in any order,
half of it, what fewer samples round, and the Cholesky factor of a form of trace below ``4 D^2 (S +
G)``.  As ``||u|| >= 1`` on a face that much is added to G.  What samples have beside the
coordinates kept is charged as measured, and single precision box by box
(:mod:`gapless.gauge.boxes_compiled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..core.arrays import row_norms
from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.rounding import EPS
from .boxes import Cone
from .cancelling import Pairs, cancelled, neighbours
from .proof_boxes import BoxProof
from .row_space import row_space

# Samples count in the choice of axes as if they were so long at least, of the longest.
SHORTEST, TINY = 1e-3, 1e-300
# Outputs in which a dual point has less than this are left out, and charged.
OUTPUT_TOL = 1e-12


@dataclass(frozen=True, eq=False)
class Rotated:
    """The samples in the coordinates in which boxes are cut, the dual point in those it has.

    Attributes
    ----------
    P : array of shape (n_distinct, D)
        Distinct samples; the last column, of a free bias, holds the power of two that is its unit.
    Lam : array of shape (n_distinct, r)
        The dual point in the outputs that it has, summed over equal samples.
    n_samples : int
    basis : array of shape (n_features, rank)
    mean : array of shape (n_features,)
    normed : array of shape (D,)
        0 for the bias, 1 elsewhere.
    spread : float
        ``sum_i ||Lam_i|| ||x_i||_1`` over all samples.
    stretch, beside : float
        A bound of the norm of ``basis`` times that of the outputs, and what samples and dual point
        have beside them, in any neuron.
    """

    P: Array
    Lam: Array
    n_samples: int
    basis: Array
    mean: Array
    normed: Array
    spread: float
    stretch: float
    beside: float

    @classmethod
    def of(cls, core: Problem, Lam: Array) -> Rotated:
        outputs = outputs_of(Lam)
        whole = Lam @ outputs
        unit = 1 + float(np.linalg.norm(outputs.T @ outputs - np.eye(whole.shape[1]))) + 64 * EPS
        missed = row_norms(Lam - whole @ outputs.T) + 64 * EPS * row_norms(Lam)
        first, group = _distinct(core)
        part = np.zeros((len(first), whole.shape[1]))
        np.add.at(part, group, whole)
        sizes = np.bincount(group, row_norms(whole)) * (1 + (64 + len(group)) * EPS)
        space = row_space(core)
        X, rank, weights = space.samples[first], space.rank, row_norms(part)
        mean = core.free * (weights @ X) / max(weights.sum(), TINY)
        rounded = 2 * EPS * (row_norms(X) + np.linalg.norm(mean)) * core.free
        X = X - mean
        turn = _axes(X, weights)
        P = X @ turn
        stretch = 1 + float(np.linalg.norm(turn.T @ turn - np.eye(rank))) + 16 * rank * EPS
        lost = row_norms(X - P @ turn.T) + 16 * (rank + 4) * EPS * rank * row_norms(X) + rounded
        left = space.left[first] * stretch + lost
        if core.free:  # a neuron measures the samples from the one it bends at
            left = left + left.max()
        beside = float(left @ sizes) * space.stretch * stretch * unit
        if Lam.shape[1] > 1:
            beside += float(missed @ core.reach)
        beside *= 1 + 2 * len(Lam) * EPS
        normed = np.ones(rank)
        if core.free and rank:
            reach = 2.0 ** np.ceil(np.log2(np.abs(P).sum(axis=1).max() * (1 + 4 * rank * EPS)))
            P = np.hstack([P, np.full((len(P), 1), reach)])
            normed = np.append(normed, 0.0)
        spread = float(sizes @ np.abs(P).sum(axis=1))
        mean, basis = space.mean + space.basis @ mean, space.basis @ turn
        stretch *= space.stretch * unit
        return cls(P, part, len(Lam), basis, mean, normed, spread, stretch, beside)

    def cone(self, v: tuple[float, ...]) -> Cone:
        """The one output ``Lam v``."""
        return Cone.of(self.P, self.Lam @ np.array(v), self.normed)

    def fewer(self, v: tuple[float, ...], room: float) -> Cone:
        """The same, of samples that bound it from above, by ``room`` at most."""
        X, lam = cancelled(self.P, self.Lam @ np.array(v), self.near, room)
        return Cone.of(X, lam, self.normed)

    @cached_property
    def near(self) -> Pairs:
        return neighbours(self.P, self.normed)

    def rounding(self, G: float) -> float:
        """What the bound of a box may be off by; see the module."""
        n, D = self.n_samples, self.P.shape[1]
        return EPS * (8 * (n + 64) * (D + 4) + 200 * (D + 4) ** 3) * (self.spread + G)

    def proof(self, G: float, tree: Array, batch: int, seconds: float) -> BoxProof:
        """What a proof file needs of a search."""
        sums = np.abs(self.P[:, self.normed > 0]).sum(axis=1)
        reach = float(self.P[0, -1] / sums.max())
        return BoxProof(G, self.basis, reach, tree, batch, seconds)

    def neuron(self, core: Problem, Lam: Array, direction: Array) -> Candidates:
        """The neuron of a direction, its value computed anew."""
        rank = self.basis.shape[1]
        u = self.basis @ direction[:rank]
        size = float(np.linalg.norm(u))
        b = float(direction[rank] * self.P[0, rank]) if core.free else 0.0
        u, b = u / size, b / size - float(self.mean @ u) / size
        active = np.maximum(core.design.scores(u) + b, 0.0)
        return Candidates.one(u, float(np.linalg.norm(Lam.T @ active)), b)


def _axes(X: Array, weights: Array) -> Array:
    """The axes (r, r) that boxes are cut along, longest first; see the module."""
    sizes = row_norms(X)
    short = SHORTEST * sizes.max(initial=0.0) + TINY
    weights = weights / np.sqrt(np.maximum(sizes, short))
    return np.linalg.eigh((X.T * weights) @ X)[1][:, ::-1]


@lru_cache(maxsize=8)  # problems are immutable
def _distinct(core: Problem) -> tuple[Array, Array]:
    """The first of all samples that are equal, and which of these each sample equals.

    Tables of categories and counts have few.
    """
    _, first, group = np.unique(core.design.array(), axis=0, return_index=True, return_inverse=True)
    return first, group.ravel()


def outputs_of(Lam: Array) -> Array:
    """Orthonormal columns (C, r) that span the rows of ``Lam`` but for rounding: those of softmax
    sum to zero."""
    if Lam.shape[1] == 1:
        return np.eye(1)
    _, s, Vt = np.linalg.svd(Lam, full_matrices=False)
    return Vt[s > OUTPUT_TOL * s[0]].T
