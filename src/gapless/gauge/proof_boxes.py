"""What a proof by boxes of directions leaves for a proof file."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.checks import Array


@dataclass(frozen=True, eq=False)
class BoxProof:
    """In which coordinates the faces of a cube were cut, and how, until no box was left open.

    Attributes
    ----------
    G : float
        What no neuron is above, in these coordinates.
    basis : array of shape (n_features, rank)
        Of the core.
    reach : float
        The unit of a free bias, in largest sums ``||p_i||_1`` of the samples' coordinates.
    tree : array of uint8
        For both signs of the gauge, one after the other, the boxes in the order of
        :func:`gapless.gauge.tree.search_boxes`: 0 for a leaf, else the edge halved, from 1.
    batch : int
        How many boxes it takes at a time.
    seconds : float
        About what the checker takes.
    """

    G: float
    basis: Array
    reach: float
    tree: Array
    batch: int
    seconds: float
