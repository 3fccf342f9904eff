"""The spike-free relaxation of the search for neurons: the paper's cutting plane.

Ergen & Pilanci (JMLR 2021, eq. 15) replace the set ``{(A u)_+ : ||u|| <= 1}`` by its convex
part ``{A u : A u >= 0, ||u|| <= 1}``.  The most violating neuron is then a cone program,

    max { lam.A u : A u >= 0, ||u|| <= 1 } = min_{nu >= 0} || A^T (lam + nu) ||,

whose dual is a nonnegative least-squares problem and whose solution is its residual,
normalised.  On spike-free data (:func:`gapless.spike_free_test`) nothing is lost and the loop
with this oracle finds the best network (Proposition 2).  On other data it stops early: every
neuron it knows is active on all samples, so the network is LINEAR on them, and for centred
data without a bias, where no direction is positive on all samples, it finds no neuron.

Under the free bias (the paper's section 9, Algorithm 3) the dual point sums to zero and the
bias may be as large as it takes to meet ``A u + b >= 0``: the constraint is void, the answer
is ``u = A^T lam / ||A^T lam||``, and the algorithm trains a linear model.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls

from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.design import Design, design_of
from ..core.watch import never

# Rounds of the alternation between a direction of the outputs and the cone program.
ALTERNATIONS = 20
# A residual below this share of its target is rounding.
ROUNDING = 1e-10


def cone_maximum(A: Array, lam: Array) -> tuple[Array, Array]:
    """The shortest ``w = A^T (lam + nu)``, nu >= 0, and that nu.

    The maximiser is ``w / ||w||`` and the value ``||w||``.
    """
    target = A.T @ lam
    nu = nnls(A.T, -target, maxiter=50 * len(A))[0]
    w = target + A.T @ nu
    # where only u = 0 meets A u >= 0 the residual is rounding, which must not become a direction
    return (w if np.linalg.norm(w) > ROUNDING * np.linalg.norm(target) else 0.0 * w), nu


class RelaxedOracle:
    """The most violating neurons among those that are active on every sample.

    One output: the two cone programs of Algorithm 1, for lam and -lam.  Several: for each
    output and for each singular vector of the dual point, both signs, alternated with the
    best direction of the outputs; a local search, since that maximum is not convex.
    """

    def __init__(self, A: Design | Array, free: bool) -> None:
        self.A = design_of(A).array()
        self.free = free

    def search(
        self,
        Lam: Array,
        neurons: Array,
        n_starts: int,
        kinks: bool = True,
        stop: Callable[[], bool] = never,
    ) -> Candidates:
        """At most two candidates for each output and each singular vector, whatever the effort."""
        C = Lam.shape[1]
        V = np.eye(C) if C == 1 else np.hstack([np.eye(C), np.linalg.svd(Lam)[2].T])
        U = np.column_stack([self._climb(Lam, v, stop) for v in np.hstack([V, -V]).T])
        return self._candidates(Lam, U[:, np.linalg.norm(U, axis=0) > 0])

    def improve(
        self, Lam: Array, U: Array, b: Array, stop: Callable[[], bool] = never
    ) -> Candidates:
        """The given neurons: the algorithm never moves a neuron it has found."""
        return Candidates(U, b, np.linalg.norm(Lam.T @ np.maximum(self.A @ U + b, 0.0), axis=0))

    def _climb(self, Lam: Array, v: Array, stop: Callable[[], bool]) -> Array:
        best, top = np.zeros(self.A.shape[1]), 0.0
        for _ in range(ALTERNATIONS):
            if stop():
                break
            w = self.A.T @ (Lam @ v) if self.free else cone_maximum(self.A, Lam @ v)[0]
            size = float(np.linalg.norm(w))
            if not size > top * (1 + 1e-9):
                break
            best, top = w / size, size
            # A w >= 0 (or linear with a bias), so the ReLU leaves it as it is
            seen = Lam.T @ (self.A @ best)
            v = seen / np.linalg.norm(seen)
        return best

    def _candidates(self, Lam: Array, U: Array) -> Candidates:
        S = self.A @ U
        b = -S.min(axis=0, initial=np.inf) if self.free and U.size else np.zeros(U.shape[1])
        return Candidates(U, b, np.linalg.norm(Lam.T @ np.maximum(S + b, 0.0), axis=0))
