"""What a language model may add to verification and what it may not, and the faults of Woodpecker's way, each shown beside ours."""

from __future__ import annotations

from verification_fakes import FixedOpen, Scripted, box, models, picture, sure

from sightline import verify
from sightline.agent.controllers.base import RawClaim
from sightline.agent.records import Style
from sightline.agent.verification.claims import extract
from sightline.agent.verification.evidence import distinct
from sightline.tools.models import Models
from sightline.tools.pack import Pack


def test_one_call_finds_the_claims_and_their_spans() -> None:
    held, _ = models(box("dog", 10, color="brown"))
    raw = [RawClaim("existence", "a dog", ("dog",)), RawClaim("color", "jet-black", ("dog",), "jet-black"),
           RawClaim("existence", "words that were not said", ("unicorn",))]  # fmt: skip
    controller = Scripted(raw)
    text = "One can see a dog, jet-black all over."
    result = verify(picture(), text, models=held, controller=controller, reliability=sure())
    assert controller.calls == 1
    assert all(text[c.span[0] : c.span[1]] == c.text for c in result.claims)
    assert not any("unicorn" in c.entities for c in result.claims)


def test_a_number_that_was_not_said_is_no_claim() -> None:
    held, _ = models(box("dog", 10), box("dog", 60))
    for text, value, told in (
        ("dog", "0", "dog"),
        ("A dog.", "1", "A dog."),
        ("Half a dozen dogs.", "6", None),
    ):
        raw = [RawClaim("count", text.rstrip("."), ("dog",), value)]
        result = verify(picture(), text, models=held, controller=Scripted(raw), reliability=sure())
        assert (told is None) == any(c.kind == "count" for c in result.claims), text
        assert told is None or result.text == told


def test_without_such_a_model_the_rules_find_them() -> None:
    held, _ = models(box("dog", 10))
    result = verify(picture(), "A dog and a cat.", models=held, controller=Scripted(), reliability=sure())
    assert result.text == "A dog."


def test_a_wording_that_adds_a_claim_is_thrown_away() -> None:
    held, _ = models(box("dog", 10))
    text = "A dog and a cat."
    kept = verify(
        picture(),
        text,
        models=held,
        controller=Scripted([], "There is a dog."),
        refine=Style(),
        reliability=sure(),
    )
    assert kept.text == "There is a dog."
    lost = verify(picture(), text, models=held, controller=Scripted([], "A dog sits on a sofa [1, 2, 3, 4]."), refine=Style(),
                  reliability=sure())  # fmt: skip
    assert lost.text == "A dog." and lost.grounded == "A dog [10, 40, 50, 80]."


# -- each of these fails on Woodpecker's way of doing it --------------------------------------------------------------


def test_a_sentence_without_things_shifts_nothing() -> None:
    text = "The atmosphere is pleasant. A dog sleeps. A cat runs."
    named = [
        ["dog"],
        ["cat"],
    ]  # its way: sentences without concepts are dropped from one list and not from the other
    sentences = text.split(". ")
    assert dict(zip(sentences, named, strict=False))["A dog sleeps"] == ["cat"]
    for claim in extract(text).claims:
        assert (
            claim.entities[0] in text[claim.span[0] : claim.span[1]].lower()
            or claim.entities[0] in sentences[claim.sentence].lower()
        )


def test_a_box_called_man_is_no_lack_of_persons() -> None:
    man = box("man", 10)
    by_name = {name: [r for r in [man] if r.label == name] for name in ("man", "person")}
    assert by_name["person"] == []  # its way: the place went to the other name, so there is no person
    held = Models(Pack("test", "", {}, {}))
    held.bind("open_vocabulary", FixedOpen([man]), "fixed")
    result = verify(picture(), "A man walks. A person smiles.", models=held, reliability=sure())
    assert result.count("contradicted") == 0 and result.text == "A man walks. A person smiles."


def test_one_thing_seen_twice_is_one() -> None:
    twice = [box("dog", 10, size=100), box("dog", 12, size=100)]
    assert len([r for r in twice if r.label == "dog"]) == 2  # its way: above .9 of overlap both are counted
    assert len(distinct(twice)) == 1
    held, _ = models(*twice)
    assert verify(picture(), "Two dogs.", models=held, reliability=sure()).text == "One dog."


def test_unlike_things_in_one_place_are_two() -> None:
    assert len(distinct([box("man", 10), box("dog", 10)])) == 2
    assert len(distinct([box("man", 10), box("person", 10)])) == 1


def test_not_detected_is_no_hard_no() -> None:
    held, _ = models()
    draft = "A cup."
    its_way = "There is no cup."
    result = verify(picture(), draft, models=held, reliability=sure(recall=0.4))
    assert result.text == draft != its_way


def test_boxes_come_from_the_evidence_and_from_nobody_else() -> None:
    held, _ = models(box("dog", 10))
    typed = "A dog [0, 0, 999, 999]."  # its way: the language model types the boxes
    result = verify(
        picture(), "A dog.", models=held, controller=Scripted([], typed), refine=Style(), reliability=sure()
    )
    assert result.grounded == "A dog [10, 40, 50, 80]."
    assert [r.box for r in result.regions] == [(10, 40, 50, 80)]
