"""Makes scenes in which a program has something to find: its nouns, colours, words and places, among other things."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ...mllm.scenes.schema import Scene, SceneObject
from ...mllm.scenes.vocabulary import COLORS, KINDS, SIGN_WORDS
from ...programs.syntax import ListOf, Literal, Program
from ...tools.values import Image

_COLOR = re.compile(r"\b(" + "|".join(COLORS) + r")\b")
_LOWERED = re.compile(r"""lower\((?:'([^']*)'|"([^"]*)")\)|contains ['"]([^'"]*)['"]""")
_COMPARED = re.compile(r"(?:==|>=|<=|>|<) (\d+)")
_GROUPED = re.compile(r"^(?:HAVING|GROUP|on|under|corner|(?:\w+ )?edge)$", re.MULTILINE)


@dataclass(frozen=True)
class Cast:
    """What a program speaks of: names of things, colours, printed words, counts compared with, places in pixels.

    `grouped` says that it asks what lies in what or rests on what, which things strewn about seldom do.
    """

    names: tuple[str, ...]
    colors: tuple[str, ...]
    words: tuple[str, ...]
    counts: tuple[int, ...]
    places: tuple[tuple[float, ...], ...]
    grouped: bool = False


def cast_of(program: Program) -> Cast:
    """Read a program's literals."""
    names: list[str] = []
    places: list[tuple[float, ...]] = []
    texts: list[str] = []
    for step in program.steps:
        for key, argument in step.args:
            values = [argument] if isinstance(argument, Literal) else []
            if isinstance(argument, ListOf):
                values = [item for item in argument.items if isinstance(item, Literal)]
            if step.op == "LOC" and key == "object":
                names += [v.value for v in values if isinstance(v.value, str)]
            elif step.op == "SEGMENT" and key in ("point", "box") and values:
                places.append(tuple(float(v.value) for v in values if isinstance(v.value, int | float)))
            else:
                texts += [v.value for v in values if isinstance(v.value, str)]
    joined = "\n".join(texts)
    words = [next(group for group in groups if group) for groups in _LOWERED.findall(joined) if any(groups)]
    return Cast(
        tuple(dict.fromkeys(names)),
        tuple(dict.fromkeys(_COLOR.findall(joined))),
        tuple(dict.fromkeys(words)),
        tuple(int(n) for n in _COMPARED.findall(joined)),
        tuple(places),
        bool(_GROUPED.search("\n".join([joined, *(step.op for step in program.steps)]))),
    )


def scene_for(cast: Cast, rng: random.Random) -> Scene:
    """A scene of 4 to 16 things. Each name appears a few times or not at all; colours and words recur."""
    width, height = 256, 192
    for place in cast.places:
        width = max(width, int(max(place[0::2])) + 64)
        height = max(height, int(max(place[1::2])) + 64)
    kinds: list[str] = []
    for name in cast.names:
        wanted = [0, 1, 1, 2, 3]
        wanted += [n + more for n in cast.counts if n <= 9 for more in (-1, 0, 1)]
        kinds += [name] * max(0, rng.choice(wanted))
    kinds += rng.choices(list(KINDS), k=rng.randint(2, 4))
    rng.shuffle(kinds)
    objects = [_thing(kind, _free_box(rng, width, height), cast, rng) for kind in kinds]
    if cast.grouped:
        objects = _grouped(objects, rng)
    for place in cast.places:
        objects.append(_thing(rng.choice(list(KINDS)), _around(place), cast, rng))
    return Scene(seed=rng.randrange(2**31), width=width, height=height, objects=tuple(objects))


def _grouped(objects: list[SceneObject], rng: random.Random) -> list[SceneObject]:
    """Most things moved: into an earlier one, now and then up to its edge, or on top of one of the same kind."""
    placed: list[SceneObject] = []
    for item in objects:
        alike = [o for o in placed if o.kind == item.kind and o.box[1] >= 12]
        hosts = [o for o in placed if o.kind != item.kind and min(_sides(o)) >= 12]
        roll = rng.random()
        if alike and roll < 0.5:
            x1, top, x2, _ = rng.choice(alike).box
            item = replace(item, box=(x1, top - 10, x2, top))
        elif hosts and roll < 0.85:
            host = rng.choice(hosts)
            width, height = (side / 4 for side in _sides(host))
            across, down = (rng.choice((0.0, 0.5, 1.0, rng.random())) * 3 for _ in range(2))
            x, y = host.box[0] + across * width, host.box[1] + down * height
            item = replace(item, box=(x, y, x + width, y + height))
        placed.append(item)
    return placed


def _sides(item: SceneObject) -> tuple[float, float]:
    return item.box[2] - item.box[0], item.box[3] - item.box[1]


def _thing(kind: str, box: tuple[float, float, float, float], cast: Cast, rng: random.Random) -> SceneObject:
    color = rng.choice(cast.colors) if cast.colors and rng.random() < 0.5 else rng.choice(list(COLORS))
    word = None
    if rng.random() < 0.5:
        word = rng.choice(cast.words) if cast.words and rng.random() < 0.4 else rng.choice(SIGN_WORDS)
        if rng.random() < 0.4:
            word = f"{word} {rng.randint(1, 99)}"
    category = KINDS[kind].category if kind in KINDS else kind
    return SceneObject(
        kind=kind, category=category, color=color, size="medium", box=box, style="block", word=word
    )


def _free_box(rng: random.Random, width: int, height: int) -> tuple[float, float, float, float]:
    w, h = rng.randint(width // 16, width // 5), rng.randint(height // 16, height // 5)
    x, y = rng.randint(0, width - w), rng.randint(0, height - h)
    return (float(x), float(y), float(x + w), float(y + h))


def _around(place: tuple[float, ...]) -> tuple[float, float, float, float]:
    if len(place) >= 4:
        return (place[0], place[1], place[2], place[3])
    x, y = place[0], place[1]
    return (max(x - 12.0, 0.0), max(y - 9.0, 0.0), x + 12.0, y + 9.0)


def draw_plainly(scene: Scene) -> Image:
    """The scene as coloured rectangles on beige: all that colour and editing ops need; later things cover earlier ones."""
    pixels = np.full((scene.height, scene.width, 3), (222, 211, 188), dtype=np.uint8)
    for number, item in enumerate(scene.objects):
        x1, y1, x2, y2 = (round(v) for v in item.box)
        pixels[y1:y2, x1:x2] = COLORS[item.color]
        pixels[y1 : y1 + 1, x1:x2] = (
            number * 7 % 256,
            number * 29 % 256,
            number * 53 % 256,
        )  # no two things alike
    return Image.from_array(pixels)


def scenes_for(program: Program, seed: str, count: int) -> Iterable[tuple[Scene, Scene]]:
    """`count` pairs of scenes (IMAGE is the first; LEFT and RIGHT are both) for one program, by a seed."""
    cast = cast_of(program)
    rng = random.Random(seed)
    for _ in range(count):
        yield scene_for(cast, rng), scene_for(cast, rng)
