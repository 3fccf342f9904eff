"""What a fitted network says that can be read: effects, importances, explanations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array
from ..core.deep_network import DeepNetwork
from ..core.network import Network
from ..readable.effects import Effect, Explanation
from ..readable.neurons import Neurons
from .purify import States, Term, main_effect, purified
from .table_columns import FeatureColumns

# Places along each side of the grid of a pair's effect, and bins of a histogram.
GRID, BINS = 40, 30
# Share of the rows on each side among which are those far from all others.
TAIL = 0.05


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
    _terms : list of Term
        What each effect is made of.
    _states : dict of int to States
        Of the features that pairs have.
    """

    network_: Network
    features_: list[FeatureColumns]
    _owner: Array
    _unit: Array
    _centre: Array
    _terms: list[Term]
    _states: dict[int, States]

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
        terms = []
        for owner in np.unique(owners[~idle], axis=0):
            index = np.flatnonzero(np.all(owners == owner, axis=1))
            features = tuple(int(j) for j in dict.fromkeys(owner.tolist()))
            terms.append(Term(features, index, np.zeros(net.n_outputs)))
        terms, self._states = purified(
            terms, X, weights, self.features_,
            lambda term, j, at: self._main_effect(term, j, at, X, weights),
        )  # fmt: skip
        penalty = np.linalg.norm(net.hidden_weights, axis=0) * np.linalg.norm(
            net.output_weights, axis=1
        )
        told, total = [], float(penalty.sum()) or 1.0
        for term in terms:
            values = self._contribution(term, columns, dict(enumerate(X.T)))
            if len(term.features) == 1:
                mean = weights @ values
                term, values = replace(term, mean=mean), values - mean
            importance = float(weights @ np.abs(values).sum(axis=1))
            share = float(penalty[term.neurons].sum()) / total
            told.append((term, self._effect(term, importance, share, X)))
        told.sort(key=lambda both: -both[1].importance)
        self._terms = [term for term, _ in told]
        self.effects_ = [effect for _, effect in told]
        self.importances_ = np.array([effect.importance for effect in self.effects_])
        constant = self._added(np.flatnonzero(idle), columns[:1])[0]
        means = sum((term.mean for term in self._terms), np.zeros(net.n_outputs))
        self.intercept_ = net.output_bias * self._unit + self._centre + constant + means

    def _main_effect(self, term: Term, j: int, at: Array, X: Array, weights: Array) -> Array:
        """What a pair adds ``at`` values of its feature ``j``, in the mean over the other's."""
        net, index = self.network_, term.neurons

        def preactivation(feature: int, values: Array) -> Array:
            own = np.flatnonzero(self._owner == feature)
            return self.features_[feature].columns(values) @ net.hidden_weights[own][:, index]

        (other,) = (f for f in term.features if f != j)
        inner = preactivation(j, at) + net.hidden_bias[index]
        slopes = net.output_weights[index] * self._unit
        return main_effect(inner, preactivation(other, X[:, other]), weights, slopes)

    def _contribution(self, term: Term, columns: Array, values: dict[int, Array]) -> Array:
        """What a term adds to the outputs, (n, n_outputs), at the values of its features."""
        return term.told(self._added(term.neurons, columns), values, self._states)

    def _added(self, index: Array, columns: Array) -> Array:
        """What the neurons ``index`` add to the outputs, (n, n_outputs)."""
        net = self.network_
        part = Network(
            net.hidden_weights[:, index], net.hidden_bias[index], net.output_weights[index],
            np.zeros(net.n_outputs),
        )  # fmt: skip
        return part.predict(columns) * self._unit

    def _effect(self, term: Term, importance: float, share: float, X: Array) -> Effect:
        """One effect at its places."""
        features = term.features
        owned = [self.features_[j] for j in features]
        names = tuple(f.name for f in owned)
        missing, density = None, None

        def told(*values: Array) -> Array:
            at = dict(zip(features, values))
            return self._contribution(term, self._rows(at, len(values[0])), at)

        if len(features) == 2:
            sides = [self._places(j, X[:, j], GRID) for j in features]
            x, y = (grid.ravel() for grid in np.meshgrid(*sides, indexing="ij"))
            kind, places, values = "pair", np.column_stack([x, y]), told(x, y)
        else:
            (j,), (feature,) = features, owned
            x = X[:, j]
            at = self._places(j, x, self._kinks(term) if feature.levels is None else None)
            kind = "numeric" if feature.levels is None else "categorical"
            places, values, density = at, told(at), _density(x, feature)
            if feature.missing:
                missing = told(np.array([np.nan]))[0]
            if feature.labels is not None:
                places = np.array(feature.labels, dtype=object)
        labels = tuple(f.labels for f in owned) if kind == "pair" else ()
        return Effect(
            features, names, kind, places, values, missing, importance, share, density, labels
        )  # fmt: skip

    def _kinks(self, term: Term) -> Array:
        """Where the effect of a numeric feature bends, in its units."""
        net, (j,), index = self.network_, term.features, term.neurons
        feature = self.features_[j]
        column = int(np.flatnonzero(self._owner == j)[0])
        u = net.hidden_weights[column, index]
        bends = -net.hidden_bias[index][u != 0] / u[u != 0]
        own = bends * feature.unit + feature.centre
        return np.concatenate([own, self._states[j].places]) if term.mains else own

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

    def to_network(self) -> DeepNetwork:
        """The network on the features as they are given, for :func:`gapless.to_torch` and others.

        Its first layer keeps each feature within the training data, where the estimator keeps the
        ends of effects:  ``low + (x - low)_+ - (x - high)_+``.  The second are the neurons of
        ``network_``, which look at one feature or at two.

        Returns
        -------
        DeepNetwork
            Of three layers, on all features in their order.  Its outputs are predictions, of a
            classifier scores, of counts and amounts logarithms.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            Where features are categorical or were missing: a network takes numbers only.
        """
        check_is_fitted(self)
        for f in self.features_:
            if f.n_columns != 1 or f.levels is not None:
                raise ValueError(
                    f"the feature {f.name!r} is categorical or has missing values, which a network "
                    "of numbers cannot take; network_ is the network on the columns that encode it"
                )
        net, d = self.network_, len(self.features_)
        looked_at = np.any(net.hidden_weights != 0, axis=1)
        looked_at[0] = True  # a constant has a layer of something too
        used = np.flatnonzero(looked_at)
        low, high, centre, unit = np.array(
            [(f.low, f.high, f.centre, f.unit) for f in (self.features_[j] for j in used)]
        ).T
        pick = np.zeros((d, len(used)))
        pick[used, np.arange(len(used))] = 1.0
        U = net.hidden_weights[used] / unit[:, None]
        weights = np.hstack([pick, pick]), np.vstack([U, -U]), net.output_weights * self._unit
        b, c = net.hidden_bias + (low - centre) @ U, net.output_bias * self._unit + self._centre
        return DeepNetwork(weights, (-np.concatenate([low, high]), b, c))

    def explain(self, X: Any) -> Explanation:
        """Each prediction as a sum of what features add.

        Parameters
        ----------
        X : array or table of shape (n_samples, n_features)

        Returns
        -------
        Explanation
            Contributions in the order of ``effects_``; with the baseline they sum to the
            predictions, of a classifier to the scores of its classes, of counts and amounts
            (``loss="poisson"``, ``"gamma"``) to the logarithms of predictions.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return self._explained(self._table(X))

    def _explained(self, X: Array) -> Explanation:
        columns, values = self._encode(X), dict(enumerate(X.T))
        parts = [self._contribution(term, columns, values) for term in self._terms]
        n, C = len(columns), self.network_.n_outputs
        contributions = np.stack(parts, axis=1) if parts else np.zeros((n, 0, C))
        names = [effect.name for effect in self.effects_]
        return Explanation(names, self.intercept_, contributions)


def _density(x: Array, feature: FeatureColumns) -> Any:
    known = x[~np.isnan(x)]
    if feature.levels is not None:
        return np.array([np.sum(known == level) for level in feature.levels])
    return np.histogram(known, bins=_edges(known)) if len(known) else None


def _edges(known: Array) -> Array:
    """Edges of alike bins, with one bin more on a side for numbers far from all others."""
    least, low, high, most = np.quantile(known, (0, TAIL, 1 - TAIL, 1))
    span, finest = high - low, 2 * BINS * np.spacing(max(-least, most))  # floats to tell bins apart
    begin, end = least, most
    if finest < 2 * span < low - least:
        begin = known[known >= low - span].min()
    if finest < 2 * span < most - high:
        end = np.nextafter(known[known <= high + span].max(), np.inf)  # in the bin that ends there
    if 0 < end - begin <= finest:
        return np.array([least, most])
    edges = np.histogram_bin_edges(known, BINS, (begin, end))
    return np.unique([least, *edges, most]) if begin > least or end < most else edges
