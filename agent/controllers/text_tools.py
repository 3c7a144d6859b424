"""Tool calling for models without it: tools told in words, and Thought / Action / Answer read back as tool calls.

(ReAct, Yao et al. 2023.) LangChain's agent sees ordinary messages with tool calls; only the wire differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from ... import prompts
from ...programs.parser import read
from ...programs.syntax import ListOf, Literal, Name
from ..reading import json_value, plain_answer, without_thinking

HANDLE = "a handle"  # how the description ends of an argument that names an earlier value
_PART = re.compile(
    r"^[ \t>*#-]*(thought|action input|action|observation|final answer|answer|思考|行动|答案)[ \t*]*[:：][ \t*]*",
    re.IGNORECASE | re.MULTILINE,
)
_NAMES = {"思考": "thought", "行动": "action", "答案": "answer", "final answer": "answer"}
_CALL = re.compile(r"`*([A-Za-z_]\w*)`*\s*(.*)", re.DOTALL)


def written(messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]]) -> list[BaseMessage]:
    """Messages with the tools told in the system text, and calls and results as turns of plain text."""
    system = "\n\n".join(str(m.text) for m in messages if isinstance(m, SystemMessage))
    told = prompts.text("react_text", tools="\n".join(described(tool) for tool in tools))
    turns: list[BaseMessage] = [SystemMessage(f"{system}\n\n{told}".strip())]
    seen: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            seen.append(f"Observation: {message.text}")
            continue
        if seen:
            turns.append(HumanMessage("\n".join(seen)))
            seen = []
        if isinstance(message, AIMessage):
            turns.append(AIMessage(message.additional_kwargs.get("said") or str(message.text)))
        elif not isinstance(message, SystemMessage):
            turns.append(message)
    if seen:
        turns.append(HumanMessage("\n".join(seen)))
    return turns


def described(tool: Mapping[str, Any]) -> str:
    """A tool (OpenAI's form) in a line: NAME {"argument": type, "other"?: type}: what it does."""
    function = tool["function"]
    schema = function.get("parameters", {})
    required = set(schema.get("required", ()))
    arguments = ", ".join(
        f'"{name}"{"" if name in required else "?"}: {_kind(kind)}'
        for name, kind in schema.get("properties", {}).items()
    )
    summary = function.get("description", "").split("\n", 1)[0]
    return f"{function['name']} {{{arguments}}}: {summary}"


def _kind(schema: Mapping[str, Any]) -> str:
    if str(schema.get("description", "")).endswith(HANDLE):
        others = [_kind(o) for o in schema.get("anyOf", ()) if o.get("type") not in ("string", "null")]
        return " or ".join(dict.fromkeys(["handle", *others]))
    if "enum" in schema:
        return " or ".join(json.dumps(v, ensure_ascii=False) for v in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(option) for option in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}s"
    return str(schema.get("type", "value"))


def read_turn(reply: AIMessage, names: set[str]) -> AIMessage:
    """A written turn as a message with tool calls, or with the answer; the words as written stay under `said`.

    What follows an Observation that the model made up is left out. A call that cannot be read is an invalid tool call.
    """
    said = str(reply.text)
    parts = _parts(without_thinking(said))
    calls: list[dict[str, Any]] = []
    invalid: list[dict[str, Any]] = []
    for number, (kind, body) in enumerate(parts):
        if kind != "action":
            continue
        following = parts[number + 1] if number + 1 < len(parts) else ("", "")
        given = following[1] if following[0] == "action input" else ""
        name, arguments, wrong = _call(body, given, names)
        key = f"{(reply.id or 'turn')[-12:]}-{len(calls) + len(invalid)}"
        if wrong:
            invalid.append(
                {"name": name, "args": body, "id": key, "error": wrong, "type": "invalid_tool_call"}
            )
        else:
            calls.append({"name": name, "args": arguments, "id": key, "type": "tool_call"})
    thought = " ".join(body for kind, body in parts if kind == "thought")
    if calls or invalid:
        content = thought
    else:
        answers = [body for kind, body in parts if kind == "answer"]
        content = plain_answer(answers[0] if answers else thought if parts else said)
    return reply.model_copy(
        update={
            "content": content,
            "tool_calls": calls,
            "invalid_tool_calls": invalid,
            "additional_kwargs": {**reply.additional_kwargs, "said": said, "thought": thought},
        }
    )


def _parts(text: str) -> list[tuple[str, str]]:
    """(kind, words) of each part, up to the first observation; words before the first mark count as a thought."""
    marks = list(_PART.finditer(text))
    if not marks:
        return []
    parts = [("thought", text[: marks[0].start()].strip())] if text[: marks[0].start()].strip() else []
    for number, mark in enumerate(marks):
        kind = mark[1].lower()
        kind = _NAMES.get(kind, kind)
        if kind == "observation":
            break
        end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        parts.append((kind, text[mark.end() : end].strip()))
        if kind == "answer":
            break
    return parts


def _call(body: str, given: str, names: set[str]) -> tuple[str, dict[str, Any], str]:
    """(tool, arguments, what is wrong) of an action: TOOL {json}, TOOL(argument=value) or TOOL with an Action Input."""
    match = _CALL.match(body)
    if match is None:
        return "", {}, 'no tool is named; write Action: TOOL_NAME {"argument": "value"}'
    name, rest = match[1], (match[2].strip() or given).strip()
    name = name if name in names else name.upper() if name.upper() in names else name
    if rest.startswith("("):
        return name, *_program_call(name, rest)
    if not rest:
        return name, {}, ""
    value = json_value(rest)
    if not isinstance(value, dict):
        return (
            name,
            {},
            f'the arguments of {name} are no JSON object; write {{"argument": "value"}} on one line',
        )
    return name, value, ""


def _program_call(name: str, rest: str) -> tuple[dict[str, Any], str]:
    """The arguments of a call written as in a program."""
    parsed = read(f"X={name}{rest.splitlines()[0].rstrip('`')}")
    if parsed.problems or len(parsed.program.steps) != 1:
        wrong = parsed.problems[0].message if parsed.problems else "calls inside a call"
        return {}, f"the arguments of {name} cannot be read: {wrong}"
    arguments: dict[str, Any] = {}
    for key, value in parsed.program.steps[0].args:
        if isinstance(value, ListOf):
            arguments[key] = [_plain(item) for item in value.items]
        else:
            arguments[key] = _plain(value)
    return arguments, ""


def _plain(value: Literal | Name | ListOf) -> Any:
    return value.value if isinstance(value, Literal) else value.id if isinstance(value, Name) else None
