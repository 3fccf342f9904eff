"""Bad input through functions and estimators: ``python -m benchmarks.fuzz_calls --cases 5000``.

Every public function and estimator is called on tiny data with one or two arguments replaced by
something it cannot use, or hardly.  Allowed are a result, or ValueError and TypeError with one
sentence; anything else, a NumPy warning included, and a call of over 60 seconds, is a violation.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

import gapless as gl

SLOW = 60.0
RNG = np.random.default_rng(0)
X, y, L = RNG.standard_normal((12, 2)), RNG.standard_normal(12), np.tile([0, 1, 2], 4)
W, NET = gl.whiten(RNG.standard_normal((4, 6))), None
BAD: list[Any] = [
    None, True, -1, 0, 0.0, 1e-320, 1e308, -1e308, np.nan, np.inf, -np.inf, 10**400, 10**5000,
    1 + 2j, "", "nope", "free", b"bytes", [], {}, object(), lambda: 0, np.array([]),
    np.zeros((0, 2)),
    np.zeros((12, 0)), np.zeros(12), np.zeros((12, 2)), np.ones((12, 2)), np.full((12, 2), 3.5),
    np.full(12, np.nan), np.full((12, 2), np.inf), np.zeros((2, 2, 2)), np.arange(12), np.eye(12),
    np.eye(3), 1e300 * X, 1e-300 * X, 1e-160 * y, 1e160 * y, X * [1e-8, 1e8], X + 1e9, y + 1e12,
    [[1, 2], [3]], [["a", "b"]] * 12, ["x"] * 12, list("abcdefghijkl"), [10**400] * 12, "10",
    np.array([1, "a"], dtype=object), np.array([10**400] * 12, dtype=object), np.array([None] * 12),
    X.astype(complex), X.astype(np.float32), np.array(X, dtype="O"), sp.csr_matrix(X),
    sp.coo_matrix((12, 2)), X[:1], X[:, :1], y[:3], np.repeat(X[:1], 12, axis=0), np.int64(3),
    np.float32(0.1), range(12),
]  # fmt: skip


def calls() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """What is called, and arguments that work."""
    problem = {"X": X, "Y": y, "loss": "squared", "weight_decay": 0.1, "bias": "free",
               "sample_weight": np.ones(12)}  # fmt: skip
    network = gl.train(gl.Problem(**problem)).network
    quick = {"tol": 1e-2, "time_limit": 2.0}

    def trained(tol: Any, max_neurons: Any, max_iter: Any, random_state: Any, **given: Any) -> Any:
        return gl.train(
            gl.Problem(**given), tol=tol, max_neurons=max_neurons, max_iter=max_iter,
            random_state=random_state, time_limit=5.0,
        )  # fmt: skip

    def fitted(kind: Any, targets: np.ndarray) -> Callable[..., Any]:
        def fit(X: Any, y: Any, new: Any, **parameters: Any) -> Any:
            return kind(**parameters).fit(X, y).predict(new)

        return fit

    out: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "train": (trained, {**problem, "tol": 1e-2, "max_neurons": 5, "max_iter": 5,
                            "random_state": 0}),
        "certify": (gl.certify, {"network": network, "X": X, "y": y, "weight_decay": 0.1,
                                 "loss": "squared", "bias": "free", "method": "auto",
                                 "time_limit": 0.1, "tol": 1e-4, "n_starts": 10}),
        "path": (lambda n_values, ratio, weight_decays, **p: gl.path(
            gl.Problem(**p), weight_decays, n_values=n_values, ratio=ratio, time_limit=2.0),
            {**problem, "n_values": 3, "ratio": 0.1, "weight_decays": None}),
        "interpolate": (gl.interpolate, {"X": X[:4], "Y": y[:4], "bias": "free", "norm": "l2",
                                         "tol": 1e-3, "max_iter": 20, "time_limit": 2.0}),
        "solve_spline": (gl.solve_spline, {"x": X[:, 0], "y": y, "weight_decay": 0.1,
                                           "loss": "squared", "bias": "free",
                                           "sample_weight": None, "tol": 1e-3}),
        "deep_lower_bound": (lambda depth, method, outputs, spectral_norm, **p:
                             gl.deep_lower_bound(gl.Problem(**p), depth, outputs, method,
                                                 spectral_norm=spectral_norm),
                             {**problem, "depth": 3, "method": "norm", "outputs": None,
                              "spectral_norm": None}),
        "deep_prox": (gl.deep_prox, {"s": 1.0, "beta": 0.1, "depth": 3}),
        "solve_spike_free": (gl.solve_spike_free, {"X": W, "y": y[:4], "weight_decay": 0.1}),
        "whiten": (gl.whiten, {"X": W, "scale": 2.0}),
        "verify": (gl.verify, {"path": "/dev/null", "X": X, "y": y}),
        "spike_free_test": (gl.spike_free_test, {"X": W}),
        "extreme_points": (gl.extreme_points, {"X": X[:5]}),
    }  # fmt: skip
    for solve in (gl.solve_rank_one_relu, gl.solve_whitened_relu, gl.solve_nearly_whitened_relu,
                  gl.solve_deep_linear, gl.solve_whitened_interval):  # fmt: skip
        out[solve.__name__] = solve, {"X": W, "Y": y[:4], "weight_decay": 0.1, "depth": 2}
    out["solve_rank_one_relu"][1]["X"] = np.outer(y[:4], [1.0, 2.0])
    common = {"weight_decay": 0.1, "bias": "free", "loss": "squared", "tol": 1e-2,
              "max_neurons": None, "time_limit": 2.0, "random_state": 0}  # fmt: skip
    data = {"X": X, "y": y, "new": X}
    out["ReLURegressor"] = fitted(gl.ReLURegressor, y), {**data, **common}
    out["ReLUClassifier"] = fitted(gl.ReLUClassifier, L), {
        **data, "y": L, **common, "loss": "logistic",
    }  # fmt: skip
    out["ReLURegressorCV"] = fitted(gl.ReLURegressorCV, y), {**data, "cv": 2, **quick}
    out["SplineRegressor"] = fitted(gl.SplineRegressor, y), {
        "X": X[:, :1], "y": y, "new": X[:, :1], "weight_decay": 0.1, "quantile": None,
    }  # fmt: skip
    out["WhitenedReLURegressor"] = fitted(gl.WhitenedReLURegressor, y), {
        "X": W, "y": y[:4], "new": W, "weight_decay": 0.1, "depth": 2,
    }  # fmt: skip
    layers = {"n_hidden": 1, "gamma": 1.0, "ridge": 1e-3, "constant": 1.0, "max_centres": 8,
              "choose_on": 10, "random_state": 0}  # fmt: skip
    out["KernelNetworkRegressor"] = fitted(gl.KernelNetworkRegressor, y), {**data, **layers}
    out["KernelNetworkClassifier"] = fitted(gl.KernelNetworkClassifier, L), {
        **data, "y": L, **layers, "output": "svm", "hidden": "closed", "weight_decay": 0.1,
    }  # fmt: skip
    out["alignment"] = gl.alignment, {"features": X, "labels": L, "scale": 1.0}
    out["pairwise_loss"] = gl.pairwise_loss, {"features": X, "labels": L, "scale": 1.0, "power": 2}
    return out


def attempt(call: Callable[..., Any], arguments: dict[str, Any]) -> str | None:
    """What is wrong with how the call answers; None if nothing is."""
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            call(**arguments)
    except (ValueError, TypeError, ImportError, NotFittedError) as error:
        if not str(error).strip():
            return f"{type(error).__name__} without a word"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    return f"{seconds:.0f} seconds" if seconds > SLOW else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, everything = np.random.default_rng(args.seed), calls()
    names, broken = list(everything), Counter[str]()
    started = time.monotonic()
    for _ in range(args.cases):
        name = names[rng.integers(len(names))]
        call, arguments = everything[name]
        chosen = rng.choice(
            list(arguments), size=min(rng.integers(1, 3), len(arguments)), replace=False
        )
        bad = {key: BAD[rng.integers(len(BAD))] for key in chosen}
        if wrong := attempt(call, arguments | bad):
            broken[name] += 1
            words = {
                k: (type(v).__name__, str(v)[:60] if not isinstance(v, int) else "")
                for k, v in bad.items()
            }
            print(f"{name}: {wrong[:200]} for {words}", flush=True)
    print(f"{args.cases} cases, {sum(broken.values())} violations {dict(broken)}, "
          f"{time.monotonic() - started:.0f} s")  # fmt: skip
    return int(sum(broken.values()) > 0)


if __name__ == "__main__":
    sys.exit(main())
