"""The command line: `sightline ...`. Commands live in one module each; heavy imports happen inside them."""

from __future__ import annotations

import typer

from . import agent, evaluation, mllm, models, programs, serving, traces, verification
from . import app as app_command
from .console import guarded

app = typer.Typer(
    name="sightline",
    help="Visual programs over pictures: plan, look, answer, and show why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
agent.register(app)
traces.register(app)
programs.register(app)
models.register(app)
mllm.register(app)
app_command.register(app)
serving.register(app)
evaluation.register(mllm.eval_app)
verification.register(app)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Show the version and leave.")) -> None:
    if version:
        from .. import __version__

        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of the `sightline` command."""
    guarded(app)
