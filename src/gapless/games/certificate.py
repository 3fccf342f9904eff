"""What is proven about a generator: how far from the best one any can be, in one number."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..core.result import Bounded


@dataclass(frozen=True)
class GameCertificate(Bounded):
    """Proven bounds of a generator's place in a game.

    The game is ``min ||generator||^2`` such that no discriminator of weight one tells generated
    from real samples by more than ``weight_decay``.  A generator that violates that by v is priced
    with a multiplier, an exact penalty: no generator has ``price < lower_bound``.

    Attributes
    ----------
    objective : float
        Mean squared norm of what it generates, about the mean of the data where they are centred.
    lower_bound : float
        PROVEN: no feasible generator has a smaller objective.
    violation : float
        PROVEN upper bound of how much more than ``weight_decay`` the best discriminator sees.
    multiplier : float
        What a unit of violation costs: the weight of the best discriminator.
    weight_decay : float
    proof : str
        How it is proven, in words.
    """

    objective: float
    lower_bound: float
    violation: float
    multiplier: float
    weight_decay: float
    proof: str

    @property
    def price(self) -> float:
        """``objective + multiplier * violation``."""
        cost = self.multiplier * self.violation if self.multiplier > 0 else 0.0
        return self.objective + cost

    @property
    def attained(self) -> float:
        """The price: ``gap`` is the duality gap of the penalised game."""
        return self.price

    def as_dict(self) -> dict[str, Any]:
        """The fields and the gap, for a table or a file.

        Returns
        -------
        dict of str to float or str
        """
        return asdict(self) | {"gap": self.gap, "relative_gap": self.relative_gap}
