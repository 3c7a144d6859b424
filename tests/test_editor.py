"""The editor: hand-made sentences, each edit as a careful person would make it, and nothing else changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from editing import corrected

_FILE = Path(__file__).parent / "data" / "editor_cases.yaml"
_CASES = [(g["group"], *case) for g in yaml.safe_load(_FILE.read_text("utf-8")) for case in g["cases"]]


def test_there_are_enough_sentences() -> None:
    assert len(_CASES) >= 150


@pytest.mark.parametrize(
    ("group", "text", "wrong", "want"), _CASES, ids=[f"{c[0]}: {c[1][:40]} {c[2]}" for c in _CASES]
)
def test_edit(group: str, text: str, wrong: list[str], want: str) -> None:
    assert corrected(text, wrong).text == want


@pytest.mark.parametrize(("group", "text", "wrong", "want"), _CASES, ids=[str(i) for i in range(len(_CASES))])
def test_the_edits_account_for_every_changed_byte(group: str, text: str, wrong: list[str], want: str) -> None:
    result = corrected(text, wrong)
    at, rebuilt = 0, ""
    for edit in result.edits:
        low, high = edit.span
        assert low >= at and text[low:high] == edit.before and edit.claims
        rebuilt += text[at:low] + edit.after
        at = high
    assert rebuilt + text[at:] == result.text
