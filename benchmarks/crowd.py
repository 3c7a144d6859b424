"""Twenty people at once: does everybody get an answer, the right one, in turn, and does memory stay bounded?

    python -m benchmarks.crowd [--people 20] [--pages 4] [--rounds 3]

Starts `sightline app` on a port of its own. Every visitor has a picture with a number of its own printed on it and asks what it
says, `rounds` times, a new number each time; `pages` of them are pages in a browser (Chromium, by playwright), the others
scripts (`gradio_client`). Written for each round: seconds until the first and the last answer, errors, answers that show
somebody else's number (cross-talk), how many were served before somebody who had waited longer for the same round, and the
server's own memory (anonymous pages, without what the system may drop). Of the pages: how many were told their place in the line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
QUESTION = "What does it say?"
WAIT = 600.0  # seconds for one round


@dataclass(slots=True)
class Asked:
    """One visitor's question of one round."""

    number: str
    began: float = 0.0
    took: float = 0.0
    said: str = ""
    error: str = ""
    places: list[str] = field(default_factory=list)  # what a page said about the line


def number_of(visitor: int, round_: int) -> str:
    """Four digits that nobody else has, in this round or another (for up to 20 rounds)."""
    return str(1000 + 149 * visitor + 7 * round_)


def picture(number: str, folder: Path) -> Path:
    """A printed page with the number."""
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

    image = PIL.Image.new("RGB", (420, 160), "white")
    PIL.ImageDraw.Draw(image).text((40, 40), f"ROOM {number}", "black", PIL.ImageFont.load_default(size=64))
    path = folder / f"{number}.png"
    image.save(path)
    return path


@contextlib.contextmanager
def server(folder: Path, at_once: int, pack: str = "starter") -> Iterator[tuple[str, int]]:
    """The app as a process of its own: its address and process id."""
    command = [
        sys.executable, "-m", "sightline", "app", "--port", "0", "--quiet", "--pack", pack, "--traces", str(folder / "traces"),
        "--at-once", str(at_once),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http" not in line:
            raise SystemExit("the app did not start")
        yield line.split()[-1], process.pid
        if process.poll() is not None:
            raise SystemExit(f"the app ended by itself with {process.returncode}")
    finally:
        process.terminate()
        process.wait(30)


def memory_mb(pid: int) -> float | None:
    """Anonymous memory of a process in MB; None where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return None


def ask_by_script(client: Any, asked: Asked, folder: Path) -> None:
    """One question of a script; what goes wrong is kept."""
    from gradio_client import handle_file

    asked.began = time.monotonic()
    try:
        answer = client.predict(handle_file(picture(asked.number, folder)), QUESTION, api_name="/ask")
        asked.said = answer["answer"]
        asked.error = "" if asked.said else str(answer["error"])
    except Exception as error:
        asked.error = f"{type(error).__name__}: {error}"
    asked.took = time.monotonic() - asked.began


class Page:
    """One visitor in a browser."""

    def __init__(self, browser: Any, address: str) -> None:
        self.page = browser.new_context(viewport={"width": 1000, "height": 800}).new_page()
        self.page.set_default_timeout(120_000)
        self.page.goto(address)
        self.page.wait_for_selector("#board .board-stage")

    def show(self, path: Path) -> None:
        """Upload a picture."""
        before = self.page.get_attribute("#board .board-picture", "src")
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#upload")
        chooser.value.set_files(str(path))
        self.page.wait_for_function(
            "old => { const i = document.querySelector('#board .board-picture'); return i.getAttribute('src') !== old && i.complete }", arg=before
        )  # fmt: skip

    def ask(self, asked: Asked) -> None:
        """Press Ask and go on."""
        self.page.fill("#question textarea", QUESTION)
        self.page.evaluate(
            "document.querySelector('#story .story')?.remove()"
        )  # the answer of the last round
        asked.began = time.monotonic()
        self.page.click("#ask")

    def look(self, asked: Asked) -> bool:
        """Read the page; true once the answer is there."""
        story = self.page.evaluate(
            "(() => { const s = document.querySelector('#story .story'); return s && {busy: s.ariaBusy, text: s.innerText,"
            " answer: s.querySelector('.story-answer')?.innerText || '', failed: s.querySelector('.story-failed')?.innerText || ''} })()"
        )
        if story is None:
            return False
        for line in story["text"].splitlines():
            if ("ahead of yours" in line or "You are next" in line) and line not in asked.places:
                asked.places.append(line)
        if story["busy"] != "false":
            return False
        asked.took, asked.said, asked.error = time.monotonic() - asked.began, story["answer"], story["failed"]
        return True


def chromium(playwright: Any) -> Any:
    """The system's Chromium, or playwright's own."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])


@contextlib.contextmanager
def browser_pages(count: int, address: str) -> Iterator[list[Page]]:
    """Pages that stay open."""
    if not count:
        yield []
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = chromium(playwright)
        try:
            yield [Page(browser, address) for _ in range(count)]
        finally:
            browser.close()


def one_round(
    round_: int, clients: Sequence[Any], pages: Sequence[Page], folder: Path
) -> tuple[list[Asked], float]:
    """Everybody asks; the questions with what became of them, and how long all took."""
    by_page = [Asked(number_of(n, round_)) for n in range(len(pages))]
    by_script = [Asked(number_of(len(pages) + n, round_)) for n in range(len(clients))]
    for page, asked in zip(pages, by_page, strict=True):
        page.show(picture(asked.number, folder))
    began = time.monotonic()
    threads = [
        threading.Thread(target=ask_by_script, args=(client, asked, folder), daemon=True)
        for client, asked in zip(clients, by_script, strict=True)
    ]
    for thread in threads:
        thread.start()
    for page, asked in zip(pages, by_page, strict=True):
        page.ask(asked)
    open_ = list(zip(pages, by_page, strict=True))
    while open_ and time.monotonic() - began < WAIT:
        open_ = [(page, asked) for page, asked in open_ if not page.look(asked)]
        if open_:
            open_[0][0].page.wait_for_timeout(100)
    for thread in threads:
        thread.join(max(0.1, WAIT - (time.monotonic() - began)))
    for _, asked in open_:
        asked.error = "no answer in time"
    for asked in (*by_page, *by_script):
        if not asked.said and not asked.error:
            asked.error = "no answer in time"
    return [*by_page, *by_script], time.monotonic() - began


def summary(asked: Sequence[Asked], wall: float, memory: float | None) -> dict[str, Any]:
    """What one round came to."""
    numbers = {a.number for a in asked}
    mixed = [a for a in asked if any(n in a.said for n in numbers - {a.number})]
    wrong = [a for a in asked if not a.error and a.number not in a.said]
    took = sorted(a.took for a in asked)
    overtaken = sum(
        1
        for a in asked
        for b in asked
        # b came more than a turn's length after a and was served before it
        if b.began > a.began + 2.0 and b.began + b.took < a.began + a.took - 2.0
    )
    return {
        "asked": len(asked),
        "errors": [a.error for a in asked if a.error],
        "cross_talk": len(mixed),
        "misread": len(wrong) - len(mixed),
        "first_s": round(took[0], 1),
        "median_s": round(took[len(took) // 2], 1),
        "last_s": round(took[-1], 1),
        "wall_s": round(wall, 1),
        "overtaken": overtaken,
        "told_their_place": sum(bool(a.places) for a in asked),
        "places": next((a.places for a in asked if len(a.places) > 1), []),
        "memory_mb": memory and round(memory),
    }


def run(people: int, pages: int, rounds: int, at_once: int) -> dict[str, Any]:
    """The report."""
    from gradio_client import Client

    with tempfile.TemporaryDirectory(prefix="crowd-") as name:
        folder = Path(name)
        with server(folder, at_once) as (address, pid), browser_pages(pages, address) as shown:
            patient = {
                "timeout": 60
            }  # gradio_client gives up after 5 s, which a machine with other work may take
            clients = [Client(address, verbose=False, httpx_kwargs=patient) for _ in range(people - pages)]
            ask_by_script(clients[0], Asked("4711"), folder)  # loads the models
            start = memory_mb(pid)
            report = []
            for round_ in range(rounds):
                asked, wall = one_round(round_, clients, shown, folder)
                report.append(summary(asked, wall, memory_mb(pid)))
                print(json.dumps(report[-1]), flush=True)
    return {
        "people": people, "pages": pages, "at_once": at_once, "memory_before_mb": start and round(start), "rounds": report,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exits with 1 where somebody got an error or somebody else's answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--pages", type=int, default=4, help="of them in a browser")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out" / "crowd.json")
    options = parser.parse_args(argv)
    if not 0 <= options.pages < options.people:
        parser.error("at least one visitor must be a script: --pages below --people")
    report = run(options.people, options.pages, options.rounds, options.at_once)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))
    return int(any(row["errors"] or row["cross_talk"] for row in report["rounds"]))


if __name__ == "__main__":
    sys.exit(main())
