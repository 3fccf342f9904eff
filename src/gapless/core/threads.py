"""Threads of the linear algebra."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def blas_threads(count: int | None) -> AbstractContextManager[object]:
    """At most ``count`` BLAS threads within it; as many as there are for ``None``."""
    return _blas().limit(limits=count, user_api="blas")


@cache
def _blas() -> ThreadpoolController:
    """The BLAS libraries loaded; found once, as finding them takes longer than a small network."""
    return ThreadpoolController()
