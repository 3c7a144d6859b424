"""The set of tools in force: the built-in ops and those that installed packages add by entry point."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ..errors import InputError
from .declaration import REQUIRED, Tool

ENTRY_POINT_GROUP = "sightline.tools"
_BUILTIN_MODULES = ("find", "cut", "look", "reason", "group", "know", "edit")


class Registry:
    """Tools by name, in the order they were added."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for item in tools:
            self.add(item)

    def add(self, item: Tool) -> None:
        """Add a tool; a name that is taken is refused, so that no package can replace another's tool unseen."""
        if item.name in self._tools:
            raise InputError(f"tool {item.name} is declared twice; rename one of them")
        self._tools[item.name] = item

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def visible(self) -> list[Tool]:
        """What a planner may use."""
        return [item for item in self if not item.hidden]

    def suggest(self, name: str) -> str | None:
        """The visible tool whose name is nearest to `name`, if any is near."""
        names = [item.name for item in self.visible()]
        near = difflib.get_close_matches(name.upper(), names, n=1, cutoff=0.6)
        return near[0] if near else None


@cache
def builtin_tools() -> tuple[Tool, ...]:
    """Every tool declared in `tools/ops`, in the order of the modules."""
    found: list[Tool] = []
    for module_name in _BUILTIN_MODULES:
        module = import_module(f".ops.{module_name}", __package__)
        found.extend(value for value in vars(module).values() if isinstance(value, Tool))
    return tuple(found)


def default_registry() -> Registry:
    """The built-in tools and those of installed packages (entry point group `sightline.tools`).

    An entry point names a Tool, or a module whose Tools are taken. One that cannot be loaded is an InputError that
    names the package: a tool that silently went missing would show up as a wrong program.
    """
    registry = Registry(builtin_tools())
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        owner = point.dist.name if point.dist else point.value
        try:
            loaded = point.load()
        except Exception as error:
            raise InputError(f"tool entry point {point.name} of {owner} cannot be loaded: {error}") from error
        tools = (
            [loaded]
            if isinstance(loaded, Tool)
            else [v for v in vars(loaded).values() if isinstance(v, Tool)]
        )
        if not tools:
            raise InputError(
                f"tool entry point {point.name} of {owner} names no tool; decorate it with @tool"
            )
        for item in tools:
            registry.add(item)
    return registry


_JSON_TYPES: dict[str, dict[str, Any]] = {
    "Text": {"type": "string"},
    "Texts": {"type": "array", "items": {"type": "string"}},
    "Number": {"type": "number"},
    "Numbers": {"type": "array", "items": {"type": "number"}},
    "Flag": {"type": "boolean"},
    "Flags": {"type": "array", "items": {"type": "boolean"}},
    "Nothing": {"type": "null"},
}


def json_schema(item: Tool) -> dict[str, Any]:
    """The tool as a JSON-schema function (name, description, parameters) for tool-calling models and MCP.

    Pictures and regions cannot be written in JSON by a model: such an argument is a string that names an earlier value.
    """
    properties: dict[str, Any] = {}
    for argument in item.arguments:
        options: list[dict[str, Any]] = []
        for atom in sorted(argument.type.atoms):
            entry = _JSON_TYPES.get(atom, {"type": "string", "description": "the name of an earlier value"})
            if entry not in options:
                options.append(entry)
        schema: dict[str, Any] = dict(options[0]) if len(options) == 1 else {"anyOf": options}
        if argument.doc:
            schema["description"] = argument.doc
        if argument.choices:
            schema["enum"] = list(argument.choices)
        if argument.default is not REQUIRED:
            schema["default"] = argument.default
        properties[argument.name] = schema
    return {
        "name": item.name,
        "description": f"{item.doc}\nExample: {item.example}",
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": [a.name for a in item.arguments if a.required],
            "additionalProperties": False,
        },
    }


def reference(tools: Iterable[Tool]) -> str:
    """The tools' reference page in Markdown, from their declarations alone."""
    lines = ["# Tools", "", "Made by `sightline tools --markdown` from the tools' declarations.", ""]
    for item in tools:
        lines += [f"## {item.name}", "", item.doc, "", f"    {item.example}", ""]
        lines += ["| argument | type | default | |", "|---|---|---|---|"] if item.arguments else []
        for argument in item.arguments:
            default = "" if argument.required else f"`{argument.default!r}`"
            note = argument.doc or (f"one of {', '.join(argument.choices)}" if argument.choices else "")
            lines.append(
                f"| {argument.name} | {argument.type} | {default} | {note.replace('|', chr(92) + '|')} |"
            )
        facts = [f"gives {item.returns}"]
        if item.roles:
            facts.append("may use the role " + " and ".join(item.roles).replace("_", " "))
        if item.batch:
            facts.append(f"up to {item.batch} calls at once")
        lines += ["", f"G{'; '.join(facts)[1:]}.", ""]
    return "\n".join(lines).rstrip() + "\n"
