"""Commands over the agent: ask (a question about pictures) and plan (a request as a checked program)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InputError
from .console import JOB_FAILED, default_cache, print_json
from .traces import check_page, write_page

if TYPE_CHECKING:
    from ..agent.records import Decomposition

_CONTROLLER = typer.Option(
    "starter", "--controller", help="starter (embedded, offline), or a chat model by name, as openai:gpt-4o."
)
_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_AT = typer.Option("", "--at", help="X,Y: what you point at, in pixels of the (first) picture.")
_BOX = typer.Option("", "--box", help="X1,Y1,X2,Y2: a box around what you point at.")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(ask)
    app.command()(plan)


def ask(
    words: list[str] = typer.Argument(
        metavar="IMAGE... QUESTION", help="Pictures, and at the end the question."
    ),
    at: str = _AT,
    box: str = _BOX,
    controller: str = _CONTROLLER,
    mode: str = typer.Option("auto", "--mode", help="auto, program, react, decompose or direct."),
    shape: str = typer.Option(
        None, "--shape", help="With --mode decompose: tree (what can be asked together is) or chain."
    ),
    steps: int = typer.Option(
        None, "--steps", min=1, help="With --mode decompose: so many sub-questions, not as many as needed."
    ),
    pattern: str = typer.Option(
        None, "--pattern", help="With --mode decompose: predict the next step, or infill between the ends."
    ),
    pack: str = typer.Option(
        "starter", "--pack", help="starter (photographs), scenes (drawn scenes), standard, or a YAML file."
    ),
    no_verify: bool = typer.Option(False, "--no-verify", help="Do not check the answer's claims."),
    length: str = typer.Option("sentence", "--length", help="short, sentence or paragraph."),
    language: str = typer.Option("auto", "--language", help="en, zh ...; auto is the question's."),
    seconds: float = typer.Option(
        120.0, "--seconds", min=0.1, help="Stop after so long, with what is known."
    ),
    cache: Path = typer.Option(
        None, "--cache", help="Folder of the result cache (default: your cache folder)."
    ),
    no_cache: bool = typer.Option(False, "--no-cache", help="Neither read nor keep results."),
    traces: Path = typer.Option(
        None, "--traces", help="Folder where traces are kept (default: your data folder)."
    ),
    trace_html: Path = typer.Option(None, "--trace-html", help="Also write the trace as one HTML page."),
    as_json: bool = _JSON,
) -> None:
    """Ask a question about a picture, or several, and see how it was answered."""
    from ..agent.agent import Agent
    from ..agent.records import Answer, Limits, Style
    from ..agent.tracing.store import TraceStore

    if len(words) < 2:
        raise InputError('give a picture and a question: sightline ask photo.jpg "How many dogs are there?"')
    if length not in ("short", "sentence", "paragraph"):
        raise InputError(f"--length {length!r} is none of short, sentence, paragraph")
    *pictures, question = words
    if trace_html is not None:
        check_page(trace_html)
    store = TraceStore(traces)
    agent = Agent(
        controller,
        pack,
        traces=store,
        cache=None if no_cache else cache or default_cache(),
        style=Style(language=language, length=length),  # type: ignore[arg-type]
        limits=Limits(seconds=seconds),
    )
    answer: Answer | None = None
    with store, agent:
        for item in agent.stream(
            pictures,
            question,
            _mark(at, box),
            mode,
            verify=not no_verify,
            decomposition=_decomposition(shape, steps, pattern),
        ):
            if isinstance(item, Answer):
                answer = item
            elif not as_json:
                from .telling import at_work, tell

                if sys.stdout.isatty():  # the next line is written over it
                    typer.echo(at_work(item), nl=False)
                tell(item, typer.echo)
        assert answer is not None
        if trace_html is not None:
            write_page(store.load(answer.trace), trace_html)
    if as_json:
        print_json(answer.to_json())
    else:
        _show(answer, store.folder)
    if answer.status == "failed":
        raise typer.Exit(JOB_FAILED)


def _decomposition(shape: str | None, steps: int | None, pattern: str | None) -> Decomposition | None:
    """How to take the question apart; None where nothing is said about it."""
    from ..agent.records import Decomposition

    given: dict[str, Any] = {key: v for key, v in (("shape", shape), ("pattern", pattern)) if v is not None}
    if steps is not None:
        given |= {"stop": "fixed", "length": steps}
    return Decomposition(**given) if given else None


def _show(answer: Any, traces: Path) -> None:
    if answer.status == "failed":
        typer.secho(f"no answer: {answer.error}", fg=typer.colors.RED)
    else:
        color = typer.colors.GREEN if answer.status == "done" else typer.colors.YELLOW
        typer.secho(answer.grounded or answer.text, fg=color, bold=True)
        if answer.error:
            typer.echo(f"not finished: {answer.error}")
    usage = answer.usage
    typer.echo(
        f"{usage.calls} tool calls ({usage.cached} cached), {usage.model_calls} language-model calls, "
        f"{usage.tokens_in + usage.tokens_out} tokens, {usage.ms / 1000:.1f} s"
    )
    typer.echo(f"trace {answer.trace} in {traces} (sightline trace show {answer.trace})")


def plan(
    request: str = typer.Argument(help="What you want to know or have done, in words."),
    at: str = _AT,
    box: str = _BOX,
    pictures: int = typer.Option(
        1, "--pictures", min=1, max=16, help="How many pictures the request is about."
    ),
    controller: str = _CONTROLLER,
    model: Path = typer.Option(
        None, "--model", help="Folder of a starter MLLM (default: the one inside the package)."
    ),
    as_json: bool = _JSON,
) -> None:
    """Turn a request into a checked program; no picture is needed."""
    import numpy as np

    from ..agent.asking import mark_of, question_of
    from ..agent.events import Recorder
    from ..agent.parts import make_controller
    from ..agent.program_mode import make_plan
    from ..agent.records import Request
    from ..programs.engine import Engine
    from ..tools.values import Image

    if model is not None and controller != "starter":
        raise InputError("--model is a starter's folder; a chat model is named by --controller alone")
    blank = Image.from_array(np.zeros((4096, 4096, 3), np.uint8))
    engine = Engine()
    asked = Request(question_of(request), (blank,) * pictures, mark_of(_mark(at, box), (blank,)))
    recorder = Recorder("plan")
    program = make_plan(asked, make_controller(controller, engine.registry, model), engine, recorder)
    if as_json:
        attempts = [event.data for event in recorder.events if event.kind == "plan"]
        print_json({"status": "done", "request": request, "program": program.text, "attempts": attempts})
    else:
        typer.echo(program.text.rstrip("\n"))


def _mark(at: str, box: str) -> tuple[float, ...] | None:
    """--at or --box as numbers; None where neither is given."""
    if at and box:
        raise InputError("give --at or --box, not both")
    text, count, name = (at, 2, "--at X,Y") if at else (box, 4, "--box X1,Y1,X2,Y2")
    if not text:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"{name}: {text!r} is not {count} numbers with commas between them")
    return numbers
