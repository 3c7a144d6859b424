"""A call that failed: what its frames held is let go before the next try, and who may stand in for a failed back end."""

from __future__ import annotations

import traceback
from typing import Any

from ..errors import SightlineError, ToolError
from ..tools.declaration import Tool
from ..tools.models import Models


def attempt(tool: Tool, args: dict[str, Any], models: Any) -> Any:
    """The result of one call, or the exception that it ended in."""
    try:
        (outcome,) = tool.run([args], models)
    except Exception as error:  # reported as the call's result
        outcome = error
    if isinstance(outcome, BaseException):
        let_go(outcome)
    return outcome


def narrower(models: Models, other: Models, role: str, tool: Tool) -> ToolError | None:
    """Why a fallback detector may not stand in: a name that it does not know would be counted 0. LOC itself asks it."""
    if role != "detector" or tool.name == "LOC":
        return None
    try:
        known = set(other.get(role, tool.name).vocabulary)
        unknown = [name for name in models.get(role, tool.name).vocabulary if name not in known]
    except SightlineError:
        return None  # it cannot be had: trying it gives the line that says so
    if not unknown:
        return None
    few = ", ".join(unknown[:3]) + (" ..." if len(unknown) > 3 else "")
    return ToolError(
        f"{tool.name}: the detector failed, and its fallback does not know {few}; choose one with the same names"
    )


def let_go(error: BaseException) -> None:
    """Free what the frames of a failed call hold (a model's tensors above all) before the next try; the trace stays."""
    link: BaseException | None = error
    seen: set[int] = set()  # `raise first from second` while handling the first makes a ring
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
