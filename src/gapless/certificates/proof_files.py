"""Proof files: what :mod:`gapless.certificates.verify` needs to re-check a lower bound, as arrays.

The checker knows six kinds of proof.  ``norm`` needs nothing but the data, ``directions`` (of
enumeration) the rank and the gauge alone, ``boxes`` (branch and bound over directions) coordinates
and a tree, ``columns`` (of networks whose neurons look at one feature) which effects are
monotone, ``pairs`` (at two) which pairs are allowed, what they cost and the gauge.  All others
become ``conic``: signs, D and N of :mod:`gapless.gauge.proof_cells`.  What their forms lack to be
positive semidefinite is added here, so that the checker has to factorise and nothing to correct.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from scipy.linalg import eigh

from ..core.checks import Array
from ..core.design import design_of
from ..core.files import write
from ..core.losses import LOSSES, is_known
from ..core.patches import Patches
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..gauge.base import FILE_SAMPLES, GaugeBound, Proof
from ..gauge.cells import SHARE
from ..gauge.proof_boxes import BoxProof
from ..gauge.proof_cells import CheckedSamples
from ..gauge.row_space import RANK_TOL, rank
from .verify import SIZES, Invalid, data_digest, design, fits, proven, slack, table

# What another machine's rounding may take from the bound the checker finds on this one.
MARGIN = 1e-9
# The checker's work for a gauge to exceed its maximum by this share is small.
DIRECTIONS_MARGIN = 1e-7


def write_proof(
    path: str | os.PathLike[str],
    problem: Problem,
    Lam: Array,
    bound: GaugeBound,
    preparation: str = "",
) -> float:
    """Write a proven lower bound as a file that :func:`gapless.verify` checks.

    Parameters
    ----------
    path : path
        Of a plain ``.npz``: no pickle.
    problem : Problem
    Lam : array of shape (n, n_outputs)
        A dual point of the problem's core.
    bound : GaugeBound
        Of its gauge; both as :func:`gapless.certificates.certify.prove` gives them.
    preparation : str, default ""
        For those who make the samples from a table.

    Returns
    -------
    float
        The lower bound on all networks' objectives, as the checker finds it: it repeats the proof
        before it is written.

    Raises
    ------
    ValueError
        When the checker cannot repeat the proof: relaxations with more than 2000 samples; and as
        :func:`check_writable`.
    """
    X = check_writable(problem)
    reduction = Reduction(problem)
    core = reduction.core
    images = problem.X if isinstance(problem.X, Patches) else None
    limit = core.weight_decay / bound.upper if bound.upper > 0 else np.inf
    scale = core.best_scale(Lam, limit)[0]
    fields = _by_norm(reduction, X, scale * reduction.step * Lam)
    fields["preparation"] = preparation
    if images is not None:
        fields |= _of_patches(images)
    some = rank(core) > 0  # else there is nothing but rounding, which the norm bounds
    unit = scale * reduction.step * reduction.scale * (1 + DIRECTIONS_MARGIN)
    if bound.signs is not None:
        fields |= {"kind": "columns", "monotone": bound.signs, "gauge": bound.upper * unit}
        if bound.pairs is not None:
            fields |= {"kind": "pairs", "pairs": bound.pairs, "price": bound.price}
    elif some and bound.check == "directions":
        fields |= {"kind": "directions", "rank": rank(core), "gauge": bound.upper * unit}
    elif some and bound.boxes is not None:
        fields |= _boxes(fields, reduction, X, bound.boxes)
        fields |= {"kind": "boxes", "gauge": bound.boxes.G * unit}
    elif some and bound.multipliers is not None:
        if core.n_samples > FILE_SAMPLES:
            raise ValueError(
                f"a proof by {bound.proof} for {core.n_samples} samples cannot be written as a "
                f"file: the checker takes up to {FILE_SAMPLES}; use method='norm'"
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


def check_writable(problem: Problem) -> Array:
    """Refuse a problem of which no proof can be written, before anything is trained or proven.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    array
        The samples as a file has them.

    Raises
    ------
    ValueError
        For losses other than the six, and numbers beyond :data:`gapless.certificates.verify.SIZES`.
    """
    if not is_known(problem.loss):
        raise ValueError(
            f"there is no proof file for the loss {type(problem.loss).__name__}: the checker knows "
            f"{', '.join(LOSSES)}"
        )
    X = problem.X.unpadded if isinstance(problem.X, Patches) else design_of(problem.X).array()
    ends = {name: np.abs(M).max(initial=0.0) for name, M in (("X", X), ("y", problem.Y))}
    ends |= {"weight_decay": problem.weight_decay, "sample_weight": problem.sample_weight.min()}
    for name, size in ends.items():
        if not fits(size):
            raise ValueError(
                f"a proof file holds numbers from {SIZES[0]:g} to {SIZES[1]:g} (of weights their "
                f"share of the sum), and {name} has {size:.3g}: scale it, or write no file"
            )
    return X


def _by_norm(reduction: Reduction, X: Array, Lam: Array) -> dict[str, Any]:
    """The fields of a proof by norm; ``Lam`` is the file's dual point on the core's samples."""
    problem, group = reduction.problem, reduction.group
    share = problem.sample_weight / reduction.core.sample_weight[group]
    return {
        "digest": data_digest(X, problem.Y),
        "loss": problem.loss.name,
        "parameter": getattr(problem.loss, "delta", getattr(problem.loss, "quantile", 0.0)),
        "smoothing": getattr(problem.loss, "smoothing", 0.0),
        "weight_decay": problem.weight_decay,
        "bias": problem.bias,
        "weights": problem.sample_weight,
        "Lam": Lam[group] * share[:, None],
        "first": reduction.first,
        "group": group,
        "ratio": np.ones(len(X)),
        "kind": "norm",
    }


def _of_patches(images: Patches) -> dict[str, Any]:
    """How images are cut, and which of their patches are equal."""
    w = images.windows
    fields: dict[str, Any] = {"windows": np.array([w.size, w.stride, w.padding, w.pool])}
    return fields | _equal(images.array()) if images.pooled else fields


def _equal(X: Array) -> dict[str, Any]:
    """Which samples are equal, whatever their targets."""
    _, first, group = np.unique(X, axis=0, return_index=True, return_inverse=True)
    return {"first": first, "group": group.ravel(), "ratio": np.ones(len(X))}


def _boxes(
    fields: dict[str, Any], reduction: Reduction, X: Array, proof: BoxProof
) -> dict[str, Any]:
    """The fields of a proof by boxes: the coordinates in which they are cut, and the tree."""
    core, pooled = reduction.core, reduction.core.design.pooled
    merge = {} if pooled else _equal(X)  # boxes have equal samples once
    rows = table(fields | merge, X, fields["Lam"])
    A = design(*rows, int(core.free))[0][:, : None if not core.free else -1]
    P = (reduction.problem if pooled else core).design.array() @ proof.basis
    # the same coordinates of the checker's samples, which differ by a shift, a scale and a rotation
    P -= core.free * ((rows[0]["weights"] if pooled else core.sample_weight) @ P)
    P = P[fields["first"]] if pooled else P[reduction.group[merge["first"]]]
    U, _, Vt = np.linalg.svd(np.linalg.lstsq(A, P, RANK_TOL)[0], full_matrices=False)
    cut = {"basis": U @ Vt, "reach": proof.reach, "tree": proof.tree, "batch": proof.batch}
    return merge | cut


def _conic(
    fields: dict[str, Any], reduction: Reduction, X: Array, Lam: Array, scale: float, proof: Proof
) -> dict[str, Any]:
    """The fields of a conic proof; ``Lam`` times ``scale`` is the file's dual point."""
    core = reduction.core
    # 1. the samples as the checker has them: one for each that are multiples of each other
    B = proof.joins(core)
    rows, owner, largest = np.argmax(B, axis=0), np.argmax(B, axis=1), B.max(axis=0)
    ratio = B.max(axis=1) / largest[owner]
    merge = {
        "first": reduction.first[rows],
        "group": owner[reduction.group],
        "ratio": ratio[reduction.group],
    }
    A, point, _ = design(*table(fields | merge, X, fields["Lam"]), int(core.free))
    samples = CheckedSamples(core, Lam, rows, B / largest, A)
    # 2. the multipliers, in the problem's units, completed cell by cell
    arrays = proof.fields(samples)
    factor = scale * reduction.step * reduction.scale
    D, N = factor * arrays["D"], factor * arrays["N"]
    for cell in zip(arrays["signs"], D, N):
        _complete(A, point, samples.sizes, *cell)
    return merge | {"signs": arrays["signs"], "D": D, "N": N}


def _complete(A: Array, Lam: Array, sizes: list[int], signs: Array, D: Array, N: Array) -> None:
    """The multipliers of one cell, in place: moved into their cones, then raised until the form is
    positive semidefinite.

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
