"""Training with several outputs as a copositive program, and its semidefinite relaxation.

The hyperplanes of the samples cut directions into cells; in cell k, ``K_k u >= 0``, the ReLUs of
the samples are ``A_k u``.  A neuron u with output weights v is there the block

    M_k = [[U_k, V_k], [V_k^T, T_k]] = [u; v] [u; v]^T,      f = sum_k A_k V_k,

and the least squares problem over networks is, with M_k sums of such blocks,

    min  sum_i w_i/2 ||f_i - y_i||^2 + weight_decay/2 sum_k (tr U_k + tr T_k).

That U_k is a sum of u u^T with ``K_k u >= 0`` is a copositive constraint.  The *copositive
relaxation* keeps ``K_k U_k K_k^T >= 0`` in every entry and M_k semidefinite; the *gated* one only
the latter, which makes sum ||V_k||_* of the penalty.  Minimising over V_k and T_k gives the form of
the paper, ``1/2 tr Y^T (I + 2 sum_k A_k U_k A_k^T)^-1 Y + weight_decay^2 sum_k tr U_k``.

The dual of both, over residuals Lam and N_k >= 0 (zero in the gated one), is that of networks with

    lambda_max(A_k^T Lam Lam^T A_k + K_k^T N_k K_k) <= weight_decay^2   for every k

in place of the gauge: for u in cell k the form is at least ``||Lam^T (X u)_+||^2``.  CVXPY finds
Lam and N_k; the eigenvalues are computed here in float64, and prove whatever the solver did.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import comb
from typing import Any

import numpy as np
from scipy.optimize import linprog

from ..core.candidates import Candidates
from ..core.checks import Array, optional_import
from ..core.network import Network
from ..core.problem import Problem, check_problem
from ..core.reduction import Reduction, down
from ..core.result import Bounded
from ..core.rounding import EPS
from ..gauge.faces import FORM, Hyperplanes
from ..gauge.low_rank import by_enumeration
from ..gauge.row_space import row_space

# Cells beyond which the program is refused: minutes of an interior point method.
MAX_CELLS = 1000
# What the solver is asked for: what it lacks in feasibility, the value pays for.
ASKED = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
# Size of V_k, as a share of the largest of all, that becomes neurons.
NEURON = 1e-6


@dataclass(frozen=True, eq=False)
class CopositiveRelaxation(Bounded):
    """What a relaxation of training says of networks, and of itself.

    Attributes
    ----------
    lower_bound : float
        Proven: neither a network, nor a point of the relaxation, has a smaller objective.
    value : float
        Of the relaxation at a point made feasible, in float64: its optimum lies between
        ``lower_bound`` and this.
    solver_value : float
        What the solver says that the optimum is; nothing here rests on it.
    network : Network
        The neurons that the relaxation has where its blocks are of rank one, balanced.
    objective : float
        Of this network.
    n_cells : int
        Cells of the samples' hyperplanes.
    gated : bool
        Whether the cones were left out.
    """

    lower_bound: float
    value: float
    solver_value: float
    network: Network
    objective: float
    n_cells: int
    gated: bool


def copositive_relaxation(problem: Problem, *, gated: bool = False) -> CopositiveRelaxation:
    """Solve the copositive program's relaxation by semidefinite programming.

    For research: training takes a tenth to a hundredth of the time.  The relaxation is exact in two
    dimensions, where its blocks turn out to be of rank one, and mostly near beyond.

    Parameters
    ----------
    problem : Problem
        Squared loss, bias "none" or "penalized", and few cells: some twenty samples in three
        dimensions, any fifty in two.
    gated : bool, default False
        Whether to leave out the cones, as for gated ReLU networks: a lower, cheaper bound.

    Returns
    -------
    CopositiveRelaxation

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.
    ValueError
        For another loss, a free bias, patches, too many cells, and samples so nearly dependent that
        rounding hides their cells.
    ImportError
        Without CVXPY and Clarabel (``pip install gapless[sdp]``).
    RuntimeError
        Where the solver gives up.

    References
    ----------
    Sahiner, Ergen, Pauly & Pilanci, "Vector-output ReLU neural network problems are copositive
    programs", ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import Problem, copositive_relaxation
    >>> X = np.array([[1.0, 0.0], [-0.5, 1.0], [0.3, -1.0]])
    >>> problem = Problem(X, np.eye(3), weight_decay=0.05, bias="none")
    >>> found = copositive_relaxation(problem)
    >>> bool(found.relative_gap < 1e-5), found.n_cells
    (True, 6)
    """
    check_problem(problem)
    _check(problem)
    reduction = Reduction(problem)
    core = reduction.core
    P = row_space(core).samples
    if P.shape[1] == 0:
        raise ValueError("X is zero: no network does better than none")
    cells = _Cell.all(P)
    Ms, duals, told = _solved(core, cells, gated)
    network = reduction.invert(_neurons(core, cells, Ms))
    Ms = [M if gated else cell.feasible(M) for cell, M in zip(cells, Ms)]
    r = P.shape[1]
    F = sum((cell.A @ M[:r, r:] for cell, M in zip(cells, Ms)), np.zeros_like(core.Y))
    traces = [np.sqrt(np.trace(M[:r, :r]) * np.trace(M[r:, r:])) for M in Ms]
    value = core.data_fit(F) + core.weight_decay * float(np.sum(traces))
    Lam = core.residual(F)
    forms = [core.weight_decay * cell.form(y) for cell, y in zip(cells, duals)]
    bound = by_enumeration(core, Lam, partial(_largest, cells, forms), "cells and their cones")
    lower = down(reduction.raised(core.proven_bound(Lam, bound.upper)))
    objective = network.objective(problem)
    value, told = reduction.raised(value), reduction.raised(told)
    return CopositiveRelaxation(
        min(lower, objective), value, told, network, objective, len(cells), gated
    )


def _check(problem: Problem) -> None:
    if problem.loss.name != "squared":
        raise ValueError(
            f"loss={problem.loss.name!r}: the copositive program is that of the squared loss; "
            "train() takes any"
        )
    if problem.free:
        raise ValueError(
            "bias='free': the copositive program penalises all that is in a neuron; take 'none' or "
            "'penalized'"
        )
    if problem.design.pooled:
        raise ValueError("the copositive program is for tables, not for patches; use train()")


@dataclass(frozen=True, eq=False)
class _Cell:
    """A cell: ``A u`` are the ReLUs of the samples where ``K u >= 0``, K its facets."""

    A: Array  # (n, r)
    K: Array  # (facets, r), of norm one
    pairs: tuple[Array, Array]  # of facets

    @classmethod
    def all(cls, P: Array) -> list[_Cell]:
        """Those of the hyperplanes of P (n, r)."""
        planes = Hyperplanes.of(P)
        p, r = planes.units.shape
        count = 2 * sum(comb(p - 1, i) for i in range(r))
        if count > MAX_CELLS:
            raise ValueError(
                f"{p} hyperplanes in {r} dimensions make {count} cells, at most {MAX_CELLS} are "
                "solved for; take fewer samples or features, or train()"
            )
        listed = planes.cells()
        if listed is None:
            raise ValueError(
                "samples are nearly dependent: rounding hides their cells; use train()"
            )
        known = {cell.tobytes() for cell in listed.on}
        cells, flips = [], np.eye(p, dtype=bool)
        for cell in listed.on:
            # a facet lies between two cells that differ in its side alone
            beside = np.flatnonzero([(cell ^ flip).tobytes() in known for flip in flips])
            K = np.where(cell[beside], 1.0, -1.0)[:, None] * planes.units[beside]
            i, j = np.triu_indices(len(K), 1)
            cells.append(cls(planes.active(cell), K, (i, j)))
        return cells

    def form(self, y: Array) -> Array:
        """``sum_p y_p (k_i k_j^T + k_j k_i^T)``, y (pairs,) not negative."""
        i, j = self.pairs
        half = (self.K[i] * y[:, None]).T @ self.K[j]
        return half + half.T

    def feasible(self, M: Array) -> Array:
        """M, with what its entries lack to be in the cone added along a direction inside."""
        r = self.K.shape[1]
        i, j = self.pairs
        low = float(np.sum((self.K[i] @ M[:r, :r]) * self.K[j], axis=1).min(initial=0.0))
        if low >= 0:
            return M
        u, inside = self._middle()
        if inside <= 0:  # no cell but for rounding
            return np.zeros_like(M)
        M = M.copy()
        M[:r, :r] -= 2 * low / inside**2 * np.outer(u, u)
        return M

    def neurons(self, M: Array) -> tuple[Array, Array]:
        """U (r, m) and rows v (m, C) of neurons that make up the block M.

        In a cone of r facets ``K U K^T`` is not negative, and has a Cholesky factor L; the columns
        of ``K^-1 L`` are in the cone where L >= 0, as always in the plane.  Elsewhere the singular
        vectors of V are taken, on the side where they break the cone less.
        """
        r = self.K.shape[1]
        if len(self.K) == r:
            S = self.K @ M[:r, :r] @ self.K.T
            L = np.linalg.cholesky(S + 1e-12 * np.trace(S) * np.eye(r))
            if L.min() >= -1e-6 * L.max():
                H = np.linalg.solve(self.K, L)
                return H, np.linalg.lstsq(H, M[:r, r:], rcond=1e-9)[0]
        left, s, right = np.linalg.svd(M[:r, r:], full_matrices=False)
        K = self.K @ left
        sign = np.where(-K.max(axis=0, initial=0) > K.min(axis=0, initial=0), -1.0, 1.0)
        root = np.sqrt(s) * sign
        return left * root, root[:, None] * right

    def _middle(self) -> tuple[Array, float]:
        """A direction in the box of side 2 far from all facets, and how far."""
        count, r = self.K.shape
        found = linprog(
            np.append(np.zeros(r), -1.0),
            A_ub=np.hstack([-self.K, np.ones((count, 1))]),
            b_ub=np.zeros(count),
            bounds=[(-1, 1)] * r + [(None, 1)],
        )
        u = found.x[:r] if found.status == 0 else np.zeros(r)
        return u, float((self.K @ u).min())


def _solved(
    core: Problem, cells: Sequence[_Cell], gated: bool
) -> tuple[list[Array], list[Array], float]:
    """M_k, made semidefinite, multipliers of pairs of facets, and the value that was told."""
    cp: Any = optional_import("cvxpy", "sdp", "copositive_relaxation")
    r, C = cells[0].A.shape[1], core.n_outputs
    unit = core.data_fit(np.zeros_like(core.Y)) or 1.0  # objective at zero
    blocks = [cp.Variable((r + C, r + C), PSD=True) for _ in cells]
    cones = []
    for cell, M in zip(cells, blocks):
        i, j = cell.pairs
        if not gated and len(i):
            cones.append(cp.sum(cp.multiply(cell.K[i] @ M[:r, :r], cell.K[j]), axis=1) >= 0)
    A = np.hstack([cell.A for cell in cells])
    F = A @ cp.vstack([M[:r, r:] for M in blocks])
    root = np.sqrt(core.sample_weight / unit)[:, None]
    fit = 0.5 * cp.sum_squares(cp.multiply(root, F - core.Y))
    trace = sum(cp.trace(M) for M in blocks)
    program = cp.Problem(cp.Minimize(fit + core.weight_decay / (2 * unit) * trace), cones)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an inaccurate solution costs tightness, never validity
        try:
            program.solve(solver=cp.CLARABEL, **ASKED)
        except cp.SolverError as error:
            raise RuntimeError(f"Clarabel gave up on the relaxation: {error}") from error
    if program.value is None or blocks[0].value is None:
        raise RuntimeError(f"Clarabel gave up on the relaxation: {program.status}")
    duals = [np.zeros(len(cell.pairs[0])) for cell in cells]
    told = iter(cones)
    for y in duals:
        if not gated and len(y):
            y += unit * np.maximum(np.nan_to_num(next(told).dual_value), 0.0)
    return [_semidefinite(M.value) for M in blocks], duals, unit * float(program.value)


def _semidefinite(M: Array) -> Array:
    """M without its negative part."""
    s, Q = np.linalg.eigh(0.5 * (M + M.T))
    return (Q * np.maximum(s, 0.0)) @ Q.T


def _neurons(core: Problem, cells: Sequence[_Cell], Ms: Sequence[Array]) -> Network:
    """``sum_j u_j v_j^T = V_k`` in each cell, u_j on its side, as far as that is known."""
    r, space = cells[0].A.shape[1], row_space(core)
    most = max(float(np.linalg.norm(M[:r, r:])) for M in Ms)
    U, a = [np.zeros((r, 0))], [np.zeros((0, core.n_outputs))]
    for cell, M in zip(cells, Ms):
        if np.linalg.norm(M[:r, r:]) > NEURON * most:
            u, v = cell.neurons(M)
            U.append(u)
            a.append(v)
    W = space.basis @ np.hstack(U)
    zero = np.zeros(W.shape[1])
    return Network(W, zero, np.vstack(a), np.zeros(core.n_outputs)).balance("none")


def _largest(
    cells: Sequence[_Cell], forms: Sequence[Array], P: Array, Lam: Array, free: bool, spread: float
) -> tuple[Candidates, float, float]:
    """What no neuron exceeds by the forms of its cell, for :func:`by_enumeration`."""
    rounding = 8 * (len(P) + 8) * EPS * spread
    upper = 0.0
    for cell, form in zip(cells, forms):
        G = cell.A.T @ Lam
        size = float(np.sum(G * G) + np.abs(form).sum())
        top = float(np.linalg.eigvalsh(G @ G.T + form)[-1])
        error = FORM * size + 3 * rounding * np.sqrt(size)
        upper = max(upper, float(np.sqrt(max(top, 0.0) + error)))
    upper += Hyperplanes.of(P).beside(Lam)
    u = np.eye(P.shape[1])[0]
    value = float(np.linalg.norm(Lam.T @ np.maximum(P @ u, 0.0)))
    return Candidates.one(u, value), upper, rounding
