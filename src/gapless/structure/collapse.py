"""Neural collapse and alignment: what a trained network's layers look like, in numbers.

Neural collapse (Papyan, Han & Donoho, PNAS 2020) from the last hidden features H
(n_samples, p), the labels, and the output layer W (n_classes, p), b.  Class means mu_k,
``mu_G`` the mean OF THE CLASS MEANS (not of the samples, which differs for imbalanced
classes), centred means ``M = (mu_k - mu_G)_k`` (n_classes, p) and the simplex equiangular
tight frame ``E = (I - 1 1^T / K) / sqrt(K - 1)``, of Frobenius norm one.

What the theory predicts for whitened data or a batch-normalised head, squared loss, L = 2
and one-hot targets (:mod:`gapless.closed.whitened`; beta = n weight_decay over the data's scale):

* within-class variation is zero, and the means are orthogonal, with norms
  ``sqrt(sqrt(n_k) - beta) / sqrt(n_k)``; classes with ``sqrt(n_k) <= beta`` vanish;
* balanced: the CENTRED means are an exact simplex frame (NC2 = 0, NC4 = 0);
* balanced, no output bias: W is an orthogonal frame, not a simplex one, so ``nc3`` is
  ``2 - 2 sqrt((K-1)/K)`` and not zero; it is zero with an output bias, with cross-entropy,
  or after centring the rows of W (``centre_head=True``).  ``nc3_structure`` is zero in all
  of these;
* imbalanced, no bias: means orthogonal but of unequal norms, so not a simplex frame;
  imbalanced with an output bias: no closed form.

Deeper networks with several classes: the global optimum is in general NOT collapsed
(see :func:`gapless.closed.paths.whitened_status`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, positive, to_2d
from ..core.rounding import TINY

# Singular values below this share of the largest do not count towards the numerical rank.
RANK_TOL = 1e-6
# Class means closer to each other than this share of their size coincide: rounding of a mean.
COINCIDE = 1e-12
# Directions of the class means below this share of the largest are rounding, and divided by.
SPANNED = 1e-10


@dataclass(frozen=True, eq=False)
class NeuralCollapse:
    """The four properties, as distances from collapse; each is zero at perfect collapse.

    Attributes
    ----------
    nc1 : float
        ``tr(S_W S_B^+) / K`` with ``S_W`` the within-class covariance (mean over samples) and
        ``S_B = M^T M / K``.
    nc1_trace : float
        ``tr S_W / tr S_B``.
    nc2_means_equinorm, nc2_head_equinorm : float
        Standard deviation (population) over mean of the norms of the rows of M, and of W.
    nc2_equiangle : float
        Mean over pairs of ``|cos(M_j, M_k) + 1/(K-1)|``.
    nc2_frame : float
        ``|| M M^T / ||M M^T||_F - E ||_F``: distance of the means to the simplex frame.
    nc3 : float
        ``|| W/||W||_F - M/||M||_F ||_F^2`` (self-duality).
    nc3_structure : float
        ``|| W M^T / ||W M^T||_F - E ||_F``.
    nc4 : float
        Share of samples where the head and the nearest class mean disagree.
    means_orthogonality : float
        Largest ``|cos|`` between two UNCENTRED class means: zero in the closed forms.
    means_norms : array of shape (n_classes,)
        Norms of the uncentred means.
    """

    nc1: float
    nc1_trace: float
    nc2_means_equinorm: float
    nc2_head_equinorm: float
    nc2_equiangle: float
    nc2_frame: float
    nc3: float
    nc3_structure: float
    nc4: float
    means_orthogonality: float
    means_norms: Array


def simplex_frame(n_classes: int) -> Array:
    """Gram matrix ``(I - 1 1^T / K) / sqrt(K - 1)`` of the simplex equiangular tight frame.

    Parameters
    ----------
    n_classes : int
        K, at least 2.

    Returns
    -------
    array of shape (n_classes, n_classes)
        Of Frobenius norm one.

    Raises
    ------
    ValueError
        For fewer than two classes.
    """
    if n_classes < 2:
        raise ValueError(f"a simplex frame needs at least 2 classes, got {n_classes}")
    K = n_classes
    return (np.eye(K) - 1.0 / K) / np.sqrt(K - 1)


def frame_distance(vectors: Any) -> float:
    """Distance of the Gram matrix of vectors, scaled to norm one, from :func:`simplex_frame`.

    Parameters
    ----------
    vectors : array of shape (n_classes, n_hidden)

    Returns
    -------
    float
        Frobenius norm of the difference.

    Raises
    ------
    ValueError
        For fewer than two vectors.
    """
    V = to_2d("vectors", vectors)
    return float(np.linalg.norm(unit_norm(V @ V.T) - simplex_frame(len(V))))


def neural_collapse(
    features: Any,
    labels: Any,
    head_weights: Any,
    head_bias: Any = None,
    centre_head: bool = False,
) -> NeuralCollapse:
    """Measure neural collapse.

    Parameters
    ----------
    features : array of shape (n_samples, n_hidden)
        Last hidden layer, after the activation: what the output layer reads.
    labels : array of shape (n_samples,)
        Classes; sorted, they number the rows of ``head_weights``.
    head_weights : array of shape (n_classes, n_hidden)
        As ``torch.nn.Linear.weight``; the transpose of a ``DeepNetwork``'s last weights.
    head_bias : array of shape (n_classes,), optional
    centre_head : bool, default False
        Subtract the mean row of ``head_weights`` before NC2 and NC3 (it changes no
        classification).

    Returns
    -------
    NeuralCollapse

    Raises
    ------
    ValueError
        Fewer than two classes, shapes that do not fit, class means that coincide, or a zero
        head.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.repeat([0, 1, 2], 4)
    >>> H = np.eye(3)[labels]
    >>> report = neural_collapse(H, labels, np.eye(3))
    >>> round(report.nc2_frame, 12), round(report.nc3, 6)
    (0.0, 0.367007)
    """
    H, W, index, b = _checked(features, labels, head_weights, head_bias)
    K = len(W)
    members = np.eye(K)[index]
    mu = (members.T @ H) / members.sum(axis=0)[:, None]
    M = mu - mu.mean(axis=0)
    if np.linalg.norm(M) <= COINCIDE * np.linalg.norm(mu):
        raise ValueError(
            "the class means coincide (a collapsed or zero network): nothing to measure"
        )
    if not np.any(W):
        raise ValueError("head_weights is zero: nothing to measure")
    head = W - W.mean(axis=0) if centre_head else W
    deviations = H - mu[index]
    # tr(S_W S_B^+) through the right singular vectors of M: no n_hidden by n_hidden matrix
    _, s, Vt = np.linalg.svd(M, full_matrices=False)
    kept = s > SPANNED * s[0]
    whitened = deviations @ Vt[kept].T / (s[kept] / np.sqrt(K))
    norms, head_norms = np.linalg.norm(M, axis=1), np.linalg.norm(head, axis=1)
    off = ~np.eye(K, dtype=bool)
    nearest = np.argmin(np.sum(mu * mu, axis=1) - 2 * H @ mu.T, axis=1)
    return NeuralCollapse(
        nc1=float(np.sum(whitened**2)) / len(H) / K,
        nc1_trace=float(np.sum(deviations**2)) / len(H) / (float(np.sum(M * M)) / K),
        nc2_means_equinorm=float(norms.std() / norms.mean()),
        nc2_head_equinorm=float(head_norms.std() / head_norms.mean()),
        nc2_equiangle=float(np.mean(np.abs(_cosines(M)[off] + 1.0 / (K - 1)))),
        nc2_frame=frame_distance(M),
        nc3=float(np.linalg.norm(unit_norm(head) - unit_norm(M)) ** 2),
        nc3_structure=float(np.linalg.norm(unit_norm(head @ M.T) - simplex_frame(K))),
        nc4=float(np.mean(np.argmax(H @ W.T + b, axis=1) != nearest)),
        means_orthogonality=float(np.max(np.abs(_cosines(mu)[off]))),
        means_norms=np.linalg.norm(mu, axis=1),
    )


def _checked(
    features: Any, labels: Any, head_weights: Any, head_bias: Any
) -> tuple[Array, Array, Array, Array]:
    """Features, head weights, class number of each sample, head bias."""
    H, W = to_2d("features", features), to_2d("head_weights", head_weights)
    classes, index = np.unique(np.asarray(labels), return_inverse=True)
    K = len(classes)
    if index.shape != (len(H),):
        raise ValueError(f"labels must have shape ({len(H)},), got {np.shape(labels)}")
    if K < 2:
        raise ValueError(f"neural collapse compares classes and needs at least 2, got {K}")
    if W.shape != (K, H.shape[1]):
        raise ValueError(
            f"head_weights must have shape ({K}, {H.shape[1]}) (classes, features), got {W.shape}; "
            "every row needs a class that occurs in labels"
        )
    b = np.zeros(K) if head_bias is None else np.asarray(head_bias, dtype=float)
    if b.shape != (K,):
        raise ValueError(f"head_bias must have shape ({K},), got {b.shape}")
    return H, W, index, b


@dataclass(frozen=True)
class CollapsePrediction:
    """What the closed form predicts; None where there is none.

    Attributes
    ----------
    nc1, nc2_frame, nc3, nc3_structure, means_norms
        As in :class:`NeuralCollapse`.
    note : str
        Which case it is.
    """

    nc1: float
    nc2_frame: float | None
    nc3: float | None
    nc3_structure: float | None
    means_norms: tuple[float, ...] | None
    note: str


def predicted_collapse(
    counts: Sequence[int], weight_decay: float, output_bias: bool = False, scale: float = 1.0
) -> CollapsePrediction:
    """Prediction for two layers (or a batch-normalised head), squared loss, one-hot targets.

    Parameters
    ----------
    counts : sequence of int
        Samples a class.
    weight_decay : float
        With the mean loss.
    output_bias : bool
        A free output bias.
    scale : float
        The s of ``X X^T = s^2 I``; ``sqrt(n)`` for a torch batch-norm head, 1 for unit norm.

    Returns
    -------
    CollapsePrediction

    Raises
    ------
    ValueError
        For fewer than two classes, a class without samples, or a weight decay or scale that is
        not positive.
    """
    n_k = np.asarray(counts, dtype=float)
    K, n = len(n_k), float(np.sum(n_k))
    if K < 2 or np.any(n_k < 1):
        raise ValueError(f"counts must name at least 2 classes of at least 1 sample, got {counts}")
    beta = n * positive("weight_decay", weight_decay) / positive("scale", scale)
    balanced = bool(np.all(n_k == n_k[0]))
    if output_bias and not balanced:
        return CollapsePrediction(
            0.0, None, None, None, None, "imbalanced with an output bias: no closed form"
        )
    share = np.sqrt((K - 1) / K) if output_bias else 1.0
    size = np.maximum(np.sqrt(n_k) * share - beta, 0.0)
    # a path's size splits evenly between features and head, up to the data's scale
    means = np.sqrt(size * scale / n_k)
    if not np.any(means > 0):
        return CollapsePrediction(
            0.0, None, None, None, tuple(means), "weight decay so large that the network is zero"
        )
    M = np.diag(means) - means / K
    W = np.diag(np.sqrt(size / scale))
    if output_bias:
        W = (W[0, 0] * (np.eye(K) - 1.0 / K)) / share
    structure = unit_norm(W.T @ M.T) if np.any(M) else np.zeros((K, K))
    return CollapsePrediction(
        0.0,
        frame_distance(M),
        float(np.linalg.norm(unit_norm(W.T) - unit_norm(M)) ** 2),
        float(np.linalg.norm(structure - simplex_frame(K))),
        tuple(float(m) for m in means),
        "balanced: centred means are a simplex frame"
        if balanced
        else "imbalanced: means orthogonal with unequal norms",
    )


@dataclass(frozen=True, eq=False)
class LayerAlignment:
    """Spectra of the layers and how consecutive ones fit together.

    Attributes
    ----------
    singular_values : tuple of arrays, one a layer, decreasing
    ranks : tuple of int
        Singular values above 1e-6 of the layer's largest.
    operator_norms, frobenius_norms : arrays, one a layer
        Their ratio is one for a layer of rank one.
    alignment : array, one a pair of consecutive layers
        ``||V_l^T U_{l+1}||_F^2 / min(rank)``, V_l right and U_{l+1} left singular vectors up to
        the smaller rank: 1 when the spaces agree, 0 when they are orthogonal.
    leading_alignment : array, one a pair
        ``|v_l . u_{l+1}|`` of the leading singular vectors; meaningless where the leading
        singular value is not simple.
    """

    singular_values: tuple[Array, ...]
    ranks: tuple[int, ...]
    operator_norms: Array
    frobenius_norms: Array
    alignment: Array
    leading_alignment: Array


def layer_alignment(weights: Sequence[Any], tol: float = RANK_TOL) -> LayerAlignment:
    """Alignment, numerical rank and norms of layers ``W_l`` (width_{l-1}, width_l).

    In the closed forms of linear networks consecutive layers are aligned and share their singular
    values.

    Parameters
    ----------
    weights : sequence of arrays of shape (width_{l-1}, width_l)
        As in ``DeepNetwork.weights``; those of ``torch.nn.Linear`` are the transposes.
    tol : float, default 1e-6
        Share of a layer's largest singular value from which one counts towards the rank.

    Returns
    -------
    LayerAlignment

    Raises
    ------
    ValueError
        Where one layer's outputs are not as many as the inputs of the next.
    """
    layers = [to_2d("weights", W) for W in weights]
    for l, (left, right) in enumerate(itertools.pairwise(layers), start=1):
        if left.shape[1] != right.shape[0]:
            raise ValueError(
                f"layer {l} has {left.shape[1]} outputs but layer {l + 1} has {right.shape[0]} "
                "inputs; pass torch weights transposed"
            )
    svds = [np.linalg.svd(W, full_matrices=False) for W in layers]
    spectra = tuple(s for _, s, _ in svds)
    ranks = tuple(int(np.sum(s > tol * s[0])) if s[0] > 0 else 0 for s in spectra)
    spaces, leading = [], []
    for l in range(len(layers) - 1):
        r = min(ranks[l], ranks[l + 1])
        if r == 0:
            spaces.append(np.nan)
            leading.append(np.nan)
            continue
        overlap = svds[l][2][:r] @ svds[l + 1][0][:, :r]
        spaces.append(float(np.sum(overlap**2)) / r)
        leading.append(float(abs(overlap[0, 0])))
    return LayerAlignment(
        spectra,
        ranks,
        np.array([s[0] for s in spectra]),
        np.array([np.linalg.norm(s) for s in spectra]),
        np.array(spaces),
        np.array(leading),
    )


def unit_norm(A: Array) -> Array:
    """``A`` scaled to Frobenius norm one; zero stays zero."""
    return A / max(float(np.linalg.norm(A)), TINY)


def _cosines(V: Array) -> Array:
    unit = V / np.maximum(np.linalg.norm(V, axis=1, keepdims=True), TINY)
    return unit @ unit.T
