"""Hypotheses of a closed form: tested on the data given, measured, refused with the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """A hypothesis of a closed form, tested on the data.

    ``violation`` is the measured deviation, and the hypothesis holds up to ``tolerance``.
    """

    hypothesis: str
    violation: float
    tolerance: float

    @property
    def holds(self) -> bool:
        return bool(self.violation <= self.tolerance)


class HypothesisError(ValueError):
    """The data break a closed form's hypothesis; ``check`` has the measured violation."""

    def __init__(self, check: Check, way_out: str) -> None:
        super().__init__(
            f"{check.hypothesis} is violated by {check.violation:.3g} "
            f"(tolerance {check.tolerance:.1g}); {way_out}"
        )
        self.check, self.way_out = check, way_out

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is rebuilt from its arguments, for example when a worker process raises it
        return type(self), (self.check, self.way_out)


def require(hypothesis: str, violation: float, tolerance: float, way_out: str) -> Check:
    """The check, when it holds; else a :class:`HypothesisError`.

    Parameters
    ----------
    hypothesis : str
        In words.
    violation : float
        As measured on the data.
    tolerance : float
        The largest violation at which it holds.
    way_out : str
        What the user may do instead.

    Returns
    -------
    Check

    Raises
    ------
    HypothesisError
        Also for a violation that is not a number.
    """
    check = Check(hypothesis, float(violation), tolerance)
    if not check.holds:
        raise HypothesisError(check, way_out)
    return check
