"""Regression with the tangent kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, choose
from ..core.design import design_of
from ..core.rounding import TINY
from ..core.summary import Summarised
from ..structure.tangent_kernel import tangent_kernel
from .targets import Regression, validated

# Eigenvalues of the tangent kernel below this share are rounding; their inverse is not used.
SINGULAR = 1e-12


@dataclass(eq=False, repr=False)
class TangentKernelRegressor(Regression, Summarised, BaseEstimator):
    """Ridgeless regression with the neural tangent kernel: the minimum-norm interpolant.

    Parameters
    ----------
    bias : {"penalized", "none"}, default "penalized"
        Whether a constant feature is appended.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), section 5; Bietti & Mairal, NeurIPS 2019.

    Examples
    --------
    >>> X = [[-1.0], [0.0], [1.0]]
    >>> TangentKernelRegressor().fit(X, [1.0, 0.0, 1.0]).predict(X).round(6)
    array([1., 0., 1.])
    """

    bias: str = "penalized"

    proven = "Closed form: one linear system, exact up to rounding."

    def fit(self, X: Any, y: Any) -> TangentKernelRegressor:
        """Solve ``k(X, X) dual_coef_ = y`` on the eigenvalues above 1e-12 of the largest.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        y : array of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For another ``bias``.
        """
        choose("bias", self.bias, ("penalized", "none"))
        X, y = validated(self, X, y, y_numeric=True, multi_output=True, dtype=np.float64)
        self.X_ = self._lift(X)
        values, vectors = np.linalg.eigh(tangent_kernel(self.X_, self.X_))
        kept = values > SINGULAR * max(float(values[-1]), TINY)
        basis = vectors[:, kept]
        self.dual_coef_ = (basis / values[kept]) @ (basis.T @ self._targets(y))
        return self

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validated(self, X, reset=False, dtype=np.float64)
        return np.asarray(tangent_kernel(self._lift(X), self.X_) @ self.dual_coef_)

    def _lift(self, X: Array) -> Array:
        return design_of(X).with_ones().array() if self.bias == "penalized" else X
