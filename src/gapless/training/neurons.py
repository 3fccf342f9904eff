"""Neurons as the master sees them: unit directions, those found new, networks joined."""

from __future__ import annotations

import numpy as np

from ..core.candidates import Candidates
from ..core.checks import Array
from ..core.design import Design
from ..core.network import Network
from ..core.problem import Problem

# Neurons a round: more than a few hundred new columns only slow the master down.
MAX_NEW = 300
# And on very many patches no more than have so many activations: 256 MiB.
NEW_NUMBERS = 1 << 25
# A candidate violates the dual constraint by more than this share, the rounding of its value.
VIOLATES = 1e-9
# On more patches than this no two neurons have one pattern, and comparing them takes long.
MANY_PATCHES = 400_000


def many_patches(design: Design) -> bool:
    """Whether a design pools so many rows that steps on single neurons take longer than they bring.

    Parameters
    ----------
    design : Design

    Returns
    -------
    bool
    """
    return design.pooled and design.n_rows > MANY_PATCHES


def unit_directions(network: Network) -> tuple[Array, Array, Array]:
    """Unit directions, their biases, and the norms taken out."""
    size = np.linalg.norm(network.hidden_weights, axis=0)
    return network.hidden_weights / size, network.hidden_bias / size, size


def with_candidates(network: Network, new: Candidates) -> tuple[Array, Array, Array]:
    """Unit directions, biases and output weights of its neurons and of new ones, still at zero.

    Parameters
    ----------
    network : Network
    new : Candidates

    Returns
    -------
    U : array of shape (n_features, m)
    b : array of shape (m,)
    a : array of shape (m, n_outputs)
    """
    U, b, size = unit_directions(network)
    a = network.output_weights * size[:, None]
    zeros = np.zeros((len(new), a.shape[1]))
    return np.hstack([U, new.U]), np.concatenate([b, new.b]), np.vstack([a, zeros])


def averaged(first: Network, second: Network, share: float = 0.5) -> Network:
    """The network of both their neurons, at a share of the output weights.

    Parameters
    ----------
    first, second : Network
    share : float, default 0.5
        Of the first; the second has the rest.

    Returns
    -------
    Network
        Its function is their mean, so weighed.
    """
    U = np.hstack([first.hidden_weights, second.hidden_weights])
    b = np.concatenate([first.hidden_bias, second.hidden_bias])
    a = np.vstack([share * first.output_weights, (1 - share) * second.output_weights])
    c = share * first.output_bias + (1 - share) * second.output_bias
    return Network(U, b, a, c)


def widened(network: Network, columns: Array, n_features: int) -> Network:
    """The network of ``columns`` as one of a table, whose other columns weigh nothing.

    Parameters
    ----------
    network : Network
        Of len(columns) features.
    columns : array of int
        Their places in the table.
    n_features : int
        Columns of the table.

    Returns
    -------
    Network
    """
    U = np.zeros((n_features, network.n_neurons))
    U[columns] = network.hidden_weights
    return Network(U, network.hidden_bias, network.output_weights, network.output_bias)


def violating(found: Candidates, core: Problem) -> Candidates:
    """The candidates that violate the dual constraint: the best :data:`MAX_NEW` of each pattern.

    Parameters
    ----------
    found : Candidates
    core : Problem
        Its weight decay is the limit of their values.

    Returns
    -------
    Candidates
    """
    found = found.take(found.value > core.weight_decay * (1 + VIOLATES))
    if len(found) == 0:
        return found
    if many_patches(core.design):
        most = max(1, min(MAX_NEW, NEW_NUMBERS // (core.n_samples * core.design.places)))
        return found.take(np.argsort(-found.value, kind="stable")[:most])
    best: dict[bytes, int] = {}
    names = core.design.patterns(found.U, found.b, VIOLATES)
    for j in np.argsort(-found.value, kind="stable").tolist():
        best.setdefault(names[j], j)
    return found.take(np.array(list(best.values())[:MAX_NEW]))
