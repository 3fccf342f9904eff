"""Proof files: what :mod:`gapless.verify` needs to re-check a lower bound, as arrays.

The checker knows three kinds of proof.  Enumeration becomes ``directions`` (the gauge alone);
the quadratic, doubly nonnegative and spike-free bounds become ``conic``: multipliers of

    p_i p_j, p_i q_j, q_i q_j >= 0 and p_i q_i = 0    (E, upper triangle),
    s p_i, s q_i >= 0    (B, first column),
    p_i (||w|| s - w.ball), q_i (||w|| s - w.ball) >= 0    (B, a row w a ball v, u, t),
    s^2 = ||v||^2 = ||u||^2 >= t^2    (ties),

all halved, for p and q in the units of the checker.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._array import is_sparse
from ._validate import Array
from .conditions import rank
from .doubly_nonnegative import CellProof, ConicProof, Geometry
from .gauge import GaugeBound
from .problem import Problem
from .reduction import Reduction
from .relaxation import QuadraticProof, flat_design, quadratic_value
from .verify import Invalid, data_digest, proven, statement, units

# What another machine's rounding may take from the bound the checker finds on this one.
MARGIN = 1e-9
# The checker's work for a gauge to exceed its maximum by this share is small.
DIRECTIONS_MARGIN = 1e-7
# The conic checker factorises matrices of this order.
MAX_SAMPLES = 2000


def write_proof(
    path: str | os.PathLike[str],
    problem: Problem,
    Lam: Array,
    bound: GaugeBound,
    preparation: str = "",
) -> float:
    """Write the lower bound that ``Lam`` and ``bound`` prove; returns it as the checker finds it.

    ``Lam`` (n, C) is a dual point of the problem's core and ``bound`` a bound of its gauge, as
    :func:`gapless.certify.prove` gives them.  ``preparation`` is a text for those who make the
    samples from a table.  The file is a plain ``.npz``: no pickle.

    Raises
    ------
    ValueError
        When the checker cannot repeat the proof: relaxations with more than 2000 samples,
        spike-free data with dependent samples.
    """
    reduction = Reduction(problem)
    core = reduction.core
    X = problem.X.toarray() if is_sparse(problem.X) else problem.X
    Y, _, A, _, group = statement(X, problem.Y, problem.sample_weight, problem.bias)
    limit = core.weight_decay / bound.upper if bound.upper > 0 else np.inf
    scale = core.best_scale(Lam, limit)[0]
    row = group[reduction.first]  # where the checker has each row of the core
    merged = np.zeros_like(Y)
    np.add.at(merged, row, scale * Lam)
    fields: dict[str, Any] = {
        "digest": data_digest(X, problem.Y),
        "loss": problem.loss.name,
        "parameter": getattr(problem.loss, "delta", getattr(problem.loss, "quantile", 0.0)),
        "smoothing": getattr(problem.loss, "smoothing", 0.0),
        "weight_decay": problem.weight_decay,
        "bias": problem.bias,
        "weights": problem.sample_weight,
        "Lam": merged,
        "kind": "norm",
        "preparation": preparation,
    }
    if bound.method == "low-rank" and rank(core) > 0:
        gauge = bound.upper * scale * reduction.scale * (1 + DIRECTIONS_MARGIN)
        fields |= {"kind": "directions", "rank": rank(core), "gauge": gauge}
    elif bound.multipliers is not None:
        if len(Y) > MAX_SAMPLES or len(row) != len(Y):
            raise ValueError(
                f"a proof by {bound.proof} for {len(row)} samples cannot be written as a file: the "
                f"checker takes up to {MAX_SAMPLES}; use method='norm'"
            )
        order = np.argsort(row)
        U, _, Vt = np.linalg.svd(core.X[order].T @ (A / reduction.scale))
        cells = _cells(core, Lam, bound.multipliers)
        fields |= {"kind": "conic", "signs": [c.sign for c in cells]}
        fields["fixed"] = [c.fixed[order] for c in cells]
        for i, cell in enumerate(cells):
            fields |= cell.fields(i, order, U @ Vt, scale * reduction.scale)
    arrays: dict[str, Any] = {key: np.asarray(value) for key, value in fields.items()}
    try:
        value = proven(arrays, X, problem.Y)
    except Invalid as error:
        raise ValueError(f"this proof cannot be written as a file: {error}") from error
    claim = value - MARGIN * abs(value)
    arrays["lower_bound"] = np.array(claim)
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)
    return claim


@dataclass(frozen=True, eq=False)
class _Cell:
    """Multipliers of one cell of the core, not halved: E symmetric, B a block a ball v, u, t."""

    sign: int
    fixed: Array
    beta: float
    E: Array
    s: Array
    B: tuple[Array, Array, Array]
    ties: tuple[float, float, float]

    def fields(self, i: int, order: Array, rotation: Array, factor: float) -> dict[str, Any]:
        """As the checker wants them: its order of samples, its axes for u, its scale."""
        rows = np.concatenate([order, len(order) + order])
        E = np.triu(self.E[np.ix_(rows, rows)])
        E[np.diag_indices_from(E)] /= 2
        v, u, t = self.B
        B = np.column_stack([self.s, v, u @ rotation, t])[rows] / 2
        parts = {"beta": self.beta, "E": E, "B": B, "ties": np.array(self.ties) / 2}
        return {f"{key}{i}": factor * value for key, value in parts.items()}


def _cells(core: Problem, Lam: Array, proof: Any) -> list[_Cell]:
    if isinstance(proof, ConicProof):
        return [_lifted(core, Lam, proof.beta, c) for c in proof.cells]
    if isinstance(proof, QuadraticProof):
        sides = zip((1, -1), (proof.positive, proof.negative), proof.tau)
        return [_quadratic(core, sign * Lam[:, 0], sign, m, tau) for sign, m, tau in sides]
    return [_spike_free(core, sign, *side) for sign, *side in zip((1, -1), proof.nu, proof.upper)]


def _lifted(core: Problem, Lam: Array, beta: float, proof: CellProof) -> _Cell:
    """The multipliers are what the slack form leaves of the form of Lam."""
    cell, n = proof.cell, core.n_samples
    g = Geometry(core, cell)
    N = g.form(Lam, beta, cell.sign) - proof.slack
    rows = np.concatenate([g.on, n + g.off])
    E, s = np.zeros((2 * n, 2 * n)), np.zeros(2 * n)
    E[np.ix_(rows, rows)] = N[g.pq, g.pq]
    s[rows] = 2 * N[0, g.pq]
    B, ties = [], []
    for a, part in g.balls:  # u, then v and t where there are any
        block = np.zeros((2 * n, part.stop - part.start))
        block[rows] = -2 * N[g.pq, part]
        s[rows] += 2 * N[g.pq, a] - np.linalg.norm(block[rows], axis=1)
        B.append(block)
        ties.append(float(N[a, a]))
    none = np.zeros((2 * n, 0))
    v = B.pop(1) if not cell.sign else none
    tie_v = ties.pop(1) if not cell.sign else 0.0
    t, tie_t = (B[1], ties[1]) if core.free else (none, 0.0)
    return _Cell(cell.sign, cell.fixed, beta, E, s, (v, B[0], t), (tie_v, 0.0, tie_t))


def _quadratic(core: Problem, lam: Array, sign: int, m: Array, tau: float) -> _Cell:
    """The secant cut is ``p (R s - x.u) + q (R s + x.u) >= 0``, and tau a multiple of a tie."""
    mu, nu, kappa, rho = m
    flat = flat_design(core)
    beta = quadratic_value(flat, lam, m, tau)
    n, R = len(flat), np.linalg.norm(flat, axis=1)
    A, unit = units(core.X.toarray() if is_sparse(core.X) else core.X, core.free)
    k = core.n_features
    E, w, fixed = np.zeros((2 * n, 2 * n)), rho[:, None] * A / unit, np.where(R > 0, 0, -1)
    E[:n, n:] = E[n:, :n] = np.diag(np.where(R > 0, -mu, 0.0) / (2 * unit**2))
    spare = rho * (R - np.linalg.norm(A[:, :k], axis=1) - np.abs(A[:, k:]).sum(axis=1))
    s = np.concatenate([nu + spare, kappa + spare]) / unit
    B = np.vstack([w, -w])
    tie = (tau / (1 + core.free) - beta / 2, tau / 2 * core.free)
    parts = (B[:, :0], B[:, :k], B[:, k:])
    return _Cell(sign, fixed, beta, E, s, parts, (0.0, *tie))


def _spike_free(core: Problem, sign: int, nu: Array, upper: float) -> _Cell:
    """``||u||^2 - p.K^-1 p >= -2 p.K^-1 q >= 0``, K = A A^T; off its diagonal K^-1 <= 0."""
    A, unit = units(core.X, False)
    n, seen = len(A), np.any(A, axis=1)
    K = A[seen] @ A[seen].T
    if np.linalg.matrix_rank(K) < len(K):
        raise ValueError(
            "a spike-free proof with dependent samples cannot be written as a file: the checker "
            "does not repeat it; use method='doubly nonnegative'"
        )
    E, none = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, 0))
    E[:n, n:][np.ix_(seen, seen)] = -upper / (2 * unit**2) * np.linalg.inv(K)
    E += E.T
    s = np.concatenate([nu, np.zeros(n)]) / unit
    parts = (none, np.zeros((2 * n, A.shape[1])), none)
    return _Cell(sign, np.where(seen, 0, -1), upper, E, s, parts, (0.0, 0.0, 0.0))
