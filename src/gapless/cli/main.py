"""The ``gapless`` command.

Exit codes: 0 the command did what was asked; 1 training ended early (time limit, Ctrl-C), the
best network so far was still written, or a proof was found INVALID; 2 a mistake in the input, said
in one line on stderr.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from .outputs import check_output
from .terminal import ended_by_sigterm, forget_output, own_warnings

#: module and help of each command: ``add_NAME`` of the module says its arguments, ``run_NAME``
#: answers; the module of the command that is called is the only one imported
COMMANDS = {
    "fit": ("fit", "train a network on a table"),
    "path": ("fit", "train along falling weight decay and draw it"),
    "predict": ("models", "predictions of a model for a table"),
    "info": ("models", "what a model file says of itself"),
    "explain": ("report", "one prediction of a readable model as a sum"),
    "report": ("report", "a page about a readable model"),
    "export": ("export", "a model as a function in C, SQL or a spreadsheet"),
    "spline": ("spline", "the exact network for one column against another"),
    "certify": ("proofs", "certify a model on its training table again"),
    "verify": ("proofs", "re-check a proof file with NumPy alone"),
    "audit": ("audit", "how far from optimal a trained network is"),
    "improve": ("improve", "a better network than one that is there, or a smaller one"),
}
# Characters of a message; a table may have thousands of columns to name.
LONGEST = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``gapless``; those of the process by default.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    SystemExit
        For ``--help`` and ``--version``, words that argparse does not know, and SIGTERM.
    """
    return answered(parsed(sys.argv[1:] if argv is None else argv))


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The words as arguments of one command, its module imported."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may know fewer letters than a table
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="gapless",
        description="Train two-layer ReLU networks with a proof of how far from the best they are.",
    )
    parser.add_argument("--version", action="version", version=f"gapless {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    called = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, does) in COMMANDS.items():
        command = commands.add_parser(name, help=does, description=does)
        if name == called:
            family = import_module(f".{module}", __package__)
            command.add_argument("--json", action="store_true", help="print one JSON object")
            getattr(family, f"add_{name}")(command)
            command.set_defaults(run=getattr(family, f"run_{name}"))
    return parser.parse_args(argv)


def answered(args: argparse.Namespace) -> int:
    """Run the command that was parsed; the exit code."""
    try:
        for name in ("out", "plot", "proof", "html"):
            check_output(getattr(args, name, None))
        with own_warnings(), ended_by_sigterm():
            answer = args.run(args)
            answer.print(args.json)
            print(end="", flush=True)  # what cannot be written fails here, not after the end
            return answer.code
    except BrokenPipeError:  # the reader, say head, has seen enough
        forget_output()
        return 0
    except (ValueError, ImportError, OSError, MemoryError) as error:
        print(f"gapless: {_sentence(error)}", file=sys.stderr)
        if isinstance(error, OSError):
            forget_output()
        return 2
    except KeyboardInterrupt as error:
        known = "".join(f"; {word}" for word in error.args)  # a proof that was not yet checked
        print(f"gapless: interrupted, nothing was written{known}", file=sys.stderr)
        return 130


def _sentence(error: Exception) -> str:
    """The message of an error as one line."""
    told = str(error) or "memory ran out"
    if isinstance(error, OSError) and error.filename is not None:
        told = f"{error.filename}: {error.strerror}"
    told = " ".join(told.split())
    return f"{told[:LONGEST]}{'...' * (len(told) > LONGEST)}"
