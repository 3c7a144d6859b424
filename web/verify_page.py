"""The Verify tab: any text about any picture; its claims, their verdicts, the evidence, the correction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..agent.events import Recorder
from ..errors import InputError, SightlineError
from .board import View, board
from .markup import refusal
from .packs import pack_choices, pack_for
from .service import Service
from .story import Story
from .story_panel import story_panel

MOST_TEXT = 6000  # characters


class VerifyPage:
    """Builds the tab and answers its events. Its picture is that of the visitor's conversation."""

    def __init__(self, service: Service, examples: list[tuple[Path, str]]) -> None:
        self.service = service
        self.examples = examples

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        packs = pack_choices(self.service.settings.packs)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                self.board = board(elem_id="verify-board", label="Picture")
                with gr.Row():
                    self.upload = gr.UploadButton(
                        "Upload a picture", file_types=["image"], size="sm", elem_id="verify-upload"
                    )
                    self.samples = [gr.Button(words, size="sm") for _, words in self.examples]
            with gr.Column(scale=5, min_width=320):
                self.text = gr.Textbox(
                    label="Text about the picture", lines=5, max_lines=14, max_length=MOST_TEXT, elem_id="verify-text",
                    placeholder="Two brown dogs sit left of a red bus. There is no cat.",
                )  # fmt: skip
                self.pack = gr.Dropdown(packs, value=packs[0][1], label="Pictures are", elem_id="verify-pack")
                self.go = gr.Button("Check it", variant="primary", elem_id="verify-run")
                self.panel = story_panel(elem_id="verify-story")
        self.upload.upload(
            self.uploaded, self.upload, [self.board, self.panel], api_visibility="private", queue=False
        )
        for button, (path, _) in zip(self.samples, self.examples, strict=True):
            button.click(
                self._sample(path),
                None,
                [self.board, self.panel, self.pack],
                api_visibility="private",
                queue=False,
            )
        self.go.click(
            self.check, [self.text, self.pack], [self.panel, self.board], api_visibility="private", trigger_mode="once",
            concurrency_limit=self.service.settings.at_once, concurrency_id="ask", show_progress="hidden",
        )  # fmt: skip
        self.panel.light(
            self.lit, None, self.board, api_visibility="private", queue=False, show_progress="hidden"
        )

    def uploaded(self, path: str | None, request: gr.Request) -> Any:
        seat = self.service.desk.seat(request.session_hash or "")
        if not path:
            return gr.skip(), gr.skip()
        try:
            with seat.lock:
                self.service.desk.take(seat, path, Path(path).name)
        except SightlineError as error:
            return gr.skip(), refusal(str(error))
        return self._view(seat, []), gr.skip()

    def opened(self, request: gr.Request) -> Any:
        """The tab came to the front: the picture of the conversation is its own."""
        seat = self.service.desk.seat(request.session_hash or "")
        return self._view(seat, []) if seat.pictures else gr.skip()

    def _sample(self, path: Path) -> Any:
        def show(request: gr.Request) -> Any:
            return *self.uploaded(str(path), request), pack_for(path, self.service.settings.packs)

        return show

    def _view(self, seat: Any, lit: list[str]) -> dict[str, Any]:
        picture = seat.picture
        return View(
            picture.url,
            picture.image.width,
            picture.image.height,
            f"Picture: {picture.name}",
            seat.notes.get("checked", []),
            lit,
        ).to_json()

    def check(self, text: str, pack: str, request: gr.Request) -> Iterator[Any]:
        """Verify the text against the picture; the panel, then the picture with its evidence."""
        from ..agent.verification.verify import verify

        seat = self.service.desk.seat(request.session_hash or "")
        story = Story()
        seat.notes["checked"] = []
        yield story.html(), gr.skip()
        try:
            if not (text or "").strip():
                raise InputError(
                    "there is no text to check; paste what somebody or some model said about the picture"
                )
            if len(text) > MOST_TEXT:
                raise InputError(f"the text has {len(text)} characters; {MOST_TEXT} are the most")
            with seat.lock:
                image = seat.picture.image
            agent = self.service.agent(pack)
            recorder = Recorder("verify")
            recorder.emit("draft", text=text, grounded=text)
            found = verify(image, text, controller=agent.controller, engine=agent.engine, recorder=recorder)
        except SightlineError as error:
            yield refusal(str(error)), gr.skip()
            return
        for event in recorder.events:
            story.add(event)
        story.answer = {"status": "done", "text": found.text}
        seat.notes["checked"] = list(story.regions.values())[:80]
        yield story.html(), self._view(seat, [])

    def lit(self, event: gr.EventData, request: gr.Request) -> Any:
        seat = self.service.desk.seat(request.session_hash or "")
        names = [str(name) for name in (event._data or {}).get("names", ())][:64]
        return self._view(seat, names) if seat.pictures else gr.skip()
