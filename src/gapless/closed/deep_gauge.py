"""Upper bounds of ``c_L(Lam) = sup <Lam, F>`` over L layers of Frobenius norm one.

``"norm"``
    ``||X||_2 ||Lam||_2``; for one output ``||X||_2 max(||lam_+||, ||lam_-||)``.
``"scaled"``
    ``min_q ||diag(q)^(1/2) X||_2 ||diag(q)^(-1/2) Lam||_2`` over q > 0 (any q is valid), for
    one output on lam_+ and lam_- separately.
``"sdp"``
    a semidefinite relaxation: :mod:`gapless.closed.semidefinite`.
``"linear"``
    ``||X^T Lam||_2``, exact for linear networks.

FREE BIASES in every layer: let the columns of Lam sum to zero and compare with the activations
``h_l(m)`` at the mean m of the samples.  A layer moves no two inputs further apart than its
norm allows, whatever its bias, so for unit layers and any q > 0

    sum_i q_i ||h_l(x_i) - h_l(m)||^2 <= ||diag(q)^(1/2) (X - 1 m^T)||_2^2,

and ``<Lam, F> = <Lam, F - 1 F(m)>`` has the bounds "norm" and "scaled" of the centred data (for
one output with Lam whole: activations are not negative, their differences are).  With biases
that cost something the bound holds all the more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from ..core.checks import Array
from ..core.lbfgs import lbfgs
from ..core.rounding import EPS
from ..core.watch import Watch
from .semidefinite import semidefinite_bound

# Relative inflation of every gauge bound: it covers the rounding of norms and eigenvalues,
# which is n eps, with room to spare.
INFLATE = 1 + 1e-10
# How far the logarithms of scales may move: beyond is nothing but overflow.
FAR = 60.0


@dataclass(frozen=True, eq=False)
class LayeredData:
    """Data as the bounds see them.

    Attributes
    ----------
    X : array of shape (n_samples, rank)
        Centred where biases are free.
    norm : float
        At least ``||X||_2``.
    free : bool
        Whether every layer has a free bias.
    watch : Watch
        Once it is due, nothing is scaled any more.
    """

    X: Array
    norm: float
    free: bool
    watch: Watch

    @classmethod
    def of(
        cls,
        X: Array,
        free: bool = False,
        spectral_norm: float | None = None,
        watch: Watch | None = None,
    ) -> LayeredData:
        if X.shape[1] > len(X):  # only inner products of the samples matter
            X = np.asarray(np.linalg.qr(X.T, mode="r")).T
        norm = top_value(X) if spectral_norm is None else spectral_norm * INFLATE
        return cls(X, norm, free, watch or Watch.of(None))

    def parts(self, Lam: Array) -> list[Array]:
        """What is bounded apart: both signs of one output, as activations are not negative."""
        if Lam.shape[1] == 1 and not self.free:
            return [np.maximum(Lam, 0), np.maximum(-Lam, 0)]
        return [Lam]


def norm_bound(data: LayeredData, Lam: Array) -> float:
    """The bound "norm"."""
    return max(data.norm * top_value(part) for part in data.parts(Lam))


def scaled_bound(data: LayeredData, Lam: Array) -> float:
    """The bound "scaled", nowhere above "norm"."""
    values = []
    for part in data.parts(Lam):
        value = data.norm * top_value(part)
        if value > 0 and not data.watch.due():
            value = min(value, _best_scales(data.X, part, data.watch.due))
        values.append(value)
    return max(values)


def sdp_bound(data: LayeredData, Lam: Array) -> float:
    """The bound "sdp", nowhere above "scaled"; biases are not free."""
    best = scaled_bound(data, Lam)
    signs = (Lam, -Lam) if Lam.shape[1] == 1 else (Lam,)
    return min(best, max(semidefinite_bound(data.X, part, top_value(part)) for part in signs))


def linear_bound(data: LayeredData, Lam: Array) -> float:
    """The gauge of linear networks."""
    return top_value(data.X.T @ Lam)


#: each bound, and what it rests on in words
BOUNDS: dict[str, tuple[Callable[[LayeredData, Array], float], str]] = {
    "norm": (norm_bound, "spectral norms of the data and of the dual points"),
    "scaled": (scaled_bound, "diagonally scaled spectral norms"),
    "sdp": (sdp_bound, "semidefinite relaxation, multipliers checked in float64"),
    "linear": (linear_bound, "exact gauge of linear networks"),
}


def top_value(A: Array) -> float:
    """At least ``||A||_2``: from the smaller Gram matrix, inflated."""
    gram = A.T @ A if A.shape[1] <= A.shape[0] else A @ A.T
    top = float(scipy.linalg.eigvalsh(gram, subset_by_index=[len(gram) - 1] * 2)[0])
    lost = 8 * sum(A.shape) * EPS * float(np.trace(gram))
    return float(np.sqrt(max(top, 0.0) + lost)) * INFLATE


def _best_scales(X: Array, Lam: Array, stop: Callable[[], bool]) -> float:
    """``min_q ||diag(q)^(1/2) X|| ||diag(q)^(-1/2) Lam||``, by L-BFGS on log q.

    The logarithm of the squared product is convex in log q; kinks may stop the search early,
    which leaves a valid, wider bound.
    """
    rows = np.linalg.norm(Lam, axis=1)
    used = (rows > 1e-9 * rows.max()) & np.any(X != 0, axis=1)
    # samples without weight in Lam, or at the origin, do not enter <Lam, F> to first order;
    # what the former could add is kept with the plain norms
    rest = top_value(X) * float(np.linalg.norm(Lam[~used & np.any(X != 0, axis=1)]))
    X, Lam, rows = X[used], Lam[used], rows[used]
    if not len(X):
        return rest

    def value(log_q: Array) -> tuple[float, Array]:
        q = np.exp(0.5 * log_q)[:, None]
        U, s, _ = np.linalg.svd(q * X, full_matrices=False)
        P, t, _ = np.linalg.svd(Lam / q, full_matrices=False)
        return 2 * float(np.log(s[0] * t[0])), U[:, 0] ** 2 - P[:, 0] ** 2

    start = np.log(rows) - np.log(np.linalg.norm(X, axis=1))
    near = [(t - FAR, t + FAR) for t in start]
    log_q = lbfgs(value, start, stop, bounds=near, maxiter=60)
    q = np.exp(0.5 * np.clip(log_q, -FAR, FAR))[:, None]
    return top_value(q * X) * top_value(Lam / q) + rest
