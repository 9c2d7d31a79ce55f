"""The ``phichat`` command, and ``python -m assistant.cli`` where its script is not installed."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; ctrl-C ends it without a traceback, also while it is being imported."""
    try:
        from assistant.cli.root_command import main as run

        run()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
