"""Units of training and units of the table."""

import numpy as np

from gapless import Network
from gapless.cli.job import Scaling


def test_scaling_and_its_way_back():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(5, 9, (20, 3)), np.full(20, 7.0)])  # one column is constant
    scaling = Scaling.learn(X, rng.normal(3, 4, 20))
    network = Network(*(rng.standard_normal(shape) for shape in ((4, 6), 6, (6, 1), 1)))
    raw = scaling.unscale(network)
    np.testing.assert_allclose(
        scaling.targets(raw.predict(X)),
        network.predict(scaling.features(X, np.arange(20))),
        rtol=1e-10,
        atol=1e-10,
    )
    back = scaling.inverse().unscale(raw)
    for name in ("hidden_weights", "hidden_bias", "output_weights", "output_bias"):
        np.testing.assert_allclose(getattr(back, name), getattr(network, name), atol=1e-12)
