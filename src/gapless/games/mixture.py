"""A closed form a class and cluster: the generator that makes useful samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d

from ..core.checks import Array, positive_int
from .certificate import GameCertificate
from .discriminators import Quadratic
from .generator import GaussianGenerator
from .moment import Generative, read_samples

# Clusters are found among so many principal coordinates of a class: as good, several times faster.
COORDINATES = 50


@dataclass(eq=False, repr=False)
class MixtureMomentGAN(Generative):
    """One :class:`MomentGAN` with a quadratic discriminator for each cluster of each class.

    A discriminator that knows of which class and cluster a sample is: its game falls apart into
    one for each, and each is solved in closed form and certified.  What it knows beyond moments
    is the clusters, found by k-means, which proves nothing.

    Parameters
    ----------
    n_clusters : int, default 20
        A class at most; a cluster has ten samples or more on average.
    n_components : int, optional, default 20
        Directions that each cluster varies in; None for all that the weight decay keeps.
    weight_decay : float, default 0.0
        Of the discriminators where ``n_components`` is None, in units of variance.
    random_state : int, RandomState or None, default 0
        Of the clusters.

    Attributes
    ----------
    generator_ : GaussianGenerator
        With the class of each component as ``labels``.
    certificates_ : list of GameCertificate
        One a component.
    classes_ : array
        The labels, where ``fit`` was given any.
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MixtureMomentGAN(n_clusters=5, n_components=8).fit(X, y)
    >>> model.sample(3, random_state=0, label=7).shape
    (3, 64)
    """

    n_clusters: int = 20
    n_components: int | None = 20
    weight_decay: float = 0.0
    random_state: Any = 0

    def fit(self, X: Any, y: Any = None) -> MixtureMomentGAN:
        """Cluster each class and solve the game of each cluster.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Floats or bytes.
        y : array of labels of shape (n_samples,), optional
            All samples are one class without.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For numbers that are not positive, a negative weight decay, and a weight decay together
            with ``n_components``.
        """
        data = read_samples(self, X)
        n_clusters = positive_int("n_clusters", self.n_clusters)
        weight_decay, count = self._weight_decay(), self.n_components
        if count is not None:
            count = positive_int("n_components", count)
        rng = check_random_state(self.random_state)
        groups = self._classes(data, y)
        parts, labels = [], []
        self.certificates_: list[GameCertificate] = []
        for label, rows in groups:
            for cluster in _clusters(data[rows], n_clusters, rng):
                game = Quadratic(data[rows[cluster]], rng)
                decay = weight_decay if count is None else game.weight_decay_of(count)
                generator = game.solve(decay)
                self.certificates_.append(game.certify(generator, decay))
                parts.append((len(cluster), generator))
                labels.append(label)
        self.generator_ = _joined(parts, None if y is None else np.asarray(labels))
        return self

    def _classes(self, data: Array, y: Any) -> list[tuple[Any, Array]]:
        """(label, rows) of each class."""
        if y is None:
            return [(None, np.arange(len(data)))]
        y = column_or_1d(y, warn=True)
        check_consistent_length(data, y)
        self.classes_, number = np.unique(y, return_inverse=True)
        return [(label, np.flatnonzero(number == k)) for k, label in enumerate(self.classes_)]


def _clusters(X: Array, n_clusters: int, rng: np.random.RandomState) -> Iterator[Array]:
    """The rows of each cluster."""
    n_clusters = min(n_clusters, max(1, len(X) // 10))
    if n_clusters == 1:
        yield np.arange(len(X))
        return
    game = Quadratic(X, rng)
    V = game.moment.leading(COORDINATES, 0.0, rng)[1]
    seed = int(rng.randint(np.iinfo(np.int32).max))
    found = KMeans(n_clusters, n_init=1, random_state=seed).fit_predict(X @ V)
    yield from (np.flatnonzero(found == k) for k in np.unique(found))


def _joined(parts: list[tuple[int, GaussianGenerator]], labels: Any) -> GaussianGenerator:
    """Components weighted by their samples; factors of lower rank end in zeros."""
    sizes = np.array([size for size, _ in parts], dtype=float)
    rank = max(generator.factors.shape[1] for _, generator in parts)
    factors = np.zeros((len(parts), rank, parts[0][1].n_features))
    for factor, (_, generator) in zip(factors, parts):
        factor[: generator.factors.shape[1]] = generator.factors[0]
    means = np.vstack([generator.means for _, generator in parts])
    return GaussianGenerator(sizes / sizes.sum(), means, factors, labels)
