"""
Decision regions on a line
==========================

One flower species lies between two others along petal length.  The score is a linear spline;
its zero crossings end the decision regions.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_iris

from gapless import SplineClassifier, SplineDisplay

X, y = load_iris(return_X_y=True)
X, y = X[:, 2:3], y == 1

fig, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
for ax, loss in zip(axes, ("logistic", "hinge")):
    model = SplineClassifier(loss=loss, weight_decay=0.01).fit(X, y)
    SplineDisplay.from_estimator(model, X, y, ax=ax)
    ax.set_title(f"{loss}: {model.score(X, y):.1%} right, {model.n_kinks_} kinks")
plt.show()
