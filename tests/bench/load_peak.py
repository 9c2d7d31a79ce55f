"""Peak memory of loading a checkpoint, against the size of its weights.

    python -m tests.bench.load_peak FOLDER [--format float32|bfloat16|int8]

Prints one JSON object. The baseline (libraries imported, nothing loaded) is
subtracted: it does not grow with the model.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path


def peak_bytes() -> int:
    """The largest resident size of this process so far.

    Linux lets a child begin with its parent's peak in getrusage; VmHWM is its own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(peak.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def main() -> None:
    """Load once and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--format", default="bfloat16", choices=["float32", "bfloat16", "int8"])
    given = parser.parse_args()

    from tests.bench.subjects import ours, weights_nbytes

    baseline = peak_bytes()
    started = time.perf_counter()
    model = ours(given.folder, given.format)
    seconds = time.perf_counter() - started
    weights = weights_nbytes(model)
    print(
        json.dumps(
            {
                "weights_bytes": weights,
                "peak_bytes": peak_bytes(),
                "baseline_bytes": baseline,
                "load_peak_over_weights": round((peak_bytes() - baseline) / weights, 4),
                "load_peak_with_libraries_over_weights": round(peak_bytes() / weights, 4),
                "seconds": round(seconds, 2),
                "format": given.format,
            }
        )
    )


if __name__ == "__main__":
    main()
