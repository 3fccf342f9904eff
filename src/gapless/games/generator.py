"""What a closed form generates with: a mixture of Gaussians, each of any rank."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from sklearn.utils import check_random_state

from ..core.checks import Array, InputError, positive_int, shown
from ..core.files import write
from ..core.tensors import read_tensors

FORMAT = "gapless-generator-1"
_ARRAYS = ("weights", "means", "factors")


@dataclass(frozen=True, eq=False)
class GaussianGenerator:
    """``x = means_c + z factors_c``: component c by its weight, z standard normal.

    A component whose factor is zero is a single point, so mixtures of points are generators too.

    Parameters
    ----------
    weights : array of shape (n_components,)
        Not negative, of sum one.
    means : array of shape (n_components, n_features)
    factors : array of shape (n_components, rank, n_features)
        The covariance of component c is ``factors_c^T factors_c``.
    labels : array of shape (n_components,), optional
        Of which class a component is.

    Raises
    ------
    ValueError
        For shapes that do not fit, NaN, infinite entries, and weights that are no distribution.
    """

    weights: Array
    means: Array
    factors: Array
    labels: Array | None = None

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        m, d = self.means.shape if self.means.ndim == 2 else (-1, -1)
        shapes = self.weights.shape, self.factors.ndim, self.factors.shape[::2]
        if shapes != ((m,), 3, (m, d)) or (self.labels is not None and len(self.labels) != m):
            raise ValueError(
                "a generator has weights (m,), means (m, d), factors (m, k, d), labels (m,), got "
                f"{self.weights.shape}, {self.means.shape}, {self.factors.shape}, "
                f"{None if self.labels is None else np.shape(self.labels)}"
            )
        if not all(np.all(np.isfinite(getattr(self, name))) for name in _ARRAYS):
            raise ValueError("the generator has NaN or infinite entries")
        if np.any(self.weights < 0) or not abs(float(self.weights.sum()) - 1) < 1e-9:
            raise ValueError("the generator's weights must be at least zero and sum to one")

    @property
    def n_features(self) -> int:
        """Numbers that a sample has."""
        return int(self.means.shape[1])

    def sample(self, n_samples: int = 1, random_state: Any = None, *, label: Any = None) -> Array:
        """Draw samples.

        Parameters
        ----------
        n_samples : int, default 1
        random_state : int, RandomState or None
        label : label, optional
            Only of this class.

        Returns
        -------
        array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            For a label that no component has.
        """
        n, rng = positive_int("n_samples", n_samples), check_random_state(random_state)
        share = self.weights
        if label is not None:
            known = np.zeros(0) if self.labels is None else self.labels
            if not np.any(chosen := known == label):
                raise ValueError(
                    f"label={shown(label)} is unknown; the labels are {np.unique(known).tolist()}"
                )
            share = np.where(chosen, share, 0.0)
        which = np.full(n, np.argmax(share))
        if np.count_nonzero(share) > 1:
            which = rng.choice(len(share), n, p=share / share.sum())
        samples = self.means[which]
        for component in np.unique(which):
            if np.any(factor := self.factors[component]):
                rows = which == component
                samples[rows] += rng.standard_normal((int(rows.sum()), len(factor))) @ factor
        return samples

    def save(self, path: str | Path) -> None:
        """Write it to a ``.safetensors`` file.

        Parameters
        ----------
        path : path

        Raises
        ------
        OSError
            When the file cannot be written.
        """
        labels = None if self.labels is None else np.asarray(self.labels).tolist()
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        header = {"format": FORMAT, "labels": json.dumps(labels)}
        write(path, safetensors.numpy.save(arrays, header))

    @staticmethod
    def load(path: str | Path) -> GaussianGenerator:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        GaussianGenerator

        Raises
        ------
        InputError
            For a missing, damaged or foreign file.
        """
        metadata, tensors = read_tensors(path, FORMAT, "is no generator; write one with save()")
        try:
            labels = json.loads(metadata["labels"])
            labels = None if labels is None else np.asarray(labels)
            return GaussianGenerator(**tensors, labels=labels)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: damaged, its parts do not fit ({error})") from error
