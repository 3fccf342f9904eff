"""Neurons that a search or an enumeration found, with what the gauge is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .checks import Array


@dataclass(frozen=True)
class Candidates:
    """Hidden neurons without output weights, as columns.

    Attributes
    ----------
    U : array of shape (n_features, n_candidates)
        Unit directions.
    b : array of shape (n_candidates,)
        Biases.
    value : array of shape (n_candidates,)
        ``|| Lam^T (A u + b)_+ ||`` of each.
    """

    U: Array
    b: Array
    value: Array

    @classmethod
    def one(cls, u: Array, value: float, b: float = 0.0) -> Candidates:
        """The neuron of direction ``u`` (n_features,) and bias ``b``."""
        return cls(u[:, None], np.array([b]), np.array([value]))

    def __len__(self) -> int:
        return int(self.value.size)

    def take(self, index: Array | slice) -> Candidates:
        """Those at ``index``, in its order."""
        return Candidates(self.U[:, index], self.b[index], self.value[index])

    def astype(self, kind: type) -> Candidates:
        """In numbers of another precision."""
        return Candidates(self.U.astype(kind), self.b.astype(kind), self.value.astype(kind))

    def append(self, *others: Candidates) -> Candidates:
        """These, then those of each of ``others``."""
        fields = ((part.U, part.b, part.value) for part in (self, *others))
        return Candidates(*(np.concatenate(x, axis=-1) for x in zip(*fields)))


def best_of_patterns(on: Array, value: Array) -> Array:
    """The best column of each activation pattern.

    Parameters
    ----------
    on : boolean array of shape (n_samples, n_candidates)
        Which samples each candidate is active on.
    value : array of shape (n_candidates,)

    Returns
    -------
    array of int
        For every pattern that occurs the column of most ``value``, best first.
    """
    order = np.argsort(-value, kind="stable")
    packed = np.packbits(on[:, order], axis=0)
    return order[np.sort(np.unique(packed, axis=1, return_index=True)[1])]
