"""Networks of any depth as values, and what a closed form returns.

With L weight matrices and no biases a deep network computes

    A_0 = X,   A_l = phi(A_{l-1} W_l)  for l < L,   F = A_{L-1} W_L,

phi the ReLU or the identity, and its objective is that of :mod:`gapless.core.problem`:
the mean loss plus ``weight_decay / 2 sum_l ||W_l||_F^2``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from .checks import Array, choose, to_2d
from .hypotheses import Check
from .problem import Problem
from .result import Bounded, Verdict

ACTIVATIONS = ("relu", "linear")


@dataclass(frozen=True, eq=False, repr=False)
class DeepNetwork:
    """A fully connected network with L weight matrices.

    Parameters
    ----------
    weights : sequence of L arrays
        ``W_l`` of shape (width_{l-1}, width_l); width_0 is n_features, width_L n_outputs.
    biases : sequence of L arrays of shape (width_l,), optional
        Not penalised.
    activation : {"relu", "linear"}, default "relu"
        Of the hidden layers; the output is linear.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...] | None = None
    activation: str = "relu"

    def __post_init__(self) -> None:
        weights = tuple(np.array(W, dtype=np.float64) for W in self.weights)
        if not weights or any(W.ndim != 2 for W in weights):
            raise ValueError("weights must be one or more matrices")
        for l, (left, right) in enumerate(pairwise(weights), start=1):
            if left.shape[1] != right.shape[0]:
                raise ValueError(
                    f"layer {l} has {left.shape[1]} outputs but layer {l + 1} has "
                    f"{right.shape[0]} inputs; consecutive shapes must fit"
                )
        biases = self.biases
        if biases is not None:
            biases = tuple(np.array(b, dtype=np.float64) for b in biases)
            if [b.shape for b in biases] != [(W.shape[1],) for W in weights]:
                raise ValueError(
                    f"biases must have the shapes {[(W.shape[1],) for W in weights]}, "
                    f"got {[b.shape for b in biases]}"
                )
        if not all(np.all(np.isfinite(V)) for V in (*weights, *(biases or ()))):
            raise ValueError("the network has NaN or infinite entries")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)
        choose("activation", self.activation, ACTIVATIONS)

    def __repr__(self) -> str:
        widths = " - ".join(map(str, (self.n_features, *self.widths, self.n_outputs)))
        biases = "no biases" if self.biases is None else "biases"
        return f"<DeepNetwork: {widths}, {self.activation}, {biases}>"

    @property
    def depth(self) -> int:
        """Number of weight matrices."""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """Numbers that a sample has."""
        return int(self.weights[0].shape[0])

    @property
    def n_outputs(self) -> int:
        """Numbers that it puts out for a sample."""
        return int(self.weights[-1].shape[1])

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths."""
        return tuple(W.shape[1] for W in self.weights[:-1])

    def features(self, X: Any) -> Array:
        """Last hidden layer ``A_{L-1}``.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, width_{L-1})
            X itself for one layer.

        Raises
        ------
        ValueError
            For NaN or infinite entries, or another number of features.
        """
        A: Any = X.tocsr() if sp.issparse(X) else to_2d("X", X)
        if A.shape[1] != self.n_features:
            raise ValueError(f"X has {A.shape[1]} features, the network expects {self.n_features}")
        for l, W in enumerate(self.weights[:-1]):
            A = np.asarray(A @ W)
            if self.biases is not None:
                A = A + self.biases[l]
            if self.activation == "relu":
                A = np.maximum(A, 0.0)
        return A

    def predict(self, X: Any) -> Array:
        """The outputs ``F = A_{L-1} W_L``, plus the output bias.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs)

        Raises
        ------
        ValueError
            As :meth:`features`.
        """
        F = np.asarray(self.features(X) @ self.weights[-1])
        return F if self.biases is None else F + self.biases[-1]

    def penalty(self) -> float:
        """``1/2 sum_l ||W_l||_F^2``; biases are free.

        Returns
        -------
        float
            Not yet multiplied by the weight decay.
        """
        return 0.5 * float(sum(np.sum(W * W) for W in self.weights))

    def objective(self, problem: Problem) -> float:
        """Mean loss plus weight decay; under ``bias="penalized"`` the first layer reads [X, 1].

        Parameters
        ----------
        problem : Problem

        Returns
        -------
        float
            In the units of :mod:`gapless.core.problem`.

        Raises
        ------
        ValueError
            When the network has non-zero biases and the problem's rule is not ``"free"``.
        """
        if self.biases is not None and any(map(np.any, self.biases)) and not problem.free:
            raise ValueError(
                f"the network has biases but the problem's bias rule is {problem.bias!r}; "
                "use bias='free'"
            )
        fit = problem.data_fit(self.predict(problem.design.array()))
        return fit + problem.weight_decay * self.penalty()

    def scaled(self, layer: float, output: float) -> DeepNetwork:
        """Every layer times ``layer``, biases of the output times ``output``.

        Parameters
        ----------
        layer : float
            Factor of the weights.
        output : float
            Factor of the output bias.

        Returns
        -------
        DeepNetwork
        """
        biases = self.biases
        if biases is not None:
            biases = (*biases[:-1], biases[-1] * output)
        return DeepNetwork(tuple(W * layer for W in self.weights), biases, self.activation)

    def balance(self) -> DeepNetwork:
        """The same function with equal Frobenius norms, never a higher penalty.

        Only for networks without biases; a network with a zero layer becomes zero.

        Returns
        -------
        DeepNetwork
            Of the geometric mean of the norms in each layer.

        Raises
        ------
        ValueError
            When a bias is not zero.
        """
        if self.biases is not None and any(map(np.any, self.biases)):
            raise ValueError("only a network without biases can be balanced")
        norms = np.array([np.linalg.norm(W) for W in self.weights])
        if not np.all(norms > 0):
            return DeepNetwork(tuple(np.zeros_like(W) for W in self.weights), None, self.activation)
        t = np.exp(np.mean(np.log(norms)))
        return DeepNetwork(
            tuple(W * (t / size) for W, size in zip(self.weights, norms)), None, self.activation
        )


@dataclass(frozen=True, eq=False)
class ParallelNetwork:
    """A sum of deep networks (branches), penalised so that the problem stays convex.

    ``regulariser="power"``
        ``1/2 sum_j sum_l ||W_{l,j}||_F^L``: at its best L/2 times the product of the norms.
    ``regulariser="fixed"``
        ``sum_j ||W_{L,j}||_F``, under the constraints ``||W_{l,j}||_F <= layer_norm`` for
        l <= L - 2 and ``||W_{L-1,j}||_F <= 1``.
    """

    branches: tuple[DeepNetwork, ...]
    n_outputs: int
    regulariser: str = "power"
    layer_norm: float = 1.0

    def predict(self, X: Any) -> Array:
        """Sum of the branches' outputs."""
        total = np.zeros((X.shape[0], self.n_outputs))
        for branch in self.branches:
            total += branch.predict(X)
        return total

    def penalty(self) -> float:
        """See the class; infinite where a norm constraint of the fixed form is broken."""
        if self.regulariser == "power":
            return 0.5 * sum(
                float(np.linalg.norm(W)) ** branch.depth
                for branch in self.branches
                for W in branch.weights
            )
        for branch in self.branches:
            limits = [self.layer_norm] * (branch.depth - 2) + [1.0]
            for W, limit in zip(branch.weights, limits):
                if np.linalg.norm(W) > limit * (1 + 1e-9):
                    return float("inf")
        return float(sum(np.linalg.norm(b.weights[-1]) for b in self.branches))

    def objective(self, problem: Problem) -> float:
        """Mean loss plus ``weight_decay`` times :meth:`penalty`."""
        fit = problem.data_fit(self.predict(problem.design.array()))
        return fit + problem.weight_decay * self.penalty()


class Optimality(Verdict):
    """What is known about a closed form's value; the enum's value is what the user reads."""

    PROVED = "Proved: no network of this form has a smaller objective."
    NUMERICALLY_VERIFIED = (
        "Not proved: no training run ever found a smaller objective, which is no proof."
    )
    UPPER_BOUND = (
        "Upper bound: the network attains the objective, and a better one may exist; "
        "lower_bound says how much better at most."
    )
    KNOWN_SUBOPTIMAL = (
        "Not optimal in general: for this depth and number of classes networks of lower rank "
        "with a smaller objective have been found, at a large weight decay at least."
    )


@dataclass(frozen=True, eq=False)
class DeepSolution(Bounded):
    """A network in closed form.

    Attributes
    ----------
    network : DeepNetwork, ParallelNetwork or BatchNormHead
    objective : float
        Of the network, recomputed from its weights (mean loss plus weight decay).
    formula : float
        The value the closed form predicts for it.
    dual : float or None
        Value of a dual point that is feasible, where strong duality holds.
    lower_bound : float
        Proven: no network of this form is below, whatever its widths (of the widths asked for,
        where a linear network narrower than the best one was asked for).
    optimality : Optimality
    checks : tuple of Check
        The hypotheses tested on the data, with the measured violations.
    """

    network: Any = field(repr=False)
    objective: float
    formula: float
    dual: float | None
    lower_bound: float
    optimality: Optimality
    checks: tuple[Check, ...]
