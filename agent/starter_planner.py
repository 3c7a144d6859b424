"""The embedded planner: the starter MLLM writes the program, under the grammar of the tools that are in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..programs.automaton import ProgramAutomaton
from ..tools.registry import Registry, default_registry
from ..tools.types import ValueType

if TYPE_CHECKING:
    from ..mllm.answerer import Answerer

WEIGHTS = Path(__file__).resolve().parent.parent / "mllm" / "weights" / "starter"
PROGRAM_TOKENS = 320  # most tokens of a program; the grammar closes it in time


class StarterPlanner:
    """Requests in, checked programs out.

    Args:
        answerer: the loaded starter; the one inside the package if not given.
        registry: the tools a program may use; built-in and installed ones if not given.
        inputs: names of the pictures that a program may read, with their types; the usual ones if not given.
    """

    def __init__(
        self,
        answerer: Answerer | None = None,
        registry: Registry | None = None,
        inputs: Mapping[str, ValueType] | None = None,
    ) -> None:
        from ..mllm.answerer import Answerer
        from ..mllm.constrained import Constraint

        self.answerer = answerer if answerer is not None else Answerer.load(WEIGHTS)
        automaton = ProgramAutomaton(registry if registry is not None else default_registry(), inputs)
        self._constraint = Constraint(self.answerer.processor.tokenizer, automaton)

    def plan(self, requests: Sequence[str], *, constrained: bool = True) -> list[str]:
        """A program text for each request, greedy. Without `constrained`, whatever the model would write freely."""
        from ..mllm.answerer import Question

        questions = [Question(request, mode="plan") for request in requests]
        texts: list[str] = []
        for start in range(0, len(questions), 32):
            part = questions[start : start + 32]
            options: dict[str, Any] = (
                {"logits_processor": [self._constraint.processor(PROGRAM_TOKENS)]} if constrained else {}
            )
            texts += [reply.text for reply in self.answerer.ask(part, 32, PROGRAM_TOKENS, **options)]
        return texts
