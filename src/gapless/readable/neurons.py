"""Hidden neurons that look at one or two features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import BLOCK
from ..core.checks import Array, shown
from ..core.network import Network

# Weights of unit directions below this are rounding, and would name a feature that is not used.
UNUSED = 1e-12


@dataclass(frozen=True, eq=False)
class Neurons:
    """Unit directions with two entries at most, and their biases.

    Attributes
    ----------
    features : integer array of shape (m, 2)
        The second is the first again where a neuron has one feature.
    weights : array of shape (m, 2)
        The second is zero then.
    bias : array of shape (m,)
    """

    features: Array
    weights: Array
    bias: Array

    @classmethod
    def none(cls) -> Neurons:
        """No neurons."""
        return cls(np.zeros((0, 2), dtype=np.intp), np.zeros((0, 2)), np.zeros(0))

    @classmethod
    def of(cls, U: Array, b: Array) -> Neurons:
        """Directions as columns (d, m), two entries at most in each, and biases (m,)."""
        order = np.argsort(-np.abs(U), axis=0, kind="stable")[:2]
        features = np.column_stack([order[0], order[-1]])
        weights = np.take_along_axis(U, features.T, axis=0).T
        single = (features[:, 0] == features[:, 1]) | (np.abs(weights[:, 1]) <= UNUSED)
        features[single, 1], weights[single, 1] = features[single, 0], 0.0
        return cls(features, weights, b)

    def __len__(self) -> int:
        return len(self.bias)

    def take(self, index: Array) -> Neurons:
        """Those at ``index``."""
        return Neurons(self.features[index], self.weights[index], self.bias[index])

    @classmethod
    def joined(cls, parts: Sequence[Neurons]) -> Neurons:
        """Those of each of ``parts``, which are one at least."""
        fields = ((part.features, part.weights, part.bias) for part in parts)
        return cls(*(np.concatenate(columns) for columns in zip(*fields)))

    def distinct(self) -> Array:
        """Numbers of the neurons that repeat no earlier one."""
        rows = np.column_stack([self.features, self.weights, self.bias])
        return np.sort(np.unique(rows, axis=0, return_index=True)[1])

    def activations(self, X: Array) -> Array:
        """``(x.u + b)_+`` at the rows of X, an array (n, m)."""
        Z = X[:, self.features[:, 0]]
        Z *= self.weights[:, 0]
        if np.any(self.weights[:, 1]):
            Z += X[:, self.features[:, 1]] * self.weights[:, 1]
        Z += self.bias
        return np.maximum(Z, 0.0, out=Z)

    def outputs(self, X: Array, a: Array, c: Array) -> Array:
        """``sum_j (x.u_j + b_j)_+ a_j + c``, block by block of rows, an array (n, n_outputs)."""
        return np.concatenate([self.activations(X[rows]) @ a + c for rows in self.blocks(len(X))])

    def blocks(self, n: int) -> list[slice]:
        """Rows whose activations are at hand at once."""
        step = max(1, BLOCK // (len(self) + 1))
        return [slice(at, at + step) for at in range(0, n, step)]

    def network(self, n_features: int, a: Array, c: Array) -> Network:
        """The network of these hidden neurons and output weights (m, n_outputs)."""
        U = np.zeros((n_features, len(self)))
        each = np.arange(len(self))
        U[self.features[:, 1], each] = self.weights[:, 1]
        U[self.features[:, 0], each] = self.weights[:, 0]
        return Network(U, self.bias, a, c)


def feature_pairs(interactions: Any, n_features: int) -> list[tuple[int, int]]:
    """Which two features a neuron may look at together.

    Parameters
    ----------
    interactions : 0, "pairs" or sequence of (int, int)
        None, any two, or those listed.
    n_features : int

    Returns
    -------
    list of (int, int)
        Rising, without repeats.

    Raises
    ------
    ValueError
        For anything else, and features that are not there.
    """
    if isinstance(interactions, str) and interactions == "pairs":
        return list(itertools.combinations(range(n_features), 2))
    if isinstance(interactions, (int, np.integer)) and interactions == 0:
        return []
    wrong = ValueError(
        'interactions must be 0, "pairs" or a list of pairs of feature numbers from 0 to '
        f"{n_features - 1}, got {shown(interactions)}"
    )
    if isinstance(interactions, (str, int, np.integer)):
        raise wrong
    pairs = set()
    try:
        for i, j in interactions:
            pairs.add((min(int(i), int(j)), max(int(i), int(j))))
    except (TypeError, ValueError) as error:
        raise wrong from error
    if any(i == j or not 0 <= i < n_features or not j < n_features for i, j in pairs):
        raise wrong
    return sorted(pairs)
