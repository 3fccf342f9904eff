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
import datetime
import importlib.metadata
import os
import platform
import sys
import time
from itertools import product
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

from . import accuracy  # noqa: E402
from .measure import Store  # noqa: E402
from .methods import METHODS, Trace  # noqa: E402
from .problems import BUNDLED, DATA, load, prepare, uci  # noqa: E402
from .run import BEST  # noqa: E402

HERE = Path(__file__).parent
WEIGHT_DECAYS = (0.1, 0.01, 0.001)
ADAM = ("adam", "adam_fast", "adam_short", "adam_fast_short")
RUNS = ("gapless", *ADAM, "lbfgs", "mlp")
#: repeated where runs are; the MLP, never near, is not
TIMED = ("gapless", *ADAM, "lbfgs")
#: a method may have several settings, of which the best on each problem counts
SHOWN = {
    "gapless": ("gapless",),
    "Adam p=200": ADAM,
    "L-BFGS p=400": ("lbfgs",),
    "MLP p=200": ("mlp",),
    "scnn": ("scnn",),
}
TABLE = (
    "diabetes", "breast_cancer", "wine", "boston", "syn1k", "syn2k", "syn5k", "digits",
    "oned200", "oned2k", "oned20k", "diamonds10k",
)  # fmt: skip
TARGETS = (1e-2, 1e-3, 1e-4)
FACTORS = (1, 1.5, 2, 5, 10)


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
    import torch  # loaded once, before the runs fork, like gapless

    import gapless  # noqa: F401

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
    (HERE / "RESULTS.md").write_text(report(speed, accurate, cost, args))
    return 0


# measuring


def _asked(names, args):
    return [name for name in names if args.only is None or name in args.only]


def _speed(store, name, X, Y, limits, runs, args):
    shape = {"shape": [*X.shape, Y.shape[1]]}
    for beta, seconds, count in zip(WEIGHT_DECAYS, limits, runs):
        for method in _asked(RUNS, args):
            for seed in range(count if method in TIMED else 1):
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
    for _ in _asked(("gapless",), args):
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


# writing


def report(speed, accurate, cost, args):
    parts = [heading(args), *table(speed, args), *profile(speed, args)]
    parts += [*accuracies(accurate, args), *costs(cost)]
    return "\n".join(parts) + "\n"


def heading(args):
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    versions = ", ".join(map(_version, ("numpy", "scipy", "scikit-learn", "torch")))
    return f"""# Results

Written by `python -m benchmarks.report` on {datetime.date.today()}: {model}, {os.cpu_count()}
cores, {platform.system()}, Python {platform.python_version()}, {versions}.

Time is **CPU seconds of one process with one thread**, after a run of a tenth of a second on 20
samples, without the time spent measuring objectives.  {_repeated(args)}  All methods minimise the
same objective: `1/(2n) ||(X U)_+ a - Y||^2 + weight_decay/2 (||U||^2 + ||a||^2)`, features and
regression targets standardised, a constant column appended, labels -1/+1 or one-hot.  `best` is
the least objective any run here found, or one known from earlier long runs; "above best" is of
the closest run.  "Adam p=200" is the best, problem by problem and target by target, of four
settings (rate .01 and the whole limit; rate .03 and a quarter of it; either and three tenths of
that; all on a cosine schedule), and of runs with shorter limits where there are any; the choice is
not charged for.  The proven gap is that of the run and of ten seconds more, at most as many as its
limit, by `certify`.  The MLP is scikit-learn's, with its own mini-batches, 200 epochs at most.
scnn is pyscnn 0.0.10 with 100 sampled gates, in an environment of its own, to its own end: it
knows no limit.  It has a row where that came within 90 s; on tables it took 8 s at least, more than
the profile's limit.  `-`: not reached within the limit."""


def _repeated(args):
    counts = ", ".join(f"{n} at {b:g}" for n, b in zip(args.runs, WEIGHT_DECAYS))
    return f"Times in the table are medians of runs from different seeds ({counts}); else one run."


def _version(library):
    try:
        return f"{library} {importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{library} not installed"


def runs_of(store, limits, names):
    """(name, beta) -> ``best`` and, for each method shown, its closest record with ``times``.

    A peer may have run with shorter limits too: each is one more setting, but one run at least must
    have had the whole limit, or reached all targets, or ended by itself.  Of several settings the
    best median counts at each target.
    """
    problems = {}
    for (name, beta, method, limit, _), record in sorted(store.known.items()):
        asked = limits[WEIGHT_DECAYS.index(beta)]
        shorter = limit < asked and method != "gapless"
        if names(name) and "error" not in record and (limit == asked or shorter):
            records = problems.setdefault((name, beta), {}).setdefault(method, {})
            records.setdefault(limit, []).append(record)
    out = {}
    for key, records in sorted(problems.items(), key=_rank):
        if not {*RUNS} <= records.keys():
            continue  # not measured to the end
        every = [r for runs in records.values() for same in runs.values() for r in same]
        best = min(min(r["objectives"]) for r in every)
        best = min(best, BEST.get(key, np.inf))
        rows, asked = {}, limits[WEIGHT_DECAYS.index(key[1])]
        for shown, settings in SHOWN.items():
            runs = [same for m in settings for same in records.get(m, {}).values()]
            if shown == "scnn" and not runs:
                continue  # it is rarely installed
            if not any(_complete(r, asked, best) for same in runs for r in same):
                break
            times = [np.median([_times(r, best) for r in same], axis=0) for same in runs]
            closest = min((r for same in runs for r in same), key=lambda r: min(r["objectives"]))
            rows[shown] = closest | {"times": np.min(times, axis=0)}
        else:
            out[key] = (best, rows)
    return out


def _complete(record, asked, best):
    """Whether a longer limit would have told no more."""
    limit, end = record["key"][3], record["seconds"][-1]
    by_itself = record["key"][2] in ("lbfgs", "mlp") and end < 0.9 * limit
    return limit == asked or by_itself or np.isfinite(_times(record, best)[-1])


def _rank(item):
    """The order of the tables: as TABLE has it, then by size."""
    (name, beta), records = item
    place = TABLE.index(name) if name in TABLE else len(TABLE)
    (record, *_), *_ = next(iter(records.values())).values()
    return place, np.prod(record["shape"]), name, -beta


def _times(record, best):
    """Seconds to each target; what a last round reached after the limit does not count."""
    limit = record["key"][3]
    trace = Trace(record["seconds"], record["objectives"])
    times = (trace.time_to(best * (1 + share)) for share in TARGETS)
    return [t if t is not None and t <= limit else np.inf for t in times]


def _cell(t):
    return "-" if not np.isfinite(t) else f"{t:.2f}" if t > 0.1 else f"{t:.4f}"


def table(store, args):
    limits = " / ".join(f"{s:g}" for s in args.seconds)
    decays = " / ".join(f"{b:g}" for b in WEIGHT_DECAYS)
    yield f"\n## Problem by method, limit {limits} s at weight_decay {decays}\n"
    found = runs_of(store, args.seconds, lambda n: n in TABLE)
    yield (
        "gapless against the best of the others, problem by problem; who did not get there took "
        "the limit at least:\n"
    )
    yield (
        "| to within | weight_decay | problems | surely 5 times faster | surely 10 times | faster "
        "| slower by more than 1.5 | nobody within the limit |\n|" + "---|" * 8
    )
    for i, share in enumerate(TARGETS):
        for beta, seconds in zip(WEIGHT_DECAYS, args.seconds):
            rows = [r for (_, b), (_, r) in found.items() if b == beta]
            shown = [m for m in SHOWN if all(m in r for r in rows)]
            times = {m: np.array([r[m]["times"][i] for r in rows]) for m in shown}
            if rows:
                peers = np.min([t for m, t in times.items() if m != "gapless"], axis=0)
                cells = " | ".join(standing(times["gapless"], peers, seconds))
                yield f"| {share:.2%} | {beta:g} | {len(rows)} | {cells} |"
    yield ""
    yield (
        "| problem | n x d, outputs | weight_decay | best | method | above best | to 1% | to 0.1% "
        "| to 0.01% | proven gap | neurons | memory, MiB |\n|" + "---|" * 12
    )
    for (name, beta), (best, rows) in found.items():
        for method, record in rows.items():
            n, d, outputs = record["shape"]
            final, bound = min(record["objectives"]), record["lower_bound"]
            gap = f"{1 - bound / final:.1%}" if bound > 0 else "none"
            yield (
                f"| {name} | {n} x {d}, {outputs} | {beta:g} | {best:.7f} | {method} "
                f"| {max(final / best - 1, 0):.3%} | "
                + " | ".join(map(_cell, record["times"]))
                + f" | {gap} | {record['n_neurons']} | {record['memory']:.0f} |"
            )


def profile(store, args):
    limits = [args.profile_seconds] * len(WEIGHT_DECAYS)
    found = runs_of(store, limits, lambda n: n.startswith("uci "))
    sets = {name for name, _ in found}
    yield (
        f"\n## Performance profile, limit {args.profile_seconds:g} s\n\n{len(sets)} UCI "
        f"classification sets at three values of weight_decay, {len(found)} problems: the smallest "
        "of those with 100 to 1500 samples, at most 10 classes and at least 5 samples in each.  "
        "Share of the problems solved to 0.1% of the best objective within a factor of the fastest "
        "method:\n"
    )
    if not found:
        return
    times = {
        method: np.array([rows[method]["times"][1] for _, rows in found.values()])
        for method in SHOWN
        if all(method in rows for _, rows in found.values())
    }
    fastest = np.min(list(times.values()), axis=0)
    betas = np.array([beta for _, beta in found])
    for beta in (*WEIGHT_DECAYS, None):
        here = np.ones(len(betas), bool) if beta is None else betas == beta
        if not here.any():
            continue
        label = "all" if beta is None else f"weight_decay {beta:g}"
        yield (
            f"\n| {label} | "
            + " | ".join(f"within {f:g}x" for f in FACTORS)
            + " | ever |\n|"
            + "---|" * (len(FACTORS) + 2)
        )
        for method, t in times.items():
            reached = np.isfinite(t[here])
            shares = [np.mean(reached & (t[here] <= f * fastest[here])) for f in FACTORS]
            shares.append(np.mean(reached))
            yield f"| {method} | " + " | ".join(f"{s:.0%}" for s in shares) + " |"
    peers = np.min([t for m, t in times.items() if m != "gapless"], axis=0)
    own = times["gapless"]
    sure, _, ahead, behind, nobody = standing(own, peers, args.profile_seconds)
    yield (
        f"\ngapless is surely 5 times faster than the best peer on {sure} of the problems, faster "
        f"on {ahead}, slower by more than 1.5 on {behind}; on {nobody} nobody gets there within "
        "the limit (gapless ends the round it is in; what that finds counts for `best` alone).  "
        "`best` is what was found within the "
        f"limit: at weight_decay {WEIGHT_DECAYS[-1]:g} it was still falling on many, so those rows "
        "compare objectives at the limit rather than times to the optimum."
    )
    draw(times, fastest)
    yield "\n![performance profile](profile.png)\n"
    yield "### Where gapless loses: a peer gets to 0.1%, and gapless later than 1.5 times it\n"
    yield (
        "| problem | weight_decay | above best | to 0.1% | best peer | to 0.1% |\n|" + "---|" * 6
    )
    for i, ((name, beta), (best, rows)) in enumerate(found.items()):
        if own[i] > 1.5 * peers[i]:  # never where no peer got there
            peer = min((m for m in times if m != "gapless"), key=lambda m: times[m][i])
            above = max(min(rows["gapless"]["objectives"]) / best - 1, 0)
            cells = f"{above:.2%} | {_cell(own[i])} | {peer} | {_cell(peers[i])}"
            yield f"| {name[4:]} | {beta:g} | {cells} |"


def standing(own, peers, limit):
    """Shares: surely 5 and 10 times faster than the best peer, faster, slower by 1.5, nobody."""
    # a peer that did not get there took the limit at least, and no more than that is known
    known = np.minimum(peers, limit)
    return [
        f"{np.mean(which):.0%}"
        for which in (
            5 * own <= known,
            10 * own <= known,
            own < peers,
            np.isfinite(peers) & (own > 1.5 * peers),
            ~np.isfinite(np.minimum(own, peers)),
        )
    ]


def draw(times, fastest):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    solved = np.isfinite(fastest)
    for method, t in times.items():
        ratio = np.sort(np.where(np.isfinite(t[solved]), t[solved] / fastest[solved], np.inf))
        ratio = ratio[np.isfinite(ratio)]
        x = np.concatenate([[1.0], ratio, [1e3]])
        y = np.concatenate([[0.0], np.arange(1, len(ratio) + 1), [len(ratio)]]) / solved.sum()
        ax.step(x, y, where="post", label=method, lw=2)
    ax.set(
        xscale="log", xlim=(0.8, 100), ylim=(0, 1.03),
        xlabel="time to 0.1%, over that of the fastest", ylabel="share of the problems",
    )  # fmt: skip
    ax.legend(frameon=False)
    figure.savefig(HERE / "profile.png", dpi=110)
    plt.close(figure)


def accuracies(store, args):
    by_name = {}
    for (name, learner, seed), record in store.known.items():
        by_name.setdefault(name, {})[learner, seed] = record
    learners = list(accuracy.LEARNERS)
    wanted = {(learner, seed) for learner in learners for seed in range(args.splits)}
    full = {n: r for n, r in by_name.items() if wanted <= r.keys()}
    splits = "One split" if args.splits == 1 else f"Means over {args.splits} splits"
    yield (
        f"\n## Test accuracy at a cross-validated penalty, {len(full)} of those sets\n\n{splits} "
        "75/25, five folds on the training part, the same for all learners; grids in "
        "`benchmarks/accuracy.py`.\n"
    )
    if not full:
        return

    def means(field):
        return np.array(
            [
                [np.mean([r[m, seed][field] for seed in range(args.splits)]) for m in learners]
                for r in full.values()
            ]
        ).round(9)

    scores, seconds = means("accuracy"), means("seconds")
    per_split = [
        np.mean([[r[m, seed]["accuracy"] for m in learners] for r in full.values()], axis=0)
        for seed in range(args.splits)
    ]
    rank = (scores[:, :, None] < scores[:, None, :]).sum(axis=2) + 1
    yield "| | " + " | ".join(learners) + " |\n|" + "---|" * (len(learners) + 1)
    for label, values, form in (
        ("mean accuracy", scores.mean(axis=0), ".2%"),
        *((f"split {i}", split, ".2%") for i, split in enumerate(per_split)),
        ("mean rank (1 best)", rank.mean(axis=0), ".2f"),
        ("best or equal", (rank == 1).mean(axis=0), ".0%"),
        ("gapless better / equal / worse", None, ""),
        ("median CPU s, with tuning", np.median(seconds, axis=0), ".1f"),
    ):
        if values is None:
            own = scores[:, :1]
            counts = [(own > scores).sum(0), (own == scores).sum(0), (own < scores).sum(0)]
            cells = [" / ".join(map(str, c)) for c in zip(*counts)]
            cells[0] = ""
        else:
            cells = [format(v, form) for v in values]
        yield f"| {label} | " + " | ".join(cells) + " |"
    yield "\n| data set | " + " | ".join(learners) + " |\n|" + "---|" * (len(learners) + 1)
    for name, row in zip(full, scores):
        yield f"| {name} | " + " | ".join(f"{s:.1%}" for s in row) + " |"


def costs(store):
    by_name = {}
    for (name, _), record in store.known.items():
        if "error" not in record:
            by_name.setdefault(name, []).append(record)
    counts = " or ".join(str(n) for n in sorted({len(runs) for runs in by_name.values()}))
    yield (
        "\n## Path and folds\n\nA path of 30 values from the largest useful weight decay to a "
        "hundredth of it, gap .1%; its last value alone; five folds on the same values "
        f"(networks with a gap of 1%).  Medians of runs from {counts} seeds.\n"
    )
    yield (
        "| problem | neurons at the last value | alone, s | path, s | path / alone | "
        "objective, path / alone - 1 | folds, s | folds / path |\n|" + "---|" * 8
    )
    for name, runs in by_name.items():
        r = {field: np.median([run[field] for run in runs]) for field in runs[0] if field != "key"}
        yield (
            f"| {name} | {r['neurons']:.0f} | {r['alone']:.2f} | {r['path']:.2f} | "
            f"{r['path'] / r['alone']:.1f} | {r['objective_path'] / r['objective_alone'] - 1:.3%} "
            f"| {r['folds']:.2f} | {r['folds'] / r['path']:.1f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
