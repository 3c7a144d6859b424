"""The embedded starter as controller: it plans under the grammar, splits, joins, words and takes apart, all offline."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...mllm.cutoff import held
from ...programs.syntax import Program, ProgramError
from ...tools.color import COLOR_NAMES
from ...tools.values import Regions
from ..errors import CannotError, ControllerError
from ..language import NO, YES, in_language, language_of, nouns_in
from ..planner_data.lexicon import english_plural
from .base import Fact, RawClaim, SubQuestion
from .starter_conclusions import worked_out
from .starter_rounds import divide_prompt, join_prompt, parts_in, round_prompt

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from ...tools.registry import Registry
    from ..events import Recorder
    from ..records import Request, Style
    from ..starter_planner import StarterPlanner

# The wordings that its training used (mllm/scenes/templates; starter_rounds), one each: others would only cost accuracy.
_CLAIMS = {"en": "List the claims of this text: {text}", "zh": "提取所有说法：{text}"}
_COMPOSE = {
    "en": "Question: {question} Evidence: {facts} Answer in one sentence.",
    "zh": "问题：{question}证据：{facts}用一句话回答。",
}
_STOP = {"en": ".", "zh": "。"}
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")
_RELATED = re.compile(r"^(?P<a>.+?) (?P<relation>left of|right of|above|below) (?P<b>.+)$")
_CONCLUDED = 8  # words of the longest conclusion that its training drew
_MOST_COUNTED = 12  # the largest number that its training worded

NO_KNOWLEDGE = "the starter has no knowledge of the world: LIST and ASK need a language model, as in --controller openai:NAME"


class StarterController:
    """The starter MLLM's words in the agent's service.

    It sees no picture and knows nothing of the world; pictures reach it as the values of program steps. Loaded on first
    use; safe to use from several threads, which take turns.

    Args:
        planner: the loaded planner; the one inside the package if not given.
        registry: the tools a program may use; built-in and installed ones if not given.
        weights: folder of another starter.
    """

    name = "starter"
    sees = False
    knows = False
    told_tools = False  # it knows the tools from its training: none is described to it, and all are offered

    def __init__(
        self,
        planner: StarterPlanner | None = None,
        registry: Registry | None = None,
        weights: str | Path | None = None,
    ) -> None:
        self._given = planner
        self._weights = weights
        self._registry = registry
        self._planners: dict[tuple[str, ...], StarterPlanner] = {}
        self._lock = threading.RLock()

    # -- the verbs -------------------------------------------------------------------------------------------------

    def plan(
        self, request: Request, recorder: Recorder, failed: Sequence[tuple[str, Sequence[Any]]] = ()
    ) -> str:
        """One program, greedy, under the grammar of the tools and of the request's pictures."""
        if failed:
            raise CannotError("the starter writes one plan and cannot mend it; ask in other words")
        from .starter_requests import mend, said_for_planning, translated

        asked = said_for_planning(request)
        with held(self._lock):
            planner = self._planner(tuple(request.inputs))
            started = time.perf_counter()
            (text,) = planner.plan([asked.text])
        self._thought(recorder, "controller", asked.text, text, started)
        try:
            return mend(translated(Program.parse(text), asked.text), asked).text
        except (
            ProgramError
        ):  # the grammar closes every program; what is wrong all the same is the checker's to say
            return text

    def divide(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> list[SubQuestion]:
        """The simple questions that the question consists of, all independent; none once something is known, or where
        what it says speaks of other things than the question."""
        if known:
            return []
        language = language_of(request.question)
        (said,) = self._write([divide_prompt(language, request.question)], recorder, role="decision maker")
        if nouns_in(said, language) - nouns_in(request.question, language):
            return []
        return [SubQuestion(f"q{n}", text) for n, text in enumerate(parts_in(said), 1)]

    def conclude(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> str:
        """The answer that follows from the sub-answers: worked out by the expression that it writes for the question, or
        joined in words where it writes none that they fill."""
        if not known:
            raise CannotError("nothing is known to conclude from")
        if len(known) == 1 and known[0].asked == request.asked:
            return known[0].found  # the question was not taken apart: there is nothing to join
        language = language_of(request.question)
        try:
            program = Program.parse(self.plan(request, recorder))
        except (ControllerError, ProgramError):
            pass  # it wrote no plan for the whole; the words remain
        else:
            if (found := worked_out(program, known, language)) is not None:
                return found
        facts = [(fact.asked, fact.found) for fact in known]
        (said,) = self._write(
            [join_prompt(language, facts, request.question)], recorder, role="decision maker"
        )
        if not _follows(said, facts, request.question):
            raise ControllerError(f"the starter drew no conclusion: {said[:80]}")
        return said

    def compose(self, question: str, facts: Sequence[Fact], style: Style, recorder: Recorder) -> str:
        """One sentence from one fact: a number of things, a colour, or a relation that holds or not."""
        language = language_of(question) if style.language == "auto" else style.language
        if language not in _COMPOSE or language != language_of(question):
            raise CannotError(
                f"the starter words answers in the question's language, not in {style.language!r}"
            )
        if style.length == "paragraph" or style.tone != "neutral":
            raise CannotError("the starter words answers in one neutral sentence")
        told = f"{_evidence(facts, language)}{_STOP[language]}"
        (said,) = self._write(
            [_COMPOSE[language].format(question=question, facts=told)], recorder, role="refiner"
        )
        new = nouns_in(said, language) - nouns_in(f"{question} {told}", language)
        if new or not nouns_in(told, language) <= nouns_in(said, language):
            raise ControllerError(f"the starter's wording speaks of other things: {said}")
        if not well_worded(said, told.partition(":")[0].split(" / "), language):
            raise ControllerError(f"the starter's wording is no sentence of its kind: {said}")
        if not _states(facts[-1].value, said, language):
            raise ControllerError(f"the starter's wording does not say what was found: {said}")
        return said

    def claims(self, text: str, recorder: Recorder) -> list[RawClaim]:
        """The claims of each sentence, all sentences in one batch."""
        sentences = [part.strip() for part in _SENTENCE.findall(text) if re.search(r"\w", part)]
        if not sentences:
            return []
        said = self._write(
            [_CLAIMS[language_of(s)].format(text=s) for s in sentences], recorder, role="verifier"
        )
        found: dict[RawClaim, None] = {}
        for sentence, lines in zip(sentences, said, strict=True):
            for line in lines.splitlines():
                claim = read_claim(line, sentence)
                if claim is not None:
                    found[claim] = None
        return list(found)

    def complete(self, prompts: Sequence[str]) -> list[str]:
        """LIST and ASK are beyond it."""
        raise CannotError(NO_KNOWLEDGE)

    def chat_model(self) -> BaseChatModel:
        """A LangChain chat model that thinks and acts as the starter was trained to: one tool call or the answer."""
        from .starter_chat import StarterChat

        return StarterChat(step=self.next_step)

    def next_step(self, question: str, history: Sequence[tuple[str, str]]) -> tuple[str, int, int]:
        """(what it says next, tokens read, tokens written), after the (call, what it was told of it) pairs so far."""
        prompt = round_prompt(language_of(question), question, history)
        with held(self._lock):
            (said,) = self._say([prompt])
            return said, self._tokens(prompt), self._tokens(said)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _planner(self, inputs: tuple[str, ...]) -> StarterPlanner:
        """The planner whose grammar knows these pictures; all share one set of weights."""
        from ...tools import types
        from ..starter_planner import StarterPlanner

        if inputs not in self._planners:
            first = self._given or next(iter(self._planners.values()), None)
            named = {name: types.of("Region" if name == "MARK" else "Image") for name in inputs}
            answerer = first.answerer if first is not None else None
            if answerer is None and self._weights is not None:
                from ...mllm.answerer import Answerer

                answerer = Answerer.load(self._weights)
            self._planners[inputs] = StarterPlanner(answerer, self._registry, named)
        return self._planners[inputs]

    def _any_planner(self) -> StarterPlanner:
        return self._given or next(iter(self._planners.values()), None) or self._planner(("IMAGE",))

    def _say(self, texts: Sequence[str]) -> list[str]:
        from ...mllm.answerer import Question

        replies = self._any_planner().answerer.ask([Question(text, mode="answer") for text in texts])
        return [reply.text.strip() for reply in replies]

    def _write(self, texts: Sequence[str], recorder: Recorder, *, role: str) -> list[str]:
        with held(self._lock):
            started = time.perf_counter()
            said = self._say(texts)
        self._thought(recorder, role, "\n".join(texts), "\n".join(said), started)
        return said

    def _thought(self, recorder: Recorder, role: str, asked: str, said: str, started: float) -> None:
        recorder.emit(
            "thought",
            role=role,
            asked=asked,
            said=said,
            tokens_in=self._tokens(asked),
            tokens_out=self._tokens(said),
            ms=round((time.perf_counter() - started) * 1000, 2),
            attempt=0,
        )

    def _tokens(self, text: str) -> int:
        tokenizer = self._any_planner().answerer.processor.tokenizer
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _follows(said: str, facts: Sequence[tuple[str, str]], question: str) -> bool:
    """Whether a conclusion is a yes or no, a number, or in words that stand in the facts or the question."""
    words = re.findall(r"\w+", said.lower())
    told = " ".join([*(part for fact in facts for part in fact), question]).lower()
    return 0 < len(words) <= _CONCLUDED and all(w in YES | NO or w.isdigit() or w in told for w in words)


def _evidence(facts: Sequence[Fact], language: str) -> str:
    """The one fact behind an answer, as its training wrote it: "dog: 2", "dog: red" or "dog / bus: left of = yes".

    Raises:
        CannotError: the answer rests on something else, or on a name that has no Chinese in a Chinese question.
    """
    *seen, last = facts
    value = last.value[0] if isinstance(last.value, list) and len(last.value) == 1 else last.value
    counted = [f for f in seen if isinstance(f.value, Regions)]
    if len(counted) != 1 or not isinstance(value, str | int | bool):
        raise CannotError("the starter words what rests on one group of things")
    name, number = counted[0].asked, len(counted[0].value)
    related = _RELATED.match(name)
    yes_no = isinstance(value, bool) or str(value).lower() in ("yes", "no")
    if yes_no and related is not None:
        a, b = (_name(related[key], language) for key in ("a", "b"))
        holds = _name("yes" if number else "no", language)
        return f"{a} / {b}: {_name(related['relation'], language)} = {holds}"
    if related is not None or number > _MOST_COUNTED:
        raise CannotError("the starter words counts of things by name, up to a dozen")
    if yes_no and (value in (True, "yes")) == bool(number) and len(seen) == 1:
        return f"{_name(name, language)}: {number}"
    if isinstance(value, int) and not yes_no and value == number and len(seen) == 1:
        return f"{_name(name, language)}: {number}"
    if isinstance(value, str) and value in COLOR_NAMES and number == 1:
        return f"{_name(name, language)}: {_name(value, language)}"
    raise CannotError("the starter words a count, a colour or a relation")


def _states(value: Any, said: str, language: str) -> bool:
    """Whether a sentence says a count, a yes or no, or a colour, in the forms that the starter was trained to word them."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or value in ("yes", "no"):
        start = {"en": ("yes", "no"), "zh": ("是", "不")}[language][value not in (True, "yes")]
        return said.lower().startswith(start)
    if isinstance(value, int):
        return str(value) in re.findall(r"\d+", said) or (
            value == 0 and said.lower().startswith(("no", "不"))
        )
    return in_language(str(value), language) in said


_PLAIN = re.compile(r"[^\W_][\w ,.'’\"-]*|[\w，。、“” ]+")
_ASKING = {
    "en": re.compile(r"\b(?:how|many|what|which|who|where|why)\b|_|\?", re.IGNORECASE),
    "zh": re.compile(r"几|多少|什么|哪|谁|[?？_ ]"),
}


def well_worded(said: str, names: Sequence[str], language: str) -> bool:
    """Whether a sentence has the make of the starter's own: plain words, nothing that asks, and each thing named once."""
    if len(said) > 120 or not _PLAIN.fullmatch(said) or _ASKING[language].search(said):
        return False
    for name in names:
        if language == "zh":
            named = said.count(name)
            others = sum(said.count(other) for other in names if other != name and name in other)
            if named - others != 1:
                return False
        else:
            forms = "|".join(re.escape(form) for form in (english_plural(name), name))
            if len(re.findall(rf"\b(?:{forms})\b", said, re.IGNORECASE)) != 1:
                return False
    return True


def _name(name: str, language: str) -> str:
    """A thing's or colour's name in the language; names made of several steps ("largest dog") are beyond its training."""
    if language == "en":
        return name
    said = in_language(name, language)
    if said == name:
        raise CannotError(f"the starter has no Chinese for {name!r}")
    return said


_LINE = re.compile(r"^(existence|absence|count|color|text|relation|compare): (.+)$")
_RELATIONS = ("left of", "right of", "above", "below", "左边", "右边", "上方", "下方")


def read_claim(line: str, sentence: str) -> RawClaim | None:
    """A claim from a line as the starter writes it ("count: dog = 2"); None where the line has no such form."""
    match = _LINE.match(line.strip())
    if match is None:
        return None
    kind, rest = match[1], match[2].strip()
    if kind in ("existence", "absence"):
        return RawClaim("existence", sentence, (rest,), polarity=kind == "existence")
    if kind == "count":
        parts = re.match(r"^(.+?) (=|>=) (\d+)$", rest)
        if parts is None:
            return None
        return RawClaim("count", sentence, (parts[1],), parts[3] if parts[2] == "=" else f">={parts[3]}")
    if kind in ("color", "text"):
        entity, equals, value = rest.partition(" = ")
        return RawClaim(kind, sentence, (entity,), value) if equals else None
    if kind == "compare":
        first, sign, second = rest.partition(" > ")
        return RawClaim("compare", sentence, (first, second), ">") if sign else None
    for relation in _RELATIONS:
        first, found, second = rest.partition(f" {relation} ")
        if found:
            return RawClaim("relation", sentence, (first, second), relation)
    return None
