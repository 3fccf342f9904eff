"""From independent paths to the layers of a network.

A path carries one direction of the data through all layers to one direction of the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.checks import Array, choose, positive
from ..core.deep_network import DeepNetwork


def chain(
    first: Array, gains: Array, last: Array, depth: int, widths: Sequence[int] | None = None
) -> tuple[Array, ...]:
    """Weights of independent paths: ``first diag(g)``, ``diag(g)`` between, ``diag(g) last``.

    Parameters
    ----------
    first : array of shape (n_features, n_paths)
    gains : array of shape (n_paths,)
        One factor a layer and path.
    last : array of shape (n_paths, n_outputs)
    depth : int
    widths : sequence of depth - 1 ints, optional
        Hidden widths; layers wider than the paths are filled with zeros.
    """
    r = len(gains)
    weights = [first * gains, *[np.diag(gains)] * (depth - 2), gains[:, None] * last]
    sizes = [first.shape[0], *(widths or [r] * (depth - 1)), last.shape[1]]
    padded = []
    for W, rows, columns in zip(weights, sizes[:-1], sizes[1:]):
        full = np.zeros((rows, columns))
        full[: W.shape[0], : W.shape[1]] = W
        padded.append(full)
    return tuple(padded)


def hidden_widths(width: Any, depth: int, needed: int, of: str = "") -> list[int]:
    """The hidden widths asked for: one number for all layers, a list, or None for ``needed``.

    Raises
    ------
    ValueError
        When one is below what is needed; ``of`` says what needs it.
    """
    if width is None:
        return [max(needed, 1)] * (depth - 1)
    widths = [int(w) for w in np.broadcast_to(np.asarray(width), (depth - 1,))]
    if min(widths) < 1:
        raise ValueError(f"width must be at least 1, got {width!r}")
    if min(widths) < needed:
        raise ValueError(
            f"width={width!r} is below the {of} and no closed form is known there; "
            f"use a width of at least {needed}"
        )
    return widths


def parallel_strength(
    weight_decay: float, depth: int, regulariser: str, layer_norm: float
) -> tuple[float, float]:
    """The two-layer weight decay a parallel architecture is equivalent to, and its norm.

    ``weight_decay depth / 2`` for "power", ``weight_decay / layer_norm^(depth - 2)`` for "fixed";
    see :class:`gapless.core.deep_network.ParallelNetwork`.
    """
    if choose("regulariser", regulariser, ("power", "fixed")) == "power":
        return 0.5 * weight_decay * depth, 1.0
    norm = positive("layer_norm", layer_norm)
    return weight_decay * norm ** (2 - depth), norm


def branch(
    first: Array,
    size: float,
    last: Array,
    depth: int,
    regulariser: str,
    layer_norm: float,
    activation: str,
) -> DeepNetwork:
    """One path of width 1 with unit ends ``first`` (d, 1), ``last`` (1, C) and gain ``size``."""
    if regulariser == "power":
        gains = np.full(depth, size ** (1.0 / depth))
    else:
        gains = np.full(depth, layer_norm)
        gains[-2], gains[-1] = 1.0, size / layer_norm ** (depth - 2)
    middle = [np.full((1, 1), g) for g in gains[1:-1]]
    return DeepNetwork((gains[0] * first, *middle, gains[-1] * last), None, activation)
