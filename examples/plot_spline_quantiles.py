"""
Quantile curves
===============

Noise that grows along the axis.  The pinball loss gives the curve below which a chosen share of
the targets lies; each curve is proven optimal for its own problem.
"""

import matplotlib.pyplot as plt
import numpy as np

from gapless import SplineRegressor

rng = np.random.default_rng(0)
x = np.sort(10 * rng.random(600))
y = np.sin(x) + (0.1 + 0.1 * x) * rng.standard_normal(len(x))

fig, ax = plt.subplots(figsize=(8, 5))
ax.scatter(x, y, s=8, color="0.7")
for quantile in (0.1, 0.5, 0.9):
    model = SplineRegressor(quantile=quantile).fit(x[:, None], y)
    below = np.mean(y <= model.predict(x[:, None]))
    gap = model.certificate_.relative_gap
    ax.plot(x, model.predict(x[:, None]), label=f"{quantile}: {below:.2f} below, gap {gap:.0e}")
ax.legend()
plt.show()
