"""A package of someone else's adds a tool with one function and an entry point, and it is a tool like any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

MODULE = '''
from sightline import Image
from sightline.tools.declaration import tool


@tool
def BRIGHTNESS(image: Image, percent: bool = False) -> float:
    """Mean brightness of a picture, 0 (black) to 255 (white).

    Args:
        percent: give it as 0 to 100 instead

    Example: ANSWER0=BRIGHTNESS(image=IMAGE)
    """
    mean = float(image.pixels.mean())
    return mean / 2.55 if percent else mean
'''
PROGRAM = "ANSWER0=BRIGHTNESS(image=IMAGE)\nANSWER1=EVAL(expr=\"'bright' if {ANSWER0} > 128 else 'dark'\")\nFINAL_RESULT=RESULT(var=ANSWER1)\n"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A site folder with the third party's module and its metadata, as pip leaves them."""
    site = tmp_path / "site"
    info = site / "brightness_tool-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "brightness_tool.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness-tool\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sightline.tools]\nbrightness = brightness_tool:BRIGHTNESS\n")
    PIL.Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(tmp_path / "bright.png")
    (tmp_path / "p.vp").write_text(PROGRAM)
    return tmp_path


def sightline(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(place / "site"), "SIGHTLINE_HOME": str(place / "home")}
    command = [sys.executable, "-m", "sightline", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=place, env=environment, check=False, timeout=120
    )


def test_one_function_is_a_tool_everywhere(installed: Path) -> None:
    listed = sightline(installed, "tools").stdout
    assert "BRIGHTNESS(image, percent=False) -> Number" in listed
    schema = {tool["name"]: tool for tool in json.loads(sightline(installed, "tools", "--json").stdout)}[
        "BRIGHTNESS"
    ]
    assert schema["parameters"]["required"] == ["image"]
    assert schema["parameters"]["properties"]["percent"]["type"] == "boolean"
    assert sightline(installed, "check", "p.vp").returncode == 0
    (installed / "wrong.vp").write_text(PROGRAM.replace("image=IMAGE", "picture=IMAGE"))
    assert "BRIGHTNESS" in sightline(installed, "check", "wrong.vp").stdout
    done = sightline(installed, "run", "p.vp", "bright.png", "--json")
    assert json.loads(done.stdout)["result"] == "bright", done.stderr


def test_a_name_that_is_taken_is_refused_and_the_package_named(installed: Path) -> None:
    (installed / "site" / "brightness_tool.py").write_text(MODULE.replace("BRIGHTNESS", "COUNT"))
    points = installed / "site" / "brightness_tool-1.0.dist-info" / "entry_points.txt"
    points.write_text("[sightline.tools]\nbrightness = brightness_tool:COUNT\n")
    done = sightline(installed, "tools")
    assert done.returncode == 2 and "COUNT" in done.stderr and "Traceback" not in done.stderr


def test_a_package_that_cannot_be_loaded_is_named(installed: Path) -> None:
    (installed / "site" / "brightness_tool.py").write_text("import does_not_exist\n")
    done = sightline(installed, "tools")
    assert done.returncode == 2 and "brightness-tool" in done.stderr and "does_not_exist" in done.stderr


BACKEND = """
import numpy as np
from sightline import Region, Regions
from sightline.tools.backends import Backend


class WholePicture:
    vocabulary = ("picture",)

    def __init__(self, weights, digest, score=0.5):
        self.score = score

    def detect(self, images):
        return [Regions([Region(box=image.extent, label="picture", score=self.score)]) for image in images]


BACKEND = Backend("whole-picture", "whole_picture:WholePicture", ("detector",), "package")
"""


def test_a_back_end_of_someone_elses_fills_a_role_from_a_pack(installed: Path) -> None:
    (installed / "site" / "whole_picture.py").write_text(BACKEND)
    points = installed / "site" / "brightness_tool-1.0.dist-info" / "entry_points.txt"
    points.write_text("[sightline.backends]\nwhole = whole_picture:BACKEND\n")
    (installed / "mine.yaml").write_text(
        "extends: starter\nroles:\n  detector: {backend: whole-picture, options: {score: 0.75}}\n"
    )
    (installed / "q.vp").write_text("B=LOC(image=IMAGE,object='picture')\nR=RESULT(var=B)\n")
    done = sightline(installed, "run", "q.vp", "bright.png", "--pack", "mine.yaml", "--json")
    (region,) = json.loads(done.stdout)["result"]
    assert (region["box"], region["score"]) == ([0, 0, 8, 8], 0.75), done.stderr
    (installed / "mine.yaml").write_text(
        "extends: starter\nroles:\n  detector: {backend: whole-picture, options: {scoer: 1}}\n"
    )
    wrong = sightline(installed, "run", "q.vp", "bright.png", "--pack", "mine.yaml")
    assert wrong.returncode == 2 and "did you mean score?" in wrong.stderr
