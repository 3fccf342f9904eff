"""Networks to and from PyTorch.  Reading changes nothing in the model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.checks import Array, optional_import
from ..core.deep_network import DeepNetwork
from ..core.network import Network
from ..core.patches import Windows
from .chain import Chain, Operation, assemble, layers, network_of
from .convolution import ConvolutionLayers, convolution

SUPPORTED = "Linear, ReLU, BatchNorm1d, Flatten, Dropout, and a final Softmax or LogSoftmax"


def read_torch(model: Any) -> Chain:
    """The chain of a ``torch.nn.Module``, traced with ``torch.fx``.

    Parameters
    ----------
    model : torch.nn.Module
        On any device; it is not modified.

    Returns
    -------
    Chain
        With the model's Linear layers as ``modules``.

    Raises
    ------
    ValueError
        One sentence naming the layer that is not supported.
    """
    # asked first where torch is not installed
    kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(model).__mro__]
    if "torch.nn.modules.module.Module" not in kinds:
        raise ValueError(
            "model must be a torch.nn.Module or a fitted MLPRegressor or MLPClassifier, got "
            f"{type(model).__name__}; certify takes gapless's own networks"
        )
    torch = optional_import("torch", "torch", "reading a PyTorch model")
    chain = assemble(_operations(torch, model))
    if len({id(layer.weight) for layer in chain.modules}) < len(chain.modules):
        raise ValueError("two layers of the model share their weights; a chain has its own each")
    return chain


def _operations(torch: Any, model: Any) -> Iterator[Operation]:
    fx = optional_import("torch.fx", "torch", "reading a PyTorch model")
    # a bare layer would be traced through instead of kept as a leaf
    if not any(True for _ in model.children()):
        model = torch.nn.Sequential(model)
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:  # user code runs here and may raise anything
        raise ValueError(
            f"the model cannot be traced to a chain of layers ({type(error).__name__}: {error}); "
            f"supported are {SUPPORTED}"
        ) from error
    modules = dict(traced.named_modules())
    last: Any = None
    sizes: set[Any] = set()  # what is computed from the shape alone, for a view
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            if last is not None:
                raise ValueError("the model takes several inputs; a chain takes one")
            last = node
            continue
        if node.op == "output":
            if node.args != (last,):
                raise ValueError("the model does not return the output of its last layer")
            return
        if node.op == "call_method" and node.target == "size":
            sizes.add(node)
            continue
        if set(node.all_input_nodes) - sizes != {last}:
            raise ValueError(f"the model is not a chain: {node.name!r} joins or skips layers")
        last = node
        yield from _operation(torch, node, modules)


def _operation(torch: Any, node: Any, modules: dict[str, Any]) -> Iterator[Operation]:
    nn, F = torch.nn, torch.nn.functional
    if node.op == "call_module":
        layer = modules[node.target]
        kind = type(layer)
        if kind is nn.Linear:
            b = None if layer.bias is None else _numpy(layer.bias)
            yield "linear", (_numpy(layer.weight).T, b, layer)
            return
        if kind is nn.BatchNorm1d and layer.running_mean is not None:
            scale = 1 / np.sqrt(_numpy(layer.running_var) + layer.eps)
            shift = -_numpy(layer.running_mean) * scale
            if layer.affine:
                gamma = _numpy(layer.weight)
                scale, shift = gamma * scale, gamma * shift + _numpy(layer.bias)
            yield "batch_norm", (scale, shift)
            return
        simple = {
            nn.ReLU: "relu", nn.Flatten: "flatten", nn.Dropout: "dropout",
            nn.Softmax: "softmax", nn.LogSoftmax: "log_softmax", nn.Identity: "identity",
        }  # fmt: skip
        name = f"{kind.__name__} ({node.target!r})"
        found = simple.get(kind)
    else:
        functions = {
            torch.relu: "relu", F.relu: "relu", torch.flatten: "flatten", F.dropout: "dropout",
            F.softmax: "softmax", torch.softmax: "softmax",
            F.log_softmax: "log_softmax", torch.log_softmax: "log_softmax",
        }  # fmt: skip
        methods = {
            "relu": "relu", "flatten": "flatten", "view": "flatten", "reshape": "flatten",
            "softmax": "softmax", "log_softmax": "log_softmax",
        }  # fmt: skip
        table: dict[Any, str] = functions if node.op == "call_function" else methods
        name = getattr(node.target, "__name__", str(node.target))
        found = table.get(node.target)
    if found is None:
        raise ValueError(f"the layer {name} is not supported; supported are {SUPPORTED}")
    yield found, ()


def _numpy(tensor: Any) -> Array:
    return tensor.detach().cpu().double().numpy().copy()


def from_torch(model: Any) -> Network | DeepNetwork:
    """A PyTorch model as a :class:`Network` (two layers) or :class:`DeepNetwork`.

    A final softmax is left out: the network's outputs are what it reads.

    Parameters
    ----------
    model : torch.nn.Module
        Linear layers with ReLU between, BatchNorm1d, Flatten and Dropout; it is not modified.

    Returns
    -------
    Network or DeepNetwork

    Raises
    ------
    ValueError
        One sentence naming the layer that is not supported.

    Examples
    --------
    >>> import torch
    >>> from gapless import from_torch, to_torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> network = from_torch(model)
    >>> network.n_neurons
    8
    >>> to_torch(network)[0].weight.shape
    torch.Size([8, 3])
    """
    return read_torch(model).plain


def to_torch(
    network: Any,
    *,
    bias: bool = True,
    dtype: Any = None,
    windows: Windows | None = None,
) -> Any:
    """A network as a PyTorch module.

    Parameters
    ----------
    network : Network, DeepNetwork, or a fitted model that has ``to_network()``
        Such as :class:`gapless.AdditiveReLURegressor`, in the units of its data.
    bias : bool, default True
        Whether the layers have biases.
    dtype : torch.dtype, optional
        float32 by default.
    windows : Windows, optional
        For a network on :class:`gapless.Patches`: their ``windows``, an estimator's ``windows_``.

    Returns
    -------
    torch.nn.Sequential
        ``Linear, ReLU, Linear, ...`` in ``eval`` mode, on the CPU; with ``windows`` ``Conv2d`` (or
        ``Conv1d``), ``ReLU``, ``AvgPool``, ``Flatten``, ``Linear``, of images with the channels
        first.

    Raises
    ------
    TypeError
        For any other model.
    ValueError
        ``bias=False`` for a network with biases that are not zero, and a network on patches without
        its windows.
    ImportError
        Where PyTorch is not installed.
    """
    torch, network = optional_import("torch", "torch", "to_torch"), network_of(network)
    if windows is not None or (isinstance(network, Network) and network.n_places > 1):
        return _convolution(torch, convolution(network, windows), bias, dtype)
    parts: list[Any] = []
    for W, b in layers(network):
        parts += [_layer(torch, torch.nn.Linear, W.shape, W.T, b, bias, dtype), torch.nn.ReLU()]
    if isinstance(network, DeepNetwork) and network.activation == "linear":
        parts = [part for part in parts if isinstance(part, torch.nn.Linear)]
    else:
        parts.pop()
    return torch.nn.Sequential(*parts).eval()


def _convolution(torch: Any, c: ConvolutionLayers, bias: bool, dtype: Any) -> Any:
    nn, axes = torch.nn, len(c.size)
    Conv, Pool = (nn.Conv1d, nn.AvgPool1d) if axes == 1 else (nn.Conv2d, nn.AvgPool2d)
    how = {"stride": c.stride, "padding": c.padding}
    shape = (c.filters.shape[1], len(c.filters), c.size)
    parts = [_layer(torch, Conv, shape, c.filters, c.hidden_bias, bias, dtype, **how), nn.ReLU()]
    if max(c.pool) > 1:
        parts.append(Pool(c.pool, ceil_mode=True))
    W = c.output_weights
    linear = _layer(torch, nn.Linear, W.shape, W.T, c.output_bias, bias, dtype)
    return nn.Sequential(*parts, nn.Flatten(), linear).eval()


def _layer(
    torch: Any, kind: Any, shape: Any, W: Array, b: Array, bias: bool, dtype: Any, **how: Any
) -> Any:
    """A layer of a given kind and shape with weights W and biases b."""
    if not bias and np.any(b):
        raise ValueError("the network has biases; use bias=True")
    # skip_init: drawing initial weights would advance the caller's random numbers
    layer = torch.nn.utils.skip_init(kind, *shape, bias=bias, dtype=dtype or torch.float32, **how)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(W)))
        if bias:
            layer.bias.copy_(torch.from_numpy(b))
    return layer
