"""A progress line on a terminal; nothing in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from .train import Progress


@contextmanager
def progress(title: str, enabled: bool = True) -> Iterator[Callable[[Progress], None] | None]:
    """A callback for :func:`gapless.train` that keeps one line up to date on stderr."""
    console = Console(stderr=True)
    if not enabled or not console.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(info: Progress) -> None:
            c = info.certificate
            bar.update(
                task,
                description=f"{title}: objective {c.objective:.6g}, {info.n_neurons} neurons, "
                f"gap proven {c.relative_gap:.1%}, estimated {c.estimated_relative_gap:.2%}",
            )

        yield report


@contextmanager
def counter(title: str, enabled: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for work in parts: call it with (done, total)."""
    console = Console(stderr=True)
    if not enabled or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
