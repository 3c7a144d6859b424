"""The verifier end to end on pictures whose content is known: claims, verdicts, edits, events, streams, the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner
from verification_fakes import VOCABULARY, Fixed, box, models, picture, sure

from sightline import verify
from sightline.agent.controllers.base import Fact
from sightline.agent.events import Recorder
from sightline.agent.verification.counting import features as count_features
from sightline.agent.verification.evidence import meaning
from sightline.agent.verification.reliability import Linear
from sightline.agent.verification.verify import Stream
from sightline.cli import app
from sightline.errors import InputError
from sightline.programs.engine import Engine
from sightline.tools.models import Models
from sightline.tools.pack import Pack
from sightline.tools.values import Image, Region, Regions

# -- end to end ---------------------------------------------------------------------------------------------------------


def test_each_kind_of_claim_is_checked_and_mended() -> None:
    held, detector = models(
        box("dog", 10, color="brown"), box("dog", 60, color="brown"), box("car", 300, color="blue")
    )
    text = "Three brown dogs are to the right of a red car. There is no dog here. A cat sleeps."
    result = verify(picture(), text, models=held, reliability=sure())
    assert result.text == "Two brown dogs are to the left of a blue car. There is a dog here."
    assert result.draft == text
    assert detector.passes == result.passes == 1
    labels = {c.text: v.label for c, v in zip(result.claims, result.verdicts, strict=True)}
    assert labels["Three"] == labels["red"] == labels["no dog"] == labels["A cat"] == "contradicted"
    assert labels["a red car"] == "supported"
    assert "dogs [10, 40, 50, 80] [60, 40, 100, 80]" in result.grounded


def test_not_seen_is_not_absent_where_the_detector_misses_much() -> None:
    held, _ = models(box("dog", 10))
    result = verify(picture(), "A dog and a cat.", models=held, reliability=sure(recall=0.5))
    assert result.text == "A dog and a cat."
    assert [v.label for v in result.verdicts] == ["supported", "unverifiable"]


def test_what_nothing_can_look_for_is_unverifiable() -> None:
    held, _ = models(box("dog", 10))
    result = verify(picture(), "A dog next to a samovar.", models=held, reliability=sure())
    assert {c.text: v.label for c, v in zip(result.claims, result.verdicts, strict=True)}[
        "a samovar"
    ] == "unverifiable"
    assert result.text == "A dog next to a samovar."


def test_a_man_is_a_person() -> None:
    held, _ = models(box("person", 10))
    result = verify(picture(), "A man and a woman are here.", models=held, reliability=sure())
    assert all(v.label != "contradicted" for v in result.verdicts)


def test_a_thing_of_a_close_kind_stands_in() -> None:
    held, _ = models(box("cat", 10))
    assert verify(picture(), "A dog is asleep.", models=held, reliability=sure()).text == "A cat is asleep."


def test_a_bare_answer_is_turned() -> None:
    held, _ = models(box("cat", 10))
    assert (
        verify(picture(), "Yes.", question="Is there a horse?", models=held, reliability=sure()).text == "No."
    )
    assert (
        verify(
            picture(), "no", question="Is there a cat in the picture?", models=held, reliability=sure()
        ).text
        == "yes"
    )
    assert verify(picture(), "yes", question="Is there a cat?", models=held, reliability=sure()).text == "yes"


def test_facts_count_as_seen() -> None:
    held, _ = models()
    known = Fact("the horse", "one", Regions([box("horse", 10)]))
    result = verify(picture(), "A horse.", models=held, reliability=sure(), facts=[known])
    assert result.text == "A horse." and result.count("supported") == 1


def test_events_tell_claims_verdicts_and_edits() -> None:
    held, _ = models(box("dog", 10))
    recorder = Recorder("t")
    verify(picture(), "A dog and a cat.", models=held, reliability=sure(), recorder=recorder)
    kinds = [e.kind for e in recorder.events]
    assert kinds.count("claim") == kinds.count("verdict") == 2 and kinds.count("edit") == 1
    json.dumps([e.to_json() for e in recorder.events])
    claim = next(e for e in recorder.events if e.kind == "claim").data
    assert set(claim) >= {"id", "kind", "text", "span", "polarity", "entities"}


@pytest.mark.parametrize("text", ["", "   ", "x" * 20_001])
def test_bad_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        verify(picture(), text, models=models()[0])


def test_any_text_comes_through() -> None:
    held, _ = models(box("dog", 10))
    for text in (
        "!!!",
        "no",
        "A",
        "的",
        "\n\n",
        "of of of",
        '"',
        "the the a an",
        "A dog,,, and and a",
        "...",
        "(a [b) c]",
        "1. 2. 3.",
    ):
        if text.strip():
            assert isinstance(verify(picture(), text, models=held, reliability=sure()).text, str)


# -- evidence beyond what a detector lets stand --------------------------------------------------------------------------


class Glimpsing(Fixed):
    """A detector that also tells what it saw too faintly."""

    def __init__(self, regions: Sequence[Region], faint: Sequence[Region]) -> None:
        super().__init__(VOCABULARY, regions)
        self.faint = tuple(faint)

    def glimpse(self, images: Sequence[Image]) -> list[Regions]:
        return [Regions(self.faint) for _ in images]


def glimpsed(regions: Sequence[Region], faint: Sequence[Region]) -> Models:
    held = Models(Pack("test", "", {}, {}))
    held.bind("detector", Glimpsing(regions, faint), "glimpsing")
    return held


def test_what_was_seen_faintly_speaks_for_a_claim() -> None:
    weights = {"seen": 6.0, "doubt.any": 3.0, "faint.any": 3.0}
    reliability = replace(sure(), bias=-3.0, weights=weights)
    nothing = verify(picture(), "A cat.", models=glimpsed([box("dog", 10)], []), reliability=reliability)
    assert nothing.text != "A cat."
    for faint in (
        box("cat", 200, score=0.06),
        box("cup", 200, score=0.06),
    ):  # under its name, or a place that nobody knows
        held = glimpsed([box("dog", 10)], [faint])
        assert verify(picture(), "A cat.", models=held, reliability=reliability).text == "A cat."


def test_a_second_name_of_a_firm_thing_is_no_doubtful_place() -> None:
    reliability = replace(sure(), bias=-3.0, weights={"seen": 6.0, "doubt.any": 6.0})
    held = glimpsed([box("dog", 10)], [box("wolf", 12, score=0.06)])
    assert verify(picture(), "A dog and a cat.", models=held, reliability=reliability).text == "A dog."


def test_counts_weigh_the_last_candidate_and_the_next() -> None:
    model = Linear(-2.0, {"last": 1.0, "more": -1.0, "gap": 1.0})
    reliability = replace(sure(), models={"count": model})
    held = glimpsed([box("dog", 10)], [box("dog", 200, score=0.1)])
    assert verify(picture(), "Two dogs.", models=held, reliability=reliability).text == "Two dogs."
    assert verify(picture(), "Three dogs.", models=held, reliability=reliability).text != "Three dogs."
    assert count_features([0.9, 0.8], 2)["last"] > count_features([0.9], 2)["last"]


def test_a_colour_may_be_that_of_a_thing_that_was_not_seen() -> None:
    model = Linear(3.0, {"other": -6.0, "near": -6.0, "lack": 2.5})
    reliability = replace(sure(), models={"attribute": model})
    red, blue = box("cup", 10, color="red"), box("cup", 200, color="blue")
    text = "A red cup and a green cup."
    one = verify(picture(), text, models=models(red)[0], reliability=reliability)
    assert one.text == text  # the green one may be the one that was missed
    two = verify(picture(), text, models=models(red, blue)[0], reliability=reliability)
    assert two.text == "A red cup and a blue cup."


class Depth:
    """Farther to the right is farther away."""

    def depth(self, images: Sequence[Image]) -> list[np.ndarray]:
        return [np.tile(np.linspace(0, 1, i.width, dtype=np.float32), (i.height, 1)) for i in images]


def test_depth_decides_what_is_in_front() -> None:
    held, _ = models(box("dog", 10), box("car", 300))
    text = "A dog is behind a car."
    assert verify(picture(), text, models=held, reliability=sure()).text == text  # boxes cannot tell
    held.bind("depth", Depth(), "depth")
    assert verify(picture(), text, models=held, reliability=sure()).text == "A dog is in front of a car."
    assert (
        verify(picture(), "A dog in front of a car.", models=held, reliability=sure()).count("supported") == 3
    )


@pytest.mark.parametrize(
    ("name", "classes"),
    [("twin bed", ("bed",)), ("tomato sandwich", ("sandwich",)), ("house cat", ("cat",)), ("train station", ()), ("hot dog", ("hot dog",))],
)  # fmt: skip
def test_a_compound_is_of_the_class_of_its_head(name: str, classes: tuple[str, ...]) -> None:
    assert meaning(name, ("bed", "sandwich", "cat", "train", "dog", "hot dog")).classes == classes


def test_the_trace_tells_claims_first_then_one_plan_then_verdicts() -> None:
    held, _ = models(box("dog", 10))
    recorder = Recorder("t")
    verify(picture(), "A dog and a cat.", models=held, reliability=sure(), recorder=recorder)
    kinds = [e.kind for e in recorder.events]
    assert (
        kinds.index("claim")
        < kinds.index("graph")
        < kinds.index("step")
        < kinds.index("verdict")
        < kinds.index("edit")
    )
    graph = next(e for e in recorder.events if e.kind == "graph").data
    step = next(e for e in recorder.events if e.kind == "step").data
    assert step["program"] == graph["program"] and step["node"] in {n["id"] for n in graph["nodes"]}
    assert f"{step['name']}={step['op']}(" in graph["text"]
    assert len([e for e in recorder.events if e.kind == "step"]) == 1


# -- streaming ----------------------------------------------------------------------------------------------------------


def test_a_stream_verifies_sentences_as_they_end_with_one_pass() -> None:
    held, detector = models(box("dog", 10), box("car", 200))
    stream = Stream(picture(), models=held, reliability=sure())
    out: list[str] = []
    for piece in ("A dog and a c", "at. Th", "e cat is black. A ca", "r."):
        out += list(stream.feed(piece))
    out.append(stream.end())
    assert "".join(out) == "A dog. A car."
    assert detector.passes == 1


# -- the command --------------------------------------------------------------------------------------------------------


def test_the_command_prints_json_and_a_page(tmp_path, monkeypatch) -> None:
    path = tmp_path / "p.png"
    picture().pil().save(path)
    held, _ = models(box("dog", 10))
    monkeypatch.setattr(Models, "from_pack", classmethod(lambda cls, *a, **k: held))
    page = tmp_path / "p.html"
    result = CliRunner().invoke(
        app, ["verify", str(path), "A dog & <b>no</b> cat.", "--json", "--html", str(page)]
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["status"] == "done" and told["claims"][0]["label"] == "supported" and told["passes"] == 1
    assert "<b>no" not in page.read_text("utf-8") and "data:image/jpeg" in page.read_text("utf-8")


def test_the_command_refuses_nothing_to_verify(tmp_path) -> None:
    path = tmp_path / "p.png"
    picture().pil().save(path)
    assert CliRunner().invoke(app, ["verify", str(path), "  "]).exit_code != 0


def test_the_engine_may_be_given() -> None:
    held, _ = models(box("dog", 10))
    assert verify(picture(), "A dog.", engine=Engine(held)).usage.calls >= 1
