"""mlx-vlm's server with a vision tower of as many layers as the checkpoint has, not 24.

    python mlx_server.py LAYERS [options of mlx_vlm.server]

On a CPU its whole tower takes many minutes for one picture.
"""

from __future__ import annotations

import runpy
import sys


def main() -> None:
    """Set the number of layers, then be the server."""
    from mlx_vlm.models.phi3_v.vision import VisionModel

    VisionModel.CLIP_VIT_LARGE_PATCH14_336_CONFIG.num_hidden_layers = int(sys.argv.pop(1))
    runpy.run_module("mlx_vlm.server", run_name="__main__")


if __name__ == "__main__":
    main()
