"""An independent judge of scene questions: reads the question's own words and counts in the scene by brute force."""

from __future__ import annotations

import re
from itertools import pairwise

from sightline.mllm.scenes import vocabulary as v
from sightline.mllm.scenes.schema import Scene, SceneObject, Turn

NUMBERS = {w: n for n, w in enumerate("no one two three four five six seven eight nine ten".split())}
EN_NOUNS: dict[str, str] = {}
for _noun in [*v.CATEGORIES, *v.KINDS]:
    EN_NOUNS |= {
        _noun: _noun,
        v.plural(_noun): _noun,
        f"piece of {_noun}": _noun,
        f"pieces of {_noun}": _noun,
    }
EN_NOUNS |= {"object": "", "objects": ""}
ZH_NOUNS = (
    {zh: c for c, zh in v.CATEGORY_ZH.items()} | {k.zh: k.name for k in v.KINDS.values()} | {"物体": ""}
)
ZH_COLORS = {zh: c for c, zh in v.COLOR_ZH.items()}
ZH_SIZES = {"小": "small", "中等": "medium", "大": "large"}


def read_phrase(text: str, zh: bool) -> tuple[str | None, str | None, str]:
    """(size, colour, noun) of a noun phrase; "" for "object"."""
    size = color = None
    if zh:
        text = re.sub(r"^一\w(?=(小|中等|大|\w色)?)", "", text) if text.startswith("一") else text
        parts = text.split("的")
        for part in parts[:-1]:
            if part in ZH_SIZES:
                size = ZH_SIZES[part]
            else:
                color = ZH_COLORS[part]
        return size, color, ZH_NOUNS[parts[-1]]
    words = re.sub(r"^(the|an|a) ", "", text.lower()).split(" ")
    while len(words) > 1 and words[0] in {*v.SIZES, *v.COLORS}:
        if words[0] in v.SIZES:
            size = words.pop(0)
        else:
            color = words.pop(0)
    return size, color, EN_NOUNS[" ".join(words)]


def fits(o: SceneObject, phrase: tuple[str | None, str | None, str]) -> bool:
    size, color, noun = phrase
    chain = {o.kind}
    category: str | None = o.category
    while category:
        chain.add(category)
        category = v.PARENT.get(category)
    if noun and noun in v.KINDS and noun not in v.CATEGORIES and noun != o.kind:
        return False
    return (not noun or noun in chain) and (not color or o.color == color) and (not size or o.size == size)


def matches(scene: Scene, phrase: tuple[str | None, str | None, str]) -> list[int]:
    return [i for i, o in enumerate(scene.objects) if fits(o, phrase)]


class Reading:
    """The question's phrases, in the order of the template's slots, and its words outside of them."""

    def __init__(self, scene: Scene, turn: Turn) -> None:
        self.scene, self.turn, self.zh = scene, turn, turn.language == "zh"
        texts = [turn.question[a:b] for a, b, _ in turn.mentions]
        self.phrases = [read_phrase(t, self.zh) for t in texts]
        self.found = [matches(scene, p) for p in self.phrases]
        rest, at = [], 0
        for a, b, _ in turn.mentions:
            rest.append(turn.question[at:a])
            at = b
        self.rest = "|".join([*rest, turn.question[at:]]).lower()

    def number(self) -> int:
        rest = self.rest.removeprefix(" ")
        words = "|".join(w for w, n in NUMBERS.items() if n)
        before = re.search(rf"(\d+|{words}) \|", rest)  # "exactly two dogs"
        if before:
            return self._value(before.group(1))
        rest = re.sub(r"one (counts|sees|finds|can|of)", "", re.sub(r"at least one (box|tower)", "", rest))
        return self._value(next(iter(re.findall(rf"\d+|\b(?:{words})\b", rest))))

    @staticmethod
    def _value(text: str) -> int:
        return int(text) if text.isdigit() else NUMBERS[text]

    def color(self) -> str:
        if self.zh:
            return next(c for zh, c in ZH_COLORS.items() if zh in self.rest)
        return next(c for c in v.COLORS if re.search(rf"\b{c}\b", self.rest))


def slots(reading: Reading) -> list[list[int]]:
    """Objects of the phrases in the order of the template's slots, as the rationale lists them ("a: ...; b: ...")."""
    labels = [part.split(": ")[0] for part in (reading.turn.rationale or "").split("; ")]
    return [matches(reading.scene, read_phrase(label, reading.zh)) for label in labels]


def side_of(scene: Scene, a: int, b: int) -> tuple[str, str]:
    boxes = [scene.objects[i].box for i in (a, b)]
    (ax, ay), (bx, by) = (((q[0] + q[2]) / 2, (q[1] + q[3]) / 2) for q in boxes)
    return ("left" if ax < bx else "right"), ("above" if ay < by else "below")


def towers(scene: Scene) -> list[list[SceneObject]]:
    names = sorted({o.group for o in scene.objects if o.group and o.group.startswith("tower")})
    return [sorted((o for o in scene.objects if o.group == n), key=lambda o: -o.box[1]) for n in names]


def boxes(scene: Scene) -> list[list[SceneObject]]:
    return [[o for o in scene.objects if o.group == g.name] for g in scene.groups if g.kind == "box"]


def layout_claim(reading: Reading) -> bool:
    """Truth of a statement on towers or boxes."""
    scene, form = reading.scene, reading.turn.form.split(".")[1]
    stacks, frames = towers(scene), boxes(scene)
    first = reading.phrases[0] if reading.phrases else None

    def is_first(o: SceneObject) -> bool:
        return first is not None and fits(o, first)

    if form == "tower_height":
        return any(len(s) == reading.number() for s in stacks)
    if form == "tower_number":
        return len(stacks) == reading.number()
    if form == "tower_same":
        return any(len(a) == len(b) for n, a in enumerate(stacks) for b in stacks[n + 1 :])
    if form == "tower_top":
        return any(is_first(s[-1]) for s in stacks)
    if form == "tower_base":
        return any(is_first(s[0]) for s in stacks)
    if form == "tower_one_top":
        return sum(is_first(s[-1]) for s in stacks) == 1
    if form == "tower_all_base":
        return all(is_first(s[0]) for s in stacks) and len(stacks) > 1
    if form == "tower_over":
        return any(
            fits(b, reading.phrases[0]) and fits(a, reading.phrases[1])
            for s in stacks
            for a, b in pairwise(s)
        )
    if form == "box_items":
        return any(len(f) == reading.number() for f in frames)
    if form == "box_has":
        return any(sum(map(is_first, f)) == reading.number() for f in frames)
    if form == "box_one":
        return sum(any(map(is_first, f)) for f in frames) == 1
    if form == "box_every":
        return all(any(map(is_first, f)) for f in frames)
    if form == "box_only":
        return any(f and all(map(is_first, f)) for f in frames)
    walls = {g.name: g.box for g in scene.groups}
    return any(
        is_first(o) and min(abs(a - b) for a, b in zip(o.box, walls[o.group], strict=True)) < 2
        for o in scene.objects
        if o.group
    )
