"""The Programs tab: choose or write a program, see what is wrong as you type, run it, look at every value."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..agent import steps
from ..agent.events import Recorder
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
from .markup import problems_html, refusal
from .packs import pack_choices, pack_for
from .service import Service
from .story import Story
from .story_panel import story_panel

MOST_SHOWN = 24  # values shown as pictures
_START = "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)"


class ProgramsPage:
    """Builds the tab and answers its events. It works on the pictures of the visitor's conversation."""

    def __init__(self, service: Service, examples: list[tuple[Path, str]]) -> None:
        self.service = service
        self.examples = examples

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        packs = pack_choices(self.service.settings.packs)
        names = [(f"{item.name.replace('_', ' ')}: {item.description}", item.name) for item in library()]
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self.choice = gr.Dropdown(
                    names, value=None, label="Library program", elem_id="program-choice", filterable=True
                )
                self.text = gr.Code(
                    _START, language=None, label="Program", lines=8, elem_id="program-text", interactive=True
                )
                self.problems = gr.HTML(problems_html([]), elem_id="program-problems")
                self.pack = gr.Dropdown(
                    packs, value=packs[0][1], label="Pictures are", elem_id="program-pack"
                )
                with gr.Row():
                    self.upload = gr.UploadButton(
                        "Upload pictures",
                        file_types=["image"],
                        file_count="multiple",
                        elem_id="program-upload",
                    )
                    self.go = gr.Button("Run", variant="primary", elem_id="program-run")
                self.pictures = gr.Gallery(
                    label="Pictures (IMAGE; LEFT and RIGHT where there are two)", columns=3, height=180, object_fit="contain",
                    elem_id="program-pictures", interactive=False, buttons=[],
                )  # fmt: skip
                with gr.Row():
                    self.samples = [gr.Button(words, size="sm") for _, words in self.examples]
            with gr.Column(scale=6, min_width=320):
                self.panel = story_panel(elem_id="program-story")
                self.plan = gr.HTML(elem_id="program-plan", apply_default_css=False)
                self.values = gr.Gallery(
                    label="Every value", columns=3, object_fit="contain", elem_id="program-values", interactive=False, buttons=["fullscreen"],
                )  # fmt: skip
        self._wire()

    def _wire(self) -> None:
        self.choice.input(
            self.chosen, self.choice, [self.text, self.problems], api_visibility="private", queue=False
        )
        self.text.change(
            self.checked,
            self.text,
            self.problems,
            api_visibility="private",
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last",
        )
        self.upload.upload(
            self.uploaded, self.upload, [self.pictures, self.panel], api_visibility="private", queue=False
        )
        for button, (path, _) in zip(self.samples, self.examples, strict=True):
            button.click(
                self._sample(path),
                None,
                [self.pictures, self.panel, self.pack],
                api_visibility="private",
                queue=False,
            )
        self.go.click(
            self.run, [self.text, self.pack], [self.panel, self.plan, self.values], api_visibility="private", trigger_mode="once",
            concurrency_limit=self.service.settings.at_once, concurrency_id="ask", show_progress="minimal",
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

    def uploaded(self, paths: list[str] | None, request: gr.Request) -> Any:
        seat = self.service.desk.seat(request.session_hash or "")
        try:
            with seat.lock:
                for n, path in enumerate(paths or ()):
                    self.service.desk.take(seat, path, Path(path).name, add=n > 0)
        except SightlineError as error:
            return gr.skip(), refusal(str(error))
        return _shown(seat), gr.skip()

    def _sample(self, path: Path) -> Any:
        def show_it(request: gr.Request) -> Any:
            return *self.uploaded([str(path)], request), pack_for(path, self.service.settings.packs)

        return show_it

    def run(self, text: str, pack: str, request: gr.Request) -> Any:
        """Run the program on the seat's pictures: the story, the plan, every value as a picture."""
        seat = self.service.desk.seat(request.session_hash or "")
        try:
            with seat.lock:
                if not seat.pictures:
                    raise InputError("there is no picture yet; upload one or choose an example")
                images = tuple(picture.image for picture in seat.pictures)
            engine = self.service.agent(pack).engine
            inputs = Request("", images).inputs
            program = steps.check(engine, text or "", inputs)
            story = Story()
            recorder = Recorder("program")
            recorder.emit("plan", program=program.text, attempt=0, ok=True, errors=[], demonstrations=[])
            result = steps.run_recorded(engine, program, inputs, recorder)
        except SightlineError as error:
            return refusal(str(error)), "", []
        for event in recorder.events:
            story.add(event)
        value = "" if result.value is None else show(result.value, 400)
        story.answer = {"status": result.status, "text": value}
        return story.html(), _plan(recorder), self._values(seat, result, images)

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
                    out.append((self.service.desk.keep(seat, picture), f"{step.name} = {step.op}"))
        return out


def _plan(recorder: Recorder) -> str:
    """The graph that ran, with each node's status and time, and what the optimiser did."""
    graph = next((event.data for event in recorder.events if event.kind == "graph"), None)
    if graph is None:
        return ""
    ran = {
        event.data["node"]: event.data
        for event in recorder.events
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


def _shown(seat: Seat) -> list[tuple[str, str]]:
    return [(str(seat.folder / f"{p.image.hash}.png"), p.name) for p in seat.pictures]
