"""The app's named endpoints for programs: /ask, /segment and /verify, with points and boxes as plain arguments."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ..agent.records import Mark
from ..errors import InputError, SightlineError
from ..tools.imagefile import open_image
from ..tools.values import Image
from .segment import masks_of
from .service import Service


class Api:
    """Calls that stand for themselves: nothing is remembered between two of them."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def build(self) -> None:
        """Register the endpoints; call inside a Blocks context. They show nothing on the page."""
        limit = self.service.settings.at_once
        gr.api(self.ask, api_name="ask", concurrency_limit=limit, concurrency_id="ask")
        gr.api(self.segment, api_name="segment", concurrency_limit=4, concurrency_id="click")
        gr.api(self.verify, api_name="verify", concurrency_limit=limit, concurrency_id="ask")

    def _image(self, picture: Any) -> Image:
        path = picture.get("path") if isinstance(picture, dict) else picture
        if not isinstance(path, str):
            raise InputError("give the picture as a file (gradio_client.handle_file)")
        return open_image(path, self.service.desk.limits)

    def ask(
        self,
        picture: gr.FileData,
        question: str,
        points: list[list[float]] | None = None,
        box: list[float] | None = None,
        pack: str = "",
        mode: str = "auto",
        verify: bool = True,
    ) -> dict[str, Any]:
        """Ask about a picture. Points are [x, y] or [x, y, belongs]; the answer has the fields of `sightline ask --json`."""
        with _plainly():
            image = self._image(picture)
            agent = self.service.agent(pack or self.service.settings.packs[0])
            return agent.ask(image, question, _mark(points, box, image), mode, verify=verify).to_json()

    def segment(
        self,
        picture: gr.FileData,
        points: list[list[float]] | None = None,
        box: list[float] | None = None,
        pack: str = "",
    ) -> list[dict[str, Any]]:
        """The masks of what is marked, the likeliest first: boxes and run lengths in the picture's pixels."""
        with _plainly():
            image = self._image(picture)
            mark = _mark(points, box, image)
            if mark is None:
                raise InputError("mark something: points, or a box")
            engine = self.service.agent(pack or self.service.settings.packs[0]).engine
            return [region.to_json() for region in masks_of(engine, image, mark)]

    def verify(self, picture: gr.FileData, text: str, pack: str = "") -> dict[str, Any]:
        """Check a text's claims against a picture: the corrected text, claims with verdicts, edits."""
        from ..agent.verification.verify import verify

        with _plainly():
            agent = self.service.agent(pack or self.service.settings.packs[0])
            return verify(
                self._image(picture), text, controller=agent.controller, engine=agent.engine
            ).to_json()


class _plainly:
    """What was wrong with a call reaches the client as one line."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, SightlineError):
            raise gr.Error(str(error), print_exception=False) from error


def _mark(points: Any, box: Any, image: Image) -> Mark | None:
    """Points and a box as a mark; InputError for anything else, or a place outside the picture."""
    from .board import read_mark

    try:
        full = [[*point, True][:3] for point in points or ()]
    except TypeError as error:
        raise InputError("points are lists [x, y] or [x, y, belongs]") from error
    return read_mark({"points": full, "box": box}, image.size)
