"""Descent-ascent: the rate formula, the certificate, kinks, modules."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gapless import ReLUGenerator, WidthSweepDisplay, gda, gda_rate

mpl.use("Agg")


def always_active(seed, k=3, width=5, d=4, spectrum=None):
    """Data, generator and latents on which every neuron stays active: the game is linear."""
    rng = np.random.default_rng(seed)
    Z = rng.uniform(0.5, 1.5, size=(40, k))
    V = rng.normal(size=(width, d))
    if spectrum is not None:  # eigenvalues of J J^T = ||mean z||^2 V^T V
        U, _, Wt = np.linalg.svd(V, full_matrices=False)
        V = (U * np.sqrt(spectrum) / np.linalg.norm(Z.mean(axis=0))) @ Wt
    generator = ReLUGenerator((np.full((k, width), 50.0),), V)
    return generator(Z).mean(axis=0) + 0.1 * rng.normal(size=(30, d)), generator, Z


@given(
    s=st.floats(1e-3, 10),
    eta=st.floats(1e-3, 10),
    mu=st.floats(0.01, 2),
)
def test_the_rate_is_the_spectral_radius(s, eta, mu):
    step = np.array([[1 - mu, mu], [-eta * s, 1]])
    radius = np.abs(np.linalg.eigvals(step)).max()
    rate = float(gda_rate(s, eta, mu))
    assert rate == pytest.approx(radius, rel=1e-6, abs=1e-6)
    assert (rate < 1) == (eta * s < 1) or abs(rate - 1) < 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_the_rate_seen_is_the_rate_predicted(seed):
    rng = np.random.default_rng(seed)
    # a slowest eigenvalue well apart: then what is left is soon along it alone
    spectrum = np.append(np.sort(rng.uniform(0.5, 1, size=3))[::-1], rng.uniform(0.1, 0.25))
    spectrum *= rng.uniform(0.1, 10)
    X, generator, Z = always_active(seed, spectrum=spectrum)
    mu = rng.uniform(0.3, 1.5)
    run = gda(X, generator, Z, n_steps=2000, discriminator_step=mu)
    np.testing.assert_allclose(run.spectrum, spectrum)
    assert run.generator_step == pytest.approx(mu / (4 * spectrum[0]))
    slowest = gda_rate(spectrum, run.generator_step, mu).max()
    assert run.predicted_rate == pytest.approx(slowest, rel=1e-9)
    # well above the rounding of the outputs
    visible = np.flatnonzero(run.gaps > 1e-14 * run.gaps[0])[-1]
    last = run.gaps[visible - 20 : visible + 1]
    assert np.sqrt((last[-1] / last[0]) ** (1 / 20)) == pytest.approx(slowest, abs=1e-4)


def test_steps_are_those_of_the_linear_system():
    X, generator, Z = always_active(0)
    run = gda(X, generator, Z, n_steps=30, generator_step=0.01, discriminator_step=0.7)
    K = np.linalg.norm(Z.mean(axis=0)) ** 2 * generator.output.T @ generator.output
    h, w, gaps = X.mean(axis=0) - generator(Z).mean(axis=0), np.zeros(4), []
    for _ in range(31):
        gaps.append(h @ h / 2)
        h, w = h - 0.01 * K @ w, w + 0.7 * (h - w)
    np.testing.assert_allclose(run.gaps, gaps, rtol=1e-9)


def test_steps_beyond_the_bound_diverge_and_say_so():
    X, generator, Z = always_active(1)
    top = gda(X, generator, Z, n_steps=1).spectrum[0]
    below = gda(X, generator, Z, n_steps=100, generator_step=0.95 / top)
    above = gda(X, generator, Z, n_steps=100, generator_step=1.05 / top)
    assert below.gaps[-1] < below.gaps[0] < above.gaps[-1]
    dead = gda(X, generator, Z, n_steps=100, generator_step=1e6 / top)
    assert dead.gap > below.gaps[0]
    module = torch.nn.Linear(3, 4, dtype=torch.float64)
    far = gda(X, module, Z, n_steps=5000, generator_step=1e6 / top)
    assert far.gap == np.inf
    assert len(far.gaps) < 5000
    assert np.isnan(far.predicted_rate)


@pytest.mark.parametrize("widths", [(256,), (64, 64)])
def test_a_wide_generator_ends_at_a_saddle(widths):
    rng = np.random.default_rng(0)
    X, Z = rng.normal(size=(50, 4)) + [1, 0, -1, 2], rng.normal(size=(100, 4))
    run = gda(X, ReLUGenerator.draw(4, widths, 4, random_state=1), Z, n_steps=1500)
    assert run.gap < 1e-18
    assert run.spectrum[-1] > 0
    assert run.unreachable == pytest.approx(0, abs=1e-20)
    np.testing.assert_allclose(run.generator(Z).mean(axis=0), X.mean(axis=0), atol=1e-9)
    assert abs(run.predicted_rate - run.seen_rate) < 0.1


def test_random_features():
    rng = np.random.default_rng(0)
    X, Z = rng.normal(size=(60, 3)) + 1, rng.normal(size=(100, 4))
    A = rng.normal(size=(3, 8))
    run = gda(X, ReLUGenerator.draw(4, [512], 3, random_state=1), Z, features=A, n_steps=1500)
    h = np.maximum(X @ A, 0).mean(axis=0) - np.maximum(run.generator(Z) @ A, 0).mean(axis=0)
    assert run.gaps[-1] == pytest.approx(h @ h / 2)
    assert run.gaps[-1] <= run.gap <= run.gaps[-1] * (1 + 1e-6) + 1e-20
    assert run.gap < 1e-3 * run.gaps[0]
    assert run.discriminator.shape == (8,)


@pytest.mark.parametrize("seed", range(4))
def test_a_narrow_generator_cannot_leave_its_cone(seed):
    """The Jacobian may be regular all the way: neurons at zero are what stops it."""
    rng = np.random.default_rng(seed)
    X, Z = rng.normal(size=(60, 6)) + np.arange(6) - 2, rng.normal(size=(200, 4))
    run = gda(X, ReLUGenerator.draw(4, [4], 6, random_state=seed), Z, n_steps=2000)
    assert run.unreachable > 0.1
    assert run.unreachable * (1 - 1e-9) <= run.gaps.min() <= 1.2 * run.unreachable


def test_a_module_is_the_same_game():
    X, Z = np.random.default_rng(0).normal(size=(2, 40, 3))
    ours = ReLUGenerator.draw(3, [16, 8], 3, random_state=0)
    layers = [torch.nn.Linear(*W.shape, bias=False, dtype=torch.float64) for W in ours.weights]
    last = torch.nn.Linear(8, 3, bias=False, dtype=torch.float64)
    for layer, W in zip([*layers, last], [*ours.weights, ours.output]):
        layer.weight.data = torch.tensor(W.T.copy())
    last.weight.requires_grad_(False)
    relu = torch.nn.ReLU()
    module = torch.nn.Sequential(layers[0], relu, layers[1], relu, last)
    for features in (None, np.random.default_rng(1).normal(size=(3, 5))):
        a = gda(X, ours, Z, n_steps=40, features=features)
        state = {k: v.clone() for k, v in module.state_dict().items()}
        b = gda(X, module, Z, n_steps=40, features=features)
        np.testing.assert_allclose(a.spectrum, b.spectrum, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(a.gaps, b.gaps, rtol=1e-8, atol=1e-14)
        np.testing.assert_allclose(layers[0].weight.detach().numpy().T, a.generator.weights[0])
        module.load_state_dict(state)
    assert b.generator is module
    assert b.unreachable == 0


def test_tolerance_and_callback_end_a_run():
    X, generator, Z = always_active(0)
    full = gda(X, generator, Z, n_steps=200)
    assert len(full.gaps) == 201
    early = gda(X, generator, Z, n_steps=200, tol=1e-3)
    assert early.gaps[-1] <= 1e-3 < early.gaps[-2]
    seen = []
    gda(X, generator, Z, callback=lambda step, gap: seen.append(gap) or step == 7)
    np.testing.assert_array_equal(seen, full.gaps[:8])


def test_the_gap_is_the_best_answer_and_not_below_it():
    X, generator, Z = always_active(3)
    run = gda(X, generator, Z, n_steps=10)
    h = X.mean(axis=0) - run.generator(Z).mean(axis=0)
    for w in np.random.default_rng(0).normal(size=(50, 4)):
        assert w @ h - w @ w / 2 <= run.gap
    assert h @ h / 2 <= run.gap <= h @ h / 2 * (1 + 1e-6)


X3, Z2 = np.ones((5, 3)), np.ones((5, 2))
DEAD = ReLUGenerator((-np.ones((2, 4)),), np.ones((4, 3)))
FINE = ReLUGenerator((np.ones((2, 4)),), np.ones((4, 3)))


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((X3, FINE, Z2), {"discriminator_step": 3}, "at most 2"),
        ((X3[:, :2], FINE, Z2), {}, "3,. numbers a latent, X has 2"),
        ((X3, FINE, Z2), {"features": np.ones((2, 9))}, "a row for each of the 3 columns"),
        ((X3, DEAD, Z2), {}, "Jacobian of the generator is zero"),
        ((X3, FINE, Z2), {"generator_step": -1}, "positive"),
        ((X3, FINE, Z2 * np.nan), {}, "NaN"),
        ((X3, torch.nn.ReLU(), np.ones((5, 3))), {}, "no parameters"),
    ],
)
def test_input_is_refused(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        gda(*arguments, **options)


def test_other_mistakes_are_named():
    with pytest.raises(TypeError, match="ReLUGenerator or a torch"):
        gda(X3, "wide", Z2)
    with pytest.raises(ValueError, match="weights"):
        ReLUGenerator((np.ones((2, 4)),), np.ones((3, 3)))
    with pytest.raises(ValueError, match="latents have 3"):
        FINE(X3)


def test_width_sweep_display():
    X = np.random.default_rng(0).normal(size=(60, 6)) + np.arange(6) / 2 - 1
    widths = (2, 8, 32, 256)
    display = WidthSweepDisplay.from_data(X, widths=widths, n_starts=5, n_steps=150)
    assert [runs.shape for runs in display.gaps.values()] == [(5, 151)] * 4
    ends = [np.median(runs[:, -1]) for runs in display.gaps.values()]
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] < 1e-12 * ends[0]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == [
        str(width) for width in widths
    ]
    lines = {line.get_label(): line for line in display.ax_.get_lines()}
    np.testing.assert_allclose(
        lines["8"].get_ydata(), np.median(display.gaps[8], axis=0), rtol=1e-12
    )
    display.figure_.canvas.draw()
    again = WidthSweepDisplay(display.gaps).plot(ax=display.ax_)
    assert again.ax_ is display.ax_
