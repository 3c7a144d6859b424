"""Commands over programs: run, check, explain, batch, programs (the library) and tools (what a planner sees)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ..errors import InputError
from .console import BAD_INPUT, JOB_FAILED, STOPPED, default_cache, fail, parse_settings, print_json

if TYPE_CHECKING:
    from ..programs.engine import Engine
    from ..programs.results import JobResult, ProgramResult
    from ..programs.syntax import Program

_PACK = typer.Option("starter", "--pack", help="Model pack: starter, scenes, standard, or a YAML file.")
_MODELS = typer.Option(None, "--models", help="Folder that is searched first for weights files.")
_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_SET = typer.Option([], "--set", help="NAME=value: a setting of the program; may be repeated.")
_CACHE = typer.Option(None, "--cache", help="Folder of the result cache (default: your cache folder).")
_NO_CACHE = typer.Option(False, "--no-cache", help="Neither read nor keep results.")
_OUT = typer.Option(None, "--out", help="Folder for pictures and masks among the results.")
_PROGRAM = typer.Argument(help="A program file, or the name of a library program.")


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (run, check, explain, batch, programs, tools):
        app.command()(command)


def run(
    program: str = _PROGRAM,
    images: list[str] = typer.Argument(None, help="Pictures; a program of one picture runs on each."),
    setting: list[str] = _SET,
    pack: str = _PACK,
    models: Path = _MODELS,
    as_json: bool = _JSON,
    out: Path = _OUT,
    cache: Path = _CACHE,
    no_cache: bool = _NO_CACHE,
) -> None:
    """Run a program on pictures and show every step."""
    from ..programs.engine import Job
    from ..programs.inputs import bind
    from ..programs.library import find
    from ..tools.imagefile import make_folder

    engine = _engine(pack, models, cache, no_cache)
    checked = engine.check(find(program).program(parse_settings(setting)))
    jobs = bind(checked, images or [])
    folder = out
    if folder is not None:
        if any(Path(image).resolve().parent == folder.resolve() for image in images or []):
            raise InputError(
                f"{folder} holds the pictures themselves, which results could replace; choose another --out"
            )
        make_folder(folder)
    reports = []
    work = (Job(index, (checked,), inputs) for index, inputs in enumerate(jobs))
    for job in _in_order(engine.stream(work, observe=True)):
        inputs = jobs[job.key]
        name = _name(inputs, job.key, len(jobs))
        if job.error is not None:
            report: dict[str, Any] = {"status": "failed", "result": None, "steps": []}
            reports.append(report | {"errors": [job.error.to_json()], "inputs": _paths(inputs)})
            if not as_json:
                typer.secho(f"{name}: {job.error.message}", fg=typer.colors.RED, err=True)
            continue
        (result,) = job.results
        reports.append(_report(result, folder, name) | {"inputs": _paths(inputs)})
        if not as_json:
            _show_run(name, result, reports[-1], folder)
    if as_json:
        print_json(reports[0] if len(reports) == 1 else reports)
    bad_input = all(r["errors"] and r["errors"][0].get("kind") == "ImageError" for r in reports)
    if any(r["status"] != "done" for r in reports):
        raise typer.Exit(BAD_INPUT if bad_input else JOB_FAILED)


def check(program: str = _PROGRAM, setting: list[str] = _SET, as_json: bool = _JSON) -> None:
    """Check a program and list everything that is wrong with it."""
    from ..programs.checker import check as find_problems
    from ..programs.library import find
    from ..programs.syntax import ProgramError, errors_of
    from ..tools.registry import default_registry

    try:
        problems = find_problems(find(program).program(parse_settings(setting)), default_registry())
    except ProgramError as error:
        problems = error.problems
    errors = errors_of(problems)
    if as_json:
        print_json({"status": "failed" if errors else "done", "problems": [p.to_json() for p in problems]})
    else:
        for problem in problems:
            color = typer.colors.RED if problem.severity == "error" else typer.colors.YELLOW
            typer.secho(str(problem), fg=color)
        if not problems:
            typer.echo("no problems")
    if errors:
        raise typer.Exit(BAD_INPUT)


def explain(
    program: list[str] = typer.Argument(
        help="Program files or library names; several are merged into one plan."
    ),
    setting: list[str] = _SET,
    pack: str = _PACK,
    models: Path = _MODELS,
    as_json: bool = _JSON,
    cache: Path = _CACHE,
) -> None:
    """Show the optimised plan of one or more programs, with costs, without running it."""
    from ..programs.explain import explain as describe
    from ..programs.library import find

    engine = _engine(pack, models, cache, no_cache=False, fetch=False)
    settings = parse_settings(setting)
    checked = [engine.check(find(name).program(settings)) for name in program]
    plan = describe(engine, checked)
    if as_json:
        print_json(plan.to_json())
    else:
        typer.echo(plan.text())


def batch(
    program: str = _PROGRAM,
    folder: Path = typer.Argument(help="Folder with the pictures; folders below it are read too."),
    out: Path = typer.Option(..., "--out", help="Folder for results.parquet and result pictures."),
    setting: list[str] = _SET,
    workers: int = typer.Option(1, "--workers", min=1, max=64, help="Processes; each loads its own models."),
    resume: bool = typer.Option(False, "--resume", help="Go on where an earlier run stopped."),
    retry_failed: bool = typer.Option(
        False, "--retry-failed", help="With --resume: run failed pictures again."
    ),
    pack: str = _PACK,
    models: Path = _MODELS,
    cache: Path = _CACHE,
    no_cache: bool = _NO_CACHE,
    as_json: bool = _JSON,
) -> None:
    """Run a program over a folder: one Parquet row per picture, resumable after a kill."""
    from ..programs.batch import Settings, run_batch, single_input
    from ..programs.checker import checked
    from ..programs.library import find
    from ..tools.registry import default_registry

    ready = checked(find(program).program(parse_settings(setting)), default_registry())
    single_input(ready)
    settings = Settings(
        program=ready.text,
        folder=str(folder),
        out=str(out),
        pack=pack,
        models_dir=str(models) if models else None,
        cache=None if no_cache else str(cache or default_cache()),
        fetch=True,
    )
    from .progress import progress_bar

    with progress_bar(show=not as_json) as report:
        try:
            outcome = run_batch(
                settings, workers=workers, resume=resume, retry_failed=retry_failed, report=report
            )
        except KeyboardInterrupt:
            fail("stopped; the rows written so far are kept, add --resume to go on", STOPPED)
    if as_json:
        status = "done" if not outcome.failed else "failed"
        counts = {"rows": outcome.rows, "ran": outcome.ran, "failed": outcome.failed}
        print_json({"status": status, **counts, "file": str(outcome.file)})
    else:
        typer.echo(f"{outcome.rows} rows in {outcome.file} ({outcome.ran} run now, {outcome.failed} failed)")
    if outcome.failed:
        raise typer.Exit(JOB_FAILED)


def programs(as_json: bool = _JSON) -> None:
    """List the library: what each program does, its settings, an example call."""
    from ..programs.library import library

    items = library()
    if as_json:
        print_json([_program_json(item) for item in items])
        return
    for item in items:
        typer.secho(item.name, bold=True)
        typer.echo(f"  {item.description}")
        for setting in item.settings:
            typer.echo(f"  --set {setting.name}={setting.default}   {setting.doc}")
        typer.echo(f"  {item.example}")


def tools(
    as_json: bool = typer.Option(False, "--json", help="Print JSON schemas."),
    markdown: bool = typer.Option(False, "--markdown", help="Print the reference page (docs/tools.md)."),
) -> None:
    """List the tools as a planner sees them."""
    from ..tools.registry import default_registry, json_schema, reference

    visible = default_registry().visible()
    if markdown:
        typer.echo(reference(visible), nl=False)
        return
    if as_json:
        print_json([json_schema(item) for item in visible])
        return
    for item in visible:
        arguments = ", ".join(a.name if a.required else f"{a.name}={a.default!r}" for a in item.arguments)
        typer.secho(f"{item.name}({arguments}) -> {item.returns}", bold=True)
        typer.echo(f"  {item.summary}")
        typer.echo(f"  {item.example}")


# -- helpers ---------------------------------------------------------------------------------------------------


def _engine(
    pack: str, models: Path | None, cache: Path | None, no_cache: bool, *, fetch: bool = True
) -> Engine:
    from ..programs.cache import ResultCache
    from ..programs.engine import Engine
    from ..tools.models import Models

    kept = None if no_cache else ResultCache(cache or default_cache())
    return Engine(Models.from_pack(pack, models, fetch=fetch), cache=kept)


def _in_order(results: Iterable[JobResult]) -> Iterator[JobResult]:
    """Results by rising key 0, 1, 2 ..., each as soon as those before it are there."""
    waiting: dict[int, JobResult] = {}
    turn = 0
    for result in results:
        waiting[result.key] = result
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1


def _paths(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [str(v) for v in value] if isinstance(value, list) else str(value)
        for name, value in inputs.items()
    }


def _name(inputs: dict[str, Any], index: int, runs: int) -> str:
    """A name for a run's files: its first picture's. Of several runs the number stands in front, where no picture's own
    name ('photo-1') can be taken for it."""
    first = next(iter(inputs.values()), "result")
    from ..programs.outputs import file_stem

    stem = file_stem(Path(str(first[0] if isinstance(first, list) else first)).stem)
    return stem if runs == 1 else f"{index + 1}-{stem}"


def _report(result: ProgramResult, folder: Path | None, name: str) -> dict[str, Any]:
    from ..programs.outputs import to_json

    return {
        "status": result.status,
        "result": to_json(result.value, folder, name) if result.ok else None,
        "steps": [step.to_json() for step in result.steps],
        "errors": [error.to_json() for error in result.errors],
    }


def _show_run(name: str, result: ProgramResult, report: dict[str, Any], folder: Path | None) -> None:
    from ..programs.results import show

    typer.secho(name, bold=True)
    for step in result.steps:
        timing = "cached" if step.cached else f"{step.ms:.1f} ms"
        value = step.error or (show(step.value, 100) if step.status in ("done", "cached") else "")
        typer.echo(f"  {step.name:<14} {step.op:<14} {step.status:<8} {timing:>10}  {value}")
    for error in result.errors:
        typer.secho(f"  {error.step} ({error.op}): {error.message}", fg=typer.colors.RED, err=True)
    if result.ok:
        typer.secho(f"  = {show(result.value)}", fg=typer.colors.GREEN)
        shown = report["result"]
        files = [item["file"] for item in (shown if isinstance(shown, list) else [shown]) if _has_file(item)]
        if files and folder is not None:
            typer.echo(f"  written to {', '.join(str(folder / file) for file in files)}")
        elif isinstance(shown, dict) and "hash" in shown:
            typer.echo("  give --out DIR to keep the picture")


def _has_file(item: Any) -> bool:
    return isinstance(item, dict) and "file" in item


def _program_json(item: Any) -> dict[str, Any]:
    return {
        "name": item.name,
        "description": item.description,
        "settings": {setting.name: setting.default for setting in item.settings},
        "example": item.example,
    }


__all__ = ["InputError", "Program", "register"]
