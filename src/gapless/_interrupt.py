"""Ctrl-C while the command is still importing: one line instead of a traceback.

The package imports this first; ``__main__`` hands Ctrl-C back to Python once all is there.
"""

import os
import signal
import sys


def _is_command() -> bool:
    """Whether this process is ``gapless`` or ``python -m gapless``, and no worker of one."""
    started = sys.orig_argv[-len(sys.argv) :][:1]
    return [os.path.splitext(os.path.basename(s.removeprefix("-m")))[0] for s in started] == [
        "gapless"
    ]


def _leave(*_: object) -> None:
    os.write(2, b"gapless: interrupted, nothing was written\n")
    os._exit(130)  # an exception would end in whatever is being imported


if _is_command():
    signal.signal(signal.SIGINT, _leave)
