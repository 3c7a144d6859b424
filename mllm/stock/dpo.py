"""Segment-weighted DPO (RLHF-V): tokens that a correction changed weigh more than those that it left.

log pi(y|x) = (sum over unchanged tokens of log p + gamma * sum over changed tokens of log p) / N,
N = |unchanged| + gamma |changed|; the loss is DPO's on these scores (Yu et al. 2023, arXiv 2312.00849, section 3;
beta 0.5, gamma 5). With gamma = 1 a score is the average log-probability of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from ...errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

BETA, GAMMA = 0.5, 5.0


def segment_weights(
    chosen: Sequence[int], rejected: Sequence[int], gamma: float = GAMMA
) -> tuple[list[float], list[float]]:
    """Weight of each token of both responses: 1 where a token diff finds it unchanged, `gamma` where it was changed."""
    if gamma <= 0:
        raise InputError(f"gamma is {gamma}; it must be above 0 (1: all tokens weigh alike)")
    left, right = [gamma] * len(chosen), [gamma] * len(rejected)
    # autojunk would take frequent tokens for noise in long answers.
    for i, j, size in SequenceMatcher(None, chosen, rejected, autojunk=False).get_matching_blocks():
        left[i : i + size] = [1.0] * size
        right[j : j + size] = [1.0] * size
    return left, right


def segment_scores(log_probs: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean log-probability of each response.

    Args:
        log_probs: [B, T], of each token given those before it.
        weights: [B, T], from `segment_weights`; 0 where a token is not part of the response.

    Returns:
        [B].
    """
    return (log_probs * weights).sum(-1) / weights.sum(-1)


def token_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """Log-probability of each id [..., T] under logits [..., T, V] (already shifted so that they belong together)."""
    return logits.float().log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)


def segment_dpo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float = BETA
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of each pair [B], and the rewards of the chosen and the rejected response [B], from four scores [B]."""
    import torch.nn.functional as F

    chosen_reward, rejected_reward = beta * (chosen - ref_chosen), beta * (rejected - ref_rejected)
    return -F.logsigmoid(chosen_reward - rejected_reward), chosen_reward.detach(), rejected_reward.detach()
