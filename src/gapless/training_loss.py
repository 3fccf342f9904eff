"""Moved to :mod:`gapless.auditing.training_loss`; this face stays for one release."""

from .auditing.training_loss import *  # noqa: F403
