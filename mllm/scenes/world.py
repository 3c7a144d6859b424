"""From a seed to a symbolic scene: how many things, which, in what colour and style, and where.

`make_scene(seed, config)` is a pure function, cheap enough (about 0.1 ms) to train a language model on
symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TypeVar

from ...errors import InputError
from . import layouts
from .layouts import LAYOUTS
from .schema import Scene
from .vocabulary import COLORS, KINDS

T = TypeVar("T")
Weights = tuple[tuple[str, float], ...]

STYLES = ("glyph", "tint", "flat", "outline", "sticker")
BACKGROUNDS = ("plain", "gradient", "texture", "photo")
SPLITS = ("train", "val", "test")
_SPLIT_SHIFT = 60  # seeds stay below 2**63, so that they fit a signed 64-bit column
_STREAM_SHIFT = 28


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """What scenes to make. Every chance is in [0, 1]; weights need not add up to one."""

    width: int = 128  # pixels
    height: int = 128  # pixels
    min_objects: int = 0  # a scene may be empty; see `empty`
    max_objects: int = 8
    empty: float = 0.02  # chance of an empty scene where min_objects is 0
    curriculum: float = 1.0  # 0: one or two clear objects; 1: everything below to its full extent
    layouts: Weights = (("scattered", 0.62), ("grid", 0.1), ("words", 0.08), ("towers", 0.1), ("boxes", 0.1))
    styles: Weights = (("glyph", 0.25), ("tint", 0.3), ("flat", 0.1), ("outline", 0.15), ("sticker", 0.2))
    backgrounds: Weights = (("plain", 0.3), ("gradient", 0.2), ("texture", 0.25), ("photo", 0.25))
    kinds: tuple[str, ...] | None = None  # only these nouns in "scattered" and "grid"; None: all
    colors: tuple[str, ...] = tuple(COLORS)  # colour names in use
    shape_share: float = 0.2  # chance that an object is a plain shape rather than a pictogram
    sign_share: float = 0.06  # chance that an object of a scattered scene is a printed word or sign
    random_words: float = 0.25  # chance that a printed word is invented rather than from the list
    repeat: float = 0.5  # chance that a scene keeps to 1-3 kinds, so that counting has a point
    theme: float = 0.25  # chance that a scene keeps to one category: co-occurrence, for POPE's traps
    few_colors: float = 0.4  # chance that a scene keeps to 2-3 colours
    occlusion: float = 0.4  # chance that objects of a scene may cover each other
    max_cover: float = 0.35  # largest part of an object's box that later boxes may cover
    turn: float = 0.35  # chance that an object is turned (by 15, 30 or 45 degrees)
    max_noise: float = 14.0  # standard deviation of pixel noise, 0-255 scale
    max_blur: float = 0.7  # Gaussian sigma in pixels

    def __post_init__(self) -> None:
        if not (32 <= self.width <= 4096 and 32 <= self.height <= 4096):
            raise InputError(f"SceneConfig: size {self.width}x{self.height} is outside 32..4096 pixels")
        if not 0 <= self.min_objects <= self.max_objects:
            got = f"{self.min_objects}..{self.max_objects}"
            raise InputError(f"SceneConfig: needs 0 <= min_objects <= max_objects, got {got}")
        for name, known in (("layouts", LAYOUTS), ("styles", STYLES), ("backgrounds", BACKGROUNDS)):
            pairs: Weights = getattr(self, name)
            unknown = [key for key, _ in pairs if key not in known]
            if unknown or not pairs or min(w for _, w in pairs) < 0 or sum(w for _, w in pairs) <= 0:
                raise InputError(f"SceneConfig.{name}: weights over {', '.join(known)} expected, got {pairs}")
        for name in ("empty", "curriculum", "shape_share", "sign_share", "random_words", "repeat", "theme",
                     "few_colors", "occlusion", "max_cover", "turn"):  # fmt: skip
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"SceneConfig.{name}: {getattr(self, name)} is not in 0..1")
        if self.max_noise < 0 or self.max_blur < 0:
            raise InputError("SceneConfig: max_noise and max_blur must not be negative")
        bad = [k for k in self.kinds or () if k not in KINDS or KINDS[k].category == "text"]
        if bad or self.kinds == ():
            raise InputError(f"SceneConfig.kinds: not drawable kinds: {', '.join(bad) or 'none given'}")
        wrong = [c for c in self.colors if c not in COLORS]
        if wrong or not self.colors:
            raise InputError(
                f"SceneConfig.colors: not colours of the world: {', '.join(wrong) or 'none given'}"
            )


DEFAULT = SceneConfig()


class Dice:
    """Random choices built on `Random.random` alone, whose stream Python keeps stable across versions."""

    __slots__ = ("roll",)

    def __init__(self, seed: int) -> None:
        self.roll: Callable[[], float] = Random(seed).random

    def chance(self, probability: float) -> bool:
        return self.roll() < probability

    def whole(self, low: int, high: int) -> int:
        """A whole number in low..high, both included."""
        return low + int(self.roll() * (high - low + 1))

    def between(self, low: float, high: float) -> float:
        return low + self.roll() * (high - low)

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.roll() * len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items (all of them if there are fewer), in random order."""
        left = list(items)
        return [left.pop(int(self.roll() * len(left))) for _ in range(min(count, len(left)))]

    def weighted(self, weights: Weights) -> str:
        mark = self.roll() * _total(weights)
        for name, weight in weights:
            mark -= weight
            if mark < 0:
                return name
        return weights[-1][0]


@lru_cache(maxsize=256)
def _total(weights: Weights) -> float:
    return sum(weight for _, weight in weights)


def make_scene(seed: int, config: SceneConfig = DEFAULT) -> Scene:
    """The scene of a seed: a pure function of (seed, config), the same in every process and Python version.

    Boxes are whole pixels, the extent that the renderer draws; `visible` is a bound from boxes until it is
    rendered.
    """
    if seed < 0:
        raise InputError(f"make_scene: a seed is a whole number from 0 up, got {seed}")
    dice = Dice(seed)
    layout = dice.weighted(config.layouts)
    objects, groups, background = LAYOUTS[layout](dice, config)
    noise = blur = 0.0
    if dice.chance(0.5):
        noise = round(dice.roll() * config.max_noise * config.curriculum, 2)
    if dice.chance(0.3):
        blur = round(dice.roll() * config.max_blur * config.curriculum, 2)
    return Scene(
        seed=seed, width=config.width, height=config.height, objects=layouts.with_cover(objects),
        background=background, noise=noise, blur=blur, layout=layout, groups=groups,
        extra={g.name: g.kind for g in groups},
    )  # fmt: skip


def split_seed(split: str, stream: int, index: int) -> int:
    """Seed number `index` of a stream of a split; no two splits or streams share a seed.

    `stream` (below 2**32) is what a user gives as --seed; `index` (below 2**28) counts scenes within it.
    """
    if split not in SPLITS or not 0 <= stream < 1 << 32 or not 0 <= index < 1 << _STREAM_SHIFT:
        raise InputError(
            f"split_seed({split!r}, {stream}, {index}): needs one of {', '.join(SPLITS)}, "
            "a stream below 2**32 and an index below 2**28"
        )
    return SPLITS.index(split) << _SPLIT_SHIFT | stream << _STREAM_SHIFT | index


def split_of(seed: int) -> str:
    """The split a seed belongs to: train below 2**60, val from 2**60, test from 2**61 (up to 3 * 2**60)."""
    if not 0 <= seed < len(SPLITS) << _SPLIT_SHIFT:
        raise InputError(f"split_of: seed {seed} is outside 0..3*2**60")
    return SPLITS[seed >> _SPLIT_SHIFT]
