"""What let false claims stand and made true ones wrong, one test for each cause that was mended."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from verification_fakes import box, models, picture, sure

from sightline import verify
from sightline.agent.verification import calibrate_scenes
from sightline.agent.verification.calibrate_scenes import Row
from sightline.agent.verification.claims import extract
from sightline.agent.verification.evidence import apart
from sightline.agent.verification.lexical import alike
from sightline.agent.verification.reliability import Linear, shipped
from sightline.agent.verification.scene_truth import corrupted, scenes, truth
from sightline.tools.values import Region


def told(text: str, *regions: Region, **options: object) -> str:
    held, _ = models(*regions)
    return verify(picture(), text, models=held, reliability=replace(sure(), **options)).text


def test_nothing_takes_the_place_of_what_was_asked_for() -> None:
    said = "Yes, there is a dog in the image, and it is asleep."
    assert told(said, box("wolf", 10)) == "No, there is no dog in the image."
    assert told("A dog is asleep.", box("wolf", 10)) == "A wolf is asleep."


def test_a_bicycle_is_no_backpack() -> None:
    assert (
        not alike("backpack", "bicycle") and not alike("handbag", "remote") and not alike("cup", "keyboard")
    )
    assert alike("dog", "wolf") and alike("bowl", "cup") and alike("truck", "car")


def test_a_box_between_two_things_is_no_third() -> None:
    stack = [box("dog", 10, 40), box("dog", 10, 80, score=0.8)]
    between = box("dog", 10, 60, score=0.7)
    assert len(apart([*stack, between])) == 2
    assert len(apart([stack[0], between])) == 2  # it straddles nothing
    assert len(apart([*stack, box("dog", 40, 60)])) == 3  # half of it lies free
    assert told("Two dogs sleep.", *stack, between) == "Two dogs sleep."


@pytest.mark.parametrize("text", ["There are zero dogs in the picture.", "Zero dogs are here."])
def test_zero_is_a_number(text: str) -> None:
    (claim,) = extract(text).claims
    assert (claim.kind, claim.value, claim.entities) == ("count", "0", ("dog",))
    assert told(text, box("cat", 10)) == text
    assert told(text, box("dog", 10)) == text.replace("are", "is").replace("ero dogs", "ne dog").replace(
        "Zne", "One"
    ).replace("zne", "one")


@pytest.mark.parametrize("text", ["There is no red car.", "There are zero red cars."])
def test_a_denial_of_one_colour_does_not_fall_to_another(text: str) -> None:
    assert told(text, box("car", 10, color="blue")) == text


def test_one_more_than_is_seen_goes() -> None:
    text = "There is a red cup, a blue cup and a dog."
    seen = (box("cup", 10, color="red"), box("dog", 200))
    assert told(text, *seen) == "There is a red cup and a dog."
    assert told(text, *seen, box("cup", 100, color="green")) == "There is a red cup, a green cup and a dog."


def test_pixels_speak_where_the_detector_names_another_colour() -> None:
    model = Linear(-3.0, {"same": 6.0, "pixels": 8.0})
    gray = picture()  # all of it
    for claimed, want in (("gray", "A gray cup."), ("green", "A blue cup.")):
        held, _ = models(box("cup", 10, color="blue"))
        reliability = replace(sure(), models={"attribute": model})
        assert verify(gray, f"A {claimed} cup.", models=held, reliability=reliability).text == want


def test_what_is_named_over_and_over_is_less_likely() -> None:
    weights = {"seen": 6.0, "again": -6.0}
    assert told("A cat and a dog.", box("dog", 10), bias=0.0, weights=weights) == "A cat and a dog."
    text = "A cat, a cat, a cat and a dog."
    assert told(text, box("dog", 10), bias=0.0, weights=weights) == "A dog."


def test_a_word_on_a_sign_is_made_false() -> None:
    for drawn in scenes("val", 6, 40):
        sign = next((o.word for o in drawn.scene.objects if o.word), None)
        if sign is None:
            continue
        text = f'There is a sign that says "{sign}".'
        false = corrupted(text, extract(text), drawn.scene, "text", Random(0))
        assert false is not None and false != text
        (claim,) = (c for c in extract(false).claims if c.kind == "text")
        assert truth(claim, extract(false), drawn.scene) is False
        return
    pytest.fail("no sign on 40 scenes")


def test_answers_of_others_are_fitted_apart() -> None:
    """The core MLLM's own unseen yes is half right here, anybody else's is wrong: the fit tells them apart."""
    rows = []
    for n in range(60):
        seen = {"seen": 1.0, "score.seen": -0.1, "answer": 1.0}
        unseen = {"answer": 1.0, "answer.unseen": 1.0}
        own = unseen | {"own.unseen": 1.0, "own.answer": 1.0}
        for source, looks in (("answer", own), ("heard", unseen)):
            rows.append(Row(str(n), source, "existence", True, True, seen))
            rows.append(Row(str(n), source, "existence", True, source == "answer" and n % 2 == 0, looks))
        rows.append(Row(str(n), "heard", "existence", False, True, unseen | {"denied": 1.0}))
        rows.append(Row(str(n), "heard", "existence", False, False, seen | {"denied": 1.0}))
        rows.append(Row(str(n), "said", "existence", True, n > 0, seen))
        for true, last in ((True, -0.1), (False, -5.5)):
            rows.append(Row(str(n), "", "count", True, true, {"last": last, "more": -5.5, "gap": last + 5.5}))
        for true, what in ((True, "same"), (False, "other")):
            rows.append(Row(str(n), "", "attribute", True, true, {what: 1.0}, f"color.{what}"))
        rows.append(
            Row(str(n), "text", "text", True, n % 2 == 0, {}, "text.same" if n % 2 == 0 else "text.other")
        )
    fitted = calibrate_scenes.fit(rows, shipped("default"), {"fitted_on": "rows"})
    assert fitted.existence(unseen) < 0.1 < 0.35 < fitted.existence(own) < 0.65
    assert fitted.existence(unseen | {"denied": 1.0}, False) < 0.1
    assert fitted.observed("text.other") < fitted.threshold("text").contradict < fitted.observed("text.same")


def test_the_shipped_fit_needs_no_guard_for_a_denial_of_what_nobody_saw() -> None:
    fitted = shipped("scenes")
    for answer in ({}, {"answer": 1.0, "answer.unseen": 1.0}):
        chance = fitted.existence({"denied": 1.0, **answer}, False)
        assert fitted.threshold("denied").label(1 - chance) != "contradicted"
    assert fitted.observed("text.other") < fitted.threshold("text").contradict
