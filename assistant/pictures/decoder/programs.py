"""Programs of the system that decode what Pillow does not. Run by the decoder process alone."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress

from assistant.pictures.decode import CPU_S
from assistant.values.errors import PictureError


def run(command: Sequence[str], label: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program within the limits of this process. Raises PictureError for a slow one."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * CPU_S,
            preexec_fn=_limit_time,  # this process has one thread
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PictureError(f"{label} takes too long to decode; make it smaller first.") from error


def _limit_time() -> None:
    """Have the system end a program that computes for long; memory is limited already."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(CPU_S), int(CPU_S)))
