"""Is what gapless returns still the same, to the last bit?

    python -m benchmarks.behaviour record FILE      # before a change that should change nothing
    python -m benchmarks.behaviour compare FILE     # after it; exit code 1 where anything differs

Seventy problems: every loss, bias rule, shape, solver, estimator and command.  Seconds are left
out, and no solve has a time limit, so that two runs on one machine agree.
"""

from __future__ import annotations

import argparse
import dataclasses
import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .behaviour_cases import CASES

#: fields that hold seconds
CLOCKS = {"seconds", "time", "wall", "fit_seconds"}


def flat(value: Any) -> Any:
    """``value`` as dicts, lists, arrays and plain values: classes may move, fields may not."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"class": type(value).__name__} | {
            k: flat(v) for k, v in fields.items() if k not in CLOCKS
        }
    if isinstance(value, dict):
        return {str(k): flat(v) for k, v in value.items() if k not in CLOCKS}
    if isinstance(value, (list, tuple)):
        return [flat(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype != object:
        return np.array(value)
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "name") and hasattr(value, "value"):  # an enum
        return [value.name, str(value.value)]
    return type(value).__name__


def differences(old: Any, new: Any, where: str) -> list[str]:
    """Where two flat values differ."""
    if type(old) is not type(new):
        return [f"{where}: {old!r:.80} / {new!r:.80}"]
    if isinstance(old, dict):
        if old.keys() != new.keys():
            return [f"{where}: fields {sorted(old.keys() ^ new.keys())}"]
        return [d for k in old for d in differences(old[k], new[k], f"{where}.{k}")]
    if isinstance(old, list):
        if len(old) != len(new):
            return [f"{where}: {len(old)} / {len(new)} entries"]
        pairs = enumerate(zip(old, new))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{where}[{i}]")]
    if isinstance(old, np.ndarray):
        if old.shape != new.shape:
            return [f"{where}: shape {old.shape} / {new.shape}"]
        if old.tobytes() != new.tobytes():
            off = np.max(np.abs(old - new)) if old.dtype.kind == "f" else "?"
            return [f"{where}: arrays differ by {off}"]
        return []
    if isinstance(old, str):  # the command prints seconds as well
        old, new = (re.sub(r"(?m)^seconds +[\d.]+ *$", "seconds", text) for text in (old, new))
    same = old == new or (old != old and new != new)
    return [] if same else [f"{where}: {old!r:.300} / {new!r:.300}"]


def record(only: str) -> dict[str, Any]:
    answers = {}
    for name, make in CASES.items():
        if not re.search(only, name):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                answers[name] = flat(make())
            except Exception as error:  # what is refused is behaviour too
                answers[name] = f"{type(error).__name__}: {error}"
                print(f"{name}: {answers[name]}", file=sys.stderr)
    return answers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", metavar="REGEX", help="the cases of these names")
    args = parser.parse_args()
    answers = record(args.only)
    if args.what == "record":
        args.file.write_bytes(pickle.dumps(answers))
        print(f"{len(answers)} cases")
        return 0
    old = pickle.loads(args.file.read_bytes())
    old = {name: answer for name, answer in old.items() if re.search(args.only, name)}
    found = []
    for name in old.keys() | answers.keys():
        found += differences(old.get(name), answers.get(name), name)
    print("\n".join(sorted(found)) or f"{len(answers)} cases, no difference")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
