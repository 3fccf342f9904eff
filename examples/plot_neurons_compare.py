"""
What neurons compare
====================

Every best neuron is a comparison of samples with others (Ergen & Pilanci, JMLR 2021, Lemma 7 and
Corollary 1).  Above all, the neurons that fire on a single image: the image minus the best
mixture of all others.  Then the strongest neurons of a network trained on a table.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, load_digits

from gapless import ComparisonDisplay, Problem, extreme_points, train

digits = load_digits()
points = extreme_points(digits.data[:500])
print(f"{points.is_vertex.sum()} of 500 digits are vertices of the hull of all")
names = [f"a {label}" for label in digits.target[:500]]
hardest = np.argsort(points.height)[[0, 1, -2, -1]]
ComparisonDisplay.from_extreme_points(
    points, digits.data[:500], hardest, image_shape=(8, 8), sample_names=names
)

data = load_diabetes()
X = data.data[:150] / data.data.std(axis=0)
y = (data.target[:150] - data.target.mean()) / data.target.std()
problem = Problem(X, y, weight_decay=0.1)
network = train(problem).network
ComparisonDisplay.from_network(network, problem, feature_names=data.feature_names)
plt.show()
