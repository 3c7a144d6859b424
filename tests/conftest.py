"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The development data (photographs, official weights); it lies beside the project and is never part of it."""
    folder = Path(os.environ.get("SIGHTLINE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the development data: set SIGHTLINE_DATA (no folder {folder})")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any, Path]]:
    """The app for browsers: its address, its service and its folder (see `app_browser`)."""
    from app_browser import app_running

    with app_running(tmp_path_factory.mktemp("app")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser, where there is one."""
    from app_browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture
def visit(browser: Any, served: tuple[str, Any, Path]) -> Iterator[Any]:
    """A visitor's page in the app; it must have had nothing to complain of when it is closed."""
    from app_browser import Visit

    found = Visit(browser, served[0])
    yield found
    found.close()


@pytest.fixture
def engine_parts(tmp_path: Path) -> Any:
    """What makes engines with the tools of `engine_fakes`."""
    from engine_fakes import making

    return making(tmp_path)


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LlavaForConditionalGeneration with random weights, saved as the hub has them."""
    from stock_fakes import tiny_llava

    return tiny_llava(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="session")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight conversations about plain pictures, in LLaVA's format, and eight preference pairs."""
    from stock_fakes import eight_conversations

    return eight_conversations(tmp_path_factory.mktemp("conversations"))
