"""The best generator against a simple discriminator, in closed form, with its certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core.checks import Array, choose, not_negative, positive_int, shown
from ..core.summary import Summarised
from .certificate import GameCertificate
from .discriminators import Discriminator, Linear, Quadratic
from .generator import GaussianGenerator
from .homogeneous import RandomFeatures, ReLU

#: every discriminator by name
DISCRIMINATORS: dict[str, type[Discriminator]] = {
    kind.name: kind for kind in (Linear, Quadratic, RandomFeatures, ReLU)
}


def game_of(name: str, X: Array, features: Any, random_state: Any) -> Discriminator:
    """The game against a discriminator, on data that were checked."""
    kind = DISCRIMINATORS[choose("discriminator", name, DISCRIMINATORS)]
    rng = check_random_state(random_state)
    return RandomFeatures(X, rng, features) if kind is RandomFeatures else kind(X, rng)


def read_samples(estimator: Any, X: Any, reset: bool = True) -> Array:
    """X of an estimator as rows of float64, float32 or bytes: memory-mapped images stay mapped."""
    kinds = (np.float64, np.float32, np.uint8)
    return np.asarray(validate_data(estimator, X, dtype=kinds, reset=reset))


class Generative(DensityMixin, Summarised, BaseEstimator):
    """What has a ``generator_`` can sample, and be told from data by a discriminator."""

    discriminator: str = "quadratic"
    features: Any = None
    weight_decay: float
    n_components: Any
    random_state: Any
    generator_: GaussianGenerator

    def sample(self, n_samples: int = 1, random_state: Any = None, *, label: Any = None) -> Array:
        """Draw new samples.

        Parameters
        ----------
        n_samples : int, default 1
        random_state : int, RandomState or None
        label : label, optional
            Only of this class, where ``fit`` was given classes.

        Returns
        -------
        array of shape (n_samples, n_features)

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            For a label that ``fit`` has not seen.
        """
        check_is_fitted(self)
        return self.generator_.sample(n_samples, random_state, label=label)

    def score(self, X: Any, y: Any = None) -> float:
        """How little the best discriminator of weight one tells samples from X, negated.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            For example data held back.
        y : ignored

        Returns
        -------
        float
            Not positive, the larger the better; in the units of ``weight_decay``.
        """
        check_is_fitted(self)
        data = read_samples(self, X, reset=False)
        game = game_of(self.discriminator, data, self.features, self.random_state)
        return -game.discrepancy(self.generator_)

    def _weight_decay(self) -> float:
        """As given; zero where ``n_components`` stands for it."""
        weight_decay = not_negative("weight_decay", self.weight_decay)
        if self.n_components is not None and weight_decay > 0:
            raise ValueError(
                f"n_components={shown(self.n_components)} stands for the weight decay, got "
                f"weight_decay={weight_decay} as well; give n_components=None, or leave it out"
            )
        return weight_decay


@dataclass(eq=False, repr=False)
class MomentGAN(Generative):
    """The best generator of a Wasserstein game against one discriminator, with its certificate.

    Minimises the mean squared norm of what is generated such that no discriminator neuron of norm
    one tells it from the data by more than ``weight_decay``; see
    :mod:`gapless.games.discriminators` for the game, its scaling and the formulas.

    What such a generator knows is what its discriminator sees: the mean (``"linear"``), mean and
    covariance (``"quadratic"``), means of ReLU neurons, given (``"random features"``) or all
    (``"relu"``).  The first two are formulas; the others are linear programs whose generator is a
    list of points at one distance from the mean, see :mod:`gapless.games.homogeneous`.  That the
    optimum is proven does not make samples look real.

    Parameters
    ----------
    discriminator : {"quadratic", "linear", "random features", "relu"}, default "quadratic"
    weight_decay : float, default 0.0
        Of the discriminator, in units of what it sees: of variance for the quadratic one.
    n_components : int, optional
        Of a quadratic discriminator in place of the weight decay: directions that the generator
        varies in; the weight decay is then the eigenvalue that follows them.
    features : int or array of shape (n_features, n_neurons), default 100
        Of ``"random features"``: how many random neurons of norm one, or which ones.
    random_state : int, RandomState or None, default 0
        Of random neurons, searches, and iterations on data too large for a decomposition.

    Attributes
    ----------
    generator_ : GaussianGenerator
    certificate_ : GameCertificate
    weight_decay_ : float
        As given, or as ``n_components`` says.
    mean_ : array of shape (n_features,)
        About which the game is played: zero for a linear discriminator, else the mean of X.
    components_ : array of shape (n_components_, n_features)
        Of unit norm, the directions in which samples vary; none where they are points.
    variances_ : array of shape (n_components_,)
        Of the samples in those.
    n_components_ : int
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) * [3.0, 1.0, 0.1]
    >>> model = MomentGAN(n_components=2).fit(X)
    >>> model.sample(5, random_state=0).shape, bool(model.certificate_.relative_gap < 1e-9)
    ((5, 3), True)

    References
    ----------
    Sahiner et al., "Hidden Convexity of Wasserstein GANs", ICLR 2022.
    """

    discriminator: str = "quadratic"
    weight_decay: float = 0.0
    n_components: int | None = None
    features: Any = 100
    random_state: Any = 0

    def fit(self, X: Any, y: Any = None) -> MomentGAN:
        """Solve the game against X.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Floats, or bytes, which may be memory-mapped: they are read a block at a time.
        y : ignored

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For an unknown discriminator, a negative weight decay, and ``n_components`` together
            with a weight decay or a discriminator that is not quadratic.
        """
        data = read_samples(self, X)
        game = game_of(self.discriminator, data, self.features, self.random_state)
        weight_decay = self._weight_decay()
        if self.n_components is not None:
            if not isinstance(game, Quadratic):
                raise ValueError(
                    f"n_components is for the quadratic discriminator, got {self.discriminator!r}; "
                    "give its weight_decay"
                )
            weight_decay = game.weight_decay_of(positive_int("n_components", self.n_components))
        self.generator_ = game.solve(weight_decay)
        self.certificate_ = game.certify(self.generator_, weight_decay)
        self.weight_decay_, self.mean_ = weight_decay, game.centre
        factor = self.generator_.factors[0]
        self.variances_ = np.sum(factor * factor, axis=1)
        self.components_ = (
            factor / np.sqrt(np.where(self.variances_ > 0, self.variances_, 1.0))[:, None]
        )
        self.n_components_ = len(factor)
        return self


def certify_generator(
    X: Any,
    samples: Any,
    weight_decay: float,
    discriminator: str = "quadratic",
    *,
    features: Any = 100,
    random_state: Any = 0,
) -> GameCertificate:
    """What is proven about a generator that anybody trained.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        The data.
    samples : array of shape (n_generated, n_features) or GaussianGenerator
        What the generator makes of its training latents, or the generator where its moments are
        known.  A certificate for samples is one for THESE samples.
    weight_decay : float
        Of the discriminator; see :mod:`gapless.games.discriminators` for the scaling.
    discriminator : {"quadratic", "linear", "random features", "relu"}, default "quadratic"
    features, random_state
        As of :class:`MomentGAN`.

    Returns
    -------
    GameCertificate

    Raises
    ------
    ValueError
        For samples of another number of features, and as :meth:`MomentGAN.fit`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 2))
    >>> certificate = certify_generator(X, 0.9 * X, weight_decay=0.1)
    >>> bool(certificate.lower_bound <= certificate.price)
    True
    """
    game = game_of(discriminator, read_samples(MomentGAN(), X), features, random_state)
    if not isinstance(samples, GaussianGenerator):
        samples = as_generator(read_samples(MomentGAN(), samples))
    if samples.n_features != game.X.shape[1]:
        raise ValueError(f"samples have {samples.n_features} features, X has {game.X.shape[1]}")
    return game.certify(samples, not_negative("weight_decay", weight_decay))


def as_generator(samples: Array) -> GaussianGenerator:
    """The generator that draws one of these rows."""
    n, d = samples.shape
    return GaussianGenerator(np.full(n, 1 / n), samples, np.zeros((n, 0, d)))
