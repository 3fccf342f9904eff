"""What hidden layers are worth: alignment, the pairwise loss, and what no hidden map can beat.

For two classes and the hinge loss, with k(x, x) = c the largest value of the output's kernel and
a its infimum, every hidden map F, weights w and bias b have

    mean hinge loss + tau ||w||  >=  min(2 tau / D, 2 min(kappa, 1 - kappa)),  D = sqrt(2 (c - a)),

kappa the share of positives.  Proof: a positive i and a negative j have
``h_i + h_j >= 2 - <w, phi_i - phi_j> >= 2 - D ||w||`` since ``||phi_i - phi_j||^2 = 2 c - 2 k_ij``.
Each sample of the smaller class with a partner of its own in the other gives
``mean hinge >= min(kappa, 1 - kappa) (2 - D ||w||)_+``; the least over ||w|| of that plus
``tau ||w||`` stands at 0 or at 2 / D.  A map with k = c within and k = a across the classes attains
it.  Theorem 1 of Duan et al. asks for more: tau below D min(kappa, 1 - kappa), where such a map is
better than w = 0, and a sample of each class without hinge loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..core.checks import Array, positive, to_2d, to_floats
from .machine import Kernel, KernelMachine, pairs_of_samples

# Rows between which alignment is measured, where there are more: two million pairs.
PAIRED_ROWS = 2000
# The farthest that the Gaussian kernel puts two samples apart, D with c = 1 and a = 0.
DISTANCE = float(np.sqrt(2.0))
# A margin that misses one by less has no hinge loss: what a support vector machine stops at.
NO_LOSS = 1e-3


def gram_of_classes(features: Any, scale: float) -> Array:
    """``exp(-scale ||f_i - f_j||^2)``.

    Parameters
    ----------
    features : array of shape (n_samples, k)
    scale : float

    Returns
    -------
    array of shape (n_samples, n_samples)
    """
    F = to_2d("features", features)
    return Kernel(positive("scale", scale)).matrix(F, F)


def alignment(features: Any, labels: Any, scale: float = 1.0, sample_weight: Any = None) -> float:
    """``<G, G*> / (||G|| ||G*||)`` off the diagonal, G the Gaussian kernel of the features.

    G* is one within a class and zero across; 1 says that the next kernel sees the classes and
    nothing else.  It proves nothing about the network.

    Parameters
    ----------
    features : array of shape (n_samples, k)
        Of 2000 samples evenly spread through them, where there are more.
    labels : array of shape (n_samples,)
    scale : float, default 1.0
        Of the kernel ``exp(-scale ||f - g||^2)``.
    sample_weight : array of shape (n_samples,), optional
        How many samples each is, above zero: a pair counts as their product, and those of one
        row are pairs too.

    Returns
    -------
    float
        0 where no two samples share a class.

    Raises
    ------
    ValueError
        For another number of labels than samples, none, and numbers too large to be squared.

    Examples
    --------
    >>> round(alignment([[0.0], [0.0], [9.0], [9.0]], [0, 0, 1, 1]), 6)
    1.0
    """
    G, same, counts = _pairs(features, labels, scale, sample_weight)
    norm = np.sqrt(float(counts @ (G * G)) * float(counts @ same))
    return float((counts * same) @ G / norm) if norm > 0 else 0.0


def pairwise_loss(
    features: Any,
    labels: Any,
    scale: float = 1.0,
    power: float = 2.0,
    sample_weight: Any = None,
) -> float:
    """The mean over pairs of ``|G_ij - G*_ij|^power``, G and G* as in :func:`alignment`.

    Parameters
    ----------
    features : array of shape (n_samples, k)
    labels : array of shape (n_samples,)
    scale : float, default 1.0
    power : float, default 2.0
    sample_weight : array of shape (n_samples,), optional
        As in :func:`alignment`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As :func:`alignment`.
    """
    G, same, counts = _pairs(features, labels, scale, sample_weight)
    misfits = np.abs(G - same) ** positive("power", power)
    return float(counts @ misfits / counts.sum()) if G.size else 0.0


def _pairs(
    features: Any, labels: Any, scale: float, sample_weight: Any
) -> tuple[Array, Array, Array]:
    """G, whether the classes are the same, and how many pairs of samples each pair of rows is."""
    F, labels = to_2d("features", features), np.asarray(labels)
    if labels.shape != (len(F),) or not len(F):
        raise ValueError(f"labels must be {len(F)}, one a sample, got shape {labels.shape}")
    weights = np.ones(len(F)) if sample_weight is None else to_floats("weights", sample_weight)
    if weights.shape != labels.shape or not np.all(weights > 0):
        raise ValueError(f"sample_weight must be {len(F)} numbers above zero, one a sample")
    if len(F) > PAIRED_ROWS:
        rows = np.linspace(0, len(F) - 1, PAIRED_ROWS).astype(int)
        F, labels, weights = F[rows], labels[rows], weights[rows]
    i, j, counts = pairs_of_samples(weights)
    G = gram_of_classes(F, scale)[i, j]
    if not np.all(np.isfinite(G)):
        raise ValueError("features has numbers whose squares are beyond 1e308; rescale them")
    return G, labels[i] == labels[j], counts


@dataclass(frozen=True)
class HiddenTarget:
    """What is proven of all hidden maps before a support vector machine of two classes.

    Parameters
    ----------
    classes : tuple of two ints
        Numbers of the two classes.
    tau : float
        The machine minimises ``mean hinge loss + tau ||w||``.
    threshold : float
        ``sqrt(2 (c - a)) min(kappa, 1 - kappa)``, with c - a = 1 for a Gaussian kernel.
    holds : bool
        Whether the condition of Theorem 1 holds: tau below the threshold, and a sample of each
        class has no hinge loss.  Sufficient only, for a map that a Gaussian kernel never attains.
    objective : float
        Of the machine.
    lower_bound : float
        Proven: no hidden map and no machine on the same samples are below, condition or not.
    """

    classes: tuple[int, int]
    tau: float
    threshold: float
    holds: bool
    objective: float
    lower_bound: float


def hidden_targets(
    machine: KernelMachine, inputs: Any, labels: Array, C: float, weights: Array | None = None
) -> tuple[HiddenTarget, ...]:
    """One for each two classes of a support vector machine, one class against another.

    Parameters
    ----------
    machine : KernelMachine
        Minimises ``1/2 ||w||^2 + C sum hinge``; a column for each two classes, positive for the
        second.
    inputs : array or sparse matrix of shape (n_samples, n_features)
        What it was trained on.
    labels : array of int of shape (n_samples,)
        Class numbers.
    C : float
    weights : array of shape (n_samples,), optional
        Of the terms of the sum; the mean and kappa weigh samples by them too.

    Returns
    -------
    tuple of HiddenTarget
    """
    weights = np.ones(len(labels)) if weights is None else weights
    kernel = Kernel(machine.kernel.scale)  # a constant moves no two samples apart
    gram = kernel.matrix(machine.centres, machine.centres)
    norms = np.sqrt(np.einsum("ij,ij->j", gram @ machine.coefficients, machine.coefficients))
    scores = machine.outputs(inputs)
    found = []
    for column, pair in enumerate(combinations(range(int(labels.max()) + 1), 2)):
        sides = [np.flatnonzero(labels == k) for k in pair]
        hinge = [np.maximum(0.0, 1.0 + s * scores[i, column]) for i, s in zip(sides, (1, -1))]
        totals = [float(weights[i].sum()) for i in sides]
        n, norm = sum(totals), float(norms[column])
        share = min(totals) / n
        # w is stationary for both: C n times the mean loss against 1/2 ||w||^2, or tau ||w||
        tau, threshold = norm / (C * n), DISTANCE * share
        lossless = all(float(h.min()) <= NO_LOSS for h in hinge)
        loss = sum(float(weights[i] @ h) for i, h in zip(sides, hinge))
        objective = loss / n + tau * norm
        bound = min(2.0 * tau / DISTANCE, 2.0 * share)
        found.append(
            HiddenTarget(pair, tau, threshold, tau < threshold and lossless, objective, bound)
        )
    return tuple(found)
