"""The house rules that a machine can check."""

import ast
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "gapless"
#: a file imports only files before it
ORDER = [
    "_interrupt", "_validate", "files", "_array", "ramps", "deep_prox", "losses", "problem",
    "network", "result", "watch", "lbfgs", "reduction", "oracle", "conditions", "relaxed", "gauge",
    "relaxation", "doubly_nonnegative", "verify", "proofs", "certify", "master", "refine", "start",
    "newton", "train", "interpolate", "path", "cross_validation", "line", "line_fits", "spline",
    "spline_members", "spline_depth", "deep", "whitening", "deep_bound", "closed_linear",
    "closed_form",
    "closed_rank_one", "batch_norm", "spike_free", "extreme_points", "comparison_display",
    "outputs", "kernels", "collapse", "collapse_display", "progress", "estimators", "cv_estimators",
    "random_features", "output_layer", "closed_estimators", "spline_estimators",
    "spline_display", "table", "persist", "displays", "torch_bridge",
    "onnx_bridge", "training_loss", "trained", "audit_report", "audit", "improve",
    "model_files", "terminal", "audit_cli", "job", "cli",
]  # fmt: skip
HEAVY = {"torch", "matplotlib", "cvxpy", "pandas", "polars", "onnx", "pyarrow", "dask"}


def imports(file):
    """(level, module) of the imports at the top of a file."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def test_files_import_only_what_is_above_them():
    files = {f.stem for f in SOURCE.glob("*.py")} - {"__init__", "__main__"}
    assert files == set(ORDER)
    for position, name in enumerate(ORDER):
        for level, module in imports(SOURCE / f"{name}.py"):
            if level:
                assert module == "" or module in ORDER[:position], f"{name} imports {module}"
            else:
                assert module.split(".")[0] not in HEAVY, f"{name} imports {module} at its top"


def test_importing_gapless_loads_nothing_heavy():
    never = {"torch", "matplotlib", "cvxpy", "dask"}  # scikit-learn itself may load pandas
    code = f"import sys, gapless; print(*({never!r} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_public_names_have_docstrings():
    import gapless

    for name in gapless.__all__:
        assert getattr(gapless, name).__doc__, name
