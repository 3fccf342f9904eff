"""What a closed form pays before its value is a bound.

A formula is exact for data that satisfy its hypotheses exactly, in exact arithmetic.  Data satisfy
them up to the tolerance of a test, and arithmetic rounds: both are measured and charged.
"""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.deep_network import Optimality
from ..core.problem import Problem
from ..core.rounding import EPS

# A closed form proves its network optimal when its lower bound, all rounding and all that its
# tests tolerate charged, is within this share of the objective.
PROVED_GAP = 1e-6


def proved(objective: float, lower: float, otherwise: Optimality) -> Optimality:
    """``PROVED`` where the bound says so, to :data:`PROVED_GAP`."""
    return Optimality.PROVED if objective - lower <= PROVED_GAP * objective else otherwise


def rounding_charge(problem: Problem, objective: float) -> float:
    """What sums and decompositions of a closed form may add to its value, at most ``objective``.

    They are of at most ``n + d + C`` terms, and absolute errors are of the size of the largest: the
    mean loss of the zero network.  Under the squared loss they are errors e of a residual, which
    change its half square by ``e (sqrt(2 objective) + e)``.
    """
    terms = problem.n_samples + problem.n_features + problem.n_outputs + 16
    zero = problem.data_fit(np.zeros_like(problem.Y))
    if problem.loss.constant_curvature:
        error = 16 * terms * EPS * float(np.sqrt(2 * zero))
        return error * (float(np.sqrt(2 * objective)) + error)
    return 16 * terms * EPS * zero


def moved_data_charge(problem: Problem, depth: int, left: Array, objective: float) -> float:
    """What samples that are off by ``left`` (n,) in norm can take from an optimal value.

    A network no worse than ``objective`` has layers of norms with a product of at most
    ``rho = (2 objective / (weight_decay depth))^(depth / 2)``, so its outputs move by at most
    ``rho left``; the squared loss by ``d (sqrt(2 objective) + 2 d)``, d the mean square of that,
    other losses by their slope.
    """
    w, loss = problem.sample_weight, problem.loss
    with np.errstate(over="ignore"):
        rho = np.float64(2 * objective / (problem.weight_decay * depth)) ** (0.5 * depth)
        shift = rho * left
        if loss.constant_curvature:
            d = float(np.sqrt(w @ shift**2))
            return d * (float(np.sqrt(2 * objective)) + 2 * d)
        slopes = np.full_like(problem.Y, 1.0)  # of the simplex, at least
        if loss.domain == "box":
            slopes = np.maximum(*np.abs(loss.dual_box(problem.Y)))
        return float(w @ shift) * float(np.linalg.norm(slopes, axis=1).max())
