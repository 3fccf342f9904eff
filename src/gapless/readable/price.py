"""What it costs to read a network: the optima of neurons of one feature, of two, of any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import positive
from ..core.network import Network
from ..core.problem import Problem
from ..core.result import Solution
from ..core.watch import Watch
from ..training.train import solve
from .solve import ReadableSolution, solve_readable

# Shares of the time for neurons of one feature, of two, and what is left for any.
ONE, TWO = 0.1, 0.5


@dataclass(frozen=True, eq=False, repr=False)
class PriceOfReading:
    """Three trainings of one problem.

    Attributes
    ----------
    one, two : ReadableSolution
        Neurons of one feature, and of two; ``two`` is None where pairs were left out.
    any : Solution
        Neurons of any direction.
    """

    one: ReadableSolution
    two: ReadableSolution | None
    any: Solution

    def price(self, features: int = 1) -> tuple[float, float]:
        """By how much the best readable network is worse than the best of all, proven.

        Parameters
        ----------
        features : {1, 2}, default 1

        Returns
        -------
        (float, float)
            At least and at most, as shares of the best objective of all.  The first is
            ``(D_k - P) / P``, the second ``(P_k - D) / D``: D bounds from below what P attains.

        Raises
        ------
        ValueError
            For another number, and for 2 where pairs were left out.
        """
        solution = {1: self.one, 2: self.two}.get(features)
        if solution is None:
            raise ValueError(f"features must be 1, or 2 where pairs were trained, got {features}")
        readable, best = solution.certificate, self.any.certificate
        # what reads is one of all: its bound is no bound for these, but its network is one of them
        attained = min(best.objective, readable.objective)
        bound = best.lower_bound
        least = max(readable.lower_bound / attained - 1, 0.0) if attained > 0 else 0.0
        most = readable.objective / bound - 1 if bound > 0 else np.inf
        return float(least), float(most)

    def __repr__(self) -> str:
        lines = ["neurons of     objective   lower bound  neurons"]
        for name, s in (("one feature", self.one), ("two", self.two), ("any", self.any)):
            if s is not None:
                c = s.certificate
                count = s.network.n_neurons
                lines.append(f"{name:12} {c.objective:11.5g}  {c.lower_bound:12.5g}  {count:7d}")
        for features in (1, 2) if self.two is not None else (1,):
            low, high = self.price(features)
            words = "one feature a neuron" if features == 1 else "two"
            most = f"{100 * high:.3g}" if high < 1e3 else "any number of"
            lines.append(
                f"reading {words} costs between {100 * low:.3g} and {most} per cent "
                "of the objective"
            )
        return "\n".join(lines)


def price_of_reading(
    X: Any,
    y: Any,
    *,
    weight_decay: float,
    loss: Any = "squared",
    bias: str = "free",
    sample_weight: Any = None,
    pairs: bool = True,
    tol: float = 1e-3,
    time_limit: float = 60.0,
    init: Network | None = None,
) -> PriceOfReading:
    """What it costs, in the objective, that every neuron looks at one feature, or at two.

    The optima fall, ``P_1 >= P_2 >= P``, as more neurons are allowed, and each is bounded from
    below by its proof, so the price of reading is a proven interval.

    Parameters
    ----------
    X, y, weight_decay, loss, bias, sample_weight
        The training problem, as in :class:`gapless.Problem`; standardise the features.
    pairs : bool, default True
        Whether neurons of two features are trained as well.
    tol : float, default 1e-3
        Proven relative gap to reach in each.
    time_limit : float, default 60
        Seconds for all; most go into the proof of the general network.
    init : Network, optional
        Of neurons of at most two features, to start from.

    Returns
    -------
    PriceOfReading

    Raises
    ------
    ValueError
        For a problem that is none.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import price_of_reading
    >>> X = np.random.default_rng(0).standard_normal((60, 2))
    >>> price = price_of_reading(X, np.abs(X[:, 0] + X[:, 1]), weight_decay=0.1, pairs=False)
    >>> low, high = price.price()
    >>> bool(0.05 < low < high < 1)
    True
    """
    problem = Problem(X, y, loss, weight_decay, bias, sample_weight)
    watch, tol = Watch.of(time_limit), positive("tol", tol)
    single = init is None or bool(np.all(np.sum(init.hidden_weights != 0, axis=0) <= 1))
    start = init if single else None
    one = solve_readable(problem, 0, tol, watch.part(share=ONE if pairs else TWO), start)
    two = None
    if pairs and problem.n_features > 1:
        start = one.network if single else init
        two = solve_readable(problem, "pairs", tol, watch.part(share=TWO), start)
    best = (two or one).network
    free = solve(problem, watch.part(), tol=tol, init=best, proof_time=None)
    return PriceOfReading(one, two, free)
