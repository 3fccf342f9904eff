"""Numbers that stand for the edge of what float64 can tell."""

from __future__ import annotations

# Stands for zero in a denominator.
TINY = 1e-300
