"""A trained kernel network as a value: outputs, predictions, and its file.

The file is safetensors with a JSON header: data, never code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from scipy import sparse

from ..core.checks import Array, InputError, to_2d
from ..core.files import write
from ..core.network import Network
from ..core.tensors import plain, read_tensors
from .machine import Kernel, KernelMachine, spread_scale

FORMAT = "gapless-kernel-network-1"
_NAMES = {
    "kernel": ("centres", "coefficients", "intercept"),
    "sparse kernel": ("data", "indices", "indptr", "coefficients", "intercept"),
    "linear": ("weights", "bias"),
    "relu": ("hidden_weights", "hidden_bias", "output_weights", "output_bias"),
}


@dataclass(frozen=True, eq=False)
class LinearOutput:
    """``f(x) = x W + b``.

    Parameters
    ----------
    weights : array of shape (n_features, n_outputs)
    bias : array of shape (n_outputs,)
    """

    weights: Array
    bias: Array

    @property
    def n_features(self) -> int:
        """Numbers that a sample has."""
        return int(self.weights.shape[0])

    def outputs(self, X: Any) -> Array:
        """(n_samples, n_outputs)"""
        return X @ self.weights + self.bias


@dataclass(frozen=True, eq=False)
class ReLUOutput:
    """A two-layer ReLU network as the output layer.

    Parameters
    ----------
    network : Network
    """

    network: Network

    @property
    def n_features(self) -> int:
        """Numbers that a sample has."""
        return self.network.n_features

    def outputs(self, X: Any) -> Array:
        """(n_samples, n_outputs)"""
        return self.network.predict(X)


Output = KernelMachine | LinearOutput | ReLUOutput


def scale_of(layer: Output, F: Array) -> float:
    """Of the kernel by which a layer sees F, or that stands for it where the layer has none."""
    return layer.kernel.scale if isinstance(layer, KernelMachine) else spread_scale(F)


@dataclass(frozen=True, eq=False, repr=False)
class KernelNetwork:
    """Hidden kernel machines, one after another, and an output layer.

    Parameters
    ----------
    hidden : tuple of KernelMachine
    output : KernelMachine, LinearOutput or ReLUOutput
    classes : tuple of str, int, float or bool, optional
        Labels in the order of the outputs; None for a regression.
    votes : bool, default False
        Whether the output has a column for each two classes, positive for the second: a support
        vector machine of three or more.
    """

    hidden: tuple[KernelMachine, ...]
    output: Output
    classes: tuple[Any, ...] | None = None
    votes: bool = False

    def __repr__(self) -> str:
        centres = " - ".join(str(len(machine.centres)) for machine in self.hidden)
        output = {"kernel": "SVM", "linear": "linear", "relu": "ReLU"}[_kind(self.output)[0]]
        hidden = f"hidden centres {centres}" if self.hidden else "no hidden layer"
        return f"<KernelNetwork: {self.n_features} features, {hidden}, {output} output>"

    @property
    def n_features(self) -> int:
        """Numbers that a sample has."""
        return self.hidden[0].n_features if self.hidden else self.output.n_features

    def transform(self, X: Any) -> Any:
        """The last hidden layer's outputs.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, width)
            X itself where there is no hidden layer.
        """
        F = X.tocsr() if sparse.issparse(X) else to_2d("X", X)
        for machine in self.hidden:
            F = machine.outputs(F)
        return F

    def outputs(self, X: Any) -> Array:
        """What each class scores, or what is predicted.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs)
            One column for two classes, positive for the second.
        """
        F = self.output.outputs(self.transform(X))
        return F if not self.votes else count_votes(F, len(self.classes or ()))

    def predict(self, X: Any) -> Array:
        """Labels, or the outputs of a regression.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for a regression
        """
        F = self.outputs(X)
        if self.classes is None:
            return F
        return np.asarray(self.classes)[
            (F[:, 0] > 0).astype(int) if F.shape[1] == 1 else np.argmax(F, axis=1)
        ]

    def save(self, path: str | Path) -> None:
        """Write the network to a safetensors file.

        Parameters
        ----------
        path : path
            What fails or is interrupted leaves it as it was.

        Raises
        ------
        OSError
            Where it cannot be written.
        """
        layers = [*self.hidden, self.output]
        tensors = {
            f"{number}.{name}": np.ascontiguousarray(values)
            for number, layer in enumerate(layers)
            for name, values in _arrays(layer).items()
        }
        header = {
            "layers": [_kind(layer) for layer in layers],
            "classes": None if self.classes is None else [plain(c) for c in self.classes],
            "votes": self.votes,
        }
        content = safetensors.numpy.save(tensors, {"format": FORMAT, "header": json.dumps(header)})
        write(path, content)

    @staticmethod
    def load(path: str | Path) -> KernelNetwork:
        """The network in a file that :meth:`save` wrote; nothing of it is run.

        Parameters
        ----------
        path : path

        Returns
        -------
        KernelNetwork

        Raises
        ------
        InputError
            For a missing or damaged file, and any other.
        """
        otherwise = "is no kernel network; write one with save()"
        metadata, tensors = read_tensors(path, FORMAT, otherwise)
        try:
            return _assembled(json.loads(metadata["header"]), tensors)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: damaged, its parts do not fit ({error})") from error


def count_votes(F: Array, n_classes: int) -> Array:
    """Scores of the classes from those of each two: votes, and sums of scores between ties.

    Parameters
    ----------
    F : array of shape (n_samples, n_classes (n_classes - 1) / 2)
        Positive for the second of two.
    n_classes : int

    Returns
    -------
    array of shape (n_samples, n_classes)
    """
    votes, sums = np.zeros((len(F), n_classes)), np.zeros((len(F), n_classes))
    for column, (first, second) in zip(F.T, combinations(range(n_classes), 2), strict=True):
        votes[:, second] += column > 0
        votes[:, first] += ~(column > 0)
        sums[:, second] += column
        sums[:, first] -= column
    # less than half a vote
    return votes + sums / (3.0 * (np.abs(sums) + 1.0))


def _kind(layer: Output) -> list[Any]:
    """What a layer is, and its numbers that are no arrays."""
    if isinstance(layer, KernelMachine):
        numbers = [layer.kernel.scale, layer.kernel.constant]
        if sparse.issparse(layer.centres):
            return ["sparse kernel", *numbers, layer.n_features]
        return ["kernel", *numbers]
    return ["linear"] if isinstance(layer, LinearOutput) else ["relu"]


def _arrays(layer: Output) -> dict[str, Array]:
    """Its arrays by name."""
    part = layer.network if isinstance(layer, ReLUOutput) else layer
    names = _NAMES[_kind(layer)[0]]
    centres: Any = getattr(part, "centres", None)
    if not sparse.issparse(centres):
        return {name: getattr(part, name) for name in names}
    places = {name: getattr(centres, name).astype(np.int64) for name in ("indices", "indptr")}
    rest = {name: getattr(part, name) for name in ("coefficients", "intercept")}
    return {"data": centres.data, **places, **rest}


def _layer(kind: str, numbers: list[Any], arrays: dict[str, Array]) -> Output:
    """The way back."""
    if kind == "linear":
        return LinearOutput(**arrays)
    if kind == "relu":
        return ReLUOutput(Network(**arrays))
    scale, constant = map(float, numbers[:2])
    if kind == "sparse kernel":
        parts = tuple(arrays.pop(name) for name in ("data", "indices", "indptr"))
        centres = sparse.csr_matrix(parts, shape=(len(arrays["coefficients"]), int(numbers[2])))
        centres.check_format(full_check=True)
        arrays["centres"] = centres
    return KernelMachine(kernel=Kernel(scale, constant), **arrays)


def _assembled(header: dict[str, Any], tensors: dict[str, Array]) -> KernelNetwork:
    """The network of a file's parts; an exception where they do not fit."""
    if not all(a.dtype in (np.float64, np.int64) for a in tensors.values()):
        raise ValueError("its numbers must be of 64 bits")
    if not all(np.all(np.isfinite(a)) for a in tensors.values()):
        raise ValueError("its numbers must be finite")
    layers = []
    for number, (kind, *numbers) in enumerate(header["layers"]):
        arrays = {name: tensors[f"{number}.{name}"] for name in _NAMES[kind]}
        layers.append(_layer(kind, numbers, arrays))
    *hidden, output = layers
    machines = tuple(machine for machine in hidden if isinstance(machine, KernelMachine))
    if len(machines) < len(hidden):
        raise ValueError("a hidden layer is no kernel machine")
    classes = None if header["classes"] is None else tuple(header["classes"])
    network = KernelNetwork(machines, output, classes, bool(header["votes"]))
    scores = network.outputs(np.zeros((1, network.n_features)))  # every product must fit
    if classes is not None and scores.shape[1] != (1 if len(classes) == 2 else len(classes)):
        raise ValueError(f"{scores.shape[1]} outputs for {len(classes)} classes")
    return network
