"""Branch and bound over boxes of directions: is no neuron above ``G ||u||``?

Depth first, many boxes at a time: what is open is halved, so memory stays small.  Every direction
is, up to its length, on one of the faces ``u_k = 1, |u_j| <= 1`` of a cube, which are the first
boxes; both signs of u are asked for in each.  Centres and widths are dyadic, hence exact: boxes
tile the faces exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..core.checks import Array
from .boxes import Bounder, Cone

# Boxes at a time, at most, and numbers: what a step of half a second takes.
BATCH, NUMBERS = 2048, 1 << 26
# Edges below this are not halved: the sums of dyadic numbers would no longer be exact.
NARROWEST = 2.0**-40
# Boxes of a level that a prediction looks at, and those that no search bounds.
SAMPLED, NEVER = 256, 1e12
# Vertices of a batch whose values are looked at.
LOOKED_AT = 16
# Boxes of a tree that is recorded at most, a byte each: half of what the checker takes.
RECORDED = 1 << 24


#: centres, half-widths, means, open signs
Boxes: TypeAlias = tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a search of boxes ended.

    Attributes
    ----------
    closed : bool
        Whether every box was: no direction has ``h(u) > G ||u||``, but for rounding.
    direction : array of shape (D,) or None
        One that has, where it ended at it.
    boxes : int
        Boxes bounded.
    tree : array of uint8 or None
        Where that was asked for and all are closed: for each box, as bounded, 0 where it was
        closed, else the edge it was halved at, counted from 1.
    """

    closed: bool
    direction: Array | None
    boxes: int
    tree: Array | None = None


def search_boxes(
    data: Cone, G: float, bounder: Bounder, stop: Callable[[], bool], record: int | None = None
) -> Outcome:
    """Whether ``h(u) <= G ||u||`` for every direction; ``stop`` is asked before each batch.

    ``record``: how many boxes may be recorded; with more it ends unfinished.
    """
    U, W = roots(data.normed)
    stack: list[Boxes] = [(U, W, np.zeros_like(U), np.ones((len(U), 2), dtype=bool))]
    count, batch, codes = 0, batch_size(data), []
    while stack:
        if stop():
            return Outcome(False, None, count)
        U, W, mean, open_ = _take(stack, batch)
        count += len(U)
        if record is not None and count > record:
            return Outcome(False, None, count)
        found = bounder(data, G, U, W, mean, open_)
        # looking at vertices costs as much as a bound: a few of the best will do
        best = np.argsort(-found.bound.max(axis=1), kind="stable")[:LOOKED_AT]
        corners = found.vertex[best]
        excess = data.value(corners) - G * np.linalg.norm(corners * data.normed, axis=1)
        if np.any(excess > 0):
            return Outcome(False, corners[np.argmax(excess)], count)
        still = ~(found.bound <= 0)  # what is no number proves nothing
        at = np.flatnonzero(still.any(axis=1))
        if record is not None:
            codes.append(np.zeros(len(U), dtype=np.uint8))
            codes[-1][at] = found.edge[at] + 1
        if len(at):
            if W[at, found.edge[at]].min() < NARROWEST:  # halves would no longer be exact
                return Outcome(False, None, count)
            stack.append(halves(U[at], W[at], found.mean[at], still[at], found.edge[at]))
    return Outcome(True, None, count, np.concatenate(codes) if codes else None)


def batch_size(data: Cone) -> int:
    """Boxes at a time."""
    return int(np.clip(NUMBERS // len(data.normed) // data.n_samples, 64, BATCH))


def roots(normed: Array) -> tuple[Array, Array]:
    """Centres and half-widths of the faces; a coordinate outside the norm has no face."""
    D = len(normed)
    faces = np.flatnonzero(normed)
    return np.eye(D)[faces], 1.0 - np.eye(D)[faces]


def halves(U: Array, W: Array, mean: Array, open_: Array, edge: Array) -> Boxes:
    """Both halves of boxes, cut at ``edge``."""
    at, W = np.arange(len(U)), W.copy()
    W[at, edge] /= 2
    low, high = U.copy(), U.copy()
    low[at, edge] -= W[at, edge]
    high[at, edge] += W[at, edge]
    twice = (np.concatenate([x, x]) for x in (W, mean, open_))
    return np.concatenate([low, high]), *twice


def predicted_seconds(
    data: Cone,
    G: float,
    bounder: Bounder,
    stop: Callable[[], bool],
    most: float,
    pace: float | None,
    check: float = 0.0,
) -> float:
    """About how long :func:`search_boxes` takes, at ``pace`` seconds a box where that is known.

    And ``check`` seconds more for each.  More than ``most`` seconds are not told apart.
    """
    started = time.perf_counter()
    enough = NEVER if pace is None else most / (pace + check)
    boxes, looked_at = predicted_boxes(data, G, bounder, stop, enough)
    own = (time.perf_counter() - started) / max(looked_at, 1)
    return boxes * ((own if pace is None else pace) + check)


def predicted_boxes(
    data: Cone, G: float, bounder: Bounder, stop: Callable[[], bool], enough: float = NEVER
) -> tuple[float, int]:
    """About how many boxes a search bounds, and how many were looked at to say so.

    Breadth first, a sample of each level of the tree standing for it, until there are ``enough``.
    """
    rng = np.random.default_rng(0)
    U, W = roots(data.normed)
    mean, open_, weight = np.zeros_like(U), np.ones((len(U), 2), dtype=bool), 1.0
    total, looked_at = 0.0, 0
    while len(U) and total <= enough and not stop():
        total += weight * len(U)
        looked_at += len(U)
        found = bounder(data, G, U, W, mean, open_)
        still = ~(found.bound <= 0)  # what is no number proves nothing
        at = np.flatnonzero(still.any(axis=1))
        U, W, mean, open_ = halves(U[at], W[at], found.mean[at], still[at], found.edge[at])
        if len(U) > SAMPLED:
            some = rng.choice(len(U), SAMPLED, replace=False)
            weight *= len(U) / SAMPLED
            U, W, mean, open_ = U[some], W[some], mean[some], open_[some]
    return total, looked_at


def _take(stack: list[Boxes], most: int) -> Boxes:
    """Up to ``most`` boxes from the top of the stack."""
    taken, count = [], 0
    while stack and count < most:
        taken.append(stack.pop())
        count += len(taken[-1][0])
    boxes = tuple(np.concatenate(x) for x in zip(*taken))
    if count > most:
        stack.append(tuple(x[most:] for x in boxes))
        boxes = tuple(x[:most] for x in boxes)
    return boxes
