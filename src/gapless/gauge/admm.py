"""Alternating directions (ADMM) for the conic program of :mod:`gapless.gauge.doubly_nonnegative`.

The moment matrix of every cell is split into V, whose entries obey the cones, and W, which is
positive semidefinite; Y are the multipliers of V = W.  A step costs one eigendecomposition a cell.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem
from ..core.rounding import TINY
from .cells import Cell, CellProof, ConicProof, Geometry
from .outputs import Offer, Offers, Outputs

OVER = 1.6  # over-relaxation
# The first penalty of V - W: weight decay, over the largest trace that pays, so many times.
PENALTY = 30.0
# Residuals, relative, below which there is nothing left to gain.
SETTLED_PRIMAL, SETTLED_DUAL = 5e-4, 3e-5
# Bounds need the dual residual, so it is kept so many times below the primal one.
RESIDUAL_RATIOS = 2, 10
# Between two proofs the penalty changes by this factor at most, up or down.
STEP = 2.0
# A cell whose least decided sample is less open than this share of the first cell's stays whole.
OPEN = 1e-7


class CellState:
    """One cell's moment matrix W and multiplier Y."""

    def __init__(self, core: Problem, cell: Cell) -> None:
        self.cell, self.geometry = cell, Geometry(core, cell)
        order = len(self.geometry.T)
        self.W, self.Y = np.zeros((order, order)), np.zeros((order, order))

    def child(self, core: Problem, cell: Cell) -> CellState:
        """The state from which a half of this cell starts: half the mass, without what it fixes."""
        child = CellState(core, cell)
        new, old = child.geometry, self.geometry
        kept = np.concatenate(
            [
                np.arange(old.p.start),
                old.p.start + np.searchsorted(old.on, new.on),
                old.q.start + np.searchsorted(old.off, new.off),
            ]
        )
        child.W = 0.5 * self.W[np.ix_(kept, kept)]
        child.Y = self.Y[np.ix_(kept, kept)].copy()
        return child

    def least_decided(self, n_samples: int) -> tuple[float, int]:
        """How open the sign of a sample is, in mass on its lesser side, and which sample's is."""
        g = self.geometry
        s = g.balls["u"][0]
        on, off = np.zeros(n_samples), np.zeros(n_samples)
        on[g.on], off[g.off] = self.W[s, g.p], self.W[s, g.q]
        i = int(np.argmax(np.minimum(on, off)))
        return float(min(on[i], off[i])), i


class Alternation:
    """The state of a run: all cells, and what the program wants of their outputs."""

    def __init__(self, core: Problem, outputs: Outputs) -> None:
        self.core, self.outputs = core, outputs
        signs = (1, -1) if core.n_outputs == 1 else (0,)
        undecided = np.zeros(core.n_samples, dtype=int)
        self.cells = [CellState(core, Cell(sign, undecided)) for sign in signs]
        scale = core.data_fit(np.zeros_like(core.Y)) / core.weight_decay
        self.r = PENALTY * core.weight_decay / max(scale, TINY)
        self.residuals = (np.inf, np.inf)  # primal, dual

    @np.errstate(all="ignore")  # what is not a number proves nothing
    def after(self, steps: int) -> tuple[Array, float, ConicProof] | None:
        """A dual point after more steps, the bound of its gauge, and the proof.

        None once numbers too far apart have ended the run.
        """
        try:
            Lam, upper, proof = self._proven(*self._advance(steps))
        except (np.linalg.LinAlgError, ArithmeticError):
            return None
        return (Lam, upper, proof) if np.isfinite(upper) and np.all(np.isfinite(Lam)) else None

    @property
    def settled(self) -> bool:
        """Whether the program is solved, as far as it goes."""
        primal, dual = self.residuals
        return primal < SETTLED_PRIMAL and dual < SETTLED_DUAL

    def split(self, count: int) -> int:
        """Cut the cells where a sample's sign is least decided; returns how many were added."""
        found = [c.least_decided(self.core.n_samples) for c in self.cells]
        doubt = [(mass, number, i) for number, (mass, i) in enumerate(found)]
        chosen = [d for d in sorted(doubt, reverse=True)[:count] if d[0] > OPEN * doubt[0][0]]
        if not chosen or chosen[0][0] <= 0:
            return 0
        fresh = [
            self.cells[number].child(self.core, half)
            for _, number, i in chosen
            for half in self.cells[number].cell.split(i)
        ]
        gone = {number for _, number, _ in chosen}
        self.cells = [c for number, c in enumerate(self.cells) if number not in gone] + fresh
        return len(chosen)

    def _advance(self, steps: int) -> tuple[Array, list[Array]]:
        """Steps; returns the last dual point and the slack forms that belong to it."""
        for _ in range(steps):
            # 1. entries: cost, cones, and the loss of the outputs
            points = [c.W + c.Y / self.r for c in self.cells]
            V = [self._into_cones(c, point) for c, point in zip(self.cells, points)]
            Lam = self._settle_outputs(points, V)
            # 2. the semidefinite cone, 3. multipliers
            before = [(c.W, c.Y) for c in self.cells]
            for c, v in zip(self.cells, V):
                relaxed, Q = OVER * v + (1 - OVER) * c.W, c.geometry.Q
                c.W = Q @ _positive_part(Q.T @ (relaxed - c.Y / self.r) @ Q) @ Q.T
                c.Y = c.Y + self.r * (c.W - relaxed)
        slacks = [self.r * (point - v) for point, v in zip(points, V)]
        self._adapt(before, V)
        return Lam, slacks

    def _into_cones(self, c: CellState, point: Array) -> Array:
        shifted = point.copy()
        diagonal = np.arange(len(point))
        shifted[diagonal, diagonal] -= self.core.weight_decay * c.geometry.cost / self.r
        return c.geometry.into_cones(shifted)

    def _settle_outputs(self, points: list[Array], V: list[Array]) -> Array:
        """The dual point of the outputs that all cells offer together, which go into V."""
        offers = []
        for c, point in zip(self.cells, points):
            entries = np.full(self.core.Y.shape, -np.inf if c.cell.sign else 0.0)
            entries[c.geometry.on] = point[c.geometry.values, c.geometry.p].T
            offers.append(Offer(c.cell.sign, c.geometry.on, entries))
        unit = self.cells[0].geometry.unit
        h = 0.5 / (self.r * unit)
        g = self.outputs.settle(Offers(offers, h, unit))
        for c, offer, v in zip(self.cells, offers, V):
            values, p = c.geometry.values, c.geometry.p
            new = offer.accepted(g, h)[offer.on].T
            v[values, p], v[p, values] = new, new.T
        return -g

    def _adapt(self, before: list[tuple[Array, Array]], V: list[Array]) -> None:
        """The residuals of the last step, and a penalty that keeps them in proportion."""
        primal = dual = size_W = size_Y = 0.0
        for c, (W, Y), v in zip(self.cells, before, V):
            primal += float(np.sum((c.W - v) ** 2))
            dual += float(np.sum((self.r * (c.W - W)) ** 2))
            size_W += float(np.sum(c.W * c.W))
            size_Y += float(np.sum(Y * Y))
        self.residuals = (primal / max(size_W, TINY)) ** 0.5, (dual / max(size_Y, TINY)) ** 0.5
        ratio, (low, high) = self.residuals[0] / max(self.residuals[1], TINY), RESIDUAL_RATIOS
        if ratio > high:
            self.r *= min((ratio / high) ** 0.5, STEP)
        elif ratio < low:
            self.r *= max((ratio / low) ** 0.5, 1 / STEP)

    def _proven(self, Lam: Array, slacks: list[Array]) -> tuple[Array, float, ConicProof]:
        """The dual point, and the bound that the slack forms prove."""
        if self.core.free:
            Lam = self.outputs.centre(Lam)
        beta, bounds, parts = self.core.weight_decay, [], []
        for c, slack in zip(self.cells, slacks):
            bound, slack = c.geometry.proven(c.cell.sign, slack, Lam, beta)
            bounds.append(bound)
            parts.append(CellProof(c.cell, slack))
        return Lam, float(np.max(bounds)), ConicProof(beta, parts)


def _positive_part(M: Array) -> Array:
    """The nearest positive semidefinite matrix, from the fewer of the eigenvectors."""
    values, vectors = np.linalg.eigh(M)
    keep = values > 0
    if 2 * int(keep.sum()) <= len(values):
        half = vectors[:, keep] * np.sqrt(values[keep])
        return half @ half.T
    half = vectors[:, ~keep] * np.sqrt(-values[~keep])
    return M + half @ half.T
