"""The shape of a segmenter small enough for tests, as an object and as a config writes it."""

from __future__ import annotations

from sightline.mllm.segmentation.encoder import SegmenterShape

TINY = SegmenterShape(
    side=64,
    places=4,
    stem=8,
    fine=4,
    mid=(8, 12),
    width=16,
    blocks=1,
    heads=2,
    embedding=16,
    decoder_depth=1,
    decoder_mlp=16,
)
MODEL = "{side: 64, places: 4, stem: 8, fine: 4, mid: [8, 12], width: 16, blocks: 1, heads: 2, embedding: 16, decoder_depth: 1, decoder_mlp: 16}"
