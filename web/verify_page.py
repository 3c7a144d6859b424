"""The Verify tab: any text about any picture; its claims, their verdicts, the evidence, the correction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from ..agent.events import Recorder
from ..errors import InputError, SightlineError
from .board import View, board
from .examples import Example, example_buttons
from .markup import UNEXPECTED, note, refusal, upload_button
from .packs import pack_choices, pack_for
from .service import Service
from .story import Story
from .story_panel import story_panel
from .working import Done, events_of

MOST_TEXT = 6000  # characters


class VerifyPage:
    """Builds the tab and answers its events. Its picture is that of the visitor's conversation."""

    def __init__(self, service: Service, examples: Sequence[Example]) -> None:
        self.service = service
        self.examples = examples

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        packs = pack_choices(self.service.settings.packs)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                self.board = board(elem_id="verify-board", label="Picture", padding=False, marking=False)
                with gr.Row(elem_classes="sl-bar"):
                    self.upload = upload_button("Upload", "verify-upload")
                self.samples = example_buttons(self.examples, "verify-examples")
                self.pack = gr.Radio(
                    packs,
                    value=packs[0][1],
                    label="The picture is",
                    elem_id="verify-pack",
                    visible=len(packs) > 1,
                )
            with gr.Column(scale=5, min_width=320):
                self.text = gr.Textbox(
                    label="Text about the picture", lines=5, max_lines=14, max_length=MOST_TEXT, elem_id="verify-text",
                    placeholder="Two brown dogs sit left of a red bus. There is no cat.",
                )  # fmt: skip
                with gr.Row(elem_classes="sl-bar"):
                    self.go = gr.Button(
                        "Check it", variant="primary", elem_id="verify-run", scale=3, min_width=80
                    )
                    self.stop = gr.Button(
                        "Stop", elem_id="verify-stop", interactive=False, scale=1, min_width=70
                    )
                self.panel = story_panel(
                    "Every claim of the text is checked against the picture; what is wrong is corrected.", elem_id="verify-story"
                )  # fmt: skip
        quiet: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        self.upload.upload(self.uploaded, self.upload, [self.board, self.panel, self.pack], **quiet)
        for button, example in zip(self.samples, self.examples, strict=True):
            button.click(self._sample(example), None, [self.board, self.panel, self.pack], **quiet)
        run = self.go.click(
            self.check, [self.text, self.pack], [self.panel, self.board, self.stop, self.go], api_visibility="private",
            trigger_mode="once", concurrency_limit=None, concurrency_id="verify page", show_progress="hidden",
        )  # fmt: skip
        self.stop.click(
            lambda: (note("Stopped."), gr.Button(interactive=False), gr.Button(interactive=True)),
            None, [self.panel, self.stop, self.go], cancels=[run], api_visibility="private", queue=False,
        )  # fmt: skip
        self.panel.light(self.lit, None, self.board, **quiet)

    def uploaded(self, path: str | None, request: gr.Request, example: Example | None = None) -> Any:
        seat = self.service.desk.seat(request.session_hash or "")
        if not path:
            return gr.skip(), gr.skip(), gr.skip()
        try:
            with seat.lock:
                self.service.desk.take(seat, path, Path(path).name)
        except SightlineError as error:
            return gr.skip(), refusal(str(error)), gr.skip()
        seat.notes["checked"] = []
        return self._view(seat, []), gr.skip(), gr.Radio(value=pack_for(self.service.settings.packs, example))

    def opened(self, request: gr.Request) -> Any:
        """The tab came to the front: the picture of the conversation is its own."""
        seat = self.service.desk.seat(request.session_hash or "")
        return self._view(seat, []) if seat.pictures else gr.skip()

    def _sample(self, example: Example) -> Any:
        def show(request: gr.Request) -> Any:
            return self.uploaded(str(example.path), request, example)

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

    async def check(self, text: str, pack: str, request: gr.Request) -> AsyncIterator[Any]:
        """Verify the text against the picture: the panel as the verdicts come, then the picture with its evidence."""
        from ..agent.verification.verify import Verification, verify

        seat = self.service.desk.seat(request.session_hash or "")
        busy = gr.Button(interactive=True), gr.Button(interactive=False)
        idle = gr.Button(interactive=False), gr.Button(interactive=True)
        story = Story(first="The text said", _doing="Looking for claims")
        seat.notes["checked"] = []
        yield story.html(), gr.skip(), *busy
        try:
            if not (text or "").strip():
                raise InputError(
                    "there is no text to check; paste what somebody or some model said about the picture"
                )
            if len(text) > MOST_TEXT:
                raise InputError(f"the text has {len(text)} characters; {MOST_TEXT} are the most")
            image = seat.picture.image
            async with self.service.line.turn(seat.key) as turn:
                async for story.waiting in turn.places():
                    yield story.html(), gr.skip(), *busy
                story.waiting = None
                agent = await asyncio.to_thread(self.service.agent, pack)

                def work(recorder: Recorder) -> Verification:
                    recorder.emit("draft", text=text, grounded=text)
                    return verify(
                        image, text, controller=agent.controller, engine=agent.engine, recorder=recorder
                    )

                async with aclosing(events_of("verify", work)) as items:  # type: ignore[type-var]
                    async for item in items:
                        if isinstance(item, Done):
                            story.answer = {"status": "done", "text": item.value.text}
                            continue
                        story.add(item)
                        yield story.html(), gr.skip(), *busy
        except SightlineError as error:
            yield refusal(str(error)), gr.skip(), *idle
            return
        except Exception:
            yield refusal(UNEXPECTED), gr.skip(), *idle
            raise
        seat.notes["checked"] = list(story.regions.values())[:80]
        yield story.html(), self._view(seat, []), *idle

    def lit(self, event: gr.EventData, request: gr.Request) -> Any:
        seat = self.service.desk.seat(request.session_hash or "")
        names = [str(name) for name in (event._data or {}).get("names", ())][:64]
        return self._view(seat, names) if seat.pictures else gr.skip()
