"""What float64 does to numbers, and the numbers that stand for zero."""

from __future__ import annotations

import numpy as np

# Spacing of the floats at one: twice the relative error of a rounded result.
EPS = float(np.finfo(float).eps)
# Stands for zero in a denominator or a logarithm, and as the absolute tolerance of a root that is
# to be found to a relative one: below every size a computation meets, its inverse still finite.
TINY = 1e-300
