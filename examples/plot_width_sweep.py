"""
Width conditions the game
=========================

The claim of Balaji et al. (ICLR 2021) as one picture: simultaneous gradient descent-ascent on a
one-layer generator against a linear discriminator (left) and random ReLU features (right).  The
curves are duality gaps: how far each generator is from the best one, at every step, whatever the
curve looks like.  Narrow generators end where the dotted lines are: the mean of the data is not in
the cone of their output layer, and no descent changes that.

    python examples/plot_width_sweep.py [--steps 200] [--starts 5] [--widest 1024] [--out FILE]
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np

from gapless import ReLUGenerator, WidthSweepDisplay, gda

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--starts", type=int, default=5)
parser.add_argument("--widest", type=int, default=1024)
parser.add_argument("--out")
given = parser.parse_args()

rng = np.random.default_rng(0)
X = rng.normal(size=(500, 6)) + np.arange(6) / 2 - 1
widths = [width for width in (2, 4, 8, 16, 64, 256, 1024) if width <= given.widest]
options = {"widths": widths, "n_starts": given.starts, "n_steps": given.steps}

figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
linear = WidthSweepDisplay.from_data(X, **options, ax=axes[0])
features = rng.normal(size=(6, 8)) / np.sqrt(6)
WidthSweepDisplay.from_data(X, features=features, **options, ax=axes[1])
axes[0].set_title("linear discriminator")
axes[1].set_title("8 random ReLU features")
for width, runs in linear.gaps.items():
    print(f"width {width:5d}: gap {np.median(runs[:, -1]):.1e}, "
          f"unreachable {np.median(linear.unreachable[width]):.1e}")  # fmt: skip

latents = rng.normal(size=(200, 4))
run = gda(X, ReLUGenerator.draw(4, [given.widest], 6, random_state=0), latents, n_steps=given.steps)
print(f"width {given.widest}: ||h|| falls by {run.seen_rate:.3f} a step, by "
      f"{run.predicted_rate:.3f} as the spectrum predicts; proven gap {run.gap:.1e}")  # fmt: skip
if given.out:
    figure.savefig(given.out, dpi=110)
plt.show()
