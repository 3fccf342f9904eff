"""Networks out of real training loops: audit, improve, prune."""

import json
import re
from fractions import Fraction

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.neural_network import MLPClassifier, MLPRegressor

from gapless import Network, audit, improve, prune, solve_whitened_relu
from gapless.auditing.reading import read_trained
from gapless.auditing.training_loss import training_loss

torch = pytest.importorskip("torch")
nn = torch.nn
LOADERS = {"diabetes": load_diabetes, "breast_cancer": load_breast_cancer, "digits": load_digits}
LOSSES = {
    "diabetes": nn.MSELoss(),
    "breast_cancer": nn.BCEWithLogitsLoss(),
    "digits": nn.CrossEntropyLoss(),
}


@pytest.fixture(autouse=True)
def threads():
    torch.set_num_threads(1)


def table(name):
    X, y = LOADERS[name](return_X_y=True)
    X, y = X[:700], y[:700]
    X = (X - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), 1)
    X = torch.tensor(X, dtype=torch.float32)
    if name == "diabetes":
        return X, torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32)[:, None], 1
    if name == "breast_cancer":
        return X, torch.tensor(y, dtype=torch.float32)[:, None], 1
    return X, torch.tensor(y), 10


def loop(X, y, loss, C, p=200, epochs=40, lr=1e-2, weight_decay=1e-2, batch=128, bias=True):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(X.shape[1], p, bias=bias), nn.ReLU(), nn.Linear(p, C, bias=bias)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch):
            optimizer.zero_grad()
            loss(model(X[rows]), y[rows]).backward()
            optimizer.step()
    return model, optimizer


@pytest.fixture(scope="module", params=LOADERS)
def trained(request):
    X, y, C = table(request.param)
    loss = LOSSES[request.param]
    return (*loop(X, y, loss, C), X, y, loss)


def own_objective(model, optimizer, X, y, loss):
    """PyTorch's loss and the penalty that its parameter groups mean."""
    with torch.no_grad():
        return loss(model(X), y).item() + sum(
            0.5 * group["weight_decay"] * float((p.double() ** 2).sum())
            for group in optimizer.param_groups
            for p in group["params"]
        )


def test_objective_is_pytorch_s_own(trained):
    model, optimizer, X, y, loss = trained
    model.train()
    model.zero_grad(set_to_none=True)
    before = [p.clone() for p in model.parameters()]
    report = audit(model, X, y, loss=loss, optimizer=optimizer, time_limit=0)
    assert report.objective == pytest.approx(
        own_objective(model, optimizer, X, y, loss), rel=1e-6, abs=1e-6
    )
    assert 0 <= report.lower_bound <= report.estimated_lower_bound
    assert report.lower_bound <= report.objective <= report.zero_objective
    # untouched
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters()))
    json.dumps(report.as_dict(), allow_nan=False)


def test_improve_lowers_the_objective_and_cuts_neurons(trained):
    model, optimizer, X, y, loss = trained
    lossless = prune(model, X, y, loss=loss, optimizer=optimizer)
    better = improve(model, X, y, loss=loss, optimizer=optimizer, time_limit=2)
    assert lossless.objective_after <= lossless.objective_before * (1 + 1e-6)
    assert torch.allclose(lossless.model(X), model(X), atol=1e-4)
    assert better.objective_after < min(better.objective_before, lossless.objective_after)
    assert better.n_neurons_after < better.n_neurons_before
    # the modules say the same as the numbers
    for result in (lossless, better):
        again = audit(
            result.model, X, y, loss=loss, time_limit=0,
            weight_decay=optimizer.param_groups[0]["weight_decay"],
        )  # fmt: skip
        assert again.objective == pytest.approx(result.objective_after, rel=1e-6)
        assert again.lower_bound <= better.objective_after


def test_estimated_gap_tells_good_from_bad_training_on_a_table():
    X, y, C = table("diabetes")
    loss, wd = nn.MSELoss(), 0.05
    bad = loop(X, y, loss, C, epochs=5, lr=1e-5, weight_decay=wd)
    good = loop(X, y, loss, C, p=50, epochs=600, lr=5e-3, weight_decay=wd, batch=len(X))
    bad, good = (audit(m, X, y, loss=loss, optimizer=o, time_limit=1) for m, o in (bad, good))
    assert good.estimated_relative_gap < 0.1 < 0.6 < bad.estimated_relative_gap
    assert good.stationarity < 0.3 < bad.stationarity
    assert any("not to have ended" in line for line in bad.advice)
    assert bad.verdict.startswith("Not the best")
    # what was found is a fact: the optimum lies between
    for report in (good, bad):
        assert report.lower_bound <= report.best_objective <= report.objective
        assert report.found_gain <= report.estimated_relative_gap <= report.relative_gap
    assert bad.best_objective < 1.2 * good.best_objective  # what a second finds


def test_proven_gap_tells_good_from_bad_training_on_wide_data(rng):
    X = torch.tensor(rng.standard_normal((20, 200)), dtype=torch.float32)
    y = torch.tensor(rng.standard_normal((20, 1)), dtype=torch.float32)
    loss, wd = nn.MSELoss(), 0.2
    bad = loop(X, y, loss, 1, p=50, epochs=5, lr=1e-5, weight_decay=wd, bias=False)
    good = loop(X, y, loss, 1, p=50, epochs=800, lr=1e-2, weight_decay=wd, bias=False, batch=20)
    bad, good = (audit(m, X, y, loss=loss, optimizer=o, time_limit=1) for m, o in (bad, good))
    assert good.relative_gap < 0.3 < 0.6 < bad.relative_gap


def test_bounds_hold_for_every_rule_of_decay(rng):
    """No network found by the solver under the true objective is below the bound."""
    X = rng.standard_normal((30, 2))
    y = np.maximum(X[:, :1], 0) + 0.1 * rng.standard_normal((30, 1)) + 2.0
    torch.manual_seed(0)
    for bias in (True, False):
        model = nn.Sequential(nn.Linear(2, 8, bias=bias), nn.ReLU(), nn.Linear(8, 1, bias=bias))
        for groups in ((0.05, 0.05), (0.05, 0.0), (0.2, 0.02)):
            split = groups if groups[0] == groups[1] or groups[1] == 0 else (groups[0], groups[1])
            weights = [p for p in model.parameters() if p.ndim > 1]
            biases = [p for p in model.parameters() if p.ndim == 1]
            settings = [{"params": weights, "weight_decay": split[0]}]
            if biases:
                settings.append({"params": biases, "weight_decay": split[1]})
            optimizer = torch.optim.Adam(settings, lr=1e-2)
            report = audit(model, X, y, loss=nn.MSELoss(), optimizer=optimizer, time_limit=0)
            better = improve(model, X, y, loss=nn.MSELoss(), optimizer=optimizer, time_limit=1)
            again = audit(better.model, X, y, loss=nn.MSELoss(), weight_decay=0.05, time_limit=0)
            assert report.lower_bound <= better.objective_after <= report.objective
            assert again.layers


def test_output_bias_is_bounded_at_its_own_price():
    """Zero inputs: an output bias at 0.25 c^2, and a neuron on the constant at 0.5 |v|."""
    X, y = np.ones((4, 1)) * 1e-9, np.full((4, 1), 3.0)
    grid = np.linspace(0, 4, 401)
    c, v = np.meshgrid(grid, grid)
    values = (c + v - 3) ** 2 + 0.25 * c**2 + 0.5 * v
    best = np.unravel_index(np.argmin(values), values.shape)
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        for p in (model[0].bias, model[2].weight):
            p.fill_(float(v[best]) ** 0.5)
        model[0].weight.zero_()
        model[2].bias.fill_(float(c[best]))
    report = audit(model, X, y, loss=nn.MSELoss(), weight_decay=0.5)
    assert report.objective == pytest.approx(values[best], rel=1e-6)
    assert report.objective * (1 - 1e-4) <= report.lower_bound <= report.objective


@pytest.mark.parametrize("decay_biases", [False, True])
@pytest.mark.parametrize("far", [1e7, 1e8, 1e9])
def test_bounds_of_targets_far_from_zero_are_below_exact_objectives(decay_biases, far):
    """The best network is constant: its objective is known in rational numbers."""
    for seed in range(8):
        y = far + np.random.default_rng(seed).standard_normal((30, 1))
        decay = 1 / far if decay_biases else 10.0
        X = 1e-9 * np.ones((30, 1)) if decay_biases else np.linspace(-1, 1, 30)[:, None]
        Y, mean = [Fraction(v) for v in y[:, 0].tolist()], float(y.mean())
        # an output bias c at decay / 2 c^2, a neuron v on the constant at decay |v|
        c = 1.0 if decay_biases else mean
        v = Fraction(mean - c - decay / 2) if decay_biases else Fraction(0)
        optimum = sum((Fraction(c) + v - t) ** 2 for t in Y) / 30
        if decay_biases:
            optimum += Fraction(decay) * (Fraction(c) ** 2 / 2 + v)
        size = float(v) ** 0.5
        network = Network(np.zeros((1, 1)), np.full(1, size), np.full((1, 1), size), np.full(1, c))
        report = audit(
            network, X, y, loss="mse", weight_decay=decay, decay_biases=decay_biases, time_limit=0
        )
        assert Fraction(report.lower_bound) <= optimum
        if not decay_biases or far == 1e7:
            assert report.lower_bound >= float(optimum) * (1 - 1e-2)


def test_unequal_decays_of_layers_are_their_geometric_mean(rng):
    X, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
    model = nn.Sequential(nn.Linear(3, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False))
    optimizer = torch.optim.SGD(
        [
            {"params": model[0].parameters(), "weight_decay": 0.4},
            {"params": model[2].parameters(), "weight_decay": 0.1},
        ],
        lr=0.1,
    )
    trained = read_trained(model, X, y, loss=nn.MSELoss(), optimizer=optimizer)
    same = trained.problem()
    assert trained.weight_decay == pytest.approx(0.2)
    rescaled = trained.shallow()
    assert trained.factor * rescaled.objective(same) == pytest.approx(
        trained.objective(trained.network)
    )
    back = trained.deep(rescaled)
    assert np.allclose(back.weights[0], trained.network.weights[0])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "kind", [nn.MSELoss, nn.HuberLoss, nn.SmoothL1Loss, nn.BCEWithLogitsLoss, nn.CrossEntropyLoss]
)
def test_losses_agree_with_pytorch(kind, reduction, rng):
    F = rng.standard_normal((15, 3)) * 2
    onehot = kind is nn.CrossEntropyLoss
    y = rng.integers(3, size=15) if onehot else rng.integers(2, size=(15, 3)).astype(float)
    options = {nn.HuberLoss: {"delta": 0.7}, nn.SmoothL1Loss: {"beta": 0.4}}.get(kind, {})
    if onehot:
        options = {"weight": torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)}
    loss = kind(reduction=reduction, **options)
    own = loss(torch.tensor(F), torch.tensor(y)).item()
    t = training_loss(loss, y, 3)
    ours = t.factor * np.average(t.loss.value(F, t.Y), weights=t.sample_weight)
    assert ours == pytest.approx(own, rel=1e-12)


def test_gradient_agrees_with_autograd(rng):
    X = torch.tensor(rng.standard_normal((40, 5)))
    y = torch.tensor(rng.integers(3, size=40))
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3)
    ).double()
    loss = nn.CrossEntropyLoss(reduction="sum")
    total = loss(model(X), y) + 0.05 * sum((p**2).sum() for p in model.parameters())
    total.backward()
    own = float(torch.sqrt(sum((p.grad**2).sum() for p in model.parameters())))
    report = audit(model, X, y, loss=loss, weight_decay=0.1)
    assert report.gradient_norm == pytest.approx(own, rel=1e-9)
    assert report.objective == pytest.approx(total.item(), rel=1e-12)
    assert 0 < report.lower_bound < report.objective
    assert any("bound is loose" in note for note in report.notes)


def test_deep_networks_without_biases_have_a_bound(rng):
    X = torch.tensor(rng.standard_normal((20, 5)), dtype=torch.float32)
    y = torch.tensor(rng.standard_normal((20, 1)), dtype=torch.float32)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(5, 10, bias=False), nn.ReLU(), nn.Linear(10, 10, bias=False), nn.ReLU(),
        nn.Linear(10, 1, bias=False),
    )  # fmt: skip
    report = audit(model, X, y, loss=nn.MSELoss(), weight_decay=0.1)
    assert 0 < report.lower_bound <= report.objective
    whitened = torch.linalg.qr(X[:5].double().T)[0]
    exact = audit(model, whitened, y[:5], loss=nn.MSELoss(), weight_decay=0.1)
    # MSELoss of one output is twice the loss of gapless
    closed = solve_whitened_relu(whitened.numpy(), y[:5].numpy(), 0.05, depth=3)
    assert exact.lower_bound >= 2 * closed.lower_bound * (1 - 1e-5)


def test_batch_norm_and_dropout_are_read_and_said(rng):
    X = torch.tensor(rng.standard_normal((50, 4)), dtype=torch.float32)
    y = torch.tensor(rng.integers(3, size=50))
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3)
    )
    model(X)  # moves the running statistics
    statistics = model[1].running_mean.clone()
    report = audit(model, X, y, loss=nn.CrossEntropyLoss(), weight_decay=1e-3)
    assert model.training
    assert torch.equal(statistics, model[1].running_mean)
    model.eval()
    own = nn.functional.cross_entropy(model(X), y).item()
    own += 5e-4 * sum((p**2).sum().item() for p in model.parameters())
    assert report.objective == pytest.approx(own, rel=1e-5)
    assert report.stationarity is None
    assert any("batch norm" in n for n in report.notes)
    assert report.lower_bound == 0
    assert report.verdict.startswith("Undecided: no bound")
    assert any("Dropout" in n for n in report.notes)


def test_adamw_is_said_not_to_minimise_a_penalty(rng):
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    report = audit(
        model,
        X,
        y,
        loss=nn.MSELoss(),
        time_limit=0,
        optimizer=torch.optim.AdamW(model.parameters()),
    )
    assert any("AdamW" in note for note in report.notes)
    assert report.decoupled == "AdamW"
    assert "AdamW does not minimise" in report.verdict
    assert any("broadcasts" in note for note in report.notes)
    with pytest.raises(ValueError, match="without a penalty"):
        audit(model, X, y, loss=nn.MSELoss(), optimizer=torch.optim.Adam(model.parameters()))


@pytest.fixture(scope="module")
def wide():
    """1100 samples of 300 features, more than the exact proofs take, and a network half trained."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1100, 300))
    y = np.abs(X[:, :1]) + X[:, 1:2]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 24), nn.ReLU(), nn.Linear(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=0.1)
    data = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    for _ in range(30):
        optimizer.zero_grad()
        nn.MSELoss()(model(data[0]), data[1]).backward()
        optimizer.step()
    return model, *data, optimizer


def test_large_data_are_searched_as_well(wide):
    model, X, y, optimizer = wide
    report = audit(model, X, y, loss=nn.MSELoss(), optimizer=optimizer, time_limit=2)
    assert report.search_seconds > 0
    assert report.found_objective < 0.95 * report.objective
    assert report.lower_bound <= report.found_objective
    assert "was found" in report.verdict
    assert report.weight_decay_max is not None


def test_no_words_of_a_search_where_none_was(wide):
    model, X, y, optimizer = wide
    report = audit(model, X, y, loss=nn.MSELoss(), optimizer=optimizer, time_limit=0)
    assert report.search_seconds == 0
    assert report.found_objective is None
    assert "search" not in str(report)
    assert "no better network was looked for" in report.verdict
    assert "time_limit above 0" in report.advice[0]


def test_a_smaller_network_within_a_tolerance(rng):
    X = torch.tensor(rng.standard_normal((40, 2)), dtype=torch.float32)
    y = X[:, :1].abs() + X[:, 1:2].abs() + (2 * X[:, :1]).sin()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 1))
    # no clock for the best network, so it is the same each time
    how = {"loss": nn.MSELoss(), "weight_decay": 0.03, "tol": 1e-2, "time_limit": None}
    best = improve(model, X, y, **how)
    small = improve(model, X, y, within=0.3, **how)
    assert small.n_neurons_after <= best.n_neurons_after <= 12
    assert best.objective_after <= small.objective_after <= 1.3 * best.objective_after
    assert len(small.model[0].bias) == small.n_neurons_after
    assert str(small).startswith(f"{small.n_neurons_after} of 12 neurons, objective 0.")
    value = nn.MSELoss()(small.model(X), y).item()
    value += 0.015 * sum((p.detach() ** 2).sum().item() for p in small.model.parameters())
    assert small.objective_after == pytest.approx(value, rel=1e-5)
    huge = improve(model, X, y, within=1e9, **how)  # never worse than the model given
    assert huge.objective_after <= huge.objective_before
    assert huge.n_neurons_after < best.n_neurons_after
    with pytest.raises(ValueError, match="within must be"):
        improve(model, X, y, within=-1, **how)


@pytest.mark.parametrize("seed", range(2))
def test_scikit_learn_models(seed):
    X, y, _ = table("diabetes")
    X, y = X.numpy().astype(float), y.numpy()[:, 0].astype(float)
    model = MLPRegressor(
        hidden_layer_sizes=(30,), alpha=5.0, solver="lbfgs", max_iter=4000, random_state=seed
    )
    report = audit(model.fit(X, y), X, y, time_limit=0)
    # lbfgs stores the loss it ended with
    assert report.objective == pytest.approx(model.loss_, rel=1e-6)
    digits = MLPClassifier(
        hidden_layer_sizes=(20,), alpha=1.0, batch_size=700, max_iter=30, random_state=seed
    )
    Xd, yd, _ = table("digits")
    with pytest.warns(UserWarning, match="Maximum iterations"):
        digits.fit(Xd.numpy(), yd.numpy())
    report = audit(digits, Xd, yd, time_limit=0)
    assert report.lower_bound < report.objective
    assert report.collapse is not None


def test_labels_that_a_scikit_learn_model_does_not_know_are_refused():
    X, y, _ = table("digits")
    model = MLPClassifier(hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(X.numpy(), y.numpy())
    with pytest.raises(ValueError, match="classes that the model does not know"):
        audit(model, X, y + 1, time_limit=0)


def test_a_zero_objective_has_a_report():
    zero = Network(np.zeros((2, 1)), [0.0], [[0.0]], [0.0])
    X = np.random.default_rng(0).standard_normal((10, 2))
    report = audit(zero, X, np.zeros((10, 1)), loss="mse", weight_decay=0.1, time_limit=0)
    assert report.objective == 0
    assert "rescaling alone saves 0.00%" in str(report)


def test_kinks_and_html(tmp_path):
    X = torch.linspace(-2, 2, 60)[:, None]
    model = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [1.0], [-2.0]]))
        model[0].bias.copy_(torch.tensor([0.5, -1.0, 9.0]))  # the last bends outside the data
    report = audit(model, X, X.abs(), loss=nn.MSELoss(), weight_decay=0.01)
    assert report.kinks == pytest.approx([-0.5, 1.0])
    assert report.layers[0].always_active == 1
    report.to_html(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    # the verdict, what to do, and only then the evidence
    order = [page.index(text) for text in (report.verdict, "What to do next", "<table>")]
    assert order == sorted(order)
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert 'class="wide"' not in page


def test_wide_pictures_can_be_moved_on_a_phone(rng, tmp_path):
    X, y = rng.standard_normal((30, 2)), np.arange(30) % 3
    model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 3))
    loss = nn.CrossEntropyLoss()
    report = audit(model, X, y, loss=loss, weight_decay=0.01, time_limit=0)
    report.to_html(tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert page.count('class="wide"') == 2  # layers and classes
    assert 'class="wide"' not in page[: page.index("What to do next")]  # the gap is read as it is


def test_dead_and_twin_neurons_are_counted_and_pruned(rng):
    X = torch.tensor(rng.uniform(0, 1, (40, 2)), dtype=torch.float32)
    model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[-1.0, -1], [1, 0], [2, 0], [1, -1], [0, -1]]))
        model[0].bias.copy_(torch.tensor([-0.1, -0.5, -1.0, 0.0, 0.5]))
        model[2].weight.copy_(torch.tensor([[1.0, 1, 1, -1, 1]]))
    report = audit(model, X, X[:, :1], loss=nn.MSELoss(), weight_decay=0.01)
    n = report.neurons
    assert (n.total, n.dead, n.duplicate, n.mergeable, n.sufficient) == (5, 1, 1, 1, 3)
    smaller = prune(model, X, X[:, :1], loss=nn.MSELoss(), weight_decay=0.01)
    assert smaller.n_neurons_after == 3
    assert smaller.objective_after < smaller.objective_before
    assert torch.allclose(smaller.model(X), model(X), atol=1e-5)


def test_mistakes_are_one_sentence(rng):
    X, y = rng.standard_normal((10, 3)), rng.standard_normal((10, 1))
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    for options, match in [
        ({"loss": nn.L1Loss(), "weight_decay": 0.1}, "L1Loss"),
        ({"loss": nn.MSELoss()}, "what the weight decay was"),
        ({"weight_decay": 0.1}, "which loss"),
        ({"loss": nn.MSELoss(reduction="none"), "weight_decay": 0.1}, "reduction"),
        ({"loss": nn.BCEWithLogitsLoss(), "weight_decay": 0.1}, "targets 0 or 1"),
        ({"loss": "nonsense", "weight_decay": 0.1}, "choose one of"),
    ]:
        with pytest.raises(ValueError, match=match):
            audit(model, X, y, **options)
    with pytest.raises(ValueError, match="4 features, the model expects 3"):
        audit(model, np.ones((10, 4)), y, loss=nn.MSELoss(), weight_decay=0.1)
    deep = nn.Sequential(*model, nn.ReLU(), nn.Linear(1, 1))
    with pytest.raises(ValueError, match="3 Linear layers"):
        improve(deep, X, y, loss=nn.MSELoss(), weight_decay=0.1)
    model[0].register_forward_hook(lambda module, args, out: 2 * out)
    with pytest.raises(ValueError, match="hook"):
        audit(model, X, y, loss=nn.MSELoss(), weight_decay=0.1)
