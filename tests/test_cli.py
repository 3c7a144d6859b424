"""The command line as a stranger meets it: output, JSON, exit codes, and one clear line for what is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

COUNT_TEXT = "TEXT0=OCR(image=IMAGE)\nANSWER0=COUNT(box=TEXT0)\nFINAL_RESULT=RESULT(var=ANSWER0)\n"
COLOR = "#: Name a colour.\n#: SIDE = TOP -- which half\nB=LOC(image=IMAGE,object=SIDE)\nC=COLOR(image=IMAGE,object=B)\nJ=JOIN(text=C)\nR=RESULT(var=J)\n"
EDIT = "B=LOC(image=IMAGE,object='LEFT')\nI=BLUR(image=IMAGE,object=B)\nR=RESULT(var=I)\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20] = (220, 20, 20)
    pixels[20:] = (20, 150, 40)
    PIL.Image.fromarray(pixels).save(tmp_path / "two.png")
    (tmp_path / "color.vp").write_text(COLOR)
    (tmp_path / "edit.vp").write_text(EDIT)
    (tmp_path / "bad.vp").write_text("A=LOCC(image=IMAGE)\nB=COUNT(box=C)\n")
    return tmp_path


def sightline(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SIGHTLINE_HOME": str(place / "home"), "COLUMNS": "120"}
    command = [sys.executable, "-m", "sightline", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=place, env=environment, check=False, timeout=120
    )


def test_run_shows_every_step_and_the_result(place: Path) -> None:
    done = sightline(place, "run", "color.vp", "two.png")
    assert done.returncode == 0, done.stderr
    for word in ("LOC", "COLOR", "JOIN", "RESULT", "done", "= red"):
        assert word in done.stdout


def test_settings_are_values_never_program_text(place: Path) -> None:
    assert "= green" in sightline(place, "run", "color.vp", "two.png", "--set", "SIDE=BOTTOM").stdout
    hostile = "x'); I=BLUR(image=IMAGE,object=B)#"
    done = sightline(place, "run", "color.vp", "two.png", "--set", f"SIDE={hostile}", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and [s["op"] for s in report["steps"]] == ["LOC", "COLOR", "JOIN", "RESULT"]


def test_json_is_one_object_with_the_promised_keys(place: Path) -> None:
    done = sightline(place, "run", "color.vp", "two.png", "--json")
    report = json.loads(done.stdout)
    assert {"status", "result", "steps", "errors"} <= set(report)
    assert report["status"] == "done" and report["result"] == "red" and report["errors"] == []
    assert set(report["steps"][0]) == {"name", "op", "status", "ms", "cached", "batch"}
    again = json.loads(sightline(place, "run", "color.vp", "two.png", "--json").stdout)
    assert again["result"] == "red" and again["steps"][-1]["cached"]


def test_result_pictures_are_written_below_out_and_named(place: Path) -> None:
    done = sightline(place, "run", "edit.vp", "two.png", "--out", "results", "--json")
    report = json.loads(done.stdout)
    with PIL.Image.open(place / "results" / report["result"]["file"]) as picture:
        assert picture.size == (60, 40)
    assert "results/two.png" in sightline(place, "run", "edit.vp", "two.png", "--out", "results").stdout


def test_two_pictures_of_one_name_do_not_overwrite_each_other(place: Path) -> None:
    (place / "other").mkdir()
    PIL.Image.new("RGB", (30, 30), (9, 9, 9)).save(place / "other" / "two.png")
    done = sightline(place, "run", "edit.vp", "two.png", "other/two.png", "--out", "results", "--json")
    files = [report["result"]["file"] for report in json.loads(done.stdout)]
    assert len(set(files)) == 2
    PIL.Image.new("RGB", (30, 30), (9, 9, 9)).save(place / "two-1.png")
    done = sightline(place, "run", "edit.vp", "two-1.png", "two.png", "--out", "results", "--json")
    assert len({report["result"]["file"] for report in json.loads(done.stdout)}) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "color.vp", "missing.png"], 2, ["missing.png"]),
        (["run", "nothing", "two.png"], 2, ["nothing", "library"]),
        (["run", "coutn", "two.png"], 2, ["did you mean count?"]),
        (["run", "bad.vp", "two.png"], 2, ["LOCC", "LOC"]),
        (["run", "color.vp"], 2, ["IMAGE", "picture"]),
        (["run", "color.vp", "two.png", "--set", "COLOUR=red"], 2, ["COLOUR", "SIDE"]),
        (["run", "color.vp", "two.png", "--set", "SIDE"], 2, ["NAME=value"]),
        (["run", "color.vp", "two.png", "--pack", "stnadard"], 2, ["stnadard", "standard"]),
        (
            ["run", "count", "two.png", "--set", "OBJECT=toaster"],
            1,
            ["LOC", "toaster", "detector", "--pack standard"],
        ),
        (["run", "edit.vp", "two.png", "--out", "."], 2, ["the pictures themselves", "--out"]),
        (["run", "edit.vp", "two.png", "--out", "color.vp"], 2, ["color.vp", "--out"]),
        (["run", "edit.vp", "two.png", "--out", "o", "--cache", "color.vp"], 2, ["color.vp", "--cache"]),
        (["run", "color.vp", "https://example.com/a.png"], 2, ["URLs are not read"]),
        (["batch", "color.vp", "empty", "--out", "o"], 2, ["empty"]),
        (["check", "bad.vp"], 2, []),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_a_code(
    place: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    done = sightline(place, *arguments)
    assert done.returncode == code, (done.stdout, done.stderr)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert all(word in said for word in words), said


def test_check_lists_every_problem_with_its_place(place: Path) -> None:
    done = sightline(place, "check", "bad.vp", "--json")
    problems = json.loads(done.stdout)["problems"]
    assert {p["code"] for p in problems if p["severity"] == "error"} >= {"E101", "E201", "E401"}
    assert all(p["line"] >= 1 and p["column"] >= 1 for p in problems)
    assert sightline(place, "check", "color.vp").returncode == 0


def test_explain_shows_the_merged_plan(place: Path) -> None:
    done = sightline(place, "explain", "color.vp", "edit.vp", "--json")
    plan = json.loads(done.stdout)
    assert {step["op"] for step in plan["steps"]} >= {"INPUT", "LOC", "COLOR", "BLUR"}
    assert plan["critical_ms"] <= plan["total_ms"]
    assert "longest chain" in sightline(place, "explain", "color.vp").stdout


def test_batch_writes_rows(place: Path) -> None:
    (place / "in").mkdir()
    PIL.Image.new("RGB", (20, 20), (200, 10, 10)).save(place / "in" / "a.png")
    done = sightline(place, "batch", "color.vp", "in", "--out", "out", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["rows"] == 1
    (place / "in" / "b.png").write_bytes(b"broken")
    done = sightline(place, "batch", "color.vp", "in", "--out", "out", "--resume", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["failed"] == 1


def test_the_lists_are_json_too(place: Path) -> None:
    tools = json.loads(sightline(place, "tools", "--json").stdout)
    assert {"LOC", "COUNT", "VQA"} <= {tool["name"] for tool in tools}
    assert "DETECT" not in {tool["name"] for tool in tools}
    programs = json.loads(sightline(place, "programs", "--json").stdout)
    assert len(programs) >= 20 and all(p["description"] and p["example"] for p in programs)
    roles = json.loads(sightline(place, "models", "list", "--json").stdout)
    assert len(roles) == 10
    assert sightline(place, "models", "verify").returncode == 0


def test_doctor_finds_this_machine_fit(place: Path) -> None:
    done = sightline(place, "doctor", "--json")
    findings = {f["name"]: f for f in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert findings["torch"]["level"] == "ok" and findings["cache"]["level"] in ("ok", "note")
