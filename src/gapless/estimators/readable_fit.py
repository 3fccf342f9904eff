"""From tables to networks that can be read: what the estimators for targets and classes share."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from ..core.checks import Array, choose, positive
from ..core.losses import LOG_LINK, Loss, loss_of_targets
from ..core.network import Network
from ..core.problem import Problem
from ..core.reduction import CANONICAL
from ..core.watch import Watch
from ..readable.neurons import feature_pairs
from ..readable.path import Part, Value, Walk
from ..readable.price import PriceOfReading, price_of_reading
from ..readable.solve import solve_readable
from ..readable.table import DENSE
from ..training.progress import counter
from .counted import Counted, counted
from .fitting import Fitted, held_out_rows
from .reading import Reading
from .table_columns import FeatureColumns, coded, feature_numbers
from .targets import validated
from .units import moments

# Without a limit all may take as long as so many fits, of which a share goes into the choice: of
# lines, and of pairs, where the choice trains on few rows.
LINES, PAIRS = (2.0, 0.6), (16.0, 0.3)


@dataclass(eq=False, repr=False)
class ReadableFit(Reading, Fitted):
    """From tables to columns, the fit, effects and explanations."""

    interactions: Any = 0
    _: KW_ONLY
    weight_decay: Any = "auto"
    bias: str = "free"
    loss: Any = "squared"
    tol: float = 1e-3
    cv: Any = 5
    categorical_features: Any = None
    monotone: Any = None
    time_limit: float | None = None
    verbose: int = 0

    # --- tables ---

    def _table(self, X: Any, *y: Any, **how: Any) -> Any:
        """X, or X and y to fit, as arrays of floats in which NaN is a missing value."""
        fitting = bool(y)
        X, labels = coded(X, None if fitting else self._labels)
        if fitting:
            self._labels: dict[int, list[Any]] = labels
        data = (X, *y)
        out = validated(
            self, *data, accept_sparse="csr", dtype=np.float64, ensure_all_finite="allow-nan",
            reset=fitting, **how,
        )  # fmt: skip
        X = out[0] if fitting else out
        if sp.issparse(X):
            if X.shape[0] * X.shape[1] > DENSE:
                raise ValueError(
                    f"X is sparse of shape {X.shape}; neurons of few features sort its columns "
                    f"densely, up to {DENSE} numbers: leave out rows or columns"
                )
            X = X.toarray()
        return (X, out[1]) if fitting else X

    def _encode(self, X: Array) -> Array:
        """The columns that the network sees."""
        return np.hstack([f.columns(x) for f, x in zip(self.features_, X.T)])

    def _learn_columns(self, X: Array, weights: Array) -> None:
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(X.shape[1])])
        names = [str(name) for name in names]
        given = feature_numbers(self.categorical_features, names, "categorical_features")
        categorical = {*given, *self._labels}
        self.features_ = [
            FeatureColumns.of(x, weights, names[j], self._labels.get(j), j in categorical)
            for j, x in enumerate(X.T)
        ]
        #: the feature that each column belongs to
        self._owner = np.repeat(np.arange(X.shape[1]), [f.n_columns for f in self.features_])

    def _column_pairs(self) -> list[tuple[int, int]]:
        """``interactions`` between features as pairs of columns."""
        names = [f.name for f in self.features_]
        pairs = feature_pairs(self.interactions, len(names), names)
        columns = [np.flatnonzero(self._owner == j).tolist() for j in range(len(names))]
        return [both for i, j in pairs for both in itertools.product(columns[i], columns[j])]

    def _column_signs(self) -> dict[int, int]:
        """``monotone`` between features as signs of columns."""
        if self.monotone is None:
            return {}
        given = self.monotone.values() if isinstance(self.monotone, Mapping) else [None]
        if any(sign not in (1, -1) for sign in given):
            raise ValueError(
                f"monotone must map features to 1 (rising) or -1 (falling), got {self.monotone!r}"
            )
        if isinstance(self.interactions, str) or np.any(self.interactions):
            raise ValueError("monotone effects go with interactions=0: leave one of them out")
        features = feature_numbers(self.monotone, [f.name for f in self.features_], "monotone")
        for f in (self.features_[j] for j in features):
            if f.levels is not None:
                raise ValueError(f"monotone has {f.name!r}, which is categorical: it has no order")
        first = np.searchsorted(self._owner, features).tolist()
        return dict(zip(first, self.monotone.values()))

    # --- the fit ---

    def _goal(self, targets: Array) -> tuple[Array, Loss]:
        """What outputs are compared with, of numbers (n, n_outputs) or classes (n,), and how."""
        raise NotImplementedError

    def _fit(self, X: Array, targets: Array, sample_weight: Any) -> None:
        """Train on the numbers (n, n_outputs), or the numbers of classes (n,)."""
        Y, loss = self._goal(targets)
        fits, _ = self._patience
        watch = Watch.patient(self.time_limit, X.shape[0] * X.shape[1], fits)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        kept = weights > 0
        rows = partial(held_out_rows, self.cv, Y, kept, is_classifier(self), 0)
        if not np.all(kept):  # else no copy
            X, Y, weights = X[kept], Y[kept], weights[kept]
        samples = _each_once(X, Y, weights)
        self._learn_columns(samples.X, samples.weights)
        pairs, columns = self._column_pairs(), self._encode(samples.X)
        self._centre, self._unit = _target_units(samples.y, samples.weights, loss)
        problem = Problem(columns, *self._posed(samples.y, loss), 1.0, self.bias, samples.weights)
        signs = self._column_signs()

        def folds() -> list[tuple[Part, Part]]:
            return [(samples.part(a, weights), samples.part(b, weights)) for a, b in rows()]

        (self.weight_decay_, price), start = self._chosen(problem, pairs, watch, folds, signs)
        if np.isinf(price):
            pairs, start = [], None
        problem = problem.variant(problem.loss, self.weight_decay_)
        tol = positive("tol", self.tol)
        solution = solve_readable(problem, pairs, tol, watch, start, signs, price=price)
        self.network_ = solution.network
        columns = columns if samples.X is X else self._encode(X)
        self._describe(X, columns, weights / weights.sum())
        self._keep(solution)

    @property
    def _patience(self) -> tuple[float, float]:
        """In fits, and the share of it for the choice of a weight decay."""
        return LINES if isinstance(self.interactions, (int, np.integer)) else PAIRS

    @property
    def _logarithms(self) -> bool:
        """Whether outputs are logarithms of predictions."""
        loss, kinds = self.loss, LOG_LINK.values()
        known = loss in LOG_LINK if isinstance(loss, str) else isinstance(loss, tuple(kinds))
        return known and getattr(self, "quantile", None) is None

    def _posed(self, Y: Array, loss: Loss) -> tuple[Array, Loss]:
        """Targets in the units of the network, and the loss that compares them there."""
        if not self._logarithms:
            return (Y - self._centre) / self._unit, loss
        Y = Y / np.exp(self._centre)
        if isinstance(self.loss, str):
            loss = loss_of_targets(self.loss, Y)
        return Y, loss

    def _chosen(
        self,
        problem: Problem,
        pairs: Any,
        watch: Watch,
        folds: Callable[[], list[tuple[Part, Part]]],
        signs: dict[int, int],
    ) -> tuple[Value, Network | None]:
        """Weight decay and price of a pair, as given or what held-out folds prefer; where to start.

        The price is infinite where there are no pairs: those that nobody named are left out unless
        folds clearly gain by them.
        """
        if not isinstance(self.weight_decay, str):
            return (positive("weight_decay", self.weight_decay), 1.0), None
        choose("weight_decay", self.weight_decay, ("auto",))
        rows, part = folds(), watch.part(share=self._patience[1])
        with counter("choosing weight_decay", enabled=bool(self.verbose)) as report:
            walk = Walk(problem, pairs, rows, part, report, signs)
            walk.lines()
            if pairs:
                walk.pairs()
        chosen = walk.values[walk.choice(named=not isinstance(self.interactions, str))]
        if walk.cut_short:
            warnings.warn(
                f"time ended the choice of weight_decay at {chosen[0]:.3g}, where the loss of "
                "held-out folds still fell; a larger time_limit tries smaller values",
                ConvergenceWarning,
                stacklevel=4,
            )
        self.weight_decays_, self.prices_ = np.array(walk.values).T
        self.losses_ = walk.losses
        return chosen, next(iter(walk.networks), None)

    def _outputs(self, X: Any) -> Array:
        check_is_fitted(self)
        F = self.network_.predict(self._encode(self._table(X)))
        return F * self._unit + self._centre

    def price_of_reading(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        pairs: bool = True,
        time_limit: float = 60.0,
    ) -> PriceOfReading:
        """What it costs, in the objective, that neurons look at few features: a proven interval.

        Parameters
        ----------
        X, y, sample_weight
            The samples of ``fit``.
        pairs : bool, default True
            Whether neurons of two features are trained as well, where the bias is free; they
            always are where ``interactions`` allowed pairs.
        time_limit : float, default 60
            Seconds for all; most go into the proof of the general network.

        Returns
        -------
        PriceOfReading
            See :func:`gapless.price_of_reading`.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        columns = self._encode(self._table(X))
        if is_classifier(self):
            targets = np.searchsorted(self.classes_, y)
        else:
            targets = np.asarray(y, float).reshape(len(columns), -1)
        Y, loss = self._posed(*self._goal(targets))
        return price_of_reading(
            columns, Y, weight_decay=self.weight_decay_, loss=loss, bias=self.bias,
            sample_weight=sample_weight, tol=self.tol, time_limit=time_limit, init=self.network_,
            pairs=self.solution_.features == 2 or (pairs and self.bias == "free"),
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


def _each_once(X: Array, Y: Array, weights: Array) -> Counted:
    """Samples in an order of their own, each once: a weight is a number of copies, bit by bit.

    More than the core merges stay as they are.
    """
    if X.size > CANONICAL:
        return Counted(X, Y, weights, np.arange(len(X)))
    return counted(X, Y, weights)


def _target_units(Y: Array, weights: Array, loss: Loss) -> tuple[Array, Array]:
    """Mean and standard deviation of each output; zero and one for classes.

    Where outputs are logarithms, the logarithm of the mean, and one.
    """
    C = Y.shape[1]
    if loss.name in LOG_LINK:
        loss_of_targets(loss.name, Y).check_targets(Y)
        mean = weights @ Y / weights.sum()
        if not np.all(mean > 0):
            raise ValueError("all targets are 0: there is nothing to learn")
        return np.log(mean), np.ones(C)
    if loss.degree is None:
        return np.zeros(C), np.ones(C)
    size = np.abs(Y).max(axis=0)
    size[size == 0] = 1.0
    mean, spread = moments(Y / size, weights)
    return mean * size, spread * size
