"""Re-check a proof file with NumPy alone: ``verify(path, X, y) -> (valid, lower_bound, words)``.

On these data no two-layer ReLU network of any width has an objective (:mod:`gapless.core.problem`)
below the bound.  By weak duality it follows from ONE statement on the dual point Lam and design
A, ``||Lam^T (A u + b)_+|| <= gauge`` for all ``||u|| <= 1`` (b = 0 unless it is free), proven
by ``norm``, the spectral norm of A; ``directions`` (rank <= 4, a free bias counting): cones of
(u, b) are bisected until on each the ReLUs, held between two linear functions, stay below the
gauge, in :mod:`verify_directions`; ``boxes`` (one output): boxes and quadratic functions, in
:mod:`verify_boxes`; ``columns``: of neurons of one feature only, by prefix sums, in
:mod:`verify_columns`; ``pairs``: and of two features, by half-turns in cells, in
:mod:`verify_pairs`, both by directions of each group where the bias is not free; or ``conic``: in
every cell of fixed signs a quadratic form, the gauge less ``v.Lam^T (A u + b)_+`` less products
nonnegative for all neurons, is positive semidefinite.
Of images the rows of A are patches (:mod:`verify_patches`).

The numbers in the file are not trusted but put into cones and identities rebuilt from the data.
Rounding: a sum of n products is off by at most n EPS times the sum of their sizes, EPS = 2^-52,
charged at least eightfold; a form ``T^T M T``, T of n rows, is positive semidefinite when Cholesky
succeeds on it less ``32 (n + 8) EPS I`` times trace plus norm of ``|T|^T |M| |T|``.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from importlib import import_module
from typing import Any

import numpy as np

EPS = np.finfo(float).eps
MAX_WORK = 10**10  # ReLUs looked at in a proof by directions
MAX_CELLS, MAX_SIGNS = 512, 2001  # of a conic proof; branch and bound makes a third as many
MAX_BOXES, MAX_RANK = 1 << 25, 64  # of a proof by boxes, in whose many dimensions no search ends
MAX_TEXT, MAX_PAIRS = 1 << 28, 1 << 26  # bytes
SIZES = 1e-60, 1e60  # of the largest numbers and the least weight, whose products are floats
READABLE = {"columns", "pairs"}  # kinds about networks whose neurons look at few features

TEXTS = {"digest", "loss", "bias", "kind", "preparation"}
ARRAYS = {"weights", "Lam", "first", "group", "ratio", "windows"}
ARRAYS |= {"signs", "D", "N", "basis", "tree", "monotone", "pairs"}
NUMBERS = {"lower_bound", "parameter", "smoothing", "weight_decay", "rank", "gauge"}
NUMBERS |= {"reach", "batch", "price"}


class Invalid(Exception):
    """Why the fields prove nothing."""


def verify(path: Any, X: Any, y: Any) -> tuple[bool, float, str]:
    """Check a proof file against samples and targets; never raises for a bad file.

    Parameters
    ----------
    path : path or binary stream
        The proof file (:func:`gapless.write_proof`); nothing in it is trusted.
    X : array of shape (n_samples, n_features)
        Or images and signals, (n_samples, *shape[, channels]), where the proof is about patches.
    y : array of shape (n_samples,) or (n_samples, n_outputs)
        As the loss has them: signs -1 and +1, one-hot rows.

    Returns
    -------
    valid : bool
    lower_bound : float
        What no two-layer ReLU network's objective is below on these data; NaN if not valid.
    words : str
        The statement proven, or why there is none.

    References
    ----------
    Ergen & Pilanci, JMLR 22 (2021), Theorems 8 and 13.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            A, Y = np.asarray(X, float), np.asarray(y, float).reshape(len(y), -1)
            if "windows.npy" in archive.namelist():
                windows = member(archive, "windows", "i", 512)
                A = _beside("verify_patches").with_channels(A, windows)
            same = member(archive, "digest", "U", 512) == data_digest(A, Y)
            _need(same, "the proof is for other data (rows of weight zero are left out of it)")
            proof = _fields(archive, A.shape, Y.shape[1])
        value, claim = proven(proof, A, y), float(proof["lower_bound"])
        _need(value >= claim, f"it proves {value:.9g}, not {claim:.9g}")
    except Exception as error:  # whatever a malformed file breaks, it proves nothing
        ours = isinstance(error, (Invalid, np.linalg.LinAlgError))
        reason = error if ours else f"not a readable proof ({type(error).__name__})"
        return False, float("nan"), f"INVALID: {reason}"
    terms = ", ".join(f"{k} {proof[k]}" for k in ("loss", "parameter", "bias", "weight_decay"))
    low, high = (float(pick(proof["weights"])) for pick in (np.min, np.max))
    weights = "equal sample weights" if low == high else f"sample weights {low:.3g} to {high:.3g}"
    kind, network = str(proof["kind"]), "network"
    if kind in READABLE:
        network = _beside(f"verify_{kind}").networks(proof)
    elif "windows" in proof:
        network += _beside("verify_patches").words(proof["windows"])
    said = f"no {network} has an objective below {claim:.9g} ({terms}, {weights})"
    return True, claim, f"VALID: {said}"


def member(archive: zipfile.ZipFile, name: str, kinds: str, most: int) -> Any:
    """Read one array of a proof file, once its size is known to be harmless.

    Parameters
    ----------
    archive : ZipFile
    name : str
        The field.
    kinds : str
        NumPy's letters of the kinds allowed.
    most : int
        Bytes allowed.

    Returns
    -------
    array

    Raises
    ------
    Invalid
        For an array that is too large or of another kind.
    """
    info = archive.getinfo(f"{name}.npy")
    _need(info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), "foreign compression")
    with archive.open(info) as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        size = math.prod(shape) * dtype.itemsize
        fits = dtype.kind in kinds and size <= most and size == info.file_size - stream.tell()
    _need(fits, f"the field {name!r} has {size} bytes of {dtype}, too many or of another kind")
    with archive.open(info) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        stream.read()  # to the end, where the check sum is compared
    return array


def _fields(archive: zipfile.ZipFile, shape: Any, C: int) -> dict[str, Any]:
    """What the file says of samples of this shape and ``C`` outputs, and no more."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    known = len(set(names)) == len(names) and set(names) <= TEXTS | ARRAYS | NUMBERS
    _need(known, "the file has a field twice, or one of another name")
    windows = member(archive, "windows", "i", 512) if "windows" in names else None
    n, d = shape if windows is None else _patches(shape, windows, C)
    most = dict.fromkeys(TEXTS | NUMBERS, 512) | dict.fromkeys(ARRAYS, 8 * n)
    most |= {"Lam": 8 * n * C, "signs": 8 * MAX_CELLS * min(1 + n, MAX_SIGNS), "tree": MAX_BOXES}
    most |= {"basis": 8 * MAX_RANK * (min(n, d) + 1), "monotone": 8 * d, "windows": 512}
    most |= {"preparation": min((d + 256) << 14, MAX_TEXT), "pairs": min(8 * d * d, MAX_PAIRS)}
    small = [k for k in names if k not in ("D", "N")]
    fields = {k: member(archive, k, "U" if k in TEXTS else "fiu", most[k]) for k in small}
    if "signs" in fields:  # multipliers for no more cells than cover all signs
        k = len(fields["first"])
        cells = 8 * len(_cells(fields["signs"], k))
        fields["D"] = member(archive, "D", "f", 4 * cells)
        fields["N"] = member(archive, "N", "f", 2 * k * (2 + C + min(d, k) + 2 * k) * cells)
    return fields


def _patches(shape: Any, windows: Any, C: int) -> tuple[int, int]:
    """How many patches images have, and numbers each of them."""
    n, d, flaw = _beside("verify_patches").sizes(shape, windows, C)
    _need(not flaw, flaw)
    return n, d


def _need(condition: Any, reason: str) -> None:
    if not bool(condition):
        raise Invalid(reason)


def data_digest(X: Any, Y: Any) -> str:
    """SHA-256 of samples and targets as float64 matrices with their shapes."""
    parts = [repr(M.shape).encode() + np.ascontiguousarray(M, "<f8").tobytes() for M in (X, Y)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def fits(size: float) -> bool:
    """Whether a largest number, or a least weight, is one that a file may hold."""
    return size == 0 or bool(SIZES[0] < size < SIZES[1])


@np.errstate(all="ignore")  # what is not a number fails the comparisons
def proven(fields: dict[str, Any], X: Any, Y: Any) -> float:
    """The lower bound that the fields prove.

    Parameters
    ----------
    fields : dict of arrays
        As they stand in a proof file.
    X : array of shape (n, d), or images (n, *shape, channels)
    Y : array of shape (n,) or (n, C)

    Returns
    -------
    float
        On the objective of every network, rounding taken off.

    Raises
    ------
    Invalid, LinAlgError
        When they prove nothing.
    """
    X, Y = np.asarray(X, float), np.asarray(Y, float).reshape(len(Y), -1)
    _need(
        str(fields["digest"]) == data_digest(X, Y),
        "the proof is for other data (rows of weight zero are left out of it)",
    )
    numbers = {k: a.astype(float) for k, a in fields.items() if k not in TEXTS | {"tree"}}
    _need(all(np.all(np.isfinite(a)) for a in numbers.values()), "the proof has NaN entries")
    _need({k for k in fields if fields[k].ndim} <= ARRAYS, "a field is not one number")
    proof, free = fields | numbers, int(fields["bias"] == "free")
    beta, w, Lam = (proof[key] for key in ("weight_decay", "weights", "Lam"))
    _need(Lam.shape == Y.shape and w.shape == Y[:, 0].shape, "the fields have other shapes")
    _need(beta > 0 and np.all(w > 0) and abs(w.sum() - 1) < 1e-9, "bad weights or weight decay")
    ends = [w.min(), beta, *(np.abs(M).max(initial=0.0) for M in (X, Y, Lam))]
    _need(all(map(fits, ends)), "numbers beyond 1e-60 and 1e60")
    w, one = (w / w.sum())[:, None], str(fields["loss"]) in ("logistic", "hinge", "softmax")
    V, _ = _dual(proof, Lam / w, Y)
    lost = free * sum(abs(math.fsum(column)) for column in (w * V).T)  # a free c wants zero sums
    rows, X, point = table(proof, X, w * V)
    A, merged, rounding = design(rows, X, point, free)
    far = np.linalg.norm(X, axis=1).max() + (fields["bias"] == "penalized")
    # the columns of each place sum to those of V
    rounding += 4 * (point.shape[1] // Y.shape[1]) * (lost + 16 * EPS * one) * far
    kinds = {"norm": _norm, "directions": _directions, "conic": _conic, "boxes": _boxes}
    kinds |= {"columns": _columns, "pairs": _pairs}
    gauge = kinds[str(proof["kind"])](proof, A, merged, free) + rounding
    V, terms = _dual(proof, V * beta / np.maximum(gauge, beta), Y)  # feasible
    size = (one + np.abs(V)) * (one + np.abs(Y)) + V * V + np.abs(terms)
    # zero sums by scaling the heavier sign down; the logarithm of T is below 1000
    size = 16 * EPS * float((w * size).sum()) + 1000 * lost * (
        1 + np.abs(Y).max() + np.abs(V).max()
    )
    return math.fsum((w * terms).ravel()) - size


def table(proof: dict[str, Any], X: Any, Lam: Any) -> tuple[dict[str, Any], Any, Any]:
    """The proof, the samples and the dual point of a table; of images, of their patches."""
    if "windows" not in proof:
        return proof, X, Lam
    patches = _beside("verify_patches")
    _patches(X.shape, proof["windows"], Lam.shape[1])
    X, cells = patches.cut(X, proof["windows"])
    shared = np.repeat(proof["weights"], len(cells)) / len(cells)
    return proof | {"weights": shared}, X, patches.lifted(Lam, cells)


def design(proof: dict[str, Any], X: Any, Lam: Any, free: int) -> tuple[Any, Any, float]:
    """Design A and dual point of the samples ``first``, and what rounding adds to the gauge.

    Sample i is ``ratio[i]`` times ``first[group[i]]``, and so is its ReLU.  Rows of A have norm 1
    at most, and a last column 1 for a free b: ``|b| <= 1``, some best neuron bends at a sample.

    Parameters
    ----------
    proof : dict of arrays
        Its ``first``, ``group``, ``ratio``, ``bias`` and ``weights``.
    X : array of shape (n, d)
    Lam : array of shape (n, C)
    free : int
        1 for a free bias, else 0.

    Returns
    -------
    A : array of shape (k, m + free)
        m the columns of the design, k at most.
    Lam : array of shape (k, C)
        In the units of A, merged.
    rounding : float

    Raises
    ------
    Invalid
        For a ratio above 1.
    """
    first, group = proof["first"].astype(int), proof["group"].astype(int)
    ratio, one = np.abs(proof["ratio"]) ** (1 - free), np.ones((len(X), 1))
    designs = {"none": X, "penalized": np.hstack([X, one]), "free": X - proof["weights"] @ X}
    A = designs[str(proof["bias"])]
    far = np.linalg.norm(A, axis=1).max() or 1.0
    _need(np.all(ratio <= 1), "a sample is larger than the one it is merged with")
    rounding = 64 * (sum(X.shape) + 8) * EPS * far * np.linalg.norm(Lam, axis=1).sum()
    rounding += np.linalg.norm(A - ratio[:, None] * A[first][group]) * np.linalg.norm(Lam)
    Lam = np.stack([np.bincount(group, ratio * lam, len(first)) for lam in far * Lam.T], axis=1)
    A = A[first] / far
    # u in coordinates of the row space
    if A.shape[1] > len(A) and str(proof["kind"]) not in READABLE:
        U, s, _ = np.linalg.svd(A, full_matrices=False)
        A = (U * s) @ U.T
    return np.hstack([A, one[first, :free]]), Lam, float(rounding)


def _dual(proof: Any, V: Any, Y: Any) -> Any:
    """V moved into the domain, intervals with 0 or the simplex; ``-loss*(-V)`` there."""
    loss, top = str(proof["loss"]), proof["parameter"]
    signed, simplex = loss in ("logistic", "hinge"), loss == "softmax"
    T = Y - V if simplex else V / Y if signed else V
    boxes = {"squared": (-np.inf, np.inf), "huber": (-top, top), "pinball": (top - 1, top)}
    low, high = (boxes | dict.fromkeys(("logistic", "hinge", "softmax"), (0.0, 1.0)))[loss]
    _need(low <= 0 <= high, "the loss has no such parameter")
    T = np.clip(T, low, high)
    T = T / T.sum(1, keepdims=True) if simplex else T
    V = Y - T if simplex else T * Y if signed else T
    entropy, other = (-Z * np.log(np.where(Z > 0, Z, 1.0)) for Z in (T, 1 - T))
    smoothing = np.maximum(proof["smoothing"], loss in ("squared", "huber"))
    linear = T * (1 if loss == "hinge" else Y) - smoothing * T * T / 2
    return V, entropy if simplex else entropy + other if loss == "logistic" else linear


def _norm(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """``||A|| max(||lam_+||, ||lam_-||)``, several outputs ``||A|| ||Lam||``; b free: centred."""
    A = A[:, :-1] - A[:, :-1].mean(0) if free else A
    square: float = np.linalg.norm(A, 2) ** 2 + free * len(A) * np.max(np.sum(A * A, axis=1))
    sides = [np.maximum(Lam, 0), np.maximum(-Lam, 0)] if Lam.shape[1] == 1 else [Lam]
    return square**0.5 * float(np.max([np.linalg.norm(side, 2) for side in sides]))


def _directions(proof: Any, A: Any, Lam: Any, free: int, most: float = MAX_WORK) -> float:
    """The gauge claimed, unless some direction tops it; see :mod:`verify_directions`."""
    rank, gauge = int(proof["rank"]), float(proof["gauge"])
    directions = _beside("verify_directions")
    upper, flaw = directions.gauge_by_directions(A, Lam, free, rank, gauge, most)
    _need(not flaw, flaw)
    return float(upper)


def _boxes(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """What follows from a tree of boxes of directions; see :mod:`verify_boxes`."""
    boxes = _beside("verify_boxes")
    _need(Lam.shape[1] == 1, "boxes are for one output")
    fields = (proof[key] for key in ("basis", "gauge", "reach", "tree", "batch"))
    gauge, flaw = boxes.gauge_by_boxes(A[:, : A.shape[1] - free], Lam[:, 0], free, *fields)
    _need(not flaw, flaw)
    return float(gauge)


def _columns(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """What neurons of one feature are worth; see :mod:`verify_columns`."""
    columns, features = _beside("verify_columns"), _features(proof, A)
    _need("windows" not in proof, "patches have no columns")
    _need(columns.fits(features, Lam, proof["monotone"]), "columns of another kind")
    if free:
        return float(columns.gauge_by_columns(features, Lam, proof["monotone"]))
    _need(not np.any(proof["monotone"]), "effects rise or fall under a free bias alone")
    return _groups(proof, A, Lam, np.arange(features.shape[1])[:, None], float(proof["gauge"]))


def _pairs(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """The gauge claimed, unless a neuron of two features tops it; see :mod:`verify_pairs`."""
    pairs, one = _beside("verify_pairs"), _columns(proof, A, Lam, free)
    features, price, own = _features(proof, A), float(proof.get("price", 1)), proof["pairs"]
    _need(pairs.fits(features, own) and not np.any(proof["monotone"]), "no such pairs")
    gauge, own = max(float(proof["gauge"]), one), own.astype(int)
    limit = gauge * price  # what costs more may be worth as much more
    if free:
        flaw = pairs.flaw(features, Lam, own, limit)
        _need(not flaw, flaw)
        return gauge
    A = np.hstack([features, price * A[:, features.shape[1] :]])  # a bias costs what it does
    return max(gauge, _groups(proof, A, Lam, own, limit) / price)


def _features(proof: Any, A: Any) -> Any:
    """The columns of A but for that of a bias."""
    return A[:, : A.shape[1] - (proof["bias"] != "none")]


def _groups(proof: Any, A: Any, Lam: Any, groups: Any, gauge: float) -> float:
    """The gauge claimed, unless a neuron of some group of columns, and of a bias, tops it."""
    bias = range(A.shape[1])[_features(proof, A).shape[1] :]
    rank, most = min(groups.shape[1] + len(bias), len(A)), MAX_WORK / max(len(groups), 1)
    how = {"rank": rank, "gauge": gauge}
    return max((_directions(how, A[:, [*own, *bias]], Lam, 0, most) for own in groups), default=0.0)


def _beside(name: str) -> Any:
    """A module beside this file, also where that was copied out of its package."""
    try:
        return import_module(f"{__package__ or ''}.{name}".removeprefix("."))
    except ImportError:
        raise Invalid(f"for this proof {name}.py has to stand beside verify.py") from None


def _conic(proof: Any, A: Any, Lam: Any, free: int) -> float:
    """The largest ``sum(D)`` of cells that are disjoint and have all signs of (v, samples).

    Products in N: of p and q, with p_i q_i = 0; of either and ``b s - w.ball``, ``b >= ||w||``.
    """
    cells, D, N = _cells(proof["signs"], len(A)), proof["D"], proof["N"]
    sizes = [1, Lam.shape[1], A.shape[1] - free, free]
    s, *balls, E = np.split(N, np.cumsum(sizes), axis=2)
    spare = s[:, :, 0] - sum(np.linalg.norm(ball, axis=2) for ball in balls)
    any_sign = np.eye(2 * len(A), k=len(A), dtype=bool)  # p_i q_i = 0
    inside = np.all((E >= 0) | any_sign) and np.all(spare >= 0) and np.all(D[:, 3] >= 0)
    _need(inside, "a multiplier is outside its cone")
    for cell in zip(cells, D, N, strict=True):
        form, rounding = slack(A, Lam, sizes, *cell)
        factor = np.linalg.cholesky(form - rounding * np.eye(len(form)))
        _need(np.all(np.isfinite(factor)), "a form is not finite")  # of which it is silent
    return float(np.max(D.sum(1) + 8 * EPS * np.abs(D).sum(1)))


def _cells(signs: Any, n: int) -> Any:
    """Signs of (v, n samples), 0 for both; every combination is in exactly one cell."""
    cells = np.sign(signs)
    clash = (cells > 0) @ (cells < 0).T
    apart = np.all(clash | clash.T | np.eye(len(cells), dtype=bool))
    count = sum(2 ** int(k) for k in np.sum(cells == 0, axis=1))
    _need(apart and count == 2 ** (1 + n), "the cells leave some neurons out")
    return cells


def slack(A: Any, Lam: Any, sizes: Any, signs: Any, D: Any, N: Any) -> tuple[Any, float]:
    """What the multipliers D, N leave of ``- v.Lam^T p``, a form in x; and its rounding.

    ``A u = p - q``; ``y = (s, v, u, t, p, q) = T x``; D weighs ``s^2 = ||v||^2 = ||u||^2 >= t^2``,
    N the products of (p, q) and y; x is y without q, fixed p, and v where it is s or -s.

    Parameters
    ----------
    A : array of shape (n, k)
    Lam : array of shape (n, C)
    sizes : sequence of 4 ints
        Of s, v, u and t.
    signs : array of shape (1 + n,)
        Of v and the samples in this cell, 0 for both.
    D : array of shape (4,)
    N : array of shape (2 n, 2 n + sum of sizes)

    Returns
    -------
    form : array, symmetric
        The gauge is proven on the cell when it is positive semidefinite.
    rounding : float
        A bound of the error of its eigenvalues.
    """
    (n, C), v, fixed = Lam.shape, signs[0], signs[1:]
    heads = np.cumsum([1, 0 if v else C, A.shape[1]])
    s, V, u, p = np.split(np.eye(heads[-1] + int(np.sum(fixed == 0))), heads)
    score = A @ u
    P = (fixed > 0)[:, None] * score
    P[fixed == 0] = p
    T = np.vstack([s, v * s if v else V, u, P, P - score])
    M = np.diag(np.repeat(np.append(D, 0.0), [*sizes, 2 * n]))
    M[1 : 1 + C, -2 * n : -n] -= Lam.T
    M[-2 * n :] -= N
    form, added = (Z(T).T @ Z(M + M.T) @ Z(T) / 2 for Z in (np.asarray, np.abs))
    return form, 32 * (len(T) + 8) * EPS * float(np.trace(added) + np.linalg.norm(added))
