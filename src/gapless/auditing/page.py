"""The page of an audit: one HTML file with its pictures inside, loaded from nowhere."""

from __future__ import annotations

import base64
import html
import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.deep_network import DeepNetwork
from ..plotting.axes import axes_for, pyplot
from ..plotting.collapse import AlignmentDisplay, CollapseDisplay
from ..plotting.page import fact_table, listed, page
from .findings import Findings

# Who needs matplotlib, where it is not installed.
FEATURE = "the pictures of to_html"
# Width over height from which a picture has to be moved on a phone.
WIDE = 2.2


def html_page(
    verdict: str,
    advice: Sequence[str],
    rows: Iterable[tuple[str, str]],
    notes: Sequence[str],
    pictures: Iterable[tuple[str, str]],
) -> str:
    """The verdict, where the network stands, what to do, and only then the evidence.

    Parameters
    ----------
    verdict : str
    advice, notes : sequences of str
    rows : iterable of (name, value)
        The evidence.
    pictures : iterable of (caption, PNG in base64)
        At least one: the first stands below the verdict.

    Returns
    -------
    str
    """
    gap, *others = [_figure(caption, png) for caption, png in pictures]
    body = [
        "<h1>Audit of a trained network</h1>",
        f'<p class="verdict">{html.escape(verdict)}</p>',
        gap,
        listed("What to do next", advice),
        "<h2>Evidence</h2>",
        fact_table(rows),
        *others,
        listed("Notes", notes),
    ]
    return page("gapless audit", "\n".join(body), _STYLE)


def _figure(caption: str, png: str) -> str:
    """A wide picture can be moved sideways on a phone, where it would be too small to read."""
    width, height = struct.unpack(">II", base64.b64decode(png)[16:24])  # of a PNG's first chunk
    return _FIGURE.format(
        shape=' class="wide"' if width > WIDE * height else "",
        caption=html.escape(caption),
        png=f"data:image/png;base64,{png}",
    )


def pictures(
    found: Findings, network: DeepNetwork, X: Array, Y: Array
) -> Iterator[tuple[str, str]]:
    """Caption and PNG of each picture that these findings give reason for.

    Parameters
    ----------
    found : Findings
    network : DeepNetwork
    X : array of shape (n_samples, n_features)
    Y : array of shape (n_samples, n_outputs)
        As the loss takes them.

    Yields
    ------
    caption : str
    png : str
        In base64.
    """
    ax = axes_for(None, FEATURE, figsize=(5, 2.8))
    _draw_gap(ax, found)
    yield (
        "Where this network stands: the best one of any width lies in the open band.",
        _png(ax.figure),
    )
    if network.n_features == 1:
        ax = axes_for(None, FEATURE, figsize=(6, 3.2))
        _draw_curve(ax, found.kinks, network, X, Y)
        yield "The function on the data, and where it bends.", _png(ax.figure)
    if found.neurons is not None and found.imbalance is not None:
        ax = axes_for(None, FEATURE, figsize=(4.6, 4))
        _draw_balance(ax, network, found.bias)
        yield "Neurons: trained to the end, all lie on the line of equal norms.", _png(ax.figure)
    if max(layer.rank for layer in found.layers) > 1:
        figure = AlignmentDisplay.from_weights(network.weights).figure_
        yield "Layers: singular values, norms, alignment of each with the next.", _png(figure)
    if found.collapse is not None:
        labels = np.argmax(Y, axis=1) if Y.shape[1] > 1 else Y[:, 0] > 0
        figure = CollapseDisplay.from_features(network.features(X), labels).figure_
        yield "Classes: Gram matrix of their mean features, and that of collapse.", _png(figure)


def _png(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    pyplot(FEATURE).close(figure)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _draw_gap(ax: Any, found: Findings) -> None:
    low, best, own = found.lower_bound, found.best_objective, found.objective
    bands = [(0.0, low, "0.8", "no network is here (proven)"), (low, best, "#cfe3f5", "open")]
    if best < own:
        bands.append((best, own, "#f4c7a1", "gained by the network found"))
    for start, end, color, label in (band for band in bands if band[0] < band[1]):
        ax.barh([0], [end - start], left=start, height=0.6, color=color, label=label)
    ax.plot([own, own], [-0.45, 0.45], color="C3", lw=3, label=f"this network, {own:.4g}")
    estimated = found.estimated_lower_bound
    if estimated is not None and low < estimated <= own:
        ax.plot(
            [estimated] * 2, [-0.3, 0.3], color="C0", ls="--",
            label=f"estimated bound, {estimated:.4g}",
        )  # fmt: skip
    ax.set(xlim=(min(0.0, low), 1.04 * own), ylim=(-0.5, 0.5), yticks=[])
    ax.set_xlabel(f"training objective (zero network: {found.zero_objective:.4g})")
    ax.spines[["left", "top", "right"]].set_visible(False)
    below = {"loc": "outside lower left", "ncols": 2, "frameon": False, "fontsize": 9}
    ax.figure.legend(**below)


def _draw_curve(ax: Any, kinks: Array | None, network: DeepNetwork, X: Array, Y: Array) -> None:
    x = X[:, 0]
    grid = np.linspace(x.min(), x.max(), 600)[:, None]
    ax.plot(x, Y, ".", color="0.6", ms=3, label="data")
    ax.plot(grid, network.predict(grid), color="C0", label="network")
    if kinks is not None and len(kinks):
        height = network.predict(kinks[:, None])[:, 0]
        ax.plot(kinks, height, "o", color="C3", ms=4, label="kinks")
    ax.set(xlabel="x", ylabel="output")
    ax.legend(frameon=False)


def _draw_balance(ax: Any, network: DeepNetwork, bias: str) -> None:
    weights, biases = network.weights[0], network.biases
    name = "norm of a neuron's hidden weights"
    if bias == "penalized" and biases is not None:
        weights, name = np.vstack([weights, biases[0]]), f"{name} and bias"
    hidden = np.linalg.norm(weights, axis=0)
    output = np.linalg.norm(network.weights[1], axis=1)
    top = 1.05 * max(hidden.max(initial=0.0), output.max(initial=0.0), 1e-12)
    ax.plot([0, top], [0, top], color="0.7", lw=1)
    ax.plot(hidden, output, "o", ms=4, alpha=0.6)
    ax.set(xlabel=name, ylabel="norm of its output weights")
    ax.set_title(f"{len(hidden)} neurons", fontsize=10)


_FIGURE = """<figure{shape}><img alt="{caption}" src="{png}">
<figcaption>{caption}</figcaption></figure>"""

_STYLE = """ul { padding-left: 1.3rem }
img { max-width: min(100%, 40rem); border-radius: 4px }
.wide img { max-width: 100% }
@media (max-width: 40rem) {
  body { margin: 1rem auto }
  .verdict { font-size: 1.25rem }
  tr, th, td { display: block }
  th { padding-bottom: 0 }
  td { padding-top: 0 }
  .wide { overflow-x: auto }
  .wide img { max-width: none; width: 38rem }
}"""
