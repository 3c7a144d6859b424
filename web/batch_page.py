"""The Batch tab: a program or a question over a folder or uploaded pictures, with progress, cancel, table and files."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ..agent.events import Recorder
from ..agent.program_mode import make_plan
from ..agent.records import Request
from ..errors import InputError, SightlineError
from ..programs.batch import Outcome, Progress, Settings, list_pictures, run_batch, single_input
from ..programs.checker import checked
from ..programs.library import find, library
from ..programs.rows import RowStore
from ..programs.syntax import Program, ProgramError
from ..tools.imagefile import SUFFIXES, open_image
from ..tools.values import Image
from .desk import Seat
from .markup import UNEXPECTED, note, pictures_html, refusal
from .packs import pack_choices, pack_for
from .service import Service
from .story import standing

MOST_FILES = 500  # uploaded at once
MOST_ROWS = 2000  # shown; the files hold all
MOST_TILES = 60
TRIED = 50  # pictures looked at for one to plan with
_HEAD = ["Picture", "Status", "Result", "Error", "ms"]


class _Stopped(SightlineError):
    """The visitor pressed Cancel."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """One run: its settings, where its pictures and its results are, how many there are, its program in a line."""

    settings: Settings
    work: Path
    out: Path
    total: int
    line: str


class BatchPage:
    """Builds the tab and answers its events."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def build(self) -> None:
        """Lay out the tab; call inside a Blocks context."""
        packs = pack_choices(self.service.settings.packs)
        names = [
            (f"{item.name.replace('_', ' ')}: {item.description}", item.name)
            for item in library()
            if _one_picture(item.name)
        ]
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                root = self.service.settings.root
                self.folder = gr.Dropdown(
                    self._folders(), value=None, label="Folder", visible=root is not None, elem_id="batch-folder",
                    info="Folders below the one that the operator allowed.",
                )  # fmt: skip
                self.files = gr.File(
                    label="Or upload pictures",
                    file_count="multiple",
                    file_types=list(SUFFIXES),
                    elem_id="batch-files",
                    height=140,
                )
                self.kind = gr.Radio(
                    ["a library program", "a question"], value="a question", label="Run", elem_id="batch-kind"
                )
                self.question = gr.Textbox(
                    label="Question",
                    placeholder="How many people are there?",
                    max_length=2000,
                    elem_id="batch-question",
                )
                self.choice = gr.Dropdown(
                    names, value=None, label="Program", visible=False, elem_id="batch-program"
                )
                self.pack = gr.Radio(
                    packs, value=pack_for(self.service.settings.packs), label="The pictures are", elem_id="batch-pack",
                    visible=len(packs) > 1,
                )  # fmt: skip
                with gr.Row(elem_classes="sl-bar"):
                    self.go = gr.Button("Run", variant="primary", elem_id="batch-run", scale=3, min_width=80)
                    self.stop = gr.Button(
                        "Cancel", elem_id="batch-stop", interactive=False, scale=1, min_width=80
                    )
            with gr.Column(scale=7, min_width=320):
                self.said = gr.HTML(
                    note("Choose pictures and what to run over them; a row for each appears here, and files to keep."),
                    elem_id="batch-said", padding=False,
                )  # fmt: skip
                with gr.Column(visible=False) as self.found:
                    self.filter = gr.Textbox(
                        label="Filter",
                        placeholder="words in a name, a result or an error",
                        elem_id="batch-filter",
                    )
                    self.table = gr.Dataframe(
                        headers=_HEAD, datatype="str", interactive=False, wrap=True, elem_id="batch-table", max_height=420,
                        buttons=[], column_widths=["190px", "80px", "220px", "180px", "70px"],
                    )  # fmt: skip
                    self.gallery = gr.HTML(elem_id="batch-gallery", apply_default_css=False)
                with gr.Row(elem_classes="sl-bar"):
                    self.parquet = gr.DownloadButton(
                        "Download Parquet",
                        interactive=False,
                        visible=False,
                        elem_id="batch-parquet",
                        min_width=120,
                    )
                    self.csv = gr.DownloadButton(
                        "Download CSV", interactive=False, visible=False, elem_id="batch-csv", min_width=120
                    )
        self.kind.change(
            lambda kind: (gr.Textbox(visible=kind == "a question"), gr.Dropdown(visible=kind != "a question")),
            self.kind, [self.question, self.choice], api_visibility="private", queue=False,
        )  # fmt: skip
        self.go.click(
            self.run, [self.folder, self.files, self.kind, self.question, self.choice, self.pack],
            [self.said, self.found, self.table, self.gallery, self.parquet, self.csv, self.go, self.stop], api_visibility="private",
            trigger_mode="once", concurrency_limit=None, concurrency_id="batch page", show_progress="hidden",
        )  # fmt: skip
        self.stop.click(self.cancel, None, self.said, api_visibility="private", queue=False)
        self.filter.change(
            self.filtered,
            self.filter,
            self.table,
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )

    # -- what to work on ---------------------------------------------------------------------------------------------

    def _folders(self) -> list[str]:
        """Folders below the root, the root itself first as "."; links are not followed."""
        root = self.service.settings.root
        if root is None:
            return []
        below = (
            p for p in sorted(root.rglob("*")) if p.is_dir() and not p.is_symlink() and not _hidden(p, root)
        )
        return [".", *(p.relative_to(root).as_posix() for _, p in zip(range(500), below, strict=False))]

    def _chosen_folder(self, name: str) -> Path:
        """A folder below the root, however the browser wrote it; InputError for anything else."""
        root = self.service.settings.root
        if root is None:
            raise InputError("this app works on uploaded pictures alone; the operator allowed no folder")
        folder = root if "\0" in name else (root / name).resolve()
        if "\0" in name or not folder.is_relative_to(root) or not folder.is_dir():
            raise InputError(f"the folder {str(name)[:80]!r} is not below the one that the operator allowed")
        return folder

    def _uploaded(self, seat: Seat, files: list[str]) -> Path:
        if len(files) > MOST_FILES:
            raise InputError(
                f"{len(files)} files; upload {MOST_FILES} at most, or ask the operator for a folder"
            )
        folder = seat.folder / f"batch-in-{secrets.token_hex(4)}"
        folder.mkdir()
        seat.notes["batch folders"].append(folder)
        for path in files:
            name = Path(path).name
            target = folder / name
            if target.exists():
                target = folder / f"{secrets.token_hex(3)}-{name}"
            shutil.copyfile(path, target)
        return folder

    def _program(
        self, kind: str, question: str, choice: str | None, pack: str, pictures: Sequence[Path]
    ) -> Program:
        """The checked program to run: from the library, or planned once for the question."""
        if kind != "a question":
            if not choice:
                raise InputError("choose a program")
            return checked(find(str(choice)).program(), self.service.registry)
        if not (question or "").strip():
            raise InputError("the question is empty; say what you want to know of every picture")
        agent = self.service.agent(pack)
        request = Request(question.strip(), (_readable(pictures),))
        return make_plan(request, agent.controller, agent.engine, Recorder("batch"))

    # -- the run -------------------------------------------------------------------------------------------------------

    async def run(
        self, folder: str | None, files: list[str] | None, kind: str, question: str, choice: str | None, pack: str,
        request: gr.Request,
    ) -> AsyncIterator[Any]:  # fmt: skip
        """Run and report: what is said, whether there is a table, the table, the gallery, the two files, Run and Cancel."""
        seat = self.service.desk.seat(request.session_hash or "")
        off, on = gr.Button(interactive=False), gr.Button(interactive=True)
        keep = [gr.skip()] * 5
        yield [note("Preparing …"), gr.Column(visible=False), [], "", _no_file(), _no_file(), off, on]
        stopped = threading.Event()
        seat.notes["batch stop"] = stopped
        try:
            async with self.service.batches.turn(seat.key) as turn:
                async for place in turn.places():
                    yield [note(f"Another batch is at work. {standing(place)}"), *keep, off, on]
                    if stopped.is_set():
                        raise _Stopped("Cancelled before it began.")
                batch = await asyncio.to_thread(
                    self._prepared, seat, folder, files, kind, question, choice, pack
                )
                loop = asyncio.get_running_loop()
                reports: asyncio.Queue[Any] = asyncio.Queue()

                def report(item: Any) -> None:
                    loop.call_soon_threadsafe(reports.put_nowait, item)

                threading.Thread(
                    target=_work, args=(batch.settings, stopped, report), name="batch", daemon=True
                ).start()
                try:
                    while isinstance(item := await reports.get(), Progress):
                        seat.used = time.monotonic()
                        if reports.empty():  # the newest alone is worth showing
                            yield [_progress(item.done, item.failed, batch.total), *keep, off, on]
                finally:
                    stopped.set()  # nobody waits any more, or it is over
        except ProgramError as error:
            yield [refusal(str(error.problems[0])), *keep, on, off]
            return
        except SightlineError as error:
            yield [refusal(str(error)), *keep, on, off]
            return
        except Exception:
            yield [refusal(UNEXPECTED), *keep, on, off]
            raise
        if isinstance(item, Outcome):
            ended = note(f"{item.rows} pictures, {item.failed} failed. Program: {batch.line}")
        else:
            ended = note(str(item)) if isinstance(item, _Stopped) else refusal(str(item))
        yield [ended, *await asyncio.to_thread(self._shown, seat, batch), on, off]

    def _prepared(
        self, seat: Seat, folder: str | None, files: list[str] | None, kind: str, question: str, choice: str | None, pack: str
    ) -> _Batch:  # fmt: skip
        """The pictures and the checked program; SightlineError where either is missing."""
        for old in seat.notes.get("batch folders", ()):  # the page no longer shows the run before
            shutil.rmtree(old, ignore_errors=True)
        seat.notes["batch folders"] = []
        work = self._uploaded(seat, files) if files else self._chosen_folder(folder) if folder else None
        if work is None:
            raise InputError("choose a folder or upload pictures first")
        pictures = list_pictures(work)
        program = self._program(kind, question, choice, pack, [work / name for name in pictures])
        single_input(program)
        out = seat.folder / f"batch-{secrets.token_hex(6)}"
        seat.notes["batch folders"].append(out)
        cache = self.service.settings.cache
        settings = Settings(
            program.text, str(work), str(out), pack, cache=str(cache) if cache else None, fetch=True
        )
        return _Batch(settings, work, out, len(pictures), " · ".join(program.text.split())[:300])

    def _shown(self, seat: Seat, batch: _Batch) -> list[Any]:
        """The table, the gallery and the files of what was finished, the whole run or a part."""
        store = RowStore(batch.out)
        rows = sorted(store.rows(), key=lambda row: row["path"]) if batch.out.is_dir() else []
        seat.notes["batch"] = table = [_line(row, batch.work) for row in rows]
        if not rows:
            return [gr.Column(visible=False), [], "", _no_file(), _no_file()]
        parquet = store.complete
        if not parquet.exists():  # cancelled: the parts become one file
            store.finish(row["path"] for row in rows)
        tiles = [(tile, row["path"]) for row in rows[:MOST_TILES] if (tile := self._tile(seat, batch, row))]
        files = [
            gr.DownloadButton(value=str(path), interactive=True, visible=True)
            for path in (parquet, _csv(batch.out, table))
        ]
        return [gr.Column(visible=True), table[:MOST_ROWS], pictures_html(tiles, "Pictures"), *files]

    def _tile(self, seat: Seat, batch: _Batch, row: dict[str, Any]) -> str | None:
        """The result where it is a picture, else the picture itself; None where it cannot be read."""
        path = batch.work / row["path"]
        value = json.loads(row["result"]) if row["result"] else None
        if isinstance(value, dict) and isinstance(value.get("file"), str):
            path = batch.out / value["file"]
        try:
            return self.service.desk.show(seat, open_image(path))
        except SightlineError:
            return None

    def cancel(self, request: gr.Request) -> str:
        seat = self.service.desk.seat(request.session_hash or "")
        event = seat.notes.get("batch stop")
        if isinstance(event, threading.Event):
            event.set()
        return note("Stopping after the pictures at work …")

    def filtered(self, words: str, request: gr.Request) -> list[list[str]]:
        rows: list[list[str]] = self.service.desk.seat(request.session_hash or "").notes.get("batch", [])
        wanted = (words or "").lower().split()
        return [row for row in rows if all(word in " ".join(row[:-1]).lower() for word in wanted)][:MOST_ROWS]


def _readable(pictures: Sequence[Path]) -> Image:
    """The first picture that can be read, to plan with: a broken file is a row of the batch and no reason to stop."""
    failure: SightlineError = InputError("there is no picture")
    for path in pictures[:TRIED]:
        try:
            return open_image(path)
        except SightlineError as error:
            failure = error
    raise failure


def _work(settings: Settings, stopped: threading.Event, report: Callable[[Any], None]) -> None:
    """The batch on a thread of its own; its end, good or bad, is the last report."""

    def progress(now: Progress) -> None:
        if stopped.is_set():
            raise _Stopped("Cancelled; what was finished by then is below.")
        report(Progress(now.total, now.already, now.done, now.failed))

    try:
        report(run_batch(settings, report=progress))
    except Exception as error:
        report(error)


def _progress(done: int, failed: int, total: int) -> str:
    share = 100 * done / max(1, total)
    bad = f", {failed} failed" if failed else ""
    return (
        f'<div class="batch-progress" role="progressbar" aria-label="Batch" aria-valuemin="0" aria-valuemax="{total}" '
        f'aria-valuenow="{done}"><div style="width:{share:.1f}%"></div></div><p class="story-note">{done} of {total}{bad}</p>'
    )


def _line(row: dict[str, Any], work: Path) -> list[str]:
    value = json.loads(row["result"]) if row["result"] else ""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return [
        row["path"],
        row["status"],
        shown[:500],
        (row["error"] or "").replace(f"{work}/", "")[:500],
        f"{row['ms']:.0f}",
    ]


def _csv(out: Path, table: list[list[str]]) -> Path:
    """The table as CSV; a cell that a spreadsheet would take for a formula is put in quotes' care."""
    import csv

    path = out / "results.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(_HEAD)
        writer.writerows([[f"'{cell}" if cell[:1] in "=+-@\t\r" else cell for cell in row] for row in table])
    return path


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _no_file() -> Any:
    return gr.DownloadButton(interactive=False, visible=False)


def _one_picture(name: str) -> bool:
    try:
        single_input(find(name).program())
    except SightlineError:
        return False
    return True
