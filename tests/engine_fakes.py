"""A fake model that counts what it is asked, tools over it, and engines with them, for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sightline.programs.cache import ResultCache
from sightline.programs.engine import Engine, Job
from sightline.tools.declaration import Column, tool
from sightline.tools.models import Models
from sightline.tools.registry import Registry, builtin_tools
from sightline.tools.values import Image, Region, Regions


class Counter:
    """What the fake model was asked: one list of batch sizes per op."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failing: set[str] = set()
        self.memory = 10**9  # calls that fit at once
        self.flaky = 0  # so many calls fail before one succeeds


COUNTER = Counter()


@tool(roles="mllm", batch=8, cost=10)
def LOOK(image: Column[Image], word: Column[str], *, models: Any) -> Column[str]:
    """Say the word and the picture's mean grey level.

    Example: ANSWER0=LOOK(image=IMAGE,word='hello')
    """
    COUNTER.batches.append(len(image))
    if len(image) > COUNTER.memory:
        raise MemoryError
    if COUNTER.flaky:
        COUNTER.flaky -= 1
        raise RuntimeError("the network went away")
    if any(w in COUNTER.failing for w in word) and len(word) > 1:
        raise RuntimeError("one of the batch is bad")
    return [RuntimeError("bad word") if w in COUNTER.failing else f"{w} {i.pixels.mean():.0f}"  # type: ignore[misc]
            for i, w in zip(image, word, strict=True)]  # fmt: skip


@tool
def BOXES_OF(image: Image, n: int = 3) -> Regions:
    """Make n boxes in a row.

    Example: BOX0=BOXES_OF(image=IMAGE,n=2)
    """
    return Regions(
        Region((4.0 * i, 0, 4.0 * i + 4, 4), label=f"b{i}", picture=image.picture) for i in range(n)
    )


@tool(batch=5)
def LABEL_OF(object: Column[Region]) -> Column[str]:
    """The label of one region.

    Example: ANSWER0=LABEL_OF(object=BOX0)
    """
    return [region.label for region in object]


@tool
def EXPLODE(image: Image) -> str:
    """Fail in a way that nobody foresaw.

    Example: ANSWER0=EXPLODE(image=IMAGE)
    """
    raise ZeroDivisionError("boom")


def picture(level: int, size: tuple[int, int] = (32, 24)) -> Image:
    return Image.from_array(np.full((size[1], size[0], 3), level, dtype=np.uint8))


def write(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for index in range(count):
        path = folder / f"{index:03}.png"
        picture(index % 250, (24 + index // 250, 24)).pil().save(path)
        paths.append(path)
    return paths


def jobs_for(engine: Engine, text: str, images: list[Any]) -> list[Job]:
    program = engine.check(text)
    return [Job(index, (program,), {"IMAGE": image}) for index, image in enumerate(images)]


HELLO = "A=LOOK(image=IMAGE,word='hello')\nR=RESULT(var=A)"


def making(folder: Path) -> Callable[..., Engine]:
    """What makes engines over the tools above, that share one fake model, and the cache in `folder` where they have one."""
    COUNTER.__init__()  # type: ignore[misc]
    control = [t for t in builtin_tools() if t.control or t.name in ("COUNT", "CROP")]
    registry = Registry([*control, LOOK, BOXES_OF, LABEL_OF, EXPLODE])
    models = Models.from_pack("starter")
    models.bind("mllm", object(), weights="fake-1")

    def make(cache: bool = False, **options: Any) -> Engine:
        kept = ResultCache(folder / "cache") if cache else None
        return Engine(models, registry, kept, **options)

    return make
