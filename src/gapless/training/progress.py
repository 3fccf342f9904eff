"""What a person sees of work under way: one line kept up to date on a terminal, else a line every
few seconds where that is asked for; with a time left that only falls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ..core.result import about
from ..core.watch import Watch
from .state import Progress

# Seconds from one line to the next where there is no terminal.
PERIOD = 5.0


@contextmanager
def progress(
    title: str, enabled: bool | None = None, tol: float = 1e-3, watch: Watch | None = None
) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for :func:`gapless.train` that tells on stderr how far training is.

    The time left is a guess, as if the estimated gap went on falling at its mean rate, or what
    ``watch`` leaves at most.

    Parameters
    ----------
    title : str
    enabled : bool, optional
        True shows a line on a terminal and writes one every few seconds elsewhere, False does
        neither; by default there is one on a terminal only.
    tol : float, default 1e-3
        The gap at which training ends.
    watch : Watch, optional
        Of the training.

    Yields
    ------
    callable or None
        None where nothing is shown.
    """
    left, gaps = Falling(watch), list[tuple[float, float]]()
    with _line(title, left, enabled, TimeElapsedColumn()) as show:
        if show is None:
            yield None
            return

        def report(info: Progress) -> None:
            c = info.certificate
            gaps.append((info.seconds, c.estimated_relative_gap))
            left.guess(time_left(gaps, tol))
            show(
                f"{title}: objective {c.objective:.6g}, {info.n_neurons} neurons, "
                f"gap proven {c.relative_gap:.1%}, estimated {about(c.estimated_relative_gap)}"
            )

        yield report


@contextmanager
def counter(
    title: str, enabled: bool | None, watch: Watch | None = None
) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for work in parts, or lines: call it with (done, total).

    Parameters
    ----------
    title : str
    enabled : bool or None
    watch : Watch, optional
        As in :func:`progress`.

    Yields
    ------
    callable or None
        None where nothing is shown.
    """
    left, begun = Falling(watch), time.perf_counter()
    with _line(title, left, enabled, BarColumn(), TimeElapsedColumn()) as show:
        if show is None:
            yield None
            return

        def report(done: int, total: int) -> None:
            if done:
                left.guess((time.perf_counter() - begun) * (total - done) / done)
            show(f"{title}: {done} of {total}", done, total)

        yield report


class Falling:
    """The time left in words; the number in it never rises.

    Parameters
    ----------
    watch : Watch, optional
        What it leaves is the most there can be.
    """

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch = watch
        self.least = np.inf
        self.known = False

    def guess(self, seconds: float | None) -> None:
        """Take note of an estimate; None says nothing."""
        if seconds is not None and seconds < self.least:
            self.least, self.known = max(seconds, 0.0), True

    def __str__(self) -> str:
        if self.watch is not None and self.watch.left < self.least:
            self.least, self.known = max(self.watch.left, 0.0), False
        if self.least == np.inf:
            return ""
        return f", {'about' if self.known else 'at most'} {np.ceil(self.least):.0f} s left"


@contextmanager
def _line(
    title: str, left: Falling, enabled: bool | None, *columns: BarColumn | TimeElapsedColumn
) -> Iterator[Callable[..., None] | None]:
    """What shows (text, done, total): on a terminal, as lines, or None for not at all."""
    console = Console(stderr=True)
    if enabled is False or (enabled is None and not console.is_terminal):
        yield None
    elif console.is_terminal:
        text = TextColumn("{task.description}")
        with Bar(SpinnerColumn(), text, *columns, console=console, transient=True) as bar:
            task = bar.add_task(f"{title}{left}", total=None)
            yield lambda what, done=0, total=None: bar.update(
                task, description=f"{what}{left}", completed=done, total=total
            )
    else:
        with _ticking(title, left, console) as show:
            yield show


@contextmanager
def _ticking(title: str, left: Falling, console: Console) -> Iterator[Callable[..., None]]:
    """Writes the latest text every :data:`PERIOD` seconds, also while nothing is told."""
    begun, ended, latest = time.perf_counter(), threading.Event(), [title]

    def tick() -> None:
        while not ended.wait(PERIOD):
            line = f"{latest[0]}, {time.perf_counter() - begun:.0f} s so far{left}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(what: str, done: int = 0, total: int | None = None) -> None:
        latest[0] = what

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield show
    finally:
        ended.set()
        ticker.join()


def time_left(gaps: Sequence[tuple[float, float]], tol: float) -> float | None:
    """Seconds until the gap is ``tol``, from (seconds, gap) so far; None while nobody can say.

    The logarithm of the gap is taken to fall at its mean rate over the last half of the rounds.

    Parameters
    ----------
    gaps : sequence of (seconds, gap)
    tol : float

    Returns
    -------
    float or None
    """
    start, before = gaps[len(gaps) // 2 - 1] if len(gaps) > 1 else gaps[0]
    now, gap = gaps[-1]
    if gap <= tol:
        return 0.0
    if not (now > start and gap < before < np.inf):
        return None
    return (now - start) * float(np.log(gap / tol) / np.log(before / gap))
