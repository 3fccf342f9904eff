"""Threads, ours and those of the linear algebra."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Part = TypeVar("Part")
Done = TypeVar("Done")


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(work: Callable[[Part], Done], parts: Sequence[Part], large: bool) -> list[Done]:
    """``work`` of each part, on all cores if that is ``large``."""
    if not large or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(cores()) as pool, blas_threads(1):
        return list(pool.map(work, parts))


def blas_threads(count: int | None) -> AbstractContextManager[object]:
    """At most ``count`` BLAS threads within it; as many as there are for ``None``."""
    return _blas().limit(limits=count, user_api="blas")


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries loaded; found once, as finding them takes longer than a small network."""
    return ThreadpoolController()
