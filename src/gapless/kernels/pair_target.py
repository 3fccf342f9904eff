"""What no hidden map can beat before a layer that is trained on pairs.

The layer is ``f(x) = W phi(F x) + b``, phi the feature map of a Gaussian kernel (1 within, 0 the
infimum, so ``||phi_i - phi_j|| <= D = sqrt(2)``), and it minimises over pairs of samples

    mean |G*_ij - exp(-scale ||f_i - f_j||^2)|^power + tau ||W||_F,

G* one within a class and zero across.  A pair across classes has ``||f_i - f_j|| <= D ||W||_F``
and loses at least ``exp(-b ||W||_F^2)``, ``b = power scale D^2``; one within a class loses nothing
or more.  With s the share of pairs across, every hidden map F and every W, b have an objective of
at least

    min over r >= 0 of  s exp(-b r^2) + tau r,

which stands at r = 0, or where ``2 b s r exp(-b r^2) = tau`` for the second time.  For two classes
a map with kernel 1 within and 0 across attains it.  That is the target of Theorem 2 of Duan et
al., found as that of Theorem 1 is in :mod:`gapless.kernels.alignment`; the layer is worth more
than W = 0 only for ``tau < s sqrt(b) max_x (1 - exp(-x^2)) / x``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import lambertw

from ..core.checks import Array, not_negative, positive
from .alignment import DISTANCE, PAIRED_ROWS, pairwise_loss
from .machine import Kernel, KernelMachine

# max over x > 0 of (1 - exp(-x^2)) / x, at x = 1.1209, rounded down.
STEEPEST = 0.638172686
# Far more than exp, W and their products round.
ROUNDING = 1e-12


@dataclass(frozen=True)
class PairTarget:
    """What is proven of all hidden maps before a layer trained on pairs.

    Parameters
    ----------
    tau : float
    threshold : float
        From which tau on no layer after any hidden map is better than W = 0.
    holds : bool
        Whether tau is below it.  Sufficient only, for two classes, and for a map that a Gaussian
        kernel never attains.
    objective : float
        Of the layer: the loss of pairs plus ``tau ||W||``.
    lower_bound : float
        Proven: no hidden map and no layer after it, on samples of these class shares, are below.
    """

    tau: float
    threshold: float
    holds: bool
    objective: float
    lower_bound: float


def pair_target(
    machine: KernelMachine,
    inputs: Any,
    labels: Array,
    tau: float,
    *,
    scale: float = 1.0,
    power: float = 2.0,
) -> PairTarget:
    """Test the target of hidden maps before a layer that is trained on pairs.

    Parameters
    ----------
    machine : KernelMachine
        The layer: of a network with ``hidden="srs"`` one of ``hidden_[l].machine``.
    inputs : array or sparse matrix of shape (n_samples, n_features)
        What it sees, the outputs of the layers before.
    labels : array of shape (n_samples,)
    tau : float
        Price of ``||W||``, 0 or above.
    scale, power : float, default 1 and 2
        Of the next layer's kernel, and of the loss.

    Returns
    -------
    PairTarget

    Raises
    ------
    ValueError
        For bad numbers, more than 2000 samples, and what
        :func:`gapless.kernels.alignment.pairwise_loss` refuses.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gapless import pair_target
    >>> from gapless.kernels.layer import LayerRule, fit_layer
    >>> X, y = load_iris(return_X_y=True)
    >>> T = 3.0 * np.eye(3)[y]
    >>> machine = fit_layer(X, T, LayerRule(1.0, 1e-3), np.random.RandomState(0)).machine
    >>> found = pair_target(machine, X, y, tau=0.01)
    >>> found.holds, found.lower_bound <= found.objective
    (True, True)
    """
    tau, power = not_negative("tau", tau), positive("power", power)
    labels = np.asarray(labels)
    if len(labels) > PAIRED_ROWS:  # of which pairwise_loss would take some
        raise ValueError(f"pairs of at most {PAIRED_ROWS} samples are compared, got {len(labels)}")
    loss = pairwise_loss(machine.outputs(inputs), labels, scale, power)
    gram = Kernel(machine.kernel.scale).matrix(machine.centres, machine.centres)
    A = machine.coefficients
    norm = float(np.sqrt(max(float(np.sum(A * (gram @ A))), 0.0)))
    n, counts = len(labels), np.unique(labels, return_counts=True)[1]
    across = 1.0 - float(counts @ (counts - 1)) / max(n * (n - 1), 1)
    steepness = power * scale * DISTANCE**2
    threshold = STEEPEST * across * float(np.sqrt(steepness))
    bound = _least(across, steepness, tau)
    return PairTarget(tau, threshold, tau < threshold, loss + tau * norm, bound)


def _least(share: float, b: float, tau: float) -> float:
    """The least of ``share exp(-b r^2) + tau r`` over r >= 0."""
    if tau == 0 or share == 0:
        return 0.0
    argument = -((tau / share) ** 2) / (2 * b)
    if argument < -np.exp(-1.0):  # falls nowhere
        return share
    r = float(np.sqrt(-lambertw(argument, -1).real / (2 * b)))
    return (1 - ROUNDING) * min(share, share * float(np.exp(-b * r * r)) + tau * r)
