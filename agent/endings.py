"""What is left of an outcome for the answer and the session: thoughts, things spoken of, what was known at a cut-off."""

from __future__ import annotations

from ..programs.parser import parse
from ..programs.syntax import Literal, ProgramError
from .events import Recorder
from .outcome import Outcome


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


def thoughts_of(outcome: Outcome, recorder: Recorder) -> tuple[str, ...]:
    """What the language model said on the way, verbatim."""
    return outcome.thoughts or tuple(str(e.data["said"]) for e in recorder.events if e.kind == "thought")


def known_so_far(outcome: Outcome, language: str) -> str:
    """What is known where a limit cut the work off, in words."""
    gap, lead = ("；", "到目前为止：") if language == "zh" else ("; ", "So far: ")
    return lead + gap.join(f"{fact.asked}: {fact.found}" for fact in outcome.facts) if outcome.facts else ""
