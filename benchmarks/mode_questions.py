"""The 500 questions of `benchmarks/modes.py`: ten kinds, fifty each, about held-out scenes, with answers from ground truth.

The wordings below were written for this benchmark alone, as a person would ask, before anything was measured, and are part of
no training. Yes and no are equally frequent in each kind that asks for them, and no number makes up more than a third of a
kind that asks for numbers. Questions whose answer a person could argue about (things half beside each other, colours of
many-coloured pictograms) are not asked.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.mllm.scenes.vocabulary import KINDS, article, plural
from sightline.mllm.scenes.world import SceneConfig, make_scene, split_seed

SEED = 20261
STREAM = 40  # of held-out scenes; no other benchmark uses it
PER_KIND = 50
CONFIG = SceneConfig(min_objects=3, empty=0.0)

WORDINGS: dict[str, tuple[str, ...]] = {
    "existence": (
        "Is there {a} in the picture?", "Do you see {a}?", "Does the picture show {a}?", "Can you find {a} here?",
        "Is {a} visible?",
    ),
    "count": (
        "How many {pl} are there?", "How many {pl} do you see?", "What is the number of {pl}?", "Count the {pl}.",
        "How many {pl} are in the picture?",
    ),
    "count_color": (
        "How many {color} {pl} are there?", "How many of the {pl} are {color}?", "Count the {color} {pl}.",
        "How many {color} {pl} do you see?", "What is the number of {color} {pl}?",
    ),
    "color": (
        "What color is the {n}?", "Which color does the {n} have?", "What is the color of the {n}?",
        "The {n} is what color?", "Tell me the color of the {n}.",
    ),
    "color_check": (
        "Is the {n} {color}?", "Is the color of the {n} {color}?", "Is it true that the {n} is {color}?",
        "Do you see a {n} that is {color}?", "Is there a {color} {n}?",
    ),
    "relation": (
        "Is the {n} {rel} the {n2}?", "Is the {n} located {rel} the {n2}?", "Do you see the {n} {rel} the {n2}?",
        "Is there {a} {rel} the {n2}?", "Would you say the {n} is {rel} the {n2}?",
    ),
    "related_count": (
        "How many {pl} are {rel} the {n2}?", "How many {pl} do you see {rel} the {n2}?",
        "What is the number of {pl} {rel} the {n2}?", "Count the {pl} {rel} the {n2}.",
        "How many {pl} are there {rel} the {n2}?",
    ),
    "compare": (
        "Are there more {pl} than {pl2}?", "Are there fewer {pl} than {pl2}?", "Are there as many {pl} as {pl2}?",
        "Do you see more {pl} than {pl2}?", "Is the number of {pl} larger than the number of {pl2}?",
    ),
    "logic": (
        "Are there both {a} and {a2}?", "Is there {a} or {a2}?", "Is there neither {a} nor {a2}?",
        "Is there {a} but no {n2}?", "Does the picture show both {a} and {a2}?",
    ),
    "read": (
        "What does the {n} say?", "What is written on the {n}?", "Which word is on the {n}?",
        "Read the {n}.", "What text is on the {n}?",
    ),
}  # fmt: skip
KINDS_ASKED = tuple(WORDINGS)
COUNTING = (
    "count",
    "count_color",
    "compare",
    "relation",
    "related_count",
)  # where program should beat direct
_RELATIONS = ("left of", "right of", "above", "below")


@dataclass(frozen=True, slots=True)
class ModeQuestion:
    """A question about a scene; `answer` is "yes", "no", a number, a colour or a word, as text.

    `program` is a program that answers it, for the quality of plans; others may do so too.
    """

    id: str
    kind: str
    scene: Scene
    question: str
    answer: str
    program: str


def mode_questions(per_kind: int = PER_KIND, seed: int = SEED) -> list[ModeQuestion]:
    """The questions, the same on every machine."""
    found: list[ModeQuestion] = []
    for kind in KINDS_ASKED:
        rng = random.Random(f"{seed} {kind}")
        counts: Counter[str] = Counter()
        for scene in _scenes(kind):
            made = _MAKERS[kind](scene, rng)
            if made is None or not _wanted(made[1], counts, per_kind):
                continue
            counts[made[1]] += 1
            found.append(ModeQuestion(f"{kind}-{sum(counts.values()):02d}", kind, scene, *made))
            if sum(counts.values()) == per_kind:
                break
    return found


def _scenes(kind: str) -> Iterator[Scene]:
    start = 4000 * KINDS_ASKED.index(kind)
    for index in range(start, start + 4000):
        yield make_scene(split_seed("test", STREAM, index), CONFIG)


def _wanted(answer: str, counts: Counter[str], per_kind: int) -> bool:
    if answer in ("yes", "no"):
        return counts[answer] < per_kind / 2
    return counts[answer] < per_kind / 3


def _seen(scene: Scene) -> list[SceneObject]:
    """Things that can be named: pictograms and shapes, well visible."""
    return [
        o for o in scene.objects if o.kind in KINDS and o.visible >= 0.6 and o.kind not in ("sign", "word")
    ]


def _clear(scene: Scene, kind: str) -> bool:
    """Whether everything of a kind is well visible, so that its number is beyond dispute."""
    return all(o.visible >= 0.6 for o in scene.objects if o.kind == kind)


def _number(scene: Scene, kind: str) -> int:
    return sum(o.kind == kind for o in scene.objects)


def _alone(scene: Scene) -> list[SceneObject]:
    """Things that are the only ones of their kind."""
    return [o for o in _seen(scene) if _number(scene, o.kind) == 1]


def _absent(scene: Scene, rng: random.Random) -> str:
    there = {o.kind for o in scene.objects} | {o.category for o in scene.objects}
    return rng.choice(
        [k for k in KINDS if k not in there and k not in ("sign", "word", "block", "ring", "arrow")]
    )


def _say(kind: str, rng: random.Random, *nouns: str, color: str = "", rel: str = "", form: int = -1) -> str:
    slots = {"color": color, "rel": rel}
    for number, noun in enumerate(nouns):
        mark = "" if number == 0 else str(number + 1)
        slots |= {f"n{mark}": noun, f"pl{mark}": plural(noun), f"a{mark}": article(noun)}
    wordings = WORDINGS[kind]
    text = wordings[form] if form >= 0 else rng.choice(wordings)
    return text.format(**slots)


Made = tuple[str, str, str] | None  # question, answer, program


_COLOR = "ANSWER0=COLOR(image=IMAGE,object=BOX0)"


def _program(*lines: str) -> str:
    result = lines[-1].partition("=")[0]
    return "\n".join((*lines, f"FINAL_RESULT=RESULT(var={result})")) + "\n"


def _find(number: int, kind: str) -> str:
    return f"BOX{number}=LOC(image=IMAGE,object='{kind}')"


def _size(answer: int, box: int) -> str:
    return f"ANSWER{answer}=COUNT(box=BOX{box})"


def _verdict(test: str, number: int) -> str:
    return f"ANSWER{number}=EVAL(expr=\"'yes' if {test} else 'no'\")"


def _relate(relation: str) -> str:
    return f"OBJ0=RELATE(object=BOX0,relation='{relation.split()[0]}',reference=BOX1)"


def _existence(scene: Scene, rng: random.Random) -> Made:
    there = _seen(scene)
    if rng.random() < 0.5:
        if not there:
            return None
        kind, answer = rng.choice(there).kind, "yes"
    else:
        kind, answer = _absent(scene, rng), "no"
    return (
        _say("existence", rng, kind),
        answer,
        _program(_find(0, kind), _size(0, 0), _verdict("{ANSWER0} > 0", 1)),
    )


def _count(scene: Scene, rng: random.Random) -> Made:
    there = [o.kind for o in _seen(scene) if _clear(scene, o.kind)]
    kind = rng.choice(there) if there and rng.random() < 0.9 else _absent(scene, rng)
    return _say("count", rng, kind), str(_number(scene, kind)), _program(_find(0, kind), _size(0, 0))


def _count_color(scene: Scene, rng: random.Random) -> Made:
    there = [o for o in _seen(scene) if _clear(scene, o.kind) and _plain(scene, o.kind)]
    if not there:
        return None
    kind = rng.choice(there).kind
    color = rng.choice([o.color for o in scene.objects if o.color != "multicolor"])
    number = sum(o.kind == kind and o.color == color for o in scene.objects)
    kept = f"OBJ0=FILTER(object=BOX0,where=\"color == '{color}'\",image=IMAGE)"
    program = _program(_find(0, kind), kept, "ANSWER0=COUNT(box=OBJ0)")
    return _say("count_color", rng, kind, color=color), str(number), program


def _plain(scene: Scene, kind: str) -> bool:
    """Whether everything of a kind has one nameable colour."""
    return all(o.color != "multicolor" for o in scene.objects if o.kind == kind)


def _color(scene: Scene, rng: random.Random) -> Made:
    there = [o for o in _alone(scene) if o.color != "multicolor"]
    if not there:
        return None
    chosen = rng.choice(there)
    return _say("color", rng, chosen.kind), chosen.color, _program(_find(0, chosen.kind), _COLOR)


def _color_check(scene: Scene, rng: random.Random) -> Made:
    there = [o for o in _alone(scene) if o.color != "multicolor"]
    if not there:
        return None
    chosen = rng.choice(there)
    others = [
        c for c in ("red", "green", "blue", "yellow", "purple", "brown", "pink", "white") if c != chosen.color
    ]
    color = chosen.color if rng.random() < 0.5 else rng.choice(others)
    program = _program(_find(0, chosen.kind), _COLOR, _verdict(f"'{color}' in {{ANSWER0}}", 1))
    return (
        _say("color_check", rng, chosen.kind, color=color),
        "yes" if color == chosen.color else "no",
        program,
    )


def stands_so(a: SceneObject, b: SceneObject, relation: str) -> bool | None:
    """Whether a stands so to b beyond dispute; None where a person could argue."""
    axis, sign = (0, 1) if relation in ("left of", "right of") else (1, 1)
    if relation in ("right of", "below"):
        sign = -1
    low, high = (a, b) if sign > 0 else (b, a)
    if low.box[axis + 2] <= high.box[axis] + 2:
        return True
    middle_a, middle_b = ((o.box[axis] + o.box[axis + 2]) / 2 * sign for o in (a, b))
    return False if middle_a >= middle_b + 6 else None


def _relation(scene: Scene, rng: random.Random) -> Made:
    there = _alone(scene)
    if len(there) < 2:
        return None
    a, b = rng.sample(there, 2)
    relation = rng.choice(_RELATIONS)
    stands = stands_so(a, b, relation)
    if stands is None:
        return None
    program = _program(
        _find(0, a.kind),
        _find(1, b.kind),
        _relate(relation),
        "ANSWER0=COUNT(box=OBJ0)",
        _verdict("{ANSWER0} > 0", 1),
    )
    return _say("relation", rng, a.kind, b.kind, rel=relation), "yes" if stands else "no", program


def _related_count(scene: Scene, rng: random.Random) -> Made:
    there = _alone(scene)
    many = [o.kind for o in _seen(scene) if _number(scene, o.kind) > 1 and _clear(scene, o.kind)]
    if not there or not many:
        return None
    other, kind, relation = rng.choice(there), rng.choice(many), rng.choice(_RELATIONS)
    stands = [stands_so(o, other, relation) for o in scene.objects if o.kind == kind]
    if None in stands:
        return None
    program = _program(_find(0, kind), _find(1, other.kind), _relate(relation), "ANSWER0=COUNT(box=OBJ0)")
    return _say("related_count", rng, kind, other.kind, rel=relation), str(sum(map(bool, stands))), program


def _compare(scene: Scene, rng: random.Random) -> Made:
    kinds = sorted({o.kind for o in _seen(scene) if _clear(scene, o.kind)})
    if len(kinds) < 2:
        return None
    one, two = rng.sample(kinds, 2)
    x, y = _number(scene, one), _number(scene, two)
    form = rng.randrange(len(WORDINGS["compare"]))
    holds = x < y if form == 1 else x == y if form == 2 else x > y
    sign = "<" if form == 1 else "==" if form == 2 else ">"
    program = _program(
        _find(0, one), _find(1, two), _size(0, 0), _size(1, 1), _verdict(f"{{ANSWER0}} {sign} {{ANSWER1}}", 2)
    )
    return _say("compare", rng, one, two, form=form), "yes" if holds else "no", program


def _logic(scene: Scene, rng: random.Random) -> Made:
    kinds = sorted({o.kind for o in _seen(scene)})
    if len(kinds) < 2:
        return None
    there = [rng.random() < 0.5, rng.random() < 0.5]
    names = rng.sample(kinds, 2)
    one, two = (name if yes else _absent(scene, rng) for name, yes in zip(names, there, strict=True))
    if one == two:
        return None
    form = rng.randrange(len(WORDINGS["logic"]))
    a, b = there
    holds = (a and b, a or b, not a and not b, a and not b, a and b)[form]
    tests = ("{0} > 0 and {1} > 0", "{0} > 0 or {1} > 0", "{0} == 0 and {1} == 0", "{0} > 0 and {1} == 0")
    test = tests[form % 4].format("{ANSWER0}", "{ANSWER1}")
    program = _program(_find(0, one), _find(1, two), _size(0, 0), _size(1, 1), _verdict(test, 2))
    return _say("logic", rng, one, two, form=form), "yes" if holds else "no", program


def _read(scene: Scene, rng: random.Random) -> Made:
    signs = [o for o in scene.objects if o.kind == "sign" and o.word and o.visible >= 0.95]
    if len(signs) != 1 or _number(scene, "sign") != 1 or not signs[0].word:
        return None
    program = _program(_find(0, "sign"), "ANSWER0=READ(image=IMAGE,object=BOX0)")
    return _say("read", rng, "sign"), signs[0].word, program


_MAKERS: dict[str, Callable[[Scene, random.Random], Made]] = {
    "existence": _existence, "count": _count, "count_color": _count_color, "color": _color,
    "color_check": _color_check, "relation": _relation, "related_count": _related_count, "compare": _compare,
    "logic": _logic, "read": _read,
}  # fmt: skip
