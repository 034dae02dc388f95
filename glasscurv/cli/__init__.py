"""The command ``glasscurv``: train, profile and compare from a terminal."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit: 0, 2 for a mistake in the command, 130 after Ctrl-C."""
    try:
        from glasscurv.cli.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("typer", "rich"):
            raise
        print(f"error: the command needs {error.name}: pip install 'glasscurv[cli]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # while starting up
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(run())
