"""Bisection of cones of directions: the gauge in three and four dimensions.

A cone of directions (u, b) is held by its generators, of ``||u|| = 1`` each.  On it a ReLU that
bends lies between its interpolation at the generators, above, and 0 or its argument, below; all
others are linear there.  So on every cone the gauge lies below the norm of something linear, whose
maximum is at a generator.  Cones that could hold more than the best generator met are halved.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

from ..core.arrays import BLOCK
from ..core.candidates import Candidates
from ..core.checks import Array

# A cone that could hold so little more, as a share of the norms of data and dual point, is closed;
# by dimension: the last digits of four cost a minute on trained networks.
CLOSE = {2: 1e-10, 3: 1e-10, 4: 1e-6}
# Scores after which the cones still open are left as they are: some ten seconds.  A cone costs as
# much as so many beside its own, which on few samples is all.
MAX_WORK, OVERHEAD = 10**9, 64
# Kinks lie no further out than the largest sample; prisms end so much further.
BEYOND = 1.01


def bisect_cones(samples: Array, Lam: Array, free: bool) -> tuple[Candidates, float]:
    """The best neuron met and a bound of all.

    Parameters
    ----------
    samples : array of shape (n_samples, rank)
        Rank and free bias together are 4 at most.
    Lam : array of shape (n_samples, n_outputs)
    free : bool
        Whether neurons have a bias, of any size.

    Returns
    -------
    Candidates
        One unit direction.
    float
        What no neuron exceeds, but for rounding.
    """
    rank = samples.shape[1]
    spread = float(np.linalg.norm(samples) * np.linalg.norm(Lam))
    cones = np.array([np.diag(signs) for signs in product((1.0, -1.0), repeat=rank)])  # orthants
    if free:
        cones = _prisms(cones, BEYOND * float(np.linalg.norm(samples, axis=1).max()))
        samples = np.hstack([samples, np.ones((len(samples), 1))])
    best, neuron, closed, work = 0.0, cones[0, 0], 0.0, 0
    while len(cones):
        bounds, halves = [], []
        for batch in np.array_split(cones, 1 + cones.size * len(samples) // BLOCK):
            view = _seen(batch, samples, Lam)
            # 1. the best generator met is a neuron
            cone, generator = np.unravel_index(int(np.argmax(view.values)), view.values.shape)
            if view.values[cone, generator] > best:
                best, neuron = float(view.values[cone, generator]), batch[cone, generator]
            # 2. what each cone could hold, and its halves in case that is more
            bounds.append(_bounds(batch, view, Lam, rank))
            halves.append(_halves(batch, view, Lam, rank, best))
        # 3. cones that cannot hold more than the best are closed, the others go on as halves
        above = np.concatenate(bounds)
        work += cones.size * (len(samples) + OVERHEAD)
        keep = above > best + CLOSE[cones.shape[2]] * spread
        if work > MAX_WORK:
            closed = max(closed, float(above.max()))
            break
        closed = max(closed, float(above[~keep].max(initial=0.0)))
        cones = np.concatenate(halves, axis=1)[:, keep].reshape(-1, *cones.shape[1:])
    found = Candidates.one(neuron[:rank], best, float(neuron[rank:].sum()))
    return found, max(best, closed)


class _Seen(NamedTuple):
    """What the samples see of a batch of cones."""

    scores: Array  # (cones, generators, samples)
    active: Array  # their ReLUs
    bends: Array  # (cones, samples), whether the ReLU of a sample does
    values: Array  # (cones, generators), the gauge at each


def _seen(cones: Array, samples: Array, Lam: Array) -> _Seen:
    scores = cones @ samples.T
    active = np.maximum(scores, 0)
    bends = (scores.min(axis=1) < 0) & (scores.max(axis=1) > 0)
    return _Seen(scores, active, bends, np.linalg.norm(active @ Lam, axis=2))


def _prisms(cones: Array, far: float) -> Array:
    """Cones of u times ``|b| <= far``, each prism cut into cones of (u, b)."""
    rank = cones.shape[2]
    low, high = (np.insert(cones, rank, b, axis=2) for b in (-far, far))
    return np.concatenate([np.hstack([low[:, i:], high[:, : i + 1]]) for i in range(rank)])


def _bounds(cones: Array, view: _Seen, Lam: Array, rank: int) -> Array:
    """What the gauge cannot exceed at ``||u|| = 1`` on each cone."""
    size = np.linalg.norm(Lam, axis=1)
    # a ReLU that bends: above 0, and above its argument, whichever is nearer in the mean
    argument = view.scores * (view.scores.sum(axis=1) > 0)[:, None]
    below = np.where(view.bends[:, None], argument, view.active)
    # the middle of both, and all that may be between
    between = (view.active - below) @ size
    above = 0.5 * (np.linalg.norm((view.active + below) @ Lam, axis=2) + between)
    # linear on the cone, so largest at a generator; but sums of generators are shorter than 1
    U = cones[..., :rank]
    mean = U.sum(axis=1, keepdims=True)
    least = np.sum(U * mean, axis=2).min(axis=1)
    return np.asarray(above.max(axis=1) * np.linalg.norm(mean[:, 0], axis=1) / least)


def _halves(cones: Array, view: _Seen, Lam: Array, rank: int, best: float) -> Array:
    """Both halves (2, cones, ...), cut where ReLUs that bend, and directions, differ most."""
    i, j = np.triu_indices(cones.shape[1], 1)  # the edges
    bent = view.bends * np.linalg.norm(Lam, axis=1)
    apart = np.einsum("cen,cn->ce", np.abs(view.scores[:, i] - view.scores[:, j]), bent)
    apart += best * np.sum((cones[:, i, :rank] - cones[:, j, :rank]) ** 2, axis=2)
    edge, each = np.argmax(apart, axis=1), np.arange(len(cones))
    middle = cones[each, i[edge]] + cones[each, j[edge]]
    middle /= np.linalg.norm(middle[:, :rank], axis=1)[:, None]
    halves = np.stack([cones, cones])
    halves[0, each, i[edge]] = halves[1, each, j[edge]] = middle
    return halves
