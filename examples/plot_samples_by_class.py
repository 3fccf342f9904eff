"""
Samples by class
================

:class:`gapless.MixtureMomentGAN` solves one game for each cluster of each class, in closed form.
A row is a class: real images left, samples right, those of one Gaussian for all classes below.

    python examples/plot_samples_by_class.py [--npz FILE] [--clusters 20] [--out FILE]

FILE: arrays ``X_train`` of bytes (n, height, width) and ``y_train``, as MNIST; without it the
digits of scikit-learn.
"""

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from gapless import MixtureMomentGAN, MomentGAN
from gapless.games.metrics import precision_recall

parser = argparse.ArgumentParser()
parser.add_argument("--npz")
parser.add_argument("--clusters", type=int, default=20)
parser.add_argument("--out")
given = parser.parse_args()
if given.npz:
    with np.load(given.npz) as file:
        X, y = file["X_train"].reshape(len(file["y_train"]), -1) / 255.0, file["y_train"]
else:
    X, y = load_digits(return_X_y=True)
    X = X / 16
side = round(np.sqrt(X.shape[1]))

start = time.perf_counter()
model = MixtureMomentGAN(n_clusters=given.clusters, n_components=20).fit(X, y)
worst = max(mark.relative_gap for mark in model.certificates_)
print(f"{len(model.certificates_)} games in {time.perf_counter() - start:.1f} s, each within "
      f"{worst:.1e} of its best generator, proven")  # fmt: skip
one = MomentGAN(n_components=20).fit(X)
for name, generator in (("mixture", model), ("one Gaussian", one)):
    precision, recall = precision_recall(X, generator.sample(len(X), 0))
    print(f"{name}: precision {precision:.2f}, recall {recall:.2f} on pixels")

rng, each = np.random.default_rng(0), 8
gap = np.ones((side, 4))
lines = []
for label in model.classes_:
    real = X[rng.choice(np.flatnonzero(y == label), each)]
    drawn = np.clip(model.sample(each, random_state=1, label=label), 0, 1)
    lines.append(np.hstack([*real.reshape(-1, side, side), gap, *drawn.reshape(-1, side, side)]))
plain = np.clip(one.sample(2 * each, random_state=0), 0, 1).reshape(-1, side, side)
lines.append(np.ones((4, lines[0].shape[1])))
lines.append(np.hstack([*plain[:each], gap, *plain[each:]]))
figure, axis = plt.subplots(figsize=(9, 6.6), layout="constrained")
axis.imshow(np.vstack(lines), cmap="gray")
axis.set(xticks=[], yticks=[], title="real | samples by class; last row: one Gaussian for all")
if given.out:
    figure.savefig(given.out, dpi=110)
plt.show()
