"""What all commands share: one line for an error, JSON on request, exit codes, and reading programs and settings."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from ..errors import InputError, SightlineError

OK, JOB_FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130


def guarded(app: Callable[[], Any]) -> None:
    """Run the command line: an error that Sightline raises on purpose becomes one line and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be bytes that are no text
    try:
        app()
    except InputError as error:
        fail(str(error), BAD_INPUT)
    except SightlineError as error:
        fail(str(error), JOB_FAILED)
    except BrokenPipeError:  # the reader of our output went away: nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(OK) from None
    except OSError as error:  # a full disk, a folder that may not be written
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}", JOB_FAILED)


def fail(message: str, code: int) -> NoReturn:
    """Print an error, as JSON where the command was asked for JSON, and leave."""
    if "--json" in sys.argv:
        print_json({"status": "failed", "result": None, "steps": [], "errors": [{"message": message}]})
    else:
        typer.secho(f"sightline: {message}", fg=typer.colors.RED, err=True)
    raise SystemExit(code)


def print_json(data: Any) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2))


def parse_settings(given: Sequence[str]) -> dict[str, str]:
    """`NAME=value` options as a mapping."""
    settings = {}
    for item in given:
        name, sign, value = item.partition("=")
        if not sign or not name:
            raise InputError(f"--set takes NAME=value, not {item!r}")
        settings[name] = value
    return settings


def default_cache() -> Path:
    """Where results are kept between runs: $SIGHTLINE_HOME/cache, else the user's cache folder."""
    home = os.environ.get("SIGHTLINE_HOME")
    if home:
        return Path(home) / "cache"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sightline" / "results"
