"""Networks to and from ONNX files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array, InputError, optional_import
from ..core.deep_network import DeepNetwork
from ..core.files import write
from ..core.network import Network
from ..core.patches import Windows
from .chain import Chain, Operation, assemble, layers, network_of
from .convolution import ConvolutionLayers, convolution

# Opset 13 is read by every runtime of the last years; nothing newer is needed for Gemm and Relu.
OPSET = 13
# The newest that runtimes of that age accept.
IR_VERSION = 8
# ONNX's default, where a node does not say it.
BATCH_NORM_EPS = 1e-5
# Nodes without weights.
SIMPLE = {
    "Relu": "relu", "Flatten": "flatten", "Dropout": "dropout", "Identity": "identity",
    "Softmax": "softmax", "LogSoftmax": "log_softmax",
}  # fmt: skip

#: nodes, constants, shape of a sample, number of outputs
Written: TypeAlias = tuple[list[Any], list[Any], list[int], int]


def to_onnx(
    network: Any,
    path: str | Path,
    *,
    windows: Windows | None = None,
    classes: Iterable[Any] | None = None,
) -> None:
    """Write a network as ``Gemm, Relu, Gemm, ...`` in float32 with input "X" and output "Y".

    Parameters
    ----------
    network : Network, DeepNetwork, or a fitted model that has ``to_network()``
        Such as :class:`gapless.AdditiveReLUClassifier`, in the units of its data.
    path : path
    windows : Windows, optional
        For a network on :class:`gapless.Patches`: their ``windows``, an estimator's ``windows_``.
        It becomes ``Conv, Relu, AveragePool, Flatten, Gemm`` of images with the channels first.
    classes : iterable of str or int, optional
        Their names in the order of the outputs, an estimator's ``classes_``; two for one output.
        The file then has the outputs "label" (n_samples,) and "probabilities" (n_samples,
        n_classes) as well: the logistic function or softmax of "Y", which are probabilities of a
        network that was trained with the logistic loss.

    Raises
    ------
    ImportError
        Where onnx is not installed.
    TypeError
        For any other model.
    ValueError
        For a network on patches without its windows, and for classes that do not fit the outputs.
    """
    onnx, network = optional_import("onnx", "onnx", "to_onnx"), network_of(network)
    if windows is not None or (isinstance(network, Network) and network.n_places > 1):
        written = _convolution(onnx, convolution(network, windows))
    else:
        written = _layers(onnx, network)
    _write(onnx, path, *written, None if classes is None else list(classes))


def _layers(onnx: Any, network: Network | DeepNetwork) -> Written:
    helper = onnx.helper
    nodes, constants, name = [], [], "X"
    pairs = layers(network)
    relu = isinstance(network, Network) or network.activation == "relu"
    for l, (W, b) in enumerate(pairs, start=1):
        last = l == len(pairs)
        constants += [_constant(onnx, f"W{l}", W), _constant(onnx, f"b{l}", b)]
        out = "Y" if last else f"S{l}"
        nodes.append(helper.make_node("Gemm", [name, f"W{l}", f"b{l}"], [out]))
        name = out
        if relu and not last:
            nodes.append(helper.make_node("Relu", [name], [f"A{l}"]))
            name = f"A{l}"
    return nodes, constants, [network.n_features], network.n_outputs


def _constant(onnx: Any, key: str, values: Array) -> Any:
    return onnx.numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), key)


def _convolution(onnx: Any, c: ConvolutionLayers) -> Written:
    node = onnx.helper.make_node
    pads = [*c.padding, *c.padding]
    nodes = [
        node("Conv", ["X", "W1", "b1"], ["S1"], strides=c.stride, pads=pads),
        node("Relu", ["S1"], ["A1"]),
    ]
    if max(c.pool) > 1:
        how = {"kernel_shape": c.pool, "strides": c.pool, "ceil_mode": 1}
        nodes.append(node("AveragePool", ["A1"], ["P1"], **how))
    last = "P1" if max(c.pool) > 1 else "A1"
    nodes += [node("Flatten", [last], ["F1"]), node("Gemm", ["F1", "W2", "b2"], ["Y"])]
    values = {
        "W1": c.filters, "b1": c.hidden_bias, "W2": c.output_weights, "b2": c.output_bias,
    }  # fmt: skip
    constants = [_constant(onnx, *pair) for pair in values.items()]
    return nodes, constants, [c.filters.shape[1], *c.shape], len(c.output_bias)


def _labels(onnx: Any, n_outputs: int, classes: list[Any]) -> tuple[list[Any], list[Any], Any]:
    """Nodes and constants from "Y" to "probabilities" and "label", and the kind of a label."""
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    if len(classes) != (2 if n_outputs == 1 else n_outputs):
        raise ValueError(f"{len(classes)} classes do not fit {n_outputs} outputs")
    whole = all(isinstance(c, (int, np.integer)) and not isinstance(c, bool) for c in classes)
    kind = kinds.INT64 if whole else kinds.STRING
    named = [int(c) if whole else str(c).encode() for c in classes]
    constants = [onnx.helper.make_tensor("classes", kind, [len(classes)], named)]
    if n_outputs == 1:
        constants.append(_constant(onnx, "one", np.ones(1)))
        nodes = [
            node("Sigmoid", ["Y"], ["second"]),
            node("Sub", ["one", "second"], ["first"]),
            node("Concat", ["first", "second"], ["probabilities"], axis=1),
        ]
    else:
        nodes = [node("Softmax", ["Y"], ["probabilities"], axis=1)]
    nodes += [
        node("ArgMax", ["probabilities"], ["place"], axis=1, keepdims=0),
        node("Gather", ["classes", "place"], ["label"]),
    ]
    return nodes, constants, kind


def _write(
    onnx: Any,
    path: str | Path,
    nodes: list[Any],
    constants: list[Any],
    shape: list[int],
    n_outputs: int,
    classes: list[Any] | None,
) -> None:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    info = helper.make_tensor_value_info
    outputs = [info("Y", kind, ["n_samples", n_outputs])]
    if classes is not None:
        more, named, label = _labels(onnx, n_outputs, classes)
        nodes, constants = [*nodes, *more], [*constants, *named]
        outputs.append(info("label", label, ["n_samples"]))
        outputs.append(info("probabilities", kind, ["n_samples", len(classes)]))
    graph = helper.make_graph(
        nodes,
        "gapless",
        [info("X", kind, ["n_samples", *shape])],
        outputs,
        constants,
    )
    model = helper.make_model(
        graph, producer_name="gapless", opset_imports=[helper.make_opsetid("", OPSET)]
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    write(path, model.SerializeToString())


def read_onnx(path: str | Path) -> Chain:
    """The chain in an ONNX file: Gemm, MatMul, Add, Relu, BatchNormalization, Flatten, Softmax.

    Parameters
    ----------
    path : path

    Returns
    -------
    Chain

    Raises
    ------
    ImportError
        Where onnx is not installed.
    InputError
        For a damaged file, weights stored outside it, or a node that is not supported.
    """
    onnx = optional_import("onnx", "onnx", "reading an ONNX model")
    try:
        # weights in other files are refused: a model names no path that we then open
        model = onnx.load(str(path), load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:
        raise InputError(f"{path}: not an ONNX model, or a damaged one ({error})") from error
    try:
        return assemble(_operations(onnx, model.graph))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # nodes of a valid file may still lack what they need
        raise InputError(
            f"{path}: a node is not as it must be ({type(error).__name__}: {error})"
        ) from error


def _operations(onnx: Any, graph: Any) -> Iterator[Operation]:
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer):
        raise ValueError("the weights lie in another file; save the model as one file")
    constants = {
        t.name: onnx.numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer
    }
    inputs = [i.name for i in graph.input if i.name not in constants]
    if len(inputs) != 1:
        raise ValueError("the model takes several inputs; a chain takes one")
    name, waiting = inputs[0], None
    shapes: set[str] = set()  # what is computed from the number of samples, for a Reshape
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
            continue
        if node.op_type == "Identity" and node.input[0] in constants:  # one constant, used twice
            constants[node.output[0]] = constants[node.input[0]]
            continue
        if node.op_type == "Shape" or shapes.intersection(node.input) == set(node.input) - set(
            constants
        ):
            shapes.update(node.output)
            continue
        if node.op_type == "Reshape" and node.input[0] == inputs[0]:
            name = node.output[0]  # samples to rows: the first layer says how long they are
            yield "flatten", ()
            continue
        fixed = [constants[i] for i in node.input if i in constants]
        if [i for i in node.input if i and i not in constants] != [name]:
            raise ValueError(f"not a chain: the node {node.op_type} joins or skips layers")
        name = node.output[0]
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if waiting is not None:
            if node.op_type == "Add":
                yield "linear", (waiting, fixed[0].ravel())
                waiting = None
                continue
            yield "linear", (waiting, None)
            waiting = None
        if node.op_type == "MatMul" and node.input[1] in constants:
            waiting = fixed[0]
        elif node.op_type == "Gemm" and not options.get("transA"):
            W = fixed[0].T if options.get("transB") else fixed[0]
            bias = fixed[1].ravel() * options.get("beta", 1.0) if len(fixed) > 1 else None
            yield "linear", (W * options.get("alpha", 1.0), bias)
        elif node.op_type == "BatchNormalization":
            gamma, beta, mean, variance = fixed
            scale = gamma / np.sqrt(variance + options.get("epsilon", BATCH_NORM_EPS))
            yield "batch_norm", (scale, beta - mean * scale)
        elif node.op_type in SIMPLE:
            yield SIMPLE[node.op_type], ()
        else:
            raise ValueError(
                f"the node {node.op_type} is not supported; supported are Gemm, MatMul, Add, "
                f"BatchNormalization, {', '.join(SIMPLE)}"
            )
    if waiting is not None:
        yield "linear", (waiting, None)
