"""What kernel networks for classes and for real targets share."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, choose, not_negative, positive, positive_int
from ..core.summary import Summarised
from ..kernels.layer import LayerRule, fit_layer
from ..kernels.machine import KernelMachine
from .targets import validated

# Hidden layers that a network may have: errors stop falling after one or two. Numbers of a layer's
# kernel and ridge, all meant about one: larger ones leave float64 in products.
DEEPEST, LARGEST = 100, 1e9
# Of scikit-learn's checks of X.
ACCEPTED: dict[str, Any] = {"accept_sparse": "csr", "dtype": np.float64}


@dataclass(frozen=True, eq=False)
class HiddenLayer:
    """A hidden layer of a fitted kernel network.

    Parameters
    ----------
    machine : KernelMachine
    gamma, ridge : float
        As given or chosen; ridge is NaN for a layer trained by pairs.
    loo_error : float
        Share of samples of which the layer, trained on the others, has another class the largest;
        for a regression the mean squared error in units of the targets' variance.
    alignment : float
        :func:`gapless.kernels.alignment.alignment` of what the next layer was trained on, under
        the next layer's kernel (one over the total variance for an output without one).  NaN for a
        regression.
    objective : float
        What the layer minimised: :mod:`gapless.kernels.layer`, or the loss of pairs.
    objective_gap : float
        Proven of this layer alone, its inputs and centres as they are: no coefficients are lower
        by more.  Infinite for a layer trained by pairs.  It says nothing of the whole network.
    """

    machine: KernelMachine
    gamma: float
    ridge: float
    loo_error: float
    alignment: float
    objective: float
    objective_gap: float


@dataclass(eq=False, repr=False)
class BaseKernelNetwork(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    Summarised,
    BaseEstimator,
):
    """What classifier and regressor share."""

    proven = (
        "Layer by layer: each layer is convex and solved; of all layers together nothing is proven."
    )

    n_hidden: int = 1
    _: KW_ONLY
    output: str = "ridge"
    gamma: float | str = "loo"
    ridge: float | str = "loo"
    constant: float = 1.0
    weight_decay: float | str = "cv"
    max_centres: int = 4000
    choose_on: int = 2000
    random_state: Any = 0

    def transform(self, X: Any) -> Array:
        """The outputs of the last hidden layer, in which classes are near corners of a simplex.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, width)
            One column a class, or a target; X itself without hidden layers.
        """
        check_is_fitted(self)
        return self.network_.transform(validated(self, X, reset=False, **ACCEPTED))

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        return self.network_.outputs(validated(self, X, reset=False, **ACCEPTED))

    @property
    def _n_features_out(self) -> int:
        hidden = self.network_.hidden
        return hidden[-1].n_outputs if hidden else int(self.n_features_in_)

    def _rule(self) -> LayerRule:
        """Checks the parameters of all layers."""
        n_hidden = not_negative("n_hidden", self.n_hidden)
        if n_hidden != int(n_hidden) or n_hidden > DEEPEST:
            raise ValueError(f"n_hidden must be a whole number from 0 to {DEEPEST}, got {n_hidden}")
        if not (isinstance(self.weight_decay, str) and self.weight_decay == "cv"):
            positive("weight_decay", self.weight_decay)
        rule = LayerRule(
            gamma=_given("gamma", self.gamma),
            ridge=_given("ridge", self.ridge),
            constant=not_negative("constant", self.constant),
            max_centres=positive_int("max_centres", self.max_centres),
            choose_on=positive_int("choose_on", self.choose_on),
        )
        for name in ("gamma", "ridge", "constant"):
            if (getattr(rule, name) or 0.0) > LARGEST:
                raise ValueError(f"{name} must be at most {LARGEST:g}, got {getattr(self, name)!r}")
        return rule

    def _fit_closed(
        self, X: Any, T: Array, weights: Array, rule: LayerRule, rng: np.random.RandomState
    ) -> list[Any]:
        """Sets ``hidden_``; what each layer, and the output at last, was trained on."""
        inputs = [X]
        self.hidden_: list[HiddenLayer] = []
        for _ in range(int(self.n_hidden)):
            layer = fit_layer(inputs[-1], T, rule, rng, weights)
            inputs.append(layer.outputs)
            self.hidden_.append(
                HiddenLayer(
                    layer.machine,
                    layer.gamma,
                    layer.ridge,
                    loo_error=layer.squared_error,
                    alignment=np.nan,
                    objective=layer.objective,
                    objective_gap=layer.objective_gap,
                )
            )
        return inputs

    def _machines(self) -> tuple[KernelMachine, ...]:
        return tuple(layer.machine for layer in self.hidden_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.input_tags.sparse = True
        return tags


def _given(name: str, value: Any) -> float | None:
    """None for "loo"."""
    if isinstance(value, str):
        choose(name, value, ("loo",))
        return None
    return positive(name, value)
