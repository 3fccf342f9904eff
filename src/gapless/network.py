"""Moved to :mod:`gapless.core.network`; this face stays for one release."""

from .core.network import *  # noqa: F403
