"""Cells of neurons, the cones that hold on each, and what a form on them proves.

The notation is that of :mod:`gapless.gauge.doubly_nonnegative`: ``y = (s, v, u, t, p, q)`` of a
neuron, forms and moment matrices on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem
from ..core.rounding import EPS, TINY
from .base import Proof
from .proof_cells import CheckedSamples, ProofCell

# p and q are measured in units of ||A||_2 / SHARE; 4 to 8 converge alike, 1 and 16 do not.
SHARE = 8.0


@dataclass(frozen=True, eq=False)
class Cell:
    """Signs ``fixed`` (n,) in {-1, 0, +1} of ``x_i.u + b``, and the output's sign (0: several)."""

    sign: int
    fixed: Array

    def split(self, i: int) -> tuple[Cell, Cell]:
        """The cells of either sign of sample i."""
        low, high = self.fixed.copy(), self.fixed.copy()
        low[i], high[i] = -1, 1
        return Cell(self.sign, low), Cell(self.sign, high)


def blocks(sizes: dict[str, int]) -> dict[str, slice]:
    """Where each name's entries lie, one after the other."""
    ends = list(accumulate(sizes.values(), initial=0))
    return {name: slice(a, b) for name, a, b in zip(sizes, ends, ends[1:])}


class Geometry:
    """The rows of y for one cell as linear maps of ``x = (s, v, u, t, free p)``.

    Attributes
    ----------
    T : array of shape (order, n_coordinates)
        ``y = T x``.  Its rows: ``value``, what multiplies p in the form of Lam (s for one output,
        v for several); for each ball u, v and t, as far as there is one, its copy of s and its
        vector; p without the samples fixed off, q without those fixed on.
    Q : array of shape (order, n_coordinates)
        An orthonormal basis of the range of T.
    values, p, q, pq : slice
        The rows of the value, of p, of q, and of both.
    balls : dict of str to (int, slice)
        The rows of each ball: its copy of s, and its vector.
    on, off : array of int
        The samples in p and in q.
    unit : float
        p and q times this are in y.
    size : float
        At least ``||y||^2`` at s = ||u|| = 1.
    """

    def __init__(self, core: Problem, cell: Cell) -> None:
        A = core.design.array()
        n, k = A.shape
        if core.free:  # b = R t, R the largest norm of a sample
            radius = float(np.max(np.linalg.norm(A, axis=1))) * (1 + (k + 4) * EPS)
            A = np.hstack([A, np.full((n, 1), radius)])
        norm = float(np.linalg.norm(A, 2))
        self.unit = SHARE / norm if norm > 0 else 1.0
        several = 0 if cell.sign else core.n_outputs
        self.on, self.off = np.flatnonzero(cell.fixed >= 0), np.flatnonzero(cell.fixed <= 0)
        both = np.flatnonzero(cell.fixed == 0)
        # 1. the coordinates: p is one where the sign is open, else A (u, t) or nothing
        x = blocks({"s": 1, "v": several, "u": k, "t": int(core.free), "p": len(both)})
        coordinate = np.eye(x["p"].stop)
        signed = np.zeros((n, x["p"].stop))
        signed[:, x["u"].start : x["t"].stop] = A
        p = np.where((cell.fixed > 0)[:, None], signed, 0.0)
        p[both] = coordinate[x["p"]]
        # 2. the rows by name, in their order
        rows = {"value": coordinate[x["v" if several else "s"]]}
        if several:  # s comes first all the same: the form counts its square
            rows = {"s": coordinate[x["s"]]} | rows
        balls = [name for name in ("u", "v", "t") if x[name].stop > x[name].start]
        for name in balls:
            rows |= {f"s of {name}": coordinate[x["s"]], name: coordinate[x[name]]}
        rows |= {"p": self.unit * p[self.on], "q": self.unit * (p - signed)[self.off]}
        at = blocks({name: len(row) for name, row in rows.items()})
        self.T = np.vstack(list(rows.values()))
        self.Q = np.linalg.qr(self.T)[0]
        self.values, self.p, self.q = at["value"], at["p"], at["q"]
        self.pq = slice(self.p.start, self.q.stop)
        self.balls = {name: (at[f"s of {name}"].start, at[name]) for name in balls}
        # 3. what the form of Lam costs, where p_i q_i = 0 is, and how long y can be
        self.cost = np.zeros(len(self.T))  # of s^2 and ||u||^2, times beta
        self.cost[0] = 0.5
        self.cost[self.balls["u"][1]] = 0.5
        in_p = self.p.start + np.searchsorted(self.on, both)
        in_q = self.q.start + np.searchsorted(self.off, both)
        self.meet = np.concatenate([in_p, in_q]), np.concatenate([in_q, in_p])
        # every ball brings a copy of s and a vector of norm 1
        gram = (self.unit * norm * (1 + 1e-9)) ** 2
        self.size = 1 + bool(several) + 2 * len(balls) + gram * (1 + core.free)

    def into_cones(self, W: Array) -> Array:
        """The nearest matrix whose entries obey the cones."""
        out = W.copy()
        block = out[self.pq, self.pq]
        np.maximum(block, 0.0, out=block)
        out[self.meet] = 0.0
        out[0, self.pq] = np.maximum(out[0, self.pq], 0.0)
        out[self.pq, 0] = out[0, self.pq]
        for name, (s, vector) in self.balls.items():
            t, V = _into_balls(W[self.pq, s], W[self.pq, vector])
            out[self.pq, s], out[s, self.pq] = t, t
            out[self.pq, vector], out[vector, self.pq] = V, V.T
            if name != "u":  # the square of v or t is at most s^2; that of u has its price
                index = np.arange(vector.start, vector.stop)
                excess = float(W[index, index].sum() - W[s, s])
                step = max(excess, 0.0) / (len(index) + 1)
                out[index, index] -= step
                out[s, s] += step
        return out

    def form(self, Lam: Array, beta: float, sign: int) -> Array:
        """``beta/2 (s^2 + ||u||^2) - v^T Lam^T p`` as a symmetric matrix on y."""
        C = np.diag(beta * self.cost)
        value = -0.5 / self.unit * (sign or 1) * Lam[self.on].T
        C[self.values, self.p] += value
        C[self.p, self.values] += value.T
        return C

    def proven(self, sign: int, slack: Array, Lam: Array, beta: float) -> tuple[float, Array]:
        """The bound of the gauge on this cell that a slack form proves, whatever it is.

        What it differs by from the form of ``Lam`` is moved into the dual cones first, so that the
        identity holds; then its least eigenvalue is charged.  Returns that slack form, too.
        """
        form = self.form(Lam, beta, sign)
        difference = form - slack
        multipliers = difference + self.into_cones(-difference)  # Moreau: the dual cone
        slack = form - multipliers
        least = float(np.linalg.eigvalsh(self.Q.T @ slack @ self.Q)[0])
        # rounding of the products, of Q and of the eigenvalue solver
        rounding = 32 * len(slack) * EPS * float(np.linalg.norm(slack))
        return beta + (float(np.maximum(-least, 0.0)) + rounding) * self.size, slack


def _into_balls(t: Array, V: Array) -> tuple[Array, Array]:
    """Rows (t, V) projected onto ``||V|| <= t``."""
    norm = np.linalg.norm(V, axis=1)
    half = np.maximum((t + norm) / 2, 0.0)
    inside = norm <= t
    scale = np.where(inside, 1.0, np.minimum(half / np.maximum(norm, TINY), 1.0))
    return np.where(inside, t, half), V * scale[:, None]


@dataclass(frozen=True, eq=False)
class CellProof:
    """A cell and the slack form that its multipliers leave."""

    cell: Cell
    slack: Array


@dataclass(frozen=True, eq=False)
class ConicProof(Proof):
    """One slack form a cell; the cells cover all signs."""

    beta: float
    parts: list[CellProof]

    def divided(self, share: float) -> ConicProof:
        """The proof of the dual point, and the bound, divided by ``share``."""
        parts = [CellProof(part.cell, part.slack / share) for part in self.parts]
        return ConicProof(self.beta / share, parts)

    def upper(self, core: Problem, Lam: Array) -> float:
        bounds = [
            Geometry(core, part.cell).proven(part.cell.sign, part.slack, Lam, self.beta)[0]
            for part in self.parts
        ]
        return float(np.max(bounds))

    def cells(self, samples: CheckedSamples) -> list[ProofCell]:
        # the checker has u in axes of its own: the rotation from those of the core
        A = samples.A[:, : samples.sizes[2]]
        U, _, Vt = np.linalg.svd(samples.core.X[samples.rows].T @ A, full_matrices=False)
        return [self._lifted(part, samples, U @ Vt) for part in self.parts]

    def _lifted(self, part: CellProof, samples: CheckedSamples, rotation: Array) -> ProofCell:
        """The multipliers of one cell: what its slack form leaves of the form of Lam."""
        core, rows, sign, n = samples.core, samples.rows, part.cell.sign, samples.core.n_samples
        g = Geometry(core, part.cell)
        M = g.form(samples.Lam, self.beta, sign) - part.slack
        M[g.pq] *= g.unit / samples.unit
        M[:, g.pq] *= g.unit / samples.unit
        # 1. p and q of all samples, those that the cell fixes at zero; copies of s join
        present = np.concatenate([g.on, n + g.off])
        products, s = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, 1))
        products[np.ix_(present, present)] = M[g.pq, g.pq]
        s[present, 0] = 2 * M[0, g.pq]
        head: dict[str, Array] = {}
        ties: dict[str, float] = {}
        for name, (copy, vector) in g.balls.items():
            head[name] = np.zeros((2 * n, vector.stop - vector.start))
            head[name][present] = 2 * M[g.pq, vector]
            s[present, 0] += 2 * M[g.pq, copy]
            ties[name] = float(M[copy, copy])
        # 2. of the samples that the checker has, in its axes; with one output v is s or -s
        head["u"] = head["u"] @ rotation
        head.setdefault("v", np.zeros((2 * n, 1)))
        kept = np.concatenate([rows, n + rows])
        columns = np.hstack([s, *(head[name] for name in ("v", "u", "t") if name in head)])[kept]
        tie = np.array([ties.get("v", 0.0), 0.0, ties.get("t", 0.0)])
        fixed, products = part.cell.fixed[rows], products[np.ix_(kept, kept)]
        return ProofCell.of_form(sign, fixed, self.beta, tie, columns, products)
