"""The Ask tab: a picture, a mark, a question; the answer streams in with its evidence lit on the picture."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import gradio as gr

from ..agent.records import Answer, Style
from ..agent.steps import pictures_in
from ..errors import InputError, SightlineError
from ..tools.values import Regions
from .board import View, board, read_mark
from .desk import Picture, Seat
from .examples import DRAWN, MARKED, UPLOADED, Example, example_buttons
from .markup import note, refusal, upload_button
from .packs import pack_choices, pack_for
from .segment import masks_of
from .service import Service
from .story import Story
from .story_panel import story_panel

LANGUAGES = {"as the question": "auto", "English": "en", "中文": "zh"}
LENGTHS = [("short", "short"), ("a sentence", "sentence"), ("a paragraph", "paragraph")]
MODES = [
    ("chosen for the question", "auto"), ("a visual program", "program"), ("tools, round by round", "react"),
    ("sub-questions", "decompose"), ("the model alone", "direct"),
]  # fmt: skip
CHIPS = 3  # questions to begin with
MOST_LIT = 60  # boxes on the picture
MOST_EARLIER = 16  # questions of the conversation that the page shows again
EMPTY = '<p class="story-empty">{}</p>'


class AskPage:
    """Builds the tab and answers its events; everything of a visitor is on the visitor's seat."""

    def __init__(self, service: Service, examples: Sequence[Example]) -> None:
        self.service = service
        self.examples = examples

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        packs = pack_choices(self.service.settings.packs)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                self.board = board(elem_id="board", label="Picture", padding=False)
                with gr.Row(elem_classes="sl-bar"):
                    self.upload = upload_button("Upload", "upload")
                    self.more = upload_button("Add another", "add")
                    self.camera_open = gr.Button("Camera", elem_id="camera-open", min_width=80)
                self.camera = gr.Image(
                    label="Take or paste a picture", sources=["webcam", "clipboard"], type="filepath", visible=False,
                    elem_id="camera", height=280,
                )  # fmt: skip
                self.strip = gr.Radio(
                    [], label="Pictures of this conversation", visible=False, elem_id="strip"
                )
                self.samples = example_buttons(self.examples, "examples")
                self.pack = gr.Radio(
                    packs, value=packs[0][1], label="The picture is", elem_id="pack", visible=len(packs) > 1
                )
            with gr.Column(scale=5, min_width=320):
                self.question = gr.Textbox(
                    label="Your question", placeholder="What is this?  How many red cups are there?  它在公交车左边吗？",
                    lines=2, max_lines=6, max_length=4000, elem_id="question", autofocus=False,
                )  # fmt: skip
                with gr.Row(elem_id="suggested", elem_classes="sl-chips"):
                    self.chips = [gr.Button("", size="sm", visible=False, min_width=40) for _ in range(CHIPS)]
                with gr.Row(elem_classes="sl-bar"):
                    self.go = gr.Button("Ask", variant="primary", elem_id="ask", scale=3, min_width=80)
                    self.stop = gr.Button("Stop", elem_id="stop", interactive=False, scale=2, min_width=70)
                    self.fresh = gr.Button("Start over", elem_id="fresh", scale=2, min_width=90)
                with gr.Accordion("How to answer", open=False, elem_id="style"):
                    with gr.Row():
                        self.length = gr.Dropdown(LENGTHS, value="sentence", label="Length", elem_id="length")
                        self.tone = gr.Dropdown(
                            ["neutral", "friendly", "formal"], value="neutral", label="Tone", elem_id="tone"
                        )
                    with gr.Row():
                        self.language = gr.Dropdown(
                            list(LANGUAGES), value="as the question", label="Language", elem_id="language"
                        )
                        self.mode = gr.Dropdown(MODES, value="auto", label="Way of working", elem_id="mode")
                    self.verify = gr.Checkbox(True, label="Check every claim against the picture")
                self.panel = story_panel(elem_id="story")
        self._wire()

    def _wire(self) -> None:
        shown = [self.board, self.strip, self.panel, self.camera, self.pack, *self.chips]
        quiet: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        self.upload.upload(self.uploaded, self.upload, shown, **quiet)
        self.more.upload(self.added, self.more, shown, **quiet)
        self.camera.change(self.taken, self.camera, shown, **quiet)
        self.camera_open.click(lambda: gr.Image(visible=True), None, self.camera, **quiet)
        self.pack.input(self.chose, self.pack, None, **quiet)
        for button, example in zip(self.samples, self.examples, strict=True):
            button.click(self._sample(example), None, shown, **quiet)
        self.strip.select(self.turned, self.strip, self.board, **quiet)
        # past the queue, which would cost each click two more round trips; the segmenter's lock is its line
        self.board.mark(self.marked, [self.pack], [self.board, *self.chips], trigger_mode="multiple", **quiet)
        self.panel.light(self.lit, None, [self.board, self.strip], **quiet)
        style = [self.pack, self.mode, self.length, self.tone, self.language, self.verify]
        # no limit of Gradio's own: whose turn it is, and what the page says meanwhile, is for the line to decide
        run: dict[str, Any] = {
            "outputs": [self.panel, self.board, self.stop, self.go], "api_visibility": "private", "show_progress": "hidden",
            "concurrency_limit": None, "concurrency_id": "ask page", "trigger_mode": "once",
        }  # fmt: skip
        runs = [gr.on([self.go.click, self.question.submit], self.ask, [self.question, *style], **run)]
        for chip in self.chips:
            chosen = chip.click(lambda words: words, chip, self.question, **quiet)
            runs.append(chosen.then(self.ask, [self.question, *style], **run))
        ended = [self.panel, self.stop, self.go]
        self.stop.click(self.stopped, None, ended, cancels=runs, api_visibility="private", queue=False)
        self.fresh.click(
            self.started, None, [*shown, self.question, self.stop, self.go], cancels=runs, api_visibility="private", queue=False
        )  # fmt: skip

    # -- pictures ----------------------------------------------------------------------------------------------------

    def seat(self, request: gr.Request) -> Seat:
        return self.service.desk.seat(request.session_hash or "")

    def uploaded(self, path: str | None, request: gr.Request) -> Any:
        return self._take(self.seat(request), path, add=False)

    def added(self, path: str | None, request: gr.Request) -> Any:
        return self._take(self.seat(request), path, add=True)

    def taken(self, path: str | None, request: gr.Request) -> Any:
        return self._take(self.seat(request), path, add=False)

    def chose(self, pack: str, request: gr.Request) -> None:
        """The visitor says what the pictures are: uploads leave it at that from now on."""
        self.seat(request).notes["pack chosen"] = pack

    def _sample(self, example: Example) -> Any:
        def show(request: gr.Request) -> Any:
            return self._take(self.seat(request), str(example.path), add=False, example=example)

        return show

    def _take(self, seat: Seat, path: str | None, add: bool, example: Example | None = None) -> Any:
        """The board, the strip, the panel, the camera, what the picture is, and questions to begin with."""
        if not path:
            return [gr.skip()] * (5 + CHIPS)
        closed = gr.Image(value=None, visible=False)
        try:
            with seat.lock:
                self.service.desk.take(seat, path, Path(path).name, add)
        except SightlineError as error:
            return [gr.skip(), gr.skip(), refusal(str(error)), closed, *[gr.skip()] * (1 + CHIPS)]
        if not add:
            seat.notes.pop("earlier", None)
            self.service.forget(seat)  # what was said of another picture is no context for this one
        packs = self.service.settings.packs
        kept = example is None and (add or seat.notes.get("pack chosen"))
        pack = gr.skip() if kept else gr.Radio(value=pack_for(packs, example))
        seat.notes["questions"] = asked = (
            example.questions if example else DRAWN if seat.notes.get("pack chosen") == "scenes" else UPLOADED
        )
        chips = _chips(asked)
        told = gr.skip() if add else EMPTY.format("Now mark a thing, or simply ask.")
        return [self.view(seat), self._strip(seat), told, closed, pack, *chips]

    def _strip(self, seat: Seat) -> Any:
        names = [f"{n}. {picture.name}"[:60] for n, picture in enumerate(seat.pictures, 1)]
        return gr.Radio(names, value=names[seat.at], visible=len(names) > 1)

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
        here = [region for region in seat.regions if region["picture"] in (None, picture.image.picture)]
        return View(
            picture.url, picture.image.width, picture.image.height, f"Picture: {picture.name}", _once(here, lit or ()), lit or [],
            picture.masks, said, {"choice": picture.choice, "turn": seat.notes.get("turn", 0)},
        ).to_json()  # fmt: skip

    # -- marks -------------------------------------------------------------------------------------------------------

    def marked(self, pack: str, event: gr.EventData, request: gr.Request) -> Any:
        seat = self.seat(request)
        try:
            with seat.lock:
                shown = self._marked(seat, pack, dict(event._data or {}))
        except SightlineError as error:
            shown = self.view(seat, said=str(error)) if seat.pictures else View(said=str(error)).to_json()
        named = (
            pack != "starter" and seat.pictures and seat.picture.mark is not None
        )  # something can name the thing
        return [shown, *_chips(MARKED if named else seat.notes.get("questions", ()))]

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
            picture.choice = choice % len(picture.masks) if isinstance(choice, int) else 0
            return gr.skip()  # another of the masks there are: the board shows it already
        picture.take(Regions())
        picture.mark, seat.regions = mark, []
        if mark is None or not (mark.box or mark.mask or any(p[2] for p in mark.points)):
            return self.view(seat)
        found = masks_of(self.service.agent(pack).engine, picture.image, mark)
        picture.take(found)
        if not picture.masks:
            return self.view(seat, said="Nothing stands out there; try a box or another point.")
        return self.view(seat)

    def lit(self, event: gr.EventData, request: gr.Request) -> Any:
        """Light the chosen evidence, on the picture that it lies in."""
        seat = self.seat(request)
        if not seat.pictures:
            return gr.skip(), gr.skip()
        names = [str(name) for name in (event._data or {}).get("names", ())][:64]
        on = {region["picture"] for region in seat.regions if region["id"] in names} - {None}
        if on and seat.picture.image.picture not in on:
            seat.at = next((n for n, p in enumerate(seat.pictures) if p.image.picture in on), seat.at)
        return self.view(seat, lit=names), self._strip(seat)

    # -- asking ------------------------------------------------------------------------------------------------------

    async def ask(
        self, question: str, pack: str, mode: str, length: str, tone: str, language: str, verify: bool, request: gr.Request
    ) -> AsyncIterator[Any]:  # fmt: skip
        """Stream the answer: the panel's HTML, the board, and which of Stop and Ask can be pressed."""
        seat = self.seat(request)
        busy = gr.Button(interactive=True), gr.Button(interactive=False)
        idle = gr.Button(interactive=False), gr.Button(interactive=True)
        earlier: list[tuple[str, str]] = seat.notes.setdefault("earlier", [])
        story = Story(question=(question or "").strip(), earlier=tuple(earlier))
        yield story.html(), gr.skip(), *busy
        try:
            picture, pictures = seat.picture, [p.image for p in seat.pictures]
            if not story.question:
                raise InputError("Type a question first.")
            style = Style(LANGUAGES.get(language, "auto"), length, tone)  # type: ignore[arg-type]
            async with self.service.line.turn(seat.key) as turn:
                async for story.waiting in turn.places():
                    yield story.html(), gr.skip(), *busy
                story.waiting = None
                agent = await asyncio.to_thread(self.service.agent, pack)
                stream = agent.astream(
                    pictures,
                    story.question,
                    picture.asked,
                    mode,
                    verify=bool(verify),
                    style=style,
                    session=seat.key,
                )
                async with aclosing(stream) as items:  # type: ignore[type-var]
                    async for item in items:
                        if isinstance(item, Answer):
                            self._finish(seat, story, item)
                            break
                        known = len(story.regions)
                        story.add(item)
                        grown = len(story.regions) > known
                        if grown:
                            seat.regions = list(story.regions.values())[:MOST_LIT]
                        yield story.html(), self.view(seat) if grown else gr.skip(), *busy
        except SightlineError as error:
            story.failed = str(error)
        except Exception:
            story.failed = (
                "Something unexpected went wrong; the operator finds it in the trace. Please try again."
            )
            yield story.html(), gr.skip(), *idle
            raise
        evidence = [region["id"] for region in seat.regions if str(region["id"]).startswith("evidence.")]
        yield story.html(), self.view(seat, evidence) if seat.pictures else gr.skip(), *idle

    def _finish(self, seat: Seat, story: Story, answer: Answer) -> None:
        """Keep the answer for what follows: its evidence first among the boxes, its words for the panel of the next."""
        if answer.error and not answer.text:
            story.failed, story.detail = _unanswered(answer.error)
        for shown in pictures_in(answer.value):
            story.pictures.append(self.service.desk.show(seat, shown))
        evidence = [
            {
                "id": f"evidence.{n}",
                "box": list(r.box),
                "label": (r.text or r.label)[:40],
                "picture": r.picture,
            }
            for n, r in enumerate(answer.evidence)
        ]
        told = list(story.regions.values())
        seat.regions = evidence or told[:MOST_LIT]
        seat.regions += told[:MOST_LIT] if evidence else []
        kept = seat.notes.setdefault("earlier", [])
        kept.append((story.question, answer.text or story.failed))
        del kept[:-MOST_EARLIER]

    def stopped(self, request: gr.Request) -> Any:
        said = note("Stopped. Ask again whenever you like.")
        return said, gr.Button(interactive=False), gr.Button(interactive=True)

    def started(self, request: gr.Request) -> Any:
        """A new conversation: nothing of the old one is left."""
        self.service.leave(request.session_hash or "")
        strip, camera = gr.Radio([], visible=False), gr.Image(value=None, visible=False)
        chips = [gr.Button(visible=False)] * CHIPS
        told = EMPTY.format("A new conversation: choose a picture.")
        buttons = gr.Button(interactive=False), gr.Button(interactive=True)
        return [View().to_json(), strip, told, camera, gr.skip(), *chips, "", *buttons]


def _once(regions: Sequence[dict[str, Any]], lit: Sequence[str]) -> list[dict[str, Any]]:
    """Each box once, though evidence, steps and claims may all speak of it: the one that is lit, else the first."""
    seen: set[tuple[int, ...]] = set()
    kept = []
    for region in sorted(regions, key=lambda region: region["id"] not in lit):
        place = tuple(round(v) for v in region["box"])
        if place not in seen:
            seen.add(place)
            kept.append(region)
    return kept


def _unanswered(error: str) -> tuple[str, str]:
    """Why there is no answer, for a person, and the whole reason for the operator."""
    if ("needs a" in error and "and pack" in error) or "fills the role" in error:
        return (
            "The models at hand cannot answer this. Offline, photographs can be clicked on, read for printed words, and searched "
            "for faces and 40 everyday things, such as people, cars and dogs; for all else the operator starts the app with "
            "public models (--pack standard).", error,
        )  # fmt: skip
    return "There is no answer to this: every way that was tried came to nothing.", error


def _chips(questions: Sequence[str]) -> list[Any]:
    """The buttons of suggested questions."""
    shown = [gr.Button(words, visible=True) for words in questions[:CHIPS]]
    return shown + [gr.Button(visible=False)] * (CHIPS - len(shown))


def _same(mark: Any, picture: Picture) -> bool:
    return bool(mark == picture.mark)
