"""The engine: merging, laziness, batching, caching, isolation of faults, memory and observation."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.programs.cache import BlobMissing, ResultCache, patiently
from sightline.programs.engine import PLANS_KEPT, Engine, Job, Policy
from sightline.programs.recovery import let_go
from sightline.programs.syntax import Program, ProgramError
from sightline.tools.declaration import Column, tool
from sightline.tools.models import Models
from sightline.tools.registry import Registry, builtin_tools
from sightline.tools.values import Image, Region, Regions


class Counter:
    """What the fake model was asked: one list of batch sizes per op."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failing: set[str] = set()
        self.memory = 10**9  # calls that fit at once
        self.flaky = 0  # so many calls fail before one succeeds


COUNTER = Counter()


@tool(roles="mllm", batch=8, cost=10)
def LOOK(image: Column[Image], word: Column[str], *, models: Any) -> Column[str]:
    """Say the word and the picture's mean grey level.

    Example: ANSWER0=LOOK(image=IMAGE,word='hello')
    """
    COUNTER.batches.append(len(image))
    if len(image) > COUNTER.memory:
        raise MemoryError
    if COUNTER.flaky:
        COUNTER.flaky -= 1
        raise RuntimeError("the network went away")
    if any(w in COUNTER.failing for w in word) and len(word) > 1:
        raise RuntimeError("one of the batch is bad")
    return [RuntimeError("bad word") if w in COUNTER.failing else f"{w} {i.pixels.mean():.0f}"  # type: ignore[misc]
            for i, w in zip(image, word, strict=True)]  # fmt: skip


@tool
def BOXES_OF(image: Image, n: int = 3) -> Regions:
    """Make n boxes in a row.

    Example: BOX0=BOXES_OF(image=IMAGE,n=2)
    """
    return Regions(
        Region((4.0 * i, 0, 4.0 * i + 4, 4), label=f"b{i}", picture=image.picture) for i in range(n)
    )


@tool(batch=5)
def LABEL_OF(object: Column[Region]) -> Column[str]:
    """The label of one region.

    Example: ANSWER0=LABEL_OF(object=BOX0)
    """
    return [region.label for region in object]


@tool
def EXPLODE(image: Image) -> str:
    """Fail in a way that nobody foresaw.

    Example: ANSWER0=EXPLODE(image=IMAGE)
    """
    raise ZeroDivisionError("boom")


@pytest.fixture
def engine_parts(tmp_path: Path) -> Any:
    COUNTER.__init__()  # type: ignore[misc]
    control = [t for t in builtin_tools() if t.control or t.name in ("COUNT", "CROP")]
    registry = Registry([*control, LOOK, BOXES_OF, LABEL_OF, EXPLODE])
    models = Models.from_pack("starter")
    models.bind("mllm", object(), weights="fake-1")

    def make(cache: bool = False, **options: Any) -> Engine:
        kept = ResultCache(tmp_path / "cache") if cache else None
        return Engine(models, registry, kept, **options)

    return make


def picture(level: int, size: tuple[int, int] = (32, 24)) -> Image:
    return Image.from_array(np.full((size[1], size[0], 3), level, dtype=np.uint8))


def write(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for index in range(count):
        path = folder / f"{index:03}.png"
        picture(index % 250, (24 + index // 250, 24)).pil().save(path)
        paths.append(path)
    return paths


def jobs_for(engine: Engine, text: str, images: list[Any]) -> list[Job]:
    program = engine.check(text)
    return [Job(index, (program,), {"IMAGE": image}) for index, image in enumerate(images)]


HELLO = "A=LOOK(image=IMAGE,word='hello')\nR=RESULT(var=A)"


def test_a_program_runs_and_reports_every_step(engine_parts: Any) -> None:
    job = engine_parts().run("B=BOXES_OF(image=IMAGE,n=2)\nN=COUNT(box=B)\n" + HELLO, {"IMAGE": picture(7)})
    (result,) = job.results
    assert result.ok and result.value == "hello 7"
    assert [(s.name, s.op, s.status) for s in result.steps] == [
        ("B", "BOXES_OF", "skipped"),  # dead: no result needs them
        ("N", "COUNT", "skipped"),
        ("A", "LOOK", "done"),
        ("R", "RESULT", "done"),
    ]
    assert result.steps[2].batch == 1 and result.steps[2].ms > 0


def test_equal_steps_of_all_programs_run_once(engine_parts: Any) -> None:
    programs = [
        HELLO,
        HELLO.replace("A=", "OTHER=").replace("=A)", "=OTHER)"),
        HELLO.replace("word='hello'", 'word="hello"'),
    ]
    job = engine_parts().run(programs, {"IMAGE": picture(1)})
    assert [r.value for r in job.results] == ["hello 1"] * 3
    assert COUNTER.batches == [1]


def test_numbers_texts_and_flags_do_not_merge(engine_parts: Any) -> None:
    text = "A=EVAL(expr='1')\nB=EVAL(expr='1.0')\nC=EVAL(expr='1 == 1')\nR=RESULT(var=[A,B,C])"
    value = engine_parts().run(text, {}).results[0].value
    assert [type(v) for v in value] == [int, float, bool]


def test_a_branch_not_taken_is_never_run(engine_parts: Any) -> None:
    text = """B=BOXES_OF(image=IMAGE,n=2)
N=COUNT(box=B)
C=EVAL(expr='{N} > 5')
YES=LOOK(image=IMAGE,word='many')
X=IF(condition=C,then=YES,otherwise='few')
R=RESULT(var=X)"""
    engine = engine_parts()
    result = engine.run(text, {"IMAGE": picture(3)}).results[0]
    assert result.value == "few" and COUNTER.batches == []
    result = engine.run(text.replace("> 5", "> 1"), {"IMAGE": picture(3)}).results[0]
    assert result.value == "many 3" and COUNTER.batches == [1]


def test_an_error_in_a_branch_not_taken_does_not_matter(engine_parts: Any) -> None:
    text = """B=BOXES_OF(image=IMAGE)
N=COUNT(box=B)
C=EVAL(expr='{N} == 3')
BAD=EXPLODE(image=IMAGE)
X=IF(condition=C,then='three',otherwise=BAD)
R=RESULT(var=X)"""
    assert engine_parts().run(text, {"IMAGE": picture(3)}).results[0].value == "three"


def test_calls_are_batched_across_pictures_up_to_the_limit(engine_parts: Any) -> None:
    engine = engine_parts()
    results = list(engine.stream(jobs_for(engine, HELLO, [picture(i) for i in range(20)])))
    assert sorted(r.results[0].value for r in results) == sorted(f"hello {i}" for i in range(20))
    assert COUNTER.batches == [8, 8, 4]


def test_broadcasting_runs_an_op_once_per_region(engine_parts: Any) -> None:
    text = "B=BOXES_OF(image=IMAGE,n=7)\nL=LABEL_OF(object=B)\nR=RESULT(var=L)"
    result = engine_parts().run(text, {"IMAGE": picture(0)}).results[0]
    assert result.value == [f"b{i}" for i in range(7)]
    assert result.steps[1].batch == 5
    empty = engine_parts().run(text.replace("n=7", "n=0"), {"IMAGE": picture(0)}).results[0]
    assert empty.value == []


def test_a_failed_call_fails_its_own_job_only(engine_parts: Any) -> None:
    engine = engine_parts()
    programs = {word: engine.check(HELLO.replace("hello", word)) for word in ("good", "evil")}
    COUNTER.failing = {"evil"}
    jobs = [Job(i, (programs["evil" if i == 3 else "good"],), {"IMAGE": picture(i)}) for i in range(8)]
    results = {r.key: r.results[0] for r in engine.stream(jobs)}
    assert [k for k, r in results.items() if not r.ok] == [3]
    error = results[3].errors[0]
    assert (error.step, error.op, error.kind) == ("A", "LOOK", "RuntimeError")
    assert error.traceback and "bad word" in error.message
    assert [s.status for s in results[3].steps] == ["failed", "skipped"]


def test_an_unforeseen_error_keeps_its_traceback(engine_parts: Any) -> None:
    result = engine_parts().run("A=EXPLODE(image=IMAGE)\nR=RESULT(var=A)", {"IMAGE": picture(0)}).results[0]
    assert not result.ok and "boom" in result.errors[0].message
    assert "ZeroDivisionError" in (result.errors[0].traceback or "")


def test_memory_running_out_halves_the_batch(engine_parts: Any) -> None:
    COUNTER.memory = 2
    engine = engine_parts()
    results = list(engine.stream(jobs_for(engine, HELLO, [picture(i) for i in range(8)])))
    assert all(r.results[0].ok for r in results)
    assert COUNTER.batches == [8, 4, 2, 2, 4, 2, 2]
    COUNTER.batches.clear()
    list(engine.stream(jobs_for(engine, HELLO, [picture(50 + i) for i in range(4)])))
    assert COUNTER.batches == [2, 2]  # remembered


def test_retries_follow_the_policy(engine_parts: Any) -> None:
    COUNTER.flaky = 2
    assert not engine_parts().run(HELLO, {"IMAGE": picture(0)}).results[0].ok
    COUNTER.flaky = 2
    engine = engine_parts(policies={"mllm": Policy(retries=2)})
    assert engine.run(HELLO, {"IMAGE": picture(0)}).results[0].ok


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


def test_an_unreadable_picture_is_one_failed_job(engine_parts: Any, tmp_path: Path) -> None:
    paths = write(tmp_path / "p", 4)
    paths[2].write_bytes(b"not a picture")
    engine = engine_parts()
    results = {r.key: r for r in engine.stream(jobs_for(engine, HELLO, [*paths, tmp_path / "missing.png"]))}
    assert {k for k, r in results.items() if r.error} == {2, 4}
    assert "002.png" in results[2].error.message and results[2].error.traceback is None
    assert len([r for r in results.values() if r.results and r.results[0].ok]) == 3


def test_a_program_that_cannot_run_is_refused_before_anything_runs(engine_parts: Any) -> None:
    with pytest.raises(ProgramError):
        engine_parts().run("A=LOOK(image=IMAGE)\nR=RESULT(var=B)", {"IMAGE": picture(0)})
    assert COUNTER.batches == []


def test_a_picture_that_was_not_given_is_named(engine_parts: Any) -> None:
    result = engine_parts().run(HELLO.replace("IMAGE", "LEFT"), {"IMAGE": picture(0)}).results[0]
    assert not result.ok and "LEFT" in result.errors[0].message


def test_only_so_many_pictures_are_in_flight(engine_parts: Any) -> None:
    engine = engine_parts(images_in_flight=4)
    taken = 0

    def source() -> Any:
        nonlocal taken
        program = engine.check(HELLO)
        for index in range(40):
            taken += 1
            yield Job(index, (program,), {"IMAGE": picture(index)})

    ahead = []
    for finished, _ in enumerate(engine.stream(source()), 1):
        ahead.append(taken - finished)
    assert max(ahead) <= 8
    assert max(COUNTER.batches) <= 4


def test_many_programs_of_many_steps_need_no_recursion(engine_parts: Any) -> None:
    lines = ["A0=EVAL(expr='1')", "B=BOXES_OF(image=IMAGE)", "C0=COUNT(box=B)"]
    lines += [f"C{i + 1}=EVAL(expr='{{C{i}}} + 1')" for i in range(240)]
    value = (
        engine_parts().run("\n".join([*lines, "R=RESULT(var=C240)"]), {"IMAGE": picture(0)}).results[0].value
    )
    assert value == 243


def test_observing_computes_dead_ends_not_at_all_and_live_steps_always(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    text = "B=BOXES_OF(image=IMAGE,n=2)\nN=COUNT(box=B)\nR=RESULT(var=N)"
    engine.run(text, {"IMAGE": picture(5)})
    lazy = engine.run(text, {"IMAGE": picture(5)}, observe=False).results[0]
    assert [s.status for s in lazy.steps] == ["skipped", "skipped", "cached"]
    seen = engine.run(text, {"IMAGE": picture(5)}, observe=True).results[0]
    assert len(seen.steps[0].value) == 2 and seen.steps[1].value == 2


def test_a_plan_is_the_same_for_equal_programs(engine_parts: Any) -> None:
    engine = engine_parts()
    program = engine.check(HELLO)
    assert engine.plan((program,)) is engine.plan((Program.parse(HELLO),))


def test_steps_named_like_the_engines_own_slots_are_not_mixed_up(engine_parts: Any) -> None:
    text = "A=EVAL(expr='10')\nS1=EVAL(expr='20')\nS0=EVAL(expr='{A} * 1')\nC=EVAL(expr='{ A } + {S1} - {S0} * 3')\nR=RESULT(var=C)"
    assert engine_parts().run(text, {}).results[0].value == 0


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


def test_a_chain_of_ifs_as_long_as_a_program_may_be(engine_parts: Any) -> None:
    lines = ["B=BOXES_OF(image=IMAGE)", "N=COUNT(box=B)", "X0=COUNT(box=B)"]
    lines += [f"X{i + 1}=IF(condition=N,then=X{i},otherwise='no')" for i in range(250)]
    text = "\n".join([*lines, "R=RESULT(var=X250)"])
    for observe in (False, True):
        assert engine_parts().run(text, {"IMAGE": picture(0)}, observe=observe).results[0].value == 3


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


def test_memory_of_a_failed_batch_is_free_before_the_next_try(engine_parts: Any) -> None:
    class Big:
        pass

    alive: list[Any] = []
    still: list[int] = []

    @tool(roles="mllm", batch=8)
    def HUNGRY(image: Column[Image], *, models: Any) -> Column[float]:
        """Run out of memory on more than one picture.

        Example: ANSWER0=HUNGRY(image=IMAGE)
        """
        still.append(sum(reference() is not None for reference in alive))
        tensor = Big()
        alive.append(weakref.ref(tensor))
        if len(image) > 1:
            raise MemoryError
        return [1.0]

    engine = engine_parts()
    engine = Engine(engine.models, Registry([*engine.registry, HUNGRY]))
    images = [picture(i) for i in range(8)]
    results = list(engine.stream(jobs_for(engine, "A=HUNGRY(image=IMAGE)\nR=RESULT(var=A)", images)))
    assert all(r.results[0].ok for r in results) and max(still) == 0


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


def test_an_input_of_no_kind_is_one_failed_job(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    jobs = jobs_for(engine, HELLO, [np.zeros((4, 4, 3)), picture(2), b"bytes"])
    results = {r.key: r for r in engine.stream(jobs)}
    assert results[1].results[0].ok
    assert "ndarray" in results[0].error.message and "Image.from_array" in results[0].error.message
    assert results[2].error is not None


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


def test_plans_kept_are_bounded(engine_parts: Any) -> None:
    engine = engine_parts()
    for number in range(PLANS_KEPT + 20):
        engine.plan((engine.check(f"A=EVAL(expr='{number} + 1')\nR=RESULT(var=A)"),))
    assert len(engine._templates) <= PLANS_KEPT


def test_threads_share_an_engine(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    values: dict[int, Any] = {}

    def work(number: int) -> None:
        for level in range(number * 10, number * 10 + 10):
            values[level] = engine.run(HELLO, {"IMAGE": picture(level)}).results[0].value

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == {level: f"hello {level}" for level in range(40)}


def test_a_stream_left_early_gives_back_its_threads_and_keeps_what_it_did(engine_parts: Any) -> None:
    engine = engine_parts(cache=True, images_in_flight=2)
    stream = engine.stream(jobs_for(engine, HELLO, [picture(i) for i in range(20)]))
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    done = sum(COUNTER.batches)
    again = engine_parts(cache=True)
    list(again.stream(jobs_for(again, HELLO, [picture(i) for i in range(done)])))
    assert sum(COUNTER.batches) == done


def test_errors_that_name_each_other_are_let_go() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__context__ = second, first
    let_go(first)


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


def test_different_models_run_side_by_side_and_one_model_never_does() -> None:
    import threading

    meet = threading.Barrier(2, timeout=10)
    inside = {"ocr": 0, "mllm": 0}
    overlaps: list[str] = []

    def work(role: str, count: int) -> list[str]:
        inside[role] += 1
        if inside[role] > 1:
            overlaps.append(role)
        if count == 4:
            meet.wait()  # passes only while the other model's batch is running too
        inside[role] -= 1
        return [role] * count

    @tool(roles="ocr", batch=4)
    def FIRST(image: Column[Image], *, models: Any) -> Column[str]:
        """One model.

        Example: A=FIRST(image=IMAGE)
        """
        return work("ocr", len(image))

    @tool(roles="mllm", batch=4)
    def SECOND(image: Column[Image], *, models: Any) -> Column[str]:
        """Another model.

        Example: B=SECOND(image=IMAGE)
        """
        return work("mllm", len(image))

    control = [item for item in builtin_tools() if item.control]
    models = Models.from_pack("starter")
    models.bind("mllm", object())
    engine = Engine(models, Registry([*control, FIRST, SECOND]), workers=2)
    program = engine.check("A=FIRST(image=IMAGE)\nB=SECOND(image=IMAGE)\nR=RESULT(var=[A,B])")
    jobs = [Job(i, (program,), {"IMAGE": picture(i)}) for i in range(12)]
    results = list(engine.stream(jobs))
    assert all(job.results[0].value == ["ocr", "mllm"] for job in results) and not overlaps
