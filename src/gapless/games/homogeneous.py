"""ReLU discriminators, all neurons or some fixed ones: the best generator by linear programs.

The game of :mod:`gapless.games.discriminators` with ``sigma(t) = (t)_+`` on centred data.  A
generator is here a distribution of points.  Points r g of direction g enter by their share times
r alone, so with m_k the mass of direction g_k the least mean square is ``(sum_k m_k)^2``, all
points at the one distance ``sum_k m_k`` from the mean, and the game is a linear program,

    min sum_k m_k  such that  |mean (x.u)_+ - sum_k m_k (g_k.u)_+| <= weight_decay for all u,

over directions g_k (columns) and neurons u (rows).  Its dual is ``max c.v - weight_decay |v|_1``
such that ``sum_j v_j (u_j.g)_+ <= 1`` for all unit g, where ``c_j = mean (x.u_j)_+``.  Both what
is found and what is proven about it are gauges: the column that lacks most is that of the samples
u_j under v, the row that is violated most that of ``[X; G]`` under +-shares.

It is a two-layer network in disguise, with directions for neurons and the discriminator's neurons
for samples.  No image comes out of it: the generator is a list of points.  With fixed neurons the
program is solved in any dimension that a search covers; with all of them both sides have to be
found, which is quick in the plane and ends after :data:`PATIENCE` in more dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import linprog

from ..core.arrays import row_norms
from ..core.checks import Array, positive_int, to_2d
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..core.rounding import EPS, TINY
from ..core.watch import Watch
from ..gauge.base import GaugeBound
from ..gauge.choose import RELAXATIONS, gauge_bound, is_exact
from ..gauge.search import Oracle
from .certificate import GameCertificate
from .discriminators import Discriminator, mean_square
from .generator import GaussianGenerator

# A column is added while it lacks more than this share, the second where rows are being found too;
# a row while it is violated by more than the second, of the mass of the data.
CLOSE, ROUGH = 1e-9, 1e-5
# Columns that lack more than this share of their mass are forgotten when rows join.
IDLE = 0.05
# Rounds of columns, and of rows, at most.
COLUMN_ROUNDS, ROW_ROUNDS = 200, 40
# Starts of a search, and the best neurons of it that are added.
STARTS, ADDED = 64, 8
# Seconds after which rows and columns are no longer looked for; the certificate says how far off.
PATIENCE = 15.0
# Seconds for a proof by boxes of directions, where enumeration does not apply.
SECONDS = 5.0
# Of the linear programs, each in turn until it is solved.
TOLERANCES = (1e-10, 1e-8)
# Mass below this share of all is rounding of the linear program.
NO_MASS = 1e-12


@dataclass(frozen=True, eq=False)
class _Solved:
    """Directions with their masses, the mass left on the data themselves, and the dual point."""

    weight_decay: float
    directions: Array  # (d, K)
    masses: Array  # (K,)
    data_mass: float
    dual: Array  # (p,)


class RandomFeatures(Discriminator):
    """Neurons ``(x.u_j)_+`` that are given, ``U`` (n_features, p): a finite program.

    Parameters
    ----------
    X, rng
        As for every discriminator.
    features : int or array of shape (n_features, p)
        So many random directions of norm one, or these.
    """

    name = "random features"
    #: of columns
    close: ClassVar[float] = CLOSE

    def __init__(self, X: Array, rng: np.random.RandomState, features: Any = 100) -> None:
        super().__init__(X, rng)
        self.samples = np.asarray(X, dtype=np.float64) - self.centre
        self.size = float(np.sqrt(np.mean(self.samples**2) * X.shape[1])) or 1.0
        self.reach = float(row_norms(self.samples).mean())  # the mass of the data themselves
        d = X.shape[1]
        if isinstance(features, (int, np.integer)):
            drawn = rng.standard_normal((d, positive_int("features", features)))
            self.U = drawn / np.linalg.norm(drawn, axis=0)
        else:
            self.U = to_2d("features", features)
            if len(self.U) != d:
                raise ValueError(
                    f"features must have {d} rows as X has columns, got {self.U.shape}"
                )
        self.solved: _Solved | None = None
        self.watch = Watch()

    def solve(self, weight_decay: float) -> GaussianGenerator:
        if self.solved is None or self.solved.weight_decay != weight_decay:
            self.watch = Watch(PATIENCE)
            self.solved = self._solve(weight_decay)
        return self._generator(self.solved)

    def _solve(self, weight_decay: float) -> _Solved:
        return self._columns(weight_decay, np.zeros((len(self.U), 0)))

    def _columns(self, weight_decay: float, G: Array) -> _Solved:
        """Column generation: directions that lack are added until none does.

        The first column is the data as they are, of all moments wanted, so that every program
        has a solution.
        """
        c = self._moments()
        oracle = Oracle(np.ascontiguousarray(self.U.T), False, self._search_rng())
        nothing = np.zeros(G.shape[1])
        solved = _Solved(weight_decay, G, nothing, self.reach, np.zeros(len(c)))
        for _ in range(COLUMN_ROUNDS if self.reach > 0 else 0):  # constant data: the one point
            columns = np.hstack([c[:, None] / self.reach, np.maximum(self.U.T @ G, 0.0)])
            if (program := _program(columns, c, weight_decay)) is None:
                break
            m, v = program
            solved = _Solved(weight_decay, G, m[1:], float(m[0]), v)
            if self.watch.due():
                break
            near = G[:, m[1:] > 0]
            found = oracle.search(v[:, None], near, STARTS, stop=self.watch.due).U
            values = v @ np.maximum(self.U.T @ found, 0.0)
            lacking = np.argsort(-values)[:ADDED]
            lacking = lacking[values[lacking] > 1 + self.close]
            if len(lacking) == 0:
                break
            # none is dropped: where programs are degenerate one would come back for ever
            G = np.hstack([G, found[:, lacking]])
        return solved

    def _search_rng(self) -> np.random.Generator:
        """Searches draw from NumPy's newer generators."""
        return np.random.default_rng(int(self.rng.randint(np.iinfo(np.int32).max)))

    def _moments(self) -> Array:
        """``c_j = mean (x.u_j)_+``"""
        return np.maximum(self.samples @ self.U, 0.0).mean(axis=0)

    def _generator(self, solved: _Solved) -> GaussianGenerator:
        """All points at one distance, each by its share of the mass."""
        kept = solved.masses > NO_MASS * self.reach
        G, m = solved.directions[:, kept].T, solved.masses[kept]
        if solved.data_mass > NO_MASS * self.reach:
            norms = row_norms(self.samples)
            real = norms > 0
            G = np.vstack([G, self.samples[real] / norms[real, None]])
            m = np.append(m, solved.data_mass * norms[real] / norms.sum())
        total = float(m.sum())
        if total == 0:
            G, m, share = np.zeros((1, self.X.shape[1])), m, np.ones(1)
        else:
            share = m / total
        return GaussianGenerator(share, self.centre + total * G, np.zeros((len(G), 0, G.shape[1])))

    def certify(self, generator: GaussianGenerator, weight_decay: float) -> GameCertificate:
        self.solve(weight_decay)
        assert self.solved is not None
        v = self.solved.dual
        bound = bounded_gauge(self.U.T, v)
        lost = (sum(self.samples.shape) + 2 * len(v) + 16) * EPS * float(
            (np.abs(self.samples) @ np.abs(self.U)).mean(axis=0) @ np.abs(v)
        )  # fmt: skip
        weight = float(np.abs(v).sum()) * (1 + len(v) * EPS)
        dual = float(self._moments() @ v) - weight_decay * weight - lost
        least = max(dual, 0.0) / bound.upper if bound.upper > 0 else 0.0  # of all mass
        objective, charge = mean_square(generator, self.centre)
        return GameCertificate(
            objective + charge,
            least * least * (1 - 8 * EPS),
            max(self.discrepancy(generator) - weight_decay, 0.0),
            2 * least * weight / bound.upper if bound.upper > 0 else 0.0,
            weight_decay,
            f"{np.count_nonzero(v)} neurons, their gauge by {bound.proof}",
        )

    def discrepancy(self, generator: GaussianGenerator) -> float:
        P, shares = self._points(generator)
        sums = np.abs(P) @ np.abs(self.U)
        size = np.abs(self.samples) @ np.abs(self.U)
        lost = (sum(self.samples.shape) + len(shares) + 16) * EPS * (size.mean(axis=0) +
                                                                   shares @ sums)  # fmt: skip
        found = shares @ np.maximum(P @ self.U, 0.0)
        return float(np.max(np.abs(self._moments() - found) + lost, initial=0.0))

    def _points(self, generator: GaussianGenerator) -> tuple[Array, Array]:
        if np.any(generator.factors):
            raise ValueError(
                "a ReLU discriminator is evaluated on points: give samples of this generator"
            )
        return generator.means - self.centre, generator.weights


class ReLU(RandomFeatures):
    """All neurons of norm one: those that are violated most join until none is."""

    name = "relu"
    close = ROUGH

    def __init__(self, X: Array, rng: np.random.RandomState) -> None:
        super().__init__(X, rng, 2 * X.shape[1])

    def _solve(self, weight_decay: float) -> _Solved:
        limit = weight_decay + ROUGH * self.reach
        solved = self._columns(weight_decay, np.zeros((len(self.U), 0)))
        for _ in range(ROW_ROUNDS):
            rows, lam = self._against(*self._points(self._generator(solved)))
            oracle = Oracle(rows / self.size, False, self._search_rng())
            used, Lam = self.U[:, solved.dual != 0], lam[:, None] * self.size
            found = oracle.search(Lam, used, STARTS, stop=self.watch.due)
            violated = np.argsort(-found.value)[:ADDED]
            violated = violated[found.value[violated] > limit]
            if len(violated) == 0 or self.watch.due():
                break
            near = solved.dual @ np.maximum(self.U.T @ solved.directions, 0.0) > 1 - IDLE
            self.U = np.hstack([self.U, found.U[:, violated]])
            solved = self._columns(weight_decay, solved.directions[:, near])
        # the data themselves violate nothing: mixed in, as much as it takes
        share = min(weight_decay / max(float(np.max(found.value, initial=0.0)), TINY), 1.0)
        left = share * solved.data_mass + (1 - share) * self.reach
        return replace(solved, masses=share * solved.masses, data_mass=left)

    def _against(self, P: Array, shares: Array) -> tuple[Array, Array]:
        """``[X; G]`` and the weights under which their gauge is what a neuron sees."""
        n = len(self.samples)
        return np.vstack([self.samples, P]), np.append(np.full(n, 1 / n), -shares)

    def discrepancy(self, generator: GaussianGenerator) -> float:
        return bounded_gauge(*self._against(*self._points(generator))).upper


def bounded_gauge(rows: Array, lam: Array) -> GaugeBound:
    """``max |sum_i lam_i (row_i.u)_+|`` over unit u, from below and, proven, from above."""
    reduction = Reduction(Problem(rows, np.zeros((len(rows), 1)), bias="none"))
    core, scale = reduction.core, reduction.scale
    Lam = np.bincount(reduction.group, lam, len(core.X))[:, None]
    bound = gauge_bound(core, Lam)
    boxes = RELAXATIONS["directions"]
    if not is_exact(core) and boxes.applies(core):
        for _, nearer in boxes.maximise(core, Lam, Watch(SECONDS)):
            bound = min(bound, nearer, key=lambda b: b.upper)
    merged = float(np.abs(lam) @ row_norms(rows)) * (len(rows) + 8) * EPS
    upper = float(bound.upper * scale) * (1 + 4 * EPS) + merged
    return GaugeBound(float(bound.lower * scale), upper, None, bound.proof)


def _program(columns: Array, c: Array, weight_decay: float) -> tuple[Array, Array] | None:
    """``min sum m`` with ``|columns m - c| <= weight_decay``, m >= 0: m, and the dual point.

    None where the solver gives up, as it may on rows that differ by rounding.
    """
    unit = float(np.abs(c).max(initial=0.0)) or 1.0
    bounds = np.append(c + weight_decay, weight_decay - c) / unit
    for tolerance in TOLERANCES:
        found = linprog(
            np.ones(columns.shape[1]), np.vstack([columns, -columns]), bounds, method="highs-ds",
            options={"primal_feasibility_tolerance": tolerance,
                     "dual_feasibility_tolerance": tolerance},
        )  # fmt: skip
        if found.status == 0:
            above, below = np.split(found.ineqlin.marginals, 2)
            return np.maximum(found.x, 0.0) * unit, above - below
    return None
