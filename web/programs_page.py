"""The Programs tab: choose or write a program, see what is wrong as you type, run it, look at every value."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..agent import steps
from ..agent.events import Event, Recorder
from ..agent.records import Request
from ..agent.tracing.graphs import draw_graph
from ..errors import InputError, SightlineError
from ..programs.checker import check
from ..programs.library import find, library
from ..programs.parser import parse
from ..programs.results import ProgramResult, show
from ..programs.syntax import ProgramError
from ..tools.draw import tag
from ..tools.values import Image
from .desk import Seat
from .examples import Example, example_buttons
from .markup import UNEXPECTED, note, pictures_html, problems_html, refusal, upload_button
from .packs import pack_choices, pack_for
from .service import Service
from .story import Story
from .story_panel import story_panel
from .working import Done, events_of

MOST_SHOWN = 24  # values shown as pictures
_START = "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)"


class ProgramsPage:
    """Builds the tab and answers its events. It works on the pictures of the visitor's conversation."""

    def __init__(self, service: Service, examples: Sequence[Example]) -> None:
        self.service = service
        self.examples = examples

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        packs = pack_choices(self.service.settings.packs)
        names = [(f"{item.name.replace('_', ' ')}: {item.description}", item.name) for item in library()]
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self.choice = gr.Dropdown(
                    names, value=None, label="Start from a library program", elem_id="program-choice", filterable=True
                )  # fmt: skip
                self.text = gr.Code(
                    _START, language=None, label="Program", lines=8, elem_id="program-text", interactive=True, buttons=["copy"]
                )  # fmt: skip
                self.problems = gr.HTML(problems_html([]), elem_id="program-problems", padding=False)
                self.pictures = gr.HTML(elem_id="program-pictures", apply_default_css=False, padding=False)
                with gr.Row(elem_classes="sl-bar"):
                    self.upload = upload_button("Upload", "program-upload", many=True)
                    self.go = gr.Button("Run", variant="primary", elem_id="program-run", min_width=80)
                    self.stop = gr.Button("Stop", elem_id="program-stop", interactive=False, min_width=70)
                self.samples = example_buttons(self.examples, "program-examples")
                self.pack = gr.Radio(
                    packs,
                    value=packs[0][1],
                    label="The picture is",
                    elem_id="program-pack",
                    visible=len(packs) > 1,
                )
            with gr.Column(scale=6, min_width=320):
                self.panel = story_panel(
                    "The result appears here: every step with its time, the plan, and every value as a picture.",
                    elem_id="program-story",
                )
                self.plan = gr.HTML(elem_id="program-plan", apply_default_css=False, padding=False)
                self.values = gr.HTML(elem_id="program-values", apply_default_css=False, padding=False)
        self._wire()

    def _wire(self) -> None:
        quiet: dict[str, Any] = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        self.choice.input(self.chosen, self.choice, [self.text, self.problems], **quiet)
        self.text.change(self.checked, self.text, self.problems, trigger_mode="always_last", **quiet)
        self.upload.upload(self.uploaded, self.upload, [self.pictures, self.panel, self.pack], **quiet)
        for button, example in zip(self.samples, self.examples, strict=True):
            button.click(self._sample(example), None, [self.pictures, self.panel, self.pack], **quiet)
        run = self.go.click(
            self.run, [self.text, self.pack], [self.panel, self.plan, self.values, self.stop, self.go], api_visibility="private",
            trigger_mode="once", concurrency_limit=None, concurrency_id="programs page", show_progress="hidden",
        )  # fmt: skip
        self.stop.click(
            lambda: (note("Stopped."), gr.Button(interactive=False), gr.Button(interactive=True)),
            None, [self.panel, self.stop, self.go], cancels=[run], api_visibility="private", queue=False,
        )  # fmt: skip

    def opened(self, request: gr.Request) -> Any:
        """The tab came to the front: the pictures of the conversation are its own."""
        return _shown(self.service.desk.seat(request.session_hash or ""))

    def chosen(self, name: str | None) -> Any:
        """The library program's text, its settings put in at their defaults."""
        if not name:
            return gr.skip(), gr.skip()
        program = find(str(name)).program()
        return program.text.strip(), self.checked(program.text)

    def checked(self, text: str) -> str:
        """What is wrong with a program, as HTML."""
        try:
            return problems_html(check(parse(text or ""), self.service.registry))
        except ProgramError as error:
            return problems_html(error.problems)

    def uploaded(self, paths: list[str] | None, request: gr.Request, example: Example | None = None) -> Any:
        seat = self.service.desk.seat(request.session_hash or "")
        try:
            with seat.lock:
                for n, path in enumerate(paths or ()):
                    self.service.desk.take(seat, path, Path(path).name, add=n > 0)
        except SightlineError as error:
            return _shown(seat), refusal(str(error)), gr.skip()
        return _shown(seat), gr.skip(), gr.Radio(value=pack_for(self.service.settings.packs, example))

    def _sample(self, example: Example) -> Any:
        def show_it(request: gr.Request) -> Any:
            return self.uploaded([str(example.path)], request, example)

        return show_it

    async def run(self, text: str, pack: str, request: gr.Request) -> AsyncIterator[Any]:
        """Run the program on the seat's pictures: the story as it grows, then the plan and every value as a picture."""
        seat = self.service.desk.seat(request.session_hash or "")
        busy = gr.Button(interactive=True), gr.Button(interactive=False)
        idle = gr.Button(interactive=False), gr.Button(interactive=True)
        story = Story()
        yield story.html(), "", "", *busy
        try:
            if not seat.pictures:
                raise InputError("there is no picture yet; upload one or choose an example")
            images = tuple(picture.image for picture in seat.pictures)
            inputs = Request("", images).inputs
            async with self.service.line.turn(seat.key) as turn:
                async for story.waiting in turn.places():
                    yield story.html(), gr.skip(), gr.skip(), *busy
                story.waiting = None
                engine = (await asyncio.to_thread(self.service.agent, pack)).engine
                program = await asyncio.to_thread(steps.check, engine, text or "", inputs)

                def work(recorder: Recorder) -> tuple[ProgramResult, list[Event], list[tuple[str, str]]]:
                    recorder.emit(
                        "plan", program=program.text, attempt=0, ok=True, errors=[], demonstrations=[]
                    )
                    result = steps.run_recorded(engine, program, inputs, recorder)
                    return result, recorder.events, self._values(seat, result, images)

                async with aclosing(events_of("program", work)) as items:  # type: ignore[type-var]
                    async for item in items:
                        if isinstance(item, Done):
                            result, events, values = item.value
                            continue
                        story.add(item)
                        yield story.html(), gr.skip(), gr.skip(), *busy
        except SightlineError as error:
            yield refusal(str(error)), "", "", *idle
            return
        except Exception:
            yield refusal(UNEXPECTED), "", "", *idle
            raise
        value = "" if result.value is None else show(result.value, 400)
        story.answer = {"status": result.status, "text": value}
        yield story.html(), _plan(events), pictures_html(values, "Every value"), *idle

    def _values(self, seat: Seat, result: ProgramResult, images: tuple[Image, ...]) -> list[tuple[str, str]]:
        """Every value that can be looked at, with the step's name."""
        out: list[tuple[str, str]] = []
        for step in result.steps:
            shown = list(steps.pictures_in(step.value))
            regions = list(steps.regions_in(step.value))
            if regions and not shown:
                shown = [Image.from_array(tag(images[0], regions))]
            for picture in shown[:6]:
                if len(out) < MOST_SHOWN:
                    out.append((self.service.desk.show(seat, picture), f"{step.name} = {step.op}"))
        return out


def _plan(events: Sequence[Event]) -> str:
    """The graph that ran, with each node's status and time, and what the optimiser did."""
    graph = next((event.data for event in events if event.kind == "graph"), None)
    if graph is None:
        return ""
    ran = {
        event.data["node"]: event.data
        for event in events
        if event.kind == "step" and event.data["node"] is not None
    }
    nodes = []
    for node in graph["nodes"]:
        step = ran.get(node["id"])
        cost = round(step["ms"], 1) if step else node["cost"]
        nodes.append({**node, "cost": cost})
    notes = "".join(f"<li>{escape(str(line))}</li>" for line in graph.get("notes", ()))
    drawn = draw_graph(nodes, graph["edges"], 0, {})
    return f'<figure class="plan"><figcaption>The plan as it ran</figcaption>{drawn}<ul>{notes}</ul></figure>'


def _shown(seat: Seat) -> str:
    shown = [(p.url, p.name) for p in seat.pictures]
    names = (
        "IMAGE" if len(shown) < 2 else "LEFT and RIGHT" if len(shown) == 2 else f"IMAGE1 to IMAGE{len(shown)}"
    )
    return pictures_html(shown, f"Pictures ({names} in the program)")
