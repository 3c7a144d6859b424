"""Claims about procedural scenes held against their ground truth, and captions with one thing made wrong on purpose.

The truth is read off the scene, not from anything that the verifier uses; where a half-hidden thing or a margin leaves it open,
there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from ...mllm.scenes import vocabulary
from ...mllm.scenes.describe import detailed_caption, number_word, short_caption
from ...mllm.scenes.relations import direction, holds, side_of
from ...mllm.scenes.render import render
from ...mllm.scenes.schema import Scene, SceneObject
from ...mllm.scenes.view import SURE, View
from ...mllm.scenes.world import make_scene, split_seed
from ...tools.values import Image
from ..oracle import is_called
from .claims import Claim, Extraction

KINDS = ("existence", "count", "attribute", "relation")
_RELATIONS = {
    "left of": "left of",
    "right of": "right of",
    "above": "above",
    "below": "below",
    "over": "above",
    "under": "below",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A held-out scene as drawn."""

    scene: Scene
    image: Image


def scenes(split: str, stream: int, count: int) -> Iterator[Drawn]:
    """Scenes of a split with at least one thing in plain view."""
    made = index = 0
    while made < count:
        drawn = render(make_scene(split_seed(split, stream, index)))
        index += 1
        if View(drawn.scene).sure:
            made += 1
            yield Drawn(drawn.scene, Image.from_array(drawn.image, source=f"scene {drawn.scene.seed}"))


def truth(claim: Claim, found: Extraction, scene: Scene) -> bool | None:
    """Whether a claim holds of a scene; None where people might disagree, or where scenes do not say."""
    value = _truth(claim, found, scene)
    return value if value is None or claim.polarity else not value


def _called(name: str, scene: Scene) -> list[SceneObject]:
    return [o for o in scene.objects if is_called(o, name)]


def _truth(claim: Claim, found: Extraction, scene: Scene) -> bool | None:
    if claim.kind == "text":
        return any(o.word and o.word.casefold() == claim.value.casefold() for o in scene.objects)
    if not claim.entities:
        return None
    items = _called(claim.entities[0], scene)
    hidden = any(o.visible < SURE for o in items)
    if claim.kind == "existence":
        return True if any(o.visible >= SURE for o in items) else None if items else False
    if claim.kind == "count":
        if hidden or claim.value.endswith("+"):
            return None
        return _counts(claim, found, items)
    if claim.kind == "attribute":
        if claim.aspect not in ("color", "size"):
            return None
        if any(getattr(o, claim.aspect) == claim.value for o in items):
            return True
        return None if hidden or any(o.color == vocabulary.MULTICOLOR for o in items) else False
    if claim.kind == "relation" and claim.value in _RELATIONS and len(claim.entities) == 2:
        others = _called(claim.entities[1], scene)
        told = [
            holds(_RELATIONS[claim.value], a.box, b.box, side_of(scene))
            for a in items
            for b in others
            if a is not b
        ]
        if any(told):
            return True
        return False if not told or all(t is False for t in told) else None
    return None


def _counts(claim: Claim, found: Extraction, items: list[SceneObject]) -> bool:
    """Whether the number is that of all such things, of those in the colour said, or of those not spoken of beside them."""
    number = int(claim.value)
    ref = claim.refs[0]

    def colors(entity: int) -> set[str]:
        return {
            c.value
            for c in found.claims
            if c.kind == "attribute" and c.aspect == "color" and c.refs[0] == entity
        }

    own = colors(ref)
    if own:
        return sum(o.color in own for o in items) == number
    others = set().union(
        *[colors(e.id) for e in found.entities if e.id != ref and e.name == found.entities[ref].name]
        or [set()]
    )
    return number in (len(items), sum(o.color not in others for o in items))


def true_caption(scene: Scene, rng: Random) -> str:
    """Sentences that hold of a scene: what there is, and how two things of it stand to each other."""
    view = View(scene)
    told = [short_caption(view, "en", color=True) if rng.random() < 0.6 else detailed_caption(view, "en")]
    single = [i for i in view.sure if len(_called(view.objects[i].kind, scene)) == 1]
    rng.shuffle(single)
    for a, b in zip(single[::2], single[1::2], strict=False):
        one, two = view.objects[a], view.objects[b]
        where = direction(one.box, two.box, side_of(scene))
        if where is not None and len(told) < 3:
            told.append(
                f"The {one.kind} is {'to the ' if where.endswith('of') else ''}{where} the {two.kind}."
            )
    return " ".join(told)


def corrupted(caption: str, found: Extraction, scene: Scene, kind: str, rng: Random) -> str | None:
    """The caption with one claim of a kind made false; None where it has none that can be."""
    claims = [c for c in found.claims if c.kind == kind and truth(c, found, scene) is True]
    rng.shuffle(claims)
    for claim in claims:
        low, high = claim.span
        new: str | None = None
        if kind == "existence" and not found.entities[claim.refs[0]].plural:
            mention = found.entities[claim.refs[0]].mentions[0]
            chunk = found.sentences[mention.sentence].chunks[mention.chunk]
            absent = [k for k in vocabulary.KINDS if vocabulary.KINDS[k].category not in ("text", "shape") and not any(
                is_called(o, h) for o in scene.objects for h in (k, *vocabulary.hypernyms(k)[:1]))]  # fmt: skip
            if absent and not any(m for m in found.entities[claim.refs[0]].mentions[1:]):
                low, high = chunk.start, chunk.end
                new = vocabulary.article(rng.choice(absent))
                new = new[:1].upper() + new[1:] if caption[low].isupper() else new
        elif kind == "count":
            other = [n for n in range(2, 10) if abs(n - int(claim.value)) in (1, 2)]
            new = number_word(rng.choice(other))
        elif kind == "attribute" and claim.aspect == "color":
            items = {o.color for o in _called(claim.entities[0], scene)}
            new = rng.choice([c for c in vocabulary.COLORS if c not in items and c[0] not in "aeiou"])
            if caption[:low].rstrip().endswith(("an", "An")):
                continue
        elif kind == "relation":
            turns = {"left": "right", "right": "left", "above": "below", "below": "above"}
            word = next((w for w in turns if w in caption[low:high].split()), None)
            new = caption[low:high].replace(word, turns[word]) if word else None
        elif kind == "text":
            others = [w for w in vocabulary.SIGN_WORDS if w.casefold() != claim.value.casefold()]
            new = caption[low:high].replace(claim.value, rng.choice(others))
        if new is not None:
            return caption[:low] + new + caption[high:]
    return None
