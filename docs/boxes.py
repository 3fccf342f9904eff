"""Draw the boxes of directions that prove a gauge (docs/images/boxes.png).

python docs/boxes.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from gapless.gauge.boxes import Cone, bound_boxes
from gapless.gauge.tree import halves, roots

RATIO = 1.001


def leaves(cone, G):
    """Centres and half-widths of the boxes that a search at G closes."""
    U, W = roots(cone.normed)
    boxes, found = (U, W, np.zeros_like(U), np.ones((len(U), 2), dtype=bool)), []
    while len(boxes[0]):
        U, W, mean, open_ = boxes
        bound = bound_boxes(cone, G, U, W, mean, open_)
        still = bound.bound > 0
        at, closed = np.flatnonzero(still.any(axis=1)), ~still.any(axis=1)
        found.append((U[closed], W[closed]))
        both = halves(U[at], W[at], bound.mean[at], still[at], bound.edge[at])
        boxes = tuple(np.concatenate(x) for x in zip(*both))
    return tuple(np.concatenate(x) for x in zip(*found))


def main():
    rng = np.random.default_rng(3)
    X, lam = rng.standard_normal((200, 3)), rng.standard_normal(200)
    cone = Cone.of(X, lam, np.ones(3))
    grid = np.linspace(-1, 1, 301)
    a, b = np.meshgrid(grid, grid)
    faces = [np.insert(np.stack([a.ravel(), b.ravel()], axis=1), k, 1.0, axis=1) for k in range(3)]
    values = [np.maximum(cone.value(F), cone.value(-F)) / np.linalg.norm(F, axis=1) for F in faces]
    top = max(v.max() for v in values)
    U, W = leaves(cone, RATIO * top)
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
    for k, ax in enumerate(axes):
        shown = ax.pcolormesh(
            grid, grid, values[k].reshape(a.shape) / top, vmin=0, vmax=1, cmap="YlGnBu"
        )
        on = (U[:, k] == 1) & (W[:, k] == 0)
        i, j = (m for m in range(3) if m != k)
        patches = [
            Rectangle((u[i] - w[i], u[j] - w[j]), 2 * w[i], 2 * w[j])
            for u, w in zip(U[on], W[on], strict=True)
        ]
        ax.add_collection(
            PatchCollection(patches, facecolor="none", edgecolor="0.25", linewidth=0.6)
        )
        if values[k].max() == top:
            at = int(np.argmax(values[k]))
            ax.plot(faces[k][at, i], faces[k][at, j], "r*", markersize=11, label="best neuron")
            ax.legend(loc="lower left")
        ax.set(title=f"face u{k + 1} = 1: {on.sum()} boxes", xlabel=f"u{i + 1}", ylabel=f"u{j + 1}")
        ax.set_aspect("equal")
    figure.colorbar(shown, ax=axes, label="gauge of u or -u, of its largest")
    figure.savefig(Path(__file__).parent / "images" / "boxes.png", dpi=110)


if __name__ == "__main__":
    main()
