"""Serves a saved model to OpenAI clients through transformers' own server, on this machine only unless told otherwise."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import SightlineError
from .checkpoints import examine

_NEEDS = ("fastapi", "uvicorn", "openai", "pydantic")


def command(folder: str | Path, host: str = "127.0.0.1", port: int = 8000, device: str = "auto") -> list[str]:
    """The command line of the server; the model's directory is examined first, so that what is wrong is said here."""
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise SightlineError(f"serving needs {', '.join(missing)}: pip install 'transformers[serving]'")
    place = str(examine(folder).resolve())
    code = "from transformers.cli.transformers import main; main()"
    options = ["--host", host, "--port", str(port), "--device", device]
    return [sys.executable, "-c", code, "serve", place, *options]


def environment() -> dict[str, str]:
    """The server reads its directory alone: nothing is fetched, nothing is reported."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@contextmanager
def serving(
    folder: str | Path, port: int, host: str = "127.0.0.1", device: str = "auto", patience: float = 300.0
) -> Iterator[str]:
    """A server beside this process, stopped at the end; yields its address, e.g. http://127.0.0.1:8000/v1.

    Raises:
        SightlineError: it ended before it answered, or did not answer within `patience` seconds.
    """
    line = command(folder, host, port, device)
    told = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed below); a pipe fills up
    process = subprocess.Popen(line, env=environment(), stdout=subprocess.DEVNULL, stderr=told)  # noqa: S603 (no shell)
    address = f"http://{host}:{port}"
    try:
        until = time.monotonic() + patience
        while not _healthy(address):
            if process.poll() is not None:
                told.seek(0)
                last = (told.read().strip().splitlines() or ["it said nothing"])[-1]
                raise SightlineError(f"the server of {folder} ended: {last}")
            if time.monotonic() > until:
                raise SightlineError(f"the server of {folder} did not answer within {patience:.0f} s")
            time.sleep(0.25)
        yield f"{address}/v1"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        told.close()


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310 (http, our own host)
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
