"""Checks of what the caller gave, and the import of optional libraries."""

from __future__ import annotations

import importlib
import math
import reprlib
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


class InputError(ValueError):
    """A mistake in what the user gave; the message is one sentence for them."""


def shown(given: object) -> str:
    """``given`` for a message, cut short."""
    try:
        return reprlib.repr(given)
    except ValueError:  # Python writes no more than 4300 digits
        return "a whole number of thousands of digits"


def listed(names: Sequence[str], most: int = 15) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, what: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number} {what}{'s' * (number != 1)}"


def choose(name: str, given: object, allowed: Iterable[str]) -> str:
    """``given`` when it is one of ``allowed``, else a ``ValueError`` that lists them.

    ``name`` is that of the parameter, for the message; here and below.
    """
    options = list(allowed)
    if isinstance(given, str) and given in options:
        return given
    raise ValueError(
        f"{name}={shown(given)} is unknown; choose one of {', '.join(map(repr, options))}"
    )


def positive(name: str, given: object) -> float:
    """``given`` as a finite float above zero, else a ``ValueError``; so for a truth value."""
    try:
        number = math.nan if np.iscomplexobj(given) else float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0) or isinstance(given, bool):
        raise ValueError(f"{name} must be a positive finite number, got {shown(given)}")
    return number


def not_negative(name: str, given: object) -> float:
    """``given`` as a finite float of at least zero, else a ``ValueError``."""
    if isinstance(given, (int, float, np.number)) and not isinstance(given, bool) and given == 0:
        return 0.0
    try:
        return positive(name, given)
    except ValueError as error:
        raise ValueError(
            f"{name} must be a finite number of at least zero, got {shown(given)}"
        ) from error


def positive_int(name: str, given: object) -> int:
    """``given``, a whole float too, as an integer above zero, else a ``ValueError``."""
    number = positive(name, given)
    if number != int(number):
        raise ValueError(f"{name} must be a whole number, got {shown(given)}")
    return int(number)


def optional_import(module: str, extra: str, feature: str) -> ModuleType:
    """The module, or an ``ImportError``: which ``extra`` of gapless brings it for ``feature``."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{feature} needs {module.split('.')[0]}, which is not installed; "
            f"install it with: pip install 'gapless[{extra}]'"
        ) from error


def to_floats(name: str, values: Any) -> Array:
    """``values`` as a float64 array.

    Parameters
    ----------
    name : str
    values : array_like

    Returns
    -------
    array of the shape of values
        The same array where it is one of float64; NaN and infinity pass.

    Raises
    ------
    TypeError
        For what is no array of numbers.
    ValueError
        For complex numbers, and whole ones beyond 1e308.
    """
    if np.iscomplexobj(values):
        raise ValueError(f"{name} has complex numbers; give real ones")
    try:
        return np.asarray(values, dtype=np.float64)
    except TypeError as error:  # no array at all
        raise TypeError(
            f"{name} must be an array of numbers, got {type(values).__name__}"
        ) from error
    except OverflowError as error:  # whole numbers beyond the floats
        raise ValueError(f"{name} has numbers beyond 1e308; rescale them") from error
    except ValueError as error:
        raise ValueError(f"{name} must be numbers: {error}") from error


def to_2d(name: str, values: Any) -> Array:
    """``values`` as a float64 matrix, one row a sample; NaN and infinity are refused.

    Parameters
    ----------
    name : str
    values : array_like of shape (n_samples,) or (n_samples, k)

    Returns
    -------
    array of shape (n_samples, k)

    Raises
    ------
    TypeError, ValueError
        As :func:`to_floats`; for other dimensions, NaN and infinity.
    """
    matrix = to_floats(name, values)
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2:
        raise ValueError(f"{name} must have 1 or 2 dimensions, got shape {matrix.shape}")
    if not np.all(np.isfinite(matrix)):
        raise ValueError(f"{name} has NaN or infinite entries; remove or impute them first")
    return matrix
