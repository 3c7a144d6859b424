"""Reads the template files: patterns by family, language and split, shared macros, and small surface tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from ...errors import InputError
from .patterns import Node, Pattern, compile_pattern, count_forms

LANGUAGES = ("en", "zh")
_TABLES = ("macros.yaml", "surfaces.yaml")


def _load(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath("templates", name).read_text("utf-8")
    loaded = yaml.safe_load(text)
    if not isinstance(loaded, dict):
        raise InputError(f"templates/{name} must be a mapping")
    return loaded


@cache
def surfaces() -> dict[str, Any]:
    """How relations, extremes, sides, numbers and the like are said (`templates/surfaces.yaml`)."""
    return _load("surfaces.yaml")


@dataclass(frozen=True)
class Phrasebook:
    """Patterns under (family, language, held out) and the macros they use."""

    patterns: dict[tuple[str, str, bool], tuple[Pattern, ...]]
    macros: dict[str, list[list[Node]]]

    def get(self, family: str, language: str, held_out: bool = False) -> tuple[Pattern, ...]:
        """The patterns of a family; for sentence parts (`stmt_...`, `questions`) both splits share one list."""
        found = self.patterns.get((family, language, held_out))
        if found is None and held_out:
            found = self.patterns.get((family, language, False))
        if found is None:
            raise InputError(f"templates: family {family!r} has no {language} patterns")
        return found

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(family for family, _, _ in self.patterns))

    def wordings(self, family: str, language: str, held_out: bool = False) -> int:
        """How many different wordings the patterns of a family have, openers and noise not counted."""
        return sum(count_forms(list(p.nodes), self.macros) for p in self.patterns[family, language, held_out])


@cache
def phrasebook() -> Phrasebook:
    """All template files, compiled once."""
    macros = {
        name: [list(compile_pattern("" if line == "-" else line, name).nodes) for line in text.splitlines()]
        for name, text in _load("macros.yaml").items()
    }
    lines: dict[tuple[str, str, bool], list[str]] = {}  # a family may have blocks in several files
    folder = resources.files(__package__).joinpath("templates")
    for entry in sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml")):
        if entry in _TABLES:
            continue
        for family, blocks in _load(entry).items():
            for block, text in blocks.items():
                language, _, kind = block.partition("_")
                if language not in LANGUAGES or kind not in ("", "test"):
                    raise InputError(
                        f"templates/{entry}: {family} has a block {block!r}; use en, en_test, zh, zh_test"
                    )
                key = (family, language, kind == "test")
                lines.setdefault(key, []).extend(filter(None, map(str.strip, text.splitlines())))
    patterns = {
        (family, language, test): tuple(
            compile_pattern(line, f"{family}.{language}.{'t' if test else ''}{number}")
            for number, line in enumerate(dict.fromkeys(block))
        )
        for (family, language, test), block in lines.items()
    }
    return Phrasebook(patterns, macros)
