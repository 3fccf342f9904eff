"""Branch and bound over boxes of directions: is no neuron above ``G ||u||``?

Every direction is, up to its length, on one of the faces ``u_k = 1, |u_j| <= 1`` of a cube, which
are the first boxes; both signs of u are asked for in each.  A :class:`Tiling` halves them until all
are below G, depth first, many at a time, and remembers of each what was proven on it: a nearer G
goes on where the last one ended.  Centres and widths are dyadic, hence exact: boxes tile the faces
exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ..core.checks import Array
from ..core.rounding import EPS
from ..core.threads import blas_threads
from .boxes import Bounder, Cone, Found

# Boxes of a step, at most, and numbers: what half a second takes.
BATCH, NUMBERS = 4096, 1 << 26
# Edges narrower than two to the power of less this are not halved: sums of dyadic numbers would no
# longer be exact.
NARROWEST = 40
# Boxes of a level that a prediction looks at, at most, and those that no search bounds.
SAMPLED, NEVER = 512, 1e12
# Vertices of a batch whose values are looked at.
LOOKED_AT = 16
# Boxes of a tree that is recorded at most, a byte each: half of what the checker takes.
RECORDED = 1 << 24
# Bytes of boxes that are kept for a nearer G: eighty million or so, ten minutes of two cores.
KEPT = 1 << 32
# Guesses are kept in so many steps; edges as powers of two, NONE where they have no length, with
# their half-widths, and what centres are multiples of.
GUESSES, NONE = 127, 127
WIDTHS = np.append(2.0 ** -np.arange(NONE), 0.0)
UNITS = np.append(WIDTHS[:NONE], 1.0)
# Of boxes that have not been bounded at this G, in place of the edge to halve.
UNKNOWN = 255

#: Centres as multiples of half-widths, in as few bytes as hold them, half-widths as powers of two,
#: guesses, levels of both signs or whether they are open, and what else is known of boxes: in a
#: tiling which edge to halve and their names.
Boxes: TypeAlias = tuple[Array, ...]
#: ``h(u) / ||u||`` of a direction u, and that.
Best: TypeAlias = tuple[float, Array | None]

NOTHING: Best = (-np.inf, None)


@dataclass(frozen=True)
class Team:
    """Threads among which boxes are shared.

    Attributes
    ----------
    count : int
    begin : callable
        Begins ``task(*args)`` on one of them and returns what waits for its result.
    """

    count: int
    begin: Callable[..., Callable[[], Any]]

    def map(self, task: Callable[..., Any], args: Iterable[Any]) -> list[Any]:
        return [wait() for wait in [self.begin(task, arg) for arg in args]]


ALONE = Team(1, partial)


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a search of boxes ended.

    Attributes
    ----------
    closed : bool
        Whether every box was: no direction has ``h(u) > G ||u||``, but for rounding.
    direction : array of shape (D,) or None
        The best met, if it is better than what was known; it ended where ``h(u) > G ||u||``.
    value : float
        Its ``h(u) / ||u||``.
    boxes : int
        Boxes bounded.
    """

    closed: bool
    direction: Array | None
    value: float
    boxes: int


class Tiling:
    """Boxes that tile all directions, and what is proven of each.

    The *level* of a box, for a sign of u, is a G for which ``h(u) <= G ||u||`` has been proven on
    it, but for rounding; infinite at first.

    Parameters
    ----------
    normed : array of shape (D,)
        As a :class:`gapless.gauge.boxes.Cone` has it.
    record : bool, default False
        Whether :meth:`tree` will be asked for.
    room : float
        Bytes of boxes that are kept for a nearer G; of others only the largest level is, and a G
        below that begins anew.

    Attributes
    ----------
    size : int
        Boxes that there are or have been.
    """

    def __init__(self, normed: Array, record: bool = False, room: float = KEPT) -> None:
        self._normed, self._record, self._room = normed, record, room
        self._begin()

    def _begin(self) -> None:
        self.size, whole = 0, _whole(self._normed)
        level = np.full((len(whole[0]), 2), np.inf)
        edge = np.full(len(level), UNKNOWN, dtype=np.uint8)
        self._G, boxes = np.inf, (*whole, level, edge, self._names(len(level)))
        self._parts: list[Boxes] = [boxes]
        self._cuts: list[tuple[Array, Array]] = []  # boxes halved, and their edges from 1
        self._forgotten = -np.inf  # the largest level of boxes that were not kept

    @property
    def forgetful(self) -> bool:
        """Whether boxes were not kept."""
        return self._forgotten > -np.inf

    @property
    def levels(self) -> Array:
        """Of each box, the larger of its two, and of all that were not kept."""
        return np.concatenate([[self._forgotten], *map(_top, self._parts)])

    def lower(
        self,
        data: Cone,
        G: float,
        bounder: Bounder,
        stop: Callable[[], bool],
        team: Team = ALONE,
        goal: float = 0.0,
        known: float = np.inf,
    ) -> Outcome:
        """Bound boxes at G and halve them, until no level is above ``goal``.

        Parameters
        ----------
        data : Cone
            The same each time.
        G : float
        bounder : callable
        stop : callable
            Asked before each batch.
        team : Team
        goal : float
            G itself, if that is more.  The next one, at the same G, goes on where this one ends.
        known : float
            What a direction is to have of ``h(u) / ||u||`` to be worth a word: G, if that is less.

        Returns
        -------
        Outcome
            Where it ends early, what was proven until then stays.
        """
        goal = max(G, goal)
        if self._forgotten > goal:
            self._begin()
        if G != self._G:  # what is known of edges is known at another
            self._G, self._parts = G, [_unknown(part) for part in self._parts]
        batch, bounded = batch_size(data), 0
        best: Best = (min(known, G), None)
        step = partial(_step, data, G, goal, bounder)
        try:
            stack = self._above(goal, batch)
            room = self._room - sum(x.nbytes for part in self._parts for x in part)
            left: list[Boxes] = []  # where it ends early
            with blas_threads(1):  # each of the team has one
                for boxes, found in _steps(stack, batch, step, stop, team):
                    bounded += int(np.sum(boxes[4] == UNKNOWN))
                    best = max(best, found.best, key=lambda one: one[0])
                    if left or found.narrow or best[0] > G:
                        left += [boxes, *stack]
                        stack.clear()
                        continue
                    if len(found.cut):
                        stack.append(self._halved(found))
                    if len(found.closed[0]):
                        if (room := room - sum(x.nbytes for x in found.closed)) > 0:
                            self._parts.append(found.closed)
                        else:
                            level = float(found.closed[3].max())
                            self._forgotten = max(self._forgotten, level)
            left += stack
            self._parts += map(_ordered, left)
        except BaseException:
            self._forgotten = np.inf  # those in the air are lost
            raise
        return Outcome(not left, best[1], best[0], bounded)

    def tree(self, batch: int) -> Array:
        """For each box, 0, or the edge it was halved at, counted from 1.

        Parameters
        ----------
        batch : int

        Returns
        -------
        array of uint8
            The boxes as a stack gives them up, ``batch`` at a time.
        """
        first = len(roots(self._normed)[0])
        code, low = np.zeros(self.size, dtype=np.uint8), np.zeros(self.size, dtype=np.int64)
        high, at = low.copy(), first
        for names, edges in self._cuts:
            code[names], low[names] = edges, at + np.arange(len(names))
            high[names] = low[names] + len(names)
            at += 2 * len(names)
        stack: list[Boxes] = [(np.arange(first),)]
        order = []
        while stack:
            (boxes,) = _take(stack, batch)
            order.append(boxes)
            cut = boxes[code[boxes] > 0]
            if len(cut):
                stack.append((np.concatenate([low[cut], high[cut]]),))
        return code[np.concatenate(order)]

    def _above(self, level: float, batch: int) -> list[Boxes]:
        """Take the boxes above this level out, as a stack that gives the highest up first: ended
        early, what is done counts."""
        parts, self._parts, opened = self._parts[::-1], [], []
        while parts:
            part = parts.pop()  # and give it up: all of them twice would be too many
            high = int(np.sum(_top(part) > level))
            if high:
                opened.append(tuple(x[:high] for x in part))
                part = tuple(x[high:].copy() for x in part)
            if len(part[3]):
                self._parts.append(part)
        if not opened:
            return []
        order = np.argsort(-np.concatenate([_top(part) for part in opened]), kind="stable")
        columns = [list(x) for x in zip(*opened)]
        opened.clear()  # one column twice, not all of them
        boxes = tuple(np.concatenate(columns.pop(0))[order] for _ in range(len(columns)))
        starts = reversed(range(0, len(order), batch))
        return [tuple(x[i : i + batch] for x in boxes) for i in starts]

    def _halved(self, step: _Step) -> Boxes:
        """The halves of what was cut, named: lows first, by numbers for :meth:`tree`."""
        if self._record:
            self._cuts.append((step.cut, step.edge))
        return (*step.halves, self._names(len(step.halves[0])))

    def _names(self, count: int) -> Array:
        """Of new boxes, a row each: numbers for :meth:`tree`, else nothing."""
        self.size += count
        return np.arange(self.size - count, self.size) if self._record else np.empty((count, 0))


@dataclass(frozen=True, eq=False)
class _Step:
    """What came of boxes: the best direction looked at; whether one is too narrow to halve;
    those closed; names of those cut, their edges from 1, and their halves, lows first."""

    best: Best
    narrow: bool
    closed: Boxes
    cut: Array
    edge: Array
    halves: Boxes


def _steps(
    stack: list[Boxes],
    batch: int,
    step: Callable[[Boxes], _Step],
    stop: Callable[[], bool],
    team: Team,
) -> Iterator[tuple[Boxes, _Step]]:
    """What comes of the boxes on a stack that grows meanwhile, in the order of their beginning."""
    begun: deque[tuple[Boxes, Callable[[], _Step]]] = deque()
    while True:
        # one more than there are threads, so that none waits for what is made of the last
        while stack and len(begun) <= team.count and not stop():
            boxes = _take(stack, _share(stack, batch, team))
            begun.append((boxes, team.begin(step, boxes)))
        if not begun:
            return
        boxes, wait = begun.popleft()
        yield boxes, wait()


def _step(data: Cone, G: float, goal: float, bounder: Bounder, boxes: Boxes) -> _Step:
    times, power, *known, names = boxes
    guess, level, edge = (x.copy() for x in known)
    new, best = np.flatnonzero(edge == UNKNOWN), NOTHING
    asked = level[new] > G
    if len(new):
        U, W, mean = _unpacked(times[new], power[new], guess[new])
        found = bounder(data, G, U, W, mean, asked)
        # over the longest of the box or the shortest; what is no number proves nothing
        size = np.abs(U) * data.normed
        longest = np.linalg.norm(size + W * data.normed, axis=1)[:, None]
        shortest = np.linalg.norm(np.maximum(size - W, 0.0), axis=1)[:, None]
        shortest *= 1 - len(data.normed) * EPS
        proven = G + found.bound / np.where(found.bound <= 0, longest, shortest)
        level[new] = np.where(asked, np.fmin(level[new], proven), level[new])
        guess[new], edge[new] = np.rint(GUESSES * found.mean), found.edge
        best = _best(data, found)
    boxes = times, power, guess, level, edge, names
    open_ = _top(boxes) > goal
    closed = _ordered(tuple(x[~open_] for x in boxes))
    times, power, guess, level, edge, names = (x[open_] for x in boxes)
    halves = _halves(times, power, guess, edge)
    narrow = bool(np.any(power[np.arange(len(edge)), edge] > NARROWEST))
    unknown = np.full(2 * len(edge), UNKNOWN, dtype=np.uint8)
    halved = *halves, np.concatenate([level, level]), unknown
    return _Step(best, narrow, closed, names, edge + np.uint8(1), halved)


def _top(boxes: Boxes) -> Array:
    return np.maximum(boxes[3][:, 0], boxes[3][:, 1])


def _ordered(boxes: Boxes) -> Boxes:
    """The highest first."""
    order = np.argsort(-_top(boxes), kind="stable")
    return tuple(x[order] for x in boxes)


def _unknown(boxes: Boxes) -> Boxes:
    *known, edge, names = boxes
    return *known, np.full_like(edge, UNKNOWN), names


def _unpacked(times: Array, power: Array, guess: Array) -> tuple[Array, Array, Array]:
    """Centres, half-widths and guesses."""
    return times * UNITS[power], WIDTHS[power], guess / GUESSES


def _halves(times: Array, power: Array, guess: Array, edge: Array) -> tuple[Array, Array, Array]:
    """Both halves of boxes, cut at ``edge``: all lows, then all highs."""
    low, high = np.arange(len(edge)), np.arange(len(edge), 2 * len(edge))
    middle, seen = 2 * times[low, edge].astype(np.int64), guess[low, edge].astype(np.int16)
    largest = int(np.abs(middle).max(initial=0)) + 1
    kind = np.promote_types(times.dtype, np.min_scalar_type(-largest - 1))
    times, power, guess = (np.concatenate([x, x]) for x in (times.astype(kind), power, guess))
    times[low, edge], times[high, edge] = middle - 1, middle + 1
    power[low, edge] = power[high, edge] = np.minimum(power[low, edge], NONE - 1) + 1
    # the guess stays where it is, or as near as the half comes
    guess[low, edge] = np.minimum(2 * seen + GUESSES, GUESSES)
    guess[high, edge] = np.maximum(2 * seen - GUESSES, -GUESSES)
    return times, power, guess


def batch_size(data: Cone) -> int:
    """Boxes of a step."""
    return int(np.clip(NUMBERS // len(data.normed) // max(data.n_samples, 1), 64, BATCH))


def _share(stack: list[Boxes], most: int, team: Team) -> int:
    """How many boxes one of the team takes: of few all have some."""
    if len(stack) > team.count:
        return most
    return min(most, -(-sum(len(boxes[0]) for boxes in stack) // team.count))


def _shares(boxes: Boxes, team: Team) -> list[Boxes]:
    """Boxes shared out among the team, those that stand together to all of them."""
    count = min(team.count, len(boxes[0]))
    return [tuple(np.ascontiguousarray(x[i::count]) for x in boxes) for i in range(count)]


def _best(data: Cone, found: Found) -> Best:
    """The best of the vertices of boxes."""
    # looking at vertices costs as much as a bound: a few of the best will do
    best = np.argsort(-found.bound.max(axis=1), kind="stable")[:LOOKED_AT]
    corners = found.vertex[best]
    values = data.value(corners) / np.linalg.norm(corners * data.normed, axis=1)
    first = int(np.argmax(values))
    return float(values[first]), corners[first]


def _whole(normed: Array) -> tuple[Array, Array, Array]:
    """All directions, with the guess at the centre."""
    U, W = (x.astype(np.int8) for x in roots(normed))
    return U, np.where(W > 0, np.int8(0), np.int8(NONE)), np.zeros_like(U)


def roots(normed: Array) -> tuple[Array, Array]:
    """Centres and half-widths of the faces; a coordinate outside the norm has no face."""
    D = len(normed)
    faces = np.flatnonzero(normed)
    return np.eye(D)[faces], 1.0 - np.eye(D)[faces]


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
    whole, total, looked_at = _whole(data.normed), 0.0, 0
    weight = np.ones(len(whole[0]))
    boxes: Boxes = *whole, np.ones((len(weight), 2), dtype=bool)
    level = partial(_level, data, G, bounder)
    with blas_threads(1):
        while (n := len(weight)) and total <= enough and not stop():
            total += weight.sum()
            looked_at += n
            better, halved = zip(*team.map(level, _shares((*boxes, weight), team)))
            value, direction = max(better, key=lambda found: found[0])
            if value > G:
                return Prediction(total, direction, looked_at)
            *opened, weight, excess = (np.concatenate(x) for x in zip(*halved))
            boxes = tuple(opened)
            if len(weight) > sample:
                # the more it is above, the more boxes it has in it
                mass = np.cumsum(weight * excess)
                points = (rng.uniform() + np.arange(sample)) / sample * mass[-1]
                some = np.minimum(np.searchsorted(mass, points), len(mass) - 1)
                weight = mass[-1] / sample / excess[some]
                boxes = tuple(x[some] for x in boxes)
    return Prediction(total, None, looked_at)


def _level(data: Cone, G: float, bounder: Bounder, boxes: Boxes) -> tuple[Best, Boxes]:
    """The best direction looked at; halves of the boxes that are open, with their weights
    and how far their bound is above."""
    times, power, guess, open_, weight = boxes
    found = bounder(data, G, *_unpacked(times, power, guess), open_)
    still = ~(found.bound <= 0)  # what is no number proves nothing
    at = np.flatnonzero(still.any(axis=1))
    excess = found.bound[at].max(axis=1)
    more = still[at], weight[at], np.where(excess < np.inf, excess, 1.0)
    guess = np.rint(GUESSES * found.mean[at]).astype(np.int8)
    halves = _halves(times[at], power[at], guess, found.edge[at])
    return _best(data, found), (*halves, *(np.concatenate([x, x]) for x in more))


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
