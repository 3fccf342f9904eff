"""A generator of ReLU layers whose last layer is fixed, as the theory of descent-ascent has it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ..core.checks import Array, positive_int, to_2d


@dataclass(frozen=True, eq=False)
class ReLUGenerator:
    """``G(z) = (... (z W_1)_+ ... W_L)_+ V``: the W are trained, V is fixed.

    Parameters
    ----------
    weights : tuple of arrays of shape (k, width_1), (width_1, width_2), ...
    output : array of shape (width_L, n_features)

    Raises
    ------
    ValueError
        For shapes that do not fit, NaN and infinite entries.
    """

    weights: tuple[Array, ...]
    output: Array

    def __post_init__(self) -> None:
        weights = tuple(to_2d("weights", W) for W in self.weights)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "output", to_2d("output", self.output))
        shapes = [np.shape(W) for W in (*self.weights, self.output)]
        if len(shapes) < 2 or any(a[1:] != b[:1] for a, b in itertools.pairwise(shapes)):
            raise ValueError(
                "a generator has weights (k, width_1), (width_1, width_2), ... and an output "
                f"(width_L, n_features), got {shapes}"
            )

    @classmethod
    def draw(
        cls, n_latents: int, widths: Sequence[int], n_features: int, random_state: Any = None
    ) -> ReLUGenerator:
        """A random one, its outputs of about the size of the latents whatever the widths.

        Parameters
        ----------
        n_latents : int
            Numbers that a latent has.
        widths : sequence of int
            Of the hidden layers.
        n_features : int
        random_state : int, RandomState or None

        Returns
        -------
        ReLUGenerator
        """
        rng = check_random_state(random_state)
        sizes = [positive_int("widths", size) for size in (n_latents, *widths, n_features)]
        drawn = [rng.standard_normal((a, b)) * np.sqrt(2 / a) for a, b in itertools.pairwise(sizes)]
        return cls(tuple(drawn[:-1]), drawn[-1])

    def layers(self, Z: Array) -> list[Array]:
        """The latents, and the activations of each hidden layer."""
        found = [Z]
        for W in self.weights:
            found.append(np.maximum(found[-1] @ W, 0.0))
        return found

    def __call__(self, latents: Any) -> Array:
        """Generate.

        Parameters
        ----------
        latents : array of shape (n, k)

        Returns
        -------
        array of shape (n, n_features)

        Raises
        ------
        ValueError
            For latents of another length.
        """
        Z = to_2d("latents", latents)
        if Z.shape[1] != len(self.weights[0]):
            raise ValueError(
                f"latents have {Z.shape[1]} numbers, the generator takes {len(self.weights[0])}"
            )
        return self.layers(Z)[-1] @ self.output
