"""Round trips between gapless, PyTorch, ONNX, scikit-learn, and files of weights."""

import json
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.datasets import load_iris
from sklearn.neural_network import MLPClassifier, MLPRegressor

from gapless import DeepNetwork, Network, from_sklearn, from_torch, solve_spline, to_onnx, to_torch
from gapless.bridges.onnx import read_onnx
from gapless.bridges.torch import read_torch
from gapless.bridges.weight_files import read_model
from gapless.cli.main import main
from gapless.core.checks import InputError

torch = pytest.importorskip("torch")
save_torch = pytest.importorskip("safetensors.torch").save_file
nn = torch.nn


def network(rng, C, d=5, m=7):
    return Network(
        rng.standard_normal((d, m)), rng.standard_normal(m),
        rng.standard_normal((m, C)), rng.standard_normal(C),
    )  # fmt: skip


@pytest.mark.parametrize("C", [1, 4])
def test_round_trip(C, rng):
    net, X = network(rng, C), rng.standard_normal((100, 5))
    model = to_torch(net)
    out = model(torch.tensor(X, dtype=torch.float32)).detach().numpy()
    scale = np.abs(net.predict(X)).max()
    assert np.allclose(out / scale, net.predict(X) / scale, atol=1e-6)
    back = from_torch(model)
    again = to_torch(back)(torch.tensor(X, dtype=torch.float32)).detach().numpy()
    assert np.array_equal(again, out)
    exact = from_torch(to_torch(net, dtype=torch.float64))
    assert np.array_equal(exact.hidden_weights, net.hidden_weights)


def test_deep_and_linear_networks(rng):
    X = rng.standard_normal((9, 3))
    weights = tuple(rng.standard_normal(s) for s in ((3, 4), (4, 5), (5, 2)))
    for activation in ("relu", "linear"):
        net = DeepNetwork(weights, None, activation)
        model = to_torch(net, bias=False, dtype=torch.float64)
        assert np.allclose(model(torch.tensor(X)).detach(), net.predict(X))
        back = from_torch(model)
        assert back.activation == activation
        assert np.allclose(back.predict(X), net.predict(X))


class Functional(nn.Module):
    """As people write them."""

    def __init__(self):
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        x = torch.relu(self.norm(self.fc1(x)))
        x = nn.functional.dropout(x, 0.5, self.training)
        return nn.functional.log_softmax(self.fc2(x), dim=1)


def test_traced_module_with_batch_norm(rng):
    torch.manual_seed(0)
    model = Functional()
    X = torch.tensor(rng.standard_normal((30, 3, 4)), dtype=torch.float32)
    for _ in range(3):
        model(X)
    chain = read_torch(model)
    assert (chain.final, chain.batch_norm) == ("log_softmax", True)
    assert model.training
    model.eval()
    logits = torch.tensor(chain.network.predict(X.reshape(30, -1).numpy()))
    assert torch.allclose(torch.log_softmax(logits, 1).float(), model(X), atol=1e-5)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        return x + self.fc(x)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (nn.Sequential(nn.Conv1d(1, 2, 3)), "Conv1d"),
        (nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), "Tanh"),
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "must end in a Linear"),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 3)), "must follow a Linear"),
        (nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)), "ReLU"),
        (nn.Sequential(nn.Linear(2, 2), nn.Softmax(1), nn.Linear(2, 2)), "must come last"),
        (Residual(), "joins or skips"),
        (Branching(), "cannot be traced"),
    ],
)
def test_what_is_no_chain_is_named(model, match):
    with pytest.raises(ValueError, match=match):
        read_torch(model)


def test_shared_layers_are_refused():
    layer = nn.Linear(3, 3)
    with pytest.raises(ValueError, match="share"):
        read_torch(nn.Sequential(layer, nn.ReLU(), layer))


@pytest.mark.parametrize("C", [1, 4])
def test_onnx(C, rng, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    net, X = network(rng, C), rng.standard_normal((50, 5)).astype(np.float32)
    to_onnx(net, tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    out = session.run(None, {"X": X})[0]
    scale = np.abs(out).max()
    assert np.allclose(out / scale, net.predict(X) / scale, atol=1e-6)
    back = read_onnx(tmp_path / "m.onnx").shallow
    assert np.allclose(back.predict(X) / scale, out / scale, atol=1e-6)


def test_onnx_of_something_else_is_named(tmp_path):
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Tanh", ["X"], ["Y"])],
        "g",
        [onnx.helper.make_tensor_value_info("X", kind, ["n", 2])],
        [onnx.helper.make_tensor_value_info("Y", kind, ["n", 2])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(InputError, match="Tanh"):
        read_model(tmp_path / "m.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not an ONNX"):
        read_model(tmp_path / "bad.onnx")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn(rng):
    X = rng.standard_normal((60, 4))
    Y = rng.standard_normal((60, 2))
    model = MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0).fit(X, Y)
    assert np.allclose(from_sklearn(model).predict(X), model.predict(X))
    labels = rng.integers(3, size=60)
    classifier = MLPClassifier(hidden_layer_sizes=(8, 6), max_iter=5, random_state=0).fit(X, labels)
    F = np.exp(from_sklearn(classifier).predict(X))
    assert np.allclose(F / F.sum(1, keepdims=True), classifier.predict_proba(X))
    with pytest.raises(ValueError, match="tanh"):
        from_sklearn(MLPRegressor(hidden_layer_sizes=(8,), activation="tanh", max_iter=5).fit(X, Y))
    with pytest.raises(ValueError, match="fit it first"):
        from_sklearn(MLPRegressor())


def deep_model():
    torch.manual_seed(0)
    layers = []
    for _ in range(6):  # names past ".9" sort badly as text
        layers += [nn.Linear(3, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(3, 2)).eval()


def test_state_dict_and_safetensors(tmp_path, rng):
    model, X = deep_model(), rng.standard_normal((20, 3))
    torch.save(model.state_dict(), tmp_path / "m.pt")
    save_file({k: v.numpy() for k, v in model.state_dict().items()}, tmp_path / "m.safetensors")
    truth = model(torch.tensor(X, dtype=torch.float32)).detach().numpy()
    for name in ("m.pt", "m.safetensors"):
        assert np.allclose(read_model(tmp_path / name).network.predict(X), truth, atol=1e-5)


class Malicious:
    def __reduce__(self):
        return exec, ("open('owned', 'w').close()",)


@pytest.mark.parametrize("save", ["pickle", "torch"])
def test_a_malicious_pickle_is_refused(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = {"0.weight": Malicious()}
    if save == "torch":
        torch.save(content, "evil.pt")
    else:
        with open("evil.pt", "wb") as file:
            pickle.dump(content, file)
    with pytest.raises(InputError, match=r"evil\.pt") as caught:
        read_model("evil.pt")
    assert "\n" not in str(caught.value).partition("(")[0]
    assert not (tmp_path / "owned").exists()
    torch.save(nn.Linear(2, 2), "module.pt")
    with pytest.raises(InputError, match="holds more than weights"):
        read_model("module.pt")


def test_files_that_are_no_model(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_model(tmp_path / "none.pt")
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(InputError, match="state dict"):
        read_model(tmp_path / "m.txt")
    for name in ("m.pt", "m.safetensors"):
        (tmp_path / name).write_bytes(b"garbage")
        with pytest.raises(InputError):
            read_model(tmp_path / name)
    half = {k: v.bfloat16() for k, v in deep_model().state_dict().items()}
    save_torch(half, tmp_path / "half.safetensors")
    with suppress(InputError):  # NumPy knows bfloat16 once onnx has been imported, not before
        read_model(tmp_path / "half.safetensors")
    torch.save(nn.Conv2d(1, 2, 3).state_dict(), tmp_path / "conv.pt")
    with pytest.raises(InputError, match="belongs to no"):
        read_model(tmp_path / "conv.pt")


ODD_TENSORS = {
    "is sparse": lambda: torch.eye(2).to_sparse(),
    "is of torch.qint8": lambda: torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8),
    "is of torch.complex64": lambda: torch.eye(2, dtype=torch.complex64),
    "has no values": lambda: torch.empty(2, 2, device="meta"),
    "is empty": lambda: torch.empty(0, 2),
    "is expanded": lambda: torch.zeros(1).expand(10**6, 10**6),
    "belongs to no": lambda: torch.zeros(2, 2, 2),
}


@pytest.mark.parametrize("words", ODD_TENSORS)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_tensors_that_are_no_arrays_of_numbers_are_named(words, tmp_path):
    state = nn.Linear(2, 2).state_dict()
    state["weight"] = ODD_TENSORS[words]()
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(InputError, match=words):
        read_model(tmp_path / "m.pt")


def test_a_compressed_state_dict_is_not_unpacked(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "m.pt")
    with (
        zipfile.ZipFile(tmp_path / "m.pt") as archive,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    with pytest.raises(InputError, match="is compressed"):
        read_model(tmp_path / "z.pt")


class Headed(nn.Module):
    """Declared in another order than used, normalised after the ReLU."""

    def __init__(self):
        super().__init__()
        self.head, self.norm, self.body = (
            nn.Linear(6, 3), nn.BatchNorm1d(6, eps=1e-2, affine=False), nn.Linear(4, 6),
        )  # fmt: skip

    def forward(self, x):
        return torch.softmax(self.head(self.norm(torch.relu(self.body(x)))), dim=1)


ARCHITECTURE = [
    {"Linear": "body"}, "ReLU", {"BatchNorm1d": "norm", "eps": 1e-2}, {"Linear": "head"}, "Softmax"
]  # fmt: skip


def test_architecture_as_json(tmp_path, rng):
    torch.manual_seed(0)
    model, X = Headed(), torch.tensor(rng.standard_normal((40, 4)), dtype=torch.float32)
    model(X)
    model.eval()
    torch.save(model.state_dict(), tmp_path / "m.pt")
    save_file({k: v.numpy() for k, v in model.state_dict().items()}, tmp_path / "m.safetensors")
    (tmp_path / "a.json").write_text(json.dumps(ARCHITECTURE))
    for name in ("m.pt", "m.safetensors"):
        chain = read_model(tmp_path / name, tmp_path / "a.json")
        assert chain.final == "softmax"
        F = torch.tensor(chain.network.predict(X.numpy()))
        assert torch.allclose(torch.softmax(F, 1).float(), model(X), atol=1e-5)
        with pytest.raises(InputError):  # the head comes first by name
            read_model(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("[", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"Linear": "body"}', "must be a list"),
        ('[{"Conv2d": "body"}]', "Conv2d"),
        ('["Tanh"]', "Tanh"),
        ('[{"Linear": ["body"]}]', "not supported"),
        ('[{"Linear": "neck"}]', "no Linear layer 'neck'"),
        ('[{"Linear": "norm"}]', "no Linear layer 'norm'"),
        ('[{"Linear": "body"}]', "leaves out 'head'"),
        ('[{"Linear": "body"}, {"BatchNorm1d": "norm", "eps": "x"}]', "eps"),
    ],
)
def test_wrong_architectures_are_one_sentence(content, match, tmp_path):
    torch.save(Headed().state_dict(), tmp_path / "m.pt")
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=match):
        read_model(tmp_path / "m.pt", tmp_path / "a.json")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["sequential", "fresh", "functional"])
def test_onnx_as_pytorch_exports_it(kind, tmp_path, rng):
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    model = Functional()
    if kind != "functional":
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
        )
    X = torch.tensor(rng.standard_normal((30, 3, 4)), dtype=torch.float32)
    if kind != "fresh":  # whose statistics are one constant, used twice
        model(X)
    path = tmp_path / "m.onnx"
    torch.onnx.export(
        model.eval(), X[:2], path, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}}
    )
    chain = read_model(path)
    F = torch.tensor(chain.network.predict(X.reshape(30, -1).numpy())).float()
    F = torch.log_softmax(F, 1) if chain.final else F
    assert torch.allclose(F, model(X), atol=1e-5)


def test_onnx_with_weights_elsewhere_is_refused(rng, tmp_path):
    onnx = pytest.importorskip("onnx")
    to_onnx(network(rng, 2), tmp_path / "m.onnx")
    model = onnx.load(str(tmp_path / "m.onnx"))
    onnx.save(
        model, str(tmp_path / "e.onnx"), save_as_external_data=True, location="w.bin",
        size_threshold=0,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"e\.onnx"):
        read_model(tmp_path / "e.onnx")


def test_spline_networks_become_torch_modules():
    x = np.linspace(-1, 1, 40)
    net = solve_spline(x, np.sin(4 * x), weight_decay=1e-3).network
    out = to_torch(net)(torch.tensor(x[:, None], dtype=torch.float32)).detach().numpy()
    assert np.allclose(out, net.predict(x[:, None]), atol=1e-5)


@pytest.fixture
def command(capsys):
    """``gapless audit`` with these arguments in this process; what it printed."""

    def run(*args, code=0):
        assert main(["audit", *map(str, args)]) == code
        printed = capsys.readouterr()
        assert code == 0 or printed.err.count("\n") == 1
        return printed

    return run


def save_as(model, path, architecture):
    """In the format that the suffix says; the options that the command needs."""
    state = model.state_dict()
    if path.suffix == ".onnx":
        to_onnx(from_torch(model), path)
    elif path.suffix == ".safetensors":
        save_file({k: v.numpy() for k, v in state.items()}, path)
    else:
        torch.save(state, path)
    if not architecture:
        return []
    file = path.with_suffix(".json")
    file.write_text(json.dumps([{"Linear": "0"}, "ReLU", {"Linear": "2"}, "Softmax"]))
    return ["--architecture", file]


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".onnx"])
def test_command_reads_every_format_alike(suffix, tmp_path, command):
    pytest.importorskip("onnx")
    X, y = load_iris(return_X_y=True)
    X = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 20), nn.ReLU(), nn.Linear(20, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        fit = nn.functional.cross_entropy(model(X), torch.tensor(y))
        fit.backward()
        optimizer.step()
    own = nn.functional.cross_entropy(model(X), torch.tensor(y)).item()
    own += 0.005 * sum(float((p.detach() ** 2).sum()) for p in model.parameters())
    path = tmp_path / f"iris{suffix}"
    more = save_as(model, path, architecture=suffix == ".pt")
    result = json.loads(
        command(
            path, "--dataset", "iris", "--loss", "cross_entropy", "--weight-decay", "0.01",
            "--standardise", "--time-limit", "1", "--json", *more,
        ).out
    )  # fmt: skip
    assert result["objective"] == pytest.approx(own, rel=1e-6)
    assert 0 < result["lower_bound"] <= result["objective"]
    if suffix == ".onnx":
        wrong = command(
            path, "--dataset", "iris", "--loss", "mse", "--weight-decay", "1",
            "--architecture", tmp_path / "x.json", code=2,
        )  # fmt: skip
        assert "leave --architecture out" in wrong.err


def test_command(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3))
    torch.save(model.state_dict(), tmp_path / "iris.pt")
    options = [tmp_path / "iris.pt", "--dataset", "iris", "--loss", "cross_entropy"]
    options += ["--weight-decay", "0.01", "--standardise", "--time-limit", "1"]
    result = json.loads(command(*options, "--json", "--html", tmp_path / "r.html").out)
    for key in ("objective", "lower_bound", "relative_gap", "estimated_relative_gap", "seconds"):
        assert key in result
    assert 0 <= result["lower_bound"] <= result["objective"]
    assert (tmp_path / "r.html").stat().st_size > 10_000
    text = command(*options).out
    assert "lower bound, proven" in text
    assert "What to do next" in text
    command(*options, "--weight-decay", "0", code=2)
    with open(tmp_path / "evil.pt", "wb") as file:
        pickle.dump(Malicious(), file)
    assert "evil.pt" in command(tmp_path / "evil.pt", *options[1:], code=2).err
    assert not (tmp_path / "owned").exists()
    wrong = ["--dataset", "diabetes", "--loss", "mse", "--weight-decay", "0.1"]
    assert "10 features" in command(tmp_path / "iris.pt", *wrong, code=2).err
