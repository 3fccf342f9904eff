"""``python -m gapless``, and the script ``gapless``."""

import gc
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn


def run() -> NoReturn:
    """The command from import to exit, in which Ctrl-C is answered with one line."""
    gc.disable()  # modules are no garbage; looking for it takes a seventh of the time of imports
    from .cli.main import answered, parsed

    args = parsed(sys.argv[1:])  # imports for a second, in which _interrupt answers
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # a process that just died would leave its parallel folds running
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = answered(args)
    except KeyboardInterrupt:  # at the edges of answered, which answers itself
        print("gapless: interrupted", file=sys.stderr)
        code = 130
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for process in multiprocessing.active_children():  # nobody asks for their answers any more
        process.kill()
    # all is written: taking the interpreter apart module by module would last a third of a second
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
