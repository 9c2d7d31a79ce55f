"""A download's progress on standard error: one line that moves, or a plain line a file."""

from __future__ import annotations

import shutil
import sys

import click

from assistant.models.progress import Progress
from assistant.values.text import plain
from assistant.values.words import duration, file_size


class ProgressLine:
    """Progress of a download; :meth:`close` clears the moving line.

    On a terminal: a bar, bytes, speed and time left, cut to the width. ``finished`` is printed
    of every finished file, there and elsewhere.
    """

    def __init__(self, finished: str | None = None) -> None:
        self._finished = finished
        self._moves = sys.stderr.isatty()

    def show(self, progress: Progress) -> None:
        """Show one event."""
        if progress.file_done and self._finished is not None:
            self.close()
            click.echo(f"{plain(progress.file)}: {self._finished}", err=True)
        elif self._moves:
            width = shutil.get_terminal_size().columns - 3  # terminals echo ^C where the line ends
            click.echo(f"\r\x1b[K{line(progress, width)}", nl=False, err=True)

    def close(self) -> None:
        """Clear the line for other output."""
        if self._moves:
            click.echo("\r\x1b[K", nl=False, err=True)


def line(progress: Progress, width: int) -> str:
    """Format a line of at most ``width`` characters; the bar takes the width that is left."""
    share = progress.done / progress.total if progress.total else 1.0
    words = f"{share:4.0%}  {file_size(progress.done)} of {file_size(progress.total)}"
    if progress.bytes_per_s is not None:
        words += f"  {file_size(int(progress.bytes_per_s))}/s"
    if progress.seconds_left is not None:
        words += f"  {duration(progress.seconds_left)} left"
    cells = min(40, width - len(words) - len(progress.doing) - 5)
    if cells < 5:
        return words[:width]
    full = int(share * cells)
    return f"{progress.doing}  [{'#' * full}{'-' * (cells - full)}] {words}"
