"""Commands over what lies on disk: models (list, pull, verify), cache (show, prune) and doctor (is all ready?)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from .console import JOB_FAILED, default_cache, print_json

_PACK = typer.Argument("starter", help="Model pack: starter, scenes, standard, or a YAML file.")
_MODELS = typer.Option(None, "--models", help="Folder that is searched first for weights files.")
_JSON = typer.Option(False, "--json", help="Print one JSON object.")
_CACHE = typer.Option(None, "--cache", help="Folder of the result cache (default: your cache folder).")

cache_app = typer.Typer(
    help="The result cache: how large it is, and making it smaller.", no_args_is_help=True
)
models_app = typer.Typer(help="What fills each model role: list, pull, verify.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.add_typer(models_app, name="models")
    app.command()(doctor)
    app.add_typer(cache_app, name="cache")


@models_app.command("list")
def list_models(pack: str = _PACK, models: Path = _MODELS, as_json: bool = _JSON) -> None:
    """Show what fills each role of a pack, whether it is on disk, its size, licence and digest."""
    from ..tools.models import Models

    rows = Models.from_pack(pack, models).describe()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for row in rows:
        if not row.backend:
            typer.echo(f"{row.role:<16} open: {row.note}")
            continue
        state = "on disk" if row.on_disk else "not on disk"
        size = f", {row.size / 2**20:.1f} MiB" if row.size else ""
        licence = f", {row.license}" if row.license else ""
        code = f", {row.digest[:12]}" if row.digest else ""
        typer.echo(f"{row.role:<16} {row.backend:<22} {state}{size}{licence}{code}")
        typer.echo(f"{'':<16} {row.file or row.source}" + (f"  ({row.note})" if row.note else ""))


@models_app.command()
def pull(pack: str = _PACK, models: Path = _MODELS, as_json: bool = _JSON) -> None:
    """Fetch the weights of a pack that are not on disk, and check their published digests."""
    from ..tools.models import Models

    fetched = Models.from_pack(pack, models).pull()
    if as_json:
        print_json({"status": "done", "fetched": [str(path) for path in fetched]})
    elif fetched:
        typer.echo("\n".join(f"fetched {path}" for path in fetched))
    else:
        typer.echo("nothing to fetch")


@models_app.command()
def verify(pack: str = _PACK, models: Path = _MODELS, as_json: bool = _JSON) -> None:
    """Compare the files on disk with their published digests."""
    from ..tools.models import Models

    checks = Models.from_pack(pack, models).verify()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            color = typer.colors.GREEN if check.ok else typer.colors.RED
            typer.secho(f"{check.role:<16} {'ok ' if check.ok else 'BAD'} {check.status}", fg=color)
    if not all(check.ok for check in checks):
        raise typer.Exit(JOB_FAILED)


@cache_app.command()
def show(cache: Path = _CACHE, as_json: bool = _JSON) -> None:
    """Say where the cache lies, how many results it holds and how large it is."""
    from ..programs.cache import ResultCache

    folder = cache or default_cache()
    with ResultCache(folder) as kept:
        results, size = kept.size()
    if as_json:
        print_json({"folder": str(folder), "results": results, "bytes": size})
    else:
        typer.echo(f"{folder}: {results} results, {size / 2**20:.1f} MiB")


@cache_app.command()
def prune(
    days: float = typer.Option(30.0, "--days", min=0, help="Keep results younger than this; 0 forgets all."),
    cache: Path = _CACHE,
    as_json: bool = _JSON,
) -> None:
    """Forget old results, and the pictures that only they need."""
    from ..programs.cache import ResultCache

    with ResultCache(cache or default_cache()) as kept:
        results, pictures = kept.prune(days)
    if as_json:
        print_json({"status": "done", "results": results, "pictures": pictures})
    else:
        typer.echo(f"forgot {results} results and {pictures} pictures")


def doctor(
    pack: str = typer.Option("starter", "--pack", help="Model pack to look at."),
    models: Path = _MODELS,
    as_json: bool = _JSON,
) -> None:
    """Look at this machine: packages, cores, memory, cache folder, and every role of a pack."""
    from ..tools.doctor import examine

    findings = examine(pack, models, default_cache())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            color = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW}.get(
                finding.level, typer.colors.RED
            )
            typer.secho(f"{finding.level:<5} {finding.name}: {finding.text}", fg=color)
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(JOB_FAILED)
