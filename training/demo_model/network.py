"""The model in training: the product's own modules, on batches of dialogues about many pictures.

The language loss is on the replies, where words that carry an answer weigh most; the tower also
learns to label every place of a picture (`tower`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from assistant.phi3v.vision import ClipTower, Phi3VImageEmbedding
from training.demo_model import architecture
from training.demo_model.batches import Batch
from training.demo_model.tower import GRID, label_head, pixels


class TrainingModel(nn.Module):
    """The model, and the head of the labels, which is not shipped."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.model = Phi3VForCausalLM(Phi3VConfig(**architecture.config(vocabulary)))
        self.model.model.config._attn_implementation = "sdpa"
        self.head = label_head()
        patches: Any = self.tower.vision_model.embeddings.patch_embedding
        patches.forward = partial(_cut_and_multiply, patches)
        for layer in self.tower.vision_model.encoder.layers:
            attention: Any = layer.self_attn
            attention.forward = partial(_attend, attention, attention.forward)

    @property
    def tower(self) -> ClipTower:
        tower: ClipTower = self.model.model.vision_embed_tokens.img_processor
        return tower

    @property
    def embedding(self) -> Phi3VImageEmbedding:
        embedding: Phi3VImageEmbedding = self.model.model.vision_embed_tokens
        return embedding

    def take_exported(self, folder: Path) -> None:
        """Take the weights of an exported folder."""
        weights = load_file(folder / "model.safetensors")
        self.model.load_state_dict({name: weights[name] for name in self.model.state_dict()})

    @torch.no_grad()
    def scale_embeddings(self, crops: Tensor) -> None:
        """Scale the embeddings of words and pictures alike, to an RMS near 1.

        At 0.02 beside 11, where they would start, pictures drown the words.
        """
        embedding: Any = self.embedding
        patches = self.tower(pixels(crops))
        nn.init.normal_(self.model.model.embed_tokens.weight, std=0.7)
        rms = float(patches.float().square().mean().sqrt())
        nn.init.normal_(embedding.glb_GN, std=rms)
        nn.init.normal_(embedding.sub_GN, std=rms)
        first, last = embedding.img_projection[0], embedding.img_projection[2]
        nn.init.normal_(first.weight, std=1 / (rms * math.sqrt(first.in_features)))
        nn.init.normal_(last.weight, std=1 / math.sqrt(last.in_features))
        tokens = embedding.img_projection(self.arrange(patches, [((1, 1), len(crops))]))
        last.weight.mul_(0.9 / float(tokens.float().square().mean().sqrt()))

    def arrange(self, patches: Tensor, groups: list[tuple[tuple[int, int], int]]) -> Tensor:
        """Lay out pictures of alike grids at once, as the embedding's ``arrange`` does each.

        ``patches`` [crops, patches, C] are those of ``groups``, (grid, pictures); a picture of one
        crop has that one only. Gives features [positions of all pictures, 4C].
        """
        side, C = GRID // 2, patches.shape[-1]
        blocks = patches.view(-1, side, 2, side, 2, C).permute(0, 1, 3, 2, 4, 5)
        merged = blocks.reshape(-1, side, side, 4 * C)
        at, laid_out = 0, []
        for (rows, columns), n in groups:
            if rows * columns == 1:
                overview = whole = merged[at : at + n]
                at += n
            else:
                each = rows * columns + 1
                crops = merged[at : at + n * each].view(n, each, side, side, 4 * C)
                at += n * each
                overview = crops[:, 0]
                tiles = crops[:, 1:].view(n, rows, columns, side, side, 4 * C)
                whole = tiles.permute(0, 1, 3, 2, 4, 5).reshape(
                    n, rows * side, columns * side, 4 * C
                )
            between = self.embedding.glb_GN.expand(n, 1, -1)
            parts = [self._with_row_ends(whole), between, self._with_row_ends(overview)]
            laid_out.append(torch.cat(parts, 1).flatten(0, 1))
        return torch.cat(laid_out)

    def _with_row_ends(self, features: Tensor) -> Tensor:
        n, rows, _, width = features.shape
        ends = self.embedding.sub_GN.expand(n, rows, 1, width)
        return torch.cat((features, ends), 2).reshape(n, -1, width)

    def forward(self, batch: Batch, patches: Tensor, device: torch.device) -> Tensor:
        """Compute logits ``[N, vocab]`` at ``batch.places`` from the patches of its pictures."""
        ids, positions, places = (
            torch.from_numpy(array).to(device, non_blocking=True)
            for array in (batch.ids, batch.positions, batch.places)
        )
        embedded = self.model.model.embed_tokens(ids.clamp(min=0))
        if batch.pictures:
            groups = [(group.grid, len(group.crops)) for group in batch.pictures]
            tokens = self.embedding.img_projection(self.arrange(patches, groups))
            slots = torch.cat([torch.from_numpy(g.places.reshape(-1)) for g in batch.pictures])
            flat = embedded.flatten(0, 1)
            flat = flat.index_copy(0, slots.to(device).long(), tokens.to(flat.dtype))
            embedded = flat.view_as(embedded)
        hidden = self.model.model(embedded, position_ids=positions, regime=Regime.SHORT)
        logits: Tensor = self.model.lm_head(hidden.flatten(0, 1)[places.long()])
        return logits.float()


def _cut_and_multiply(patches: nn.Conv2d, crops: Tensor) -> Tensor:
    """Compute a convolution whose patches don't overlap, ``[N, 3, S, S] -> [N, W, grid, grid]``.

    As one product it is much faster on a GPU than cuDNN's kernels for so large a filter.
    """
    N, side = len(crops), patches.kernel_size[0]
    cut = (
        crops.to(patches.weight.dtype)
        .reshape(N, 3, GRID, side, GRID, side)
        .permute(0, 2, 4, 1, 3, 5)
    )
    features = F.linear(cut.reshape(N, GRID, GRID, -1), patches.weight.flatten(1))
    return features.permute(0, 3, 1, 2)


def _attend(attention: Any, product: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    """Attend over all patches ``[N, S, W]`` by plain products where that is quicker.

    On a CPU torch's fused attention takes 2.3 times as long, there and back (bfloat16, 257 patches
    of 4 heads of 64, one thread of an AMD EPYC with AVX512_BF16: 75 ms for 33).
    """
    if hidden.is_cuda:
        return product(hidden)
    N, S, W = hidden.shape
    q, k, v = (
        of(hidden).view(N, S, attention.heads, -1).transpose(1, 2)
        for of in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    scores = q @ (k * (W // attention.heads) ** -0.5).transpose(-1, -2)
    seen: Tensor = attention.out_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(N, S, W))
    return seen


def reply_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Compute the weighted cross entropy of the replies."""
    wanted, weights = (
        torch.from_numpy(array).to(logits.device) for array in (batch.wanted, batch.weights)
    )
    losses: Tensor = F.cross_entropy(logits, wanted, reduction="none") * weights
    return losses.sum() / weights.sum()


def parameter_groups(network: TrainingModel, tower_share: float) -> list[dict[str, Any]]:
    """Group parameters: tower, its head, matrices, vectors; ``share`` is of the rate."""
    tower = [*network.tower.parameters()]
    ids = {id(p) for p in [*tower, *network.head.parameters()]}
    rest = [p for p in network.parameters() if id(p) not in ids]
    return [
        {"params": tower, "share": tower_share, "weight_decay": 0.02},
        {"params": [*network.head.parameters()], "share": 1.0, "weight_decay": 0.02},
        {"params": [p for p in rest if p.ndim == 2], "share": 1.0, "weight_decay": 0.05},
        {"params": [p for p in rest if p.ndim != 2], "share": 1.0, "weight_decay": 0.0},
    ]
