"""What is left of an outcome for the answer and the session: thoughts, things spoken of, what was known at a cut-off."""

from __future__ import annotations

from ..programs.parser import parse
from ..programs.syntax import Literal, Name, ProgramError
from .answering import short
from .events import Recorder
from .outcome import Outcome
from .records import Answer
from .sessions import Turn


def things_of(program: str | None) -> tuple[str, ...]:
    """What a program looked for by name, in order: what a follow-up may mean by "ones"."""
    if not program:
        return ()
    try:
        steps = parse(program).steps
    except ProgramError:
        return ()
    named = (step.arguments.get("object") for step in steps if step.op == "LOC")
    return tuple(dict.fromkeys(n.value for n in named if isinstance(n, Literal) and isinstance(n.value, str)))


def spoken_of(answer: Answer, last: Turn | None) -> tuple[str, ...]:
    """What a follow-up may mean by "it" or "them": what was looked for, else the one kind of thing that was seen, else what
    the turn before was about."""
    sought = things_of(answer.program)
    if sought:
        return sought
    seen = tuple(dict.fromkeys(region.label for region in answer.evidence if region.label))
    if len(seen) == 1:
        return seen
    return last.things if last is not None else ()


def thoughts_of(outcome: Outcome, recorder: Recorder) -> tuple[str, ...]:
    """What the language model said on the way, verbatim."""
    return outcome.thoughts or tuple(str(e.data["said"]) for e in recorder.events if e.kind == "thought")


def falls_of(recorder: Recorder) -> tuple[str, ...]:
    """Why each mode of the ladder that was left came to nothing."""
    falls = (e.data for e in recorder.events if e.kind == "fallback")
    return tuple(f"{data['from']}: {data['why']}" for data in falls)


def known_so_far(outcome: Outcome, language: str) -> str:
    """What is known where a limit cut the work off, in words: what was concluded, else the facts, else what was seen."""
    gap, lead = ("；", "到目前为止：") if language == "zh" else ("; ", "So far: ")
    if outcome.text and outcome.text.strip() and all(outcome.text != fact.value for fact in outcome.facts):
        return lead + outcome.text.strip()
    if outcome.facts:
        return lead + gap.join(f"{fact.asked}: {fact.found}" for fact in outcome.facts)
    return lead + short(outcome.evidence, language) if outcome.evidence else ""


_SAID_NOTHING = {
    "VQA": "the core MLLM said nothing", "CAPTION": "the core MLLM said nothing", "READ": "nothing could be read there",
    "TEXTS": "nothing could be read there", "ASK": "the language model said nothing", "LIST": "the language model said nothing",
    "LABELS": "nothing that can be named was seen there",
}  # fmt: skip


def emptiness(outcome: Outcome) -> str:
    """Why an outcome that calls itself done holds no answer, in one line; '' where it holds one."""
    value = outcome.text if outcome.text is not None else outcome.value
    items = value if isinstance(value, list | tuple) else [value]
    if any(item is not None and (not isinstance(item, str) or item.strip()) for item in items):
        return ""
    if isinstance(value, list | tuple) and not value and _result_op(outcome.program) != "LABELS":
        return ""  # an empty list is an answer: nothing is of that kind
    return f"the answer is empty: {_SAID_NOTHING.get(_result_op(outcome.program), 'nothing came of it')}"


def _result_op(program: str | None) -> str:
    """The op of the step whose value a program gives; '' where that cannot be told."""
    try:
        steps = parse(program or "").steps
    except ProgramError:
        return ""
    ops = {step.name: step.op for step in steps}
    result = steps[-1].arguments.get("var") if steps else None
    return ops.get(result.id, "") if isinstance(result, Name) else ""
