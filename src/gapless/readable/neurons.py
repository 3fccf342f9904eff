"""Hidden neurons that look at one or two features."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import row_blocks
from ..core.checks import Array, shown
from ..core.network import Network

# Weights of unit directions below this are rounding, and would name a feature that is not used.
UNUSED = 1e-12
# Activations at hand at once: 2 MiB, which caches hold.
BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Neurons:
    """Unit directions with two entries at most, and their biases.

    Of a monotone effect there are steps too: neurons that saturate, ``min((x.u + b)_+, top)``, two
    neurons of a network.  Their direction has norm 1/2, so that each costs what a unit neuron does.

    Attributes
    ----------
    features : integer array of shape (m, 2)
        The second is the first again where a neuron has one feature.
    weights : array of shape (m, 2)
        The second is zero then.
    bias : array of shape (m,)
    top : array of shape (m,), optional
        Infinite by default.
    """

    features: Array
    weights: Array
    bias: Array
    top: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.top is None:
            object.__setattr__(self, "top", np.full(len(self.bias), np.inf))

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
        return Neurons(self.features[index], self.weights[index], self.bias[index], self.top[index])

    @classmethod
    def joined(cls, parts: Sequence[Neurons]) -> Neurons:
        """Those of each of ``parts``, which are one at least."""
        fields = ((part.features, part.weights, part.bias, part.top) for part in parts)
        return cls(*(np.concatenate(columns) for columns in zip(*fields)))

    def distinct(self) -> Array:
        """Numbers of the neurons that repeat no earlier one."""
        rows = np.column_stack([self.features, self.weights, self.bias, self.top])
        return np.sort(np.unique(rows, axis=0, return_index=True)[1])

    def activations(self, X: Array) -> Array:
        """``min((x.u + b)_+, top)`` at the rows of X, an array (n, m)."""
        Z = X[:, self.features[:, 0]]
        Z *= self.weights[:, 0]
        if np.any(self.weights[:, 1]):
            Z += X[:, self.features[:, 1]] * self.weights[:, 1]
        Z += self.bias
        np.maximum(Z, 0.0, out=Z)
        return np.minimum(Z, self.top, out=Z) if np.any(self.top < np.inf) else Z

    def outputs(self, X: Array, a: Array, c: Array) -> Array:
        """Of all with output weights ``a``, and c, block by block of rows: (n, n_outputs)."""
        return np.concatenate([self.activations(X[rows]) @ a + c for rows in self.blocks(len(X))])

    def blocks(self, n: int) -> Iterator[slice]:
        """Rows whose activations are at hand at once."""
        return row_blocks(n, len(self) + 1, BLOCK)

    def network(self, n_features: int, a: Array, c: Array) -> Network:
        """The network of these hidden neurons and output weights (m, n_outputs)."""
        steps = np.flatnonzero(self.top < np.inf)  # what they do beyond their top is taken back
        all_ = self.take(np.append(np.arange(len(self)), steps))
        bias = np.concatenate([self.bias, (self.bias - self.top)[steps]])
        U = np.zeros((n_features, len(all_)))
        each = np.arange(len(all_))
        U[all_.features[:, 1], each] = all_.weights[:, 1]
        U[all_.features[:, 0], each] = all_.weights[:, 0]
        return Network(U, bias, np.concatenate([a, -a[steps]]), c)


def feature_pairs(
    interactions: Any, n_features: int, names: Sequence[str] = ()
) -> list[tuple[int, int]]:
    """Which two features a neuron may look at together.

    Parameters
    ----------
    interactions : 0, "pairs" or sequence of pairs of int or str
        None, any two, or those listed.
    n_features : int
    names : sequence of str
        Of the features, where they may be given by name.

    Returns
    -------
    list of (int, int)
        Rising, without repeats.

    Raises
    ------
    ValueError
        For anything else, a feature with itself, and features that are not there.
    """
    if isinstance(interactions, str) and interactions == "pairs":
        return list(itertools.combinations(range(n_features), 2))
    number = isinstance(interactions, (int, np.integer)) and not isinstance(interactions, bool)
    if number and interactions == 0:
        return []
    wrong = ValueError(
        'interactions must be 0, "pairs" or a list of pairs of two features, numbers from 0 to '
        f"{n_features - 1}{' or names' if names else ''}, got {shown(interactions)}"
    )
    if isinstance(interactions, str):
        raise wrong
    known = {j: j for j in range(n_features)} | {name: j for j, name in enumerate(names)}
    try:
        pairs = [sorted((known[i], known[j])) for i, j in interactions]
    except (KeyError, TypeError, ValueError) as error:
        raise wrong from error
    if any(i == j for i, j in pairs):
        raise wrong
    return sorted({(i, j) for i, j in pairs})


def monotone_signs(monotone: Mapping[int, int] | None, n_features: int) -> Array:
    """1 where the effect of a feature must rise, -1 where it must fall, else 0.

    Parameters
    ----------
    monotone : mapping of int to {1, -1} or None
        From numbers of features.
    n_features : int

    Returns
    -------
    integer array of shape (n_features,)

    Raises
    ------
    ValueError
        For anything else, and features that are not there.
    """
    signs = np.zeros(n_features, dtype=np.intp)
    given = {} if monotone is None else monotone
    for j, sign in given.items() if isinstance(given, Mapping) else [(None, None)]:
        if j not in range(n_features) or sign not in (1, -1):
            raise ValueError(
                f"monotone must map feature numbers from 0 to {n_features - 1} to 1 (rising) or "
                f"-1 (falling), got {shown(monotone)}"
            )
        signs[j] = sign
    return signs
