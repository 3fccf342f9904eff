"""``python -m gapless``, and the script ``gapless``."""

import signal
import sys


def run() -> int:
    """The command from import to exit, in which Ctrl-C is answered with one line; the exit code."""
    from .cli.main import answered, parsed

    args = parsed(sys.argv[1:])  # imports for a second, in which _interrupt answers
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # a process that just died would leave its parallel folds running
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = answered(args)
    except KeyboardInterrupt:  # at the edges of answered, which answers itself
        print("gapless: interrupted", file=sys.stderr)
        code = 130
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is written; the interpreter only cleans up
    return code


if __name__ == "__main__":
    sys.exit(run())
