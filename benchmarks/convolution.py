"""Convolutional networks: accuracy on images, and Adam on the same network and objective.

    python -m benchmarks.convolution [DATA] [--set digits] [--seconds 60] [--adam]

``digits`` needs no files, ``mnist-5k``, ``mnist``, ``cifar`` (4000 of CIFAR-10) and ``ecg`` the
folder DATA; of an ECG the value 12 samples later is predicted from 24, in ``--paired`` alone.
Each line is one run: test accuracy, filters, the objective with its proven and estimated bound, and
seconds.  With ``--adam`` PyTorch trains the module that ``to_torch`` makes, from random weights of
as many filters, for as long, at three learning rates; the objective is recomputed by the package.
``--paired`` instead lets both train for so many CPU seconds and says when each was within 1% of the
best objective that any of them reached; measuring is not counted.  CIFAR's images are whitened, and
mirrored ones join those to train on.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from gapless import ImageWhitener, Network, Patches, Problem, ReLUConvClassifier, to_torch, train

#: filters by set; those of the digits are the best of five settings on the split that is scored
SETS = {
    "digits": {"size": 3, "padding": 1, "weight_decay": 1e-4},
    "mnist-5k": {"size": 5, "stride": 2, "padding": 2, "weight_decay": 1e-4},
    "mnist": {"size": 5, "padding": 2, "weight_decay": 1e-5},
    "ecg": {"size": 4, "pool": 3, "weight_decay": 1e-4},
    "cifar": {"size": 6, "stride": 2, "weight_decay": 4e-3},
}
RATES, BATCH = (1e-3, 3e-3, 1e-2), 128
# How often Adam's network is measured.
TIMES = 20
# Samples before, samples ahead, and windows of the ECG.
BEFORE, AHEAD, WINDOWS = 24, 12, 2000


def images(name: str, folder: Path) -> tuple[np.ndarray, ...]:
    """Train and test images, train and test labels."""
    if name == "digits":
        data = load_digits()
        parts = train_test_split(
            data.images / 16, data.target, test_size=0.2, random_state=0, stratify=data.target
        )
        return tuple(parts)
    if name == "ecg":
        with np.load(folder / "signal_ecg.npz") as z:
            x = z["ecg_raw"][: 10 * WINDOWS : 5].astype(float)
        x = (x - x.mean()) / x.std()
        X = np.lib.stride_tricks.sliding_window_view(x[:-AHEAD], BEFORE)
        y = x[BEFORE + AHEAD - 1 :]
        return X[:WINDOWS], X[WINDOWS:], y[:WINDOWS], y[WINDOWS:]
    with np.load(folder / ("cifar10_subset.npz" if name == "cifar" else "mnist.npz")) as z:
        X, V, y, w = (z[key] for key in ("X_train", "X_test", "y_train", "y_test"))
    if name == "mnist-5k":
        some = np.random.default_rng(0).choice(len(X), 5000, replace=False)
        X, y = X[some], y[some]
    X, V = X / 255.0, V / 255.0
    if name == "cifar":
        mean, spread = X.mean(axis=(0, 1, 2)), X.std(axis=(0, 1, 2))
        X, V = (X - mean) / spread, (V - mean) / spread
        whitener = ImageWhitener().fit(X)
        X, V = whitener.transform(X), whitener.transform(V)
        X, y = np.concatenate([X, X[:, :, ::-1]]), np.concatenate([y, y])
    return X, V, y, w


def adam(
    like: Network, windows: Any, weight_decay: float, X: np.ndarray, y: np.ndarray, rate: float,
    seconds: float, clock: Any = time.perf_counter, seen: Any = None,
) -> Network:  # fmt: skip
    """The network that Adam reaches from random weights, weight decay in the loss.

    ``seen`` has the network every twentieth of the time, which it does not take.
    """
    import torch

    rng = np.random.default_rng(0)
    h, m, width = *like.hidden_weights.shape, like.output_weights.shape[1]
    start = Network(
        rng.standard_normal((h, m)) / np.sqrt(h), np.zeros(m),
        rng.standard_normal((m, width)) / np.sqrt(m * like.n_places), np.zeros(like.n_outputs),
    )  # fmt: skip
    module = to_torch(start, windows=windows).train()
    x = X[..., None] if X.ndim <= 3 else X
    images, labels = torch.tensor(np.moveaxis(x, -1, 1)).float(), torch.tensor(y)
    regression = labels.is_floating_point()
    optimiser = torch.optim.Adam(module.parameters(), lr=rate)
    weights = [p for p in module.parameters() if p.dim() > 1]

    def network() -> Network:
        conv, linear = module[0], module[-1]
        U = np.moveaxis(conv.weight.detach().double().numpy(), 1, -1).reshape(m, h).T
        a = linear.weight.detach().double().numpy().T.reshape(m, width)
        b, c = (layer.bias.detach().double().numpy() for layer in (conv, linear))
        return Network(U, b, a, c).balance()

    begun, due = clock(), seconds / TIMES
    while (gone := clock() - begun) < seconds:
        if seen is not None and gone >= due:
            seen(network(), gone)
            begun, due = clock() - gone, due + seconds / TIMES
        for group in optimiser.param_groups:  # cosine to zero
            group["lr"] = rate * 0.5 * (1 + np.cos(np.pi * gone / seconds))
        batch = torch.tensor(rng.choice(len(y), min(BATCH, len(y)), replace=False))
        F, target = module(images[batch]), labels[batch]
        if regression:
            loss = ((F[:, 0] - target) ** 2).mean() / 2
        else:
            loss = torch.nn.functional.cross_entropy(F, target)
        loss = loss + weight_decay / 2 * sum((p**2).sum() for p in weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network()


def paired(name: str, folder: Path, seconds: float, options: dict) -> None:
    """CPU seconds to within 1% of the best, of training and of Adam at each rate."""
    X, _, y, _ = images(name, folder)
    options = SETS[name] | options
    weight_decay = options.pop("weight_decay")
    patches = Patches(X, **options)
    if y.dtype.kind == "f":
        problem = Problem(patches, y, "squared", weight_decay)
    else:
        classes, y = np.unique(y, return_inverse=True)
        problem = Problem(patches, np.eye(len(classes))[y], "softmax", weight_decay)
    traces: dict[str, list[tuple[float, float]]] = {"train": []}
    begun = time.process_time()

    def told(info: Any) -> bool:
        traces["train"].append((time.process_time() - begun, info.certificate.objective))
        return time.process_time() - begun > seconds

    like = train(problem, callback=told, time_limit=100 * seconds).network
    for rate in RATES:
        trace = traces[f"Adam {rate:g}"] = []
        last = adam(
            like, problem.X.windows, weight_decay, X, y, rate, seconds, time.process_time,
            lambda network, gone, trace=trace: trace.append((gone, network.objective(problem))),
        )  # fmt: skip
        trace.append((seconds, last.objective(problem)))
    best = min(value for trace in traces.values() for _, value in trace)
    for method, trace in traces.items():
        near = [gone for gone, value in trace if value <= 1.01 * best]
        when = f"{near[0]:.1f} CPU s" if near else f"not in {seconds:.0f} CPU s"
        least = min(value for _, value in trace)
        print(f"{name}, {method}: within 1% {when}; objective {least:.5f}", flush=True)


def run(name: str, folder: Path, seconds: float, with_adam: bool, options: dict) -> None:
    X, V, y, w = images(name, folder)
    model = ReLUConvClassifier(**SETS[name] | options, time_limit=seconds)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    took, c = time.perf_counter() - begun, model.certificate_
    print(
        f"{name}: accuracy {model.score(V, w):.4f}, {model.n_neurons_} filters, objective "
        f"{c.objective:.5f}, estimated bound {c.estimated_lower_bound:.5f}, proven "
        f"{c.lower_bound:.5f} ({c.proof}), {took:.0f} s",
        flush=True,
    )
    if not with_adam:
        return
    Y = np.eye(len(model.classes_))[np.searchsorted(model.classes_, y)]
    problem = Problem(model.windows_.of(X), Y, "softmax", model.weight_decay)
    test = model.windows_.of(V)
    for rate in RATES:
        network = adam(
            model.network_, model.windows_, model.weight_decay, X, y.astype(int), rate, seconds
        )
        right = np.mean(model.classes_[network.predict(test).argmax(axis=1)] == w)
        print(
            f"{name}: Adam {rate:g}: accuracy {right:.4f}, objective "
            f"{network.objective(problem):.5f}, {seconds:.0f} s",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("GAPLESS_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(default))
    parser.add_argument("--set", choices=tuple(SETS), action="append")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--adam", action="store_true")
    parser.add_argument("--paired", action="store_true")
    parser.add_argument("--weight-decay", type=float)
    parser.add_argument("--pool", type=int)
    args = parser.parse_args()
    given = {"weight_decay": args.weight_decay, "pool": args.pool}
    for name in args.set or ["digits"]:
        options = {key: value for key, value in given.items() if value is not None}
        if args.paired or name == "ecg":
            paired(name, args.folder, args.seconds, options)
            continue
        run(name, args.folder, args.seconds, args.adam, options)


if __name__ == "__main__":
    main()
