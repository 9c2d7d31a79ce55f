"""Training goes on from an exported folder: what is taken from it is what is exported again."""

from __future__ import annotations

import pytest

from assistant.demo_model import folder

pytestmark = pytest.mark.skipif(
    not (folder() / "model.safetensors").exists(), reason="the demo model is not trained yet"
)


def test_an_exported_folder_is_taken_and_exported_again_bit_by_bit() -> None:
    from safetensors.torch import load_file

    from training.demo_model.export import official
    from training.demo_model.train_chat import TrainingModel

    shipped = load_file(folder() / "model.safetensors")
    network = TrainingModel(shipped["lm_head.weight"].shape[0])
    network.take_exported(folder())
    again = official({name: value.detach() for name, value in network.named_parameters()})
    assert again.keys() == shipped.keys()
    unread = f"encoder.layers.{len(network.tower.vision_model.encoder.layers)}."
    for name, tensor in again.items():
        if unread not in name and "post_layernorm" not in name:
            assert tensor.equal(shipped[name]), name
