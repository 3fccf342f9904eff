"""Audits of PyTorch modules of one convolution: values as PyTorch's own, bounds, improvements."""

import numpy as np
import pytest

from gapless import audit, improve

torch = pytest.importorskip("torch")
nn = torch.nn
#: module, images or signals (channels first), which parameters decay
CASES = {
    "image, biases decay": ([nn.Conv2d, 2, 5, 2], nn.AvgPool2d(2), (30, 2, 5, 5), 4, True),
    "image, biases free": ([nn.Conv2d, 1, 4, 3], nn.AdaptiveAvgPool2d(1), (30, 1, 6, 6), 1, False),
    "signal": ([nn.Conv1d, 1, 3, 2], nn.Identity(), (30, 1, 6), 5, True),
}


def module(case):
    (kind, channels, filters, size), pool, shape, places, _ = CASES[case]
    torch.manual_seed(0)
    conv, linear = kind(channels, filters, size), nn.Linear(filters * places, 2)
    model = nn.Sequential(conv, nn.ReLU(), pool, nn.Flatten(), linear).double()
    return model, np.random.default_rng(0).standard_normal(shape)


def objective(model, X, y, decay, biases):
    F = model(torch.tensor(X))
    squares = sum((p**2).sum() for p in model.parameters() if biases or p.dim() > 1)
    return nn.functional.mse_loss(F, torch.tensor(y)) + decay / 2 * squares


@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_pytorch_and_bounds_hold(case, tmp_path):
    model, X = module(case)
    biases, decay = CASES[case][-1], 0.05
    y = np.stack(
        [X.max(axis=(1, 2) if X.ndim == 3 else (1, 2, 3)), X.mean(axis=tuple(range(1, X.ndim)))], 1
    )
    options = {"loss": nn.MSELoss(), "weight_decay": decay, "decay_biases": biases}
    report = audit(model, X, y, **options, time_limit=0)
    value = objective(model, X, y, decay, biases)
    slopes = torch.autograd.grad(value, list(model.parameters()))
    assert report.objective == pytest.approx(value.item())
    norm = float(sum((g**2).sum() for g in slopes)) ** 0.5
    assert report.gradient_norm == pytest.approx(norm)
    assert "no better network was looked for" in report.verdict
    report.to_html(tmp_path / "report.html")
    better = improve(model, X, y, **options, tol=0.1, time_limit=1)
    after = objective(better.model, X, y, decay, biases).item()
    assert better.objective_after == pytest.approx(after)
    assert report.lower_bound <= after < report.objective
    kinds = [type(layer) for layer in better.model]
    assert kinds[0] is type(model[0])
    assert kinds[-1] is nn.Linear


def test_filters_of_two_numbers_are_proven():
    model = nn.Sequential(
        nn.Conv1d(1, 3, 2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(9, 1, bias=False)
    )
    X = np.random.default_rng(0).standard_normal((12, 1, 4))
    report = audit(model, X, X.max(axis=2), loss=nn.MSELoss(), weight_decay=0.3, time_limit=4)
    assert report.lower_bound > 0.97 * report.best_objective
    assert "Not the best" in report.verdict


def test_what_it_does_not_read():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 1)
    )
    with pytest.raises(ValueError, match="at most one average pooling"):
        audit(model, np.ones((4, 1, 3, 3)), np.ones((4, 1)), loss=nn.MSELoss(), weight_decay=0.1)
