"""What Sightline PLANS with: the visual program language, its checker, optimiser and engine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Public name -> the module that holds it. Resolved on first use, so that the package stays light to import.
_EXPORTS = {
    "Engine": ".engine",
    "Problem": ".syntax",
    "Program": ".syntax",
    "ProgramError": ".syntax",
    "check": ".checker",
    "checked": ".checker",
}

__all__ = [*_EXPORTS]

if TYPE_CHECKING:
    from .checker import check as check
    from .checker import checked as checked
    from .engine import Engine as Engine
    from .syntax import Problem as Problem
    from .syntax import Program as Program
    from .syntax import ProgramError as ProgramError


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name], __name__), name)
