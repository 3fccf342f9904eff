"""Table 1 of "Convex Geometry and Duality of Over-parameterized Neural Networks" on real data.

    python -m benchmarks.table1 [--quick] [--data ../shared/data] [SET ...]

Least squares, backprop (PyTorch), the convex trainer and Convex-RF.  Results are kept a row a
split in benchmarks/table1.json, and benchmarks/TABLE1.md is written from them, so that sets can
be run one at a time.  ``--quick`` runs few samples and one split, and writes nothing.

Regression: 5 random 80/20 splits; columns and target standardised on the training part; the error
is ``||prediction - y|| / ||mean of training y - y||`` on the test part.  Weight decays are chosen
on a fifth of the training part of the first split and kept for the others.  Classification: the
given split, accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from gapless import ConvexOutputLayer, ConvexRandomFeatures, Problem, path, train, weight_decay_max

from .table1_report import write_report

HERE = Path(__file__).parent
REGRESSION = (
    "boston_housing", "stock_torgo", "bank32nh", "elevators_torgo", "california_housing",
)  # fmt: skip
IMAGES = ("cifar10_subset", "mnist")
SPLITS = 5
#: of the weight decay that leaves no neuron
GRID = np.geomspace(0.1, 3e-4, 6)
#: regression: neurons at most, CPU seconds a fit on the grid and the last one
WIDTH, SECONDS, LAST = 100, 1.5, 5.0
#: two-layer network on images: inputs are this many principal components
COMPONENTS = 100
IMAGE_FIT = {
    "mnist": {"weight_decay": 5e-5, "max_neurons": 1000, "seconds": 600.0, "sample": 15000},
    "cifar10_subset": {"weight_decay": 1e-3, "max_neurons": 300, "seconds": 40.0, "sample": 0},
}
FEATURES = {
    "mnist": {"n_filters": 240, "patch_size": 8, "n_pools": 3},
    "cifar10_subset": {"n_filters": 400, "patch_size": 6, "n_pools": 2},
}
#: lasso on the features
LASSO = {"mnist": (3e-4, 1e-4), "cifar10_subset": (4e-3, 1e-3, 3e-4)}
RIDGE = (1.0, 0.1, 0.01, 1e-3, 0.0)
PASSES = 60
STEPS, BATCH, RATE = 1500, 256, 3e-3


class Clock:
    """CPU seconds since it was made; as a callback it ends a fit at its limit."""

    def __init__(self, limit=np.inf):
        self.start, self.limit = time.process_time(), limit

    def seconds(self):
        return time.process_time() - self.start

    def __call__(self, info=None):
        return self.seconds() > self.limit


def least_squares(X, Y, ridge=0.0):
    """A linear predictor with intercept; at ridge 0 a trace of it is left for dependent columns."""
    mean, centre = X.mean(axis=0), Y.mean(axis=0)
    A = X - mean
    G = A.T @ A + (ridge + 1e-9) * len(X) * np.eye(X.shape[1])
    W = np.linalg.solve(G, A.T @ (Y - centre))
    return lambda T: (T - mean) @ W + centre


def backprop(X, Y, width, weight_decay, steps=STEPS, seed=0):
    """The convex trainer's objective by Adam on mini-batches, cosine schedule."""
    import torch

    torch.manual_seed(seed)
    A, T = (torch.tensor(Z, dtype=torch.float32) for Z in (X, Y))
    net = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], width), torch.nn.ReLU(), torch.nn.Linear(width, Y.shape[1])
    )
    penalised = [p for name, p in net.named_parameters() if name != "2.bias"]
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(len(A), (min(BATCH, len(A)),))
        loss = 0.5 * (net(A[rows]) - T[rows]).square().sum(dim=1).mean()
        loss = loss + 0.5 * weight_decay * sum(p.square().sum() for p in penalised)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()

    def predict(Z):
        with torch.no_grad():
            return net(torch.tensor(Z, dtype=torch.float32)).double().numpy()

    return predict


def error(prediction, Y, centre):
    return float(np.linalg.norm(prediction - Y) / np.linalg.norm(centre - Y))


def choose(values, fit, score):
    """The value of least validation score, walked in order; left once it has risen twice."""
    scores = []
    for value in values:
        scores.append(score(fit(value)))
        if len(scores) - 1 - int(np.argmin(scores)) >= 2:
            break
    return int(np.argmin(scores))


def regression(name, X, y, split, chosen):
    """Rows of one split; ``chosen`` are the weight decays by method, None to choose them."""
    X, Xte, Y, Yte = train_test_split(X, y[:, None], test_size=0.2, random_state=split)
    mean, spread = X.mean(axis=0), X.std(axis=0)
    keep = spread > 0
    X, Xte = ((Z[:, keep] - mean[keep]) / spread[keep] for Z in (X, Xte))
    centre, scale = Y.mean(), Y.std()
    Y, Yte = (Y - centre) / scale, (Yte - centre) / scale
    Xf, Xv, Yf, Yv = train_test_split(X, Y, test_size=0.2, random_state=0)

    def row(method, predict, clock, **more):
        return {"set": name, "split": split, "method": method, "n": len(X),
                "score": error(predict(Xte), Yte, 0.0), "cpu": clock.seconds(), **more}  # fmt: skip

    clock = Clock()
    rows = [row("least squares", least_squares(X, Y), clock)]

    clock = Clock()
    options = {"max_neurons": WIDTH, "init": None}
    if chosen is None:
        problem = Problem(Xf, Yf, weight_decay=1.0, bias="penalized")
        grid = weight_decay_max(problem) * GRID
        fits, options["tol"] = [], 3e-2

        def fit(weight_decay):
            options.update(callback=Clock(SECONDS), init=fits[-1].network if fits else None)
            fits.extend(path(problem, [weight_decay], **options))
            return fits[-1]

        best = choose(grid, fit, lambda s: error(s.network.predict(Xv), Yv, 0.0))
        value, options["init"] = float(grid[best]), fits[best].network
    else:
        value = chosen["convex"]
    problem = Problem(X, Y, weight_decay=value, bias="penalized")
    options.update(callback=Clock(LAST), tol=1e-2)
    s = train(problem, **options)
    rows.append(row("convex", s.network.predict, clock, width=s.network.n_neurons,
                    weight_decay=value, objective=s.certificate.objective,
                    gap=s.certificate.estimated_relative_gap))  # fmt: skip

    clock = Clock()
    width = s.network.n_neurons
    if chosen is None:
        values = [value * f for f in (3.0, 1.0, 0.3)]
        tried = [error(backprop(Xf, Yf, width, v)(Xv), Yv, 0.0) for v in values]
        value = values[int(np.argmin(tried))]
    else:
        value = chosen["backprop"]
    predict = backprop(X, Y, width, value)
    rows.append(row("backprop", predict, clock, width=width, weight_decay=value))
    return rows


def accuracy(outputs, labels):
    return float(np.mean(np.argmax(outputs, axis=1) == labels))


def two_layer_inputs(images, test):
    """Principal components of the pixels, unit root-mean-square rows."""
    X, Xte = (Z.reshape(len(Z), -1) / 255.0 for Z in (images, test))
    pca = PCA(min(COMPONENTS, len(X)), random_state=0).fit(X)
    X, Xte = pca.transform(X), pca.transform(Xte)
    size = np.sqrt(np.mean(np.sum(X * X, axis=1)))
    return X / size, Xte / size


def classification(name, images, labels, test, test_labels, quick, methods):
    """Rows of one image set, yielded as they are done."""
    Y = np.eye(labels.max() + 1)[labels]

    def row(method, score, clock, **more):
        return {"set": name, "split": 0, "method": method, "n": len(images), "score": score,
                "cpu": clock.seconds(), **more}  # fmt: skip

    if "least squares" in methods:
        clock = Clock()
        X, Xte = (Z.reshape(len(Z), -1) / 255.0 for Z in (images, test))
        fit, held = train_test_split(np.arange(len(X)), test_size=1 / 6, random_state=0)
        scores = [accuracy(least_squares(X[fit], Y[fit], r)(X[held]), labels[held]) for r in RIDGE]
        ridge = RIDGE[int(np.argmax(scores))]
        outputs = least_squares(X, Y, ridge)(Xte)
        yield row("least squares", accuracy(outputs, test_labels), clock, weight_decay=ridge)
        del X, Xte

    if "Convex-RF" in methods:
        clock = Clock()
        features = ConvexRandomFeatures(**FEATURES[name])
        if quick:
            features.set_params(n_filters=50)
        Z = features.fit_transform(images)
        fit, held = train_test_split(
            np.arange(len(Z)), test_size=1 / 6, random_state=0, stratify=labels
        )
        fit = fit[:20000]  # enough to rank
        values = LASSO[name]
        best = choose(
            values,
            lambda v: ConvexOutputLayer(v, max_iter=PASSES).fit(Z[fit], labels[fit]),
            lambda layer: -layer.score(Z[held], labels[held]),
        )
        layer = ConvexOutputLayer(values[best], max_iter=PASSES).fit(Z, labels)
        used = int(np.sum(np.any(layer.coef_ != 0, axis=1)))
        gap = float(np.max((layer.objective_ - layer.lower_bound_) / layer.objective_))
        del Z
        yield row("Convex-RF", float(layer.score(features.transform(test), test_labels)), clock,
                  width=features.filters_.shape[1], features=used, gap=gap,
                  weight_decay=float(values[best]))  # fmt: skip

    if "convex" in methods or "backprop" in methods:
        X, Xte = two_layer_inputs(images, test)
        options = IMAGE_FIT[name]
        width = 100 if quick else options["max_neurons"]
    if "convex" in methods:
        clock = Clock(30.0 if quick else options["seconds"])
        problem = Problem(X, Y, weight_decay=options["weight_decay"], bias="none")
        init = None
        if not quick and options["sample"]:  # a tenth of the time on some of the rows
            rows = np.random.default_rng(0).permutation(len(X))[: options["sample"]]
            part = Problem(X[rows], Y[rows], weight_decay=problem.weight_decay, bias="none")
            limit = Clock(0.1 * clock.limit)
            init = train(part, tol=1e-2, max_neurons=width, callback=limit).network
        s = train(problem, tol=1e-2, max_neurons=width, init=init, callback=clock)
        yield row("convex", accuracy(s.network.predict(Xte), test_labels), clock,
                  width=s.network.n_neurons, weight_decay=options["weight_decay"],
                  objective=s.certificate.objective,
                  gap=s.certificate.estimated_relative_gap)  # fmt: skip
    if "backprop" in methods:
        clock = Clock()
        value = options["weight_decay"]
        steps = STEPS // 4 if quick else STEPS
        predict = backprop(X, Y, width, value, steps)
        yield row("backprop", accuracy(predict(Xte), test_labels), clock,
                  width=width, weight_decay=value)  # fmt: skip


METHODS = ("least squares", "backprop", "convex", "Convex-RF")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=[*REGRESSION, *IMAGES])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("GAPLESS_DATA", HERE.parents[1] / "shared/data")
    )
    args = parser.parse_args()
    kept = HERE / "table1.json"
    rows = json.loads(kept.read_text()) if kept.exists() and not args.quick else []

    def keep(row):
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        if args.quick:
            return
        same = ("set", "split", "method")
        rows[:] = [r for r in rows if any(r[k] != row[k] for k in same)] + [row]
        kept.write_text(json.dumps(rows, indent=0) + "\n")
        (HERE / "TABLE1.md").write_text(write_report(rows))

    def load(name):
        with np.load(Path(args.data) / f"{name}.npz") as z:
            return {k: z[k] for k in z if k in ("X", "y", "X_train", "y_train", "X_test", "y_test")}

    for split in range(1 if args.quick else SPLITS):  # splits outside: all sets grow together
        for name in (s for s in args.sets if s in REGRESSION):
            data, some = load(name), slice(0, 1000) if args.quick else slice(None)
            first = {r["method"]: r.get("weight_decay") for r in rows
                     if r["set"] == name and r["split"] == 0}  # fmt: skip
            X, y = data["X"][some].astype(float), data["y"][some].astype(float)
            for row in regression(name, X, y, split, first if split else None):
                keep(row)
    for name in (s for s in args.sets if s in IMAGES):
        data, some = load(name), slice(0, 2000) if args.quick else slice(None)
        images, labels = data["X_train"][some], data["y_train"][some].astype(int)
        test, truth = data["X_test"], data["y_test"].astype(int)
        for row in classification(name, images, labels, test, truth, args.quick, args.methods):
            keep(row)


if __name__ == "__main__":
    main()
