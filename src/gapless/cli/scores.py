"""How good a network is on rows that training did not see, and what a plain model would be."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score

from ..core.checks import Array
from ..core.network import Network
from .job import Job

# Test rows that say something: of fewer, one row more or less changes all.
ENOUGH = 12
# Scores that differ by less are called alike.
CLEAR = 0.01
# Classes whose confusion fits into a terminal.
SHOWN = 8


def untested(job: Job) -> str:
    """Why a score on the test rows would say nothing; empty where it says something."""
    n_test = len(job.test)
    if n_test < ENOUGH:
        rows = "1 test row is" if n_test == 1 else f"{n_test} test rows are"
        return f"{rows} too few for a score ({ENOUGH} are needed: more data, or --test-size)"
    if job.labels is None and len(np.unique(job.Y[job.test])) < 2:
        return "the targets of the test rows are all alike"
    return ""


def probabilities(F: Array) -> Array:
    """Of the classes, from the outputs of a network with the logistic loss; (n, n_classes)."""
    margins = np.column_stack([-F, F]) / 2 if F.shape[1] == 1 else F
    E = np.exp(margins - margins.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


def scores(job: Job, network: Network) -> dict[str, Any]:
    """What ``gapless fit`` says of a network in the units of the table.

    Returns
    -------
    dict
        ``score``: the measure; ``train_score``, ``test_score``, ``baseline_test_score`` (ridge or
        logistic regression), ``untested``: why there is no test score, else empty.  For classes
        also ``majority_test_score`` (always the most frequent class), ``auc``, ``log_loss``,
        ``baseline_auc``, ``baseline_log_loss`` and ``confusion``, all of the test rows: a row for
        each class there is, a column for each that was said.
    """
    why = untested(job)
    facts: dict[str, Any] = {
        "score": job.measure,
        "train_score": job.score(network, job.train),
        "test_score": None if why else job.score(network, job.test),
        "baseline_test_score": None,
        "untested": why,
        "n_train": len(job.train),
        "n_test": len(job.test),
    }
    if job.labels is not None:
        named = ("majority_test_score", "auc", "log_loss", "baseline_auc", "baseline_log_loss")
        facts |= dict.fromkeys((*named, "confusion"))
    if why:
        return facts
    test = job.scaling.features(job.X, job.test)
    if job.labels is None:
        ridge = RidgeCV(np.logspace(-3, 3, 13))
        ridge.fit(job.scaling.features(job.X, job.train), job.Y[job.train, 0])
        return facts | {"baseline_test_score": float(ridge.score(test, job.Y[job.test, 0]))}
    return facts | _of_classes(job, network, test)


def _of_classes(job: Job, network: Network, test: Array) -> dict[str, Any]:
    assert job.labels is not None
    labels, n_classes = job.labels[job.test], len(job.classes or ())
    F = network.predict(job.X[job.test])
    guess = (F[:, 0] > 0).astype(int) if F.shape[1] == 1 else np.argmax(F, axis=1)
    linear = LogisticRegression(max_iter=2000)
    linear.fit(job.scaling.features(job.X, job.train), job.labels[job.train])
    P, Q = probabilities(F), linear.predict_proba(test)
    most = np.bincount(job.labels[job.train]).argmax()
    smooth = job.loss in ("logistic", "softmax")
    everywhere = range(n_classes)
    return {
        "baseline_test_score": float(linear.score(test, labels)),
        "majority_test_score": float(np.mean(labels == most)),
        "auc": _auc(labels, P),
        "log_loss": float(log_loss(labels, P, labels=everywhere)) if smooth else None,
        "baseline_auc": _auc(labels, Q),
        "baseline_log_loss": float(log_loss(labels, Q, labels=everywhere)),
        "confusion": confusion_matrix(labels, guess, labels=everywhere).tolist(),
    }  # fmt: skip


def _auc(labels: Array, P: Array) -> float | None:
    """Area under the curve, the mean over classes against the rest; None if one has no row."""
    if len(np.unique(labels)) < P.shape[1]:
        return None
    return float(roc_auc_score(labels, P[:, 1] if P.shape[1] == 2 else P, multi_class="ovr"))


def summary(job: Job, n_neurons: int, facts: dict[str, Any]) -> str:
    """One sentence on what came out."""
    neurons = "1 neuron" if n_neurons == 1 else f"{n_neurons} neurons"
    if not n_neurons:  # training may also have had no time for one
        neurons = "A constant, 0 neurons,"
    if facts["untested"]:
        return (
            f"{neurons} for {job.target!r}, trained on {len(job.train)} rows; {facts['untested']}"
        )
    unseen = f"on {len(job.test)} rows that training did not see"
    ours, linear = facts["test_score"], facts["baseline_test_score"]
    better = ", which is better" if linear > ours + CLEAR else ""
    if job.labels is None:
        verb = "predicts" if n_neurons <= 1 else "predict"
        return (
            f"{neurons} {verb} {job.target!r} with R2 {ours:.3f} {unseen} "
            f"(a linear model: {linear:.3f}{better})"
        )
    verb = "tells" if n_neurons <= 1 else "tell"
    always = facts["majority_test_score"]
    return (
        f"{neurons} {verb} the {len(job.classes or ())} classes of {job.target!r} right in "
        f"{ours:.1%} of {len(job.test)} rows that training did not see (a linear model: "
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
        return rows
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
