"""A PyTorch module of one convolution as audits read it: two layers on patches, pooled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..bridges.chain import Chain
from ..bridges.convolution import from_torch_convolution
from ..core.checks import Array
from ..core.deep_network import DeepNetwork
from ..core.network import Network
from ..core.patches import Patches, Windows

CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")


@dataclass(frozen=True, eq=False, repr=False)
class ConvolvedNetwork(DeepNetwork):
    """Filters (h, m) and output weights (m, places * n_outputs), as a :class:`Network` has them.

    Parameters
    ----------
    weights, biases
        Of both layers.
    windows : Windows
        How images are cut and pooled.
    """

    biases: tuple[Array, ...] = ()
    windows: Windows = field(kw_only=True)

    def __post_init__(self) -> None:
        assert self.plain.n_outputs == self.n_outputs  # with the checks of a network on patches

    @property
    def plain(self) -> Network:
        """The network on patches."""
        U, b = self.weights[0], self.biases
        return Network(U, b[0], self.weights[1], b[1])

    @property
    def n_outputs(self) -> int:
        return len(self.biases[1])

    def features(self, X: Any) -> Array:
        """Pooled activations (n_samples, m * places) of :class:`gapless.Patches`."""
        return X.activations(self.weights[0], self.biases[0])

    def predict(self, X: Any) -> Array:
        return self.plain.predict(X)


def is_convolution(model: Any) -> bool:
    """Whether a PyTorch module has a convolution."""
    modules = getattr(model, "modules", None)
    return callable(modules) and any(type(m).__name__ in CONVOLUTIONS for m in modules())


def read_convolution(model: Any, images: Array) -> tuple[Chain, Patches]:
    """The chain of a module of one convolution, and the patches that it sees.

    Parameters
    ----------
    model : torch.nn.Sequential
        As :func:`gapless.from_torch_convolution` takes it.
    images : array of shape (n, channels, H, W) or (n, channels, T)

    Returns
    -------
    chain : Chain
        With the Conv and the Linear layer as ``modules``.
    patches : Patches

    Raises
    ------
    TypeError, ValueError
        As :func:`gapless.from_torch_convolution`; for images that do not fit.
    """
    network, windows = from_torch_convolution(model, images.shape[2:])
    found = ConvolvedNetwork(
        (network.hidden_weights, network.output_weights),
        (network.hidden_bias, network.output_bias),
        windows=windows,
    )
    modules = [m for m in model if type(m).__name__ in (*CONVOLUTIONS, "Linear")]
    chain = Chain(
        found,
        tuple(m.bias is not None for m in modules),
        dropout=any(type(m).__name__ == "Dropout" for m in model),
        modules=tuple(modules),
    )
    return chain, windows.of(np.moveaxis(images, 1, -1))


def reread(module: Any, like: ConvolvedNetwork) -> ConvolvedNetwork:
    """The network of a module of the same shape, as its rounded weights make it."""
    w = like.windows
    shape = tuple(n - 2 * p for n, p in zip(w.shape, w.padding))
    network, _ = from_torch_convolution(module, shape)
    return replace(
        like,
        weights=(network.hidden_weights, network.output_weights),
        biases=(network.hidden_bias, network.output_bias),
    )
