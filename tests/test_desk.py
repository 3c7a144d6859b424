"""What a visitor's seat holds: a picture at any moment, no more files than are needed; and pages that end their work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from sightline.agent.events import Event, Recorder
from sightline.mllm.cutoff import CutOff, current
from sightline.programs.syntax import Program
from sightline.web.batch_page import BatchPage
from sightline.web.desk import Desk, Seat
from sightline.web.line import Line
from sightline.web.programs_page import ProgramsPage
from sightline.web.story import Story
from sightline.web.verify_page import VerifyPage
from sightline.web.working import events_of

COUNT_DOGS = "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)"


def written(folder: Path, level: int) -> str:
    path = folder / f"{level}.png"
    PIL.Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)
    return str(path)


def test_a_picture_is_there_while_another_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path / "desk")
    seat = desk.seat("a")
    for level in (1, 2, 3):
        desk.take(seat, written(tmp_path, level), add=level > 1)
    seen: list[str] = []
    show = desk.show

    def watched(seat: Seat, image: Any) -> str:
        seen.append(seat.picture.name)  # as an event beside this one would
        return show(seat, image)

    monkeypatch.setattr(desk, "show", watched)
    desk.take(seat, written(tmp_path, 4))
    assert seen == ["3.png"] and [p.name for p in seat.pictures] == ["4.png"] and seat.at == 0


def test_a_seat_does_not_grow_with_every_upload(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "desk")
    seat = desk.seat("a")
    desk.take(seat, written(tmp_path, 0))
    for level in range(1, 30):
        desk.take(seat, written(tmp_path, level))
        desk.take(seat, written(tmp_path, 0), add=True)
    assert len(list(seat.folder.glob("*.npy"))) == 12
    assert [int(p.image.pixels[0, 0, 0]) for p in seat.pictures] == [29, 0]


def test_a_new_batch_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, given = Desk(tmp_path / "desk"), written(tmp_path, 1)
    settings = SimpleNamespace(cache=None, root=tmp_path, packs=("starter",))
    page = BatchPage(SimpleNamespace(desk=desk, settings=settings, registry=None))  # type: ignore[arg-type]
    monkeypatch.setattr(page, "_program", lambda *_: Program.parse(COUNT_DOGS))
    seat = desk.seat("a")
    runs = []
    for _ in range(2):
        runs.append(page._prepared(seat, None, [given], "a question", "?", None, "starter"))
        runs[-1].out.mkdir()
    assert not runs[0].work.exists() and not runs[0].out.exists()
    assert runs[1].work.exists() and runs[1].out.exists()
    page._prepared(seat, ".", None, "a question", "?", None, "starter")
    assert not runs[1].work.exists() and Path(given).exists()  # the operator's own folder stays


def test_closing_the_events_ends_the_work_between_two_steps_of_a_model() -> None:
    over: list[type] = []

    def work(recorder: Recorder) -> None:
        recorder.emit("draft", text="", grounded="")
        try:
            for _ in range(1000):
                current().check()
                time.sleep(0.01)
        except CutOff as error:
            over.append(type(error))
            raise

    async def visit() -> None:
        events = events_of("test", work)
        await anext(events)
        await events.aclose()
        for _ in range(500):
            if over:
                return
            await asyncio.sleep(0.01)

    async def within() -> None:
        await asyncio.wait_for(visit(), 20)

    runner = threading.Thread(target=lambda: asyncio.run(within()), daemon=True)
    runner.start()
    runner.join(20)
    assert over == [CutOff]


def _programs(service: Any) -> Any:
    return ProgramsPage(service, ()).run(COUNT_DOGS, "starter", SimpleNamespace(session_hash="a"))  # type: ignore[arg-type]


def _verify(service: Any) -> Any:
    return VerifyPage(service, ()).check("A dog.", "starter", SimpleNamespace(session_hash="a"))  # type: ignore[arg-type]


def _batch(service: Any) -> Any:
    page, request = BatchPage(service), SimpleNamespace(session_hash="a")
    return page.run(".", None, "a question", "how many?", None, "starter", request)  # type: ignore[arg-type]


@pytest.mark.parametrize(("page", "go"), [(_programs, -1), (_verify, -1), (_batch, -2)])
def test_after_an_unforeseen_error_the_page_can_be_used_again(
    page: Callable[[Any], Any], go: int, tmp_path: Path
) -> None:
    desk = Desk(tmp_path / "desk")
    desk.take(desk.seat("a"), written(tmp_path, 1))

    def agent(pack: str) -> Any:
        raise ZeroDivisionError("a bug")

    settings = SimpleNamespace(cache=None, root=tmp_path, packs=("starter",))
    service = SimpleNamespace(
        desk=desk, line=Line(1, 9), batches=Line(1, 9), agent=agent, settings=settings, registry=None
    )
    shown: list[Any] = []

    async def visit() -> None:
        async for outputs in page(service):
            shown.append(outputs)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(visit())
    assert "unexpected" in shown[-1][0] and shown[-1][go].interactive is True
    assert len(service.line) == len(service.batches) == 0


def test_a_long_value_is_cut_between_characters() -> None:
    story = Story()
    story.add(Event(0, 0.0, "plan", {"program": "A=READ(image=IMAGE)", "ok": True}))
    told = {"name": "A", "op": "READ", "status": "done", "shown": "x" * 598 + "<<<"}
    story.add(Event(1, 1.0, "step", told))
    assert f"{'x' * 598}&lt;&lt; <small>" in story.html()


def test_what_might_be_there_is_not_drawn() -> None:
    story = Story()
    for number, (name, tool) in enumerate((("BOX0", "LOC"), ("FAINT0", "GLIMPSE"))):
        value = [{"box": [1, 2, 3, 4], "label": "cat", "score": 0.1, "tool": tool}]
        story.add(Event(number, 1.0, "step", {"name": name, "op": tool, "status": "done", "value": value}))
    assert [region["id"] for region in story.regions.values()] == ["BOX0.0"]
