"""Ops that ask the language model what it knows; it sees no picture and its reply is data, never a step."""

from __future__ import annotations

import re

from ...errors import ToolError
from ..columns import ModelSource, at_once, once_each, prepare, settle
from ..declaration import Column, tool

MOST_ITEMS = 100

_LIST_PROMPT = (
    "Write a list of at most {max} items: {query}.\n"
    "Reply with the items alone, separated by commas, on one line, without numbering and without any other words.\n"
    "Items:"
)
_ASK_PROMPT = "Answer from general knowledge, in one short phrase and without explanation.\nQuestion: {question}\nAnswer:"


@tool(roles="controller", batch=8, cost=500.0)
def LIST(query: Column[str], max: Column[int] = [20], *, models: ModelSource) -> Column[list[str]]:
    """List things the language model knows of, each once, the likeliest first.

    Args:
        query: what to list, such as 'primary colors'
        max: how many items at most, 1 to 100
    Example: LIST0=LIST(query='utensils used for drinking',max=10)
    """

    def prompt(i: int) -> str:
        if not query[i].strip():
            raise ToolError("LIST: the query is empty; say what to list")
        if not 1 <= max[i] <= MOST_ITEMS:
            raise ToolError(f"LIST: max is a number from 1 to {MOST_ITEMS}, not {max[i]:g}")
        return _LIST_PROMPT.format(max=int(max[i]), query=_one_line(query[i]))

    prompts, failed = prepare(len(query), prompt)
    replies = _complete("LIST", prompts, models)

    def items(i: int) -> list[str]:
        if i in failed:
            raise failed[i]
        found = list_items(replies[i])[: int(max[i])]
        if not found:
            raise ToolError(f"LIST: the language model gave no items for '{_one_line(query[i])}'")
        return found

    return settle(len(query), *prepare(len(query), items))


@tool(roles="controller", batch=8, cost=500.0)
def ASK(question: Column[str], *, models: ModelSource) -> Column[str]:
    """Ask the language model about the world; it does not see the picture.

    Args:
        question: the question, as a sentence
    Example: ANSWER0=ASK(question='Which country has a red circle on a white flag?')
    """

    def prompt(i: int) -> str:
        if not question[i].strip():
            raise ToolError("ASK: the question is empty")
        return _ASK_PROMPT.format(question=_one_line(question[i]))

    prompts, failed = prepare(len(question), prompt)
    replies = _complete("ASK", prompts, models)

    def answer(i: int) -> str:
        if i in failed:
            raise failed[i]
        lines = [line.strip() for line in replies[i].splitlines() if line.strip()]
        if not lines:
            raise ToolError("ASK: the language model gave an empty reply")
        return re.sub(r"^answer:\s*", "", lines[0], flags=re.IGNORECASE).strip("\"' ")

    return settle(len(question), *prepare(len(question), answer))


def _one_line(text: str) -> str:
    """Text that may come from a picture, on one line so that it cannot pose as another part of the prompt."""
    return " ".join(text.split())


def _complete(op: str, prompts: dict[int, str], models: ModelSource) -> dict[int, str]:
    if not prompts:
        return {}
    chat = models.get("controller", op=op)
    replies = once_each(list(prompts.values()), lambda text: text, chat.complete, at_once(chat, 8))
    return dict(zip(prompts, replies, strict=True))


def list_items(reply: str) -> list[str]:
    """The items of a reply: on one line with commas, or one a line with bullets or numbers; each once, case ignored."""
    lines = [
        re.sub(r"^\s*(?:[-*•]|\(?\d{1,3}[.)])\s+", "", line) for line in reply.splitlines() if line.strip()
    ]
    if lines and lines[0].strip().casefold() in ("items:", "list:"):
        lines = lines[1:]
    if len(lines) > 1 and not any("," in line for line in lines):
        parts = lines
    else:
        parts = re.split(r"[,;\n、，]", "\n".join(lines))
    found: dict[str, str] = {}
    for part in parts:
        item = re.sub(r"^(?:items|list):\s*", "", part.strip(), flags=re.IGNORECASE)
        item = re.sub(r"^and\s+", "", item).strip(" .\"'")
        if item:
            found.setdefault(item.casefold(), item)
    return list(found.values())
