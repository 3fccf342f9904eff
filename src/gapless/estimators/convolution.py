"""Estimators for images and signals: convolutional filters, trained to a certified gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array
from ..core.patches import Patches, Windows
from ..training.cross_validation import Choice
from ..training.decades import choose_decade
from .fitting import ReLUClassification, ReLURegression
from .relu import AtWeightDecay


@dataclass(eq=False, repr=False)
class Convolution(AtWeightDecay):
    """Samples are images; a network sees their patches."""

    size: int | Sequence[int] = 3
    _: KW_ONLY
    stride: int | Sequence[int] = 1
    padding: int | Sequence[int] = 0
    pool: str | int | Sequence[int] = "grid"
    weight_decay: float | str = 0.001
    accepts: ClassVar[dict[str, Any]] = {"allow_nd": True}
    _chooser: ClassVar[Callable[..., Choice]] = staticmethod(choose_decade)

    def _design(self, X: Any, new: bool) -> Patches:
        if not new:
            return self.windows_.of(X)
        if X.ndim == 2 and X.shape[1] == 1:  # in the words that scikit-learn's checks ask for
            raise ValueError("a signal needs 2 numbers at least, X has n_features = 1")
        patches = Patches(X, self.size, self.stride, self.padding, self.pool)
        if self.warm_start and getattr(self, "windows_", patches.windows) != patches.windows:
            raise ValueError(
                "warm_start: the fitted network sees other patches; fit a new estimator"
            )
        self.windows_: Windows = patches.windows
        return patches

    @property
    def filters_(self) -> Array:
        """The filters (n_neurons, *size, channels), of a balanced network."""
        check_is_fitted(self)
        shape = (*self.windows_.size, self.windows_.channels)
        return self.network_.hidden_weights.T.reshape(-1, *shape)

    def activation_maps(self, X: Any) -> Array:
        """Where the filters fire.

        Parameters
        ----------
        X : array of shape (n, H, W[, channels]) or (n, T[, channels])

        Returns
        -------
        array of shape (n, n_neurons, *grid)
            Their ReLUs at every place, before they are pooled.
        """
        check_is_fitted(self)
        patches, network = self.windows_.of(X), self.network_
        S = patches.scores(network.hidden_weights, network.hidden_bias)
        S = np.maximum(S, 0.0).reshape(len(patches), -1, network.n_neurons)
        return S.swapaxes(1, 2).reshape(len(patches), -1, *self.windows_.grid)


class ReLUConvRegressor(Convolution, ReLURegression):
    """Convolution, ReLU, average pooling and a linear layer, trained to a certified gap.

    Minimises over networks of any number of filters u_j, each with output weights V_jq for every
    pooled place q,

        sum_i w_i loss(f(x_i), y_i) / sum_i w_i
            + weight_decay/2 sum_j (||u_j||^2 + sum_q ||V_jq||^2)

    with ``f(x) = sum_jq V_jq mean_{p in P_q} (x_p.u_j + b_j)_+ + c``, x_p the patches of an image.
    The certificate holds against every number of filters of this size, stride, padding and pooling.
    It is exact for filters of two numbers, and near for three and four; elsewhere it is valid and
    wide, and only the estimated gap says how good a network is.

    Images are taken as given: scale them, as ``X / 255``.

    Parameters
    ----------
    size : int or tuple of int, default 3
        Of the filters; one number is taken for every axis.  ``(3,)``, with one number, makes
        signals of several channels, (n, T, channels), of what else were images of one.
    stride, padding : int or tuple of int, default 1 and 0
        From one patch to the next; zeros added on both sides.
    pool : {"grid", "global", "none"}, int or tuple of int, default "grid"
        ReLUs are averaged over as many places an axis as leave four cells a side, over all, over
        none, or over so many.  Global pooling, of the papers, is poor on centred images.
    weight_decay : float or "auto", default 0.001
        "auto" tries the largest useful one over 10, 100, ... on a quarter of the images held out,
        in half of the time limit, until one is worse than the last; without a limit that takes 15
        seconds and 2.5 more for each million numbers in the patches, and training as long again.
    bias, loss, tol, max_neurons, time_limit, prove_time, random_state, warm_start, verbose
        As in :class:`ReLURegressor`.

    Attributes
    ----------
    filters_ : array of shape (n_neurons, *size, channels)
    network_ : Network
        On :class:`Patches`: ``hidden_weights`` has a filter a column, ``output_weights`` those of
        the first place, then those of the next.
    windows_ : gapless.core.patches.Windows
        How images are cut and pooled.
    certificate_, solution_, status_, n_neurons_, n_iter_
        As in :class:`ReLURegressor`.
    n_features_in_ : int
        The length of the second axis of X, as scikit-learn counts.

    References
    ----------
    Sahiner, Ergen, Pauly & Pilanci, "Vector-output ReLU neural network problems are copositive
    programs", ICLR 2021: convolutional networks with global average pooling.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import ReLUConvRegressor
    >>> signals = np.cumsum(np.random.default_rng(0).standard_normal((30, 12)), axis=1)
    >>> jumps = np.abs(np.diff(signals)).mean(axis=1)
    >>> model = ReLUConvRegressor(2, pool="global", weight_decay=0.01).fit(signals, jumps)
    >>> model.filters_.shape[1:], bool(model.certificate_.relative_gap < 1e-3)
    ((2, 1), True)
    """


@dataclass(eq=False, repr=False, kw_only=True)
class ReLUConvClassifier(Convolution, ReLUClassification):
    """Convolution, ReLU, average pooling and a linear layer for classes, to a certified gap.

    The objective is that of :class:`ReLUConvRegressor` with a classification loss.

    Parameters
    ----------
    size, stride, padding, pool, weight_decay
        As in :class:`ReLUConvRegressor`.
    loss : {"logistic", "hinge", "squared"}, default "logistic"
        As in :class:`ReLUClassifier`.
    bias, tol, max_neurons, time_limit, prove_time, random_state, warm_start, verbose
        As in :class:`ReLURegressor`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    filters_, network_, windows_, certificate_, solution_, status_, n_neurons_, n_iter_
        As in :class:`ReLUConvRegressor`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from gapless import ReLUConvClassifier
    >>> data = load_digits(n_class=2)
    >>> model = ReLUConvClassifier(pool="global", weight_decay=0.01, tol=0.01)
    >>> model = model.fit(data.images / 16, data.target)
    >>> model.filters_.shape[1:], bool(model.score(data.images / 16, data.target) > 0.95)
    ((3, 3, 1), True)
    """

    loss: Any = "logistic"
