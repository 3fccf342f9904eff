"""What a fitted network says that can be read: effects, importances, explanations."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array
from ..core.network import Network
from ..readable.effects import Effect, Explanation
from ..readable.neurons import Neurons
from .table_columns import FeatureColumns

# Places along each side of the grid of a pair's effect, and bins of a histogram.
GRID, BINS = 40, 30


class Reading:
    """Effects of features, of pairs, and of the rows explained.

    Attributes
    ----------
    network_ : Network
        On the columns that features became.
    features_ : list of FeatureColumns
    _owner : array of int
        The feature of each column.
    _unit, _centre : arrays of shape (n_outputs,)
        Outputs are ``network * unit + centre``.
    """

    network_: Network
    features_: list[FeatureColumns]
    _owner: Array
    _unit: Array
    _centre: Array

    def _encode(self, X: Array) -> Array:
        raise NotImplementedError

    def _table(self, X: Any, *y: Any, **how: Any) -> Any:
        raise NotImplementedError

    def _describe(self, X: Array, columns: Array, weights: Array) -> None:
        """``effects_``, ``importances_`` and ``intercept_``."""
        net = self.network_
        neurons = Neurons.of(net.hidden_weights, net.hidden_bias)
        owners = np.sort(self._owner[neurons.features], axis=1).reshape(-1, 2)
        # a penalised bias may come as a neuron that looks at nothing: it belongs to the intercept
        idle = ~np.any(net.hidden_weights != 0, axis=0)
        owners[idle] = -1
        penalty = np.linalg.norm(net.hidden_weights, axis=0) * np.linalg.norm(
            net.output_weights, axis=1
        )
        self._terms: list[tuple[tuple[int, ...], Array, Array]] = []
        effects, total = [], float(penalty.sum()) or 1.0
        for owner in np.unique(owners[~idle], axis=0):
            index = np.flatnonzero(np.all(owners == owner, axis=1))
            values = self._added(index, columns)
            mean = weights @ values
            features = tuple(int(j) for j in dict.fromkeys(owner.tolist()))
            importance = float(weights @ np.abs(values - mean).sum(axis=1))
            self._terms.append((features, index, mean))
            share = float(penalty[index].sum()) / total
            effects.append(self._effect(features, index, mean, importance, share, X))
        order = sorted(range(len(effects)), key=lambda k: -effects[k].importance)
        self.effects_ = [effects[k] for k in order]
        self._terms = [self._terms[k] for k in order]
        self.importances_ = np.array([effect.importance for effect in self.effects_])
        constant = self._added(np.flatnonzero(idle), columns[:1])[0]
        means = sum((mean for _, _, mean in self._terms), np.zeros(net.n_outputs))
        self.intercept_ = net.output_bias * self._unit + self._centre + constant + means

    def _added(self, index: Array, columns: Array) -> Array:
        """What the neurons ``index`` add to the outputs, (n, n_outputs)."""
        net = self.network_
        part = Network(
            net.hidden_weights[:, index], net.hidden_bias[index], net.output_weights[index],
            np.zeros(net.n_outputs),
        )  # fmt: skip
        return part.predict(columns) * self._unit

    def _effect(
        self,
        features: tuple[int, ...],
        index: Array,
        mean: Array,
        importance: float,
        share: float,
        X: Array,
    ) -> Effect:
        """One effect at its places."""
        owned = [self.features_[j] for j in features]
        names = tuple(f.name for f in owned)
        missing, density = None, None
        if len(features) == 2:
            sides = [self._places(j, X[:, j], GRID) for j in features]
            x, y = (grid.ravel() for grid in np.meshgrid(*sides, indexing="ij"))
            kind, places = "pair", np.column_stack([x, y])
            rows = self._rows(dict(zip(features, (x, y))), len(x))
        else:
            (j,), (feature,) = features, owned
            x = X[:, j]
            kinks = self._kinks(j, index) if feature.levels is None else None
            at = self._places(j, x, kinks)
            kind = "numeric" if feature.levels is None else "categorical"
            places, rows = at, self._rows({j: at}, len(at))
            density = _density(x, feature)
            if feature.missing:
                missing = self._added(index, self._rows({j: np.array([np.nan])}, 1))[0] - mean
            if feature.labels is not None:
                places = np.array(feature.labels, dtype=object)
        values = self._added(index, rows) - mean
        return Effect(features, names, kind, places, values, missing, importance, share, density)

    def _kinks(self, j: int, index: Array) -> Array:
        """Where the effect of a numeric feature bends, in its units."""
        net, feature = self.network_, self.features_[j]
        column = int(np.flatnonzero(self._owner == j)[0])
        u = net.hidden_weights[column, index]
        bends = -net.hidden_bias[index][u != 0] / u[u != 0]
        return bends * feature.unit + feature.centre

    def _places(self, j: int, x: Array, kinks: Any) -> Array:
        """Where an effect is told: levels, kinks and ends, or a grid of so many places."""
        feature = self.features_[j]
        if feature.levels is not None:
            return feature.levels
        known = x[~np.isnan(x)]
        if len(known) == 0:
            return np.array([feature.centre])
        low, high = float(known.min()), float(known.max())
        if isinstance(kinks, int):
            return np.unique(np.linspace(low, high, kinks))
        inside = kinks[(kinks > low) & (kinks < high)]
        return np.unique(np.concatenate([[low], inside, [high]]))

    def _rows(self, values: dict[int, Array], n: int) -> Array:
        """Columns at these values of some features, all others at zero."""
        blocks = [
            f.columns(values[j]) if j in values else np.zeros((n, f.n_columns))
            for j, f in enumerate(self.features_)
        ]
        return np.hstack(blocks)

    def explain(self, X: Any) -> Explanation:
        """Each prediction as a sum of what features add.

        Parameters
        ----------
        X : array or table of shape (n_samples, n_features)

        Returns
        -------
        Explanation
            Contributions in the order of ``effects_``; with the baseline they sum to the
            predictions, of a classifier to the scores of its classes.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return self._explained(self._encode(self._table(X)))

    def _explained(self, columns: Array) -> Explanation:
        parts = [self._added(index, columns) - mean for _, index, mean in self._terms]
        n, C = len(columns), self.network_.n_outputs
        contributions = np.stack(parts, axis=1) if parts else np.zeros((n, 0, C))
        names = [effect.name for effect in self.effects_]
        return Explanation(names, self.intercept_, contributions)


def _density(x: Array, feature: FeatureColumns) -> Any:
    known = x[~np.isnan(x)]
    if feature.levels is not None:
        return np.array([np.sum(known == level) for level in feature.levels])
    return np.histogram(known, bins=BINS) if len(known) else None
