"""Convolutional networks as PyTorch modules and ONNX files compute the same."""

import numpy as np
import pytest

from gapless import Network, Patches, to_onnx, to_torch

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
