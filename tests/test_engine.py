"""The engine: merging, laziness, batching, caching, isolation of faults, memory and observation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.programs.cache import ResultCache
from sightline.programs.engine import Engine, Job, Policy
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
    return Regions(Region((4.0 * i, 0, 4.0 * i + 4, 4), label=f"b{i}", picture=image.picture) for i in range(n))


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
    programs = [HELLO, HELLO.replace("A=", "OTHER=").replace("=A)", "=OTHER)"), HELLO.replace("word='hello'", 'word="hello"')]
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
    import os

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
    value = engine_parts().run("\n".join([*lines, "R=RESULT(var=C240)"]), {"IMAGE": picture(0)}).results[0].value
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
    region = Region((1 / 3, 2 / 7, 10.123456789, 11.0), label="x", score=0.987654321, text="é", parents=("p",))
    with ResultCache(tmp_path) as cache:
        cache.put("key", Regions([region]))
    with ResultCache(tmp_path) as cache:
        assert cache.decode(cache.get_many(["key"])["key"]) == Regions([region])
