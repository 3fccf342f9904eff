"""The free lower bound of several outputs: singular values of the outputs, soft-thresholded.

Every dual point with ``||Lam||_2 <= weight_decay / s`` is feasible, s a bound of the norm of the
data (:func:`gapless.gauge.norm.spectral_norm`).  The best of them proves

    min_F  sum_i w_i loss(F_i, y_i) + (weight_decay / s) ||F||_*

with the nuclear norm, plus an output bias where it is free: a convex problem without a search.  For
the squared loss and equal weights its solution has the singular values of Y less a threshold.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.checks import Array
from ..core.constant import null_model
from ..core.problem import Problem
from ..core.rounding import TINY
from ..core.watch import Watch
from .base import Dual, GaugeBound, Relaxation
from .norm import Norm, spectral_norm

# Accelerated steps at most, and the share of the gap that ends them.
STEPS, NEAR = 300, 1e-4
# Order of the Gram matrix whose largest eigenvalue is looked for, at most: a few seconds.
MOST = 2000


class SingularValues(Relaxation):
    """The dual point that the norm bound proves most of."""

    name = "singular values"
    needs = "several outputs, a smooth loss, and data of which a norm is quickly known"
    pools = True

    def applies(self, core: Problem) -> bool:
        small = min(core.design.n_rows, core.n_features) <= MOST
        return core.n_outputs > 1 and not core.loss.sharp and small

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        return Norm().bound(core, Lam)

    def maximise(self, core: Problem, Lam: Array, watch: Watch) -> Iterator[Dual]:
        self.require(core)
        point = thresholded(core, core.weight_decay / (_norm(core) + TINY), watch)[1]
        yield point, self.bound(core, point)


def _norm(core: Problem) -> float:
    """What the gauge of a dual point is at most, over the spectral norm of that."""
    return spectral_norm(core) * core.design.pool_norm


def thresholded(core: Problem, threshold: float, watch: Watch | None = None) -> tuple[Array, Array]:
    """Outputs F that minimise the data fit plus ``threshold ||F - c||_*``, and their dual point.

    Parameters
    ----------
    core : Problem
        With a smooth loss.
    threshold : float
    watch : Watch, optional
        Asked before each step.

    Returns
    -------
    F : array of shape (n_samples, n_outputs)
        With the output bias c where it is free.
    Lam : array of shape (n_samples, n_outputs)
        Its residual; its columns sum to zero under a free bias.
    """
    w, L = core.sample_weight, core.loss.smoothness
    watch, share = watch or Watch(), 0.5 if core.free else 1.0  # outputs and bias move together
    step = share / (L * float(w.max()) + TINY)
    c, Z = null_model(core), np.zeros_like(core.Y)
    at, at_c, t = Z, c, 1.0
    before = np.inf
    for _ in range(STEPS):
        if watch.due():
            break
        R = core.residual(at + at_c)
        new, nuclear = _shrunk(at + step * R, step * threshold)
        new_c = at_c + share / L * R.sum(axis=0) if core.free else c
        value = core.data_fit(new + new_c) + threshold * nuclear
        if value > before:
            t = 1.0
        t, ahead = 0.5 * (1 + (1 + 4 * t * t) ** 0.5), t - 1
        at, at_c = new + ahead / t * (new - Z), new_c + ahead / t * (new_c - c)
        moved = float(np.abs(new + new_c - Z - c).max(initial=0.0))
        Z, c, before = new, new_c, value
        if moved <= NEAR**2 * (float(np.abs(Z + c).max(initial=0.0)) + TINY):
            break
    return Z + c, core.dual_point(Z + c)


def _shrunk(A: Array, by: float) -> tuple[Array, float]:
    """A with its singular values less ``by``, and their sum then."""
    left, s, right = np.linalg.svd(A, full_matrices=False)
    s = np.maximum(s - by, 0.0)
    return (left * s) @ right, float(s.sum())
