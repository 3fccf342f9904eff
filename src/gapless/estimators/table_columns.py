"""Tables as columns of numbers: numeric features standardised, a column a level, missing values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import Array, listed, shown

# What a level that was not there in training is coded as: it has no column.
UNKNOWN = -1.0


@dataclass
class FeatureColumns:
    """One feature as columns.

    Attributes
    ----------
    name : str
    labels : list or None
        Of the levels of a categorical feature, in the order of ``levels``.
    levels : array or None
        The numbers that stand for them.
    centre, unit : float
        Of a numeric feature: mean and standard deviation of what is there.
    low, high : float
        Ends of the training values of a numeric feature; what lies beyond counts as the end, since
        a slope learned from a few values would grow without bound there.
    missing : bool
        Whether values were missing in training: then the last column says where.
    """

    name: str
    labels: list[Any] | None = None
    levels: Array | None = None
    centre: float = 0.0
    unit: float = 1.0
    low: float = 0.0
    high: float = 0.0
    missing: bool = False

    @property
    def n_columns(self) -> int:
        """Levels, or one; and one for missing values."""
        return (1 if self.levels is None else len(self.levels)) + self.missing

    def columns(self, x: Array) -> Array:
        """(n, n_columns); NaN is missing, and no level."""
        lacks = np.isnan(x)
        if self.levels is None:
            inside = np.clip(x, self.low, self.high)
            parts = [np.where(lacks, 0.0, (inside - self.centre) / self.unit)[:, None]]
        else:
            parts = [(x[:, None] == self.levels).astype(float)]
        if self.missing:
            parts.append(lacks[:, None].astype(float))
        return np.hstack(parts)

    @classmethod
    def of(cls, x: Array, weights: Array, name: str, labels: Any, categorical: bool) -> Any:
        """From the training values of a feature and the weights (n,) of its samples."""
        lacks = np.isnan(x)
        known, w = x[~lacks], weights[~lacks]
        feature = cls(name, missing=bool(np.any(lacks)))
        if categorical:
            feature.levels = np.unique(known)
            # as str of the value where the table had no labels of its own
            feature.labels = [
                f"{v:g}" if labels is None else labels[int(v)] for v in feature.levels
            ]
        elif len(known):
            feature.low, feature.high = float(known.min()), float(known.max())
            size = float(np.abs(known).max()) or 1.0  # squares of the largest floats overflow
            scaled = known / size
            mean = np.average(scaled, weights=w)
            spread = float(np.sqrt(np.average((scaled - mean) ** 2, weights=w)))
            feature.centre = float(mean * size)
            feature.unit = spread * size if spread > 1e-14 and spread * size > 0 else 1.0
        return feature


def coded(X: Any, labels: dict[int, list[Any]] | None) -> tuple[Any, dict[int, list[Any]]]:
    """A pandas or polars table with numbers in place of labels; anything else as it is.

    Parameters
    ----------
    X : table or array
    labels : dict of column number to list, or None
        Of a fit before; by default those of the columns that are no numbers, in their own order.

    Returns
    -------
    table or array
        Missing labels are NaN, unknown ones :data:`UNKNOWN`.
    dict of int to list

    Raises
    ------
    ValueError
        For columns of dates, times or lists.
    """
    if not _is_table(X):
        return X, {}
    refuse_times(X)
    kinds = list(X.dtypes)
    if labels is None:
        labels = {
            j: _levels(X[name], kinds[j])
            for j, name in enumerate(X.columns)
            if not _is_number(kinds[j])
        }
    for j, levels in labels.items():
        if j >= len(kinds):
            continue  # scikit-learn says what is wrong with the table
        name, code = X.columns[j], {level: float(k) for k, level in enumerate(levels)}
        values = [np.nan if _lacks(v) else code.get(v, UNKNOWN) for v in X[name].to_list()]
        if hasattr(X, "with_columns"):
            X = X.with_columns(type(X[name])(name, values))
        else:
            X = X.copy(deep=False)
            X[name] = values
    return X, labels


def _is_table(X: Any) -> bool:
    return hasattr(X, "shape") and hasattr(X, "columns") and hasattr(X, "dtypes")


def refuse_times(X: Any) -> None:
    """Raise ValueError for dates and times, of which scikit-learn would make numbers in their own
    units, and for a table of polars that is still to be collected."""
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        raise ValueError("X is still to be collected: give X.collect()")
    kinds = zip(X.columns, X.dtypes) if _is_table(X) else [("", getattr(X, "dtype", None))]
    for name, kind in kinds:
        if kind is not None and _is_time(kind):
            which = f"the column {str(name)!r}" if name != "" else "X or y"
            raise ValueError(
                f"{which} has dates or times, and a model takes numbers: give days since a first "
                "one, or the month"
            )


def no_numbers(X: Any) -> str:
    """What to do with features that a network cannot take; nothing where all are numbers."""
    texts, holes, example = [], [], ""
    for name, cells in _columns(X):
        odd = [v for v in cells if not _is_float(v)]
        if odd:
            texts.append(name)
            example = example or shown(odd[0])
        elif any(map(_lacks, cells)):
            holes.append(name)
    other = "or give a pandas or polars table to AdditiveReLURegressor or AdditiveReLUClassifier"
    if texts:
        return (
            f"{listed(texts)} must be numbers, not {example}: make numbers of texts "
            f"(sklearn.preprocessing.OneHotEncoder), {other}, which take them"
        )
    if holes:
        return (
            f"missing values (NaN) in {listed(holes)}: fill them in (sklearn.impute.SimpleImputer),"
            f" {other}, which take them"
        )
    return ""


def _columns(X: Any) -> list[tuple[str, list[Any]]]:
    """Names and cells."""
    if _is_table(X):
        return [(repr(str(name)), X[name].to_list()) for name in X.columns]
    if getattr(getattr(X, "dtype", None), "kind", "O") not in "OUS":
        return []  # numbers
    cells = np.asarray(X, object)
    if cells.ndim != 2:
        return []
    return [(f"column {j}", column.tolist()) for j, column in enumerate(cells.T)]


def _is_float(value: Any) -> bool:
    try:
        return _lacks(value) or float(value) is not None
    except (ValueError, TypeError):
        return False


def _is_time(kind: Any) -> bool:
    if hasattr(kind, "is_temporal"):  # polars
        return bool(kind.is_temporal())
    return getattr(kind, "kind", "O") in "mM"


def _is_number(kind: Any) -> bool:
    if hasattr(kind, "is_numeric"):  # polars
        return bool(kind.is_numeric())
    return getattr(kind, "kind", "O") in "iufc"  # pandas' own kinds of numbers have it too


def _levels(column: Any, kind: Any) -> list[Any]:
    """Labels that occur, in the order of the category or sorted."""
    try:
        there = {v for v in column.to_list() if not _lacks(v)}
    except TypeError as error:
        raise ValueError(
            f"the column {str(column.name)!r} has lists or records: make a column of each part"
        ) from error
    categories = getattr(kind, "categories", None)
    if categories is not None and not callable(categories):
        ordered = [v for v in list(categories) if v in there]
        if len(ordered) == len(there):
            return ordered
    return sorted(there, key=lambda v: (str(type(v)), v) if isinstance(v, str) else ("", str(v)))


def _lacks(value: Any) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # pandas.NA has no truth value
        return True


def feature_numbers(given: Any, names: list[str], parameter: str) -> list[int]:
    """Numbers of features given by number, name or mask.

    Raises
    ------
    ValueError
        For features that are not there.
    """
    if given is None:
        return []
    listed = list(given)
    if len(listed) == len(names) and all(isinstance(v, (bool, np.bool_)) for v in listed):
        return [j for j, on in enumerate(listed) if on]
    numbers = []
    for v in listed:
        if isinstance(v, str) and v in names:
            numbers.append(names.index(v))
        elif isinstance(v, (int, np.integer)) and not isinstance(v, bool) and 0 <= v < len(names):
            numbers.append(int(v))
        else:
            raise ValueError(
                f"{parameter} has {shown(v)}, which is no feature; features are numbers from 0 to "
                f"{len(names) - 1} or names of the table's columns"
            )
    return numbers
