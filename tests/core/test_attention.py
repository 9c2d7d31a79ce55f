"""Attention in parts: every device's way gives the same, and parts merge to the whole."""

from __future__ import annotations

import pytest
import torch

from assistant.core.attention import attend, attend_plainly, merge


def states(queries: int, keys: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(queries * keys)
    shapes = [(1, 3, queries, 96), (1, 3, keys, 96), (1, 3, keys, 96)]
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 40), (7, 7), (40, 40)])
def test_the_plain_way_is_the_kernels(queries: int, keys: int, causal: bool) -> None:
    q, k, v = states(queries, keys)
    for found, expected in zip(
        attend_plainly(q, k, v, causal=causal), attend(q, k, v, causal=causal), strict=True
    ):
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("way", [attend, attend_plainly])
def test_parts_merge_to_the_whole(way: type[attend]) -> None:
    q, k, v = states(5, 100)
    whole, lse = way(q, k, v)
    parts = (way(q, k[:, :, cut], v[:, :, cut]) for cut in (slice(37), slice(37, None)))
    out, merged_lse = merge(*parts)
    assert torch.allclose(out, whole, atol=1e-5)
    assert torch.allclose(merged_lse, lse, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_shapes_and_formats_on_another_device(dtype: torch.dtype) -> None:
    """torch's device without numbers takes the way of MPS."""
    q, k, v = (one.to("meta") for one in states(5, 70, dtype))
    part = attend(q, k, v)
    assert (part[0].shape, part[0].dtype) == (q.shape, dtype)
    assert (part[1].shape, part[1].dtype) == (q.shape[:3], torch.float32)
    out, _ = merge(part, attend(q, k, v))
    assert (out.shape, out.dtype) == (q.shape, dtype)
