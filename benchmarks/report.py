"""Write benchmarks/RESULTS.md: speed, performance profile, accuracy, cost of path and folds.

    python -m benchmarks.report                 # about two hours of CPU time
    python -m benchmarks.report --write-only    # from what has been measured so far
    python -m benchmarks.report --forget gapless    # measure it again: the solver has changed
    python -m benchmarks.report --only adam lbfgs   # these now, the rest another time

Measurements are kept in ``benchmarks/results/`` (not in version control); an interrupted report
goes on where it stopped.  Larger data lie where :data:`benchmarks.problems.DATA` says.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import product

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from . import accuracy, markdown  # noqa: E402
from .measure import Store  # noqa: E402
from .methods import METHODS  # noqa: E402
from .problems import BUNDLED, DATA, load, prepare, uci  # noqa: E402
from .records import RUNS, TABLE, WEIGHT_DECAYS  # noqa: E402


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, nargs=3, default=[8.0, 30.0, 30.0], metavar="S",
        help="limit of a run in the table, for each weight_decay",
    )  # fmt: skip
    parser.add_argument(
        "--runs", type=int, nargs=3, default=[3, 1, 1], metavar="N",
        help="runs there, of which the median counts, for each weight_decay",
    )  # fmt: skip
    parser.add_argument("--profile-seconds", type=float, default=3.0, help="and in the profile")
    parser.add_argument("--sets", type=int, default=40, help="UCI sets, the smallest first")
    parser.add_argument("--splits", type=int, default=3, help="splits for the accuracy")
    parser.add_argument("--seeds", type=int, default=5, help="runs of path and folds")
    parser.add_argument("--write-only", action="store_true", help="measure nothing new")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="measure these methods only")
    parser.add_argument("--forget", nargs="+", default=[], metavar="METHOD")
    args = parser.parse_args(argv)
    import torch  # loaded once, before the runs fork, like what is used of gapless

    from gapless import Problem, ReLUClassifierCV, certify, path, train  # noqa: F401

    torch.set_num_threads(1)
    speed, accurate, cost = Store("speed"), Store("accuracy"), Store("cost")
    for store in (speed, accurate):
        store.forget(lambda key: bool({*args.forget} & {*key}))
    if "gapless" in args.forget:
        cost.forget(lambda key: True)
    if not args.write_only:
        profile_runs(speed, args)
        accuracy_runs(accurate, args)
        table_runs(speed, args)
        cost_runs(cost, args)
    lines = [
        markdown.heading(args.runs),
        *markdown.table(speed, args.seconds),
        *markdown.profile(speed, args.profile_seconds),
        *markdown.accuracies(accurate, args.splits),
        *markdown.costs(cost),
    ]
    (markdown.HERE / "RESULTS.md").write_text("\n".join(lines) + "\n")
    return 0


def _asked(names, args):
    return [name for name in names if args.only is None or name in args.only]


def _speed(store, name, X, Y, limits, runs, args):
    shape = {"shape": [*X.shape, Y.shape[1]]}
    for beta, seconds, count in zip(WEIGHT_DECAYS, limits, runs):
        for method in _asked(RUNS, args):
            for seed in range(1 if method == "mlp" else count):  # never near, so not repeated
                store.measure(
                    (name, beta, method, seconds, seed),
                    lambda run=METHODS[method], case=(X, Y, beta, seconds, seed): (
                        vars(_warm(run, *case)) | shape
                    ),
                )


def _warm(run, X, Y, *rest):
    """The run after one of a tenth of a second: what a library does at first is not charged."""
    run(X[:20], Y[:20], 0.1, 0.1, 0)
    return run(X, Y, *rest)


def table_runs(store, args):
    for name in TABLE:
        folder = DATA / "peers"
        if name in BUNDLED or (folder / f"{name}.npz").exists():
            X, Y, *_ = load(name, folder if (folder / f"{name}.npz").exists() else None)
            _speed(store, name, X, Y, args.seconds, args.runs, args)


def _sets(args):
    return sorted(uci(), key=lambda item: item[1].size)[: args.sets]


def profile_runs(store, args):
    for name, X, y in _sets(args):
        X, Y, *_ = prepare(X, y, "classification")
        limits = [args.profile_seconds] * len(WEIGHT_DECAYS)
        _speed(store, f"uci {name}", X, Y, limits, [1] * len(WEIGHT_DECAYS), args)


def accuracy_runs(store, args):
    sets = _sets(args)
    for seed in range(args.splits):
        for name, X, y in sets:
            for learner in _asked(accuracy.LEARNERS, args):
                store.measure((name, learner, seed), accuracy.measure, learner, X, y, seed)


def cost_runs(store, args):
    if _asked(["gapless"], args):
        for name, seed in product(("diabetes", "breast_cancer", "wine"), range(args.seeds)):
            store.measure((name, seed), path_cost, name, seed)


def path_cost(name, seed):
    """CPU seconds of one training, a path of 30 values and five-fold cross-validation."""
    from gapless import Problem, path, train
    from gapless.training.cross_validation import choose_weight_decay

    X, Y, *_ = load(name)
    problem = Problem(X[:, :-1], Y, weight_decay=0.1)
    times = [time.process_time()]
    trained = path(problem, ratio=1e-2, random_state=seed)
    times.append(time.process_time())
    last = train(problem.variant(problem.loss, trained.weight_decays[-1]), random_state=seed)
    times.append(time.process_time())
    choose_weight_decay(problem, trained.weight_decays, tol=1e-2, random_state=seed)
    times.append(time.process_time())
    along, alone, folds = np.diff(times).tolist()
    return {
        "alone": alone, "path": along, "folds": folds, "neurons": last.network.n_neurons,
        "objective_alone": last.certificate.objective,
        "objective_path": trained[-1].certificate.objective,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
