"""What a language model wrote, read: the program in a reply with prose around it, the JSON in one with fences, a refusal.

Nothing is invented here. What the model wrote wrongly goes to the checker as it stands, and its errors back to the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .language import language_of

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_DECORATION = re.compile(r"^\s*(?:>\s*)?(?:(?:[-*•]|\d{1,3}[.)])\s+)?`?")
_STEP = re.compile(r"(?:[Pp]rogram:\s*)?([A-Za-z_]\w*)\s*=\s*([A-Za-z_]\w*)\s*\(")
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:can(?:no|')t|cannot|won't|will not)|as an ai)\b|抱歉|对不起|无法|不能",
    re.IGNORECASE,
)
_REPLY_CHARS = 200_000  # no reply of use is longer
_JSON_STARTS = 50  # brackets at which JSON may begin; prose with more of them holds none
_STEP_LINES = 12  # a step that is not closed by then is no step


@dataclass(frozen=True, slots=True)
class Reading:
    """A program found in a reply. `whole` says that it ends in RESULT; `note` what else stood there, '' for nothing."""

    program: str
    whole: bool
    note: str = ""


def program_in(reply: str) -> Reading | None:
    """The first whole program of a reply, else the longest piece of one; None where no step stands there.

    Prose, code fences, list marks and thinking aloud are left out. A step after RESULT, or the first step's name
    again, begins another program.
    """
    text = without_thinking(reply[:_REPLY_CHARS])
    packed = json_value(text) if "RESULT" in text and text.lstrip().startswith(("{", "```json")) else None
    if isinstance(packed, dict):
        text = next((v for v in packed.values() if isinstance(v, str) and "RESULT" in v), text)
    programs: list[list[str]] = [[]]
    closed: list[bool] = [False]
    prose = False
    for piece in _pieces(text):
        if piece is None:
            prose = True
            continue
        name, op, line = piece
        if closed[-1] or (programs[-1] and name == _name(programs[-1][0])):
            programs.append([])
            closed.append(False)
        programs[-1].append(line)
        closed[-1] = closed[-1] or op.upper() == "RESULT"
    found = [(lines, whole) for lines, whole in zip(programs, closed, strict=True) if lines]
    if not found:
        return None
    wholes = [item for item in found if item[1]]
    lines, whole = wholes[0] if wholes else max(found, key=lambda item: len(item[0]))
    notes = ["words around the program were left out"] if prose else []
    if len(found) > 1:
        taken = "the first whole one" if whole else "the longest"
        notes.append(f"{len(found)} programs were written; {taken} was taken")
    return Reading("\n".join(lines), whole, "; ".join(notes))


def _name(line: str) -> str:
    return line.partition("=")[0].strip()


def _pieces(text: str) -> Iterator[tuple[str, str, str] | None]:
    """(name, op, step) of every step, in order; None for a line of something else."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        bare = _DECORATION.sub("", line, count=1)
        if not bare.strip() or bare.lstrip().startswith("#") or _FENCE.match(line):
            continue
        match = _STEP.match(bare)
        if match is None:
            yield None
            continue
        step = bare[match.start(1) :]
        end = _closed(step)
        used = 0
        while end is None and at + used < len(lines) and used < _STEP_LINES:
            following = lines[at + used]
            if _STEP.match(_DECORATION.sub("", following, count=1)) or _FENCE.match(following):
                break
            used += 1
            step += "\n" + following
            end = _closed(step)
        if end is not None:
            at += used
            yield match[1], match[2], " ".join(part.strip() for part in step[:end].split("\n"))
        else:  # left open: one line of it, for the checker to name
            yield match[1], match[2], bare[match.start(1) :].rstrip().rstrip("`")


def _closed(step: str) -> int | None:
    """Where the step's outer bracket closes, in characters; None where it does not."""
    depth = 0
    quote = ""
    escaped = False
    for index, char in enumerate(step):
        if quote:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == quote or char == "\n":
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
            if depth == 0 and char == ")":
                return index + 1
    return None


def without_thinking(reply: str) -> str:
    """A reply without what a model thought aloud between think tags."""
    return _THINKING.sub("", reply)


def is_refusal(reply: str) -> bool:
    """Whether a reply without a program declines in so many words."""
    return _REFUSAL.search(reply[:400]) is not None


def json_value(reply: str) -> Any:
    """The first JSON object or list of a reply; None where there is none that can be read.

    Text before and after it, fences and commas before a closing bracket do no harm.
    """
    text = without_thinking(reply[:_REPLY_CHARS])
    decoder = json.JSONDecoder()
    for start in [m.start() for m in re.finditer(r"[\[{]", text)][:_JSON_STARTS]:
        for source in (text[start:], _tidy(text[start:])):
            try:
                value, _ = decoder.raw_decode(source)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict | list):
                return value
    return None


def _tidy(text: str) -> str:
    """Curly quotes straight, and no comma before a closing bracket, outside of strings."""
    text = text.replace("“", '"').replace("”", '"')
    return re.sub(r",(\s*[\]}])", r"\1", text)


def plain_answer(reply: str) -> str:
    """A short answer without thinking, fences, quotes around it or a label before it."""
    text = without_thinking(reply).strip()
    text = re.sub(r"^```\w*\n(.*?)\n?```$", r"\1", text, flags=re.DOTALL).strip()
    text = text.strip("*").strip()
    text = re.sub(r"^(?:final answer|answer|答案|回答)\s*[:：]\s*", "", text, flags=re.IGNORECASE)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1]
    return text.strip()


_UNREADABLE = re.compile(r"[=\[\](){}<>_\n?？\\]|,\S|\b(\w+(?: \w+)?) \1 \1\b|\b(\w+) (\w+) \2 \3 \2\b")


def readable(answer: str, question: str) -> bool:
    """Whether words that end a run can be an answer: no piece of a program, nothing said over and over, one language."""
    if not answer.strip() or len(answer) > 300 or _UNREADABLE.search(answer):
        return False
    return language_of(question) == "zh" or language_of(answer) != "zh"
