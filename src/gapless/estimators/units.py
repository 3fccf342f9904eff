"""The units that a table is trained in, and networks from those to the user's and back.

Weight decay is a penalty on weights, whose size depends on the units of features and targets.
Standardised columns, ``(x - mean) / scale``, are penalised alike.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..core.checks import Array, listed
from ..core.network import Network
from ..core.rounding import EPS

# Columns whose deviations are this far apart are penalised so differently that a user should know.
FAR_APART = 100.0
# Rows that tell whether they are.
ENOUGH = 10_000
# Names in a warning, at most.
NAMED = 5


@dataclass(frozen=True)
class Units:
    """``(X - mean) / scale`` and ``(Y - y_mean) / y_scale``.

    Attributes
    ----------
    mean, scale : arrays of shape (n_features,)
    y_mean, y_scale : arrays of shape (n_outputs,)
    logarithms : bool
        Whether outputs are logarithms of targets, which then have a scale and no mean.
    """

    mean: Array
    scale: Array
    y_mean: Array
    y_scale: Array
    logarithms: bool = False

    @classmethod
    def learn(
        cls, X: Any, Y: Array, weights: Array | None = None, *, centred: bool, targets: str
    ) -> Units:
        """Of deviation one, and mean zero where asked.

        Parameters
        ----------
        X : array or CSR matrix of shape (n_samples, n_features)
        Y : array of shape (n_samples, n_outputs)
        weights : array of shape (n_samples,), optional
            Of the samples.
        centred : bool
            Whether columns get mean zero, of which sparse X would fill.
        targets : {"numbers", "classes", "logarithms"}
            Classes stay as they are; of numbers that have logarithms the mean becomes one.

        Returns
        -------
        Units
        """
        mean, scale = moments(X, weights)
        y_mean, y_scale = np.zeros(Y.shape[1]), np.ones(Y.shape[1])
        if targets == "numbers":
            y_mean, y_scale = moments(Y, weights)
        elif targets == "logarithms":
            y_scale = np.average(Y, axis=0, weights=weights)
        mean = mean if centred else np.zeros_like(mean)
        return cls(mean, scale, y_mean, y_scale, targets == "logarithms")

    def features(self, X: Any) -> Any:
        """``X`` in these units, a copy."""
        if sp.issparse(X):
            return sp.csr_array(X @ sp.diags_array(1 / self.scale))
        return (X - self.mean) / self.scale

    def targets(self, Y: Array) -> Array:
        """``Y`` in these units, a copy."""
        return (Y - self.y_mean) / self.y_scale

    def raw(self, network: Network) -> Network:
        """The same function, of a network in these units, in the user's."""
        U, (shift, unit) = network.hidden_weights / self.scale[:, None], self._outputs
        return Network(
            U,
            network.hidden_bias - self.mean @ U,
            network.output_weights * unit,
            network.output_bias * unit + shift,
        )

    def of_raw(self, network: Network) -> Network:
        """The same function, of a network in the user's units, in these."""
        U, (shift, unit) = network.hidden_weights, self._outputs
        return Network(
            U * self.scale[:, None],
            network.hidden_bias + self.mean @ U,
            network.output_weights / unit,
            (network.output_bias - shift) / unit,
        )

    @property
    def _outputs(self) -> tuple[Array, Array]:
        """What outputs in these units lack of the user's, and what they are multiplied by."""
        if self.logarithms:
            return np.log(self.y_scale), np.ones_like(self.y_scale)
        return self.y_mean, self.y_scale


def moments(X: Any, weights: Array | None = None) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, 1 for one that is constant but for rounding.

    Parameters
    ----------
    X : array or CSR matrix of shape (n_samples, n_columns)
    weights : array of shape (n_samples,), optional

    Returns
    -------
    mean, deviation : arrays of shape (n_columns,)

    Raises
    ------
    ValueError
        For numbers whose squares overflow.
    """
    mean, deviation = _spread(X, weights)
    if not np.all(np.isfinite(deviation)):
        raise ValueError("X or y has numbers whose squares overflow; rescale them")
    return mean, np.where(deviation == 0, 1.0, deviation)


@np.errstate(all="ignore")  # what overflows is no number here
def _spread(X: Any, weights: Array | None) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, 0 for one that is constant but for rounding."""
    n = X.shape[0]
    w = np.full(n, 1 / n) if weights is None else weights / np.sum(weights)
    mean = w @ X
    if sp.issparse(X):
        R, there = X.tocsr(copy=True), X.tocsr(copy=True)
        R.data = (R.data - mean[R.indices]) ** 2
        there.data = np.ones_like(there.data)
        variance = w @ R + np.maximum(1 - w @ there, 0.0) * mean**2
    else:
        R = X - mean
        variance = np.maximum(w @ R**2 - (w @ R) ** 2, 0.0)
    rounding = n * EPS * variance + (n * EPS * mean) ** 2
    return mean, np.where(variance <= rounding, 0.0, np.sqrt(variance))


def warn_of_scales(X: Any, weights: Array, names: Any) -> None:
    """One warning where columns are far apart: weight decay then is about the largest only.

    Parameters
    ----------
    X : array or CSR matrix of shape (n_samples, n_features)
    weights : array of shape (n_samples,)
    names : array of str or None
        Of the columns.
    """
    step = -(-X.shape[0] // ENOUGH)
    spread = _spread(X[::step], weights[::step])[1]
    used = np.flatnonzero((spread > 0) & np.isfinite(spread))  # not the constant ones
    if len(used) < 2 or spread[used].max() <= FAR_APART * spread[used].min():
        return
    order = used[np.argsort(spread[used])]
    called = [f"{j}" if names is None else repr(str(names[j])) for j in range(len(spread))]
    small = [called[j] for j in order if spread[j] < spread[order[-1]] / FAR_APART]
    warnings.warn(
        f"column {called[order[-1]]} varies by {spread[order[-1]]:.3g}, over {FAR_APART:.0f} times "
        f"what {listed(small, NAMED)} "
        f"{'does' if len(small) == 1 else 'do'}, so weight decay all but leaves the small out; "
        "scale=True standardises them",
        UserWarning,
        stacklevel=5,  # the caller of fit, above _units, _fit and fit
    )
