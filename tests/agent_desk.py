"""A request on a scene of known things with oracle tools, a toolbox and a recorder: what the agent's tests work on."""

from __future__ import annotations

from typing import Any

from sightline.agent.events import Recorder
from sightline.agent.oracle import Stage, oracle_models
from sightline.agent.planner_data.settings import draw_plainly
from sightline.agent.records import Limits, Mark, Request
from sightline.agent.toolbox import Toolbox
from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.programs.engine import Engine


def thing(
    kind: str, color: str, x: float, y: float, word: str | None = None, side: float = 30.0
) -> SceneObject:
    return SceneObject(kind, "thing", color, "medium", (x, y, x + side, y + side), style="block", word=word)


DOGS = (thing("dog", "red", 10, 20), thing("dog", "blue", 60, 20), thing("cat", "green", 120, 30), thing("sign", "white", 180, 90, "EXIT"))  # fmt: skip


class Desk:
    """One question about one or two scenes. `events(kind)` are the data of the events of a kind."""

    def __init__(
        self,
        question: str,
        *scenes: tuple[SceneObject, ...],
        limits: Limits = Limits(),
        mark: Mark | None = None,
    ) -> None:
        stage = Stage()
        pictures = []
        for number, objects in enumerate(scenes or (DOGS,)):
            scene = Scene(seed=number, width=256, height=160, objects=objects)
            picture = draw_plainly(scene)
            stage.add(scene, picture)
            pictures.append(picture)
        self.engine = Engine(oracle_models(stage))
        self.request = Request(question, tuple(pictures), mark, limits=limits)
        self.limits = limits
        self.recorder = Recorder("t")
        self.toolbox = Toolbox(self.engine, self.request, self.recorder, limits)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [dict(event.data) for event in self.recorder.events if event.kind == kind]
