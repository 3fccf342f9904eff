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
# Columns of the table, and times the objective from which on a bound says nothing.
HEADS = ("neurons look at", "objective", "none below", "neurons", "costs at least", "at most")
KNOWN = 10.0


@dataclass(frozen=True, eq=False, repr=False)
class PriceOfReading:
    """Three trainings of one problem; printed it is a table.

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

    @property
    def kinds(self) -> dict[str, ReadableSolution | Solution]:
        """What was trained, by the features that a neuron looks at."""
        named = {"one feature": self.one, "two features": self.two, "any features": self.any}
        return {name: solution for name, solution in named.items() if solution is not None}

    def rows(self) -> list[tuple[str, ...]]:
        """The table as texts under :data:`HEADS`, a row for each of :attr:`kinds`.

        Returns
        -------
        list of tuple of str
        """
        return [
            (name, f"{told['objective']:.5g}", f"{told['lower_bound']:.5g}",
             str(told["n_neurons"]), *(interval(*told["costs"]) if "costs" in told else ("", "")))
            for name, told in self.as_dict().items()
        ]  # fmt: skip

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The table as numbers.

        Returns
        -------
        dict of str to dict
            By :attr:`kinds`: ``objective``, ``lower_bound``, ``n_neurons``, and of readable ones
            ``costs``, both ends of :meth:`price`; None for an end where no bound is known.
        """
        out: dict[str, dict[str, Any]] = {}
        for features, (name, solution) in enumerate(self.kinds.items(), 1):
            proof = solution.certificate
            out[name] = {
                "objective": proof.objective,
                "lower_bound": proof.lower_bound,
                "n_neurons": solution.network.n_neurons,
            }
            if solution is not self.any:
                least, most = self.price(features)
                out[name]["costs"] = [least, most if np.isfinite(most) else None]
        return out

    def __repr__(self) -> str:
        lines = [HEADS, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*lines)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in lines
        )


def interval(least: float, most: float | None) -> tuple[str, str]:
    """Both shares in per cent, rounded outwards: what is said is proven.

    Parameters
    ----------
    least : float
    most : float or None

    Returns
    -------
    (str, str)
    """
    down = f"{np.floor(1e4 * least) / 100:.2f}%"
    return down, "unknown" if most is None or most > KNOWN else f"{np.ceil(1e4 * most) / 100:.2f}%"


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
    >>> [row[0] for row in price.rows()]
    ['one feature', 'any features']
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
