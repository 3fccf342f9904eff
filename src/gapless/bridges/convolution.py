"""Networks on patches as other libraries lay them out: channels first, a filter a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, optional_import
from ..core.deep_network import DeepNetwork
from ..core.network import Network
from ..core.patches import Patches, Windows

POOLINGS = {"AvgPool1d", "AvgPool2d", "AdaptiveAvgPool1d", "AdaptiveAvgPool2d"}


@dataclass(frozen=True, eq=False)
class ConvolutionLayers:
    """Conv, ReLU, AvgPool (its last windows may be smaller), Flatten, Linear.

    Attributes
    ----------
    filters : array of shape (n_neurons, channels, *size)
    hidden_bias : array of shape (n_neurons,)
    output_weights : array of shape (n_neurons * places, n_outputs)
    output_bias : array of shape (n_outputs,)
    shape : tuple of int
        Of an image, without padding and channels.
    size, stride, padding, pool : tuples of int
    """

    filters: Array
    hidden_bias: Array
    output_weights: Array
    output_bias: Array
    shape: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    pool: tuple[int, ...]


def convolution(network: Network | DeepNetwork, windows: Windows | None) -> ConvolutionLayers:
    """The layers of a network on patches.

    Parameters
    ----------
    network : Network
    windows : Windows
        Of the patches that it was trained on.

    Returns
    -------
    ConvolutionLayers

    Raises
    ------
    ValueError
        Without windows, and where the network is none on such patches.
    """
    if windows is None:
        raise ValueError(
            "the network has output weights for pooled places of images: give the windows of its "
            "Patches, as windows=model.windows_"
        )
    h = int(np.prod(windows.size)) * windows.channels
    places = int(np.prod(windows.cells))
    if not isinstance(network, Network) or (network.n_features, network.n_places) != (h, places):
        raise ValueError(
            f"windows have patches of {h} numbers pooled at {places} places; the network is not "
            "one on such patches"
        )
    filters = network.hidden_weights.T.reshape(-1, *windows.size, windows.channels)
    return ConvolutionLayers(
        np.moveaxis(filters, -1, 1),
        network.hidden_bias,
        network.output_weights.reshape(network.n_neurons * places, -1),
        network.output_bias,
        tuple(n - 2 * p for n, p in zip(windows.shape, windows.padding)),
        windows.size, windows.stride, windows.padding, windows.pool,
    )  # fmt: skip


def from_torch_convolution(model: Any, shape: Sequence[int]) -> tuple[Network, Windows]:
    """A PyTorch module of one convolution as a network on patches, and how it cuts images.

    ``certify(network, windows.of(images), y, ...)`` then says how far from the best network of any
    number of filters it is, and ``train(problem, init=network)`` improves it.

    Parameters
    ----------
    model : torch.nn.Sequential
        Conv1d or Conv2d, ReLU, at most one average pooling, Flatten, Linear; Dropout and Identity
        anywhere.  It is not modified.
    shape : sequence of int
        Of an image without channels, ``(H, W)`` or ``(T,)``.

    Returns
    -------
    network : Network
    windows : Windows
        ``windows.of(images)`` are the patches it sees, channels last.

    Raises
    ------
    TypeError
        For anything but a Sequential.
    ValueError
        One sentence on the layer that is not supported, or does not fit the images.
    ImportError
        Where PyTorch is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from gapless import from_torch_convolution
    >>> layers = torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.AvgPool2d(2)
    >>> model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(16, 2))
    >>> network, windows = from_torch_convolution(model, (6, 6))
    >>> network.predict(windows.of(np.ones((5, 6, 6)))).shape
    (5, 2)
    """
    nn = optional_import("torch", "torch", "from_torch_convolution").nn
    if not isinstance(model, nn.Sequential):
        raise TypeError(
            f"model must be a torch.nn.Sequential of one convolution, got {type(model).__name__}"
        )
    conv, pooling, linear = _read_layers(nn, model)
    windows = _windows_of(conv, pooling, shape)
    places = int(np.prod(windows.cells))
    filters, last = (_values(layer.weight) for layer in (conv, linear))
    m, outputs = len(filters), len(last)
    if last.shape[1] != m * places:
        raise ValueError(
            f"images of {tuple(shape)} give {m * places} numbers before the Linear layer, which "
            f"takes {last.shape[1]}; is the shape right?"
        )
    bias, shift = (
        np.zeros(n) if layer.bias is None else _values(layer.bias)
        for layer, n in ((conv, m), (linear, outputs))
    )
    U = np.moveaxis(filters, 1, -1).reshape(m, -1).T
    return Network(U, bias, last.T.reshape(m, places * outputs), shift), windows


def _read_layers(nn: Any, model: Any) -> tuple[Any, Any, Any]:
    """The convolution, the pooling or what follows the ReLU, and the linear layer."""
    layers = [layer for layer in model if not isinstance(layer, (nn.Dropout, nn.Identity))]
    kinds = [type(layer).__name__ for layer in layers]
    chain = [kind for kind in kinds if kind not in POOLINGS]
    pools = len(kinds) - len(chain)
    if chain not in ([f"Conv{axes}d", "ReLU", "Flatten", "Linear"] for axes in (1, 2)) or (
        pools > 1 or (pools and kinds[2] not in POOLINGS)
    ):
        raise ValueError(
            "the model must be Conv, ReLU, at most one average pooling, Flatten, Linear; its "
            f"layers are {', '.join(kinds)}"
        )
    return layers[0], layers[2], layers[-1]


def _windows_of(conv: Any, pooling: Any, shape: Sequence[int]) -> Windows:
    """How a convolution and a pooling cut images of this shape."""
    numbers = not isinstance(conv.padding, str) and conv.padding_mode == "zeros"
    if conv.groups != 1 or max(conv.dilation) != 1 or not numbers:
        raise ValueError("the convolution must have no groups, no dilation, and zeros as padding")
    axes = len(conv.kernel_size)
    if len(shape) != axes:
        raise ValueError(f"shape={tuple(shape)} must have {axes} numbers, one an axis of an image")
    images = np.zeros((1, *shape, conv.in_channels))
    cut = conv.kernel_size, conv.stride, conv.padding
    grid = Patches(images, *cut, pool="none").windows.grid
    return Patches(images, *cut, pool=_pool_of(pooling, grid)).windows


def _pool_of(layer: Any, grid: tuple[int, ...]) -> Any:
    """Places that a layer averages over."""
    if type(layer).__name__.startswith("AdaptiveAvgPool"):
        if set(np.ravel(layer.output_size)) != {1}:
            raise ValueError("adaptive pooling must have the output size 1; use AvgPool")
        return "global"
    if not type(layer).__name__.startswith("AvgPool"):
        return "none"
    size, step, rim = (
        tuple(int(k) for k in np.broadcast_to(given, len(grid)))
        for given in (layer.kernel_size, layer.stride, layer.padding)
    )
    uneven = any(n % k for n, k in zip(grid, size)) and not layer.ceil_mode
    other = getattr(layer, "divisor_override", None) is not None
    if size != step or any(rim) or uneven or other:
        raise ValueError(
            "average pooling must have its kernel as stride, no padding, no divisor_override, and "
            f"ceil_mode where the {' x '.join(map(str, grid))} places are no multiple of it"
        )
    return size


def _values(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().double().numpy().copy())
