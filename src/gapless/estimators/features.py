"""Image features whose filters come from a convex problem: Convex-RF.

Ergen & Pilanci (JMLR 2021), Algorithm 2.  Patches p are drawn at random, normalised to
``(p - mean p) / sqrt(var p + eps)`` and optionally whitened by ``V (D + zca I)^{-1/2} V^T``
(V D V^T their covariance).  A patch that is a vertex of their hull gives a filter: the unit
vector from its nearest point of the hull of the others to it (Lemma 7, eq. 10).  The features of
an image are the activations ``(+-p.u - threshold)_+`` of all its patches, pooled by region;
:class:`gapless.ConvexOutputLayer` learns the classes from them, by a convex problem as well.

The paper pools by the maximum, without threshold or sign split; the defaults here are what
tested best (docs and benchmarks/TABLE1.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.base import ClassNamePrefixFeaturesOutMixin as NamedFeatures
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, choose, positive, positive_int
from ..core.summary import Summarised
from ..structure.extreme_points import extreme_points
from ..training.progress import counter
from .targets import validated

# Activations of one batch of images: 64 MiB in single precision.
BATCH = 1 << 24
# Patches for the moments of whitening: its dimension is a few hundred at most.
MOMENTS = 20_000
# Added to a patch's variance, as a share of the mean variance: flat patches stay small.
FLAT = 0.01
# Filters a call of extreme_points, so that the progress bar moves.
CHUNK = 100


@dataclass(eq=False, repr=False)
class ConvexRandomFeatures(NamedFeatures, TransformerMixin, Summarised, BaseEstimator):
    """Convolutional features with extreme patches as filters.

    Images are arrays (n, height, width) or (n, height, width, channels) of any number type,
    memory-mapped if need be: they are read a batch at a time.  Flat rows (n, n_features) need
    ``image_shape``; without it each row is a signal, an image one line high.

    Parameters
    ----------
    n_filters : int, default 200
        Filters wanted; fewer are found when fewer of the patches are vertices.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels) of flat rows.
    patch_size : int, default 6
        Side of the square patches, at most the image's.
    n_patches : int, optional
        Patches whose hull is taken, default ``4 * n_filters``.
    zca : float or None, default 0.1
        Added to the covariance's eigenvalues before their inverse root; None: no whitening.
    threshold : float, default 0.5
        Subtracted from the scores before the ReLU.
    sign_split : bool, default True
        Whether -u is used along with u.
    pooling : {"mean", "max"}, default "mean"
    n_pools : int, default 2
        Pooling regions along each side.
    random_state : int, RandomState or None, default 0
    verbose : int, default 0
        1 shows a progress bar on a terminal.

    Attributes
    ----------
    filters_ : array of shape (patch_height * patch_width * channels, n_filters)
        Unit vectors in the space of normalised, whitened patches.
    patch_shape_ : tuple of int
        (height, width, channels) of a patch.
    mean_, whitening_ : arrays of shape (d,) and (d, d)
        A normalised patch p becomes ``(p - mean_) @ whitening_``.
    n_features_in_ : int

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Algorithm 2; the architecture is that of Coates & Ng,
    "Learning feature representations with k-means" (2012).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from gapless import ConvexRandomFeatures
    >>> images = load_digits().images
    >>> ConvexRandomFeatures(20, patch_size=4).fit_transform(images).shape
    (1797, 160)
    """

    n_filters: int = 200
    _: KW_ONLY
    image_shape: tuple[int, ...] | None = None
    patch_size: int = 6
    n_patches: int | None = None
    zca: float | None = 0.1
    threshold: float = 0.5
    sign_split: bool = True
    pooling: str = "mean"
    n_pools: int = 2
    random_state: Any = 0
    verbose: int = 0

    proven = "Filters are drawn at random: nothing is optimised."

    def fit(self, X: Any, y: Any = None) -> ConvexRandomFeatures:
        """Draw patches and find the filters; labels are not used.

        Parameters
        ----------
        X : array of images, or of flat rows, as in the class
        y : ignored

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For images without contrast: no patch is then a vertex.
        """
        images = self._images(X, reset=True)
        n_filters = positive_int("n_filters", self.n_filters)
        n_patches = positive_int("n_patches", self.n_patches or 4 * n_filters)
        side = positive_int("patch_size", self.patch_size)
        positive_int("n_pools", self.n_pools)
        choose("pooling", self.pooling, ("mean", "max"))
        _, height, width, channels = images.shape
        self.patch_shape_ = (min(side, height), min(side, width), channels)
        rng = check_random_state(self.random_state)

        patches = self._draw(images, max(n_patches, MOMENTS), rng)
        self._flat = FLAT * float(patches.var(axis=1).mean()) or 1.0
        patches = _normalise(patches, self._flat)
        self.mean_ = patches.mean(axis=0)
        centred = patches - self.mean_
        self.whitening_ = np.eye(centred.shape[1])
        if self.zca is not None:
            D, V = np.linalg.eigh(centred.T @ centred / len(centred))
            self.whitening_ = (V / np.sqrt(np.maximum(D, 0.0) + positive("zca", self.zca))) @ V.T
        Z = np.unique(centred[:n_patches] @ self.whitening_, axis=0)
        self.filters_ = self._vertices(Z[rng.permutation(len(Z))], n_filters)
        return self

    def transform(self, X: Any) -> Array:
        """Pooled activations ``(+-p.u - threshold)_+`` of the patches of each image.

        Parameters
        ----------
        X : array of images, or of flat rows, as in ``fit``

        Returns
        -------
        array of shape (n_samples, 2 * n_filters * n_pools^2)
            In single precision; half the columns without the sign split.
        """
        check_is_fitted(self)
        images = self._images(X, reset=False)
        n = len(images)
        F = (self.whitening_ @ self.filters_).astype(np.float32)
        shift = -(self.mean_ @ self.whitening_ @ self.filters_).astype(np.float32)
        (rows, columns), pools = self._grid, self._pools
        out = np.empty((n, self._n_features_out), dtype=np.float32)
        step = max(1, BATCH // (rows * columns * F.shape[1]))
        with counter("features", bool(self.verbose)) as report:
            for start in range(0, n, step):
                batch = np.asarray(images[start : start + step], dtype=np.float32)
                S = _normalise(self._windows(batch).reshape(-1, len(F)), self._flat) @ F
                S += shift
                S = S.reshape(len(batch), rows, columns, -1)
                pooled = [self._pool(S[:, r, c]) for r, c in pools]
                out[start : start + step] = np.hstack(pooled)
                if report is not None:
                    report(min(start + step, n), n)
        return out

    @property
    def _grid(self) -> tuple[int, int]:
        """Rows and columns of patches in an image."""
        height, width, _ = self._image_shape
        return height - self.patch_shape_[0] + 1, width - self.patch_shape_[1] + 1

    @property
    def _pools(self) -> list[tuple[slice, slice]]:
        down, across = (list(_parts(length, self.n_pools)) for length in self._grid)
        return [(r, c) for r in down for c in across]

    @property
    def _n_features_out(self) -> int:
        return len(self._pools) * self.filters_.shape[1] * (2 if self.sign_split else 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # always single precision
        return tags

    def _pool(self, S: Array) -> Array:
        """Pooled activations (n, m or 2 m) of the scores (n, rows, columns, m) of one region."""
        signed = (S, -S) if self.sign_split else (S,)
        if self.pooling == "max":  # the ReLU is monotone: pool first
            parts = [np.maximum(s.max(axis=(1, 2)) - self.threshold, 0.0) for s in signed]
        else:
            parts = [np.maximum(s - self.threshold, 0.0).mean(axis=(1, 2)) for s in signed]
        return np.hstack(parts)

    def _vertices(self, Z: Array, count: int) -> Array:
        """At most ``count`` filters (d, m): the directions of vertices among the rows of Z."""
        found: list[Array] = []
        missing, start = count, 0
        with counter("filters", bool(self.verbose)) as report:
            while missing > 0 and start < len(Z) and len(Z) > 1:
                part = np.arange(start, min(start + min(missing, CHUNK), len(Z)))
                start = part[-1] + 1
                points = extreme_points(Z, part)
                found.append(points.hidden_weights[:, points.is_vertex])
                missing -= found[-1].shape[1]
                if report is not None:
                    report(count - missing, count)
        if missing == count:
            raise ValueError(
                f"none of the {len(Z)} distinct patches of {Z.shape[1]} feature(s) is a vertex of "
                "their hull; give images that are not constant, or larger patches"
            )
        return np.hstack(found)

    def _windows(self, images: Array) -> Array:
        """All patches, (n, rows, columns, channels, patch height, patch width), as a view."""
        return sliding_window_view(images, self.patch_shape_[:2], axis=(1, 2))

    def _draw(self, images: Array, count: int, rng: Any) -> Array:
        """Random patches (count, d) in double precision."""
        windows = self._windows(images)
        where = tuple(rng.randint(size, size=count) for size in windows.shape[:3])
        order = np.argsort(where[0], kind="stable")  # a memory map is read forwards
        patches = np.empty((count, int(np.prod(self.patch_shape_))))
        patches[order] = windows[tuple(w[order] for w in where)].reshape(count, -1)
        return patches

    def _images(self, X: Any, reset: bool) -> Array:
        """X as (n, height, width, channels), without a copy."""
        X = validated(self, X, dtype="numeric", allow_nd=True, reset=reset)
        if X.ndim == 2:
            shape = (1, X.shape[1]) if self.image_shape is None else tuple(self.image_shape)
            if len(shape) not in (2, 3) or int(np.prod(shape)) != X.shape[1]:
                raise ValueError(
                    f"image_shape={self.image_shape} does not describe rows of {X.shape[1]} "
                    "numbers; give (height, width) or (height, width, channels)"
                )
            X = X.reshape(len(X), *shape)
        if X.ndim == 3:
            X = X[..., None]
        if X.ndim != 4:
            raise ValueError(f"images must have 3 or 4 dimensions, got shape {X.shape}")
        if reset:
            self._image_shape: tuple[int, ...] = X.shape[1:]
        if X.shape[1:] != self._image_shape:
            raise ValueError(
                f"images have shape {X.shape[1:]}, fit saw {self._image_shape}; give the same"
            )
        return X


def _normalise(patches: Array, flat: float) -> Array:
    """``(p - mean p) / sqrt(var p + flat)`` for each row."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    centred /= np.sqrt(np.mean(centred * centred, axis=1, keepdims=True) + flat)
    return centred


def _parts(length: int, count: int) -> Iterator[slice]:
    """``count`` parts of about equal length; a short side has fewer."""
    edges = np.unique(np.linspace(0, length, min(count, length) + 1).astype(int))
    yield from (slice(a, b) for a, b in itertools.pairwise(edges))
