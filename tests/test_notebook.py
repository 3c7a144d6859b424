"""The notebook of the examples runs from top to end, offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def test_the_notebook_runs_from_top_to_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(EXAMPLES)
    cells = json.loads((EXAMPLES / "ask.ipynb").read_text("utf-8"))["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(
                compile("".join(cell["source"]), "ask.ipynb", "exec"), names
            )  # our own file, as a notebook would run it
    said = capsys.readouterr().out
    assert "There are 2 dogs" in said and "LOC(" in said and "two dogs" in said.lower()
