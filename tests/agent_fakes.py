"""Scripted language models and drawn scenes for the tests of the agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sightline.agent.controllers.base import Fact, RawClaim, SubQuestion
from sightline.agent.errors import CannotError
from sightline.agent.events import Recorder
from sightline.agent.oracle import Stage, oracle_models
from sightline.agent.records import Request, Style
from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.tools.models import Models
from sightline.tools.values import Image

COUNT = "BOX0=LOC(image=IMAGE,object='{0}')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)\n"
EXISTS = (
    "BOX0=LOC(image=IMAGE,object='{0}')\nANSWER0=COUNT(box=BOX0)\n"
    "ANSWER1=EVAL(expr=\"'yes' if {{ANSWER0}} > 0 else 'no'\")\nFINAL_RESULT=RESULT(var=ANSWER1)\n"
)


class ScriptedController:
    """Says what it is told to: a plan for each question, and a wording."""

    name = "scripted"
    sees = False
    knows = True

    def __init__(
        self,
        plans: Mapping[str, str | Sequence[str]] | Callable[[str], str] | None = None,
        wording: Callable[[str, Sequence[Fact]], str] | None = None,
        known: Sequence[str] = ("a", "b"),
    ) -> None:
        self.plans = plans or {}
        self.wording = wording
        self.known = list(known)
        self.asked: list[Request] = []

    def plan(
        self, request: Request, recorder: Recorder, failed: Sequence[tuple[str, Sequence[Any]]] = ()
    ) -> str:
        self.asked.append(request)
        if callable(self.plans):
            text = self.plans(request.asked)
        else:
            if request.asked not in self.plans:
                raise CannotError(f"no plan is written for {request.asked!r}")
            written = self.plans[request.asked]
            text = written if isinstance(written, str) else written[len(failed)]
        recorder.emit(
            "thought", role="controller", said=text, tokens_in=10, tokens_out=5, ms=0.1, attempt=len(failed)
        )
        return text

    def divide(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> list[SubQuestion]:
        return []

    def conclude(self, request: Request, known: Sequence[Fact], recorder: Recorder) -> str:
        return known[-1].found

    def compose(self, question: str, facts: Sequence[Fact], style: Style, recorder: Recorder) -> str:
        if self.wording is None:
            raise CannotError("it words nothing")
        said = self.wording(question, facts)
        recorder.emit("thought", role="refiner", said=said, tokens_in=8, tokens_out=4, ms=0.1, attempt=0)
        return said

    def claims(self, text: str, recorder: Recorder) -> list[RawClaim]:
        return []

    def complete(self, prompts: Sequence[str]) -> list[str]:
        return [", ".join(self.known) for _ in prompts]

    def chat_model(self) -> Any:
        raise CannotError("it does not chat")


def thing(
    kind: str, box: tuple[int, int, int, int], color: str = "red", category: str = "animal"
) -> SceneObject:
    return SceneObject(kind, category, color, "medium", box)


def picture(number: int = 0, size: tuple[int, int] = (64, 64)) -> Image:
    """A plain picture; every number gives other pixels."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, :] = (number % 256, number // 256 % 256, 7)
    return Image.from_array(pixels)


def staged(*scenes: tuple[Image, Sequence[SceneObject]]) -> Models:
    """Oracle models that know what each picture shows."""
    stage = Stage()
    for number, (image, objects) in enumerate(scenes):
        stage.add(Scene(number, image.width, image.height, tuple(objects)), image)
    return oracle_models(stage)


DOGS = (
    thing("dog", (4, 4, 20, 20)),
    thing("dog", (30, 30, 50, 50), "brown"),
    thing("cat", (40, 2, 60, 18), "black"),
)
