"""The engine: merging, laziness, batching, isolation of faults, memory, observation and threads."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_fakes import COUNTER, HELLO, jobs_for, picture, write

from sightline.programs.engine import PLANS_KEPT, Engine, Job, Policy
from sightline.programs.recovery import let_go
from sightline.programs.syntax import Program, ProgramError
from sightline.tools.declaration import Column, tool
from sightline.tools.models import Models
from sightline.tools.registry import Registry, builtin_tools
from sightline.tools.values import Image


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


def test_a_chain_of_ifs_as_long_as_a_program_may_be(engine_parts: Any) -> None:
    lines = ["B=BOXES_OF(image=IMAGE)", "N=COUNT(box=B)", "X0=COUNT(box=B)"]
    lines += [f"X{i + 1}=IF(condition=N,then=X{i},otherwise='no')" for i in range(250)]
    text = "\n".join([*lines, "R=RESULT(var=X250)"])
    for observe in (False, True):
        assert engine_parts().run(text, {"IMAGE": picture(0)}, observe=observe).results[0].value == 3


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


def test_an_input_of_no_kind_is_one_failed_job(engine_parts: Any) -> None:
    engine = engine_parts(cache=True)
    jobs = jobs_for(engine, HELLO, [np.zeros((4, 4, 3)), picture(2), b"bytes"])
    results = {r.key: r for r in engine.stream(jobs)}
    assert results[1].results[0].ok
    assert "ndarray" in results[0].error.message and "Image.from_array" in results[0].error.message
    assert results[2].error is not None


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
