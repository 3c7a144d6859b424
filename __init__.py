"""Sightline: LLM-aided visual reasoning with programs, tools, a core MLLM and verified answers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> the module that holds it. Resolved on first use, so `import sightline` stays light.
_EXPORTS = {
    "Agent": ".agent.agent",
    "Answer": ".agent.records",
    "Decomposition": ".agent.records",
    "Image": ".tools.values",
    "Mask": ".tools.values",
    "Region": ".tools.values",
    "Regions": ".tools.values",
    "Program": ".programs",
    "Engine": ".programs",
    "Models": ".tools.models",
    "verify": ".agent.verification.verify",
    "SightlineError": ".errors",
}

__all__ = ["__version__", *_EXPORTS]

if TYPE_CHECKING:
    from .agent.agent import Agent as Agent
    from .agent.records import Answer as Answer
    from .agent.records import Decomposition as Decomposition
    from .agent.verification.verify import verify as verify
    from .errors import SightlineError as SightlineError
    from .programs import Engine as Engine
    from .programs import Program as Program
    from .tools.models import Models as Models
    from .tools.values import Image as Image
    from .tools.values import Mask as Mask
    from .tools.values import Region as Region
    from .tools.values import Regions as Regions


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name], __name__), name)
