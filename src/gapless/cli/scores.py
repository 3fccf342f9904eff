"""How good a network is on rows that training did not see, and what a plain model would be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..core.checks import Array
from ..core.network import Network
from ..core.processes import beside
from .job import Job
from .linear import linear_outputs
from .measures import area, explained, guesses, log_loss, measure, score

# Test rows that say something: of fewer, one row more or less changes all.
ENOUGH = 12
# Scores that differ by less are called alike.
CLEAR = 0.01
# Classes whose confusion fits into a terminal.
SHOWN = 8


class Rows(NamedTuple):
    """Some rows of a table, and what a network says of them.

    Attributes
    ----------
    y : array (n,)
        Targets, or places among the classes.
    F : array (n, n_outputs)
        Predictions, or scores of classes.
    """

    y: Array
    F: Array


def untested(y: Array, classes: bool) -> str:
    """Why a score on test rows with these targets would say nothing; empty where it says
    something.
    """
    n_test = len(y)
    if n_test < ENOUGH:
        rows = "1 test row is" if n_test == 1 else f"{n_test} test rows are"
        return f"{rows} too few for a score ({ENOUGH} are needed: more data, or --test-size)"
    if not classes and len(np.unique(y)) < 2:
        return "the targets of the test rows are all alike"
    return ""


def probabilities(F: Array) -> Array:
    """Of the classes, from the outputs of a network with the logistic loss; (n, n_classes)."""
    margins = np.column_stack([-F, F]) / 2 if F.shape[1] == 1 else F
    E = np.exp(margins - margins.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


def job_scores(job: Job, network: Network, linear: Callable[[], Array]) -> dict[str, Any]:
    """:func:`scores` of a network in the units of the table."""

    def rows(index: Array) -> Rows:
        return Rows(job.answers(index), job.outputs(network, index))

    return scores(rows(job.train), rows(job.test), job.loss, len(job.classes or ()), linear)


def linear_beside(job: Job) -> Callable[[], Array]:
    """The linear model of :func:`scores`, fitted beside what this process does."""
    X, n_classes = job.units.features(job.X), len(job.classes or ())
    of = X[job.train], job.answers(job.train), X[job.test]
    model = partial(linear_outputs, job.loss, n_classes, *of)
    return model if untested(job.answers(job.test), n_classes > 0) else beside(model)


def scores(
    train: Rows, test: Rows, loss: str, n_classes: int, linear: Callable[[], Array]
) -> dict[str, Any]:
    """What ``gapless fit`` says of a network: how good it is, beside a linear model.

    Parameters
    ----------
    train, test : Rows
    loss : str
        Of the training problem.
    n_classes : int
        0 for numbers.
    linear : callable
        :func:`.linear.linear_outputs` of the test rows, asked if there is a test score.

    Returns
    -------
    dict
        ``score``: the measure; ``train_score``, ``test_score``, ``baseline_test_score`` (of
        :func:`.linear.linear_outputs`), ``untested``: why there is no test score, else empty.  For
        numbers also ``typical_error`` and ``baseline_typical_error``, which half of the test rows
        are below, None where there is no test score.  For
        classes also ``majority_test_score`` (always the most frequent class), ``auc``,
        ``log_loss``, ``baseline_auc``, ``baseline_log_loss`` and ``confusion``, all of the test
        rows: a row for each class there is, a column for each that was said.
    """
    classes = n_classes > 0
    why = untested(test.y, classes)
    facts: dict[str, Any] = {
        "score": measure(loss, classes),
        "train_score": score(loss, classes, train.y, train.F),
        "test_score": None if why else score(loss, classes, test.y, test.F),
        "baseline_test_score": None,
        "untested": why,
        "n_train": len(train.y),
        "n_test": len(test.y),
    }
    if not classes:
        facts |= dict.fromkeys(("typical_error", "baseline_typical_error"))
    else:
        named = ("majority_test_score", "auc", "log_loss", "baseline_auc", "baseline_log_loss")
        facts |= dict.fromkeys((*named, "confusion"))
    if why:
        return facts
    if not classes:
        said = linear()[:, 0]
        return facts | {
            "baseline_test_score": explained(loss, test.y, said),
            "typical_error": float(np.median(np.abs(test.y - test.F[:, 0]))),
            "baseline_typical_error": float(np.median(np.abs(test.y - said))),
        }
    return facts | _of_classes(train, test, linear(), loss, n_classes)


def _of_classes(
    train: Rows, test: Rows, linear: Array, loss: str, n_classes: int
) -> dict[str, Any]:
    labels, said = test.y, guesses(test.F)
    P, Q = probabilities(test.F), probabilities(linear)
    most = np.bincount(train.y).argmax()
    smooth = loss in ("logistic", "softmax")
    confusion = np.bincount(labels * n_classes + said, minlength=n_classes**2)
    return {
        "baseline_test_score": float(np.mean(guesses(linear) == labels)),
        "majority_test_score": float(np.mean(labels == most)),
        "auc": area(labels, P),
        "log_loss": log_loss(labels, P) if smooth else None,
        "baseline_auc": area(labels, Q),
        "baseline_log_loss": log_loss(labels, Q),
        "confusion": confusion.reshape(n_classes, n_classes).tolist(),
    }  # fmt: skip


def summary(target: str, n_classes: int, n_neurons: int, facts: dict[str, Any]) -> str:
    """One sentence on what came out; of numbers where there are no classes."""
    neurons = "1 neuron" if n_neurons == 1 else f"{n_neurons} neurons"
    if not n_neurons:  # training may also have had no time for one
        neurons = "A constant, 0 neurons,"
    if facts["untested"]:
        return f"{neurons} for {target!r}, trained on {facts['n_train']} rows; {facts['untested']}"
    unseen = f"on {facts['n_test']} rows that training did not see"
    ours, linear = facts["test_score"], facts["baseline_test_score"]
    better = ", which is better" if linear > ours + CLEAR else ""
    if not n_classes:
        verb = "predicts" if n_neurons <= 1 else "predict"
        return (
            f"{neurons} {verb} {target!r} with {facts['score']} {ours:.3f} {unseen} "
            f"(a linear model: {linear:.3f}{better})"
        )
    verb = "tells" if n_neurons <= 1 else "tell"
    always = facts["majority_test_score"]
    return (
        f"{neurons} {verb} the {n_classes} classes of {target!r} right in "
        f"{ours:.1%} of {facts['n_test']} rows that training did not see (a linear model: "
        f"{linear:.1%}{better}; always the most frequent: {always:.1%})"
    )


def score_rows(facts: dict[str, Any], classes: list[str]) -> list[tuple[str, str]]:
    """The rows of the report: a head and a text each."""
    train = f"{facts['train_score']:.4f}"
    if facts["untested"]:
        return [(f"{facts['score']} train", train), ("test", f"none: {facts['untested']}")]
    rows = [
        (f"{facts['score']} train / test", f"{train} / {facts['test_score']:.4f}"),
        ("linear model, test", f"{facts['baseline_test_score']:.4f}"),
    ]
    if "auc" not in facts:
        half = f"{facts['typical_error']:.4g}, half of the rows are nearer"
        linear = f"{facts['baseline_typical_error']:.4g}"
        return [*rows, ("typical error, test", f"{half} (linear model {linear})")]
    rows[1:1] = [("always the same class", f"{facts['majority_test_score']:.4f}")]
    for name, head in (("auc", "AUC"), ("log_loss", "log loss")):
        ours, linear = facts[name], facts[f"baseline_{name}"]
        if ours is not None and linear is not None:
            rows.append((f"{head}, test", f"{ours:.4f} (linear model {linear:.4f})"))
    if len(classes) <= SHOWN:
        rows.append(("test rows that are", _confusion(facts["confusion"], classes)))
    return rows


def _confusion(counts: list[list[int]], classes: list[str]) -> str:
    """A line for each class: how many of its rows were called what."""
    lines = []
    for name, row in zip(classes, counts):
        said = [f"{count} called {other}" for count, other in zip(row, classes) if count]
        lines.append(f"{name}: {', '.join(said) or 'none'}")
    return "\n".join(lines)
