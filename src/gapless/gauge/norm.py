"""The norm bound of the gauge: for every data set, crude."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..core.checks import Array
from ..core.design import design_of
from ..core.problem import Problem
from ..core.rounding import EPS
from .base import GaugeBound, GaugeMethod


class Norm(GaugeMethod):
    """``||A||_2`` times the norm of the dual point: crude, valid for every data set.

    One output: ``||A||_2 max(||lam_+||, ||lam_-||)``; several: ``||A||_2 ||Lam||_2``.  With a
    free bias A is centred at each sample in turn; ``||A - 1 x_k^T||^2`` is at most
    ``||A_c||^2 + n ||x_k - mean||^2``.  Pooling divides by the root of how many rows it averages.
    """

    name = "norm"
    needs = "nothing"
    pools = True

    def applies(self, core: Problem) -> bool:
        return True

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        if Lam.shape[1] * core.design.places == 1:
            size = max(np.linalg.norm(np.maximum(Lam, 0)), np.linalg.norm(np.maximum(-Lam, 0)))
        else:
            size = np.linalg.norm(Lam, 2)
        lifted = float(size) * core.design.pool_norm
        upper = spectral_norm(core) * lifted * (1 + (core.design.n_rows + 8) * EPS)
        return GaugeBound(0.0, upper, None, "norm bound")


@lru_cache(maxsize=8)  # problems are immutable
def spectral_norm(core: Problem) -> float:
    """A bound of ``||A||_2``; with a free bias of ``||A - 1 x_k^T||_2`` for every sample k."""
    A = core.design
    n, k = A.n_rows, A.shape[1]
    if core.free and A.dense:  # small beside the mean it would be lost in the Gram matrix
        A = design_of(A.array() - A.mean())
    rows = A.row_norms()
    gram = A.gram() if k <= n or core.free else A.kernel()
    rounding = 8 * (n + k) * EPS * float(np.sum(rows**2))  # of sums and eigenvalues
    if not core.free:
        square = float(np.linalg.eigvalsh(gram)[-1])
    else:
        mean = A.mean()
        far = float(np.max(rows**2 - 2 * A.scores(mean) + mean @ mean))
        centred = gram - n * np.outer(mean, mean)
        square = float(np.linalg.eigvalsh(centred)[-1]) + n * max(far, 0.0)
        rounding += 8 * (n + k) * n * EPS * (float(np.max(rows)) + float(mean @ mean) ** 0.5) ** 2
    return float(np.sqrt(max(square, 0.0) + rounding))
