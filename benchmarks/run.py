"""Time to within 1%, 0.1% and 0.01% of the best objective any method found.

    python -m benchmarks.run --quick            # bundled data, four methods, under five minutes
    python -m benchmarks.run --seconds 20 --methods gapless adam lbfgs mlp scnn cvxpy
    python -m benchmarks.run --folder DATA --problems boston --weight-decays .1 .01

One BLAS thread for all, CPU seconds.  ``--json FILE`` keeps the traces.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from .methods import METHODS  # noqa: E402
from .problems import BUNDLED, load  # noqa: E402

# Best objectives known, from long runs of every method: a run that beats one reports it.
BEST = {
    ("diabetes", 0.1): 0.3018231, ("diabetes", 0.01): 0.1837765, ("diabetes", 0.001): 0.0375403,
    ("breast_cancer", 0.1): 0.1475599, ("breast_cancer", 0.01): 0.0513791,
    ("breast_cancer", 0.001): 0.0097302,
    ("wine", 0.1): 0.1480926, ("wine", 0.01): 0.0378850, ("wine", 0.001): 0.0058191,
    ("boston", 0.1): 0.1860525, ("boston", 0.01): 0.0612593, ("boston", 0.001): 0.0145236,
    ("digits", 0.1): 0.2789789, ("digits", 0.01): 0.0789652, ("digits", 0.001): 0.0155941,
    ("syn1k", 0.1): 0.2618321, ("syn1k", 0.01): 0.0543544, ("syn1k", 0.001): 0.0075077,
    ("syn2k", 0.1): 0.2555365, ("syn2k", 0.01): 0.0517122, ("syn2k", 0.001): 0.0062696,
    ("syn5k", 0.1): 0.2250177, ("syn5k", 0.01): 0.0507649, ("syn5k", 0.001): 0.0063402,
    ("oned200", 0.1): 0.4936031, ("oned200", 0.01): 0.2489603, ("oned200", 0.001): 0.0482242,
    ("oned2k", 0.1): 0.4964932, ("oned2k", 0.01): 0.2767779, ("oned2k", 0.001): 0.0520491,
    ("oned20k", 0.1): 0.4969039, ("oned20k", 0.01): 0.2727234, ("oned20k", 0.001): 0.0509837,
    ("diamonds10k", 0.1): 0.1122820, ("diamonds10k", 0.01): 0.0217055,
    ("diamonds10k", 0.001): 0.0083444,
}  # fmt: skip


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--problems", nargs="+", default=list(BUNDLED))
    parser.add_argument("--weight-decays", nargs="+", type=float, default=[0.1, 0.01])
    parser.add_argument(
        "--methods", nargs="+", default=["gapless", "adam", "lbfgs", "mlp"], choices=METHODS
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="limit a run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where NAME.npz lies, instead of bundled data")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    if args.quick:
        args.problems, args.seconds = ["diabetes", "breast_cancer", "wine"], 6.0
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread, CPU seconds")
    print(f"{'problem':14}{'weight_decay':>13} {'method':9}{'objective':>12}{'above best':>12}"
          f"{'to 1%':>8}{'to .1%':>8}{'to .01%':>8}{'neurons':>9}{'proven gap':>12}")  # fmt: skip
    traces = []
    for name in args.problems:
        X, Y, *_ = load(name, args.folder)
        for beta in args.weight_decays:
            runs = {}
            for method in args.methods:
                try:
                    runs[method] = METHODS[method](X, Y, beta, args.seconds, args.seed)
                except (ImportError, NotImplementedError) as error:
                    print(f"{name:14}{beta:>13g} {method:9} not run: {error}", file=sys.stderr)
            best = min([t.objectives[-1] for t in runs.values()] + [BEST.get((name, beta), 1e300)])
            for method, trace in runs.items():
                report(name, beta, method, trace, best)
                traces.append(
                    {
                        "problem": name,
                        "weight_decay": beta,
                        "method": method,
                        "best": best,
                        **vars(trace),
                    }
                )
    if args.json:
        with open(args.json, "w") as file:
            json.dump(traces, file)
    return 0


def report(name, beta, method, trace, best):
    final = trace.objectives[-1]
    times = [trace.time_to(best * (1 + share)) for share in (1e-2, 1e-3, 1e-4)]
    cells = "".join("       -" if t is None else f"{t:8.2f}" for t in times)
    gap = f"{1 - trace.lower_bound / final:12.2%}" if trace.lower_bound > 0 else f"{'none':>12}"
    print(
        f"{name:14}{beta:>13g} {method:9}{final:>12.7f}{final / best - 1:>12.3%}{cells}"
        f"{trace.n_neurons:>9}{gap}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
