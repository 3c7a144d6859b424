"""The engine and its cache: what is kept, what is not confused, and what happens where the cache or a file fails."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_fakes import COUNTER, HELLO, jobs_for, picture, write

from sightline.programs.cache import BlobMissing, ResultCache, patiently
from sightline.programs.engine import Engine
from sightline.tools.declaration import tool
from sightline.tools.registry import Registry
from sightline.tools.values import Image, Region, Regions


def test_a_second_run_computes_nothing_and_gives_the_same(engine_parts: Any, tmp_path: Path) -> None:
    paths = write(tmp_path / "p", 5)
    time.sleep(0.01)
    first = engine_parts(cache=True)
    before = {r.key: r.results[0].value for r in first.stream(jobs_for(first, HELLO, paths))}
    COUNTER.batches.clear()
    again = engine_parts(cache=True)
    after = {r.key: r.results[0] for r in again.stream(jobs_for(again, HELLO, paths))}
    assert COUNTER.batches == []
    assert {k: r.value for k, r in after.items()} == before
    assert all(r.steps[-1].status == "cached" for r in after.values())


def test_other_weights_arguments_or_pixels_are_other_results(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    engine.run(HELLO, {"IMAGE": picture(1)})
    engine.run(HELLO, {"IMAGE": picture(2)})
    engine.run(HELLO.replace("hello", "bye"), {"IMAGE": picture(1)})
    assert COUNTER.batches == [1, 1, 1]
    engine.run(HELLO, {"IMAGE": picture(1)})
    assert COUNTER.batches == [1, 1, 1]
    engine.models.bind("mllm", object(), weights="fake-2")
    Engine(engine.models, engine.registry, engine.cache).run(HELLO, {"IMAGE": picture(1)})
    assert COUNTER.batches == [1, 1, 1, 1]


def test_failures_are_not_cached(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    COUNTER.failing = {"hello"}
    assert not engine.run(HELLO, {"IMAGE": picture(1)}).results[0].ok
    COUNTER.failing = set()
    assert engine.run(HELLO, {"IMAGE": picture(1)}).results[0].ok


def test_a_changed_file_is_read_again(engine_parts: Any, tmp_path: Path) -> None:
    (path,) = write(tmp_path / "p", 1)
    engine = engine_parts(cache=True)
    assert engine.run(HELLO, {"IMAGE": path}).results[0].value == "hello 0"
    picture(99, (24, 24)).pil().save(path)
    assert engine.run(HELLO, {"IMAGE": path}).results[0].value == "hello 99"


def test_an_old_file_is_not_decoded_when_its_hash_is_known(engine_parts: Any, tmp_path: Path) -> None:
    (path,) = write(tmp_path / "p", 1)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    first = engine_parts(cache=True)
    first.run(HELLO, {"IMAGE": path}, observe=False)
    assert first.stats.decoded == 1
    again = engine_parts(cache=True)
    assert again.run(HELLO, {"IMAGE": path}, observe=False).results[0].value == "hello 0"
    assert again.stats.decoded == 0


def test_pictures_survive_the_cache(engine_parts: Any) -> None:
    text = "B=BOXES_OF(image=IMAGE,n=1)\nC=CROP(image=IMAGE,box=B)\nR=RESULT(var=C)"
    image = Image.from_array(np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3))
    first = engine_parts(cache=True)
    before = first.run(text, {"IMAGE": image}).results[0].value
    first.cache.flush()
    second = engine_parts(cache=True)
    result = second.run(text, {"IMAGE": image}, observe=False).results[0]
    assert result.steps[-1].cached
    assert (result.value.pixels == before.pixels).all() and result.value.offset == before.offset


def test_regions_come_out_of_the_cache_as_they_went_in(tmp_path: Path) -> None:
    region = Region(
        (1 / 3, 2 / 7, 10.123456789, 11.0), label="x", score=0.987654321, text="é", parents=("p",)
    )
    with ResultCache(tmp_path) as cache:
        cache.put("key", Regions([region]))
    with ResultCache(tmp_path) as cache:
        assert cache.decode(cache.get_many(["key"])["key"]) == Regions([region])


def test_results_made_from_the_same_values_in_another_order_are_not_confused(engine_parts: Any) -> None:
    """[A, A, C] and [A, C, C] depend on the same steps and are different results."""
    engine = engine_parts(cache=True)
    head = "A=LOOK(image=IMAGE,word='a')\nC=LOOK(image=IMAGE,word='c')\n"
    values = [
        engine.run(f"{head}R=RESULT(var=[{names}])", {"IMAGE": picture(1)}).results[0].value
        for names in ("A,A,C", "A,C,C", "C,A,A")
    ]
    assert values == [["a 1", "a 1", "c 1"], ["a 1", "c 1", "c 1"], ["c 1", "a 1", "a 1"]]


def test_what_a_tool_forbids_to_keep_is_never_kept_nor_what_follows_from_it(engine_parts: Any) -> None:
    calls = []

    @tool(cache=False)
    def NOW(image: Image) -> float:
        """A number that is another one each time.

        Example: ANSWER0=NOW(image=IMAGE)
        """
        calls.append(image)
        return float(len(calls))

    engine = engine_parts(cache=True)
    engine = Engine(engine.models, Registry([*engine.registry, NOW]), engine.cache)
    text = "A=NOW(image=IMAGE)\nB=EVAL(expr='{A} * 10')\nR=RESULT(var=B)"
    values = [
        engine.run(text, {"IMAGE": picture(0)}, observe=o).results[0].value for o in (True, False, False)
    ]
    assert values == [10, 20, 30]


def test_a_role_filled_anew_is_another_model_in_the_same_engine(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    engine.run(HELLO, {"IMAGE": picture(1)})
    engine.models.bind("mllm", object(), weights="fake-2")
    engine.run(HELLO, {"IMAGE": picture(1)})
    assert COUNTER.batches == [1, 1]
    engine.models.bind("mllm", object(), weights="fake-1")
    engine.run(HELLO, {"IMAGE": picture(1)})
    assert COUNTER.batches == [1, 1]  # the first one again: kept


def test_two_bound_models_of_one_class_do_not_share_results(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    for _ in range(2):
        engine.models.bind("mllm", object())
        engine.run(HELLO, {"IMAGE": picture(1)})
    assert COUNTER.batches == [1, 1]


def test_a_picture_that_changes_under_way_fails_its_job_and_no_more(
    engine_parts: Any, tmp_path: Path
) -> None:
    (path,) = write(tmp_path / "p", 1)
    path = path.rename(path.with_suffix(".bmp"))
    picture(3, (24, 24)).pil().save(path)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    engine = engine_parts(cache=True)
    text = "B=BOXES_OF(image=IMAGE)\nC=CROP(image=IMAGE,box=B)\nR=RESULT(var={})"
    assert engine.run(text.format("B"), {"IMAGE": path}).results[0].ok
    picture(4, (24, 24)).pil().save(path)  # same size, same time: the index trusts it
    os.utime(path, (1_000_000_000, 1_000_000_000))
    result = engine.run(text.format("C"), {"IMAGE": path}).results[0]
    assert not result.ok and "changed" in result.errors[0].message


def test_the_engine_goes_on_without_a_cache_that_breaks(
    engine_parts: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "B=BOXES_OF(image=IMAGE,n=1)\nC=CROP(image=IMAGE,box=B)\nR=RESULT(var=C)"
    engine = engine_parts(cache=True)
    (tmp_path / "cache" / "blobs").write_text("in the way")  # as a full disk: no picture can be written
    assert engine.run(text, {"IMAGE": picture(1)}).results[0].ok
    assert "is not used any more" in caplog.text and not engine.cache.usable
    other = engine_parts(cache=True)
    other.run(HELLO, {"IMAGE": picture(1)})
    other.cache._db.execute("DROP TABLE results")
    assert other.run(HELLO, {"IMAGE": picture(2)}).results[0].ok


def test_a_damaged_cached_picture_is_made_anew(engine_parts: Any, tmp_path: Path) -> None:
    text = "B=BOXES_OF(image=IMAGE,n=1)\nC=CROP(image=IMAGE,box=B)\nR=RESULT(var=C)"
    engine_parts(cache=True).run(text, {"IMAGE": picture(9)})
    (blob,) = (tmp_path / "cache" / "blobs").rglob("*.zst")
    blob.write_bytes(b"rubbish")
    again = engine_parts(cache=True).run(text, {"IMAGE": picture(9)}, observe=False).results[0]
    with pytest.raises(BlobMissing, match="run again"):
        _ = again.value.pixels
    mended = engine_parts(cache=True).run(text, {"IMAGE": picture(9)}, observe=False).results[0]
    assert mended.value.pixels.mean() == 9


def test_a_database_that_another_process_holds_is_waited_for() -> None:
    """SQLite answers 'locked' at once, timeout or not, where two processes turn a new database to WAL."""
    answers = iter(["database is locked", "database is locked", "", "disk I/O error"])

    def action() -> str:
        if problem := next(answers):
            raise sqlite3.OperationalError(problem)
        return "done"

    assert patiently(action) == "done"
    with pytest.raises(sqlite3.OperationalError, match="disk"):
        patiently(action)


def test_pruning_forgets_old_results_and_their_pictures(engine_parts: Any) -> None:
    text = "B=BOXES_OF(image=IMAGE,n=1)\nC=CROP(image=IMAGE,box=B)\nR=RESULT(var=C)"
    engine = engine_parts(cache=True)
    engine.run(text, {"IMAGE": picture(3)})
    engine.cache.flush()
    blobs = list(engine.cache.folder.glob("blobs/*/*.zst"))
    assert len(blobs) == 1 and engine.cache.size()[0] > 0
    assert engine.cache.prune(days=1) == (0, 0)
    results, pictures = engine.cache.prune()
    assert results > 0 and pictures == 1 and engine.cache.size()[0] == 0 and not blobs[0].exists()
    assert engine.run(text, {"IMAGE": picture(3)}).results[0].ok
