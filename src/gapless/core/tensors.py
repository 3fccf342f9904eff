"""Safetensors files that say in their header whose they are: data, never code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from .checks import Array, InputError
from .files import existing_file


def has_format(path: str | Path, form: str) -> bool:
    """Whether a file says that it has this format.

    Parameters
    ----------
    path : path
    form : str

    Returns
    -------
    bool
        False for files that are none or cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as opened:
            return bool((opened.metadata() or {}).get("format") == form)
    except (SafetensorError, OSError):
        return False


def plain(label: Any) -> Any:
    """A NumPy scalar as JSON has it; anything else as it is."""
    return label.item() if isinstance(label, np.generic) else label


def read_tensors(
    path: str | Path, form: str, otherwise: str
) -> tuple[dict[str, str], dict[str, Array]]:
    """What a file of this format holds.

    Parameters
    ----------
    path : path
    form : str
    otherwise : str
        What a file of another format is told.

    Returns
    -------
    metadata : dict of str to str
    tensors : dict of str to array

    Raises
    ------
    InputError
        For a missing or damaged file, and any other.
    """
    file = existing_file(path)
    try:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata() or {}
            if metadata.get("format") != form:
                raise InputError(f"{file}: {otherwise}")
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError) as error:
        raise InputError(f"{file}: not a safetensors file, or damaged ({error})") from error
    return metadata, tensors
