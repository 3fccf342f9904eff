"""Bad files and bad words through every command: none may end in a traceback, hang, or half a file.

    python -m benchmarks.fuzz_files --minutes 5

Honest files (tables, models, proofs, weights) are made once, then broken in one place and given to
a command.  A violation is a traceback, a warning of a library, an answer to bad input that is not
one line, more than a minute of work, half a gigabyte of memory, a file left half
written.  Prints how many cases were tried and each violation; exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

#: what was broken, and the command that is given it
Case = tuple[str, list[str]]

# Seconds a command may take.
PATIENCE = 60.0
# KiB that a command may take; loading PyTorch takes half.
MEMORY = 512 << 10
# Commands that are interrupted.
SIGNALS = 40
#: the files that are broken
BAD = ("bad.safetensors", "bad.npz", "bad.pt", "bad.onnx", "bad.json", "bad.csv", "bad.tsv",
       "bad.txt", "bad.npy", "bad.parquet")  # fmt: skip
TRAIN = ["--weight-decay", "0.1", "--time-limit", "0.3", "--tol", "0.1"]
ODD = [
    None, True, -1, 0, 1, 0.5, -0.0, 1e308, 10**400, -(10**25), float("nan"), float("inf"), "", "x",
    "\ud800", "\x00", "[/red]", "é" * 70, [], {}, [None], [[]], [1, "a"], [["a", None]], {"a": 1},
    [10**400], ["a"] * 5000, [0.0] * 5000,
]  # fmt: skip
WORDS = [
    "", "nan", "inf", "-1", "0", "1e400", "1" * 5000, str(10**400), "x", "é", "\udcff", "--", "a,b",
    "/", ".", "/dev/null", "/dev/full", "/dev/zero/x", "no/such/file.csv", "n" * 300, "a\nb",
]  # fmt: skip
CELLS = [
    "", " ", "x", '"', '""', '"a', 'a"b', '"a"b', '"a,b"', '"a\nb"', "\r", "\n", ",", ";", "\t",
    "\x00", "é", "1e400", "9" * 400, "nan", "NA", "?", "-", "inf", "007", "1_0", " 1",
    "x" * 200_000,
]  # fmt: skip


def serve(pipe: Any) -> None:
    """Run the commands that come through ``pipe`` in this process: its start takes longest."""
    from gapless.cli.main import main

    while True:
        command = pipe.recv()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        out, err, code = io.StringIO(), io.StringIO(), None
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(command)
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pipe.send((code, out.getvalue(), err.getvalue(), after - before))


class Runner:
    """A process that runs commands, another one after each that did not answer in time."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def __call__(self, command: list[str]) -> tuple[Any, str, str, int] | None:
        if not self.process.is_alive():
            self.start()
        self.pipe.send(command)
        try:
            if self.pipe.poll(PATIENCE):
                return self.pipe.recv()
        except EOFError:
            pass
        self.stop()
        return None

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def violation(answer: tuple[Any, str, str, int] | None) -> str:
    """What is wrong with an answer to a command, or nothing."""
    if answer is None:
        return "no answer in a minute, or the process died"
    code, _, err, taken = answer
    if taken > MEMORY:
        return f"{taken >> 10} MiB of memory"
    if "Traceback" in err:
        return "traceback: " + err.strip().splitlines()[-1][:200]
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if found := re.search(r"\w*Warning\b.*", err):
        return f"a library's warning: {found[0][:200]}"
    if code == 2 and not err.startswith("usage") and len(err.splitlines()) != 1:
        return f"not one line: {err[:200]!r}"
    return ""


# Honest files


def honest(folder: Path, run: Runner) -> None:
    """Tables, models, proofs and weights that are as they should be."""
    rng = np.random.default_rng(0)
    size, colour = rng.uniform(10, 90, 40), rng.choice(["red", "blue"], 40)
    price = np.abs(size - 40) + 5 * (colour == "red")
    grade = np.where(price > 25, "dear", np.where(price > 12, "fair", "cheap"))
    rows = [f"{s},{c},{p},{g}" for s, c, p, g in zip(size, colour, price, grade)]
    (folder / "shop.csv").write_text("\n".join(["size,colour,price,grade", *rows]))
    numbers = np.column_stack([size, price, price > 20]).astype(float)
    np.save(folder / "matrix.npy", numbers)
    lines = [",".join(map(str, row)) for row in numbers]
    (folder / "numbers.csv").write_text("\n".join(["a,b,y", *lines]))
    shop, drop = str(folder / "shop.csv"), {"price": "grade", "grade": "price"}
    for target, name in (("price", "r"), ("grade", "c")):
        model, proof = str(folder / f"{name}.safetensors"), str(folder / f"{name}.npz")
        fit = ["fit", shop, "--target", target, "--drop", drop[target], *TRAIN, "--out", model]
        for command in (fit, ["certify", model, shop, "--proof", proof, "--time-limit", "1"]):
            answer = run(command)
            if answer is None or answer[0] not in (0, 1):
                raise RuntimeError(f"the honest command {command} failed: {answer}")
    with contextlib.suppress(ImportError):
        import pyarrow
        import pyarrow.parquet

        columns = {"size": size, "colour": colour, "price": price, "grade": grade}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / "shop.parquet")
    with contextlib.suppress(ImportError):
        import torch

        from gapless import to_onnx
        from gapless.bridges.torch import from_torch

        model = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
        torch.save(model.state_dict(), folder / "w.pt")
        with contextlib.suppress(ImportError):
            to_onnx(from_torch(model), folder / "w.onnx")


# Bad ones of them


def somewhere(tree: Any, rng: np.random.Generator) -> Any:
    """The JSON tree with one part missing or odd."""
    tree = json.loads(json.dumps(tree))
    part, path = tree, []
    while isinstance(part, (dict, list)) and part and (not path or rng.random() < 0.6):
        keys = list(part) if isinstance(part, dict) else range(len(part))
        path.append((part, keys[rng.integers(len(keys))]))
        part = part[path[-1][1]]
    if not path:
        return ODD[rng.integers(len(ODD))]
    owner, key = path[-1]
    if rng.random() < 0.25:
        del owner[key]
    elif isinstance(owner, dict) and rng.random() < 0.1:
        owner["colour"] = 1
    else:
        owner[key] = ODD[rng.integers(len(ODD))]
    return tree


def text_of(tree: Any, rng: np.random.Generator) -> str:
    """As JSON; now and then nested beyond any reader."""
    chance = rng.random()
    if chance < 0.05:
        return "[" * 200_000
    return json.dumps(tree)[: -3 if chance < 0.1 else None]


def broken_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Bits flipped, cut, doubled or filled."""
    kind, at = rng.integers(5), int(rng.integers(1, max(len(content), 2)))
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + rng.bytes(int(rng.integers(1, 9))) + content[at:]
    data = bytearray(content)
    for _ in range(1 if kind == 2 else 8):
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(data) + (content if kind == 4 else b"")


def models(folder: Path, rng: np.random.Generator) -> Iterator[Case]:
    name = ("r", "c")[rng.integers(2)]
    content = (folder / f"{name}.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    declared, weights = json.loads(content[8 : 8 + size]), content[8 + size :]
    kind = rng.random()
    if kind < 0.6:
        header = json.loads(declared["__metadata__"]["header"])
        declared["__metadata__"]["header"] = text_of(somewhere(header, rng), rng)
    elif kind < 0.75:
        declared = somewhere(declared, rng)
    elif kind < 0.85:
        values = np.frombuffer(weights).copy()
        values[rng.integers(len(values))] = rng.choice([np.nan, np.inf, 1e308, -1e200])
        weights = values.tobytes()
    text = json.dumps(declared).encode()
    content = len(text).to_bytes(8, "little") + text + weights
    bad, shop = folder / "bad.safetensors", str(folder / "shop.csv")
    bad.write_bytes(broken_bytes(content, rng) if kind >= 0.85 else content)
    yield "model", ["info", str(bad), *(["--json"] if rng.random() < 0.3 else [])]
    yield "model", ["predict", str(bad), shop, "--out", str(folder / "new.csv")]
    more = ["--time-limit", "0.1", "--proof", str(folder / "new.npz")]
    yield "model", ["certify", str(bad), shop, *more]


def proofs(folder: Path, rng: np.random.Generator) -> Iterator[Case]:
    source, bad = folder / f"{('r', 'c')[rng.integers(2)]}.npz", folder / "bad.npz"
    with np.load(source) as file:
        fields = dict(file)
    names, kind = list(fields), rng.random()
    name = names[rng.integers(len(names))]
    if kind < 0.3:
        header = json.loads(str(fields["preparation"]))
        fields["preparation"] = np.array(text_of(somewhere(header, rng), rng))
    elif kind < 0.4:
        del fields[name]
    elif kind < 0.5:
        fields[name] = fields[names[rng.integers(len(names))]]
    elif kind < 0.6:
        fields["colour" if rng.random() < 0.3 else name] = np.zeros(2 * 10**7)
    elif kind < 0.7:
        odd = [np.nan, np.inf, "x" * 5000, -1, 1e300, [], [[1]], True, 1j, "\ud800"]
        fields[name] = np.array(odd[rng.integers(len(odd))])
    np.savez_compressed(bad, **fields)
    if kind >= 0.8:
        bad.write_bytes(broken_bytes(bad.read_bytes(), rng))
    elif kind >= 0.7:  # a member that declares what it does not hold, or comes twice
        shape = ["(99999999999,)", "(-1,)", "(2,) * 9", "(" * 500, "(10**9,)"][rng.integers(5)]
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        mode = ("a", "w")[rng.integers(2)]
        with warnings.catch_warnings(), zipfile.ZipFile(bad, mode) as archive:
            warnings.simplefilter("ignore")
            archive.writestr(f"{name}.npy", magic + header + b"\0" * 64)
    yield "proof", ["verify", str(bad), str(folder / "shop.csv")]


def tables(folder: Path, rng: np.random.Generator) -> Iterator[Case]:
    content = (folder / "shop.csv").read_text()
    kind = rng.random()
    if kind < 0.5:
        lines = [line.split(",") for line in content.split("\n")]
        for _ in range(int(rng.integers(1, 4))):
            line = lines[0 if rng.random() < 0.3 else int(rng.integers(len(lines)))]
            line[int(rng.integers(len(line)))] = CELLS[rng.integers(len(CELLS))]
        mark = ",,,;\t|"[rng.integers(6)]
        data = "\n".join(mark.join(line) for line in lines).encode()
    elif kind < 0.7:
        encodings = ["utf-16", "utf-32", "latin-1", "utf-8-sig", "cp500"]
        data = content.replace("red", "rosé").encode(encodings[rng.integers(5)])
    else:
        data = broken_bytes(content.encode(), rng)
    ends = ["csv", "csv", "tsv", "txt", "npy", "parquet"]
    bad = folder / f"bad.{ends[rng.integers(6)]}"
    if bad.suffix in (".npy", ".parquet") and rng.random() < 0.8:
        source = folder / ("matrix.npy" if bad.suffix == ".npy" else "shop.parquet")
        data = broken_bytes(source.read_bytes(), rng) if source.exists() else data
    bad.write_bytes(data)
    yield "table", ["predict", str(folder / "r.safetensors"), str(bad)]
    target = ("price", "grade", "x1")[rng.integers(3)]
    out = ["--out", str(folder / "new.safetensors")]
    yield "table", ["fit", str(bad), "--target", target, "--drop", "size", *TRAIN, *out]
    spline = ["spline", str(bad), "--x", "size", "--y", "price", "--weight-decay", "1"]
    yield "table", [*spline, "--out", str(folder / "new.csv")]
    yield "table", ["verify", str(folder / "r.npz"), str(bad)]


def weights(folder: Path, rng: np.random.Generator) -> Iterator[Case]:
    import torch

    bad = folder / "bad.pt"
    state = torch.load(folder / "w.pt", weights_only=True)
    names, kind = list(state), rng.random()
    name = names[rng.integers(len(names))]
    if kind < 0.5:
        bad.write_bytes(broken_bytes((folder / "w.pt").read_bytes(), rng))
    else:
        odd: list[Callable[[], Any]] = [
            lambda: torch.eye(2).to_sparse(),
            lambda: torch.eye(2).to_sparse_csr(),
            lambda: torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8),
            lambda: torch.empty(5, 2, device="meta"),
            lambda: torch.zeros(1).expand(10**6, 10**6),
            lambda: torch.zeros(0, 2),
            lambda: torch.zeros(5, 2, dtype=torch.complex64),
            lambda: torch.zeros(5, 2, dtype=torch.bfloat16),
            lambda: torch.full((5, 2), float("nan")),
            lambda: torch.tensor(1.0),
            lambda: torch.zeros(2, 2, 2),
            lambda: torch.zeros(3, 7, dtype=torch.bool),
            lambda: {"a": 1},
            lambda: 10**400,
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of tensors that PyTorch will leave behind
            state[name] = odd[rng.integers(len(odd))]()
        if rng.random() < 0.2:
            state = {"state_dict": state, name: state[name]}
        if rng.random() < 0.1:
            del state[next(iter(state))]
        torch.save(state, bad)
    if kind < 0.2 and (folder / "w.onnx").exists():
        bad = folder / "bad.onnx"
        bad.write_bytes(broken_bytes((folder / "w.onnx").read_bytes(), rng))
    command = ["audit", str(bad), str(folder / "numbers.csv"), "--target", "y", "--loss", "mse"]
    if bad.suffix == ".pt" and rng.random() < 0.3:
        layers = somewhere([{"Linear": "0"}, "ReLU", {"Linear": "2"}], rng)
        (folder / "bad.json").write_text(text_of(layers, rng))
        command += ["--architecture", str(folder / "bad.json")]
    yield "weights", [*command, "--weight-decay", "0.1", "--time-limit", "0.2"]


def words(folder: Path, rng: np.random.Generator) -> Iterator[Case]:
    shop, model = str(folder / "shop.csv"), str(folder / "r.safetensors")
    new = str(folder / "new.")
    commands = [
        ["fit", shop, "--target", "price", "--drop", "grade", "--loss", "squared", "--bias", "free",
         "--seed", "1", "--test-size", "0.2", "--max-neurons", "3", "--out", new + "st",
         "--plot", new + "png", *TRAIN],
        ["fit", "--dataset", "iris", "--task", "classification", *TRAIN],
        ["path", shop, "--target", "price", "--drop", "grade", "--n-values", "2", "--ratio", "0.5",
         "--tol", "0.1", "--out", new + "png"],
        ["predict", model, shop, "--out", new + "csv"],
        ["info", model],
        ["spline", shop, "--x", "size", "--y", "price", "--weight-decay", "1", "--loss", "squared",
         "--out", new + "csv", "--plot", new + "svg"],
        ["spline", shop, "--x", "size", "--y", "price", "--quantile", "0.5"],
        ["certify", model, shop, "--proof", new + "npz", "--time-limit", "0.2", "--method", "norm"],
        ["verify", str(folder / "r.npz"), shop],
        ["audit", str(folder / "w.pt"), str(folder / "numbers.csv"), "--target", "y",
         "--loss", "mse", "--weight-decay", "0.1", "--time-limit", "0.1", "--html", new + "html"],
    ]  # fmt: skip
    command = commands[rng.integers(len(commands))]
    for _ in range(int(rng.integers(1, 3))):
        at = int(rng.integers(1, len(command)))
        word = WORDS[rng.integers(len(WORDS))]
        command = [*command[:at], word, *command[at + 1 :]]
    yield "words", command


KINDS = (models, proofs, tables, weights, words)


def try_one(folder: Path, command: list[str], run: Runner, kept: set[str]) -> str:
    """What went wrong with a command, or nothing; what it made is taken away."""
    answer = run(command)
    found = violation(answer)
    made = [file for file in folder.iterdir() if file.name not in kept | {*BAD}]
    if not found and made and (answer[0] == 2 or made[0].name.startswith(".")):  # type: ignore[index]
        found = f"left behind: {made}"
    for file in made:
        file.unlink()
    return found


def interrupt(folder: Path, rng: np.random.Generator) -> str:
    """Stop a command that writes at some moment: no partial file may be left."""
    shop, model, out = (str(folder / name) for name in ("shop.csv", "r.safetensors", "new.st"))
    commands = [
        ["fit", shop, "--target", "price", "--drop", "grade", *TRAIN, "--out", out],
        ["predict", model, shop, "--out", out],
        ["certify", model, shop, "--time-limit", "0.1", "--proof", out],
        ["spline", shop, "--x", "size", "--y", "price", "--weight-decay", "1", "--out", out],
    ]
    command = [sys.executable, "-m", "gapless", *commands[rng.integers(len(commands))]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0.5, 3))
    process.send_signal((signal.SIGINT, signal.SIGTERM)[rng.integers(2)])
    process.wait(PATIENCE)
    made = [file for file in folder.iterdir() if file.name.startswith((".", "new."))]
    ends = [file.read_bytes()[-1:] for file in made if file.name == "new.st"]
    found = f"left behind: {made}" if len(ends) < len(made) or b"" in ends else ""
    for file in made:
        file.unlink()
    return found


def fuzz(minutes: float, seed: int) -> int:
    """Try cases until the time is over; how many violations there were."""
    folder, there, rng = Path(tempfile.mkdtemp()), os.getcwd(), np.random.default_rng(seed)
    os.chdir(folder)  # where commands write that are told a name alone
    run = Runner()
    try:
        honest(folder, run)
        kept = {file.name for file in folder.iterdir()}
        end = time.monotonic() + 60 * minutes
        tried: dict[str, int] = {}
        wrong = 0
        while time.monotonic() < end:
            for kind, command in KINDS[rng.integers(len(KINDS))](folder, rng):
                tried[kind] = tried.get(kind, 0) + 1
                if found := try_one(folder, command, run, kept):
                    wrong += 1
                    print(f"{kind}: {found}\n    {[word[:80] for word in command]}", flush=True)
        for _ in range(SIGNALS):
            tried["signals"] = tried.get("signals", 0) + 1
            if found := interrupt(folder, rng):
                wrong += 1
                print(f"signal: {found}")
        print(f"{sum(tried.values())} cases {tried}, {wrong} violations")
        return wrong
    finally:
        os.chdir(there)
        run.stop()
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return int(fuzz(given.minutes, given.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
