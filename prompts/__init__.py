"""The words that language models read, as data: system prompts (Markdown), demonstrations and word lists (YAML)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
_SLOT = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A request with the program that answers it. `at` is what the person points at: a point or a box in pixels."""

    id: str
    kind: str  # question, counting, knowledge, reading, comparison, editing, tagging, region
    request: str
    program: str
    pictures: int = 1
    at: tuple[float, ...] = ()

    @property
    def language(self) -> str:
        """ "zh" for a request with Chinese characters, else "en"."""
        return "zh" if re.search("[一-鿿]", self.request) else "en"


@cache
def template(name: str) -> str:
    """The text of `system/NAME.md`, without the blank lines at its ends."""
    return (FOLDER / "system" / f"{name}.md").read_text(encoding="utf-8").strip()


def text(name: str, **values: str) -> str:
    """A system prompt with its `{{slots}}` filled; values are put in once and never read as slots themselves.

    Raises:
        KeyError: a slot without a value, or a value without a slot.
    """
    source = template(name)
    slots = set(_SLOT.findall(source))
    if slots != set(values):
        raise KeyError(f"prompt {name}: slots {sorted(slots)}, values {sorted(values)}")
    return _SLOT.sub(lambda match: values[match[1]], source)


@cache
def demonstrations() -> tuple[Demonstration, ...]:
    """Every demonstration, by file and then as written."""
    rows = [row for path in sorted((FOLDER / "demonstrations").glob("*.yaml")) for row in _yaml(path)]
    return tuple(
        Demonstration(**{**row, "at": tuple(row.get("at", ())), "program": row["program"].strip()})
        for row in rows
    )


@cache
def table(name: str) -> Any:
    """What `NAME.yaml` holds: a word list."""
    return _yaml(FOLDER / f"{name}.yaml")


def _yaml(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))
