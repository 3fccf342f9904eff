"""What is written is there whole or not at all; what is read is looked at first."""

import json
import os
import signal
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import asdict

import numpy as np
import pytest
import safetensors.numpy

import gapless as package
from commands import gapless, several
from gapless import Network, Problem, certify, train
from gapless.certificates.verify import data_digest, verify
from gapless.cli.model_files import FORMAT, Header, load, save
from gapless.core.checks import InputError
from gapless.core.files import write


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a table, a model of it and a proof."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    x, kind = rng.uniform(0, 9, 60), rng.choice(["low", "high"], 60)
    rows = [f"{a},{b},{abs(a - 4) + (b == 'low')}" for a, b in zip(x, kind)]
    (folder / "t.csv").write_text("\n".join(["x,kind,y", *rows]))
    fit = ["fit", folder / "t.csv", "--target", "y", "--weight-decay", 0.1]
    model, proof = folder / "m.safetensors", folder / "p.npz"
    made = several([*fit, "--out", model], ["certify", model, folder / "t.csv", "--proof", proof])
    assert [code for code, _, _ in made] == [0, 0]
    return folder


# Written


def test_a_file_is_replaced_and_keeps_its_mode(tmp_path):
    file = tmp_path / "f"
    before = os.umask(0o027)
    try:
        write(file, b"one")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o604)
    write(file, b"two")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"two", 0o604)
    assert os.listdir(tmp_path) == ["f"]


def test_links_are_followed_and_pipes_written_into(tmp_path):
    (tmp_path / "folder").mkdir()
    link, target = tmp_path / "link", tmp_path / "folder" / "target"
    link.symlink_to(target)
    for content in (b"one", b"two"):  # made, then replaced
        write(link, content)
        assert link.is_symlink()
        assert target.read_bytes() == content
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe, b"three")
    assert os.read(reader, 9) == b"three"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write("/dev/null", b"four")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        write(tmp_path / "circle", b"five")
    assert (tmp_path / "circle").is_symlink()


def test_a_full_disk_leaves_every_file_as_it_was(shop, tmp_path):
    """Files may grow to a hundred bytes: what is longer fails half way."""
    out = {end: tmp_path / f"new.{end}" for end in ("st", "png", "npz", "csv", "svg", "html")}
    (tmp_path / "old.csv").write_text("old")
    table, model = shop / "t.csv", shop / "m.safetensors"
    spline = ["spline", table, "--x", "x", "--y", "y", "--weight-decay", 1]
    package.to_onnx(Network(np.eye(2), [0, 0], np.ones((2, 1)), [0]), tmp_path / "net.onnx")
    (tmp_path / "n.csv").write_text("a,b,y\n" + "\n".join(f"{i},{i * i},{i % 3}" for i in range(9)))
    commands = [
        ["fit", table, "--target", "y", "--weight-decay", 1, "--out", out["st"]],
        ["fit", table, "--target", "y", "--weight-decay", 1, "--plot", out["png"]],
        ["certify", model, table, "--time-limit", 0, "--proof", out["npz"]],
        ["predict", model, table, "--out", out["csv"]],
        ["predict", model, table, "--out", tmp_path / "old.csv"],
        [*spline, "--out", out["csv"], "--plot", out["svg"]],
        [*spline, "--plot", out["svg"]],
        ["audit", tmp_path / "net.onnx", tmp_path / "n.csv", "--target", "y", "--loss", "mse",
         "--weight-decay", 1, "--time-limit", 0.1, "--html", out["html"]],
        ["predict", model, table, "--out", "/dev/full"],
    ]  # fmt: skip
    pytest.importorskip("matplotlib.font_manager")  # its cache is filled before
    before = sorted(os.listdir(tmp_path))
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    script += """
import json, sys, io, contextlib
from gapless.cli.main import main
for command in json.load(sys.stdin):
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = main(command)
    print(json.dumps([code, err.getvalue()]))
"""
    run = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps([[*map(str, c)] for c in commands]),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(commands), run.stderr
    for command, (code, error) in zip(commands, answers):
        assert (code, error.count("\n")) == (2, 1), (command, error)
        assert "cannot be written" in error
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "old.csv").read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_leaves_no_partial_file(number, tmp_path):
    """It is stopped in the middle of writing, which is made to last."""
    code = """if True:
        import pathlib, sys, time
        from gapless.cli import main as cli
        rename = pathlib.Path.replace
        def slow(*args):
            print("writing", flush=True)
            time.sleep(60)
        pathlib.Path.replace = slow
        sys.exit(cli.main(sys.argv[1:]))
        """
    out = tmp_path / "out.csv"
    command = ["spline", "--dataset", "diabetes", "--x", "bmi", "--y", "target", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command, "--weight-decay", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "writing\n"
    assert len(os.listdir(tmp_path)) == 1  # the partial file
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert "Traceback" not in error
    assert os.listdir(tmp_path) == []


def test_a_reader_that_has_seen_enough_is_no_mistake(shop, tmp_path):
    rows = "\n".join(f"{i % 9},low,1" for i in range(20_000))
    (tmp_path / "long.csv").write_text("x,kind,y\n" + rows)
    command = [sys.executable, "-m", "gapless", "predict", shop / "m.safetensors"]
    for table in (tmp_path / "long.csv", shop / "t.csv"):
        process = subprocess.Popen([*command, table], stdout=-1, stderr=-1)
        if table.name == "long.csv":
            process.stdout.read(9)
        process.stdout.close()
        with process.stderr as error:
            assert error.read() == b""
        assert process.wait(60) == 0


def test_terminals_that_know_ascii_alone(tmp_path):
    rows = [f"{i},{'größe' if i % 2 else '[/red]'},{i / 7}" for i in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["x,[/α],y", *rows]), encoding="utf-8")
    command = ["fit", tmp_path / "t.csv", "--target", "[/α]", "--weight-decay", 1]
    command = [sys.executable, "-m", "gapless", *map(str, command), "--out", "m.st"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run(command, capture_output=True, env=env, cwd=tmp_path, timeout=60)
    assert (run.returncode, run.stderr) == (0, b"")
    assert rb"target '[/\u03b1]' is text" in run.stdout
    out = subprocess.run(
        [*command[:3], "predict", "m.st", "t.csv"], capture_output=True, env=env, cwd=tmp_path
    )
    assert "größe" in out.stdout.decode("utf-8")  # data are what they are


# Models


HEADER = {
    **asdict(Header()),
    "columns": [["x", None], ["kind", ["a", "b"]]],
    "training": {
        "loss": "squared", "weight_decay": 0.1, "bias": "free", "mean": [0.0] * 3,
        "scale": [1.0] * 3, "y_mean": 0.0, "y_scale": 1.0, "test_size": 0.2, "seed": 0,
        "n_rows": 60, "digest": "",
    },
    "certificate": {
        "objective": 1.0, "lower_bound": 0.5, "estimated_lower_bound": 0.6, "gap": 0.5,
        "relative_gap": 0.5, "estimated_relative_gap": 0.4, "proof": "none",
    },
}  # fmt: skip
WEIGHTS = {
    "hidden_weights": np.eye(3), "hidden_bias": np.zeros(3),
    "output_weights": np.ones((3, 1)), "output_bias": np.zeros(1),
}  # fmt: skip


def model(file, text, weights=WEIGHTS):
    file.write_bytes(safetensors.numpy.save(weights, {"format": FORMAT, "header": text}))
    return file


def changed():
    """Headers with a field missing, unknown, or of a wrong kind or size."""
    odd = [
        None,
        True,
        -1,
        10**400,
        float("nan"),
        "",
        "\ud800",
        [],
        {},
        [None],
        [[1, 2]],
        ["a"] * 99,
    ]
    for part in (HEADER, HEADER["training"], HEADER["certificate"]):
        for name in part:
            for value in odd:
                yield name, {k: value if k == name else v for k, v in part.items()}, part
            yield name, {k: v for k, v in part.items() if k != name}, part
        yield "colour", part | {"colour": "red"}, part


@contextmanager
def one_sentence(start):
    """An InputError within is one line that starts so."""
    try:
        yield
    except InputError as error:
        words = str(error)
        if not words.startswith(start) or "\n" in words:
            pytest.fail(words)
        raise


def test_headers_are_checked_field_by_field(tmp_path):
    assert load(model(tmp_path / "m.st", json.dumps(HEADER)))[1] == Header(**HEADER)
    refused, tried = 0, 0
    for name, part, whole in changed():
        header = part if whole is HEADER else dict(HEADER)
        if whole is not HEADER:
            header["training" if "loss" in whole else "certificate"] = part
        tried += 1
        with suppress(InputError), one_sentence(f"{tmp_path}/m.st: damaged: "):
            refused += 1
            _, read = load(model(tmp_path / "m.st", json.dumps(header)))
            refused -= 1
            # what is let through is as it should be
            assert read == Header(**header)
            assert name in ("target", "status", "digest", "proof", "seed", "n_rows", "y_mean",
                            "classes", "columns", "training", "certificate", "gap", "relative_gap",
                            "objective", "lower_bound", "estimated_lower_bound", "bias",
                            "estimated_relative_gap")  # fmt: skip
    assert refused > 0.8 * tried > 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "no JSON"),
        ("1" * 5000, "no JSON"),
        ("", "no JSON"),
        ("[]", "must hold 7 fields"),
        ("x" * 2_000_000, "2000000 characters"),
        (json.dumps(HEADER | {"columns": [["x", None]]}), "not one number a column"),
        (json.dumps(HEADER | {"classes": ["a", "b"]}), "does not go with its classes"),
        (json.dumps(HEADER | {"columns": [["x", None]], "training": {}}), "names for 1"),
    ],
)
def test_headers_that_do_not_fit(text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        load(model(tmp_path / "m.st", text))


NUMBERS = {"kind": "numbers", "fill": 1.5, "indicator": False}
LEVELS = {"kind": "levels", "levels": ["a"], "other": True}
DATES = {"kind": "dates", "format": "ISO8601", "parts": ["day"], "fill": [1], "indicator": False}


def test_entries_of_columns_are_checked(tmp_path):
    columns = [["n", NUMBERS], ["l", LEVELS], ["d", DATES]]
    good = {"columns": columns, "training": {}, "certificate": {}}
    weights = {**WEIGHTS, "hidden_weights": np.ones((4, 3))}
    header = load(model(tmp_path / "m.st", json.dumps(HEADER | good), weights))[1]
    assert header.columns == columns
    for how in (NUMBERS, LEVELS, DATES):
        for field in how:
            for odd in (
                None,
                1,
                "x",
                [],
                {},
                ["x"],
                [None],
                [["day"]],
                True,
                float("nan"),
                ["day"] * 2,
            ):
                bad = HEADER | good | {"columns": [["n", how | {field: odd}]]}
                with suppress(InputError), one_sentence(f"{tmp_path}/m.st: damaged: "):
                    text = json.dumps(bad)
                    load(model(tmp_path / "m.st", text, WEIGHTS | {"hidden_weights": np.eye(1, 3)}))
            less = {k: v for k, v in how.items() if k != field}
            for wrong in (less, how | {"colour": 1}):
                bad = json.dumps(HEADER | good | {"columns": [["n", wrong]]})
                file = model(tmp_path / "m.st", bad, weights)
                with pytest.raises(InputError, match="field 'columns' must be a list of"):
                    load(file)


def test_a_header_that_could_not_be_read_back_is_not_written(tmp_path):
    with pytest.raises(InputError, match="too long for a model file"):
        save(tmp_path / "m.st", Network(**WEIGHTS), Header(columns=[["x" * 2**21, None]]))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_weights": np.eye(3, dtype=np.float32)},
        {"hidden_weights": np.zeros((3, 3), np.int64)},
        {"hidden_weights": np.array(1.0)},
        {"output_bias": np.zeros(2)},
        {"more": np.zeros(2)},
        {"hidden_bias": np.full(3, np.nan)},
    ],
)
def test_weights_that_do_not_fit(change, tmp_path):
    with pytest.raises(InputError, match=r"m\.st: .*(fit each other|NaN)"):
        load(model(tmp_path / "m.st", json.dumps(HEADER), WEIGHTS | change))


def test_predictions_that_overflow_are_said(tmp_path):
    network = Network(*({**WEIGHTS, "output_weights": np.full((3, 1), 1e308)}).values())
    save(tmp_path / "m.st", network, Header(**HEADER))
    (tmp_path / "t.csv").write_text("x,kind\n9,a\n8,b\n")
    error = gapless("predict", tmp_path / "m.st", tmp_path / "t.csv", code=2).stderr
    assert "the predictions overflow" in error


# Proofs


@pytest.fixture(scope="module")
def proof(tmp_path_factory):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 3))
    y = X[:, 0] * X[:, 1]
    path = tmp_path_factory.mktemp("proof") / "p.npz"
    network = train(Problem(X, y, "squared", 0.05, "penalized"), max_iter=4).network
    certify(network, X, y, weight_decay=0.05, bias="penalized", method="doubly nonnegative",
            time_limit=60, tol=0.1, proof=path)  # fmt: skip
    valid, _, words = verify(path, X, y)
    assert valid
    assert "equal sample weights" in words
    return path, X, y


def giant(archive, name, shape="(8,)", descr="<f8", n_bytes=64):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with archive.open(f"{name}.npy", "w") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        for _ in range(n_bytes // 2**20):
            stream.write(b"\0" * 2**20)
        stream.write(b"\0" * (n_bytes % 2**20))


@pytest.mark.parametrize("name", ["colour", "Lam", "weights", "signs", "N", "loss", "lower_bound"])
def test_members_are_looked_at_before_they_are_read(name, proof, tmp_path):
    path, X, y = proof
    with np.load(path) as file:
        fields = dict(file)
    fields.pop(name, None)
    bad = tmp_path / "bad.npz"
    np.savez_compressed(bad, **fields)
    with zipfile.ZipFile(bad, "a", zipfile.ZIP_DEFLATED) as archive:
        giant(archive, name, shape=f"({2**24},)", n_bytes=2**27)
    tracemalloc.start()
    valid, _, words = verify(bad, X, y)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not valid
    assert "too many or of another kind" in words or "another name" in words
    assert most < 2**26


@pytest.mark.parametrize("name", ["pairs", "preparation"])
def test_wide_tables_have_no_giant_members(name, proof, tmp_path):
    X, y = np.zeros((2, 100_000)), np.array([1.0, -1.0])
    with np.load(proof[0]) as file:
        fields = dict(file) | {"digest": data_digest(X, y[:, None]), "Lam": np.zeros((2, 1))}
    fields |= {k: np.zeros(2) for k in ("weights", "first", "group", "ratio")}
    fields.pop(name, None)
    bad, n_bytes = tmp_path / "bad.npz", 2**28 + 2**20
    np.savez(bad, **fields)
    kind = {"descr": f"<U{n_bytes // 4}", "shape": "()"} if name == "preparation" else {}
    with zipfile.ZipFile(bad, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        giant(archive, name, n_bytes=n_bytes, **{"shape": f"({n_bytes // 8},)"} | kind)
    assert "too many or of another kind" in verify(bad, X, y)[2]


def test_members_that_lie_or_come_twice(proof, tmp_path):
    path, X, y = proof
    with np.load(path) as file:
        fields = dict(file)
    del fields["ratio"]
    bad = tmp_path / "bad.npz"
    lies = [
        {"shape": "(99999999999,)"},
        {"shape": "(-12,)"},
        {"shape": "(" * 400},
        {"descr": "|O"},
        {"descr": "(9,)<f8"},
        {"descr": "<c16"},
        {"n_bytes": 2**21, "shape": "(12,)"},
    ]
    for lie in lies:
        np.savez(bad, **fields)
        with zipfile.ZipFile(bad, "a") as archive:
            giant(archive, "ratio", **lie)
        assert not verify(bad, X, y)[0], lie
    np.savez(bad, **fields, ratio=np.ones(12))
    assert verify(bad, X, y)[0]
    with (
        zipfile.ZipFile(bad, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
        archive.open("ratio.npy", "w") as stream,
    ):
        np.save(stream, np.ones(12))
    assert "a field twice" in verify(bad, X, y)[2]


def test_every_flipped_bit_is_noticed_or_changes_nothing(proof, tmp_path):
    path, X, y = proof
    content, bound = path.read_bytes(), verify(path, X, y)[1]
    rng, refused = np.random.default_rng(0), 0
    for at in rng.integers(0, len(content), 300):
        data = bytearray(content)
        data[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "bad.npz").write_bytes(data)
        valid, value, words = verify(tmp_path / "bad.npz", X, y)
        assert value == bound if valid else words.startswith("INVALID")
        refused += not valid
    assert refused > 200


def test_verify_says_what_the_proof_is_about(shop):
    out = gapless("verify", shop / "p.npz", shop / "t.csv").stdout
    for words in ("equal sample weights", "48 of 60", "y, less", "x, less", "kind=low, less"):
        assert words in out


def test_the_short_fuzz_finds_nothing(tmp_path, monkeypatch):
    """A second of each kind of ``benchmarks/fuzz_files.py``, which runs for minutes elsewhere."""
    monkeypatch.syspath_prepend(str(package.__path__[0] + "/../.."))
    fuzz = pytest.importorskip("benchmarks.fuzz_files")
    monkeypatch.setattr(fuzz, "SIGNALS", 0)
    assert fuzz.fuzz(minutes=0.03, seed=1) == 0
