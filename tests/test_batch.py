"""Batch over a folder: rows, refusals, resuming after kills, several workers, broken files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow.parquet as parquet
import pytest

from sightline.errors import InputError
from sightline.programs.batch import Settings, list_pictures, run_batch
from sightline.programs.rows import RowStore

PROGRAM = """BOX0=LOC(image=IMAGE,object='TOP')
ANSWER0=COLOR(image=IMAGE,object=BOX0)
ANSWER1=JOIN(text=ANSWER0)
FINAL_RESULT=RESULT(var=ANSWER1)
"""
COLORS = {"red": (220, 20, 20), "green": (20, 160, 40), "blue": (30, 60, 220), "white": (250, 250, 250)}


def make_folder(folder: Path, count: int) -> dict[str, str]:
    """`count` small pictures of one colour each; returns path -> colour."""
    truth = {}
    names = list(COLORS)
    for index in range(count):
        name = names[index % len(names)]
        path = folder / f"s{index % 3}" / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((16, 16 + index // 200, 3), COLORS[name], dtype=np.uint8)
        pixels[-1, -1] = (index % 256, index // 256, 7)  # every picture has pixels of its own
        PIL.Image.fromarray(pixels).save(path)
        truth[path.relative_to(folder).as_posix()] = name
    return truth


def settings(tmp_path: Path, **changes: Any) -> Settings:
    given = {
        "program": PROGRAM,
        "folder": str(tmp_path / "in"),
        "out": str(tmp_path / "out"),
        "pack": "starter",
    }
    return Settings(**(given | {"cache": str(tmp_path / "cache")} | changes))


def rows(out: Path) -> list[dict[str, Any]]:
    return parquet.read_table(out / "results.parquet").to_pylist()


def test_one_row_per_picture_in_order(tmp_path: Path) -> None:
    truth = make_folder(tmp_path / "in", 30)
    seen = []
    outcome = run_batch(settings(tmp_path), report=lambda p: seen.append((p.done, p.total)))
    table = rows(tmp_path / "out")
    assert outcome.rows == outcome.ran == 30 and outcome.failed == 0
    assert [row["path"] for row in table] == sorted(truth)
    assert {row["path"]: json.loads(row["result"]) for row in table} == truth
    assert len({row["pixel_hash"] for row in table}) == 30
    assert {row["status"] for row in table} == {"done"} and {row["kind"] for row in table} == {"text"}
    steps = json.loads(table[0]["steps"])
    assert [s["name"] for s in steps] == ["BOX0", "ANSWER0", "ANSWER1", "FINAL_RESULT"]
    assert seen[0] == (0, 30) and seen[-1] == (30, 30)
    assert not (tmp_path / "out" / "parts").exists()


def test_broken_files_give_one_clear_row_each_and_the_batch_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    truth = make_folder(folder, 6)
    good = next(iter(truth))
    data = (folder / good).read_bytes()
    (folder / "truncated.png").write_bytes(data[: len(data) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no picture")
    (folder / "script.png").write_bytes(b"<svg onload=alert(1)>" + b"\0" * 100)
    (folder / "actually_png.jpg").write_bytes(
        data
    )  # a wrong suffix on an allowed format is read all the same
    bomb = PIL.Image.new("1", (20_000, 20_000))
    bomb.save(folder / "bomb.png")
    outcome = run_batch(settings(tmp_path))
    table = {row["path"]: row for row in rows(tmp_path / "out")}
    broken = {"truncated.png", "empty.jpg", "text.jpg", "script.png", "bomb.png"}
    assert outcome.failed == len(broken) and len(table) == 12
    for name in broken:
        assert table[name]["status"] == "failed" and table[name]["error_kind"] == "ImageError"
        assert name in table[name]["error"] and "\n" not in table[name]["error"]
    assert table["actually_png.jpg"]["status"] == "done"
    assert all(table[path]["status"] == "done" for path in truth)


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    truth = make_folder(folder, 3)
    outside = tmp_path / "outside"
    make_folder(outside, 2)
    (folder / "link.png").symlink_to(outside / "s0" / "0000.png")
    (folder / "linked").symlink_to(outside, target_is_directory=True)
    assert list_pictures(folder) == sorted(truth)


def test_results_are_not_overwritten_unasked(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 3)
    run_batch(settings(tmp_path))
    with pytest.raises(InputError, match="--resume"):
        run_batch(settings(tmp_path))
    with pytest.raises(InputError, match="another program"):
        run_batch(settings(tmp_path, program=PROGRAM.replace("TOP", "LEFT")), resume=True)
    again = run_batch(settings(tmp_path), resume=True)
    assert again.ran == 0 and again.rows == 3


def test_new_pictures_are_added_on_resume(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 3)
    run_batch(settings(tmp_path))
    truth = make_folder(tmp_path / "in", 5)
    outcome = run_batch(settings(tmp_path), resume=True)
    assert (outcome.ran, outcome.rows) == (2, 5)
    assert [row["path"] for row in rows(tmp_path / "out")] == sorted(truth)


def test_failed_pictures_are_run_again_when_asked(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 3)
    mended = tmp_path / "in" / "later.png"
    mended.write_bytes(b"half a file")
    assert run_batch(settings(tmp_path)).failed == 1
    PIL.Image.new("RGB", (16, 16), COLORS["blue"]).save(mended)
    assert run_batch(settings(tmp_path), resume=True).ran == 0
    outcome = run_batch(settings(tmp_path), resume=True, retry_failed=True)
    table = {row["path"]: row for row in rows(tmp_path / "out")}
    assert (outcome.ran, outcome.failed, len(table)) == (1, 0, 4)
    assert json.loads(table["later.png"]["result"]) == "blue"


def test_result_pictures_lie_below_the_out_folder(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 4)
    program = "B=LOC(image=IMAGE,object='LEFT')\nI=BLUR(image=IMAGE,object=B)\nR=RESULT(var=I)"
    run_batch(settings(tmp_path, program=program))
    files = [json.loads(row["result"])["file"] for row in rows(tmp_path / "out")]
    assert len(set(files)) == 4
    for file in files:
        with PIL.Image.open(tmp_path / "out" / file) as picture:
            assert picture.size[1] == 16


def test_a_program_of_two_pictures_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 2)
    program = "A=SIMILAR(image=LEFT,other=RIGHT)\nR=RESULT(var=A)"
    with pytest.raises(InputError, match="LEFT, RIGHT"):
        run_batch(settings(tmp_path, program=program))


def test_two_workers_share_the_work(tmp_path: Path) -> None:
    truth = make_folder(tmp_path / "in", 12)
    done = []
    outcome = run_batch(settings(tmp_path), workers=2, report=lambda p: done.append(p.done))
    table = rows(tmp_path / "out")
    assert outcome.ran == 12 and done[-1] == 12
    assert {row["path"]: json.loads(row["result"]) for row in table} == truth


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    make_folder(tmp_path / "in", 1)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("sightline.programs.batch.LOCK_SECONDS", 0.2)
    with open(tmp_path / "out" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another batch"):
            run_batch(settings(tmp_path))


def test_a_part_merged_but_not_removed_is_counted_once(tmp_path: Path) -> None:
    """The state that a kill between the merge and the removal of the parts leaves."""
    make_folder(tmp_path / "in", 4)
    run_batch(settings(tmp_path))
    store = RowStore(tmp_path / "out")
    store.write_part(rows(tmp_path / "out")[:2])
    outcome = run_batch(settings(tmp_path), resume=True)
    assert (outcome.ran, outcome.rows) == (0, 4)


def kill_and_resume(tmp_path: Path, count: int, kills: int, workers: int = 1) -> None:
    """Start a batch, kill it with SIGKILL at random moments, resume each time; check the rows at the end."""
    truth = make_folder(tmp_path / "in", count)
    program = tmp_path / "p.vp"
    # BLUR writes a picture for every row, so kills also hit half-written results
    program.write_text("B=LOC(image=IMAGE,object='LEFT')\nI=BLUR(image=IMAGE,object=B)\nR=RESULT(var=I)\n")
    command = [sys.executable, "-m", "sightline", "batch", str(program), str(tmp_path / "in")]
    command += ["--out", str(tmp_path / "out"), "--resume", "--no-cache", "--json", "--workers", str(workers)]
    rng = random.Random(5)
    killed = 0
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        out = tmp_path / "out"
        while not out.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)  # let it get to work, or the kill hits the interpreter's start
        time.sleep(rng.uniform(0.0, 0.8))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    final = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert final.returncode == 0, final.stdout.decode() + final.stderr.decode()
    table = rows(tmp_path / "out")
    assert [row["path"] for row in table] == sorted(truth)
    assert {row["status"] for row in table} == {"done"}
    for row in table:
        with PIL.Image.open(tmp_path / "out" / json.loads(row["result"])["file"]) as picture:
            picture.load()
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert killed > 0


def test_killed_batches_resume_without_losing_or_repeating_a_row(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, count=500, kills=10)


def test_killed_workers_leave_nothing_behind(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, count=60, kills=2, workers=2)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and flock are POSIX")
def test_an_output_folder_through_a_link_below_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "files").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    program = "B=LOC(image=IMAGE,object='LEFT')\nI=BLUR(image=IMAGE,object=B)\nR=RESULT(var=I)"
    outcome = run_batch(settings(tmp_path, program=program))
    assert outcome.failed == 1 and not list((tmp_path / "elsewhere").iterdir())
    assert "symbolic link" in rows(tmp_path / "out")[0]["error"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes file names that are no text")
def test_names_that_are_no_text_or_very_long_are_rows_like_others(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    picture = PIL.Image.new("RGB", (16, 16), COLORS["red"])
    names = [
        b"caf\xe9.png",
        b"caf\xe8.png",
        "日".encode() * 80 + b".png",
        b"new\nline.png",
        b"-dash.png",
        b"q'\".png",
    ]
    for name in names:
        picture.save(os.fsdecode(os.path.join(os.fsencode(folder), name)))
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"rubbish")
    deep = folder / ("日" * 80)
    deep.mkdir()
    picture.save(deep / ("本" * 80 + ".png"))
    program = "B=LOC(image=IMAGE,object='LEFT')\nI=BLUR(image=IMAGE,object=B)\nR=RESULT(var=I)"
    outcome = run_batch(settings(tmp_path, program=program))
    table = {row["path"]: row for row in rows(tmp_path / "out")}
    assert (outcome.rows, outcome.failed, len(table)) == (8, 1, 8)
    assert table["\\udcff.png"]["status"] == "failed"
    for row in table.values():
        if row["status"] == "done":
            assert (tmp_path / "out" / json.loads(row["result"])["file"]).is_file()
    assert run_batch(settings(tmp_path, program=program), resume=True).ran == 0


def test_results_inside_the_folder_are_no_pictures_of_it(tmp_path: Path) -> None:
    truth = make_folder(tmp_path / "in", 4)
    program = "B=LOC(image=IMAGE,object='LEFT')\nI=BLUR(image=IMAGE,object=B)\nR=RESULT(var=I)"
    inside = settings(tmp_path, program=program, out=str(tmp_path / "in" / "out"))
    assert run_batch(inside).rows == len(truth)
    assert run_batch(inside, resume=True).rows == len(truth)
    with pytest.raises(InputError, match="which may lie inside it"):
        run_batch(settings(tmp_path, program=program, out=str(tmp_path / "in")))


def test_another_folders_pictures_of_the_same_names_are_not_taken_for_done(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 3)
    make_folder(tmp_path / "other", 3)
    run_batch(settings(tmp_path))
    with pytest.raises(InputError, match="pictures in"):
        run_batch(settings(tmp_path, folder=str(tmp_path / "other")), resume=True)


def test_a_foreign_file_beside_the_parts_does_no_harm(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 2)
    (tmp_path / "out" / "parts").mkdir(parents=True)
    (tmp_path / "out" / "parts" / ".DS_Store").write_text("x")
    assert run_batch(settings(tmp_path)).rows == 2


def test_an_out_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    make_folder(tmp_path / "in", 1)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="choose another --out"):
        run_batch(settings(tmp_path))


def test_ctrl_c_stops_at_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    truth = make_folder(tmp_path / "in", 1500)  # seconds of work, however fast the machine
    program = tmp_path / "p.vp"
    program.write_text("B=LOC(image=IMAGE,object='LEFT')\nI=BLUR(image=IMAGE,object=B)\nR=RESULT(var=I)\n")
    command = [
        sys.executable,
        "-m",
        "sightline",
        "batch",
        str(program),
        str(tmp_path / "in"),
        "--no-cache",
        "--resume",
    ]
    command += ["--out", str(tmp_path / "out"), "--workers", "2"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # where the suite runs in the background, Ctrl-C is ignored, and children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("files/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and b"--resume" in said and b"Traceback" not in said
    final = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert final.returncode == 0, final.stderr.decode()
    assert [row["path"] for row in rows(tmp_path / "out")] == sorted(truth)
