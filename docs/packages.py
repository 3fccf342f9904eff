"""Draw docs/images/packages.svg, the packages and who imports whom: ``python docs/packages.py``.

Read from the imports as they are.  An arrow is left out where others lead there already.
"""

from __future__ import annotations

import ast
import itertools
import textwrap
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "gapless"
#: of a box, where columns and levels are one apart
WIDTH, HEIGHT = 0.88, 0.7
COLUMNS = 4


def imports(package: Path) -> set[str]:
    """The packages that files of this one import."""
    found = set()
    for file in package.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found |= {name.split(".")[0] for name in names}
    return found


def arrows() -> dict[str, set[str]]:
    packages = [file.parent for file in SOURCE.glob("*/__init__.py")]
    names = {package.name for package in packages}
    direct = {package.name: imports(package) & names for package in sorted(packages)}

    @cache
    def below(name: str) -> frozenset[str]:
        return frozenset().union(*({other} | below(other) for other in direct[name]))

    return {
        name: {o for o in others if not any(o in below(p) for p in others - {o})}
        for name, others in direct.items()
    }


def levels(graph: dict[str, set[str]]) -> dict[str, int]:
    """Steps from the top: as low as what uses it allows, so that arrows are short."""

    @cache
    def depth(name: str) -> int:
        return 1 + max((depth(other) for other in graph[name]), default=-1)

    used_by = {name: [n for n, others in graph.items() if name in others] for name in graph}

    @cache
    def place(name: str) -> int:
        return min((place(user) for user in used_by[name]), default=depth(name) + 1) - 1

    return {name: place(name) for name in graph}


def chains(graph: dict[str, set[str]], name: str) -> list[list[str]]:
    """All ways down from a package."""
    ways = [way for other in sorted(graph[name]) for way in chains(graph, other)]
    return [[name, *way] for way in ways or [[]]]


def columns(graph: dict[str, set[str]], level: dict[str, int]) -> dict[str, int]:
    """The longest chain stands in the first column; the rest where fewest arrows cross a box."""
    chain = max((c for name in graph for c in chains(graph, name)), key=len)
    rest = [name for name in graph if name not in chain]

    def cost(column: dict[str, int]) -> float:
        places = {(column[n], level[n]) for n in graph if level[n]}
        total = 1000.0 * (len(graph) - 1 - len(places))
        for name, other in ((n, o) for n in graph for o in graph[n]):
            to = column[other] if level[other] else column[name]
            steps = level[name] - level[other]
            total += (to - column[name]) ** 2 / steps + 0.01 * column[name]
            between = [(column[name] + (to - column[name]) * i / steps, level[name] - i)
                       for i in range(1, steps)]  # fmt: skip
            total += 50 * sum(abs(x - c) < 0.8 for x, y in between for c, r in places if r == y)
        return total

    fixed = dict.fromkeys(chain, 0)
    tries = itertools.product(range(1, COLUMNS), repeat=len(rest))
    return min((fixed | dict(zip(rest, at)) for at in tries), key=cost)


def draw():
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "gapless"})  # equal runs, text
    import matplotlib.pyplot as plt

    graph = arrows()
    level = levels(graph)
    column = columns(graph, level)
    wide = max(column.values()) + 1
    figure, ax = plt.subplots(figsize=(2.3 * wide, max(level.values()) + 1))
    figure.subplots_adjust(0, 0, 1, 1)
    for name in graph:
        x, y = column[name], level[name]
        below = sorted(graph[name], key=lambda other: column[other] if level[other] else 0)
        for i, other in enumerate(below, 1):
            start = x + WIDTH * (i / (len(below) + 1) - 0.5)
            users = sorted((n for n in graph if other in graph[n]), key=column.get)
            share = (users.index(name) + 1) / (len(users) + 1) - 0.5
            end = column[other] + WIDTH * share if level[other] else start
            ax.annotate(
                "", (end, level[other] + HEIGHT / 2), (start, y - HEIGHT / 2),
                arrowprops={"arrowstyle": "-|>", "color": "#667788", "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
        # what stands on nothing bears all
        left, width = (x - WIDTH / 2, WIDTH) if y else (-WIDTH / 2, wide - 1 + WIDTH)
        box = (left, y - HEIGHT / 2), width, HEIGHT
        ax.add_patch(plt.Rectangle(*box, facecolor="#eef3fb", edgecolor="#445566"))
        words = ast.get_docstring(ast.parse((SOURCE / name / "__init__.py").read_text())) or ""
        words = textwrap.fill(words.split("\n")[0].rstrip("."), int(40 * width))
        centre = left + width / 2
        ax.text(centre, y + 0.21, name, ha="center", va="center", weight="bold", size=11)
        ax.text(centre, y + 0.09, words, ha="center", va="top", size=7, linespacing=1.1)
    ax.set(xlim=(-0.5, wide - 0.5), ylim=(-0.5, max(level.values()) + 0.5))
    ax.axis("off")
    return figure


if __name__ == "__main__":
    draw().savefig(ROOT / "docs" / "images" / "packages.svg", metadata={"Date": None})
