"""The store of traces: complete after a kill, shared between processes, rebuilt from its files, closed to odd names."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from trace_samples import asked, ended, program_trace, react_trace, scene, step

from sightline.agent.events import Event, Recorder
from sightline.agent.tracing.blobs import PictureMissing
from sightline.agent.tracing.store import TraceStore, default_traces
from sightline.errors import InputError
from sightline.tools.values import Image

HERE = Path(__file__).parent


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore(tmp_path / "traces")


def keep(store: TraceStore, trace: str, image: Image | None = None, **more: object) -> Recorder:
    with store.open(trace) as sink:
        return program_trace(sink, image or scene(), trace, **more)  # type: ignore[arg-type]


def test_a_trace_reads_back_as_it_was_told(store: TraceStore) -> None:
    image = scene()
    told = keep(store, "t", image)
    trace = store.load("t")
    assert [e.to_json() for e in trace.events] == [e.to_json() for e in told.events]
    assert (trace.question, trace.status, trace.mode) == ("How many dogs are there?", "done", "program")
    assert trace.answer == "There are two dogs, and one is red." and trace.lost == 0
    assert abs(trace.time - time.time()) < 60
    (kept,) = trace.asked_pictures()
    assert (
        kept.hash == image.hash and np.array_equal(kept.pixels, image.pixels) and kept.source == "scene.png"
    )
    (run,) = trace.runs()
    assert run.text.startswith("BOX0=LOC(") and [s["name"] for s in run.steps] == [
        "BOX0",
        "IMAGE0",
        "ANSWER0",
        "FINAL_RESULT",
    ]
    crop = trace.image(run.steps[1]["value"][0]["hash"])
    assert crop.offset == (10, 12) and crop.picture == image.hash
    assert np.array_equal(crop.pixels, image.pixels[12:40, 10:30])
    assert len(store.blobs.sizes()) == 1, "a crop is a window of its picture"
    with pytest.raises(PictureMissing, match="holds no picture"):
        trace.image("0" * 32)


def test_edited_pictures_are_kept_and_shared(store: TraceStore) -> None:
    image = scene()
    edited = image.with_pixels(255 - image.pixels)
    for name in ("a", "b"):
        with store.open(name) as sink:
            recorder = Recorder(name, (sink,))
            asked(recorder, image)
            for picture in (edited, edited.crop((0, 0, 5, 5))):
                step(
                    recorder, "IMAGE0", "COLORPOP", 0, {"hash": picture.hash}, "picture", "image", (picture,)
                )
            ended(recorder, "done")
    assert len(store.blobs.sizes()) == 3
    trace = store.load("b")
    assert np.array_equal(trace.image(edited.hash).pixels, edited.pixels)
    assert np.array_equal(trace.image(edited.crop((0, 0, 5, 5)).hash).pixels, edited.pixels[:5, :5])
    assert store.delete("a") == 0 and len(store.blobs.sizes()) == 3
    assert store.delete("b") == 3 and not store.blobs.sizes()


def test_a_picture_of_a_crop_that_was_asked_about_reads_back(store: TraceStore) -> None:
    part = scene().crop((5, 5, 60, 60))
    keep(store, "t", part)
    (kept,) = store.load("t").asked_pictures()
    assert kept.hash == part.hash and kept.offset == (5, 5) and np.array_equal(kept.pixels, part.pixels)


def test_lists_and_searches(store: TraceStore) -> None:
    keep(store, "20260101-a", question="How many dogs are there?")
    keep(store, "20260102-b", question="有100%的狗吗？")
    with store.open("20260103-c") as sink:
        react_trace(sink, scene())
    newest = store.list()
    assert [row.id for row in newest] == ["20260103-c", "20260102-b", "20260101-a"]
    assert (newest[-1].calls, newest[-1].tokens, newest[-1].controller) == (3, 457, "scripted")
    assert [row.id for row in store.list(limit=1, offset=1)] == ["20260102-b"]
    assert [row.id for row in store.list(mode="react")] == ["20260103-c"]
    assert [row.id for row in store.search("100% 狗")] == ["20260102-b"]
    assert [row.id for row in store.search("DOGS red")] == ["20260102-b", "20260101-a"]
    assert not store.search("10_%")
    assert store.load("20260103").id == "20260103-c" and store.load("last").id == "20260103-c"
    with pytest.raises(InputError, match="3 traces begin"):
        store.load("2026")
    with pytest.raises(InputError, match="no trace 'x'"):
        store.load("x")


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "/etc/passwd", ".hidden", "a\x00b", "x" * 200, "a\\b", "-rf", "ü"]
)
def test_odd_names_reach_no_file(store: TraceStore, name: str) -> None:
    for verb in (store.open, store.load, store.delete):
        with pytest.raises(InputError, match="is no name of a trace"):
            verb(name)


def test_one_question_one_name(store: TraceStore) -> None:
    keep(store, "t")
    with pytest.raises(InputError, match="already"):
        store.open("t")


def test_the_index_is_made_again_from_the_files(store: TraceStore) -> None:
    keep(store, "a")
    keep(store, "b", scene(1))
    before = store.list()
    store.close()
    for damage in (lambda p: p.unlink(), lambda p: p.write_bytes(b"this is no database" * 100)):
        for path in store.folder.glob("index.sqlite-*"):
            path.unlink()
        damage(store.folder / "index.sqlite")
        with TraceStore(store.folder) as again:
            assert again.list() == before
            assert again.index.used_blobs() == set(again.blobs.sizes())


def test_a_lost_file_leaves_the_list(store: TraceStore) -> None:
    keep(store, "a")
    (store.folder / "a.jsonl").unlink()
    assert store.list() == [] and not store.blobs.sizes()


def test_what_is_no_json_or_no_unicode_is_kept_as_text(store: TraceStore) -> None:
    with store.open("t") as sink:
        recorder = Recorder("t", (sink,))
        asked(recorder, scene(), question="half a pair: \ud83d")
        recorder.emit("step", value={"a": float("nan"), "b": Path("x")}, name="A")
        ended(recorder, "ok")
    trace = store.load("t")
    assert trace.question == "half a pair: \ud83d"
    assert next(trace.of("step")).data["value"] == {"a": None, "b": "x"}
    assert len(store.list()) == 1


def test_unknown_kinds_are_kept(store: TraceStore) -> None:
    with store.open("t") as sink:
        recorder = Recorder("t", (sink,))
        asked(recorder, scene())
        recorder.emit("premonition", feeling="good")  # type: ignore[arg-type]
    assert store.load("t").events[-1] == Event(
        1, pytest.approx(0, abs=5000), "premonition", {"feeling": "good"}
    )  # type: ignore[arg-type]


KILLED = """
import sys, time
sys.path.insert(0, {here!r})
from trace_samples import asked, step, scene
from sightline.agent.events import Recorder
from sightline.agent.tracing.store import TraceStore
sink = TraceStore({folder!r}).open("killed")
recorder = Recorder("killed", (sink,))
asked(recorder, scene())
number = 0
while True:
    step(recorder, f"S{{number}}", "VQA", 0, "x" * 5000, "x", "text")
    number += 1
    if number == 50:
        print("go", flush=True)
    if number > 50:
        time.sleep(0.002)
"""


def test_kill_9_leaves_a_trace_that_reads(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(here=str(HERE), folder=str(folder))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "go\n"
    store = TraceStore(folder)
    assert store.list()[0].status == "running"
    deadline = time.monotonic() + 20
    while not store.blobs.sizes() and time.monotonic() < deadline:  # pictures are written beside the events
        time.sleep(0.02)
    with pytest.raises(InputError, match="still being written"):
        store.delete("killed")
    assert store.prune(older_than_days=0).traces == 0
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with open(folder / "killed.jsonl", "ab") as file:
        file.write(b'{"seq": 99999, "ms": 1, "kind": "st')  # as a kill in the middle of a line would leave it
    trace = store.load("killed")
    assert trace.status == "unfinished" and trace.lost == 1
    assert len([*trace.of("step")]) >= 50
    assert [e.seq for e in trace.events] == list(range(len(trace.events)))
    (row,) = store.list()
    assert (row.status, row.question) == ("unfinished", "How many dogs are there?")
    assert np.array_equal(trace.asked_pictures()[0].pixels, scene().pixels)
    store.delete("killed")
    assert not store.list() and not store.blobs.sizes()


WRITER = """
import sys, threading
sys.path.insert(0, {here!r})
from trace_samples import program_trace, scene
from sightline.agent.tracing.store import TraceStore
store = TraceStore({folder!r})
def work(thread):
    for number in range(5):
        name = f"{name}-{{thread}}-{{number}}"
        with store.open(name) as sink:
            program_trace(sink, scene(number), name)
threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
"""


def test_several_processes_and_threads_write_and_delete_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER.format(here=str(HERE), folder=str(folder), name=f"p{n}")]
        )
        for n in range(3)
    ]
    store = TraceStore(folder)
    deleted = 0
    while any(
        child.poll() is None for child in children
    ):  # the same pictures, deleted under the writers' hands
        for row in store.list():
            if row.status == "done" and row.id.endswith("-0"):
                with contextlib.suppress(InputError):  # its answer is told, its pictures are not yet on disk
                    store.delete(row.id)
                    deleted += 1
        time.sleep(0.02)
    assert [child.returncode for child in children] == [0, 0, 0]
    rows = store.list()
    assert len(rows) + deleted == 45 and {row.status for row in rows} == {"done"}
    for row in rows:
        assert store.load(row.id).asked_pictures()[0].pixels.shape == (64, 96, 3)
    assert store.index.used_blobs() == set(store.blobs.sizes())


def test_lifetimes(store: TraceStore) -> None:
    for number in range(20):
        keep(store, f"t{number:02}", scene(number))
    old = store.folder / "t00.jsonl"
    old.write_bytes(old.read_bytes().replace(b'"time":', b'"time":1.0,"written":', 1))
    (store.folder / "index.sqlite").unlink()
    store = TraceStore(store.folder)
    stray = store.blobs.path("ff" * 16)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x")
    os.utime(stray, (1, 1))
    gone = store.prune(older_than_days=1)
    assert (gone.traces, gone.pictures, gone.left) == (1, 2, 19) and gone.bytes > 0
    assert not stray.exists()
    most = store.size()[1] // 2
    store.prune(max_bytes=most)
    assert 0 < store.size()[0] < 19 and store.size()[1] <= most
    assert store.list()[0].id == "t19", "the newest stay"


def test_a_full_disk_costs_the_trace_and_not_the_answer(
    store: TraceStore, caplog: pytest.LogCaptureFixture
) -> None:
    sink = store.open("t")
    recorder = Recorder("t", (sink,))
    asked(recorder, scene())
    sink._file.close()
    sink._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    recorder.emit("mode", chosen="program", why="x")
    recorder.emit("mode", chosen="program", why="y")
    sink.close()
    assert [r.levelname for r in caplog.records] == ["WARNING"] and "No space left" in caplog.text
    assert store.load("t").status == "unfinished"


def test_a_picture_that_cannot_be_read_costs_only_itself(
    store: TraceStore, caplog: pytest.LogCaptureFixture
) -> None:
    def gone() -> np.ndarray:
        raise PictureMissing("the cached picture is gone")

    lost = Image(size=(5, 5), load=gone, content_hash="0" * 32)
    with store.open("t") as sink:
        recorder = Recorder("t", (sink,))
        asked(recorder, scene())
        step(
            recorder,
            "IMAGE0",
            "BLUR",
            0,
            {"hash": lost.hash},
            "picture",
            "image",
            (lost, lost.crop((1, 1, 3, 3))),
        )
        ended(recorder, "ok")
    sink.receive(recorder.events[0], ())  # after its end: nothing happens
    assert store.load("t").status == "done" and "goes on without the picture" in caplog.text
    with pytest.raises(PictureMissing):
        store.load("t").image(lost.hash)


def test_crops_are_not_decoded_to_be_kept(store: TraceStore) -> None:
    image = scene()
    crop = image.crop((10, 12, 30, 40))
    lazy = Image(size=crop.size, load=lambda: pytest.fail("decoded"), content_hash=crop.hash, offset=crop.offset,
                 picture=image.hash)  # fmt: skip
    with store.open("t") as sink:
        recorder = Recorder("t", (sink,))
        asked(recorder, image)
        step(recorder, "IMAGE0", "CROP", 0, {"hash": crop.hash}, "picture", "image", (lazy,))
    assert np.array_equal(store.load("t").image(crop.hash).pixels, crop.pixels)


def test_a_damaged_picture_is_told(store: TraceStore) -> None:
    keep(store, "t")
    (blob,) = store.blobs.sizes()
    other = Image.from_array(np.zeros((64, 96, 3), np.uint8))
    store.blobs.write(other.hash, other.pixels)
    store.blobs.path(blob).write_bytes(store.blobs.path(other.hash).read_bytes())
    with pytest.raises(PictureMissing, match="not the one"):
        _ = store.load("t").asked_pictures()[0].pixels
    store.blobs.path(blob).write_bytes(b"x")
    with pytest.raises(PictureMissing, match="cannot be read"):
        _ = store.load("t").asked_pictures()[0].pixels


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path))
    assert default_traces() == tmp_path / "traces"
    with TraceStore() as store:
        assert store.folder == tmp_path / "traces"
        if os.name == "posix":
            assert store.folder.stat().st_mode & 0o077 == 0, "pictures and questions are private"
    monkeypatch.delenv("SIGHTLINE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_traces() == tmp_path / "data" / "sightline" / "traces"


def test_the_file_is_plain_lines(store: TraceStore) -> None:
    keep(store, "t")
    rows = [json.loads(line) for line in (store.folder / "t.jsonl").read_text("utf-8").splitlines()]
    assert rows[0]["trace"] == {"format": 1, "id": "t", "time": rows[0]["trace"]["time"]}
    assert sum("picture" in row for row in rows) == 2 and rows[-1]["kind"] == "end"
