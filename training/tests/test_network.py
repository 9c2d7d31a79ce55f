"""The model in training computes what the product computes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from assistant.demo_model import folder
from assistant.phi3v.rope import Regime
from assistant.phi3v.vocabulary import Vocabulary
from training.demo_model.batches import Example, ExampleSampler, collate, crops_of, tokens_of
from training.demo_model.export import official, write
from training.demo_model.network import TrainingModel
from training.demo_model.pictures import shapes
from training.demo_model.tower import pixels

pytestmark = pytest.mark.skipif(
    not (folder() / "model.safetensors").exists(), reason="the demo model is not trained yet"
)
VOCABULARY = 1024
GRIDS = [(1, 1), (2, 2), (1, 3), (2, 1), (1, 1)]


@pytest.fixture(scope="module")
def network() -> TrainingModel:
    torch.manual_seed(1)
    network = TrainingModel(VOCABULARY)
    crops = torch.randint(0, 256, (2, 336, 336, 3), dtype=torch.uint8)
    network.scale_embeddings(crops)
    return network


@torch.inference_mode()
def test_pictures_of_a_grid_are_laid_out_as_one_is(network: TrainingModel) -> None:
    order = sorted(GRIDS)
    total = sum(crops_of(grid) for grid in order)
    patches = torch.randn(total, 256, 256)
    groups = [(grid, order.count(grid)) for grid in dict.fromkeys(order)]
    found = network.embedding.img_projection(network.arrange(patches, groups))
    at, expected = 0, []
    side, C = 8, patches.shape[-1]
    merged = patches.view(-1, side, 2, side, 2, C).permute(0, 1, 3, 2, 4, 5)
    merged = merged.reshape(-1, side, side, 4 * C)
    for grid in order:
        views = merged[at : at + crops_of(grid)]
        at += crops_of(grid)
        views = torch.cat((views, views)) if grid == (1, 1) else views
        expected.append(network.embedding.arrange(views, *grid))
    assert torch.allclose(found, torch.cat(expected), atol=1e-5)
    assert len(found) == sum(tokens_of(grid) for grid in order)


@pytest.mark.slow
@torch.inference_mode()
def test_a_batch_is_what_the_product_computes(network: TrainingModel) -> None:
    sampler, rng = ExampleSampler(Vocabulary.from_folder(folder())), Random(3)
    grids = [(1, 1), (2, 2), (1, 1), (1, 2)]
    at, drawn = 0, []
    for number, grid in enumerate(grids):
        facts = shapes.sample(rng, 1 + number % 3).facts
        drawn.append({**facts, "grid": grid, "at": at})
        at += crops_of(grid)
    for name in sampler.pictures:
        for picture in drawn:
            sampler.pictures[name].append(picture)
    examples = [sampler.sample(rng) for _ in range(6)]
    batch = collate(examples)
    crops = torch.randint(0, 256, (at, 336, 336, 3), dtype=torch.uint8)
    chosen = [g.crops.reshape(-1) for g in batch.pictures]
    patches = network.tower(pixels(crops[torch.from_numpy(np.concatenate(chosen)).long()]))
    logits = network(batch, patches, torch.device("cpu"))
    at = 0
    for example in examples:
        expected, wanted = _alone(network, example, crops)
        assert torch.allclose(logits[at : at + len(expected)], expected, atol=2e-4)
        assert batch.wanted[at : at + len(expected)].tolist() == wanted
        at += len(expected)
    assert at == len(logits)


def _alone(
    network: TrainingModel, example: Example, crops: torch.Tensor
) -> tuple[torch.Tensor, list[int]]:
    """Compute the logits of one dialogue as the product does, and list the ids to predict."""
    ids = torch.from_numpy(example.ids.copy())[None]
    slots, features = np.flatnonzero(example.ids < 0), []
    for number, picture in enumerate(example.pictures, 1):
        grid, count = picture["grid"], tokens_of(picture["grid"])
        ids[0, slots[:count]], slots = -number, slots[count:]
        views = crops[picture["at"] : picture["at"] + crops_of(grid)]
        views = torch.cat((views, views)) if grid == (1, 1) else views
        merged = network.embedding.encode_crops(pixels(views))
        features.append(network.embedding.arrange(merged, *grid))
    model = network.model.model
    embedded = model.embed_tokens(ids.clamp(min=0))
    for number, picture_features in enumerate(features, 1):
        embedded = embedded.masked_scatter((ids == -number)[..., None], picture_features)
    whole = network.model.lm_head(model(embedded, regime=Regime.SHORT))[0]
    places = np.flatnonzero(example.weights[1:] > 0)
    return whole[torch.from_numpy(places)], example.ids[places + 1].tolist()


def test_an_exported_folder_is_taken_and_exported_again_bit_by_bit(
    network: TrainingModel, tmp_path: Path
) -> None:
    weights = {name: value.detach() for name, value in network.named_parameters()}
    write(weights, folder(), tmp_path / "model")
    other = TrainingModel(VOCABULARY)
    other.take_exported(tmp_path / "model")
    again = official({name: value.detach() for name, value in other.named_parameters()})
    for name, tensor in official(weights).items():
        assert tensor.equal(again[name]), name
