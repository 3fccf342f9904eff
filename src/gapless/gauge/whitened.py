"""The gauge of whitened data, in closed form."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.problem import Problem
from ..core.reduction import Reduction
from ..core.rounding import EPS
from .base import TIGHT, GaugeBound, GaugeMethod

# The share of its norm by which A A^T may differ from a multiple of the identity; the difference
# as it is measured is charged to the bound.
WHITENED_TOL = 1e-8


def is_whitened(problem: Problem) -> bool:
    """Whether ``A A^T`` is a multiple of the identity (to 1e-8), A the design.

    The samples are orthogonal and of equal norm.  A is X, or [X, 1] under the penalised bias; under
    the free one X less its mean, so never for two samples or more.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    bool

    Raises
    ------
    TypeError
        For anything but a :class:`gapless.Problem`.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Lemma 4.

    Examples
    --------
    >>> import numpy as np
    >>> is_whitened(Problem(np.eye(3), [1.0, 2.0, 3.0], bias="none"))
    True
    """
    core = Reduction(problem).core
    return core.n_samples <= core.n_features and whitening(core) is not None


class Whitened(GaugeMethod):
    """``A A^T = s^2 I``: ``g = s max(||lam_+||, ||lam_-||)`` for one output (JMLR 2021, Lemma 4).

    For several outputs ``||Lam||_2`` bounds it, and is exact when the leading left singular
    vector has one sign.
    """

    name = "whitened"
    needs = "samples that are orthogonal and of equal norm, and no free bias"
    summary = "whitened data: closed form"

    def applies(self, core: Problem) -> bool:
        return not core.free and core.n_samples <= core.n_features and whitening(core) is not None

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        scale, slack = whitening(core) or (1.0, np.inf)
        # 1. the activations of the best neuron, but for their size
        if Lam.shape[1] == 1:
            sides = [np.maximum(Lam, 0), np.maximum(-Lam, 0)]
            active = max(sides, key=lambda side: float(np.linalg.norm(side)))[:, 0]
        else:
            left = np.linalg.svd(Lam, full_matrices=False)[0][:, 0]
            active = np.maximum(left if left.sum() >= 0 else -left, 0)
        norm = float(np.linalg.norm(active))
        if norm == 0:
            return GaugeBound(0.0, 0.0, None, "whitened data: exact")
        # 2. the neuron: on whitened data any activations are attained, by A^T of them
        u = core.design.pull_back(active / norm)
        u /= np.linalg.norm(u)
        lower = float(np.linalg.norm(Lam.T @ np.maximum(core.design.scores(u), 0)))
        # 3. the bound, what the data lack charged
        size = norm if Lam.shape[1] == 1 else float(np.linalg.norm(Lam, 2))
        upper = (scale * size + slack * float(np.linalg.norm(Lam))) * (1 + 8 * len(Lam) * EPS)
        exact = upper <= lower * (1 + TIGHT)
        how = "exact" if exact else "spectral norm of the dual point"
        return GaugeBound(lower, upper, Candidates.one(u, lower), f"whitened data: {how}")


@lru_cache(maxsize=8)  # problems are immutable
def whitening(core: Problem) -> tuple[float, float] | None:
    """The s with ``A A^T = s^2 I`` and what the deviation can add to the gauge, or None."""
    K = core.design.kernel()
    n, k = core.X.shape
    s2 = float(np.trace(K)) / n
    deviation = float(np.linalg.norm(K - s2 * np.eye(n), 2))
    if s2 == 0 or not deviation <= WHITENED_TOL * s2:
        return None
    # an entry of K is a sum of k products, off by at most (k + 2) EPS s^2
    deviation += 2 * (k + 8) * n * EPS * s2
    return float(np.sqrt(s2)), deviation / np.sqrt(s2)
