"""Every estimator, and data and parameters that make its fit quick."""

import inspect

import numpy as np
from sklearn.base import BaseEstimator

import gapless

ESTIMATORS = [
    kind
    for kind in (getattr(gapless, name) for name in gapless.__all__)
    if inspect.isclass(kind) and issubclass(kind, BaseEstimator)
]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 2))
WIDE = RNG.standard_normal((4, 9))  # rows that whitening makes independent
IMAGES = RNG.uniform(size=(24, 36))
EASY = {
    "AdditiveReLURegressor": {"weight_decay": 0.1},
    "AdditiveReLUClassifier": {"weight_decay": 0.1},
    "ReLURegressor": {"weight_decay": 0.1},
    "ReLUClassifier": {"weight_decay": 0.1},
    "ReLURegressorCV": {"n_values": 3, "cv": 2},
    "ReLUClassifierCV": {"n_values": 3, "cv": 2},
    "ImageWhitener": {"size": 1},
    "MixtureMomentGAN": {"n_clusters": 2, "n_components": 2},
    "ProgressiveMomentGAN": {"image_shape": (6, 6)},
    "ReLUConvRegressor": {"size": 2, "weight_decay": 0.1},
    "ReLUConvClassifier": {"size": 2, "weight_decay": 0.1},
    "ConvexRandomFeatures": {"n_filters": 4, "patch_size": 3, "image_shape": (6, 6)},
}


def samples(name):
    if name in ("ConvexRandomFeatures", "ProgressiveMomentGAN"):
        return IMAGES
    return WIDE if name in ("RowWhitener", "WhitenedReLURegressor", "WhitenedReLUClassifier") else X
