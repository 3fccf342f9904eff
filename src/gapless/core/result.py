"""What a solve returns: status, certificate, history, solution."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from .network import Network

# Per cent of a proven gap below which nobody asks, and above which it says little.
FINEST, MUCH = 1e-4, 50
# What a network is compared with where nothing else is said.
ANY = "network of any width"


class Verdict(Enum):
    """An enum of sentences."""

    def __reduce__(self) -> Any:
        return type(self), (self.value,)  # skops makes a member as this says, or not at all


class Status(Verdict):
    """How a solve ended; the value is the sentence the user reads."""

    OPTIMAL = "Optimal: the proven gap is within the tolerance."
    NEAR_OPTIMAL = "Near optimal: the proven gap is within 100 times the tolerance, and 10%."
    HEURISTIC = (
        "Heuristic: the search found no neuron that improves the network, but the proven gap "
        "is wider than the tolerance; certify with more time to narrow it."
    )
    ITERATION_LIMIT = "Iteration limit: stopped before the search was exhausted; raise max_iter."
    TIME_LIMIT = (
        "Time limit: its time was over, with the best network so far; time_limit allows more."
    )
    NEURON_LIMIT = (
        "Neuron limit: max_neurons keeps better networks out; raise max_neurons or weight_decay."
    )
    STALLED = (
        "Stalled: the search still finds neurons that improve the network, but by less than the "
        "tolerance; the proven gap is wider. Certify with more time to narrow it."
    )
    NUMERICAL_ERROR = (
        "Numerical error: the objective is not finite; rescale the data (standardise X and y)."
    )
    STOPPED = "Stopped on request with the best network so far."

    @property
    def proven(self) -> bool:
        """Whether the proven gap is small: optimal or near optimal."""
        return self in (Status.OPTIMAL, Status.NEAR_OPTIMAL)

    @property
    def unfinished(self) -> bool:
        """Whether the solve ended early; the others are as far as proof or search can go."""
        return self in (
            Status.ITERATION_LIMIT,
            Status.TIME_LIMIT,
            Status.STOPPED,
            Status.NUMERICAL_ERROR,
        )

    @staticmethod
    def of_gap(relative_gap: float, tol: float) -> Status | None:
        """The status that a proven relative gap earns, if any.

        Parameters
        ----------
        relative_gap : float
        tol : float
            The tolerance asked for.

        Returns
        -------
        Status or None
            ``OPTIMAL`` up to ``tol``, ``NEAR_OPTIMAL`` up to 100 times it and 10%.
        """
        if relative_gap <= tol:
            return Status.OPTIMAL
        return Status.NEAR_OPTIMAL if relative_gap <= min(100 * tol, 0.1) else None


class Bounded:
    """What has an ``objective`` and a proven ``lower_bound`` has a gap."""

    objective: float
    lower_bound: float

    @property
    def attained(self) -> float:
        """What is proven to be at least ``lower_bound``: the objective."""
        return self.objective

    @property
    def gap(self) -> float:
        """Proven: attained - lower_bound."""
        return max(self.attained - self.lower_bound, 0.0)

    @property
    def relative_gap(self) -> float:
        """Proven: gap / attained."""
        return _ratio(self.gap, self.attained)


@dataclass(frozen=True)
class Certificate(Bounded):
    """How far a network can be from the best network of any width.

    Attributes
    ----------
    objective : float
        The network's objective (:mod:`gapless.core.problem`).
    lower_bound : float
        PROVEN lower bound on the objective of every network, from a feasible dual point.
    estimated_lower_bound : float
        The same with the gauge replaced by the best value a search found.  It is an
        estimate, at or above ``lower_bound``, and can exceed the true optimum.
    proof : str
        Which bound of the gauge was used, in words.
    other : str
        The networks that it is proven against, in words; where columns of a table were left out,
        those on the columns kept.
    """

    objective: float
    lower_bound: float
    estimated_lower_bound: float
    proof: str
    other: str = field(default=ANY, kw_only=True)

    @property
    def estimated_relative_gap(self) -> float:
        """Not proven: (objective - estimated_lower_bound) / objective."""
        return _ratio(max(self.objective - self.estimated_lower_bound, 0.0), self.objective)

    def __str__(self) -> str:
        return known(self.relative_gap, other=self.other)

    def as_dict(self) -> dict[str, Any]:
        """The numbers, the proof and the gaps, for a table or a file.

        Returns
        -------
        dict of str to float or str
        """
        numbers = asdict(self)
        del numbers["other"]
        return numbers | {
            "gap": self.gap,
            "relative_gap": self.relative_gap,
            "estimated_relative_gap": self.estimated_relative_gap,
        }


def known(relative_gap: float, seconds: float | None = None, other: str = ANY) -> str:
    """What a proven relative gap says, in one sentence; rounded up, so that it holds.

    Parameters
    ----------
    relative_gap : float
    seconds : float, optional
        That it took to prove it.
    other : str, default "network of any width"
        None of which is better.

    Returns
    -------
    str

    Examples
    --------
    >>> known(0.01234, 4.2)
    'no network of any width is more than 1.3% better (proven in 4.2 s)'
    >>> known(0.99212)
    'little is known: no network of any width is more than 99.22% better (proven)'
    """
    if not relative_gap < 1:
        return "nothing is proven of how much better another network may be"
    if seconds is None:
        proven = "proven"
    else:
        proven = f"proven in {max(seconds, 0.1):.{1 if seconds < 10 else 0}f} s"
    if relative_gap <= 0:
        return f"no {other} is better ({proven})"
    percent = max(100 * relative_gap, FINEST)
    # two digits, of what is missing to everything where that is less
    unit = 10.0 ** (math.floor(math.log10(min(percent, 100 - percent))) - 1)
    little = "little is known: " * (percent > MUCH)
    rounded = f"{unit * math.ceil(percent / unit):.6g}"
    return f"{little}no {other} is more than {rounded}% better ({proven})"


def about(share: float) -> str:
    """An estimated share in words, with the one digit that it is good for: "about 0.05%"."""
    return f"about {float(f'{100 * share:.0e}'):.6g}%" if share < 1 else "unknown"


def _ratio(gap: float, objective: float) -> float:
    return gap / objective if objective > 0 else (0.0 if gap <= 0 else float("inf"))


@dataclass
class History:
    """Seconds, objective, both lower bounds and neurons, each time one of them was looked at."""

    seconds: list[float] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)
    lower_bound: list[float] = field(default_factory=list)
    estimated_lower_bound: list[float] = field(default_factory=list)
    n_neurons: list[int] = field(default_factory=list)
    n_rounds: int = 0

    def record(self, seconds: float, certificate: Certificate, n_neurons: int) -> None:
        """Add one entry to each list.

        Parameters
        ----------
        seconds : float
            Since the start of the solve.
        certificate : Certificate
            Of the best network so far.
        n_neurons : int
            Of that network.
        """
        self.seconds.append(seconds)
        self.objective.append(certificate.objective)
        self.lower_bound.append(certificate.lower_bound)
        self.estimated_lower_bound.append(certificate.estimated_lower_bound)
        self.n_neurons.append(n_neurons)

    def proven_after(self) -> float | None:
        """Seconds, training included, after which the best proven bound was there."""
        best = max(self.lower_bound, default=None)
        return None if best is None else self.seconds[self.lower_bound.index(best)]

    def __len__(self) -> int:
        return len(self.seconds)


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """A network with its certificate, how it was found, and how the search ended.

    Attributes
    ----------
    network : Network
    certificate : Certificate
    status : Status
    history : History
    advice : str
        Where a proof was tried and fell short: how long it would take to prove more, and where the
        proven gap is wide, why, and what would narrow it.
    """

    network: Network
    certificate: Certificate
    status: Status
    history: History
    advice: str = field(default="", kw_only=True)

    @property
    def known(self) -> str:
        """What is proven, in one sentence."""
        seconds = self.history.proven_after()
        return known(self.certificate.relative_gap, seconds, self.certificate.other)

    def __repr__(self) -> str:
        neurons, objective = self.network.n_neurons, self.certificate.objective
        advice = f"; {self.advice}" if self.advice else ""
        return f"<Solution: {neurons} neurons, objective {objective:.6g}; {self.known}{advice}>"
