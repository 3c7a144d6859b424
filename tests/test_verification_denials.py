"""Against the embedded eyes: a denial falls to what is seen and never to a guess of what was not; what a sign says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.agent.verification.scene_truth import scenes
from sightline.agent.verification.verify import verify
from sightline.programs.engine import Engine
from sightline.tools.models import Models
from sightline.tools.values import Image


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Models.from_pack("scenes"))


@pytest.fixture(scope="module")
def drawn():
    return next(iter(scenes("test", 11, 1)))


@pytest.mark.parametrize(
    "text", ["no", "No, there is no dog.", "There are 0 dogs in the picture.", "There are no dogs."]
)
@pytest.mark.parametrize("question", ["", "Is there a dog in the picture?"])
def test_a_denial_of_what_nobody_saw_stays(engine, drawn, text: str, question: str) -> None:
    assert "dog" not in {o.kind for o in drawn.scene.objects}
    assert verify(drawn.image, text, engine=engine, question=question).text == text


def test_a_denial_of_what_is_seen_falls(engine, drawn) -> None:
    kind = drawn.scene.objects[0].kind
    asked = f"Is there a {kind} in the picture?"
    assert verify(drawn.image, "no", engine=engine, question=asked).text == "yes"
    number = sum(o.kind == kind for o in drawn.scene.objects)
    said = verify(drawn.image, f"There are 0 {kind}s in the picture.", engine=engine).text
    assert number == 1 and said == f"There is 1 {kind} in the picture."


@pytest.mark.parametrize("said", ["CLOSED", '"CLOSED"', "OPEN"])
def test_words_in_capitals_are_what_a_sign_says(engine, said: str) -> None:
    picture = Image.open(Path(__file__).parents[1] / "examples" / "scene.png")
    told = verify(picture, f"The umbrella is blue and the sign says {said}.", engine=engine)
    (text,) = (claim for claim in told.claims if claim.kind == "text")
    assert told.draft[slice(*text.span)] == said and text.value == said.strip('"')
    (verdict,) = (v for v in told.verdicts if v.claim == text.id)
    assert verdict.label == ("supported" if said == "OPEN" else "contradicted")
    assert told.text == told.draft.replace("CLOSED", "OPEN")
