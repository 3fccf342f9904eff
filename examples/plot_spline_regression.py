"""
A curve with its proof
======================

Noisy measurements of a curve with a corner.  ``SplineRegressor`` finds the best ReLU network
of any width: a linear spline whose kinks sit on data points.  The certificate says how far any
other network could be below its objective.
"""

import matplotlib.pyplot as plt
import numpy as np

from gapless import SplineDisplay, SplineRegressor

rng = np.random.default_rng(0)
x = 10 * rng.random(400)
y = np.sin(x) + np.maximum(x - 6, 0) + 0.3 * rng.standard_normal(len(x))

model = SplineRegressor().fit(x[:, None], y)
print(f"{model.n_kinks_} kinks, weight decay {model.weight_decay_:.2g}")
print(f"objective {model.certificate_.objective:.8f}")
print(f"no network of any width is below {model.certificate_.lower_bound:.8f}")

SplineDisplay.from_estimator(model, x[:, None], y)
plt.show()
