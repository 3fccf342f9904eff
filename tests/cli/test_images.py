"""``gapless fit images.npz``: a convolutional network, its file, its predictions."""

import csv
import io
import json
import warnings

import numpy as np
import pytest
import safetensors.numpy

from commands import several
from gapless import Network, Patches, ReLUConvClassifier
from gapless.cli.image_files import ImageModel, is_image_model, load_images, save_images
from gapless.core.checks import InputError


def bars(n, rng, channels=None):
    """Images with a bright row or a bright column somewhere, and which it is."""
    X, y = 0.3 * rng.standard_normal((n, 6, 6)), rng.integers(2, size=n)
    for image, upright in zip(X, y):
        (image.T if upright else image)[rng.integers(6)] += 2
    return (X if channels is None else np.stack([X] * channels, axis=-1)), y


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    X, y = bars(120, rng)
    names = np.array(["flat", "tall"])[y]
    np.savez(folder / "named.npz", X=np.clip(40 * X + 100, 0, 255).astype(np.uint8), y=names)
    V, w = bars(60, rng, 3)
    A, b = bars(80, rng, 3)
    np.savez(folder / "parts.npz", X_train=A, y_train=b, X_test=V, y_test=w)
    np.savez(folder / "signals.npz", X=X[:, 0], y=X[:, 0].max(axis=1))
    np.savez(folder / "bare.npz", X=X)
    np.savez(folder / "texts.npz", X=np.array([["a", "b"]]), y=[1])
    np.savez(folder / "short.npz", X=X, y=y[:5])
    np.savez(folder / "other.npz", Z=X)
    (folder / "junk.npz").write_bytes(b"PK junk")
    return folder


def test_from_images_to_predictions(folder):
    data, model = folder / "named.npz", folder / "m.safetensors"
    fit = [
        "fit",
        data,
        "--size",
        3,
        "--weight-decay",
        0.01,
        "--tol",
        0.1,
        "--time-limit",
        6,
        "--prove-time",
        0,
    ]
    picture = folder / "m.png"
    made = several(
        [*fit, "--out", model, "--plot", picture, "--json"],
        ["predict", model, data],
        ["predict", model, data, "--out", folder / "p.csv"],
        ["info", model],
        ["info", model, "--json"],
    )
    assert made[0][0] in (0, 1)
    assert [code for code, _, _ in made[1:]] == [0] * 4
    facts = json.loads(made[0][1])
    assert facts["test_score"] > 0.9
    assert 0 <= facts["lower_bound"] <= facts["objective"]
    assert picture.stat().st_size > 5000
    rows = list(csv.DictReader(io.StringIO(made[1][1])))
    assert (folder / "p.csv").read_text().splitlines() == made[1][1].splitlines()
    truth = np.load(data)["y"]
    assert np.mean([row["prediction"] == name for row, name in zip(rows, truth)]) > 0.9
    chances = np.array([[float(r[f"probability of {c}"]) for c in ("flat", "tall")] for r in rows])
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert [("flat", "tall")[k] for k in chances.argmax(axis=1)] == [r["prediction"] for r in rows]
    said = json.loads(made[4][1])
    assert (said["classes"], said["images"], said["filters"]) == (
        ["flat", "tall"],
        [6, 6, 1],
        [3, 3],
    )
    assert "places" in made[3][1]


@pytest.mark.parametrize("way", [["--whiten"], ["--raw"], ["--pool", "2", "--stride", "2"]])
def test_the_file_predicts_as_the_estimator_does(folder, way):
    data, model = folder / "parts.npz", folder / f"{way[0]}.safetensors"
    fit = ["fit", data, "--size", 3, "--weight-decay", 0.02, "--tol", 0.1, "--time-limit", 4]
    ((_, out, _),) = several([*fit, *way, "--out", model, "--json"])
    facts, found = json.loads(out), load_images(model)
    arrays = np.load(data)
    guess = found.predictions(arrays["X_test"])["prediction"]
    assert np.mean(guess == arrays["y_test"]) == pytest.approx(facts["test_score"])
    assert facts["test_score"] > 0.8
    assert (facts["n_train"], facts["n_test"]) == (80, 60)
    if way == ["--raw"]:
        options = {"weight_decay": 0.02, "tol": 0.1, "time_limit": 4}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the time may be over
            direct = ReLUConvClassifier(3, **options).fit(arrays["X_train"], arrays["y_train"])
        assert np.mean(direct.predict(arrays["X_test"]) == guess) > 0.95


def test_signals_and_numbers_are_a_regression(folder):
    data, model = folder / "signals.npz", folder / "s.safetensors"
    fit = ["fit", data, "--size", 2, "--tol", 0.1, "--time-limit", 8, "--prove-time", 0]
    made = several([*fit, "--out", model], ["predict", model, data, "--json"], ["info", model])
    assert "R2 train / test" in made[0][1]
    assert "chosen on a quarter held out" in made[0][1]
    assert "regression of images (6,)" in made[0][1]
    guess = np.array(json.loads(made[1][1])["prediction"])
    assert np.corrcoef(guess, np.load(data)["y"])[0, 1] > 0.6


def test_what_is_refused_in_one_sentence(folder):
    cases = {
        "bare": "has no y", "texts": "must be numbers", "short": "one label for each image",
        "other": "has no array X", "junk": "not a .npz file", "missing": "no such file",
    }  # fmt: skip
    made = several(*(["fit", folder / f"{name}.npz"] for name in cases))
    for (code, _, error), words in zip(made, cases.values()):
        assert code == 2
        assert error.count("\n") == 1
        assert words in error
    more = several(
        ["fit", folder / "named.npz", "--size", 9],
        ["fit", folder / "named.npz", "--pool", "most"],
        ["fit", folder / "named.npz", "--loss", "huber"],
        ["fit", folder / "named.npz", "--weight-decay", "-1"],
    )
    for (code, _, error), words in zip(more, ("size=9", "pool", "loss", "weight-decay")):
        assert (code, words in error) == (2, True)


def test_damaged_model_files_are_refused(folder, rng):
    model = folder / "d.safetensors"
    windows, unit = Patches(rng.standard_normal((2, 6, 6, 3)), 3).windows, np.eye(3)
    network = Network(
        rng.standard_normal((27, 2)), np.zeros(2), rng.standard_normal((2, 16)), np.zeros(1)
    )
    unit = unit.reshape(1, 1, 3, 3)
    save_images(model, ImageModel(network, windows, np.zeros(3), unit, [0, 1], "hinge", {}))
    assert load_images(model).outputs(rng.standard_normal((4, 6, 6, 3))).shape == (4, 1)
    assert is_image_model(model)
    whole, tensors = model.read_bytes(), safetensors.numpy.load_file(model)
    with safetensors.safe_open(model, framework="numpy") as file:
        metadata = file.metadata()
    header = json.loads(metadata["header"])

    def broken(changes, **arrays):
        text = json.dumps(header | changes)
        model.write_bytes(safetensors.numpy.save(tensors | arrays, metadata | {"header": text}))
        with pytest.raises(InputError, match=r"damaged"):
            load_images(model)

    windows = header["windows"]
    broken({"windows": windows | {"size": [3, -3]}})
    broken({"windows": windows | {"size": [3, 5]}})
    broken({"windows": windows | {"channels": 2}})
    broken({"windows": windows | {"pool": [2]}})
    broken({"windows": None})
    broken({"classes": ["one"]})
    broken({}, hidden_bias=np.zeros(3))
    broken({}, image_mean=np.zeros(1))
    broken({}, image_mean=np.full(3, np.nan))
    for cut in rng.integers(1, len(whole), 5):
        model.write_bytes(whole[:cut])
        with pytest.raises(InputError):
            load_images(model)
    model.write_bytes(whole)
    ((code, _, error),) = several(["predict", model, folder / "named.npz"])
    assert (code, "channels" in error) == (2, True)
