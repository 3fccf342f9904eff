"""Images as .npz files, and convolutional networks as safetensors; loading executes nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from ..bridges.convolution import convolution
from ..core.checks import Array, InputError
from ..core.files import existing_file, write
from ..core.network import Network
from ..core.patches import Windows
from ..core.tensors import has_format
from ..estimators.image_whitening import ImageWhitener

FORMAT = "gapless-images-1"
# Characters of a header, at most: classes have names.
LONGEST = 1 << 20
_WEIGHTS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
_WINDOWS = ("shape", "size", "stride", "padding", "pool")


def read_arrays(path: str) -> dict[str, Array]:
    """The arrays X, y, X_train, y_train, X_test, y_test that a .npz file has.

    Parameters
    ----------
    path : str

    Returns
    -------
    dict of array
        Images in float64, labels as they are.

    Raises
    ------
    InputError
        For another file, images that are no numbers, and one of images and labels without the
        other's length.
    """
    names = [f"{name}{part}" for part in ("", "_train", "_test") for name in "Xy"]
    existing = existing_file(path)
    try:
        with np.load(existing, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names if name in file}
    except (ValueError, OSError, BadZipFile, EOFError) as error:
        raise InputError(
            f"{path}: not a .npz file of arrays, or a damaged one ({error})"
        ) from error
    for name, array in arrays.items():
        if name[0] == "X":
            if array.dtype.kind not in "buif" or array.ndim < 2 or 0 in array.shape:
                raise InputError(
                    f"{path}: {name} must be numbers of the shape (n, H, W[, channels]) or "
                    f"(n, T[, channels]), got {array.dtype} of {array.shape}"
                )
            arrays[name] = array.astype(float)
        elif array.ndim != 1 or len(array) != len(arrays.get("X" + name[1:], ())):
            raise InputError(
                f"{path}: {name} must have one label for each image of X{name[1:]}, got the shape "
                f"{array.shape}"
            )
    if not arrays.keys() & {"X", "X_train", "X_test"}:
        raise InputError(f"{path}: has no array X; save images with np.savez(file, X=X, y=y)")
    return arrays


@dataclass(frozen=True, eq=False)
class ImageModel:
    """A convolutional network with all that predictions need.

    Attributes
    ----------
    network : Network
        On prepared images.
    windows : Windows
    mean : array of shape (channels,)
    filter : array of shape (*size, channels, channels)
        What prepares images: see :class:`gapless.ImageWhitener`.
    classes : list or None
        None for a regression.
    loss : str
    facts : dict
        What is said of the training.
    """

    network: Network
    windows: Windows
    mean: Array
    filter: Array
    classes: list[Any] | None
    loss: str
    facts: dict[str, Any]

    def outputs(self, images: Array) -> Array:
        """Of the network for images as they are in the file (n, n_outputs)."""
        whitener = ImageWhitener()
        whitener.mean_, whitener.filter_ = self.mean, self.filter
        whitener.n_features_in_ = images.shape[1]
        return self.network.predict(self.windows.of(whitener.transform(images)))

    def predictions(self, images: Array) -> dict[str, Array]:
        """Columns of a table: predictions, and probabilities of classes where the loss has them."""
        F = self.outputs(images)
        if self.classes is None:
            return {"prediction": F[:, 0]}
        margins = np.hstack([-F, F]) / 2 if F.shape[1] == 1 else F
        out = {"prediction": np.array(self.classes, object)[np.argmax(margins, axis=1)]}
        if self.loss == "logistic":
            E = np.exp(margins - margins.max(axis=1, keepdims=True))
            E /= E.sum(axis=1, keepdims=True)
            out |= {f"probability of {c}": E[:, k] for k, c in enumerate(self.classes)}
        return out


def save_images(path: str | Path, model: ImageModel) -> None:
    """Write a model to a ``.safetensors`` file."""
    tensors = {name: np.ascontiguousarray(getattr(model.network, name)) for name in _WEIGHTS}
    tensors |= {"image_mean": model.mean, "image_filter": np.ascontiguousarray(model.filter)}
    header = {
        "windows": asdict(model.windows), "classes": model.classes, "loss": model.loss,
        "facts": model.facts,
    }  # fmt: skip
    metadata = {"format": FORMAT, "header": json.dumps(header, allow_nan=False)}
    write(path, safetensors.numpy.save(tensors, metadata))


def is_image_model(path: str) -> bool:
    """Whether the file is one that :func:`save_images` wrote."""
    return has_format(existing_file(path), FORMAT)


def load_images(path: str | Path) -> ImageModel:
    """Read what :func:`save_images` wrote.

    Raises
    ------
    InputError
        For another file, and a damaged one.
    """
    try:
        with safe_open(existing_file(path), framework="numpy") as opened:
            text = (opened.metadata() or {}).get("header", "")
            if len(text) > LONGEST:
                raise ValueError(f"a header of {len(text)} characters")
            header = json.loads(text)
            given = header["windows"]
            parts = {name: _counts(given[name], name == "padding") for name in _WINDOWS}
            if len({len(part) for part in parts.values()}) != 1:
                raise ValueError("windows of different numbers of axes")
            windows = Windows(channels=_counts([given["channels"]])[0], **parts)
            network = Network(**{name: opened.get_tensor(name) for name in _WEIGHTS})
            mean, whole = opened.get_tensor("image_mean"), opened.get_tensor("image_filter")
        convolution(network, windows)
        channels, classes = windows.channels, header["classes"]
        if mean.shape != (channels,) or whole.shape[len(windows.size) :] != (channels,) * 2:
            raise ValueError("a filter of other channels")
        if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(whole))):
            raise ValueError("a filter that is not finite")
        if classes is not None and len(classes) != max(network.n_outputs, 2):
            raise ValueError(f"{network.n_outputs} outputs for {len(classes)} classes")
        return ImageModel(
            network, windows, mean, whole, classes, str(header["loss"]), dict(header["facts"])
        )
    except InputError:
        raise
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a gapless model file, or a damaged one ({error})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged: {error}") from error


def _counts(given: Any, zero: bool = False) -> tuple[int, ...]:
    """Whole numbers above zero, or from zero on."""
    if not isinstance(given, list) or not all(
        type(k) is int and (not zero) <= k < 1 << 20 for k in given
    ):
        raise ValueError(f"windows of {given!r}")
    return tuple(given)
