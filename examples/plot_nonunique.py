"""
Four best networks that disagree
================================

Figure 7 of Ergen & Pilanci (JMLR 2021): five samples, and networks of one and the same minimal
norm 8 that differ between 0 and 1, where two neighbouring samples both bend the curve down.
Where it bends inside the interval costs nothing: passing through further points there leaves
the norm at 8, and each network's certificate proves that none is smaller.
"""

import matplotlib.pyplot as plt
import numpy as np

from gapless import interpolate, solve_spline

x = np.array([-2.0, -1, 0, 1, 2])
y = np.array([1.0, -1, 1, 1, -1])
detours = {
    "kinks at samples": [],
    "one kink": [(0.5, 2.0)],
    "two kinks": [(0.25, 1.5), (0.75, 1.5)],
    "three kinks": [(0.4, 1.4), (0.5, 1.45), (0.6, 1.4)],
}

fig, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
grid = np.linspace(-2.2, 2.2, 881)
for name, points in detours.items():
    more = np.array(points).reshape(-1, 2)
    X, Y = np.concatenate([x, more[:, 0]])[:, None], np.concatenate([y, more[:, 1]])
    solution = interpolate(X, Y)
    mark = solution.certificate
    print(f"{name}: norm {mark.objective:.6f}, proven at least {mark.lower_bound:.6f}")
    ax.plot(grid, solution.network.predict(grid[:, None])[:, 0], lw=1.5, label=name)
ax.plot(x, y, "ko", label="samples")
ax.set(title="minimum-norm interpolation is not unique: each of these has norm 8", ylim=(-2, 2.3))
ax.legend(frameon=False, loc="lower center")

# the regularised version, with the paper's value 1999 / 2500000 at weight decay 1e-4
regularised = solve_spline(x, y, weight_decay=1e-4)
print(f"weight decay 1e-4: {regularised.certificate.objective:.9f}, paper {1999 / 2500000:.9f}")
plt.show()
