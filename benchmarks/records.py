"""What the report has measured, read back from ``benchmarks/results/``."""

from __future__ import annotations

import numpy as np

WEIGHT_DECAYS = (0.1, 0.01, 0.001)
ADAM = ("adam", "adam_fast", "adam_short", "adam_fast_short")
RUNS = ("gapless", *ADAM, "lbfgs", "mlp")
TABLE = (
    "diabetes", "breast_cancer", "wine", "boston", "syn1k", "syn2k", "syn5k", "digits",
    "oned200", "oned2k", "oned20k", "diamonds10k",
)  # fmt: skip


def speeds(store, limits, wanted):
    """(problem, weight_decay) -> method -> time limit -> records, where all of RUNS have been.

    ``limits`` are those of WEIGHT_DECAYS, ``wanted`` tells problems by their names.  A peer may
    have run with shorter limits too: each is one more setting.
    """
    asked = dict(zip(WEIGHT_DECAYS, limits))
    problems = {}
    for (name, decay, method, limit, _), record in sorted(store.known.items()):
        usable = limit == asked[decay] or (limit < asked[decay] and method != "gapless")
        if wanted(name) and usable and "error" not in record:
            records = problems.setdefault((name, decay), {}).setdefault(method, {})
            records.setdefault(limit, []).append(record)
    return {k: r for k, r in sorted(problems.items(), key=_place) if {*RUNS} <= r.keys()}


def _place(item):
    """The order of the tables: as TABLE has it, then by size."""
    (name, decay), records = item
    place = TABLE.index(name) if name in TABLE else len(TABLE)
    (record, *_), *_ = next(iter(records.values())).values()
    return place, np.prod(record["shape"]), name, -decay


def accuracies(store, learners, n_splits):
    """Sets that all learners ran on; accuracy and CPU seconds, (n_splits, n_sets, n_learners)."""
    runs = [[(m, split) for m in learners] for split in range(n_splits)]
    names = dict.fromkeys(name for name, _, _ in store.known)
    sets = [name for name in names if all((name, *r) in store.known for row in runs for r in row)]
    tables = (
        np.array([[[store.known[n, *r][field] for r in row] for n in sets] for row in runs])
        for field in ("accuracy", "seconds")
    )
    return sets, *tables


def costs(store):
    """Problem -> records of all seeds."""
    by_name = {}
    for (name, _), record in store.known.items():
        if "error" not in record:
            by_name.setdefault(name, []).append(record)
    return by_name
