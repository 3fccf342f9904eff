"""Images without what neighbours share: a linear filter that whitens their patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, not_negative
from ..core.patches import Patches
from ..core.summary import Summarised
from .targets import validated


@dataclass(eq=False, repr=False)
class ImageWhitener(TransformerMixin, Summarised, BaseEstimator):
    """Filter images or signals so that neighbouring numbers no longer say the same.

    In photographs most of a patch is its brightness, and a filter pays much weight decay for the
    little that tells things apart.  With the covariance C of all patches of the training images, of
    mean c by channel, the map

        x -> (C + ridge tr(C)/k I)^(-1/2) (x - c)

    whitens patches; its middle row is a filter, which every pixel goes through, borders reflected.
    The result has a root mean square of one.

    Parameters
    ----------
    size : int or tuple of int, default 5
        Of the patches, odd; one number is taken for every axis.  ``(5,)``, with one number, makes
        signals of several channels of three axes, as for :class:`ReLUConvClassifier`.
    ridge : float, default 0.1
        What is added to the variances, as a share of their mean: less sharpens more, and noise too.

    Attributes
    ----------
    mean_ : array of shape (channels,)
    filter_ : array of shape (*size, channels, channels)
        From the channels of a patch to those of its middle.
    n_features_in_ : int
        The length of the second axis of X.

    References
    ----------
    Bell & Sejnowski, "The independent components of natural scenes are edge filters", Vision
    Research 1997; Coates, Lee & Ng, "An analysis of single-layer networks in unsupervised feature
    learning", AISTATS 2011, on how much it brings.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import ImageWhitener
    >>> images = np.cumsum(np.random.default_rng(0).normal(size=(20, 16, 16)), axis=2)
    >>> white = ImageWhitener(3, ridge=0.01).fit_transform(images)
    >>> near = [np.corrcoef(x[:, :, 8].ravel(), x[:, :, 9].ravel())[0, 1] for x in (images, white)]
    >>> bool(near[0] > 0.9), bool(near[1] < 0.3)
    (True, True)
    """

    size: int | Sequence[int] = 5
    ridge: float = 0.1

    proven = "Closed form: one filter from the covariance of patches, no search."

    def fit(self, X: Any, y: Any = None) -> ImageWhitener:
        """Learn the filter.

        Parameters
        ----------
        X : array of shape (n, H, W[, channels]) or (n, T[, channels])
        y : ignored

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For an even size or one larger than the images, and a negative ridge.
        """
        X = validated(self, X, dtype=np.float64, allow_nd=True, ensure_min_features=2)
        ridge = not_negative("ridge", self.ridge)
        if any(k % 2 == 0 for k in np.ravel(self.size)):
            raise ValueError(f"size={self.size!r} must be odd: a patch has a middle")
        patches = Patches(X, self.size, pool="global")
        channels, size = patches.windows.channels, patches.windows.size
        flat = patches.mean()
        C = patches.gram() / patches.n_rows - np.outer(flat, flat)
        s, Q = np.linalg.eigh(C)
        s = np.maximum(s, 0.0)
        least = np.finfo(float).eps * float(s.max()) + np.finfo(float).tiny
        W = (Q / np.sqrt(s + ridge * s.mean() + least)) @ Q.T
        middle = channels * (len(W) // channels // 2)
        F = W[:, middle : middle + channels]
        power = float(np.trace(F.T @ C @ F)) / channels
        self.mean_ = flat.reshape(-1, channels).mean(axis=0)
        self.filter_ = (F / (np.sqrt(power) or 1.0)).reshape(*size, channels, channels)
        return self

    def transform(self, X: Any) -> Array:
        """Filter images.

        Parameters
        ----------
        X : array of shape (n, H, W[, channels]) or (n, T[, channels])

        Returns
        -------
        array of the shape of X

        Raises
        ------
        ValueError
            For another number of channels.
        """
        check_is_fitted(self)
        X = validated(self, X, dtype=np.float64, reset=False, allow_nd=True)
        *size, channels, _ = self.filter_.shape
        bare = X.ndim == len(size) + 1
        images = X[..., None] if bare else X
        if images.ndim != len(size) + 2 or images.shape[-1] != channels:
            raise ValueError(
                f"images must have {len(size)} axes and {channels} channels, as those that were "
                f"fitted, got the shape {X.shape}"
            )
        rim = [(0, 0), *((k // 2, k // 2) for k in size), (0, 0)]
        images = np.pad(images - self.mean_, rim, mode="reflect")
        patches = Patches(images, tuple(size), pool="global")
        F, out = self.filter_.reshape(-1, channels), np.empty((len(X), patches.height, channels))
        for block in patches.blocks(F.shape[0]):
            out[block] = patches.rows(block).scores(F).reshape(-1, patches.height, channels)
        return out.reshape(X.shape)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
