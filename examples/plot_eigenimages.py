"""
The best generator against a quadratic discriminator
====================================================

It is a Gaussian along the leading principal directions (of faces: eigenfaces), its variances those
of the data less the weight decay.  Top: the mean and the directions.  Below: the same draws from
coarse to fine, as :class:`gapless.ProgressiveMomentGAN` couples them.  Last row: real images.  What
is proven is that no generator of these moments is better, not that the samples look real.

    python examples/plot_eigenimages.py [--npz FILE --key X --components 40] [--out FILE]

Without a file it shows the digits of scikit-learn.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from gapless import MomentGAN, ProgressiveMomentGAN

parser = argparse.ArgumentParser()
parser.add_argument("--npz")
parser.add_argument("--key", default="X")
parser.add_argument("--components", type=int, default=20)
parser.add_argument("--out")
given = parser.parse_args()
if given.npz:
    with np.load(given.npz) as file:
        images = file[given.key] / 255.0
else:
    images = load_digits().images / 16
side, X = images.shape[1], images.reshape(len(images), -1)

model = MomentGAN(n_components=given.components).fit(X)
mark = model.certificate_
print(f"{given.components} directions: objective {mark.objective:.6f}, proven at least "
      f"{mark.lower_bound:.6f}, violation {mark.violation:.1e}")  # fmt: skip
counts = (given.components // 6, given.components // 2, given.components)
stages = ProgressiveMomentGAN((4, 2, 1), (side, side), n_components=counts).fit(X)
worst = max(m.violation / max(m.weight_decay, 1e-12) for m in stages.certificates_)
print(f"stages: violation at most {worst:.1e} of the weight decay")

columns = 10
figure, axes = plt.subplots(5, columns, figsize=(columns, 5.2), layout="constrained")
rows = [np.vstack([model.mean_, model.components_[: columns - 1]])]
rows += stages.sample_stages(columns, random_state=0)
rows.append(X[np.random.default_rng(0).choice(len(X), columns, replace=False)])
names = ("mean, directions", "coarse", "finer", "samples", "real")
for line, pictures, name in zip(axes, rows, names):
    for axis, picture in zip(line, pictures):
        height = round(np.sqrt(picture.size))
        signed = name == "mean, directions" and picture is not pictures[0]
        scale = {"vmin": 0, "vmax": 1} if not signed else {}
        axis.imshow(picture.reshape(height, height), cmap="gray", **scale)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, fontsize=8)
if given.out:
    figure.savefig(given.out, dpi=110)
plt.show()
