"""Moved to :mod:`gapless.core.problem`; this face stays for one release."""

from .core.problem import *  # noqa: F403
