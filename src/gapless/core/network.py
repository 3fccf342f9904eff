"""A two-layer ReLU network as a value: predict, balance, merge, prune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from .arrays import row_norms
from .checks import Array, to_2d
from .design import Design, design_of
from .problem import Problem

# Scores below this share of a neuron's largest are zero but for rounding.
ZERO = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """``f(x) = sum_j (x.u_j + b_j)_+ a_j + c``.

    On patches (:class:`gapless.Patches`) a neuron has output weights for each of Q pooled places.

    Parameters
    ----------
    hidden_weights : array of shape (n_features, n_neurons)
        Columns u_j.
    hidden_bias : array of shape (n_neurons,)
    output_weights : array of shape (n_neurons, n_outputs) or (n_neurons, Q * n_outputs)
        Rows a_j; on patches those of the first place, then those of the next, and so on.
    output_bias : array of shape (n_outputs,)
    """

    hidden_weights: Array
    hidden_bias: Array
    output_weights: Array
    output_bias: Array

    def __post_init__(self) -> None:
        for name in ("hidden_weights", "hidden_bias", "output_weights", "output_bias"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if not np.all(np.isfinite(values)):
                raise ValueError(f"the network's {name} has NaN or infinite entries")
            object.__setattr__(self, name, values)
        U, b, a, c = self.hidden_weights, self.hidden_bias, self.output_weights, self.output_bias
        m = U.shape[1] if U.ndim == 2 else -1
        if (
            U.ndim != 2
            or a.ndim != 2
            or b.shape != (m,)
            or a.shape[0] != m
            or c.ndim != 1
            or len(c) == 0
            or a.shape[1] == 0
            or a.shape[1] % len(c)
        ):
            raise ValueError(
                "the network's shapes do not fit: hidden_weights (d, m), hidden_bias (m,), "
                "output_weights (m, C), or (m, Q C) on patches, output_bias (C,), got "
                f"{U.shape}, {b.shape}, {a.shape}, {c.shape}"
            )

    def __repr__(self) -> str:
        sizes = [self.n_features, self.n_neurons, self.n_outputs]
        names = ["feature", "neuron", "output"]
        told = [f"{size} {name}{'s' * (size != 1)}" for size, name in zip(sizes, names)]
        places = f" at {self.n_places} places" if self.n_places > 1 else ""
        used = int(np.count_nonzero(np.any(self.hidden_weights != 0, axis=1)))
        return f"<Network: {told[0]} ({used} used), {told[1]}{places}, {told[2]}>"

    @property
    def n_features(self) -> int:
        """Numbers that a sample has."""
        return int(self.hidden_weights.shape[0])

    @property
    def n_neurons(self) -> int:
        """Hidden neurons."""
        return int(self.hidden_weights.shape[1])

    @property
    def n_outputs(self) -> int:
        """Numbers that it puts out for a sample."""
        return len(self.output_bias)

    @property
    def n_places(self) -> int:
        """Q, the pooled places of an image; 1 for tables."""
        return self.output_weights.shape[1] // self.n_outputs

    def predict(self, X: Any) -> Array:
        """The outputs ``(X u_j + b_j)_+ a_j``, summed over the neurons, plus c.

        Parameters
        ----------
        X : array, sparse matrix or Design of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs)

        Raises
        ------
        ValueError
            For NaN or infinite entries, or another number of features.
        """
        if not isinstance(X, Design):
            X = design_of(X.tocsr() if sp.issparse(X) else to_2d("X", X))
        if X.shape[1] != self.n_features:
            raise ValueError(f"X has {X.shape[1]} features, the network expects {self.n_features}")
        if X.places != self.n_places:
            raise ValueError(
                f"the network has output weights for {self.n_places} pooled places, X has "
                f"{X.places}; give the Patches that it was trained on, or a table where it was one"
            )
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in the outputs
            return X.outputs(
                self.hidden_weights, self.hidden_bias, self.output_weights, self.output_bias
            )

    def objective(self, problem: Problem) -> float:
        """``P`` of :mod:`gapless.core.problem`: mean loss plus the penalty as it stands.

        Parameters
        ----------
        problem : Problem

        Returns
        -------
        float

        Raises
        ------
        ValueError
            When the network has biases and ``problem.bias`` is ``"none"``, or the number
            of features or outputs differs.
        """
        if self.n_outputs != problem.n_outputs:
            raise ValueError(
                f"the network has {self.n_outputs} outputs, the targets have {problem.n_outputs}"
            )
        return problem.data_fit(self.predict(problem.X)) + problem.weight_decay * self.penalty(
            problem.bias
        )

    def penalty(self, bias: str) -> float:
        """Half the sum of squared weights; biases count under the penalised rule only.

        Parameters
        ----------
        bias : {"free", "penalized", "none"}

        Returns
        -------
        float
            Not yet multiplied by the weight decay.

        Raises
        ------
        ValueError
            When there are biases and the rule is "none".
        """
        squares = np.sum(self.hidden_weights**2) + np.sum(self.output_weights**2)
        if bias == "penalized":
            # the output bias c is the neuron u = 0, b = t, a = c / t, at best ||c||; of Q places
            # each gives c / Q
            constant = np.linalg.norm(self.output_bias) / np.sqrt(self.n_places)
            squares += np.sum(self.hidden_bias**2) + 2 * constant
        elif bias == "none" and (np.any(self.hidden_bias) or np.any(self.output_bias)):
            raise ValueError("the network has biases but the problem's bias rule is 'none'")
        return 0.5 * float(squares)

    def scaled_directions(self, bias: str) -> tuple[Array, Array]:
        """Norms of the penalised hidden weights, and of the output weights, (n_neurons,) each."""
        U = self.hidden_weights
        if bias == "penalized":
            U = np.vstack([U, self.hidden_bias])
        return row_norms(U.T), row_norms(self.output_weights)

    def balance(self, bias: str = "free") -> Network:
        """The same function with ``||u_j|| = ||a_j||`` and without dead neurons.

        Never raises the objective; a neuron whose penalised norm is zero on either side
        is dropped, and under the free rule a constant one joins the output bias.

        Parameters
        ----------
        bias : {"free", "penalized", "none"}, default "free"

        Returns
        -------
        Network
        """
        hidden, output = self.scaled_directions(bias)
        c = self.output_bias
        if bias == "free":
            constant = hidden == 0
            added = np.maximum(self.hidden_bias[constant], 0) @ self.output_weights[constant]
            c = c + added.reshape(self.n_places, -1).sum(axis=0)
        alive = (hidden > 0) & (output > 0)
        # square roots one by one: their quotient may overflow where it does not
        t = np.sqrt(output[alive]) / np.sqrt(hidden[alive])
        return Network(
            self.hidden_weights[:, alive] * t,
            self.hidden_bias[alive] * t,
            self.output_weights[alive] / t[:, None],
            c,
        )

    def merge(self, X: Any, bias: str = "free") -> Network:
        """Join neurons of equal pattern on ``X`` and parallel output weights; drop idle ones.

        A score below :data:`ZERO` times the neuron's largest counts as zero: neurons that lie on
        a data hyperplane up to rounding have the pattern of those below it.

        On those samples both are linear, so their sum is one neuron; by the triangle
        inequality the objective does not increase.  A neuron without a positive score only costs
        penalty.  The function may change away from X.

        Parameters
        ----------
        X : array, sparse matrix or Design of shape (n_samples, n_features)
        bias : {"free", "penalized", "none"}, default "free"

        Returns
        -------
        Network
        """
        net = self.balance(bias)
        if net.n_neurons == 0:
            return net
        unit = net.output_weights / np.linalg.norm(net.output_weights, axis=1, keepdims=True)
        keys: dict[tuple[bytes, bytes], list[int]] = {}
        names = design_of(X).patterns(net.hidden_weights, net.hidden_bias, ZERO)
        for j, name in enumerate(names):
            if name:
                keys.setdefault((name, np.round(unit[j], 9).tobytes()), []).append(j)
        groups = list(keys.values())
        if len(groups) == net.n_neurons:
            return net
        size = np.linalg.norm(net.output_weights, axis=1)
        U, b = np.zeros((net.n_features, len(groups))), np.zeros(len(groups))
        for k, group in enumerate(groups):
            U[:, k] = net.hidden_weights[:, group] @ size[group]
            b[k] = net.hidden_bias[group] @ size[group]
        first = np.array([group[0] for group in groups], dtype=int)
        return Network(U, b, unit[first], net.output_bias).balance(bias)

    def prune(self, X: Any, bias: str = "free") -> Network:
        """The same outputs on ``X`` with at most ``rank`` neurons a sample and output.

        While the contributions ``z_j a_j`` of the neurons (n_samples * n_outputs numbers
        each) are linearly dependent, one neuron is removed without raising the penalty
        (Mishkin & Pilanci, "Optimal Sets and Solution Paths of ReLU Networks", 2023):
        along the dependence the fit is constant and the penalty linear.  For one output
        at most n_samples neurons are left.

        Parameters
        ----------
        X : array, sparse matrix or Design of shape (n_samples, n_features)
        bias : {"free", "penalized", "none"}, default "free"

        Returns
        -------
        Network
        """
        net = self.balance(bias)
        while True:
            Z = design_of(X).activations(net.hidden_weights, net.hidden_bias)
            if net.n_places > 1:
                Z = Z.reshape(len(Z), net.n_neurons, -1)
                a = net.output_weights.reshape(net.n_neurons, net.n_places, -1)
                contributions = np.einsum("njq,jqc->ncj", Z, a).reshape(-1, net.n_neurons)
            elif net.n_outputs == 1:
                contributions = Z * net.output_weights[:, 0]
            else:
                # a QR of Z first: dependence of the contributions only needs its row space
                if Z.shape[0] > Z.shape[1]:
                    Z = scipy.linalg.qr(Z, mode="r")[0][: Z.shape[1]]
                contributions = (Z[:, None, :] * net.output_weights.T[None]).reshape(
                    -1, net.n_neurons
                )
            kept = _eliminate(contributions, net.scaled_directions(bias)[1] ** 2)
            if kept is None:
                return net
            t = np.sqrt(kept[kept > 0])
            net = Network(
                net.hidden_weights[:, kept > 0] * t,
                net.hidden_bias[kept > 0] * t,
                net.output_weights[kept > 0] * t[:, None],
                net.output_bias,
            )


def _eliminate(contributions: Array, cost: Array) -> Array | None:
    """Factors in [0, inf) with the same weighted sum, no larger cost, and some zeros.

    ``None`` when the columns are linearly independent.
    """
    m = contributions.shape[1]
    if m == 0:
        return None
    scale = np.linalg.norm(contributions, axis=0)
    if np.any(scale == 0):
        return (scale > 0).astype(float)
    _, R, order = scipy.linalg.qr(contributions / scale, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(R))
    rank = int(np.sum(diagonal > 1e-11 * diagonal[0]))
    if rank == m:
        return None
    null = np.zeros((m, m - rank))
    null[order[:rank]] = -scipy.linalg.solve_triangular(R[:rank, :rank], R[:rank, rank:])
    null[order[rank:]] = np.eye(m - rank)
    null /= scale[:, None]
    factors = np.ones(m)
    # Each step removes one neuron; the remaining null vectors are kept zero on it.
    while null.shape[1]:
        v = null[:, -1]
        if cost @ v > 0:
            v = -v
        if not np.any(v < 0):
            v = -v
        falling = v < 0
        steps = np.full(m, np.inf)
        steps[falling] = factors[falling] / -v[falling]
        out = int(np.argmin(steps))
        factors = np.maximum(factors + steps[out] * v, 0.0)
        factors[out] = 0.0
        pivot = null[out, :-1] / null[out, -1]
        null = null[:, :-1] - np.outer(null[:, -1], pivot)
        null[factors == 0] = 0.0
        null = null[:, np.linalg.norm(null, axis=0) > 1e-12]
    return factors


def constant_network(problem: Problem, c: Array) -> Network:
    """The network without neurons that outputs ``c``."""
    d, width = problem.n_features, problem.n_outputs * problem.design.places
    return Network(np.zeros((d, 0)), np.zeros(0), np.zeros((0, width)), c)
