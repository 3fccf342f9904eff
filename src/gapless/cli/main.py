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

from .. import __version__
from .audit import add_audit
from .command import Answer
from .export import add_export
from .fit import add_fit, add_path
from .improve import add_improve
from .models import add_info, add_predict
from .outputs import check_output
from .proofs import add_certify, add_verify
from .report import add_explain, add_report
from .spline import add_spline
from .terminal import ended_by_sigterm, forget_output, own_warnings

#: the commands, as --help lists them
COMMANDS = (
    add_fit, add_path, add_predict, add_info, add_explain, add_report, add_export, add_spline,
    add_certify, add_verify, add_audit, add_improve,
)  # fmt: skip
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may know fewer letters than a table
            stream.reconfigure(errors="backslashreplace")
    args = _parser().parse_args(argv)
    try:
        for name in ("out", "plot", "proof", "html"):
            check_output(getattr(args, name, None))
        with own_warnings(), ended_by_sigterm():
            answer: Answer = args.run(args)
            answer.print(args.json)
            print(end="", flush=True)  # what cannot be written fails here, not after the end
            return answer.code
    except BrokenPipeError:  # the reader, say head, has seen enough
        forget_output()
        return 0
    except (ValueError, ImportError, OSError) as error:
        print(f"gapless: {_sentence(error)}", file=sys.stderr)
        if isinstance(error, OSError):
            forget_output()
        return 2
    except KeyboardInterrupt:
        print("gapless: interrupted, nothing was written", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gapless",
        description="Train two-layer ReLU networks with a proof of how far from the best they are.",
    )
    parser.add_argument("--version", action="version", version=f"gapless {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser


def _sentence(error: Exception) -> str:
    """The message of an error as one line."""
    told = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        told = f"{error.filename}: {error.strerror}"
    told = " ".join(told.split())
    return f"{told[:LONGEST]}{'...' * (len(told) > LONGEST)}"
