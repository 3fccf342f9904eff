"""A fully connected network as a bridge reads it, whatever it is read from.

Linear layers with ReLU between them; batch normalisation is folded into its neighbours (with its
running statistics, as in ``eval`` mode), dropout is left out.  A bridge turns what it reads into
operations in the order of the forward pass, and :func:`assemble` makes the chain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array
from ..core.deep_network import DeepNetwork
from ..core.network import Network

FINAL = ("softmax", "log_softmax")

#: what a layer does, by name, with its arrays: linear (W, b or None, and perhaps the module),
#: batch_norm (scale, shift), relu, flatten, dropout, identity, softmax, log_softmax ()
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

    @property
    def plain(self) -> Network | DeepNetwork:
        """The network alone: of two layers where it has them, without biases that nobody gave."""
        if self.shallow is not None:
            return self.shallow
        net = self.network
        return net if any(self.biased) else DeepNetwork(net.weights, None, net.activation)


def assemble(operations: Iterable[Operation]) -> Chain:
    """The chain that a sequence of layers makes.

    Parameters
    ----------
    operations : iterable of Operation
        In the order of the forward pass.

    Returns
    -------
    Chain

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
    # scale and shift of a batch normalisation that waits for the next Linear layer
    pending: tuple[Array, Array] | None = None
    # whether a ReLU came since the last Linear layer, and between how many none did
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


def layers(network: Network | DeepNetwork) -> list[tuple[Array, Array]]:
    """Weights and bias of each layer.

    Parameters
    ----------
    network : Network or DeepNetwork

    Returns
    -------
    list of (W, b)
        Of shapes (inputs, outputs) and (outputs,); zeros where there is no bias, and a neuron that
        does nothing in a layer without neurons, which other programs do not take.
    """
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    if isinstance(network, Network):
        weights = network.hidden_weights, network.output_weights
        biases = network.hidden_bias, network.output_bias
    else:
        weights = network.weights
        biases = network.biases or tuple(np.zeros(W.shape[1]) for W in weights)
    return [(_filled(W), _filled(b)) for W, b in zip(weights, biases)]


def _filled(weights: Array) -> Array:
    """With zeros where an axis has no length."""
    return weights if weights.size else np.zeros([max(1, k) for k in weights.shape])


def network_of(model: Any) -> Network | DeepNetwork:
    """A network as it is, or that of a model that can say its network in the units of its data.

    Parameters
    ----------
    model : Network, DeepNetwork, or a fitted model that has ``to_network()``

    Returns
    -------
    Network or DeepNetwork

    Raises
    ------
    TypeError
        For anything else.
    """
    network = model.to_network() if hasattr(model, "to_network") else model
    if not isinstance(network, (Network, DeepNetwork)):
        raise TypeError(
            "network must be a Network, a DeepNetwork or a fitted model that has to_network(), got "
            f"{type(model).__name__}"
        )
    return network
