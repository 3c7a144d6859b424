"""Whether a written value fits an argument of a tool, and what to write instead where it does not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import NamedTuple

from ..tools import declaration, types
from ..tools.types import ANY, ValueType
from .quoting import quote, visible
from .syntax import Argument, ListOf, Literal, Name


class Misfit(NamedTuple):
    """Why a value does not fit: the problem's code, message and suggestion."""

    code: str
    message: str
    suggestion: str = ""


def misfit(
    tool: str,
    declared: declaration.Argument,
    argument: Argument,
    given: ValueType,
    names: Mapping[str, ValueType],
) -> Misfit | None:
    """The reason why `argument`, of type `given`, does not fit `declared` of `tool`; None where it fits.

    `names` are the types of the names known at that step.
    """
    where = f"{declared.name} of {tool}"
    if not _takes(declared.type, given):
        named = f"{argument.id}, " if isinstance(argument, Name) else ""
        return Misfit(
            "E301",
            f"{where} takes {declared.type}, not {named}{_described(argument, given)}",
            _remedy(declared, argument, given, names),
        )
    written = argument.items if isinstance(argument, ListOf) else (argument,)
    for item in written:
        if isinstance(item, Literal) and declared.choices and isinstance(item.value, str):
            if item.value not in declared.choices:
                return _not_a_choice(where, declared.choices, item.value)
        elif isinstance(argument, ListOf):
            kind = types.of_value(item.value) if isinstance(item, Literal) else names.get(item.id, ANY)
            if not _takes(declared.type, kind.plural()):
                return Misfit("E301", f"{where} takes {declared.type}; an item of the list is {kind}")
    return None


def _takes(declared: ValueType, given: ValueType) -> bool:
    return declared.accepts(given) or declared.broadcasts(given)


def _not_a_choice(where: str, choices: tuple[str, ...], text: str) -> Misfit:
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(text.casefold(), folded, n=1)
    listed = f"choose one of {', '.join(choices)}"
    suggestion = f"did you mean {folded[near[0]]!r}? {listed}" if near else listed
    return Misfit("E302", f"{where} cannot be {quote(visible(text))}", suggestion)


def _remedy(
    declared: declaration.Argument, argument: Argument, given: ValueType, names: Mapping[str, ValueType]
) -> str:
    """What to write instead of a value of the wrong type, where that can be guessed."""
    wanted = declared.type.atoms
    if isinstance(argument, Literal):
        value = argument.value
        if isinstance(value, str) and value in names:
            return f"write {value} without quotes"
        if isinstance(value, str) and "Number" in wanted and _is_number(value):
            return f"write {value.strip()} without quotes"
        if "Text" in wanted and value is not None:
            return f"write {quote(str(value))} in quotes"
        if value is None and not declared.required:
            return "leave the argument out"
    if wanted & {"Region", "Regions"} and given.atoms <= {"Image", "Images", "Text"}:
        return "find regions first, as in BOX0=LOC(image=IMAGE,object='dog')"
    if "Image" in wanted and given.atoms <= {"Region", "Regions"}:
        return "cut it out first, as in IMAGE0=CROP(image=IMAGE,box=BOX0)"
    if "Number" in wanted and given.atoms & {"Regions", "Images"}:
        return "count them first, as in ANSWER0=COUNT(box=BOX0)"
    return ""


def _described(argument: Argument, given: ValueType) -> str:
    if isinstance(argument, Literal):
        value = argument.value
        return f"the text {quote(visible(value))}" if isinstance(value, str) else repr(value)
    return f"a list, {given}" if isinstance(argument, ListOf) else f"which is {given}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
