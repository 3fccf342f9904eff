"""The tables and the picture of benchmarks/RESULTS.md; each function yields lines."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
from pathlib import Path

import numpy as np

from . import accuracy, records, standing
from .records import TABLE, WEIGHT_DECAYS

HERE = Path(__file__).parent


def _row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def _head(*cells):
    return f"{_row(*cells)}\n|{'---|' * len(cells)}"


def _shares(values):
    return [f"{v:.0%}" for v in values]


def _seconds(t):
    return "-" if not np.isfinite(t) else f"{t:.2f}" if t > 0.1 else f"{t:.4f}"


def heading(runs):
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*:(.*)", info, re.MULTILINE)
    model = model[1].strip() if model else platform.machine()
    versions = ", ".join(map(_version, ("numpy", "scipy", "scikit-learn", "torch")))
    counts = ", ".join(f"{n} at {b:g}" for n, b in zip(runs, WEIGHT_DECAYS))
    repeated = (
        f"Times in the table are medians of runs from different seeds ({counts}); else one run."
    )
    return f"""# Results

Written by `python -m benchmarks.report` on {datetime.date.today()}: {model}, {os.cpu_count()}
cores, {platform.system()}, Python {platform.python_version()}, {versions}.

Time is **CPU seconds of one process with one thread**, after a run of a tenth of a second on 20
samples, without the time spent measuring objectives.  {repeated}  All methods minimise the
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


def _version(library):
    try:
        return f"{library} {importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{library} not installed"


def table(store, limits):
    """Problem by method."""
    seconds = " / ".join(f"{s:g}" for s in limits)
    decays = " / ".join(f"{b:g}" for b in WEIGHT_DECAYS)
    yield f"\n## Problem by method, limit {seconds} s at weight_decay {decays}\n"
    run = standing.races(store, limits, lambda name: name in TABLE)
    yield (
        "gapless against the best of the others, problem by problem; who did not get there took "
        "the limit at least:\n"
    )
    yield _head(
        "to within", "weight_decay", "problems", "surely 5 times faster", "surely 10 times",
        "faster", "slower by more than 1.5", "nobody within the limit",
    )  # fmt: skip
    for target, share in enumerate(standing.TARGETS):
        for decay, limit in zip(WEIGHT_DECAYS, limits):
            here = [race for race in run if race.weight_decay == decay]
            if here:
                times = standing.times_to(target, here)
                shares = standing.shares_against(times["gapless"], standing.best_peer(times), limit)
                yield _row(f"{share:.2%}", f"{decay:g}", len(here), *_shares(shares))
    yield ""
    yield _head(
        "problem", "n x d, outputs", "weight_decay", "best", "method", "above best", "to 1%",
        "to 0.1%", "to 0.01%", "proven gap", "neurons", "memory, MiB",
    )  # fmt: skip
    for race in run:
        for method, record in race.closest.items():
            n, d, outputs = record["shape"]
            bound = record["lower_bound"]
            gap = f"{1 - bound / min(record['objectives']):.1%}" if bound > 0 else "none"
            yield _row(
                race.name, f"{n} x {d}, {outputs}", f"{race.weight_decay:g}", f"{race.best:.7f}",
                method, f"{race.above_best(method):.3%}", *map(_seconds, race.seconds[method]),
                gap, record["n_neurons"], f"{record['memory']:.0f}",
            )  # fmt: skip


def profile(store, limit):
    """The performance profile to 0.1%, and where gapless loses."""
    run = standing.races(store, [limit] * len(WEIGHT_DECAYS), lambda name: name.startswith("uci "))
    yield (
        f"\n## Performance profile, limit {limit:g} s\n\n{len({race.name for race in run})} UCI "
        f"classification sets at three values of weight_decay, {len(run)} problems: the smallest "
        "of those with 100 to 1500 samples, at most 10 classes and at least 5 samples in each.  "
        "Share of the problems solved to 0.1% of the best objective within a factor of the fastest "
        "method:\n"
    )
    if not run:
        return
    times = standing.times_to(standing.TARGETS.index(1e-3), run)
    fastest = np.min(list(times.values()), axis=0)
    decays = np.array([race.weight_decay for race in run])
    groups = {f"weight_decay {decay:g}": decays == decay for decay in WEIGHT_DECAYS}
    for label, here in (groups | {"all": decays > 0}).items():
        if here.any():
            yield "\n" + _head(label, *(f"within {f:g}x" for f in standing.FACTORS), "ever")
            for method, t in times.items():
                yield _row(method, *_shares(standing.shares_within(t[here], fastest[here])))
    own, peers = times["gapless"], standing.best_peer(times)
    sure, _, ahead, behind, nobody = _shares(standing.shares_against(own, peers, limit))
    yield (
        f"\ngapless is surely 5 times faster than the best peer on {sure} of the problems, faster "
        f"on {ahead}, slower by more than 1.5 on {behind}; on {nobody} nobody gets there within "
        "the limit (gapless ends the round it is in; what that finds counts for `best` alone).  "
        "`best` is what was found within the "
        f"limit: at weight_decay {WEIGHT_DECAYS[-1]:g} it was still falling on many, so those rows "
        "compare objectives at the limit rather than times to the optimum."
    )
    _draw(times, fastest)
    yield "\n![performance profile](profile.png)\n"
    yield "### Where gapless loses: a peer gets to 0.1%, and gapless later than 1.5 times it\n"
    yield _head("problem", "weight_decay", "above best", "to 0.1%", "best peer", "to 0.1%")
    for i, race in enumerate(run):
        if own[i] > 1.5 * peers[i]:  # never where no peer got there
            peer = min((m for m in times if m != "gapless"), key=lambda m: times[m][i])
            yield _row(
                race.name.removeprefix("uci "), f"{race.weight_decay:g}",
                f"{race.above_best('gapless'):.2%}", _seconds(own[i]), peer, _seconds(peers[i]),
            )  # fmt: skip


def _draw(times, fastest):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    solved = np.isfinite(fastest)
    for method, t in times.items():
        ratio = np.sort(t[solved] / fastest[solved])
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


def accuracies(store, n_splits):
    """Test accuracy of all learners."""
    learners = list(accuracy.LEARNERS)
    sets, by_split, seconds = records.accuracies(store, learners, n_splits)
    splits = "One split" if n_splits == 1 else f"Means over {n_splits} splits"
    yield (
        f"\n## Test accuracy at a cross-validated penalty, {len(sets)} of those sets\n\n{splits} "
        "75/25, five folds on the training part, the same for all learners; grids in "
        "`benchmarks/accuracy.py`.\n"
    )
    if not sets:
        return
    scores = by_split.mean(axis=0).round(9)  # equal scores stay equal
    rank, own = standing.ranks(scores), scores[:, :1]
    yield f"| {_head(*learners)}---|"  # an empty corner
    yield _row("mean accuracy", *(f"{v:.2%}" for v in scores.mean(axis=0)))
    for i, split in enumerate(by_split):
        yield _row(f"split {i}", *(f"{v:.2%}" for v in split.mean(axis=0)))
    yield _row("mean rank (1 best)", *(f"{v:.2f}" for v in rank.mean(axis=0)))
    yield _row("best or equal", *_shares((rank == 1).mean(axis=0)))
    counts = zip((own > scores).sum(0), (own == scores).sum(0), (own < scores).sum(0))
    against = [" / ".join(map(str, count)) for count in counts]
    yield _row("gapless better / equal / worse", "", *against[1:])
    yield _row(
        "median CPU s, with tuning", *(f"{v:.1f}" for v in np.median(seconds.mean(axis=0), axis=0))
    )
    yield "\n" + _head("data set", *learners)
    for name, row in zip(sets, scores):
        yield _row(name, *(f"{score:.1%}" for score in row))


def costs(store):
    """What a path and cross-validation cost, against one training."""
    by_name = records.costs(store)
    counts = " or ".join(map(str, sorted({len(runs) for runs in by_name.values()})))
    yield (
        "\n## Path and folds\n\nA path of 30 values from the largest useful weight decay to a "
        "hundredth of it, gap .1%; its last value alone; five folds on the same values "
        f"(networks with a gap of 1%).  Medians of runs from {counts} seeds.\n"
    )
    yield _head(
        "problem", "neurons at the last value", "alone, s", "path, s", "path / alone",
        "objective, path / alone - 1", "folds, s", "folds / path",
    )  # fmt: skip
    for name, runs in by_name.items():
        r = {field: np.median([run[field] for run in runs]) for field in runs[0] if field != "key"}
        yield _row(
            name, f"{r['neurons']:.0f}", f"{r['alone']:.2f}", f"{r['path']:.2f}",
            f"{r['path'] / r['alone']:.1f}",
            f"{r['objective_path'] / r['objective_alone'] - 1:.3%}",
            f"{r['folds']:.2f}", f"{r['folds'] / r['path']:.1f}",
        )  # fmt: skip
