"""Quadratic forms that prove a bound of the gauge, as a proof file holds them.

In every cell of fixed signs of v and of the samples there are multipliers D (4,) of
``s^2 = ||v||^2 = ||u||^2 >= t^2`` and N (2n, 1 + C + k + 2n) of products of (p, q) with
``y = (s, v, u, t, p, q)``, where ``p - q = A (u, t)`` and ``p, q >= 0``.  The products are
nonnegative for every neuron because

    p_i p_j, p_i q_j, q_i p_j, q_i q_j >= 0 and p_i q_i = 0    (last columns of N),
    p_i (b s - w.ball), q_i (b s - w.ball) >= 0, b >= ||w||    (a row w a ball v, u, t).

The gauge is at most ``sum(D)`` where ``D - v.Lam^T p - N``, as a form on all y, is positive
semidefinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.checks import Array
from ..core.problem import Problem


@dataclass(frozen=True, eq=False)
class CheckedSamples:
    """The samples of a core problem as the checker has them.

    Attributes
    ----------
    core : Problem
    Lam : array of shape (n_samples, n_outputs)
        The dual point that is proven, of the core.
    rows : array of int, shape (n,)
        Which of the core's samples the checker has: one for each that it joins.
    shares : array of shape (n_samples, n)
        Sample i of the core is ``shares_ij`` times row j (``Proof.joins``).
    A : array of shape (n, k + free)
        The checker's design; its last column belongs to t, if the bias is free.
    """

    core: Problem
    Lam: Array
    rows: Array
    shares: Array
    A: Array

    @property
    def sizes(self) -> list[int]:
        """How many entries of y are s, v, u and t."""
        free = int(self.core.free)
        return [1, self.core.n_outputs, self.A.shape[1] - free, free]

    @property
    def unit(self) -> float:
        """Scores of the core times this are scores in the checker's design."""
        return 1 / float(np.linalg.norm(self.core.X, axis=1).max())


class ProofCell(NamedTuple):
    """Signs (1 + n,) of v and the samples, 0 for both; D (4,); N (2n, 1 + C + k + free + 2n)."""

    signs: Array
    D: Array
    N: Array

    @classmethod
    def of_form(
        cls, sign: int, fixed: Array, beta: float, ties: Array, head: Array, products: Array
    ) -> ProofCell:
        """The cell of a form that begins with ``beta/2 (s^2 + ||u||^2)``.

        Parameters
        ----------
        sign, fixed : int, array of shape (n,)
            Of v and the samples.
        beta : float
            The bound of the gauge.
        ties : array of shape (3,)
            Multipliers of ``||v||^2 - s^2``, ``||u||^2 - s^2`` and ``t^2 - s^2``.
        head : array of shape (2n, 1 + C + k + free)
            The columns of N for s, v, u and t.
        products : array of shape (2n, 2n)
            Symmetric, of (p, q) with itself: N holds each product once.
        """
        D = np.append(beta / 2 - np.sum(ties), ties)
        D[2] += beta / 2
        N = np.hstack([head, np.triu(products) + np.triu(products, 1)])
        return cls(np.append(sign, fixed), D, N)
