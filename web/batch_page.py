"""The Batch tab: a program or a question over a folder or uploaded pictures, with progress, cancel, table and files."""

from __future__ import annotations

import json
import queue
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
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
from .markup import note, refusal
from .packs import pack_choices
from .service import Service

MOST_FILES = 500  # uploaded at once
MOST_ROWS = 2000  # shown; the files hold all
MOST_TILES = 60
TRIED = 50  # pictures looked at for one to plan with
_HEAD = ["Picture", "Status", "Result", "Error", "ms"]


class _Stopped(SightlineError):
    """The visitor pressed Cancel."""


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
                self.pack = gr.Dropdown(packs, value=packs[0][1], label="Pictures are", elem_id="batch-pack")
                with gr.Row():
                    self.go = gr.Button("Run", variant="primary", elem_id="batch-run")
                    self.stop = gr.Button("Cancel", elem_id="batch-stop", interactive=False)
            with gr.Column(scale=7, min_width=320):
                self.said = gr.HTML(note("Choose pictures and what to run over them."), elem_id="batch-said")
                self.filter = gr.Textbox(
                    label="Filter",
                    placeholder="words in a name, a result or an error",
                    elem_id="batch-filter",
                )
                self.table = gr.Dataframe(
                    headers=_HEAD,
                    datatype="str",
                    interactive=False,
                    wrap=True,
                    elem_id="batch-table",
                    max_height=420,
                )
                self.gallery = gr.Gallery(
                    label="Pictures",
                    columns=5,
                    height=260,
                    object_fit="contain",
                    elem_id="batch-gallery",
                    buttons=[],
                )
                with gr.Row():
                    self.parquet = gr.DownloadButton("Parquet", interactive=False, elem_id="batch-parquet")
                    self.csv = gr.DownloadButton("CSV", interactive=False, elem_id="batch-csv")
        self.kind.change(
            lambda kind: (gr.Textbox(visible=kind == "a question"), gr.Dropdown(visible=kind != "a question")),
            self.kind, [self.question, self.choice], api_visibility="private", queue=False,
        )  # fmt: skip
        self.go.click(
            self.run, [self.folder, self.files, self.kind, self.question, self.choice, self.pack],
            [self.said, self.table, self.gallery, self.parquet, self.csv, self.go, self.stop], api_visibility="private",
            trigger_mode="once", concurrency_limit=1, concurrency_id="batch", show_progress="hidden",
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
        folder = (root / name).resolve()
        if not folder.is_relative_to(root) or not folder.is_dir():
            raise InputError(f"the folder {str(name)[:80]!r} is not below the one that the operator allowed")
        return folder

    def _uploaded(self, seat: Seat, files: list[str]) -> Path:
        if len(files) > MOST_FILES:
            raise InputError(
                f"{len(files)} files; upload {MOST_FILES} at most, or ask the operator for a folder"
            )
        folder = seat.folder / f"batch-in-{secrets.token_hex(4)}"
        folder.mkdir()
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

    def run(
        self, folder: str | None, files: list[str] | None, kind: str, question: str, choice: str | None, pack: str,
        request: gr.Request,
    ) -> Iterator[Any]:  # fmt: skip
        """Run and report: what is said, the table, the gallery, the two files, and which of Run and Cancel can be pressed."""
        seat = self.service.desk.seat(request.session_hash or "")
        skip = gr.skip()
        off, on = gr.Button(interactive=False), gr.Button(interactive=True)
        yield (
            note("Preparing …"),
            [],
            [],
            gr.DownloadButton(interactive=False),
            gr.DownloadButton(interactive=False),
            off,
            on,
        )
        stopped = threading.Event()
        seat.notes["batch stop"] = stopped
        try:
            work = self._uploaded(seat, files) if files else self._chosen_folder(folder) if folder else None
            if work is None:
                raise InputError("choose a folder or upload pictures first")
            pictures = list_pictures(work)
            program = self._program(kind, question, choice, pack, [work / name for name in pictures])
            single_input(program)
        except ProgramError as error:
            yield refusal(str(error.problems[0])), skip, skip, skip, skip, on, off
            return
        except SightlineError as error:
            yield refusal(str(error)), skip, skip, skip, skip, on, off
            return
        out = seat.folder / f"batch-{secrets.token_hex(6)}"
        cache = self.service.settings.cache
        settings = Settings(
            program.text, str(work), str(out), pack, cache=str(cache) if cache else None, fetch=True
        )
        reports: queue.SimpleQueue[Progress | Outcome | Exception] = queue.SimpleQueue()
        threading.Thread(target=_work, args=(settings, stopped, reports), name="batch", daemon=True).start()
        total = len(pictures)
        ended = ""
        while True:
            item = reports.get()
            while isinstance(item, Progress) and not reports.empty():
                item = reports.get()  # the newest alone is worth showing
            if isinstance(item, Progress):
                yield _progress(item.done, item.failed, total), skip, skip, skip, skip, off, on
                continue
            if isinstance(item, Outcome):
                ended = note(
                    f"{item.rows} pictures, {item.failed} failed. Program: {' · '.join(program.text.split())[:300]}"
                )
            else:
                ended = note(str(item)) if isinstance(item, _Stopped) else refusal(str(item))
            break
        yield from self._shown(seat, out, work, ended, on, off)

    def _shown(self, seat: Seat, out: Path, work: Path, said: str, on: Any, off: Any) -> Iterator[Any]:
        """The table, the gallery and the files of what was finished, the whole run or a part."""
        store = RowStore(out)
        rows = sorted(store.rows(), key=lambda row: row["path"]) if out.is_dir() else []
        seat.notes["batch"] = table = [_line(row) for row in rows]
        if not rows:
            yield said, [], [], gr.skip(), gr.skip(), on, off
            return
        parquet = store.complete
        if not parquet.exists():  # cancelled: the parts become one file
            store.finish(row["path"] for row in rows)
        tiles = [
            (tile, row["path"]) for row in rows[:MOST_TILES] if (tile := self._tile(seat, out, work, row))
        ]
        yield (
            said, table[:MOST_ROWS], tiles, gr.DownloadButton(value=str(parquet), interactive=True),
            gr.DownloadButton(value=str(_csv(out, table)), interactive=True), on, off,
        )  # fmt: skip

    def _tile(self, seat: Seat, out: Path, work: Path, row: dict[str, Any]) -> str | None:
        """The result where it is a picture, else the picture itself; None where it cannot be read."""
        path = work / row["path"]
        value = json.loads(row["result"]) if row["result"] else None
        if isinstance(value, dict) and isinstance(value.get("file"), str):
            path = out / value["file"]
        try:
            return self.service.desk.keep(seat, open_image(path))
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
        return [row for row in rows if all(word in " ".join(row).lower() for word in wanted)][:MOST_ROWS]


def _readable(pictures: Sequence[Path]) -> Image:
    """The first picture that can be read, to plan with: a broken file is a row of the batch and no reason to stop."""
    failure: SightlineError = InputError("there is no picture")
    for path in pictures[:TRIED]:
        try:
            return open_image(path)
        except SightlineError as error:
            failure = error
    raise failure


def _work(settings: Settings, stopped: threading.Event, reports: queue.SimpleQueue[Any]) -> None:
    """The batch on a thread of its own; its end, good or bad, is the last report."""

    def report(progress: Progress) -> None:
        if stopped.is_set():
            raise _Stopped("Cancelled; what was finished by then is below.")
        reports.put(Progress(progress.total, progress.already, progress.done, progress.failed))

    try:
        reports.put(run_batch(settings, report=report))
    except Exception as error:
        reports.put(error)


def _progress(done: int, failed: int, total: int) -> str:
    share = 100 * done / max(1, total)
    bad = f", {failed} failed" if failed else ""
    return (
        f'<div class="batch-progress" role="progressbar" aria-label="Batch" aria-valuemin="0" aria-valuemax="{total}" '
        f'aria-valuenow="{done}"><div style="width:{share:.1f}%"></div></div><p class="story-note">{done} of {total}{bad}</p>'
    )


def _line(row: dict[str, Any]) -> list[str]:
    value = json.loads(row["result"]) if row["result"] else ""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return [row["path"], row["status"], shown[:500], (row["error"] or "")[:500], f"{row['ms']:.0f}"]


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


def _one_picture(name: str) -> bool:
    try:
        single_input(find(name).program())
    except SightlineError:
        return False
    return True
