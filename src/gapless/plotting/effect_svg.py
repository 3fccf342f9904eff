"""Effects as SVG texts for a page: no library, colours by the page's own variables."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core.checks import Array
from ..readable.effects import Effect
from .axes import plain
from .readable import DOTS, LETTERS, window

# Size of a drawing, and the room of its plot: left, top, right, bottom.
WIDTH, HEIGHT = 320, 200
LEFT, TOP, RIGHT, BOTTOM = 46, 10, 312, 172
# Levels drawn of a categorical feature, those that most samples have.
LEVELS = 8
# Steps of colour of a heat map.
SHADES = 12
# Width of a digit, and a bit.
LETTER = 7
# Characters of a label, and of one beside the vertical axis.
LONGEST, SIDE = 14, 6


def drawing(
    effect: Effect,
    output: int,
    low: float,
    high: float,
    write: Callable[[float], str] | None = None,
) -> str:
    """One effect over the density of the data.

    Parameters
    ----------
    effect : Effect
    output : int
    low, high : float
        Ends of the vertical axis of curves and bars, shared by all effects of a page.
    write : callable, optional
        How a number of a curve's feature is written.

    Returns
    -------
    str
        An ``<svg>``.
    """
    if effect.kind == "pair":
        parts, told = _pair(effect, output), "heat map"
    elif effect.kind == "categorical":
        parts, told = _levels(effect, output, (low, high)), "bars"
    else:
        parts, told = _curve(effect, output, (low, high), write), "curve"
    label = html.escape(f"{told} of what {effect.name} adds", quote=True)
    inside = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">\n{inside}\n</svg>'


def heights(effect: Effect, output: int) -> tuple[float, float]:
    """Least and largest value of an effect, zero and a missing value's among them."""
    values = effect.values[:, output] if effect.kind == "pair" else window(effect, output)[1]
    if effect.missing is not None:
        values = np.append(values, effect.missing[output])
    return float(values.min(initial=0.0)), float(values.max(initial=0.0))


def ticks(low: float, high: float, count: int = 5) -> Array:
    """About ``count`` round numbers between ``low`` and ``high``."""
    rough = ((high - low) or 1.0) / count
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * next(s for s in (1, 2, 5, 10) if s * unit >= 0.999 * rough)
    # plus zero: none is a negative zero
    return np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step + 0.0


class _Axis:
    """A range of values on a range of the drawing."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        span = high - low
        self.low = low if span > 0 else low - 0.5
        self.scale = (end - start) / (span if span > 0 else 1.0)
        self.start = start

    def __call__(self, value: float) -> float:
        return self.start + (float(value) - self.low) * self.scale


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(short)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(x: float, y: float, width: float, height: float, kind: str, more: str = "") -> str:
    size = f'width="{max(width, 0.0):.1f}" height="{max(height, 0.0):.1f}"'
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size}{more}/>'


def _vertical(limits: tuple[float, float]) -> tuple[_Axis, list[str]]:
    """The axis of what is added, with its ticks and the line of zero."""
    low, high = limits
    margin = 0.06 * (high - low or 1.0)
    axis = _Axis(low - margin, high + margin, BOTTOM, TOP)
    parts = [_text(LEFT - 5, axis(v) + 4, plain(v), "end") for v in ticks(low, high)]
    return axis, [*parts, _line(LEFT, axis(0.0), RIGHT, axis(0.0), "zero")]


def _curve(
    effect: Effect,
    output: int,
    limits: tuple[float, float],
    write: Callable[[float], str] | None,
) -> Iterator[str]:
    """A linear spline; dots where it bends, a diamond for missing values."""
    x, y, _ = window(effect, output)
    end = RIGHT - (26 if effect.missing is not None else 0)
    across = _Axis(float(x[0]), float(x[-1]), LEFT, end)
    up, parts = _vertical(limits)
    if effect.density is not None:
        counts, edges = effect.density
        unit = (BOTTOM - TOP) / 3 / max(int(counts.max()), 1)
        for count, a, b in zip(counts, edges[:-1], edges[1:]):
            if count and len(x) > 1 and x[0] <= a and b <= x[-1]:
                width = across(b) - across(a)
                yield _rect(across(a), BOTTOM - unit * count, width, unit * count, "data")
    yield from parts
    points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in zip(x, y))
    yield f'<polyline class="curve" points="{points}"/>'
    for a, b in zip(x[1:-1], y[1:-1]) if len(x) <= DOTS else ():
        place = plain(a) if write is None else write(a)
        told = html.escape(f"{effect.name} = {place}: {b:+.4g}")
        yield (
            f'<circle class="kink" cx="{across(a):.1f}" cy="{up(b):.1f}" r="2.5">'
            f"<title>{told}</title></circle>"
        )
    if effect.missing is not None:
        at, value = RIGHT - 10, float(effect.missing[output])
        yield (
            f'<path class="lacks" d="M{at} {up(value) - 5:.1f}l5 5l-5 5l-5 -5z">'
            f"<title>missing: {value:+.4g}</title></path>"
        )
        yield _text(RIGHT, BOTTOM + 14, "missing", "end")
    last = RIGHT if effect.missing is None else RIGHT - 60
    write = write or partial(plain, digits=6)
    count = 5 if max(len(write(float(v))) for v in (x[0], x[-1])) <= LETTERS else 3
    for a in ticks(float(x[0]), float(x[-1]), count) if len(x) > 1 else x:
        if across(a) <= last:
            text = write(a)
            inside = min(across(a), WIDTH - LETTER / 2 * len(text))  # not cut off at the edge
            yield _text(inside, BOTTOM + 14, text)


def _levels(effect: Effect, output: int, limits: tuple[float, float]) -> Iterator[str]:
    """A bar a level, those of most samples; a missing value last."""
    up, parts = _vertical(limits)
    yield from parts
    counts = np.asarray(effect.density)
    kept = np.sort(np.argsort(-counts, kind="stable")[:LEVELS])
    bars = [(f"{effect.places[k]}", int(counts[k]), float(effect.values[k, output])) for k in kept]
    if effect.missing is not None:
        bars.append(("missing", -1, float(effect.missing[output])))
    room = (RIGHT - LEFT) / max(len(bars), 1)
    for k, (label, count, value) in enumerate(bars):
        top, bottom = up(max(value, 0.0)), up(min(value, 0.0))
        x = LEFT + room * (k + 0.15)
        told = f"{label}: {value:+.4g}" + (f", {count} samples" if count >= 0 else "")
        kind = "up" if value >= 0 else "down"
        bar = _rect(x, top, 0.7 * room, bottom - top, kind)
        yield f"{bar[:-2]}><title>{html.escape(told)}</title></rect>"
        letters = max(int(room / 6.5), 2)
        short = label if len(label) <= letters else f"{label[: letters - 1]}…"
        yield _text(LEFT + room * (k + 0.5), BOTTOM + 14, short)


def _pair(effect: Effect, output: int) -> Iterator[str]:
    """A heat map: neighbours of one shade are one rectangle."""
    xs, ys = (np.unique(effect.places[:, k]) for k in range(2))
    values = effect.values[:, output].reshape(len(xs), len(ys))
    top = float(np.abs(values).max()) or 1.0
    shades = np.rint(values / top * SHADES).astype(int)
    across, up = _Axis(0, len(xs), LEFT, RIGHT), _Axis(0, len(ys), BOTTOM, TOP)
    for j in range(len(ys)):
        starts = np.flatnonzero(np.diff(shades[:, j], prepend=SHADES + 1))
        for a, b in zip(starts.tolist(), [*starts[1:].tolist(), len(xs)]):
            shade = int(shades[a, j])
            if shade:
                more = f' fill-opacity="{abs(shade) / SHADES:.2f}"'
                kind = "up" if shade > 0 else "down"
                yield _rect(across(a), up(j + 1), across(b) - across(a), up(j) - up(j + 1), kind,
                            more)  # fmt: skip
    yield _rect(LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP, "frame")
    for place, text, anchor in _told(xs, effect.labels[0], across):
        yield _text(place, BOTTOM + 14, text, anchor)
    for place, text, anchor in _told(ys, effect.labels[1], up):
        yield _text(LEFT - 5, place + {"start": 0, "middle": 4, "end": 10}[anchor], text, "end")
    middle = (TOP + BOTTOM) / 2
    yield _text((LEFT + RIGHT) / 2, HEIGHT - 3, effect.names[0])
    side = html.escape(effect.names[1][:24])
    yield (
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        f"{side}</text>"
    )
    yield _text(RIGHT, HEIGHT - 3, f"±{top:.3g}", "end")


def _told(places: Array, labels: Any, axis: _Axis) -> Iterator[tuple[float, str, str]]:
    """Where along a side of a heat map which text stands, and how it is aligned."""
    if labels is None:
        yield axis(0), _number(places[0]), "start"
        yield axis(len(places)), _number(places[-1]), "end"
        return
    step = -(-len(labels) // LEVELS)
    for k in range(0, len(labels), step):
        yield axis(k + 0.5), str(labels[k])[:SIDE], "middle"


def _number(value: float) -> str:
    return f"{value:.3g}"


def importance_bars(names: Sequence[str], importances: Array) -> str:
    """Bars of HTML, the longest first.

    Parameters
    ----------
    names : sequence of str
    importances : array of shape (len(names),)
        Falling.

    Returns
    -------
    str
    """
    longest = float(importances[0]) if len(importances) and importances[0] > 0 else 1.0
    rows = "\n".join(
        f'<li><span class="name">{html.escape(name)}</span><span class="track"><span class="bar" '
        f'style="width:{100 * value / longest:.1f}%"></span></span>'
        f'<span class="value">{value:.3g}</span></li>'
        for name, value in zip(names, importances)
    )
    return f'<ul class="bars">\n{rows}\n</ul>'
