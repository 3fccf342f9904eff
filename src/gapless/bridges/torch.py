"""Networks to and from PyTorch and scikit-learn.

A model is read as a :class:`Chain`: Linear layers with ReLU between them, batch normalisation
folded into its neighbours (with its running statistics, as in ``eval`` mode), dropout left out.
Reading changes nothing in the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array, optional_import
from ..core.deep_network import DeepNetwork
from ..core.network import Network

SUPPORTED = "Linear, ReLU, BatchNorm1d, Flatten, Dropout, and a final Softmax or LogSoftmax"
FINAL = ("softmax", "log_softmax")

#: what a layer does, by name, with its arrays: linear (W, b or None, and perhaps the module),
#: batch_norm (scale, shift), relu, flatten, dropout, softmax, log_softmax ()
Operation: TypeAlias = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, eq=False)
class Chain:
    """A fully connected network as it was read.

    Attributes
    ----------
    network : DeepNetwork
        Before the final softmax, if any; with zeros for biases that the model does not have.
    biased : tuple of bool
        Which layers have a bias of their own.
    final : str
        "", "softmax" or "log_softmax".
    batch_norm, dropout, flatten : bool
        Whether the model has such layers.
    modules : tuple
        The Linear layers of the PyTorch model, in order; empty for other sources.
    """

    network: DeepNetwork
    biased: tuple[bool, ...]
    final: str = ""
    batch_norm: bool = False
    dropout: bool = False
    flatten: bool = False
    modules: tuple[Any, ...] = ()

    @property
    def shallow(self) -> Network | None:
        """The two-layer ReLU network, or None for any other."""
        net = self.network
        if net.depth != 2 or net.activation != "relu":
            return None
        biases = net.biases or tuple(np.zeros(W.shape[1]) for W in net.weights)
        return Network(net.weights[0], biases[0], net.weights[1], biases[1])


def assemble(operations: Iterable[Operation]) -> Chain:
    """The chain that a sequence of layers makes.

    Raises
    ------
    ValueError
        For layers in an order that is not ``Linear (ReLU Linear)*``, naming the place.
    """
    weights: list[Array] = []
    biases: list[Array] = []
    biased: list[bool] = []
    modules: list[Any] = []
    seen: set[str] = set()
    pending: tuple[Array, Array] | None = None
    final, activated, gaps = "", True, 0
    for kind, arrays in operations:
        if final:
            raise ValueError(f"a {kind} layer follows the {final}; a softmax must come last")
        if kind == "linear":
            W, b, *module = arrays
            modules += module
            gaps += not activated
            biased.append(b is not None)
            bias = np.zeros(W.shape[1]) if b is None else b
            if pending is not None:
                W, bias, pending = pending[0][:, None] * W, bias + pending[1] @ W, None
            weights.append(W)
            biases.append(bias)
            activated = False
        elif kind == "batch_norm":
            scale, shift = arrays
            if not activated:
                weights[-1], biases[-1] = weights[-1] * scale, biases[-1] * scale + shift
            elif pending is None:
                pending = scale, shift
            else:
                pending = pending[0] * scale, pending[1] * scale + shift
        elif kind == "relu":
            if not weights or pending is not None:
                raise ValueError("a ReLU must follow a Linear layer")
            activated = True
        elif kind in FINAL:
            final = kind
        seen.add(kind)
    if not weights or activated or pending is not None:
        raise ValueError("the model must end in a Linear layer, optionally with a softmax")
    if gaps and (gaps < len(weights) - 1 or "relu" in seen):
        raise ValueError(
            "two Linear layers follow each other without a ReLU; multiply them into one, "
            "or leave out every ReLU for a linear network"
        )
    network = DeepNetwork(tuple(weights), tuple(biases), "linear" if gaps else "relu")
    return Chain(
        network, tuple(biased), final,
        "batch_norm" in seen, "dropout" in seen, "flatten" in seen, tuple(modules),
    )  # fmt: skip


def read_torch(model: Any) -> Chain:
    """The chain of a ``torch.nn.Module``, traced with ``torch.fx``.

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
    sizes: set[Any] = set()
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
    return _plain(read_torch(model))


def _plain(chain: Chain) -> Network | DeepNetwork:
    if chain.shallow is not None:
        return chain.shallow
    net = chain.network
    return net if any(chain.biased) else DeepNetwork(net.weights, None, net.activation)


def layers(network: Network | DeepNetwork) -> list[tuple[Array, Array]]:
    """``(W, b)`` a layer, W of shape (inputs, outputs)."""
    if isinstance(network, Network):
        return [
            (network.hidden_weights, network.hidden_bias),
            (network.output_weights, network.output_bias),
        ]
    biases = network.biases or tuple(np.zeros(W.shape[1]) for W in network.weights)
    return list(zip(network.weights, biases))


def to_torch(network: Network | DeepNetwork, *, bias: bool = True, dtype: Any = None) -> Any:
    """``nn.Sequential(Linear, ReLU, Linear, ...)`` in ``eval`` mode, float32 by default.

    ``bias=False`` makes layers without biases.

    Raises
    ------
    ValueError
        ``bias=False`` for a network with biases that are not zero.
    """
    torch = optional_import("torch", "torch", "to_torch")
    parts: list[Any] = []
    for W, b in layers(network):
        if not bias and np.any(b):
            raise ValueError("the network has biases; use bias=True")
        # skip_init: drawing initial weights would advance the caller's random numbers
        layer = torch.nn.utils.skip_init(
            torch.nn.Linear, *W.shape, bias=bias, dtype=dtype or torch.float32
        )
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(W.T)))
            if bias:
                layer.bias.copy_(torch.from_numpy(b))
        parts += [layer, torch.nn.ReLU()]
    if isinstance(network, DeepNetwork) and network.activation == "linear":
        parts = [part for part in parts if isinstance(part, torch.nn.Linear)]
    else:
        parts.pop()
    return torch.nn.Sequential(*parts).eval()


def read_sklearn(model: Any) -> Chain:
    """The chain of a fitted ``MLPRegressor`` or ``MLPClassifier`` with ReLU layers."""
    if not hasattr(model, "coefs_"):
        raise ValueError(
            f"{type(model).__name__} is not a fitted MLPRegressor or MLPClassifier; fit it first"
        )
    if model.activation != "relu":
        raise ValueError(f"activation={model.activation!r} is not supported; use 'relu'")
    weights = [np.asarray(W, dtype=float) for W in model.coefs_]
    biases = [np.asarray(b, dtype=float) for b in model.intercepts_]
    final = "softmax" if model.out_activation_ == "softmax" else ""
    network = DeepNetwork(tuple(weights), tuple(biases))
    return Chain(network, (True,) * len(weights), final)


def from_sklearn(model: Any) -> Network | DeepNetwork:
    """A fitted ``MLPRegressor`` or ``MLPClassifier`` (activation "relu") as a network.

    A classifier's outputs are the logits.
    """
    return _plain(read_sklearn(model))
