"""The app's named endpoints for scripts: /ask, /segment, /verify and /run, with points and boxes as plain arguments."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from ..agent import steps
from ..agent.agent import Agent
from ..agent.records import Mark, Request
from ..errors import InputError, SightlineError
from ..mllm.cutoff import Cutoff, cutting_off
from ..programs.outputs import to_json
from ..programs.syntax import ProgramError
from ..tools.values import Image
from .board import read_mark
from .desk import open_upload
from .segment import masks_of
from .service import Service

MOST_PICTURES = 8  # of one program
T = TypeVar("T")


class Api:
    """Calls that stand for themselves: nothing is remembered between two of them. They wait in the same line as visitors.

    Files are those that `GuardedBlocks` let pass.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    def build(self) -> None:
        """Register the endpoints; call inside a Blocks context. They show nothing on the page."""
        for call in (self.ask, self.verify, self.run):
            gr.api(call, api_name=call.__name__, concurrency_limit=None, concurrency_id="api")
        gr.api(self.segment, api_name="segment", concurrency_limit=4, concurrency_id="click")

    async def ask(
        self,
        picture: gr.FileData,
        question: str,
        request: gr.Request,
        points: list[list[float]] | None = None,
        box: list[float] | None = None,
        pack: str = "",
        mode: str = "auto",
        verify: bool = True,
    ) -> dict[str, Any]:
        """Ask about a picture. Points are [x, y] or [x, y, belongs]; the answer has the fields of `sightline ask --json`."""

        def work() -> dict[str, Any]:
            image = self._image(picture)
            mark = _mark(points, box, image)
            return self._agent(pack).ask(image, question, mark, mode, verify=verify).to_json()

        return await self._in_turn(request, work)

    async def verify(
        self, picture: gr.FileData, text: str, request: gr.Request, pack: str = ""
    ) -> dict[str, Any]:
        """Check a text's claims against a picture: the corrected text, claims with verdicts, edits."""
        from ..agent.verification.verify import verify

        def work() -> dict[str, Any]:
            agent = self._agent(pack)
            image = self._image(picture)
            return verify(image, text, controller=agent.controller, engine=agent.engine).to_json()

        return await self._in_turn(request, work)

    async def run(
        self,
        pictures: list[gr.FileData],
        program: str,
        request: gr.Request,
        points: list[list[float]] | None = None,
        box: list[float] | None = None,
        pack: str = "",
    ) -> dict[str, Any]:
        """Run a visual program: its value, and every step with status and time.

        It reads IMAGE (LEFT and RIGHT of two pictures, IMAGE1 and on of more), and MARK, the region of the box or of
        what the points are on, in the first picture.
        """

        def work() -> dict[str, Any]:
            if not 0 < len(pictures) <= MOST_PICTURES:
                raise InputError(f"a program takes 1 to {MOST_PICTURES} pictures, not {len(pictures)}")
            images = tuple(self._image(picture) for picture in pictures)
            engine = self._agent(pack).engine
            mark = _mark(points, box, images[0])
            inputs = Request("", images, mark).inputs
            if mark is not None and "MARK" not in inputs:
                found = masks_of(engine, images[0], mark)
                if not found:
                    raise InputError("nothing stands out at those points")
                inputs["MARK"] = found[0]
            checked = steps.check(engine, program, inputs)
            ran = steps.run(engine, [checked], inputs)
            if ran.error is not None:
                raise InputError(ran.error.message)
            (result,) = ran.results
            return {
                "status": result.status,
                "value": to_json(result.value, None, "value"),
                "error": result.errors[0].message if result.errors else None,
                "steps": [step.to_json() for step in result.steps],
            }

        return await self._in_turn(request, work)

    def segment(
        self,
        picture: gr.FileData,
        points: list[list[float]] | None = None,
        box: list[float] | None = None,
        pack: str = "",
    ) -> list[dict[str, Any]]:
        """The masks of what is marked, the likeliest first: boxes and run lengths in the picture's pixels."""

        def work() -> list[dict[str, Any]]:
            image = self._image(picture)
            mark = _mark(points, box, image)
            if mark is None:
                raise InputError("mark something: points, or a box")
            return [region.to_json() for region in masks_of(self._agent(pack).engine, image, mark)]

        return _plainly(work)

    async def _in_turn(self, request: gr.Request, work: Callable[[], T]) -> T:
        try:
            async with self.service.line.turn(request.session_hash or "") as turn:
                await turn.come()
                stopped = threading.Event()
                try:
                    return await asyncio.to_thread(_until, stopped, work)
                finally:  # a call that is cancelled leaves no work behind
                    stopped.set()
        except SightlineError as error:  # the line is full
            raise gr.Error(str(error), print_exception=False) from error

    def _agent(self, pack: str) -> Agent:
        return self.service.agent(pack or self.service.settings.packs[0])

    def _image(self, picture: Any) -> Image:
        """An uploaded file; any other path is refused before it comes here."""
        given = picture.get("path") if isinstance(picture, dict) else picture
        if not isinstance(given, str):
            raise InputError("give the picture as a file (gradio_client.handle_file)")
        path = Path(given)
        return open_upload(str(path), path.name, self.service.desk.limits)


def _until(stopped: threading.Event, work: Callable[[], T]) -> T:
    with cutting_off(Cutoff(stopped=stopped)):
        return _plainly(work)


def _plainly(work: Callable[[], T]) -> T:
    """What was wrong with a call reaches the client as one line."""
    try:
        return work()
    except ProgramError as error:
        raise gr.Error(str(error.problems[0]), print_exception=False) from error
    except SightlineError as error:
        raise gr.Error(str(error), print_exception=False) from error


def _mark(points: Any, box: Any, image: Image) -> Mark | None:
    """Points and a box as a mark; InputError for anything else, or a place outside the picture."""
    try:
        full = [[*point, True][:3] for point in points or ()]
    except TypeError as error:
        raise InputError("points are lists [x, y] or [x, y, belongs]") from error
    return read_mark({"points": full, "box": box}, image.size)
