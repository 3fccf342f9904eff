"""Patches: images and signals as a design, so that neurons are convolutional filters.

Sample i has K patches x_ip, the windows that a filter of ``size`` sees.  A neuron u gives for it Q
numbers, the means of its ReLUs over Q sets P_q of patches, and each has output weights of its own:

    f_c(i) = sum_j sum_q z_iqj V_jqc + c_c,     z_iqj = |P_q|^-1 sum_{p in P_q} (x_ip.u_j + b_j)_+

Q = 1 is global average pooling, Q = K is Conv, ReLU, Flatten, Linear.  In the rows of the stacked
patches (n K of them) this is the plain model with Q C outputs, and the dual point of row (i, p) and
output (q, c) is ``Lam_ic / |P_q|`` where p is in P_q, else 0: bounds of the gauge hold as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import row_blocks, row_norms
from .checks import Array, choose, positive_int, shown, to_floats
from .design import Design

POOLS = ("grid", "global", "none")
# Cells a side of the grid that "grid" pools over.
CELLS = 4


@dataclass(frozen=True)
class Windows:
    """Where patches lie, and which are pooled: all but the images themselves.

    Attributes
    ----------
    shape : tuple of int
        Of an image, padding included, without its channels.
    channels : int
    size, stride : tuples of int
        Of a patch, one number an axis.
    pool : tuple of int
        Places that are pooled, one number an axis; the last window of an axis may be smaller.
    padding : tuple of int
        Zeros on both sides of each axis.
    """

    shape: tuple[int, ...]
    channels: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    pool: tuple[int, ...]

    def of(self, images: Any) -> Patches:
        """The patches of images, cut and pooled like this.

        Parameters
        ----------
        images : array of shape (n, *shape) or (n, *shape, channels)

        Returns
        -------
        Patches

        Raises
        ------
        ValueError
            Where their size or number of channels differs.
        """
        patches = Patches(images, self.size, self.stride, self.padding, self.pool)
        if patches.windows != self:
            asked = tuple(n - 2 * p for n, p in zip(self.shape, self.padding)) + (self.channels,)
            given = np.shape(images)[1:]
            raise ValueError(f"images must have the shape (n, *{asked}), got (n, *{given})")
        return patches

    @property
    def grid(self) -> tuple[int, ...]:
        """Patches an axis."""
        return tuple(
            (length - size) // step + 1
            for length, size, step in zip(self.shape, self.size, self.stride)
        )

    @property
    def cells(self) -> tuple[int, ...]:
        """Pooled places an axis."""
        return tuple(-(-count // window) for count, window in zip(self.grid, self.pool))

    def counts(self, axis: int) -> Array:
        """Patches in each cell along an axis."""
        count, window = self.grid[axis], self.pool[axis]
        return np.diff(np.append(np.arange(0, count, window), count))

    def pooled(self, Z: Array) -> Array:
        """Means over the cells: (n, *grid, m) to (n, *cells, m)."""
        for axis, window in enumerate(self.pool):
            if window == 1:
                continue
            along = (slice(None),) * (axis + 1)
            cells = Z[*along, ::window].copy()
            for i in range(1, window):  # slices: NumPy's reduceat takes three times as long
                part = Z[*along, i::window]
                cells[*along, : part.shape[axis + 1]] += part
            cells /= self._shares(axis, cells)
            Z = cells
        return Z

    def spread(self, G: Array) -> Array:
        """The transpose of :meth:`pooled`."""
        for axis, window in enumerate(self.pool):
            if window == 1:
                continue
            along = (slice(None),) * (axis + 1)
            shape = (*G.shape[: axis + 1], self.grid[axis], *G.shape[axis + 2 :])
            G, rows = G / self._shares(axis, G), np.empty(shape, G.dtype)
            for i in range(window):
                part = rows[*along, i::window]
                part[...] = G[*along, : part.shape[axis + 1]]
            G = rows
        return G

    def _shares(self, axis: int, Z: Array) -> Array:
        """:meth:`counts` along the axis of Z (n, *cells, m)."""
        return self.counts(axis).astype(Z.dtype).reshape(-1, *[1] * (Z.ndim - axis - 2))


class Patches(Design):
    """The patches of images or signals, ReLUs pooled.

    Parameters
    ----------
    images : array of shape (n, H, W), (n, H, W, channels), (n, T) or (n, T, channels)
        Three axes are images of one channel, or, where ``size`` has one number, as in ``(3,)``,
        signals of several.
    size : int or tuple of int
        Of a filter; one number is taken for every axis.
    stride : int or tuple of int, default 1
        From one patch to the next.
    padding : int or tuple of int, default 0
        Zeros added on both sides.
    pool : {"grid", "global", "none"}, int or tuple of int, default "grid"
        Over how many places an axis ReLUs are averaged: as many as leave four cells a side
        ("grid"), all, one, or so many, as in ``AvgPool2d(pool, ceil_mode=True)``.

    Raises
    ------
    ValueError
        For images of other dimensions, NaN or infinite entries, and filters larger than an image.

    Examples
    --------
    >>> import numpy as np
    >>> from gapless import Patches, Problem, train
    >>> signals = np.sin(np.arange(40)).reshape(8, 5)
    >>> patches = Patches(signals, size=2, pool="global")
    >>> patches.n_rows, patches.shape
    (32, (8, 2))
    >>> problem = Problem(patches, signals.max(axis=1), weight_decay=0.01, bias="none")
    >>> bool(train(problem).certificate.relative_gap < 1e-3)
    True
    """

    dense = False  # samples may not be moved: padding would not stay zero

    def __init__(
        self,
        images: Any,
        size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        pool: str | int | Sequence[int] = "grid",
    ) -> None:
        images = _with_channels(images, size)
        axes = images.ndim - 2
        sizes, strides = _each("size", size, axes), _each("stride", stride, axes)
        paddings = _each("padding", padding, axes, least=0)
        shape = tuple(n + 2 * p for n, p in zip(images.shape[1:-1], paddings))
        if any(n < k for n, k in zip(shape, sizes)):
            raise ValueError(
                f"size={shown(size)} is larger than the images, {images.shape[1:-1]} with "
                f"padding={shown(padding)}; take a smaller filter or more padding"
            )
        whole = Windows(shape, images.shape[-1], sizes, strides, paddings, (1,) * axes)
        windows = Windows(shape, images.shape[-1], sizes, strides, paddings, _pool(pool, whole))
        rim = [(0, 0), (0, 0), *((p, p) for p in paddings)]
        self._set(np.pad(np.moveaxis(images, -1, 0), rim), windows, None)

    def _set(self, images: Array, windows: Windows, one: Any) -> None:
        # channels first, (channels, n, *shape): patches are then copied in runs
        self.images, self.windows, self.one = np.ascontiguousarray(images), windows, one
        self.places = math.prod(windows.cells)
        self.height = math.prod(windows.grid)
        width = math.prod(windows.size) * windows.channels + (one is not None)
        self.shape = (images.shape[1], width)

    def _like(self, images: Array, one: Any) -> Patches:
        other = Patches.__new__(Patches)
        other._set(images, self.windows, one)
        return other

    def of(self, images: Any) -> Patches:
        """The patches of other images, cut and pooled in the same way.

        Parameters
        ----------
        images : array of shape (n, *shape) or (n, *shape, channels)

        Returns
        -------
        Patches

        Raises
        ------
        ValueError
            Where their size or number of channels differs.
        """
        return self.windows.of(images)

    @property
    def unpadded(self) -> Array:
        """The images (n, *shape, channels), as they were given."""
        inner = (slice(p, n - p) for p, n in zip(self.windows.padding, self.windows.shape))
        return np.moveaxis(self.images[:, :, *inner], 0, -1)

    @property
    def pool_norm(self) -> float:
        counts = [self.windows.counts(axis).min() for axis in range(len(self.windows.grid))]
        return float(1 / np.sqrt(np.prod(counts)))

    # What solvers ask for in each step.

    def scores(self, U: Array, b: Array | None = None) -> Array:
        S: Array = self._columns().T @ U
        if b is not None:
            S += b
        return S

    def pull_back(self, G: Array) -> Array:
        return np.asarray(self._columns() @ G)

    def pool(self, Z: Array) -> Array:
        n, m = len(self), Z.shape[1]
        cells = self.windows.pooled(Z.reshape(n, *self.windows.grid, m))
        return cells.reshape(n, self.places, m).swapaxes(1, 2).reshape(n, -1)

    def unpool(self, G: Array) -> Array:
        n, m = len(self), G.shape[1] // self.places
        cells = G.reshape(n, m, self.places).swapaxes(1, 2)
        return self.windows.spread(cells.reshape(n, *self.windows.cells, m)).reshape(-1, m)

    def activations(self, U: Array, b: Array | None = None) -> Array:
        Z = np.empty((len(self), U.shape[1] * self.places), U.dtype)
        if Z.size == 0:  # of no neurons: cutting patches takes seconds
            return Z
        for block in self.blocks(U.shape[1]):
            S = self.rows(block).scores(U, b)
            Z[block] = self.rows(block).pool(np.maximum(S, 0.0, out=S))
        return Z

    def blocks(self, width: int) -> Iterator[slice]:
        # smaller than a table's: what is pooled is read and written several times
        return row_blocks(len(self), 4 * width * self.height)

    def row_weights(self, weights: Array) -> Array:
        return np.repeat(weights / self.height, self.height)

    def _columns(self) -> Array:
        """The stacked patches, transposed: (n_columns, n_rows)."""
        w = self.windows
        inner = math.prod(w.size) * w.channels
        columns = np.empty((self.shape[1], len(self), *w.grid), self.images.dtype)
        parts = columns[:inner].reshape(*w.size, w.channels, len(self), *w.grid)
        for at in np.ndindex(w.size):
            cut = (
                slice(start, start + step * (count - 1) + 1, step)
                for start, step, count in zip(at, w.stride, w.grid)
            )
            parts[at] = self.images[:, :, *cut]
        columns[inner:] = 0.0 if self.one is None else self.one
        return columns.reshape(self.shape[1], -1)

    def dense_rows(self, index: Array | slice) -> Array:
        w, rows = self.windows, np.arange(self.n_rows)[index]
        sample, *place = np.unravel_index(rows, (len(self), *w.grid))
        cut: Any = (sample[:, None],)  # (rows, patch) positions along each axis
        offsets = np.unravel_index(np.arange(math.prod(w.size)), w.size)
        for at, step, offset in zip(place, w.stride, offsets):
            cut += (at[:, None] * step + offset,)
        patches = np.moveaxis(self.images[:, *cut], 0, -1).reshape(len(rows), -1)
        if self.one is None:
            return patches
        return np.hstack([patches, np.full((len(rows), 1), self.one, patches.dtype)])

    def samples(self) -> Array:
        return np.moveaxis(self.images, 1, 0).reshape(len(self), -1)

    # What proofs ask for once.

    def gram(self) -> Array:
        total = np.zeros((self.shape[1],) * 2)
        for block in self.blocks(self.shape[1]):
            columns = self.rows(block)._columns()
            total += columns @ columns.T
        return total

    def kernel(self) -> Array:
        columns = self._columns()
        return columns.T @ columns

    def row_norms(self) -> Array:
        return self._distances(np.zeros(self.shape[1]))

    def mean(self) -> Array:
        return self.pull_back(np.full(self.n_rows, 1 / self.n_rows))

    def spread(self) -> float:
        return float(self._distances(self.mean()).max())

    def _distances(self, point: Array) -> Array:
        """Of all patches from a point."""
        blocks = self.blocks(self.shape[1])
        return np.concatenate(
            [row_norms(self.rows(block)._columns().T - point) for block in blocks]
        )

    # Other samples, units, precision.

    def rows(self, index: Array | slice) -> Patches:
        return self._like(self.images[:, index], self.one)

    def scaled(self, t: float) -> Patches:
        return self._like(self.images * t, None if self.one is None else self.one * t)

    def with_ones(self) -> Patches:
        return self._like(self.images, self.images.dtype.type(1.0))

    def astype(self, dtype: type) -> Patches:
        one = None if self.one is None else dtype(self.one)
        return self._like(self.images.astype(dtype, copy=False), one)


def _with_channels(images: Any, size: Any) -> Array:
    """Finite float64 images (n, *shape, channels)."""
    images = to_floats("images", images)
    signals = images.ndim == 2 or (images.ndim == 3 and np.shape(size) == (1,))
    if images.ndim not in (2, 3, 4) or 0 in images.shape:
        raise ValueError(
            "images must have the shape (n, H, W), (n, H, W, channels), (n, T) or (n, T, channels) "
            f"without an empty axis, got {images.shape}"
        )
    if not np.all(np.isfinite(images)):
        raise ValueError("images have NaN or infinite entries; remove or impute them first")
    return images if images.ndim == 3 + (not signals) else images[..., None]


def _each(name: str, given: Any, axes: int, least: int = 1) -> tuple[int, ...]:
    """One whole number an axis."""
    numbers = [given] * axes if np.ndim(given) == 0 else list(given)
    if len(numbers) != axes:
        raise ValueError(f"{name}={shown(given)} must be one number or {axes}, one an axis")
    return tuple(n if least == 0 == n else positive_int(name, n) for n in numbers)


def _pool(given: Any, windows: Windows) -> tuple[int, ...]:
    """Places pooled along each axis, at most all."""
    grid = windows.grid
    if isinstance(given, str):
        kind = choose("pool", given, POOLS)
        return {
            "grid": tuple(-(-count // CELLS) for count in grid),
            "global": grid,
            "none": (1,) * len(grid),
        }[kind]
    return tuple(min(n, count) for n, count in zip(_each("pool", given, len(grid)), grid))
