"""From a spline to the network that draws it, and back."""

from __future__ import annotations

import numpy as np

from ..core.checks import Array
from ..core.network import Network

# Parts of a ramp below this share of its kink are rounding.
NO_PART = 1e-12


def draw_network(
    kinks: Array,
    changes: Array,
    slopes: Array,
    point: tuple[float, float],
    origin: Array,
    direction: Array,
) -> Network:
    """The network of least penalty that draws a spline.

    Each kink is one ramp, right or left; at most one kink is both.
    Right ramps minus left ramps must add up to S = slopes[0] + slopes[-1], |S| <= sum |d|.

    It goes through ``point`` (x, value); the first and the last of ``slopes`` are those outside
    the ``kinks``, where the slope ``changes``.
    """
    size = np.abs(changes)
    # the last kinks (in order) turn right: share of each that counts +1, filled from the right
    target = 0.5 * (float(size.sum()) + float(slopes[0] + slopes[-1]))
    before = np.concatenate([np.cumsum(size[::-1])[::-1][1:], [0.0]]) if len(size) else size
    plus = np.clip(target - before, 0.0, size)
    plus[plus < NO_PART * size] = 0.0
    minus = size - plus
    minus[minus < NO_PART * size] = 0.0
    plus = size - minus
    # +: right ramps of rising kinks and left ramps of falling ones
    right = np.where(changes > 0, plus, minus)
    left = np.where(changes > 0, minus, plus)
    sign = np.sign(changes)
    a = np.concatenate([(right * sign)[right > 0], (left * sign)[left > 0]])
    u = np.concatenate([np.ones(int(np.sum(right > 0))), -np.ones(int(np.sum(left > 0)))])
    t = np.concatenate([kinks[right > 0], kinks[left > 0]])
    root = np.sqrt(np.abs(a))  # both layers of a ramp a (u (x - t))_+ weigh the same
    at, value = point
    c = value - float(a @ np.maximum(u * (at - t), 0.0))
    hidden = direction[:, None] * (u * root)
    bias = -root * u * t - origin @ hidden
    return Network(hidden, bias, (np.sign(a) * root)[:, None], np.array([c]))


def kinks_of(network: Network, origin: Array, direction: Array) -> tuple[Array, Array]:
    """The kinks of a network along a line, (n_kinks,), and its slopes (n_kinks + 1, n_outputs)."""
    u = direction @ network.hidden_weights
    shift = origin @ network.hidden_weights + network.hidden_bias
    bent = u != 0
    u, a = u[bent], network.output_weights[bent]
    knots, group = np.unique(-shift[bent] / u, return_inverse=True)
    changes = np.zeros((len(knots), network.n_outputs))
    np.add.at(changes, group, np.abs(u)[:, None] * a)
    falling = u < 0
    first = (u[falling][:, None] * a[falling]).sum(axis=0)
    return knots, np.vstack([first, first + np.cumsum(changes, axis=0)])
