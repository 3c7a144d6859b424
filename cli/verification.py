"""`sightline verify`: every claim of a text held against a picture, and the text mended."""

from __future__ import annotations

from pathlib import Path

import typer

from .console import print_json

_LABELS = {"supported": ("✓", typer.colors.GREEN), "contradicted": ("✗", typer.colors.RED),
           "unverifiable": ("?", typer.colors.YELLOW)}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(verify)


def verify(
    image: str = typer.Argument(help="The picture."),
    text: str = typer.Argument(help="The text to check; - reads it from standard input."),
    pack: str = typer.Option(
        "starter", "--pack", help="Which models: starter, scenes, standard, or a YAML file."
    ),
    controller: str = typer.Option(
        "",
        "--controller",
        help="A language model that finds the claims, such as openai:MODEL; by rule if not given.",
    ),
    question: str = typer.Option(
        "", "--question", help="What the text answers, for a text that says only yes or no."
    ),
    page: Path | None = typer.Option(
        None, "--html", help="Write a page of claims, evidence and edits to this file."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Check every claim of a text against a picture and correct what the picture contradicts."""
    import sys

    from ..agent.verification.verify import verify as check
    from ..tools.imagefile import write_whole
    from ..tools.values import Image

    model = None
    if controller:
        from ..agent.controllers.named import controller as named

        model = named(controller)
    picture = Image.open(image)
    told = sys.stdin.read() if text == "-" else text
    result = check(picture, told, pack=pack, controller=model, question=question)
    if page is not None:
        write_whole(page, result.html(picture).encode())
    if as_json:
        print_json(result.to_json())
        return
    typer.echo(result.text)
    typer.echo("")
    verdicts = {v.claim: v for v in result.verdicts}
    for claim in result.claims:
        verdict = verdicts[claim.id]
        sign, color = _LABELS[verdict.label]
        instead = f" -> {verdict.instead}" if verdict.instead else ""
        typer.secho(f"{sign} {verdict.probability:.2f} ", fg=color, nl=False)
        typer.echo(
            f"{claim.kind:<10} {claim.text!r}{'' if claim.polarity else ' (denied)'}: {verdict.why}{instead}"
        )
    for fault in result.faults:
        typer.secho(f"could not look: {fault}", fg=typer.colors.YELLOW, err=True)
