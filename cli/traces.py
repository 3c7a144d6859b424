"""Commands over traces: list, show, html, replay, compare, export, delete and prune."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InputError
from .console import JOB_FAILED, print_json

if TYPE_CHECKING:
    from ..agent.tracing.index import Summary
    from ..agent.tracing.store import TraceStore

trace_app = typer.Typer(help="What was kept of answers: how each came about.", no_args_is_help=True)

_TRACE = typer.Argument(help="A trace by name, the beginning of its name, or last.")
_FOLDER = typer.Option(None, "--traces", help="Folder where traces are kept (default: your data folder).")
_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_PARTS = {"K": 10**3, "M": 10**6, "G": 10**9}


def register(app: typer.Typer) -> None:
    """Add this module's commands as `sightline trace ...`."""
    for command in (show, html, replay, compare, export, delete, prune):
        trace_app.command()(command)
    trace_app.command("list")(list_traces)
    app.add_typer(trace_app, name="trace")


def list_traces(
    words: list[str] = typer.Argument(None, help="Only traces whose question or answer holds these words."),
    limit: int = typer.Option(20, "--limit", min=1, help="The newest so many."),
    status: str = typer.Option(None, "--status", help="done, partial, failed, running or unfinished."),
    mode: str = typer.Option(None, "--mode", help="program, react, decompose or direct."),
    session: str = typer.Option(None, "--session", help="Of this conversation alone."),
    traces: Path = _FOLDER,
    as_json: bool = _JSON,
) -> None:
    """List traces, the newest first."""
    with _store(traces) as store:
        if words:
            rows: Sequence[Summary] = [
                row for row in store.search(" ".join(words))
                if status in (None, row.status) and mode in (None, row.mode) and session in (None, row.session)
            ][:limit]  # fmt: skip
        else:
            rows = store.list(limit, status=status, mode=mode, session=session)
        if as_json:
            print_json(
                {"status": "done", "traces": [row.to_json() for row in rows], "folder": str(store.folder)}
            )
            return
        if not rows:
            what = (
                "no such trace"
                if words or status or mode or session
                else "no trace yet; ask something: sightline ask"
            )
            typer.echo(f"{what} (in {store.folder})")
            return
        from .traceview import list_lines, print_rich

        print_rich(*list_lines(rows))


def show(trace: str = _TRACE, traces: Path = _FOLDER, as_json: bool = _JSON) -> None:
    """Show a trace: thoughts, program, steps, verdicts, answer, costs."""
    with _store(traces) as store:
        found = store.load(trace)
        if as_json:
            data = {"status": found.status, "trace": found.id, "time": found.time, "question": found.question}
            data |= {
                "answer": found.answer,
                "mode": found.mode,
                "events": [e.to_json() for e in found.events],
            }
            print_json(data | {"lost": found.lost})
            return
        from .traceview import print_rich, trace_view

        print_rich(*trace_view(found))


def html(
    trace: str = _TRACE,
    out: Path = typer.Option(None, "--out", help="The page to write (default: NAME.html here)."),
    traces: Path = _FOLDER,
    as_json: bool = _JSON,
) -> None:
    """Write a trace as one HTML page that opens from disk."""
    with _store(traces) as store:
        found = store.load(trace)
        path = write_page(found, out or Path(f"{found.id}.html"))
    if as_json:
        print_json({"status": "done", "trace": found.id, "file": str(path), "bytes": path.stat().st_size})
    else:
        typer.echo(str(path))


def write_page(trace: Any, path: Path) -> Path:
    """The page of a trace as a file, whole or not at all; InputError where it cannot be written."""
    from ..agent.tracing.html import render
    from ..tools.imagefile import write_whole

    check_page(path)
    return write_whole(path, render(trace).encode())


def check_page(path: Path) -> None:
    """Whether a page can be written there, before the work that it is about; InputError says what to change."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the page a name, as {path / 'trace.html'}")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}; make it, or choose another place")


def replay(
    trace: str = _TRACE,
    pack: str = typer.Option(
        None, "--pack", help="The models to look with (default: the pack of the trace)."
    ),
    controller: str = typer.Option(
        None, "--controller", help="The language model for LIST and ASK (default: that of the trace)."
    ),
    tolerance: float = typer.Option(0.0, "--tolerance", min=0.0, help="By how much numbers may differ."),
    traces: Path = _FOLDER,
    as_json: bool = _JSON,
) -> None:
    """Run a trace's programs again on its pictures; exit code 1 if anything comes out otherwise."""
    from ..agent.agent import Agent
    from ..agent.tracing.replay import replay as run_again

    with _store(traces) as store:
        found = store.load(trace)
        told = found.ask
        named = str(controller or told.get("controller") or "starter")
        with Agent(named, pack or str(told.get("pack") or "starter")) as agent:
            result = run_again(found, agent.engine, tolerance)
    if as_json:
        print_json(result.to_json())
    else:
        for role, before, after in result.weights:
            typer.secho(f"other weights: {role} was {before}, is {after}", fg=typer.colors.YELLOW)
        if result.pack[0] != result.pack[1]:
            typer.secho(f"another pack: was {result.pack[0]}, is {result.pack[1]}", fg=typer.colors.YELLOW)
        for problem in result.problems:
            typer.secho(problem, fg=typer.colors.RED)
        for one in result.differences:
            typer.secho(f"{one.where}: {one.what} was {one.before}; now {one.after}", fg=typer.colors.RED)
        verdict = "all came out as before" if result.same else f"{len(result.differences)} came out otherwise"
        typer.echo(f"{result.compared} steps and calls run again: {verdict}")
    if not result.same:
        raise typer.Exit(JOB_FAILED)


def compare(
    a: str = typer.Argument(help="A trace by name, the beginning of its name, or last."),
    b: str = typer.Argument(help="Another."),
    traces: Path = _FOLDER,
    as_json: bool = _JSON,
) -> None:
    """What differs between two traces: question, plan, values, answer, costs."""
    from ..agent.tracing.compare import compare as look

    with _store(traces) as store:
        result = look(store.load(a), store.load(b))
    if as_json:
        print_json({"status": "done", **result.to_json()})
        return
    from .traceview import comparison_view, print_rich

    print_rich(*comparison_view(result))


def export(
    trace: list[str] = typer.Argument(None, help="Traces by name; all of them if none is given."),
    out: Path = typer.Option(..., "--out", help="otel: the JSON file; train: the folder."),
    kind: str = typer.Option(
        "otel", "--as", help="otel (OpenTelemetry spans, OTLP/JSON) or train (training examples)."
    ),
    no_content: bool = typer.Option(
        False, "--no-content", help="otel: without questions, thoughts, values and answers."
    ),
    traces: Path = _FOLDER,
    as_json: bool = _JSON,
) -> None:
    """Export traces as OpenTelemetry spans, or as training examples for `sightline train`."""
    from ..tools.imagefile import write_whole

    if kind not in ("otel", "train"):
        raise InputError(f"--as {kind!r} is none of otel, train")
    with _store(traces) as store:
        found = (store.load(name) for name in (trace or list(store)))
        if kind == "otel":
            from ..agent.tracing.spans import otlp

            if out.is_dir() or not out.parent.is_dir():
                raise InputError(f"--out {out}: give a file in a folder that is there, as spans.json")
            data = otlp(found, content=not no_content)
            spans = sum(len(s["spans"]) for r in data["resourceSpans"] for s in r["scopeSpans"])
            write_whole(out, json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace"))
            report: dict[str, Any] = {"file": str(out), "spans": spans}
            line = f"{spans} spans in {out}"
        else:
            from ..agent.tracing.examples import write_examples

            counts = write_examples(found, out)
            report = {"folder": str(out), "examples": counts}
            line = ", ".join(f"{count} in {out / name}" for name, count in counts.items())
    if as_json:
        print_json({"status": "done", **report})
    else:
        typer.echo(line)


def delete(
    trace: list[str] = typer.Argument(help="Traces by name."), traces: Path = _FOLDER, as_json: bool = _JSON
) -> None:
    """Delete traces, and the pictures that no other trace uses."""
    with _store(traces) as store:
        names = [store.resolve(name) for name in dict.fromkeys(trace)]  # all are there before one goes
        pictures = sum(store.delete(name) for name in dict.fromkeys(names))
    if as_json:
        print_json({"status": "done", "deleted": names, "pictures": pictures})
    else:
        typer.echo(f"deleted {len(names)} traces and {pictures} pictures")


def prune(
    days: float = typer.Option(None, "--older-than", min=0.0, help="Delete traces older than so many days."),
    size: str = typer.Option(
        None, "--max-size", help="Delete the oldest until all take at most so much: 500M, 2G."
    ),
    traces: Path = _FOLDER,
    as_json: bool = _JSON,
) -> None:
    """Delete old traces: by age, by the size of all, or both."""
    if days is None and size is None:
        raise InputError("say what may go: --older-than DAYS, --max-size 500M, or both")
    with _store(traces) as store:
        result = store.prune(days, _bytes(size) if size is not None else None)
    if as_json:
        print_json({"status": "done", **result.to_json()})
    else:
        typer.echo(
            f"deleted {result.traces} traces and {result.pictures} pictures, {result.bytes / 1e6:.1f} MB; "
            f"{result.left} traces are left"
        )


def _bytes(text: str) -> int:
    """500M, 2G, 80K or a plain number as bytes."""
    part = _PARTS.get(text[-1:].upper(), 1)
    number = text[:-1] if text[-1:].upper() in _PARTS else text
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e15:
        raise InputError(f"--max-size {text!r} is no size; write 500M or 2G")
    return int(value * part)


def _store(folder: Path | None) -> TraceStore:
    from ..agent.tracing.store import TraceStore

    if folder is not None and not folder.is_dir():
        raise InputError(f"--traces {folder}: there is no such folder")
    return TraceStore(folder)


def ago(moment: float) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0.0, time.time() - moment)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
