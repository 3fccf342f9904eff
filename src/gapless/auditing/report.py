"""What an audit says: as text, as a dictionary, and as one self-contained HTML file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from typing import Any

import numpy as np

from ..core.checks import Array, optional_import
from ..core.deep_network import DeepNetwork
from ..core.files import write
from ..core.result import Bounded, about
from ..plotting.collapse import AlignmentDisplay, CollapseDisplay
from ..structure.collapse import NeuralCollapse

#: shortest text column
LABEL = 22


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
class AuditReport(Bounded):
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
        or where it was not asked (deep networks, large data).
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
        One sentence.
    advice : tuple of str
        What to do next.
    seconds : float
    """

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
    verdict: str
    advice: tuple[str, ...]
    seconds: float
    network: DeepNetwork = field(repr=False)
    X: Array = field(repr=False)
    Y: Array = field(repr=False)

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

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and None, for JSON."""
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
        """Name and value of each line of the report."""
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
        if self.estimated_relative_gap is not None:
            words = f"{about(self.estimated_relative_gap)} (a search: proves nothing)"
            yield "gap, estimated", words
        if self.stationarity is not None:
            yield (
                "stationarity",
                f"gradient {self.gradient_norm:.2g}, {self.stationarity:.2%} of its parts "
                "(0% at a stationary point)",
            )
        if self.imbalance is not None:
            yield "balance", f"rescaling alone saves {self.imbalance / self.objective:.2%}"
        if self.neurons is not None:
            n = self.neurons
            left = "" if n.sufficient is None else f", {n.sufficient} suffice for these outputs"
            yield (
                "neurons",
                f"{n.total}: {n.dead} dead, {n.duplicate} duplicate, {n.mergeable} mergeable{left}",
            )
        for l, layer in enumerate(self.layers, start=1):
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
            yield f"layer {l}", ", ".join(parts)
        if self.collapse is not None:
            c = self.collapse
            yield (
                "neural collapse",
                f"NC1 {c.nc1:.3g}, NC2 {c.nc2_frame:.3g}, NC3 {c.nc3:.3g}, NC4 {c.nc4:.2%} "
                "(all 0 when collapsed)",
            )
        if self.kinks is not None:
            shown = ", ".join(f"{k:.4g}" for k in self.kinks[:12])
            more = f" and {len(self.kinks) - 12} more" if len(self.kinks) > 12 else ""
            yield "kinks in the data", f"{len(self.kinks)}: {shown}{more}" if shown else "none"

    def __str__(self) -> str:
        lines = [self.verdict, ""]
        lines += [f"{name:<{LABEL}}{value}" for name, value in self.rows()]
        for title, sentences in (("What to do next", self.advice), ("Notes", self.notes)):
            if sentences:
                lines += ["", title, *(f"  - {s}" for s in sentences)]
        return "\n".join(lines)

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write one file with the text and pictures; nothing in it is loaded from elsewhere."""
        cells = "\n".join(
            f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in self.rows()
        )
        (caption, png), *others = [
            (html.escape(text), f"data:image/png;base64,{png}") for text, png in self._pictures()
        ]
        page = _PAGE.format(
            verdict=html.escape(self.verdict),
            gap=_FIGURE.format(caption=caption, png=png),
            advice=_list("What to do next", self.advice),
            cells=cells,
            pictures="\n".join(_FIGURE.format(caption=c, png=p) for c, p in others),
            notes=_list("Notes", self.notes),
        )
        write(path, page.encode())

    def _pictures(self) -> Iterator[tuple[str, str]]:
        """Caption and PNG in base64 of each picture."""
        plt = optional_import("matplotlib.pyplot", "plot", "the pictures of to_html")
        figure, ax = plt.subplots(figsize=(8, 2.2), layout="constrained")
        self._draw_gap(ax)
        yield (
            "Where this network stands: the best one of any width lies in the open band.",
            _png(figure),
        )
        if self.network.n_features == 1:
            figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
            self._draw_curve(ax)
            yield "The function on the data, and where it bends.", _png(figure)
        if self.neurons is not None and self.imbalance is not None:
            figure, ax = plt.subplots(figsize=(4.6, 4), layout="constrained")
            self._draw_balance(ax)
            yield "Neurons: trained to the end, all lie on the line of equal norms.", _png(figure)
        if max(layer.rank for layer in self.layers) > 1:
            figure = AlignmentDisplay.from_weights(self.network.weights).figure_
            yield "Layers: singular values, norms, alignment of each with the next.", _png(figure)
        if self.collapse is not None:
            labels = np.argmax(self.Y, axis=1) if self.Y.shape[1] > 1 else self.Y[:, 0] > 0
            figure = CollapseDisplay.from_features(self.network.features(self.X), labels).figure_
            yield (
                "Classes: Gram matrix of their mean features, and that of collapse.",
                _png(figure),
            )

    def _draw_gap(self, ax: Any) -> None:
        low, best, own = self.lower_bound, self.best_objective, self.objective
        bands = [(0.0, low, "0.8", "no network is here (proven)"), (low, best, "#cfe3f5", "open")]
        if best < own:
            bands.append((best, own, "#f4c7a1", "gained by the network found"))
        for start, end, color, label in bands:
            ax.barh([0], [end - start], left=start, height=0.6, color=color, label=label)
        ax.plot([own, own], [-0.45, 0.45], color="C3", lw=3, label=f"this network, {own:.4g}")
        estimated = self.estimated_lower_bound
        if estimated is not None and low < estimated <= own:
            ax.plot(
                [estimated] * 2, [-0.3, 0.3], color="C0", ls="--",
                label=f"estimated bound, {estimated:.4g}",
            )  # fmt: skip
        ax.set(xlim=(min(0.0, low), 1.04 * own), ylim=(-0.5, 0.5), yticks=[])
        ax.set_xlabel(f"training objective (zero network: {self.zero_objective:.4g})")
        ax.spines[["left", "top", "right"]].set_visible(False)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)

    def _draw_curve(self, ax: Any) -> None:
        x = self.X[:, 0]
        grid = np.linspace(x.min(), x.max(), 600)[:, None]
        ax.plot(x, self.Y, ".", color="0.6", ms=3, label="data")
        ax.plot(grid, self.network.predict(grid), color="C0", label="network")
        if self.kinks is not None and len(self.kinks):
            height = self.network.predict(self.kinks[:, None])[:, 0]
            ax.plot(self.kinks, height, "o", color="C3", ms=4, label="kinks")
        ax.set(xlabel="x", ylabel="output")
        ax.legend(frameon=False)

    def _draw_balance(self, ax: Any) -> None:
        weights = self.network.weights[0]
        biases = self.network.biases
        name = "norm of a neuron's hidden weights"
        if self.bias == "penalized" and biases is not None:
            weights, name = np.vstack([weights, biases[0]]), f"{name} and bias"
        hidden = np.linalg.norm(weights, axis=0)
        output = np.linalg.norm(self.network.weights[1], axis=1)
        top = 1.05 * max(hidden.max(initial=0.0), output.max(initial=0.0), 1e-12)
        ax.plot([0, top], [0, top], color="0.7", lw=1)
        ax.plot(hidden, output, "o", ms=4, alpha=0.6)
        ax.set(xlabel=name, ylabel="norm of its output weights")
        ax.set_title(f"{len(hidden)} neurons", fontsize=10)


def _list(title: str, sentences: tuple[str, ...]) -> str:
    items = "\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>{title}</h2>\n<ul>\n{items}\n</ul>" if sentences else ""


def _png(figure: Any) -> str:
    plt = optional_import("matplotlib.pyplot", "plot", "the pictures of to_html")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


_FIGURE = """<figure><img alt="{caption}" src="{png}">
<figcaption>{caption}</figcaption></figure>"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>gapless audit</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: #222; background: #fff }}
h1 {{ font-size: 1rem; font-weight: normal; color: #555; margin: 0 }}
.verdict {{ font-size: 1.5rem; line-height: 1.3; margin: .3rem 0 1rem }}
h2 {{ font-size: 1.15rem; margin: 2rem 0 .5rem }}
li {{ margin-bottom: .4rem }}
table {{ border-collapse: collapse; width: 100% }}
tr {{ border-top: 1px solid #ddd }}
th {{ text-align: left; vertical-align: top; padding: .3rem 1.5rem .3rem 0; white-space: nowrap;
  font-weight: 600 }}
td {{ padding: .3rem 0 }}
img {{ max-width: 100% }}
figure {{ margin: 1rem 0 }}
figcaption {{ color: #555; font-size: .9rem }}
</style></head><body>
<h1>Audit of a trained network</h1>
<p class="verdict">{verdict}</p>
{gap}
{advice}
<h2>Evidence</h2>
<table>
{cells}
</table>
{pictures}
{notes}
</body></html>
"""
