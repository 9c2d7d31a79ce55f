"""Runs with the built wheel on its path and no phichat: what vLLM asks of the plugin, as JSON.

python probe.py FOLDER PICTURE…
"""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any


def main() -> None:
    """Load the plugin as vLLM does, twice, and print what transformers' Auto classes make."""
    (plugin,) = entry_points(group="vllm.general_plugins")
    for _ in range(2):
        plugin.load()()
    from PIL import Image
    from transformers import AutoConfig, AutoProcessor, ProcessorMixin

    folder, *pictures = sys.argv[1:]
    config = AutoConfig.from_pretrained(folder)
    found: dict[str, Any] = {"rope": config.rope_parameters, "window": config.sliding_window}
    found["tower"] = config.clip_config.hidden_size
    for num_crops in (None, 4):
        options = {} if num_crops is None else {"num_crops": num_crops}
        processor = AutoProcessor.from_pretrained(folder, **options)
        assert isinstance(processor, ProcessorMixin)
        images = [Image.open(picture) for picture in pictures]
        made = processor(processor.img_tokens[0], images)
        found[str(num_crops)] = {
            "class": type(processor).__name__,
            "pixels": [
                hashlib.sha256(one.numpy().tobytes()).hexdigest() for one in made.pixel_values
            ],
            "sizes": made.image_sizes.tolist(),
            "tokens": [
                processor.calc_num_image_tokens_from_image_size(width=one.width, height=one.height)
                for one in images
            ],
        }
    import phichat_vllm

    template = Path(phichat_vllm.__path__[0]) / "chat_template.jinja"
    found["template"] = template.read_text(encoding="utf-8")
    found["ours"] = sorted(name for name in sys.modules if name.split(".")[0] == "assistant")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
