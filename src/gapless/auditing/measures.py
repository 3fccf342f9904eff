"""Measures of a trained network's layers, neurons, classes and kinks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.checks import Array
from ..core.design import design_of
from ..core.network import Network
from ..core.patches import Patches
from ..core.rounding import TINY
from ..core.watch import Watch
from ..structure.collapse import NeuralCollapse, layer_alignment, neural_collapse
from .findings import LayerReport, NeuronReport
from .trained_model import Trained, merged, prunes_within, select

# Cosine from which two neurons count as duplicates: float32 weights carry seven digits.
DUPLICATE = 1 - 1e-6
# Share of the time left for the pruning that says how many neurons suffice.
PRUNING = 0.25


def imbalance(trained: Trained) -> float | None:
    """Penalty that the best scales of neurons, or of layers, would save.

    Two layers: ``sum_j lam / 2 (||u_j|| - ||a_j||)^2``.  Deeper: with ``s_k`` the decay of layer k
    times its squares, half of ``sum_k s_k`` less its least at the same product, ``L`` times the
    geometric mean.

    Parameters
    ----------
    trained : Trained

    Returns
    -------
    float or None
        In the units of the training loss; None with batch normalisation, and where the decay of
        the biases makes rescaling cost something.
    """
    if trained.chain.batch_norm or not trained.exact:
        return None
    plain = trained.shallow()
    if plain is not None:
        hidden, output = plain.scaled_directions(trained.bias)
        return 0.5 * trained.weight_decay * float(np.sum((hidden - output) ** 2))
    squares = np.array([d * np.sum(W * W) for d, W in zip(trained.decays, trained.network.weights)])
    best = float(np.exp(np.mean(np.log(np.maximum(squares, TINY)))))
    return 0.5 * float(np.sum(squares)) - 0.5 * len(squares) * best


def layer_reports(trained: Trained) -> tuple[LayerReport, ...]:
    """Norm, rank and alignment of each layer, and its dead neurons.

    Parameters
    ----------
    trained : Trained

    Returns
    -------
    tuple of LayerReport
        From the input to the output.
    """
    net = trained.network
    alignment = layer_alignment(net.weights)
    biases = net.biases or tuple(np.zeros(W.shape[1]) for W in net.weights)
    A, reports = trained.X, []
    for l, (W, b) in enumerate(zip(net.weights, biases)):
        hidden, dead, always = l < net.depth - 1, 0, 0
        if hidden and isinstance(A, Patches):  # two layers, the last is next
            some, always_on = activity(A, W, b)
            dead, always = int(np.sum(~some)), int(np.sum(always_on))
        elif hidden:
            A = design_of(A).scores(W, b)
            if net.activation == "relu":
                dead = int(np.sum(np.all(A <= 0, axis=0)))
                always = int(np.sum(np.all(A > 0, axis=0)))
                A = np.maximum(A, 0.0)
        values = alignment.singular_values[l]
        share = values[values > 0] / max(float(values.sum()), TINY)
        fits = float(alignment.alignment[l]) if hidden else np.nan
        reports.append(
            LayerReport(
                inputs=W.shape[0],
                outputs=W.shape[1],
                norm=float(np.linalg.norm(W)),
                rank=alignment.ranks[l],
                effective_rank=float(np.exp(-np.sum(share * np.log(share)))),
                alignment=fits if np.isfinite(fits) else None,
                dead=dead,
                always_active=always,
            )
        )
    return tuple(reports)


def activity(X: Any, W: Array, b: Array) -> tuple[Array, Array]:
    """Which neurons are active on some row, and on all.

    Parameters
    ----------
    X : array of shape (n_samples, n_features), or Patches
    W : array of shape (n_features, m)
    b : array of shape (m,)

    Returns
    -------
    some, every : arrays of bool of shape (m,)
    """
    design = design_of(X)
    some, every = np.zeros(len(b), bool), np.ones(len(b), bool)
    for block in design.blocks(len(b)):
        on = design.rows(block).scores(W, b) > 0
        some |= on.any(axis=0)
        every &= on.all(axis=0)
    return some, every


def neuron_report(trained: Trained, network: Network, watch: Watch) -> NeuronReport:
    """How many neurons of a two-layer network are dead, duplicate, mergeable and needed.

    Parameters
    ----------
    trained : Trained
    network : Network
        Of two layers, from ``trained.shallow()``.
    watch : Watch
        Of the whole audit.

    Returns
    -------
    NeuronReport
    """
    X, rule = trained.X, trained.bias
    alive = activity(X, network.hidden_weights, network.hidden_bias)[0]
    alive &= np.any(network.output_weights != 0, axis=1)
    living = select(network, alive)
    V = np.vstack([living.hidden_weights, living.hidden_bias])
    V = V / np.maximum(np.linalg.norm(V, axis=0), TINY)
    twin = np.triu(V.T @ V > DUPLICATE, k=1).any(axis=0)
    fewer = merged(living, X, rule)
    prunes = prunes_within(PRUNING * watch.left, fewer, X)
    return NeuronReport(
        total=network.n_neurons,
        dead=network.n_neurons - living.n_neurons,
        duplicate=int(twin.sum()),
        mergeable=living.n_neurons - fewer.n_neurons,
        sufficient=fewer.prune(X, rule).n_neurons if prunes else None,
    )


def collapse_of(trained: Trained) -> NeuralCollapse | None:
    """Neural collapse of a classifier's last hidden layer.

    Parameters
    ----------
    trained : Trained

    Returns
    -------
    NeuralCollapse or None
        None for regression, several margins, a class without samples, and class means that
        coincide.
    """
    loss, net = trained.loss, trained.network
    head = net.weights[-1].reshape(-1, net.n_outputs).T
    bias = None if net.biases is None else net.biases[-1]
    if loss.loss.targets == "onehot":
        labels = np.argmax(loss.Y, axis=1)
    elif loss.loss.targets == "sign" and loss.Y.shape[1] == 1:
        # one margin is the difference of two outputs
        labels, head = loss.Y[:, 0] > 0, np.vstack([-head, head]) / 2
        bias = None if bias is None else np.array([-bias[0], bias[0]]) / 2
    else:
        return None
    try:
        return neural_collapse(net.features(trained.X), labels, head, bias)
    except ValueError:
        return None


def kinks(trained: Trained) -> Array | None:
    """Where a two-layer network of one variable bends.

    Parameters
    ----------
    trained : Trained

    Returns
    -------
    array or None
        Within the data's range, rising; None for other networks.
    """
    plain = trained.shallow()
    if plain is None or plain.n_features != 1 or isinstance(trained.X, Patches):
        return None
    # balanced, neurons without effect are gone: they would bend nothing
    net = plain.balance("free")
    u, x = net.hidden_weights[0], trained.X[:, 0]
    at = np.sort(-net.hidden_bias[u != 0] / u[u != 0])
    return np.unique(at[(at > x.min()) & (at < x.max())])
