"""What an audit measures, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.checks import Array
from ..core.result import Bounded
from ..structure.collapse import NeuralCollapse


@dataclass(frozen=True)
class LayerReport:
    """One weight matrix.

    Attributes
    ----------
    inputs, outputs : int
    norm : float
        Frobenius norm.
    rank : int
        Singular values above 1e-6 of the largest.
    effective_rank : float
        ``exp`` of the entropy of the singular values scaled to sum one (Roy & Vetterli,
        EUSIPCO 2007): r when r are equal and the rest zero.
    alignment : float or None
        With the next layer, see :class:`gapless.structure.collapse.LayerAlignment`.
    dead, always_active : int
        Of its neurons, on the data; zero for the output layer.
    """

    inputs: int
    outputs: int
    norm: float
    rank: int
    effective_rank: float
    alignment: float | None
    dead: int
    always_active: int


@dataclass(frozen=True)
class NeuronReport:
    """The hidden neurons of a two-layer network.

    Attributes
    ----------
    total, dead : int
        Dead: never active on the data, or without effect.
    duplicate : int
        Neurons whose direction (bias included) another neuron has up to scale.
    mergeable : int
        Neurons that merging those of equal pattern and parallel outputs removes.
    sufficient : int or None
        Neurons left after lossless pruning; None where the network is too large to tell.
    """

    total: int
    dead: int
    duplicate: int
    mergeable: int
    sufficient: int | None


@dataclass(frozen=True, eq=False)
class Findings(Bounded):
    """The measured values of an audit; :class:`gapless.AuditReport` says what each is."""

    loss: str
    weight_decay: float
    bias: str
    rule: str
    objective: float
    data_fit: float
    penalty: float
    zero_objective: float
    lower_bound: float
    proof: str
    found_objective: float | None
    found_neurons: int | None
    search_seconds: float
    decoupled: str | None
    estimated_lower_bound: float | None
    stationarity: float | None
    gradient_norm: float | None
    imbalance: float | None
    layers: tuple[LayerReport, ...]
    neurons: NeuronReport | None
    weight_decay_max: float | None
    collapse: NeuralCollapse | None
    kinks: Array | None
    notes: tuple[str, ...]

    @property
    def best_objective(self) -> float:
        """Of this network, or of the better one that was found."""
        return self.objective if self.found_objective is None else self.found_objective

    @property
    def found_gain(self) -> float:
        """What the network that was found is below this one, as a share of the objective."""
        return (self.objective - self.best_objective) / self.objective if self.objective else 0.0

    @property
    def estimated_relative_gap(self) -> float | None:
        """Not proven: by search."""
        if self.estimated_lower_bound is None:
            return None
        gap = max(self.objective - self.estimated_lower_bound, 0.0)
        return gap / self.objective if self.objective > 0 else 0.0
