"""`sightline ask` and `sightline plan` from the command line, with scripted models behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from agent_fakes import COUNT, DOGS, ScriptedController, picture, staged
from typer.testing import CliRunner

from sightline.agent import agent as agent_module
from sightline.agent.agent import Agent
from sightline.cli import app
from sightline.errors import InputError
from sightline.tools.imagefile import save_image
from sightline.tools.values import Image


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture file, and an agent behind the command that knows what is on it."""
    path = tmp_path / "dogs.png"
    save_image(picture(), path)
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    models = staged((Image.open(path), DOGS))
    controller = ScriptedController(
        {"How many dogs?": COUNT.format("dog")}, lambda q, f: f"{f[-1].found} dogs"
    )

    def made(given: Any, pack: Any, **options: Any) -> Agent:
        return Agent(controller, models, **options)

    monkeypatch.setattr(agent_module, "Agent", made)
    return path


def test_ask_shows_how_and_answers(photo: Path) -> None:
    shown = CliRunner().invoke(app, ["ask", str(photo), "How many dogs?", "--no-verify", "--no-cache"])
    assert shown.exit_code == 0, shown.output
    for words in ("mode program", "BOX0=LOC(image=IMAGE,object='dog')", "2 dogs [4, 4, 20, 20]", "trace 20"):
        assert words in shown.output


def test_ask_as_json_has_the_promised_fields(photo: Path) -> None:
    shown = CliRunner().invoke(
        app, ["ask", str(photo), "How many dogs?", "--json", "--no-verify", "--no-cache"]
    )
    data = json.loads(shown.output)
    assert {
        "status",
        "answer",
        "grounded",
        "mode",
        "program",
        "claims",
        "regions",
        "calls",
        "tokens",
        "ms",
        "trace",
    } <= set(data)
    assert data["answer"] == "2 dogs" and len(data["regions"]) == 2
    assert (Path(photo.parent) / "home" / "traces" / f"{data['trace']}.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["only-a-picture.png"], "give a picture and a question"),
        (["{photo}", "q?", "--at", "1,2", "--box", "1,2,3,4"], "--at or --box, not both"),
        (["{photo}", "q?", "--at", "here"], "is not 2 numbers"),
        (["{photo}", "q?", "--length", "long"], "--length"),
        (["{photo}", "q?", "--mode", "guess"], "mode 'guess'"),
        (["{photo}", "q?", "--shape", "chain"], "is for mode 'decompose'"),
        (["{photo}", "q?", "--mode", "decompose", "--shape", "ring"], "none of chain, tree"),
        (["{photo}", "q?", "--at", "900,1"], "outside the picture"),
    ],
)
def test_ask_refuses_in_one_line(photo: Path, arguments: list[str], message: str) -> None:
    shown = CliRunner().invoke(app, ["ask", *(a.format(photo=photo) for a in arguments)])
    assert isinstance(shown.exception, InputError) and message in str(shown.exception)


def test_ask_fails_with_exit_code_1(photo: Path) -> None:
    agent_module.Agent(None, None).engine.models._bound.pop("mllm")  # type: ignore[arg-type]
    shown = CliRunner().invoke(app, ["ask", str(photo), "Who?", "--no-verify", "--no-cache", "--json"])
    data = json.loads(shown.output)
    assert (data["status"], shown.exit_code) == ("failed", 1)
    assert "no plan is written for 'Who?'" in data["error"]


def test_plan_prints_a_checked_program(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = ScriptedController({"How many dogs?": ["BOX0=LOC()", COUNT.format("dog")]})
    monkeypatch.setattr("sightline.agent.parts.make_controller", lambda *_: controller)
    shown = CliRunner().invoke(app, ["plan", "How many dogs?"])
    assert shown.output == COUNT.format("dog")
    data = json.loads(CliRunner().invoke(app, ["plan", "How many dogs?", "--json"]).output)
    assert [a["ok"] for a in data["attempts"]] == [False, True]
    refused = CliRunner().invoke(app, ["plan", " "])
    assert isinstance(refused.exception, InputError)
