"""Proof files: what :mod:`gapless.certificates.verify` needs to re-check a lower bound, as arrays.

The checker knows three kinds of proof.  Enumeration becomes ``directions`` (the gauge alone);
the quadratic, doubly nonnegative and spike-free bounds become ``conic``: in every cell multipliers
D (4,) of ``s^2 = ||v||^2 = ||u||^2 >= t^2`` and N (2n, 1 + C + k + 2n) of products of (p, q)
with ``y = (s, v, u, t, p, q)``, which are nonnegative because

    p_i p_j, p_i q_j, q_i p_j, q_i q_j >= 0 and p_i q_i = 0    (last columns of N),
    p_i (b s - w.ball), q_i (b s - w.ball) >= 0, b >= ||w||    (a row w a ball v, u, t).

The form ``sum of D - v.Lam^T p - sum of N`` must be positive semidefinite on all y; what it lacks
is added here, so that the checker has to factorise and nothing to correct.
"""

from __future__ import annotations

import io
import os
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg import eigh

from ..core.arrays import is_sparse
from ..core.checks import Array
from ..core.files import write
from ..core.losses import LOSSES, is_known
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..gauge.conditions import rank, rays
from ..gauge.doubly_nonnegative import SHARE, CellProof, ConicProof, Geometry
from ..gauge.methods import GaugeBound, SpikeFreeProof
from ..gauge.quadratic import QuadraticProof, flat_design, quadratic_value
from .verify import Invalid, data_digest, design, proven, slack

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
    :func:`gapless.certificates.certify.prove` gives them.  ``preparation`` is a text for those who
    make the samples from a table.  The file is a plain ``.npz``: no pickle.

    Raises
    ------
    ValueError
        When the checker cannot repeat the proof: relaxations with more than 2000 samples, and
        losses other than the six.
    """
    if not is_known(problem.loss):
        raise ValueError(
            f"there is no proof file for the loss {type(problem.loss).__name__}: the checker knows "
            f"{', '.join(LOSSES)}"
        )
    reduction = Reduction(problem)
    core = reduction.core
    X = problem.X.toarray() if is_sparse(problem.X) else problem.X
    limit = core.weight_decay / bound.upper if bound.upper > 0 else np.inf
    scale = core.best_scale(Lam, limit)[0]
    share = problem.sample_weight / core.sample_weight[reduction.group]
    fields = {
        "digest": data_digest(X, problem.Y),
        "loss": problem.loss.name,
        "parameter": getattr(problem.loss, "delta", getattr(problem.loss, "quantile", 0.0)),
        "smoothing": getattr(problem.loss, "smoothing", 0.0),
        "weight_decay": problem.weight_decay,
        "bias": problem.bias,
        "weights": problem.sample_weight,
        "Lam": scale * reduction.step * Lam[reduction.group] * share[:, None],
        "first": reduction.first,
        "group": reduction.group,
        "ratio": np.ones(len(X)),
        "kind": "norm",
        "preparation": preparation,
    }
    if bound.method == "low-rank" and rank(core) > 0:
        gauge = bound.upper * scale * reduction.step * reduction.scale * (1 + DIRECTIONS_MARGIN)
        fields |= {"kind": "directions", "rank": rank(core), "gauge": gauge}
    elif bound.multipliers is not None and rank(core) > 0:
        if core.n_samples > MAX_SAMPLES:
            raise ValueError(
                f"a proof by {bound.proof} for {core.n_samples} samples cannot be written as a "
                f"file: the checker takes up to {MAX_SAMPLES}; use method='norm'"
            )
        fields |= _conic(fields, reduction, X, Lam, scale, bound.multipliers)
        fields["kind"] = "conic"
    arrays: dict[str, Any] = {key: np.asarray(value) for key, value in fields.items()}
    try:
        value = proven(arrays, X, problem.Y)
    except (Invalid, np.linalg.LinAlgError) as error:
        raise ValueError(f"this proof cannot be written as a file: {error}") from error
    claim = value - MARGIN * abs(value)
    arrays["lower_bound"] = np.array(claim)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write(path, buffer.getvalue())
    return claim


#: signs of v and the samples, D, and N
Cell: TypeAlias = tuple[Array, Array, Array]


def _conic(
    fields: dict[str, Any], reduction: Reduction, X: Array, Lam: Array, scale: float, proof: Any
) -> dict[str, Any]:
    """The fields of a conic proof; ``Lam`` times ``scale`` is the file's dual point."""
    core = reduction.core
    if isinstance(proof, SpikeFreeProof):
        B = rays(core.X)[1]  # the ReLUs of a ray are multiples of each other
    else:
        B = np.eye(core.n_samples)[:, np.any(core.X, axis=1) | core.free]  # the others are zero
    rows, owner, largest = np.argmax(B, axis=0), np.argmax(B, axis=1), B.max(axis=0)
    ratio = B.max(axis=1) / largest[owner]
    merge = {
        "first": reduction.first[rows],
        "group": owner[reduction.group],
        "ratio": ratio[reduction.group],
    }
    A, point, _ = design(fields | merge, X, fields["Lam"], int(core.free))
    sizes = [1, core.n_outputs, A.shape[1] - core.free, int(core.free)]
    unit = 1 / float(np.linalg.norm(core.X, axis=1).max())  # of the core's scores, in A
    if isinstance(proof, ConicProof):
        U, _, Vt = np.linalg.svd(core.X[rows].T @ A[:, : sizes[2]], full_matrices=False)
        cells = [_lifted(core, Lam, proof.beta, c, rows, U @ Vt, unit) for c in proof.cells]
    elif isinstance(proof, QuadraticProof):
        sides = zip((1, -1), (proof.positive, proof.negative), proof.tau)
        cells = [_quadratic(core, Lam[:, 0], rows, A, unit, *side) for side in sides]
    else:
        merged = zip((1, -1), proof.nu @ (B / largest), proof.upper)
        cells = [_spike_free(A, unit, *side) for side in merged]
    factor = scale * reduction.step * reduction.scale
    cells = [_completed(A, point, sizes, c[0], factor * c[1], factor * c[2]) for c in cells]
    signs, D, N = (np.stack(part) for part in zip(*cells))
    return merge | {"signs": signs, "D": D, "N": N}


def _cell(sign: int, fixed: Array, beta: float, ties: Array, head: Array, E: Array) -> Cell:
    """``beta/2 (s^2 + ||u||^2)`` and ties to s^2 for D, columns s, v, u, t of N, E symmetric."""
    D = np.append(beta / 2 - np.sum(ties), ties)
    D[2] += beta / 2
    return np.append(sign, fixed), D, np.hstack([head, np.triu(E) + np.triu(E, 1)])


def _completed(A: Array, Lam: Array, sizes: list[int], signs: Array, D: Array, N: Array) -> Cell:
    """Multipliers moved into their cones, then raised until the form is positive semidefinite.

    To the form is added a multiple of the sum of squares in which the relaxations charge it: s^2,
    ||v||^2, ||u||^2, t^2 counted in D, and ``||p||^2 + ||q||^2 = ||A (u, t)||^2 + 2 p.q``, where
    ``p.q = 0`` and the norm of A is at most its spectral norm.
    """
    s, *balls, E = np.split(N, np.cumsum(sizes), axis=1)  # views
    any_sign = np.eye(len(E), k=len(A), dtype=bool)
    E[...] = np.where(any_sign, E, np.maximum(E, 0))
    norms = sum(np.linalg.norm(ball, axis=1, keepdims=True) for ball in balls)
    s[...] = np.maximum(s, norms * (1 + 1e-12))
    D[3] = max(D[3], 0)
    form, rounding = slack(A, Lam, sizes, signs, D, N)
    several, free, square = signs[0] == 0, sizes[3], float(np.linalg.norm(A, 2)) ** 2
    more, each = np.array([2.0 + several + free, 2.0 * several, 1.0, free]), SHARE**2 / square
    scores = np.eye(len(N), N.shape[1], k=sum(sizes))
    added = slack(A, 0 * Lam, sizes, signs, more, -each * scores)[0]
    least = float(eigh(form, added, eigvals_only=True, subset_by_index=(0, 0))[0])
    short = max(-least, 0.0) + 2 * rounding / min(1.0, each)
    D += short * (more + (1 + 1e-12) * each * square * np.array([0, 0, 1, free]))
    E[any_sign] -= 2 * each * short
    return signs, D, N


def _lifted(
    core: Problem,
    Lam: Array,
    beta: float,
    proof: CellProof,
    rows: Array,
    rotation: Array,
    unit: float,
) -> Cell:
    """The multipliers are what the slack form leaves of the form of Lam.

    The checker has ``rows`` of the core's samples, and ``rotation`` takes u to its axes.
    """
    cell, n = proof.cell, core.n_samples
    g = Geometry(core, cell)
    M = g.form(Lam, beta, cell.sign) - proof.slack
    M[g.pq] *= g.unit / unit
    M[:, g.pq] *= g.unit / unit
    on_off = np.concatenate([g.on, n + g.off])
    kept = np.concatenate([rows, n + rows])
    E, s = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, 1))
    E[np.ix_(on_off, on_off)] = M[g.pq, g.pq]
    s[on_off, 0] = 2 * M[0, g.pq]
    parts, ties = [], []
    for a, ball in g.balls:  # u, then v and t where there are any
        part = np.zeros((2 * n, ball.stop - ball.start))
        part[on_off] = 2 * M[g.pq, ball]
        s[on_off, 0] += 2 * M[g.pq, a]
        parts.append(part)
        ties.append(float(M[a, a]))
    u = parts.pop(0) @ rotation
    v = np.zeros((2 * n, 1)) if cell.sign else parts.pop(0)
    tie = [0.0 if cell.sign else ties[1], 0.0, ties[-1] if core.free else 0.0]
    head = np.hstack([s, v, u, *parts])[kept]
    return _cell(cell.sign, cell.fixed[rows], beta, np.array(tie), head, E[np.ix_(kept, kept)])


def _quadratic(
    core: Problem, lam: Array, rows: Array, A: Array, unit: float, sign: int, m: Array, tau: float
) -> Cell:
    """The secant cut is ``p (R s - x.u) + q (R s + x.u) >= 0``, and tau a multiple of a tie."""
    flat = flat_design(core)
    beta = quadratic_value(flat, sign * lam, m, tau)
    mu, nu, kappa, rho = m[:, rows]
    n, R = len(rows), np.linalg.norm(flat[rows], axis=1)
    E, x = np.zeros((2 * n, 2 * n)), rho[:, None] * A / unit**2
    E[:n, n:] = E[n:, :n] = -np.diag(mu) / (2 * unit**2)
    s = np.concatenate([nu + rho * R, kappa + rho * R])[:, None] / unit
    ties = np.array([0.0, tau / (1 + core.free) - beta / 2, tau / 2 * core.free])
    head = np.hstack([s, 0 * s, np.vstack([-x, x])])
    return _cell(sign, np.zeros(n), beta, ties, head, E)


def _spike_free(A: Array, unit: float, sign: int, nu: Array, upper: float) -> Cell:
    """``||u||^2 - p.K^-1 p >= -2 p.K^-1 q >= 0``, K = A A^T; off its diagonal K^-1 <= 0."""
    n, k = A.shape
    E, head = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, 2 + k))
    E[:n, n:] = E[n:, :n] = -upper / 2 * np.linalg.inv(A @ A.T)
    head[:n, 0] = nu / unit
    return _cell(sign, np.zeros(n), upper, np.zeros(3), head, E)
