"""Fitting values to arguments, and running an op once per item where it wants one and is given several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ToolError
from ..tools import types
from ..tools.declaration import Argument, Tool
from ..tools.values import Region, Regions


@dataclass(slots=True)
class Broadcast:
    """The results of one step that runs once for each item of a list, as they come in."""

    results: list[Any]
    left: int
    regions: bool

    def gather(self) -> Any:
        """The items' results as one value: Regions of regions, else a list."""
        if not self.regions:
            return self.results
        gathered: list[Region] = []
        for item in self.results:
            gathered.extend([item] if isinstance(item, Region) else item)
        return Regions(gathered)


def fit(tool: Tool, argument: Argument, value: Any) -> tuple[Any, list[Any] | None]:
    """(value as the argument wants it, None), or (None, items) where the call must be run once for each item."""
    if argument.type == types.ANY:
        return value, None
    try:
        given = types.of_value(value)
    except TypeError as error:
        raise ToolError(f"{tool.name}: argument {argument.name}: {error}") from error
    if isinstance(value, list) and any(isinstance(item, list | tuple | Regions) for item in value):
        raise ToolError(
            f"{tool.name}: {argument.name} holds lists within a list; pick one, or run the step before on one"
        )
    wanted = argument.type.atoms
    if given.atoms <= wanted or (given.atoms & wanted and isinstance(value, list)):
        if argument.choices and isinstance(value, str) and value not in argument.choices:
            allowed = ", ".join(argument.choices)
            raise ToolError(f"{tool.name}: {argument.name} is one of {allowed}, not {value!r}")
        return value, None
    if argument.type.accepts(given):  # one where several are wanted
        return (Regions([value]) if isinstance(value, Region) else [value]), None
    if "Regions" in wanted and isinstance(value, list) and all(isinstance(item, Region) for item in value):
        return Regions(value), None
    if argument.type.broadcasts(given):
        return None, list(value)
    raise ToolError(f"{tool.name}: {argument.name} must be {argument.type}, and is {given}")
