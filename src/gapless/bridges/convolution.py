"""A network on patches as other libraries lay it out: channels first, a filter a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.checks import Array
from ..core.deep_network import DeepNetwork
from ..core.network import Network
from ..core.patches import Windows


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
