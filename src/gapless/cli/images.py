"""``gapless fit`` of images: a convolutional network; its predictions and what its file says."""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, RidgeClassifier

from ..core.checks import Array, InputError
from ..core.files import write
from ..core.result import Status, about
from ..estimators.convolution import ReLUConvClassifier, ReLUConvRegressor
from ..estimators.image_whitening import ImageWhitener
from ..plotting.filters import FilterDisplay
from .command import Answer, exit_code, given_weight_decay
from .image_files import ImageModel, load_images, read_arrays, save_images
from .job import check_split, split_rows
from .outputs import check_picture, csv_text, pyplot, save_figure
from .terminal import as_options, print_facts, print_notes, print_table

# Whole numbers of more different values are numbers, not classes.
MOST_CLASSES = 100


def fit_images(args: argparse.Namespace) -> Answer:
    """Train, write what was asked for, and the answer."""
    started = time.perf_counter()
    check_picture(args.plot)
    weight_decay = given_weight_decay(args)

    # 1. images, split and prepared
    X, y, V, w = _parts(args)
    regression = _is_regression(y, args.task)
    notes = [f"{'regression' if regression else 'classification'} of images {X.shape[1:]}"]
    whitener = _preparation(args, X)
    A, B = whitener.transform(X), whitener.transform(V)

    # 2. the network
    model = _model(args, weight_decay, regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the status says it
        model.fit(A, y)
    if weight_decay == "auto":
        notes.append(f"weight_decay {model.weight_decay_:.3g} chosen on a quarter held out")

    # 3. what it is worth, and the files
    linear = (Ridge() if regression else RidgeClassifier()).fit(A.reshape(len(A), -1), y)
    facts: dict[str, Any] = {
        "status": model.status_.name,
        "task": "regression" if regression else "classification",
        **model.certificate_.as_dict(),
        "n_neurons": model.n_neurons_,
        "weight_decay": model.weight_decay_,
        "score": "R2" if regression else "accuracy",
        "train_score": float(model.score(A, y)),
        "test_score": float(model.score(B, w)),
        "baseline_test_score": float(linear.score(B.reshape(len(B), -1), w)),
        "n_train": len(y),
        "n_test": len(w),
        "notes": notes,
    }
    if args.out:
        known = {k: v for k, v in facts.items() if k != "notes"}
        classes = None if regression else model.classes_.tolist()
        white = whitener.mean_, whitener.filter_
        save_images(
            args.out,
            ImageModel(model.network_, model.windows_, *white, classes, model.loss, known),
        )
        facts["model"] = args.out
    if args.plot:
        plt = pyplot()
        save_figure(plt, FilterDisplay.from_estimator(model, A[0]).figure_, args.plot)
        facts["plot"] = args.plot
    facts["seconds"] = time.perf_counter() - started
    return Answer(facts, _show, exit_code(args, model.status_))


def _model(args: argparse.Namespace, weight_decay: Any, regression: bool) -> Any:
    """The estimator that the arguments ask for."""
    kind = ReLUConvRegressor if regression else ReLUConvClassifier
    options = {} if args.loss is None else {"loss": args.loss}
    return kind(
        args.size, stride=args.stride, padding=args.padding, weight_decay=weight_decay,
        pool=int(args.pool) if args.pool.isdigit() else args.pool, bias=args.bias, tol=args.tol,
        max_neurons=args.max_neurons, time_limit=args.time_limit, prove_time=args.prove_time,
        random_state=args.seed, verbose=1, **options,
    )  # fmt: skip


def _parts(args: argparse.Namespace) -> tuple[Array, Array, Array, Array]:
    """Images and labels to train on, and to test with."""
    arrays = read_arrays(args.data)
    if arrays.keys() >= {"X_train", "y_train", "X_test", "y_test"}:
        X, y, V, w = (arrays[name] for name in ("X_train", "y_train", "X_test", "y_test"))
        if X.shape[1:] != V.shape[1:]:
            raise InputError(f"{args.data}: X_train and X_test have images of different shapes")
        return X, y, V, w
    if not arrays.keys() >= {"X", "y"}:
        raise InputError(f"{args.data}: has no y; save labels with np.savez(file, X=X, y=y)")
    check_split(args)
    X, y = arrays["X"], arrays["y"]
    labels = None if _is_regression(y, args.task) else y
    train, test = split_rows(len(y), labels, args.test_size, args.seed)
    return X[train], y[train], X[test], y[test]


def _is_regression(y: Array, asked: str | None) -> bool:
    """As asked, or for numbers that are not a few whole ones."""
    if asked is not None:
        return asked == "regression"
    if y.dtype.kind not in "iuf":
        return False
    return bool(np.any(y != np.round(y))) or len(np.unique(y)) > MOST_CLASSES


def _preparation(args: argparse.Namespace, X: Array) -> ImageWhitener:
    """What images go through: a filter, or the units of their channels; with --raw nothing."""
    axes = 1 if X.ndim == 2 else 2
    images = X[..., None] if X.ndim == axes + 1 else X
    channels = images.shape[-1]
    if args.whiten:
        return ImageWhitener().fit(X)
    white = ImageWhitener(1)
    white.n_features_in_ = X.shape[1]
    white.mean_ = np.zeros(channels) if args.raw else images.mean(axis=tuple(range(axes + 1)))
    unit = 1.0 if args.raw else float(np.sqrt(np.mean((images - white.mean_) ** 2))) or 1.0
    white.filter_ = np.eye(channels).reshape(*[1] * axes, channels, channels) / unit
    return white


def _show(facts: dict[str, Any]) -> None:
    print_notes(facts["notes"])
    scores = f"{facts['train_score']:.4f} / {facts['test_score']:.4f}"
    gap = f"{facts['relative_gap']:.3%} (no number of filters is below {facts['lower_bound']:.6g})"
    rows = [
        ("status", as_options(Status[facts["status"]].value)),
        ("objective", f"{facts['objective']:.6g}"),
        ("proven gap", gap),
        ("proof", facts["proof"]),
        ("estimated gap", f"{about(facts['estimated_relative_gap'])} (it proves nothing)"),
        ("filters", str(facts["n_neurons"])),
        (f"{facts['score']} train / test", scores),
        ("linear model, test", f"{facts['baseline_test_score']:.4f}"),
        ("seconds", f"{facts['seconds']:.1f}"),
    ]
    print_table([*rows, *((key, facts[key]) for key in ("model", "plot") if key in facts)])


def predict_images(args: argparse.Namespace) -> Answer:
    """Predictions for the images X of a .npz file, X_test where it has no X."""
    model, arrays = load_images(args.model), read_arrays(args.data)
    name = next(name for name in ("X", "X_test", "X_train") if name in arrays)
    try:
        columns = model.predictions(arrays[name])
    except ValueError as error:
        raise InputError(f"{args.data}: {error}") from error
    facts = {key: column.tolist() for key, column in columns.items()}
    text = csv_text([list(facts), *zip(*facts.values())], "\r\n" if args.out else "\n")
    if args.out:
        write(args.out, text.encode())
    return Answer(facts, (lambda _: None) if args.out else (lambda _: print(text, end="")))


def image_info(args: argparse.Namespace) -> Answer:
    """What the file of a convolutional network says."""
    model = load_images(args.model)
    w = model.windows
    facts = {
        "classes": model.classes, "loss": model.loss, "images": [*w.shape, w.channels],
        "filters": list(w.size), "stride": list(w.stride), "padding": list(w.padding),
        "pool": list(w.pool), "places": list(w.cells), **model.facts,
    }  # fmt: skip
    return Answer(facts, print_facts)
