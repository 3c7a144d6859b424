"""The starter's causal LM: RoPE, QK-norm, RMSNorm, squared-ReLU MLPs, and words that look for their objects.

| tensor | initial value |
|---|---|
| embedding | normal, 0.02 x sqrt(width) |
| q, k, v, MLP in | normal, 1 / sqrt(fan in) |
| attention out, MLP out, match out, head | zero: each block starts as the identity |
| match bias | -2: a word starts by matching few objects |
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ASSISTANT, IMAGE, PAD, REGION, USER, StarterConfig


def rms_norm(x: Tensor) -> Tensor:
    """Scale the last dimension to unit root mean square (no learned gain)."""
    return x * torch.rsqrt(
        (x * x).mean(-1, keepdim=True) + 1e-6
    )  # a third of the time of F.rms_norm's backward pass


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of x [B, H, T, D] by cos, sin [B, 1, T, D/2]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class Attention(nn.Module):
    """Self-attention with rotary positions and normalised queries and keys."""

    def __init__(self, config: StarterConfig, layer: int) -> None:
        super().__init__()
        self.heads, self.layer = config.num_attention_heads, layer
        width = config.hidden_size
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, cache: Any | None) -> Tensor:
        """x [B, T, C]; mask [B, 1, T, S] is True where a query may look; S counts cached keys too."""
        b, t, c = x.shape
        q, k, v = (
            self.qkv(x).view(b, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        )  # [B, H, T, D]
        q, k = rotate(rms_norm(q), cos, sin), rotate(rms_norm(k), cos, sin)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        # Written out: on a CPU the backward pass of the fused kernel took four times as long at these lengths.
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        y = scores.masked_fill(~mask, -1e4).softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(b, t, c))


class Block(nn.Module):
    """Attention, then an MLP, each on a normalised copy of the stream and added to it."""

    def __init__(self, config: StarterConfig, layer: int) -> None:
        super().__init__()
        self.attention = Attention(config, layer)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, cache: Any | None) -> Tensor:
        x = x + self.attention(rms_norm(x), cos, sin, mask, cache)
        h = F.relu(self.up(rms_norm(x)))
        return x + self.down(h * h)


class ObjectMatch(nn.Module):
    """A word opens a gate to every object it names and takes their values in.

    x_i += Wo sum_j sigmoid(Wq x_i . Wk o_j / sqrt(D) + b) Wv o_j. The gates are supervised on nouns; without that,
    binding words to objects did not start in our runs (docs/experiments.md).
    """

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.tensor(-2.0))

    def forward(self, x: Tensor, objects: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, C], objects [B, M, C], visible [B, T, M] bool -> x, gate logits [B, T, M]."""
        logits = self.query(rms_norm(x)) @ self.key(objects).transpose(1, 2) / x.shape[-1] ** 0.5 + self.bias
        gates = torch.sigmoid(logits) * visible
        return x + self.out(gates.to(x.dtype) @ self.value(objects)), logits


class PointerHead(nn.Module):
    """Scores of the tokens that stand for objects: how well the state's query fits each object's content."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden_size, 2 * config.hidden_size, bias=False)
        self.key = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor, objects: Tensor, visible: Tensor) -> Tensor:
        """x [B, T, C], objects [B, M, C], visible [B, T, M] -> [B, T, 2, M]: pointer and reading logits."""
        b, t, c = x.shape
        q = self.query(x).view(b, t, 2, c)
        logits = (
            torch.einsum("btac,bmc->btam", q, self.key(objects)) / c**0.5 + self.bias.to(x.dtype)[:, None]
        )
        return logits.masked_fill(~visible[:, :, None], -1e4)


class LanguageModel(nn.Module):
    """Embedding, blocks with object matches between, and two heads: words and pointers."""

    def __init__(self, config: StarterConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.num_hidden_layers))
        self.matches = nn.ModuleDict({str(i): ObjectMatch(config) for i in config.match_after})
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.pointer = PointerHead(config)

    @torch.no_grad()
    def reset(self, generator: torch.Generator | None = None) -> None:
        """Set the initial values of the table above."""
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                p.fill_(-2.0 if "matches" in name else 0.0)
            elif name.startswith("embedding"):
                p.normal_(0.0, 0.02 * p.shape[1] ** 0.5, generator=generator)
            elif name.endswith(("out.weight", "down.weight", "head.weight", "pointer.query.weight")):
                p.zero_()
            else:
                p.normal_(0.0, p.shape[1] ** -0.5, generator=generator)

    def rotary(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """positions [B, T] -> cos, sin [B, 1, T, D/2]."""
        half = self.config.head_dim // 2
        rates = self.config.rope_theta ** (
            -torch.arange(half, device=positions.device, dtype=torch.float32) / half
        )
        angle = positions[:, None, :, None].float() * rates
        return angle.cos().to(dtype), angle.sin().to(dtype)

    def forward(
        self,
        embeds: Tensor,
        positions: Tensor,
        mask: Tensor,
        objects: Tensor,
        visible: Tensor,
        cache: Any | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """embeds [B, T, C] -> states [B, T, C] (normalised) and the gate logits [B, T, M] of each match."""
        cos, sin = self.rotary(positions, embeds.dtype)
        x, gates = rms_norm(embeds), []
        for i, block in enumerate(self.blocks):
            x = block(x, cos, sin, mask, cache)
            if str(i) in self.matches:
                x, logits = self.matches[str(i)](x, objects, visible)
                gates.append(logits)
        return rms_norm(x), gates

    def logits(self, states: Tensor, objects: Tensor, visible: Tensor) -> Tensor:
        """states [B, T, C] -> [B, T, V]; the pointer and reading entries come from the pointer head."""
        logits = self.head(states)
        scores = self.pointer(states, objects, visible).to(logits.dtype)  # [B, T, 2, M]
        count, c = objects.shape[1], self.config
        full = torch.full((*scores.shape[:3], c.pointers), -1e4, dtype=logits.dtype, device=logits.device)
        full[..., :count] = scores
        logits[..., c.pointer_start : c.pointer_start + c.pointers] = full[:, :, 0]
        logits[..., c.reading_start : c.reading_start + c.pointers] = full[:, :, 1]
        logits[
            ..., [PAD, IMAGE, REGION, USER, ASSISTANT]
        ] = -1e4  # marks of a prompt, never part of an answer
        return logits
