"""Any LangChain chat model as a controller: each verb is a prompt, a reply, and a strict reading of the reply.

Pictures are never put before a verb that chooses tools or steps: what is written in a picture cannot plan. They go to
`look` alone, which answers in words. Whatever was read from a picture stands in a prompt between marks, as JSON.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ... import prompts
from ...programs.automaton import ProgramAutomaton
from ...tools.registry import Registry, default_registry
from ...tools.values import Image
from .. import refiner, steps
from ..errors import CannotError, ControllerError
from ..prompting import Prompter, said
from ..reading import is_refusal, json_value, plain_answer, program_in
from .base import Fact, RawClaim, SubQuestion
from .faults import NoSchema, Patience, complaint

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

    from ..events import Recorder
    from ..records import Request, Style
    from .served import ServedModel

CLAIM_KINDS = ("existence", "count", "color", "attribute", "relation", "text", "compare", "other")
ANSWERERS = ("program", "mllm", "tool")
SUB_QUESTIONS = 6  # of one call of `divide`, at most
MORE_TRIES = 1  # for an empty reply, or one that is not the JSON asked for


@dataclass(slots=True)
class Totals:
    """What a controller was used for since it was made: calls and tokens, over all questions."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class ChatController:
    """A chat model in the agent's service.

    Args:
        model: any LangChain chat model.
        name: as a person asked for it ("openai:gpt-5.5"); the model's own name if not given.
        sees: whether it takes pictures; what its profile says if not given.
        tools: "native" tool calls, tools as "text", or "auto": native until the server refuses them.
        structured: ask for JSON by schema (OpenAI's `response_format`); in words where False or refused.
        registry: tools that its programs may use; built-in and installed ones if not given.
        demonstrations: worked examples in the planner's prompt, at most.
        prompt_tokens: estimated size of that prompt, at most.
        grammar: hand the programs' grammar to the model (a local one, see `local`), which then cannot write another.
        patience: of retries. `sleep` waits between them.
        provider, place: for errors, see `faults.explained`.
    """

    knows = True
    told_tools = True

    def __init__(
        self,
        model: BaseChatModel,
        name: str = "",
        *,
        sees: bool | None = None,
        tools: Literal["native", "text", "auto"] = "auto",
        structured: bool = False,
        registry: Registry | None = None,
        demonstrations: int = 8,
        prompt_tokens: int = 5000,
        grammar: bool = False,
        patience: Patience = Patience(),
        sleep: Callable[[float], None] = time.sleep,
        provider: str = "",
        place: str = "",
    ) -> None:
        from .served import ServedModel

        self.name = name or str(getattr(model, "model_name", "") or type(model).__name__)
        profile = getattr(model, "profile", None) or {}
        self.sees = bool(profile.get("image_inputs", False)) if sees is None else sees
        self.registry = registry if registry is not None else default_registry()
        self.prompter = Prompter(self.registry, demonstrations, prompt_tokens)
        self.totals = Totals()
        self._grammar = grammar
        self._structured = structured
        self._lock = threading.Lock()
        self._model = ServedModel(
            inner=model, label=self.name, provider=provider, place=place, form=tools, patience=patience,
            count=self._count, sleep=sleep,
        )  # fmt: skip

    # -- the verbs -------------------------------------------------------------------------------------------------

    def plan(
        self, request: Request, recorder: Recorder, failed: Sequence[tuple[str, Sequence[Any]]] = ()
    ) -> str:
        """The program in the model's reply; a piece of one as it stands, for the checker to name what is wrong.

        Raises:
            ControllerError: no program was written, or the reply was refused or cut off before it.
        """
        prompt = self.prompter.plan(request)
        turns: list[tuple[str, str]] = []
        for user, assistant in prompt.turns:
            turns += [("user", user), ("assistant", assistant)]
        turns.append(("user", prompt.request))
        for text, problems in failed:
            listed = "\n".join(f"- {problem}" for problem in problems[:8])
            turns += [("assistant", text), ("user", prompts.text("repair", problems=listed))]
        options: dict[str, Any] = {}
        if self._grammar:
            options["grammar"] = ProgramAutomaton(self.registry, steps.types_of(request.inputs))
        reply = self._ask(
            "controller", prompt.system, turns, recorder, attempt=len(failed), options=options,
            demonstrations=list(prompt.demonstrations), judge=_no_whole_program,
        )  # fmt: skip
        found = program_in(reply)
        if found is not None:
            return found.program
        words = " ".join(reply.split())[:160]
        if is_refusal(reply):
            raise ControllerError(f"{self.name} refused to plan: {words}")
        raise ControllerError(f"{self.name} wrote no program: {words}")

    def divide(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> list[SubQuestion]:
        """The sub-questions still needed, best asked in this order; none when `known` suffices."""
        system = prompts.text("decompose", how_many=_how_many(request, known))
        asked = said(request) + ("\n\nKnown:\n" + fenced(known) if known else "\n\nKnown: nothing yet")
        data = self._json("decision maker", system, asked, recorder, _DIVIDE_SCHEMA, "questions")
        found: dict[str, SubQuestion] = {}
        for number, row in enumerate(_rows(data.get("questions")), 1):
            text = str(row.get("text") or row.get("question") or "").strip()
            if not text:
                continue
            key = str(row.get("id") or f"q{number}")
            by = str(row.get("by") or "")
            parent = row.get("parent")
            needs = row.get("needs")
            found.setdefault(
                key,
                SubQuestion(
                    key, text, str(parent) if parent else None,
                    tuple(str(n) for n in needs) if isinstance(needs, list) else (), by if by in ANSWERERS else "",
                ),
            )  # fmt: skip
        return list(found.values())[:SUB_QUESTIONS]

    def conclude(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> str:
        """The short answer that follows from the facts alone."""
        asked = f"{said(request)}\n\nFindings:\n{fenced(known)}\n\nAnswer:"
        reply = self._ask("decision maker", prompts.text("conclude"), [("user", asked)], recorder)
        return plain_answer(reply)

    def compose(self, question: str, facts: Sequence[Fact], style: Style, recorder: Recorder) -> str:
        """Facts -> an answer in the style asked for.

        Raises:
            ControllerError: the wording brings in a number or a name that neither the facts nor the question hold.
        """
        asked = f"Question: {question}\n\nFacts:\n{fenced(facts)}"
        system = prompts.text("compose", **refiner.settings(style, question))
        reply = plain_answer(self._ask("refiner", system, [("user", asked)], recorder))
        refiner.require_faithful(reply, question, facts, self.name, style.language)
        return reply

    def reword(self, caption: str, facts: Sequence[Fact], style: Style, recorder: Recorder) -> str:
        """A region's caption in the style asked for (CAT); the same check as `compose`."""
        told = [Fact("caption", caption), *facts]
        system = prompts.text("region_caption", **refiner.settings(style, caption))
        reply = plain_answer(
            self._ask("refiner", system, [("user", f"Caption and facts:\n{fenced(told)}")], recorder)
        )
        refiner.require_faithful(reply, caption, facts, self.name, style.language)
        return reply

    def claims(self, text: str, recorder: Recorder) -> list[RawClaim]:
        """The atomic claims of a text, in one call; those whose quote does not stand in the text are left out."""
        if not text.strip():
            return []
        asked = f"Text:\n<data>\n{_closed(text)}\n</data>"
        data = self._json("verifier", prompts.text("claims"), asked, recorder, _CLAIMS_SCHEMA, "claims")
        found: dict[RawClaim, None] = {}
        for row in _rows(data.get("claims")):
            quote = _verbatim(str(row.get("quote") or ""), text)
            entities = row.get("entities")
            if quote is None or not isinstance(entities, list):
                continue
            kind = str(row.get("kind") or "other").lower()
            value = row.get("value")
            found[
                RawClaim(
                    kind if kind in CLAIM_KINDS else "other",
                    quote,
                    tuple(str(e).strip() for e in entities if str(e).strip()),
                    "" if value is None else str(value),
                    row.get("polarity") is not False,
                )
            ] = None
        return list(found)

    def complete(self, prompts: Sequence[str]) -> list[str]:
        """Plain completions for LIST and ASK, several at once."""
        from langchain_core.messages import HumanMessage

        asked: list[Any] = [[HumanMessage(prompt)] for prompt in prompts]
        replies = self._model.batch(asked, config={"max_concurrency": 4})
        for reply in replies:
            if wrong := complaint(reply):
                raise ControllerError(f"{self.name}: {wrong}")
        return [plain_answer(str(reply.text)) for reply in replies]

    def chat_model(self) -> ServedModel:
        """The model for LangChain's agent; `bind_tools` works on it, natively or as text."""
        return self._model

    # -- pictures --------------------------------------------------------------------------------------------------

    def look(self, image: Image, question: str, recorder: Recorder | None = None) -> str:
        """A short answer about a picture; CannotError where the model takes none."""
        return self._look(image, prompts.text("look"), question, recorder)

    def answer(self, images: Sequence[Image], questions: Sequence[str]) -> list[str]:
        """Answers in the role `mllm` of the tools: `models.bind("mllm", controller)`."""
        return [self.look(image, question) for image, question in zip(images, questions, strict=True)]

    def caption(self, images: Sequence[Image]) -> list[str]:
        """Captions in the role `mllm` of the tools."""
        return [self._look(image, "", prompts.text("describe"), None) for image in images]

    def _look(self, image: Image, system: str, question: str, recorder: Recorder | None) -> str:
        if not self.sees:
            raise CannotError(f"{self.name} takes no pictures; say sees=True if it does")
        from .pictures import block

        content = [{"type": "text", "text": question}, block(image)]
        return plain_answer(self._ask("look", system, [("user", content)], recorder))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _ask(
        self,
        role: str,
        system: str,
        turns: Sequence[tuple[str, Any]],
        recorder: Recorder | None,
        *,
        attempt: int = 0,
        options: dict[str, Any] | None = None,
        judge: Callable[[AIMessage], bool] = lambda reply: True,
        **told: Any,
    ) -> str:
        """The reply's text, told as a thought. An empty reply is asked for once more.

        `judge` says of a reply that was cut off whether that matters: a program may stand whole in it.
        """
        messages = _messages(system, turns)
        wrong = None
        for again in range(MORE_TRIES + 1):
            reply = self._reply(role, messages, recorder, attempt + again, options or {}, told)
            wrong = complaint(reply)
            if wrong is None or (str(reply.text).strip() and not judge(reply)):
                return str(reply.text)
            if wrong != "the reply was empty":
                break
        raise ControllerError(f"{self.name}: {wrong}")

    def _reply(
        self,
        role: str,
        messages: Sequence[BaseMessage],
        recorder: Recorder | None,
        attempt: int,
        options: dict[str, Any],
        told: dict[str, Any],
    ) -> AIMessage:
        from .served import spent

        started = time.perf_counter()
        reply = self._model.invoke(list(messages), **options)
        if recorder is not None:
            recorder.emit(
                "thought", role=role, said=str(reply.text), ms=round((time.perf_counter() - started) * 1000, 2),
                attempt=attempt, **spent(reply), **told,
            )  # fmt: skip
        return reply

    def _json(
        self, role: str, system: str, asked: str, recorder: Recorder, schema: dict[str, Any], key: str
    ) -> dict[str, Any]:
        """The reply as a JSON object; asked for once more, in words, where it is none."""
        turns: list[tuple[str, Any]] = [("user", asked)]
        for again in range(MORE_TRIES + 1):
            options: dict[str, Any] = {}
            if self._structured:
                named = {"name": key, "schema": schema, "strict": True}
                options = {"response_format": {"type": "json_schema", "json_schema": named}}
            try:
                reply = self._ask(role, system, turns, recorder, attempt=again, options=options)
            except NoSchema:
                self._structured = False
                reply = self._ask(role, system, turns, recorder, attempt=again)
            value = json_value(reply)
            if isinstance(value, list):
                value = {key: value}
            if isinstance(value, dict) and isinstance(value.get(key), list):
                return value
            turns = [
                *turns[:1],
                ("assistant", reply),
                ("user", f'Reply with one JSON object with the list "{key}".'),
            ]
        words = " ".join(reply.split())[:120]
        raise ControllerError(f"{self.name} did not reply with the JSON asked for: {words}")

    def _count(self, read: int, wrote: int) -> None:
        with self._lock:
            self.totals.calls += 1
            self.totals.tokens_in += read
            self.totals.tokens_out += wrote


def _messages(system: str, turns: Sequence[tuple[str, Any]]) -> list[BaseMessage]:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    kinds: dict[str, Any] = {"user": HumanMessage, "assistant": AIMessage}
    return [*([SystemMessage(system)] if system else []), *(kinds[kind](content) for kind, content in turns)]


def _no_whole_program(reply: AIMessage) -> bool:
    found = program_in(str(reply.text))
    return found is None or not found.whole


def fenced(facts: Sequence[Fact]) -> str:
    """Facts for a prompt: a JSON object a line between marks that nothing inside can close."""
    lines = [json.dumps({"asked": f.asked, "found": f.found}, ensure_ascii=False) for f in facts]
    return "<data>\n" + "\n".join(_closed(line) for line in lines) + "\n</data>"


def _closed(text: str) -> str:
    """Data that cannot end its own fence."""
    return text.replace("</data", "<\\/data")


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _verbatim(quote: str, text: str) -> str | None:
    """The piece of `text` that a quote copies, whatever its case and spaces; None where it copies none."""

    words = quote.split()
    if not words:
        return None
    if quote in text:
        return quote
    found = re.search(r"\s+".join(re.escape(word) for word in words), text, re.IGNORECASE)
    return found[0] if found else None


_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


_DIVIDE_SCHEMA = _object(
    thought=_TEXT,
    questions={
        "type": "array",
        "items": _object(
            id=_TEXT, text=_TEXT, by={"type": "string", "enum": list(ANSWERERS)},
            parent={"anyOf": [_TEXT, {"type": "null"}]}, needs=_TEXTS,
        ),
    },
)  # fmt: skip
_CLAIMS_SCHEMA = _object(
    claims={
        "type": "array",
        "items": _object(
            kind={"type": "string", "enum": list(CLAIM_KINDS)}, quote=_TEXT, entities=_TEXTS, value=_TEXT,
            polarity={"type": "boolean"},
        ),
    },
)  # fmt: skip


def _how_many(request: Request, known: Sequence[Fact]) -> str:
    """How many sub-questions a reply may hold; where their number is set, how many it has to."""
    if request.decomposition.stop == "fixed":
        left = max(1, min(SUB_QUESTIONS, request.decomposition.length - len(known)))
        return f"Exactly {left} sub-question{'s' * (left > 1)}, also where fewer would do"
    return f"At most {SUB_QUESTIONS} sub-questions"
