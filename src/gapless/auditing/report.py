"""What an audit says: as text, as a dictionary, and as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from typing import Any

import numpy as np

from ..core.checks import Array, listed
from ..core.deep_network import DeepNetwork
from ..core.files import write
from ..core.result import about
from .findings import Findings, LayerReport
from .page import html_page, pictures

# Shortest column of names in the text.
LABEL = 22
# Kinks that the text lists.
LISTED = 12


@dataclass(frozen=True, eq=False)
class AuditReport(Findings):
    """How far a trained network is from the best one, and which structure it shows.

    All values are in the units of the training loss, ``objective = data_fit + penalty``.

    Attributes
    ----------
    loss : str
        What was minimised, in words.
    weight_decay : float
    bias : str
        The bias rule of the problem that is bounded.
    rule : str
        What the weight decay does to the biases, and which problem the bound is for.
    objective, data_fit, penalty, zero_objective : float
        Of the model in ``eval`` mode; ``zero_objective`` is that of the zero network.
    lower_bound : float
        PROVEN: no network of this depth, of any width, is below.
    proof : str
        How.
    found_objective : float or None
    found_neurons : int or None
        Of a better network that the convex solver found in the time given; None if it found none,
        or where it was not asked (deep networks, ``time_limit=0``).
    search_seconds : float
        Spent looking for it.
    decoupled : str or None
        Name of an optimizer, such as AdamW, that does not minimise loss plus penalty.
    estimated_lower_bound : float or None
        By search, proves nothing; None where no search exists (deep networks).
    stationarity : float or None
        ``||G|| / (||G_loss|| + ||G_penalty||)`` of the objective's gradient G, 0 at a stationary
        point and 1 where the penalty counts for nothing.
    gradient_norm : float or None
    imbalance : float or None
        What rescaling neurons (deep: layers) without changing the function would save.
    layers : tuple of LayerReport
    neurons : NeuronReport or None
    weight_decay_max : float or None
        The weight decay from which on the best network is constant (estimated).
    collapse : NeuralCollapse or None
        For classifiers.
    kinks : array or None
        Where a function of one variable bends.
    notes : tuple of str
        What the reader must know to trust the numbers.
    verdict : str
        A sentence or two.
    advice : tuple of str
        What to do next.
    seconds : float
    network : DeepNetwork
        As it was read.
    X, Y : arrays of n_samples rows
        The data it was audited on, as the loss takes them.
    """

    verdict: str
    advice: tuple[str, ...]
    seconds: float
    network: DeepNetwork = field(repr=False)
    X: Array = field(repr=False)
    Y: Array = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and None, for JSON.

        Returns
        -------
        dict
            The attributes but for the network and the data, and ``gap``, ``relative_gap``,
            ``estimated_relative_gap`` and ``n_neurons``.
        """
        hidden = ("network", "X", "Y", "layers", "neurons", "collapse", "kinks")
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in hidden}
        collapse = None
        if self.collapse is not None:
            collapse = {
                k: v.tolist() if isinstance(v, np.ndarray) else v
                for k, v in asdict(self.collapse).items()
            }
        return plain | {
            "gap": self.gap,
            "relative_gap": self.relative_gap,
            "estimated_relative_gap": self.estimated_relative_gap,
            "n_neurons": sum(self.network.widths),
            "layers": [asdict(layer) for layer in self.layers],
            "neurons": None if self.neurons is None else asdict(self.neurons),
            "collapse": collapse,
            "kinks": None if self.kinks is None else self.kinks.tolist(),
            "notes": list(self.notes),
            "advice": list(self.advice),
        }

    def rows(self) -> Iterator[tuple[str, str]]:
        """Name and value of each line of the report.

        Yields
        ------
        name, value : str
        """
        yield from self._bounds()
        yield from self._structure()

    def _bounds(self) -> Iterator[tuple[str, str]]:
        yield "trained on", f"{self.loss}; weight decay {self.weight_decay:.3g}"
        yield "problem", self.rule
        yield (
            "objective",
            f"{self.objective:.6g} = loss {self.data_fit:.6g} + penalty {self.penalty:.3g} "
            f"(zero network: {self.zero_objective:.6g})",
        )
        yield "lower bound, proven", f"{self.lower_bound:.6g} ({self.proof})"
        yield "gap, proven", f"{self.relative_gap:.2%} of the objective"
        if self.found_objective is not None:
            yield (
                "better, found",
                f"{self.found_objective:.6g} with {self.found_neurons} neurons, "
                f"{self.found_gain:.2%} lower",
            )
        elif self.search_seconds > 0:
            yield "better, found", f"none in {self.search_seconds:.2g} s of search"
        if self.estimated_relative_gap is not None:
            source = "a search" if self.search_seconds > 0 else "the network's own residual"
            words = f"{about(self.estimated_relative_gap)} ({source}: proves nothing)"
            yield "gap, estimated", words

    def _structure(self) -> Iterator[tuple[str, str]]:
        if self.stationarity is not None:
            yield (
                "stationarity",
                f"gradient {self.gradient_norm:.2g}, {self.stationarity:.2%} of its parts "
                "(0% at a stationary point)",
            )
        if self.imbalance is not None:
            share = self.imbalance / self.objective if self.objective else 0.0
            yield "balance", f"rescaling alone saves {share:.2%}"
        if self.neurons is not None:
            n = self.neurons
            left = "" if n.sufficient is None else f", {n.sufficient} suffice for these outputs"
            yield (
                "neurons",
                f"{n.total}: {n.dead} dead, {n.duplicate} duplicate, {n.mergeable} mergeable{left}",
            )
        yield from ((f"layer {l}", _line(layer)) for l, layer in enumerate(self.layers, start=1))
        if self.collapse is not None:
            c = self.collapse
            yield (
                "neural collapse",
                f"NC1 {c.nc1:.3g}, NC2 {c.nc2_frame:.3g}, NC3 {c.nc3:.3g}, NC4 {c.nc4:.2%} "
                "(all 0 when collapsed)",
            )
        if self.kinks is not None:
            shown = listed([f"{k:.4g}" for k in self.kinks], LISTED)
            yield "kinks in the data", f"{len(self.kinks)}: {shown}" if shown else "none"

    def __str__(self) -> str:
        lines = [self.verdict, ""]
        lines += [f"{name:<{LABEL}}{value}" for name, value in self.rows()]
        for title, sentences in (("What to do next", self.advice), ("Notes", self.notes)):
            if sentences:
                lines += ["", title, *(f"  - {s}" for s in sentences)]
        return "\n".join(lines)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one file with the text and pictures; nothing in it is loaded from elsewhere.

        Parameters
        ----------
        path : path

        Raises
        ------
        ImportError
            Where matplotlib is not installed.
        """
        drawn = pictures(self, self.network, self.X, self.Y)
        page = html_page(self.verdict, self.advice, self.rows(), self.notes, drawn)
        write(path, page.encode())


def _line(layer: LayerReport) -> str:
    parts = [
        f"{layer.inputs} -> {layer.outputs}", f"norm {layer.norm:.3g}",
        f"rank {layer.rank}, effective {layer.effective_rank:.1f}",
    ]  # fmt: skip
    if layer.alignment is not None:
        parts.append(f"alignment with the next {layer.alignment:.2f}")
    if layer.dead:
        parts.append(f"{layer.dead} dead")
    if layer.always_active:
        parts.append(f"{layer.always_active} always active")
    return ", ".join(parts)
