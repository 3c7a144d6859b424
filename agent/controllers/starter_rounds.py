"""What the starter reads and writes when it decides step by step: one set of forms for its training and for its use.

A round's prompt tells the question and each call so far in a few words with what it gave ("BOX0 = LOC dog: 2 x dog."). The
reply is a thought with one or more calls, which run together, or with the answer (ReAct, Yao et al. 2023). Sub-questions are
asked for and joined in forms of their own. `planner_data/rounds.py` builds training turns with these functions alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import SightlineError
from ...programs.parser import parse
from ...programs.syntax import ListOf, Literal, Name, Step

_ROUND = {
    "en": "Question: {question} Steps so far: {history} Next step?",
    "zh": "问题：{question}已做步骤：{history}下一步？",
}
_DIVIDE = {"en": "Break the question into simple questions: {question}", "zh": "分解问题：{question}"}
_JOIN = {"en": "Known: {facts} Question: {question}", "zh": "已知：{facts}问题：{question}"}
_NONE = {"en": "none", "zh": "无"}
_STOP = {"en": ".", "zh": "。"}
_GAP = {"en": " ", "zh": ""}
UNKNOWN = "unknown"  # the answer where a call failed or gave nothing
TOLD = 60  # most characters of what a call gave; the rest stays behind its handle

_ONLY = "IMAGE"  # the one picture, which goes without saying
_COUNTED = re.compile(r"^(\d+ x [^:]+?)(?:: .*)?$", re.DOTALL)
_PICTURE = re.compile(r"a picture of \d+ x \d+ pixels")


# -- rounds --------------------------------------------------------------------------------------------------------


def round_prompt(language: str, question: str, history: Sequence[tuple[str, str]]) -> str:
    """The prompt of a round after (call, what the model was told of it) pairs: ("LOC(image=IMAGE,object='dog')",
    "BOX0 = 2 x dog: dog at [...]; ...")."""
    told = " ".join(f"{step_told(action, seen)}." for action, seen in history) or _NONE[language]
    return _ROUND[language].format(question=question, history=told if history else told + _STOP[language])


def step_told(action: str, seen: str) -> str:
    """A call and what it gave, in few words: "BOX0 = LOC dog: 2 x dog"; "LOC dog: failed"."""
    handle, found, value = seen.partition(" = ")
    if not found or not re.fullmatch(r"\w+", handle):
        return f"{_call_told(action)}: failed"
    return f"{handle} = {_call_told(action)}: {observed(value)}"


def _call_told(action: str) -> str:
    try:
        (step,) = parse(f"X={action}").steps
    except (SightlineError, ValueError):
        return action.partition("(")[0]
    words = [step.op]
    for _, argument in step.args:
        items = argument.items if isinstance(argument, ListOf) else (argument,)
        said = [
            item.id if isinstance(item, Name) else str(item.value)
            for item in items
            if isinstance(item, Name | Literal)
        ]
        told = ", ".join(said)
        if told not in (_ONLY, "None", ""):
            words.append(told)
    return " ".join(words)


def observed(value: str) -> str:
    """What a call gave, as `toolbox.tell` words it, shorter: regions by number and name, no places, no picture sizes."""
    if value == "nothing found":
        return "0 found"
    counted = _COUNTED.match(value)
    if counted:
        return counted[1]
    value = _PICTURE.sub("a picture", value)
    return value if len(value) <= TOLD else value[: TOLD - 1] + "…"


def acting(thought: str, actions: Sequence[str]) -> str:
    """A thought and the calls of one round, as the starter writes them."""
    return " ".join([f"Thought: {thought}", *(f"Action: {action}" for action in actions)])


def answering(thought: str, answer: str) -> str:
    """A thought and the answer, as the starter writes them."""
    return f"Thought: {thought} Answer: {answer}"


def action_of(step: Step) -> str:
    """A step as a call: without the name of what it gives."""
    from ...programs.printer import print_step

    return print_step(step).partition("=")[2]


# -- sub-questions -------------------------------------------------------------------------------------------------


def divide_prompt(language: str, question: str) -> str:
    """Asks for the simple questions that a question consists of."""
    return _DIVIDE[language].format(question=question)


def divided(language: str, parts: Sequence[str]) -> str:
    """The reply to `divide_prompt`; no parts: the question is simple as it stands."""
    return _GAP[language].join(parts) or _NONE[language]


def parts_in(said: str) -> list[str]:
    """The sub-questions of such a reply, each once."""
    if said.strip(" .。") in _NONE.values():
        return []
    return list(
        dict.fromkeys(part.strip() for part in re.findall(r"[^?？]+[?？]?", said) if part.strip(" .。"))
    )


def join_prompt(language: str, facts: Sequence[tuple[str, str]], question: str) -> str:
    """Asks for the answer that follows from (sub-question, its answer) pairs."""
    gap, stop = _GAP[language], _STOP[language]
    told = gap.join(f"{asked}{gap}{found}{stop}" for asked, found in facts)
    return _JOIN[language].format(facts=told, question=question)
