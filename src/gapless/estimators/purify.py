"""What a pair of features adds, told apart: two main effects and what only both together do.

    f(x, z) = m(x) + k(z) - c + pure(x, z),
    m(x) = sum_s w_s f(x, z_s),  k(z) = sum_s w_s f(x_s, z),  c = sum_s w_s m(x_s),

over the training samples s with weights w: at any value of one feature the mean of ``pure`` over
the other's training values is zero.  This is the functional analysis of variance of f with respect
to the features' own distributions (Hooker, "Generalized functional ANOVA diagnostics", 2007); it
changes no prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.checks import Array
from .table_columns import UNKNOWN, FeatureColumns

# Values of a numeric feature at which a main effect is kept, linear in between: all training values
# up to so many.
KNOTS = 1000


@dataclass(frozen=True, eq=False)
class Term:
    """What some neurons add together, and which part of it is told elsewhere.

    Attributes
    ----------
    features : tuple of int
        One or two.
    neurons : array of int
        Those that look at just these.
    mean : array of shape (n_outputs,)
        Taken away, so that what is left is centred.
    mains : tuple of array (n_states, n_outputs)
        Of one feature: at its states, what comes to it from pairs.  Of two: what goes to each of
        them.  Empty where there are no pairs.
    """

    features: tuple[int, ...]
    neurons: Array
    mean: Array
    mains: tuple[Array, ...] = ()

    def told(self, added: Array, values: dict[int, Array], states: dict[int, States]) -> Array:
        """The contribution (n, n_outputs) of what the neurons have ``added``, at these values."""
        sign = -1.0 if len(self.features) == 2 else 1.0
        out = added - self.mean
        for j, main in zip(self.features, self.mains):
            out += sign * states[j].at(values[j], main)
        return out


@dataclass(frozen=True, eq=False)
class States:
    """Where the main effect of a feature is kept.

    Attributes
    ----------
    places : array of shape (n_states - 2,)
        Levels, or training values, rising; after them come a missing value and an unknown level.
    levels : bool
        Whether only the places themselves are known, not what is between them.
    """

    places: Array
    levels: bool

    @classmethod
    def of(cls, feature: FeatureColumns, x: Array) -> States:
        """From the training values of a feature."""
        if feature.levels is not None:
            return cls(feature.levels, True)
        known = np.unique(x[~np.isnan(x)])
        if len(known) == 0:
            known = np.array([feature.centre])
        index = np.rint(np.linspace(0, len(known) - 1, min(len(known), KNOTS))).astype(int)
        return cls(known[index], False)

    @property
    def all(self) -> Array:
        """Every state as a value."""
        return np.concatenate([self.places, [np.nan, UNKNOWN]])

    def at(self, x: Array, main: Array) -> Array:
        """A main effect, given at the states, at the values ``x``: (n, n_outputs)."""
        if self.levels:
            near = np.clip(np.searchsorted(self.places, x), 0, max(len(self.places) - 1, 0))
            known = np.zeros(len(x), bool)
            if len(self.places):
                known = self.places[near] == x
            index = np.where(known, near, len(self.places) + 1)
            return main[np.where(np.isnan(x), len(self.places), index)]
        out = np.stack([np.interp(x, self.places, m) for m in main[:-2].T], axis=1)
        out[np.isnan(x)] = main[-2]
        return out


def main_effect(inner: Array, outer: Array, weights: Array, slopes: Array) -> Array:
    """What neurons add in the mean over the values of their other feature.

    Parameters
    ----------
    inner : array of shape (n_states, m)
        What the states of one feature contribute to each preactivation, the bias included.
    outer : array of shape (n, m)
        What the training values of the other do.
    weights : array of shape (n,)
        Of the samples, of sum one.
    slopes : array of shape (m, n_outputs)
        Output weights.

    Returns
    -------
    array of shape (n_states, n_outputs)
        ``sum_s w_s (inner + outer_s)_+ @ slopes``, by running sums: exact, in n log n a neuron.
    """
    means = np.empty_like(inner)
    for k, (p, q) in enumerate(zip(inner.T, outer.T)):
        order = np.argsort(q, kind="stable")
        q, w = q[order], weights[order]
        # of the samples above -p: their weight, and what they contribute
        mass, sums = (np.append(np.cumsum(a[::-1])[::-1], 0.0) for a in (w, w * q))
        first = np.searchsorted(q, -p)
        means[:, k] = mass[first] * p + sums[first]
    return means @ slopes


def purified(
    terms: list[Term],
    X: Array,
    weights: Array,
    features: list[FeatureColumns],
    main_of: Callable[[Term, int, Array], Array],
) -> tuple[list[Term], dict[int, States]]:
    """The same terms with the main effects of pairs moved to their features.

    Parameters
    ----------
    terms : list of Term
        Uncentred.
    X : array of shape (n, n_features)
    weights : array of shape (n,)
        Of sum one.
    features : list of FeatureColumns
    main_of : callable
        ``main_of(term, j, at)``: the main effect of a pair's feature ``j`` at these values.

    Returns
    -------
    list of Term
        Pairs have their constant as ``mean``; of features the means are still to be taken.
    dict of int to States
        Of each feature that pairs have.
    """
    pairs = [t for t in terms if len(t.features) == 2]
    paired = sorted({j for term in pairs for j in term.features})
    states = {j: States.of(features[j], X[:, j]) for j in paired}
    moved: dict[int, Array] = {}
    out = []
    for term in pairs:
        mains = tuple(main_of(term, j, states[j].all) for j in term.features)
        for j, main in zip(term.features, mains):
            moved[j] = moved.get(j, 0.0) + main
        first = term.features[0]
        constant = weights @ states[first].at(X[:, first], mains[0])
        out.append(Term(term.features, term.neurons, -constant, mains))
    single = {t.features[0]: t for t in terms if len(t.features) == 1}
    for j in sorted({*single, *moved}):
        own = single[j].neurons if j in single else np.zeros(0, dtype=np.intp)
        mains = (moved[j],) if j in moved else ()
        out.append(Term((j,), own, np.zeros_like(terms[0].mean), mains))
    return out, states
