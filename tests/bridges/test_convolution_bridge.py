"""Convolutional networks as PyTorch modules and ONNX files compute the same."""

import numpy as np
import pytest

from gapless import (
    Network,
    Patches,
    Problem,
    certify,
    from_torch_convolution,
    to_onnx,
    to_torch,
    train,
)

torch = pytest.importorskip("torch")
#: images, size, stride, padding, pool
CASES = {
    "image": ((4, 7, 8), 3, 1, 0, 2),
    "uneven": ((4, 7, 8), (2, 3), (1, 2), (0, 1), (4, 3)),
    "colours": ((4, 6, 6, 3), 2, 1, 1, "global"),
    "no pooling": ((4, 5, 5), 3, 1, 0, "none"),
    "signal": ((4, 11), 3, 2, 1, 2),
    "signal of channels": ((4, 11, 2), (3,), 1, 0, "grid"),
}


def network_on(patches, rng):
    return Network(
        rng.standard_normal((patches.shape[1], 5)), rng.standard_normal(5),
        rng.standard_normal((5, 2 * patches.places)), rng.standard_normal(2),
    )  # fmt: skip


def channels_first(images, windows):
    if images.ndim == len(windows.size) + 1:
        images = images[..., None]
    return np.moveaxis(images, -1, 1).astype(np.float32)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_same_outputs(case, rng, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    images = rng.standard_normal(case[0])
    patches = Patches(images, *case[1:])
    network = network_on(patches, rng)
    X, F = channels_first(images, patches.windows), network.predict(patches)
    model = to_torch(network, windows=patches.windows)
    np.testing.assert_allclose(model(torch.tensor(X)).detach().numpy(), F, rtol=1e-4, atol=1e-4)
    to_onnx(network, tmp_path / "m.onnx", windows=patches.windows)
    out = runtime.InferenceSession(str(tmp_path / "m.onnx")).run(None, {"X": X})[0]
    np.testing.assert_allclose(out, F, rtol=1e-4, atol=1e-4)


def test_layers_and_what_is_refused(rng, tmp_path):
    patches = Patches(rng.standard_normal((4, 6, 6)), 3, pool=2)
    network = network_on(patches, rng)
    kinds = [type(layer).__name__ for layer in to_torch(network, windows=patches.windows)]
    assert kinds == ["Conv2d", "ReLU", "AvgPool2d", "Flatten", "Linear"]
    with pytest.raises(ValueError, match="give the windows"):
        to_torch(network)
    with pytest.raises(ValueError, match="give the windows"):
        to_onnx(network, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="not one on such patches"):
        to_torch(network, windows=Patches(np.ones((1, 6, 6)), 2).windows)
    with pytest.raises(ValueError, match="has biases"):
        to_torch(network, bias=False, windows=patches.windows)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_there_and_back(case, rng):
    images = rng.standard_normal(case[0])
    patches = Patches(images, *case[1:])
    network = network_on(patches, rng)
    model = to_torch(network, windows=patches.windows, dtype=torch.float64)
    shape = tuple(n - 2 * p for n, p in zip(patches.windows.shape, patches.windows.padding))
    found, windows = from_torch_convolution(model, shape)
    assert windows == patches.windows
    np.testing.assert_allclose(found.predict(windows.of(images)), network.predict(patches))


def test_a_torch_model_is_certified_and_improved(rng):
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 3, 2, bias=False), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), nn.Linear(3, 1, bias=False),
    ).eval()  # fmt: skip
    images, y = rng.standard_normal((12, 6)), rng.standard_normal(12)
    network, windows = from_torch_convolution(model, (6,))
    outputs = model(torch.tensor(images[:, None]).float()).detach().numpy()
    np.testing.assert_allclose(network.predict(windows.of(images)), outputs, atol=1e-5)
    known = certify(network, windows.of(images), y, weight_decay=0.02, bias="none")
    problem = Problem(windows.of(images), y, weight_decay=0.02, bias="none")
    better = train(problem, init=network)
    assert 0 < known.lower_bound <= better.certificate.objective <= known.objective
    assert better.certificate.relative_gap <= 1e-3


def test_torch_models_that_are_refused():
    nn = torch.nn
    conv, relu, flat = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()

    def refused(words, *layers, shape=(6, 6)):
        with pytest.raises(ValueError, match=words):
            from_torch_convolution(nn.Sequential(*layers), shape)

    refused("its layers are Conv2d, Flatten", conv, flat, nn.Linear(32, 1))
    refused("its layers", conv, relu, nn.MaxPool2d(2), flat, nn.Linear(8, 1))
    refused("its layers", nn.AvgPool2d(2), conv, relu, flat, nn.Linear(8, 1))
    refused("no dilation", nn.Conv2d(1, 2, 2, dilation=2), relu, flat, nn.Linear(32, 1))
    refused("zeros as padding", nn.Conv2d(1, 2, 3, padding="same"), relu, flat, nn.Linear(9, 1))
    refused("ceil_mode", conv, relu, nn.AvgPool2d(3), flat, nn.Linear(2, 1))
    other = nn.AvgPool2d(2, divisor_override=3)
    refused("divisor_override", conv, relu, other, flat, nn.Linear(2, 1))
    refused("kernel as stride", conv, relu, nn.AvgPool2d(2, 1), flat, nn.Linear(18, 1))
    refused("output size 1", conv, relu, nn.AdaptiveAvgPool2d(2), flat, nn.Linear(8, 1))
    refused("is the shape right", conv, relu, flat, nn.Linear(32, 1), shape=(7, 7))
    refused("one an axis", conv, relu, flat, nn.Linear(32, 1), shape=(6,))
    with pytest.raises(TypeError, match="Sequential"):
        from_torch_convolution(conv, (6, 6))
