"""Batch: one program over a folder of pictures on this machine, resumable after a kill, one row per picture."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import InputError, SightlineError
from ..tools.imagefile import SUFFIXES, make_folder
from ..tools.models import Models
from .cache import ResultCache
from .engine import Engine, Job
from .outputs import as_text, file_stem, to_json
from .results import FAILED, JobResult, kind_of
from .rows import Manifest, RowStore
from .syntax import Program

PART_ROWS = 64  # rows kept in memory at most before a part is written
PART_SECONDS = 1.0  # and how long at most
LOCK_SECONDS = 10.0  # how long to wait for workers of a killed run


@dataclass(frozen=True)
class Settings:
    """All that a worker process needs to know; every field is plain, so it crosses the process border."""

    program: str
    folder: str
    out: str
    pack: str
    models_dir: str | None = None
    cache: str | None = None
    fetch: bool = False


@dataclass
class Progress:
    """Counts of a run: `done` and `failed` grow as pictures finish; `total` is what this run has to do."""

    total: int
    already: int = 0
    done: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a batch ended: rows in the file, rows of this run, and how many of those failed."""

    rows: int
    ran: int
    failed: int
    file: Path


def list_pictures(folder: Path, out: Path | None = None) -> list[str]:
    """Paths of the picture files below `folder`, relative and sorted. Symbolic links are not followed.

    What lies below `out` is left out: a batch that writes inside its own folder must not read its results.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder that holds the pictures")
    found = []
    avoid = out.resolve() if out is not None else None
    for base, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and Path(base, f).resolve() != avoid)
        for name in files:
            path = Path(base, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith(".") and not path.is_symlink():
                found.append(path.relative_to(folder).as_posix())
    if not found:
        raise InputError(f"no pictures below {folder}; looked for {', '.join(SUFFIXES)}")
    return sorted(found)


def run_batch(
    settings: Settings,
    *,
    workers: int = 1,
    resume: bool = False,
    retry_failed: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Run a program over a folder and leave `results.parquet` in the out folder.

    Args:
        workers: processes that share the work; each loads its own models, so one is best where models fill the cores.
        resume: go on where an earlier run of the same program stopped. Without it a folder with results is refused.
        retry_failed: run pictures again whose row is a failure.
        report: called as pictures finish.
    """
    folder, out = Path(settings.folder), Path(settings.out)
    program = Program.parse(settings.program)
    if out.resolve() == folder.resolve():
        raise InputError(
            f"{out} is the folder of the pictures themselves; choose another --out, which may lie inside it"
        )
    pictures = list_pictures(folder, out)
    make_folder(out)
    store = RowStore(out)
    with _only_run(out):
        _check_manifest(out, store, program, settings, resume)
        for stray in out.rglob(".*.tmp"):  # left by a killed run; nobody else writes while the lock is held
            stray.unlink()
        finished = store.finished(retry_failed=retry_failed)
        left = [path for path in pictures if as_text(path) not in finished]
        progress = Progress(total=len(left), already=len(pictures) - len(left))
        if report is not None:
            report(progress)

        def count(failed: bool) -> None:
            progress.done += 1
            progress.failed += failed
            if report is not None:
                report(progress)

        if workers > 1 and len(left) > 1:
            _run_workers(settings, left, min(workers, len(left)), count)
        elif left:
            _work(settings, left, count)
        rows = store.finish(as_text(path) for path in pictures)
    return Outcome(rows, progress.done, progress.failed, store.complete)


def _check_manifest(out: Path, store: RowStore, program: Program, settings: Settings, resume: bool) -> None:
    from .. import __version__

    folder = as_text(os.path.abspath(settings.folder))
    wanted = Manifest(program.text, program.digest, settings.pack, folder, __version__)
    there = Manifest.read(out)
    if store.files() and there is None:
        raise InputError(f"{out} holds Parquet files of something else; choose another --out")
    if there is not None and store.files():
        if not resume:
            raise InputError(f"{out} holds results already; add --resume to go on, or choose another --out")
        if (there.digest, there.pack, there.folder) != (wanted.digest, wanted.pack, wanted.folder):
            what = f"pictures in {there.folder}"
            if (there.digest, there.pack) != (wanted.digest, wanted.pack):
                what = "another program" if there.digest != wanted.digest else f"pack {there.pack}"
            raise InputError(f"{out} holds results of {what}; choose another --out")
    wanted.write(out)


@contextmanager
def _only_run(out: Path) -> Iterator[None]:
    """Hold the folder's lock, and wait until workers that a killed run left behind have noticed and gone."""
    with open(out / ".lock", "w") as lock, open(out / ".workers", "w") as workers:
        _lock(lock, out)
        _lock(workers, out)
        fcntl.flock(workers, fcntl.LOCK_UN)  # from here on this run's own workers share it
        yield


def _lock(file: IO[str], out: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                raise InputError(
                    f"another batch is writing to {out}; wait for it, or choose another --out"
                ) from None
            time.sleep(0.1)


def _work(settings: Settings, pictures: Sequence[str], count: Callable[[bool], None]) -> None:
    """Run the pictures in this process and write their rows in parts."""
    folder, out = Path(settings.folder), Path(settings.out)
    models = Models.from_pack(settings.pack, settings.models_dir, fetch=settings.fetch)
    cache = ResultCache(settings.cache) if settings.cache else None
    engine = Engine(models, cache=cache)
    program = engine.check(settings.program)
    name = single_input(program)
    store = RowStore(out)
    jobs = (Job(path, (program,), {name: str(folder / path)}) for path in pictures)
    rows: list[dict[str, Any]] = []
    written = time.monotonic()
    try:
        for result in engine.stream(jobs):
            row = make_row(result, program, out)
            rows.append(row)
            count(row["status"] == FAILED)
            if len(rows) >= PART_ROWS or time.monotonic() - written > PART_SECONDS:
                store.write_part(rows)
                rows, written = [], time.monotonic()
    finally:
        store.write_part(rows)
        if cache is not None:
            cache.close()


def single_input(program: Program) -> str:
    """The one picture that a batch program reads; InputError where it reads none or several."""
    if len(program.inputs) != 1 or program.inputs[0] == "IMAGES":
        reads = ", ".join(program.inputs) or "no picture"
        raise InputError(f"a batch runs a program on one picture at a time, and this one reads {reads}")
    return program.inputs[0]


def make_row(result: JobResult, program: Program, out: Path) -> dict[str, Any]:
    """The Parquet row of one picture; pictures among the results are written below `out/files`."""
    row: dict[str, Any] = dict.fromkeys(("pixel_hash", "kind", "result", "error", "error_kind", "steps"))
    row |= {"path": as_text(result.key), "status": FAILED, "ms": 0.0, "program": program.digest}
    if result.error is not None:
        return row | {"error": as_text(result.error.message), "error_kind": result.error.kind}
    (run,) = result.results
    image = next(iter(result.inputs.values()))
    row |= {
        "pixel_hash": image.hash,
        "status": run.status,
        "ms": round(run.ms, 3),
        "steps": json.dumps([step.to_json() for step in run.steps]),
    }
    if not run.ok:
        first = run.errors[0]
        message = as_text(f"{first.step} ({first.op}): {first.message}")
        return row | {"error": message, "error_kind": first.kind}
    stem = file_stem(Path(result.key).with_suffix("").as_posix().replace("/", "__"))
    name = f"files/{stem}-{image.hash[:8]}"
    try:
        value = to_json(run.value, out, name)
    except (OSError, SightlineError) as error:  # a full disk or a refused name is this picture's failure
        return row | {
            "status": FAILED,
            "error": f"the result cannot be written: {error}",
            "error_kind": type(error).__name__,
        }
    return row | {"kind": kind_of(run.value), "result": json.dumps(value, ensure_ascii=False)}


# -- several processes -----------------------------------------------------------------------------------------


def _run_workers(
    settings: Settings, pictures: Sequence[str], workers: int, count: Callable[[bool], None]
) -> None:
    """Share the pictures out over processes; a worker that dies takes only its unwritten rows with it."""
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    processes = [
        context.Process(
            target=_worker, args=(settings, pictures[index::workers], messages, os.getpid()), daemon=True
        )
        for index in range(workers)
    ]
    with _deaf_to_interrupts():
        for process in processes:
            process.start()
    problem: str | None = None
    try:
        while True:
            alive = any(process.is_alive() for process in processes)
            try:
                kind, text = messages.get(timeout=0.2)
            except queue.Empty:
                if not alive:
                    break
                continue
            if kind == "row":
                count(text == FAILED)
            else:
                problem = problem or text
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()
    dead = [process for process in processes if process.exitcode]
    if problem is not None:
        raise InputError(problem)
    if dead:
        raise SightlineError(f"a worker process ended with code {dead[0].exitcode}; run again with --resume")


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started within never see Ctrl-C, which a terminal sends to all: the parent alone answers it, in one line.

    The signal is blocked, which children inherit, and not ignored: one that comes now reaches the parent afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _worker(settings: Settings, pictures: Sequence[str], messages: Any, parent: int) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all; the parent answers it and ends its workers
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    with open(Path(settings.out) / ".workers", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            _work(settings, pictures, lambda failed: messages.put(("row", FAILED if failed else "done")))
        except SightlineError as error:
            messages.put(("problem", str(error)))


def _leave_with(parent: int) -> None:
    """End this process soon after its parent is gone, so that a killed run leaves no one writing."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
