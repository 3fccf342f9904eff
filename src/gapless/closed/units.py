"""The units that closed forms are computed in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..core.deep_network import DeepSolution
from ..core.problem import Problem
from ..core.reduction import down, power_of_two


def dense_problem(X: Any, Y: Any, loss: Any, weight_decay: Any, bias: str = "none") -> Problem:
    """A checked :class:`Problem` with a dense X."""
    return Problem(X.toarray() if sp.issparse(X) else X, Y, loss, weight_decay, bias)


class Units:
    """A problem for networks of ``depth`` layers in units in which nothing over- or underflows.

    With c a power of two, ``X / x`` and ``Y / y`` (a loss of ``F - Y`` alone), x and y powers of
    ``c^depth``, have the same networks but for powers of two in their layers, so that closed forms
    need no thresholds for sizes.

    Attributes
    ----------
    problem : Problem
        In these units.
    x, y : float
        Of data and targets.
    layer : float
        Of every layer's weights.
    value : float
        Of the objective and of bounds.
    """

    def __init__(self, given: Problem, depth: int) -> None:
        self.given, self.depth = given, depth
        scaled = given.loss.degree is not None
        steps = (_steps(given.X, depth), _steps(given.Y, depth) if scaled else 0)
        self.x, self.y = (float(np.ldexp(1.0, depth * step)) for step in steps)
        self.layer = float(np.ldexp(1.0, steps[1] - steps[0]))
        degree = given.loss.degree or 0
        with np.errstate(over="ignore", under="ignore"):
            self.value = float(np.float64(self.y) ** degree)
        # half the power on either side of a layer: one product alone may leave the floats
        half = self.y ** (degree / 2)
        self.problem = Problem(
            given.X / self.x,
            given.Y / self.y,
            given.loss.scaled(1 / self.y),
            given.weight_decay * self.layer / half * self.layer / half,
            given.bias,
            given.sample_weight,
        )

    def back(self, solution: DeepSolution) -> DeepSolution:
        """The solution of the given problem; its objective is recomputed."""
        network = solution.network.scaled(self.layer, self.y)
        objective = network.objective(self.given)
        return replace(
            solution,
            network=network,
            objective=objective,
            formula=solution.formula * self.value,
            dual=None if solution.dual is None else solution.dual * self.value,
            lower_bound=min(down(solution.lower_bound * self.value), objective),
        )


def _steps(values: Any, depth: int) -> int:
    """The s of the largest ``2^(depth s)`` at or below the size of ``values``."""
    size = power_of_two(float(np.abs(values).max()))
    return int(np.frexp(size)[1] - 1) // depth
