"""The batch-normalised last hidden layer in closed form, on arbitrary features.

Idea: Ergen & Pilanci, "Revealing the Structure of Deep Neural Networks via Convex Duality"
(ICML 2021); the values were derived anew and verified numerically.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, choose, to_2d
from ..core.deep_network import DeepSolution, Optimality
from ..core.hypotheses import Check, require
from ..core.problem import Problem
from .charges import proved
from .paths import Paths, two_layer_paths
from .units import dense_problem
from .whitening import thin_svd

# Outputs of a normalisation of a smaller norm are those of a constant: rounding.
FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class BatchNormHead:
    """Batch normalisation, ReLU and a linear output on top of features A.

    ``z = A W``, ``BN(z) = gamma (z - mean) / scale + shift``, ``F = BN(z)_+ W_out``.

    Parameters
    ----------
    weights : array of shape (n_features, width)
        Not penalised.
    mean, scale : arrays of shape (width,)
        Batch statistics: the mean, and the norm (``convention="unit"``) or the standard
        deviation ("torch", biased as in ``torch.nn.BatchNorm1d``, eps = 0) of z.
    gamma, shift : arrays of shape (width,)
        In the unit convention the shift is divided by sqrt(n_samples).
    output_weights : array of shape (width, n_outputs)
    n_samples : int
        Of the batch.
    convention : {"unit", "torch"}
    """

    weights: Array
    mean: Array
    scale: Array
    gamma: Array
    shift: Array
    output_weights: Array
    n_samples: int
    convention: str = "unit"

    def features(self, A: Any) -> Array:
        """Hidden layer after the ReLU, with the statistics of training.

        Parameters
        ----------
        A : array of shape (n_samples, n_features)
            Of any samples, not only the batch's.

        Returns
        -------
        array of shape (n_samples, width)
        """
        Z = (to_2d("A", A) @ self.weights - self.mean) / self.scale
        shift = self.shift / np.sqrt(self.n_samples) if self.convention == "unit" else self.shift
        return np.maximum(self.gamma * Z + shift, 0.0)

    def predict(self, A: Any) -> Array:
        """The outputs ``BN(A W)_+ W_out``.

        Parameters
        ----------
        A : array of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs)
        """
        return self.features(A) @ self.output_weights

    def penalty(self) -> float:
        """Half the squares of gamma, shift and output weights.

        Returns
        -------
        float
            Not yet multiplied by the weight decay.
        """
        return 0.5 * float(
            np.sum(self.gamma**2) + np.sum(self.shift**2) + np.sum(self.output_weights**2)
        )

    def objective(self, problem: Problem) -> float:
        """Mean loss plus weight decay on gamma, shift and output weights.

        Parameters
        ----------
        problem : Problem
            Its X are the features A.

        Returns
        -------
        float
        """
        fit = problem.data_fit(self.predict(problem.X))
        return fit + problem.weight_decay * self.penalty()


def solve_batch_norm_head(
    A: Any,
    Y: Any,
    weight_decay: float,
    convention: str = "unit",
    loss: str = "squared",
    tol: float = 1e-8,
) -> DeepSolution:
    """Optimal batch-normalised last hidden layer on arbitrary features.

    Batch normalisation makes every vector in the span of [1, A] reachable at a price that
    does not depend on A, so the problem is the two-layer one on whitened data.  ``A`` are
    the data themselves or the last hidden features of lower layers; weights below the
    normalisation are not penalised (decay there leaves the infimum, which is then not
    attained).

    Parameters
    ----------
    A : array of shape (n_samples, n_features)
    Y, loss
        As in :func:`solve_whitened_relu`.
    weight_decay : float
        On gamma, shift and output weights.
    convention : {"unit", "torch"}
        "unit": z is scaled to norm 1 and the shift multiplies 1/sqrt(n).  "torch": unit
        variance as in ``torch.nn.BatchNorm1d`` (full batch, eps = 0), which divides the
        effective weight decay by sqrt(n_samples).
    tol : float
        Largest distance of an active direction from the span of [1, A].

    Returns
    -------
    DeepSolution
        Its network a :class:`BatchNormHead`, ``PROVED`` by a dual point.

    Raises
    ------
    HypothesisError
        When an active direction is not in the span; the closed form is then only a lower
        bound.  n_samples - 1 independent features are enough.
    """
    problem = dense_problem(A, Y, loss, weight_decay)
    choose("convention", convention, ("unit", "torch"))
    kappa = 1.0 if convention == "unit" else float(np.sqrt(problem.n_samples))
    paths, checks, dual = two_layer_paths(problem, problem.weight_decay, kappa, kappa)
    on = paths.size > 0
    W, span = _directions(problem.X, paths.A[:, on], tol)
    head = _head(problem.X, W, paths, kappa, convention)
    objective, formula = head.objective(problem), paths.value / problem.n_samples
    optimality = proved(objective, dual, Optimality.UPPER_BOUND)
    return DeepSolution(head, objective, formula, dual, dual, optimality, (span, *checks))


def _directions(X: Array, U: Array, tol: float) -> tuple[Array, Check]:
    """Weights W with ``X W`` equal to the active directions U but for constants."""
    n = len(X)
    design = np.hstack([np.ones((n, 1)), X])
    basis, s, right = thin_svd(design)
    coefficients = right @ (basis.T @ U / s[:, None])
    residual = float(np.linalg.norm(design @ coefficients - U, axis=0).max(initial=0.0))
    span = require(
        "targets in the span of [1, A]",
        residual,
        tol,
        f"the rank of [1, A] is {len(s)}: use at least {n - 1} independent features "
        "(for example a wider layer below)",
    )
    return coefficients[1:], span


def _head(X: Array, W: Array, paths: Paths, kappa: float, convention: str) -> BatchNormHead:
    """Statistics of ``X W``, and the gains that turn them into the active paths."""
    n, on = len(X), paths.size > 0
    U, gain = paths.A[:, on], np.sqrt(paths.size[on] / kappa)
    Z = X @ W
    norm = np.linalg.norm(Z - Z.mean(axis=0), axis=0)
    flat = norm <= FLAT  # one class only: the path is constant and gamma is zero
    return BatchNormHead(
        W,
        Z.mean(axis=0),
        np.where(flat, 1.0, norm if convention == "unit" else norm / np.sqrt(n)),
        np.where(flat, 0.0, np.linalg.norm(U - U.mean(axis=0), axis=0)) * gain,
        U.sum(axis=0) / np.sqrt(n) * gain,
        gain[:, None] * paths.V[on],
        n,
        convention,
    )
