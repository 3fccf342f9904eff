"""
A kernel network, layer by layer
================================

Handwritten digits of scikit-learn.  Above: what each kernel sees of images that the network was not
trained on, classes in order; hidden layers are solved for, one after another, and make the classes
squares.  Below: errors by depth and number of training images, and the leave-one-out errors that
the hidden layers foretell without any test image.

    python examples/plot_kernel_network.py [--sizes 100 200 400 1000] [--repeats 3]
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gapless import GramDisplay, KernelNetworkClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--sizes", type=int, nargs="+", default=[100, 200, 400, 1000])
parser.add_argument("--repeats", type=int, default=3)
given = parser.parse_args()
X, y = load_digits(return_X_y=True)
X = X / 16.0
# the median distance and the best width hardly depend on the number of images
how = {"gamma": 2.0}

figure = plt.figure(figsize=(12.5, 7.4), layout="constrained")
above, below = figure.subfigures(2, 1)
train, test, labels, truth = train_test_split(
    X, y, train_size=given.sizes[-1], stratify=y, random_state=0
)
model = KernelNetworkClassifier(2, **how).fit(train, labels)
display = GramDisplay.from_estimator(model, test, truth, ax=above.subplots(1, 3))
for layer in model.hidden_:
    print(
        f"hidden layer: gamma {layer.gamma:g}, ridge {layer.ridge:.1e}, leave-one-out error "
        f"{layer.loo_error:.2%}, objective {layer.objective:.3g}, proven within "
        f"{layer.objective_gap:.1e}"
    )
print("alignment", " -> ".join(f"{a:.2f}" for a in display.alignments))
hardest = max(model.hidden_targets_, key=lambda t: t.objective - t.lower_bound)
print(
    f"{hardest.classes[0]} against {hardest.classes[1]}: the output's objective is "
    f"{hardest.objective:.3f}, no hidden map reaches below {hardest.lower_bound:.3f}"
)

errors = np.zeros((3, len(given.sizes), given.repeats))
foretold = np.zeros((len(given.sizes), given.repeats))
for i, size in enumerate(given.sizes):
    for seed in range(given.repeats):
        train, test, labels, truth = train_test_split(
            X, y, train_size=size, stratify=y, random_state=seed
        )
        for depth in range(3):
            model = KernelNetworkClassifier(depth, **how).fit(train, labels)
            errors[depth, i, seed] = 1 - model.score(test, truth)
        foretold[i, seed] = model.hidden_[0].loo_error
axis = below.subplots()
for depth, curve in enumerate(errors):
    axis.plot(given.sizes, 100 * curve.mean(axis=1), "o-", label=f"{depth} hidden layers")
    print(
        f"{depth} hidden layers: errors",
        dict(zip(given.sizes, curve.mean(axis=1).round(4).tolist())),
    )
axis.plot(given.sizes, 100 * foretold.mean(axis=1), "k:", label="foretold by the first layer")
axis.set(xscale="log", xlabel="training images", ylabel="error, %", title="learning curves")
axis.set_xticks(given.sizes, given.sizes)
axis.minorticks_off()
axis.legend(frameon=False)
plt.show()
