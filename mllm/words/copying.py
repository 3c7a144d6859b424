"""The copy head: a state looks back over the tokens so far and says which of them comes next, and how sure it is of that.

Pointer-generator (See et al. 2017, arXiv:1704.04368): p(w) = (1 - g) softmax(head)(w) + g sum of attention over the
earlier places whose token is w. To the score of a place is added a learned bonus where the token before it is the one just
written (and another where the two before it are), which is what continues a copy: the rest of a name that was begun. Tokens that
differ by a leading space only count as one there, and a second gate says whether the copy is written without that space.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..starter.config import SPECIAL_TOKENS
from .config import WordsConfig

HISTORY = 3  # what is remembered of a place: its token and the two before it


def history(ids: Tensor, before: Tensor | None = None) -> Tensor:
    """Each token with the two before it. ids [B, T], before [B, 2] (the last token first) -> [B, T, 3] float32.

    Float32, so that it can lie in a KV cache as values: ids are far below 2^24.
    """
    b = ids.shape[0]
    last = ids.new_zeros(b, 2) if before is None else before
    line = torch.cat((last.flip(1), ids), 1)
    return torch.stack((line[:, 2:], line[:, 1:-1], line[:, :-2]), -1).float()


class CopyHead(nn.Module):
    """Attention over earlier places, and the gate between copying and writing."""

    def __init__(self, config: WordsConfig) -> None:
        super().__init__()
        self.query = nn.Linear(config.hidden_size, config.copy_size, bias=False)
        self.key = nn.Linear(config.hidden_size, config.copy_size, bias=False)
        self.mix = nn.Linear(
            config.hidden_size, 4
        )  # gate, bonus for one token alike, for two, gate of the space
        self.twins: Tensor  # token -> the same without its space
        self.register_buffer("twins", torch.arange(config.vocab_size))

    def attend(
        self, states: Tensor, past: Tensor, keys: Tensor, places: Tensor, look: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where each state looks, and its gates.

        Args:
            states: [B, T, C].
            past: history of the states' own tokens, [B, T, 3].
            keys: `self.key` of all states so far, [B, S, D].
            places: their history, [B, S, 3].
            look: whether a state may see a place, [B, T, S] bool.

        Returns:
            log attention [B, T, S], logits of the gate [B, T] and of writing without the space [B, T], all float32.
        """
        scores = (self.query(states) @ keys.transpose(1, 2)).float() * keys.shape[-1] ** -0.5
        gate, one, two, bare = self.mix(states).float().unbind(-1)
        said, stood = self.twins[past.long()], self.twins[places.long()]
        alike = said[:, :, None, 0] == stood[:, None, :, 1]
        both = alike & (said[:, :, None, 1] == stood[:, None, :, 2])
        scores = scores + one[..., None] * alike + two[..., None] * both
        look = look & (places[:, None, :, 0] >= len(SPECIAL_TOKENS))  # marks of the prompt are never copied
        gate = gate.masked_fill(~look.any(-1), -1e4)  # nothing to copy yet
        return scores.masked_fill(~look, -1e4).log_softmax(-1), gate, bare

    def mixed(self, logits: Tensor, attention: Tensor, gate: Tensor, bare: Tensor, places: Tensor) -> Tensor:
        """log p of every token: logits [B, T, V], what `attend` gave, places [B, S, 3] -> [B, T, V]."""
        written = logits.float().log_softmax(-1) + nn.functional.logsigmoid(-gate)[..., None]
        copied = (attention + nn.functional.logsigmoid(gate)[..., None]).exp()
        ids, without = places[:, None, :, 0].long().expand_as(copied), torch.sigmoid(bare)[..., None]
        p = written.exp().scatter_add(-1, ids, copied * (1 - without))
        return p.scatter_add(-1, self.twins[ids], copied * without).clamp_min(1e-30).log()
