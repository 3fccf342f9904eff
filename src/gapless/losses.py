"""Moved to :mod:`gapless.core.losses`; this face stays for one release."""

from .core.losses import *  # noqa: F403
