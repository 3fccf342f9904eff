"""A progress line on a terminal, with the time left; nothing in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from ..core.result import about
from .state import Progress


@contextmanager
def progress(
    title: str, enabled: bool = True, tol: float = 1e-3
) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for :func:`gapless.train` that keeps one line up to date on stderr.

    The time left is a guess: as if the estimated gap went on falling at its mean rate.

    Parameters
    ----------
    title : str
    enabled : bool, default True
    tol : float, default 1e-3
        The gap at which training ends.

    Yields
    ------
    callable or None
        None without a terminal.
    """
    console = Console(stderr=True)
    if not enabled or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        gaps: list[tuple[float, float]] = []

        def report(info: Progress) -> None:
            c = info.certificate
            gaps.append((info.seconds, c.estimated_relative_gap))
            left = time_left(gaps, tol)
            bar.update(
                task,
                description=f"{title}: objective {c.objective:.6g}, {info.n_neurons} neurons, "
                f"gap proven {c.relative_gap:.1%}, estimated {about(c.estimated_relative_gap)}"
                + ("" if left is None else f", about {left:.0f} s left"),
            )

        yield report


@contextmanager
def counter(title: str, enabled: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for work in parts: call it with (done, total).

    Parameters
    ----------
    title : str
    enabled : bool, default True

    Yields
    ------
    callable or None
        None without a terminal.
    """
    console = Console(stderr=True)
    if not enabled or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
