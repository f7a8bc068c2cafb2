"""The command line: arguments, files, printing. Everything else is the library's.

Errors    exit status 2 for unusable input, with a reason on standard error; 1 where lint finds something; 0 otherwise.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The `meshroute` command. Says what to install where the extra `cli` is missing."""
    try:
        from meshroute.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print('meshroute: the command line needs the extra `cli`: pip install "meshroute[cli]"', file=sys.stderr)
        raise SystemExit(2) from None
    app(prog_name="meshroute")
