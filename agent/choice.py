"""The rule of mode "auto": which of the agent's modes a question goes to, and why.

In order, the first that holds:

1. A question for a description of the whole picture ("describe", "what is happening", a caption), about one picture and
   without a mark, where something fills the core MLLM's role: **direct**. No tool counts or measures what it asks for.
2. Everything else: **program**. One plan is the cheapest way to an answer that shows its evidence, and where the plan
   cannot be made or fails, the ladder goes on to react and direct.

Modes react and decompose are never chosen from the question alone: `benchmarks/modes.py` measures all modes on the same
questions, and neither is ahead of program (docs/agent.md has the figures).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .language import language_of
from .records import Mode, Request

_DESCRIBE = {
    "en": re.compile(
        r"^(?:please |can you |could you |would you )*(?:describe|caption|summari[sz]e)\b(?! the (?:colou?r|size|position|text))"
        r"|^what(?:'s| is) (?:happening|going on)\b|^what does (?:the|this) (?:picture|image|photo|scene) show\b"
        r"|^what can (?:be seen|you see|i see)\b|^tell me about (?:the|this) (?:picture|image|photo|scene)\b",
        re.IGNORECASE,
    ),
    "zh": re.compile(r"^(?:请|请你|能不能|可以)?(?:描述|概括)(?:一下)?(?:这|图|画|照片)|(?:图|画面|照片)(?:里|中|上)?(?:在|正在)?发生了?什么"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """The mode that a request goes to, and why, in words."""

    mode: Mode
    why: str


def choose(request: Request, *, has_mllm: bool) -> Choice:
    """The rule above. `has_mllm`: whether something fills the core MLLM's role."""
    question = request.asked.strip()
    described = _DESCRIBE[language_of(question)].search(question) is not None
    if described and has_mllm and request.mark is None and len(request.pictures) == 1:
        return Choice("direct", "it asks for a description of the whole picture, which the core MLLM gives")
    if described and not has_mllm:
        return Choice("program", "it asks for a description, but no core MLLM fills the role")
    return Choice("program", "a program shows its evidence and is the cheapest plan to try first")
