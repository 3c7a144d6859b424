"""The held-out requests for planners: every program runs by the checker's word, and the set is as wide as it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sightline.programs import Program, check
from sightline.programs.printer import print_program
from sightline.programs.syntax import ListOf, Literal
from sightline.tools import types
from sightline.tools.registry import Registry, default_registry

FILE = Path(__file__).resolve().parent.parent / "agent" / "planner_data" / "held_out" / "requests.jsonl"
FAMILIES = {
    "existence", "counting", "count_attribute", "compare_counts", "colour", "relation", "read_text", "text_on_thing",
    "superlative", "crop", "tag", "locate", "redact_faces", "redact_text", "colour_pop", "blur_background", "emoji",
    "replace", "highlight", "caption", "open_vqa", "knowledge", "depth", "two_pictures", "logic", "conditional",
    "click", "receipt", "composition",
}  # fmt: skip
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return default_registry()


def programs(row: dict[str, Any]) -> list[str]:
    return [row["program"], *row.get("alternatives", [])]


def test_every_program_passes_the_checker_with_the_inputs_of_its_row(
    rows: list[dict[str, Any]], registry: Registry
) -> None:
    problems = [
        (row["id"], problem)
        for row in rows
        for text in programs(row)
        for problem in check(text, registry, {name: types.of("Image") for name in row["inputs"]})
    ]
    assert problems == []


def test_every_program_is_in_canonical_form(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for text in programs(row):
            assert print_program(Program.parse(text)) == text, row["id"]


def test_rows_have_their_fields_and_nothing_else(rows: list[dict[str, Any]]) -> None:
    required = {"id", "request", "language", "inputs", "family", "program"}
    for row in rows:
        assert required <= row.keys() <= required | {"alternatives"}, row["id"]
        assert row["inputs"] in (["IMAGE"], ["LEFT", "RIGHT"]), row["id"]
        assert row["family"] in FAMILIES, row["id"]
        assert row["request"] == row["request"].strip() != "", row["id"]


def test_languages_are_what_they_claim_and_objects_are_english(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert row["id"].startswith(row["language"] + "-")
        assert bool(HAN.search(row["request"])) == (row["language"] == "zh"), row["id"]
        assert not any(HAN.search(noun) for noun in nouns(row)), row["id"]


def test_requests_and_programs_are_not_repeated(rows: list[dict[str, Any]]) -> None:
    for field in ("id", "request"):
        counts = Counter(row[field].casefold() for row in rows)
        assert max(counts.values()) == 1, counts.most_common(1)
    for row in rows:
        texts = programs(row)
        assert len(set(texts)) == len(texts), row["id"]


def test_the_set_is_wide(rows: list[dict[str, Any]], registry: Registry) -> None:
    languages = Counter(row["language"] for row in rows)
    assert languages["en"] >= 170 and languages["zh"] >= 70
    for language in ("en", "zh"):
        assert {row["family"] for row in rows if row["language"] == language} == FAMILIES
    assert len({noun for row in rows for noun in nouns(row)}) >= 120
    used = {step.op for row in rows for step in Program.parse(row["program"]).steps}
    public = {tool.name for tool in registry if not tool.hidden}
    assert len(used & public) / len(public) > 0.75, sorted(public - used)


def nouns(row: dict[str, Any]) -> set[str]:
    """The names of things that the gold program looks for."""
    found: set[str] = set()
    for step in Program.parse(row["program"]).steps:
        for key, value in step.args:
            if (step.op, key) in {("LOC", "object"), ("SELECT", "query")}:
                items = value.items if isinstance(value, ListOf) else (value,)
                found.update(str(item.value) for item in items if isinstance(item, Literal))
    return found
