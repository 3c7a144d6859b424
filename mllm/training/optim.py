"""Muon for matrices and AdamW for the rest, over float32 master copies of weights that may compute in bfloat16."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalize(g: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices to g [N, R, C], approximately, by a quintic Newton-Schulz iteration.

    Coefficients: Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/). In bfloat16, whose rounding the
    iteration tolerates: in float32 it took a third of a step's time.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
    flip = g.shape[-2] > g.shape[-1]
    if flip:
        x = x.transpose(-2, -1)
    for _ in range(steps):
        s = x @ x.transpose(-2, -1)
        x = a * x + (b * s + c * s @ s) @ x
    return (x.transpose(-2, -1) if flip else x).float()


def is_hidden_matrix(name: str, p: Tensor) -> bool:
    """Whether Muon serves this parameter: matrices between hidden states, not embeddings, inputs or heads."""
    return (p.ndim == 2 and ".blocks." in f".{name}") or (p.ndim == 2 and ".matches." in f".{name}")


class MuonAdamW:
    """One optimiser for a whole model.

    Args:
        named: (name, parameter) pairs; those that require no gradient are left out.
        muon_lr, adam_lr: peak rates; `scale` of `step` multiplies both (the schedule).
        decay: decoupled weight decay of matrices (Muon) and of no one else.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        muon_lr: float = 0.02,
        adam_lr: float = 2e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        decay: float = 0.0,
    ) -> None:
        self.named = [(n, p) for n, p in named if p.requires_grad]
        self.muon_lr, self.adam_lr, self.momentum, self.betas, self.decay = (
            muon_lr,
            adam_lr,
            momentum,
            betas,
            decay,
        )
        self.master = {n: p.detach().float().clone() for n, p in self.named}
        self.first = {n: torch.zeros_like(m) for n, m in self.master.items()}
        self.second = {n: torch.zeros_like(m) for n, m in self.master.items() if not is_hidden_matrix(n, m)}
        self.steps = 0

    def zero_grad(self) -> None:
        for _, p in self.named:
            p.grad = None

    @torch.no_grad()
    def step(self, scale: float = 1.0, clip: float = 1.0) -> float:
        """Apply the gradients; returns their norm before clipping."""
        self.steps += 1
        grads = {n: p.grad.float() for n, p in self.named if p.grad is not None}
        norm = float(torch.stack([g.norm() for g in grads.values()]).norm())
        if not math.isfinite(norm):
            return norm  # skip the step: a non-finite gradient must not reach the weights
        factor = min(1.0, clip / (norm + 1e-6))
        b1, b2 = self.betas
        shapes: dict[tuple[int, ...], list[str]] = {}
        for name, grad in grads.items():
            grad.mul_(factor)
            if name in self.second:
                m, v = self.first[name], self.second[name]
                m.lerp_(grad, 1 - b1)
                v.lerp_(grad.square(), 1 - b2)
                rate = scale * self.adam_lr / (1 - b1**self.steps)
                self.master[name].addcdiv_(m, (v / (1 - b2**self.steps)).sqrt_().add_(1e-8), value=-rate)
            else:
                self.first[name].lerp_(grad, 1 - self.momentum)
                shapes.setdefault(tuple(grad.shape), []).append(name)
        for shape, names in shapes.items():
            # Nesterov's look-ahead, then all matrices of one shape in one batch of products.
            batch = torch.stack([grads[n].lerp(self.first[n], self.momentum) for n in names])
            update = orthogonalize(batch)
            rate = scale * self.muon_lr * max(1.0, shape[0] / shape[1]) ** 0.5
            for name, u in zip(names, update, strict=True):
                master = self.master[name]
                if self.decay:
                    master.mul_(1 - scale * self.muon_lr * self.decay)
                master.add_(u, alpha=-rate)
        for name, p in self.named:
            if name in grads:
                p.copy_(self.master[name])
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Tensors by name (`master/...`, `first/...`, `second/...`) and the step count."""
        out: dict[str, Any] = {"steps": torch.tensor(self.steps)}
        for kind in ("master", "first", "second"):
            out.update({f"{kind}/{n}": t for n, t in getattr(self, kind).items()})
        return out

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave, and write the weights back to the model."""
        self.steps = int(state["steps"])
        for kind in ("master", "first", "second"):
            for name, t in getattr(self, kind).items():
                t.copy_(state[f"{kind}/{name}"])
        for name, p in self.named:
            p.copy_(self.master[name])
