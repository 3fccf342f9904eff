"""scikit-learn estimators trained by a closed form: one singular value decomposition.

The ReLU estimators map the samples to orthogonal ones before they train: with
``[X, 1] = U diag(s) V^T`` the network sees ``sqrt(n) U``, and ``weight_decay`` acts on THAT
representation and not on the weights over the original features (which ``network_`` holds,
the map folded in).  Nothing then depends on how the features are scaled or correlated, as in
a discriminant analysis, and with the factor sqrt(n) a class of share p in a network of two
layers is lost from ``weight_decay = sqrt(p)`` on, whatever the number of samples.

They are meant for wide data (more features than samples: embeddings, spectra, genes), where
they interpolate up to the weight decay.  With more samples than the rank of the data there is
no closed form; the estimators then keep its directions, fit the output layer by least
squares, and say so: ``optimality_`` is ``UPPER_BOUND`` and ``exact_`` False, with a proven
``lower_bound_``.

None of them takes ``sample_weight``: weights scale the rows, which the closed forms need
orthonormal, and to undo that would change the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..closed.linear import solve_deep_linear
from ..closed.norm_bounds import deep_lower_bound
from ..closed.scalar import check_depth
from ..closed.units import dense_problem
from ..closed.whitened import solve_whitened_interval, solve_whitened_relu
from ..closed.whitening import thin_svd
from ..core.checks import Array, choose
from ..core.deep_network import DeepNetwork, DeepSolution, Optimality
from ..core.problem import Problem
from ..core.summary import Summarised
from .targets import Classification, Regression, validated


def _dependent(problem: Problem, depth: int) -> DeepSolution:
    """More samples than the rank r: data ``sqrt(n) U``, U (n, r) with orthonormal columns.

    The closed form's directions ``U^T a`` (a the parts of the targets), an identity between
    the hidden layers, and ridge regression for the output layer.
    """
    L = check_depth(depth)
    n, U = problem.n_samples, problem.X / np.sqrt(problem.n_samples)
    parts = np.hstack([np.maximum(problem.Y, 0), np.maximum(-problem.Y, 0)])
    first = U.T @ parts
    size = np.linalg.norm(first, axis=0)
    first = first[:, size > 0] / size[size > 0]
    G = first.shape[1]
    H = np.maximum(problem.X @ first, 0.0)
    last = np.linalg.solve(H.T @ H + n * problem.weight_decay * np.eye(G), H.T @ problem.Y)
    network = DeepNetwork((first, *[np.eye(G)] * (L - 2), last))
    if G:
        network = network.balance()
    objective = network.objective(problem)
    outputs, norm = network.predict(problem.X), float(np.sqrt(n))
    lower = deep_lower_bound(problem, L, outputs, spectral_norm=norm).lower_bound
    return DeepSolution(network, objective, objective, None, lower, Optimality.UPPER_BOUND, ())


class _WhitenedReLU(Summarised, BaseEstimator):
    """A closed form on ``sqrt(n) U`` and its network on the original features."""

    weight_decay: float
    depth: int
    bias: str

    def _train(self, X: Array, Y: Array, loss: str, solve: Callable[..., DeepSolution]) -> None:
        choose("bias", self.bias, ("penalized", "none"))
        n = len(X)
        design = np.hstack([X, np.ones((n, 1))]) if self.bias == "penalized" else X
        U, s, V = thin_svd(design)
        exact = len(s) == n
        if exact:
            solution = solve(np.sqrt(n) * U, Y, self.weight_decay, self.depth)
        else:
            problem = dense_problem(np.sqrt(n) * U, Y, loss, self.weight_decay)
            solution = _dependent(problem, self.depth)
        first, *others = solution.network.weights
        first = np.sqrt(n) * (V / s) @ first
        if self.bias == "none":
            self.network_ = DeepNetwork((first, *others))
        else:
            biases = (first[-1], *(np.zeros(W.shape[1]) for W in others))
            self.network_ = DeepNetwork((first[:-1], *others), biases)
        self.solution_ = solution
        self.optimality_ = solution.optimality
        self.objective_ = solution.objective
        self.lower_bound_ = solution.lower_bound
        self.exact_ = exact

    def _outputs(self, X: Any) -> Array:
        """Of the network, (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False)
        return self.network_.predict(X)


@dataclass(eq=False, repr=False)
class WhitenedReLUClassifier(Classification, _WhitenedReLU):
    """Deep ReLU network on whitened samples, trained by one SVD.

    Minimises ``mean loss + weight_decay / 2 sum_l ||W_l||_F^2`` over networks of ``depth``
    layers on the whitened samples; see the module for what is whitened, and
    :func:`gapless.closed.whitened.solve_whitened_relu` for what is proven.

    Parameters
    ----------
    weight_decay : float, default 0.01
    depth : int, default 2
        Number of weight matrices.
    loss : {"squared", "softmax"}, default "squared"
        On one-hot targets.
    bias : {"penalized", "none"}, default "penalized"
        Whether a constant feature is appended.

    Attributes
    ----------
    classes_ : array
    network_ : DeepNetwork
        On the original features.
    solution_ : DeepSolution
        In whitened coordinates, with the hypotheses that were checked.
    optimality_ : Optimality
    objective_, lower_bound_ : float
    exact_ : bool
        Whether the samples are independent, so that the closed form applies.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(20, 50)), np.repeat(["a", "b"], 10)
    >>> model = WhitenedReLUClassifier(depth=3).fit(X, y)
    >>> float(model.score(X, y)), model.optimality_.name
    (1.0, 'NUMERICALLY_VERIFIED')
    """

    weight_decay: float = 0.01
    depth: int = 2
    loss: str = "squared"
    bias: str = "penalized"

    def fit(self, X: Any, y: Any) -> WhitenedReLUClassifier:
        """Train on the whitened samples.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
        y : array of labels of shape (n_samples,)

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For another ``loss`` or ``bias``, a depth below 2, a weight decay that is not positive,
            and a single class.
        """
        X, y = validated(self, X, y, dtype=np.float64, ensure_min_samples=2)
        choose("loss", self.loss, ("squared", "softmax"))
        labels = self._class_numbers(X, y)
        solve = partial(solve_whitened_relu, loss=self.loss)
        self._train(X, np.eye(len(self.classes_))[labels], self.loss, solve)
        return self


@dataclass(eq=False, repr=False)
class WhitenedReLURegressor(Regression, _WhitenedReLU):
    """Deep ReLU network on whitened samples for real targets, trained by one SVD.

    The mean of y is taken out first and added back as the output bias.

    Parameters
    ----------
    weight_decay : float, default 0.01
    depth : int, default 2
        Number of weight matrices.
    bias : {"penalized", "none"}, default "penalized"
        Whether a constant feature is appended.

    Attributes
    ----------
    network_, solution_, optimality_, objective_, lower_bound_, exact_, n_features_in_
        As for :class:`WhitenedReLUClassifier`.  Several outputs are an upper bound in general.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(20, 50)), rng.normal(size=20)
    >>> model = WhitenedReLURegressor(weight_decay=1e-4).fit(X, y)
    >>> bool(model.score(X, y) > 0.99), model.optimality_.name
    (True, 'PROVED')
    """

    weight_decay: float = 0.01
    depth: int = 2
    bias: str = "penalized"

    def fit(self, X: Any, y: Any) -> WhitenedReLURegressor:
        """Train on the whitened samples and the centred targets.

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
            For another ``bias``, a depth below 2 and a weight decay that is not positive.
        """
        X, y = validated(
            self, X, y, dtype=np.float64, ensure_min_samples=2, multi_output=True, y_numeric=True
        )
        Y = self._targets(y)
        mean = Y.mean(axis=0)
        # targets of several outputs are not one-hot: the closed form is an interval
        solve = solve_whitened_relu if Y.shape[1] == 1 else solve_whitened_interval
        self._train(X, Y - mean, "squared", solve)
        network = self.network_
        biases = network.biases or tuple(np.zeros(W.shape[1]) for W in network.weights)
        self.network_ = DeepNetwork(network.weights, (*biases[:-1], biases[-1] + mean))
        return self


@dataclass(eq=False, repr=False)
class DeepLinearRegressor(Regression, Summarised, BaseEstimator):
    """Best deep linear network: linear regression that favours a short or low-rank coefficient.

    Minimises ``1/(2n) ||X Z + b - Y||^2 + weight_decay depth / 2 sum_i sigma_i(Z)^(2/depth)``
    through :func:`gapless.closed.linear.solve_deep_linear`: proved for one output and for
    two layers, a local optimum with a lower bound otherwise.

    Parameters
    ----------
    weight_decay : float, default 0.01
    depth : int, default 2
        Number of weight matrices.
    fit_intercept : bool, default True
        A free intercept (X and y are centred).

    Attributes
    ----------
    coef_ : array of shape (n_features,) or (n_outputs, n_features)
    intercept_ : float or array of shape (n_outputs,)
    solution_ : DeepSolution
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(30, 5))
    >>> model = DeepLinearRegressor(1e-3, depth=3).fit(X, X[:, 0])
    >>> bool(model.score(X, X[:, 0]) > 0.99)
    True
    """

    weight_decay: float = 0.01
    depth: int = 2
    fit_intercept: bool = True

    def fit(self, X: Any, y: Any) -> DeepLinearRegressor:
        """Train on X and y, centred when there is an intercept.

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
            For a depth below 2 and a weight decay that is not positive.
        """
        X, y = validated(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        Y = self._targets(y)
        x_mean = X.mean(axis=0) if self.fit_intercept else np.zeros(X.shape[1])
        y_mean = Y.mean(axis=0) if self.fit_intercept else np.zeros(Y.shape[1])
        self.solution_ = solve_deep_linear(X - x_mean, Y - y_mean, self.weight_decay, self.depth)
        Z = self.solution_.network.predict(np.eye(X.shape[1]))
        b = y_mean - x_mean @ Z
        self.coef_: Array = Z[:, 0] if self._one_column else Z.T
        self.intercept_: Any = float(b[0]) if self._one_column else b
        return self

    def _outputs(self, X: Any) -> Array:
        """``X coef_^T + intercept_``"""
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False)
        return X @ np.atleast_2d(self.coef_).T + self.intercept_
