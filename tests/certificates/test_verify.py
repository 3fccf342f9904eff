"""The checker accepts what was proven and nothing else."""

import ast
import inspect
import io
import pickle
import sys
import tokenize
from fractions import Fraction

import numpy as np
import pytest

from gapless import Problem, certify, train
from gapless.certificates.verify import Invalid, data_digest, design, proven, verify
from gapless.certificates.verify import _directions as directions
from gapless.certificates.verify import _dual as dual
from gapless.certificates.verify import _norm as norm_bound
from gapless.core.losses import LOSSES, Hinge, Pinball

CHECKER = inspect.getsource(sys.modules["gapless.certificates.verify"])
RNG = np.random.default_rng(0)
X = RNG.standard_normal((14, 4))
y = X[:, 0] * X[:, 1] + 0.1 * RNG.standard_normal(14)
SIGNS = np.where(y > 0, 1.0, -1.0)
ONEHOT = np.eye(2)[(y > 0).astype(int)]
WHITE = np.linalg.qr(RNG.standard_normal((20, 14)))[0].T
SPIKE_FREE = np.linalg.inv(np.linalg.cholesky(6 * np.eye(5) - RNG.uniform(0, 1, (5, 5)).round(1)))
RAYS = np.repeat(SPIKE_FREE, 3, axis=0)[1:] * RNG.uniform(0.1, 3, (14, 1))  # dependent rows
RAYS[5] = 0
WIDE = RNG.standard_normal((14, 40))

LOSSES_AND_MORE = [*(cls() for cls in LOSSES.values()), Hinge(0.3), Pinball(0.3)]

CASES = {
    "norm": (X, y, "squared", "free", "norm"),
    "whitened": (WHITE, y, "squared", "none", "whitened"),
    "2-D free": (X[:, :2], y, "squared", "free", "low-rank"),
    "2-D": (np.round(X[:, :2]), np.stack([y, -y], 1), "squared", "none", "low-rank"),
    "3-D": (X[:, :3], y, "squared", "none", "low-rank"),
    "spike-free": (SPIKE_FREE, y[:5], "squared", "none", "spike-free"),
    "spike-free rays": (RAYS, np.abs(y), "squared", "none", "spike-free"),
    "1-D free": (X[:, :1], y, "squared", "free", "low-rank"),
    "1-D": (X[:, :1], y, "huber", "none", "low-rank"),
    "1-D pinball": (X[:, :1], y, Pinball(0.3), "penalized", "low-rank"),
    "quadratic": (X, y, "squared", "penalized", "quadratic"),
    "quadratic free": (X, y, "huber", "free", "quadratic"),
    "quadratic logistic": (X, SIGNS, "logistic", "none", "quadratic"),
    "conic": (X, y, "squared", "penalized", "doubly nonnegative"),
    "conic wide": (WIDE, y, "squared", "penalized", "doubly nonnegative"),
    "conic free": (X, y, "squared", "free", "doubly nonnegative"),
    "conic hinge": (X, SIGNS, "hinge", "none", "doubly nonnegative"),
    "conic softmax": (X, ONEHOT, "softmax", "free", "doubly nonnegative"),
    "conic vector": (X, np.stack([y, -y], 1), "squared", "none", "doubly nonnegative"),
}


@pytest.fixture(scope="module")
def proofs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proofs")
    made = {}
    for number, (name, (A, Y, loss, bias, method)) in enumerate(CASES.items()):
        problem = Problem(A, Y, loss, 0.05, bias)
        network = train(problem, tol=1e-3, max_iter=8).network
        path = folder / f"{number}.npz"
        certificate = certify(
            network, A, Y, weight_decay=0.05, loss=loss, bias=bias, method=method,
            time_limit=0.7, tol=0.1, proof=path,
        )  # fmt: skip
        made[name] = (path, A, Y, certificate)
    return made


@pytest.mark.parametrize("name", CASES)
def test_valid_proofs_pass(proofs, name):
    path, A, Y, certificate = proofs[name]
    valid, bound, words = verify(path, A, Y)
    assert valid, words
    assert words.startswith("VALID")
    assert bound == pytest.approx(certificate.lower_bound, rel=1e-4)
    assert bound <= certificate.lower_bound


@pytest.mark.parametrize("name", CASES)
def test_other_data_are_refused(proofs, name):
    path, A, Y, _ = proofs[name]
    for other in ((A + 1e-9, Y), (A, Y[::-1]), (A[:-1], Y[:-1])):
        valid, _, words = verify(path, *other)
        assert not valid
        assert "other data" in words


def rewrite(path, target, **changes):
    with np.load(path) as file:
        fields = {k: file[k] for k in file.files}
    for key, change in changes.items():
        fields[key] = change(fields[key]) if callable(change) else change
    np.savez(target, **fields)


@pytest.mark.parametrize("name", CASES)
def test_tampered_proofs_are_refused(proofs, name, tmp_path):
    path, A, Y, _ = proofs[name]
    noise = np.random.default_rng(0)
    target = tmp_path / "t.npz"
    with np.load(path) as file:
        fields, bias, numeric = (
            file.files,
            file["bias"],
            [k for k in file.files if file[k].dtype.kind == "f"],
        )
    attempts = [
        {"lower_bound": lambda v: v * 1.01},
        {"Lam": lambda v: 1.5 * v + 0.01 * np.arange(len(v))[:, None]},
        {"weights": lambda v: 2 * v},
        {"weight_decay": lambda v: v / 3},
        {"weight_decay": lambda v: -v, "lower_bound": -1e9},
        {"Lam": lambda v: v * 0.1},
        {"kind": "trust me"},
        {"loss": "zero-one"},
        {"bias": "all"},
    ]
    attempts += [{k: np.nan} for k in numeric]
    attempts += [{"first": lambda v: v[::-1]}, {"group": lambda v: v[::-1]}]
    if str(bias) != "free":  # no ReLU with a bias is the multiple of another
        attempts.append({"ratio": lambda v: 1.1 * v})
    if "N" in fields:
        attempts += [
            {"N": lambda v: v * 0},
            {"N": lambda v: v + noise.standard_normal(v.shape)},
            {"N": lambda v: v[:, :1]},
            {"D": lambda v: 0.7 * v},
            {"D": lambda v: v - [0, 0, 0, 1]},
        ]
    if "gauge" in fields:  # and the bound that such a gauge would prove
        more = {"gauge": lambda v: 0.999 * v, "lower_bound": lambda v: v * (1 + 1e-5)}
        attempts += [more, {"gauge": 0.0}, {"gauge": -1.0}, {"rank": 1 if "3" in name else 3}]
    for changes in attempts:
        rewrite(path, target, **changes)
        valid, bound, words = verify(target, A, Y)
        assert not valid, changes
        assert np.isnan(bound)
        assert words.startswith("INVALID")


def test_a_missing_cell_is_refused(proofs, tmp_path):
    path, A, Y, _ = proofs["conic"]
    with np.load(path) as file:
        fields = dict(file)
    half, twice = fields["signs"].copy(), fields["signs"].copy()
    half[0, 1] = 1  # the other half of the first cell is gone
    twice[:, 0] = 1
    for signs in (half, twice, fields["signs"][:1], fields["signs"][:, :-1]):
        np.savez(tmp_path / "t.npz", **(fields | {"signs": signs}))
        assert "leave some neurons out" in verify(tmp_path / "t.npz", A, Y)[2]
    np.savez(tmp_path / "t.npz", **(fields | {"N": fields["N"][:1], "D": fields["D"][:1]}))
    assert not verify(tmp_path / "t.npz", A, Y)[0]  # a cell without multipliers


@pytest.mark.parametrize("forgery", ["squares", "balls"])
def test_forged_multipliers_are_refused(proofs, tmp_path, forgery):
    """Sums of squares that no product gives would make any form positive semidefinite."""
    path, A, Y, _ = proofs["conic"]
    with np.load(path) as file:
        fields = dict(file)
    n, k = A.shape
    N, big = fields["N"].copy(), 100 * np.abs(fields["N"]).max()
    design = np.hstack([A, np.ones((n, 1))])
    design /= np.linalg.norm(design, axis=1).max()
    score = N[:, :, 2 : 3 + k]
    if forgery == "squares":
        N[:, range(2 * n), range(3 + k, 3 + k + 2 * n)] -= big  # + p_i^2 + q_i^2
    else:
        score[:] -= big * np.vstack([design, -design])  # + p_i (p_i - q_i) - q_i (p_i - q_i)
        N[:, range(n), range(3 + k + n, 3 + k + 2 * n)] += 2 * big  # and p_i q_i = 0
    np.savez(tmp_path / "t.npz", **(fields | {"N": N, "D": 0.5 * fields["D"]}))
    valid, _, words = verify(tmp_path / "t.npz", A, Y)
    assert not valid
    assert "outside its cone" in words


def test_a_free_bias_allows_neither_sums_nor_multiples(proofs):
    """What would prove more than is true, were the checker to believe it."""
    path, A, Y, _ = proofs["1-D free"]
    with np.load(path) as file:
        fields = dict(file)
    lifted = Y + 3.0
    most = {"weight_decay": np.array(1e6), "kind": np.array("norm")}
    most["digest"] = np.array(data_digest(A, lifted[:, None]))
    most["Lam"] = fields["weights"][:, None] * lifted[:, None]
    assert proven(fields | most, A, lifted) <= np.var(Y) / 2

    # with so little decay networks interpolate; a dual point that sums to zero on either ray
    x = A[:, 0] - A[:, 0].mean()
    first, side = np.array([np.argmin(x), np.argmax(x)]), (x > 0).astype(int)
    rays = {"first": first, "group": side, "ratio": x / x[first][side]}
    columns = np.linalg.qr(np.column_stack([np.ones(14), x * side, x * (1 - side)]))[0]
    rays["Lam"] = (Y - columns @ (columns.T @ Y))[:, None] / 14
    rays |= {"weight_decay": np.array(1e-9), "gauge": np.array(1e-9)}
    with pytest.raises(Invalid, match="tops the gauge"):
        proven(fields | rays, A, Y)


@pytest.mark.parametrize("loss", LOSSES_AND_MORE, ids=lambda loss: loss.name)
def test_dual_values_are_those_of_the_losses(loss):
    rng = np.random.default_rng(0)
    proof = {
        "loss": np.array(loss.name),
        "parameter": getattr(loss, "delta", getattr(loss, "quantile", 0.0)),
        "smoothing": getattr(loss, "smoothing", 0.0),
    }
    moved = 0
    for trial in range(40):
        Y = {"real": rng.standard_normal((6, 3)), "sign": rng.choice([-1.0, 1.0], (6, 3))}
        Y = (Y | {"onehot": np.eye(3)[rng.integers(0, 3, 6)]})[loss.targets]
        V = -loss.gradient(2 * rng.standard_normal((6, 3)), Y)
        if trial % 2:  # one entry leaves the domain, if there is one, or nearly does
            V[0, 0] *= rng.choice([0.9, 1.1, 5.0, -1.0])
        inside = np.isfinite(loss.conjugate(-V, Y))
        kept, found = dual(proof, V, Y)
        np.testing.assert_allclose(kept[inside], V[inside], atol=1e-12)
        moved += not inside.all()
        wanted = -loss.conjugate(-kept * (1 - 1e-12), Y)  # off the edge
        np.testing.assert_allclose(found.sum(axis=1), wanted, atol=1e-9)
    assert moved > 2 or loss.name == "squared"


@pytest.mark.parametrize("bias", ["none", "penalized", "free"])
def test_bounds_of_the_gauge_hold_for_every_neuron(bias):
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 400)
    for _ in range(20):
        samples, Lam = (
            rng.standard_t(2, (7, 1 if bias == "penalized" else 2)),
            rng.normal(size=(7, 1)),
        )
        Lam -= (bias == "free") * Lam.mean()
        proof = {"bias": bias, "ratio": np.ones(7), "weights": np.full(7, 1 / 7)}
        proof |= {"first": np.arange(7), "group": np.arange(7), "rank": np.array(2.0)}
        free = int(bias == "free")
        A, merged, _ = design(proof, samples, Lam, free)
        score = A[:, :2] @ np.stack([np.cos(angle), np.sin(angle)])
        kinks = score - free * score[:, None]  # at every sample
        most = np.abs(np.einsum("n,knd->kd", merged[:, 0], np.maximum(kinks, 0))).max()
        assert most <= norm_bound(proof, A, merged, free)
        assert directions(proof | {"gauge": 1.01 * most}, A, merged, free) < 1.02 * most
        with pytest.raises(Invalid, match="tops the gauge"):
            directions(proof | {"gauge": 0.99 * most}, A, merged, free)


def test_broken_files_are_refused(proofs, tmp_path):
    path, A, Y, _ = proofs["conic"]
    content = path.read_bytes()
    broken = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "text": b"VALID",
        "pickle": pickle.dumps({"lower_bound": 1.0}),
        "flipped": content[:2000] + bytes([content[2000] ^ 255]) + content[2001:],
    }
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        assert verify(tmp_path / name, A, Y)[0] is False
    np.savez(tmp_path / "objects.npz", lower_bound=np.array([{"a": 1}], dtype=object))
    assert verify(tmp_path / "objects.npz", A, Y)[0] is False
    assert verify(tmp_path / "nowhere.npz", A, Y)[0] is False


def test_the_checker_imports_numpy_alone():
    tree = ast.parse(CHECKER)
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"__future__", "hashlib", "importlib", "math", "typing", "zipfile", "numpy"}


def test_the_checker_is_short_enough_to_read():
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(CHECKER).readline):
        if token.string.strip() and token.type != tokenize.COMMENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(CHECKER)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    assert 100 < len(lines) < 250


def forged(name):
    """Data, fields and an upper bound of the true optimum; each once passed for more."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((10, 3))
    target, ten = A[:, 0] * A[:, 1], np.arange(10)
    one, three = np.ones((3, 1)), {"first": [0], "group": np.zeros(3, int)}
    if name == "a form of NaN":
        N = np.zeros((1, 20, 25))
        N[0, 0, 15] = N[0, 10, 5] = 1.7e308
        cell = {"signs": np.zeros((1, 11)), "D": np.zeros((1, 4)), "N": N}
        return A, target, {"kind": "conic", "lower_bound": 0.188} | cell
    if name == "a parameter with many entries":
        fields = {"loss": "hinge", "smoothing": np.zeros((1, 500)), "lower_bound": 4.9}
        return A, np.sign(target), fields | {"Lam": 1e-3 * np.sign(target)[:, None]}
    if name == "columns that do not add up to zero":
        fields = {"bias": "free", "weights": np.full(10, 0.1) * (1 + 9e-10), "lower_bound": 5.3}
        return A, target + 3, fields | {"Lam": np.full((10, 1), -3.3e8), "weight_decay": 1e9}
    if name == "targets far from zero":
        far = 1e15 + target
        rest = (far - far.mean())[:, None] / 10
        fields = {"bias": "free", "Lam": rest, "weight_decay": 1e9}
        return A, far, fields | {"lower_bound": 5 * float(np.sum(rest**2)) * (1 + 1e-9)}
    if name == "hinge beyond its domain":
        Lam = np.array([[0.99e-12], [-0.99e-12], [0]]) / 3
        fields = {"loss": "hinge", "Lam": Lam, "weight_decay": 1e-20, "lower_bound": 1e-13}
        return one, np.ones(3), fields | three
    if name == "softmax beyond its domain":
        Y = np.array([[1.0, 0]] * 3)
        T = np.array([[1 - 0.9e-12, 0.9e-12], [1 + 0.9e-12, -0.9e-12], [1, 0]])
        fields = {"loss": "softmax", "Lam": (Y - T) / 3, "weight_decay": 1e-25}
        return one, Y, fields | three | {"lower_bound": 4e-12}
    if name == "norms that underflow":
        A[9], w = 0, np.full(10, 1e-100)
        w[9], small = 1, np.maximum(A[:, :1], 0)
        fields = {"kind": "directions", "rank": 2, "gauge": 1e-170, "weight_decay": 1e-170}
        return (
            A[:, :2],
            small,
            fields | {"Lam": 1e-164 * small, "weights": w, "lower_bound": 1e-164},
        )
    if name == "a sample merged with a smaller one":
        rng = np.random.default_rng(4)
        big, q = (z / np.linalg.norm(z) for z in rng.standard_normal((2, 50)))
        t = 2.0**-56
        fields = {"first": [0, 1], "group": [0, 1, 0], "ratio": [1, 1, 1 / t], "gauge": 1e-6}
        fields |= {"Lam": one * [[0], [0], [1 / 3]], "kind": "directions", "rank": 2}
        fields |= {"weight_decay": 1e-6, "lower_bound": 0.166}
        return np.stack([q * t, big, q]), np.array([t, max(big @ q, 0), 1.0]), fields
    if name == "numbers that overflow":
        fields = {"Lam": np.full((3, 1), -7e153), "weight_decay": 1e153, "lower_bound": 4.7e24}
        return 1.3e154 * one, np.full(3, -1e13), fields | three
    assert name == "weights of sum above one"
    more = {"weights": np.full(10, 0.1) * (1 + 9.9e-10), "lower_bound": 0.5 * (1 + 9.8e-10)}
    more |= {"Lam": np.full((10, 1), 0.1) * (1 + 9.9e-10), "weight_decay": 1e9, "group": ten}
    return np.ones((10, 1)), np.ones(10), more


@pytest.mark.parametrize(
    "name",
    [
        "a form of NaN", "a parameter with many entries", "columns that do not add up to zero",
        "targets far from zero", "hinge beyond its domain", "softmax beyond its domain",
        "norms that underflow", "a sample merged with a smaller one", "numbers that overflow",
        "weights of sum above one",
    ],
)  # fmt: skip
def test_forgeries_that_once_passed(name, tmp_path):
    A, Y, changed = forged(name)
    n, matrix = len(A), np.asarray(Y, float).reshape(len(A), -1)
    fields = {
        "digest": data_digest(A, matrix), "loss": "squared", "parameter": 0.0, "smoothing": 0.0,
        "weight_decay": 0.05, "bias": "none", "weights": np.full(n, 1 / n), "Lam": matrix / n,
        "first": np.arange(n), "group": np.arange(n), "ratio": np.ones(n), "kind": "norm",
        "preparation": "",
    }  # fmt: skip
    np.savez(tmp_path / "p.npz", **{k: np.asarray(v) for k, v in (fields | changed).items()})
    valid, _, words = verify(tmp_path / "p.npz", A, Y)
    assert not valid, words


def exact_variance(y):
    """Half the variance, in rational numbers."""
    exact = [Fraction(v) for v in np.asarray(y, float).tolist()]
    mean = sum(exact) / len(exact)
    return sum((v - mean) ** 2 for v in exact) / (2 * len(exact))


@pytest.mark.parametrize("offset", [1e7, 1e8, 1e9, 1e11])
def test_bounds_are_below_the_optimum_however_far_the_targets(offset, tmp_path):
    """Weight decay so large that the best network is the mean: its objective is known exactly."""
    for seed in range(12):
        y = offset + np.random.default_rng(seed).standard_normal(30)
        x = np.linspace(-1, 1, 30)[:, None]
        network = train(Problem(x, y, weight_decay=10.0)).network
        path = tmp_path / f"{seed}.npz"
        found = certify(network, x, y, weight_decay=10.0, proof=path)
        assert Fraction(found.lower_bound) <= exact_variance(y)
        valid, bound, words = verify(path, x, y)
        assert valid, words
        assert Fraction(bound) <= exact_variance(y)
