"""
Filters that tell digits apart
==============================

A convolutional network with a certificate, its strongest filters, and where they fire on a digit.
"""

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from gapless import FilterDisplay, ReLUConvClassifier

digits = load_digits()
X, y = digits.images / 16, digits.target
model = ReLUConvClassifier(size=3, padding=1, weight_decay=1e-3, time_limit=20)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    model.fit(X[:1000], y[:1000])
print(f"{model.n_neurons_} filters, accuracy {model.score(X[1000:], y[1000:]):.3f}")
print(model.certificate_)

FilterDisplay.from_estimator(model, X[0], n_filters=8)
plt.show()
