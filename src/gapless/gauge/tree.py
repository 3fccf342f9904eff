"""Branch and bound over boxes of directions: is no neuron above ``G ||u||``?

Depth first, many boxes at a time: what is open is halved, so memory stays small.  Every direction
is, up to its length, on one of the faces ``u_k = 1, |u_j| <= 1`` of a cube, which are the first
boxes; both signs of u are asked for in each.  Centres and widths are dyadic, hence exact: boxes
tile the faces exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array
from ..core.threads import blas_threads
from .boxes import Bounder, Cone, Found

# Boxes at a time, at most, and numbers: what a step of half a second takes.
BATCH, NUMBERS = 1024, 1 << 26
# Edges below this are not halved: the sums of dyadic numbers would no longer be exact.
NARROWEST = 2.0**-40
# Boxes of a level that a prediction looks at, at most, and those that no search bounds.
SAMPLED, NEVER = 512, 1e12
# Vertices of a batch whose values are looked at.
LOOKED_AT = 16
# Boxes of a tree that is recorded at most, a byte each: half of what the checker takes.
RECORDED = 1 << 24


#: centres, half-widths, means, open signs
Boxes: TypeAlias = tuple[Array, ...]


@dataclass(frozen=True)
class Team:
    """Threads among which boxes are shared: how many, and their ``map``."""

    count: int
    map: Callable[..., Iterable[Any]]


ALONE = Team(1, map)


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
    data: Cone,
    G: float,
    bounder: Bounder,
    stop: Callable[[], bool],
    team: Team = ALONE,
    record: int | None = None,
) -> Outcome:
    """Whether ``h(u) <= G ||u||`` for every direction; ``stop`` is asked before each batch.

    ``record``: how many boxes may be recorded; with more it ends unfinished.
    """
    stack, count, batch = [_whole(data)], 0, batch_size(data, team)
    codes: list[Array] = []
    step = partial(_step, data, G, bounder)
    with blas_threads(1):  # each of the team has one
        while stack:
            boxes = _take(stack, batch)
            count += len(boxes[0])
            if stop() or (record is not None and count > record):
                return Outcome(False, None, count)
            better, narrow, code, halved = zip(*team.map(step, _shares(boxes, team)))
            if any(direction is not None for direction in better) or any(narrow):
                return Outcome(False, next((u for u in better if u is not None), None), count)
            if record is not None:
                codes += code
            if sum(len(low[0]) for low, _ in halved):  # lows first, whoever bounded them
                both = (half for side in (0, 1) for half in (h[side] for h in halved))
                stack.append(tuple(np.concatenate(x) for x in zip(*both)))
    return Outcome(True, None, count, None if record is None else np.concatenate(codes))


def batch_size(data: Cone, team: Team = ALONE) -> int:
    """Boxes at a time."""
    each = np.clip(NUMBERS // len(data.normed) // data.n_samples, 64, BATCH)
    return team.count * int(each)


def _shares(boxes: Boxes, team: Team) -> list[Boxes]:
    """Boxes shared out among the team."""
    share = -(-len(boxes[0]) // team.count)
    return [tuple(x[i : i + share] for x in boxes) for i in range(0, len(boxes[0]), share)]


def _step(
    data: Cone, G: float, bounder: Bounder, boxes: Boxes
) -> tuple[Array | None, bool, Array, tuple[Boxes, Boxes]]:
    """A better direction, if there is one; whether a box is too narrow to halve; for each box the
    edge it is halved at, from 1, or 0; the halves."""
    U, W, mean, open_ = boxes
    found = bounder(data, G, U, W, mean, open_)
    still = ~(found.bound <= 0)  # what is no number proves nothing
    at = np.flatnonzero(still.any(axis=1))
    narrow = bool(np.any(W[at, found.edge[at]] < NARROWEST))  # halves would no longer be exact
    code = np.zeros(len(U), dtype=np.uint8)
    code[at] = found.edge[at] + 1
    halved = halves(U[at], W[at], found.mean[at], still[at], found.edge[at])
    return _better(data, G, found), narrow, code, halved


def _better(data: Cone, G: float, found: Found) -> Array | None:
    """A direction above G, where a vertex is one."""
    # looking at vertices costs as much as a bound: a few of the best will do
    best = np.argsort(-found.bound.max(axis=1), kind="stable")[:LOOKED_AT]
    corners = found.vertex[best]
    excess = data.value(corners) - G * np.linalg.norm(corners * data.normed, axis=1)
    return corners[np.argmax(excess)] if np.any(excess > 0) else None


def _whole(data: Cone) -> Boxes:
    """All directions, and both signs."""
    U, W = roots(data.normed)
    return U, W, np.zeros_like(U), np.ones((len(U), 2), dtype=bool)


def roots(normed: Array) -> tuple[Array, Array]:
    """Centres and half-widths of the faces; a coordinate outside the norm has no face."""
    D = len(normed)
    faces = np.flatnonzero(normed)
    return np.eye(D)[faces], 1.0 - np.eye(D)[faces]


def halves(
    U: Array, W: Array, mean: Array, open_: Array, edge: Array, *others: Array
) -> tuple[Boxes, Boxes]:
    """Both halves of boxes, cut at ``edge``, with what else is known of them."""
    at, W = np.arange(len(U)), W.copy()
    W[at, edge] /= 2
    low, high = U.copy(), U.copy()
    low[at, edge] -= W[at, edge]
    high[at, edge] += W[at, edge]
    return (low, W, mean, open_, *others), (high, W, mean, open_, *others)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a sample of the tree says of a search.

    Attributes
    ----------
    boxes : float
        About how many it bounds.
    direction : array of shape (D,) or None
        One that has ``h(u) > G ||u||``, if the sample has met it: the search would end there.
    looked_at : int
        Boxes of the sample.
    """

    boxes: float
    direction: Array | None
    looked_at: int


def predict_boxes(
    data: Cone,
    G: float,
    bounder: Bounder,
    stop: Callable[[], bool],
    enough: float = NEVER,
    team: Team = ALONE,
    sample: int = SAMPLED,
) -> Prediction:
    """About how many boxes a search bounds.

    Breadth first, a ``sample`` of each level of the tree standing for it, until there are
    ``enough``.
    """
    rng = np.random.default_rng(0)
    boxes, total, looked_at = _whole(data), 0.0, 0
    weight = np.ones(len(boxes[0]))
    level = partial(_level, data, G, bounder)
    with blas_threads(1):
        while (n := len(weight)) and total <= enough and not stop():
            total += weight.sum()
            looked_at += n
            better, halved = zip(*team.map(level, _shares((*boxes, weight), team)))
            for direction in better:
                if direction is not None:
                    return Prediction(total, direction, looked_at)
            both = (half for pair in halved for half in pair)
            *opened, weight, excess = (np.concatenate(x) for x in zip(*both))
            boxes = tuple(opened)
            if len(weight) > sample:
                # the more it is above, the more boxes it has in it
                mass = np.cumsum(weight * excess)
                points = (rng.uniform() + np.arange(sample)) / sample * mass[-1]
                some = np.minimum(np.searchsorted(mass, points), len(mass) - 1)
                weight = mass[-1] / sample / excess[some]
                boxes = tuple(x[some] for x in boxes)
    return Prediction(total, None, looked_at)


def _level(
    data: Cone, G: float, bounder: Bounder, boxes: Boxes
) -> tuple[Array | None, tuple[Boxes, Boxes]]:
    """A better direction, if there is one; halves of the boxes that are open, with their weights
    and how far their bound is above."""
    U, W, mean, open_, weight = boxes
    found = bounder(data, G, U, W, mean, open_)
    still = ~(found.bound <= 0)  # what is no number proves nothing
    at = np.flatnonzero(still.any(axis=1))
    excess = found.bound[at].max(axis=1)
    more = weight[at], np.where(excess < np.inf, excess, 1.0)
    open_halves = halves(U[at], W[at], found.mean[at], still[at], found.edge[at], *more)
    return _better(data, G, found), open_halves


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
