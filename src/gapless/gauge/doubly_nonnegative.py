"""The doubly nonnegative relaxation of training, and what it proves.

For ``||u|| = ||v|| = s`` put ``p = (A u + b)_+`` and ``q = (A u + b)_-``, so ``p - q = A u + b``.
The gauge is at most ``beta`` when, for all such u, v,

    beta/2 (||v||^2 + ||u||^2) - v^T Lam^T p >= 0.

Stack ``y = (s, v, u, p, q)``.  The left side is a quadratic form in y; it is nonnegative
when a positive semidefinite form is left after taking away multiples of products that are
nonnegative for every neuron (and multiples of ``p_i q_i = 0`` of either sign):

    p_i p_j,   p_i q_j,   q_i q_j,   s p_i,   s q_i,
    p_i (s - w.u),   q_i (s - w.u)    with  ||w|| <= 1,

the last line being the product of a sign and the ball (a second-order cone of cuts, one a
sample).  The dual of the best such certificate is a convex relaxation of training over
moment matrices W of y: minimise the loss of the outputs read off W plus ``beta/2`` times the
traces, W positive semidefinite with range in ``{y : p - q = A u + b}``, its entries in the cones.

Alternating directions (ADMM) solve it with one eigendecomposition of order ``1 + k + n`` a
cell and step.  After ANY step its multipliers prove a bound: they are moved into their cones,
and an eigenvalue ``-e`` of the slack form costs ``e ||y||^2``, which is bounded on neurons.

*Cells* cut the sphere by the signs of some ``x_i.u + b``: one matrix a cell, ``p_i = 0`` or
``q_i = 0`` inside it.  All cells share Lam, so splitting them is branch and bound on training.

One output: v = +-s, one matrix a sign.  Several: one matrix with ``||v|| = s``.  A free bias
is ``b = R t`` with ``|t| <= s``: some optimal neuron has its kink on a sample.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem
from ..core.rounding import EPS
from ..core.watch import Watch
from .admm import Alternation
from .base import Dual, GaugeBound, Relaxation
from .cells import ConicProof
from .outputs import OfTraining, OnRay

CHECK = 25  # steps between two proofs: one costs as much as a step
FIRST = 5  # steps before the first proof
SETTING_UP = 4  # steps take this many times as long as making their cells, at most
# Most samples and features together: a step is an eigendecomposition of that order.
MAX_ORDER = 900
# A proof has to raise the value by this share to count as progress.
GAIN = 2e-5
# Proofs without progress after which a run is at its end, if the residuals say so, or anyway.
QUIET, STANDSTILL = 4, 40
# Cells split at once, at most; a split is worth it when this many proofs of all cells still fit.
SPLIT, WORTH = 16, 3


class DoublyNonnegative(Relaxation):
    """The doubly nonnegative relaxation; see the module.

    A step costs one eigendecomposition of order n + k + 1 a cell; a thousand steps usually
    settle three digits.  ``bound`` keeps Lam, ``maximise`` moves it.

    Parameters
    ----------
    steps : int, default 1000
        Of ``bound``.
    max_cells : int, default 1
        ``maximise`` splits cells while there are fewer; one output begins with two.
    """

    name = "doubly nonnegative"
    needs = "at most 900 samples and features together"

    def __init__(self, steps: int = 1000, max_cells: int = 1) -> None:
        self.steps, self.max_cells = steps, max_cells

    def applies(self, core: Problem) -> bool:
        return core.n_samples + core.n_features <= MAX_ORDER

    def _bound(self, core: Problem, Lam: Array) -> GaugeBound:
        if not np.any(Lam):
            return GaugeBound(0.0, 0.0, None, self.name)
        best = GaugeBound(0.0, np.inf, None, self.name)
        run = Alternation(core, OnRay(core, Lam))
        for _ in range(self.steps // CHECK):
            if (found := run.after(CHECK)) is None:
                break
            # the point is a multiple of Lam, and so are the gauge and its proof
            point, upper, proof = found
            share = float(np.vdot(point, Lam) / np.vdot(Lam, Lam))
            if share > 0 and upper / share < best.upper:
                upper = upper / share * (1 + 8 * EPS)
                best = GaugeBound(0.0, upper, None, self.name, multipliers=proof.divided(share))
        return best

    def maximise(self, core: Problem, Lam: Array, watch: Watch) -> Iterator[Dual]:
        """Dual points that prove more and more, until ``watch`` ends it or a standstill.

        The best so far after each check, so that its caller may go elsewhere meanwhile.

        ``Lam`` is not needed: the program begins with no neurons.
        """
        self.require(core)
        run = Alternation(core, OfTraining(core))
        best, quiet, count, most = -np.inf, 0, len(run.cells), FIRST
        dual: Dual = Lam, GaugeBound(0.0, np.inf, None, self.name)
        # seconds of a step a cell, an eigendecomposition, and of a proof: nothing else ends in time
        pace = SETTING_UP * watch.seconds / count
        while (steps := int(min(most, watch.left / (pace * len(run.cells)) - 1))) > 0:
            begin, most = watch.seconds, CHECK
            if (found := run.after(steps)) is None:
                return
            Lam, upper, proof = found
            pace = (watch.seconds - begin) / ((steps + 1) * len(run.cells))
            value = core.best_scale(Lam, core.weight_decay / upper)[1]
            quiet = 0 if value > best + GAIN * abs(best) else quiet + 1
            if value > best:
                best = value
                dual = Lam, GaugeBound(0.0, upper, None, _in_words(proof), multipliers=proof)
            yield dual
            if quiet >= STANDSTILL or (quiet >= QUIET and run.settled):
                cells = min(count, SPLIT)
                if count >= self.max_cells or watch.left < WORTH * pace * (count + cells):
                    return
                if not (made := run.split(cells)):
                    return
                count += made
                quiet = 0


def _in_words(proof: ConicProof) -> str:
    cells = len(proof.parts)
    branches = f", branch and bound on signs: {cells} cells" if cells > 2 else ""
    return "doubly nonnegative relaxation" + branches
