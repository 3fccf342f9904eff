"""Work beside each other in processes forked from this one, which takes no time to begin."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Done = TypeVar("Done")


def can_fork() -> bool:
    """Whether processes begin as copies of this one: elsewhere libraries do not survive it."""
    return sys.platform == "linux"


def forked(jobs: Sequence[Callable[[], Done]], count: int) -> Iterator[Done]:
    """What each job returns, in their order, each from a copy of this process.

    No other thread may hold a lock that jobs need, as the copy never sees it released: for
    commands, not for libraries.  Copies end with what they were asked for, also when this process
    is gone, and at once when the iteration ends early; Ctrl-C is this process's to answer.

    Parameters
    ----------
    jobs : sequence of callable
    count : int
        Processes at once.

    Yields
    ------
    what the jobs return

    Raises
    ------
    Exception
        What a job raised.
    ChildProcessError
        When a process ended without an answer, as one whose memory ran out does.
    """
    running: deque[tuple[Any, Connection]] = deque()
    try:
        for job in jobs:
            if len(running) == count:
                yield _answer(*running[0])
                running.popleft()
            running.append(_begun(job))
        while running:
            yield _answer(*running[0])
            running.popleft()
    finally:
        for process, _ in running:
            process.kill()
            process.join()


def beside(job: Callable[[], Done]) -> Callable[[], Done]:
    """What a job returns, from a copy of this process that begins now; where there is none, from
    this one when it is asked.  As :func:`forked` otherwise.

    Parameters
    ----------
    job : callable

    Returns
    -------
    callable
        To be asked once.
    """
    if not can_fork():
        return job
    running = _begun(job)
    return lambda: _answer(*running)


def _begun(job: Callable[[], object]) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, there), daemon=True)
    process.start()
    there.close()
    return process, here


def _work(job: Callable[[], object], there: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    answer: tuple[object, BaseException | None]
    try:
        answer = job(), None
    except BaseException as error:  # the parent raises it
        answer = None, error
    with suppress(OSError):  # nobody waits for it any more
        there.send(answer)


def _answer(process: Any, here: Connection) -> Any:
    try:
        done, error = here.recv()
    except EOFError:
        process.join()
        raise ChildProcessError(
            f"a process that trains beside this one ended with code {process.exitcode}, as when "
            "memory runs out; fit fewer rows"
        ) from None
    process.join()
    if error is not None:
        raise error
    return done
