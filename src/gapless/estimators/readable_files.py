"""Files of estimators that can be read: safetensors with a JSON header; nothing in them is run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ..core.checks import Array, InputError
from ..core.files import write
from ..core.network import Network
from ..core.result import History, Status
from ..core.tensors import has_format, plain, read_tensors
from ..readable.effects import Effect
from ..readable.solve import ReadableCertificate, ReadableSolution
from .purify import States, Term
from .readable import AdditiveReLUClassifier, AdditiveReLURegressor
from .table_columns import FeatureColumns

FORMAT = "gapless-readable-1"
_WEIGHTS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")
# Arrays of the model and of each effect, beside the weights.
_OWN = ("centre", "unit", "intercept")
_PARTS = ("places", "values", "missing", "counts", "edges", "neurons", "mean")
# What pairs give to each of two features, or one has from all.
_MAINS = ("main0", "main1")
# Parameters of an estimator that a file keeps: those that say what its outputs are.
_KEPT = ("bias", "loss", "tol")


def save_readable(model: Any, path: str | Path, *, notes: dict[str, Any] | None = None) -> None:
    """Write a fitted additive estimator to a ``.safetensors`` file.

    Parameters
    ----------
    model : AdditiveReLURegressor or AdditiveReLUClassifier
    path : path
    notes : dict, optional
        Kept with it, as JSON; :func:`load_readable` gives it back as ``notes_``.

    Raises
    ------
    NotFittedError
        Before ``fit``.
    ValueError
        For a loss that has no name, and labels or classes that are no texts or numbers.
    OSError
        Where the file cannot be written.
    """
    check_is_fitted(model, "effects_")
    if not isinstance(model.loss, str):
        raise ValueError(f"loss must be a name to be kept in a file, got {model.loss!r}")
    names = getattr(model, "feature_names_in_", None)
    header = {
        "kind": type(model).__name__,
        "parameters": {name: getattr(model, name) for name in _KEPT},
        "quantile": getattr(model, "quantile", None),
        "names": None if names is None else [str(name) for name in names],
        "features": [_feature(f) for f in model.features_],
        "labels": {str(j): _plain(levels) for j, levels in model._labels.items()},
        "classes": _plain(model.classes_) if is_classifier(model) else None,
        "one_column": getattr(model, "_one_column", True),
        "weight_decay": model.weight_decay_,
        "status": model.status_.name,
        "certificate": asdict(model.certificate_),
        "rounds": model.n_iter_,
        "effects": [_effect(e) for e in model.effects_],
        "notes": notes or {},
    }
    tensors = {name: getattr(model.network_, name) for name in _WEIGHTS}
    tensors |= {"centre": model._centre, "unit": model._unit, "intercept": model.intercept_}
    for k, (effect, term) in enumerate(zip(model.effects_, model._terms)):
        tensors |= {f"{k}.{name}": a for name, a in _arrays(effect, term).items()}
    tensors |= {f"states.{j}": s.places for j, s in model._states.items()}
    tensors = {name: np.ascontiguousarray(a, dtype=np.float64) for name, a in tensors.items()}
    text = json.dumps(header, allow_nan=False)
    write(path, safetensors.numpy.save(tensors, {"format": FORMAT, "header": text}))


def load_readable(path: str | Path) -> Any:
    """The estimator in a file that :func:`save_readable` wrote: it predicts and explains.

    Parameters
    ----------
    path : path

    Returns
    -------
    AdditiveReLURegressor or AdditiveReLUClassifier
        Fitted, with ``notes_``; the history of its training is not kept.

    Raises
    ------
    InputError
        For a missing or damaged file, and any other.
    """
    otherwise = "is no readable model; write one with save_readable()"
    metadata, tensors = read_tensors(path, FORMAT, otherwise)
    try:
        return _assembled(json.loads(metadata["header"]), tensors)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(f"{path}: damaged, its parts do not fit ({error})") from error


def is_readable(path: str | Path) -> bool:
    """Whether a file says that it is one of :func:`save_readable`.

    Parameters
    ----------
    path : path

    Returns
    -------
    bool
        False for files that are none or cannot be read.
    """
    return has_format(path, FORMAT)


def _plain(labels: Any) -> list[Any]:
    """Labels as JSON has them."""
    named = [plain(v) for v in labels]
    for v in named:
        if not isinstance(v, (str, int, float)):
            raise ValueError(f"labels must be texts or numbers to be kept in a file, got {v!r}")
    return named


def _feature(f: FeatureColumns) -> dict[str, Any]:
    fields = asdict(f)
    fields["labels"] = None if f.labels is None else _plain(f.labels)
    fields["levels"] = None if f.levels is None else f.levels.tolist()
    return fields


def _effect(e: Effect) -> dict[str, Any]:
    return {
        "features": list(e.features), "kind": e.kind, "importance": e.importance, "share": e.share,
    }  # fmt: skip


def _arrays(effect: Effect, term: Term) -> dict[str, Array]:
    """The numbers of an effect; levels are those of its feature."""
    arrays = {"values": effect.values, "neurons": term.neurons, "mean": term.mean}
    arrays |= dict(zip(_MAINS, term.mains))
    if effect.kind != "categorical":
        arrays["places"] = effect.places
    if effect.missing is not None:
        arrays["missing"] = effect.missing
    if isinstance(effect.density, tuple):
        arrays["counts"], arrays["edges"] = effect.density
    elif effect.density is not None:
        arrays["counts"] = effect.density
    return arrays


def _assembled(header: dict[str, Any], tensors: dict[str, Array]) -> Any:
    """The estimator of a file's parts; an exception where they do not fit."""
    if not all(a.dtype == np.float64 and np.all(np.isfinite(a)) for a in tensors.values()):
        raise ValueError("its numbers must be finite and of 64 bits")
    kinds = {k.__name__: k for k in (AdditiveReLURegressor, AdditiveReLUClassifier)}
    parameters = {name: header["parameters"][name] for name in _KEPT}
    if header["quantile"] is not None:
        parameters["quantile"] = float(header["quantile"])
    weight_decay = float(header["weight_decay"])
    model: Any = kinds[header["kind"]](weight_decay=weight_decay, **parameters)
    model.features_ = [_read_feature(fields) for fields in header["features"]]
    model.n_features_in_ = len(model.features_)
    if header["names"] is not None:
        model.feature_names_in_ = np.array(header["names"], dtype=object)
    model._labels = {int(j): list(levels) for j, levels in header["labels"].items()}
    counts = [f.n_columns for f in model.features_]
    model._owner = np.repeat(np.arange(len(counts)), counts)
    model._centre, model._unit, model.intercept_ = (tensors[name] for name in _OWN)
    network = Network(**{name: tensors[name] for name in _WEIGHTS})
    proof = ReadableCertificate(**header["certificate"])
    solution = ReadableSolution(
        network, proof, Status[header["status"]], History(), proof.features
    )  # fmt: skip
    solution.history.n_rounds = int(header["rounds"])
    model._set(solution)
    model.weight_decay_, model.notes_ = weight_decay, dict(header["notes"])
    if header["classes"] is not None:
        model.classes_ = np.array(header["classes"])
    else:
        model._one_column = bool(header["one_column"])
    model._states = {
        int(name.removeprefix("states.")): _read_states(model, name, tensors)
        for name in tensors if name.startswith("states.")
    }  # fmt: skip
    read = [_read_effect(k, fields, tensors, model) for k, fields in enumerate(header["effects"])]
    model.effects_ = [effect for effect, _ in read]
    model._terms = [term for _, term in read]
    model.importances_ = np.array([effect.importance for effect in model.effects_])
    model._explained(np.zeros((1, model.n_features_in_)))  # every product must fit
    return model


def _read_feature(fields: dict[str, Any]) -> FeatureColumns:
    levels = fields["levels"]
    levels = None if levels is None else np.asarray(levels, dtype=float)
    feature = FeatureColumns(**{**fields, "levels": levels})
    if levels is not None and (feature.labels is None or len(feature.labels) != len(levels)):
        raise ValueError(f"the feature {feature.name!r} has levels without labels")
    return feature


def _read_states(model: Any, name: str, tensors: dict[str, Array]) -> States:
    feature = model.features_[int(name.removeprefix("states."))]
    return States(tensors[name], feature.levels is not None)


def _read_effect(
    k: int, fields: dict[str, Any], tensors: dict[str, Array], model: Any
) -> tuple[Effect, Term]:
    features = tuple(int(j) for j in fields["features"])
    owned = [model.features_[j] for j in features]
    parts = {name: tensors.get(f"{k}.{name}") for name in _PARTS}
    density: Any = parts["counts"]
    if parts["edges"] is not None:
        density = (density.astype(int), parts["edges"])
    elif density is not None:
        density = density.astype(int)
    places: Any = parts["places"]
    if fields["kind"] == "categorical":
        places = np.array(owned[0].labels, dtype=object)
    values: Any = parts["values"]
    if len(values) != len(places):
        raise ValueError("an effect has not one value a place")
    effect = Effect(
        features, tuple(f.name for f in owned), str(fields["kind"]), places, values,
        parts["missing"], float(fields["importance"]), float(fields["share"]), density,
        tuple(f.labels for f in owned) if fields["kind"] == "pair" else (),
    )  # fmt: skip
    index: Any = parts["neurons"]
    mean: Any = parts["mean"]
    mains = tuple(tensors[f"{k}.{m}"] for m in _MAINS if f"{k}.{m}" in tensors)
    return effect, Term(features, index.astype(np.intp), mean, mains)
