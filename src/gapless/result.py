"""Moved to :mod:`gapless.core.result`; this face stays for one release."""

from .core.result import *  # noqa: F403
