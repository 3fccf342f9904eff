"""Kernel networks as ONNX files, in float64: coefficients of small ridges cancel in float32."""

from __future__ import annotations

from itertools import combinations, count
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from ..core.checks import Array, optional_import
from ..core.files import write
from .machine import KernelMachine
from .network import KernelNetwork, LinearOutput

# Opset 13 is read by every runtime of the last years, and the version of files that goes with it.
OPSET, IR_VERSION = 13, 8


class _Graph:
    """Nodes and constants as they are added; names are numbers."""

    def __init__(self, onnx: Any) -> None:
        self.onnx, self._names = onnx, count()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        name = f"c{next(self._names)}"
        array = np.ascontiguousarray(values, dtype=dtype)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, *inputs: Any, **how: Any) -> str:
        """Its output's name; inputs are names, or arrays that become constants."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        out = f"n{next(self._names)}"
        self.nodes.append(self.onnx.helper.make_node(kind, names, [out], **how))
        return out

    def affine(self, name: str, weights: Array, bias: Array) -> str:
        return self.node("Add", self.node("MatMul", name, weights), bias)

    def machine(self, name: str, machine: KernelMachine) -> str:
        Z = machine.centres
        Z = Z.toarray() if sparse.issparse(Z) else Z  # the operators have no sparse matrices
        mean = Z.mean(axis=0)
        Z = Z - mean
        X = self.node("Sub", name, mean)
        axis = self.constant([1], np.int64)
        norms = self.node("ReduceSum", self.node("Mul", X, X), axis)
        D = self.node("Add", self.affine(X, -2.0 * Z.T, (Z * Z).sum(axis=1)), norms)
        K = self.node("Exp", self.node("Mul", self.node("Relu", D), [-machine.kernel.scale]))
        K = self.node("Add", K, [machine.kernel.constant])
        return self.affine(K, machine.coefficients, machine.intercept)

    def votes(self, name: str, n_classes: int) -> str:
        """As :func:`gapless.kernels.network.count_votes`."""
        pairs = np.array(list(combinations(range(n_classes), 2)))
        first, second = np.eye(n_classes)[pairs[:, 0]], np.eye(n_classes)[pairs[:, 1]]
        won = self.node("Cast", self.node("Greater", name, [0.0]), to=self.onnx.TensorProto.DOUBLE)
        votes = self.affine(won, second - first, first.sum(axis=0))
        sums = self.node("MatMul", name, second - first)
        size = self.node("Mul", self.node("Add", self.node("Abs", sums), [1.0]), [3.0])
        return self.node("Add", votes, self.node("Div", sums, size))


def kernel_network_to_onnx(network: KernelNetwork, path: str | Path) -> None:
    """Write a kernel network with input "X" and output "Y", ``network.outputs(X)``, in float64.

    Parameters
    ----------
    network : KernelNetwork
    path : path

    Raises
    ------
    ImportError
        Where onnx is not installed.
    """
    onnx = optional_import("onnx", "onnx", "kernel_network_to_onnx")
    graph, name = _Graph(onnx), "X"
    for machine in network.hidden:
        name = graph.machine(name, machine)
    output = network.output
    if isinstance(output, KernelMachine):
        name = graph.machine(name, output)
    elif isinstance(output, LinearOutput):
        name = graph.affine(name, output.weights, output.bias)
    else:
        net = output.network
        name = graph.node("Relu", graph.affine(name, net.hidden_weights, net.hidden_bias))
        name = graph.affine(name, net.output_weights, net.output_bias)
    if network.votes:
        name = graph.votes(name, len(network.classes or ()))
    graph.nodes.append(onnx.helper.make_node("Identity", [name], ["Y"]))
    ends = [
        [onnx.helper.make_tensor_value_info(end, onnx.TensorProto.DOUBLE, ["n_samples", size])]
        for end, size in (("X", network.n_features), ("Y", None))
    ]
    made = onnx.helper.make_graph(graph.nodes, "gapless", *ends, graph.constants)
    model = onnx.helper.make_model(
        made, producer_name="gapless", opset_imports=[onnx.helper.make_opsetid("", OPSET)]
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    write(path, model.SerializeToString())
