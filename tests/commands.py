"""The command, called in this process: its start takes longer than most of what it does."""

import contextlib
import io
import json
import subprocess
import sys
from typing import NamedTuple

from gapless.cli.main import main


class Run(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    stdout: str
    stderr: str


def run(*command):
    """The command as it ends."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(map(str, command)))
        except SystemExit as left:  # argparse does
            code = left.code
    return Run(code, out.getvalue(), err.getvalue())


def several(*commands):
    """One after another."""
    return [run(*command) for command in commands]


def run_apart(*command, **how):
    """The same in a process of its own."""
    words = [sys.executable, "-m", "gapless", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, **how)
    return Run(done.returncode, done.stdout, done.stderr)


def gapless(*command, code=0, run=run):
    """A command that ends with this exit code; a mistake is said in one line."""
    done = run(*command)
    assert done.code == code, done
    assert "Traceback" not in done.stderr
    if code == 2 and not done.stderr.startswith("usage"):
        assert done.stderr.count("\n") == 1
    return done


def answer(*command):
    """What the command says with ``--json``."""
    return json.loads(gapless(*command, "--json").stdout)
