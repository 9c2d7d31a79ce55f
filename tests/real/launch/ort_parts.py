"""onnxruntime-extensions on a folder: python ort_parts.py FOLDER OUT.npy < JSON, prints JSON.

The JSON has ``texts`` and ``pictures``; pixels of the first picture go to OUT.npy.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from onnxruntime_extensions.pp_api import ImageProcessor, Tokenizer, load_images

STEPS = [
    {"name": "decode_image", "type": "DecodeImage", "attrs": {"color_space": "BGR"}},
    {"name": "convert_to_rgb", "type": "ConvertRGB"},
    {
        "name": "phi3_image_transform",
        "type": "Phi3ImageTransform",
        "attrs": {"num_crops": 16, "num_img_tokens": 144},
    },
]


def main() -> None:
    """Print the ids of each text, and the counts or the refusal of each picture."""
    folder, out = sys.argv[1:]
    asked = json.load(sys.stdin)
    tokenizer = Tokenizer(folder)
    ids = [np.array(tokenizer.tokenize(text)).ravel().tolist() for text in asked["texts"]]
    steps = [{"operation": step} for step in STEPS]
    processor = ImageProcessor(json.dumps({"processor": {"name": "phi", "transforms": steps}}))
    counts: list[object] = []
    for number, picture in enumerate(asked["pictures"]):
        try:
            made = processor.pre_process(load_images([picture]))
        except RuntimeError as error:
            counts.append(str(error))
            continue
        if number == 0:
            np.save(out, processor.to_numpy(made, 0))
        counts.append(int(processor.to_numpy(made, 2).ravel()[0]))
    print(json.dumps({"ids": ids, "counts": counts}))


if __name__ == "__main__":
    main()
