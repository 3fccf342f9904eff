"""Closed forms from coarse to fine: each stage refines what the stage before generates.

The public recipe of Sahiner et al. (ICLR 2022), corrected.  A stage whose only input is the stage
before has fewer directions than it is asked for, and dividing by the missing ones amplifies
rounding: each stage here brings latents of its own.  There is no column of ones, which would move
the mean: data are centred.  Latents are scaled by their true variance, not by that of one draw.

PROGRESSION CHANGES NOTHING IN DISTRIBUTION: with as many latents as directions the last stage is
the Gaussian of :class:`MomentGAN`, whatever came before it.  What it adds is a coupling: the coarse
and the fine image of one draw belong together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, positive_int, shown
from .certificate import GameCertificate
from .discriminators import Quadratic, gaussian
from .moment import Generative, read_samples

# Directions of an upsampled image below this share of the largest are left to fresh latents:
# dividing by them amplifies rounding.
RANK_TOL = 1e-6


@dataclass(eq=False, repr=False)
class ProgressiveMomentGAN(Generative):
    """Quadratic closed forms from coarse to fine images; see the module for what that is good for.

    Stage i generates ``Z_i W_i``, Z_i the image of the stage before, upsampled, and fresh
    latents.  Of all W_i that give the stage its best covariance it takes the one whose image is
    nearest to the stage before in mean square.

    Parameters
    ----------
    scales : sequence of int, optional
        Pixels of the image on a side of a pixel of each stage, each a multiple of the next, the
        last 1; by default (4, 2, 1), as far as the image can be divided.
    image_shape : tuple of int, optional
        (height, width) or (height, width, channels); without it a row is an image one line high.
    n_components : int or sequence of int, optional
        Directions of each stage.
    weight_decay : float, default 0.0
        Of the discriminators where ``n_components`` is None.
    random_state : int, RandomState or None, default 0

    Attributes
    ----------
    generator_ : GaussianGenerator
        The last stage.
    certificates_ : list of GameCertificate
        One a stage; ``certificate_`` is the last.
    maps_ : list of arrays of shape (n_latents_i, n_features_i)
        A stage is its mean plus the first n_latents_i of all latents times this.
    weights_ : list of arrays of shape (n_features_i + n_fresh_i, n_features_i)
        W_i, on the upsampled image and the fresh latents.
    means_ : list of arrays of shape (n_features_i,)
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data
    >>> model = ProgressiveMomentGAN((2, 1), image_shape=(8, 8), n_components=(5, 20)).fit(X)
    >>> [stage.shape for stage in model.sample_stages(3, random_state=0)]
    [(3, 16), (3, 64)]
    """

    scales: Sequence[int] | None = None
    image_shape: tuple[int, ...] | None = None
    n_components: int | Sequence[int] | None = None
    weight_decay: float = 0.0
    random_state: Any = 0

    def fit(self, X: Any, y: Any = None) -> ProgressiveMomentGAN:
        """Solve the stages, the coarsest first.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Images as rows, of floats or bytes.
        y : ignored

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For a shape that the rows do not have, scales that do not divide it or each other, as
            many ``n_components`` as there are not stages, and a weight decay beside them.
        """
        data = read_samples(self, X)
        shape = self._shape(data.shape[1])
        scales, weight_decay = self._scales(shape), self._weight_decay()
        counts = self._counts(len(scales))
        rng = check_random_state(self.random_state)
        self.certificates_: list[GameCertificate] = []
        self.maps_: list[Array] = []
        self.weights_: list[Array] = []
        self.means_: list[Array] = []
        before = np.zeros((0, math.prod(_coarse(shape, scales[0]))))
        for i, (scale, count) in enumerate(zip(scales, counts)):
            game = Quadratic(pooled(data, shape, scale), rng)
            decay = weight_decay if count is None else game.weight_decay_of(count)
            values, V, _ = game.leading(None, decay)
            if i:
                before = upsampled(self.maps_[-1], _coarse(shape, scales[i - 1]),
                                   scales[i - 1] // scale)  # fmt: skip
            W, factor = _stage(before, np.sqrt(np.maximum(values - decay, 0.0)), V)
            self.weights_.append(W)
            self.maps_.append(factor)
            self.means_.append(game.centre)
            self.certificates_.append(game.certify(gaussian(game.centre, factor), decay))
        self.certificate_ = self.certificates_[-1]
        self.generator_ = gaussian(self.means_[-1], self.maps_[-1])
        return self

    def sample_stages(self, n_samples: int = 1, random_state: Any = None) -> list[Array]:
        """The same draws at every stage, the coarsest first.

        Parameters
        ----------
        n_samples : int, default 1
        random_state : int, RandomState or None

        Returns
        -------
        list of arrays of shape (n_samples, n_features_i)

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        n, rng = positive_int("n_samples", n_samples), check_random_state(random_state)
        Z = rng.standard_normal((n, len(self.maps_[-1])))
        return [mean + Z[:, : len(L)] @ L for mean, L in zip(self.means_, self.maps_)]

    def _shape(self, n_features: int) -> tuple[int, int, int]:
        if self.image_shape is None:
            return 1, n_features, 1
        shape = (*self.image_shape, 1) if len(self.image_shape) == 2 else tuple(self.image_shape)
        if len(shape) != 3 or math.prod(shape) != n_features:
            raise ValueError(
                f"image_shape={self.image_shape} does not describe rows of {n_features} numbers; "
                "give (height, width) or (height, width, channels)"
            )
        return shape

    def _scales(self, shape: tuple[int, int, int]) -> tuple[int, ...]:
        side = math.gcd(*shape[:2])
        if self.scales is None:
            return tuple(scale for scale in (4, 2, 1) if side % scale == 0)
        scales = tuple(positive_int("scales", scale) for scale in self.scales)
        steps = itertools.pairwise(scales)
        if not scales or scales[-1] != 1 or side % scales[0] or any(a % b for a, b in steps):
            raise ValueError(
                f"scales={shown(self.scales)} must end with 1, each a multiple of the next, the "
                f"first a divisor of both sides of {shape[0]} x {shape[1]} images"
            )
        return scales

    def _counts(self, n_stages: int) -> list[int | None]:
        given = self.n_components
        if given is None:
            return [None] * n_stages
        counts = list(given) if isinstance(given, Sequence) else [given] * n_stages
        if len(counts) != n_stages:
            raise ValueError(f"n_components has {len(counts)} numbers for {n_stages} stages")
        return [positive_int("n_components", count) for count in counts]


def _stage(before: Array, deviations: Array, V: Array) -> tuple[Array, Array]:
    """W on [image of the stage before, fresh latents], and the map from all latents.

    Parameters
    ----------
    before : array of shape (n_latents, d)
        From the latents so far to the image of the stage before, upsampled.
    deviations : array of shape (k,)
        The deviations wanted, in the
    V : array of shape (d, k)
        directions.
    """
    A, D, Bt = np.linalg.svd(before, full_matrices=False)
    rank = int(np.sum(RANK_TOL * D.max(initial=0.0) < D))
    A, D, B = A[:, :rank], D[:rank], Bt[:rank].T
    # any P with P^T P = I in (whitened image, fresh latents) P diag(deviations) V^T has the
    # covariance wanted; trace(B D P diag(deviations) V^T), how far both images agree, is largest
    # for the polar factor, and fresh latents fill what that leaves out
    left, _, right = np.linalg.svd((D[:, None] * (B.T @ V)) * deviations)
    shared = min(rank, len(deviations))
    P, fresh = left[:, :shared] @ right[:shared], right[shared:]
    target = deviations[:, None] * V.T
    W = np.vstack([(B / D) @ P @ target, fresh @ target])
    return W, np.vstack([A @ P @ target, fresh @ target])


def _coarse(shape: tuple[int, int, int], scale: int) -> tuple[int, int, int]:
    return shape[0] // scale, shape[1] // scale, shape[2]


def pooled(X: Array, shape: tuple[int, int, int], scale: int) -> Array:
    """Means of squares of ``scale`` pixels on a side, as rows."""
    if scale == 1:
        return X
    h, w, c = _coarse(shape, scale)
    blocks = X.reshape(len(X), h, scale, w, scale, c)
    return blocks.mean(axis=(2, 4), dtype=np.float64).reshape(len(X), -1)


def upsampled(rows: Array, shape: tuple[int, int, int], factor: int) -> Array:
    """Each pixel ``factor`` times on both sides, as rows."""
    images = rows.reshape(len(rows), *shape)
    return images.repeat(factor, axis=1).repeat(factor, axis=2).reshape(len(rows), -1)
