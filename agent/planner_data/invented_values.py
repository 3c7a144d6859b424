"""What a program's steps might have given: values made up by op, consistent with each other where an answer rests on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import numpy as np

from ...programs.expressions import EvalError, compile_expression
from ...programs.syntax import ListOf, Name, Step
from ...tools.color import COLOR_NAMES
from ...tools.values import Image, Region, Regions
from .invented import invented_word

PICTURE = Image.from_array(
    np.zeros((1, 1, 3), np.uint8)
)  # stands for every picture, of which only the kind is told
_NUMBERS = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12)
_SAID = (
    "yes",
    "no",
    "a dog on the grass",
    "on the table",
    "outdoors",
    "running",
    "wood",
    "two",
    "a small boat",
    "at night",
)
_THINGS = ("person", "dog", "car", "tree", "cup", "book", "bird", "chair")
_WHOLE = frozenset({"categories", "point", "background"})  # lists that a call takes as one
_WORDS = "open exit stop sale cafe north hotel menu fresh taxi bank park".split()


class Failed(str):
    """Stands for the value of a call that failed."""


def number(rng: Random) -> int:
    """How many of a thing there are: often few, a quarter of the time none."""
    return 0 if rng.random() < 0.25 else rng.choice(_NUMBERS)


def value_of(step: Step, values: Mapping[str, Any], rng: Random, some: bool) -> Any:
    """A value for a step on earlier values.

    Args:
        values: by name, of everything that the step reads.
        some: searches find at least one thing.
    """
    given = {key: _given(argument, values) for key, argument in step.args}
    if step.op == "EVAL":
        try:
            return compile_expression(str(given["expr"])).evaluate(values)
        except EvalError as error:
            return Failed(str(error))
    made = _maker(step.op)
    if made is not None:
        return made(given, rng, some)
    spread = [v for key, v in given.items() if isinstance(v, Regions | list) and key not in _WHOLE]
    if not spread or _returns(step.op) in ("Image", "Regions"):
        return _of_kind(step.op, rng)
    return [_of_kind(step.op, rng) for _ in spread[0]]


def _given(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, ListOf):
        return [_given(item, values) for item in argument.items]
    return values[argument.id] if isinstance(argument, Name) else argument.value


def _maker(op: str) -> Any:
    return globals().get(f"_{op.lower()}_value")


def _things(names: list[str], rng: Random, some: bool) -> Regions:
    found = [_region(name, rng) for name in names for _ in range(max(number(rng), int(some)))]
    return Regions(found)


def _region(name: str, rng: Random, text: str | None = None) -> Region:
    x, y = rng.randrange(200), rng.randrange(200)
    return Region((x, y, x + rng.randrange(8, 100), y + rng.randrange(8, 100)), name, text=text)


def _words(rng: Random) -> str:
    word = rng.choice(_WORDS) if rng.random() < 0.6 else invented_word(rng)
    return word.upper() if rng.random() < 0.7 else word


def _some_of(regions: Regions, rng: Random, some: bool) -> Regions:
    if not regions:
        return regions
    kept = [region for region in regions if rng.random() < 0.55]
    return Regions(kept or (regions[:1] if some else ()))


def _loc_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    names = given.get("object", given.get("labels", "thing"))
    return _things([names] if isinstance(names, str) else [str(name) for name in names], rng, some)


def _facedet_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    return _things(["face"], rng, some)


def _seg_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    return _things(rng.sample(_THINGS, rng.randint(1, 3)), rng, True)


def _ocr_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    return Regions(_region("", rng, _words(rng)) for _ in range(max(number(rng), int(some))))


def _filter_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    if given.get("keep"):
        return Regions(given["object"][:1])
    return _some_of(given["object"], rng, some)


def _relate_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    if not given["reference"]:
        return Regions()
    if given["relation"] in ("nearest", "farthest"):
        return Regions(given["object"][:1])
    return _some_of(given["object"], rng, some)


def _panels_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    return Regions(_region("panel", rng) for _ in range(rng.randint(1, 5)))


def _group_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    by = str(given.get("by", "stack"))
    kept = _some_of(given["object"], rng, some)
    return Regions(replace(region, label=by if by in ("stack", "row") else "group") for region in kept)


def _having_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    return _some_of(given["object"], rng, some)


def _select_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    return Regions(given["object"][:1])


def _classify_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    names = given["categories"]
    names = [names] if isinstance(names, str) else list(names) or ["thing"]
    return Regions(replace(region, label=str(rng.choice(names))) for region in given["object"])


def _label_value(given: Mapping[str, Any], rng: Random, some: bool) -> Regions:
    said = given["label"] if isinstance(given["label"], list) else [given["label"]]
    return Regions(
        replace(region, label=str(name)) for region, name in zip(given["object"], said, strict=False)
    )


def _segment_value(given: Mapping[str, Any], rng: Random, some: bool) -> Region | Regions:
    box = given.get("box")
    return box if isinstance(box, Regions) else _region("", rng)


def _count_value(given: Mapping[str, Any], rng: Random, some: bool) -> int:
    return len(given["box"]) if isinstance(given["box"], Regions | list) else 1


def _labels_value(given: Mapping[str, Any], rng: Random, some: bool) -> list[str]:
    return [region.label for region in given["object"]]


def _texts_value(given: Mapping[str, Any], rng: Random, some: bool) -> list[str]:
    return [region.text or "" for region in given["object"]]


def _numbers_value(given: Mapping[str, Any], rng: Random, some: bool) -> list[float]:
    return [float(rng.randrange(1, 200)) for _ in given["text"]]


def _tally_value(given: Mapping[str, Any], rng: Random, some: bool) -> list[str]:
    text = given["text"]
    counts = Counter([text] if isinstance(text, str) else text)
    return [f"{n} {said}" for said, n in counts.most_common()]


def _join_value(given: Mapping[str, Any], rng: Random, some: bool) -> str:
    return ", ".join(map(str, given["text"]))


def _colors_value(given: Mapping[str, Any], rng: Random, some: bool) -> list[str]:
    return rng.sample(COLOR_NAMES, 2)


def _list_value(given: Mapping[str, Any], rng: Random, some: bool) -> list[str]:
    return [invented_word(rng) for _ in range(3)]


def _crops_value(given: Mapping[str, Any], rng: Random, some: bool) -> list[Image]:
    return [PICTURE for _ in given["box"]]


def _of_kind(op: str, rng: Random) -> Any:
    """A value of the kind that an op gives for one picture or region."""
    if op == "COLOR":
        return rng.choice(COLOR_NAMES)
    if op == "READ":
        return " ".join(_words(rng) for _ in range(rng.randint(1, 3)))
    kind = _returns(op)
    if kind == "Image":
        return PICTURE
    if kind == "Number":
        return round(rng.random(), 2) if op in ("DEPTH", "SIMILAR") else float(rng.randrange(40, 9000))
    if kind == "Regions":
        return _things(["thing"], rng, True)
    if kind == "Region":
        return _region("", rng)
    return rng.choice(_SAID)


@cache
def _returns(op: str) -> str:
    from ...tools.registry import default_registry

    tool = default_registry().get(op)
    return str(tool.returns) if tool is not None else "Text"
