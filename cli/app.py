"""The command that starts the app."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from ..errors import InputError
from .console import default_cache


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("app")(start)


def start(
    host: str = typer.Option(
        "127.0.0.1", "--host", help="Address to listen on; the default is this machine alone."
    ),
    port: int = typer.Option(7860, "--port", min=0, max=65535, help="0: any free port."),
    pack: list[str] = typer.Option(
        ["scenes", "starter"],
        "--pack",
        help="Packs that visitors choose from; may be repeated, the first is the default.",
    ),
    controller: str = typer.Option("starter", "--controller", help="The language model that thinks."),
    auth: str = typer.Option(
        "", "--auth", envvar="SIGHTLINE_AUTH", help="NAME:PASSWORD that visitors must give."
    ),
    root: Path | None = typer.Option(None, "--root", help="Folder below which the Batch tab may work."),
    traces: Path | None = typer.Option(
        None, "--traces", help="Where traces are kept (default: your data folder)."
    ),
    keep_days: float | None = typer.Option(
        None,
        "--keep-days",
        min=0,
        help="Delete traces after so many days (default: 30 where others can reach the app; never on this machine alone).",
    ),
    at_once: int = typer.Option(2, "--at-once", min=1, max=64, help="Questions at work at the same time."),
    line: int = typer.Option(64, "--line", min=1, help="Questions that may wait."),
    quiet: bool = typer.Option(False, "--quiet", help="Print nothing but the address."),
) -> None:
    """Start the app: click on a picture and ask."""
    from ..agent.tracing.store import default_traces
    from ..web.launch import launch
    from ..web.service import Settings

    name, colon, password = auth.partition(":")
    if auth and not (name and colon and password):
        raise InputError("--auth takes NAME:PASSWORD")
    if root is not None and not root.is_dir():
        raise InputError(f"--root {root}: there is no such folder")
    alone = host in ("127.0.0.1", "localhost", "::1") and not auth
    with tempfile.TemporaryDirectory(prefix="sightline-app-") as folder:
        settings = Settings(
            Path(folder),
            packs=tuple(dict.fromkeys(pack)),
            controller=controller,
            root=root.resolve() if root else None,
            traces=traces or default_traces(),
            all_traces=alone,
            keep_days=keep_days if keep_days is not None or alone else 30.0,
            cache=default_cache(),
            at_once=at_once,
            line=line,
        )
        launch(settings, host, port, (name, password) if auth else None, quiet)
