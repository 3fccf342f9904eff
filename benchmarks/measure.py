"""Measurements kept as JSON lines, so that a report can be interrupted and taken up again.

Each runs in a process of its own, forked after the libraries are loaded: ``memory`` is what it
added to the peak of the resident set, in MiB.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


class Store:
    """``measure(key, function, *args)``: from the file if it is there, else run and append."""

    def __init__(self, name: str) -> None:
        FOLDER.mkdir(exist_ok=True)
        self.file = FOLDER / f"{name}.jsonl"
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.known = {tuple(record["key"]): record for record in map(json.loads, lines)}

    def measure(self, key: tuple, function, *args) -> dict:
        """The dictionary that ``function(*args)`` returns, with ``memory`` or ``error``."""
        if key not in self.known:
            record = {"key": key, **forked(function, *args)}
            with self.file.open("a") as stream:
                stream.write(json.dumps(record) + "\n")
            self.known[key] = record
        return self.known[key]

    def forget(self, stale) -> None:
        """Drop the measurements whose key is ``stale(key)``."""
        self.known = {key: record for key, record in self.known.items() if not stale(key)}
        lines = [json.dumps(record) + "\n" for record in self.known.values()]
        self.file.write_text("".join(lines))


def forked(function, *args) -> dict:
    """Run in a child process."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(send, function, args))
    child.start()
    send.close()
    try:
        result = receive.recv()
    except EOFError:
        result = {"error": "the process ended without a result"}
    child.join()
    return result


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(send, function, args) -> None:
    before = _peak()
    try:
        result = function(*args)
    except (ImportError, NotImplementedError) as error:
        result = {"error": str(error)}
    send.send(result | {"memory": round(_peak() - before, 1)})
