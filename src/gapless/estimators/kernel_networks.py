"""Kernel networks: hidden layers in closed form, one after another, and an output layer.

Everything is chosen by exact leave-one-out errors of the layers; nothing is propagated back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, check_random_state

from ..core.checks import Array, choose, positive_int
from ..kernels.alignment import HiddenTarget, alignment, hidden_targets, pairwise_loss
from ..kernels.layer import LayerRule, fit_layer
from ..kernels.machine import KernelMachine
from ..kernels.network import KernelNetwork, Output, scale_of
from ..kernels.paired import fit_by_pairs
from .counted import Counted, checked_weights, counted
from .kernel_base import ACCEPTED, BaseKernelNetwork, HiddenLayer
from .kernel_outputs import in_units, logistic_output, relu_output, svm_output
from .targets import Classification, Regression, validated
from .units import moments


@dataclass(eq=False, repr=False, kw_only=True)
class KernelNetworkClassifier(Classification, BaseKernelNetwork):
    """Kernel network for classes: each hidden layer is one linear solve.

    A hidden layer is kernel ridge regression onto ``one-hot - 1/n_classes``, the corners of a
    simplex, with the kernel ``exp(-gamma ||x - z||^2 / median) + constant``, median that of the
    squared distances between samples.  gamma and ridge have the least exact leave-one-out error,
    and the next layer is trained on the leave-one-out outputs: :mod:`gapless.kernels.layer`.  The
    output layer is trained last.  Scale the features: ``make_pipeline(StandardScaler(), ...)``.

    Parameters
    ----------
    n_hidden : int, default 1
        Hidden layers; 0 trains the output layer on X.
    output : {"svm", "logistic", "ridge", "relu"}, default "svm"
        Support vector machine with Gaussian kernel, logistic regression, one more closed-form
        layer, or a :class:`ReLUClassifier` with its certificate.
    hidden : {"closed", "alignment", "srs"}, default "closed"
        The last two are the training of Duan et al., for comparison: Adam on pairs of samples
        (needs PyTorch).  They have no leave-one-out outputs; the next layer sees the plain ones.
    gamma, ridge : float or "loo", default "loo"
        Of the closed-form layers.  Layers trained by pairs take gamma = 1 for "loo", no ridge.
    constant : float, default 1.0
        Added to the kernel, a penalised bias.
    weight_decay : float or "cv", default "cv"
        Of the output layer, times ``1/2 ||w||^2`` beside the mean loss ("ridge": not used); "cv"
        has it, and the width of the SVM's kernel, chosen by 5 folds.
    max_centres : int, default 4000
        With more samples so many, drawn at random, are the centres of each layer (Nystroem).
    choose_on : int, default 2000
        Samples, at most, that gamma, ridge and weight_decay are chosen on.
    n_units, epochs : int, default 30 and 50
        Of layers trained by pairs.
    random_state : int, RandomState or None, default 0
        Draws centres, the samples to choose on, and batches.

    Attributes
    ----------
    hidden_ : list of HiddenLayer
        ``loo_error``, ``alignment``, ``gamma``, ``ridge``, ``objective``, ``objective_gap``.
    network_ : KernelNetwork
        ``save(path)`` writes it as safetensors, ``KernelNetwork.load`` reads it.
    output_ : SVC, LogisticRegression, FittedLayer, ReLUClassifier or ReLUClassifierCV
        The output layer as it was trained.
    hidden_targets_ : tuple of HiddenTarget
        For each two classes of an SVM: its objective, and a proven bound for every hidden map.
    classes_, n_features_in_
        As in scikit-learn.

    References
    ----------
    Duan, Yu, Chen & Principe, Neural Computation 32(1), 2020, for the networks and the target of
    hidden layers; closed form and leave-one-out outputs are ours.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gapless import KernelNetworkClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = KernelNetworkClassifier().fit(X, y)
    >>> bool(model.score(X, y) > 0.95), model.transform(X).shape
    (True, (150, 3))
    """

    output: str = "svm"
    hidden: str = "closed"
    n_units: int = 30
    epochs: int = 50

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KernelNetworkClassifier:
        """Train the hidden layers one after another, then the output layer.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
        y : array of labels of shape (n_samples,)
        sample_weight : array of shape (n_samples,), optional
            How many samples each is: of more than one, one is left out where samples are left out.
            Weights that say how much a sample matters are best scaled to at most one.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a bad parameter, a single class, negative weights, features beyond what can be
            squared, and a ridge too small for float64.
        ImportError
            For ``hidden="alignment"`` or ``"srs"`` without PyTorch.
        """
        rule, rng = self._rule(), check_random_state(self.random_state)
        choose("output", self.output, ("svm", "logistic", "ridge", "relu"))
        hidden = choose("hidden", self.hidden, ("closed", "alignment", "srs"))
        units, epochs = positive_int("n_units", self.n_units), positive_int("epochs", self.epochs)
        X, y = validated(self, X, y, **ACCEPTED)
        data = self._counted(X, y, sample_weight)
        labels, weights = data.y, data.weights
        if hidden == "closed":
            T = simplex(labels, len(self.classes_))
            inputs = self._fit_closed(data.X, T, weights, rule, rng)
            self.hidden_ = [
                replace(layer, loo_error=float(np.average(wrong(F, labels), weights=weights)))
                for layer, F in zip(self.hidden_, inputs[1:])
            ]
        else:
            inputs = self._fit_pairs(data, rule, units, epochs, rng)
        self._fit_output(inputs[-1], labels, weights, rule, rng)
        machines = [*self._machines()[1:], self.network_.output]
        self.hidden_ = [
            replace(layer, alignment=alignment(F, labels, scale_of(after, F), weights))
            for layer, F, after in zip(self.hidden_, inputs[1:], machines)
        ]
        return self

    def refit_output(self, X: Any, y: Any, sample_weight: Any = None) -> KernelNetworkClassifier:
        """Train the output layer anew, hidden layers as they are: for new labels, few of them.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Not the samples that the hidden layers were trained on, whose outputs have collapsed.
        y : array of labels of shape (n_samples,)
            ``classes_`` become theirs.
        sample_weight : array of shape (n_samples,), optional
            As in :meth:`fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in :meth:`fit`.
        """
        check_is_fitted(self)
        rule, rng = self._rule(), check_random_state(self.random_state)
        X, y = validated(self, X, y, reset=False, **ACCEPTED)
        data = self._counted(X, y, sample_weight)
        self._fit_output(self.network_.transform(data.X), data.y, data.weights, rule, rng)
        return self

    def _counted(self, X: Any, y: Array, sample_weight: Any) -> Counted:
        """Distinct samples and the numbers of their classes; sets ``classes_``."""
        weights = checked_weights(sample_weight, X)
        used = weights > 0
        labels = np.zeros(len(y), dtype=np.intp)
        labels[used] = self._class_numbers(X[used], y[used])
        return counted(X, labels, weights)

    @property
    def loss(self) -> str:
        """What the output layer minimises; only "logistic" gives probabilities."""
        return {"svm": "hinge", "ridge": "squared"}.get(self.output, "logistic")

    def _fit_pairs(
        self,
        data: Counted,
        rule: LayerRule,
        units: int,
        epochs: int,
        rng: np.random.RandomState,
    ) -> list[Any]:
        """As ``_fit_closed``, by Adam."""
        labels, weights = data.y, data.weights
        inputs, gamma = [data.X], 1.0 if rule.gamma is None else rule.gamma
        self.hidden_ = []
        for _ in range(int(self.n_hidden)):
            machine = fit_by_pairs(
                inputs[-1],
                labels,
                weights,
                self.hidden,
                n_units=units,
                gamma=gamma,
                max_centres=rule.max_centres,
                epochs=epochs,
                rng=rng,
            )
            F = machine.outputs(inputs[-1])
            inputs.append(F)
            if self.hidden == "srs":
                value = pairwise_loss(F, labels, sample_weight=weights)
            else:
                value = 1.0 - alignment(F, labels, sample_weight=weights)
            unknown = {"loo_error": np.nan, "alignment": np.nan, "objective_gap": np.inf}
            self.hidden_.append(HiddenLayer(machine, gamma, np.nan, objective=value, **unknown))
        return inputs

    def _fit_output(
        self, F: Any, labels: Array, weights: Array, rule: LayerRule, rng: np.random.RandomState
    ) -> None:
        """Sets ``output_``, ``network_`` and ``hidden_targets_``."""
        n_classes = len(self.classes_)
        how = (self.weight_decay, rule.choose_on, rng)
        output: Output
        self.hidden_targets_: tuple[HiddenTarget, ...] = ()
        if self.output == "svm":
            output, self.output_ = svm_output(F, labels, weights, *how)
            self.hidden_targets_ = hidden_targets(output, F, labels, self.output_.C, weights)
        elif self.output == "logistic":
            output, self.output_ = logistic_output(F, labels, weights, *how)
        elif self.output == "ridge":
            self.output_ = fit_layer(F, simplex(labels, n_classes), rule, rng, weights)
            output = machine = self.output_.machine
            if n_classes == 2:  # one column says it all, positive for the second
                second = machine.coefficients[:, 1:], machine.intercept[1:]
                output = KernelMachine(machine.centres, *second, machine.kernel)
        else:
            seed = int(rng.randint(2**31))
            output, self.output_ = relu_output(F, labels, weights, self.weight_decay, True, seed)
        votes = self.output == "svm" and n_classes > 2
        self.network_ = KernelNetwork(
            self._machines(), output, tuple(self.classes_.tolist()), votes
        )


@dataclass(eq=False, repr=False, kw_only=True)
class KernelNetworkRegressor(Regression, BaseKernelNetwork):
    """Kernel network for real targets: each hidden layer is one linear solve.

    As :class:`KernelNetworkClassifier` with the standardised targets in place of the simplex.  A
    hidden layer has one output a target, so for a single target the layers after the first only
    bend what the first predicts; ``n_hidden=0`` is plain kernel ridge regression.

    Parameters
    ----------
    n_hidden : int, default 1
    output : {"ridge", "relu"}, default "ridge"
        One more closed-form layer, or a :class:`ReLURegressor` with its certificate.
    gamma, ridge, constant, max_centres, choose_on, random_state
        As in :class:`KernelNetworkClassifier`.
    weight_decay : float or "cv", default "cv"
        Of the "relu" output, on standardised targets.

    Attributes
    ----------
    hidden_, network_, n_features_in_
        As in :class:`KernelNetworkClassifier`.
    output_ : FittedLayer, ReLURegressor or ReLURegressorCV
        The output layer as it was trained, on standardised targets.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import KernelNetworkRegressor
    >>> X = np.linspace(-3, 3, 60)[:, None]
    >>> model = KernelNetworkRegressor().fit(X, np.sin(2 * X[:, 0]))
    >>> bool(model.score(X, np.sin(2 * X[:, 0])) > 0.999)
    True
    """

    output: str = "ridge"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KernelNetworkRegressor:
        """Train the hidden layers one after another, then the output layer.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
        y : array of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array of shape (n_samples,), optional
            As in :meth:`KernelNetworkClassifier.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a bad parameter, negative weights, numbers beyond what can be squared, and a ridge
            too small for float64.
        """
        rule, rng = self._checked(), check_random_state(self.random_state)
        data = self._data(X, y, sample_weight)
        units = standardised(data.y, data.weights)
        inputs = self._fit_closed(data.X, units[0], data.weights, rule, rng)
        self._fit_output(inputs[-1], *units, data.weights, rule, rng)
        return self

    def refit_output(self, X: Any, y: Any, sample_weight: Any = None) -> KernelNetworkRegressor:
        """Train the output layer anew, hidden layers as they are.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Not the samples that the hidden layers were trained on.
        y : array of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array of shape (n_samples,), optional
            As in :meth:`fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in :meth:`fit`.
        """
        check_is_fitted(self)
        rule, rng = self._checked(), check_random_state(self.random_state)
        data = self._data(X, y, sample_weight, reset=False)
        F = self.network_.transform(data.X)
        self._fit_output(F, *standardised(data.y, data.weights), data.weights, rule, rng)
        return self

    def _data(self, X: Any, y: Any, sample_weight: Any, reset: bool = True) -> Counted:
        """Distinct samples with their targets (n_distinct, n_outputs)."""
        how = {"multi_output": True, "y_numeric": True, "reset": reset}
        X, y = validated(self, X, y, **ACCEPTED, **how)
        return counted(X, self._targets(y), checked_weights(sample_weight, X))

    def _checked(self) -> LayerRule:
        choose("output", self.output, ("ridge", "relu"))
        return self._rule()

    def _fit_output(
        self,
        F: Any,
        T: Array,
        mean: Array,
        spread: Array,
        weights: Array,
        rule: LayerRule,
        rng: np.random.RandomState,
    ) -> None:
        """Sets ``output_`` and ``network_``."""
        output: Output
        if self.output == "ridge":
            self.output_ = fit_layer(F, T, rule, rng, weights)
            output = self.output_.machine
        else:
            seed = int(rng.randint(2**31))
            output, self.output_ = relu_output(F, T, weights, self.weight_decay, False, seed)
        self.network_ = KernelNetwork(self._machines(), in_units(output, mean, spread))


def simplex(labels: Array, n_classes: int) -> Array:
    """``one-hot - 1/n_classes``: equal inner products within a class, and equal ones across."""
    return np.eye(n_classes)[labels] - 1.0 / n_classes


def wrong(F: Array, labels: Array) -> Array:
    """Whether another class has the largest output."""
    return F.argmax(axis=1) != labels


def standardised(Y: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Targets of mean zero and variance one, with their means and spreads."""
    mean, spread = moments(Y, weights)
    return (Y - mean) / spread, mean, spread
