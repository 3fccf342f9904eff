"""ONNX files that answer with a label and probabilities."""

import numpy as np
import pytest

from gapless import Network, ReLUClassifier, to_onnx

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("names", [["no", "yes é"], [3, 5], ["a", "b", "c"], [0, 1, 2]])
def test_labels_and_probabilities(names, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3)).astype(np.float32)
    y = np.array(names)[np.argmax(X[:, : len(names)], axis=1)]
    model = ReLUClassifier(weight_decay=0.05, prove_time=0).fit(X, y)
    to_onnx(model.network_, tmp_path / "m.onnx", classes=model.classes_)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    Y, label, probabilities = session.run(None, {"X": X})
    assert label.tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(Y, model.network_.predict(X), atol=1e-4)
    (alone,) = session.run(["label"], {"X": X[:1]})
    assert alone.tolist() == label[:1].tolist()


def test_classes_that_do_not_fit(tmp_path):
    network = Network(np.eye(2), [0, 0], np.ones((2, 3)), [0, 0, 0])
    with pytest.raises(ValueError, match="2 classes do not fit 3 outputs"):
        to_onnx(network, tmp_path / "m.onnx", classes=["a", "b"])
    assert not (tmp_path / "m.onnx").exists()
