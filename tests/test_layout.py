"""The house rules that a machine can check."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "gapless"
#: what a package may import, besides itself
BELOW = {
    "core": set(),
    "gauge": {"core"},
    "structure": {"core"},
    "bridges": {"core"},
    "kernels": {"core"},
    "certificates": {"gauge", "core"},
    "closed": {"gauge", "core"},
    "games": {"gauge", "core"},
    "training": {"certificates", "gauge", "core"},
    "curves": {"training", "closed", "certificates", "core"},
    "readable": {"training", "certificates", "gauge", "core"},
    "plotting": {"kernels", "readable", "curves", "training", "games", "structure", "core"},
    "estimators": {
        "kernels", "readable", "curves", "training", "closed", "structure", "core",
    },
    "auditing": {
        "plotting", "training", "closed", "structure", "bridges", "certificates", "core",
    },
}  # fmt: skip
BELOW["cli"] = set(BELOW)
FILES = sorted(file for file in SOURCE.rglob("*.py") if file.name != "__init__.py")
HEAVY = {"torch", "matplotlib", "cvxpy", "pandas", "polars", "onnx", "pyarrow", "dask"}
#: compiled loops, which only a long proof loads, or neurons of two features
READABLE = {f"readable.{name}_compiled" for name in ("planes", "climb", "descent")}
COMPILED = {"gauge.boxes_compiled", *READABLE}


def module(file):
    return ".".join(file.relative_to(SOURCE).with_suffix("").parts)


def imports(file, everywhere=False):
    """(module of gapless or None, other module or None) of the imports at a file's top."""
    tree = ast.parse(file.read_text())
    package = module(file).split(".")[:-1]
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from ((None, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield None, node.module
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level]
            yield ".".join([*above, node.module] if node.module else above), None


@pytest.mark.parametrize("file", FILES, ids=module)
def test_packages_import_only_what_is_below_them(file):
    package, *inside = module(file).split(".")
    if not inside:
        return  # the command's door and the faces of old paths
    for ours, _ in imports(file, everywhere=True):
        if ours:
            assert ours.split(".")[0] in {package} | BELOW[package]


@pytest.mark.parametrize("file", FILES, ids=module)
def test_files_import_nothing_heavy_at_their_top(file):
    heavy = HEAVY if module(file) in COMPILED else HEAVY | {"numba"}
    for _, other in imports(file):
        assert other is None or other.split(".")[0] not in heavy


def test_no_file_imports_itself_in_a_circle():
    circle_free = TopologicalSorter(
        {module(file): {ours for ours, _ in imports(file) if ours} for file in FILES}
    )
    circle_free.prepare()


CHECKERS = ["", "_boxes", "_columns", "_pairs", "_patches"]


@pytest.mark.parametrize("name", CHECKERS)
def test_the_checker_of_proofs_imports_nothing_of_ours(name):
    checker = SOURCE / "certificates" / f"verify{name}.py"
    assert {other for _, other in imports(checker, everywhere=True)} <= set(
        sys.stdlib_module_names
    ) | {"numpy"}


def test_importing_gapless_loads_nothing_heavy():
    never = {"torch", "matplotlib", "cvxpy", "dask", "sklearn", "scipy", "pandas"}
    code = f"import sys, gapless; print(*({never!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_training_loads_no_estimators():
    code = "import sys, gapless; gapless.train; print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_public_names_have_docstrings():
    import gapless

    for name in gapless.__all__:
        assert getattr(gapless, name).__doc__, name


def test_every_file_stands_on_the_page_of_the_architecture():
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text()
    inside = [file for file in FILES if file.parent != SOURCE]
    assert [module(file) for file in inside if f"`{file.name}`" not in page] == []
