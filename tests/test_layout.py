"""The house rules that a machine can check."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "gapless"
HEAVY = {"torch", "matplotlib", "cvxpy", "pandas", "polars", "onnx", "pyarrow", "dask"}


def imports(file):
    """(level, module) of the imports at the top of a file."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def module(file):
    return ".".join(file.relative_to(SOURCE).with_suffix("").parts)


def test_files_import_each_other_in_one_direction():
    below = {}
    for file in SOURCE.rglob("*.py"):
        if file.name == "__init__.py":
            continue
        name = module(file)
        below[name] = set()
        for level, imported in imports(file):
            if level:
                package = name.split(".")[:-level] if level <= name.count(".") + 1 else []
                below[name].add(".".join([*package, imported] if imported else package))
            else:
                assert imported.split(".")[0] not in HEAVY, f"{name} imports {imported} at its top"
    TopologicalSorter(below).prepare()  # raises for a circle


def test_importing_gapless_loads_nothing_heavy():
    never = {"torch", "matplotlib", "cvxpy", "dask"}  # scikit-learn itself may load pandas
    code = f"import sys, gapless; print(*({never!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_public_names_have_docstrings():
    import gapless

    for name in gapless.__all__:
        assert getattr(gapless, name).__doc__, name
