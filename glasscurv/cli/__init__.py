"""The command ``glasscurv``: train, profile, compress and compare from a terminal."""

import os
import signal
import sys
from types import FrameType

__all__ = ["main"]

INTERRUPTED = 130  # the exit status that shells give to what Ctrl-C ends


def main() -> None:
    """Run the command line and exit: 0, 2 for a mistake in the command, 130 after Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    try:
        from glasscurv.cli.app import run

        status = run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("typer", "rich"):
            raise
        print(f"error: the command needs {error.name}: pip install 'glasscurv[cli]'", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    finally:
        started()
    sys.exit(status)


def started() -> None:
    """Leave Ctrl-C to the command, which has something to lose from now on."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: what starts up is other libraries, in which an exception can become another one or a traceback."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(INTERRUPTED)
