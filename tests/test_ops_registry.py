"""Every built-in op is declared whole: documented, exampled, typed, with a JSON schema."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from ops_fakes import TOOLS

from sightline.tools import types
from sightline.tools.declaration import REQUIRED
from sightline.tools.registry import builtin_tools, json_schema, reference
from sightline.tools.roles import ROLES

VISPROG = {
    "LOC": ["image", "object"], "FACEDET": ["image"], "SEG": ["image"],
    "SELECT": ["image", "object", "query", "category"], "CLASSIFY": ["image", "object", "categories"],
    "TAG": ["image", "object"], "COLORPOP": ["image", "object"], "BGBLUR": ["image", "object"],
    "EMOJI": ["image", "object", "emoji"], "REPLACE": ["image", "object", "prompt"], "CROP": ["image", "box"],
    "CROP_LEFTOF": ["image", "box"], "CROP_RIGHTOF": ["image", "box"], "CROP_ABOVE": ["image", "box"],
    "CROP_BELOW": ["image", "box"], "CROP_FRONTOF": ["image", "box"], "CROP_INFRONTOF": ["image", "box"],
    "CROP_INFRONT": ["image", "box"], "CROP_BEHIND": ["image", "box"], "CROP_AHEAD": ["image", "box"],
    "COUNT": ["box"], "VQA": ["image", "question"], "LIST": ["query", "max"], "EVAL": ["expr"], "RESULT": ["var"],
}  # fmt: skip


@pytest.mark.parametrize("item", builtin_tools(), ids=lambda item: item.name)
def test_declaration_is_whole(item):
    assert item.summary and item.summary[-1] in ".:"
    step = ast.parse(item.example).body[0]
    assert isinstance(step, ast.Assign) and isinstance(step.value, ast.Call)
    assert step.value.func.id == item.name and not step.value.args
    given = {keyword.arg for keyword in step.value.keywords}
    assert given <= {a.name for a in item.arguments}
    assert {a.name for a in item.arguments if a.required} <= given
    assert set(item.roles) <= set(ROLES)
    assert bool(item.batch) == bool(item.roles)
    for argument in item.arguments:
        if argument.name != "image":
            assert argument.doc, f"{argument.name} has no note under Args:"
        if argument.default is not REQUIRED:
            assert argument.type.accepts(types.of_value(argument.default))
            assert not argument.choices or argument.default in argument.choices


@pytest.mark.parametrize("item", builtin_tools(), ids=lambda item: item.name)
def test_schema_is_json(item):
    schema = json.loads(json.dumps(json_schema(item)))
    assert schema["name"] == item.name
    assert set(schema["parameters"]["required"]) == {a.name for a in item.arguments if a.required}


@pytest.mark.parametrize("name", VISPROG)
def test_visprog_calls_fit(name):
    names = [a.name for a in TOOLS[name].arguments]
    assert names[: len(VISPROG[name])] == VISPROG[name]
    assert all(not a.required for a in TOOLS[name].arguments if a.name not in VISPROG[name])


def test_every_op_of_the_design_is_there():
    design = {
        "LOC", "FACEDET", "SEG", "SEGMENT", "OCR", "CROP", "VQA", "CAPTION", "CLASSIFY", "SELECT", "COLOR", "DEPTH",
        "COUNT", "FILTER", "RELATE", "EVAL", "IF", "RESULT", "LIST", "ASK", "COLORPOP", "BGBLUR", "BLUR", "REPLACE",
        "EMOJI", "TAG", "HIGHLIGHT",
    }  # fmt: skip
    visible = {item.name for item in TOOLS.visible()}
    assert design <= visible and set(VISPROG) <= visible
    assert visible.isdisjoint({"DETECT", "DETECT_OPEN", "PICK"})


def test_broadcasting_types():
    images, regions, texts = types.of("Images"), types.of("Regions"), types.of("Texts")
    assert TOOLS["LOC"].argument("image").type.broadcasts(images)
    assert TOOLS["LOC"].argument("object").type.accepts(texts)
    assert TOOLS["COLOR"].argument("object").type.broadcasts(regions)
    assert TOOLS["SEGMENT"].argument("object").type.broadcasts(regions)
    assert TOOLS["SEGMENT"].argument("box").type.accepts(types.of("Numbers"))
    assert TOOLS["COUNT"].argument("box").type.accepts(types.of("Region"))
    assert TOOLS["CLASSIFY"].argument("object").type.accepts(regions)
    assert TOOLS["SELECT"].argument("category").type.accepts(types.of("Nothing"))
    assert not TOOLS["VQA"].argument("image").type.accepts(regions)


def test_control_ops_are_the_engines():
    for name in ("EVAL", "IF", "RESULT"):
        item = TOOLS[name]
        assert item.control
        (error,) = item.run([{a.name: "1" for a in item.arguments}])
        assert "engine" in str(error)


def test_the_reference_page_is_what_the_declarations_say() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "tools.md"
    shown = reference(item for item in builtin_tools() if not item.hidden)
    assert page.read_text(encoding="utf-8") == shown, "run: sightline tools --markdown > docs/tools.md"
