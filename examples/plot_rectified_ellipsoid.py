"""
The rectified ellipsoid, its polar and its spikes
=================================================

Figures 2 to 5 of Ergen & Pilanci (JMLR 2021).  A unit neuron u gives the outputs ``(X u)_+`` on
the n samples; all of them make the rectified ellipsoid Q.  Left: the ellipsoid ``X u``.  Middle:
Q with its spikes, the neurons that fire highest on one sample alone.  Right: the polar set, the
dual points v with ``v.q <= 1`` on Q; training is ``max v.y`` over the polar and its mirror image.
Two samples are spike-free exactly when their inner product is not negative.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import nnls

from gapless import spike_free_test

CASES = {
    "spike-free (diagonal)": np.diag([1.0, 0.6]),
    "spikes, smooth and sharp faces": np.array([[1.0, 0.0], [-0.42, 0.8]]),
    "spikes, polyhedral polar": np.array([[1.0, 0.0], [-0.85, 0.4]]),
}
angle = np.linspace(0, 2 * np.pi, 4001)
circle = np.stack([np.cos(angle), np.sin(angle)])


def spikes(X):
    """Ends of Q along the axes: max x_i.u with ||u|| <= 1 and x_j.u <= 0, a projection."""
    ends = []
    for i in range(len(X)):
        others = np.delete(X, i, axis=0)
        u = X[i] - nnls(others.T, X[i])[0] @ others
        size = np.linalg.norm(u)
        ends.append(np.eye(len(X))[i] * (X[i] @ u / size if size > 1e-9 else 0.0))
    return np.array(ends)


figure = plt.figure(figsize=(9.5, 12), layout="constrained")
for row, (name, X) in enumerate(CASES.items()):
    axes = [figure.add_subplot(4, 3, 3 * row + k) for k in (1, 2, 3)]
    E = X @ circle
    Q = np.maximum(E, 0)
    axes[0].plot(*E)
    axes[1].fill(*E, color="0.93")
    axes[1].plot(*Q, lw=2)
    axes[1].plot(*spikes(X).T, "r*", ms=10)
    reach = (Q.T @ circle).max(axis=0)  # of Q in each direction v
    with np.errstate(divide="ignore"):
        polar = circle * np.minimum(1 / reach, 50)
    axes[2].fill(*polar, color="C2", alpha=0.3)
    axes[2].plot(*polar, c="C2")
    wide = 3 * np.abs(polar[:, (reach > 0.2)]).max() / 4
    axes[2].set(xlim=(-wide, wide), ylim=(-wide, wide))
    holds = spike_free_test(X).holds
    print(f"{name}: spike-free test says {holds}, spikes at {spikes(X).max(axis=1).round(3)}")
    for ax, what in zip(
        axes, (f"{name}\nellipsoid", "Q and its spikes", "polar (unbounded below)")
    ):
        ax.set_title(what, fontsize=9)
        ax.axhline(0, c="k", lw=0.5)
        ax.axvline(0, c="k", lw=0.5)
        ax.set_aspect("equal")

# three samples of two features: Q is a closed curve of pieces of ellipses
X = np.array([[1.0, 0.0], [-0.5, 0.85], [-0.4, -0.8]])
E = X @ circle
Q = np.maximum(E, 0)
axes = [figure.add_subplot(4, 3, 9 + k, projection="3d") for k in (1, 2, 3)]
axes[0].plot(*E)
axes[1].plot(*Q, lw=2)
axes[1].plot(*spikes(X).T, "r*", ms=10)
theta, phi = np.meshgrid(np.linspace(0, np.pi / 2, 60), np.linspace(0, np.pi / 2, 60))
V = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
polar = V / np.einsum("nab,nk->abk", V, Q).max(axis=-1)
axes[2].plot_surface(*polar, color="C2", alpha=0.7)
titles = ("three samples in the plane\nellipsoid (flat)", "Q and its spikes", "polar, first octant")
for ax, what in zip(axes, titles):
    ax.set_title(what, fontsize=9)
    ax.tick_params(labelsize=6)
axes[2].view_init(25, 35)
print(f"three samples: spike-free test says {spike_free_test(X).holds}")
plt.show()
