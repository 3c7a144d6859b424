"""A visitor of the app in a real browser, and the app that is visited; `SIGHTLINE_SCREENSHOTS=FOLDER` keeps the shots."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("needs Debian's chromium: apt-get install chromium", allow_module_level=True)

ROOT = Path(__file__).resolve().parent.parent
SHOTS = Path(os.environ["SIGHTLINE_SCREENSHOTS"]) if "SIGHTLINE_SCREENSHOTS" in os.environ else None
WAIT = 120_000  # milliseconds: a loaded machine is slow, and nothing here measures time


@contextmanager
def app_running(base: Path) -> Iterator[tuple[str, Any, Path]]:
    """The app at a free port, its service, and the folder that holds all of it, the Batch tab's root included."""
    from sightline.web.launch import Running
    from sightline.web.service import Settings

    root = base / "root" / "holiday"
    root.mkdir(parents=True)
    for name in ("scene.png", "coffee.jpg", "page.png"):
        shutil.copyfile(ROOT / "examples" / name, root / name)
    (root / "broken.png").write_bytes(b"no picture at all")
    settings = Settings(
        base / "shown",
        root=root.parent.resolve(),
        traces=base / "traces",
        cache=base / "cache",
        all_traces=False,
    )
    running = Running(settings, warm=True)
    try:
        yield running.address, running.service, base
    finally:
        running.close()


@contextmanager
def chromium() -> Iterator[Any]:
    """Debian's chromium, driven by playwright."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A visitor's page; what the console says is kept."""

    def __init__(
        self, browser: Any, address: str, width: int = 1280, height: int = 940, ratio: float = 1.0
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=ratio, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.errors: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#board .board-stage[data-ready]")
        self.page.wait_for_selector("#upload")

    def example(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()
        self.page.wait_for_selector('#board .board[data-empty="false"]')
        self.page.wait_for_function("document.querySelector('#board .board-picture').complete")
        self.page.wait_for_timeout(400)

    def upload(self, path: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#upload")
        chooser.value.set_files(str(path))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen."""
        box = self.page.locator("#board .board-picture").bounding_box()
        size = self.page.evaluate(
            "[...document.querySelectorAll('#board .board-picture')].map(i => [i.width, i.getAttribute('width'), i.getAttribute('height')])[0]"
        )
        return box["x"] + x / float(size[1]) * box["width"], box["y"] + y / float(size[2]) * box["height"]

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.place(x, y))

    def ask(self, question: str) -> str:
        self.page.fill("#question textarea", question)
        self.page.click("#ask")
        self.page.wait_for_function(
            "q => { const s = document.querySelector('#story .story'); return s && s.ariaBusy === 'false'"
            " && s.querySelector('.story-question')?.textContent === q }",
            arg=question,
        )
        return str(self.page.inner_text("#story"))

    def shot(self, name: str) -> None:
        """A picture for the documentation, where it was asked for."""
        if SHOTS is not None:
            SHOTS.mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(600)
            self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def close(self) -> None:
        self.context.close()
        assert not self.errors, self.errors


def until(page: Any, holds: Any, seconds: float = 90.0) -> None:
    """Wait until something holds on the server; the page goes on meanwhile."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        page.wait_for_timeout(100)


def seats(service: Any) -> list[Any]:
    return list(service.desk._seats.values())
