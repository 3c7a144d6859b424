"""The optimiser's passes one by one, each equal to the long way, and the engine equal to a plain interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ops_fakes as fakes
import pytest

from benchmarks import sequential
from sightline.errors import RoleError, SightlineError
from sightline.programs.cache import ResultCache
from sightline.programs.engine import Engine, Job
from sightline.programs.explain import explain
from sightline.programs.inputs import bind
from sightline.programs.library import library
from sightline.programs.outputs import to_json
from sightline.tools.backends import Backend, backends
from sightline.tools.models import Models


class Kit:
    """An engine whose roles are all filled by fakes that count."""

    def __init__(self, cache: Path | None = None, **left_out: None) -> None:
        self.image = fakes.noise(120, 90)
        self.things = [
            fakes.region(self.image, (2, 4, 40, 60), "dog", score=0.9),
            fakes.region(self.image, (50, 10, 70, 30), "dog", score=0.8),
            fakes.region(self.image, (60, 40, 118, 88), "person", score=0.7),
            fakes.region(self.image, (80, 2, 86, 8), "bus", score=0.6),
        ]
        self.detector = fakes.FakeDetector(self.things)
        self.open = fakes.FakeOpenDetector()
        self.classifier = fakes.FakeClassifier()
        roles = {
            "detector": self.detector,
            "open_vocabulary": self.open,
            "segmenter": fakes.FakeSegmenter(),
            "ocr": fakes.FakeReader(),
            "classifier": self.classifier,
            "face_detector": fakes.FakeFaces(),
            "depth": fakes.FakeDepth(),
            "inpainter": fakes.FakeInpainter(),
            "mllm": fakes.FakeMLLM(),
        }
        self.models = Models.from_pack("starter")
        for role, filler in roles.items():
            if role not in left_out:
                self.models.bind(role, filler, weights=f"fake {role}")
        self.engine = Engine(self.models, cache=ResultCache(cache) if cache else None)

    def plan_ops(self, *programs: str) -> list[str]:
        return [step.op for step in explain(self.engine, [self.engine.check(p) for p in programs]).steps]

    def notes(self, *programs: str) -> tuple[str, ...]:
        return explain(self.engine, [self.engine.check(p) for p in programs]).notes

    def both(self, *programs: str) -> list[Any]:
        """The values by the engine, which must be those of the plain interpreter."""
        checked = [self.engine.check(p) for p in programs]
        job = self.engine.run(checked, {"IMAGE": self.image})
        values = [result.value for result in job.results]
        assert all(result.ok for result in job.results), [r.errors for r in job.results]
        for program, value in zip(checked, values, strict=True):
            plain = sequential.run(program, {"IMAGE": self.image}, self.engine.registry, self.models)
            assert to_json(value, None, "x") == to_json(plain, None, "x")
        return values


def loc(name: str) -> str:
    return f"B=LOC(image=IMAGE,object='{name}')\nR=RESULT(var=B)"


def test_several_loc_on_one_picture_are_one_detector_pass() -> None:
    kit = Kit()
    programs = [loc("dog"), loc("person"), loc("a dog"), "S=SEG(image=IMAGE)\nR=RESULT(var=S)"]
    ops = kit.plan_ops(*programs)
    assert ops.count("DETECT") == 1 and "LOC" not in ops
    assert any(note.startswith("fused") for note in kit.notes(*programs))
    kit.engine.run([kit.engine.check(p) for p in programs], {"IMAGE": kit.image})
    assert kit.detector.passes == [1]


def test_fused_loc_gives_what_loc_alone_gives() -> None:
    kit = Kit()
    values = kit.both(loc("dog"), loc("person"), loc("animal"), "S=SEG(image=IMAGE)\nR=RESULT(var=S)")
    assert [len(value) for value in values] == [2, 1, 2, 4]


def test_names_outside_the_vocabulary_are_asked_in_one_call() -> None:
    kit = Kit()
    kit.both(loc("kettle"), loc("ladle"))
    assert kit.open.asked[0] == ("kettle", "ladle")


def test_a_cheap_filter_goes_before_a_dear_classifier() -> None:
    text = """B=LOC(image=IMAGE,object=['dog','person','bus'])
C=CLASSIFY(image=IMAGE,object=B,categories=['bright','dark'])
F=FILTER(object=C,where='{}',image=IMAGE)
R=RESULT(var=F)"""
    kit = Kit()
    big = text.format("area > 5%")
    assert kit.plan_ops(big).index("FILTER") < kit.plan_ops(big).index("CLASSIFY")
    assert "moved FILTER before CLASSIFY" in kit.notes(big)
    kit.engine.run(big, {"IMAGE": kit.image})
    assert kit.classifier.passes == [2]  # of the four, the ones that are large
    kit.both(big)
    by_label = text.format('label == "dark"')  # what CLASSIFY writes cannot be asked before it
    assert kit.plan_ops(by_label).index("CLASSIFY") < kit.plan_ops(by_label).index("FILTER")
    kit.both(by_label)


def test_a_filter_stays_where_someone_else_reads_what_is_before_it() -> None:
    kit = Kit()
    text = """B=LOC(image=IMAGE,object='dog')
C=CLASSIFY(image=IMAGE,object=B,categories=['bright','dark'])
F=FILTER(object=C,where='area > 500')
N=COUNT(box=F)
M=COUNT(box=C)
R=RESULT(var=[N,M])"""
    assert not any("moved" in note for note in kit.notes(text))
    assert kit.both(text) == [[1, 2]]


def test_constants_are_folded_and_with_them_branches() -> None:
    kit = Kit()
    text = """A=EVAL(expr='2 + 3')
Q=VQA(image=IMAGE,question='dear?')
X=IF(condition=False,then=Q,otherwise=A)
R=RESULT(var=X)"""
    ops = kit.plan_ops(text)
    assert "VQA" not in ops and "IF" not in ops and "EVAL" not in ops
    notes = kit.notes(text)
    assert "folded EVAL to 5" in notes and "folded IF to its 'otherwise' branch" in notes
    assert kit.both(text) == [5]


def test_an_error_in_a_constant_is_the_steps_own_and_only_when_it_is_needed() -> None:
    kit = Kit()
    text = "A=EVAL(expr='1 / 0')\nX=IF(condition={},then=A,otherwise=7)\nR=RESULT(var=X)"
    assert kit.engine.run(text.format("False"), {}).results[0].value == 7
    failed = kit.engine.run(text.format("True"), {}).results[0]
    assert not failed.ok and failed.errors[0].step == "A"


def test_merged_and_dead_steps_are_told() -> None:
    text = """B=LOC(image=IMAGE,object='dog')
C=LOC(object="dog",image=IMAGE)
T=OCR(image=IMAGE)
N=COUNT(box=B)
M=COUNT(box=C)
R=RESULT(var=[N,M])"""
    notes = Kit().notes(text)
    assert "dropped 1 dead step" in notes and "merged 2 identical steps" in notes


def test_explain_shows_measured_costs_once_there_are_some(tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    program = kit.engine.check(loc("dog"))
    before = {step.op: step for step in explain(kit.engine, [program]).steps}
    assert (
        not before["DETECT"].measured
        and before["DETECT"].ms == 40
        and before["DETECT"].roles == ("detector",)
    )
    kit.engine.run(program, {"IMAGE": kit.image})
    plan = explain(kit.engine, [program])
    after = {step.op: step for step in plan.steps}
    assert after["DETECT"].measured and after["DETECT"].ms != 40
    assert plan.critical_ms <= plan.total_ms and "DETECT" in plan.text()


def test_the_engine_gives_what_a_plain_interpreter_gives_on_the_whole_library(tmp_path: Path) -> None:
    """All programs at once on each set of pictures, twice (the second time from the cache), against one by one."""
    kit = Kit(tmp_path)
    pictures = [kit.image, fakes.noise(80, 100, seed=3)]
    groups: dict[tuple[str, ...], list[Any]] = {}
    for item in library():
        program = kit.engine.check(item.program())
        groups.setdefault(tuple(sorted(program.inputs)), []).append(program)
    compared = 0
    for names, programs in groups.items():
        inputs = bind(programs[0], pictures if len(names) > 1 or names == ("IMAGES",) else pictures[:1])[0]
        for _ in range(2):
            (job,) = kit.engine.stream([Job(0, tuple(programs), inputs)])
            for program, result in zip(programs, job.results, strict=True):
                try:
                    plain = sequential.run(program, inputs, kit.engine.registry, kit.models)
                except SightlineError as error:
                    assert not result.ok and result.errors[0].message == " ".join(str(error).split())
                    continue
                assert result.ok, (program.text, result.errors)
                assert to_json(result.value, None, "x") == to_json(plain, None, "x"), program.text
                compared += 1
    assert compared >= 70


class Unlucky:
    """A detector back end that fails so many times, counted over all of its kind, before it answers."""

    left = 0
    calls = 0
    vocabulary = ("dog",)

    def __init__(self, weights: Path | None, digest: str, label: str = "dog") -> None:
        self.label = label

    def detect(self, images: Any) -> list[Any]:
        type(self).calls += 1
        if self.label == "dog" and Unlucky.left:
            Unlucky.left -= 1
            raise RuntimeError("the device was lost")
        kit = [fakes.region(image, (1, 1, 9, 9), "dog", weights=self.label) for image in images]
        return [fakes.Regions([region]) for region in kit]


@pytest.fixture
def unlucky(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    Unlucky.left = Unlucky.calls = 0
    monkeypatch.setattr(Backend, "load", lambda self: Unlucky)
    monkeypatch.setitem(backends(), "unlucky", Backend("unlucky", "x:y", ("detector",), "file"))
    (tmp_path / "a.pt").write_text("weights")
    return tmp_path


def packed(folder: Path, more: str) -> Engine:
    path = folder / "mine.yaml"
    path.write_text(f"name: mine\nroles:\n  detector:\n    backend: unlucky\n    weights: a.pt\n{more}")
    return Engine(Models.from_pack(path), cache=ResultCache(folder / "cache"))


FALLBACK = "    fallback: {backend: unlucky, weights: a.pt, options: {label: spare}}\n"


def test_a_pack_says_how_often_a_role_is_tried_again(unlucky: Path) -> None:
    Unlucky.left = 2
    assert not packed(unlucky, "    retries: 1\n").run(loc("dog"), {"IMAGE": fakes.noise()}).results[0].ok
    Unlucky.left = 2
    result = packed(unlucky, "    retries: 2\n").run(loc("dog"), {"IMAGE": fakes.noise()}).results[0]
    assert result.ok and result.value[0].weights == "dog"


def test_a_pack_names_a_fallback_whose_results_are_not_kept_as_the_roles_own(unlucky: Path) -> None:
    Unlucky.left = 10**6
    image = fakes.noise()
    engine = packed(unlucky, FALLBACK)
    result = engine.run(loc("dog"), {"IMAGE": image}).results[0]
    assert result.ok and result.value[0].weights == "spare"
    Unlucky.left = 0  # the first back end works again, and its own result is what is given
    result = engine.run(loc("dog"), {"IMAGE": image}, observe=False).results[0]
    assert result.ok and result.value[0].weights == "dog"


def test_a_fallback_that_knows_fewer_names_never_counts_them_as_none(
    unlucky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wide(Unlucky):
        vocabulary = ("dog", "helmet")

    Unlucky.left = 10**6
    monkeypatch.setattr(Backend, "load", lambda self: Wide if self.name == "wide" else Unlucky)
    monkeypatch.setitem(backends(), "wide", Backend("wide", "x:y", ("detector",), "file"))
    packed(unlucky, FALLBACK)
    (unlucky / "mine.yaml").write_text((unlucky / "mine.yaml").read_text().replace("unlucky", "wide", 1))
    engine = Engine(Models.from_pack(unlucky / "mine.yaml"))
    text = "B=LOC(image=IMAGE,object='helmet')\nN=COUNT(box=B)\nR=RESULT(var=N)"
    result = engine.run(text, {"IMAGE": fakes.noise()}).results[0]
    assert not result.ok and "does not know helmet" in result.errors[0].message


def test_pictures_made_under_way_count_for_the_bound_on_memory() -> None:
    kit = Kit()
    edit = "B=LOC(image=IMAGE,object='dog')\nI=BLUR(image=IMAGE,object=B)\nJ=COLORPOP(image=I,object=B)\nR=RESULT(var=J)"
    crop = "B=LOC(image=IMAGE,object='LEFT')\nI=CROP(image=IMAGE,box=B)\nR=RESULT(var=I)"
    assert kit.engine.plan([kit.engine.check(edit)]).pictures == 2
    assert kit.engine.plan([kit.engine.check(crop)]).pictures == 0


def test_large_pictures_are_let_in_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.programs.scheduler.PIXELS_IN_FLIGHT", 3 * 100 * 80)
    kit = Kit()
    program = kit.engine.check(loc("dog"))
    taken = 0

    def jobs() -> Any:
        nonlocal taken
        for number in range(30):
            taken += 1
            yield Job(number, (program,), {"IMAGE": fakes.noise(100, 80, seed=number)})

    list(kit.engine.stream(jobs()))
    assert taken == 30 and max(kit.detector.passes) <= 4


def test_planning_downloads_nothing_that_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead step, a branch not taken and `explain` leave a pack's weights where they are."""
    pulled: list[str] = []
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path))

    def refuse(spec: Any, progress: Any = None) -> Path:
        pulled.append(spec.role)
        raise RoleError(f"no network for {spec.role}")

    monkeypatch.setattr("sightline.tools.weightfiles.pull", refuse)
    engine = Engine(Models.from_pack("standard", fetch=True), cache=ResultCache(tmp_path / "cache"))
    text = """L=LOC(image=IMAGE,object='LEFT')
Q=VQA(image=IMAGE,question='dear?')
D=CAPTION(image=IMAGE)
N=COUNT(box=L)
X=IF(condition=N,then='cheap',otherwise=Q)
R=RESULT(var=X)"""
    assert engine.run(text, {"IMAGE": fakes.noise()}).results[0].value == "cheap"
    assert pulled == []
    used = engine.run("Q=VQA(image=IMAGE,question='?')\nR=RESULT(var=Q)", {"IMAGE": fakes.noise()}).results[0]
    assert not used.ok and set(pulled) == {"mllm"}


@pytest.mark.parametrize("answer", ["no", "No.", " NO! ", "false", "none", "0", ""])
def test_a_models_no_is_no_to_if(answer: str) -> None:
    kit = Kit()
    text = f"X=IF(condition='{answer}',then='then',otherwise='otherwise')\nR=RESULT(var=X)"
    assert kit.engine.run(text, {}).results[0].value == "otherwise"
