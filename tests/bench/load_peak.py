"""Peak memory of loading a checkpoint, against the size of its weights.

    python -m tests.bench.load_peak FOLDER [--dtype bfloat16]

Prints one JSON object. The baseline (libraries imported, nothing loaded) is
subtracted: it does not grow with the model.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch


def peak_bytes() -> int:
    """The largest resident size of this process so far (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Load once and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder")
    parser.add_argument("--dtype", default="auto")
    given = parser.parse_args()

    from assistant.phi3v import Phi3VForCausalLM

    baseline = peak_bytes()
    started = time.perf_counter()
    dtype = given.dtype if given.dtype == "auto" else getattr(torch, given.dtype)
    model = Phi3VForCausalLM.from_pretrained(given.folder, dtype=dtype)
    seconds = time.perf_counter() - started
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    print(
        json.dumps(
            {
                "weights_bytes": weights,
                "peak_bytes": peak_bytes(),
                "baseline_bytes": baseline,
                "load_peak_over_weights": round((peak_bytes() - baseline) / weights, 4),
                "load_peak_with_libraries_over_weights": round(peak_bytes() / weights, 4),
                "seconds": round(seconds, 2),
                "dtype": str(next(model.parameters()).dtype),
            }
        )
    )


if __name__ == "__main__":
    main()
