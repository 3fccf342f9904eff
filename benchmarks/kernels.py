"""Kernel networks against support vector machines, an MLP and our ReLU network.

    python -m benchmarks.kernels mnist --train 5000
    python -m benchmarks.kernels mnist --train 10000 --test 50000      # on other training images
    python -m benchmarks.kernels mnist --train 60000 --centres 10000   # 3.2 GB
    python -m benchmarks.kernels cifar
    python -m benchmarks.kernels uci --splits 20 --methods ridge network svm mlp
    python -m benchmarks.kernels transfer                     # the output refitted with 10 labels
    python -m benchmarks.kernels paper                        # hidden layers trained by pairs

Data from ``DATA``.  Errors in per cent; seconds are CPU seconds of one thread (OMP_NUM_THREADS=1),
whatever else the machine does.  Nothing is chosen on test data.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from scipy.stats import rankdata
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from gapless import KernelNetworkClassifier, ReLUClassifierCV

from .problems import DATA

#: tables near the paper's by name; more than LARGEST rows to train on are cut to as many
TABLES = (
    "ionosphere", "ringnorm", "twonorm", "statlog-heart", "waveform-noise", "thyroid",
    "breast-cancer", "breast-cancer-wisc-diag", "pima", "titanic", "statlog-image",
)  # fmt: skip
LARGEST = 400
#: errors of the paper's kMLP-1 and SVM on the tables of the same name, its splits not ours
PAPER = {"ionosphere": (5.0, 7.2), "ringnorm": (1.5, 1.5), "statlog-heart": (15.5, 17.9)}
METHODS = {
    "ridge": lambda: KernelNetworkClassifier(0, output="ridge"),
    "network": lambda: KernelNetworkClassifier(1),
    "network-2": lambda: KernelNetworkClassifier(2),
    "network-logistic": lambda: KernelNetworkClassifier(1, output="logistic"),
    "svm": lambda: GridSearchCV(
        SVC(), {"C": [0.1, 1, 10, 100], "gamma": np.geomspace(1 / 1024, 1, 6)}
    ),
    "mlp": lambda: GridSearchCV(
        MLPClassifier(random_state=0, max_iter=300), {"alpha": [1e-3, 1e-1, 1.0]}, cv=3
    ),
    "relu": lambda: ReLUClassifierCV(prove_time=0),
}


def timed(call):
    """What a call returns, and its CPU seconds."""
    started = time.process_time()
    return call(), time.process_time() - started


def mnist(given):
    """MNIST by depth and output layer."""
    with np.load(DATA / "mnist.npz") as z:
        X, y = z["X_train"].reshape(-1, 784) / 255.0, z["y_train"]
        test = z["X_test"].reshape(-1, 784) / 255.0, z["y_test"]
    n = given.train
    if given.test:
        test = X[n:][: given.test], y[n:][: given.test]
    images(X[:n], y[:n], *test, given)


def cifar(given):
    """4000 images of CIFAR-10, pixels."""
    with np.load(DATA / "cifar10_subset.npz") as z:
        X, X_test = (z[name].reshape(len(z[name]), -1) / 255.0 for name in ("X_train", "X_test"))
        images(X, z["y_train"], X_test, z["y_test"], given)


def images(X, y, X_test, y_test, given):
    print(f"{len(X)} to train, {len(X_test)} to test")
    how = {"max_centres": given.centres or len(X)}
    how |= {"gamma": given.gamma} if given.gamma else {}
    how |= {"ridge": given.ridge} if given.ridge else {}
    for n_hidden, output in given.networks:
        model, seconds = timed(
            lambda k=n_hidden, o=output: KernelNetworkClassifier(k, output=o, **how).fit(X, y)
        )
        right, more = timed(lambda m=model: m.score(X_test, y_test))
        layers = [
            f"gamma {h.gamma:g} ridge {h.ridge:.1e} loo {100 * h.loo_error:.2f} "
            f"alignment {h.alignment:.3f}"
            for h in model.hidden_
        ]
        print(
            f"hidden {n_hidden} output {output}: error {100 * (1 - right):.2f}, "
            f"{seconds:.0f} s fit, {more:.0f} s test; {'; '.join(layers)}",
            flush=True,
        )


def uci(given):
    """Errors over random splits, and mean ranks."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| table | n train | " + " | ".join(given.methods) + " | paper kMLP-1, SVM |")
    print("|" + "---|" * (len(given.methods) + 3))
    table = []
    seconds = dict.fromkeys(given.methods, 0.0)
    with np.load(DATA / "uci121.npz") as z:
        for name in TABLES:
            X, y = z[f"X__{name}"].astype(float), z[f"y__{name}"]
            size = min(LARGEST, int(0.8 * len(X)))
            errors = np.empty((given.splits, len(given.methods)))
            for split in range(given.splits):
                A, B, a, b = train_test_split(X, y, train_size=size, stratify=y, random_state=split)
                for k, method in enumerate(given.methods):
                    model = make_pipeline(StandardScaler(), METHODS[method]())
                    _, spent = timed(lambda m=model, A=A, a=a: m.fit(A, a))
                    seconds[method] += spent
                    errors[split, k] = 100 * (1 - model.score(B, b))
            table.append(errors.mean(axis=0))
            cells = [f"{e.mean():.1f} ± {e.std():.1f}" for e in errors.T]
            known = ", ".join(map(str, PAPER.get(name, ())))
            print(f"| {name} | {size} | " + " | ".join(cells) + f" | {known} |", flush=True)
    ranks = rankdata(np.round(table, 2), axis=1).mean(axis=0)
    fits = len(TABLES) * given.splits
    print("| mean rank | | " + " | ".join(f"{r:.2f}" for r in ranks) + " | |")
    print("| seconds a fit | | " + " | ".join(f"{s / fits:.2f}" for s in seconds.values()) + " | |")


def transfer(given):
    """Hidden layers trained on digits 0 to 4, the output layer on few labels of 5 to 9."""
    X, y = load_digits(return_X_y=True)
    A, B, a, b = train_test_split(X / 16.0, y, test_size=0.4, random_state=0)
    tasks = {
        "the same ten classes": (range(10), range(10)),
        "five others": (range(5), range(5, 10)),
    }
    for words, (old, new) in tasks.items():
        model = KernelNetworkClassifier().fit(A[np.isin(a, old)], a[np.isin(a, old)])
        X_new, y_new = B[np.isin(b, new)], b[np.isin(b, new)]
        rows = []
        for seed in range(given.splits):
            rng = np.random.default_rng(seed)
            each = 10 // len(new)
            few = [rng.choice(np.flatnonzero(y_new == k), each, replace=False) for k in new]
            few = np.concatenate(few)
            rest = np.setdiff1d(np.arange(len(y_new)), few)
            again = model.refit_output(X_new[few], y_new[few])
            pixels = SVC(C=10).fit(X_new[few], y_new[few])
            rows.append([m.score(X_new[rest], y_new[rest]) for m in (again, pixels)])
        mean = 100 * np.mean(rows, axis=0)
        print(f"10 labels of {words}: output refitted {mean[0]:.1f}%, SVM on pixels {mean[1]:.1f}%")


def paper(given):
    """Closed form against Adam on pairs, digits."""
    X, y = load_digits(return_X_y=True)
    A, B, a, b = train_test_split(X / 16.0, y, test_size=0.4, random_state=0)
    for hidden in ("closed", "alignment", "srs"):
        model, seconds = timed(lambda h=hidden: KernelNetworkClassifier(hidden=h).fit(A, a))
        error = 100 * (1 - model.score(B, b))
        found = model.hidden_[0].alignment
        print(f"{hidden}: error {error:.2f}, alignment {found:.3f}, {seconds:.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("mnist", "cifar", "uci", "transfer", "paper"))
    parser.add_argument("--train", type=int, default=5000)
    parser.add_argument("--test", type=int)
    parser.add_argument("--centres", type=int)
    parser.add_argument("--gamma", type=float)
    parser.add_argument("--ridge", type=float)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument(
        "--networks", nargs="+", default=["0:ridge", "1:svm", "1:logistic"], help="HIDDEN:OUTPUT"
    )
    given = parser.parse_args()
    given.networks = [(int(k), o) for k, o in (text.split(":") for text in given.networks)]
    {"mnist": mnist, "cifar": cifar, "uci": uci, "transfer": transfer, "paper": paper}[given.what](
        given
    )


if __name__ == "__main__":
    main()
