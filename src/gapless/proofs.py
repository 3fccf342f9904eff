"""Proof files: everything :mod:`gapless.verify` needs to re-check a lower bound, as arrays."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np

from ._array import is_sparse
from ._validate import Array
from .doubly_nonnegative import ConicProof, Geometry
from .gauge import GaugeBound, rank
from .problem import Problem
from .reduction import Reduction
from .relaxation import QuadraticProof

FORMAT = 1
# The claim stays this share below the bound: the checker rounds up more generously.
MARGIN = 1e-5


def data_digest(X: Array, Y: Array) -> str:
    """SHA-256 of the samples and targets as float64 matrices with their shapes."""
    digest = hashlib.sha256()
    for part in (X, Y):
        digest.update(repr(part.shape).encode())
        digest.update(np.ascontiguousarray(part, dtype="<f8").tobytes())
    return digest.hexdigest()


def write_proof(
    path: str | os.PathLike[str], problem: Problem, Lam: Array, bound: GaugeBound
) -> float:
    """Write the lower bound that ``Lam`` and ``bound`` prove; returns that bound.

    ``Lam`` (n, C) is a dual point of the problem's core and ``bound`` a bound of its gauge, as
    :func:`gapless.certify.prove` gives them.  The file is a plain ``.npz``: no pickle.

    Raises
    ------
    ValueError
        For enumeration of rank 2 or 3 and for spike-free data: the checker does not repeat
        these; prove with method="doubly nonnegative" or "quadratic" instead.
    """
    reduction = Reduction(problem)
    core = reduction.core
    X = problem.X.toarray() if is_sparse(problem.X) else problem.X
    fields: dict[str, Any] = {
        "format": FORMAT,
        "kind": bound.method,
        "digest": data_digest(X, problem.Y),
        "loss": problem.loss.name,
        "delta": getattr(problem.loss, "delta", 0.0),
        "weight_decay": problem.weight_decay,
        "bias": problem.bias,
        "weights": problem.sample_weight,
        "first": reduction.first,
        "group": reduction.group,
        "data_scale": reduction.scale,
        "Lam": Lam,
    }
    if bound.method == "spike-free" or (bound.method == "low-rank" and rank(core) > 1):
        raise ValueError(
            f"a proof by {bound.proof} cannot be written as a file: the checker does not repeat "
            "it; use method='doubly nonnegative' or 'quadratic'"
        )
    if reduction.basis is not None:
        fields["basis"] = reduction.basis
    proof = bound.multipliers
    if isinstance(proof, QuadraticProof):
        fields |= {"positive": proof.positive, "negative": proof.negative, "tau": proof.tau}
    if isinstance(proof, ConicProof):
        fields |= {
            "beta": proof.beta,
            "unit": Geometry(core, proof.cells[0].cell).unit,
            "signs": [c.cell.sign for c in proof.cells],
            "fixed": [c.cell.fixed for c in proof.cells],
        }
        fields |= {f"slack{i}": c.slack for i, c in enumerate(proof.cells)}
    limit = core.weight_decay / bound.upper if bound.upper > 0 else np.inf
    scale, value = core.best_scale(Lam, limit)
    fields |= {"scale": scale, "lower_bound": value - MARGIN * abs(value)}
    with open(path, "wb") as file:
        np.savez_compressed(file, **fields)
    return float(fields["lower_bound"])
