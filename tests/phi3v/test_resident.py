"""The worker's model is that of the Python API, and starts without transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import logits_of, prefill
from assistant.core.weights import load_model
from assistant.phi3v.resident import ResidentPhi3V
from assistant.phi3v.rope import Regime
from assistant.values.errors import ModelError
from tests.conftest import GOLDENS, ROOT

HEAVY = ("transformers", "sympy", "torch._dynamo", "torch.distributed.tensor")

CPU = torch.device("cpu")


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@torch.inference_mode()
def test_it_computes_what_the_python_api_computes(tiny_model: Any) -> None:
    ours: Any = load_model(GOLDENS / "tiny-phi3v", device=CPU, dtype=torch.float32)
    whole = tiny_model
    assert isinstance(ours, ResidentPhi3V)
    assert ours.shape == whole.shape
    assert ours.state_dict().keys() == whole.state_dict().keys()

    crops = torch.randn(3, 3, 336, 336, generator=torch.Generator().manual_seed(0))
    features = ours.encode((crops, (336, 672)), lambda step: step())
    wanted = whole.get_image_features(crops[None], torch.tensor([[336, 672]]))
    torch.testing.assert_close(features, wanted[0])

    embeddings = torch.cat((ours.embed_tokens(torch.tensor([1, 5, 9])), features))
    for regime in Regime:
        cache = KVCache(ours.shape.layers, regime)
        logits = logits_of(ours, prefill(ours, embeddings, cache))
        reference = whole(inputs_embeds=embeddings[None], regime=regime).logits[0]
        torch.testing.assert_close(logits, reference, rtol=1e-4, atol=1e-4)


def test_grouped_keys_are_left_to_transformers(tiny_folder: Path) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())
    change_config(tiny_folder, num_key_value_heads=config["num_attention_heads"] // 2)
    with pytest.raises(ModelError, match="qkv_proj"):  # the weights are not those of such a model
        load_model(tiny_folder, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rope_scaling": {"type": "su", "short_factor": [1.0]}}, "short_factor has 1 numbers"),
        ({"rope_scaling": {"type": "su"}}, "lacks 'short_factor'"),
        ({"rope_scaling": 7}, "can't be used"),
        ({"num_attention_heads": 0}, "has no usable num_attention_heads"),
        ({"num_attention_heads": 7}, "7 heads don't divide"),
        ({"hidden_act": "relu"}, "'relu', not 'silu'"),
        ({"img_processor": {"clip_config": {"hidden_size": 16}}}, "lacks intermediate_size"),
        ({"img_processor": 7}, "can't be used"),
    ],
    ids=str,
)
def test_a_damaged_config_is_one_sentence(
    tiny_folder: Path, changes: dict[str, object], reason: str
) -> None:
    change_config(tiny_folder, **changes)
    with pytest.raises(ModelError) as raised:
        load_model(tiny_folder, device=CPU, dtype=torch.float32)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_activation_of_clip_that_is_not_known_is_refused(tiny_folder: Path) -> None:
    config = json.loads((tiny_folder / "config.json").read_text())
    config["img_processor"]["clip_config"]["hidden_act"] = "relu"
    change_config(tiny_folder, img_processor=config["img_processor"])
    with pytest.raises(ModelError, match="'relu' is no activation of CLIP"):
        load_model(tiny_folder, device=CPU, dtype=torch.float32)


def test_loading_and_answering_import_no_compiler() -> None:
    """Transformers' models bring torch's compiler: two CPU seconds before a first answer."""
    code = f"""
import sys
from pathlib import Path

import torch

import assistant.worker.__main__
from assistant.core.cache.kv_cache import KVCache
from assistant.core.generate import ResidentModel
from assistant.core.weights import load_model
from assistant.demo_model import folder
from assistant.families.registry import family_of
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling

model = load_model(folder(), device=torch.device("cpu"), dtype=torch.float32)
family_of(folder()).runtime().views(folder())
core = ResidentModel(model, frozenset(), 64)
list(core.generate(Prompt(((1, 5, 6),)), Sampling(max_new_tokens=2), print, lambda: False))
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
