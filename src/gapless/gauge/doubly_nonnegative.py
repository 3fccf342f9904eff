"""The doubly nonnegative relaxation of training, and what it proves.

For ``||u|| = ||v|| = s`` put ``p = (A u + b)_+`` and ``q = (A u + b)_-``, so ``p - q = A u + b``.
The gauge is at most ``beta`` when, for all such u, v,

    beta/2 (||v||^2 + ||u||^2) - v^T Lam^T p >= 0.

Stack ``y = (s, v, u, p, q)``.  The left side is a quadratic form in y; it is nonnegative
when a positive semidefinite form is left after taking away multiples of products that are
nonnegative for every neuron (and multiples of ``p_i q_i = 0`` of either sign):

    p_i p_j,   p_i q_j,   q_i q_j,   s p_i,   s q_i,
    p_i (s - w.u),   q_i (s - w.u)    with  ||w|| <= 1,

the last line being the product of a sign and the ball (a second-order cone of cuts, one a
sample).  The dual of the best such certificate is a convex relaxation of training over
moment matrices W of y: minimise the loss of the outputs read off W plus ``beta/2`` times the
traces, W positive semidefinite with range in ``{y : p - q = A u + b}``, its entries in the cones.

Alternating directions (ADMM) solve it with one eigendecomposition of order ``1 + k + n`` a
cell and step.  After ANY step its multipliers prove a bound: they are moved into their cones,
and an eigenvalue ``-e`` of the slack form costs ``e ||y||^2``, which is bounded on neurons.

*Cells* cut the sphere by the signs of some ``x_i.u + b``: one matrix a cell, ``p_i = 0`` or
``q_i = 0`` inside it.  All cells share Lam, so splitting them is branch and bound on training.

One output: v = +-s, one matrix a sign.  Several: one matrix with ``||v|| = s``.  A free bias
is ``b = R t`` with ``|t| <= s``: some optimal neuron has its kink on a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..core.arrays import is_sparse
from ..core.checks import Array
from ..core.losses import EPS
from ..core.problem import Problem
from ..core.watch import Watch
from .methods import GaugeBound, GaugeMethod
from .quadratic import Dual

# p and q are measured in units of ||A||_2 / SHARE; 4 to 8 converge alike, 1 and 16 do not.
SHARE = 8.0
CHECK = 25  # steps between two proofs: one costs as much as a step
FIRST = 5  # steps before the first proof
SETTING_UP = 4  # steps take this many times as long as making their cells, at most
OVER = 1.6  # over-relaxation


@dataclass(frozen=True, eq=False)
class Cell:
    """Signs ``fixed`` (n,) in {-1, 0, +1} of ``x_i.u + b``, and the output's sign (0: several)."""

    sign: int
    fixed: Array

    def split(self, i: int) -> tuple[Cell, Cell]:
        low, high = self.fixed.copy(), self.fixed.copy()
        low[i], high[i] = -1, 1
        return Cell(self.sign, low), Cell(self.sign, high)


class Geometry:
    """The rows of y for one cell as linear maps ``T`` of ``x = (s, v, u, t, free p)``.

    Rows: s (the value row of one output), v (value rows of several), one copy of s and the
    vector of each ball, p without the samples fixed off, q without those fixed on.
    """

    def __init__(self, core: Problem, cell: Cell) -> None:
        A = core.X.toarray() if is_sparse(core.X) else core.X
        n, k = A.shape
        C = 0 if cell.sign else core.n_outputs
        if core.free:
            radius = float(np.max(np.linalg.norm(A, axis=1))) * (1 + (k + 4) * EPS)
            A = np.hstack([A, np.full((n, 1), radius)])
        norm = float(np.linalg.norm(A, 2))
        self.unit = SHARE / norm if norm > 0 else 1.0
        z = np.flatnonzero(cell.fixed == 0)
        width = 1 + C + A.shape[1] + len(z)
        eye = np.eye(width)
        s, v, u = eye[:1], eye[1 : 1 + C], eye[1 + C : 1 + C + k]
        t = eye[1 + C + k : 1 + C + A.shape[1]]
        signed = np.zeros((n, width))
        signed[:, 1 + C : 1 + C + A.shape[1]] = A
        p = np.where((cell.fixed > 0)[:, None], signed, 0.0)
        p[z, 1 + C + A.shape[1] :] = np.eye(len(z))
        self.on, self.off = np.flatnonzero(cell.fixed >= 0), np.flatnonzero(cell.fixed <= 0)
        rows, self.balls, at = [s, v], [], 1 + C
        for ball in (u, v, t):
            if len(ball):
                rows += [s, ball]
                self.balls.append((at, slice(at + 1, at + 1 + len(ball))))
                at += 1 + len(ball)
        self.p = slice(at, at + len(self.on))
        self.pq = slice(at, at + len(self.on) + len(self.off))
        rows += [self.unit * p[self.on], self.unit * (p - signed)[self.off]]
        self.T = np.vstack(rows)
        self.Q = np.linalg.qr(self.T)[0]
        self.values = slice(1, 1 + C) if C else slice(0, 1)
        self.cost = np.zeros(len(self.T))  # of s^2 and ||u||^2, times beta
        self.cost[0] = 0.5
        self.cost[self.balls[0][1]] = 0.5
        both = np.intersect1d(self.on, self.off)
        meet = at + np.searchsorted(self.on, both), self.p.stop + np.searchsorted(self.off, both)
        self.meet = np.concatenate(meet), np.concatenate(meet[::-1])
        # ||y||^2 at s = ||u|| = 1: every ball brings a copy of s and a vector of norm 1
        gram = (self.unit * norm * (1 + 1e-9)) ** 2
        self.size = 1 + bool(C) + 2 * len(self.balls) + gram * (1 + core.free)

    def into_cones(self, W: Array) -> Array:
        """The nearest matrix whose entries obey the cones."""
        out = W.copy()
        block = out[self.pq, self.pq]
        np.maximum(block, 0.0, out=block)
        out[self.meet] = 0.0
        out[0, self.pq] = np.maximum(out[0, self.pq], 0.0)
        out[self.pq, 0] = out[0, self.pq]
        for number, (a, part) in enumerate(self.balls):
            t, V = _cone(W[self.pq, a], W[self.pq, part])
            out[self.pq, a], out[a, self.pq] = t, t
            out[self.pq, part], out[part, self.pq] = V, V.T
            if number:  # the vector's square is at most s^2
                index = np.arange(part.start, part.stop)
                excess = float(W[index, index].sum() - W[a, a])
                step = max(excess, 0.0) / (len(index) + 1)
                out[index, index] -= step
                out[a, a] += step
        return out

    def form(self, Lam: Array, beta: float, sign: int) -> Array:
        """``beta/2 (s^2 + ||u||^2) - v^T Lam^T p`` as a symmetric matrix on y."""
        C = np.diag(beta * self.cost)
        value = -0.5 / self.unit * (sign or 1) * Lam[self.on].T
        C[self.values, self.p] += value
        C[self.p, self.values] += value.T
        return C


def _cone(t: Array, V: Array) -> tuple[Array, Array]:
    """Rows (t, V) projected onto ``||V|| <= t``."""
    norm = np.linalg.norm(V, axis=1)
    half = np.maximum((t + norm) / 2, 0.0)
    inside = norm <= t
    scale = np.where(inside, 1.0, np.minimum(half / np.maximum(norm, 1e-300), 1.0))
    return np.where(inside, t, half), V * scale[:, None]


@dataclass(frozen=True, eq=False)
class CellProof:
    """A cell and the slack form that its multipliers leave."""

    cell: Cell
    slack: Array


@dataclass(frozen=True, eq=False)
class ConicProof:
    """One slack form a cell; the cells cover all signs."""

    beta: float
    cells: list[CellProof]

    def upper(self, core: Problem, Lam: Array) -> float:
        """The bound of the gauge that the slack forms prove, whatever they are.

        What a slack form differs by from the form of ``Lam`` is moved into the dual cones
        first, so that the identity holds; then its least eigenvalue is charged.
        """
        bounds = [
            _proven(Geometry(core, c.cell), c.cell.sign, c.slack, Lam, self.beta)[0]
            for c in self.cells
        ]
        return float(np.max(bounds))


def _proven(
    geometry: Geometry, sign: int, slack: Array, Lam: Array, beta: float
) -> tuple[float, Array]:
    form = geometry.form(Lam, beta, sign)
    difference = form - slack
    multipliers = difference + geometry.into_cones(-difference)  # Moreau: the dual cone
    slack = form - multipliers
    order = len(slack)
    least = float(np.linalg.eigvalsh(geometry.Q.T @ slack @ geometry.Q)[0])
    # rounding of the products, of Q and of the eigenvalue solver
    rounding = 32 * order * EPS * float(np.linalg.norm(slack))
    return beta + (float(np.maximum(-least, 0.0)) + rounding) * geometry.size, slack


class DoublyNonnegative(GaugeMethod):
    """The doubly nonnegative relaxation; see the module.

    A step costs one eigendecomposition of order n + k + 1 a cell; a thousand steps usually
    settle three digits.  ``bound`` keeps Lam, ``maximise`` moves it, ``max_cells`` > 2 splits.
    """

    name = "doubly nonnegative"
    needs = "at most 900 samples and features together"
    MAX_ORDER = 900

    def __init__(self, steps: int = 1000, max_cells: int = 1) -> None:
        self.steps, self.max_cells = steps, max_cells

    def applies(self, core: Problem) -> bool:
        return core.n_samples + core.n_features <= self.MAX_ORDER

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        if not np.any(Lam):
            return GaugeBound(0.0, 0.0, None, self.name, self.name)
        best = GaugeBound(0.0, np.inf, None, self.name, self.name)
        run = _Alternate(core, _Ray(core, Lam))
        for _ in range(self.steps // CHECK):
            if (dual := run.after(CHECK)) is None:
                break
            scaled, found = dual
            share = float(np.vdot(scaled, Lam) / np.vdot(Lam, Lam))
            if share > 0 and found.upper / share < best.upper:
                cells = [CellProof(c.cell, c.slack / share) for c in found.multipliers.cells]
                proof = ConicProof(found.multipliers.beta / share, cells)
                upper = found.upper / share * (1 + 8 * EPS)
                best = GaugeBound(0.0, upper, None, self.name, self.name, proof)
        return best

    def maximise(self, core: Problem, Lam: Array, time_limit: float) -> Iterator[Dual]:
        """Dual points that prove more and more, until ``time_limit`` or a standstill."""
        self.require(core)
        watch = Watch(time_limit)
        run = _Alternate(core, _Training(core))
        best, quiet, count, most = -np.inf, 0, len(run.cells), FIRST
        # seconds of a step a cell, an eigendecomposition, and of a proof: nothing else ends in time
        pace = SETTING_UP * watch.seconds / count
        while (steps := int(min(most, watch.left / (pace * len(run.cells)) - 1))) > 0:
            begin, most = watch.seconds, CHECK
            if (dual := run.after(steps)) is None:
                return
            Lam, found = dual
            pace = (watch.seconds - begin) / ((steps + 1) * len(run.cells))
            value = core.best_scale(Lam, core.weight_decay / found.upper)[1]
            quiet = 0 if value > best + 2e-5 * abs(best) else quiet + 1
            if value > best:
                best = value
                yield Lam, found
            if quiet >= 40 or (quiet >= 4 and run.settled()):
                cells = min(count, 16)
                if count >= self.max_cells or watch.left < 3 * pace * (count + cells):
                    return
                if not (made := run.split(cells)):
                    return
                count += made
                quiet = 0


class _State:
    """One cell's moment matrix W and multiplier Y."""

    def __init__(self, core: Problem, cell: Cell) -> None:
        self.cell, self.geometry = cell, Geometry(core, cell)
        order = len(self.geometry.T)
        self.W, self.Y = np.zeros((order, order)), np.zeros((order, order))


class _Alternate:
    """ADMM between the cones of entries (V) and the positive semidefinite cone (W)."""

    def __init__(self, core: Problem, outputs: _Outputs) -> None:
        self.core, self.outputs = core, outputs
        signs = (1, -1) if core.n_outputs == 1 else (0,)
        empty = np.zeros(core.n_samples, dtype=int)
        self.cells = [_State(core, Cell(sign, empty)) for sign in signs]
        scale = core.data_fit(np.zeros_like(core.Y)) / core.weight_decay
        self.r = 30.0 * core.weight_decay / max(scale, 1e-300)
        self.residuals = (np.inf, np.inf)

    @np.errstate(all="ignore")  # what is not a number proves nothing
    def after(self, steps: int) -> Dual | None:
        """A dual point after more steps; None once numbers too far apart have ended the run."""
        try:
            Lam, bound = self.proof(self.advance(steps))
        except (np.linalg.LinAlgError, ArithmeticError):
            return None
        return (Lam, bound) if np.isfinite(bound.upper) and np.all(np.isfinite(Lam)) else None

    def advance(self, steps: int) -> tuple[Array, list[Array]]:
        """Steps; returns the last dual point and the slack forms that belong to it."""
        beta, r = self.core.weight_decay, self.r
        for step in range(steps):
            # 1. entries: cost, cones, and the loss of the outputs
            points = [c.W + c.Y / r for c in self.cells]
            V = []
            for c, point in zip(self.cells, points):
                shifted = point.copy()
                diagonal = np.arange(len(point))
                shifted[diagonal, diagonal] -= beta * c.geometry.cost / r
                V.append(c.geometry.into_cones(shifted))
            Lam = self.outputs.step(self.cells, points, V, r)
            last = step == steps - 1
            if last:
                slacks = [r * (point - v) for point, v in zip(points, V)]
                primal = dual = size_W = size_Y = 0.0
            # 2. the semidefinite cone, 3. multipliers
            for c, v in zip(self.cells, V):
                relaxed = OVER * v + (1 - OVER) * c.W
                Q = c.geometry.Q
                W = Q @ _positive_part(Q.T @ (relaxed - c.Y / r) @ Q) @ Q.T
                if last:
                    primal += float(np.sum((W - v) ** 2))
                    dual += float(np.sum((r * (W - c.W)) ** 2))
                    size_W += float(np.sum(W * W))
                    size_Y += float(np.sum(c.Y * c.Y))
                c.Y += r * (W - relaxed)
                c.W = W
        self.residuals = (primal / max(size_W, 1e-300)) ** 0.5, (dual / max(size_Y, 1e-300)) ** 0.5
        # Bounds need the dual residual, so it is kept 2 to 10 times below the primal one.
        ratio = self.residuals[0] / max(self.residuals[1], 1e-300)
        if ratio > 10:
            self.r *= min((ratio / 10) ** 0.5, 2.0)
        elif ratio < 2:
            self.r *= max((ratio / 2) ** 0.5, 0.5)
        return Lam, slacks

    def proof(self, found: tuple[Array, list[Array]]) -> Dual:
        Lam, slacks = found
        if self.core.free:
            Lam = self.outputs.centre(Lam)
        beta, bounds, cells = self.core.weight_decay, [], []
        for c, slack in zip(self.cells, slacks):
            bound, slack = _proven(c.geometry, c.cell.sign, slack, Lam, beta)
            bounds.append(bound)
            cells.append(CellProof(c.cell, slack))
        branches = f", branch and bound on signs: {len(cells)} cells" if len(cells) > 2 else ""
        how = "doubly nonnegative relaxation" + branches
        return Lam, GaugeBound(
            0.0, float(np.max(bounds)), None, how, DoublyNonnegative.name, ConicProof(beta, cells)
        )

    def settled(self) -> bool:
        return self.residuals[0] < 5e-4 and self.residuals[1] < 3e-5

    def split(self, count: int) -> int:
        """Cut the cells where a sample's sign is least decided; returns how many were added."""
        doubt = []
        for number, c in enumerate(self.cells):
            g = c.geometry
            on, off = np.zeros(self.core.n_samples), np.zeros(self.core.n_samples)
            s = g.balls[0][0]
            on[g.on] = c.W[s, g.p]
            off[g.off] = c.W[s, g.p.stop : g.pq.stop]
            i = int(np.argmax(np.minimum(on, off)))
            doubt.append((float(min(on[i], off[i])), number, i))
        chosen = [d for d in sorted(doubt, reverse=True)[:count] if d[0] > 1e-7 * doubt[0][0]]
        if not chosen or chosen[0][0] <= 0:
            return 0
        fresh: list[_State] = []
        for _, number, i in chosen:
            parent = self.cells[number]
            for cell in parent.cell.split(i):
                child = _State(self.core, cell)
                g, old = child.geometry, parent.geometry
                kept = np.concatenate(
                    [
                        np.arange(old.p.start),
                        old.p.start + np.searchsorted(old.on, g.on),
                        old.p.stop + np.searchsorted(old.off, g.off),
                    ]
                )
                child.W = 0.5 * parent.W[np.ix_(kept, kept)]
                child.Y = parent.Y[np.ix_(kept, kept)].copy()
                fresh.append(child)
        gone = {number for _, number, _ in chosen}
        self.cells = [c for number, c in enumerate(self.cells) if number not in gone] + fresh
        return len(chosen)


def _positive_part(M: Array) -> Array:
    values, vectors = np.linalg.eigh(M)
    keep = values > 0
    if 2 * int(keep.sum()) <= len(values):
        half = vectors[:, keep] * np.sqrt(values[keep])
        return half @ half.T
    half = vectors[:, ~keep] * np.sqrt(-values[~keep])
    return M + half @ half.T


class _Outputs:
    """The step in the entries that are outputs, and the dual point it implies.

    Cell b offers entries a_b; with ``g = -Lam`` their new values are ``(a_b - sign g h)_+`` (no
    sign for several outputs), so all outputs are monotone functions of g.
    """

    def __init__(self, core: Problem) -> None:
        self.core = core

    def dual(self, offers: list[tuple[_State, Array]], h: float) -> Array:
        raise NotImplementedError

    def centre(self, Lam: Array) -> Array:
        return self.core.centre(Lam)

    def step(self, cells: list[_State], points: list[Array], V: list[Array], r: float) -> Array:
        unit = cells[0].geometry.unit
        offers = []
        for c, point in zip(cells, points):
            a = np.full(self.core.Y.shape, -np.inf if c.cell.sign else 0.0)
            a[c.geometry.on] = point[c.geometry.values, c.geometry.p].T
            offers.append((c, a))
        h = 0.5 / (r * unit)
        g = self.dual(offers, h)
        for (c, a), v in zip(offers, V):
            geometry = c.geometry
            new = _accept(c, a, g, h)[geometry.on].T
            v[geometry.values, geometry.p] = new
            v[geometry.p, geometry.values] = new.T
        return -g


def _accept(c: _State, a: Array, g: Array, h: float) -> Array:
    if c.cell.sign:
        return np.maximum(a - c.cell.sign * g * h, 0.0)
    out = a.copy()
    out[c.geometry.on] -= g[c.geometry.on] * h
    return out


def _sum(offers: list[tuple[_State, Array]], g: Array, h: float) -> Array:
    total = np.zeros_like(g)
    for c, a in offers:
        total += (c.cell.sign or 1) * _accept(c, a, g, h)
    return total / offers[0][0].geometry.unit


class _Training(_Outputs):
    """``g = w loss'(F)`` at the outputs F that g leaves, plus an output bias if it is free."""

    def __init__(self, core: Problem) -> None:
        super().__init__(core)
        self.c, self.slope = np.zeros(core.n_outputs), np.ones(core.n_outputs)

    def dual(self, offers: list[tuple[_State, Array]], h: float) -> Array:
        g = self._solve(offers, h)
        if not self.core.free:
            return g
        # secant steps on sum_i g_i(c) = 0, from the last c: one step a round diverges
        total = g.sum(axis=0)
        for _ in range(12):
            if np.all(np.abs(total) <= 1e-8 * np.abs(g).sum(axis=0)):
                break
            step = -total / self.slope
            self.c = self.c + step
            g, last = self._solve(offers, h), total
            total = g.sum(axis=0)
            # a sum of derivatives of the loss rises with c, at most by its smoothness
            with np.errstate(divide="ignore", invalid="ignore"):
                slope = (total - last) / step
            self.slope = np.where(slope > 1e-3 * self.slope, slope, self.slope)
        return g

    def _solve(self, offers: list[tuple[_State, Array]], h: float) -> Array:
        core = self.core
        w = core.sample_weight[:, None]

        def slope(g: Array) -> Array:
            return w * core.loss.gradient(_sum(offers, g, h) + self.c, core.Y)

        if core.loss.domain == "simplex":  # outputs are coupled: damped fixed point
            g = np.zeros_like(core.Y)
            cells = len(offers) * h / offers[0][0].geometry.unit
            damp = 1 / (1 + w * core.loss.smoothness * cells)
            for _ in range(40):
                g = g + damp * (slope(g) - g)
            return g
        start = slope(np.zeros_like(core.Y))
        low, high = np.minimum(start, 0.0), np.maximum(start, 0.0)
        for _ in range(32):
            middle = 0.5 * (low + high)
            up = slope(middle) > middle
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        return 0.5 * (low + high)


class _Ray(_Outputs):
    """``g = -theta Lam`` with theta >= 0 as small as makes ``<Lam, F>`` reach one target."""

    def __init__(self, core: Problem, Lam: Array) -> None:
        super().__init__(core)
        self.Lam = Lam / np.linalg.norm(Lam)
        self.target = core.data_fit(np.zeros_like(core.Y))

    def centre(self, Lam: Array) -> Array:
        return Lam

    def dual(self, offers: list[tuple[_State, Array]], h: float) -> Array:
        def short(theta: float) -> bool:
            return float(np.vdot(self.Lam, _sum(offers, -theta * self.Lam, h))) < self.target

        low, high = 0.0, 1e-3
        while short(high) and high < 1e12:
            low, high = high, 4 * high
        for _ in range(50):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if short(middle) else (low, middle)
        return -high * self.Lam
