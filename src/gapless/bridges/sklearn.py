"""Networks from scikit-learn's multilayer perceptrons."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.deep_network import DeepNetwork
from ..core.network import Network
from .chain import Chain


def read_sklearn(model: Any) -> Chain:
    """The chain of a fitted multilayer perceptron with ReLU layers.

    Parameters
    ----------
    model : MLPRegressor or MLPClassifier

    Returns
    -------
    Chain

    Raises
    ------
    ValueError
        Before ``fit``, and for another activation.
    """
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

    Parameters
    ----------
    model : MLPRegressor or MLPClassifier

    Returns
    -------
    Network or DeepNetwork
        A Network where there is one hidden layer.

    Raises
    ------
    ValueError
        Before ``fit``, and for another activation.
    """
    return read_sklearn(model).plain
