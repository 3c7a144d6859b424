"""The Ask tab: a picture, a mark, a question; the answer streams in with its evidence lit on the picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ..agent.records import Answer, Style
from ..errors import SightlineError
from .board import View, board, read_mark
from .desk import Picture, Seat
from .markup import note, refusal
from .packs import pack_choices, pack_for
from .segment import masks_of
from .service import Service
from .story import Story
from .story_panel import story_panel

LANGUAGES = {"as the question": "auto", "English": "en", "中文": "zh"}
MODES = ["auto", "program", "react", "decompose", "direct"]


class AskPage:
    """Builds the tab and answers its events; everything of a visitor is on the visitor's seat."""

    def __init__(self, service: Service, examples: list[tuple[Path, str]]) -> None:
        self.service = service
        self.examples = examples

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        packs = pack_choices(self.service.settings.packs)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                self.board = board(elem_id="board", label="Picture")
                with gr.Row():
                    self.upload = gr.UploadButton(
                        "Upload a picture",
                        file_types=["image"],
                        file_count="single",
                        elem_id="upload",
                        variant="secondary",
                    )
                    self.more = gr.UploadButton(
                        "Add another",
                        file_types=["image"],
                        file_count="single",
                        elem_id="add",
                        variant="secondary",
                    )
                    self.camera_open = gr.Button("Camera or paste", elem_id="camera-open")
                self.camera = gr.Image(
                    label="Take or paste a picture", sources=["webcam", "clipboard"], type="filepath", visible=False,
                    elem_id="camera", height=260,
                )  # fmt: skip
                self.strip = gr.Radio([], label="Pictures", visible=False, elem_id="strip")
                if self.examples:
                    with gr.Row(elem_id="examples"):
                        self.samples = [gr.Button(words, size="sm") for _, words in self.examples]
                else:
                    self.samples = []
            with gr.Column(scale=5, min_width=320):
                self.question = gr.Textbox(
                    label="Your question", placeholder="What is this?  How many red cups are there?  它在公交车左边吗？",
                    lines=2, max_lines=6, max_length=4000, elem_id="question", autofocus=False,
                )  # fmt: skip
                with gr.Row():
                    self.go = gr.Button("Ask", variant="primary", elem_id="ask")
                    self.stop = gr.Button("Stop", elem_id="stop", interactive=False)
                    self.fresh = gr.Button("New conversation", elem_id="fresh")
                with gr.Accordion("Models and style", open=False, elem_id="style"):
                    self.pack = gr.Dropdown(packs, value=packs[0][1], label="Pictures are", elem_id="pack")
                    with gr.Row():
                        self.mode = gr.Dropdown(MODES, value="auto", label="Mode", elem_id="mode")
                        self.length = gr.Dropdown(
                            ["short", "sentence", "paragraph"], value="sentence", label="Length"
                        )
                    with gr.Row():
                        self.tone = gr.Dropdown(
                            ["neutral", "friendly", "formal"], value="neutral", label="Tone"
                        )
                        self.language = gr.Dropdown(
                            list(LANGUAGES), value="as the question", label="Language"
                        )
                    self.verify = gr.Checkbox(True, label="Check every claim against the picture")
                self.panel = story_panel(elem_id="story")
        self._wire()

    def _wire(self) -> None:
        shown = [self.board, self.strip, self.panel, self.camera]
        self.upload.upload(self.uploaded, self.upload, shown, api_visibility="private", queue=False)
        self.more.upload(self.added, self.more, shown, api_visibility="private", queue=False)
        self.camera.change(self.taken, self.camera, shown, api_visibility="private", queue=False)
        self.camera_open.click(
            lambda: gr.Image(visible=True), None, self.camera, api_visibility="private", queue=False
        )
        for button, (path, _) in zip(self.samples, self.examples, strict=True):
            button.click(self._sample(path), None, [*shown, self.pack], api_visibility="private", queue=False)
        self.strip.select(self.turned, self.strip, self.board, api_visibility="private", queue=False)
        self.board.mark(
            self.marked, [self.pack], self.board, api_visibility="private", show_progress="hidden", trigger_mode="multiple",
            concurrency_limit=4, concurrency_id="click",
        )  # fmt: skip
        self.panel.light(
            self.lit, None, self.board, api_visibility="private", queue=False, show_progress="hidden"
        )
        asked = [
            self.question, self.pack, self.mode, self.length, self.tone, self.language, self.verify,
        ]  # fmt: skip
        run = gr.on(
            [self.go.click, self.question.submit], self.ask, asked, [self.panel, self.board, self.stop, self.go],
            api_visibility="private", show_progress="hidden", concurrency_limit=self.service.settings.at_once, concurrency_id="ask",
            trigger_mode="once",
        )  # fmt: skip
        self.stop.click(
            self.stopped,
            None,
            [self.panel, self.stop, self.go],
            cancels=[run],
            api_visibility="private",
            queue=False,
        )
        self.fresh.click(
            self.started, None, [*shown, self.question], cancels=[run], api_visibility="private", queue=False
        )

    # -- pictures ----------------------------------------------------------------------------------------------------

    def seat(self, request: gr.Request) -> Seat:
        return self.service.desk.seat(request.session_hash or "")

    def uploaded(self, path: str | None, request: gr.Request) -> Any:
        return self._take(self.seat(request), path, add=False)

    def added(self, path: str | None, request: gr.Request) -> Any:
        return self._take(self.seat(request), path, add=True)

    def taken(self, path: str | None, request: gr.Request) -> Any:
        if not path:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        return self._take(self.seat(request), path, add=False)

    def _sample(self, path: Path) -> Any:
        def show(request: gr.Request) -> Any:
            return *self._take(self.seat(request), str(path), add=False), pack_for(
                path, self.service.settings.packs
            )

        return show

    def _take(self, seat: Seat, path: str | None, add: bool) -> Any:
        if not path:
            return gr.skip(), gr.skip(), gr.skip(), gr.skip()
        try:
            with seat.lock:
                self.service.desk.take(seat, path, Path(path).name, add)
        except SightlineError as error:
            return gr.skip(), gr.skip(), refusal(str(error)), gr.Image(value=None, visible=False)
        names = [f"{n}. {picture.name}"[:60] for n, picture in enumerate(seat.pictures, 1)]
        strip = gr.Radio(names, value=names[seat.at], visible=len(names) > 1)
        empty = '<p class="story-empty">Now mark a thing, or simply ask.</p>'
        return self.view(seat), strip, gr.skip() if add else empty, gr.Image(value=None, visible=False)

    def turned(self, name: str, request: gr.Request) -> Any:
        seat = self.seat(request)
        number = str(name).partition(".")[0]
        if number.isdigit() and 0 < int(number) <= len(seat.pictures):
            seat.at = int(number) - 1
        return self.view(seat)

    def view(self, seat: Seat, lit: list[str] | None = None, said: str = "") -> dict[str, Any]:
        """What the board shows of a seat."""
        if not seat.pictures:
            return View().to_json()
        picture = seat.picture
        regions = seat.regions if seat.at == 0 else []
        return View(
            picture.url, picture.image.width, picture.image.height, f"Picture: {picture.name}", regions, lit or [],
            picture.masks, said, {"choice": picture.choice},
        ).to_json()  # fmt: skip

    # -- marks -------------------------------------------------------------------------------------------------------

    def marked(self, pack: str, event: gr.EventData, request: gr.Request) -> Any:
        seat = self.seat(request)
        try:
            with seat.lock:
                return self._marked(seat, pack, dict(event._data or {}))
        except SightlineError as error:
            return self.view(seat, said=str(error)) if seat.pictures else View(said=str(error)).to_json()

    def _marked(self, seat: Seat, pack: str, data: dict[str, Any]) -> Any:
        picture = seat.picture
        turn = data.get("turn")
        if isinstance(turn, int):  # a later mark may have come first
            if turn < seat.notes.get("turn", 0):
                return gr.skip()
            seat.notes["turn"] = turn
        mark = read_mark(data, picture.image.size, seat.at)
        choice = data.get("choice")
        if mark is not None and _same(mark, picture) and picture.masks:
            picture.choice = int(choice) % len(picture.masks) if isinstance(choice, int) else 0
            return gr.skip()  # another of the masks there are: the board shows it already
        picture.mark, picture.masks, picture.choice = mark, [], 0
        seat.regions = []
        if mark is None or not (mark.box or mark.mask or any(p[2] for p in mark.points)):
            return self.view(seat)
        found = masks_of(self.service.agent(pack).engine, picture.image, mark)
        picture.masks = [
            self.service.desk.mask(seat, r.mask, picture.image) for r in found if r.mask is not None
        ]
        seat.notes["masks"] = found
        if not picture.masks:
            return self.view(seat, said="Nothing stands out there; try a box or another point.")
        return self.view(seat)

    def lit(self, event: gr.EventData, request: gr.Request) -> Any:
        seat = self.seat(request)
        names = [str(name) for name in (event._data or {}).get("names", ())][:64]
        return self.view(seat, lit=names) if seat.pictures else gr.skip()

    # -- asking ------------------------------------------------------------------------------------------------------

    def ask(
        self,
        question: str,
        pack: str,
        mode: str,
        length: str,
        tone: str,
        language: str,
        verify: bool,
        request: gr.Request,
    ) -> Iterator[Any]:
        """Stream the answer: the panel's HTML, the board, and which of Ask and Stop can be pressed."""
        seat = self.seat(request)
        busy, idle = (
            (gr.Button(interactive=True), gr.Button(interactive=False)),
            (gr.Button(interactive=False), gr.Button(interactive=True)),
        )
        story = Story(question=(question or "").strip())
        yield story.html(), gr.skip(), *busy
        try:
            with seat.lock:
                picture, pictures = seat.picture, [p.image for p in seat.pictures]
            style = Style(LANGUAGES.get(language, "auto"), length, tone)  # type: ignore[arg-type]
            stream = self.service.agent(pack).stream(
                pictures,
                question or "",
                _mark(picture),
                mode,
                verify=bool(verify),
                style=style,
                session=seat.key,
            )
            for item in stream:
                if isinstance(item, Answer):
                    self._finish(seat, story, item)
                    break
                story.add(item)
                yield story.html(), gr.skip(), *busy
        except SightlineError as error:
            story.failed = str(error)
        except Exception:
            story.failed = (
                "Something unexpected went wrong; it is kept in the trace for the operator. Please try again."
            )
            yield story.html(), gr.skip(), *idle
            raise
        shown = self.view(seat) if seat.pictures else gr.skip()
        yield story.html(), shown, *idle

    def _finish(self, seat: Seat, story: Story, answer: Answer) -> None:
        if answer.error and not answer.text:
            story.failed = answer.error
        names = {r["id"]: r for r in story.regions.values()}
        evidence = [
            {"id": f"evidence.{n}", "box": list(r.box), "label": (r.text or r.label)[:40]}
            for n, r in enumerate(answer.evidence)
        ]
        seat.regions = evidence or list(names.values())[:40]
        lit = {tuple(r["box"]) for r in seat.regions}
        seat.regions += [r for r in names.values() if tuple(r["box"]) not in lit][:60]
        seat.notes["trace"] = answer.trace

    def stopped(self, request: gr.Request) -> Any:
        return (
            note("Stopped. Ask again whenever you like."),
            gr.Button(interactive=False),
            gr.Button(interactive=True),
        )

    def started(self, request: gr.Request) -> Any:
        self.service.leave(request.session_hash or "")
        empty = '<p class="story-empty">A new conversation: choose a picture.</p>'
        return View().to_json(), gr.Radio([], visible=False), empty, gr.Image(value=None, visible=False), ""


def _same(mark: Any, picture: Picture) -> bool:
    return bool(mark == picture.mark)


def _mark(picture: Picture) -> Any:
    return picture.mark
