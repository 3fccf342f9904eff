"""Proven gaps and times of the spline solver on real curves.

    python -m benchmarks.curves DATA_FOLDER [--peers]

One line a curve and weight decay (a share of the largest useful one): proven relative gap,
kinks, seconds, and the time of ``np.sort`` on the same x in the same run.  ``--peers`` adds
CVXPY with Clarabel at n = 20,000 and L-BFGS on a network of 400 neurons at n = 2,000, both on
the very same objective.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from gapless import solve_spline
from gapless.curves.spline import flat_spline_weight_decay


def curves(folder: Path):
    """Name, x, y of every curve present."""

    def has(name: str) -> bool:
        return (folder / f"{name}.npz").exists()

    for name in ("mcycle", "ethanol", "nile", "sunspots_monthly", "co2_weekly"):
        if has(f"curve_{name}"):
            data = np.load(folder / f"curve_{name}.npz")
            keep = np.isfinite(data["x"]) & np.isfinite(data["y"])
            yield name, data["x"][keep].astype(float), data["y"][keep].astype(float)
    if has("curve_vic_elec"):
        data = np.load(folder / "curve_vic_elec.npz")
        yield "vic_elec", data["temperature"].astype(float), data["demand"].astype(float)
    if has("signal_ecg"):
        data = np.load(folder / "signal_ecg.npz")
        y = np.asarray(data[data.files[0]], dtype=float).ravel()
        yield "ecg", np.arange(len(y)) / 360, (y - 1024) / 200
    if has("signal_audio_ambi_lunar_land"):
        data = np.load(folder / "signal_audio_ambi_lunar_land.npz")
        y = data["pcm"] / 32768.0
        yield "audio", np.arange(len(y)) / int(data["fs"]), y
    rng = np.random.default_rng(0)
    x = 10 * rng.random(1_000_000)
    y = np.sin(x) + np.maximum(x - 6, 0) + 0.3 * rng.standard_normal(len(x))
    yield "generated", x, (y - y.mean()) / y.std()


def best_time(run, repeats: int):
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - start)
    return best, result


def noisy(n: int):
    rng = np.random.default_rng(1)
    x = np.sort(10 * rng.random(n))
    y = np.sin(x) + np.maximum(x - 6, 0) + 0.3 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def against_cvxpy(n: int = 20_000) -> None:
    """The same optimum as a sparse quadratic program in the spline's values."""
    import cvxpy as cp
    import scipy.sparse as sp

    x, y = noisy(n)
    beta = 1e-3
    ours, solution = best_time(lambda: solve_spline(x, y, weight_decay=beta), 5)
    gap = np.diff(x)
    slope = sp.diags([-1 / gap, 1 / gap], [0, 1], (n - 1, n), format="csr")
    v = cp.Variable(n)
    s = slope @ v
    T, S = cp.norm1(s[1:] - s[:-1]), cp.abs(s[0] + s[-1])
    P = cp.sum_squares(v - y) / (2 * n) + beta * cp.maximum(T, (T + S) / 2)
    problem = cp.Problem(cp.Minimize(P))
    start = time.perf_counter()
    problem.solve(cp.CLARABEL)
    theirs = time.perf_counter() - start
    difference = problem.value / solution.certificate.objective - 1
    print(
        f"cvxpy+clarabel n={n}: {theirs:.2f} s, ours {ours:.4f} s, ratio {theirs / ours:.0f}, "
        f"their objective / ours - 1 = {difference:.1e}"
    )


def against_lbfgs(n: int = 2_000, width: int = 400) -> None:
    """A network of 400 neurons by L-BFGS, stopped at 0.01 percent of the optimum."""
    x, y = noisy(n)
    beta = 1e-3
    ours, solution = best_time(lambda: solve_spline(x, y, weight_decay=beta), 5)
    goal = solution.certificate.objective * (1 + 1e-4)
    rng = np.random.default_rng(0)
    u = rng.standard_normal(width) / np.sqrt(width)
    start_point = np.concatenate(
        [u, -u * rng.choice(x, width), rng.standard_normal(width) / np.sqrt(width), [0.0]]
    )
    reached: list[float] = []
    values: list[float] = []

    def objective(p):
        u, b, a, c = p[:width], p[width:-1][:width], p[2 * width : -1], p[-1]
        Z = np.maximum(np.outer(x, u) + b, 0)
        r = (Z @ a + c - y) / n
        G = np.outer(r, a) * (Z > 0)
        value = 0.5 * n * r @ r + 0.5 * beta * (u @ u + a @ a)
        values.append(value)
        if value <= goal and not reached:
            reached.append(time.perf_counter() - begun)
            raise StopIteration
        return value, np.concatenate([x @ G + beta * u, G.sum(0), Z.T @ r + beta * a, [r.sum()]])

    begun = time.perf_counter()
    with contextlib.suppress(StopIteration):
        minimize(
            objective,
            start_point,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 3000, "maxfun": 4000, "maxcor": 20},
        )
    seconds = time.perf_counter() - begun
    how = (
        "reached 0.01%"
        if reached
        else f"ended {min(values) / solution.certificate.objective - 1:.1e} above"
    )
    print(
        f"L-BFGS p={width} n={n}: {how} after {seconds:.1f} s, ours {ours:.4f} s, "
        f"ratio {seconds / ours:.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers", action="store_true")
    args = parser.parse_args()
    print(f"{'curve':18}{'n':>9}{'share':>8}{'gap':>10}{'kinks':>7}{'seconds':>9}{'/ sort':>8}")
    for name, x, y in curves(args.folder):
        sort = best_time(partial(np.sort, x), 5)[0]
        top = flat_spline_weight_decay(x, y)
        for share in (1.0, 0.1, 1e-2, 1e-3, 1e-4):
            seconds, s = best_time(partial(solve_spline, x, y, weight_decay=share * top), 2)
            print(
                f"{name:18}{len(x):>9}{share:>8.0e}{s.certificate.relative_gap:>10.1e}"
                f"{s.n_kinks:>7}{seconds:>9.4f}{seconds / sort:>8.1f}",
                flush=True,
            )
    if args.peers:
        against_cvxpy()
        against_lbfgs()


if __name__ == "__main__":
    main()
