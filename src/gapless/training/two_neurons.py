"""The sparsest interpolating network: two neurons, and when they are also of minimum norm.

With linearly independent rows two neurons always interpolate one output (Ergen & Pilanci, JMLR
2021, Lemma 9), and no single one does when signs are mixed; Lemma 10 says when they are also of
minimum norm, which :func:`l0_l1_equivalence` decides by duality.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import to_2d
from ..core.network import Network
from .interpolate import Interpolation, interpolate


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Whether the sparsest interpolating network is also of minimum norm.

    Attributes
    ----------
    holds : bool or None
        True by a dual point, False by an interpolating network of smaller norm, None when
        neither was found.
    sparsest : Network
        The two-neuron network of Lemma 9.
    norm : float
        Its norm ``||X^+ y_+|| + ||X^+ (-y)_+||``.
    shortest : Interpolation
    """

    holds: bool | None
    sparsest: Network
    norm: float
    shortest: Interpolation


def two_neuron_interpolation(X: Any, y: Any) -> Network:
    """The sparsest interpolating network of linearly independent samples (JMLR 2021, Lemma 9).

    ``u_1 ~ X^+ y_+`` and ``u_2 ~ X^+ (-y)_+``, weights the lengths of the two: no biases.  One
    neuron when all targets have one sign.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Linearly independent rows.
    y : array of shape (n_samples,) or (n_samples, 1)

    Returns
    -------
    Network
        At most two neurons, balanced, with ``f(X) = y`` to rounding.

    Raises
    ------
    ValueError
        For more than one output, or rows of X that are linearly dependent.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Lemma 9.

    Examples
    --------
    >>> import numpy as np
    >>> network = two_neuron_interpolation(np.eye(3), [1.0, 2.0, -1.0])
    >>> network.n_neurons, network.predict(np.eye(3))[:, 0].round(6)
    (2, array([ 1.,  2., -1.]))
    """
    X, Y = to_2d("X", X), to_2d("y", y)
    if Y.shape != (len(X), 1):
        raise ValueError(f"y must have one target a sample, shape ({len(X)},), got {Y.shape}")
    rank = int(np.linalg.matrix_rank(X))
    if rank < len(X):
        raise ValueError(
            f"X has {len(X)} samples but rank {rank}; two neurons interpolate only linearly "
            "independent samples, use interpolate()"
        )
    sides = np.hstack([np.maximum(Y, 0.0), np.maximum(-Y, 0.0)])
    U = np.linalg.lstsq(X, sides, rcond=None)[0]
    return Network(U, np.zeros(2), np.array([[1.0], [-1.0]]), np.zeros(1)).balance("none")


def l0_l1_equivalence(X: Any, y: Any, tol: float = 1e-4) -> Equivalence:
    """Decide Lemma 10: is the network of fewest neurons one of least norm?

    The condition of the lemma, a v of gauge at most 1 with ``v.(X u_1)_+ = 1`` and
    ``v.(X u_2)_+ = -1``, says that ``v.y`` equals the norm of the two-neuron network: that v
    is dual optimal.  So minimum-norm interpolation decides it both ways, up to ``tol``.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Linearly independent rows.
    y : array of shape (n_samples,) or (n_samples, 1)
    tol : float, default 1e-4
        Relative difference of norms that counts as none.

    Returns
    -------
    Equivalence

    Raises
    ------
    ValueError
        As :func:`two_neuron_interpolation`, and for a ``tol`` that is not positive.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Lemmas 9 and 10.

    Examples
    --------
    >>> import numpy as np
    >>> l0_l1_equivalence(np.eye(3), [1.0, 2.0, -1.0]).holds
    True
    """
    sparsest = two_neuron_interpolation(X, y)
    norm = sparsest.penalty("none")
    shortest = interpolate(X, y, bias="none", tol=0.1 * tol)
    holds = None
    if shortest.certificate.lower_bound >= norm * (1 - tol):
        holds = True
    elif shortest.certificate.objective < norm * (1 - tol):
        holds = False
    return Equivalence(holds, sparsest, norm, shortest)
