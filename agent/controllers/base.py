"""What every language model does for the agent, in verbs; a chat model and the embedded starter both fill this in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from ..events import Recorder
    from ..records import Request, Style


@dataclass(frozen=True, slots=True)
class Fact:
    """One piece of evidence in words, as a refiner may use it: what was asked of the picture and what was found."""

    asked: str
    found: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class SubQuestion:
    """A part of a question; `parent` is the id of the one it helps to answer, `needs` of those it builds on.

    `by` says who should answer it: "program", "mllm" (a look), "tool" (knowledge); '' leaves that to the agent.
    """

    id: str
    text: str
    parent: str | None = None
    needs: tuple[str, ...] = ()
    by: str = ""


@dataclass(frozen=True, slots=True)
class RawClaim:
    """A claim as the language model gives it: kind, its own words from the text, the entities, and a value.

    `polarity` is False for what the text denies. `quote` is a verbatim piece of the text; the verifier finds its span.
    """

    kind: str  # existence, count, color, attribute, relation, text, compare, other
    quote: str
    entities: tuple[str, ...]
    value: str = ""
    polarity: bool = True


class Controller(Protocol):
    """A language model in the agent's service. Every verb records a `thought` with what was said, verbatim.

    A verb that a controller cannot do raises CannotError (`agent/errors.py`), and the agent goes down its ladder.
    """

    name: str
    sees: bool  # whether pictures may be put before it
    knows: bool  # whether it knows the world (LIST and ASK)

    def plan(
        self, request: Request, recorder: Recorder, failed: Sequence[tuple[str, Sequence[Any]]] = ()
    ) -> str:
        """A program's text for the request. `failed` are earlier attempts with their checker errors, for repair."""
        ...

    def divide(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> list[SubQuestion]:
        """The sub-questions that are still needed; none when `known` suffices."""
        ...

    def conclude(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> str:
        """The short answer to the request that follows from the facts alone."""
        ...

    def compose(self, question: str, facts: Sequence[Fact], style: Style, recorder: Recorder) -> str:
        """Facts -> an answer in the style asked for; nothing that the facts do not say."""
        ...

    def claims(self, text: str, recorder: Recorder) -> list[RawClaim]:
        """The atomic claims of a text, in one call."""
        ...

    def complete(self, prompts: Sequence[str]) -> list[str]:
        """Plain completions for LIST and ASK (the role `controller` of the tools)."""
        ...

    def chat_model(self) -> BaseChatModel:
        """The model as LangChain sees it, for the ReAct agent; `bind_tools` works on it, natively or as text."""
        ...
